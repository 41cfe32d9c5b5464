//! What the handler knows of the thread it runs on, by its id.
//!
//! Written by the sampler under its lock, read by handlers with plain loads. A set of sixteen entries lies in one
//! cache line; a thread whose set is full is unknown, which costs it nothing but its timer.
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// Room for 8 192 threads in 32 KB, untouched until used.
const SETS: usize = 512;
const WAYS: usize = 16;

#[repr(align(64))]
struct Set([AtomicI32; WAYS]);

/// 0 for a free entry, the id of a thread that has a timer, or that of an idle one, negated.
static TABLE: [Set; SETS] = [const { Set([const { AtomicI32::new(0) }; WAYS]) }; SETS];

/// What is known of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: it is young.
    No,
    /// It has been there for a while, and has hardly run.
    Idle,
    /// It has a timer of its own.
    Armed,
}

fn set_of(tid: i32) -> &'static Set {
    &TABLE[tid.unsigned_abs() as usize % SETS]
}

/// For signal handlers.
#[inline(always)]
pub(super) fn known(tid: i32) -> Known {
    let Some(set) = TABLE.get(tid.unsigned_abs() as usize % SETS) else { return Known::No };
    for entry in &set.0 {
        let entry = entry.load(Relaxed);
        if entry == tid {
            return Known::Armed;
        }
        if entry == tid.wrapping_neg() {
            return Known::Idle;
        }
    }
    Known::No
}

/// Notes what is known of a thread. `false`: there is no room for it.
pub(super) fn note(tid: i32, known: Known) -> bool {
    let new = match known {
        Known::No => 0,
        Known::Idle => -tid,
        Known::Armed => tid,
    };
    let entries = &set_of(tid).0;
    let old = entries.iter().find(|entry| entry.load(Relaxed).abs() == tid);
    match old.or_else(|| entries.iter().find(|entry| new != 0 && entry.load(Relaxed) == 0)) {
        Some(entry) => entry.store(new, Relaxed),
        None => return known == Known::No,
    }
    true
}

/// Forgets all threads.
pub(super) fn clear() {
    for entry in TABLE.iter().flat_map(|set| &set.0) {
        // A load leaves pages that were never written as they are.
        if entry.load(Relaxed) != 0 {
            entry.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_known_until_the_set_is_full() {
        // Ids that no thread has: beyond the kernel's largest, all of one set.
        let tid = |n: usize| (1 << 23) + (n * SETS) as i32;
        for n in 0..WAYS {
            assert_eq!(known(tid(n)), Known::No);
            assert!(note(tid(n), Known::Idle));
            assert_eq!(known(tid(n)), Known::Idle);
            assert!(note(tid(n), Known::Armed));
        }
        assert!(!note(tid(WAYS), Known::Armed));
        assert_eq!(known(tid(WAYS)), Known::No);
        assert!(note(tid(3), Known::No));
        assert!(note(tid(WAYS), Known::Armed));
        assert_eq!((known(tid(3)), known(tid(WAYS)), known(tid(4))), (Known::No, Known::Armed, Known::Armed));
        (0..=WAYS).for_each(|n| _ = note(tid(n), Known::No));
        assert_eq!(known(tid(4)), Known::No);
    }
}
