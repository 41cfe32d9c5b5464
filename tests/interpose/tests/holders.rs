//! Who is charged: of four threads of which one holds a lock for 3 ms at a time, that one.
//!
//! On a busy machine a thread that holds it for a moment may lose its processor with the lock in hand, and is then rightly
//! charged; and who was woken may wait for a processor, which nobody is charged for. So the threads measure what they
//! held up, and the charges have to agree with that; and as soon as the machine is quiet for a while, with the plain
//! numbers: 95 % of all that was waited.
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use profiled_test_interpose::{File, Lock, alone, contend, delay, of, read, take_all, text};

/// How often a quiet moment is looked for.
const TRIES: usize = 6;

/// All that `block` and `mutex` have so far, in nanoseconds: waited, charged, and of that to long, short, and nobody.
fn totals() -> [f64; 5] {
    let (block, mutex) = (read("block"), read("mutex"));
    let to = |part: &str| delay(&mutex.find(&[part]));
    let (waited, charged) = (delay(&of(&block, "mutex")), delay(&of(&mutex, "mutex")));
    [waited, charged, to("holds_long"), to("holds_short"), to("[wake-up]")]
}

/// Has four threads contend until the long holder is charged `least` of all that was waited. What it is charged of what
/// holders are charged is never less than `near` times its part as measured. A lock that `yields` lets others run before
/// it waits, which on a busy machine is most of the time.
fn is_charged(lock: &dyn Lock, least: f64, near: f64, yields: bool) {
    take_all();
    let mut before = totals();
    for n in 1..=TRIES {
        let measured = contend(lock, Duration::from_millis(2500));
        let now = totals();
        let [waited, charged, long, short, nobody] = std::array::from_fn(|n| now[n] - before[n]);
        before = now;
        let (all, truth) = (measured.waited.load(Relaxed) as f64, measured.long());
        let share = long / charged;
        eprintln!(
            "{share:.3}: measured {:.0} ms, waited {:.0}, charged {:.0}: long {:.0}, short {:.0}, wake-up {:.0}; held {truth:.3}",
            all / 1e6,
            waited / 1e6,
            charged / 1e6,
            long / 1e6,
            short / 1e6,
            nobody / 1e6
        );
        // Every nanosecond waited is charged to somebody, or nobody's; the two are counted apart. What a moment's length
        // rounds is a hundred thousandth of a wait of milliseconds.
        assert!((charged / waited - 1.0).abs() < 0.005, "{charged} charged of {waited} waited");
        // What the threads measured has the way into the wait and out of it, too.
        assert!(waited <= all && (yields || waited > 0.8 * all), "{waited} of {all}");
        if waited < 0.5 * all {
            continue;
        }
        assert!(long / (long + short) >= near * truth, "{share}, and {truth} was measured");
        if share >= least {
            return;
        }
        // As much short holders and nobody had as is left: the machine is to blame. Otherwise we are.
        let others = 1.0 - truth + nobody / charged;
        assert!(others > (1.0 - least) / 2.0, "{share} on a quiet machine, try {n}");
    }
    eprintln!("the machine was never quiet");
}

#[test]
fn a_long_holder_of_a_std_mutex_is_charged() {
    alone("a_long_holder_of_a_std_mutex_is_charged", || {
        is_charged(&std::sync::Mutex::new(()), 0.95, 0.96, false);
        let text = text("mutex", 1);
        assert!(text.contains("# interpose: active"), "{text}");
        // And the real reader has the same.
        let [.., long, _, _] = totals();
        let top = File::new("interpose-mutex", &profiled_test_profiles::file("mutex")).top("delay", "ms");
        let long_of_pprof: f64 =
            top.iter().filter(|(name, ..)| name.contains("holds_long")).map(|row| row.2).fold(0.0, f64::max);
        assert!((long_of_pprof * 1e6 / long - 1.0).abs() < 0.01, "{long}: {top:?}");
    });
}

#[test]
fn a_long_holder_of_a_parking_lot_mutex_is_charged() {
    alone("a_long_holder_of_a_parking_lot_mutex_is_charged", || {
        is_charged(&parking_lot::Mutex::new(()), 0.93, 0.8, true);
    });
}
