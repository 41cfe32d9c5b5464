//! What sampling the CPU costs: a sample, the memory of a session, its end, and a session that never ends.
//!
//! `cargo bench -p profiled --bench cpu`; the last two rows take a minute, the others seconds. A sample is a signal
//! that this bench raises itself, marked as a timer's, against one whose handler only counts: the difference is what
//! our handler adds.
mod measure;
mod signals;

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use measure::{Pair, Table, Target, deep, timed};
use profiled::__private::bench;
use profiled::Snapshot;
use signals::{distinct, raise};

/// Samples of a slice.
const BURST: u64 = 16;
/// Between two pairs of slices: so that what comes in the 250 ms between two looks into the ring has room there.
const PAUSE: Duration = Duration::from_millis(5);
/// Frames of the stacks, as they are taken.
const FRAMES: usize = 40;
/// Different stacks in a profile that is to be written.
const STACKS: u32 = 300;

fn burst(times: u64, depth: usize, signal: c_int, value: *const c_void) -> Duration {
    let mut took = Duration::ZERO;
    deep(depth, &mut || took = timed(|| (0..times).for_each(|_| raise(signal, value))));
    took
}

fn main() {
    signals::install_nothing(libc::SIGUSR2);
    let mut table = Table::new("CPU");
    // First, while nothing of ours has ever run.
    table.figure("memory of a session, 1000 Hz", "5 MB", memory);
    samples(&mut table);
    for (what, target, write) in
        [("addresses", "2 ms", bench::write_addresses as Write), ("names", "-", bench::write_names)]
    {
        table.figure(&format!("stop, write {STACKS} stacks with {what}"), target, |all| stop(all, write));
    }
    for count in [10, 1000] {
        table.figure(&format!("dump of {count} threads"), if count > 10 { "15 ms" } else { "-" }, |all| {
            dumps(count, all)
        });
    }
    continuous(&mut table);
}

/// What it takes to ask so many threads that wait where they are, and what it takes without their stacks.
fn dumps(count: usize, all: bool) -> String {
    let over = Arc::new((Mutex::new(false), Condvar::new()));
    let threads: Vec<_> = (0..if all { count } else { 2 })
        .map(|_| {
            let over = Arc::clone(&over);
            let wait = move || drop(over.1.wait_while(over.0.lock().unwrap(), |over| !*over));
            std::thread::Builder::new().stack_size(128 << 10).spawn(wait).expect("a thread")
        })
        .collect();
    std::thread::sleep(Duration::from_millis(if all { 200 } else { 1 }));
    let mut took: Vec<Duration> = (0..if all { 20 } else { 1 })
        .map(|_| {
            let mut rows = 0;
            let took = timed(|| rows = profiled::threads::dump().samples().len());
            assert!(rows > 0);
            took
        })
        .collect();
    *over.0.lock().unwrap() = true;
    over.1.notify_all();
    threads.into_iter().for_each(|thread| thread.join().expect("it ended well"));
    took.sort();
    format!("{:.2} ms, at best {:.2}", took[took.len() / 2].as_secs_f64() * 1e3, took[0].as_secs_f64() * 1e3)
}

/// What a session has taken after a second of sampling, and when every slot of the ring has been used.
fn memory(all: bool) -> String {
    let time = Duration::from_millis(if all { 1000 } else { 10 });
    signals::burn_in(STACKS, time / 10);
    let before = signals::resident_bytes();
    let session = profiled::cpu::Options::new().hz(1000).start().expect("a session");
    signals::burn_in(STACKS, time);
    let added = || (signals::resident_bytes() as f64 - before as f64) / 1e6;
    let second = added();
    if all {
        signals::fill(profiled::__private::timer_tag());
    }
    let full = added();
    let rows = session.stop().samples().len();
    format!("{second:+.2} MB after a second, {full:+.2} MB with a full ring; {rows} rows")
}

/// One sample, from many functions deep.
fn samples(table: &mut Table) {
    let tag = profiled::__private::timer_tag();
    let pause = || std::thread::sleep(PAUSE);
    // Some frames are ours besides: what runs `main`, the measuring around a slice, and the system call.
    let frames_of = |depth| {
        let session = profiled::cpu::Options::new().hz(1).start().expect("a session");
        let one = |_| burst(1, depth, libc::SIGPROF, tag);
        Table::silent().row_of("", Target::Open, 1, 1, &[Pair { with: &one, without: &one }], &pause);
        let snapshot = session.stop();
        snapshot.samples().map(|row| row.addresses().len()).max().expect("a sample")
    };
    let around = frames_of(1) - 1;
    assert_eq!(frames_of(FRAMES - around), FRAMES, "{around} frames around");

    let session = profiled::cpu::Options::new().hz(1).start().expect("a session");
    for (frames, target) in [(FRAMES, Target::Added(3300.0)), (around + 1, Target::Open)] {
        let with = |n| burst(n, frames - around, libc::SIGPROF, tag);
        let without = |n| burst(n, frames - around, libc::SIGUSR2, tag);
        let pairs = [Pair { with: &with, without: &without }];
        table.row_of(&format!("one sample, {frames} frames"), target, BURST, 500, &pairs, &pause);
    }
    // The caches are emptied within the functions that the stack is of, right before the signal.
    let buffer = RefCell::new(Vec::new());
    let cold = |signal| {
        let mut took = Duration::ZERO;
        deep(FRAMES - around, &mut || {
            signals::evict(&mut buffer.borrow_mut());
            took = timed(|| raise(signal, tag));
        });
        took
    };
    let (with, without) = (|_| cold(libc::SIGPROF), |_| cold(libc::SIGUSR2));
    let pairs = [Pair { with: &with, without: &without }];
    table.row_of(&format!("one sample, {FRAMES} frames, cold caches"), Target::Open, 1, 100, &pairs, &|| ());

    // One that finds no room is cheap.
    let lost = session.stop().samples().any(|row| row.frames().any(|frame| frame.name() == "[lost]"));
    assert!(!lost, "samples are lost");
}

type Write = fn(&Snapshot, &mut Vec<u8>) -> profiled::Result<()>;

/// From the call of `stop` to the last byte of a file, with all samples still in the ring and of stacks that were
/// never seen before. No debug info is read.
fn stop(all: bool, write: Write) -> String {
    /// The first stack that was not taken yet.
    static FRESH: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(STACKS);
    let tag = profiled::__private::timer_tag();
    let mut times = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..if all { 50 } else { 1 } {
        let session = profiled::cpu::Options::new().hz(1).start().expect("a session");
        let first = FRESH.fetch_add(STACKS, std::sync::atomic::Ordering::Relaxed);
        distinct(first, STACKS, &mut || raise(libc::SIGPROF, tag));
        bytes.clear();
        let start = Instant::now();
        let snapshot = session.stop();
        let stopped = start.elapsed();
        write(&snapshot, &mut bytes).expect("memory takes everything");
        times.push((start.elapsed(), stopped));
        assert!(snapshot.samples().len() >= STACKS as usize, "{} rows", snapshot.samples().len());
    }
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (least, middle) = (times[0], times[times.len() / 2]);
    format!(
        "median {:.2} ms ({:.2} of it stop), fastest {:.2}; {} bytes",
        ms(middle.0),
        ms(middle.1),
        ms(least.0),
        bytes.len()
    )
}

/// Sampling that is always on, beside two busy threads: what the whole process takes for the same work, and what our
/// thread says that it took.
fn continuous(table: &mut Table) {
    const HZ: u32 = 19;
    let busy = |rounds: u64| {
        let before = signals::process_cpu();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| signals::work(rounds));
            }
        });
        signals::process_cpu() - before
    };
    let set = |hz| assert!(profiled::cpu::set_continuous(hz).is_ok());
    let with = |rounds| {
        set(HZ);
        let took = busy(rounds);
        set(0);
        took
    };
    // Half a second each: long beside a look at all threads.
    let rounds = (1 << 22) as f64 * 0.5 / (busy(1 << 22).as_secs_f64() / 2.0).max(1e-6);
    let pairs = [Pair { with: &with, without: &busy }];
    table.row_of("CPU of two threads, 19 Hz", Target::Ratio(1.001), rounds as u64, 40, &pairs, &|| ());

    table.figure("our thread's part of it, 19 Hz", "0.1 %", |all| {
        let time = Duration::from_millis(if all { 20_000 } else { 20 });
        set(HZ);
        let before = signals::process_cpu();
        std::thread::scope(|scope| {
            let threads = [(); 2].map(|()| scope.spawn(|| signals::burn(time)));
            threads.into_iter().for_each(|thread| thread.join().expect("it only computes"));
        });
        let ours = signals::cpu_of_threads("profiled-cpu");
        let cpu = signals::process_cpu() - before;
        let snapshot = profiled::lookup("cpu").expect("the profile").snapshot();
        let samples: i64 = snapshot.samples().map(|row| row.values()[0]).sum();
        set(0);
        let share = 100.0 * ours.as_secs_f64() / cpu.as_secs_f64();
        format!(
            "{share:.4} %: {:.2} ms of {:.1} s, {samples} samples",
            ours.as_secs_f64() * 1e3,
            cpu.as_secs_f64()
        )
    });
}
