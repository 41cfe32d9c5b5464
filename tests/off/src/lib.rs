//! Every name of the API, used as a program would use it.
//!
//! This compiles in both states; see `tests/` for what it does when the switch is off.
#![deny(warnings)]
pub mod methods;

use std::alloc::System;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, SystemTime};

use profiled::sync::{LockResult, Mutex, MutexGuard, TryLockResult};
use profiled::{
    Allocator, Error, Format, Key, Kind, LabelValue, Profile, SampleRef, Snapshot, Tracked, ValueType, block,
    cpu, deadlock, heap, http, labels, mutex, profile, profile_mutex, profiled, trace,
};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::system();
static _AROUND: Allocator<System> = Allocator::new(System);

profile! {
    /// Connections.
    pub static CONNECTIONS = "example.com/connections";
}

profile_mutex! {
    /// Orders.
    pub static ORDERS: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    static TOTAL: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
}

/// A lock in a field.
#[derive(Debug, Default)]
pub struct Shop {
    /// Typed.
    pub stock: Mutex<u32>,
}

#[profiled]
impl Shop {
    /// A method.
    pub fn take(&self) -> u32 {
        labels! { "shop" => 1, "method" => "take" }
        let mut stock = self.stock.lock().unwrap_or_else(profiled::sync::PoisonError::into_inner);
        *stock += 1;
        *stock
    }

    /// Waits.
    #[profiled(name = "wait")]
    pub async fn wait(&self) -> u32 {
        self.take()
    }
}

/// The registry.
pub fn registry() -> profiled::Result<Vec<(String, Kind, usize)>> {
    if let Some(profile) = profiled::lookup("heap") {
        let _: &'static Profile = profile;
        profile.write_to(std::io::sink(), 1)?;
    }
    Ok(profiled::profiles().into_iter().map(|p| (p.name().to_owned(), p.kind(), p.count())).collect())
}

/// A profile of one's own.
pub fn custom() -> profiled::Result<Tracked> {
    CONNECTIONS.add(1, 0)?;
    CONNECTIONS.add("text", 0)?;
    CONNECTIONS.add(&String::from("owned"), 0)?;
    CONNECTIONS.add(Key::of(&CONNECTIONS), 1)?;
    CONNECTIONS.add(std::ptr::from_ref(&ORDERS), 1)?;
    let _: bool = CONNECTIONS.remove(1);
    let _: &str = CONNECTIONS.help();
    Ok(CONNECTIONS.track())
}

/// What is in a snapshot.
pub fn read(snapshot: &Snapshot) -> (usize, Vec<String>) {
    let mut found = Vec::new();
    for sample in snapshot.samples() {
        let _: SampleRef<'_> = sample;
        found.push(format!("{:?} {:?}", sample.values(), sample.addresses()));
        for (key, value) in sample.labels() {
            found.push(match value {
                LabelValue::Str(text) => format!("{key}={text}"),
                LabelValue::Num(n, unit) => format!("{key}={n}{unit}"),
                _ => key.to_owned(),
            });
        }
    }
    let _: &[ValueType] = snapshot.value_types();
    let _: (SystemTime, Option<Duration>) = (snapshot.time(), snapshot.duration());
    let _: (ValueType, i64) = snapshot.period();
    found.extend(snapshot.comments().iter().cloned());
    (snapshot.samples().len(), found)
}

/// Formats and the difference.
pub fn write(snapshot: &Snapshot) -> profiled::Result<Vec<u8>> {
    let mut out = Vec::new();
    for format in [Format::Pprof, Format::Text, Format::Verbose, Format::Folded, Format::Svg] {
        match snapshot.delta(&snapshot.clone())?.write(&mut out, format) {
            Ok(()) | Err(Error::Unsupported(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(out)
}

/// The execution trace.
pub fn traces() -> profiled::Result<(bool, trace::Summary)> {
    let session: trace::Session = trace::start(std::io::sink(), trace::Format::Go)?;
    let is_enabled: bool = trace::is_enabled();
    let task: trace::Task = trace::task("checkout");
    {
        let _region: trace::Region = trace::region("payment");
        trace::log("order", "a message");
        trace::log!("order", "{} of {total}", 1, total = 2);
    }
    let sum: u32 = task.in_scope(|| 3);
    let future: trace::InTask<_> = task.instrument(async move { sum });
    drop(future);
    drop(task);
    Ok((is_enabled, session.stop()?))
}

/// Spans, which go to the layers beside ours as they did. Gives the name of the one that is current in one.
#[cfg(feature = "tracing")]
pub fn spans() -> Option<&'static str> {
    use tracing_subscriber::layer::SubscriberExt as _;
    let layer: profiled::tracing::Layer =
        profiled::tracing::layer().labels(["user"]).labels([String::from("id")]);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let _span = tracing::info_span!("span", user = 1).entered();
        tracing::info!("event");
        tracing::Span::current().metadata().map(|metadata| metadata.name())
    })
}

/// The flight recorder.
pub fn flights() -> profiled::Result<(trace::Status, trace::Summary)> {
    let folder = std::env::temp_dir();
    let second = std::time::Duration::from_secs(1);
    let tell = |snapshot: trace::Snapshot| {
        let cause: &trace::Cause = snapshot.cause();
        let format: trace::Format = snapshot.format();
        let summary: trace::Summary = snapshot.summary();
        println!("{cause} {format:?} {summary:?} {:?}", snapshot.write_to(std::io::sink()));
    };
    let builder: trace::Builder = trace::FlightRecorder::builder()
        .min_age(second)
        .max_bytes(1 << 20)
        .format(trace::Format::Perfetto)
        .at_most_every(second)
        .on_slow(second, folder.join("slow"))
        .on_slow_with(second, tell)
        .on_panic(folder.join("panic"))
        .on_panic_with(tell)
        .on_signal(10, folder.join("signal"))
        .on_signal_with(10, tell)
        .on_request(folder.join("request"))
        .on_request_with(tell);
    let recorder: trace::FlightRecorder = builder.start()?;
    let status: trace::Status = recorder.status();
    let summary: trace::Summary = recorder.write_to(std::io::sink())?;
    recorder.stop()?;
    Ok((status, summary))
}

/// The environment.
pub fn environment() -> profiled::Guard {
    let guard: profiled::Guard = profiled::init();
    guard
}

/// Benchmarks.
#[cfg(feature = "criterion")]
pub fn benchmarks() -> criterion::Criterion {
    const PROFILER: profiled::criterion::Profiler = profiled::criterion::Profiler::new(100);
    let _ = profiled::criterion::Profiler::default();
    criterion::Criterion::default().with_profiler(PROFILER)
}

/// Rates, and what they were.
pub fn rates() -> [u64; 4] {
    [heap::set_rate(heap::rate()), heap::rate(), block::set_rate(1), mutex::set_fraction(1)]
}

/// CPU windows.
pub fn windows() -> profiled::Result<Snapshot> {
    const OPTIONS: cpu::Options = cpu::Options::new().hz(250);
    let session: cpu::Session = OPTIONS.start()?;
    drop(cpu::start()?);
    let _ = cpu::set_continuous(0)?;
    let _ = cpu::profile(Duration::from_millis(1))?;
    assert_eq!(profiled::threads::dump().samples().len() > 0, profiled::lookup("threads").is_some());
    heap::write(std::io::sink())?;
    Ok(session.stop())
}

/// Locks by expression, static and field.
pub fn locks() -> u32 {
    fn guarded(lock: &Mutex<u32>) -> LockResult<MutexGuard<'_, u32>> {
        lock.lock()
    }
    fn tried(lock: &Mutex<u32>) -> TryLockResult<MutexGuard<'_, u32>> {
        lock.try_lock()
    }
    const NAME: &str = "by expression";
    let named: Mutex<u32> = profile_mutex!(NAME, std::sync::Mutex::new(1));
    let unnamed = profile_mutex!(std::sync::Mutex::new(2),);
    let _ = NAME;
    if let Ok(mut orders) = ORDERS.lock() {
        orders.push(1);
    }
    let total = TOTAL.lock().map_or(0, |total| *total);
    let sum = guarded(&named).map_or(0, |n| *n) + tried(&unnamed).map_or(0, |n| *n) + total;
    sum + named.into_inner().unwrap_or(0) + Shop::default().take()
}

/// The standard library's kinds of waiting, in constants and in a struct.
pub fn waits() -> u32 {
    use profiled::sync::{
        Barrier, Condvar, LazyLock, Once, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc,
    };
    static SHARED: RwLock<u32> = RwLock::new(1);
    static ONCE: Once = Once::new();
    static SET: OnceLock<u32> = OnceLock::new();
    static LAZY: LazyLock<u32> = LazyLock::new(|| 4);
    static READY: (Mutex<bool>, Condvar) = (Mutex::new(true), Condvar::new());
    let named: RwLock<u32> = profile_mutex!("shared", std::sync::RwLock::new(0));
    let read: LockResult<RwLockReadGuard<'_, u32>> = SHARED.read();
    let sum = read.map_or(0, |n| *n);
    let written: LockResult<RwLockWriteGuard<'_, u32>> = named.write();
    drop(written.map(|mut n| *n += 1));
    ONCE.call_once(|| {
        let _ = SET.set(2);
    });
    let _leader = Barrier::new(1).wait().is_leader();
    let ready = READY.0.lock().and_then(|guard| READY.1.wait_while(guard, |ready| !*ready));
    let (sender, receiver) = mpsc::sync_channel(1);
    let sent = sender.send(ready.map_or(0, |ready| u32::from(*ready)) + 7);
    let region: block::Region = block::region("region");
    let checked = deadlock::check_order(false);
    let watch: deadlock::Watch = deadlock::watch(Duration::from_secs(1), |cycle: &deadlock::Cycle| {
        let stuck = cycle.is_deadlock() && cycle.threads().len() == cycle.locks().len();
        drop((stuck, cycle.number(), cycle.snapshot().time(), cycle.to_string()));
    });
    let received = receiver.recv().unwrap_or(0);
    drop((sent, region, checked, watch));
    sum + *SET.get_or_init(|| 9) + *LAZY + received + named.into_inner().unwrap_or(0)
}

/// Those of `parking_lot`.
#[cfg(feature = "parking_lot")]
pub fn parking() -> u32 {
    use profiled::parking_lot::{Condvar, Mutex, MutexGuard, ReentrantMutex, RwLock, RwLockReadGuard};
    static LOCK: Mutex<u32> = Mutex::new(1);
    let named = profile_mutex!("parking", parking_lot::Mutex::new(2));
    let (shared, reentrant, condvar) = (RwLock::new(3), ReentrantMutex::new(4), Condvar::new());
    let mut guard: MutexGuard<'_, u32> = LOCK.lock();
    let _ = condvar.wait_for(&mut guard, Duration::from_millis(1));
    let read: RwLockReadGuard<'_, u32> = shared.read();
    *guard + named.into_inner() + *read + *reentrant.lock()
}

/// Those of `tokio`.
#[cfg(feature = "tokio")]
pub async fn asynchronous() -> u32 {
    use profiled::tokio::sync::{Mutex, MutexGuard, Notify, OwnedMutexGuard, RwLock, Semaphore, mpsc};
    let lock = std::sync::Arc::new(Mutex::new(1));
    let owned: OwnedMutexGuard<u32> = lock.clone().lock_owned().await;
    let first = *owned;
    drop(owned);
    let guard: MutexGuard<'_, u32> = lock.lock().await;
    let named = profile_mutex!("tokio", tokio::sync::Mutex::new(2));
    let (shared, semaphore, notify) = (RwLock::new(3), Semaphore::new(1), Notify::new());
    let permit = semaphore.acquire().await;
    notify.notify_one();
    notify.notified().await;
    let (sender, mut receiver) = mpsc::channel(1);
    let sent = sender.send(4).await;
    drop((permit, sent));
    first + *guard + *named.lock().await + *shared.read().await + receiver.recv().await.unwrap_or(0)
}

/// Labels.
pub fn labelled() -> (u32, Vec<(String, String)>) {
    labels::with(&[("a", "1"), ("b", "2")], || {
        labels! { "c" => format_args!("{}", 3) }
        let current: labels::Labels = labels::current();
        let _ = current.get("a");
        (7, current.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    })
}

/// Labels of futures.
pub fn labelled_future() -> impl Future<Output = Option<String>> + Send {
    use labels::{FutureExt as _, WithLabels};
    let labelled: WithLabels<_> = async { labels::current().get("a").map(str::to_owned) }
        .with_labels(&[("a", "1")])
        .with_labels(&[("b", "2")]);
    labelled
}

/// Threads.
pub fn threads() -> std::io::Result<u32> {
    use profiled::thread::{Builder, spawn};
    let first = spawn(|| 1).join().unwrap_or(0);
    let builder: Builder = Builder::new().name("named".to_owned()).stack_size(1 << 20);
    let second = builder.spawn(|| 2)?.join().unwrap_or(0);
    let third = std::thread::scope(|scope| {
        Builder::new().spawn_scoped(scope, || first + 2).map(|thread| thread.join().unwrap_or(0))
    })?;
    Ok(first + second + third)
}

/// Servers, at addresses of all sorts that can be had.
#[allow(clippy::needless_borrows_for_generic_args)] // a reference to an address is one, too
pub fn servers() -> profiled::Result<Vec<String>> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let handler = || http::Handler::new().prefix("/d").token("t").allow_remote(false).allow_host("h");
    let mut servers: Vec<http::Server> = vec![
        http::serve("127.0.0.1:0")?,
        http::serve(String::from("127.0.0.1:0"))?,
        http::serve(any)?,
        http::serve((IpAddr::V4(Ipv4Addr::LOCALHOST), 0))?,
        handler().serve(&any)?,
    ];
    let _: fn(&Path) -> profiled::Result<http::Server> = |path| http::serve(path);
    servers.push(http::Handler::default().serve(TcpListener::bind(any)?)?);
    let addresses = servers.iter().map(|server| server.local_addr().to_string()).collect();
    http::serve(any)?.detach();
    let _: &http::Addr = servers[0].local_addr();
    Ok(addresses)
}
