//! The order in which threads take locks: who holds A and takes B notes A before B. Once both orders were seen of the same
//! two locks, they can deadlock, and both are kept with their stacks.
//!
//! A lock is a number of its own, given when it is first taken while order is checked: so a thousand locks that were made
//! at one place are told apart, and another lock at the same address is another lock.
//!
//! It is off unless asked for. Then the one switch, a mask, lets every lock's id find no counter: the check is in the cold
//! path that is taken anyway when there is none.
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

use crate::fork::{Guard, Lock};
use crate::local::blocked::Identity;
use crate::local::held::{Access, Hold};
use crate::local::{self, Thread};
use crate::{stack, sys};

/// All ones; nothing while order is checked.
static MASK: AtomicU32 = AtomicU32::new(u32::MAX);
/// How often checking was switched on. What threads held before is not known after it.
static ERA: AtomicU32 = AtomicU32::new(0);
/// The last number that a lock was given.
static LOCKS: AtomicU32 = AtomicU32::new(0);
/// Locks that were taken by threads that held too many.
static TOO_MANY: AtomicU64 = AtomicU64::new(0);

/// Checks the order in which locks are taken from now on, or no longer. It is off by default. Returns what it was before.
///
/// A thread that holds a lock A and gets B notes A before B. When B before A was noted, too, the two
/// can deadlock, whether they ever did or not: the profile `deadlock` has it from then on, with both stacks of both orders,
/// and [`watch`](crate::deadlock::watch) tells it, once. [Deadlocks](crate::deadlock) then say, besides, where each lock was
/// taken, and know who reads a lock that others want to write.
///
/// Locks are told apart one by one, also those that were made at one place: as long as all threads take them in one order,
/// that of their addresses for instance, nothing is reported. Reading counts as taking: a writer that waits holds up later
/// readers. What is only tried (`try_lock`, or for a time) comes after no other lock, but others come after it. Not seen
/// are locks that were taken before, locks of `tokio` but for those that a thread takes by `blocking_lock` or
/// `blocking_write`, those of `parking_lot` whose guards may be sent, and all that is none of ours.
///
/// It costs each acquisition its stack, and a look at what the thread holds: a lock and unlock takes some 250 ns more than
/// its 15, with ten frames. 32 locks a thread are noted at a time, 16 384 orders and 256 inversions; beyond that older orders are
/// forgotten, counted, and said in the profile.
pub fn check_order(on: bool) -> bool {
    if on {
        // Two threads that take their first stacks at once would have one between them: where a lock was taken is asked later.
        stack::prepare();
    }
    if on && MASK.load(Relaxed) != 0 {
        ERA.fetch_add(1, AcqRel);
    }
    MASK.swap(if on { 0 } else { u32::MAX }, AcqRel) == 0
}

/// What the id of a lock's site is to be masked with before its counter is looked for.
#[inline(always)]
pub(in super::super) fn mask() -> u32 {
    MASK.load(Relaxed)
}

/// Whether order is checked.
#[inline(always)]
pub(in super::super) fn checks() -> bool {
    mask() == 0
}

pub(super) fn era() -> u32 {
    ERA.load(Acquire)
}

/// How a lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Taken {
    pub(in super::super) access: Access,
    /// By one who would have waited for it for ever.
    pub(in super::super) waiting: bool,
}

impl Taken {
    /// By one who waited for it, or would have.
    pub(in super::super) const fn waiting(access: Access) -> Taken {
        Taken { access, waiting: true }
    }

    /// By one who would not have waited for ever.
    pub(in super::super) const fn tried(access: Access) -> Taken {
        Taken { access, waiting: false }
    }
}

/// The caller has taken a lock. It has not released it yet.
#[inline(never)]
pub(in super::super) fn taken(lock: &Identity, site: u32, how: Taken) {
    local::with(|local| {
        local.enter(|| {
            let Some(held) = local.thread().and_then(Thread::held_or_new) else { return };
            let stack = Some(stack::capture_interned(1));
            let hold = Hold { lock: number(lock), site, access: how.access, stack };
            let era = era();
            // Who reads it and is to write it now: those are one.
            while how.access == Access::Alone && held.take(hold.lock) {}
            if how.waiting {
                for before in held.locks(era).filter(|before| before.lock != hold.lock) {
                    note(before, hold, local.number());
                }
            }
            if !held.put(hold, era) {
                TOO_MANY.fetch_add(1, Relaxed);
            }
        })
    });
    stack::stay();
}

/// The caller is about to release it.
pub(in super::super) fn released(lock: &Identity) {
    let (number, owner) = (lock.number.load(Relaxed), lock.owner.load(Relaxed));
    if number == 0 {
        return;
    }
    local::with(|local| {
        let is_here = local.thread().and_then(Thread::held).is_some_and(|held| held.take(number));
        if !is_here && owner != 0 && owner != local.number() {
            // Another thread took it.
            local.enter(|| {
                let threads = local::threads();
                let took = threads.iter().find(|thread| thread.number() == owner);
                took.and_then(|thread| thread.held()).map(|held| held.take(number))
            });
        }
    });
}

/// The number of a lock that somebody holds.
fn number(lock: &Identity) -> u32 {
    let known = lock.number.load(Relaxed);
    if known != 0 {
        return known;
    }
    let new = LOCKS.fetch_add(1, Relaxed).wrapping_add(1).max(1);
    match lock.number.compare_exchange(0, new, Relaxed, Relaxed) {
        Ok(_) => new,
        Err(known) => known,
    }
}

/// One lock that was held, and another that was taken then, by the thread of this number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) first: Hold,
    pub(super) second: Hold,
    thread: u32,
}

/// Two locks that were taken in both orders.
#[derive(Clone, Debug)]
pub(super) struct Inversion {
    /// The one that was seen earlier comes first.
    pub(super) orders: [Order; 2],
    /// The names of the threads.
    pub(super) threads: [String; 2],
    /// Pairs of locks, of the same sites and stacks.
    pub(super) pairs: u64,
}

/// Orders that are known at a time.
const ORDERS: usize = 1 << 14;
/// Places that one may be in.
const WINDOW: usize = 8;
/// Inversions that are kept.
const INVERSIONS: usize = 256;

/// The two numbers of each order that is known, one above the other. So one that is known already takes no lock.
static KEYS: [AtomicU64; ORDERS] = [const { AtomicU64::new(0) }; ORDERS];

struct Orders {
    /// As `KEYS`; empty until the first order is noted.
    orders: Vec<Option<Order>>,
    known: usize,
    forgotten: u64,
    inversions: Vec<Inversion>,
    /// Inversions for which there was no room.
    lost: u64,
}

static ORDERS_SEEN: Lock<Orders> =
    Lock::new(Orders { orders: Vec::new(), known: 0, forgotten: 0, inversions: Vec::new(), lost: 0 });

fn key(first: u32, second: u32) -> u64 {
    u64::from(first) << 32 | u64::from(second)
}

fn window(key: u64) -> impl Iterator<Item = usize> + Clone {
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (0..WINDOW).map(move |step| (hash as usize).wrapping_add(step) % ORDERS)
}

fn place_of(key: u64) -> Option<usize> {
    window(key).find(|&place| KEYS[place].load(Relaxed) == key)
}

fn note(first: Hold, second: Hold, thread: u32) {
    let key_of_this = key(first.lock, second.lock);
    if place_of(key_of_this).is_some() {
        return;
    }
    let mut seen = ORDERS_SEEN.lock();
    if place_of(key_of_this).is_some() {
        return;
    }
    if seen.orders.is_empty() {
        seen.orders = vec![None; ORDERS];
    }
    let order = Order { first, second, thread };
    let free = window(key_of_this).find(|&place| KEYS[place].load(Relaxed) == 0);
    let place = free.unwrap_or_else(|| {
        // One of those in its window, in turns.
        let turn = seen.forgotten as usize % WINDOW;
        window(key_of_this).nth(turn).unwrap_or_default()
    });
    match free {
        Some(_) => seen.known += 1,
        None => seen.forgotten += 1,
    }
    seen.orders[place] = Some(order);
    KEYS[place].store(key_of_this, Relaxed);
    let other = place_of(key(second.lock, first.lock)).and_then(|place| seen.orders[place]);
    if let Some(other) = other {
        invert(&mut seen, [other, order]);
    }
}

fn invert(seen: &mut Guard<'_, Orders>, orders: [Order; 2]) {
    let places = |order: &Order| [order.first, order.second].map(|hold| (hold.site, hold.stack));
    let known = seen.inversions.iter().position(|known| {
        let [a, b] = [&known.orders[0], &known.orders[1]].map(places);
        let [c, d] = [&orders[0], &orders[1]].map(places);
        [a, b] == [c, d] || [a, b] == [d, c]
    });
    match known {
        Some(known) => seen.inversions[known].pairs += 1,
        None if seen.inversions.len() < INVERSIONS => {
            let threads = orders.map(|order| name_of(order.thread));
            seen.inversions.push(Inversion { orders, threads, pairs: 1 });
        }
        None => seen.lost += 1,
    }
}

/// What a thread of this number is called.
fn name_of(number: u32) -> String {
    let thread = local::threads().into_iter().find(|thread| thread.number() == number);
    let name = thread.and_then(|thread| sys::thread::name(thread.tid()));
    name.unwrap_or_else(|| "that has ended".to_owned())
}

/// What was found so far: each inversion keeps its place.
pub(super) fn inversions() -> Vec<Inversion> {
    ORDERS_SEEN.lock().inversions.clone()
}

pub(super) fn count_of_inversions() -> usize {
    ORDERS_SEEN.lock().inversions.len()
}

/// What there is to say of checking.
pub(super) fn comments() -> Vec<String> {
    let seen = ORDERS_SEEN.lock();
    let (known, forgotten, lost) = (seen.known, seen.forgotten, seen.lost);
    drop(seen);
    let mut comments = vec![match checks() {
        true => format!("the order of locks is checked: {known} orders are known"),
        false => "the order of locks is not checked: see deadlock::check_order".to_owned(),
    }];
    if forgotten > 0 {
        comments.push(format!("{forgotten} orders of locks were forgotten for newer ones"));
    }
    if lost > 0 {
        comments
            .push(format!("{lost} pairs of locks that were taken in both orders are not shown: too many"));
    }
    let too_many = TOO_MANY.load(Relaxed);
    if too_many > 0 {
        comments.push(format!("{too_many} locks were taken by threads that held too many to note them"));
    }
    comments
}
