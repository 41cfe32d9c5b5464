//! The generations that are kept: no more bytes than were allowed, and the youngest of them.
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes that one event may need, at the most, besides its generation: a stack of 128 frames, each of a name and a file that
/// are as long as texts get.
const ONE_EVENT: usize = 300 << 10;
/// What a recorder has to be allowed at the least.
pub(super) const LEAST_BYTES: usize = 1 << 20;

/// A part of a trace that can be read without those before it.
pub(super) struct Generation {
    pub(super) bytes: Box<[u8]>,
    /// Nanoseconds at its end.
    pub(super) end: u64,
    pub(super) events: u64,
    pub(super) lost: u64,
}

/// What there was at a moment.
#[derive(Clone)]
pub(in super::super) struct Kept {
    pub(super) head: Arc<[u8]>,
    pub(super) generations: Vec<Arc<Generation>>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes, at the most.
    pub(super) bytes: usize,
    /// Nanoseconds: what is older goes.
    pub(super) age: u64,
}

impl Bounds {
    /// Bytes that may be filled: there is room for one more event then.
    pub(super) fn budget(self) -> usize {
        self.bytes - ONE_EVENT
    }

    /// A generation is ended when it has as many bytes. It began with `opening`.
    pub(super) fn limit(self, opening: usize) -> usize {
        let quarter = self.budget() / 4;
        quarter.max(opening + quarter / 2)
    }

    /// Whether a generation would begin with more than can be kept again and again.
    pub(super) fn is_crowded(self, opening: usize) -> bool {
        opening > self.budget() / 4
    }
}

/// Those that are there, the oldest first, and what a file begins with.
pub(super) struct Ring {
    head: Arc<[u8]>,
    generations: VecDeque<Arc<Generation>>,
    bytes: usize,
    bounds: Bounds,
}

impl Ring {
    pub(super) fn new(bounds: Bounds) -> Ring {
        Ring { head: Arc::new([]), generations: VecDeque::new(), bytes: 0, bounds }
    }

    /// Bytes of all that is complete.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the one ended that has to go before there are `more` bytes.
    pub(super) fn next_to_go(&self, more: usize) -> Option<u64> {
        self.generations.front().filter(|_| self.bytes + more > self.bounds.budget()).map(|oldest| oldest.end)
    }

    /// Sees to it that there is room for `more` bytes, and for one event.
    pub(super) fn make_room(&mut self, more: usize) {
        while self.next_to_go(more).is_some() {
            self.drop_oldest();
        }
    }

    /// What a file begins with. Nothing of another beginning is kept.
    pub(super) fn begin(&mut self, head: &[u8]) {
        self.generations.clear();
        self.head = head.into();
        self.bytes = head.len();
    }

    /// One is complete, at its end. Those that are too old go.
    pub(super) fn add(&mut self, generation: Generation) {
        let now = generation.end;
        self.bytes += generation.bytes.len();
        self.generations.push_back(Arc::new(generation));
        while self.generations.front().is_some_and(|oldest| now - oldest.end > self.bounds.age) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.generations.pop_front() {
            self.bytes -= oldest.bytes.len();
        }
    }

    /// All of it, as of now.
    pub(super) fn all(&self) -> Kept {
        Kept { head: Arc::clone(&self.head), generations: self.generations.iter().cloned().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: usize, end: u64) -> Generation {
        Generation { bytes: vec![0; bytes].into(), end, events: 1, lost: 0 }
    }

    fn ends(ring: &Ring) -> Vec<u64> {
        ring.all().generations.iter().map(|generation| generation.end).collect()
    }

    #[test]
    fn what_is_too_old_goes() {
        let mut ring = Ring::new(Bounds { bytes: LEAST_BYTES, age: 10 });
        ring.begin(b"head");
        (1..=20).for_each(|end| ring.add(of(100, end)));
        // One that ended just then has something of that age in it.
        assert_eq!(ends(&ring), (10..=20).collect::<Vec<_>>());
        assert_eq!(ring.bytes(), 4 + 11 * 100);
        ring.begin(b"other");
        assert_eq!((ring.bytes(), ends(&ring)), (5, vec![]));
    }

    #[test]
    fn there_is_always_room_for_an_event() {
        let bounds = Bounds { bytes: LEAST_BYTES, age: u64::MAX };
        let mut ring = Ring::new(bounds);
        let mut end = 0;
        for opening in [0, 1_000, 100_000, bounds.budget() / 4] {
            assert!(!bounds.is_crowded(opening));
            for _ in 0..50 {
                // A generation that fills up, and the next one's begin, which is there before it is complete.
                let full = bounds.limit(opening);
                ring.make_room(full + opening);
                assert!(ring.bytes() + full + opening + ONE_EVENT <= LEAST_BYTES);
                end += 1;
                ring.add(of(full, end));
            }
            assert_eq!(ring.all().generations.last().unwrap().end, end, "the youngest is there");
        }
        assert!(bounds.is_crowded(bounds.budget() / 4 + 1));
    }
}
