//! Everything at once, and sessions that begin and end at random: each trace is one that Go's tool accepts.
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;
use std::time::{Duration, Instant};

use profiled::sync::{Condvar, Mutex, RwLock, mpsc};
use profiled::trace::{self, Format};
use profiled::{block, profiled, tasks};
use profiled_test_trace::{Memory, Trace, perfetto, rows, stress_seconds};

static TASKS: AtomicU64 = AtomicU64::new(0);
static REGIONS: AtomicU64 = AtomicU64::new(0);
static MESSAGES: AtomicU64 = AtomicU64::new(0);
static CHECKOUTS: AtomicU64 = AtomicU64::new(0);
/// Traces of a part of it.
static SHORTER: AtomicU64 = AtomicU64::new(0);

struct Shop {
    orders: Mutex<Vec<u64>>,
    prices: RwLock<u64>,
    open: Mutex<bool>,
    opened: Condvar,
    shared: tokio::sync::Mutex<u64>,
}

/// Numbers that look random and are the same each time.
struct Chance(u64);

impl Chance {
    fn of(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[profiled(name = "stress/price")]
fn price(shop: &Shop, depth: u64) -> u64 {
    if depth > 0 { price(shop, depth - 1) + 1 } else { *shop.prices.read().unwrap() }
}

#[profiled(name = "stress/fails")]
fn fails(number: u64) {
    let _region = region("failing");
    assert!(number == u64::MAX, "as it should");
}

fn region(name: &'static str) -> trace::Region {
    REGIONS.fetch_add(1, Relaxed);
    trace::region(name)
}

#[profiled(name = "stress/step")]
async fn step(shop: Arc<Shop>, number: u64) {
    match number % 5 {
        0 => tokio::time::sleep(Duration::from_micros(number % 900)).await,
        1 => tokio::task::yield_now().await,
        2 => *shop.shared.lock().await += price(&shop, 3),
        3 => {
            let _region = region("booking");
            shop.orders.lock().unwrap().push(number);
        }
        _ => _ = panic::catch_unwind(AssertUnwindSafe(|| fails(number))),
    }
}

#[profiled(name = "stress/order")]
async fn order(shop: Arc<Shop>, number: u64) {
    for n in 0..1 + number % 4 {
        step(Arc::clone(&shop), number + n).await;
        tokio::join!(step(Arc::clone(&shop), number + 1), step(Arc::clone(&shop), number + 3));
    }
    if number.is_multiple_of(97) {
        panic!("an order that fails");
    }
    if number.is_multiple_of(89) {
        std::future::pending::<()>().await;
    }
}

/// Tasks of a runtime, some of which are cancelled and some of which panic.
fn futures(shop: &Arc<Shop>, stop: &AtomicBool) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_time().build().unwrap();
    let mut chance = Chance(7);
    while !stop.load(Relaxed) {
        runtime.block_on(async {
            let mut handles = Vec::new();
            for _ in 0..500 {
                let number = TASKS.fetch_add(1, Relaxed);
                let future = order(Arc::clone(shop), number);
                handles.push(if number.is_multiple_of(2) {
                    tasks::spawn("stress/spawned", future)
                } else {
                    tokio::spawn(future)
                });
            }
            for handle in handles {
                if chance.of(10) == 0 {
                    handle.abort();
                }
                let aborts = handle.abort_handle();
                if tokio::time::timeout(Duration::from_millis(50), handle).await.is_err() {
                    aborts.abort();
                }
            }
        });
    }
}

/// Tasks, regions and messages of a thread, waits and panics.
fn clerk(shop: &Shop, seed: u64, stop: &AtomicBool, to: &mpsc::Sender<u64>) {
    let mut chance = Chance(seed);
    while !stop.load(Relaxed) {
        let task = trace::task("checkout");
        CHECKOUTS.fetch_add(1, Relaxed);
        for _ in 0..20 {
            let _outer = region("outer");
            match chance.of(8) {
                0 => shop.orders.lock().unwrap().push(seed),
                1 => *shop.prices.write().unwrap() += 1,
                2 => _ = price(shop, chance.of(5)),
                3 => _ = to.send(seed),
                4 => {
                    let _ = panic::catch_unwind(AssertUnwindSafe(|| fails(seed)));
                }
                5 => {
                    let _waits = block::region("supplier");
                    thread::sleep(Duration::from_micros(chance.of(200)));
                }
                6 => {
                    trace::log!(
                        "clerk",
                        "{} of {}",
                        chance.of(100),
                        "many \u{e4}".repeat(chance.of(4) as usize * 60)
                    );
                    MESSAGES.fetch_add(1, Relaxed);
                }
                _ => {
                    let open = shop.open.lock().unwrap();
                    _ = shop.opened.wait_timeout(open, Duration::from_micros(100)).unwrap();
                }
            }
        }
        if chance.of(4) == 0 {
            // Threads come and go, and take the task along.
            thread::scope(|scope| {
                scope.spawn(|| task.in_scope(|| drop(region("helping"))));
            });
        }
        // Not more than observers can take: four of them, which are slow when they are not optimised.
        thread::sleep(Duration::from_millis(if cfg!(debug_assertions) { 10 } else { 1 }));
    }
}

#[test]
fn every_trace_of_a_busy_program_is_accepted() {
    panic::set_hook(Box::new(|info| {
        // Those that are part of it say nothing.
        let text = info.to_string();
        if !text.contains("as it should") && !text.contains("an order that fails") {
            eprintln!("{text}");
        }
    }));
    tasks::set_stacks(tasks::Stacks::All);
    let shop = Arc::new(Shop {
        orders: Mutex::new(Vec::new()),
        prices: RwLock::new(1),
        open: Mutex::new(false),
        opened: Condvar::new(),
        shared: tokio::sync::Mutex::new(0),
    });
    let stop = AtomicBool::new(false);
    let (send, receive) = mpsc::channel();
    let whole = Memory::default();
    let (done, traces) = std_mpsc::channel();
    let session = trace::start(whole.clone(), Format::Go).unwrap();
    let whole_perfetto = Memory::default();
    let beside = trace::start(whole_perfetto.clone(), Format::Perfetto).unwrap();
    let summary = thread::scope(|scope| {
        let (shop, stop) = (&shop, &stop);
        scope.spawn(move || futures(shop, stop));
        for seed in 1..=4 {
            let send = send.clone();
            scope.spawn(move || clerk(shop, seed, stop, &send));
        }
        drop(send);
        scope.spawn(move || receive.iter().for_each(drop));
        for (seed, format) in [(100, Format::Go), (101, Format::Perfetto)] {
            let done = done.clone();
            scope.spawn(move || {
                let mut chance = Chance(seed);
                while !stop.load(Relaxed) {
                    let memory = Memory::default();
                    let session = trace::start(memory.clone(), format).unwrap();
                    thread::sleep(Duration::from_micros(chance.of(200_000)));
                    let dropped = session.stop().unwrap().dropped;
                    done.send((memory, format, dropped)).unwrap();
                    SHORTER.fetch_add(1, Relaxed);
                    thread::sleep(Duration::from_micros(chance.of(20_000)));
                }
            });
        }
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(stress_seconds())
            || TASKS.load(Relaxed) < 5_000
            || SHORTER.load(Relaxed) < 3
        {
            thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Relaxed);
        session
    })
    .stop()
    .unwrap();
    let of_perfetto = beside.stop().unwrap();
    drop(done);
    let [tasks, regions, messages, checkouts] =
        [&TASKS, &REGIONS, &MESSAGES, &CHECKOUTS].map(|count| count.load(Relaxed));
    println!("{tasks} tasks, {regions} regions, {messages} messages, {checkouts} user's tasks: {summary:?}");
    let trace = Trace::new(&whole.bytes());
    let counted = trace.counts([
        &["RegionBegin", "\"outer\""],
        &["RegionBegin", "\"booking\""],
        &["RegionBegin", "\"failing\""],
        &["RegionBegin", "\"helping\""],
        &[" Log ", "\"clerk\""],
        &["TaskBegin", "\"checkout\""],
        &["TaskEnd"],
    ]);
    let [outer, booking, failing, helping, said, begun, ended] = counted;
    if summary.dropped == 0 {
        assert_eq!(outer + booking + failing + helping, regions, "{counted:?}");
        assert_eq!((said, begun, ended), (messages, checkouts, checkouts), "{counted:?}");
    } else {
        assert!(outer + booking + failing + helping <= regions, "{counted:?}");
    }
    let pages = trace.pages();
    let goroutines = rows(&pages.get("/goroutines"));
    let of = |name: &str| goroutines.iter().find(|row| row[0] == name).map_or("0", |row| &row[1]).to_owned();
    let spawned: u64 = of("stress/spawned").parse().unwrap();
    assert!(summary.dropped > 0 || spawned == tasks.div_ceil(2), "{spawned} of {tasks}: {goroutines:?}");

    let [problems, slices, messages_there, futures, users, flows, stacks] = perfetto::query(
        &whole_perfetto.bytes(),
        [
            perfetto::PROBLEMS,
            "select count(*) from slice where name in ('outer', 'booking', 'failing', 'helping')",
            "select count(*) from slice where name = 'clerk'",
            "select count(*) from slice s join track t on s.track_id = t.id join track p on t.parent_id = p.id
             where p.name = 'futures' and s.depth = 0 and s.name = 'stress/spawned'",
            "select count(*) from slice s join track t on s.track_id = t.id join track p on t.parent_id = p.id
             where p.name = 'tasks' and s.name = 'checkout'",
            "select sum(b.ts < a.ts), sum(a.name in ('spawn', 'wake') and b.name = 'poll') > 1000,
               sum(b.name in ('acquired', 'woken')) > 0
             from flow f join slice a on f.slice_out = a.id join slice b on f.slice_in = b.id",
            "select count(*) > 100 from __intrinsic_track_event_callstacks c join slice s on s.id = c.slice_id
             where s.name like 'wait: %'",
        ],
    );
    assert_eq!(problems, losses(of_perfetto.dropped));
    let there = [&slices, &messages_there, &users].map(perfetto::number);
    assert_eq!(there, [outer + booking + failing + helping, said, begun], "{counted:?}");
    assert!(summary.dropped > 0 || perfetto::number(&futures) == tasks.div_ceil(2), "{futures:?} of {tasks}");
    assert_eq!(flows, [["0", "1", "1"].map(str::to_owned)]);
    assert_eq!(stacks, [["1"].map(str::to_owned)]);

    let (mut parts, mut expected, mut all, mut checked) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (memory, format, dropped) in traces {
        checked += 1;
        if format == Format::Go {
            Trace::new(&memory.bytes()).parsed();
            continue;
        }
        let begin = all.len();
        all.extend(memory.bytes());
        parts.push(begin..all.len());
        expected.push(Ok(vec![losses(dropped)]));
    }
    println!("{checked} shorter traces");
    assert!(checked > 2);
    assert_eq!(perfetto::query_parts(&all, &parts, &[perfetto::PROBLEMS]), expected);
}

/// What a reader warns of if so many events are missing.
fn losses(dropped: u64) -> perfetto::Rows {
    let warning =
        || ["traced_buf_trace_writer_packet_loss", &dropped.to_string(), "data_loss"].map(str::to_owned);
    if dropped == 0 { Vec::new() } else { vec![warning().to_vec()] }
}
