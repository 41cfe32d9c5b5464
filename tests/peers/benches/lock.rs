//! Profiled locks in the same run: ours, hotpath's and tracing-mutex's, each around the same `std::sync::Mutex`, against
//! that lock as it is. `tests/peers/locks.py` adds Go's `sync.Mutex`, with its mutex profile on and off.
//!
//! `cargo bench -p profiled-test-peers --bench lock` takes two minutes. With and without take turns in one process, slice
//! by slice. All collect: hotpath has its guard, tracing-mutex checks the order of locks, which is what it is for.
#[path = "../../../runtime/benches/measure/mod.rs"]
mod measure;

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use measure::{Job, Pair, Table, Target, Team, timed};

/// On cache lines of its own, whatever else there is.
#[repr(align(128))]
struct Apart<L>(L);

fn steps(mut x: u64, n: u64) -> u64 {
    for _ in 0..n {
        x = (x ^ x >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    x
}

/// The same text for all types, which have no trait in common: a lock that is free, and one that threads meet at, held for
/// 40 ns and wanted again after 160. As Go's in `go/locks.go`.
macro_rules! locks {
    ($($free:ident $met:ident $make:expr;)*) => { $(
        #[inline(never)]
        fn $free() -> Job {
            let lock = Apart($make);
            Arc::new(move |times| {
                for _ in 0..times {
                    *black_box(&lock.0).lock().unwrap() += 1;
                }
            })
        }

        #[inline(never)]
        fn $met() -> Job {
            let lock = Apart($make);
            Arc::new(move |times| {
                for n in 0..times {
                    let mut sum = lock.0.lock().unwrap();
                    *sum = steps(*sum ^ 1, 25);
                    drop(sum);
                    black_box(steps(n, 100));
                }
            })
        }
    )* };
}
locks! {
    plain plain_met Mutex::new(0_u64);
    ours ours_met profiled::profile_mutex!("measured", Mutex::new(0_u64));
    hotpaths hotpaths_met hotpath::mutex!(Mutex::new(0_u64));
    tracings tracings_met tracing_mutex::stdsync::tracing::Mutex::new(0_u64);
}

/// Calls of a slice, and pairs of slices a row.
const CALLS: u64 = 5_000;
const PAIRS: usize = 400;

/// Its name, and of a free lock and of one that threads meet at: what makes a job, and what it is to cost.
type Peer = (&'static str, [fn() -> Job; 2], [Target; 2]);

fn main() {
    let mut table = Table::new("locks, and other profilers");
    std::mem::forget(hotpath::HotpathGuardBuilder::new("bench").build());
    // What hotpath's threads tell its collector lies in a queue without a bound.
    let pause = || std::thread::sleep(Duration::from_millis(5));
    let peers: [Peer; 3] = [
        ("profile_mutex!", [ours, ours_met], [Target::Ratio(1.06), Target::Ratio(1.05)]),
        ("hotpath", [hotpaths, hotpaths_met], [Target::Open, Target::Open]),
        ("tracing-mutex", [tracings, tracings_met], [Target::Open, Target::Open]),
    ];
    for (name, [with, _], [target, _]) in peers {
        let (with, without) = (with(), plain());
        let (with, without) = (|n| timed(|| with(n)), |n| timed(|| without(n)));
        let pairs = [Pair { with: &with, without: &without }];
        table.row_of(&format!("free: {name}"), target, CALLS, PAIRS, &pairs, &pause);
    }
    for threads in [2, 4] {
        let team = &Team::new(threads);
        for (name, [_, with], [_, target]) in peers {
            // Where a lock lies decides how threads meet there: several of each.
            let both = [(); 4].map(|()| (with(), plain_met()));
            let slices = both.each_ref().map(|(with, without)| {
                (move |n| team.run_together(with, n), move |n| team.run_together(without, n))
            });
            let pairs: Vec<_> = slices.iter().map(|(with, without)| Pair { with, without }).collect();
            table.row_of(
                &format!("{threads} threads meet: {name}"),
                target,
                CALLS,
                PAIRS / 4,
                &pairs,
                &pause,
            );
        }
    }
}
