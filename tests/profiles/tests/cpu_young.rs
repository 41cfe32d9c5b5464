//! CPU time of threads that are too young for a timer of their own: how much they used is a difference of clocks, and
//! the process's timer only says where.
//!
//! Optimised builds only, as `cpu_accuracy`.
#![cfg(not(debug_assertions))]
#![cfg(not(profiled_portable))]
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use profiled_test_profiles::cpu::{at, processors, stay_on, thread_time};
use profiled_test_profiles::{alone, busy, read_snapshot};

const MS: Duration = Duration::from_millis(1);

busy! { busy short_life }

/// What samples say of the time of short threads, which run on one processor beside a thread that stays on another.
fn young_beside_old(time: Duration, old_on: usize, young_on: usize) -> f64 {
    let session = at(1000);
    let used = &AtomicU64::new(0);
    thread::scope(|scope| {
        let old = scope.spawn(move || {
            stay_on(old_on);
            busy(time);
        });
        scope.spawn(move || {
            stay_on(young_on);
            while !old.is_finished() {
                thread::scope(|scope| {
                    scope.spawn(|| {
                        short_life(2 * MS);
                        used.fetch_add(thread_time(), Relaxed);
                    });
                });
            }
        });
    });
    let profile = read_snapshot(&session.stop());
    profile.total_of("cpu", &["cpu_young::short_life"]) as f64 / used.load(Relaxed) as f64
}

/// Beside a thread that stays, short ones have what is theirs: no tick that the other caused. The process's clock counts
/// both, and whichever processor looks at it first takes what the other has used for its own.
#[test]
fn young_threads_do_not_pay_for_old_ones() {
    alone("young_threads_do_not_pay_for_old_ones", || {
        let all = processors();
        let (first, last) = (all[0], all[all.len() - 1]);
        for (old, young) in [(first, last), (last, first)] {
            let mut shares = Vec::new();
            for time in [3000 * MS, 6000 * MS, 12_000 * MS] {
                shares.push(young_beside_old(time, old, young));
                // Their time together is a difference of clocks. What such a thread does besides, and that the other
                // is young for a moment, is a few per cent.
                if (0.9..=1.1).contains(&shares[shares.len() - 1]) {
                    break;
                }
            }
            eprintln!("old on {old}, young on {young}: {shares:.3?} of their time is there");
            assert!((0.9..=1.1).contains(&shares[shares.len() - 1]));
        }
    });
}

/// Young threads that come after a time without any, when the process's timer hardly ever expires.
#[test]
fn bursts_of_young_threads_have_their_time() {
    alone("bursts_of_young_threads_have_their_time", || {
        let mut share = 0.0;
        for time in [6000 * MS, 12_000 * MS, 24_000 * MS] {
            let session = at(1000);
            let used = &AtomicU64::new(0);
            thread::scope(|scope| {
                let old = scope.spawn(move || busy(time));
                scope.spawn(move || {
                    while !old.is_finished() {
                        thread::sleep(400 * MS);
                        for _ in 0..20 {
                            thread::scope(|scope| {
                                scope.spawn(|| {
                                    short_life(2 * MS);
                                    used.fetch_add(thread_time(), Relaxed);
                                });
                            });
                        }
                    }
                });
            });
            let profile = read_snapshot(&session.stop());
            let named =
                ["cpu_young::short_life", "[unattributed]"].map(|name| profile.total_of("cpu", &[name]));
            // Of some bursts there is no sample; their time is there without a place.
            share = named.iter().sum::<i64>() as f64 / used.load(Relaxed) as f64;
            eprintln!("{named:?}: {share}");
            if (0.85..=1.15).contains(&share) {
                return;
            }
        }
        panic!("{share} of their time is there");
    });
}
