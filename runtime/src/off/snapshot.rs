//! Snapshots of nothing.
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::record::{Format, LabelValue, ValueType};

/// A profile as it was at one moment, or over one window: switched off, empty.
#[derive(Clone, Default)]
pub struct Snapshot(());

impl Snapshot {
    /// What each of a sample's values counts: there are none.
    pub fn value_types(&self) -> &[ValueType] {
        &[]
    }

    /// The rows: none.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = SampleRef<'_>> {
        std::iter::empty()
    }

    /// When it was taken: never, the epoch.
    pub fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    /// How long the window was: there was none.
    pub fn duration(&self) -> Option<Duration> {
        None
    }

    /// What lies between two samples: nothing.
    pub fn period(&self) -> (ValueType, i64) {
        (ValueType::default(), 0)
    }

    /// What there is to say about this profile as a whole: nothing.
    pub fn comments(&self) -> &[String] {
        &[]
    }

    /// What happened since `earlier`: nothing.
    ///
    /// # Errors
    /// None.
    pub fn delta(&self, _earlier: &Snapshot) -> Result<Snapshot> {
        Ok(Snapshot::default())
    }

    /// Writes nothing.
    ///
    /// # Errors
    /// None.
    pub fn write(&self, _w: impl io::Write, _format: Format) -> Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

/// One row of a [`Snapshot`]: as there are no rows, there is no such value.
#[derive(Clone, Copy, Debug)]
pub struct SampleRef<'a> {
    never: Infallible,
    snapshot: PhantomData<&'a Snapshot>,
}

impl<'a> SampleRef<'a> {
    /// One value for each of [`Snapshot::value_types`], unbiased.
    pub fn values(&self) -> &'a [i64] {
        match self.never {}
    }

    /// The stack, leaf first.
    pub fn addresses(&self) -> &'a [u64] {
        match self.never {}
    }

    /// The labels, user's first.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, LabelValue<'a>)> + use<'a> {
        std::iter::empty()
    }

    /// The functions of the stack, innermost first.
    pub fn frames(&self) -> impl Iterator<Item = Frame> + use<'a> {
        std::iter::empty()
    }
}

/// A function in a stack: as there are no rows, there is no such value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    never: Infallible,
}

impl Frame {
    /// The function as people write it.
    pub fn name(&self) -> &str {
        match self.never {}
    }

    /// The function as the linker knows it.
    pub fn system_name(&self) -> &str {
        match self.never {}
    }

    /// The file that the line is in.
    pub fn file(&self) -> Option<&str> {
        match self.never {}
    }

    /// The line, from 1.
    pub fn line(&self) -> u32 {
        match self.never {}
    }

    /// The line where the function begins, from 1.
    pub fn start_line(&self) -> u32 {
        match self.never {}
    }

    /// The address it was looked up at.
    pub fn address(&self) -> u64 {
        match self.never {}
    }
}
