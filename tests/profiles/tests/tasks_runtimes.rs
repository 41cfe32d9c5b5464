//! Futures on the less usual floors of a runtime: a `LocalSet`, whose futures never leave their thread, and
//! `block_in_place`, which gives the worker's other tasks away while a poll goes on.
#![cfg(not(miri))]
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use profiled::profiled;
use profiled::tasks::{self, Stacks};
use profiled_test_profiles::{alone, read, text};
use tokio::sync::Notify;

/// The block of the one task of this name in the text with all of them, once it is as it should be, or after ten seconds.
fn block(name: &str, is: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let all = text("tasks", 2);
        let head = format!("\"{name}\"");
        let found: Vec<&str> = all
            .split("\n\n")
            .filter(|block| block.lines().next().is_some_and(|line| line.contains(&head)))
            .collect();
        if let [one] = found[..]
            && is(one)
        {
            return one.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{name} in\n{all}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn line(what: &str) -> String {
    let found =
        include_str!("tasks_runtimes.rs").lines().position(|line| line.ends_with(&format!("// {what}")));
    format!("tests/tasks_runtimes.rs:{}", found.unwrap_or_else(|| panic!("no line ends with // {what}")) + 1)
}

/// Not `Send`: it holds an `Rc` where it waits.
#[profiled]
async fn stays_here(bell: Rc<Notify>) {
    let own = bell.clone();
    bell.notified().await; // local
    own.notify_one();
}

#[test]
fn futures_of_a_local_set_are_shown() {
    alone("futures_of_a_local_set_are_shown", || {
        tasks::set_stacks(Stacks::All);
        let (ask, asked) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let looker = thread::spawn(move || {
            asked.recv().unwrap();
            let found = block("tasks_runtimes::stays_here", |block| block.contains("[pending at "));
            tell.send(found).unwrap();
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let set = tokio::task::LocalSet::new();
        let found = set.block_on(&runtime, async {
            let bell = Rc::new(Notify::new());
            let local = tokio::task::spawn_local(stays_here(bell.clone()));
            // Once around, so that it waits, and is woken later.
            tokio::task::yield_now().await;
            ask.send(()).unwrap();
            let found = told.recv().unwrap();
            bell.notify_one();
            local.await.unwrap();
            found
        });
        looker.join().unwrap();
        #[cfg(not(profiled_portable))]
        assert!(found.contains(&line("local")), "{found}");
        assert!(found.contains("[pending at "), "{found}");
        assert!(!text("tasks", 2).contains("stays_here"), "it has ended");
        // That one wait is in the profile of waits, too.
        let waits = read("await");
        let of = |sample: &&profiled_test_profiles::Sample| {
            sample.text("profiled") == Some("tasks_runtimes::stays_here")
        };
        let rows: Vec<_> = waits.samples().iter().filter(of).collect();
        assert_eq!(rows.iter().map(|row| row.value("waits")).sum::<i64>(), 1, "{waits:?}");
    });
}

#[profiled]
async fn blocks_in_place(begun: mpsc::Sender<()>, end: mpsc::Receiver<()>) {
    tokio::task::yield_now().await;
    tokio::task::block_in_place(|| {
        begun.send(()).unwrap();
        end.recv().unwrap(); // in place
    });
    tokio::time::sleep(Duration::from_secs(1000)).await; // after it
}

#[profiled]
async fn goes_on(turns: u32) -> u32 {
    for _ in 0..turns {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    turns
}

#[test]
fn a_poll_that_blocks_in_place_is_running_and_others_go_on() {
    alone("a_poll_that_blocks_in_place_is_running_and_others_go_on", || {
        tasks::set_stacks(Stacks::All);
        // One worker: what else there is has to be taken over by a new one.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (begun, has_begun) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let blocked = runtime.spawn(blocks_in_place(begun, ends));
        has_begun.recv().unwrap();
        assert_eq!(runtime.block_on(runtime.spawn(goes_on(20))).unwrap(), 20);
        let running = block("tasks_runtimes::blocks_in_place", |_| true);
        assert!(running.contains(" [running"), "{running}");
        end.send(()).unwrap();
        let after = block("tasks_runtimes::blocks_in_place", |block| block.contains("[pending at "));
        #[cfg(not(profiled_portable))]
        assert!(after.contains(&line("after it")), "{after}");
        assert!(after.contains(", 3 polls") || after.contains(", 2 polls"), "{after}");
        blocked.abort();
        let begun = Instant::now();
        while text("tasks", 2).contains("blocks_in_place") {
            assert!(begun.elapsed() < Duration::from_secs(10), "it was aborted");
            thread::sleep(Duration::from_millis(5));
        }
        drop(runtime);
    });
}
