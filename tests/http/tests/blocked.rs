//! A program whose executor does not run is asked why, and answers.
#![allow(missing_docs)]
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use profiled::sync::Mutex;
use profiled::{profile_mutex, profiled};
use profiled_test_http::get;

#[profiled]
async fn blocks_its_worker(end: Arc<Barrier>) {
    end.wait();
}

#[profiled]
async fn wants_to_run(notify: Arc<tokio::sync::Notify>) {
    notify.notified().await;
}

#[inline(never)]
fn locks_both(first: &Mutex<u32>, second: &Mutex<u32>, meet: &Barrier) {
    let first = first.lock().unwrap();
    meet.wait();
    let second = second.lock().unwrap();
    std::hint::black_box((&first, &second));
}

/// Lets the workers go when the test is over, however it ends: their runtime would wait for them for ever.
struct Blocked {
    runtime: Option<tokio::runtime::Runtime>,
    end: Arc<Barrier>,
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.end.wait();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// All workers are blocked, and two threads are deadlocked: `goroutine?debug=2` names all of them.
#[test]
fn who_blocks_the_executor_is_named() {
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    let addr = server.local_addr().socket_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let notify = Arc::new(tokio::sync::Notify::new());
    runtime.spawn(wants_to_run(notify.clone()));
    let waits = || get(addr, "goroutine?debug=2").text();
    let until = |is: &dyn Fn(&str) -> bool| {
        let begin = Instant::now();
        loop {
            let text = waits();
            if is(&text) || begin.elapsed() > Duration::from_secs(30) {
                return text;
            }
            thread::sleep(Duration::from_millis(10));
        }
    };
    until(&|text| text.contains("\"blocked::wants_to_run\" [pending"));
    let end = Arc::new(Barrier::new(3));
    for _ in 0..2 {
        runtime.spawn(blocks_its_worker(end.clone()));
    }
    until(&|text| text.matches("\"blocked::blocks_its_worker\" [running").count() == 2);
    let _blocked = Blocked { runtime: Some(runtime), end };
    // Woken, and nobody is there to run it. One that was spawned now is not known yet.
    notify.notify_one();

    let locks = (
        Arc::new(profile_mutex!("left", std::sync::Mutex::new(0))),
        Arc::new(profile_mutex!("right", std::sync::Mutex::new(0))),
    );
    let meet = Arc::new(Barrier::new(2));
    for (first, second, name) in
        [(locks.0.clone(), locks.1.clone(), "one"), (locks.1.clone(), locks.0.clone(), "the other")]
    {
        let meet = meet.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || locks_both(&first, &second, &meet))
            .unwrap();
    }
    let whole = |text: &str| {
        text.contains("\"blocked::wants_to_run\" [woken")
            && text.matches("\"blocked::blocks_its_worker\" [running").count() == 2
            && ["\"one\" [futex", "\"the other\" [futex"].iter().all(|head| text.contains(head))
    };
    let text = until(&whole);
    assert!(whole(&text), "{text}");
    // The culprits' stacks: the workers', at what they are blocked in, and both of the deadlocked.
    let block_of = |head: &str| text.split("\n\n").find(|block| block.contains(head)).unwrap_or_default();
    for name in ["one", "the other"] {
        assert!(block_of(&format!("\"{name}\" [futex")).contains("blocked::locks_both"), "{text}");
    }
    let workers = text
        .split("\n\n")
        .filter(|block| block.starts_with("thread ") && block.contains("tests/blocked.rs:13"));
    assert_eq!(workers.count(), 2, "{text}");
    // And only who has been waiting for so long.
    thread::sleep(Duration::from_millis(300));
    let stuck = get(addr, "goroutine?debug=2&stuck=0.25").text();
    assert!(
        stuck.contains("\"blocked::wants_to_run\" [woken") && stuck.contains("\"one\" [futex"),
        "{stuck}"
    );
    assert!(
        !get(addr, "goroutine?debug=2&stuck=600").text().contains("blocked::"),
        "nobody waits for ten minutes"
    );
    let refused = get(addr, "goroutine?stuck=x");
    assert_eq!(refused.status, 400, "{}", refused.text());
}
