//! The profiles `tasks`, `await` and `goroutine`: futures that are alive, where each waits, and who awaits whom.
#![cfg(not(miri))]
use std::future::{self, Future};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use profiled::tasks::{self, Stacks, instrument};
use profiled::{Profile, profiled};
use profiled_test_profiles::{alone, read, read_snapshot, stress, text};
use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(1000);

/// Where `what` stands in this file: the line that has it in a comment at its end.
fn line(what: &str) -> String {
    let found = include_str!("tasks.rs").lines().position(|line| line.ends_with(&format!("// {what}")));
    format!("tests/tasks.rs:{}", found.unwrap_or_else(|| panic!("no line ends with // {what}")) + 1)
}

/// The block of each task in the text with all of them, by name.
fn blocks(profile: &str) -> Vec<(String, String)> {
    let text = text(profile, 2);
    let named = |block: &str| {
        let head = block.lines().next()?.trim_start().strip_prefix("task ")?;
        Some((head.split('"').nth(1)?.to_owned(), block.to_owned()))
    };
    text.split("\n\n").filter_map(named).collect()
}

fn block(blocks: &[(String, String)], name: &str) -> String {
    let found: Vec<&str> =
        blocks.iter().filter(|(of, _)| of == name).map(|(_, block)| block.as_str()).collect();
    let [one] = found[..] else { panic!("{} blocks of {name} in {blocks:#?}", found.len()) };
    one.to_owned()
}

/// Asks until it is so, for at most ten seconds; then the last answer counts.
fn settled<T>(mut ask: impl FnMut() -> T, is: impl Fn(&T) -> bool) -> T {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if is(&answer) || begun.elapsed() > Duration::from_secs(10) {
            return answer;
        }
        thread::sleep(5 * MS);
    }
}

/// The same futures wherever they run: none of them needs a runtime but for those that say so.
struct World {
    notify: Notify,
    lock: Mutex<()>,
    permits: Semaphore,
}

#[profiled]
async fn notified(world: Arc<World>) {
    world.notify.notified().await; // notified
}

#[profiled]
async fn locked(world: Arc<World>) {
    drop(world.lock.lock().await); // locked
}

#[profiled]
async fn permitted(world: Arc<World>) {
    drop(world.permits.acquire().await); // permitted
}

#[profiled]
async fn received() {
    let (_send, mut receive) = mpsc::channel::<()>(1);
    receive.recv().await; // received
}

#[profiled]
async fn answered() {
    let (_send, receive) = oneshot::channel::<()>();
    _ = receive.await; // answered
}

#[profiled]
async fn joined() {
    tokio::join!(
        async { future_of_oneshot().await }, // first of two
        async { future_of_notify().await }   // second of two
    );
}

#[profiled]
async fn selected() {
    tokio::select! {
        () = future_of_oneshot() => {}
        () = future_of_notify() => {}
        () = future::pending() => {}
    }
}

#[inline(never)]
async fn future_of_oneshot() {
    let (_send, receive) = oneshot::channel::<()>();
    _ = receive.await; // in oneshot
}

#[inline(never)]
async fn future_of_notify() {
    Notify::new().notified().await; // in notify
}

#[profiled]
async fn chained() {
    first().await; // link 1
}

async fn first() {
    second().await; // link 2
}

async fn second() {
    third().await; // link 3
}

async fn third() {
    fourth().await; // link 4
}

async fn fourth() {
    Notify::new().notified().await; // link 5
}

#[profiled]
async fn gathered() {
    let mut all: FuturesUnordered<_> = [child(), child()].into_iter().collect();
    while all.next().await.is_some() {} // gathered
}

#[profiled]
async fn child() {
    future_of_notify().await; // child
}

/// A `select!` on a channel is lost, and then the same channel is awaited elsewhere.
#[profiled]
async fn moved_on(tell: Arc<AtomicBool>) {
    let (send, mut receive) = mpsc::channel::<()>(1);
    let (answer, asked) = oneshot::channel::<()>();
    thread::spawn(move || {
        thread::sleep(20 * MS);
        answer.send(())
    });
    tokio::select! {
        _ = receive.recv() => unreachable!("nothing is sent"),
        answered = asked => answered.unwrap(),
    }
    tell.store(true, SeqCst);
    receive.recv().await; // elsewhere
    drop(send);
}

/// Every future that waits, by the name of its function, with the places that must be told of it.
fn expected() -> Vec<(&'static str, Vec<String>)> {
    let of = |names: &[&str]| names.iter().map(|name| line(name)).collect::<Vec<_>>();
    vec![
        ("tasks::notified", of(&["notified"])),
        ("tasks::locked", of(&["locked"])),
        ("tasks::permitted", of(&["permitted"])),
        ("tasks::received", of(&["received"])),
        ("tasks::answered", of(&["answered"])),
        ("tasks::joined", of(&["first of two", "second of two", "in oneshot", "in notify"])),
        ("tasks::selected", of(&["in oneshot", "in notify"])),
        ("tasks::chained", of(&["link 1", "link 2", "link 3", "link 4", "link 5"])),
        ("tasks::gathered", of(&["gathered"])),
        ("tasks::moved_on", of(&["elsewhere"])),
    ]
}

/// Starts all of them with `spawn`, and asks for each.
fn shows_every_await(spawn: impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>)) {
    let world = Arc::new(World { notify: Notify::new(), lock: Mutex::new(()), permits: Semaphore::new(0) });
    let held = world.lock.try_lock().unwrap();
    let moved = Arc::new(AtomicBool::new(false));
    for (name, _) in expected() {
        let world = world.clone();
        spawn(match name {
            "tasks::notified" => Box::pin(notified(world)),
            "tasks::locked" => Box::pin(locked(world)),
            "tasks::permitted" => Box::pin(permitted(world)),
            "tasks::received" => Box::pin(received()),
            "tasks::answered" => Box::pin(answered()),
            "tasks::joined" => Box::pin(joined()),
            "tasks::selected" => Box::pin(selected()),
            "tasks::chained" => Box::pin(chained()),
            "tasks::gathered" => Box::pin(gathered()),
            "tasks::moved_on" => Box::pin(moved_on(moved.clone())),
            other => panic!("{other}"),
        });
    }
    let whole = |found: &Vec<(String, String)>| {
        moved.load(SeqCst)
            && expected().iter().all(|(name, places)| {
                found.iter().any(|(of, block)| of == name && places.iter().all(|place| block.contains(place)))
            })
    };
    let found = settled(|| blocks("goroutine"), whole);
    for (name, places) in expected() {
        let block = block(&found, name);
        for place in &places {
            assert!(block.contains(place.as_str()), "{name} awaits at {place}:\n{block}");
        }
        assert!(block.contains("[pending at "), "{block}");
        // Where it waits comes first, and nothing of what keeps wakers before it.
        let second = block.lines().nth(1).unwrap_or_default();
        assert!(!second.contains("Waker") && !second.contains("profiled::"), "{block}");
    }
    let moved_on = block(&found, "tasks::moved_on");
    assert!(!moved_on.contains("[and at"), "the select! is over: {moved_on}");
    // Children of a combinator with wakers of its own.
    let children: Vec<&(String, String)> = found.iter().filter(|(name, _)| name == "tasks::child").collect();
    assert_eq!(children.len(), 2, "{found:#?}");
    for (_, block) in children {
        assert!(block.starts_with("  task "), "under its parent: {block}");
        assert!(block.contains(&line("child")) && block.contains(&line("in notify")), "{block}");
    }
    drop(held);
}

#[test]
fn every_await_is_shown_on_many_threads() {
    alone("every_await_is_shown_on_many_threads", || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        shows_every_await(|future| drop(runtime.spawn(future)));
        runtime.shutdown_background();
    });
}

#[test]
fn every_await_is_shown_on_one_thread() {
    alone("every_await_is_shown_on_one_thread", || {
        let (send, mut receive) = mpsc::unbounded_channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                while let Some(future) = receive.recv().await {
                    tokio::spawn(future);
                }
            });
        });
        shows_every_await(|future| send.send(future).unwrap());
    });
}

#[test]
fn every_await_is_shown_on_smol() {
    alone("every_await_is_shown_on_smol", || {
        shows_every_await(|future| smol::spawn(future).detach());
    });
}

#[profiled]
async fn sleeps() {
    tokio::time::sleep(LONG).await; // sleeps
}

#[profiled]
async fn reads(mut stream: tokio::net::TcpStream) {
    use tokio::io::AsyncReadExt;
    _ = stream.read_u8().await; // reads
}

#[test]
fn timers_and_sockets_are_shown() {
    alone("timers_and_sockets_are_shown", || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(sleeps());
        runtime.spawn(async move { reads(tokio::net::TcpStream::connect(address).await.unwrap()).await });
        let both = ["sleeps", "reads"];
        let is = |found: &Vec<(String, String)>| {
            both.iter().all(|name| {
                found.iter().any(|(of, block)| *of == format!("tasks::{name}") && block.contains(&line(name)))
            })
        };
        let found = settled(|| blocks("tasks"), is);
        for name in both {
            let block = block(&found, &format!("tasks::{name}"));
            let head = block.lines().next().unwrap_or_default();
            assert!(head.contains("[pending at ") && head.contains(&line(name)), "{block}");
        }
        runtime.shutdown_background();
    });
}

#[test]
fn parents_come_before_their_children_and_facts_are_right() {
    #[profiled]
    async fn parent() {
        tokio::join!(instrument("one", future_of_notify()), instrument("two", future_of_oneshot()));
    }
    alone("parents_come_before_their_children_and_facts_are_right", || {
        let mut future = Box::pin(parent());
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(future.as_mut().poll(&mut cx).is_pending());
        }
        thread::sleep(1100 * MS);
        let _never = instrument("never", future::pending::<()>());
        let found = blocks("tasks");
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), 4, "{found:#?}");
        assert!(names[0].ends_with("parent") && names[1..] == ["one", "two", "never"], "{names:?}");
        assert!(
            found[0].1.contains(", 1 second, 3 polls") && found[0].1.contains("age 1 second"),
            "{}",
            found[0].1
        );
        for n in [1, 2] {
            let block = &found[n].1;
            assert!(block.starts_with("  task ") && block.contains(", 3 polls"), "{block}");
            assert!(
                block.contains("created by ") && block.contains("tests/profiles/tests/tasks.rs:"),
                "{block}"
            );
            assert!(block.contains("[pending at "), "{block}");
        }
        assert!(found[1].1.contains(&line("in notify")) && !found[1].1.contains(&line("in oneshot")));
        assert!(found[3].1.contains("[new") && found[3].1.contains("0 polls"), "{}", found[3].1);
        // As rows: with the name in a label, for `pprof -tags`.
        let profile = read("tasks");
        assert_eq!(profile.total("tasks"), 4);
        for name in ["one", "two", "never"] {
            let rows: i64 = profile
                .samples()
                .iter()
                .filter(|sample| sample.text("task") == Some(name) && sample.text("kind") == Some("task"))
                .map(|sample| sample.value("tasks"))
                .sum();
            assert_eq!(rows, 1, "{name}");
        }
        drop(future);
        assert_eq!(read("tasks").total("tasks"), 1, "what is dropped is gone at once");
    });
}

/// Cancelled, panicked, leaked and never polled.
#[test]
fn futures_end_in_every_way() {
    #[profiled]
    async fn panics() {
        future::ready(()).await;
        panic!("meant");
    }
    alone("futures_end_in_every_way", || {
        let names = || blocks("tasks").into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let mut cx = Context::from_waker(Waker::noop());
        // Cancelled.
        let mut cancelled = Box::pin(instrument("cancelled", future_of_notify()));
        assert!(cancelled.as_mut().poll(&mut cx).is_pending());
        assert_eq!(names(), ["cancelled"]);
        drop(cancelled);
        assert!(names().is_empty());
        // A loser of a `select!`, at once: its winner goes on.
        let mut select = Box::pin(async {
            tokio::select! {
                biased;
                () = instrument("loser", future::pending()) => {}
                () = future::ready(()) => {}
            }
            future_of_notify().await;
        });
        assert!(select.as_mut().poll(&mut cx).is_pending());
        assert!(names().is_empty(), "{:?}", names());
        // Panicked: alive as long as it is there, and then gone.
        let mut panicked = Box::pin(panics());
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            _ = panicked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }));
        assert!(caught.is_err());
        drop(panicked);
        assert!(names().is_empty(), "{:?}", names());
        // Leaked: nobody says that it ended, because it did not.
        let mut leaked = Box::pin(instrument("leaked", future_of_notify()));
        assert!(leaked.as_mut().poll(&mut cx).is_pending());
        std::mem::forget(leaked);
        assert_eq!(names(), ["leaked"]);
        // Never polled: with a name as soon as there is one; without one it has not begun.
        let never = (panics(), instrument("never", panics()));
        assert_eq!(names(), ["leaked", "never"]);
        drop(never);
        assert_eq!(names(), ["leaked"]);
        // Polled to its end, and kept.
        let mut ready = Box::pin(instrument("ready", future::ready(())));
        assert!(ready.as_mut().poll(&mut cx).is_ready());
        drop(ready);
        assert_eq!(names(), ["leaked"]);
    });
}

/// A future says when it is polled, and is never asked for anything else.
#[test]
fn who_is_being_polled_is_running() {
    alone("who_is_being_polled_is_running", || {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let busy = thread::spawn(move || {
            let mut future = Box::pin(instrument("busy", async move {
                tell.send(()).unwrap();
                ended.recv().unwrap();
            }));
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        });
        told.recv().unwrap();
        assert!(block(&blocks("tasks"), "busy").contains("[running"), "{:?}", blocks("tasks"));
        end.send(()).unwrap();
        busy.join().unwrap();
    });
}

/// A future goes on on a thread that has seen no future, and nothing else of ours.
#[test]
fn futures_are_followed_to_new_threads() {
    #[profiled]
    async fn travels(there: Arc<Notify>) {
        there.notified().await;
        future_of_notify().await; // abroad
    }
    alone("futures_are_followed_to_new_threads", || {
        let there = Arc::new(Notify::new());
        let mut future = Box::pin(travels(there.clone()));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        there.notify_one();
        let future = thread::spawn(move || {
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            future
        });
        let future = future.join().unwrap();
        let (_, block) = blocks("tasks").remove(0);
        assert!(block.contains("[pending at ") && block.contains(&line("abroad")), "{block}");
        drop(future);
    });
}

/// Of each stack the time that passed, also of waits that last, as every future's own clock has it. Timers come late, and
/// the futures' clocks see that, too: what differs is a few microseconds a wait, in waits of 10 ms and more.
#[test]
fn waits_account_for_the_time_of_each() {
    static WAITED: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

    async fn timed<T>(n: usize, future: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let result = future.await;
        WAITED[n].fetch_add(begun.elapsed().as_nanos() as u64, SeqCst);
        result
    }
    #[profiled]
    async fn sleeper() {
        for _ in 0..20 {
            timed(0, nap()).await;
        }
    }
    #[inline(never)]
    async fn nap() {
        tokio::time::sleep(10 * MS).await; // nap
    }
    #[profiled]
    async fn listener(mut receive: mpsc::Receiver<()>) {
        while timed(1, hear(&mut receive)).await.is_some() {}
    }
    #[inline(never)]
    async fn hear(receive: &mut mpsc::Receiver<()>) -> Option<()> {
        receive.recv().await // hear
    }
    alone("waits_account_for_the_time_of_each", || {
        tasks::set_stacks(Stacks::All);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (send, receive) = mpsc::channel(1);
        let begun = Instant::now();
        runtime.block_on(async {
            let listener = tokio::spawn(listener(receive));
            let sleepers: Vec<_> = (0..4).map(|_| tokio::spawn(sleeper())).collect();
            for _ in 0..10 {
                tokio::time::sleep(15 * MS).await;
                send.send(()).await.unwrap();
            }
            for sleeper in sleepers {
                sleeper.await.unwrap();
            }
            // The last one lasts.
            let before = WAITED[1].load(SeqCst) as f64;
            thread::sleep(200 * MS);
            let waiting = of_await("hear", "delay") as f64;
            let whole = begun.elapsed().as_nanos() as f64;
            assert!(
                (0.95 * (before + 2e8)..=whole).contains(&waiting),
                "{before} and 0.2 s, {waiting}, {whole}"
            );
            drop(send);
            listener.await.unwrap();
        });
        for (n, name) in ["nap", "hear"].into_iter().enumerate() {
            let (seen, own) = (of_await(name, "delay") as f64, WAITED[n].load(SeqCst) as f64);
            assert!((seen / own - 1.0).abs() < 0.05, "{name}: {seen} of {own}");
        }
        // A timer that fires while it is being set may take a waker that its future has replaced already, or end the wait
        // before it began.
        let naps = of_await("nap", "waits");
        assert!((72..=88).contains(&naps), "{naps} of 80");
    });
}

/// What `await` has of stacks through this place. The names of inlined functions need more debug information.
fn of_await(place: &str, value: &str) -> i64 {
    let place = line(place);
    let at = |file: &str, line: i64| format!("{file}:{line}").ends_with(&place);
    read("await")
        .samples()
        .iter()
        .filter(|sample| sample.frames.iter().any(|frame| at(&frame.file, frame.line)))
        .map(|sample| sample.value(value))
        .sum()
}

/// Without stacks nothing is noted, and with a budget less than all, which counts for all.
#[test]
fn stacks_are_off_or_within_a_budget() {
    #[profiled]
    async fn yields(times: u32) {
        for _ in 0..times {
            give_way().await;
        }
    }
    #[inline(never)]
    async fn give_way() {
        let mut polled = false;
        future::poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            // As leaves do.
            let kept = cx.waker().clone(); // give way
            kept.wake();
            Poll::Pending
        })
        .await;
    }
    fn run(times: u32) {
        let mut future = pin!(yields(times));
        while future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
    }
    alone("stacks_are_off_or_within_a_budget", || {
        assert_eq!(tasks::set_stacks(Stacks::Off), Stacks::Auto);
        run(1000);
        assert_eq!(of_await("give way", "waits"), 0);
        assert_eq!(tasks::set_stacks(Stacks::All), Stacks::Off);
        run(1000);
        assert_eq!(of_await("give way", "waits"), 1000);
        tasks::set_stacks(Stacks::Auto);
        const MANY: u32 = 3_000_000;
        run(MANY);
        let counted = of_await("give way", "waits") - 1000;
        // One in W is taken and counts for W, where W is such that 1 400 are taken in 100 ms, in which no more than 2
        // million are made: W is below 2 048, so that the standard error is below sqrt(2 048 x 3 million), 2.6 %. Five of
        // those.
        let error = (counted as f64 / f64::from(MANY) - 1.0).abs();
        assert!(error < 0.13, "{counted} of {MANY}");
        let text = text("await", 1);
        assert!(text.contains("one suspension of a future in"), "{text}");
    });
}

/// Four threads begin and end futures while they are looked at: nobody is shown twice, after his end, or without those
/// that are older.
#[test]
fn dumps_under_churn_are_consistent() {
    alone("dumps_under_churn_are_consistent", || {
        let over = Arc::new(AtomicBool::new(false));
        // Alive all the time.
        let mut old: Vec<_> = (0..100).map(|_| Box::pin(instrument("old", future_of_notify()))).collect();
        for future in &mut old {
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let over = over.clone();
                thread::spawn(move || {
                    let mut made = 0_u64;
                    while !over.load(SeqCst) {
                        let mut futures: Vec<_> =
                            (0..50).map(|_| Box::pin(instrument("young", future_of_notify()))).collect();
                        for future in &mut futures {
                            assert!(
                                future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
                            );
                        }
                        made += futures.len() as u64;
                    }
                    made
                })
            })
            .collect();
        let end = Instant::now() + stress();
        let mut dumps = 0;
        let goroutine: &Profile = profiled::lookup("tasks").unwrap();
        while dumps < 100 || Instant::now() < end {
            let profile = read_snapshot(&goroutine.snapshot());
            let of = |name: &str| {
                let of_name = |sample: &&profiled_test_profiles::Sample| sample.text("task") == Some(name);
                profile.samples().iter().filter(of_name).map(|sample| sample.value("tasks")).sum::<i64>()
            };
            assert_eq!(of("old"), 100, "those that are alive are there, each once");
            assert!((0..=200).contains(&of("young")), "{} of 200", of("young"));
            assert_eq!(profile.total("tasks"), of("old") + of("young"), "all have names");
            dumps += 1;
        }
        over.store(true, SeqCst);
        let made: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(made > 1000, "{made}");
        assert_eq!(read("tasks").total("tasks"), 100, "nobody is shown after his end");
    });
}

/// Futures that wait for too long, and polls that take too long, are told of once each, with their stacks.
#[test]
fn who_is_stuck_is_told() {
    #[inline(never)]
    fn hogs(end: &AtomicBool) {
        while !end.load(SeqCst) {
            std::hint::spin_loop();
        }
    }
    alone("who_is_stuck_is_told", || {
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let watch = tasks::watch(50 * MS, {
            let told = told.clone();
            move |stuck| {
                let text = stuck.to_string();
                told.lock().unwrap().push((stuck.name().to_owned(), stuck.is_polled(), stuck.time(), text));
            }
        });
        let mut waits = Box::pin(instrument("waits", future_of_notify()));
        assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let end = Arc::new(AtomicBool::new(false));
        let hog = thread::spawn({
            let end = end.clone();
            move || {
                let mut future = Box::pin(instrument("hog", async move { hogs(&end) }));
                assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
            }
        });
        let names = || told.lock().unwrap().iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>();
        settled(names, |names| names.len() >= 2);
        thread::sleep(200 * MS);
        end.store(true, SeqCst);
        hog.join().unwrap();
        let told = told.lock().unwrap();
        let of = |name: &str| {
            let found: Vec<_> = told.iter().filter(|(of, ..)| of == name).collect();
            let [one] = found[..] else { panic!("{name} is told of once: {told:#?}") };
            one.clone()
        };
        let (_, polled, time, text) = of("waits");
        assert!(!polled && time >= 50 * MS && text.contains(&line("in notify")), "{time:?} {text}");
        let (_, polled, time, text) = of("hog");
        assert!(polled && time >= 50 * MS, "{time:?} {text}");
        if cfg!(not(profiled_portable)) {
            assert!(text.contains("tests/tasks.rs:"), "{text}");
        }
        drop(watch);
        let long = read("long_polls");
        let found: Vec<_> =
            long.samples().iter().filter(|sample| sample.text("profiled") == Some("hog")).collect();
        let [one] = found[..] else { panic!("{long:?}") };
        assert!(one.value("polls") == 1 && one.value("longest") >= 100_000_000, "{one:?}");
        if cfg!(not(profiled_portable)) {
            assert!(one.frames.iter().any(|frame| frame.file.ends_with("tests/tasks.rs")), "{one:?}");
        }
    });
}

macro_rules! parks {
    ($($name:ident)*) => { $(
        #[profiled]
        async fn $name(world: Arc<World>) {
            _ = world.notify.notified().await;
            // Or they would be one function.
            std::hint::black_box(stringify!($name));
        }
    )* };
}
parks! { bakes brews bottles labels_them packs ships bills }

/// A thousand futures in seven places, some with labels and all under parents, beside forty threads: the three forms of
/// `goroutine` have them all, and the same of each.
#[test]
fn a_thousand_futures_in_seven_places() {
    use profiled::labels::FutureExt;

    #[profiled]
    async fn shift(n: u32, world: Arc<World>) {
        let of = |n: u32| -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let world = world.clone();
            match n {
                0..400 => Box::pin(bakes(world)),
                400..600 => Box::pin(brews(world)),
                600..750 => Box::pin(bottles(world)),
                750..850 => Box::pin(labels_them(world)),
                850..930 => Box::pin(packs(world)),
                930..980 => Box::pin(ships(world)),
                _ => Box::pin(bills(world)),
            }
        };
        // Three in four of them carry a label.
        let oven = ["north", "south", "", "east"][n as usize % 4];
        match oven {
            "" => of(n).await,
            oven => of(n).with_labels(&[("oven", oven)]).await,
        }
    }
    let counts = [
        ("bakes", 400),
        ("brews", 200),
        ("bottles", 150),
        ("labels_them", 100),
        ("packs", 80),
        ("ships", 50),
        ("bills", 20),
    ];
    alone("a_thousand_futures_in_seven_places", || {
        tasks::set_stacks(Stacks::All);
        let world =
            Arc::new(World { notify: Notify::new(), lock: Mutex::new(()), permits: Semaphore::new(0) });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        for n in 0..1000 {
            runtime.spawn(shift(n, world.clone()));
        }
        let gate = Arc::new(std::sync::Barrier::new(41));
        let threads: Vec<_> = (0..40)
            .map(|_| {
                let gate = gate.clone();
                thread::spawn(move || _ = gate.wait())
            })
            .collect();
        let pending = |profile: &profiled_test_profiles::Profile, name: &str| {
            let is = |sample: &&profiled_test_profiles::Sample| {
                sample.text("task") == Some(name) && sample.text("state") == Some("pending")
            };
            profile.samples().iter().filter(is).map(|sample| sample.value("goroutine")).sum::<i64>()
        };
        let all_there = |profile: &profiled_test_profiles::Profile| pending(profile, "tasks::bills") == 20;
        settled(
            || read("goroutine"),
            |profile| all_there(profile) && pending(profile, "tasks::bakes") == 400,
        );

        // The protobuf: by name, and by label.
        let profile = read("goroutine");
        for (name, count) in counts {
            assert_eq!(pending(&profile, &format!("tasks::{name}")), count, "{name}");
        }
        for (oven, count) in [("north", 250), ("south", 250), ("east", 250)] {
            let of = |sample: &&profiled_test_profiles::Sample| {
                sample.text("oven") == Some(oven)
                    && sample.text("task").is_some_and(|name| !name.ends_with("shift"))
            };
            let found: i64 =
                profile.samples().iter().filter(of).map(|sample| sample.value("goroutine")).sum();
            assert_eq!(found, count, "{oven}");
        }
        if cfg!(not(profiled_portable)) {
            let of = |sample: &&profiled_test_profiles::Sample| sample.text("kind") == Some("thread");
            let found: i64 =
                profile.samples().iter().filter(of).map(|sample| sample.value("goroutine")).sum();
            assert!(found >= 42, "forty, two of tokio's, this one: {found}");
        }

        // Text, in groups: the sum of those that are in a function, its children included, twice: with its parent.
        let text = text("goroutine", 1);
        for (name, count) in counts {
            let scope = format!("\"profiled\":\"tasks::{name}\"");
            let of = |group: &&str| group.contains(&scope);
            let number =
                |group: &str| group.lines().find_map(|line| line.split_once(" @ ")?.0.parse::<i64>().ok());
            let found: i64 = text.split("\n\n").filter(of).filter_map(number).sum();
            assert_eq!(found, count, "{name} in groups:\n{text}");
        }

        // One by one, each under its parent.
        let found = blocks("goroutine");
        for (name, count) in counts {
            let of: Vec<&String> = found
                .iter()
                .filter(|(of, _)| *of == format!("tasks::{name}"))
                .map(|(_, block)| block)
                .collect();
            assert_eq!(of.len() as i64, count, "{name}");
            for block in of {
                assert!(block.starts_with("  task ") && block.contains("[pending at "), "{block}");
                assert!(block.contains("tests/profiles/tests/tasks.rs:"), "{block}");
            }
        }
        let labelled =
            found.iter().filter(|(name, block)| !name.ends_with("shift") && block.contains("{\"oven\":"));
        assert_eq!(labelled.count(), 750);
        gate.wait();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        runtime.shutdown_background();
    });
}
