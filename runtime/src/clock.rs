//! Time at ten nanoseconds a look: the processor's counter, calibrated against the kernel's monotonic clock.
//!
//! Hooks note *ticks* and subtract; ticks become nanoseconds where a duration is booked. Where the counter cannot be
//! trusted, a tick is a nanosecond of the kernel's clock and everything else stays the same, only slower.
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::sys::clock::{Clock, counter, counter_is_invariant, nanoseconds};

const UNKNOWN: u8 = 0;
const COUNTER: u8 = 1;
const KERNEL: u8 = 2;

static SOURCE: AtomicU8 = AtomicU8::new(UNKNOWN);
/// Nanoseconds a tick, as a fraction of 2^32.
static SCALE: AtomicU64 = AtomicU64::new(1 << 32);
/// The first pair of readings: the farther back, the truer the scale.
static FIRST_TICKS: AtomicU64 = AtomicU64::new(0);
static FIRST_TIME: AtomicU64 = AtomicU64::new(0);
static COST: AtomicU64 = AtomicU64::new(0);

/// The shortest stretch that a scale is taken from. Two readings of the kernel's clock are good to about 30 ns, so
/// that this makes an error of 0.1 % at the most, until [`calibrate`] is called again later.
const LEAST: u64 = 50_000;

/// Ticks now. Any thread, signal handlers too once [`calibrate`] ran.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    if SOURCE.load(Relaxed) == COUNTER { counter() } else { slow_ticks() }
}

#[cold]
fn slow_ticks() -> u64 {
    if SOURCE.load(Relaxed) == UNKNOWN {
        calibrate();
        if SOURCE.load(Relaxed) == COUNTER {
            return counter();
        }
    }
    nanoseconds(Clock::Monotonic)
}

/// A difference of ticks in nanoseconds. Counters of two cores may disagree by some ticks: what would be negative
/// is 0.
#[inline]
pub(crate) fn elapsed(from: u64, to: u64) -> u64 {
    let ticks = to.wrapping_sub(from);
    if ticks > u64::MAX / 2 {
        0
    } else {
        ((u128::from(ticks) * u128::from(SCALE.load(Relaxed))) >> 32) as u64
    }
}

/// Nanoseconds that a measured stretch holds although nothing happened: the distance of two looks at the clock.
#[inline]
pub(crate) fn cost() -> u64 {
    COST.load(Relaxed)
}

/// Finds the scale, or makes it better: the stretch since the first call grows. Ordinary code; takes 50 us the first
/// time.
pub(crate) fn calibrate() {
    if SOURCE.load(Relaxed) == KERNEL {
        return;
    }
    if !counter_is_invariant() {
        SOURCE.store(KERNEL, Relaxed);
        return;
    }
    let first = (FIRST_TICKS.load(Relaxed), FIRST_TIME.load(Relaxed));
    let (ticks, time) = match first {
        (_, 0) => {
            let (ticks, time) = pair();
            FIRST_TICKS.store(ticks, Relaxed);
            FIRST_TIME.store(time, Relaxed);
            (ticks, time)
        }
        known => known,
    };
    let (now_ticks, now) = loop {
        let (now_ticks, now) = pair();
        if now.saturating_sub(time) >= LEAST {
            break (now_ticks, now);
        }
    };
    let ticks = now_ticks.wrapping_sub(ticks);
    let scale = (u128::from(now - time) << 32) / u128::from(ticks.max(1));
    // Between 100 MHz and 10 GHz, or it is no clock.
    match u64::try_from(scale) {
        Ok(scale) if ((1 << 32) / 10..=10 << 32).contains(&scale) => {
            SCALE.store(scale, Relaxed);
            SOURCE.store(COUNTER, Relaxed);
            let looks = (0..32).map(|_| elapsed(counter(), counter()));
            COST.store(looks.min().unwrap_or(0), Relaxed);
        }
        _ => SOURCE.store(KERNEL, Relaxed),
    }
}

/// Both clocks at one moment: the closest of three tries.
fn pair() -> (u64, u64) {
    let mut best = (0, 0, u64::MAX);
    for _ in 0..3 {
        let before = counter();
        let time = nanoseconds(Clock::Monotonic);
        let width = counter().wrapping_sub(before);
        if width < best.2 {
            best = (before + width / 2, time, width);
        }
    }
    (best.0, best.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn the_counter_agrees_with_the_kernels_clock() {
        calibrate();
        let (instant, from) = (Instant::now(), ticks());
        std::thread::sleep(Duration::from_millis(30));
        let (to, real) = (ticks(), instant.elapsed());
        let ours = elapsed(from, to) as f64;
        // 0.1 % from the calibration; the two readings are a few hundred nanoseconds apart, unless preempted.
        assert!((ours / real.as_nanos() as f64 - 1.0).abs() < 0.02, "{ours} against {real:?}");
        assert_eq!(elapsed(to, from), 0);
    }
}
