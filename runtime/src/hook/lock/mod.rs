//! Locks that know who waited and who made them wait: profiles `mutex` and `block`, and one a lock under its name.
//!
//! An uncontended lock costs a count in the thread's counter and, at the unlock, one relaxed load. A waiter is cold:
//! it notes when it began, waits as the lock itself waits, and books what it waited at its own stack, in `block`.
//! Whoever unlocks while somebody waits is charged, in `mutex`, for everything that was waited since the last charge.
mod mutex;
mod report;

use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::site::LockSite;
use crate::store::bucket::{Buckets, Key};
use crate::store::histogram::Histogram;
use crate::{clock, label, local, stack, trap};

pub use mutex::MutexGuard;
pub(crate) use report::profile_of;
#[cfg_attr(not(profiled_interpose), expect(unused_imports, reason = "nobody else books"))]
pub(crate) use report::rates;

const DEFAULT_BLOCK_RATE: u64 = 10_000;
const DEFAULT_MUTEX_FRACTION: u64 = 10;
/// A charge of this many nanoseconds always takes a stack, whatever the fraction: a rare long hold is what one looks
/// for, and a microsecond for a millisecond waited is nothing.
const LONG_CHARGE: u64 = 1_000_000;

static BLOCK_RATE: AtomicU64 = AtomicU64::new(DEFAULT_BLOCK_RATE);
static MUTEX_FRACTION: AtomicU64 = AtomicU64::new(DEFAULT_MUTEX_FRACTION);
static BLOCK: Buckets = Buckets::new();
static MUTEX: Buckets = Buckets::new();

/// Events are counted in units of 1/1024: a sampled one may stand for 3.7.
const COUNT_SCALE: f64 = 1024.0;

/// Samples waits from now on: one of `ns` nanoseconds or longer always, a shorter one of d with probability d/`ns`,
/// counted `ns`/d times. 1 takes every wait, 0 none. The default is 10 000. Returns the rate before.
///
/// What was recorded before keeps its weight.
pub fn set_block_rate(ns: u64) -> u64 {
    BLOCK_RATE.swap(ns, Relaxed)
}

/// Takes the holder's stack for one charge in `n` from now on, and for every charge of a millisecond or more; each
/// counts for as many as it stands for. 1 takes every charge, 0 none. The default is 10. Returns the fraction before.
///
/// What was recorded before keeps its weight.
pub fn set_mutex_fraction(n: u64) -> u64 {
    MUTEX_FRACTION.swap(n, Relaxed)
}

/// What is known of a lock site, whatever the rates.
#[derive(Debug)]
pub(crate) struct Stats {
    contended: AtomicU64,
    waited: AtomicU64,
    /// From a release until the waiter that it woke ran: nanoseconds and events.
    wake_up: AtomicU64,
    wake_ups: AtomicU64,
    waits: Histogram,
}

impl Stats {
    const fn new() -> Stats {
        Stats {
            contended: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            wake_up: AtomicU64::new(0),
            wake_ups: AtomicU64::new(0),
            waits: Histogram::new(),
        }
    }
}

/// Where a lock was made.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Site(&'static LockSite),
    /// By a typed wrapper's own `new`: the site is found at the first use.
    Caller(&'static Location<'static>),
}

/// The bookkeeping of one lock.
///
/// `starts` is the sum of the moments, in ticks, from which each waiter is still to be charged; `waiters` how many
/// they are. So `waiters * now - starts` is what has been waited and not been charged, for all of them at once. A
/// waiter adds to the sum before the count: who reads in between sees too little, even less than nothing, and leaves
/// the charge to the next. All but the arrival of a waiter happens while the lock is held.
#[derive(Debug)]
struct Meter {
    origin: Origin,
    /// The site's id once the lock was used.
    id: AtomicU32,
    waiters: AtomicU32,
    starts: AtomicU64,
    /// When the last charge was made.
    last: AtomicU64,
}

impl Meter {
    const fn new(origin: Origin) -> Meter {
        Meter {
            origin,
            id: AtomicU32::new(0),
            waiters: AtomicU32::new(0),
            starts: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// Gives it a name. It keeps the one it has.
    const fn name(&mut self, site: &'static LockSite) {
        if let Origin::Caller(_) = self.origin {
            self.origin = Origin::Site(site);
        }
    }

    /// Counts an acquisition.
    #[inline(always)]
    fn acquired(&self, kind: fn() -> &'static str) {
        trap::not_in_handler(trap::LOCKS);
        local::with(|local| match local.counter(self.id.load(Relaxed)) {
            Some(counter) => counter.add(),
            None => self.first(local, kind),
        });
    }

    /// The first acquisition of the lock, or of this site by this thread.
    #[cold]
    #[inline(never)]
    fn first(&self, local: &local::Local, kind: fn() -> &'static str) {
        if self.id.load(Relaxed) == 0 {
            local.enter(|| {
                let site = self.site(kind);
                if site.id.load(Relaxed) == 0 {
                    local::site_id(&site.id);
                }
                self.id.store(site.id.load(Relaxed), Relaxed);
            });
        }
        match local.counter(self.id.load(Relaxed)) {
            Some(counter) => counter.add(),
            None => {
                if let Some(counter) = local::first_event(local, &self.id) {
                    counter.add();
                }
            }
        }
    }

    fn site(&self, kind: fn() -> &'static str) -> &'static LockSite {
        match self.origin {
            Origin::Site(site) => site,
            Origin::Caller(caller) => crate::site::lock_at(caller, kind()),
        }
    }

    /// A waiter arrives.
    fn arrive(&self) -> u64 {
        trap::not_in_handler(trap::LOCKS);
        let now = clock::ticks();
        self.starts.fetch_add(now, Relaxed);
        self.waiters.fetch_add(1, Release);
        now
    }

    /// A waiter that arrived at `start` has the lock. Gives what it waited, and how much of that nobody was charged
    /// for, in ticks.
    fn leave(&self, start: u64) -> (u64, u64, u64) {
        let now = clock::ticks();
        let last = self.last.load(Relaxed);
        let from = if (last.wrapping_sub(start) as i64) > 0 { last } else { start };
        self.waiters.fetch_sub(1, Relaxed);
        self.starts.fetch_sub(from, Relaxed);
        (start, from, now)
    }

    /// What was waited since the last charge, in ticks. The caller holds the lock.
    fn charge(&self) -> Option<u64> {
        let waiters = u64::from(self.waiters.load(Acquire));
        let starts = self.starts.load(Relaxed);
        let now = clock::ticks();
        let charge = waiters.wrapping_mul(now).wrapping_sub(starts);
        if waiters == 0 || charge as i64 <= 0 {
            return None;
        }
        self.starts.fetch_add(charge, Relaxed);
        self.last.store(now, Relaxed);
        Some(charge)
    }

    /// The holder is about to unlock while somebody waits.
    #[cold]
    #[inline(never)]
    fn charge_holder(&self) {
        let Some(charge) = self.charge() else { return };
        let delay = clock::elapsed(0, charge);
        let n = MUTEX_FRACTION.load(Relaxed);
        let probability = match n {
            0 => return,
            n => (1.0 / n as f64).max(delay as f64 / LONG_CHARGE as f64),
        };
        book(&MUTEX, self.id.load(Relaxed), delay, probability);
        stack::stay();
    }

    /// A waiter has the lock, and books what it waited.
    #[inline(never)]
    fn waited(&self, start: u64, kind: fn() -> &'static str) {
        let (start, from, now) = self.leave(start);
        self.acquired(kind);
        let (delay, gap) = (clock::elapsed(start, now), clock::elapsed(from, now));
        local::with(|local| {
            local.enter(|| {
                if let Some(stats) = self.site(kind).stats.get_or_place(Stats::new) {
                    stats.contended.fetch_add(1, Relaxed);
                    stats.waited.fetch_add(delay, Relaxed);
                    stats.waits.add(delay, 1);
                    stats.wake_ups.fetch_add(1, Relaxed);
                    stats.wake_up.fetch_add(gap, Relaxed);
                }
            })
        });
        let probability = match BLOCK_RATE.load(Relaxed) {
            0 => return,
            rate => delay as f64 / rate as f64,
        };
        book(&BLOCK, self.id.load(Relaxed), delay, probability);
        stack::stay();
    }
}

/// Frames between the lock's method and `stack::capture`: the closures, `book`, and `waited` or `charge_holder`.
const OUR_FRAMES: usize = 2;

/// Books an event of `delay` nanoseconds with this probability, at the stack of the caller.
#[inline(never)]
fn book(buckets: &'static Buckets, id: u32, delay: u64, probability: f64) {
    local::with(|local| {
        if delay == 0 || !local.random(|random| random.happens(probability)) {
            return;
        }
        local.enter(|| {
            let key = Key {
                stack: stack::capture_interned(OUR_FRAMES),
                labels: label::interned(),
                scope: local.scopes().innermost(),
                what: u64::from(id),
                rate: 0,
            };
            if let Some(bucket) = buckets.get(key) {
                let weight = 1.0 / probability.min(1.0);
                bucket.value().first.fetch_add((weight * COUNT_SCALE) as u64, Relaxed);
                bucket.value().second.fetch_add((delay as f64 * weight) as u64, Relaxed);
            }
        });
    });
}

/// What [`profile_mutex!`](crate::profile_mutex!) can wrap.
#[diagnostic::on_unimplemented(
    message = "`profile_mutex!` cannot wrap `{Self}`",
    label = "not a lock that `profiled` knows",
    note = "it takes a `std::sync::Mutex`"
)]
pub trait Lock: sealed::Sealed + Sized {
    /// The lock as it comes out. One that is profiled already stays as it is.
    type Wrapped;

    #[doc(hidden)]
    fn wrap(self, site: &'static LockSite) -> Self::Wrapped;
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for std::sync::Mutex<T> {}
    impl<L: Sealed> Sealed for super::Profiled<L> {}
}

impl<T> Lock for std::sync::Mutex<T> {
    type Wrapped = Profiled<std::sync::Mutex<T>>;

    fn wrap(self, site: &'static LockSite) -> Self::Wrapped {
        Profiled::with_site(site, self)
    }
}

impl<L: Lock> Lock for Profiled<L> {
    type Wrapped = Profiled<L>;

    fn wrap(mut self, site: &'static LockSite) -> Profiled<L> {
        // What was used goes by its place already.
        if *self.meter.id.get_mut() == 0 {
            self.meter.name(site);
        }
        self
    }
}

/// What the static form of `profile_mutex!` calls: `Lock::wrap`, in a constant.
#[doc(hidden)]
#[derive(Debug)]
pub struct Maker<L>(std::marker::PhantomData<L>);

impl<T> Maker<std::sync::Mutex<T>> {
    /// Wraps it.
    pub const fn wrap(site: &'static LockSite, lock: std::sync::Mutex<T>) -> Profiled<std::sync::Mutex<T>> {
        Profiled::with_site(site, lock)
    }
}

impl<L> Maker<Profiled<L>> {
    /// It is wrapped already, and gets a name if it has none.
    pub const fn wrap(site: &'static LockSite, mut lock: Profiled<L>) -> Profiled<L> {
        lock.meter.name(site);
        lock
    }
}

/// A lock with its bookkeeping: made by [`profile_mutex!`](crate::profile_mutex!), or by the `new` of a typed wrapper
/// such as [`sync::Mutex`](crate::sync::Mutex).
///
/// It has the lock's own API, to the letter. It adds 48 bytes.
pub struct Profiled<L: ?Sized> {
    meter: Meter,
    lock: L,
}

impl<L: Lock> Profiled<L> {
    /// What `profile_mutex!` expands to.
    #[doc(hidden)]
    pub const fn with_site(site: &'static LockSite, lock: L) -> Self {
        Profiled { meter: Meter::new(Origin::Site(site)), lock }
    }
}

/// Profiles a lock: who waited for it, and who made them wait.
///
/// ```
/// use std::sync::Mutex;
///
/// // An expression, under a name, or under its module and line.
/// let orders = profiled::profile_mutex!("orders", Mutex::new(vec![1, 2]));
/// let others = profiled::profile_mutex!(Mutex::new(0));
/// orders.lock().unwrap().push(3);
///
/// // Statics, under their module and name.
/// profiled::profile_mutex! {
///     /// All that came in.
///     pub static SEEN: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// }
/// # fn main() {}
/// # SEEN.lock().unwrap().push(*others.lock().unwrap());
/// # assert_eq!(orders.into_inner().unwrap(), [1, 2, 3]);
/// ```
///
/// The lock comes out as a [`Profiled`](crate::sync::Profiled) of the same API: where its type is spelled, write
/// [`sync::Mutex`](crate::sync::Mutex), which is the standard library's own when this crate is switched off. All
/// locks made at one place share a profile, which [`lookup`](crate::lookup) finds by the name.
#[macro_export]
macro_rules! profile_mutex {
    ($($(#[$attribute:meta])* $visibility:vis static $id:ident : $type:ty = $lock:expr);+ $(;)?) => {$(
        $(#[$attribute])*
        $visibility static $id: <$type as $crate::__private::Lock>::Wrapped =
            $crate::__private::Maker::<$type>::wrap(
                $crate::__lock_site!(::core::concat!(::core::module_path!(), "::", ::core::stringify!($id))),
                $lock,
            );
    )+};
    // These are no expressions, which the next ones would say of them.
    (static $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    (pub $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    (const $id:ident $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    (# $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    ($name:expr, $lock:expr $(,)?) => {
        $crate::__private::Lock::wrap($lock, $crate::__lock_site!($name))
    };
    ($lock:expr $(,)?) => {
        $crate::__private::Lock::wrap(
            $lock,
            $crate::__lock_site!(::core::concat!(::core::module_path!(), ":", ::core::line!())),
        )
    };
    ($($other:tt)*) => {
        ::core::compile_error! {
            "`profile_mutex!` takes one of\n    \
             profile_mutex!(\"name\", lock)\n    \
             profile_mutex!(lock)\n    \
             profile_mutex! { static ID: Type = lock; .. }"
        }
    };
}

/// A site, registered.
#[doc(hidden)]
#[macro_export]
macro_rules! __lock_site {
    ($name:expr) => {{
        static SITE: $crate::__private::LockSite =
            $crate::__private::LockSite::new($name, ::core::file!(), ::core::line!(), ::core::column!());
        $crate::__private::submit! { $crate::__private::Entry::Lock(&SITE) }
        &SITE
    }};
}
