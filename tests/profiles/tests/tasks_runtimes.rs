//! Futures on the less usual floors of a runtime: a `LocalSet`, whose futures never leave their thread, and
//! `block_in_place`, which gives the worker's other tasks away while a poll goes on.
#![cfg(not(miri))]
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use profiled::profiled;
use profiled::tasks::{self, Stacks, instrument};
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

/// A child of a `JoinSet`, that has a name.
async fn rings(bell: Arc<Notify>) {
    bell.notified().await;
}

/// The same by an attribute.
#[profiled]
async fn rings_alike(bell: Arc<Notify>) {
    bell.notified().await;
}

#[profiled]
async fn gathers(bell: Arc<Notify>) {
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..2 {
        set.spawn(instrument("by hand", rings(bell.clone()))); // by hand
    }
    set.spawn(instrument("by hand, of a function", rings_alike(bell.clone())));
    set.spawn(rings_alike(bell));
    while set.join_next().await.is_some() {}
}

/// Children of a `JoinSet` that are given a name where they are spawned are under whoever spawned them, which says where; what
/// is in them is under them. One that only its function's attribute knows of is nobody's: that begins at its first poll.
#[test]
fn children_of_a_join_set_are_under_who_spawned_them() {
    alone("children_of_a_join_set_are_under_who_spawned_them", || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let bell = Arc::new(Notify::new());
        let all = runtime.spawn(gathers(bell.clone()));
        let heads = || {
            let text = text("goroutine", 2);
            let of = |block: &str| {
                let head = block.lines().next().unwrap_or_default();
                let depth = (head.len() - head.trim_start().len()) / 2;
                let name = head.trim_start().strip_prefix("task ")?.split('"').nth(1)?.to_owned();
                Some((depth, name, block.contains("created by ") && block.contains(&line("by hand"))))
            };
            text.split("\n\n").filter_map(of).collect::<Vec<_>>()
        };
        let alike = "tasks_runtimes::rings_alike";
        let wanted = [
            (0, "tasks_runtimes::gathers", false),
            (1, "by hand", true),
            (1, "by hand", true),
            (1, "by hand, of a function", false),
            (2, alike, false),
            (0, alike, false),
        ]
        .map(|(depth, name, made)| (depth, name.to_owned(), made));
        let begun = Instant::now();
        while heads() != wanted && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(heads(), wanted);
        bell.notify_waiters();
        runtime.block_on(all).unwrap();
        assert_eq!(heads(), []);
    });
}
