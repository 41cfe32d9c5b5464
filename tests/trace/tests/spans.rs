//! Spans and events of `tracing`, as Go's tool and Perfetto's processor show them.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use profiled::{LabelValue, cpu, labels, trace};
use profiled_test_trace::perfetto::{query_good, record_perfetto};
use profiled_test_trace::{count, record, rows};
use tracing::{Instrument as _, debug_span, info, info_span, instrument, warn};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Counts what each thread allocates.
struct Counts;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counts = Counts;

#[expect(unsafe_code, reason = "counts, and forwards")]
// SAFETY: the system's does it all.
unsafe impl GlobalAlloc for Counts {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller has it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller has it.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Sessions are the process's, and so is the subscriber: one test at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static SUBSCRIBER: std::sync::Once = std::sync::Once::new();
    SUBSCRIBER.call_once(|| {
        let layer = profiled::tracing::layer().labels(["request_id", "user"]);
        tracing_subscriber::registry().with(layer.with_filter(LevelFilter::INFO)).init();
    });
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

#[instrument]
fn pay(amount: u32) {
    info!(amount, currency = "EUR", "paid");
    pause(1);
}

#[instrument]
fn checkout() {
    (1..=3).for_each(pay);
}

#[instrument]
async fn fetch() {
    tokio::time::sleep(Duration::from_millis(2)).await;
    info!("fetched");
}

#[instrument(skip_all)]
async fn request() {
    let children: Vec<_> = (0..2).map(|_| tokio::spawn(fetch().in_current_span())).collect();
    for child in children {
        child.await.unwrap();
    }
    fetch().await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

/// The lines that have all of it, from there on.
fn lines<'a>(text: &'a str, parts: &[&str]) -> Vec<&'a str> {
    text.lines().filter(|line| parts.iter().all(|part| line.contains(part))).collect()
}

/// What `key=` has in such a line.
fn value<'a>(line: &'a str, key: &str) -> &'a str {
    let (_, rest) = line.split_once(&format!(" {key}=")).unwrap_or_else(|| panic!("{key} in {line}"));
    rest.split(' ').next().unwrap()
}

/// The regions of a trace in the order of the lines: `+name` and `-name`.
fn regions(text: &str) -> Vec<String> {
    let of = |line: &str| {
        let sign = if line.contains("RegionBegin") { "+" } else { "-" };
        format!("{sign}{}", line.split_once("Type=").unwrap().1.trim_matches('"'))
    };
    text.lines().filter(|line| line.contains("Region")).map(of).collect()
}

#[test]
fn an_annotated_program_has_its_tasks_regions_and_messages() {
    let _alone = alone();
    let runtime = runtime();
    let (trace, summary) = record(|| {
        (0..4).for_each(|_| checkout());
        runtime.block_on(async {
            let requests: Vec<_> = (0..5).map(|_| tokio::spawn(request())).collect();
            for request in requests {
                request.await.unwrap();
            }
        });
    });
    assert_eq!(summary.dropped, 0);
    let text = trace.parsed();
    assert_eq!(count(&text, &["RegionBegin", "Type=\"checkout\""]), 4, "{text}");
    assert_eq!(count(&text, &["RegionBegin", "Type=\"pay\""]), 12);
    for amount in 1..=3 {
        let message = format!("Message=\"INFO paid amount={amount} currency=\\\"EUR\\\"\"");
        assert_eq!(count(&text, &["Log", "Category=\"spans\"", &message]), 4, "{message} in {text}");
    }
    assert_eq!(count(&text, &["Log", "Message=\"INFO fetched\""]), 15);
    // A poll each: begun, and woken at least once.
    assert!(count(&text, &["RegionBegin", "Type=\"fetch\""]) >= 30, "{text}");
    // Only roots are tasks, and all that is below belongs to one.
    assert_eq!(count(&text, &["TaskBegin"]), 9);
    assert_eq!(count(&text, &["TaskEnd"]), 9);
    let tasks: Vec<&str> =
        lines(&text, &["TaskBegin", "Type=\"request\""]).iter().map(|line| value(line, "ID")).collect();
    for task in &tasks {
        let belongs = format!("Task={task} ");
        assert!(count(&text, &["RegionBegin", &belongs, "Type=\"fetch\""]) >= 6, "{task} in {text}");
        assert_eq!(count(&text, &["Log", &belongs, "INFO fetched"]), 3, "{task} in {text}");
    }
    // All that begins ends.
    assert_eq!(count(&text, &["RegionBegin"]), count(&text, &["RegionEnd"]));

    let pages = trace.pages();
    let tasks = rows(&pages.get("/usertasks"));
    for (name, number) in [("checkout", "4"), ("request", "5")] {
        let row = tasks.iter().find(|row| row[0].contains(name)).unwrap_or_else(|| panic!("{tasks:?}"));
        assert_eq!(row[1], number, "{tasks:?}");
    }
    assert!(!tasks.iter().any(|row| row[0].contains("pay") || row[0].contains("fetch")), "{tasks:?}");
    let found = rows(&pages.get("/userregions"));
    for (name, number) in [("checkout", "4"), ("pay", "12")] {
        let row = found.iter().find(|row| row.iter().any(|cell| cell.contains(name)));
        assert!(row.is_some_and(|row| row.iter().any(|cell| cell == number)), "{name}: {found:?}");
    }
}

#[test]
fn perfetto_has_them_too() {
    let _alone = alone();
    let (bytes, summary) = record_perfetto(|| {
        thread::Builder::new().name("shop".to_owned()).spawn(checkout).unwrap().join().unwrap();
    });
    assert_eq!(summary.dropped, 0);
    let [nested, tasks, messages] = query_good(
        &bytes,
        [
            "select th.name, p.name, s.name, count(*), sum(s.dur > 1000000) from slice s
             join slice p on s.parent_id = p.id join thread_track t on s.track_id = t.id join thread th using (utid)
             where s.name = 'pay' group by 1, 2, 3",
            "select count(*) from slice s join track t on s.track_id = t.id
             where s.name = 'checkout' and s.dur > 3000000 and s.track_id not in (select id from thread_track)",
            "select a.display_value, count(*) from slice s join args a using (arg_set_id)
             where a.key = 'debug.message' and a.display_value like '%amount=2%' group by 1",
        ],
    );
    assert_eq!(nested, [["shop", "checkout", "pay", "3", "3"]]);
    assert_eq!(tasks, [["1"]]);
    assert_eq!(messages, [["INFO paid amount=2 currency=\"EUR\"", "1"]]);
}

#[test]
fn a_span_is_where_it_is_entered() {
    let _alone = alone();
    let (trace, _) = record(|| {
        let root = info_span!("root");
        let child = info_span!(parent: &root, "child");
        thread::scope(|scope| {
            for _ in 0..3 {
                let run = || child.in_scope(|| info!("here"));
                thread::Builder::new().name("elsewhere".to_owned()).spawn_scoped(scope, run).unwrap();
            }
        });
        // Again, and within itself.
        root.in_scope(|| root.in_scope(|| child.in_scope(|| ())));
        info!(parent: &child, "of the child");
        // In the midst of another one.
        info_span!("other").in_scope(|| {
            child.in_scope(|| info!("here, too"));
            info!(parent: &child, "of the child, too");
            info!(parent: None, "of nobody");
        });
        drop(child);
        drop(root);
        info!("after it");
    });
    let text = trace.parsed();
    let task = lines(&text, &["TaskBegin", "Type=\"root\""]);
    assert_eq!((task.len(), count(&text, &["TaskEnd"])), (1, 2), "{text}");
    let belongs = format!("Task={} ", value(task[0], "ID"));
    assert_eq!(count(&text, &["RegionBegin", &belongs, "\"child\""]), 5, "{text}");
    assert_eq!(count(&text, &["RegionBegin", &belongs, "\"root\""]), 2, "{text}");
    assert_eq!(count(&text, &["Log", &belongs, "INFO here\""]), 3);
    assert_eq!(count(&text, &["Log", &belongs, "INFO here, too"]), 1);
    assert_eq!(count(&text, &["Log", &belongs, "INFO of the child"]), 2);
    for outside in ["INFO of nobody", "INFO after it"] {
        let found = lines(&text, &["Log", outside]);
        assert_eq!((found.len(), value(found[0], "Task")), (1, "0"), "{found:?}");
    }
    let threads: std::collections::HashSet<&str> =
        lines(&text, &["RegionBegin", "\"child\""]).iter().map(|line| value(line, "G")).collect();
    assert_eq!(threads.len(), 4, "three threads and this one: {text}");
}

#[test]
fn spans_that_are_exited_in_another_order_stay_true() {
    let _alone = alone();
    let (trace, _) = record(|| {
        let (first, second) = (info_span!("first"), info_span!("second"));
        let within_first = first.enter();
        let within_second = second.enter();
        drop(within_first);
        info!("in the second");
        drop(within_second);
        info!("in none");
    });
    let text = trace.parsed();
    assert_eq!(regions(&text), ["+first", "+second", "-second", "-first", "+second", "-second"], "{text}");
    let tasks = ["first", "second"].map(|name| {
        let begin = format!("Type=\"{name}\"");
        value(lines(&text, &["TaskBegin", &begin])[0], "ID").to_owned()
    });
    let of = |message: &str| value(lines(&text, &["Log", message])[0], "Task").to_owned();
    assert_eq!(of("in the second"), tasks[1], "{text}");
    assert!(!tasks.contains(&of("in none")), "{text}");
}

#[test]
fn a_recording_may_begin_and_end_within_spans() {
    let _alone = alone();
    let (root, entered) = (info_span!("root"), info_span!("entered", user = 1));
    let around = trace::task("around");
    let child = info_span!(parent: &root, "child");
    let within = entered.enter();
    let (trace, _) = record(|| {
        child.in_scope(|| info!("here"));
        // What ends now has not begun here.
        drop(within);
        info!("still in the task");
        info_span!(parent: &root, "another").in_scope(|| ());
        // This one goes on.
        std::mem::forget(child.enter());
    });
    let text = trace.parsed();
    assert_eq!(
        regions(&text).iter().filter(|region| region.starts_with('+')).collect::<Vec<_>>(),
        ["+child", "+another", "+child"],
        "{text}"
    );
    let still = value(lines(&text, &["Log", "still in the task"])[0], "Task");
    let task = lines(&text, &["TaskBegin"]);
    assert_eq!(value(task[0], "Parent"), still, "{text}");
    assert!(task.len() == 1 && task[0].contains("\"root\""), "seen from the first enter on: {text}");
    let belongs = format!("Task={} ", value(task[0], "ID"));
    assert_eq!(count(&text, &["RegionBegin", &belongs]), 3, "{text}");
    // Over, in another recording, and not taken for anything in that.
    let (trace, _) = record(|| {
        info_span!(parent: None, "outer").in_scope(|| {
            tracing::dispatcher::get_default(|dispatch| dispatch.exit(&child.id().unwrap()));
            info!("still here");
        });
        root.in_scope(|| ());
        drop((root.clone(), child.clone()));
    });
    drop((child, root, around));
    let text = trace.parsed();
    assert_eq!(regions(&text), ["+outer", "-outer", "+root", "-root"], "{text}");
    assert_eq!(count(&text, &["TaskBegin", "\"root\""]), 1, "{text}");
    let outer = value(lines(&text, &["TaskBegin", "\"outer\""])[0], "ID");
    assert_eq!(value(lines(&text, &["Log", "still here"])[0], "Task"), outer, "{text}");
}

#[test]
fn cancelled_futures_and_panics_end_their_spans() {
    let _alone = alone();
    let runtime = runtime();
    let (trace, _) = record(|| {
        runtime.block_on(async {
            let task = tokio::spawn(pending::<()>().instrument(info_span!("cancelled")));
            tokio::time::sleep(Duration::from_millis(2)).await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            let panics = async { info_span!("inner").in_scope(|| panic!("on purpose")) };
            assert!(tokio::spawn(panics.instrument(info_span!("panics"))).await.unwrap_err().is_panic());
        });
        info_span!("late").in_scope(|| ());
    });
    let text = trace.parsed();
    for name in ["cancelled", "panics", "late"] {
        assert_eq!(count(&text, &["TaskBegin", &format!("Type=\"{name}\"")]), 1, "{text}");
    }
    assert_eq!(count(&text, &["TaskEnd"]), 3, "{text}");
    for name in ["cancelled", "panics", "inner", "late"] {
        let both =
            ["RegionBegin", "RegionEnd"].map(|kind| count(&text, &[kind, &format!("Type=\"{name}\"")]));
        assert!(both[0] == both[1] && both[0] >= 1, "{name}: {both:?} in {text}");
    }
}

#[test]
fn filters_say_what_is_in_it() {
    let _alone = alone();
    let (trace, summary) = record(|| {
        let _root = info_span!("root").entered();
        let _hidden = debug_span!("hidden").entered();
        info_span!("below").in_scope(|| tracing::debug!("unseen"));
        warn!("seen");
    });
    let text = trace.parsed();
    assert_eq!(regions(&text), ["+root", "+below", "-below", "-root"], "{text}");
    assert_eq!((count(&text, &["TaskBegin"]), count(&text, &["Log"])), (1, 1), "{text}");
    assert_eq!(count(&text, &["Log", "Message=\"WARN seen\""]), 1, "{text}");
    assert_eq!(summary.events, 7);
}

/// Does what no `Debug` should.
struct Wild(&'static str);

impl fmt::Debug for Wild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "panics" => panic!("on purpose"),
            "says" => info!(deeper = ?Wild("spans"), "from within"),
            _ => info_span!("from a field", user = ?Wild2).in_scope(|| ()),
        }
        f.write_str(self.0)
    }
}

/// A value of a label that opens another span.
struct Wild2;

impl fmt::Debug for Wild2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info_span!("from a label").in_scope(|| f.write_str("deep"))
    }
}

#[test]
fn values_that_trace_or_panic_while_they_are_formatted_do_no_harm() {
    let _alone = alone();
    let (trace, summary) = record(|| {
        let span = info_span!("root", user = ?Wild("panics"), request_id = ?Wild("says")).entered();
        info!(before = 1, value = ?Wild("panics"), after = 2, "message");
        info!(value = ?Wild("says"), after = 2, "message");
        span.record("user", tracing::field::debug(Wild("panics")));
        drop(span);
    });
    assert_eq!(summary.dropped, 0);
    let text = trace.parsed();
    assert_eq!(count(&text, &["Message=\"INFO message before=1 value=[panicked] after=2\""]), 1, "{text}");
    assert_eq!(count(&text, &["Message=\"INFO message value=says after=2\""]), 1, "{text}");
    assert!(count(&text, &["Message=\"INFO from within deeper=spans\""]) >= 1, "{text}");
    let begun = regions(&text).iter().filter(|region| region.starts_with('+')).count();
    assert_eq!(begun * 2, regions(&text).len(), "{text}");
    assert!(regions(&text).contains(&"+from a label".to_owned()), "{text}");
    assert_eq!(labels::current().iter().count(), 0);
}

fn in_force() -> Vec<String> {
    labels::current().iter().map(|(key, value)| format!("{key}={value}")).collect()
}

#[test]
fn chosen_fields_are_labels_while_the_span_is_entered() {
    let _alone = alone();
    // Nobody records: labels are all profiles'.
    let root = info_span!("root", request_id = 7, other = 1, user = tracing::field::Empty);
    let child = info_span!(parent: &root, "child", user = "b");
    assert_eq!(in_force(), [""; 0]);
    root.in_scope(|| {
        assert_eq!(in_force(), ["request_id=7"]);
        child.in_scope(|| assert_eq!(in_force(), ["request_id=7", "user=b"]));
        labels::with(&[("request_id", "8")], || {
            assert_eq!(in_force(), ["request_id=8"]);
            child.in_scope(|| assert_eq!(in_force(), ["request_id=8", "user=b"]));
        });
        tracing::Span::current().record("user", "a");
        assert_eq!(in_force(), ["request_id=7", "user=a"]);
        child.in_scope(|| assert_eq!(in_force(), ["request_id=7", "user=b"]));
        assert_eq!(in_force(), ["request_id=7", "user=a"]);
    });
    assert_eq!(in_force(), [""; 0]);
    // On another thread with those of the spans above.
    thread::scope(|scope| {
        scope.spawn(|| {
            child.in_scope(|| assert_eq!(in_force(), ["request_id=7", "user=b"]));
            assert_eq!(in_force(), [""; 0]);
            // It is gone with its thread.
            std::mem::forget(root.enter());
        });
    });
    // In any order.
    let other = info_span!("other", request_id = 9);
    let (within_root, within_other) = (root.enter(), other.enter());
    assert_eq!(in_force(), ["request_id=9", "user=a"]);
    drop(within_root);
    assert_eq!(in_force(), ["request_id=9", "user=a"]);
    drop(within_other);
    assert_eq!(in_force(), [""; 0]);

    let (trace, _) = record(|| root.in_scope(|| ()));
    let text = trace.parsed();
    let said: Vec<&str> =
        lines(&text, &["Log", "Category=\"labels\""]).iter().map(|line| value(line, "Message")).collect();
    assert_eq!(said, ["\"request_id=7,user=a\"", "\"\""], "{text}");
}

fn burn(time: Duration) -> u64 {
    let begin = Instant::now();
    let mut sum = 1_u64;
    while begin.elapsed() < time {
        sum = (0..1000).fold(sum, |sum, n| std::hint::black_box(sum.wrapping_mul(31) ^ n));
    }
    sum
}

#[test]
fn samples_of_the_cpu_bear_the_label() {
    let _alone = alone();
    let runtime = runtime();
    let session = cpu::Options::new().hz(250).start().unwrap();
    runtime.block_on(async {
        // Two tasks that take turns on threads of the runtime's.
        let works = |id: u32| {
            async move {
                for _ in 0..20 {
                    burn(Duration::from_millis(15));
                    tokio::task::yield_now().await;
                }
            }
            .instrument(info_span!("request", request_id = id))
        };
        let (first, second) = (tokio::spawn(works(1)), tokio::spawn(works(2)));
        first.await.unwrap();
        second.await.unwrap();
    });
    let snapshot = session.stop();
    let mut cpu = [0_i64; 3];
    for sample in snapshot.samples() {
        let id = sample.labels().find_map(|(key, value)| match value {
            LabelValue::Str(text) if key == "request_id" => text.parse::<usize>().ok(),
            _ => None,
        });
        cpu[id.unwrap_or(0)] += sample.values()[0];
    }
    // 300 ms each, which is 75 samples; one that burns is rarely caught outside of its span. The threads may get much less.
    assert!(cpu[1] >= 10 && cpu[2] >= 10, "{cpu:?}");
    assert!(cpu[0] * 10 <= cpu[1] + cpu[2], "{cpu:?}");
}

/// Notes that it was formatted.
struct Noted<'a>(&'a AtomicU32);

impl fmt::Debug for Noted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Relaxed);
        f.write_str("noted")
    }
}

#[test]
fn nothing_is_formatted_or_allocated_while_nobody_records() {
    let _alone = alone();
    let formatted = AtomicU32::new(0);
    let work = || {
        let root = info_span!("root", field = ?Noted(&formatted)).entered();
        info_span!("child").in_scope(|| info!(value = ?Noted(&formatted), "message"));
        drop(root);
    };
    // The registry's own pages, this thread's place in there, and what a recording leaves.
    _ = record(|| (0..100).for_each(|_| work()));
    (0..100).for_each(|_| work());
    assert!(!trace::is_enabled());
    formatted.store(0, Relaxed);
    let before = ALLOCATIONS.get();
    (0..1000).for_each(|_| work());
    assert_eq!((ALLOCATIONS.get() - before, formatted.load(Relaxed)), (0, 0));
    // As the test can tell.
    _ = record(work);
    assert!(ALLOCATIONS.get() > before && formatted.load(Relaxed) == 1);
}

#[test]
fn a_layer_without_labels_says_the_same() {
    let _alone = alone();
    let subscriber = tracing_subscriber::registry().with(profiled::tracing::layer());
    let (trace, summary) = tracing::subscriber::with_default(subscriber, || {
        record(|| {
            checkout();
            let (first, second) = (info_span!("first"), info_span!("second"));
            first.in_scope(|| info!("in the first"));
            // Opened in the one, and entered in the other.
            let child = first.in_scope(|| info_span!("child"));
            second.in_scope(|| child.in_scope(|| info!("in the first, too")));
            second.in_scope(|| {
                let explicit = info_span!(parent: &first, "explicit");
                explicit.in_scope(|| info!("in the first, after all"));
                let root = info_span!(parent: None, "root");
                root.in_scope(|| drop(info_span!("never")));
            });
        })
    });
    assert_eq!(summary.dropped, 0);
    let text = trace.parsed();
    let begun: Vec<String> = regions(&text).into_iter().filter(|region| region.starts_with('+')).collect();
    let names =
        ["checkout", "pay", "pay", "pay", "first", "first", "second", "child", "second", "explicit", "root"];
    assert_eq!(begun, names.map(|name| format!("+{name}")), "{text}");
    assert_eq!(begun.len() * 2, regions(&text).len(), "{text}");
    let task = |name: &str| {
        let found = lines(&text, &["TaskBegin", &format!("Type=\"{name}\"")]);
        assert_eq!(found.len(), 1, "{name} in {text}");
        value(found[0], "ID")
    };
    assert_eq!((count(&text, &["TaskBegin"]), count(&text, &["TaskEnd"])), (4, 4), "{text}");
    for (of, region) in [
        ("checkout", "pay"),
        ("first", "child"),
        ("first", "explicit"),
        ("second", "second"),
        ("root", "root"),
    ] {
        let found = lines(&text, &["RegionBegin", &format!("Type=\"{region}\"")]);
        assert!(found.iter().all(|line| value(line, "Task") == task(of)), "{region} in {text}");
    }
    for message in lines(&text, &["Log", "INFO in the first"]) {
        assert_eq!(value(message, "Task"), task("first"), "{text}");
    }
}

#[test]
fn polls_by_hand_are_regions_each() {
    let _alone = alone();
    let (trace, _) = record(|| {
        let mut left = 3;
        let future = poll_fn(move |_| {
            left -= 1;
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        let mut future = Box::pin(future.instrument(info_span!("polled")));
        let mut context = Context::from_waker(Waker::noop());
        while future.as_mut().poll(&mut context).is_pending() {}
    });
    let text = trace.parsed();
    // Three polls, and the drop of what is inside, which the span is entered for.
    assert_eq!(regions(&text).len(), 8, "{text}");
}
