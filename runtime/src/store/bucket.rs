//! Counters, one bucket for everything that tells samples apart.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::intern::{Element, Record, Table};
use super::{Labels, Stack};
use crate::site::FunctionSite;

/// Buckets kept of each kind. Beyond it samples go to a bucket of `[other]`: with 120 bytes each, at the most,
/// the bound is 31 MB a kind.
const MAX_BUCKETS: usize = 1 << 18;

/// What tells one bucket from another.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) stack: Stack,
    pub(crate) labels: Labels,
    /// The innermost `#[profiled]` scope.
    pub(crate) scope: Option<&'static FunctionSite>,
    /// The kind's own: the size of a block, the id of a lock.
    pub(crate) what: u64,
    /// The rate that was in force, where the weight follows from it.
    pub(crate) rate: u64,
}

impl Key {
    fn words(&self) -> [u64; 5] {
        let scope = self.scope.map_or(0, |site| std::ptr::from_ref(site).addr() as u64);
        [self.stack.id() as u64, self.labels.id() as u64, scope, self.what, self.rate]
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.words() == other.words()
    }
}

impl Element for Key {
    fn word(&self) -> u64 {
        self.words()
            .into_iter()
            .fold(0, |hash, word| (hash.rotate_left(7) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// Two counters; what they count is the kind's own. They only grow, by relaxed additions.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) first: AtomicU64,
    pub(crate) second: AtomicU64,
}

/// What is counted of blocks of one size at one place.
#[derive(Default)]
pub(crate) struct Blocks {
    /// Samples, ever.
    pub(crate) allocated: AtomicU64,
    /// Those of them that were freed.
    pub(crate) freed: AtomicU64,
    /// The two when the heap was at its peak.
    pub(crate) at_peak: [AtomicU64; 2],
    /// The bytes that one sample stands for, once they were asked for.
    pub(crate) bytes: AtomicU64,
}

/// What is counted of calls of one function in one chain of scopes.
#[derive(Default)]
pub(crate) struct Calls {
    /// Of calls that were timed because all are.
    pub(crate) certain: Timed,
    /// Of calls that stand for others.
    pub(crate) sampled: Timed,
    /// Calls, whole nanoseconds and own ones, as readers were told them last.
    pub(crate) told: [AtomicU64; 3],
}

/// Timed calls that began, and the nanoseconds of those that ended, both times their weight.
#[derive(Default)]
pub(crate) struct Timed {
    pub(crate) begun: AtomicU64,
    pub(crate) nanoseconds: AtomicU64,
}

impl Calls {
    fn timed(&self, weight: u64) -> &Timed {
        if weight == 1 { &self.certain } else { &self.sampled }
    }

    /// Counts the begin of a timed call.
    pub(crate) fn begin(&self, weight: u64) {
        self.timed(weight).begun.fetch_add(weight, Relaxed);
    }

    /// Counts its end.
    pub(crate) fn end(&self, nanoseconds: u64, weight: u64) {
        self.timed(weight).nanoseconds.fetch_add(nanoseconds.saturating_mul(weight), Relaxed);
    }
}

/// All buckets of one kind, which count `V`.
pub(crate) struct Buckets<V: 'static = Counters> {
    table: Table<Key, V, MAX_BUCKETS>,
}

/// A bucket: live as long as the process.
pub(crate) type Bucket<V = Counters> = Record<Key, V>;

impl<V> Bucket<V> {
    /// What this bucket is for.
    pub(crate) fn key(&self) -> Key {
        self.elements()[0]
    }
}

/// Of sizes beyond 64 Ki the four highest bits, so that buckets of `[other]` stay few.
fn coarse(what: u64) -> u64 {
    let low = what.checked_ilog2().unwrap_or(0).saturating_sub(3);
    if what < 1 << 16 { what } else { what >> low << low }
}

impl<V: Default> Buckets<V> {
    pub(crate) const fn new() -> Buckets<V> {
        Buckets { table: Table::new() }
    }

    /// The bucket of `key`, or the `[other]` of its kind when there are too many. `None` when memory is out.
    pub(crate) fn get(&'static self, key: Key) -> Option<&'static Bucket<V>> {
        // They differ only in what the weights need.
        let what = coarse(key.what);
        self.get_or(key, Key { stack: Stack::other(), labels: Labels::none(), scope: None, what, ..key })
    }

    /// The bucket of `key`, or that of `other` when there are too many: those are let in beyond the limit and have to be
    /// few.
    pub(crate) fn get_or(&'static self, key: Key, other: Key) -> Option<&'static Bucket<V>> {
        self.table.intern(&[key], 0).or_else(|| self.table.intern_beyond(&[other], 0))
    }

    pub(crate) fn iter(&'static self) -> impl Iterator<Item = &'static Bucket<V>> {
        self.table.iter()
    }

    pub(crate) fn count(&self) -> usize {
        self.table.count()
    }

    /// How many samples went to `[other]`.
    pub(crate) fn folded(&self) -> usize {
        self.table.refused()
    }
}
