//! Futures in a forked child: its own, and those of its parent that it goes on to poll.
#![cfg(not(any(miri, profiled_portable)))]
#![expect(unsafe_code, reason = "forks")]
use std::future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread;

use profiled::tasks::{self, Stacks, instrument};
use profiled_test_profiles::{alone, read, text};

fn poll(future: Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The names of those that the text shows.
fn shown() -> Vec<String> {
    let text = text("tasks", 2);
    let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("task ")?.split('"').nth(1));
    names.map(str::to_owned).collect()
}

/// What the process that is forked here makes of `child`: it ends when that does.
fn forked(child: impl FnOnce()) {
    // SAFETY: the child has one thread, asks for profiles, which a forked child may, and leaves without destructors.
    let id = unsafe { libc::fork() };
    if id == 0 {
        // SAFETY: takes a number.
        unsafe { libc::alarm(60) };
        let fine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).is_ok();
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(i32::from(!fine)) };
    }
    let mut status = 0;
    // SAFETY: waits for the child, with room for its status.
    assert_eq!(unsafe { libc::waitpid(id, &raw mut status, 0) }, id);
    assert_eq!(status, 0, "the child says why");
}

/// A child has none of the futures that only its parent polls, and says how many it does not show.
#[test]
fn a_forked_child_has_futures_of_its_own() {
    alone("a_forked_child_has_futures_of_its_own", || {
        for stacks in [Stacks::All, Stacks::Off] {
            tasks::set_stacks(stacks);
            // On a thread that the child does not have.
            let (tell, told) = std::sync::mpsc::channel();
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let elsewhere = thread::spawn(move || {
                let mut left = pin!(instrument("elsewhere", future::pending()));
                assert!(poll(left.as_mut()).is_pending());
                tell.send(()).unwrap();
                ended.recv().unwrap();
            });
            told.recv().unwrap();
            let mut polled = pin!(instrument("polled", future::pending()));
            let mut left = pin!(instrument("left", future::pending()));
            let _new = instrument("never", future::pending::<()>());
            assert!(poll(polled.as_mut()).is_pending());
            assert!(poll(left.as_mut()).is_pending());
            forked(|| {
                assert_eq!(shown(), [""; 0], "nobody polls them here");
                assert_eq!(read("tasks").total("tasks"), 0);
                let hidden = "4 futures of the process that forked this one are not shown";
                assert!(text("tasks", 1).contains(hidden), "{}", text("tasks", 1));
                let mut own = pin!(instrument("own", future::pending()));
                assert_eq!(shown(), ["own"]);
                assert!(poll(own.as_mut()).is_pending());
                assert!(poll(polled.as_mut()).is_pending());
                assert_eq!(shown(), ["polled", "own"], "what is polled here is this one's");
                assert!(text("tasks", 1).contains("3 futures of the process that"), "{}", text("tasks", 1));
                // A child of the child.
                forked(|| {
                    assert_eq!(shown(), [""; 0]);
                    assert!(poll(left.as_mut()).is_pending());
                    assert_eq!(shown(), ["left"]);
                });
                assert_eq!(shown(), ["polled", "own"]);
            });
            assert_eq!(shown().len(), 4, "the parent has them all: {:?}", shown());
            assert!(!text("tasks", 1).contains("forked"), "{}", text("tasks", 1));
            end.send(()).unwrap();
            elsewhere.join().unwrap();
        }
    });
}
