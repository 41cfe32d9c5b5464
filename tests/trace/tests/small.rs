//! A small program, from its begin to the pages of Go's tool.
use std::thread;
use std::time::Duration;

use profiled::trace;
use profiled_test_trace::{count, record, rows};

/// Sessions are the process's: one test at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn a_program_with_threads_tasks_regions_and_messages_is_shown() {
    let _alone = alone();
    let (trace, summary) = record(|| {
        let task = trace::task("checkout");
        trace::log!("order", "number {}", 42);
        {
            let _pay = trace::region("payment");
            thread::sleep(Duration::from_millis(2));
        }
        thread::scope(|scope| {
            for _ in 0..2 {
                thread::Builder::new()
                    .name("packer".to_owned())
                    .spawn_scoped(scope, || {
                        task.in_scope(|| {
                            for _ in 0..3 {
                                let _region = trace::region("packing");
                                thread::sleep(Duration::from_millis(1));
                            }
                        });
                    })
                    .unwrap();
            }
        });
        drop(task);
        let _outside = trace::region("afterwards");
    });
    // Two of the task, a message, and two of each region.
    assert_eq!((summary.events, summary.dropped), (3 + 2 + 12 + 2, 0));
    let text = trace.parsed();
    assert_eq!(count(&text, &["RegionBegin", "Type=\"packing\""]), 6, "{text}");
    assert_eq!(count(&text, &["TaskBegin", "Type=\"checkout\""]), 1);
    assert_eq!(count(&text, &["TaskEnd"]), 1);
    assert_eq!(count(&text, &["Log", "Category=\"order\"", "Message=\"number 42\""]), 1, "{text}");

    let pages = trace.pages();
    let tasks = rows(&pages.get("/usertasks"));
    let task = tasks.iter().find(|row| row[0].contains("checkout")).unwrap_or_else(|| panic!("{tasks:?}"));
    assert_eq!(task[1], "1");
    let regions = rows(&pages.get("/userregions"));
    for (name, number) in [("packing", "6"), ("payment", "1"), ("afterwards", "1")] {
        let found: Vec<_> = regions.iter().filter(|row| row.iter().any(|cell| cell.contains(name))).collect();
        assert!(found.iter().any(|row| row.iter().any(|cell| cell == number)), "{name}: {regions:?}");
    }
    let goroutines = rows(&pages.get("/goroutines"));
    let packers =
        goroutines.iter().find(|row| row[0].contains("packer")).unwrap_or_else(|| panic!("{goroutines:?}"));
    assert_eq!(packers[1], "2", "{goroutines:?}");
}

#[test]
fn regions_end_where_they_do() {
    let _alone = alone();
    let (trace, _) = record(|| {
        let outer = trace::region("outer");
        drop(trace::region("inner"));
        trace::log("between", "");
        drop(outer);
    });
    let text = trace.parsed();
    let at = |parts: [&str; 2]| {
        text.lines().position(|line| parts.iter().all(|part| line.contains(part))).unwrap()
    };
    let places = [
        at(["RegionBegin", "\"outer\""]),
        at(["RegionBegin", "\"inner\""]),
        at(["RegionEnd", "\"inner\""]),
        at(["Log", "\"between\""]),
        at(["RegionEnd", "\"outer\""]),
    ];
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn labels_are_messages_where_they_change() {
    let _alone = alone();
    let (trace, summary) = record(|| {
        profiled::labels! { "route" => "/cart" }
        profiled::labels::with(&[("user", "7")], || ());
    });
    let text = trace.parsed();
    let labels: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("Category=\"labels\""))
        .map(|line| line.split("Message=").nth(1).unwrap())
        .collect();
    assert_eq!(labels, ["\"route=/cart\"", "\"route=/cart,user=7\"", "\"route=/cart\"", "\"\""], "{text}");
    assert_eq!(summary.events, 4);
}

#[test]
fn a_long_text_is_cut_where_everybody_sees_it() {
    let _alone = alone();
    let long = "\u{e4}".repeat(600);
    let (trace, _) = record(|| {
        trace::log("long", &long);
        trace::log!("long", "{long}{long}");
        trace::log("long", &long[..1024]);
    });
    let text = trace.parsed();
    let messages: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("Category=\"long\""))
        .map(|line| line.split("Message=").nth(1).unwrap())
        .collect();
    let cut = format!("\"{}\u{2026}\"", &long[..1020]);
    assert_eq!(messages, [cut.clone(), cut, format!("\"{}\"", &long[..1024])]);
}
