//! Stacks of ordinary code are what libgcc finds.
use profiled_test_stack::maze::{go, plan, recursion, small_plan};
use profiled_test_stack::{Library, Score, library, ours};
use std::ffi::c_void;
use std::thread::Builder;

#[test]
fn a_thousand_ways_through_a_maze() {
    let run = || {
        let mut score = Score::default();
        for number in 0..1000 {
            go(&plan(number, 1 + number as usize % 25), &mut || score.compare());
        }
        score
    };
    let score = Builder::new().stack_size(64 << 20).spawn(run).unwrap().join().unwrap();
    score.check("maze", 1000);
}

#[test]
fn deep_recursion_is_cut_at_the_root_side() {
    let mut score = Score::default();
    for depth in (0..=300).step_by(3) {
        recursion(depth, &[], &mut || score.compare());
    }
    assert!(score.deepest > 300);
    score.check("recursion", 100);
    recursion(300, &[], &mut || {
        let (addresses, truncated) = ours::capture_addresses(0);
        assert_eq!((addresses.len(), truncated), (128, true));
    });
}

#[test]
fn skipping_leaves_out_physical_frames() {
    #[inline(never)]
    fn both() -> [(Vec<u64>, bool); 3] {
        [0, 1, 2].map(ours::capture_addresses)
    }
    let [all, one, two] = std::hint::black_box(both());
    assert_eq!(all.0[1..], one.0);
    assert_eq!(all.0[2..], two.0);
    assert!(!all.1);
    assert_eq!(ours::capture_addresses(1000), (vec![], false));
}

#[test]
fn threads_with_small_stacks() {
    ours::prepare();
    let mut score = Score::default();
    for number in 0..200 {
        let run = move || {
            let mut score = Score::default();
            go(&small_plan(number, number as usize % 3), &mut || score.compare());
            score
        };
        // Both the reference's buffers and libgcc's own frames want some room.
        score.merge(Builder::new().stack_size(32 << 10).spawn(run).unwrap().join().unwrap());
        let bare = || ours::capture_addresses(0);
        let (addresses, truncated) = Builder::new().stack_size(16 << 10).spawn(bare).unwrap().join().unwrap();
        assert!(addresses.len() > 4 && !truncated, "{} frames, cut: {truncated}", addresses.len());
    }
    score.check("small stacks", 200);
}

/// Frames of kinds that Rust does not make: aligned by another register, of a size known at run time, a large one.
const FRAMES: &str = r#"
#include <alloca.h>
#include <string.h>
typedef void look(void *);
static volatile char sink;
void aligned(look *f, void *p) { char a[64] __attribute__((aligned(128))); memset(a, sink, 64); f(p); sink = a[5]; }
void sized(look *f, void *p) { int n = 100 + sink; char *a = alloca(n); memset(a, 1, n); f(p); sink = a[n - 1]; }
void both(look *f, void *p) {
    int n = 100 + sink; char a[64] __attribute__((aligned(64))); char *b = alloca(n);
    memset(a, 1, 64); memset(b, 1, n); f(p); sink = a[1] + b[2];
}
void large(look *f, void *p) { char a[400000]; memset(a, sink, sizeof a); f(p); sink = a[77]; }
void plain(look *f, void *p) { f(p); sink = 0; }
"#;

#[test]
#[cfg_attr(target_env = "musl", ignore = "a program that is linked statically opens no library")]
fn frames_of_c_code() {
    extern "C" fn look(score: *mut c_void) {
        // SAFETY: the score below.
        unsafe { (*score.cast::<Score>()).compare() };
    }
    let mut score = Score::default();
    for (name, flags) in [
        ("plain", &[][..]),
        ("frame-pointers", &["-fno-omit-frame-pointer"]),
        ("realigned", &["-mstackrealign"]),
        ("slow", &["-O0"]),
    ] {
        let library = Library::open(&library(name, FRAMES, flags));
        ours::prepare();
        for function in [c"aligned", c"sized", c"both", c"large", c"plain"] {
            let call = library.caller(function);
            for number in 0..10 {
                let plan = small_plan(number, number as usize);
                go(&plan, &mut || call(look, (&raw mut score).cast()));
            }
        }
    }
    score.check("C frames", 200);
}
