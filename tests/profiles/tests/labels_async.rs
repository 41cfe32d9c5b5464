//! Labels of futures: `with_labels`, on threads that tasks move between and among tasks that share one.
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use profiled::labels::{self, FutureExt as _};
use profiled::{Allocator, profiled};
use profiled_test_profiles::{alone, read, read_snapshot, stress};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::system();

fn label(key: &str) -> Option<String> {
    labels::current().get(key).map(str::to_owned)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls to the end.
fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
    }
}

/// Pending once.
async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

const BLOCK: usize = 48 << 10;

#[inline(never)]
fn allocates() -> Vec<u8> {
    let block = vec![1; BLOCK];
    black_box(block)
}

#[profiled(name = "labels/step")]
#[inline(never)]
fn step() {
    thread::sleep(Duration::from_micros(200));
}

/// CPU time of this thread.
#[expect(unsafe_code, reason = "a system call")]
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes what it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Has the thread run for so long.
#[inline(never)]
fn burns(time: Duration) {
    let begin = thread_time();
    while thread_time() - begin < time {
        (0..1000).for_each(|n| _ = black_box(n));
    }
}

/// One step after another, each on whatever thread polls it then: a block that is kept, a timed call, CPU time.
async fn request(steps: usize, time: Duration) -> (Vec<Vec<u8>>, Vec<ThreadId>) {
    let (mut kept, mut threads) = (Vec::new(), Vec::new());
    for _ in 0..steps {
        kept.push(allocates());
        step();
        burns(time);
        threads.push(thread::current().id());
        // Not on this thread next time, if there is another one.
        pause().await;
        tokio::task::yield_now().await;
    }
    (kept, threads)
}

/// Eight tasks that move between four threads: each sample of each has its own label, none has another's.
#[test]
fn labels_follow_a_task_between_threads() {
    alone("labels_follow_a_task_between_threads", || {
        const TASKS: usize = 8;
        const STEPS: usize = 40;
        // A block is missed with a chance of e^-48, so that its rows are exact.
        profiled::heap::set_rate(1024);
        let session = profiled::cpu::Options::new().hz(500).start();
        assert_eq!(session.is_err(), cfg!(profiled_portable));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        let results: Vec<_> = runtime.block_on(async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    let request = request(STEPS, Duration::from_millis(2));
                    tokio::spawn(request.with_labels(&[("task", &task.to_string()), ("app", "shop")]))
                })
                .collect();
            let bare = tokio::spawn(request(STEPS, Duration::ZERO));
            let mut results = Vec::new();
            for task in tasks {
                results.push(task.await.unwrap());
            }
            results.push(bare.await.unwrap());
            results
        });
        let moved = results.iter().filter(|(_, threads)| {
            let threads: BTreeSet<String> = threads.iter().map(|id| format!("{id:?}")).collect();
            threads.len() > 1
        });
        assert!(moved.count() > 0, "no task was ever on two threads: there is nothing to see");
        // Every block is sampled, and every call of a fifth of a millisecond is timed.
        let (heap, functions) = (read("heap"), read("functions"));
        let own = |task: usize| Some(task.to_string());
        for task in (0..TASKS).map(own).chain([None]) {
            let of = |profile: &profiled_test_profiles::Profile, value: &str, name: &str| -> i64 {
                let rows = profile.find(&[name]).into_iter();
                rows.filter(|row| row.text("task") == task.as_deref()).map(|row| row.value(value)).sum()
            };
            assert_eq!(of(&heap, "inuse_objects", "allocates"), STEPS as i64, "{task:?}");
            assert_eq!(of(&functions, "calls", "step"), STEPS as i64, "{task:?}");
            let app = heap.find(&["allocates"]).into_iter().filter(|row| row.text("task") == task.as_deref());
            assert!(app.into_iter().all(|row| row.text("app") == task.as_ref().map(|_| "shop")));
        }
        // 80 ms of CPU time at 500 samples a second are 40 samples, in twos and threes, as the kernel looks at its clocks 250
        // times a second. Where other programs have both processors its looks may miss a thread: eleven were seen there.
        // With a mean of ten a task has none at a chance of e^-5.
        if let Ok(session) = session {
            let cpu = read_snapshot(&session.stop());
            let mut without = 0;
            for task in 0..TASKS {
                // Wherever it was: with musl a stack ends in the C code that reads the clock.
                let rows = cpu.samples().iter().filter(|row| row.text("task") == own(task).as_deref());
                let samples: i64 = rows.map(|row| row.value("samples")).sum();
                without += u32::from(samples == 0);
            }
            assert!(without < TASKS as u32 / 2, "{without} tasks have no samples");
            let bare = cpu.find(&["burns"]).into_iter().filter(|row| row.text("task").is_none());
            let bare: i64 = bare.map(|row| row.value("samples")).sum();
            // Its loops end at once.
            assert!(bare < 10, "{bare} samples of tasks with labels have none");
        }
        drop(results);
    });
}

/// Tasks that take turns on one thread, thousands of times, and what the thread does in between.
#[test]
fn tasks_on_one_thread_do_not_see_each_others_labels() {
    async fn sees(own: Option<String>, until: Instant) -> usize {
        let mut turns = 0;
        while Instant::now() < until {
            assert_eq!(label("task"), own);
            {
                // What is set for a moment in one is gone at its end.
                labels::with(&[("task", "inner")], || assert_eq!(label("task"), some("inner")));
            }
            pause().await;
            assert_eq!(label("task"), own);
            turns += 1;
        }
        turns
    }
    let until = Instant::now() + stress() / 4;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let turns = runtime.block_on(async {
        let tasks: Vec<_> = ["a", "b", "c"]
            .map(|name| tokio::spawn(sees(some(name), until).with_labels(&[("task", name)])))
            .into_iter()
            .chain([tokio::spawn(sees(None, until))])
            .collect();
        let mut turns = Vec::new();
        for task in tasks {
            assert_eq!(label("task"), None);
            turns.push(task.await.unwrap());
        }
        turns
    });
    assert!(turns.iter().all(|&turns| turns > 10), "{turns:?}");
    assert_eq!(labels::current().iter().count(), 0);
}

/// A future inherits what is in force where it is made, wherever it is polled.
#[test]
fn labels_are_inherited_where_a_future_is_made() {
    let sees = || async { (label("request"), label("part")) };
    let made = labels::with(&[("request", "7"), ("part", "outer")], || {
        (sees().with_labels(&[("part", "first")]), sees().with_labels(&[]))
    });
    assert_eq!(label("request"), None);
    let (first, second) = made;
    let first = thread::scope(|scope| scope.spawn(|| drive(first)).join().unwrap());
    assert_eq!(first, (some("7"), some("first")));
    // Labels of the thread that polls it are not its own.
    let second = labels::with(&[("request", "8")], || drive(second));
    assert_eq!(second, (some("7"), some("outer")));
}

/// One in another, in every order that they can be made in.
#[test]
fn labels_in_labels_add_and_override() {
    type Seen = [Option<String>; 3];
    let see = || -> Seen { [label("a"), label("b"), label("c")] };
    let sees = || async move {
        let before = see();
        pause().await;
        assert_eq!(before, see());
        before
    };
    // One around the other, made before it.
    let chained = sees().with_labels(&[("a", "1"), ("b", "1")]).with_labels(&[("b", "2"), ("c", "2")]);
    assert_eq!(drive(chained), [some("1"), some("1"), some("2")]);
    // The same on a thread with labels, which are the weakest.
    labels::with(&[("a", "0"), ("b", "0"), ("c", "0")], || {
        assert_eq!(
            drive(sees().with_labels(&[("a", "1")]).with_labels(&[("b", "2")])),
            [some("1"), some("2"), some("0")]
        );
    });
    // Made in it.
    let inside = async {
        let outer = see();
        let inner = sees().with_labels(&[("b", "3")]).await;
        // Made under labels for a moment, and polled when those are over.
        let later = labels::with(&[("c", "4")], || sees().with_labels(&[]));
        pause().await;
        let later = later.await;
        assert_eq!(see(), outer);
        [outer, inner, later]
    };
    let [outer, inner, later] = drive(inside.with_labels(&[("a", "1"), ("b", "1"), ("c", "1")]));
    assert_eq!(outer, [some("1"), some("1"), some("1")]);
    assert_eq!(inner, [some("1"), some("3"), some("1")]);
    assert_eq!(later, [some("1"), some("1"), some("4")]);
    // Of a function with labels that returns its future.
    #[profiled(labels(a = "own"))]
    fn annotated() -> impl Future<Output = Seen> {
        async { [label("a"), label("b"), label("c")] }
    }
    assert_eq!(drive(annotated().with_labels(&[("a", "1"), ("b", "1")])), [some("own"), some("1"), None]);
    assert_eq!(see(), [None, None, None]);
}

/// A future that is cancelled ends under its labels, and a panic leaves none behind.
#[test]
fn labels_hold_at_the_end() {
    struct Tells(mpsc::Sender<Option<String>>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(label("task")).unwrap();
        }
    }
    let (sender, receiver) = mpsc::channel();
    let tells = Tells(sender.clone());
    let mut future = Box::pin(
        async move {
            let _tells = tells;
            pause().await;
        }
        .with_labels(&[("task", "cancelled")]),
    );
    assert!(poll(future.as_mut()).is_pending());
    thread::spawn(move || {
        drop(future);
        assert_eq!(label("task"), None);
    })
    .join()
    .unwrap();
    assert_eq!(receiver.recv().unwrap(), some("cancelled"));
    // Never polled at all; in another one that is cancelled.
    let tells = Tells(sender);
    let unpolled = async move { drop(tells) }.with_labels(&[("x", "1")]);
    let mut outer = Box::pin(
        async move {
            pause().await;
            unpolled.await;
        }
        .with_labels(&[("task", "outer")]),
    );
    assert!(poll(outer.as_mut()).is_pending());
    drop(outer);
    assert_eq!(receiver.recv().unwrap(), some("outer"));
    let panics = async { panic!("on purpose") }.with_labels(&[("task", "panics")]);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drive::<_>(panics)));
    assert!(caught.is_err() && label("task").is_none());
}

/// It is `Send` if what is inside is, can be moved before it is polled, and borrows what its future borrows.
#[test]
fn it_is_a_future_as_the_one_inside() {
    fn send<T: Send + Sync + Unpin + 'static>(value: T) -> T {
        value
    }
    let ready = send(std::future::ready(3).with_labels(&[("a", "1")]));
    assert_eq!(drive(ready), 3);
    let key = String::from("key");
    let value = String::from("value");
    let text = String::from("text");
    let borrows = async { text.len() }.with_labels(&[(&key, &value)]);
    // The labels are copies.
    drop((key, value));
    assert!(format!("{borrows:?}").contains("\"key\": \"value\""));
    assert_eq!(drive(borrows), 4);
    assert!(size_of::<labels::WithLabels<()>>() <= 48, "it does not carry its labels");
}
