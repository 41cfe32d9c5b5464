#![expect(unsafe_code, reason = "per-thread blocks of the arena, read by others under the registry's lock")]
//! What each thread keeps for the hooks.
//!
//! The thread-local is const-initialised and has no destructor, so that reaching it is one instruction and can be
//! done from anywhere: inside an allocator, before `main`, after the thread's own destructors. Whatever needs more
//! is in a block of the arena that the thread gets at its first counted event, in a cold path, and gives back when
//! it ends, its counts folded into the global ones.
pub(crate) mod blocked;
pub(crate) mod counter;
mod directory;
pub(crate) mod held;
mod meter;
mod points;
mod registry;

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use crate::hook::task::{Spare, Task};
pub(crate) use crate::local::counter::Counter;
use crate::local::directory::{Directory, FIRST_ID, NOBODYS};
pub(crate) use crate::local::meter::{Meter, Metered};
pub(crate) use crate::local::points::Points;
pub(crate) use crate::local::registry::{
    Thread, after_fork_in_child, counter_of, each_scopes, first_event, metered, register, site_id, thread,
    threads, total,
};
use crate::rate::Random;
use crate::site::FunctionSite;
use crate::store::arena::Noted;
use crate::store::bucket::{Bucket, Calls};
use crate::sys;

/// Sites that can be counted in one process: functions, locks. Beyond it sites go uncounted, and say so. With the
/// [`FIRST_ID`] the last id is 65 535.
pub(crate) const MAX_SITES: usize = (1 << 16) - FIRST_ID as usize;

/// Scopes of a thread that are noted by name; deeper ones only move the depth.
pub(crate) const MAX_SCOPES: usize = 120;

/// The scopes a thread is in, root first. On lines of their own: every call writes there.
#[repr(align(128))]
pub(crate) struct Scopes {
    pub(crate) depth: AtomicUsize,
    /// Of each its site; or the slot of a future that is polled, with bits that tell.
    places: [AtomicPtr<()>; MAX_SCOPES],
    /// Of a future that is polled, an address within the frame that polls it.
    marks: [AtomicUsize; MAX_SCOPES],
    /// Where their calls are counted, of those that are timed.
    pub(crate) timed: [Noted<Bucket<Calls>>; MAX_SCOPES],
}

impl Scopes {
    pub(crate) const fn new(depth: usize) -> Scopes {
        Scopes {
            depth: AtomicUsize::new(depth),
            places: [const { AtomicPtr::new(ptr::null_mut()) }; MAX_SCOPES],
            marks: [const { AtomicUsize::new(0) }; MAX_SCOPES],
            timed: [const { Noted::new() }; MAX_SCOPES],
        }
    }

    /// Notes that `place` is at `depth`.
    #[inline(always)]
    pub(crate) fn set(&self, depth: usize, place: Place) {
        if let Some(slot) = self.places.get(depth) {
            slot.store(place.0, Relaxed);
        }
    }

    /// Notes where the future at `depth` is polled.
    #[inline(always)]
    pub(crate) fn set_mark(&self, depth: usize, address: usize) {
        if let Some(mark) = self.marks.get(depth) {
            mark.store(address, Relaxed);
        }
    }

    fn place(&self, depth: usize) -> *mut () {
        self.places.get(depth).map_or(ptr::null_mut(), |place| place.load(Relaxed))
    }

    /// The site at `depth`, counted from the root.
    pub(crate) fn site(&self, depth: usize) -> Option<&'static FunctionSite> {
        match self.task(depth) {
            Some(task) => task.site(),
            // SAFETY: without the bit only statics are put in; a slot not yet written is null.
            None => unsafe { self.place(depth).cast::<FunctionSite>().as_ref() },
        }
    }

    /// The future that is polled at `depth`.
    pub(crate) fn task(&self, depth: usize) -> Option<&'static Task> {
        let place = self.place(depth);
        // SAFETY: with the bits it is a slot, which lives for ever.
        (place.addr() & IS_TASK != 0)
            .then(|| unsafe { &*place.map_addr(|address| address & !IS_TASK).cast() })
    }

    /// An address within the frame that polls the future at `depth`.
    pub(crate) fn mark(&self, depth: usize) -> u64 {
        self.marks.get(depth).map_or(0, |mark| mark.load(Relaxed) as u64)
    }

    /// The outermost future that is polled: whoever runs it calls it a task. With an address within the frame of its poll.
    #[cfg(not(profiled_portable))]
    pub(crate) fn outermost_task(&self) -> Option<(&'static Task, u64)> {
        let mut noted = 0..self.depth.load(Relaxed).min(MAX_SCOPES);
        noted.find_map(|depth| self.task(depth).map(|task| (task, self.mark(depth))))
    }

    /// The innermost scope that was noted.
    pub(crate) fn innermost(&self) -> Option<&'static FunctionSite> {
        self.site(self.depth.load(Relaxed).min(MAX_SCOPES).checked_sub(1)?)
    }
}

/// What a scope is of: a function's site, or the slot of a future.
#[derive(Clone, Copy)]
pub(crate) struct Place(*mut ());

/// Both are aligned, so that three bits are free. A slot has two of them: a future that was polled before has its slot with
/// the same, and so notes it as it stands there.
pub(crate) const IS_TASK: usize = 6;
const _: () = assert!(align_of::<FunctionSite>() >= 8 && align_of::<Task>() >= 8);

impl Place {
    #[inline(always)]
    pub(crate) fn site(site: &'static FunctionSite) -> Place {
        Place(ptr::from_ref(site).cast_mut().cast())
    }

    #[inline(always)]
    pub(crate) fn task(task: &'static Task) -> Place {
        Place(ptr::from_ref(task).cast_mut().cast::<()>().map_addr(|address| address | IS_TASK))
    }
}

/// Where the scopes of threads go that have no block, or no longer. It begins too deep for any scope to be noted, and
/// is never shallower, so that whoever looks there finds none.
static NOWHERE: Scopes = Scopes::new(MAX_SCOPES);

/// The thread-local part.
pub(crate) struct Local {
    /// What it allocates, and how much until the next heap sample.
    pub(crate) meter: Meter,
    /// We are inside ourselves: hooks do nothing but forward.
    pub(crate) inside: Cell<bool>,
    /// A lock of ours waits and books that itself: see [`crate::hook::interpose`].
    #[cfg_attr(not(profiled_interpose), expect(dead_code, reason = "nobody else would book it"))]
    pub(crate) waits_itself: Cell<bool>,
    /// The rate that the countdown was drawn at, or what `hook::alloc` says instead.
    pub(crate) drawn_at: Cell<u64>,
    ended: Cell<bool>,
    /// Its end has been announced once.
    ending: Cell<bool>,
    /// Locks of ours that this thread holds, see [`crate::fork`].
    pub(crate) locks: Cell<u32>,
    /// Its counters, or [`NOBODYS`], in which there are none.
    directory: Cell<*const Directory>,
    /// How many of the near ones in there are its own: all or none.
    near: Cell<u32>,
    scopes: Cell<*const Scopes>,
    thread: Cell<*const Thread>,
    /// See [`Thread::number`].
    number: Cell<u32>,
    random: Cell<u64>,
    /// What futures that begin here are given.
    pub(crate) spare: Spare,
    /// At which it asks who holds the lock that it waits for: see `hook::lock`.
    pub(crate) points: Points,
    /// The encoded label set in force: null, or what a guard on this thread's stack owns. A signal handler reads it.
    pub(crate) labels: AtomicPtr<crate::label::Set>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            meter: Meter::new(),
            inside: Cell::new(false),
            waits_itself: Cell::new(false),
            drawn_at: Cell::new(0),
            ended: Cell::new(false),
            ending: Cell::new(false),
            locks: Cell::new(0),
            directory: Cell::new(&raw const NOBODYS),
            near: Cell::new(0),
            scopes: Cell::new(&raw const NOWHERE),
            thread: Cell::new(ptr::null()),
            number: Cell::new(0),
            random: Cell::new(0),
            spare: Spare::new(),
            points: Points::new(),
            labels: AtomicPtr::new(ptr::null_mut()),
        }
    };
}

/// This thread's.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&Local) -> R) -> R {
    // The compiler inlines `LocalKey::with` around something small, and may not around `f`.
    let local = LOCAL.with(ptr::from_ref);
    // SAFETY: a thread-local without a destructor is there as long as its thread runs code, which `f` does.
    f(unsafe { &*local })
}

/// What this thread does from now on is ours and not the program's: hooks only forward.
pub(crate) fn serve() {
    sys::thread::note_ours();
    with(|local| {
        local.inside.set(true);
        local.meter.pause();
    });
}

impl Local {
    /// The counter of the site with this id, if it has an id and this thread has counted sites near it.
    #[inline(always)]
    pub(crate) fn counter(&self, id: u32) -> Option<&Counter> {
        // SAFETY: `NOBODYS`, or the directory of a block, which lives for ever.
        unsafe { &*self.directory.get() }.counter(id, self.near.get())
    }

    /// The scopes this thread is in.
    #[inline(always)]
    pub(crate) fn scopes(&self) -> &Scopes {
        // SAFETY: `NOWHERE`, or the scopes of a block, which lives for ever.
        unsafe { &*self.scopes.get() }
    }

    /// A number that no other thread of this process has or had; 0 before the first event that this thread counts, and
    /// after its end.
    #[inline(always)]
    pub(crate) fn number(&self) -> u32 {
        self.number.get()
    }

    /// This thread's block, if it has one.
    pub(crate) fn thread(&self) -> Option<&'static Thread> {
        // SAFETY: null, or a block, which lives for ever.
        unsafe { self.thread.get().as_ref() }
    }

    /// Random numbers of this thread's own.
    pub(crate) fn random<R>(&self, f: impl FnOnce(&mut Random) -> R) -> R {
        let mut random = Random::resume(self.random.get()).unwrap_or_else(|| {
            Random::new(crate::clock::ticks() ^ (ptr::from_ref(self).addr() as u64) << 20)
        });
        let result = f(&mut random);
        self.random.set(random.state());
        result
    }

    /// Runs `f` unless we are inside ourselves already, or hold a lock of ours (a signal handler may call a hook
    /// then); hooks that fire meanwhile only forward.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        if self.inside.get() || self.locks.get() > 0 { None } else { Some(self.aside(f)) }
    }

    /// Runs `f`, inside already or not; hooks that fire meanwhile only forward. A panic of `f` leaves too.
    pub(crate) fn aside<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a Local, bool, i64);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.inside.set(self.1);
                self.0.meter.resume(self.2);
            }
        }
        // The countdown stands still: what we allocate for ourselves is not the program's.
        let _leave = Leave(self, self.inside.replace(true), self.meter.pause());
        f()
    }
}

/// We are inside ourselves, until this is dropped. [`Local::enter`] for those who take a stack and count frames: a
/// function's own, and not those of closures.
pub(crate) struct Inside(i64);

impl Inside {
    /// `None` where [`Local::enter`] does nothing.
    #[inline(always)]
    pub(crate) fn enter() -> Option<Inside> {
        with(|local| {
            if local.inside.get() || local.locks.get() > 0 {
                return None;
            }
            local.inside.set(true);
            Some(Inside(local.meter.pause()))
        })
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        with(|local| {
            local.inside.set(false);
            local.meter.resume(self.0);
        });
    }
}

/// Whether what this thread counts is read by others.
#[inline(always)]
pub(crate) fn is_registered(local: &Local) -> bool {
    !local.thread.get().is_null()
}
