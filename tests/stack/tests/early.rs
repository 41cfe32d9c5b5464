//! The first stack may be wanted before `main`, and the loader's lock may be held by whoever wants one.
#![cfg(not(profiled_portable))]
use profiled_test_stack::{Library, Reference, Score, library, ours, same};
use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[expect(clippy::type_complexity, reason = "what one test notes for itself")]
static BEFORE_MAIN: Mutex<Option<(Vec<u64>, bool, Vec<u64>)>> = Mutex::new(None);

extern "C" fn before_main() {
    let mut reference = Box::new(Reference::new());
    reference.take();
    let (addresses, truncated) = ours::capture_addresses(0);
    *BEFORE_MAIN.lock().unwrap() = Some((addresses, truncated, reference.addresses()[1..].to_vec()));
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = before_main;

#[test]
fn a_constructor_has_a_stack() {
    let (addresses, truncated, reference) = BEFORE_MAIN.lock().unwrap().take().unwrap();
    // The first is the constructor's own, at another instruction.
    assert!(same(&addresses[1..], truncated, &reference[1..]), "{addresses:x?} {reference:x?}");
    assert!(!truncated, "the main thread's stack has an end");
    // With musl it is called from C code that has no unwind information.
    assert!(addresses.len() >= if cfg!(target_env = "musl") { 2 } else { 3 });
}

/// The constructor of this library takes stacks under the loader's lock, while another thread asks the loader.
#[test]
#[cfg_attr(target_env = "musl", ignore = "a program that is linked statically opens no library")]
fn a_constructor_under_the_loaders_lock() {
    const SOURCE: &str = r#"
        #include <stdlib.h>
        static volatile char sink;
        __attribute__((constructor)) static void begin(void) {
            void (*f)(void *) = (void (*)(void *))strtoul(getenv("PROFILED_TEST_CALL"), 0, 16);
            f((void *)strtoul(getenv("PROFILED_TEST_WITH"), 0, 16));
            sink = 1;
        }
    "#;
    extern "C" fn call(score: *mut c_void) {
        // SAFETY: the score below.
        let score = unsafe { &mut *score.cast::<Score>() };
        (0..20).for_each(|_| score.compare());
    }
    let path = library("constructor", SOURCE, &[]);
    let mut score = Score::default();
    // SAFETY: no other thread reads the environment.
    unsafe {
        std::env::set_var("PROFILED_TEST_CALL", format!("{:x}", call as *const () as usize));
        std::env::set_var("PROFILED_TEST_WITH", format!("{:x}", (&raw mut score).addr()));
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                ours::prepare();
            }
        });
        for _ in 0..300 {
            drop(Library::open(&path));
        }
        stop.store(true, Relaxed);
    });
    score.check("constructors", 6000);
}

#[test]
fn a_forked_child_goes_on() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    ours::capture_addresses(0);
                    ours::prepare();
                }
            });
        }
        for _ in 0..100 {
            // SAFETY: the child only takes a stack and leaves.
            unsafe {
                let child = libc::fork();
                if child == 0 {
                    // A child that hangs is a failure, and leaves nothing behind.
                    libc::alarm(10);
                    ours::after_fork_in_child();
                    let (addresses, truncated) = ours::capture_addresses(0);
                    ours::prepare();
                    // The one thread has another's stack now, and musl's root is known by the stack's end.
                    let whole = !truncated || cfg!(target_env = "musl");
                    libc::_exit(if addresses.len() > 4 && whole { 7 } else { 8 });
                }
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "{status:x}");
            }
        }
        stop.store(true, Relaxed);
    });
}
