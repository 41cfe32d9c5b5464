//! All code of the process, by address: what a walk looks things up in.
use std::ops::Range;
use std::sync::Arc;

use super::row::{Row, Rows, Rule};

/// A stretch of code and the rows for it.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    text: Range<u64>,
    length: u64,
    /// How far behind the first text address of the whole module it begins: rows count from there.
    before: u32,
    rows: Arc<Rows>,
    /// It may be unloaded, and another take its place.
    pub(crate) passing: bool,
}

impl Span {
    /// `base` is the first text address of the whole module.
    pub(crate) fn new(text: Range<u64>, base: u64, rows: Arc<Rows>, passing: bool) -> Span {
        let (length, before) = (text.end.saturating_sub(text.start), text.start.wrapping_sub(base) as u32);
        Span { text, length, before, rows, passing }
    }

    #[inline]
    pub(crate) fn contains(&self, address: u64) -> bool {
        self.text.start <= address && address < self.text.end
    }

    /// How far `address` lies in this span, if it does.
    #[inline]
    pub(crate) fn offset(&self, address: u64) -> Option<u64> {
        let offset = address.wrapping_sub(self.text.start);
        (offset < self.length).then_some(offset)
    }

    /// The row at so many bytes from the span's start.
    #[inline]
    pub(crate) fn row(&self, offset: u64) -> Row {
        self.rows.find((offset as u32).wrapping_add(self.before))
    }

    /// The row at `address`, which this span contains.
    pub(crate) fn row_at(&self, address: u64) -> Row {
        self.row(address.wrapping_sub(self.text.start))
    }

    /// What a row of this span's says that is not plain.
    pub(crate) fn rule(&self, row: Row) -> Rule<'_> {
        self.rows.rule(row)
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
