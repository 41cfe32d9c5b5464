//! Allocations at the edges of a program: before `main`, after it, on threads that Rust does not know.
#![expect(unsafe_code, reason = "constructors, handlers and threads by hand")]
use std::ffi::c_void;
use std::hint::black_box;
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};

use profiled_test_profiles::heap::{exactly, look, values};
use profiled_test_profiles::{Profile, alone};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn keep(block: Vec<u8>) {
    KEPT.lock().unwrap().push(block);
}

/// Before any constructor of the profiler's.
#[inline(never)]
extern "C" fn first_of_all() {
    profiled::heap::set_rate(1);
    keep(black_box(Vec::with_capacity(40_001)));
    drop(black_box(Vec::<u8>::with_capacity(40_001)));
    profiled::heap::set_rate(0);
}

/// As libraries have them.
#[inline(never)]
extern "C" fn constructor() {
    profiled::heap::set_rate(1);
    keep(black_box(Vec::with_capacity(50_001)));
    drop(black_box(Vec::<u8>::with_capacity(50_001)));
    profiled::heap::set_rate(0);
}

#[used]
#[unsafe(link_section = ".init_array.00010")]
static FIRST_OF_ALL: extern "C" fn() = first_of_all;

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

/// The four values of blocks of this size, wherever they were allocated.
fn of_size(heap: &Profile, size: i64) -> [i64; 4] {
    let mut sums = [0; 4];
    for sample in heap.samples().iter().filter(|sample| sample.number("bytes") == Some(size)) {
        sums.iter_mut().zip(&sample.values).for_each(|(sum, value)| *sum += value);
    }
    sums
}

#[test]
fn before_main() {
    alone("before_main", || {
        let heap = look();
        assert_eq!(
            of_size(&heap, 40_001),
            exactly(40_001, 2, 1),
            "so early nobody knows where, but how much"
        );
        assert_eq!(values(&heap, "heap_edges::constructor", 50_001), exactly(50_001, 2, 1));
        // At the end of the program's life like any other.
        drop(std::mem::take(&mut *KEPT.lock().unwrap()));
        let heap = look();
        assert_eq!(of_size(&heap, 40_001), exactly(40_001, 2, 0));
        assert_eq!(values(&heap, "heap_edges::constructor", 50_001), exactly(50_001, 2, 0));
    });
}

#[inline(never)]
extern "C" fn at_exit() {
    profiled::heap::set_rate(1);
    let blocks: Vec<Vec<u8>> = (0..5).map(|_| black_box(Vec::with_capacity(60_001))).collect();
    drop(black_box(Vec::<u8>::with_capacity(60_001)));
    let found = values(&look(), "heap_edges::at_exit", 60_001);
    drop(blocks);
    let after = values(&look(), "heap_edges::at_exit", 60_001);
    // Not through Rust's library, whose time is over.
    let text = format!("at exit: {found:?} {after:?}\n");
    // SAFETY: a good pointer and its length.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

#[test]
fn after_main() {
    const VARIABLE: &str = "PROFILED_TEST_AT_EXIT";
    if std::env::var_os(VARIABLE).is_some() {
        // SAFETY: takes a number, and a function that is static.
        unsafe {
            libc::alarm(120);
            assert_eq!(libc::atexit(at_exit), 0);
        }
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.args(["after_main", "--exact", "--nocapture"]).env(VARIABLE, "1").output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {err}", output.status);
    let [found, after] = [exactly(60_001, 6, 5), exactly(60_001, 6, 0)];
    assert!(err.contains(&format!("at exit: {found:?} {after:?}")), "{err}");
}

static KEY: AtomicU32 = AtomicU32::new(0);
static DESTROYED: AtomicI64 = AtomicI64::new(0);

/// When a thread's value is destroyed, after its Rust thread-locals.
#[inline(never)]
unsafe extern "C" fn destroy(block: *mut c_void) {
    // SAFETY: `c_thread` made it a box.
    drop(unsafe { Box::from_raw(block.cast::<[u8; 333]>()) });
    keep(black_box(Vec::with_capacity(444)));
    drop(black_box(Vec::<u8>::with_capacity(444)));
    DESTROYED.fetch_add(1, Relaxed);
}

#[inline(never)]
extern "C" fn c_thread(_: *mut c_void) -> *mut c_void {
    let block = Box::into_raw(black_box(Box::new([1_u8; 333])));
    // SAFETY: the key is there, and `destroy` takes it.
    unsafe { libc::pthread_setspecific(KEY.load(Relaxed), block.cast()) };
    let mut grown = Vec::<u8>::with_capacity(555);
    grown.reserve_exact(5555);
    keep(black_box(grown));
    null_mut()
}

#[test]
fn threads_of_c() {
    alone("threads_of_c", || {
        const THREADS: i64 = 100;
        let mut key = 0;
        // SAFETY: a good pointer, and a function that is static.
        unsafe { assert_eq!(libc::pthread_key_create(&raw mut key, Some(destroy)), 0) };
        KEY.store(key, Relaxed);
        profiled::heap::set_rate(1);
        for _ in 0..THREADS {
            let mut thread = std::mem::MaybeUninit::uninit();
            // SAFETY: the pointers are good, the thread is joined once.
            unsafe {
                assert_eq!(libc::pthread_create(thread.as_mut_ptr(), null(), c_thread, null_mut()), 0);
                libc::pthread_join(thread.assume_init(), null_mut());
            }
        }
        assert_eq!(DESTROYED.load(Relaxed), THREADS);
        let heap = look();
        assert_eq!(values(&heap, "heap_edges::c_thread", 333), exactly(333, THREADS, 0));
        assert_eq!(values(&heap, "heap_edges::c_thread", 555), exactly(555, THREADS, 0));
        assert_eq!(values(&heap, "heap_edges::c_thread", 5555), exactly(5555, THREADS, THREADS));
        assert_eq!(values(&heap, "heap_edges::destroy", 444), exactly(444, 2 * THREADS, THREADS));
        drop(std::mem::take(&mut *KEPT.lock().unwrap()));
        let heap = look();
        assert_eq!(heap.total_of("inuse_objects", &["heap_edges::c_thread"]), 0);
        assert_eq!(heap.total_of("inuse_objects", &["heap_edges::destroy"]), 0);
    });
}
