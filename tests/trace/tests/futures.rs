//! Futures and functions, as goroutines and regions.
use std::time::Duration;

use profiled::{profiled, tasks};
use profiled_test_trace::{count, record, rows};

#[profiled(name = "futures/inner")]
async fn inner() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

#[profiled(name = "futures/outer")]
async fn outer() {
    for _ in 0..3 {
        inner().await;
    }
    work(3);
}

#[profiled(name = "futures/work")]
fn work(depth: u32) -> u32 {
    if depth == 0 { 0 } else { 1 + std::hint::black_box(work(depth - 1)) }
}

#[profiled(name = "futures/known")]
fn known() -> u32 {
    std::hint::black_box(8)
}

#[profiled(name = "futures/unseen", trace = false)]
fn unseen() -> u32 {
    std::hint::black_box(7)
}

#[profiled(name = "futures/forever")]
async fn forever() {
    std::future::pending::<()>().await;
}

#[test]
fn futures_are_goroutines_and_functions_are_regions() {
    tasks::set_stacks(tasks::Stacks::All);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    // Functions that were called before are in it as those that were not.
    known();
    let (trace, summary) = record(|| {
        runtime.block_on(async {
            let handles: Vec<_> = (0..20).map(|_| tokio::spawn(outer())).collect();
            let cancelled = tasks::spawn("futures/cancelled", forever());
            for handle in handles {
                handle.await.unwrap();
            }
            cancelled.abort();
            assert!(cancelled.await.unwrap_err().is_cancelled());
        });
        unseen();
        work(0);
        (0..5).for_each(|_| _ = known());
    });
    assert_eq!(summary.dropped, 0);
    let text = trace.parsed();
    // Each of the twenty calls it four times, one in the other, and the test once; some 60 polls of what is inside.
    assert_eq!(count(&text, &["RegionBegin", "\"futures/work\""]), 81, "{text}");
    assert!(count(&text, &["RegionBegin", "\"futures/inner\""]) >= 60);
    assert_eq!(count(&text, &["RegionBegin", "\"futures/known\""]), 5);
    assert_eq!(count(&text, &["futures/unseen"]), 0);
    assert!(count(&text, &["Running->Waiting", "\"await\""]) >= 60, "{text}");

    let pages = trace.pages();
    let goroutines = rows(&pages.get("/goroutines"));
    let of = |name: &str| {
        let row = goroutines.iter().find(|row| row[0] == name);
        row.unwrap_or_else(|| panic!("{name}: {goroutines:?}"))[1].clone()
    };
    assert_eq!(of("futures/outer"), "20");
    assert_eq!(of("futures/cancelled"), "1");
    // From the wake to the poll, at whoever woke.
    let sched = trace.profile("sched");
    assert!(sched.samples().iter().any(|sample| !sample.frames.is_empty()), "wakes have stacks");
}
