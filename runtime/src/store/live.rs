//! Which sampled blocks are alive: an exact, lock-free map from an address to its bucket.
//!
//! An address has one owner at a time: the allocation it was returned from, until its free. So a key is inserted and
//! removed by threads that the program itself has put in order, and two threads never race on one key; only on room.
//! A removal happens before the block goes back to the inner allocator, which is what makes this true.
//!
//! A key may stand in any of the eight slots of its line, in any level. A lookup reads one cache line a level and
//! needs no tombstones, as an empty slot ends no search. Levels grow fourfold as they are needed, and stay.
//!
//! Before it, a filter counts sampled blocks a KiB. Its counts are of 8 bits, and practically never stick: a KiB holds
//! 128 blocks of 8 bytes, and after a spell at rate 1 everything is as it was before.
use std::alloc::Layout;
use std::sync::atomic::{
    AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release, fence,
};

use super::bucket::{Blocks, Bucket};
use crate::sys;

/// Slots of a line: eight keys are one cache line.
const LINE: usize = 8;
/// Lines of the first level: 16 Ki slots, 320 KiB.
const FIRST: usize = 2048;
/// Eight levels hold 350 million blocks; what does not fit is counted by the caller.
const LEVELS: usize = 8;

/// Places the filter tells apart: the KiB of an address's lower 32 bits, which saves taking a remainder. At 8 GiB live
/// and one sample in 512 KiB, 16 Ki samples fill 0.4 % of it.
const PLACES: usize = 1 << 22;

/// The key of a slot that somebody is at: no block lies there.
const TAKEN: u64 = 1;

#[repr(C, align(64))]
struct Line {
    keys: [AtomicU64; LINE],
    values: [AtomicPtr<()>; LINE],
}

/// When the blocks of a line were allocated: kept apart, so that a line is two cache lines and no more.
#[repr(C, align(32))]
struct Births([AtomicU32; LINE]);

/// Sampled blocks by address.
pub(crate) struct Live {
    levels: [AtomicPtr<Line>; LEVELS],
    count: AtomicUsize,
    /// How many sampled blocks begin at a place. At the top it sticks: better a look too many than one too few. For that
    /// a KiB, the one 4 GiB behind it and perhaps two more would have to be full of tiny blocks, all of them sampled.
    filter: [AtomicU8; PLACES],
}

/// A sampled block.
pub(crate) struct Block {
    pub(crate) bucket: &'static Bucket<Blocks>,
    /// What `insert` was told.
    pub(crate) birth: u32,
}

impl Live {
    pub(crate) const fn new() -> Live {
        Live {
            levels: [const { AtomicPtr::new(std::ptr::null_mut()) }; LEVELS],
            count: AtomicUsize::new(0),
            filter: [const { AtomicU8::new(0) }; PLACES],
        }
    }

    /// Whether a block at `address` may have been sampled. One load; `false` is certain.
    ///
    /// Relaxed is enough: whoever frees a block got its address from whoever allocated it, and with it all that
    /// happened before.
    #[inline(always)]
    pub(crate) fn may_hold(&self, address: usize) -> bool {
        self.filter[place(address)].load(Relaxed) != 0
    }

    /// Notes a block. `false` when there is no room or no memory left: then it is not noted.
    pub(crate) fn insert(&self, address: usize, bucket: &'static Bucket<Blocks>, birth: u32) -> bool {
        for level in 0..LEVELS {
            let Some((line, births)) = self.line(level, address, true) else { return false };
            for ((key, value), born) in line.keys.iter().zip(&line.values).zip(&births.0) {
                if key.load(Relaxed) == 0 && key.compare_exchange(0, TAKEN, Acquire, Relaxed).is_ok() {
                    // Whoever finds what follows finds that the slot was taken.
                    fence(Release);
                    value.store(std::ptr::from_ref(bucket).cast_mut().cast(), Relaxed);
                    // Whoever finds the birth finds the value, and whoever finds the key finds both.
                    born.store(birth, Release);
                    key.store(address as u64, Release);
                    let filter = &self.filter[place(address)];
                    _ = filter.fetch_update(Relaxed, Relaxed, |n| n.checked_add(1));
                    self.count.fetch_add(1, Relaxed);
                    return true;
                }
            }
        }
        false
    }

    /// Takes a block out, if it was sampled.
    pub(crate) fn remove(&self, address: usize) -> Option<Block> {
        for level in 0..LEVELS {
            let (line, births) = self.line(level, address, false)?;
            for ((key, value), born) in line.keys.iter().zip(&line.values).zip(&births.0) {
                if key.load(Relaxed) == address as u64 {
                    let block = block(value.load(Relaxed), born.load(Relaxed));
                    key.store(0, Release);
                    let filter = &self.filter[place(address)];
                    _ = filter.fetch_update(Relaxed, Relaxed, |n| match n {
                        0 | u8::MAX => None,
                        n => Some(n - 1),
                    });
                    self.count.fetch_sub(1, Relaxed);
                    return block;
                }
            }
        }
        None
    }

    /// Every block that is there all the time that this takes, and some of the others.
    ///
    /// A key may go and come back meanwhile, so the birth tells one block from the next. The clock gives it: what comes
    /// later to a slot has no earlier one, unless a `realloc` that failed put its block back.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Block> {
        (0..LEVELS)
            .flat_map(move |level| (0..lines(level)).map_while(move |line| self.at(level, line)))
            .flat_map(|(line, births)| {
                line.keys.iter().zip(&line.values).zip(&births.0).filter_map(|((key, value), born)| {
                    let address = key.load(Acquire);
                    let birth = born.load(Acquire);
                    let bucket = value.load(Relaxed);
                    fence(Acquire);
                    // If they are still this key and this birth, what was read between belongs to them.
                    let same = key.load(Acquire) == address && born.load(Relaxed) == birth;
                    (address > TAKEN && same).then(|| block(bucket, birth))?
                })
            })
    }

    /// Blocks that are noted.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Bytes of memory: the levels that are mapped, and the pages of the filter that were touched.
    pub(crate) fn memory(&self) -> usize {
        let levels = (0..LEVELS).filter(|&level| !self.levels[level].load(Relaxed).is_null());
        levels.filter_map(size).sum::<usize>() + sys::memory::touched(&self.filter)
    }

    fn line(&self, level: usize, address: usize, make: bool) -> Option<(&Line, &Births)> {
        if make && self.levels[level].load(Acquire).is_null() {
            self.make(level)?;
        }
        // Blocks are aligned to 16 bytes: the bits above scatter.
        let hash = (address as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.at(level, (hash >> 32) as usize % lines(level))
    }

    /// A line of a level that is there.
    fn at(&self, level: usize, line: usize) -> Option<(&Line, &Births)> {
        line_of(self.levels[level].load(Acquire), lines(level), line)
    }

    /// Maps a level, unless another thread was faster. `None`: memory is out.
    #[cold]
    fn make(&self, level: usize) -> Option<()> {
        let size = size(level)?;
        let fresh = sys::memory::map(size)?;
        let null = std::ptr::null_mut();
        let placed = self.levels[level].compare_exchange(null, fresh.cast().as_ptr(), Release, Relaxed);
        if placed.is_err() {
            sys::memory::unmap(fresh, size);
        }
        Some(())
    }
}

const fn lines(level: usize) -> usize {
    FIRST << (2 * level)
}

/// A level in memory: the lines, and behind them the births.
fn size(level: usize) -> Option<usize> {
    let (lines, _) = Layout::array::<Line>(lines(level)).ok()?.extend(births(level)?).ok()?;
    Some(lines.size())
}

fn births(level: usize) -> Option<Layout> {
    Layout::array::<Births>(lines(level)).ok()
}

fn place(address: usize) -> usize {
    (address as u32 >> 10) as usize % PLACES
}

fn block(bucket: *mut (), birth: u32) -> Option<Block> {
    Some(Block { bucket: bucket_of(bucket)?, birth })
}

mod pointers {
    #![expect(unsafe_code, reason = "turns the pointers that the map keeps back into references")]
    use super::{Births, Blocks, Bucket, Line};

    pub(super) fn line_of<'a>(first: *mut Line, lines: usize, line: usize) -> Option<(&'a Line, &'a Births)> {
        if first.is_null() || line >= lines {
            return None;
        }
        // SAFETY: a level is mapped whole, zeroed, the births behind the lines, and is never unmapped.
        unsafe { Some((&*first.add(line), &*first.add(lines).cast::<Births>().add(line))) }
    }

    pub(super) fn bucket_of(bucket: *mut ()) -> Option<&'static Bucket<Blocks>> {
        // SAFETY: `insert` put a `&'static` there, before the key under which it was found.
        unsafe { bucket.cast::<Bucket<Blocks>>().cast_const().as_ref() }
    }
}
use pointers::{bucket_of, line_of};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::bucket::{Buckets, Key};
    use crate::store::{Labels, Stack};

    static LIVE: Live = Live::new();
    static BUCKETS: Buckets<Blocks> = Buckets::new();

    fn bucket(what: u64) -> &'static Bucket<Blocks> {
        let key = Key { stack: Stack::other(), labels: Labels::none(), scope: None, what, rate: 0 };
        BUCKETS.get(key).unwrap()
    }

    /// Four threads, each with addresses of its own, in an order that forces several levels.
    #[test]
    fn every_block_that_goes_in_comes_out_once_with_its_bucket() {
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                scope.spawn(move || {
                    let addresses: Vec<usize> =
                        (0..20_000).map(|n| (thread << 40) + 0x1000 + n * 48).collect();
                    for &address in &addresses {
                        assert!(!LIVE.may_hold(address) || LIVE.remove(address).is_none());
                        assert!(LIVE.insert(address, bucket((address % 7) as u64), address as u32));
                    }
                    for &address in addresses.iter().rev() {
                        assert!(LIVE.may_hold(address));
                        let found = LIVE.remove(address).expect("it is in there");
                        assert_eq!(found.bucket.key().what, (address % 7) as u64);
                        assert_eq!(found.birth, address as u32);
                        assert!(LIVE.remove(address).is_none());
                    }
                });
            }
        });
        assert_eq!((LIVE.count(), LIVE.iter().count()), (0, 0));
    }

    /// While blocks come and go, whoever looks through them finds those that stay, each with what belongs to it.
    #[test]
    fn those_that_stay_are_found_while_others_come_and_go() {
        static LIVE: Live = Live::new();
        let stay: Vec<usize> = (1..=10_000).map(|n| (1 << 44) + n * 64).collect();
        for &address in &stay {
            assert!(LIVE.insert(address, bucket(1000), 5));
        }
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 2..4_u32 {
                let done = &done;
                scope.spawn(move || {
                    for turn in 0..200 {
                        let addresses =
                            (1..500).map(|n| ((thread as usize) << 40) + n * 4096 + turn % 7 * 16);
                        for address in addresses.clone() {
                            assert!(LIVE.insert(address, bucket(u64::from(thread)), thread));
                        }
                        for address in addresses {
                            assert!(LIVE.remove(address).is_some());
                        }
                    }
                    done.store(true, Relaxed);
                });
            }
            while !done.load(Relaxed) {
                let mut found = 0;
                for block in LIVE.iter() {
                    match (block.bucket.key().what, block.birth) {
                        (1000, 5) => found += 1,
                        (what, birth) => assert_eq!(what, u64::from(birth)),
                    }
                }
                assert_eq!(found, stay.len());
            }
        });
        // A KiB that was full of samples is as good as new when they are gone. To the filter those that stay are
        // at other places: 4 GiB apart they would be at the same.
        let full: Vec<usize> = (0..128).map(|n| (5 << 40) + (2 << 30) + n * 8).collect();
        for &address in &full {
            assert!(LIVE.insert(address, bucket(8), 0));
        }
        full.iter().for_each(|&address| _ = LIVE.remove(address));
        assert!(!LIVE.may_hold(full[0]));
    }
}
