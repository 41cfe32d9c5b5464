#![expect(unsafe_code, reason = "calls allocators, and is one")]
//! What sampling the heap costs at its default rate: an allocation and its free, among much that is alive, after a spell
//! of sampling everything; what one sample does; and the memory that it all takes.
mod heap;
mod measure;

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use heap::{BATCH, Sizes, batches, churn, layout, map, mix, pair, resident_bytes, vector};
use measure::{Pair, Table, Target, timed};

type Profiled = profiled::Allocator<System>;
static PROFILED: Profiled = profiled::Allocator::system();

/// What code that allocates by itself is measured with: one of the two, chosen before each slice. Both pay for the
/// choice, and whatever a slice allocates it frees.
struct Chosen;
static WITH_US: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static GLOBAL: Chosen = Chosen;

// SAFETY: both allocate from the system, by the same rules: a block of the one may go back to the other.
unsafe impl GlobalAlloc for Chosen {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { if WITH_US.load(Relaxed) { PROFILED.alloc(layout) } else { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            if WITH_US.load(Relaxed) {
                PROFILED.dealloc(block, layout)
            } else {
                System.dealloc(block, layout)
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            if WITH_US.load(Relaxed) { PROFILED.alloc_zeroed(layout) } else { System.alloc_zeroed(layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            if WITH_US.load(Relaxed) {
                PROFILED.realloc(block, layout, size)
            } else {
                System.realloc(block, layout, size)
            }
        }
    }
}

fn chosen(with_us: bool, work: impl FnOnce()) -> Duration {
    WITH_US.store(with_us, Relaxed);
    let took = timed(work);
    WITH_US.store(false, Relaxed);
    took
}

/// Time of `times` batches of allocations, 30 functions deep, or of their frees.
fn sampled(rate: u64, times: u64, frees: bool) -> Duration {
    profiled::heap::set_rate(rate);
    let took = batches(&PROFILED, times, frees);
    profiled::heap::set_rate(DEFAULT_RATE);
    took
}

const DEFAULT_RATE: u64 = 512 * 1024;

/// Gives addresses with no memory behind them, one after another: for blocks that are alive and that nobody looks at.
struct Dense;
static DENSE: profiled::Allocator<Dense> = profiled::Allocator::new(Dense);
/// The next one.
static NEXT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: no rule for memory is kept, as there is none; this bench only gives the blocks back.
unsafe impl GlobalAlloc for Dense {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        std::ptr::without_provenance_mut(NEXT.fetch_add(layout.size(), Relaxed))
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// Blocks that are alive together, from [`DENSE`].
struct Alive<'a> {
    sizes: &'a Sizes,
    start: usize,
    bytes: usize,
}

impl<'a> Alive<'a> {
    /// So many bytes of blocks. They lie 64 TiB beyond the blocks that the workloads get, as much of them before that
    /// place as behind it: whatever part of an address a filter looks at, both share its entries.
    fn new(bytes: usize, sizes: &'a Sizes) -> Alive<'a> {
        let workload = Box::new([0_u8; 500]);
        let start = (workload.as_ptr().addr() & !0xfff) + (64 << 40) - bytes / 2;
        let alive = Alive { sizes, start, bytes };
        NEXT.store(start, Relaxed);
        alive.each(|_, layout| {
            // SAFETY: the size is not zero.
            unsafe { DENSE.alloc(layout) };
        });
        alive
    }

    fn each(&self, mut f: impl FnMut(usize, Layout)) {
        let mut at = self.start;
        for n in 0.. {
            let size = self.sizes.get(n);
            if at + size > self.start + self.bytes {
                return;
            }
            f(at, layout(size));
            at += size;
        }
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.each(|at, layout| {
            // SAFETY: allocated in `new`, with this layout.
            unsafe { DENSE.dealloc(std::ptr::without_provenance_mut(at), layout) };
        });
    }
}

/// Every allocation sampled for a while, as of an allocator that packs small blocks: 256 of them in a page.
fn spell(bytes: usize) {
    profiled::heap::set_rate(1);
    drop(Alive::new(bytes, &Sizes::between(16, 16)));
    profiled::heap::set_rate(DEFAULT_RATE);
}

/// Allocations of a child that is asked for its memory.
const LONG: u64 = 100_000_000;

/// What the child processes are told, and what they do: churn, and print how many bytes they have resident then.
const CHILD: &str = "--churn";

fn child(with_us: bool, times: u64) {
    let sizes = Sizes::between(16, 1024);
    profiled::heap::set_rate(16 << 10);
    if with_us {
        churn::<_, 0>(&PROFILED, &sizes, times)
    } else {
        churn::<_, 0>(&System, &sizes, times)
    }
    println!("{}", resident_bytes());
}

fn resident(with_us: bool, times: u64) -> f64 {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    let output = child.args([CHILD, &with_us.to_string(), &times.to_string()]).output().expect("a child");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of bytes")
}

/// One workload with both allocators, in several copies.
macro_rules! row {
    ($table:ident, $what:expr, $target:literal, $work:ident, $sizes:expr, $($copy:literal)*) => {
        let slices = [$((
            $work::<System, $copy> as fn(&System, &Sizes, u64),
            $work::<Profiled, $copy> as fn(&Profiled, &Sizes, u64),
        )),*]
        .map(|(plain, profiled)| {
            (move |n| timed(|| plain(&System, $sizes, n)), move |n| timed(|| profiled(&PROFILED, $sizes, n)))
        });
        let pairs: Vec<_> = slices.iter().map(|(without, with)| Pair { with, without }).collect();
        $table.row($what, Target::Ratio($target), &pairs);
    };
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [CHILD, with_us, times] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return child(with_us == "true", times.parse().expect("a number"));
    }
    let mut table = Table::new("allocator, 1 sample in 512 KiB");
    let (small, all) = (&Sizes::between(16, 1024), &Sizes::between(16, 4096));
    row!(table, "16 B, allocated and freed", 1.03, pair, small, 1 2 3 4 5 6 7 8 9 10 11);
    row!(table, "16 B to 4 KiB, allocated and freed", 1.10, mix, all, 1 2 3 4);
    row!(table, "16 B to 1 KiB among 4 096 live ones", 1.04, churn, small, 1 2 3 4);

    let with = |n| chosen(true, || map(n));
    let without = |n| chosen(false, || map(n));
    table.row("BTreeMap of texts", Target::Ratio(1.02), &[Pair { with: &with, without: &without }]);

    let with = |n| chosen(true, || vector(n));
    let without = |n| chosen(false, || vector(n));
    let grown = [Pair { with: &with, without: &without }];
    table.row_of("a vector grown to 16 Mi numbers", Target::Ratio(1.00), 1, 60, &grown, &|| ());

    // The same churn, where the filter that each free asks is as full as it is in a large program.
    let part = if table.measures() { 1 } else { 64 };
    let with_alive = |bytes: usize| Alive::new(bytes / part, all);
    if table.wants(CHURN_1) {
        let _alive = with_alive(1 << 30);
        row!(table, CHURN_1, 1.04, churn, small, 1 2 3 4);
    }
    if table.wants(CHURN_8) {
        let _alive = with_alive(8 << 30);
        row!(table, CHURN_8, 1.04, churn, small, 1 2 3 4);
    }
    let with = |n| sampled(1, n, false);
    let without = |n| sampled(0, n, false);
    let sample = [Pair { with: &with, without: &without }];
    table.row_of("one sample, 30 frames", Target::Added(700.0), 4 * BATCH as u64, 500, &sample, &|| ());
    let with = |n| sampled(1, n, true);
    let without = |n| sampled(0, n, true);
    let free = [Pair { with: &with, without: &without }];
    table.row_of("its free", Target::Open, 4 * BATCH as u64, 500, &free, &|| ());

    // The last one: what is left of the spell would slow down the others.
    if table.wants(CHURN_SPELL) {
        spell((8 << 20) / part);
        row!(table, CHURN_SPELL, 1.04, churn, small, 1 2 3 4);
    }

    table.figure("resident after 100 M at 1 in 16 KiB, more", "24 MB", |measuring| {
        let times = if measuring { LONG } else { 10_000 };
        let (with, without) = (resident(true, times), resident(false, times));
        format!("{:+.1} MB, {:.1} without", (with - without) / 1e6, without / 1e6)
    });
}

const CHURN_1: &str = "the same beside 1 GiB live";
const CHURN_8: &str = "the same beside 8 GiB live";
const CHURN_SPELL: &str = "the same after a spell at rate 1";
