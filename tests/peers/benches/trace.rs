#![expect(unsafe_code, reason = "asks the kernel for CPU time")]
//! Spans in the same run, recorded and thrown away: ours, those of our attribute, of `tracing` by our layer and by
//! `tracing-chrome`'s, and fastrace's, each around the same function of 1.6 ns, against the function as it is.
//! `tests/peers/traces.py` adds Go's regions.
//!
//! `cargo bench -p profiled-test-peers --bench trace` takes two minutes. With and without take turns in one process, slice
//! by slice, and what writes on other threads has time to between two slices: what it works is in the rows of CPU time.
//! `tracing` has one subscriber, the registry; a layer that is not measured is switched off.
#[path = "../../../runtime/benches/measure/mod.rs"]
mod measure;

use std::hint::black_box;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalSpan;
use measure::{Job, Pair, Table, Target, Team, timed};
use profiled::trace::{self, Format, Session};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// About five cycles of work that depends on what came before.
#[inline(always)]
fn work(x: u64) -> u64 {
    (x ^ x >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(never)]
fn plain(x: u64) -> u64 {
    work(x)
}

#[inline(never)]
fn region(x: u64) -> u64 {
    let _region = trace::region("span");
    work(x)
}

#[profiled::profiled]
#[inline(never)]
fn attribute(x: u64) -> u64 {
    work(x)
}

#[inline(never)]
fn span(x: u64) -> u64 {
    let _span = tracing::info_span!("span").entered();
    work(x)
}

#[inline(never)]
fn fastraces(x: u64) -> u64 {
    let _span = LocalSpan::enter_with_local_parent("span");
    work(x)
}

macro_rules! looped {
    ($name:ident, $function:ident) => {
        #[inline(never)]
        fn $name(times: u64) {
            black_box((0..times).fold(black_box(1), |x, _| $function(x)));
        }
    };
}
looped!(plain_loop, plain);
looped!(region_loop, region);
looped!(attribute_loop, attribute);
looped!(root_loop, span);

/// Spans within one that goes on.
#[inline(never)]
fn child_loop(times: u64) {
    let _root = tracing::info_span!("root").entered();
    root_loop(times);
}

/// A root holds 10 240 spans, and forgets what comes then.
#[inline(never)]
fn fastrace_loop(times: u64) {
    let mut left = times;
    while left > 0 {
        let now = left.min(1000);
        let root = fastrace::Span::root("root", SpanContext::random());
        let guard = root.set_local_parent();
        black_box((0..now).fold(black_box(1), |x, _| fastraces(x)));
        drop(guard);
        left -= now;
    }
}

struct Forgets;

impl Reporter for Forgets {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        drop(black_box(spans));
    }
}

/// A layer with a switch.
struct Switched<L>(&'static AtomicBool, L);

static OURS: AtomicBool = AtomicBool::new(false);
static CHROME: AtomicBool = AtomicBool::new(false);

macro_rules! forwarded {
    ($($name:ident($($value:ident: $type:ty),*);)*) => { $(
        #[inline]
        fn $name(&self, $($value: $type,)* context: Context<'_, S>) {
            if self.0.load(Relaxed) {
                self.1.$name($($value,)* context);
            }
        }
    )* };
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, L: Layer<S>> Layer<S> for Switched<L> {
    forwarded! {
        on_new_span(attributes: &Attributes<'_>, id: &Id);
        on_record(id: &Id, values: &Record<'_>);
        on_event(event: &Event<'_>);
        on_enter(id: &Id);
        on_exit(id: &Id);
        on_close(id: Id);
    }
}

/// Counts what it is given.
#[derive(Clone, Default)]
struct Counts(Arc<AtomicU64>);

impl Write for Counts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// CPU time of this process, all threads together.
fn cpu_time() -> Duration {
    // SAFETY: all-zero is a valid `timespec`, and the call fills it.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time);
        time
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What records while a row is measured.
#[derive(Clone, Copy)]
enum Recorded {
    Nobody,
    Ours,
    Chrome,
}

/// Until it is dropped.
struct Recording(Option<Session>);

impl Recorded {
    fn begin(self) -> Recording {
        let ours = matches!(self, Recorded::Ours);
        OURS.store(ours, Relaxed);
        CHROME.store(matches!(self, Recorded::Chrome), Relaxed);
        Recording(ours.then(|| trace::start(Counts::default(), Format::Go).expect("a thread")))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            assert_eq!(session.stop().expect("nobody to fail").dropped, 0, "it had the time");
        }
        OURS.store(false, Relaxed);
        CHROME.store(false, Relaxed);
    }
}

/// Its name, so many spans, who records, and what they are to cost.
type Peer = (&'static str, fn(u64), Recorded, Target);

const PEERS: [Peer; 7] = [
    ("trace::region", region_loop, Recorded::Ours, Target::Added(25.0)),
    ("#[profiled]", attribute_loop, Recorded::Ours, Target::Open),
    ("tracing, our layer", child_loop, Recorded::Ours, Target::Open),
    ("tracing, our layer, roots", root_loop, Recorded::Ours, Target::Open),
    ("tracing, registry alone", child_loop, Recorded::Nobody, Target::Open),
    ("tracing, tracing-chrome", child_loop, Recorded::Chrome, Target::Open),
    ("fastrace", fastrace_loop, Recorded::Nobody, Target::Open),
];

/// Spans of a slice; where threads meet, long ones. And pairs of slices a row.
const CALLS: u64 = 2_000;
const LONG: u64 = 20_000;
const PAIRS: usize = 600;

fn main() {
    let mut table = Table::new("spans, and other recorders");
    fastrace::set_reporter(Forgets, Config::default());
    let written = Counts::default();
    let (chrome, guard) = tracing_chrome::ChromeLayerBuilder::new().writer(written.clone()).build();
    let subscriber = tracing_subscriber::registry()
        .with(Switched(&OURS, profiled::tracing::layer()))
        .with(Switched(&CHROME, chrome));
    tracing::subscriber::set_global_default(subscriber).expect("the first one");

    let pause = || std::thread::sleep(Duration::from_millis(15));
    for (name, with, recorded, target) in PEERS {
        let recording = recorded.begin();
        let (with, without) = (|n| timed(|| with(n)), |n| timed(|| plain_loop(n)));
        let pairs = [Pair { with: &with, without: &without }];
        table.row_of(&format!("a span: {name}"), target, CALLS, PAIRS, &pairs, &pause);
        drop(recording);
    }
    let team = &Team::new(2);
    let long_pause = || std::thread::sleep(Duration::from_millis(60));
    for (name, with, recorded, target) in PEERS {
        let recording = recorded.begin();
        let (with, without): (Job, Job) = (Arc::new(with), Arc::new(plain_loop));
        let (with, without) = (|n| team.run_abreast(&with, n), |n| team.run_abreast(&without, n));
        let pairs = [Pair { with: &with, without: &without }];
        table.row_of(&format!("on two threads: {name}"), target, LONG, PAIRS / 8, &pairs, &long_pause);
        drop(recording);
    }
    for (name, with, recorded, _) in PEERS {
        table.figure(&format!("CPU time a span, all threads: {name}"), "-", |measuring| {
            let calls = if measuring { 100_000 } else { 1 };
            let of = |work: fn(u64)| {
                let before = cpu_time();
                work(calls);
                // What works behind the scenes is done with it by then.
                std::thread::sleep(Duration::from_millis(if measuring { 500 } else { 0 }));
                (cpu_time() - before).as_nanos() as f64 / calls as f64
            };
            let least = |work| (0..3).map(|_| of(work)).fold(f64::INFINITY, f64::min);
            let without = least(plain_loop);
            let recording = recorded.begin();
            let with = least(with);
            drop(recording);
            format!("{:+.0} ns", with - without)
        });
    }
    for (name, with, format) in [
        ("trace::region, Go's format", region_loop as fn(u64), Some(Format::Go)),
        ("trace::region, Perfetto's", region_loop, Some(Format::Perfetto)),
        ("tracing, our layer, Go's format", child_loop, Some(Format::Go)),
        ("tracing, tracing-chrome", child_loop, None),
    ] {
        table.figure(&format!("bytes a span: {name}"), "-", |_| {
            const SPANS: u64 = 10_000;
            let bytes = match format {
                Some(format) => {
                    OURS.store(true, Relaxed);
                    let session = trace::start(Counts::default(), format).expect("a thread");
                    with(SPANS);
                    session.stop().expect("nobody to fail").bytes
                }
                None => {
                    guard.flush();
                    std::thread::sleep(Duration::from_millis(500));
                    let before = written.0.load(Relaxed);
                    CHROME.store(true, Relaxed);
                    with(SPANS);
                    guard.flush();
                    std::thread::sleep(Duration::from_millis(500));
                    written.0.load(Relaxed) - before
                }
            };
            OURS.store(false, Relaxed);
            CHROME.store(false, Relaxed);
            format!("{:.1}", bytes as f64 / SPANS as f64)
        });
    }
}
