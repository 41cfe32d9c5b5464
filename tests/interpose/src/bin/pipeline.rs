//! A program of `parking_lot` and `crossbeam-channel` alone, with not a line of its own about profiles but the last ones:
//! `pipeline BLOCK MUTEX` writes the two there.
use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

type Counts = Mutex<BTreeMap<u64, u64>>;

fn main() {
    let _guard = profiled::init();
    let counts = Counts::default();
    let (sender, receiver) = bounded(4);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let receiver = receiver.clone();
            let counts = &counts;
            scope.spawn(move || counts_words(&receiver, counts));
        }
        scope.spawn(|| reports(&counts));
        reads_files(&sender);
        drop(sender);
    });
    assert_eq!(counts.lock().values().sum::<u64>(), FILES * WORDS);
    for (name, file) in ["block", "mutex"].iter().zip(std::env::args().skip(1)) {
        let profile = profiled::lookup(name).expect("a predefined profile");
        profile.write_to(File::create(file).expect("a file"), 0).expect("room for it");
    }
}

const FILES: u64 = 400;
const WORDS: u64 = 20;

/// Faster at times than those who take them, and slower at others.
#[inline(never)]
fn reads_files(sender: &Sender<u64>) {
    for file in 0..FILES {
        if file % 50 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        sender.send(file).expect("somebody takes it");
    }
}

#[inline(never)]
fn counts_words(receiver: &Receiver<u64>, counts: &Counts) {
    while let Ok(file) = receiver.recv() {
        if (25..28).contains(&(file % 50)) {
            // Nobody takes any for a while.
            std::thread::sleep(Duration::from_millis(20));
        }
        for word in 0..WORDS {
            works(Duration::from_micros(20));
            *counts.lock().entry(file * word % 17).or_default() += 1;
        }
    }
}

/// Looks at all of them until there are no more, and takes its time.
#[inline(never)]
fn reports(counts: &Counts) {
    loop {
        let counts = counts.lock();
        std::thread::sleep(Duration::from_millis(5));
        if counts.values().sum::<u64>() == FILES * WORDS {
            return;
        }
        drop(counts);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn works(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}
