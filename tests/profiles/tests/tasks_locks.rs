//! Waits for asynchronous locks: `block` has the chain of awaits down to the lock, `mutex` that of whoever held it.
#![cfg(not(any(miri, profiled_portable)))]
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use profiled::profile_mutex;
use profiled::tasks::instrument;
use profiled::tokio::sync::Mutex;
use profiled::{block, mutex, profiled};
use profiled_test_profiles::{Sample, alone, read};

type Till = Arc<Mutex<u64>>;

/// Where `what` stands in this file: the line that has it in a comment at its end.
fn line(what: &str) -> i64 {
    let found = include_str!("tasks_locks.rs").lines().position(|line| line.ends_with(&format!("// {what}")));
    found.unwrap_or_else(|| panic!("no line ends with // {what}")) as i64 + 1
}

#[inline(never)]
async fn pays(till: &Till) {
    queues(till).await; // pays
}

#[inline(never)]
async fn queues(till: &Till) {
    *till.lock().await += 1; // queues
}

/// Its parent awaits it.
#[profiled]
async fn customer(till: Till) {
    pays(&till).await; // customer
}

#[inline(never)]
async fn counts(till: &Till, queue: Duration) {
    let guard = till.lock().await;
    tokio::time::sleep(queue).await;
    drop(guard); // counts
}

#[profiled]
async fn cashier(till: Till, queue: Duration) {
    counts(&till, queue).await; // cashier
}

/// The lines of this file on a stack, the leaf first.
fn lines(sample: &Sample) -> Vec<i64> {
    let own = sample.frames.iter().filter(|frame| frame.file.ends_with("tests/tasks_locks.rs"));
    own.map(|frame| frame.line).collect()
}

/// Whether they are there, in this order.
fn has_chain(sample: &Sample, chain: &[&str]) -> bool {
    let lines = lines(sample);
    let mut rest = lines.iter();
    chain.iter().all(|what| rest.any(|&at| at == line(what)))
}

#[test]
fn waits_for_asynchronous_locks_have_their_awaits() {
    alone("waits_for_asynchronous_locks_have_their_awaits", || {
        block::set_rate(1);
        mutex::set_fraction(1);
        const QUEUE: Duration = Duration::from_millis(50);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let till: Till = Arc::new(profile_mutex!("till", ::tokio::sync::Mutex::new(0)));
        let family = |till: Till| async move {
            instrument("family", async {
                customer(till).await; // family
            })
            .await;
        };
        const CHAIN: [&str; 4] = ["queues", "pays", "customer", "family"];
        // It lasts: the wait is shown with its chain all the same.
        let guard = runtime.block_on(till.lock());
        let customers: Vec<_> = (0..2).map(|_| runtime.spawn(family(till.clone()))).collect();
        let waits = || {
            let profile = read("block");
            let of = |sample: &&Sample| has_chain(sample, &CHAIN);
            profile.samples().iter().filter(of).map(|sample| sample.value("contentions")).sum::<i64>()
        };
        for _ in 0..1000 {
            if waits() == 2 {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(waits(), 2, "{:#?}", read("block"));
        drop(guard);
        runtime.block_on(async {
            for customer in customers {
                customer.await.unwrap();
            }
        });
        assert_eq!(waits(), 2, "booked where it was shown");

        // Who held it has a chain, too, and is charged for what it delayed.
        let held = runtime.spawn(cashier(till.clone(), QUEUE));
        thread::sleep(QUEUE / 5);
        let waits = runtime.spawn(family(till.clone()));
        runtime.block_on(async { (held.await.unwrap(), waits.await.unwrap()) });
        let profile = read("mutex");
        let charged: i64 = profile
            .samples()
            .iter()
            .filter(|sample| sample.text("lock") == Some("till") && has_chain(sample, &["counts", "cashier"]))
            .map(|sample| sample.value("delay"))
            .sum();
        let waited: i64 = {
            let profile = read("block");
            let of = |sample: &&Sample| has_chain(sample, &CHAIN);
            profile.samples().iter().filter(of).map(|sample| sample.value("delay")).sum()
        };
        assert!(charged > 0 && charged <= waited, "{charged} of {waited}: {profile:#?}");
    });
}
