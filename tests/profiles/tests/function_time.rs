//! Time of functions that take less than it takes to time them.
//!
//! Not optimised, our own code around the two clocks takes as long as what they time.
#![cfg(not(debug_assertions))]
use std::hint::black_box;
use std::time::{Duration, Instant};

use profiled::profiled;
use profiled_test_profiles::alone;

/// Half a microsecond or more, whatever the optimiser does.
#[profiled]
#[inline(never)]
fn hot(n: u32) -> u32 {
    (0..900).fold(n, |sum, step| black_box(sum.wrapping_mul(31) ^ step))
}

/// A twentieth of a microsecond: less than it takes to time a call.
#[profiled]
#[inline(never)]
fn brief(n: u32) -> u32 {
    (0..50).fold(n, |sum, step| black_box(sum.wrapping_mul(31) ^ step))
}

/// How often this thread was stopped in the middle of its work.
#[expect(unsafe_code, reason = "a system call")]
fn stops() -> i64 {
    // SAFETY: all-zero is a valid `rusage`, and the call fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        usage.ru_nivcsw
    }
}

/// How far off the wall time of `name` is after calls of `function`, each of which waits for the one before, or the
/// processor would begin it early, and outside it would seem shorter than it takes.
///
/// They come in rounds of some milliseconds. A round in which another program had the processor says nothing: that is
/// long, and lies within one call, which stands for hundreds or for none. Retried longer while it is more than `most`.
fn off(name: &str, function: fn(u32) -> u32, times: u32, most: f64) -> f64 {
    let wall = || -> i64 {
        profiled::lookup(name).unwrap().snapshot().samples().map(|sample| sample.values()[1]).sum()
    };
    let (mut off, end) = (f64::NAN, Instant::now() + Duration::from_secs(60));
    for more in [1, 2, 4, 8, 16] {
        let (mut inside, mut outside, mut rounds) = (0.0, 0.0, 0);
        while rounds < 20 * more && Instant::now() < end {
            let (before, stopped, begin) = (wall(), stops(), Instant::now());
            black_box((0..times / 20).fold(1, |sum, n| function(sum ^ n)));
            let took = begin.elapsed().as_nanos() as f64;
            if stops() == stopped {
                inside += (wall() - before) as f64;
                outside += took;
                rounds += 1;
            }
        }
        off = inside / outside - 1.0;
        if off.abs() <= most {
            break;
        }
    }
    off
}

/// About one call in 32 is timed, so some 6 000 are, and of the short one 1 in 512, some 4 000: the error of their mean
/// is below two percent. What remains is how well the hook's own way from one clock to the other is known, to some 3 ns,
/// and what the loop around the calls takes, as much again.
#[test]
fn a_hot_function_is_timed_well() {
    alone("a_hot_function_is_timed_well", || {
        let hot = off("function_time::hot", hot, 200_000, 0.1);
        assert!(hot.abs() <= 0.1, "half a microsecond is off by {hot}");
        let brief = off("function_time::brief", brief, 2_000_000, 0.2);
        assert!(brief.abs() <= 0.2, "a twentieth of one is off by {brief}");
    });
}
