//! Walks on two threads, in signal handlers too, while libraries come and go and the table is replaced all the time.
#![cfg(not(any(profiled_portable, target_env = "musl")))]
use profiled_test_stack::maze::{go, small_plan};
use profiled_test_stack::{Library, Reference, library, ours, same};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

static HANDLED: AtomicUsize = AtomicUsize::new(0);
static CUT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_signal(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let mut addresses = [0; 128];
    // SAFETY: the handler's own context.
    let (len, truncated) = unsafe { ours::capture_context(context, &mut addresses) };
    HANDLED.fetch_add(1, Relaxed);
    if truncated || len < 3 {
        CUT.fetch_add(1, Relaxed);
    }
}

#[test]
fn walkers_outlive_their_tables() {
    const SOURCE: &str = "int f(int n) { return n + 1; }";
    let path = library("visitor", SOURCE, &[]);
    ours::prepare();
    let rows = ours::size().0;
    // SAFETY: installs the handler above.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
    let stop = AtomicBool::new(false);
    let (walks, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (stop, walks, wrong) = (&stop, &walks, &wrong);
    let refreshed = std::thread::scope(|scope| {
        let (id, ids) = std::sync::mpsc::channel();
        for thread in 0..2 {
            let id = id.clone();
            scope.spawn(move || {
                // SAFETY: asks who is asking.
                id.send(unsafe { libc::pthread_self() } as usize).unwrap();
                let mut number = thread;
                while !stop.load(Relaxed) {
                    number += 2;
                    go(&small_plan(number, number as usize % 15), &mut || {
                        let mut reference = Box::new(Reference::new());
                        reference.take();
                        for _ in 0..20 {
                            let (addresses, truncated) = ours::capture_addresses(1);
                            walks.fetch_add(1, Relaxed);
                            // The first frames are this closure's, at different instructions.
                            let theirs = &reference.addresses()[2..];
                            wrong.fetch_add(usize::from(!same(&addresses, truncated, theirs)), Relaxed);
                        }
                    });
                }
            });
        }
        let signalled: Vec<_> = ids.iter().take(2).collect();
        let begun = Instant::now();
        let mut refreshed = 0;
        while begun.elapsed() < Duration::from_secs(4) {
            let open = Library::open(&path);
            ours::prepare();
            drop(open);
            ours::prepare();
            refreshed += 2;
            for &thread in &signalled {
                // SAFETY: the threads live until `stop`.
                unsafe { libc::pthread_kill(thread as libc::pthread_t, libc::SIGUSR1) };
            }
        }
        stop.store(true, Relaxed);
        refreshed
    });
    let (walks, wrong) = (walks.load(Relaxed), wrong.load(Relaxed));
    let (handled, cut) = (HANDLED.load(Relaxed), CUT.load(Relaxed));
    println!(
        "{refreshed} refreshes, {walks} walks, {wrong} wrong, {handled} in handlers, {cut} of those cut"
    );
    assert!(refreshed > 200 && walks > 10_000 && handled > 200);
    assert_eq!(wrong, 0);
    assert!(cut * 100 <= handled, "more than 1 % cut");
    assert_eq!(ours::size().0, rows, "what the visitors needed is gone with them");
}
