//! All code of the process, by address: what a walk looks things up in.
use std::ops::Range;
use std::sync::Arc;

use super::row::{Rows, Rule};

/// A stretch of code and the rows for it.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    text: Range<u64>,
    /// What the rows count from: the first text address of the whole module.
    base: u64,
    rows: Arc<Rows>,
    /// It may be unloaded, and another take its place.
    pub(crate) passing: bool,
}

impl Span {
    pub(crate) fn new(text: Range<u64>, base: u64, rows: Arc<Rows>, passing: bool) -> Span {
        Span { text, base, rows, passing }
    }

    #[inline]
    pub(crate) fn contains(&self, address: u64) -> bool {
        self.text.start <= address && address < self.text.end
    }

    /// The rule at `address`, which this span contains.
    #[inline(always)]
    pub(crate) fn rule(&self, address: u64) -> Rule<'_> {
        self.rows.find(address.wrapping_sub(self.base) as u32)
    }
}

/// An immutable list of spans, and the epoch in which it holds.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) epoch: u32,
    spans: Box<[Span]>,
}

impl Table {
    pub(crate) fn new(epoch: u32, mut spans: Vec<Span>) -> Table {
        spans.sort_by_key(|span| span.text.start);
        Table { epoch, spans: spans.into() }
    }

    /// The span that holds `address`.
    #[inline]
    pub(crate) fn find(&self, address: u64) -> Option<&Span> {
        let after = self.spans.partition_point(|span| span.text.start <= address);
        self.spans.get(after.wrapping_sub(1)).filter(|span| span.contains(address))
    }

    /// Whether `pc` can be a return address.
    pub(crate) fn is_code(&self, pc: u64) -> bool {
        self.find(pc.wrapping_sub(1)).is_some()
    }
}
