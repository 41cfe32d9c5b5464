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

#[cfg(feature = "parking_lot")]
fn plain_parking() -> &'static Apart<parking_lot::Mutex<u64>> {
    Box::leak(Box::new(Apart(parking_lot::Mutex::new(0))))
}

#[cfg(feature = "parking_lot")]
fn profiled_parking() -> &'static Apart<profiled::parking_lot::Mutex<u64>> {
    Box::leak(Box::new(Apart(profiled::profile_mutex!("measured too", parking_lot::Mutex::new(0)))))
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
        fn $contended<const COPY: u64>(lock: &$type, times: u64) {
            for n in 0..times {
                let mut sum = lock.lock().unwrap();
                *sum = steps(*sum ^ COPY, 25);
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

/// The same for locks that are not poisoned.
#[cfg(feature = "parking_lot")]
macro_rules! parking {
    ($($name:ident $contended:ident $type:ty)*) => {$(
        #[inline(never)]
        fn $name<const COPY: u64>(lock: &$type, times: u64) {
            for _ in 0..times {
                *black_box(lock).lock() += COPY;
            }
        }

        #[inline(never)]
        fn $contended<const COPY: u64>(lock: &$type, times: u64) {
            for n in 0..times {
                let mut sum = lock.lock();
                *sum = steps(*sum ^ COPY, 25);
                drop(sum);
                black_box(steps(n, 100));
            }
        }
    )*};
}
#[cfg(feature = "parking_lot")]
parking! {
    parking_plain parking_contended_plain parking_lot::Mutex<u64>
    parking_profiled parking_contended_profiled profiled::parking_lot::Mutex<u64>
}

fn steps(mut x: u64, n: u64) -> u64 {
    for _ in 0..n {
        x = (x ^ x >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    x
}

macro_rules! copies {
    ($plain:ident $profiled:ident $($n:literal)*) => {
        [$(($plain::<$n> as fn(&_, u64), $profiled::<$n> as fn(&_, u64))),*]
    };
}

/// The rows of one kind of lock.
macro_rules! rows {
    ($table:ident $what:literal $plain:expr, $with:expr, $one:ident $one_profiled:ident $many:ident $many_profiled:ident) => {
        let (without, with) = ($plain, $with);
        let slices = copies!($one $one_profiled 1 2 3 4 5 6 7 8).map(|(plain, profiled)| {
            (move |n| timed(|| plain(&without.0, n)), move |n| timed(|| profiled(&with.0, n)))
        });
        let pairs: Vec<_> = slices.iter().map(|(without, with)| Pair { with, without }).collect();
        $table.row(concat!($what, ", lock and unlock"), Target::Ratio(1.06), &pairs);
        for threads in [2, 4] {
            let team = &Team::new(threads);
            // Where a lock lies decides how threads meet there, for as long as it lives: each copy has one of its own.
            let slices = copies!($many $many_profiled 1 2 3 4 5 6 7 8).map(|(plain, profiled)| {
                let (without, with) = ($plain, $with);
                let (without, with): (Job, Job) =
                    (Arc::new(move |n| plain(&without.0, n)), Arc::new(move |n| profiled(&with.0, n)));
                (move |n| team.run_together(&without, n), move |n| team.run_together(&with, n))
            });
            let pairs: Vec<_> = slices.iter().map(|(without, with)| Pair { with, without }).collect();
            let what = format!("{}, {threads} threads meet", $what);
            $table.long_row(&what, Target::Ratio(1.05), &pairs);
        }
    };
}

/// The same where the order of locks is checked, alone and within another lock.
fn checked(table: &mut Table) {
    let (without, with, outer) = (plain(), profiled(), profiled());
    let order = |on| _ = profiled::deadlock::check_order(on);
    let without: Slice<'_> = &|n| timed(|| lock_plain::<1>(&without.0, n));
    let alone: Slice<'_> = &|n| {
        order(true);
        let time = timed(|| lock_profiled::<1>(&with.0, n));
        order(false);
        time
    };
    let within: Slice<'_> = &|n| {
        order(true);
        let held = outer.0.lock();
        let time = timed(|| lock_profiled::<1>(&with.0, n));
        drop(held);
        order(false);
        time
    };
    for (what, with) in [("alone", alone), ("in another lock", within)] {
        table.row(&format!("order of locks is checked, {what}"), Target::Open, &[Pair { with, without }]);
    }
}

fn main() {
    let mut table = Table::new("locks");
    rows!(table "std Mutex" plain(), profiled(), lock_plain lock_profiled contended_plain contended_profiled);
    #[cfg(feature = "parking_lot")]
    rows!(table "parking_lot" plain_parking(), profiled_parking(),
        parking_plain parking_profiled parking_contended_plain parking_contended_profiled);
    checked(&mut table);
}
