//! A profile, written out.
use std::io;

use crate::alive::Wanted;
use crate::encode::Format;
use crate::error::Result;
use crate::profile::{Profile, View};

impl Profile {
    /// Writes what is in the profile now, in one of Go's three forms.
    ///
    /// `debug` 0 is gzipped protobuf, what `pprof` reads; 1 is text, one stack a paragraph; 2 and more is text in
    /// full (of `goroutine`: one block for each thread and task). Names are looked up here, on the calling thread.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) with the writer's own error.
    pub fn write_to(&self, w: impl io::Write, debug: u32) -> Result<()> {
        let one_by_one = View::Alive(Wanted::BLOCKS);
        let each = debug >= 2 && self.source().is_some_and(|source| source.has_view(one_by_one));
        let snapshot = if each { self.view(one_by_one) } else { self.snapshot() };
        snapshot.write(w, Format::of_debug(debug))
    }
}

impl Format {
    /// Go's `debug` levels.
    pub(crate) fn of_debug(debug: u32) -> Format {
        match debug {
            0 => Format::Pprof,
            1 => Format::Text,
            _ => Format::Verbose,
        }
    }
}
