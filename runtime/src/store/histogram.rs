//! How long something took, as a histogram: 32 steps an octave, so that a quantile is good to 1.6 %.
//!
//! Steps are linear in an octave and octaves double (as in Tene's HdrHistogram): each duration is within 1/64 of the middle
//! of its step. Histograms add up, step by step, which is what threads do that count in one.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::arena::Placed;

/// Steps of an octave.
const STEPS: u64 = 32;
/// Their logarithm.
const LOG: usize = 5;
/// Up to 2^47 ns, a day and a half; what is longer is counted as that long.
const OCTAVES: usize = 43;

/// Counts by duration in nanoseconds. Memory comes an octave at a time, as durations of that size are met.
#[derive(Debug)]
pub(crate) struct Histogram {
    octaves: [Placed<[AtomicU64; STEPS as usize]>; OCTAVES],
    max: AtomicU64,
}

impl Histogram {
    pub(crate) const fn new() -> Histogram {
        Histogram { octaves: [const { Placed::new() }; OCTAVES], max: AtomicU64::new(0) }
    }

    /// Counts a duration `weight` times.
    pub(crate) fn add(&self, duration: u64, weight: u64) {
        self.meet(duration);
        let (octave, step) = place(duration);
        if let Some(steps) = self.octaves[octave].get_or_place(Default::default) {
            steps[step].fetch_add(weight, Relaxed);
        }
    }

    /// Notes the longest duration.
    pub(crate) fn meet(&self, duration: u64) {
        if duration > self.max.load(Relaxed) {
            self.max.fetch_max(duration, Relaxed);
        }
    }

    /// The longest duration that was met.
    pub(crate) fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// The durations below which these shares of all lie (0.5 is the median). `None` if nothing was counted.
    pub(crate) fn quantiles<const N: usize>(&self, shares: [f64; N]) -> Option<[u64; N]> {
        let steps: Vec<(u64, u64)> = (0..OCTAVES)
            .filter_map(|octave| Some((octave, self.octaves[octave].get()?)))
            .flat_map(|(octave, steps)| {
                steps.iter().enumerate().map(move |(step, n)| (middle(octave, step), n.load(Relaxed)))
            })
            .filter(|&(_, count)| count > 0)
            .collect();
        let total: u64 = steps.iter().map(|&(_, count)| count).sum();
        let longest = steps.last()?.0.min(self.max());
        Some(shares.map(|share| {
            let mut below = 0;
            let rank = (share * total as f64).ceil().max(1.0) as u64;
            let reached = |&&(_, count): &&(u64, u64)| {
                below += count;
                below >= rank
            };
            steps.iter().find(reached).map_or(longest, |&(duration, _)| duration.min(self.max()))
        }))
    }
}

/// The octave and the step of a duration. The first octave is 0 to 31 ns, a nanosecond a step.
fn place(duration: u64) -> (usize, usize) {
    let duration = duration.min((1 << (OCTAVES + LOG - 1)) - 1);
    if duration < STEPS {
        return (0, duration as usize);
    }
    let high = duration.ilog2() as usize;
    (high - LOG + 1, (duration >> (high - LOG)) as usize % STEPS as usize)
}

/// The middle of a step.
fn middle(octave: usize, step: usize) -> u64 {
    match octave {
        0 => step as u64,
        _ => ((STEPS + step as u64) << (octave - 1)) + (1 << (octave - 1)) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_within_a_step_of_its_place() {
        for duration in (0..200).chain((8..47).flat_map(|high| [(1 << high) - 1, 1 << high, 3 << (high - 1)]))
        {
            let (octave, step) = place(duration);
            let error = middle(octave, step).abs_diff(duration) as f64 / (duration as f64).max(1.0);
            assert!(error <= 1.0 / 64.0, "{duration}: {error}");
        }
        assert!(place(u64::MAX).0 < OCTAVES);
    }

    #[test]
    fn quantiles_of_two_humps() {
        static HISTOGRAM: Histogram = Histogram::new();
        assert_eq!(HISTOGRAM.quantiles([0.5]), None);
        HISTOGRAM.add(100, 900);
        HISTOGRAM.add(100_000, 100);
        let [p50, p90, p91, p100] = HISTOGRAM.quantiles([0.5, 0.9, 0.91, 1.0]).unwrap();
        assert!(p50.abs_diff(100) <= 1 && p90 == p50, "{p50} {p90}");
        assert!(p91.abs_diff(100_000) <= 1600 && p100 == p91, "{p91} {p100}");
        assert_eq!(HISTOGRAM.max(), 100_000);
    }
}
