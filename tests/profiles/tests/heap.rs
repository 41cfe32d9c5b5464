//! Profiles `heap` and `allocs` at rate 1, where everything is exact.
#![expect(unsafe_code, reason = "allocations by hand")]
use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::RefCell;
use std::sync::Mutex;

use profiled_test_profiles::heap::{Dice, Inner, NESTED, REENTRANT, REFUSED, exactly, look, rows, values};
use profiled_test_profiles::{File, Profile, Sample, alone, file, read};

#[global_allocator]
static ALLOCATOR: profiled::Allocator<Inner> = profiled::Allocator::new(Inner);

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

/// A block that most allocators take another way for.
#[inline(never)]
fn aligned_by_hand(size: usize) -> *mut u8 {
    // SAFETY: the size is not zero.
    std::hint::black_box(unsafe { alloc(Layout::from_size_align(size, 4096).unwrap()) })
}

#[inline(never)]
fn grown_by_hand(block: *mut u8, from: usize, to: usize) -> *mut u8 {
    // SAFETY: allocated with this size and alignment, and the new size is not zero.
    std::hint::black_box(unsafe { realloc(block, Layout::from_size_align(from, 4096).unwrap(), to) })
}

#[test]
fn the_leaf_is_whoever_allocated() {
    alone("the_leaf_is_whoever_allocated", || {
        profiled::heap::set_rate(1);
        let block = by_hand(123_457);
        let boxed = boxes(3);
        let aligned = aligned_by_hand(50_001);
        let grown = grown_by_hand(aligned_by_hand(60_001), 60_001, 70_001);
        let heap = look();
        for (leaf, size) in [("heap::aligned_by_hand", 50_001), ("heap::grown_by_hand", 70_001)] {
            assert_eq!(values(&heap, leaf, size), [1, size as i64, 1, size as i64], "{leaf}");
            assert!(heap.find(&[leaf]).iter().all(|sample| sample.frames[0].name == leaf), "{leaf}");
        }
        assert_eq!(values(&heap, "heap::aligned_by_hand", 60_001), [1, 60_001, 0, 0]);
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
        unsafe {
            dealloc(block, Layout::from_size_align(123_457, 1).unwrap());
            dealloc(aligned, Layout::from_size_align(50_001, 4096).unwrap());
            dealloc(grown, Layout::from_size_align(70_001, 4096).unwrap());
        }
        assert_eq!(values(&look(), "heap::grown_by_hand", 70_001), [1, 70_001, 0, 0]);
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
