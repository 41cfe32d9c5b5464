//! Who is charged: of four threads of which one holds a lock for 3 ms at a time, that one.
use std::time::Duration;

use profiled_test_interpose::{File, Lock, alone, contend, delay, of, read, take_all, text};

/// Has four threads contend and gives the long holder's share of all that was charged.
fn share(lock: &dyn Lock) -> f64 {
    take_all();
    let measured = contend(lock, Duration::from_millis(2500)) as f64;
    let (block, mutex) = (read("block"), read("mutex"));
    let waited = delay(&of(&block, "mutex"));
    let charged = delay(&of(&mutex, "mutex"));
    let long: f64 = mutex.find(&["holds_long"]).iter().map(|sample| sample.value("delay") as f64).sum();
    let short: f64 = mutex.find(&["holds_short"]).iter().map(|sample| sample.value("delay") as f64).sum();
    let nobody: f64 = mutex.find(&["[wake-up]"]).iter().map(|sample| sample.value("delay") as f64).sum();
    eprintln!(
        "measured {:.0} ms, waited {:.0}, charged {:.0}: long {:.0}, short {:.0}, wake-up {:.0}",
        measured / 1e6,
        waited / 1e6,
        charged / 1e6,
        long / 1e6,
        short / 1e6,
        nobody / 1e6
    );
    assert!(waited > 1e9, "three threads wait most of the time");
    // Every nanosecond waited is charged to somebody, or nobody's; the two are counted apart. What a moment's length
    // rounds is a hundred thousandth of a wait of milliseconds.
    assert!((charged / waited - 1.0).abs() < 0.005, "{charged} charged of {waited} waited");
    // What the threads measured has the way into the wait and out of it, too.
    assert!(waited <= measured && waited > 0.8 * measured, "{waited} of {measured}");
    long / charged
}

#[test]
fn a_long_holder_of_a_std_mutex_is_charged() {
    alone("a_long_holder_of_a_std_mutex_is_charged", || {
        let share = share(&std::sync::Mutex::new(()));
        assert!(share >= 0.95, "{share}");
        let text = text("mutex", 1);
        assert!(text.contains("# interpose: active"), "{text}");
        // And for the real reader.
        let top = File::new("interpose-mutex", &profiled_test_profiles::file("mutex")).top("delay", "ms");
        let total: f64 = top.iter().map(|(_, flat, _)| flat).sum();
        let of =
            |name: &str| top.iter().filter(|(found, ..)| found.contains(name)).map(|row| row.2).sum::<f64>();
        assert!(of("holds_long") >= 0.95 * total, "{top:?}");
    });
}

#[test]
fn a_long_holder_of_a_parking_lot_mutex_is_charged() {
    alone("a_long_holder_of_a_parking_lot_mutex_is_charged", || {
        let share = share(&parking_lot::Mutex::new(()));
        eprintln!("parking_lot: {share:.3}");
        assert!(share >= 0.9, "{share}");
    });
}
