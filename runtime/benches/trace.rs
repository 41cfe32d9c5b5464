//! What a trace costs, and what its hooks cost while nobody records.
//!
//! While somebody records, the thread that makes bytes of it needs time between two slices, so that nothing is dropped: the
//! last row says what was.
mod measure;

use std::cell::RefCell;
use std::future::poll_fn;
use std::hint::black_box;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use measure::{Job, Pair, Table, Target, Team, timed};
use profiled::__private::Polled;
use profiled::trace::{self, Format, Session};

macro_rules! site {
    ($name:literal) => {{
        static SITE: profiled::__private::FunctionSite = profiled::__private::FunctionSite::new(
            profiled::__private::Name::Literal($name),
            file!(),
            line!(),
            column!(),
        );
        profiled::__private::submit! { profiled::__private::Entry::Function(&SITE) }
        &SITE
    }};
}

#[inline(always)]
fn work(x: u64) -> u64 {
    (x ^ x >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(never)]
fn plain<const COPY: u64>(x: u64) -> u64 {
    work(x ^ COPY)
}

#[inline(never)]
fn spanned<const COPY: u64>(x: u64) -> u64 {
    let _region = trace::region("span");
    work(x ^ COPY)
}

#[inline(never)]
fn marked<const COPY: u64>(x: u64) -> u64 {
    let _scope = profiled::__private::enter(site!("marked"));
    work(x ^ COPY)
}

#[inline(never)]
fn said<const COPY: u64>(x: u64) -> u64 {
    trace::log("category", "a message of some length");
    work(x ^ COPY)
}

macro_rules! loops {
    ($($name:ident $of:ident;)*) => {$(
        #[inline(never)]
        fn $name<const COPY: u64>(times: u64) {
            black_box((0..times).fold(black_box(1), |x, _| $of::<COPY>(x)));
        }
    )*};
}
loops! {
    plain_loop plain;
    spanned_loop spanned;
    marked_loop marked;
    said_loop said;
}

fn waiting() -> impl Future<Output = u64> {
    let mut x = 1;
    poll_fn(move |_| {
        x = work(x);
        black_box(Poll::Pending)
    })
}

type Waiting = Pin<Box<dyn Future<Output = u64>>>;

#[inline(never)]
fn poll_loop(future: &mut Waiting, times: u64) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        _ = black_box(future.as_mut().poll(&mut context));
    }
}

/// Counts what it is given.
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

fn record() -> Session {
    trace::start(Counts(Arc::default()), Format::Go).expect("a thread")
}

macro_rules! copies {
    ($of:ident: $($n:literal)*) => {
        [$((plain_loop::<$n> as fn(u64), $of::<$n> as fn(u64))),*]
    };
}

type Loop = fn(u64);

/// Pairs of the one and the other.
fn row(table: &mut Table, what: &str, target: Target, calls: [(Loop, Loop); 4], between: &dyn Fn()) {
    let slices = calls.map(|(plain, with)| (move |n| timed(|| plain(n)), move |n| timed(|| with(n))));
    let pairs: Vec<_> = slices.iter().map(|(without, with)| Pair { with, without }).collect();
    table.row_of(what, target, 4_000, 1000, &pairs, between);
}

fn main() {
    let mut table = Table::new("trace");
    // Time enough for the other thread.
    let rest = || std::thread::sleep(Duration::from_millis(12));

    row(&mut table, "span, nobody records", Target::Added(0.3), copies!(spanned_loop: 1 2 3 4), &|| ());
    row(&mut table, "message, nobody records", Target::Added(0.3), copies!(said_loop: 1 2 3 4), &|| ());

    let session = record();
    row(&mut table, "span, recorded", Target::Added(25.0), copies!(spanned_loop: 1 2 3 4), &rest);
    table.figure("bytes of it", "14", |_| {
        let summary = session.stop().expect("nobody to fail");
        format!(
            "{:.1} of {} spans, {} dropped",
            summary.bytes as f64 * 2.0 / summary.events.max(1) as f64,
            summary.events / 2,
            summary.dropped
        )
    });

    let session = record();
    let team = &Team::new(2);
    let slices = copies!(spanned_loop: 1 2 3 4).map(|(plain, with)| {
        let (plain, with): (Job, Job) = (Arc::new(plain), Arc::new(with));
        (move |n| team.run_abreast(&plain, n), move |n| team.run_abreast(&with, n))
    });
    let pairs: Vec<_> = slices.iter().map(|(without, with)| Pair { with, without }).collect();
    // Long slices: threads do not start together.
    let long_rest = || std::thread::sleep(Duration::from_millis(60));
    table.row_of("the same, on two threads at once", Target::Added(25.0), 40_000, 200, &pairs, &long_rest);
    table.figure("dropped meanwhile", "0", |_| session.stop().expect("nobody to fail").dropped.to_string());

    let session = record();
    row(
        &mut table,
        "call of a #[profiled] function, recorded",
        Target::Open,
        copies!(marked_loop: 1 2 3 4),
        &rest,
    );
    row(&mut table, "message, recorded", Target::Open, copies!(said_loop: 1 2 3 4), &rest);
    drop(session);
    row(
        &mut table,
        "call of a #[profiled] function, after that",
        Target::Added(1.5),
        copies!(marked_loop: 1 2 3 4),
        &|| (),
    );

    let polls = |future: Waiting| {
        let future = RefCell::new(future);
        move |n| timed(|| poll_loop(&mut future.borrow_mut(), n))
    };
    let without = polls(Box::pin(waiting()));
    let with = polls(Box::pin(Polled::new(site!("polled"), waiting())));
    let pairs = [Pair { with: &with, without: &without }];
    table.row_of(
        "poll of a #[profiled] future, nobody records",
        Target::Added(1.5),
        4_000,
        1000,
        &pairs,
        &|| (),
    );
    let session = record();
    table.row_of("the same, recorded", Target::Added(30.0), 4_000, 1000, &pairs, &rest);
    table.figure("dropped in all that", "0", |_| session.stop().expect("nobody to fail").dropped.to_string());
}
