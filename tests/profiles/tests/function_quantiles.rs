//! How long calls take: quantiles of a function whose durations are known, for it measures each of them itself.
use std::hint::spin_loop;
use std::time::{Duration, Instant};

use profiled::profiled;
use profiled_test_profiles::{alone, cell, nanoseconds, text};

const CALLS: usize = 1_000_000;

/// Works for so long, and says how long that was: longer, where the thread had to wait for a processor.
#[profiled(name = "works")]
#[inline(never)]
fn works(time: Duration) -> Duration {
    let begin = Instant::now();
    loop {
        let took = begin.elapsed();
        if took >= time {
            return took;
        }
        spin_loop();
    }
}

/// Numbers evenly between 0 and 1, the same ones at every run.
fn evenly(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ mixed >> 31) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }
}

/// The table's quantiles beside those of all calls.
///
/// Of a function of 4 us every call is timed to begin with and one in eight later on: some 200 000 of a million, most of
/// them with a weight of 8, so that they are as good as 130 000. The error of p99 is 0.6 % of it then where the
/// logarithm of the durations has a deviation of 0.6, that of p50 0.2 %. A step of the histogram is 3 %, half of which is
/// lost at the most, and the ways from our clock to the function's and back are 50 ns of 4 us, 1.2 %: 5 % holds.
fn compared(mut time: impl FnMut() -> Duration) {
    let mut took: Vec<Duration> = (0..CALLS).map(|_| works(time())).collect();
    took.sort_unstable();
    let table = text("functions", 1);
    assert_eq!(cell(&table, "works", "calls"), CALLS.to_string(), "{table}");
    for (title, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let expected = took[(CALLS as f64 * share) as usize].as_nanos() as f64;
        let found = nanoseconds(&cell(&table, "works", title));
        assert!(
            (found / expected - 1.0).abs() < 0.05,
            "{title}: {found} ns, where {expected} is right\n{table}"
        );
    }
}

/// Seven in eight calls take 3 us, the others 20.
#[test]
fn two_kinds_of_calls() {
    alone("two_kinds_of_calls", || {
        let mut evenly = evenly(1);
        compared(|| Duration::from_micros(if evenly() < 0.875 { 3 } else { 20 }));
    });
}

/// Durations whose logarithm is normal, as those of real services nearly are: 3.5 us in the middle, a deviation of 0.6.
#[test]
fn calls_of_log_normal_durations() {
    alone("calls_of_log_normal_durations", || {
        let mut evenly = evenly(2);
        compared(|| {
            // Box and Muller, A Note on the Generation of Random Normal Deviates, 1958.
            let normal = (-2.0 * evenly().ln()).sqrt() * (std::f64::consts::TAU * evenly()).cos();
            Duration::from_nanos((3_500.0 * (0.6 * normal).exp()) as u64)
        });
    });
}
