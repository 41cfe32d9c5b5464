//! Profile `functions` and one a function: counts, scopes, time.
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use profiled::{Kind, profiled};
use profiled_test_profiles::{Profile, alone, cell, read, text};

#[profiled]
#[inline(never)]
fn counted(n: u64) -> u64 {
    black_box(n + 1)
}

#[profiled]
#[inline(never)]
fn never_called() {}

#[profiled]
#[inline(never)]
fn outer(n: u32) {
    middle(n);
}

#[profiled]
#[inline(never)]
fn middle(n: u32) {
    (0..n).for_each(|_| inner());
}

#[profiled]
#[inline(never)]
fn inner() {
    // Long enough that each call is timed: what is estimated of shorter ones is then exact.
    thread::sleep(Duration::from_micros(50));
}

#[profiled]
#[inline(never)]
fn descends(depth: u32) -> u32 {
    if depth > 0 { descends(depth - 1) + 1 } else { 0 }
}

#[profiled]
#[inline(never)]
fn panics(depth: u32) {
    if depth == 0 {
        std::panic::resume_unwind(Box::new("on purpose"));
    }
    panics(depth - 1);
}

#[profiled]
#[inline(never)]
fn sleeps() {
    thread::sleep(Duration::from_millis(20));
}

fn calls(profile: &Profile, names: &[&str]) -> i64 {
    profile.total_of("calls", names)
}

#[test]
fn counts_are_exact() {
    alone("counts_are_exact", || {
        const EACH: u64 = 1_250_000;
        // Some of the threads have ended when it is read, one has not begun to, one is the reader.
        thread::scope(|scope| {
            for _ in 0..7 {
                scope.spawn(|| (0..EACH).fold(0, |n, _| counted(n)));
            }
        });
        let (asked, ask) = std::sync::mpsc::channel::<()>();
        let (done, finished) = std::sync::mpsc::channel();
        let alive = thread::spawn(move || {
            done.send((0..EACH).fold(0, |n, _| counted(n))).unwrap();
            _ = ask.recv();
        });
        assert_eq!(finished.recv().unwrap(), EACH);
        let profile = profiled::lookup("function::counted").unwrap();
        assert_eq!((profile.kind(), profile.count()), (Kind::Function, 10_000_000));
        assert_eq!(read("function::counted").total("calls"), 10_000_000);
        assert_eq!(calls(&read("functions"), &["function::counted"]), 10_000_000);
        drop(asked);
        alive.join().unwrap();
        counted(1);
        assert_eq!(read("function::counted").total("calls"), 10_000_001);
        assert_eq!(cell(&text("functions", 1), "function::counted", "calls"), "10000001");
    });
}

#[test]
fn a_function_is_there_before_it_ran() {
    let profile = profiled::lookup("function::never_called").unwrap();
    assert_eq!((profile.kind(), profile.count()), (Kind::Function, 0));
    assert_eq!(profile.name(), "function::never_called");
    assert!(profile.help().contains("tests/profiles/tests/function.rs"), "{}", profile.help());
    assert!(read("function::never_called").samples().is_empty());
    if std::env::var_os("NEVER").is_some() {
        never_called();
    }
}

#[test]
fn stacks_are_the_scopes_around() {
    alone("stacks_are_the_scopes_around", || {
        outer(1);
        outer(3);
        middle(4);
        let functions = read("functions");
        assert_eq!(calls(&functions, &["function::outer"]), 8, "two, and all within: 2 + 2 + 4");
        let own = read("function::outer");
        assert_eq!((own.total("calls"), own.samples().len()), (2, 1));
        let of_middle = read("function::middle");
        assert_eq!(of_middle.total("calls"), 3);
        let inner = read("function::inner");
        assert_eq!(inner.total("calls"), 8);
        for sample in inner.samples() {
            let names: Vec<&str> = sample.frames.iter().map(|frame| &*frame.name).collect();
            let chains = [
                &["function::inner", "function::middle", "function::outer"][..],
                &["function::inner", "function::middle"],
            ];
            assert!(chains.contains(&&names[..]), "{names:?}");
            assert!(sample.frames[0].file.ends_with("function.rs") && sample.frames[0].line > 0);
        }
        assert_eq!(calls(&inner, &["function::inner", "function::outer"]), 4);
    });
}

#[test]
fn recursion_is_a_chain_of_itself() {
    alone("recursion_is_a_chain_of_itself", || {
        assert_eq!(descends(3), 3);
        let profile = read("function::descends");
        assert_eq!(profile.total("calls"), 4);
        let deepest = profile.samples().iter().map(|sample| sample.frames.len()).max().unwrap();
        assert!((1..=4).contains(&deepest));
        // Deeper than is noted: counted all the same, and the rest of the program goes on.
        assert_eq!(descends(1_000), 1_000);
        assert_eq!(read("function::descends").total("calls"), 4 + 1_001);
        inner();
        let inner = read("function::inner");
        assert_eq!(inner.samples()[0].frames.len(), 1, "the scopes are left again");
    });
}

#[test]
fn a_panic_leaves_the_scope() {
    alone("a_panic_leaves_the_scope", || {
        let panicked = std::panic::catch_unwind(|| panics(5));
        assert!(panicked.is_err());
        assert_eq!(read("function::panics").total("calls"), 6);
        assert_eq!(cell(&text("functions", 1), "function::panics", "in flight"), "0");
        inner();
        let inner = read("function::inner");
        let names: Vec<&str> = inner.samples()[0].frames.iter().map(|frame| &*frame.name).collect();
        assert_eq!(names, ["function::inner"]);
    });
}

/// Calls an annotated function when it is dropped.
struct Cleans;

impl Drop for Cleans {
    fn drop(&mut self) {
        cleans();
    }
}

#[profiled]
#[inline(never)]
fn cleans() {
    inner();
}

#[profiled]
#[inline(never)]
fn panics_with_care(panics: bool) {
    let _cleans = Cleans;
    if panics {
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

#[profiled]
#[inline(never)]
fn catches(panics: bool) -> bool {
    std::panic::catch_unwind(|| panics_with_care(panics)).is_err()
}

#[profiled]
async fn panics_later() {
    pause().await;
    panics_with_care(true);
}

#[test]
fn panics_are_counted_where_they_pass() {
    alone("panics_are_counted_where_they_pass", || {
        let panicked = |name: &str| cell(&text("functions", 1), name, "panics");
        thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    (0..1_000).for_each(|n| assert_eq!(catches(n % 4 == thread), n % 4 == thread))
                });
            }
        });
        assert_eq!(panicked("function::panics_with_care"), "1000");
        assert_eq!(panicked("function::catches"), "0", "it stops there");
        assert_eq!(panicked("function::cleans"), "0", "a destructor that a panic runs ends as always");
        assert_eq!(cell(&text("functions", 1), "function::cleans", "calls"), "4000");
        assert_eq!(cell(&text("functions", 1), "function::panics_with_care", "in flight"), "0");

        let mut future = Box::pin(panics_later());
        assert!(poll(future.as_mut()).is_pending());
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(future.as_mut())));
        assert!(polled.is_err());
        drop(future);
        assert_eq!(panicked("function::panics_later"), "1");
        let mut future = Box::pin(panics_later());
        assert!(poll(future.as_mut()).is_pending());
        drop(future);
        assert_eq!(panicked("function::panics_later"), "1", "cancelled is not panicked");
        assert_eq!(panicked("function::panics_with_care"), "1001");
    });
}

#[test]
fn wall_time_is_what_a_clock_says() {
    alone("wall_time_is_what_a_clock_says", || {
        let begin = Instant::now();
        (0..10).for_each(|_| sleeps());
        let outside = begin.elapsed().as_nanos() as f64;
        let wall = read("function::sleeps").total("wall") as f64;
        assert!((wall / outside - 1.0).abs() <= 0.1, "{wall} of {outside}");
        assert!(wall >= 0.19e9, "ten times 20 ms: {wall}");
    });
}

#[test]
fn someone_in_a_function_is_in_flight() {
    alone("someone_in_a_function_is_in_flight", || {
        #[profiled(name = "waits to be seen")]
        fn waits(seen: &std::sync::Barrier) {
            seen.wait();
            seen.wait();
        }
        let seen = std::sync::Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| waits(&seen));
            }
            seen.wait();
            let table = text("functions", 1);
            assert_eq!(cell(&table, "waits to be seen", "in flight"), "3", "{table}");
            assert_eq!(cell(&table, "waits to be seen", "calls"), "3", "{table}");
            seen.wait();
        });
        let table = text("functions", 1);
        assert_eq!(cell(&table, "waits to be seen", "in flight"), "0", "{table}");
        let titles = [
            "calls",
            "in flight",
            "total",
            "mean",
            "p50",
            "p90",
            "p99",
            "max",
            "self",
            "allocated",
            "panics",
            "polls",
            "busy",
        ];
        for title in titles {
            assert!(!cell(&table, "waits to be seen", title).is_empty(), "{title}");
        }
        assert_eq!(cell(&text("waits to be seen", 1), "waits to be seen", "calls"), "3");
    });
}

/// Pending once, and then `ready`.
async fn pause() {
    let mut waited = false;
    poll_fn(|_| match std::mem::replace(&mut waited, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

#[profiled]
async fn answers() -> u32 {
    pause().await;
    inner();
    42
}

#[profiled]
async fn asks() -> u32 {
    answers().await + answers().await
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_future_is_one_call_from_first_poll_to_end() {
    alone("a_future_is_one_call_from_first_poll_to_end", || {
        drop(asks());
        assert_eq!(read("function::asks").total("calls"), 0, "never polled, never called");
        let mut future = pin!(asks());
        let begin = Instant::now();
        let in_flight = |name: &str| cell(&text("functions", 1), name, "in flight");
        assert!(poll(future.as_mut()).is_pending());
        assert_eq!((in_flight("function::asks"), in_flight("function::answers")), ("1".into(), "1".into()));
        inner();
        thread::sleep(Duration::from_millis(50));
        assert!(poll(future.as_mut()).is_pending());
        thread::sleep(Duration::from_millis(50));
        assert_eq!(poll(future.as_mut()), Poll::Ready(84));
        let outside = begin.elapsed();
        assert_eq!((in_flight("function::asks"), in_flight("function::answers")), ("0".into(), "0".into()));

        let asks = read("function::asks");
        assert_eq!(asks.total("calls"), 1, "however often it was polled");
        let wall = Duration::from_nanos(asks.total("wall") as u64);
        let least = Duration::from_millis(100).mul_f64(0.98); // the clock is good to 1 %
        assert!(
            wall >= least && wall <= outside.mul_f64(1.02),
            "waiting is part of it: {wall:?} of {outside:?}"
        );
        let answers = read("function::answers");
        assert_eq!(answers.total("calls"), 2);
        assert_eq!(
            calls(&answers, &["function::answers", "function::asks"]),
            2,
            "each within the one who asks"
        );
        let inner = read("function::inner");
        assert_eq!(inner.total("calls"), 3);
        assert!(
            inner.samples().iter().any(|sample| sample.frames.len() == 1),
            "between polls no scope is open"
        );
    });
}

#[test]
fn a_cancelled_future_ends_when_it_is_dropped() {
    alone("a_cancelled_future_ends_when_it_is_dropped", || {
        let mut future = Box::pin(answers());
        assert!(poll(future.as_mut()).is_pending());
        thread::sleep(Duration::from_millis(30));
        assert_eq!(cell(&text("functions", 1), "function::answers", "in flight"), "1");
        drop(future);
        assert_eq!(cell(&text("functions", 1), "function::answers", "in flight"), "0");
        let profile = read("function::answers");
        assert_eq!(profile.total("calls"), 1);
        assert!(profile.total("wall") >= 29_000_000, "and took as long as it lived");
    });
}

/// Waits, in polls of a tenth of a millisecond, as often as it is told; adds up how long it worked.
#[profiled]
async fn works_in_between(times: u32, inside: &std::cell::Cell<Duration>) {
    for _ in 0..times {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(100) {}
        inside.set(inside.get() + begin.elapsed());
        pause().await;
    }
}

/// `1.24ms` in nanoseconds.
fn nanoseconds(cell: &str) -> f64 {
    let at = cell.find(|c: char| c.is_alphabetic()).unwrap_or_else(|| panic!("no time: {cell}"));
    let unit = match &cell[at..] {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        unit => panic!("{unit}"),
    };
    cell[..at].parse::<f64>().unwrap() * unit
}

/// [`alone`], in a new process as long as there are tries left.
fn tried(test: &str, tries: u32, case: fn()) {
    // In that process there is one.
    let tries = if std::env::var_os("PROFILED_TEST_ALONE").is_some() { 1 } else { tries };
    for left in (0..tries).rev() {
        match std::panic::catch_unwind(|| alone(test, case)) {
            Ok(()) => return,
            Err(why) if left == 0 => std::panic::resume_unwind(why),
            Err(_) => {}
        }
    }
}

#[test]
fn a_future_is_busy_while_it_is_polled() {
    // A busy machine stops a thread for longer than it runs, by chance where the two clocks differ. What is wrong is so each time.
    tried("a_future_is_busy_while_it_is_polled", 5, || {
        const TIMES: u32 = 200;
        let inside = std::cell::Cell::new(Duration::ZERO);
        for _ in 0..2 {
            let mut future = Box::pin(works_in_between(TIMES, &inside));
            while poll(future.as_mut()).is_pending() {
                // Waiting is no work.
                thread::sleep(Duration::from_micros(500));
            }
        }
        let table = text("functions", 1);
        let of = |title: &str| cell(&table, "function::works_in_between", title);
        assert_eq!((of("calls"), of("polls")), ("2".into(), (2 * (TIMES + 1)).to_string()), "{table}");
        // Polls of 10 us and more are all timed: what remains are figures of three digits, and the way into the future
        // and out of it, two microseconds at the most where nothing is optimised, unless this thread is stopped just there.
        let (busy, inside) = (nanoseconds(&of("busy")), inside.get().as_nanos() as f64);
        assert!((busy / inside - 1.0).abs() < 0.05, "{busy} of {inside}\n{table}");
        assert!(nanoseconds(&of("total")) > 2.0 * busy, "waiting is in the total\n{table}");
        assert_eq!(
            (cell(&table, "function::inner", "polls"), cell(&table, "function::inner", "busy")),
            ("-".into(), "-".into())
        );
    });
}

/// 2 050 bytes, as it is.
async fn large() -> usize {
    let mut buffer = [1_u8; 2048];
    pause().await;
    black_box(&mut buffer).len()
}

#[profiled]
async fn large_and_profiled() -> usize {
    let mut buffer = [1_u8; 2048];
    pause().await;
    black_box(&mut buffer).len()
}

#[test]
fn a_future_grows_by_two_words_and_stays_what_it_was() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (plain, profiled) = (is_send(large()), is_send(large_and_profiled()));
    let grew = size_of_val(&profiled) - size_of_val(&plain);
    assert!(grew <= 32, "{} bytes, and {grew} more", size_of_val(&plain));
    assert!(size_of_val(&plain) >= 2048);
}

/// Notes when it is dropped.
struct Drops<'a>(&'static str, &'a std::cell::RefCell<Vec<&'static str>>);

impl Drop for Drops<'_> {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

async fn takes(a: Drops<'_>, b: Drops<'_>, c: Drops<'_>, _d: Drops<'_>) {
    let _local = Drops("local", b.1);
    black_box(&a);
    pause().await;
    drop(c);
    pause().await;
}

#[profiled]
async fn takes_profiled(a: Drops<'_>, b: Drops<'_>, c: Drops<'_>, _d: Drops<'_>) {
    let _local = Drops("local", b.1);
    black_box(&a);
    pause().await;
    drop(c);
    pause().await;
}

/// Either of the two, of four arguments.
type Takes = for<'a> fn([Drops<'a>; 4]) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

#[test]
fn arguments_are_dropped_in_the_same_order() {
    // Never polled, cancelled at each place, and to its end.
    for polls in 0..4 {
        let order = |future: Takes| {
            let order = std::cell::RefCell::new(Vec::new());
            let mut future = future(["a", "b", "c", "d"].map(|name| Drops(name, &order)));
            for _ in 0..polls {
                _ = poll(future.as_mut());
            }
            drop(future);
            order.into_inner()
        };
        let plain = order(|[a, b, c, d]| Box::pin(takes(a, b, c, d)));
        assert_eq!(order(|[a, b, c, d]| Box::pin(takes_profiled(a, b, c, d))), plain, "{polls} polls");
        assert_eq!(plain.len(), if polls == 0 { 4 } else { 5 });
    }
}
