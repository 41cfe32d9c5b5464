//! pprof-rs and `profiled`, both sampling the CPU of the same programs, in the same run.
//!
//! `cargo bench -p profiled-test-peers` takes three minutes and prints one table. Only one of the two can own
//! `SIGPROF`, so each measures in a child process of this same binary, turn by turn; the table has the least and the
//! median over the turns. pprof-rs has its default unwinder and no codec: its file is not encoded, ours is.
#[path = "../../../runtime/benches/measure/mod.rs"]
mod measure;
#[path = "../../../runtime/benches/signals/mod.rs"]
mod signals;

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use measure::{deep, timed};
use pprof::ProfilerGuard;
use profiled::__private::{bench, timer_tag};
use profiled::Format;
use signals::{burn, burn_in, distinct, fill, process_cpu, raise, resident_bytes};

/// Turns of each.
const TURNS: usize = 7;
/// Frames of the stack that is sampled.
const FRAMES: usize = 40;
/// Different stacks in a profile that is stopped.
const STACKS: u32 = 300;
/// Samples in a burst, and what our ring is given to be emptied between two looks.
const BURST: u64 = 16;
const PAUSE: Duration = Duration::from_millis(5);
const BURSTS: usize = 200;

/// The rows: what a child prints, the name that it has, and how the table says it.
const ROWS: &[(&str, &str)] = &[
    ("sample", "one sample, 40 frames: median, us"),
    ("fastest", "one sample, 40 frames: fastest burst, us"),
    ("whole", "the same, CPU of all threads, us"),
    ("share100", "CPU time accounted for, 100 Hz"),
    ("share250", "CPU time accounted for, 250 Hz"),
    ("share1000", "CPU time accounted for, 1000 Hz"),
    ("memory", "memory of a session, 1000 Hz, MB"),
    ("full", "the same after 3000 more samples, MB"),
    ("stop", "stop, 300 stacks as addresses, ms"),
    ("lines", "stop, 300 stacks with names and lines, ms"),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ours,
    Pprof,
}

/// A profiler that runs.
enum Running {
    Ours(profiled::cpu::Session),
    Pprof(ProfilerGuard<'static>),
}

impl Kind {
    fn start(self, hz: u32) -> Running {
        match self {
            Kind::Ours => Running::Ours(profiled::cpu::Options::new().hz(hz).start().expect("a session")),
            Kind::Pprof => Running::Pprof(ProfilerGuard::new(hz as c_int).expect("a profiler")),
        }
    }

    /// The mark that its handler wants: pprof-rs takes whatever comes.
    fn mark(self) -> *const c_void {
        match self {
            Kind::Ours => timer_tag(),
            Kind::Pprof => std::ptr::null(),
        }
    }
}

impl Running {
    /// What was sampled, as numbers: rows, and samples in all. Ends it.
    fn stop(self) -> (usize, i64) {
        match self {
            Running::Ours(session) => {
                let snapshot = session.stop();
                bench::write_addresses(&snapshot, &mut Vec::new()).expect("memory takes everything");
                let rows = snapshot.samples();
                // What was given to no place is not accounted for: such rows are one small number.
                let of_code =
                    snapshot.samples().filter(|row| row.addresses().first().is_some_and(|&at| at > 4096));
                (rows.len(), of_code.map(|row| row.values()[0]).sum())
            }
            Running::Pprof(guard) => {
                let report = guard.report().build_unresolved().expect("a report");
                drop(guard);
                (report.data.len(), report.data.values().map(|&count| count as i64).sum())
            }
        }
    }

    /// The same with names and lines.
    fn stop_with_lines(self) -> usize {
        match self {
            Running::Ours(session) => {
                let snapshot = session.stop();
                snapshot.write(&mut Vec::new(), Format::Pprof).expect("memory takes everything");
                snapshot.samples().len()
            }
            Running::Pprof(guard) => {
                let report = guard.report().build().expect("a report");
                drop(guard);
                report.data.len()
            }
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let word = |n: usize| arguments.get(n).map(String::as_str);
    match (word(0), word(1), word(2).and_then(|depth| depth.parse().ok())) {
        (Some("--child"), Some("depth"), _) => println!("depth {}", depth()),
        (Some("--child"), Some("ours"), Some(depth)) => child(Kind::Ours, depth),
        (Some("--child"), Some("pprof"), Some(depth)) => child(Kind::Pprof, depth),
        // Without `--bench`, as `cargo test --benches` runs it, nothing is measured.
        _ if arguments.iter().any(|argument| argument == "--bench") => table(),
        _ => {}
    }
}

/// Runs a child; gives the figures that it printed.
fn figures(arguments: &[&str]) -> BTreeMap<String, f64> {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let output = command.arg("--child").args(arguments).stderr(Stdio::inherit()).output().expect("a child");
    assert!(output.status.success(), "{arguments:?}: {}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    let figures = text.lines().map(|line| {
        let (name, value) = line.split_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    });
    figures.collect()
}

fn table() {
    let depth = figures(&["depth"])["depth"].to_string();
    let turns: Vec<_> =
        (0..TURNS).map(|_| (figures(&["ours", &depth]), figures(&["pprof", &depth]))).collect();
    let of = |turns: &mut dyn Iterator<Item = f64>| {
        let mut values: Vec<f64> = turns.collect();
        values.sort_by(f64::total_cmp);
        (values[0], values[values.len() / 2])
    };
    println!(
        "\n{:<44} {:>10} {:>10}   {:>10} {:>10}   {:>6}",
        format!("CPU, {TURNS} turns"),
        "ours: min",
        "median",
        "pprof-rs",
        "median",
        "ratio"
    );
    for (name, what) in ROWS {
        let ours = of(&mut turns.iter().map(|turn| turn.0[*name]));
        let theirs = of(&mut turns.iter().map(|turn| turn.1[*name]));
        println!(
            "{what:<44} {:>10.3} {:>10.3}   {:>10.3} {:>10.3}   {:>6.2}",
            ours.0,
            ours.1,
            theirs.0,
            theirs.1,
            theirs.1 / ours.1
        );
    }
}

/// From how many functions deep a stack has all its frames: the rest runs `main`, and this.
fn depth() -> usize {
    let running = profiled::cpu::Options::new().hz(1).start().expect("a session");
    burst(1, libc::SIGPROF, timer_tag(), 1);
    let snapshot = running.stop();
    let around = snapshot.samples().map(|row| row.addresses().len()).max().expect("a sample") - 1;
    FRAMES - around
}

fn child(kind: Kind, depth: usize) {
    signals::install_nothing(libc::SIGUSR2);
    // First, while nothing of theirs has ever run.
    memory(kind);
    stop(kind);
    sample(kind, depth);
    for hz in [100, 250, 1000] {
        share(kind, hz);
    }
}

/// What a session has taken after a second of CPU time, and when our ring has gone round.
fn memory(kind: Kind) {
    burn_in(STACKS, Duration::from_millis(100));
    let before = resident_bytes();
    let running = kind.start(1000);
    burn_in(STACKS, Duration::from_secs(1));
    let added = || (resident_bytes() as f64 - before as f64) / 1e6;
    println!("memory {}", added());
    fill(kind.mark());
    println!("full {}", added());
    running.stop();
}

/// The end of a session: first without names, then with names of stacks whose functions were never looked up.
fn stop(kind: Kind) {
    let sampled = |first| {
        let running = kind.start(1);
        distinct(first, STACKS, &mut || raise(libc::SIGPROF, kind.mark()));
        running
    };
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let running = sampled(STACKS);
    let start = Instant::now();
    let (rows, _) = running.stop();
    println!("stop {}", milliseconds(start.elapsed()));
    assert!(rows >= STACKS as usize, "{rows} rows");
    let running = sampled(2 * STACKS);
    let start = Instant::now();
    let rows = running.stop_with_lines();
    println!("lines {}", milliseconds(start.elapsed()));
    assert!(rows > 0, "{rows} rows");
}

#[inline(never)]
fn burst(times: u64, signal: c_int, mark: *const c_void, depth: usize) -> Duration {
    let mut took = Duration::ZERO;
    deep(depth, &mut || took = timed(|| (0..times).for_each(|_| raise(signal, mark))));
    took
}

/// What a sample adds to a signal: for the thread that it hits, and for the process.
fn sample(kind: Kind, depth: usize) {
    let running = kind.start(1);
    let bursts = |signal: c_int| {
        let before = process_cpu();
        let mut times: Vec<Duration> = (0..BURSTS)
            .map(|_| {
                let took = burst(BURST, signal, kind.mark(), depth);
                std::thread::sleep(PAUSE);
                took
            })
            .collect();
        let whole = process_cpu() - before;
        times.sort();
        let each = |time: Duration, count: u64| time.as_secs_f64() * 1e6 / count as f64;
        (each(times[0], BURST), each(times[times.len() / 2], BURST), each(whole, BURST * BURSTS as u64))
    };
    bursts(libc::SIGPROF);
    let (with, without) = (bursts(libc::SIGPROF), bursts(libc::SIGUSR2));
    println!("fastest {}\nsample {}\nwhole {}", with.0 - without.0, with.1 - without.1, with.2 - without.2);
    // One that finds no room is cheap: all of them have to be there.
    let (_, samples) = running.stop();
    assert!(samples >= 2 * (BURST * BURSTS as u64) as i64, "{samples} samples");
}

/// Samples times their period, over the CPU time of one busy thread.
fn share(kind: Kind, hz: u32) {
    let running = kind.start(hz);
    let before = process_cpu();
    std::thread::scope(|scope| {
        scope.spawn(|| burn(Duration::from_millis(1500)));
    });
    let cpu = process_cpu() - before;
    let (_, samples) = running.stop();
    println!("share{hz} {}", samples as f64 / f64::from(hz) / cpu.as_secs_f64());
}
