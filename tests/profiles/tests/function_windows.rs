//! Differences of two snapshots of functions: exact sums, nothing negative, nothing cut off.
use std::collections::BTreeMap;
use std::hint::black_box;
use std::thread;

use profiled::{Snapshot, profiled};
use profiled_test_profiles::{alone, read_snapshot};

/// Short: few of its calls are timed, and how they are spread over its callers is an estimate.
#[profiled]
#[inline(never)]
fn shared(n: u64) -> u64 {
    black_box(n + 1)
}

#[profiled]
#[inline(never)]
fn often(n: u64) -> u64 {
    (0..30).fold(n, |n, _| shared(n))
}

#[profiled]
#[inline(never)]
fn seldom(n: u64) -> u64 {
    (0..3).fold(n, |n, _| shared(n))
}

#[profiled]
#[inline(never)]
fn around(n: u64) -> u64 {
    seldom(often(n))
}

/// The rows: calls and nanoseconds by chain of scopes.
fn rows(snapshot: &Snapshot) -> BTreeMap<Vec<u64>, [i64; 2]> {
    snapshot.samples().map(|row| (row.addresses().to_vec(), [row.values()[0], row.values()[1]])).collect()
}

fn calls(rows: &BTreeMap<Vec<u64>, [i64; 2]>) -> i64 {
    rows.values().map(|row| row[0]).sum()
}

fn add(sum: &mut BTreeMap<Vec<u64>, [i64; 2]>, rows: BTreeMap<Vec<u64>, [i64; 2]>) {
    for (stack, values) in rows {
        let sum = sum.entry(stack).or_default();
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
}

/// Says so when it is dropped.
struct Stop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn windows_add_up() {
    alone("windows_add_up", || {
        for name in ["functions", "function_windows::shared", "function_windows::often"] {
            let profile = profiled::lookup(name).unwrap();
            let first = profile.snapshot();
            let mut sum = rows(&first);
            let mut before = first;
            // Some windows have no call of some chains, some are of calls that are running, and another thread is always
            // at it.
            let done = &std::sync::atomic::AtomicBool::new(false);
            thread::scope(|scope| {
                // The other thread ends, too, if this one finds something wrong.
                let _stop = Stop(done);
                scope.spawn(move || {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        black_box(seldom(1));
                    }
                });
                for window in 0..60_u64 {
                    for n in 0..window % 7 * 30 {
                        black_box(around(n));
                    }
                    let now = profile.snapshot();
                    let delta = now.delta(&before).unwrap();
                    let (delta_rows, now_rows) = (rows(&delta), rows(&now));
                    assert!(delta_rows.values().flatten().all(|&value| value >= 0), "{delta_rows:?}");
                    assert_eq!(
                        calls(&delta_rows),
                        calls(&now_rows) - calls(&rows(&before)),
                        "window {window} of {name}"
                    );
                    if window % 20 == 0 {
                        assert_eq!(read_snapshot(&delta).total("calls"), calls(&delta_rows));
                    }
                    add(&mut sum, delta_rows);
                    before = now;
                }
            });
            // To the call and the nanosecond, row by row.
            assert_eq!(sum, rows(&before), "{name}");
        }
    });
}

/// What runs is in its row from its first moment, and stays there: its window has one call, and the next one none.
#[test]
fn a_call_is_in_the_window_it_begins_in() {
    alone("a_call_is_in_the_window_it_begins_in", || {
        #[profiled(name = "waits")]
        fn waits(barrier: &std::sync::Barrier) {
            barrier.wait();
            barrier.wait();
        }
        #[profiled(name = "leads there")]
        fn leads(barrier: &std::sync::Barrier) {
            waits(barrier);
        }
        let profile = profiled::lookup("functions").unwrap();
        let barrier = &std::sync::Barrier::new(2);
        for direct in [true, false] {
            let before = profile.snapshot();
            let during = thread::scope(|scope| {
                scope.spawn(move || if direct { waits(barrier) } else { leads(barrier) });
                barrier.wait();
                let during = profile.snapshot();
                barrier.wait();
                during
            });
            let after = profile.snapshot();
            let begun = read_snapshot(&during.delta(&before).unwrap());
            let stack: &[&str] = if direct { &["waits"] } else { &["waits", "leads there"] };
            let of_waits = |profile: &profiled_test_profiles::Profile| {
                let all = profile.samples().iter().filter(|row| row.frames[0].name == "waits");
                all.map(|row| {
                    (row.frames.iter().map(|f| f.name.to_string()).collect::<Vec<_>>(), row.values[0])
                })
                .collect::<Vec<_>>()
            };
            assert_eq!(of_waits(&begun), [(stack.iter().map(|&name| name.to_owned()).collect(), 1)]);
            let ended = read_snapshot(&after.delta(&during).unwrap());
            assert_eq!(ended.total_of("calls", &["waits"]), 0);
            assert!(ended.total_of("wall", &["waits"]) > 0);
        }
    });
}

/// Two callers in turn have half of the calls each, however few are timed. The gaps are 1024 calls on average, so that of
/// n calls n / 1024 are timed, and a half is good to the square root of 1024 / n: 0.8 % of 16 million; six of those are
/// allowed.
#[test]
fn callers_in_turn_share_fairly() {
    alone("callers_in_turn_share_fairly", || {
        const CALLS: u64 = 16_000_000;
        #[profiled(name = "shared in turn")]
        #[inline(never)]
        fn shared(n: u64) -> u64 {
            black_box(n + 1)
        }
        #[profiled(name = "left")]
        #[inline(never)]
        fn left(n: u64) -> u64 {
            shared(n)
        }
        #[profiled(name = "right")]
        #[inline(never)]
        fn right(n: u64) -> u64 {
            shared(n)
        }
        black_box((0..CALLS / 2).fold(0, |n, _| right(left(n))));
        let profile = profiled_test_profiles::read("shared in turn");
        assert_eq!(profile.total("calls"), CALLS as i64);
        for side in ["left", "right"] {
            let share = profile.total_of("calls", &[side]) as f64 / CALLS as f64;
            assert!((share / 0.5 - 1.0).abs() <= 0.05, "{side}: {share}");
        }
    });
}
