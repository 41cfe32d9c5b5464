//! Profiles `heap` and `allocs`, against an allocator inside ours that counts every byte.
#![expect(unsafe_code, reason = "an allocator, and allocations by hand")]
use std::alloc::{GlobalAlloc, Layout, System, alloc, dealloc};
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use profiled_test_profiles::{File, Profile, Sample, alone, file, read};

#[global_allocator]
static ALLOCATOR: profiled::Allocator<Inner> = profiled::Allocator::new(Inner);

/// Below the profiler: counts what the program has while it says so, refuses one size, and at another size
/// allocates something itself.
struct Inner;

const REFUSED: usize = 77_777;
const REENTRANT: usize = 88_888;
const NESTED: usize = 33_333;

static LIVE: AtomicI64 = AtomicI64::new(0);
static EVER: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
    static NESTING: Cell<bool> = const { Cell::new(false) };
}

fn count(live: i64, ever: i64) {
    if COUNTED.get() {
        LIVE.fetch_add(live, Relaxed);
        EVER.fetch_add(ever, Relaxed);
    }
}

/// What `f` allocates and frees is the program's, and counted.
fn counted<R>(f: impl FnOnce() -> R) -> R {
    COUNTED.set(true);
    let result = f();
    COUNTED.set(false);
    result
}

// SAFETY: all blocks are the system's.
unsafe impl GlobalAlloc for Inner {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == REFUSED {
            return null_mut();
        }
        if layout.size() == REENTRANT && !NESTING.replace(true) {
            nested();
            NESTING.set(false);
        }
        count(layout.size() as i64, layout.size() as i64);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() == REFUSED {
            return null_mut();
        }
        count(layout.size() as i64, layout.size() as i64);
        // SAFETY: passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64), 0);
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size == REFUSED {
            return null_mut();
        }
        count(size as i64 - layout.size() as i64, size as i64);
        // SAFETY: passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[inline(never)]
fn nested() {
    std::hint::black_box(Vec::<u8>::with_capacity(NESTED));
}

/// Numbers that are as good as random, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// What the sampled tests allocate: their own functions, to be found in stacks.
mod workload {
    use super::counted;

    #[inline(never)]
    pub(super) fn plain(size: usize) -> Vec<u8> {
        counted(|| Vec::with_capacity(size))
    }

    #[inline(never)]
    pub(super) fn zeroed(size: usize) -> Vec<u8> {
        counted(|| vec![0; size])
    }

    /// Arrives at `size` in four steps of `realloc`.
    #[inline(never)]
    pub(super) fn grown(size: usize) -> Vec<u8> {
        counted(|| {
            let mut grown = Vec::new();
            for step in 1..=4 {
                grown.reserve_exact(size / 4 * step);
            }
            grown
        })
    }

    #[inline(never)]
    pub(super) fn drop_all(blocks: Vec<Vec<u8>>) {
        for block in blocks {
            counted(|| drop(block));
        }
    }
}

const RATE: f64 = 524_288.0;

/// Bytes at the default rate, and the standard error of that. A block of s bytes is sampled with p = 1 - e^(-s/rate)
/// and then stands for s/p bytes, so each sample adds (s/p)^2 (1-p) to the variance.
fn estimate(samples: &[&Sample], value: &str) -> (f64, f64, f64) {
    let (mut bytes, mut variance, mut number) = (0.0, 0.0, 0.0);
    for sample in samples {
        let size = sample.number("bytes").expect("heap rows tell their size") as f64;
        let p = -(-size / RATE).exp_m1();
        let n = (sample.value(value) as f64 * p / size).round();
        bytes += sample.value(value) as f64;
        variance += n * (size / p).powi(2) * (1.0 - p);
        number += n;
    }
    (bytes, variance.sqrt(), number)
}

/// Four threads with 8 MiB of blocks of 16 bytes, and 40 MiB of each size up to 1 MiB. Half as much again is allocated
/// and freed on other threads. Gives what stays.
fn fill(seed: u64, times: usize) -> Vec<Vec<Vec<u8>>> {
    let build = |thread: u64| {
        let mut dice = Dice(seed * 1000 + thread);
        let (mut kept, mut passed) = (Vec::new(), Vec::new());
        for class in 0..9 {
            let size = 16 << (2 * class);
            let bytes = if class == 0 { 2 << 20 } else { 10 << 20 } * times;
            for n in 0..bytes / size {
                // At most 1 MiB, in eighths: three sizes a class.
                let size = size - size / 8 * dice.below(3);
                let make = [workload::plain, workload::zeroed, workload::grown][dice.below(3)];
                kept.push(make(size));
                if n % 2 == 0 {
                    passed.push(make(size));
                }
            }
        }
        (kept, passed)
    };
    let (kept, passed): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || build(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).unzip()
    });
    free(passed);
    kept
}

/// Frees on threads that did not allocate.
fn free(blocks: Vec<Vec<Vec<u8>>>) {
    std::thread::scope(|scope| {
        for blocks in blocks {
            scope.spawn(|| workload::drop_all(blocks));
        }
    });
}

/// One run: how many standard errors what is alive was off, and what was ever allocated.
fn run(seed: u64, times: usize, before: f64) -> (f64, f64, f64) {
    let ever = EVER.load(Relaxed);
    let kept = fill(seed, times);
    let exact = LIVE.load(Relaxed) as f64;
    let profile = look();
    let samples = profile.find(&["workload::"]);
    let (bytes, error, number) = estimate(&samples, "inuse_space");
    assert!(number >= 400.0, "a run too lean: {number} samples");
    // Tables of names fill in the first write, so the sampled heap of all else moves; this one stays.
    let (total, all_error, _) = estimate(&samples, "alloc_space");
    let ever = EVER.load(Relaxed) - ever;
    let ever_z = (total - before - ever as f64) / all_error;
    free(kept);
    assert_eq!(LIVE.load(Relaxed), 0, "the count itself is right");
    let profile = look();
    assert_eq!(profile.total_of("inuse_space", &["workload::"]), 0, "what is freed is gone at once");
    assert_eq!(profile.total_of("inuse_objects", &["workload::"]), 0);
    ((bytes - exact) / error, ever_z, total)
}

#[test]
fn live_bytes_are_right_within_their_standard_error() {
    alone("live_bytes_are_right_within_their_standard_error", || {
        // The first stack that is taken reads the unwind tables of all modules into the program's own memory: that is
        // not the workload's.
        profiled::heap::set_rate(1);
        drop(boxes(1));
        profiled::heap::set_rate(RATE as u64);
        let (mut live, mut ever, mut before) = (Vec::new(), Vec::new(), 0.0);
        for seed in 0..20 {
            let (mut live_z, ever_z, total) = run(seed, 1, before);
            before = total;
            if live_z.abs() > 4.0 {
                // One run of 15 000 is that far off by chance; none of twice the length after it.
                (live_z, _, before) = run(seed + 100, 2, before);
            }
            assert!(live_z.abs() <= 4.0, "{live_z} standard errors off, run {seed}: {live:?}");
            live.push(live_z);
            ever.push(ever_z);
        }
        // The mean of 20 independent ones has an error of 1/sqrt(20).
        for (what, errors) in [("live", live), ("ever", ever)] {
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            assert!(mean.abs() <= 4.0 / 20_f64.sqrt(), "{what}: {mean} on average: {errors:?}");
        }
    });
}

/// The profile, read without sampling what reading it takes.
fn look() -> Profile {
    let rate = profiled::heap::set_rate(0);
    let profile = read("heap");
    profiled::heap::set_rate(rate);
    profile
}

/// The four values of the rows whose stack has `function` and whose blocks have `size` bytes.
fn values(profile: &Profile, function: &str, size: usize) -> [i64; 4] {
    let mut values = [0; 4];
    for sample in profile.find(&[function]) {
        if sample.number("bytes") == Some(size as i64) {
            values.iter_mut().zip(&sample.values).for_each(|(sum, value)| *sum += value);
        }
    }
    values
}

/// What `allocated` blocks of `size` come to, of which `live` are left.
fn exactly(size: usize, allocated: i64, live: i64) -> [i64; 4] {
    [allocated, allocated * size as i64, live, live * size as i64]
}

#[inline(never)]
#[expect(clippy::vec_box, reason = "a block for each is what is wanted")]
fn boxes(n: usize) -> Vec<Box<[u64; 5]>> {
    let mut boxes = Vec::with_capacity(n);
    boxes.extend((0..n).map(|n| Box::new([n as u64; 5])));
    boxes
}

#[inline(never)]
fn grows_in_steps(to: usize) -> Vec<u8> {
    let mut grown = Vec::with_capacity(1000);
    while grown.capacity() < to {
        grown.reserve_exact(grown.capacity() * 2);
        grown.resize(grown.capacity() / 2, 1);
    }
    grown
}

#[inline(never)]
fn shrinks(from: usize, to: usize) -> Vec<u8> {
    let mut shrunk = Vec::with_capacity(from);
    shrunk.resize(to, 1);
    shrunk.shrink_to_fit();
    shrunk
}

#[inline(never)]
fn zeroed(size: usize) -> Vec<u8> {
    vec![0; size]
}

#[inline(never)]
fn without_size() -> (Vec<u8>, Vec<()>, Box<[u64; 0]>) {
    (Vec::with_capacity(0), vec![(); 1000], Box::new([]))
}

/// A block on a page of its own.
struct Page(*mut u8, Layout);

impl Page {
    #[inline(never)]
    fn take(size: usize) -> Page {
        let layout = Layout::from_size_align(size, 4096).unwrap();
        // SAFETY: the size is not zero.
        Page(unsafe { alloc(layout) }, layout)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: as it was allocated.
        unsafe { dealloc(self.0, self.1) }
    }
}

#[test]
fn at_rate_one_every_object_is_there() {
    alone("at_rate_one_every_object_is_there", || {
        assert_eq!(profiled::heap::set_rate(1), 524_288);
        assert_eq!(profiled::heap::rate(), 1);
        let mut objects = boxes(100);
        objects.truncate(37);
        let grown = grows_in_steps(3_000_000);
        let shrunk = shrinks(50_000, 700);
        let (small, large) = (zeroed(48), zeroed(5_000_000));
        let nothing = without_size();
        let pages: Vec<Page> = (0..10).map(|_| Page::take(100)).collect();
        let aligned = pages.iter().all(|page| page.0.addr() % 4096 == 0);
        assert!(aligned, "layouts reach the inner allocator as they are");

        let heap = look();
        assert_eq!(values(&heap, "heap::boxes", 40), exactly(40, 100, 37));
        let mut steps = vec![];
        let mut size = 1000;
        while size < 3_000_000 {
            steps.push(size);
            size = grow(size);
        }
        for step in steps {
            assert_eq!(values(&heap, "heap::grows_in_steps", step), exactly(step, 1, 0), "{step}");
        }
        assert_eq!(values(&heap, "heap::grows_in_steps", size), exactly(size, 1, 1));
        assert_eq!(grown.capacity(), size);
        assert_eq!(values(&heap, "heap::shrinks", 50_000), exactly(50_000, 1, 0));
        assert_eq!(values(&heap, "heap::shrinks", 700), exactly(700, 1, 1));
        assert_eq!(values(&heap, "heap::zeroed", 48), exactly(48, 1, 1));
        assert_eq!(values(&heap, "heap::zeroed", 5_000_000), exactly(5_000_000, 1, 1));
        assert_eq!(heap.find(&["heap::without_size"]).len(), 0, "what takes no memory is nowhere");
        assert_eq!(values(&heap, "Page", 100), exactly(100, 10, 10));

        drop((objects, grown, shrunk, small, large, nothing, pages));
        let heap = look();
        for function in ["boxes", "grows_in_steps", "shrinks", "zeroed"] {
            let function = format!("heap::{function}");
            assert_ne!(heap.total_of("alloc_objects", &[&function]), 0);
            assert_eq!(heap.total_of("inuse_objects", &[&function]), 0, "{function}");
        }
        assert_eq!(values(&heap, "Page", 100), exactly(100, 10, 0));
    });
}

/// What `grows_in_steps` asks for next: its length is half its capacity, to which it adds twice that.
fn grow(capacity: usize) -> usize {
    match capacity {
        1000 => 2000,
        capacity => capacity / 2 + capacity * 2,
    }
}

#[inline(never)]
fn old_data(n: usize) -> Vec<Vec<u8>> {
    let mut data = Vec::with_capacity(n);
    data.extend((0..n).map(|n| Vec::with_capacity(10_000 + n % 3)));
    data
}

fn rows(profile: &Profile, function: &str) -> Vec<(Option<i64>, Vec<i64>)> {
    let row = |sample: &&Sample| (sample.number("bytes"), sample.values.clone());
    let mut rows: Vec<_> = profile.find(&[function]).iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
fn a_new_rate_does_not_falsify_what_is_known() {
    alone("a_new_rate_does_not_falsify_what_is_known", || {
        profiled::heap::set_rate(20_000);
        let data = old_data(3000);
        let before = rows(&look(), "heap::old_data");
        assert_eq!(before.len(), 4, "three sizes, and the vector that holds them: {before:?}");
        for rate in [5_000, 100_000, 524_288, 1 << 40, 0] {
            profiled::heap::set_rate(rate);
            let profile = read("heap");
            assert_eq!(rows(&profile, "heap::old_data"), before, "at rate {rate}");
            assert_eq!(profile.period, rate as i64);
        }
        // Freed at another rate than the one they were sampled at.
        drop(data);
        let after = rows(&look(), "heap::old_data");
        for ((_, before), (_, after)) in before.iter().zip(&after) {
            assert_eq!((before[0], before[1], 0, 0), (after[0], after[1], after[2], after[3]));
        }
        assert_eq!(before.len(), after.len());

        // A rate of 0 takes nothing more, and 1 takes all again.
        drop(zeroed(9_000_000));
        assert_eq!(look().find(&["heap::zeroed"]).len(), 0);
        profiled::heap::set_rate(1);
        drop(zeroed(9_000_000));
        assert_eq!(values(&look(), "heap::zeroed", 9_000_000), exactly(9_000_000, 1, 0));
    });
}

#[test]
fn heap_and_allocs_are_the_same_seen_from_two_sides() {
    alone("heap_and_allocs_are_the_same_seen_from_two_sides", || {
        profiled::heap::set_rate(1);
        let mut objects = boxes(1000);
        objects.truncate(10);
        profiled::heap::set_rate(0);
        let (heap, allocs) = (look(), read("allocs"));
        let named = |profile: &Profile| -> Vec<String> {
            profile.types.iter().map(|(name, unit)| format!("{name}/{unit}")).collect()
        };
        let types = ["alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"];
        assert_eq!(named(&heap), types);
        assert_eq!(named(&allocs), types);
        assert_eq!(rows(&heap, "heap::boxes"), rows(&allocs, "heap::boxes"));
        assert_eq!(values(&allocs, "heap::boxes", 40), exactly(40, 1000, 10));
        assert_eq!(allocs.default_type, "alloc_space");
        assert!(["", "inuse_space"].contains(&&*heap.default_type), "{}", heap.default_type);
        // What people get who say nothing.
        for (name, sample_type) in [("heap", "Type: inuse_space"), ("allocs", "Type: alloc_space")] {
            let top = File::new(name, &file(name)).pprof(&["-top", "-symbolize=none"]);
            assert!(top.contains(sample_type), "{top}");
        }
    });
}

/// The allocation is this function's own doing.
#[inline(never)]
fn by_hand(size: usize) -> *mut u8 {
    // SAFETY: the size is not zero.
    std::hint::black_box(unsafe { alloc(Layout::from_size_align(size, 1).unwrap()) })
}

#[test]
fn the_leaf_is_whoever_allocated() {
    alone("the_leaf_is_whoever_allocated", || {
        profiled::heap::set_rate(1);
        let block = by_hand(123_457);
        let boxed = boxes(3);
        let heap = look();
        let [sample] = *heap.find(&["heap::by_hand"]) else { panic!("one row") };
        assert_eq!(sample.frames[0].name, "heap::by_hand", "{:?}", sample.frames);
        assert!(sample.frames[0].file.ends_with("tests/heap.rs"), "{:?}", sample.frames[0]);
        for sample in heap.samples() {
            let leaf = &sample.frames[0].name;
            let ours = ["profiled::", "__rust", "__rg_", "__rdl_", "alloc::alloc::", "<profiled::"];
            assert!(!ours.iter().any(|prefix| leaf.starts_with(prefix)), "{leaf}: {sample:?}");
        }
        let file = File::new("leaf", &file("heap"));
        let top = file.top("inuse_space", "B");
        let (_, flat, sum) = top.iter().find(|(name, ..)| name == "heap::by_hand").expect("named in pprof");
        assert_eq!((*flat, *sum), (123_457.0, 123_457.0), "{top:?}");
        assert!(!top.iter().any(|(name, flat, _)| *flat > 0.0 && name.contains("__rust")), "{top:?}");
        // SAFETY: as it was allocated.
        unsafe { dealloc(block, Layout::from_size_align(123_457, 1).unwrap()) };
        drop(boxed);
    });
}

#[test]
fn labels_are_on_the_rows_of_their_scope() {
    alone("labels_are_on_the_rows_of_their_scope", || {
        profiled::heap::set_rate(1);
        let plain = by_hand(1001);
        let with = profiled::labels::with(&[("route", "/cart"), ("user", "7")], || by_hand(1001));
        let nested = {
            profiled::labels! { "route" => "/pay", "try" => 1 + 1 }
            profiled::labels::with(&[("try", "3")], || by_hand(1001))
        };
        let heap = look();
        let find = |route: Option<&str>| -> &Sample {
            let rows = heap.find(&["heap::by_hand"]);
            let mut found = rows.into_iter().filter(|sample| sample.text("route") == route);
            let sample = found.next().unwrap_or_else(|| panic!("no row with {route:?}"));
            assert_eq!((found.count(), &sample.values[..]), (0, &exactly(1001, 1, 1)[..]));
            assert_eq!(sample.number("bytes"), Some(1001));
            sample
        };
        assert_eq!(find(None).labels.len(), 1);
        assert_eq!((find(Some("/cart")).text("user"), find(Some("/cart")).text("try")), (Some("7"), None));
        assert_eq!((find(Some("/pay")).text("user"), find(Some("/pay")).text("try")), (None, Some("3")));
        for block in [plain, with, nested] {
            // SAFETY: as it was allocated.
            unsafe { dealloc(block, Layout::from_size_align(1001, 1).unwrap()) };
        }
        assert_eq!(look().total_of("inuse_space", &["heap::by_hand"]), 0);
    });
}

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

#[inline(never)]
fn last_words() -> Vec<u8> {
    Vec::with_capacity(2222)
}

/// Allocates when its thread ends.
struct LastWords;

impl Drop for LastWords {
    fn drop(&mut self) {
        // Freed by another thread, long after.
        let words = last_words();
        KEPT.lock().unwrap().push(words);
        drop(last_words());
    }
}

thread_local! {
    static WORDS: RefCell<Option<LastWords>> = const { RefCell::new(None) };
}

#[test]
fn destructors_of_thread_locals_allocate() {
    alone("destructors_of_thread_locals_allocate", || {
        profiled::heap::set_rate(1);
        for _ in 0..200 {
            std::thread::spawn(|| WORDS.set(Some(LastWords))).join().unwrap();
        }
        assert_eq!(values(&look(), "heap::last_words", 2222), exactly(2222, 400, 200));
        KEPT.lock().unwrap().clear();
        assert_eq!(values(&look(), "heap::last_words", 2222), exactly(2222, 400, 0));
    });
}

/// The thread's very first allocation, on a thread that Rust's library does not know.
extern "C" fn short_life(_: *mut c_void) -> *mut c_void {
    by_hand(1000).cast()
}

#[test]
fn short_threads_are_not_sampled_more_often() {
    alone("short_threads_are_not_sampled_more_often", || {
        const RATE: u64 = 5_000;
        profiled::heap::set_rate(RATE);
        let mut blocks = Vec::new();
        let mut run = |threads: usize| {
            for _ in 0..threads {
                let mut thread = 0;
                let mut block = null_mut();
                // SAFETY: the pointers are good, the thread is joined once.
                unsafe {
                    let life = short_life as extern "C" fn(*mut c_void) -> *mut c_void;
                    let failed = libc::pthread_create(&raw mut thread, std::ptr::null(), life, null_mut());
                    assert_eq!(failed, 0);
                    libc::pthread_join(thread, &raw mut block);
                }
                blocks.push(block.cast::<u8>());
            }
            let heap = look();
            let objects = values(&heap, "heap::by_hand", 1000)[2] as f64;
            // n threads, each sampled with p = 1 - e^(-1/5) = 0.18 and then counted 1/p times.
            let (n, p) = (blocks.len() as f64, -(-1000.0 / RATE as f64).exp_m1());
            (objects - n) / (n * (1.0 - p) / p).sqrt()
        };
        let mut z = run(4000);
        if z.abs() > 4.0 {
            z = run(8000);
        }
        assert!(z.abs() <= 4.0, "{z} standard errors off");
        for block in blocks {
            // SAFETY: as it was allocated.
            unsafe { dealloc(block, Layout::from_size_align(1000, 1).unwrap()) };
        }
        assert_eq!(values(&look(), "heap::by_hand", 1000)[2..], [0, 0]);
    });
}

#[inline(never)]
fn is_refused() -> [bool; 3] {
    let mut grown = Vec::<u8>::with_capacity(555);
    grown.resize(1, 9);
    let kept = grown.try_reserve_exact(REFUSED - 1).is_err() && grown == [9] && grown.capacity() == 555;
    KEPT.lock().unwrap().push(grown);
    let layout = Layout::from_size_align(REFUSED, 8).unwrap();
    // SAFETY: the size is not zero.
    let zeroed = std::hint::black_box(unsafe { std::alloc::alloc_zeroed(layout) });
    [kept, Vec::<u8>::new().try_reserve_exact(REFUSED).is_err(), zeroed.is_null()]
}

#[inline(never)]
fn asks_for_more() -> Vec<u8> {
    Vec::with_capacity(REENTRANT)
}

#[test]
fn an_inner_allocator_may_refuse_and_may_allocate() {
    alone("an_inner_allocator_may_refuse_and_may_allocate", || {
        KEPT.lock().unwrap().reserve(10);
        profiled::heap::set_rate(1);
        assert_eq!(is_refused(), [true; 3]);
        let heap = look();
        assert_eq!(values(&heap, "heap::is_refused", REFUSED), [0; 4], "what was refused is nowhere");
        assert_eq!(values(&heap, "heap::is_refused", 555), exactly(555, 1, 1), "and what was there stays");
        KEPT.lock().unwrap().clear();
        assert_eq!(values(&look(), "heap::is_refused", 555), exactly(555, 1, 0));

        let more = asks_for_more();
        let heap = look();
        assert_eq!(values(&heap, "heap::asks_for_more", REENTRANT), exactly(REENTRANT, 1, 1));
        assert_eq!(values(&heap, "heap::nested", NESTED), exactly(NESTED, 1, 0));
        drop(more);
        assert_eq!(values(&look(), "heap::asks_for_more", REENTRANT), exactly(REENTRANT, 1, 0));
    });
}

#[test]
fn blocks_freed_before_reuse_are_not_mixed_up() {
    alone("blocks_freed_before_reuse_are_not_mixed_up", || {
        profiled::heap::set_rate(1);
        // Addresses change hands between four threads all the time; each block is freed by another thread.
        let blocks: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let blocks = &blocks;
                scope.spawn(move || {
                    let mut dice = Dice(thread);
                    for _ in 0..20_000 {
                        let size = 24 + 8 * dice.below(3);
                        let block = by_hand(size);
                        let other = {
                            let mut blocks = blocks.lock().unwrap();
                            blocks.push((block.expose_provenance(), size));
                            let at = dice.below(blocks.len());
                            if blocks.len() > 100 { Some(blocks.swap_remove(at)) } else { None }
                        };
                        if let Some((block, size)) = other {
                            let block = std::ptr::with_exposed_provenance_mut(block);
                            // SAFETY: taken out of the list, so nobody else has it.
                            unsafe { dealloc(block, Layout::from_size_align(size, 1).unwrap()) };
                        }
                    }
                });
            }
        });
        let blocks = blocks.into_inner().unwrap();
        let heap = look();
        assert_eq!(heap.total_of("alloc_objects", &["heap::by_hand"]), 80_000);
        for size in [24, 32, 40] {
            let live = blocks.iter().filter(|block| block.1 == size).count() as i64;
            assert_eq!(values(&heap, "heap::by_hand", size)[2..], exactly(size, 0, live)[2..], "{size}");
        }
    });
}
