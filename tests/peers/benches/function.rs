#![expect(unsafe_code, reason = "asks the kernel for CPU time")]
//! Function profilers in the same run: ours, hotpath, fastrace under a root span, and tracing with its registry, each by
//! its own attribute on the same function of 1.6 ns, against the function as it is.
//!
//! `cargo bench -p profiled-test-peers --bench function` takes two minutes. With and without take turns in one process,
//! slice by slice. All collect: hotpath has its guard, fastrace a reporter that throws away what it gets and a new root
//! every thousand calls, tracing a subscriber that keeps spans and forgets them. Besides what a call takes longer there
//! is what the process works more, on all its threads, and how much a future grows.
#[path = "../../../runtime/benches/measure/mod.rs"]
mod measure;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalSpan;
use measure::{Job, Pair, Table, Target, Team, timed};
use tracing_subscriber::layer::SubscriberExt;

/// About five cycles of work that depends on what came before.
#[inline(always)]
fn work(x: u64) -> u64 {
    (x ^ x >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(never)]
fn plain(x: u64) -> u64 {
    work(x)
}

#[profiled::profiled]
#[inline(never)]
fn ours(x: u64) -> u64 {
    work(x)
}

#[hotpath::measure]
#[inline(never)]
fn hotpaths(x: u64) -> u64 {
    work(x)
}

#[fastrace::trace]
#[inline(never)]
fn fastraces(x: u64) -> u64 {
    work(x)
}

#[tracing::instrument(skip_all)]
#[inline(never)]
fn tracings(x: u64) -> u64 {
    work(x)
}

macro_rules! looped {
    ($name:ident, $function:ident) => {
        #[inline(never)]
        fn $name(times: u64) {
            black_box((0..times).fold(black_box(1), |x, _| $function(x)));
        }
    };
}
looped!(plain_loop, plain);
looped!(our_loop, ours);
looped!(hotpath_loop, hotpaths);
looped!(tracing_loop, tracings);

/// A root holds 10 240 spans, and forgets what comes then.
#[inline(never)]
fn fastrace_loop(times: u64) {
    let mut left = times;
    while left > 0 {
        let now = left.min(1000);
        let root = fastrace::Span::root("root", SpanContext::random());
        let guard = root.set_local_parent();
        black_box((0..now).fold(black_box(1), |x, _| fastraces(x)));
        drop(guard);
        left -= now;
    }
    _ = LocalSpan::enter_with_local_parent("none");
}

struct Forgets;

impl Reporter for Forgets {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        drop(black_box(spans));
    }
}

/// A future that holds 2 KiB over an `await`.
macro_rules! large {
    ($($(#[$attribute:meta])* $name:ident)*) => {
        $($(#[$attribute])*
        async fn $name() -> usize {
            let mut buffer = [1_u8; 2048];
            std::future::ready(()).await;
            black_box(&mut buffer).len()
        })*
    };
}
large! {
    large
    #[profiled::profiled] our_large
    #[hotpath::measure] hotpath_large
    #[fastrace::trace] fastrace_large
    #[tracing::instrument] tracing_large
}

/// Calls of a slice, 30 us of the function alone; twice as many where threads meet. And pairs of slices a row.
const CALLS: u64 = 20_000;
const PAIRS: usize = 400;

/// No profiler here may take more than this of the machine's memory.
const MEMORY: u64 = 4 << 30;

fn bound_memory() {
    let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
    // SAFETY: reads a valid limit.
    unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
}

/// CPU time of this process, all threads together.
fn cpu_time() -> Duration {
    // SAFETY: all-zero is a valid `timespec`, and the call fills it.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time);
        time
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The lines of `/proc/self/status` that begin so, as numbers.
fn status(what: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a line of the kernel's");
    line.trim_start_matches(':')
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number")
}

/// Its name, so many calls, and what they are to cost.
type Peer = (&'static str, fn(u64), Target);

fn main() {
    bound_memory();
    let mut table = Table::new("functions, and other profilers");
    let threads = status("Threads");
    // Ours first: what the others start is not there yet.
    table.figure("memory after 100 M calls of ours, KiB more", "0", |measuring| {
        our_loop(1_000_000);
        let before = status("VmRSS");
        our_loop(if measuring { 100_000_000 } else { 1 });
        format!("{:+}, and {:+} threads", status("VmRSS") - before, status("Threads") - threads)
    });

    std::mem::forget(hotpath::HotpathGuardBuilder::new("bench").build());
    fastrace::set_reporter(Forgets, Config::default());
    let subscriber = tracing_subscriber::registry().with(tracing_subscriber::layer::Identity::new());
    tracing::subscriber::set_global_default(subscriber).expect("the first one");

    let peers: [Peer; 4] = [
        ("#[profiled]", our_loop, Target::Added(1.5)),
        ("hotpath", hotpath_loop, Target::Open),
        ("fastrace", fastrace_loop, Target::Open),
        ("tracing, registry", tracing_loop, Target::Open),
    ];
    // What hotpath's threads tell its collector lies in a queue without a bound: 24 GB after some minutes without a pause.
    let pause = || std::thread::sleep(Duration::from_millis(5));
    for (name, with, target) in peers {
        let (with, without) = (|n| timed(|| with(n)), |n| timed(|| plain_loop(n)));
        let pairs = [Pair { with: &with, without: &without }];
        table.row_of(&format!("a call: {name}"), target, CALLS, PAIRS, &pairs, &pause);
    }
    let team = &Team::new(2);
    for (name, with, target) in peers {
        let (with, without): (Job, Job) = (Arc::new(with), Arc::new(plain_loop));
        let (with, without) = (|n| team.run_abreast(&with, n), |n| team.run_abreast(&without, n));
        let pairs = [Pair { with: &with, without: &without }];
        table.row_of(&format!("on two threads: {name}"), target, 2 * CALLS, PAIRS / 8, &pairs, &pause);
    }
    for (name, with, _) in peers {
        table.figure(&format!("CPU time a call, all threads: {name}"), "-", |measuring| {
            let calls = if measuring { 2_000_000 } else { 1 };
            let of = |work: fn(u64)| {
                let before = cpu_time();
                work(calls);
                // What works behind the scenes is done with it by then.
                std::thread::sleep(Duration::from_millis(if measuring { 300 } else { 0 }));
                (cpu_time() - before).as_nanos() as f64 / calls as f64
            };
            let least = |work| (0..5).map(|_| of(work)).fold(f64::INFINITY, f64::min);
            format!("{:+.2} ns", least(with) - least(plain_loop))
        });
    }
    let size = size_of_val(&large());
    for (name, grown, target) in [
        ("#[profiled]", size_of_val(&our_large()), "32"),
        ("hotpath", size_of_val(&hotpath_large()), "-"),
        ("fastrace", size_of_val(&fastrace_large()), "-"),
        ("tracing", size_of_val(&tracing_large()), "-"),
    ] {
        table.figure(&format!("a future of {size} bytes: {name}"), target, |_| {
            format!("{:+} bytes", grown as i64 - size as i64)
        });
    }
}
