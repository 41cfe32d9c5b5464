//! What a poll begins and ends: a wait, and the time that a future is busy.
#![cfg(not(miri))]
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use profiled::tasks::{self, Stacks, instrument};
use profiled_test_profiles::{alone, read, text};

const MS: Duration = Duration::from_millis(1);

type Kept = Arc<Mutex<Vec<Waker>>>;

/// Keeps the waker of its first poll, and is ready at the next.
#[inline(never)]
async fn keeps(kept: Kept) {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        kept.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    })
    .await; // keeps
}

fn poll(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What `await` has of the future of this name.
fn of_await(name: &str, value: &str) -> i64 {
    let profile = read("await");
    let of = profile.samples().iter().filter(|sample| sample.text("profiled") == Some(name));
    of.map(|sample| sample.value(value)).sum()
}

/// Who throws the waker away that he kept has stopped to wait, whenever the future is polled again.
#[test]
fn a_waker_that_is_dropped_ends_the_wait() {
    alone("a_waker_that_is_dropped_ends_the_wait", || {
        tasks::set_stacks(Stacks::All);
        let kept = Kept::default();
        let begun = Instant::now();
        let mut future = pin!(instrument("forgotten", keeps(kept.clone())));
        assert!(poll(future.as_mut()).is_pending());
        assert!(text("tasks", 2).contains("[pending at "), "{}", text("tasks", 2));
        thread::sleep(20 * MS);
        kept.lock().unwrap().clear();
        let (dropped, waited) = (begun.elapsed(), of_await("forgotten", "delay"));
        assert!(text("tasks", 2).contains("[woken"), "{}", text("tasks", 2));
        thread::sleep(3 * dropped);
        assert!((20_000_000..=dropped.as_nanos() as i64).contains(&waited), "{waited} in {dropped:?}");
        assert_eq!(of_await("forgotten", "delay"), waited, "it is over");
        assert!(poll(future.as_mut()).is_ready());
        assert_eq!([of_await("forgotten", "waits"), of_await("forgotten", "delay")], [1, waited]);
    });
}

/// A poll ends all that was waited for, whoever keeps which waker.
#[test]
fn a_waker_that_is_kept_is_of_one_suspension() {
    alone("a_waker_that_is_kept_is_of_one_suspension", || {
        tasks::set_stacks(Stacks::All);
        let kept = Kept::default();
        let mut future = pin!(instrument("twice", async {
            keeps(kept.clone()).await;
            std::future::pending::<()>().await
        }));
        assert!(poll(future.as_mut()).is_pending());
        thread::sleep(5 * MS);
        assert!(poll(future.as_mut()).is_pending());
        let waited = of_await("twice", "delay");
        assert!(waited >= 5_000_000, "{waited}");
        thread::sleep(5 * MS);
        assert_eq!(of_await("twice", "delay"), waited, "the waker is there, and nobody waits for it");
        assert_eq!(kept.lock().unwrap().len(), 1);
        assert!(!text("tasks", 2).contains("keeps"), "{}", text("tasks", 2));
    });
}

/// A future that waits between all of its polls is as busy as a clock says.
#[test]
fn polls_that_follow_waits_are_timed() {
    alone("polls_that_follow_waits_are_timed", || {
        tasks::set_stacks(Stacks::All);
        let kept = Kept::default();
        let mut future = pin!(instrument("toils", async {
            loop {
                let begun = Instant::now();
                while begun.elapsed() < 10 * MS {
                    std::hint::spin_loop();
                }
                keeps(kept.clone()).await;
            }
        }));
        let begun = Instant::now();
        for _ in 0..40 {
            assert!(poll(future.as_mut()).is_pending());
        }
        let own = begun.elapsed().as_secs_f64() * 1e3;
        // The first is a poll for itself alone, and so are those that follow it: each takes longer than ten microseconds, and
        // is timed.
        let text = text("tasks", 2);
        let busy = text.split_once("busy ").unwrap_or_else(|| panic!("no time in {text}")).1;
        let busy: f64 = busy.split_once(" ms").unwrap_or_else(|| panic!("{text}")).0.parse().unwrap();
        // What the loop and the stacks take is ours, and not the future's.
        assert!((0.9 * own..=own).contains(&busy), "{busy} of {own} ms: {text}");
    });
}
