//! Storms of allocations, threads and forks at rates that change, while others read. `PROFILED_STRESS_SECONDS` each.
//!
//! What must not be would end the process in `Checked`. What must be is asserted: while it blows no row has more alive
//! than allocated and no total shrinks, and when all is freed nothing is in use, to the last block.
#![expect(unsafe_code, reason = "allocations and forks by hand")]
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use profiled::{Format, LabelValue};
use profiled_test_profiles::heap::Dice;
use profiled_test_profiles::{alone, read, stress};
use profiled_test_storms::{ALONE, Checked, reused};

#[global_allocator]
static ALLOCATOR: profiled::Allocator<Checked> = profiled::Allocator::new(Checked);

const RATES: [u64; 4] = [1, 512, 512 * 1024, 0];

/// A block of the storm's, which knows what it holds.
struct Block(*mut u8, Layout);

// SAFETY: memory of its own.
unsafe impl Send for Block {}

/// Blocks and bytes that the storm allocated, but for those on threads that are never sampled.
static BLOCKS_SEEN: AtomicU64 = AtomicU64::new(0);
static BYTES_SEEN: AtomicU64 = AtomicU64::new(0);

fn counted(size: usize) {
    if !UNSEEN.get() {
        BLOCKS_SEEN.fetch_add(1, Relaxed);
        BYTES_SEEN.fetch_add(size as u64, Relaxed);
    }
}

thread_local! {
    static UNSEEN: Cell<bool> = const { Cell::new(false) };
}

/// Sizes that go out again soon, and a few large ones.
fn size(dice: &mut Dice) -> usize {
    1 + match dice.below(100) {
        0 => 20_000 * dice.below(10),
        1..10 => 500 * dice.below(10),
        _ => dice.below(120),
    }
}

impl Block {
    fn new(dice: &mut Dice) -> Block {
        let align = if dice.below(20) == 0 { 1 << dice.below(13) } else { 8 };
        let layout = Layout::from_size_align(size(dice), align).unwrap();
        counted(layout.size());
        // SAFETY: the size is not zero.
        let block = unsafe {
            if dice.below(3) == 0 {
                let block = alloc_zeroed(layout);
                assert!((0..layout.size()).all(|at| *block.add(at) == 0), "zeroed is zero");
                block
            } else {
                alloc(layout)
            }
        };
        assert!(block.addr().is_multiple_of(align));
        let block = Block(block, layout);
        block.fill();
        block
    }

    /// The first and last bytes say whose they are.
    fn fill(&self) {
        // SAFETY: both lie in the block.
        unsafe {
            self.0.write(self.0.addr() as u8 ^ 0x5a);
            self.0.add(self.1.size() - 1).write((self.0.addr() >> 4) as u8 | 1);
        }
    }

    fn check(&self) {
        // SAFETY: as above.
        let found = unsafe { (self.0.read(), self.0.add(self.1.size() - 1).read()) };
        let last = (self.0.addr() >> 4) as u8 | 1;
        let first = if self.1.size() == 1 { last } else { self.0.addr() as u8 ^ 0x5a };
        assert_eq!(found, (first, last), "somebody else wrote to it");
    }

    fn resize(&mut self, dice: &mut Dice) {
        self.check();
        let size = size(dice);
        counted(size);
        // SAFETY: ours, and the size is not zero.
        self.0 = unsafe { realloc(self.0, self.1, size) };
        self.1 = Layout::from_size_align(size, self.1.align()).unwrap();
        self.fill();
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.check();
        // SAFETY: ours.
        unsafe { dealloc(self.0, self.1) }
    }
}

/// What `f` allocates has a label, by which it is found.
fn storm<R>(phase: &str, f: impl FnOnce() -> R) -> R {
    profiled::labels::with(&[("storm", phase)], f)
}

/// The four values of all rows of a phase, each of which must make sense.
fn totals(phase: &str) -> [i64; 4] {
    let snapshot = profiled::lookup("heap").expect("predefined").snapshot();
    let mut sums = [0; 4];
    for sample in snapshot.samples() {
        let &[allocated, space, live, live_space] = sample.values() else { panic!("four values") };
        assert!(0 <= live && live <= allocated && 0 <= live_space && live_space <= space, "{sample:?}");
        if sample.labels().any(|label| label == ("storm", LabelValue::Str(phase))) {
            sums.iter_mut().zip(sample.values()).for_each(|(sum, value)| *sum += value);
        }
    }
    sums
}

/// Ends what waits for `stop`, when a test fails, too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// While `f` runs: one thread changes the rate, another takes snapshots and writes profiles.
fn under_observation(phase: &str, rates: &[u64], f: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for rate in rates.iter().cycle().take_while(|_| !stop.load(Relaxed)) {
                profiled::heap::set_rate(*rate);
                thread::sleep(Duration::from_millis(3));
            }
        });
        scope.spawn(|| {
            let mut before = [0; 2];
            while !stop.load(Relaxed) {
                let [allocated, space, ..] = totals(phase);
                assert!(allocated >= before[0] && space >= before[1], "what was allocated stays so");
                before = [allocated, space];
                profiled::lookup("allocs").unwrap().snapshot().write(std::io::sink(), Format::Pprof).unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
        let _stop = Stop(&stop);
        f();
    });
}

/// Places where threads leave blocks for others.
struct Places(Vec<Mutex<Option<Block>>>);

impl Places {
    fn new() -> Places {
        Places((0..64).map(|_| Mutex::new(None)).collect())
    }

    fn swap(&self, dice: &mut Dice, block: Option<Block>) -> Option<Block> {
        std::mem::replace(&mut self.0[dice.below(64)].lock().unwrap(), block)
    }

    /// What a thread of the storm does, until `end`: most blocks are freed where they were not allocated.
    fn work(&self, phase: &str, seed: u64, end: impl Fn(u64) -> bool) {
        let mut dice = Dice(seed);
        for turn in 0.. {
            if end(turn) {
                return;
            }
            storm(phase, || {
                let block = Block::new(&mut dice);
                let other = self.swap(&mut dice, Some(block));
                if let Some(mut block) = other
                    && dice.below(2) == 0
                {
                    block.resize(&mut dice);
                    drop(self.swap(&mut dice, Some(block)));
                }
            });
        }
    }

    /// How many blocks of each size there are.
    fn sizes(&self) -> BTreeMap<i64, i64> {
        let mut sizes = BTreeMap::new();
        for place in &self.0 {
            if let Some(block) = &*place.lock().unwrap() {
                *sizes.entry(block.1.size() as i64).or_default() += 1;
            }
        }
        sizes
    }
}

/// Blocks that are alive, by size.
fn live_sizes(phase: &str) -> BTreeMap<i64, i64> {
    let snapshot = profiled::lookup("heap").expect("predefined").snapshot();
    let mut sizes = BTreeMap::new();
    for sample in snapshot.samples() {
        let size = sample.labels().find_map(|label| match label {
            ("bytes", LabelValue::Num(size, _)) => Some(size),
            _ => None,
        });
        let live = sample.values()[2];
        if live > 0 && sample.labels().any(|label| label == ("storm", LabelValue::Str(phase))) {
            *sizes.entry(size.expect("a size")).or_default() += live;
        }
    }
    sizes
}

/// On four threads that begin at rate 1 everything is counted, and the blocks that are left are the ones that are in
/// use. Two others, which are never sampled, use the same memory by turns: what they free must not take out the
/// block that another thread has at that address by then.
fn exactly() {
    /// Never reached.
    const NEVER: u64 = 1 << 50;
    let (places, unseen) = (Places::new(), Places::new());
    let (stop, ready) = (AtomicBool::new(false), Barrier::new(3));
    let mut before = [0; 2];
    thread::scope(|scope| {
        profiled::heap::set_rate(NEVER);
        let _stop = Stop(&stop);
        for seed in 10..12 {
            let (unseen, stop, ready) = (&unseen, &stop, &ready);
            scope.spawn(move || {
                UNSEEN.set(true);
                // From here on it has its distance.
                drop(black_box(Box::new(seed)));
                ready.wait();
                unseen.work("unseen", seed, |_| stop.load(Relaxed));
            });
        }
        ready.wait();
        profiled::heap::set_rate(1);
        before = [BLOCKS_SEEN.load(Relaxed), BYTES_SEEN.load(Relaxed)];
        under_observation("exact", &[1], || {
            thread::scope(|scope| {
                for seed in 0..4 {
                    let places = &places;
                    scope.spawn(move || places.work("exact", seed, |turn| turn == 10_000));
                }
            });
        });
    });
    let allocated =
        [BLOCKS_SEEN.load(Relaxed) - before[0], BYTES_SEEN.load(Relaxed) - before[1]].map(|n| n as i64);
    let found = totals("exact");
    assert_eq!([found[0], found[1]], allocated);
    assert_eq!(live_sizes("exact"), places.sizes());
    assert_eq!(totals("unseen"), [0; 4]);
    drop((places, unseen));
    assert_eq!(totals("exact"), [allocated[0], allocated[1], 0, 0]);
}

#[test]
fn allocations() {
    alone("allocations", || {
        let places = Places::new();
        let begin = Instant::now();
        under_observation("blows", &RATES, || {
            thread::scope(|scope| {
                for seed in 0..4 {
                    let places = &places;
                    scope.spawn(move || places.work("blows", seed, |_| begin.elapsed() >= stress()));
                }
            });
        });
        drop(places);
        let [allocated, _, live @ ..] = totals("blows");
        assert!(allocated > 0 && live == [0, 0], "{allocated} allocated, alive: {live:?}");
        exactly();
        assert!(reused() > 1000, "memory that was just freed was hardly used again: {}", reused());
    });
}

/// Allocates when its thread ends, when it is dropped after other thread-locals, and leaves that to others.
struct Last(Vec<Block>);

impl Drop for Last {
    fn drop(&mut self) {
        storm("churns", || {
            let mut dice = Dice(self.0.len() as u64);
            self.0.push(Block::new(&mut dice));
            LEFT.lock().unwrap().append(&mut self.0);
        });
    }
}

static LEFT: Mutex<Vec<Block>> = Mutex::new(Vec::new());

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last(Vec::new())) };
}

/// A short life: some blocks are freed, some kept until the thread ends, some left to others.
fn life(seed: u64) {
    storm("churns", || {
        let mut dice = Dice(seed);
        let mut own = Vec::new();
        for _ in 0..dice.below(40) {
            own.push(Block::new(&mut dice));
            if dice.below(2) == 0 {
                let at = dice.below(own.len());
                own[at].resize(&mut dice);
            }
        }
        LAST.with_borrow_mut(|last| last.0.extend(own.drain(own.len() / 2..)));
        let others: Vec<Block> = {
            let mut left = LEFT.lock().unwrap();
            let some = left.len() / 2;
            left.drain(some..).collect()
        };
        drop(others);
    });
}

#[test]
fn threads() {
    alone("threads", || {
        let begin = Instant::now();
        let mut lives = 0;
        under_observation("churns", &RATES, || {
            while begin.elapsed() < stress() {
                thread::scope(|scope| {
                    for _ in 0..20 {
                        lives += 1;
                        scope.spawn(move || life(lives));
                    }
                });
            }
        });
        // A scope ends before the destructors of its threads' thread-locals have: those are waited for.
        let begin = Instant::now();
        loop {
            storm("churns", || LEFT.lock().unwrap().clear());
            storm("churns", || LEFT.lock().unwrap().shrink_to_fit());
            let [allocated, _, live @ ..] = totals("churns");
            if live == [0, 0] && allocated > 0 {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{lives} threads left {live:?}");
            thread::sleep(Duration::from_millis(10));
        }
        exactly();
    });
}

#[inline(never)]
fn childs_block(n: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(n))
}

/// What a child sees: its own blocks exactly, and of its parent's none more alive than before.
fn child(forks: u64) -> i32 {
    // SAFETY: takes a number. Whoever hangs is killed, and that is seen.
    unsafe { libc::alarm(60) };
    ALONE.store(true, Relaxed);
    let lived = std::panic::catch_unwind(|| {
        profiled::heap::set_rate(1);
        let (before, blocks) = (totals("blows"), BLOCKS_SEEN.load(Relaxed));
        let held = storm("child", || {
            let mut held: Vec<Vec<u8>> = Vec::with_capacity(8);
            held.extend((0..8).map(|n| childs_block(100 + n)));
            held.truncate(3);
            held
        });
        assert_eq!(totals("child"), [9, 192 + 828, 4, 192 + 303]);
        if forks == 0 {
            // Later the profile has more rows, of those who write profiles, than readers like.
            profiled::heap::set_rate(0);
            let file = read("heap");
            let values =
                ["alloc_objects", "inuse_objects"].map(|v| file.total_of(v, &["storms::childs_block"]));
            assert_eq!(values, [8, 3]);
            profiled::heap::set_rate(1);
        }
        drop(held);
        assert_eq!(totals("child"), [9, 192 + 828, 0, 0]);
        // A thread, and blocks that pass between the two.
        let places = Places::new();
        thread::scope(|scope| {
            scope.spawn(|| places.work("child's", forks, |turn| turn == 100));
            places.work("child's", forks + 1, |turn| turn == 100);
        });
        let allocated = (BLOCKS_SEEN.load(Relaxed) - blocks) as i64;
        assert_eq!(totals("child's")[0], allocated);
        assert_eq!(live_sizes("child's"), places.sizes());
        drop(places);
        assert_eq!(totals("child's")[2..], [0, 0]);
        assert_eq!(totals("blows"), before);
    });
    i32::from(lived.is_err())
}

#[test]
fn forks() {
    alone("forks", || {
        let places = Places::new();
        let (begin, stop) = (Instant::now(), AtomicBool::new(false));
        let mut forks = 0;
        under_observation("blows", &RATES, || {
            thread::scope(|scope| {
                for seed in 0..2 {
                    let (places, stop) = (&places, &stop);
                    scope.spawn(move || {
                        places.work("blows", seed, |turn| {
                            if turn.is_multiple_of(64) {
                                thread::sleep(Duration::from_micros(200));
                            }
                            stop.load(Relaxed)
                        });
                    });
                }
                let _stop = Stop(&stop);
                while begin.elapsed() < stress() || forks < 10 {
                    // SAFETY: what the child runs is under test: it has one thread, and libc's own locks in order.
                    let id = unsafe { libc::fork() };
                    if id == 0 {
                        let status = child(forks);
                        // SAFETY: ends the child without what the parent registered.
                        unsafe { libc::_exit(status) };
                    }
                    let mut status = 0;
                    // SAFETY: our child, and a good pointer.
                    unsafe { libc::waitpid(id, &raw mut status, 0) };
                    assert_eq!(status, 0, "child {forks} ended with {status:#x}");
                    forks += 1;
                }
            });
        });
        eprintln!("{forks} forks");
        drop(places);
        assert_eq!(totals("blows")[2..], [0, 0]);
        assert_eq!(totals("child"), [0; 4], "what a child does is its own");
        exactly();
    });
}
