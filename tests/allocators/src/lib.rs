#![expect(unsafe_code, reason = "allocators, and blocks by hand")]
//! What must hold around any allocator. Each has a test of its own that is this with [`cases!`].
use std::alloc::{GlobalAlloc, Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use profiled::Format;
use profiled_test_profiles::heap::{Dice, exactly, look, values};
use profiled_test_profiles::stress;
use profiled_test_profiles::truth::{self, Estimate, Exact, workload};

/// Between the profiler and the allocator: refuses one size, and notes what arrives.
#[derive(Clone, Copy, Debug)]
pub struct Watch<A>(pub Exact<A>);

/// A block of this size is refused.
pub const REFUSED: usize = 77_777;

static NO_BYTES: AtomicUsize = AtomicUsize::new(0);
static MOVED: AtomicUsize = AtomicUsize::new(0);
static STAYED: AtomicUsize = AtomicUsize::new(0);

fn arrives(size: usize) -> bool {
    NO_BYTES.fetch_add(usize::from(size == 0), Relaxed);
    size != REFUSED
}

// SAFETY: all blocks are the other allocator's.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Watch<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        if arrives(layout.size()) { unsafe { self.0.alloc(layout) } } else { null_mut() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        if arrives(layout.size()) { unsafe { self.0.alloc_zeroed(layout) } } else { null_mut() }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        arrives(layout.size());
        // SAFETY: passed on.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !arrives(size) {
            return null_mut();
        }
        let before = block.addr();
        // SAFETY: passed on.
        let block = unsafe { self.0.realloc(block, layout, size) };
        let which = if block.addr() == before { &STAYED } else { &MOVED };
        which.fetch_add(1, Relaxed);
        block
    }
}

/// A block whose first and last byte are looked at when it goes.
#[derive(Debug)]
pub struct Block(*mut u8, Layout);

// SAFETY: memory of its own.
unsafe impl Send for Block {}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

impl Block {
    fn of(block: *mut u8, layout: Layout) -> Block {
        assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()));
        // SAFETY: both lie in the block.
        unsafe {
            block.write(1);
            block.add(layout.size() - 1).write(1);
        }
        Block(block, layout)
    }

    #[inline(never)]
    fn plain(size: usize) -> Block {
        // SAFETY: the size is not zero.
        Block::of(unsafe { alloc(layout(size, 8)) }, layout(size, 8))
    }

    #[inline(never)]
    fn zeroed(size: usize) -> Block {
        // SAFETY: the size is not zero; all of it lies in the block.
        unsafe {
            let block = alloc_zeroed(layout(size, 8));
            assert!((0..size).all(|at| *block.add(at) == 0));
            Block::of(block, layout(size, 8))
        }
    }

    #[inline(never)]
    fn aligned(size: usize, align: usize) -> Block {
        // SAFETY: the size is not zero.
        Block::of(unsafe { alloc(layout(size, align)) }, layout(size, align))
    }

    #[inline(never)]
    fn resized(self, size: usize) -> Block {
        let (block, old) = (self.0, self.1);
        std::mem::forget(self);
        // SAFETY: ours, and the size is not zero.
        Block::of(unsafe { realloc(block, old, size) }, layout(size, old.align()))
    }

    /// Asks for what is refused, and keeps the block.
    #[inline(never)]
    fn refused(&self) -> [bool; 3] {
        // SAFETY: the size is not zero, the block is ours.
        let asked = unsafe {
            [realloc(self.0, self.1, REFUSED), alloc(layout(REFUSED, 8)), alloc_zeroed(layout(REFUSED, 8))]
        };
        asked.map(|block| black_box(block).is_null())
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: ours.
        unsafe {
            assert_eq!((self.0.read(), self.0.add(self.1.size() - 1).read()), (1, 1));
            dealloc(self.0, self.1);
        }
    }
}

/// Nothing that takes no memory may reach an allocator.
fn nothing() {
    let (mut grown, zero) = (vec![1_u8; 100], black_box(vec![(); 1000]));
    grown.clear();
    grown.shrink_to_fit();
    drop(black_box((grown, zero, Vec::<u64>::with_capacity(0), Box::new([0_u64; 0]))));
    assert_eq!(NO_BYTES.load(Relaxed), 0);
}

/// At rate 1 every block is there.
///
/// # Panics
/// If not.
pub fn every_block_is_there(in_place: bool) {
    const MIB: usize = 1 << 20;
    profiled::heap::set_rate(1);
    let plain: Vec<Block> = (0..100).map(|_| Block::plain(40)).collect();
    let zeroed: Vec<Block> = (0..10).map(|n| Block::zeroed(48 << n)).collect();
    let aligned: Vec<Block> = (4..=20).map(|n| Block::aligned(72, 1 << n)).collect();
    let large = Block::aligned(3 * MIB, MIB);
    // A little more and a little less: most allocators leave it where it is.
    let little: Vec<Block> = (0..50).map(|_| Block::plain(990).resized(1000).resized(995)).collect();
    let stayed = STAYED.load(Relaxed);
    // Much more, where something else lies behind.
    let more: Vec<Block> = (0..50).map(|_| Block::plain(1100)).collect();
    let more: Vec<Block> = more.into_iter().map(|block| block.resized(100_001)).collect();
    assert!(MOVED.load(Relaxed) > 0 && (stayed > 0) == in_place, "{MOVED:?} {STAYED:?}");
    let refused = Block::plain(555);
    assert_eq!(refused.refused(), [true; 3]);
    nothing();

    let heap = look();
    let found = |function: &str, size| values(&heap, &format!("Block::{function}"), size);
    assert_eq!(found("plain", 40), exactly(40, 100, 100));
    (0..10).for_each(|n| assert_eq!(found("zeroed", 48 << n), exactly(48 << n, 1, 1)));
    assert_eq!(found("aligned", 72), exactly(72, 17, 17));
    assert_eq!(found("aligned", 3 * MIB), exactly(3 * MIB, 1, 1));
    assert_eq!(found("plain", 990), exactly(990, 50, 0));
    assert_eq!(found("resized", 1000), exactly(1000, 50, 0));
    assert_eq!(found("resized", 995), exactly(995, 50, 50));
    assert_eq!(found("plain", 1100), exactly(1100, 50, 0));
    assert_eq!(found("resized", 100_001), exactly(100_001, 50, 50));
    assert_eq!(found("plain", 555), exactly(555, 1, 1), "a block that could not grow is still there");
    assert_eq!(values(&heap, "Block::", REFUSED), [0; 4], "what was refused is nowhere");

    // What one thread has, another frees.
    thread::spawn(move || drop((plain, zeroed, aligned, large, little, more, refused)))
        .join()
        .expect("frees");
    let heap = look();
    assert_eq!(heap.total_of("inuse_objects", &["Block::"]), 0);
    assert_eq!(heap.total_of("alloc_objects", &["Block::"]), 100 + 10 + 17 + 1 + 150 + 100 + 1);
    assert_eq!(NO_BYTES.load(Relaxed), 0);
}

/// Estimates of what is allocated and what is alive are good to their standard error.
///
/// # Panics
/// If not.
pub fn estimates_are_right() {
    const RATE: u64 = 4096;
    // Tables of unwinding: not the workload's.
    profiled::heap::set_rate(1);
    drop(black_box(Box::new(1_u64)));
    profiled::heap::set_rate(RATE);
    let snapshot = || profiled::lookup("heap").expect("predefined").snapshot();
    let run = |seed: u64, n: usize| -> [f64; 2] {
        truth::begin();
        let before = Estimate::of(&truth::rows(&snapshot(), "mixed"), RATE)[0];
        let mut dice = Dice(seed);
        let mut build = || {
            workload("mixed", || {
                let mut kept = Vec::with_capacity(n);
                for n in 0..n {
                    let size = (16.0 * (dice.below(40) as f64 / 4.0).exp2()) as usize;
                    let block = match dice.below(4) {
                        0 => Block::plain(size),
                        1 => Block::zeroed(size),
                        2 => Block::aligned(size, 16 << dice.below(8)),
                        _ => Block::plain(size).resized(size + size / 2),
                    };
                    if n % 3 > 0 {
                        kept.push(block);
                    }
                }
                kept
            })
        };
        let kept = build();
        let exact = truth::bytes(&truth::counted());
        let [ever, live] = Estimate::of(&truth::rows(&snapshot(), "mixed"), RATE);
        let found = [ever.since(before), live];
        assert!(live.samples >= 1000.0, "a run too lean: {live:?}");
        thread::scope(|scope| scope.spawn(|| workload("mixed", || drop(kept))).join().expect("frees"));
        assert!(truth::rows(&snapshot(), "mixed").values().all(|row| row[2..] == [0, 0]));
        [0, 1].map(|which| (found[which].bytes - exact[which]) / found[which].variance.sqrt())
    };
    let mut sums = [0.0; 2];
    for seed in 0..10 {
        let mut z = run(seed, 6000);
        if z.iter().any(|z| z.abs() > 4.0) {
            // One of 15 000 is that far off by chance; none of four times the length after it.
            z = run(seed, 24_000);
        }
        assert!(z.iter().all(|z| z.abs() <= 4.0), "seed {seed}: {z:?} standard errors off");
        sums.iter_mut().zip(z).for_each(|(sum, z)| *sum += z);
    }
    // The mean of 10 independent ones has an error of 1/sqrt(10).
    assert!(sums.iter().all(|sum| sum.abs() / 10.0 <= 4.0 / 10_f64.sqrt()), "{sums:?} in ten runs");
}

/// Blocks go from thread to thread, at rate 1.
///
/// # Panics
/// If one is lost or stays.
pub fn threads_pass_blocks_on() {
    const EACH: usize = 5000;
    profiled::heap::set_rate(1);
    let kept = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for seed in 0..4 {
            let (send, receive) = mpsc::sync_channel::<Block>(100);
            scope.spawn(move || {
                let mut dice = Dice(seed);
                for n in 0..EACH {
                    let size = 16 + 16 * dice.below(9);
                    let block = if n % 2 == 0 { Block::plain(size) } else { Block::zeroed(size) };
                    send.send(block).expect("somebody takes it");
                }
            });
            let kept = &kept;
            scope.spawn(move || {
                for (n, block) in receive.iter().enumerate() {
                    let block = block.resized(24);
                    if n % 50 == 0 {
                        kept.lock().expect("nobody failed").push(block);
                    }
                }
            });
        }
    });
    let heap = look();
    let made =
        ["plain", "zeroed"].map(|function| heap.total_of("alloc_objects", &[&format!("Block::{function}")]));
    assert_eq!(made.iter().sum::<i64>(), 4 * EACH as i64);
    assert_eq!(values(&heap, "Block::resized", 24), exactly(24, 4 * EACH as i64, 4 * EACH as i64 / 50));
    assert_eq!(heap.total_of("inuse_objects", &["Block::"]), 4 * EACH as i64 / 50);
    drop(kept);
    assert_eq!(look().total_of("inuse_objects", &["Block::"]), 0);
}

profiled::profile! { static GUESTS = "guests"; }

/// Children are right and nobody hangs, although other threads allocate and write profiles while the process forks: an
/// allocator may stop its own locks for the fork, before the profiler does or after.
///
/// # Panics
/// If a child fails or hangs.
pub fn children_are_right() {
    profiled::heap::set_rate(4096);
    let stop = AtomicBool::new(false);
    let mut forks = 0;
    thread::scope(|scope| {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Relaxed);
            }
        }
        let _stop = Stop(&stop);
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                drop((0..50).map(|n| Block::plain(100 + n)).collect::<Vec<_>>());
                thread::sleep(Duration::from_micros(100));
            }
        });
        // The map of members allocates, under a lock of the profiler's.
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                (0..64).for_each(|n| GUESTS.add(n, 0).expect("not there"));
                assert!((0..64).all(|n| GUESTS.remove(n)));
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                    for format in [Format::Pprof, Format::Text] {
                        let snapshot = profiled::lookup("heap").expect("predefined").snapshot();
                        snapshot.write(std::io::sink(), format).expect("sinks");
                    }
                }
            });
        }
        let begin = Instant::now();
        while forks < 20 || begin.elapsed() < stress() {
            // SAFETY: what the child runs is under test: it has one thread, and allocators' locks in order.
            let id = unsafe { libc::fork() };
            if id == 0 {
                // SAFETY: takes a number. Who hangs is killed, and that is seen.
                unsafe { libc::alarm(60) };
                let lived = std::panic::catch_unwind(|| {
                    profiled::heap::set_rate(1);
                    let mut blocks: Vec<Block> = (0..30).map(|_| Block::aligned(333, 256)).collect();
                    blocks.truncate(7);
                    GUESTS.add("child", 0).expect("not there");
                    if forks % 8 == 0 {
                        assert_eq!(values(&look(), "Block::aligned", 333), exactly(333, 30, 7));
                    }
                });
                // SAFETY: ends the child without what the parent registered.
                unsafe { libc::_exit(i32::from(lived.is_err())) };
            }
            let mut status = 0;
            // SAFETY: our child, and a good pointer.
            unsafe { libc::waitpid(id, &raw mut status, 0) };
            assert_eq!(status, 0, "child {forks} ended with {status:#x}");
            forks += 1;
        }
    });
    eprintln!("{forks} forks");
    assert_eq!(look().total_of("inuse_objects", &["Block::"]), 0);
}

/// The tests of an allocator: `cases!(in_place: true)` if it leaves blocks that grow a little where they are.
#[macro_export]
macro_rules! cases {
    (in_place: $in_place:expr) => {
        #[test]
        fn every_block_is_there() {
            profiled_test_profiles::alone("every_block_is_there", || $crate::every_block_is_there($in_place));
        }

        #[test]
        fn estimates_are_right() {
            profiled_test_profiles::alone("estimates_are_right", $crate::estimates_are_right);
        }

        #[test]
        fn threads_pass_blocks_on() {
            profiled_test_profiles::alone("threads_pass_blocks_on", $crate::threads_pass_blocks_on);
        }

        #[test]
        fn children_are_right() {
            profiled_test_profiles::alone("children_are_right", $crate::children_are_right);
        }
    };
}
