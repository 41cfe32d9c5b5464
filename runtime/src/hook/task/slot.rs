#![expect(unsafe_code, reason = "pointers to statics, buckets and slots, which live for ever")]
//! What is known of a future that is alive.
//!
//! A future takes a slot when it is polled for the first time, or when it is made if that is ours to see, and gives it
//! back when it is dropped: whoever forgets it, too, is shown, as it never ended. The slot says whose it is by a round
//! that is odd meanwhile. Only whoever polls the future writes, with plain stores, and whoever wakes it; who reads looks
//! at the round and the number of polls before and after, and never makes anybody wait.
use std::collections::HashMap;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence,
};

use super::labels::{Encoded, LABELS};
use super::wait::{self, Wait};
use crate::clock;
use crate::fork;
use crate::label;
use crate::local::{self, Counter, Local};
use crate::site::FunctionSite;
use crate::stack;
use crate::store::Stack;
use crate::store::arena::Noted;
use crate::store::bucket::{Bucket, Calls};
use crate::store::slab::{Slab, Slot};
use crate::trace::{polls, record};

const _: () = assert!(size_of::<Task>() == 128, "a future's slot is a line, and its neighbour");

/// A future's slot. On lines of its own: every poll writes there.
#[repr(align(128))]
pub(crate) struct Task {
    link: AtomicPtr<Task>,
    /// Odd while a future has it.
    round: AtomicU32,
    /// Of the process that it began in, or that polled it since: see [`crate::fork`].
    generation: AtomicU32,
    /// Its polls, and which of them is timed next.
    pub(super) polls: Counter,
    site: AtomicPtr<FunctionSite>,
    /// Where its call is counted, if that is timed.
    pub(super) bucket: Noted<Bucket<Calls>>,
    /// Ascending in the order in which futures took slots.
    id: AtomicU64,
    /// Ticks.
    born: AtomicU64,
    /// The number of the future that polled it first, or made it; 0: none.
    parent: AtomicU64,
    /// Nanoseconds in polls, estimated from those that were timed.
    busy: AtomicU64,
    /// When it was woken last, in ticks, as far as we saw.
    woken: AtomicU64,
    /// What it waits for since its last poll, the latest first.
    waits: AtomicPtr<Wait>,
    /// Which poll is timed next, as long as there are waits: the counter says meanwhile that the next one is.
    timed_next: AtomicU64,
    /// The weight that was drawn for a suspension, and in which poll.
    drawn: AtomicU64,
    labels: Noted<Encoded>,
    /// Where it was made, if that is known.
    maker: AtomicPtr<Location<'static>>,
}

impl Slot for Task {
    const FREE: Task = Task {
        link: AtomicPtr::new(ptr::null_mut()),
        round: AtomicU32::new(0),
        generation: AtomicU32::new(0),
        polls: Counter::new(),
        site: AtomicPtr::new(ptr::null_mut()),
        bucket: Noted::new(),
        id: AtomicU64::new(0),
        born: AtomicU64::new(0),
        parent: AtomicU64::new(0),
        busy: AtomicU64::new(0),
        woken: AtomicU64::new(0),
        waits: AtomicPtr::new(ptr::null_mut()),
        timed_next: AtomicU64::new(0),
        drawn: AtomicU64::new(0),
        labels: Noted::new(),
        maker: AtomicPtr::new(ptr::null_mut()),
    };

    fn link(&self) -> &AtomicPtr<Task> {
        &self.link
    }
}

pub(super) static TASKS: Slab<Task> = Slab::new();
static LAST_ID: AtomicU64 = AtomicU64::new(0);

impl Task {
    /// A slot for a future of `site`, made here and now. `None` when there is none to be had, or inside ourselves.
    pub(super) fn begin(
        local: &Local,
        site: &'static FunctionSite,
        maker: Option<&'static Location<'static>>,
    ) -> Option<&'static Task> {
        if local.inside.get() || local.locks.get() > 0 {
            return None;
        }
        let task =
            if local::is_registered(local) { TASKS.take(&local.spare.tasks)? } else { TASKS.take_alone()? };
        task.polls.reset();
        task.generation.store(fork::generation(), Relaxed);
        task.site.store(ptr::from_ref(site).cast_mut(), Relaxed);
        task.bucket.set(None);
        task.parent.store(innermost(local).map_or(0, Task::id), Relaxed);
        task.busy.store(0, Relaxed);
        task.woken.store(0, Relaxed);
        task.waits.store(ptr::null_mut(), Relaxed);
        task.drawn.store(0, Relaxed);
        task.maker.store(maker.map_or(ptr::null_mut(), |place| ptr::from_ref(place).cast_mut()), Relaxed);
        task.labels.set(labels_in_force(local));
        // The last of all: who begins after this is done has a later time and a greater number.
        task.born.store(clock::ticks(), Relaxed);
        task.id.store(LAST_ID.fetch_add(1, Relaxed) + 1, Relaxed);
        task.round.store(task.round.load(Relaxed).wrapping_add(1), Release);
        if record::is_on() && site.traced {
            // Of a future that is being polled nobody but its executor knows who made it.
            let stack = maker.and_then(|_| here());
            stack::stay();
            record::task_created(task.id(), task.parent.load(Relaxed), site, maker.is_some(), stack);
        }
        Some(task)
    }

    /// The future is gone.
    pub(super) fn end(&'static self, local: &Local) {
        if !self.waits.load(Relaxed).is_null() {
            self.resume();
        }
        self.round.store(self.round.load(Relaxed).wrapping_add(1), Release);
        // What follows belongs to whoever has the slot next, and so must not be seen by whoever still reads this one.
        fence(Release);
        let alone = !local::is_registered(local);
        if let Some(labels) = self.labels.get() {
            if alone { LABELS.give_alone(labels) } else { LABELS.give(&local.spare.labels, labels) }
        }
        if alone { TASKS.give_alone(self) } else { TASKS.give(&local.spare.tasks, self) }
    }

    /// The function whose future it is.
    pub(crate) fn site(&self) -> Option<&'static FunctionSite> {
        // SAFETY: null, or what `begin` was given, which is a static or lives for ever.
        unsafe { self.site.load(Relaxed).as_ref() }
    }

    pub(super) fn id(&self) -> u64 {
        self.id.load(Relaxed)
    }

    /// The number of the future that polled it first, or made it; 0: none.
    #[cfg(not(profiled_portable))]
    pub(crate) fn parent(&self) -> u64 {
        self.parent.load(Relaxed)
    }

    /// It is polled in this process, and so is this one's.
    pub(super) fn adopt(&self) {
        self.generation.store(fork::generation(), Relaxed);
    }

    /// Whether a future has it that began in this process, or was polled here.
    fn is_here(&self) -> bool {
        self.round.load(Acquire) & 1 == 1 && self.generation.load(Relaxed) == fork::generation()
    }

    /// How often it was polled.
    pub(super) fn number_of_polls(&self) -> u64 {
        self.polls.total()
    }

    /// A future that was made before it was polled is polled now, inside of another or not.
    pub(super) fn polled_first(&self, local: &Local) {
        if let Some(parent) = innermost(local) {
            self.parent.store(parent.id(), Relaxed);
        }
    }

    /// It was busy for so long more.
    pub(super) fn add_busy(&self, nanoseconds: u64) {
        self.busy.store(self.busy.load(Relaxed).saturating_add(nanoseconds), Relaxed);
    }

    pub(super) fn woke(&self, round: u32, now: u64) {
        if self.round.load(Relaxed) == round {
            self.woken.store(now, Relaxed);
        }
    }

    pub(super) fn round(&self) -> u32 {
        self.round.load(Relaxed)
    }

    /// What was awaited is over: the future is polled again, or dropped.
    #[cold]
    #[inline(never)]
    fn resume(&self) {
        wait::resumed(self.waits.swap(ptr::null_mut(), Acquire), clock::ticks());
    }

    /// The poll that has begun, and been counted, is said to be timed. Ends what was awaited, and tells whether that is all
    /// there was to it.
    pub(super) fn resumes_timed(&self) -> bool {
        if self.waits.load(Relaxed).is_null() {
            return true;
        }
        self.resume();
        self.polls.set_next(self.timed_next.load(Relaxed))
    }

    /// It waits for this, too. Only for whoever polls it.
    pub(super) fn waits_for(&self, wait: &'static Wait) {
        let waits = self.waits.load(Relaxed);
        if waits.is_null() {
            // The next poll has to end this: by what every poll asks anyway.
            self.timed_next.store(self.polls.swap_next(0), Relaxed);
        }
        wait.next().store(waits, Relaxed);
        self.waits.store(ptr::from_ref(wait).cast_mut(), Release);
    }

    /// How many a suspension in this poll stands for: what `draw` says, once in each poll.
    pub(super) fn weight(&self, draw: impl FnOnce() -> u32) -> u32 {
        let poll = self.polls.total() << DRAWN_BITS;
        let drawn = self.drawn.load(Relaxed);
        if drawn & !DRAWN != poll || drawn & DRAWN == 0 {
            let weight = draw();
            // Of a power of two its place, counted from two, and one of none.
            let code = weight.checked_ilog2().map_or(1, |log| u64::from(log) + 2);
            self.drawn.store(poll | code, Relaxed);
            return weight;
        }
        match drawn & DRAWN {
            1 => 0,
            code => 1 << (code - 2),
        }
    }

    /// What it is and where, if it is still the same when all of that was read.
    fn look(&'static self, until: u64) -> Option<Seen> {
        let round = self.round.load(Acquire);
        let born = self.born.load(Relaxed);
        if !self.is_here() || round & 1 == 0 || born.wrapping_sub(until) as i64 > 0 {
            return None;
        }
        // SAFETY: null, or where a call stands, which is static.
        let maker = unsafe { self.maker.load(Relaxed).as_ref() };
        let seen = Seen {
            site: self.site()?,
            id: self.id(),
            parent: self.parent.load(Relaxed),
            born,
            polls: 0,
            busy: self.busy.load(Relaxed),
            woken: self.woken.load(Relaxed),
            labels: self.labels.get().map(Encoded::copy).unwrap_or_default(),
            maker,
            waits: Vec::new(),
        };
        fence(Acquire);
        (self.round.load(Relaxed) == round).then_some(())?;
        // It is polled as often as it likes meanwhile: waits are of one suspension, or there are none to be had.
        for _ in 0..LOOKS {
            let polls = self.polls.total();
            fence(Acquire);
            let waits = wait::list(self.waits.load(Acquire));
            fence(Acquire);
            if self.round.load(Relaxed) != round {
                return None;
            }
            if self.polls.total() == polls {
                return Some(Seen { polls, waits, ..seen });
            }
        }
        Some(Seen { polls: self.polls.total(), ..seen })
    }
}

/// Bits that a drawn weight takes.
const DRAWN_BITS: u32 = 6;
const DRAWN: u64 = (1 << DRAWN_BITS) - 1;

/// How often waits are looked at that change all the time.
const LOOKS: usize = 4;

/// A future as a reader met it.
pub(super) struct Seen {
    pub(super) site: &'static FunctionSite,
    pub(super) id: u64,
    pub(super) parent: u64,
    pub(super) born: u64,
    pub(super) polls: u64,
    pub(super) busy: u64,
    pub(super) woken: u64,
    pub(super) labels: Vec<u8>,
    pub(super) maker: Option<&'static Location<'static>>,
    pub(super) waits: Vec<wait::Seen>,
}

/// All futures that are alive, by their numbers. Those that were born while one looked are left out, so that who is there is
/// there with all that are older.
pub(super) fn all() -> Vec<Seen> {
    let until = clock::ticks();
    let mut all: Vec<Seen> = TASKS.iter().filter_map(|task| task.look(until)).collect();
    all.sort_unstable_by_key(|seen| seen.id);
    // One that ended, and was born again in a slot that was yet to be looked at.
    all.dedup_by_key(|seen| seen.id);
    all
}

/// Those who await the future of this number's, each with where it waits, the nearest first; as far as they are alive.
#[cfg(not(profiled_portable))]
pub(crate) fn awaiting(mut id: u64) -> Vec<Stack> {
    let mut stacks = Vec::new();
    while id != 0 && stacks.len() < AWAITING {
        let until = clock::ticks();
        let found = TASKS.iter().filter(|task| task.id() == id).find_map(|task| task.look(until));
        let Some(seen) = found.filter(|seen| seen.id == id) else { break };
        stacks.extend(seen.waits.first().map(|wait| wait.bucket.key().stack));
        id = seen.parent;
    }
    stacks
}

/// So many at the most.
#[cfg(not(profiled_portable))]
const AWAITING: usize = 16;

/// How many are alive.
pub(crate) fn count() -> usize {
    TASKS.iter().filter(|task| task.is_here()).count()
}

/// How many there are that began in a process that this one was forked off, and that nobody has polled here.
pub(super) fn inherited() -> usize {
    let inherited = |task: &&Task| !task.is_here() && task.round.load(Relaxed) & 1 == 1;
    if fork::generation() == 0 { 0 } else { TASKS.iter().filter(inherited).count() }
}

/// What is alive was made by the parent, and may be polled here by the one thread that there is: each poll looks from now on.
/// Whoever forks before there are any futures, as services do that leave their terminal, pays nothing.
pub(crate) fn after_fork_in_child() {
    if LAST_ID.load(Relaxed) > 0 {
        polls::set_forked();
    }
}

/// How often those that are alive were polled, by their functions.
pub(crate) fn polls_by_site() -> HashMap<*const FunctionSite, u64> {
    let mut polls = HashMap::new();
    for task in TASKS.iter().filter(|task| task.round.load(Acquire) & 1 == 1) {
        *polls.entry(task.site.load(Relaxed).cast_const()).or_default() += task.polls.total();
    }
    polls
}

/// Futures that found no room.
pub(super) fn refused() -> u64 {
    TASKS.refused()
}

/// The future that this thread is polling, the innermost one.
fn innermost(local: &Local) -> Option<&'static Task> {
    let scopes = local.scopes();
    let noted = scopes.depth.load(Relaxed).min(local::MAX_SCOPES);
    (0..noted).rev().find_map(|at| scopes.task(at))
}

/// The stack of this thread, with ours in it.
#[inline(never)]
pub(super) fn here() -> Option<Stack> {
    let _inside = local::Inside::enter()?;
    let stack = stack::capture_interned(0);
    Some(stack)
}

fn labels_in_force(local: &Local) -> Option<&'static Encoded> {
    let encoded = label::encoded();
    if encoded.is_empty() {
        return None;
    }
    let labels =
        if local::is_registered(local) { LABELS.take(&local.spare.labels) } else { LABELS.take_alone() }?;
    labels.set(encoded);
    Some(labels)
}
