//! A small program, from its begin to the pages of Go's tool.
use std::thread;
use std::time::Duration;

use profiled::trace;
use profiled_test_trace::{count, record, rows};

#[test]
fn a_program_with_threads_tasks_regions_and_messages_is_shown() {
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
