#![expect(unsafe_code, reason = "calls allocators, and is one")]
//! Heap profilers in the same run: the system's allocator, mimalloc and jemalloc, each alone and under `profiled`, and
//! jemalloc with the profiler of its own.
//!
//! `cargo bench -p profiled-test-peers --bench heap` takes five minutes. With and without take turns in one process, slice
//! by slice. jemalloc decides at its start whether it can profile at all, so that its own table comes from a child
//! process in which it can; what takes turns there is whether it does, by `prof.active`. What it costs to be able to is in
//! neither column then.
#[path = "../../../runtime/benches/heap/mod.rs"]
mod heap;
#[path = "../../../runtime/benches/measure/mod.rs"]
mod measure;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::CStr;
use std::hint::black_box;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use heap::{BATCH, Sizes, batches, churn, layout, map, mix, pair, resident_bytes};
use measure::{Pair, Table, Target, timed};
use mimalloc::MiMalloc;
use profiled::Allocator;
use tikv_jemallocator::Jemalloc;

const DEFAULT_RATE: u64 = 512 * 1024;

/// Allocations of a child that is asked for its memory, and the rate then, 1 in 16 KiB.
const LONG: u64 = 100_000_000;
const LONG_RATE: u64 = 16 << 10;

static OVER_SYSTEM: Allocator = Allocator::system();
static OVER_MIMALLOC: Allocator<MiMalloc> = Allocator::new(MiMalloc);
static OVER_JEMALLOC: Allocator<Jemalloc> = Allocator::new(Jemalloc);

/// What code that allocates by itself is measured with, chosen before each slice. All pay for the choice, and whatever a
/// slice allocates it frees.
struct Chosen;
static CHOICE: AtomicU8 = AtomicU8::new(SYSTEM);

const SYSTEM: u8 = 0;
const MIMALLOC: u8 = 1;
const JEMALLOC: u8 = 2;
/// Added to one of these: under `profiled`.
const WITH_US: u8 = 4;

#[global_allocator]
static GLOBAL: Chosen = Chosen;

macro_rules! dispatch {
    ($method:ident($($argument:expr),*)) => {
        match CHOICE.load(Relaxed) {
            MIMALLOC => MiMalloc.$method($($argument),*),
            JEMALLOC => Jemalloc.$method($($argument),*),
            4 => OVER_SYSTEM.$method($($argument),*),
            5 => OVER_MIMALLOC.$method($($argument),*),
            6 => OVER_JEMALLOC.$method($($argument),*),
            _ => System.$method($($argument),*),
        }
    };
}

// SAFETY: each call goes to one allocator as it came, and a slice's blocks go back to the one they came from.
unsafe impl GlobalAlloc for Chosen {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { dispatch!(alloc(layout)) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { dispatch!(dealloc(block, layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { dispatch!(alloc_zeroed(layout)) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { dispatch!(realloc(block, layout, size)) }
    }
}

fn chosen(choice: u8, work: impl FnOnce()) -> Duration {
    CHOICE.store(choice, Relaxed);
    let took = timed(work);
    CHOICE.store(SYSTEM, Relaxed);
    took
}

/// Writes a setting of jemalloc's; says whether it has it.
fn set<T>(name: &CStr, mut value: T) -> bool {
    // SAFETY: the names below take values of these types.
    unsafe {
        tikv_jemalloc_sys::mallctl(
            name.as_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            (&raw mut value).cast(),
            size_of::<T>(),
        ) == 0
    }
}

/// Has jemalloc take samples of one allocation in 2 to the power of `log` bytes from now on, and forget the others.
fn jemalloc_rate(log: usize) {
    assert!(set(c"prof.reset", log), "jemalloc was started without its profiler");
    // The distance that was drawn is gone to its end first.
    for _ in 0..200 {
        // SAFETY: the size is not zero.
        unsafe { Jemalloc.dealloc(black_box(Jemalloc.alloc(layout(64 << 10))), layout(64 << 10)) }
    }
}

fn jemalloc_samples(active: bool) {
    assert!(set(c"prof.active", active), "jemalloc was started without its profiler");
}

/// Two allocators, or one of two minds.
struct Contest<'a, Ours, Plain> {
    ours: (&'a Ours, u8),
    plain: (&'a Plain, u8),
    /// Called before each slice: with profiling, or without.
    switch: &'a dyn Fn(bool),
    /// The same where everything is to be sampled, or nothing; and with `None` afterwards.
    all: &'a dyn Fn(Option<bool>),
}

type Work<A> = fn(&A, &Sizes, u64);

/// A workload in four copies of its machine code, for both.
macro_rules! copies {
    ($work:ident) => {
        [
            ($work::<Ours, 1>, $work::<Plain, 1>),
            ($work::<Ours, 2>, $work::<Plain, 2>),
            ($work::<Ours, 3>, $work::<Plain, 3>),
            ($work::<Ours, 4>, $work::<Plain, 4>),
        ]
    };
}

impl<Ours: GlobalAlloc, Plain: GlobalAlloc> Contest<'_, Ours, Plain> {
    fn table(&self, title: &str) {
        let mut table = Table::new(title);
        let (small, all) = (&Sizes::between(16, 1024), &Sizes::between(16, 4096));
        self.row(&mut table, "16 B, allocated and freed", 1.03, small, copies!(pair));
        self.row(&mut table, "16 B to 4 KiB, allocated and freed", 1.10, all, copies!(mix));
        self.row(&mut table, "16 B to 1 KiB among 4 096 live ones", 1.04, small, copies!(churn));
        let with = |n| {
            (self.switch)(true);
            chosen(self.ours.1, || map(n))
        };
        let without = |n| {
            (self.switch)(false);
            chosen(self.plain.1, || map(n))
        };
        let maps = [Pair { with: &with, without: &without }];
        table.row("BTreeMap of texts", Target::Ratio(1.02), &maps);
        for (what, target, frees) in
            [("one sample, 30 frames", Target::Added(700.0), false), ("its free", Target::Open, true)]
        {
            let slice = |all, n| {
                (self.all)(Some(all));
                let took = if all { batches(self.ours.0, n, frees) } else { batches(self.plain.0, n, frees) };
                (self.all)(None);
                took
            };
            let (with, without) = (|n| slice(true, n), |n| slice(false, n));
            let pairs = [Pair { with: &with, without: &without }];
            table.row_of(what, target, 4 * BATCH as u64, 500, &pairs, &|| ());
        }
    }

    fn row(
        &self,
        table: &mut Table,
        what: &str,
        target: f64,
        sizes: &Sizes,
        copies: [(Work<Ours>, Work<Plain>); 4],
    ) {
        let slices = copies.map(|(ours, plain)| {
            let with = move |n| {
                (self.switch)(true);
                timed(|| ours(self.ours.0, sizes, n))
            };
            let without = move |n| {
                (self.switch)(false);
                timed(|| plain(self.plain.0, sizes, n))
            };
            (with, without)
        });
        let pairs: Vec<_> = slices.iter().map(|(with, without)| Pair { with, without }).collect();
        table.row(what, Target::Ratio(target), &pairs);
    }
}

/// An allocator under `profiled`, and alone.
fn over<A: GlobalAlloc>(title: &str, ours: &Allocator<A>, plain: &A, choice: u8) {
    let all = |all: Option<bool>| {
        profiled::heap::set_rate(all.map_or(DEFAULT_RATE, u64::from));
    };
    Contest { ours: (ours, choice + WITH_US), plain: (plain, choice), switch: &|_| (), all: &all }
        .table(title);
}

/// In a child whose jemalloc can profile.
fn jemallocs_own() {
    let all = |all: Option<bool>| {
        jemalloc_samples(all == Some(true));
        jemalloc_rate(if all == Some(true) { 0 } else { 19 });
    };
    let jemalloc = (&Jemalloc, JEMALLOC);
    Contest { ours: jemalloc, plain: jemalloc, switch: &jemalloc_samples, all: &all }
        .table("jemalloc with its own profiler");
}

/// What a child is told before the word that says what it does.
const CHILD: &str = "--child";

/// Runs this program with these arguments, and with jemalloc's settings.
fn child(arguments: &[&str], conf: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(arguments).env("_RJEM_MALLOC_CONF", conf);
    child
}

/// Churn with one of the allocators; prints how many bytes are resident then.
fn long(of: &str) {
    let sizes = &Sizes::between(16, 1024);
    profiled::heap::set_rate(LONG_RATE);
    match of {
        "System" => churn::<_, 0>(&System, sizes, LONG),
        "mimalloc" => churn::<_, 0>(&MiMalloc, sizes, LONG),
        "jemalloc" => churn::<_, 0>(&Jemalloc, sizes, LONG),
        "System with us" => churn::<_, 0>(&OVER_SYSTEM, sizes, LONG),
        "mimalloc with us" => churn::<_, 0>(&OVER_MIMALLOC, sizes, LONG),
        "jemalloc with us" => churn::<_, 0>(&OVER_JEMALLOC, sizes, LONG),
        other => panic!("{other}"),
    }
    println!("{}", resident_bytes());
}

fn resident(of: &str, conf: &str) -> f64 {
    let output = child(&[CHILD, of], conf).output().expect("a child");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of bytes")
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [CHILD, "--own", ..] => return jemallocs_own(),
        [CHILD, of] => return long(of),
        // Without `--bench`, as `cargo test --benches` runs it, nothing is measured.
        ref all if !all.contains(&"--bench") => return,
        _ => {}
    }
    // Our tables are built from memory of the system's, which nobody takes for another's.
    profiled::heap::set_rate(1);
    drop(black_box(with_us(|| Box::new(1))));
    profiled::heap::set_rate(DEFAULT_RATE);
    over("System, 1 sample in 512 KiB", &OVER_SYSTEM, &System, SYSTEM);
    over("mimalloc, 1 sample in 512 KiB", &OVER_MIMALLOC, &MiMalloc, MIMALLOC);
    over("jemalloc, 1 sample in 512 KiB", &OVER_JEMALLOC, &Jemalloc, JEMALLOC);
    let words: Vec<&str> = [CHILD, "--own"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let status = child(&words, "prof:true,prof_active:false,lg_prof_sample:19").status().expect("a child");
    assert!(status.success(), "{status}");

    let mut table = Table::new("resident after 100 M allocations of the churn");
    for of in ["System", "mimalloc", "jemalloc"] {
        table.figure(&format!("memory: {of} and us at 1 in 16 KiB, more"), "24 MB", |_| {
            difference(resident(of, ""), resident(&format!("{of} with us"), ""))
        });
    }
    table.figure("memory: jemalloc's own at 1 in 16 KiB, more", "-", |_| {
        difference(resident("jemalloc", ""), resident("jemalloc", "prof:true,lg_prof_sample:14"))
    });
}

fn difference(without: f64, with: f64) -> String {
    format!("{:+.1} MB, {:.1} without", (with - without) / 1e6, without / 1e6)
}

/// What `make` allocates comes from us, over the system's allocator.
fn with_us<T>(make: impl FnOnce() -> T) -> T {
    CHOICE.store(SYSTEM + WITH_US, Relaxed);
    let made = make();
    CHOICE.store(SYSTEM, Relaxed);
    made
}
