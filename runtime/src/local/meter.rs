//! What a thread allocates, to the byte: it writes, others read.
//!
//! A countdown to the next heap sample is there anyway. Its thread notes besides by how much it was ever set: what that
//! is more than what the countdown still holds was allocated. So the exact total costs an allocation nothing.
use std::sync::atomic::{
    AtomicI64, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence,
};

/// A countdown that stands still is at least this: nobody allocates 4 EiB meanwhile.
const PAUSED: i64 = i64::MAX / 2;

/// A thread's figures. All stores are its own; plain ones, as far as the machine is concerned.
pub(crate) struct Meter {
    /// Bytes until the next sample.
    countdown: AtomicI64,
    /// The countdown, where that stands still.
    kept: AtomicI64,
    /// By how much the countdown was set, ever.
    drawn: AtomicI64,
    /// Odd while the two change.
    version: AtomicU32,
    /// Blocks that were allocated, freed, and bytes of the one less those of the other: only where they are counted.
    allocated: AtomicU64,
    freed: AtomicU64,
    live: AtomicI64,
}

/// What meters say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metered {
    /// Bytes ever allocated.
    pub(crate) bytes: i64,
    /// Blocks allocated and freed, and the bytes that are left, as far as they were counted.
    pub(crate) allocated: u64,
    pub(crate) freed: u64,
    pub(crate) live: i64,
}

impl Metered {
    pub(crate) fn add(&mut self, other: Metered) {
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.allocated = self.allocated.wrapping_add(other.allocated);
        self.freed = self.freed.wrapping_add(other.freed);
        self.live = self.live.wrapping_add(other.live);
    }
}

impl Meter {
    pub(crate) const fn new() -> Meter {
        Meter {
            countdown: AtomicI64::new(0),
            kept: AtomicI64::new(0),
            drawn: AtomicI64::new(0),
            version: AtomicU32::new(0),
            allocated: AtomicU64::new(0),
            freed: AtomicU64::new(0),
            live: AtomicI64::new(0),
        }
    }

    /// Counts `size` bytes down and gives what is left.
    #[inline(always)]
    pub(crate) fn subtract(&self, size: usize) -> i64 {
        let left = self.countdown.load(Relaxed).wrapping_sub(size as i64);
        self.countdown.store(left, Relaxed);
        left
    }

    /// Sets the countdown, unless it stands still.
    pub(crate) fn set(&self, countdown: i64) {
        let before = self.countdown.load(Relaxed);
        if before >= PAUSED {
            return;
        }
        let by = countdown.wrapping_sub(before);
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        fence(Release);
        self.drawn.store(self.drawn.load(Relaxed).wrapping_add(by), Relaxed);
        self.countdown.store(countdown, Relaxed);
        self.version.store(version.wrapping_add(2), Release);
    }

    /// Has the countdown stand still until [`resume`](Self::resume), which takes the result.
    pub(crate) fn pause(&self) -> i64 {
        let left = self.countdown.load(Relaxed);
        if left < PAUSED {
            // A reader that finds this must find later, too, what the countdown was before it stood still.
            self.kept.store(left, Release);
            // And one that finds the countdown standing still, whatever was taken off it since, must find this.
            fence(Release);
        }
        self.countdown.store(i64::MAX, Relaxed);
        left
    }

    /// Has it go on as if nothing had been allocated since.
    pub(crate) fn resume(&self, left: i64) {
        self.countdown.store(left, Relaxed);
    }

    /// Counts a block.
    #[inline(always)]
    pub(crate) fn count_allocated(&self, size: usize) {
        self.allocated.store(self.allocated.load(Relaxed).wrapping_add(1), Relaxed);
        self.live.store(self.live.load(Relaxed).wrapping_add(size as i64), Relaxed);
    }

    /// Counts the end of a block.
    #[inline(always)]
    pub(crate) fn count_freed(&self, size: usize) {
        self.freed.store(self.freed.load(Relaxed).wrapping_add(1), Relaxed);
        self.live.store(self.live.load(Relaxed).wrapping_sub(size as i64), Relaxed);
    }

    /// What it says now. For other threads.
    pub(crate) fn read(&self) -> Metered {
        let mut bytes = 0;
        // A thread is in the middle of `set` for a nanosecond, unless it is preempted there: then what we have is off
        // by what it draws.
        for _ in 0..100 {
            let version = self.version.load(Acquire);
            let countdown = match self.countdown.load(Acquire) {
                PAUSED.. => self.kept.load(Relaxed),
                countdown => countdown,
            };
            bytes = self.drawn.load(Relaxed).wrapping_sub(countdown);
            fence(Acquire);
            if version.is_multiple_of(2) && version == self.version.load(Relaxed) {
                break;
            }
            std::thread::yield_now();
        }
        Metered {
            bytes,
            allocated: self.allocated.load(Relaxed),
            freed: self.freed.load(Relaxed),
            live: self.live.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn what_was_allocated_is_what_was_drawn_and_is_not_left() {
        let meter = Meter::new();
        let bytes = || meter.read().bytes;
        assert_eq!(meter.subtract(100), -100);
        assert_eq!(bytes(), 100);
        meter.set(1000);
        assert_eq!((meter.subtract(30), bytes()), (970, 130));
        // What is allocated aside is not the program's, and to go aside twice changes nothing.
        let left = meter.pause();
        meter.subtract(5000);
        let inner = meter.pause();
        meter.subtract(7000);
        assert_eq!(bytes(), 130);
        meter.resume(inner);
        assert_eq!(bytes(), 130);
        meter.resume(left);
        assert_eq!((meter.subtract(1), bytes()), (969, 131));
        meter.count_allocated(10);
        meter.count_allocated(20);
        meter.count_freed(15);
        assert_eq!(meter.read(), Metered { bytes: 131, allocated: 2, freed: 1, live: 15 });
    }

    /// The total never goes back, and never runs ahead of the thread that allocates.
    #[test]
    fn a_reader_never_sees_half_a_draw() {
        static METER: Meter = Meter::new();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..2_000_000_u64 {
                    if METER.subtract(8) < 0 {
                        METER.set((n % 64) as i64 * 1_000_000);
                    }
                    if n % 5 == 0 {
                        let left = METER.pause();
                        METER.resume(left);
                    }
                }
                done.store(true, Relaxed);
            });
            let mut last = 0;
            while !done.load(Relaxed) {
                let now = METER.read().bytes;
                assert!((last..=16_000_000).contains(&now), "{now} after {last}");
                last = now;
            }
        });
        assert_eq!(METER.read().bytes, 16_000_000);
    }
}
