//! What `#[profiled]` costs a function that lasts a nanosecond and a half, and a future.
mod measure;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use measure::{Job, Pair, Table, Target, Team, timed};
use profiled::__private::Polled;
use profiled::tasks::{Stacks, set_stacks};

/// The site that `#[profiled(name = ..)]` makes. Written out, so that the bench measures the hook alone; for the
/// attribute itself, put it on `marked` instead of the guard in there.
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

/// About five cycles of work that depends on what came before.
#[inline(always)]
fn work(x: u64) -> u64 {
    (x ^ x >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(never)]
fn plain<const COPY: u64>(x: u64) -> u64 {
    work(x ^ COPY)
}

#[inline(never)]
fn marked<const COPY: u64>(x: u64) -> u64 {
    let _scope = profiled::__private::enter(site!("work"));
    work(x ^ COPY)
}

#[inline(never)]
fn plain_loop<const COPY: u64>(times: u64) {
    black_box((0..times).fold(black_box(1), |x, _| plain::<COPY>(x)));
}

#[inline(never)]
fn marked_loop<const COPY: u64>(times: u64) {
    black_box((0..times).fold(black_box(1), |x, _| marked::<COPY>(x)));
}

/// Waits for ever, and does the work at every poll.
fn waiting<const COPY: u64>() -> impl Future<Output = u64> {
    let mut x = COPY;
    poll_fn(move |_| {
        x = work(x);
        black_box(Poll::Pending)
    })
}

type Waiting = Pin<Box<dyn Future<Output = u64>>>;

fn plain_future<const COPY: u64>() -> Waiting {
    Box::pin(waiting::<COPY>())
}

fn marked_future<const COPY: u64>() -> Waiting {
    Box::pin(Polled::new(site!("polled"), waiting::<COPY>()))
}

#[inline(never)]
fn poll_loop(future: &mut Waiting, times: u64) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        _ = black_box(future.as_mut().poll(&mut context));
    }
}

#[inline(never)]
fn lives(times: u64, life: impl Fn() -> Poll<u64>) {
    for _ in 0..times {
        _ = black_box(life());
    }
}

fn once(future: impl Future<Output = u64>) -> Poll<u64> {
    pin!(black_box(future)).poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits for ever, and keeps the waker of each poll.
fn keeping() -> impl Future<Output = u64> {
    let kept = Cell::new(None);
    poll_fn(move |cx| {
        kept.set(black_box(Some(cx.waker().clone())));
        Poll::Pending
    })
}

/// One more function on the way.
async fn through(future: impl Future<Output = u64>) -> u64 {
    black_box(future.await)
}

/// What it takes to ask what so many futures wait for, and to write that.
fn dumps(all: bool) -> String {
    const MANY: usize = 100_000;
    let before = set_stacks(Stacks::All);
    let make = || Box::pin(Polled::new(site!("one of many"), through(through(keeping()))));
    let mut futures: Vec<_> = (0..if all { MANY } else { 10 }).map(|_| make()).collect();
    for future in &mut futures {
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let profile = profiled::lookup("tasks").expect("it is always there");
    let mut took: Vec<_> = (0..if all { 5 } else { 1 })
        .map(|_| timed(|| profile.write_to(std::io::sink(), 0).expect("nobody to fail")))
        .collect();
    took.sort_unstable();
    set_stacks(before);
    format!("{:.0} ms", took[took.len() / 2].as_secs_f64() * 1e3)
}

macro_rules! copies {
    ($($n:literal)*) => {
        (
            [$((plain_loop::<$n> as fn(u64), marked_loop::<$n> as fn(u64))),*],
            [$((plain_future::<$n> as fn() -> Waiting, marked_future::<$n> as fn() -> Waiting)),*],
        )
    };
}

fn main() {
    let (calls, futures) = copies!(1 2 3 4 5 6 7 8);
    let mut table = Table::new("functions");

    let slices = calls.map(|(plain, marked)| (move |n| timed(|| plain(n)), move |n| timed(|| marked(n))));
    let pairs: Vec<_> = slices.iter().map(|(without, with)| Pair { with, without }).collect();
    table.row("call of a #[profiled] function", Target::Added(1.5), &pairs);

    let team = &Team::new(2);
    let slices = calls.map(|(plain, marked)| {
        let (plain, marked): (Job, Job) = (Arc::new(plain), Arc::new(marked));
        (move |n| team.run_abreast(&plain, n), move |n| team.run_abreast(&marked, n))
    });
    let pairs: Vec<_> = slices.iter().map(|(without, with)| Pair { with, without }).collect();
    table.long_row("the same, on two threads at once", Target::Added(1.5), &pairs);

    let slices = futures.map(|(plain, marked)| {
        let run = |future: Waiting| {
            let future = RefCell::new(future);
            move |n| timed(|| poll_loop(&mut future.borrow_mut(), n))
        };
        (run(plain()), run(marked()))
    });
    let pairs: Vec<_> = slices.iter().map(|(without, with)| Pair { with, without }).collect();
    table.row("poll of a #[profiled] future", Target::Added(1.5), &pairs);

    let ready = || async { work(black_box(1)) };
    let without = |n| timed(|| lives(n, || once(ready())));
    let with = |n| timed(|| lives(n, || once(Polled::new(site!("ready"), ready()))));
    let life = [Pair { with: &with, without: &without }];
    table.row("life of a #[profiled] future, one poll", Target::Added(60.0), &life);

    // What a leaf does that waits: it drops the waker that it kept, and keeps this one.
    for (stacks, what, target) in [
        (Stacks::Off, "suspension of a future, stacks off", Target::Added(1.5)),
        (Stacks::All, "suspension of a future, its stack taken", Target::Added(700.0)),
    ] {
        let run = |future: Waiting| {
            let future = RefCell::new(future);
            move |n| {
                set_stacks(stacks);
                let time = timed(|| poll_loop(&mut future.borrow_mut(), n));
                set_stacks(Stacks::Auto);
                time
            }
        };
        let without = run(Box::pin(through(through(through(keeping())))));
        let with = run(Box::pin(Polled::new(site!("suspended"), through(through(through(keeping()))))));
        table.row(what, target, &[Pair { with: &with, without: &without }]);
    }
    table.figure("dump of 100 000 futures that wait", "300 ms", dumps);
}
