//! A counter that one thread writes and others read, and that knows which event is to be sampled next.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A site's figures on one thread. Only the thread writes, with plain loads and stores; others read.
///
/// The count is kept times 32, and the count of the next sample minus 31 plus the logarithm of its weight: one
/// comparison tells whether a call is sampled, and the weight costs no word of its own.
pub(crate) struct Counter {
    pub(super) count: AtomicU64,
    pub(super) next: AtomicU64,
}

impl Counter {
    pub(crate) const fn new() -> Counter {
        Counter { count: AtomicU64::new(0), next: AtomicU64::new(0) }
    }

    /// Counts one event.
    #[inline(always)]
    pub(crate) fn add(&self) {
        self.count.store(self.count.load(Relaxed).wrapping_add(32), Relaxed);
    }

    /// Counts so many events, none of which is sampled.
    pub(crate) fn add_many(&self, count: u64) {
        self.count.store(self.count.load(Relaxed).wrapping_add(count << 5), Relaxed);
    }

    /// As new.
    pub(crate) fn reset(&self) {
        self.count.store(0, Relaxed);
        self.next.store(0, Relaxed);
    }

    /// Counts one event and says whether it is to be sampled; then [`draw`](Self::draw) must follow.
    #[inline(always)]
    pub(crate) fn add_and_test(&self) -> bool {
        let count = self.count.load(Relaxed).wrapping_add(32);
        self.count.store(count, Relaxed);
        count >= self.next.load(Relaxed)
    }

    /// The logarithm of the weight of the event just counted, and `gap` events to the next one, of weight
    /// 2^`log`.
    pub(crate) fn draw(&self, gap: u64, log: u32) -> u32 {
        let weight = match self.next.load(Relaxed) {
            0 => 0, // a thread's first event of a site is always sampled, for itself alone
            next => (next.wrapping_add(31) & 31) as u32,
        };
        let next =
            self.count.load(Relaxed).wrapping_add(gap << 5).wrapping_sub(31).wrapping_add(u64::from(log));
        self.next.store(next, Relaxed);
        weight
    }

    /// Which count is the next sample's, in the form that [`set_next`](Self::set_next) takes; from now on it is `next`: 0
    /// for the next event.
    pub(crate) fn swap_next(&self, next: u64) -> u64 {
        let before = self.next.load(Relaxed);
        self.next.store(next, Relaxed);
        before
    }

    /// Puts back what [`swap_next`](Self::swap_next) gave. Whether the event just counted is to be sampled.
    pub(crate) fn set_next(&self, next: u64) -> bool {
        self.next.store(next, Relaxed);
        self.count.load(Relaxed) >= next
    }

    pub(crate) fn total(&self) -> u64 {
        self.count.load(Relaxed) >> 5
    }

    /// What it counted; from now on it is as new.
    pub(super) fn take(&self) -> u64 {
        let total = self.total();
        // What was never touched is not touched now.
        for word in [&self.count, &self.next].into_iter().filter(|word| word.load(Relaxed) != 0) {
            word.store(0, Relaxed);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_weights_come_back_as_they_went_in() {
        let counter = Counter::new();
        assert!(counter.add_and_test(), "the first event is sampled");
        assert_eq!(counter.draw(5, 3), 0, "for itself alone");
        for n in 1..5 {
            assert!(!counter.add_and_test(), "event {n} of the gap");
        }
        assert!(counter.add_and_test());
        assert_eq!(counter.draw(1, 10), 3);
        assert!(counter.add_and_test());
        assert_eq!(counter.draw(1, 0), 10);
        assert_eq!(counter.total(), 7);
    }
}
