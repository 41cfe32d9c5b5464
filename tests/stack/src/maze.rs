//! A maze of calls: a plan of bytes says which kind of frame comes next, and at its end somebody looks at the stack.
use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What is called at the end of each way.
pub type Look<'a> = &'a mut dyn FnMut();

/// How many kinds of frames there are.
pub const KINDS: u8 = 12;

/// Goes one step further, or looks.
#[inline(never)]
pub fn go(plan: &[u8], look: Look<'_>) -> u64 {
    let Some((&kind, rest)) = plan.split_first() else {
        look();
        return 1;
    };
    let depth = match kind % KINDS {
        0 => closure(rest, look),
        1 => generic([rest.len(); 1], rest, look),
        2 => generic([rest.len() as u128; 5], rest, look),
        3 => generic("text", rest, look),
        4 => object(&[7_u8, 8], rest, look),
        5 => recursion(rest.len() % 9, rest, look),
        6 => sorted(rest, look),
        7 => in_drop(rest, look),
        8 => caught(rest, look),
        9 => large(rest, look),
        10 => aligned(rest, look),
        _ => iterated(rest, look),
    };
    black_box(depth) + 1
}

fn closure(rest: &[u8], look: Look<'_>) -> u64 {
    let offset = black_box(3_u64);
    let mut further = |n: u64| go(rest, look) + n * offset;
    black_box(&mut further as &mut dyn FnMut(u64) -> u64)(2)
}

#[inline(never)]
fn generic<T: Clone>(value: T, rest: &[u8], look: Look<'_>) -> u64 {
    let copy = black_box(value.clone());
    let depth = go(rest, look);
    black_box((value, copy));
    depth
}

trait Way {
    fn walk(&self, rest: &[u8], look: Look<'_>) -> u64;
}

impl Way for [u8; 2] {
    #[inline(never)]
    fn walk(&self, rest: &[u8], look: Look<'_>) -> u64 {
        go(rest, look) + u64::from(black_box(self[0]))
    }
}

fn object(way: &[u8; 2], rest: &[u8], look: Look<'_>) -> u64 {
    black_box(way as &dyn Way).walk(rest, look)
}

#[inline(never)]
pub fn recursion(depth: usize, rest: &[u8], look: Look<'_>) -> u64 {
    let below = if depth == 0 { go(rest, look) } else { recursion(depth - 1, rest, look) };
    black_box(below) + 1
}

/// Through the C library and back.
fn sorted(rest: &[u8], look: Look<'_>) -> u64 {
    thread_local!(static WAY: std::cell::Cell<*mut c_void> = const { std::cell::Cell::new(std::ptr::null_mut()) });
    type Further<'a> = &'a mut dyn FnMut() -> u64;
    extern "C" fn compare(a: *const c_void, b: *const c_void) -> c_int {
        let way = WAY.replace(std::ptr::null_mut());
        if !way.is_null() {
            // SAFETY: set below, and taken once.
            black_box(unsafe { (*way.cast::<Further<'_>>())() });
        }
        // SAFETY: `qsort` compares the elements it was given.
        unsafe { *a.cast::<c_int>() - *b.cast::<c_int>() }
    }
    let mut depth = 0;
    let mut run = || {
        depth = go(rest, look);
        depth
    };
    let mut further: Further<'_> = &mut run;
    WAY.set((&raw mut further).cast());
    let mut values: [c_int; 5] = [3, 1, 2, 5, 4];
    // SAFETY: five elements of four bytes.
    unsafe { libc::qsort(values.as_mut_ptr().cast(), 5, 4, Some(compare)) };
    depth
}

/// Looks while a panic is on its way.
fn in_drop(rest: &[u8], look: Look<'_>) -> u64 {
    struct OnDrop<F: FnMut()>(F);
    impl<F: FnMut()> Drop for OnDrop<F> {
        #[inline(never)]
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let mut depth = 0;
    _ = catch_unwind(AssertUnwindSafe(|| {
        let _guard = OnDrop(|| depth = go(rest, look));
        // Without the message on stderr.
        resume_unwind(Box::new(black_box(1)));
    }));
    depth
}

fn caught(rest: &[u8], look: Look<'_>) -> u64 {
    catch_unwind(AssertUnwindSafe(|| go(rest, look))).unwrap_or(0)
}

/// A frame over 256 KiB, if the stack has room for it.
#[inline(never)]
fn large(rest: &[u8], look: Look<'_>) -> u64 {
    let mut page = [0_u8; 300 << 10];
    page[rest.len()] = 1;
    black_box(&mut page);
    let depth = go(rest, look);
    black_box(&mut page);
    depth
}

#[repr(align(128))]
struct Aligned([u64; 16]);

#[inline(never)]
fn aligned(rest: &[u8], look: Look<'_>) -> u64 {
    let mut value = Aligned([rest.len() as u64; 16]);
    black_box(&mut value);
    let depth = go(rest, look);
    black_box(&mut value);
    depth + value.0[3]
}

fn iterated(rest: &[u8], look: Look<'_>) -> u64 {
    let further = (0..1).map(|n| n + go(rest, look));
    let sum: u64 = black_box(Box::new(further) as Box<dyn Iterator<Item = u64>>).sum();
    sum
}

/// A plan of `length` steps; the same number gives the same plan.
pub fn plan(mut number: u64, length: usize) -> Vec<u8> {
    let mut next = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 40) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// The same without frames that a small stack has no room for, or that take long when every instruction counts.
pub fn small_plan(number: u64, length: usize) -> Vec<u8> {
    plan(number, length)
        .into_iter()
        .map(|kind| if matches!(kind % KINDS, 7 | 9) { 5 } else { kind })
        .collect()
}
