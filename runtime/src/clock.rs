//! Time at ten nanoseconds a look: the processor's counter, calibrated against the kernel's monotonic clock.
//!
//! Hooks note *ticks* and subtract; ticks become nanoseconds where a duration is booked. Where the counter cannot be
//! trusted, a tick is a nanosecond of the kernel's clock and everything else stays the same, only slower.
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::sys::clock::{Clock, counter, counter_in_order, counter_is_invariant, nanoseconds};

const UNKNOWN: u8 = 0;
const COUNTER: u8 = 1;
const KERNEL: u8 = 2;

static SOURCE: AtomicU8 = AtomicU8::new(UNKNOWN);
/// Nanoseconds a tick, as a fraction of 2^32; 0 before it is known.
static SCALE: AtomicU64 = AtomicU64::new(0);
static FIRST: Mutex<Option<Beginning>> = Mutex::new(None);

/// Where the stretch begins that the scale is taken from: the farther back, the truer.
#[derive(Clone, Copy, Debug)]
struct Beginning {
    /// Ticks and nanoseconds.
    pair: (u64, u64),
    /// The stretch before said another scale than the one that is known, and this one has not been asked yet.
    doubtful: bool,
}

/// The shortest stretch that a scale is taken from. Two readings of the kernel's clock are good to about 30 ns, so
/// that this makes an error of 0.1 % at the most, until [`calibrate`] is called again later.
const LEAST: u64 = 50_000;

/// Ticks now. Any thread, signal handlers too.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    if SOURCE.load(Relaxed) == COUNTER { counter() } else { slow_ticks() }
}

/// Whether ticks are the processor's counter.
#[cfg_attr(profiled_portable, expect(dead_code, reason = "the portable backend takes no samples of the CPU"))]
pub(crate) fn is_counter() -> bool {
    SOURCE.load(Relaxed) == COUNTER
}

/// Ticks now, and not a moment earlier: what was begun before is done. Takes some ten nanoseconds more.
#[inline(always)]
pub(crate) fn ticks_in_order() -> u64 {
    if SOURCE.load(Relaxed) == COUNTER { counter_in_order() } else { slow_ticks() }
}

#[cold]
fn slow_ticks() -> u64 {
    if SOURCE.load(Relaxed) == UNKNOWN {
        // Decided once and by the processor alone, so that no two threads differ.
        SOURCE.store(if counter_is_invariant() { COUNTER } else { KERNEL }, Relaxed);
    }
    if SOURCE.load(Relaxed) == COUNTER { counter() } else { nanoseconds(Clock::Monotonic) }
}

/// A difference of ticks in nanoseconds. Counters of two cores may disagree by some ticks: what would be negative
/// is 0.
#[inline]
pub(crate) fn elapsed(from: u64, to: u64) -> u64 {
    let ticks = to.wrapping_sub(from);
    let scale = match SCALE.load(Relaxed) {
        0 => first_scale(),
        scale => scale,
    };
    if ticks > u64::MAX / 2 { 0 } else { ((u128::from(ticks) * u128::from(scale)) >> 32) as u64 }
}

/// Nanoseconds in ticks.
pub(crate) fn in_ticks(nanoseconds: u64) -> u64 {
    let scale = match SCALE.load(Relaxed) {
        0 => first_scale(),
        scale => scale,
    };
    u64::try_from((u128::from(nanoseconds) << 32) / u128::from(scale)).unwrap_or(u64::MAX)
}

#[cold]
fn first_scale() -> u64 {
    calibrate();
    match SCALE.load(Relaxed) {
        // Another thread is at it, perhaps one that we interrupted: measure for ourselves, this once.
        0 => scale_since(pair()).map_or(1 << 32, |(scale, _)| scale),
        scale => scale,
    }
}

/// Finds the scale, or makes it better: the stretch since the first call grows. Ordinary code; takes 50 us the first
/// time. It never waits: whoever comes while another thread is at it leaves it to that one.
pub(crate) fn calibrate() {
    _ = ticks();
    let Ok(mut first) = FIRST.try_lock() else { return };
    if SOURCE.load(Relaxed) == KERNEL {
        SCALE.store(1 << 32, Relaxed);
        return;
    }
    let begin = *first.get_or_insert_with(|| Beginning { pair: pair(), doubtful: false });
    let Some((scale, now)) = scale_since(begin.pair) else {
        *first = None;
        return;
    };
    let known = SCALE.load(Relaxed);
    let differs = known != 0 && scale.abs_diff(known) > known / 500;
    if differs {
        // The kernel's clock stands still while the machine sleeps, and the counter may not. Then the stretch up to
        // now says nothing, and a new one begins. If that one says otherwise, too, it is what we know that is wrong:
        // it was badly measured, or the machine is another one.
        *first = Some(Beginning { pair: now, doubtful: true });
        if !begin.doubtful {
            return;
        }
    } else {
        *first = Some(Beginning { doubtful: false, ..begin });
    }
    SCALE.store(scale, Relaxed);
}

/// The scale of the stretch since `first`, and the pair that ends it. `None` if one of the clocks is none.
fn scale_since((ticks, time): (u64, u64)) -> Option<(u64, (u64, u64))> {
    // Each look takes some 50 ns: far more tries than the shortest stretch needs.
    let (now_ticks, now) =
        (0..1_000_000).map(|_| pair()).find(|(_, now)| now.saturating_sub(time) >= LEAST)?;
    let ticks = now_ticks.wrapping_sub(ticks);
    let scale = u64::try_from((u128::from(now - time) << 32) / u128::from(ticks.max(1))).ok()?;
    // Between 100 MHz and 10 GHz, or it is no clock.
    ((1 << 32) / 10..=10 << 32).contains(&scale).then_some((scale, (now_ticks, now)))
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

    /// The scale is everybody's: one of these tests at a time.
    static ALONE: Mutex<()> = Mutex::new(());

    fn alone() -> std::sync::MutexGuard<'static, ()> {
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        calibrate();
        // From 5 ms a scale is good to 0.001 %.
        std::thread::sleep(Duration::from_millis(5));
        calibrate();
        alone
    }

    /// Within 1 %: a scale that was taken from the shortest stretch, by whatever else runs here, is good to 0.1 %.
    fn is_close(scale: u64, right: u64) -> bool {
        scale.abs_diff(right) < right / 100
    }

    #[test]
    #[cfg_attr(profiled_portable, ignore = "there is no counter whose scale could change")]
    fn a_machine_that_slept_keeps_its_scale() {
        let _alone = alone();
        let right = SCALE.load(Relaxed);
        // While the counter went on for two seconds the kernel's clock did so for one, or for next to nothing, which
        // is no scale at all.
        for slept in [1_000_000_000, 1_999_990_000] {
            let second = ((1_000_000_000_u128 << 32) / u128::from(right)) as u64;
            let (ticks, time) = pair();
            let before = (ticks.wrapping_sub(2 * second), time - (2_000_000_000 - slept));
            *FIRST.lock().unwrap() = Some(Beginning { pair: before, doubtful: false });
            for _ in 0..3 {
                calibrate();
                let now = SCALE.load(Relaxed);
                assert!(is_close(now, right), "{now} instead of {right} after {slept} ns asleep");
                std::thread::sleep(Duration::from_millis(5));
            }
            let first = FIRST.lock().unwrap().expect("the last stretch began a while ago");
            assert!(first.pair.1 >= time, "and it began after the sleep");
        }
    }

    #[test]
    fn a_wrong_scale_does_not_stay() {
        let _alone = alone();
        let right = SCALE.load(Relaxed);
        // By less than the other tests of this process allow.
        SCALE.store(right + right / 64, Relaxed);
        calibrate();
        std::thread::sleep(Duration::from_millis(5));
        calibrate();
        let now = SCALE.load(Relaxed);
        assert!(is_close(now, right), "{now} instead of {right}");
    }

    #[test]
    fn the_counter_agrees_with_the_kernels_clock() {
        let _alone = alone();
        let (instant, from) = (Instant::now(), ticks());
        std::thread::sleep(Duration::from_millis(30));
        let (to, real) = (ticks(), instant.elapsed());
        let ours = elapsed(from, to) as f64;
        // 0.1 % from the calibration at the most; the two readings are a few hundred nanoseconds apart, unless preempted.
        assert!((ours / real.as_nanos() as f64 - 1.0).abs() < 0.02, "{ours} against {real:?}");
        assert_eq!(elapsed(to, from), 0);
    }
}
