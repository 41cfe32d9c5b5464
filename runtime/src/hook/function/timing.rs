//! How long calls of one site take, and how often to look.
//!
//! Timing a call and booking it takes about 150 ns, and 800 where two threads book at one site and wait for each other's
//! cache lines. What that may be of a function's own time depends on how much is known of it already:
//!
//! | timed calls so far | share of the function's time | and at least one call in |
//! | --- | --- | --- |
//! | 1 024 | 3 to 6 % | 256 |
//! | 100 000 | 1.5 to 3 % | 1024 |
//! | more | 0.4 to 0.8 % | 4096 |
//!
//! So a site has good quantiles soon, and that costs it 15 ms once, spread over its first calls: no call of a nanosecond
//! takes 0.6 ns longer on average.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::store::histogram::Histogram;

/// Nanoseconds of a function's own time that are worth a timed call.
const WORTH: u64 = 20_000;
/// The logarithm of the longest gap.
const LONGEST: u32 = 12;

/// Up to so many timed calls they may cost so many times as much, and the longest gap is 2 to the power of this.
const EARLY: [(u64, u64, u32); 2] = [(1 << 10, 8, 8), (100_000, 4, 10)];

/// Durations, by weight.
#[derive(Debug)]
pub(super) struct Timing {
    /// Timed calls.
    number: AtomicU64,
    /// Their weights.
    weight: AtomicU64,
    /// Their nanoseconds times their weight.
    sum: AtomicU64,
    pub(super) histogram: Histogram,
}

impl Timing {
    pub(super) const fn new() -> Timing {
        Timing {
            number: AtomicU64::new(0),
            weight: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            histogram: Histogram::new(),
        }
    }

    pub(super) fn add(&self, duration: u64, weight: u64) {
        self.number.fetch_add(1, Relaxed);
        self.weight.fetch_add(weight, Relaxed);
        self.sum.fetch_add(duration.saturating_mul(weight), Relaxed);
        self.histogram.add(duration, weight);
    }

    /// Nanoseconds a call. `None`: none has ended that was timed.
    pub(super) fn mean(&self) -> Option<f64> {
        match self.weight.load(Relaxed) {
            0 => None,
            weight => Some(self.sum.load(Relaxed) as f64 / weight as f64),
        }
    }

    /// The logarithm of the mean gap from one timed call to the next. Where nothing is known all are timed.
    pub(super) fn log_of_gap(timing: Option<&Timing>) -> u32 {
        let Some((timing, mean)) = timing.and_then(|timing| Some((timing, timing.mean()?))) else { return 0 };
        let number = timing.number.load(Relaxed);
        let early = EARLY.into_iter().find(|&(up_to, ..)| number < up_to);
        let (times, longest) = early.map_or((1, LONGEST), |(_, times, longest)| (times, longest));
        match WORTH / times / (mean as u64).saturating_add(1) {
            0 | 1 => 0,
            calls => (calls.ilog2() + 1).min(longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_follows_from_the_mean_and_from_what_is_known() {
        let gap = |calls: u64, mean: u64| {
            let timing = Timing::new();
            (0..calls).for_each(|_| timing.add(mean, 1));
            1 << Timing::log_of_gap(Some(&timing))
        };
        assert_eq!(Timing::log_of_gap(None), 0);
        assert_eq!([gap(1, 1), gap(2_000, 1), gap(100_000, 1)], [256, 1024, 4096]);
        assert_eq!([gap(1, 1_000), gap(2_000, 1_000), gap(100_000, 1_000)], [4, 8, 32]);
        assert_eq!([gap(1, 30_000), gap(2_000, 30_000), gap(100_000, 30_000)], [1, 1, 1]);
    }
}
