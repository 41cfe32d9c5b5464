//! What `profile_mutex!` costs: alone, and when threads meet.
mod measure;

use std::hint::black_box;
use std::sync::{Arc, Mutex};

use measure::{Job, Pair, Slice, Table, Target, Team, timed};

/// On cache lines of its own, whatever else there is.
#[repr(align(128))]
struct Apart<L>(L);

fn plain() -> &'static Apart<Mutex<u64>> {
    Box::leak(Box::new(Apart(Mutex::new(0))))
}

fn profiled() -> &'static Apart<profiled::sync::Mutex<u64>> {
    Box::leak(Box::new(Apart(profiled::profile_mutex!("measured", Mutex::new(0)))))
}

/// The same text for both types, which have no trait in common.
macro_rules! both {
    ($($name:ident $contended:ident $type:ty)*) => {$(
        #[inline(never)]
        fn $name<const COPY: u64>(lock: &$type, times: u64) {
            for _ in 0..times {
                *black_box(lock).lock().unwrap() += COPY;
            }
        }

        /// About 40 ns with the lock and 160 ns without.
        #[inline(never)]
        fn $contended(lock: &$type, times: u64) {
            for n in 0..times {
                let mut sum = lock.lock().unwrap();
                *sum = steps(*sum, 25);
                drop(sum);
                black_box(steps(n, 100));
            }
        }
    )*};
}
both! {
    lock_plain contended_plain Mutex<u64>
    lock_profiled contended_profiled profiled::sync::Mutex<u64>
}

fn steps(mut x: u64, n: u64) -> u64 {
    for _ in 0..n {
        x = (x ^ x >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    x
}

macro_rules! copies {
    ($($n:literal)*) => {
        [$((lock_plain::<$n> as fn(&_, u64), lock_profiled::<$n> as fn(&_, u64))),*]
    };
}

fn main() {
    let mut table = Table::new("locks");
    let (without, with) = (plain(), profiled());
    let slices = copies!(1 2 3 4 5 6 7 8).map(|(plain, profiled)| {
        (move |n| timed(|| plain(&without.0, n)), move |n| timed(|| profiled(&with.0, n)))
    });
    let pairs: Vec<_> = slices.iter().map(|(without, with)| Pair { with, without }).collect();
    table.row("std Mutex, lock and unlock", Target::Ratio(1.06), &pairs);

    for (threads, what) in [(2, "the same, 2 threads meet"), (4, "the same, 4 threads meet")] {
        let team = Team::new(threads);
        let (plain, profiled): (Job, Job) =
            (Arc::new(|n| contended_plain(&without.0, n)), Arc::new(|n| contended_profiled(&with.0, n)));
        let without: Slice<'_> = &|n| team.run(&plain, n);
        let with: Slice<'_> = &|n| team.run(&profiled, n);
        table.long_row(what, Target::Ratio(1.05), &[Pair { with, without }]);
    }
}
