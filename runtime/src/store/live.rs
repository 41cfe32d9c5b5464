//! Which sampled blocks are alive: an exact, lock-free map from an address to its bucket.
//!
//! An address has one owner at a time: the allocation it was returned from, until its free. So a key is inserted and
//! removed by threads that the program itself has put in order, and two threads never race on one key; only on room.
//! A removal happens before the block goes back to the inner allocator, which is what makes this true.
//!
//! A key may stand in any of the eight slots of its line, in any level. A lookup reads one cache line a level and
//! needs no tombstones, as an empty slot ends no search. Levels grow fourfold as they are needed, and stay.
use std::alloc::Layout;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use super::bucket::Bucket;
use crate::sys;

/// Slots of a line: eight keys are one cache line.
const LINE: usize = 8;
/// Lines of the first level: 16 Ki slots, 256 KiB.
const FIRST: usize = 2048;
/// Eight levels hold 350 million blocks; what does not fit is counted by the caller.
const LEVELS: usize = 8;

/// Pages the filter tells apart. At 32 GiB live and one sample in 512 KiB, 64 Ki samples fill 1.6 % of it.
const PAGES: usize = 1 << 22;

#[repr(C, align(64))]
struct Line {
    keys: [AtomicU64; LINE],
    values: [AtomicPtr<()>; LINE],
}

/// Sampled blocks by address.
pub(crate) struct Live {
    levels: [AtomicPtr<Line>; LEVELS],
    count: AtomicUsize,
    /// How many sampled blocks begin in a page, modulo the filter's size. At 255 it sticks: better a look too many
    /// than one too few.
    filter: [AtomicU8; PAGES],
}

impl Live {
    pub(crate) const fn new() -> Live {
        Live {
            levels: [const { AtomicPtr::new(std::ptr::null_mut()) }; LEVELS],
            count: AtomicUsize::new(0),
            filter: [const { AtomicU8::new(0) }; PAGES],
        }
    }

    /// Whether a block at `address` may have been sampled. One load; `false` is certain.
    ///
    /// Relaxed is enough: whoever frees a block got its address from whoever allocated it, and with it all that
    /// happened before.
    #[inline(always)]
    pub(crate) fn may_hold(&self, address: usize) -> bool {
        self.filter[page(address)].load(Ordering::Relaxed) != 0
    }

    /// Notes a block. `false` when there is no room or no memory left: then it is not noted.
    pub(crate) fn insert(&self, address: usize, bucket: &'static Bucket) -> bool {
        for level in 0..LEVELS {
            let Some(line) = self.line(level, address, true) else { return false };
            for (key, value) in line.keys.iter().zip(&line.values) {
                if key.load(Ordering::Relaxed) == 0
                    && key.compare_exchange(0, address as u64, Ordering::Relaxed, Ordering::Relaxed).is_ok()
                {
                    value.store(std::ptr::from_ref(bucket).cast_mut().cast(), Ordering::Relaxed);
                    let filter = &self.filter[page(address)];
                    _ = filter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
                    self.count.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
            }
        }
        false
    }

    /// Takes a block out, if it was sampled, and gives its bucket.
    pub(crate) fn remove(&self, address: usize) -> Option<&'static Bucket> {
        for level in 0..LEVELS {
            let line = self.line(level, address, false)?;
            for (key, value) in line.keys.iter().zip(&line.values) {
                if key.load(Ordering::Relaxed) == address as u64 {
                    let bucket = value.load(Ordering::Relaxed).cast::<Bucket>().cast_const();
                    key.store(0, Ordering::Release);
                    let filter = &self.filter[page(address)];
                    _ = filter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| match n {
                        0 | u8::MAX => None,
                        n => Some(n - 1),
                    });
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return bucket_of(bucket);
                }
            }
        }
        None
    }

    /// How many blocks are noted.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn line(&self, level: usize, address: usize, make: bool) -> Option<&Line> {
        let lines = FIRST << (2 * level);
        let mut first = self.levels[level].load(Ordering::Acquire);
        if first.is_null() {
            if !make {
                return None;
            }
            let size = Layout::array::<Line>(lines).ok()?.size();
            let fresh = sys::memory::map(size)?;
            let placed = self.levels[level].compare_exchange(
                std::ptr::null_mut(),
                fresh.cast().as_ptr(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            first = match placed {
                Ok(_) => fresh.cast().as_ptr(),
                Err(theirs) => {
                    sys::memory::unmap(fresh, size);
                    theirs
                }
            };
        }
        // Blocks are aligned to 16 bytes: the bits above scatter.
        let hash = (address as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let index = (hash >> 32) as usize % lines;
        line_at(first, index)
    }
}

fn page(address: usize) -> usize {
    (address >> 12) % PAGES
}

mod fence {
    #![expect(unsafe_code, reason = "turns the pointers that the map keeps back into references")]
    use super::{Bucket, Line};

    pub(super) fn line_at<'a>(first: *mut Line, index: usize) -> Option<&'a Line> {
        // SAFETY: a level is mapped whole, zeroed, is never unmapped, and the index was reduced to its size.
        unsafe { first.add(index).as_ref() }
    }

    pub(super) fn bucket_of(bucket: *const Bucket) -> Option<&'static Bucket> {
        // SAFETY: `insert` put a `&'static` there; null only while it is at it, when nobody can ask for the block.
        unsafe { bucket.as_ref() }
    }
}
use fence::{bucket_of, line_at};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::bucket::{Buckets, Key};
    use crate::store::{Labels, Stack};

    static LIVE: Live = Live::new();
    static BUCKETS: Buckets = Buckets::new();

    fn bucket(what: u64) -> &'static Bucket {
        let key = Key { stack: Stack::other(), labels: Labels::none(), scope: None, what, rate: 0 };
        BUCKETS.get(key).unwrap()
    }

    /// Four threads, each with addresses of its own, in an order that forces several levels.
    #[test]
    fn every_block_that_goes_in_comes_out_once_with_its_bucket() {
        let start = LIVE.count();
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                scope.spawn(move || {
                    let addresses: Vec<usize> =
                        (0..20_000).map(|n| (thread << 40) + 0x1000 + n * 48).collect();
                    for &address in &addresses {
                        assert!(!LIVE.may_hold(address) || LIVE.remove(address).is_none());
                        assert!(LIVE.insert(address, bucket((address % 7) as u64)));
                    }
                    for &address in addresses.iter().rev() {
                        assert!(LIVE.may_hold(address));
                        let found = LIVE.remove(address).expect("it is in there");
                        assert_eq!(found.key().what, (address % 7) as u64);
                        assert!(LIVE.remove(address).is_none());
                    }
                });
            }
        });
        assert_eq!(LIVE.count(), start);
    }
}
