#![expect(unsafe_code, reason = "per-thread blocks of the arena, read by others under the registry's lock")]
//! What each thread keeps for the hooks, and the registry of all threads that have it.
//!
//! The thread-local is const-initialised and has no destructor, so that reaching it is one instruction and can be
//! done from anywhere: inside an allocator, before `main`, after the thread's own destructors. Whatever needs more
//! is in a block of the arena that the thread gets at its first counted event, in a cold path, and gives back when
//! it ends, its counts folded into the global ones.
pub(crate) mod counter;
mod directory;
mod meter;

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst,
    compiler_fence,
};

use crate::fork::Lock;
pub(crate) use crate::local::counter::Counter;
use crate::local::directory::{CHUNK, Chunk, Directory, FIRST_ID, NEAR, NOBODYS};
pub(crate) use crate::local::meter::{Meter, Metered};
use crate::rate::Random;
use crate::site::FunctionSite;
use crate::store::arena::{self, Noted};
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
    pub(crate) sites: [AtomicPtr<FunctionSite>; MAX_SCOPES],
    /// Where their calls are counted, of those that are timed.
    pub(crate) timed: [Noted<Bucket<Calls>>; MAX_SCOPES],
}

impl Scopes {
    pub(crate) const fn new(depth: usize) -> Scopes {
        Scopes {
            depth: AtomicUsize::new(depth),
            sites: [const { AtomicPtr::new(ptr::null_mut()) }; MAX_SCOPES],
            timed: [const { Noted::new() }; MAX_SCOPES],
        }
    }

    /// The site at `depth`, counted from the root.
    pub(crate) fn site(&self, depth: usize) -> Option<&'static FunctionSite> {
        // SAFETY: only statics are put in; a slot not yet written is null.
        unsafe { self.sites.get(depth)?.load(Relaxed).as_ref() }
    }

    /// The innermost scope that was noted.
    pub(crate) fn innermost(&self) -> Option<&'static FunctionSite> {
        self.site(self.depth.load(Relaxed).min(MAX_SCOPES).checked_sub(1)?)
    }
}

/// Where the scopes of threads go that have no block, or no longer. It begins too deep for any scope to be noted, and
/// is never shallower, so that whoever looks there finds none.
static NOWHERE: Scopes = Scopes::new(MAX_SCOPES);

/// A thread's block, in the arena for ever and used by one thread after another.
pub(crate) struct Thread {
    next: AtomicPtr<Thread>,
    /// The next one that no thread has, where none has this.
    next_free: AtomicPtr<Thread>,
    /// 0 while no thread has it.
    tid: AtomicI32,
    directory: &'static Directory,
    /// What the thread allocates: in its own memory, so only as long as it is there.
    meter: AtomicPtr<Meter>,
    pub(crate) scopes: Scopes,
}

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
    random: Cell<u64>,
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
            random: Cell::new(0),
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
#[cfg_attr(
    all(profiled_portable, not(feature = "http")),
    expect(dead_code, reason = "without CPU sampling only the server has threads")
)]
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
#[cfg(profiled_interpose)]
pub(crate) struct Inside(i64);

#[cfg(profiled_interpose)]
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

#[cfg(profiled_interpose)]
impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        with(|local| {
            local.inside.set(false);
            local.meter.resume(self.0);
        });
    }
}

/// All threads that have a block, and the ids given out.
struct Registry {
    threads: *const Thread,
    /// Blocks that no thread has.
    free: *const Thread,
    /// What threads allocated that are gone.
    metered: Metered,
    sites: usize,
    /// Chunks of counters that no thread has, all zero but for the link to the next.
    spare: *mut Chunk,
}

// SAFETY: the pointers are to memory of the arena, which belongs to no thread.
unsafe impl Send for Registry {}

static REGISTRY: Lock<Registry> = Lock::new(Registry {
    threads: ptr::null(),
    free: ptr::null(),
    metered: Metered { bytes: 0, allocated: 0, freed: 0, live: 0 },
    sites: 0,
    spare: ptr::null_mut(),
});

/// What threads counted that have ended.
static FOLDED: [AtomicU64; MAX_SITES] = [const { AtomicU64::new(0) }; MAX_SITES];

/// An id for a site that has none, or the one it got meanwhile. 0 when there are too many.
pub(crate) fn site_id(id: &AtomicU32) -> u32 {
    let mut registry = REGISTRY.lock();
    if id.load(Relaxed) == 0 && registry.sites < MAX_SITES {
        id.store(FIRST_ID + registry.sites as u32, Relaxed);
        registry.sites += 1;
    }
    id.load(Relaxed)
}

/// The counter for a thread's first event of a site, which gets its id if it has none. `None` when the thread has
/// ended, memory is out, or a signal handler counts while we are at work beneath it: then the event is counted already,
/// with those of threads that are gone, unless its site has no id yet.
#[cold]
#[inline(never)]
pub(crate) fn first_event<'a>(local: &'a Local, id: &AtomicU32) -> Option<&'a Counter> {
    let room = local.enter(|| {
        let id = if id.load(Relaxed) == 0 { site_id(id) } else { id.load(Relaxed) };
        make_room(local, id)
    });
    if room != Some(true) {
        fold(id.load(Relaxed));
        return None;
    }
    local.counter(id.load(Relaxed))
}

/// Sees to it that this thread can count the site `id`. `false` if it has ended or memory is out.
fn make_room(local: &Local, id: u32) -> bool {
    if local.ended.get() || place(id).is_none() {
        return false;
    }
    let mut registry = REGISTRY.lock();
    let Some(thread) = registry.block_of(local) else { return false };
    // Nothing ever moves: a signal handler that counts meanwhile, or was interrupted while it did, finds the counter that
    // is there or none.
    local.directory.set(thread.directory);
    compiler_fence(SeqCst);
    local.near.set(NEAR);
    let slot = thread.directory.slot(id);
    if id - FIRST_ID >= NEAR && slot.load(Relaxed).is_null() {
        let Some(chunk) = registry.chunk() else { return false };
        slot.store(chunk, Relaxed);
    }
    true
}

/// Where the site `id` stands among all. `None`: it has no id.
fn place(id: u32) -> Option<usize> {
    id.checked_sub(FIRST_ID).map(|place| place as usize).filter(|&place| place < MAX_SITES)
}

/// Sees to it that others can read what this thread allocates. Ordinary code and the allocator's hook.
pub(crate) fn register(local: &Local) {
    if local.thread.get().is_null() && !local.ended.get() && sys::process::NOTES_ENDS_WHILE_ALLOCATING {
        local.enter(|| _ = REGISTRY.lock().block_of(local));
    }
}

/// Whether what this thread counts is read by others.
#[inline(always)]
pub(crate) fn is_registered(local: &Local) -> bool {
    !local.thread.get().is_null()
}

/// What all threads allocated that are and were.
pub(crate) fn metered() -> Metered {
    let registry = REGISTRY.lock();
    let mut all = registry.metered;
    let there = |thread: &&Thread| sys::thread::is_there(thread.tid.load(Relaxed));
    registry.threads().filter(there).filter_map(Thread::metered).for_each(|metered| all.add(metered));
    all
}

/// Counts for a thread that has no block.
fn fold(id: u32) {
    if let Some(place) = place(id) {
        FOLDED[place].fetch_add(1, Relaxed);
    }
}

/// How often the site was counted, on all threads that are and were. A running thread's last events may be missing.
pub(crate) fn total(id: u32) -> u64 {
    let Some(place) = place(id) else { return 0 };
    let registry = REGISTRY.lock();
    let running: u64 =
        registry.threads().filter_map(|thread| thread.directory.counter(id, NEAR)).map(Counter::total).sum();
    running + FOLDED[place].load(Relaxed)
}

/// Calls `f` with the scopes of each thread. They change while one looks: a moment's picture, not a promise.
pub(crate) fn each_scopes(mut f: impl FnMut(&Scopes)) {
    let registry = REGISTRY.lock();
    registry.threads().filter(|thread| thread.tid.load(Relaxed) != 0).for_each(|thread| f(&thread.scopes));
}

impl Thread {
    fn metered(&self) -> Option<Metered> {
        // A thread that never allocated before the last round of its keys' destructors is not told of its end any more:
        // `metered` asks whether it is there.
        //
        // SAFETY: the thread puts its meter there, and takes it out before its memory goes, both under the registry's
        // lock, which whoever calls this holds. In a forked child the memory of those that are gone is still there.
        unsafe { self.meter.load(Relaxed).as_ref() }.map(Meter::read)
    }
}

impl Registry {
    fn threads(&self) -> impl Iterator<Item = &'static Thread> + use<> {
        let mut thread = self.threads;
        std::iter::from_fn(move || {
            // SAFETY: blocks are linked when complete and live for ever.
            let found: &'static Thread = unsafe { thread.as_ref()? };
            thread = found.next.load(Relaxed);
            Some(found)
        })
    }

    /// This thread's block. `None`: it has ended, or memory is out.
    fn block_of(&mut self, local: &Local) -> Option<&'static Thread> {
        if local.thread.get().is_null() {
            let thread = self.block()?;
            // Nobody would ever give it back otherwise.
            if !sys::process::at_thread_end(ptr::from_ref(thread).cast_mut().cast(), thread_ended) {
                self.give_back(thread);
                return None;
            }
            thread.tid.store(sys::process::thread_id(), Relaxed);
            thread.scopes.depth.store(0, Relaxed);
            thread.meter.store((&raw const local.meter).cast_mut(), Relaxed);
            local.thread.set(thread);
            local.scopes.set(&raw const thread.scopes);
        }
        // SAFETY: set above or earlier, and blocks live for ever.
        unsafe { local.thread.get().as_ref() }
    }

    fn give_back(&mut self, thread: &'static Thread) {
        thread.next_free.store(self.free.cast_mut(), Relaxed);
        self.free = thread;
    }

    /// A block that nobody has, or a new one.
    fn block(&mut self) -> Option<&'static Thread> {
        // SAFETY: blocks live for ever.
        if let Some(thread) = unsafe { self.free.as_ref() } {
            self.free = thread.next_free.load(Relaxed);
            return Some(thread);
        }
        let directory = Directory::new()?;
        let thread = arena::place(Thread {
            next: AtomicPtr::new(self.threads.cast_mut()),
            next_free: AtomicPtr::new(ptr::null_mut()),
            meter: AtomicPtr::new(ptr::null_mut()),
            tid: AtomicI32::new(0),
            directory,
            scopes: Scopes::new(0),
        })?;
        self.threads = thread;
        Some(thread)
    }

    /// A chunk of counters, all zero. `None`: memory is out.
    fn chunk(&mut self) -> Option<*mut Chunk> {
        // SAFETY: a spare chunk lives for ever, and is ours alone.
        let Some(spare) = (unsafe { self.spare.as_ref() }) else { return Chunk::new() };
        let chunk = self.spare;
        self.spare = spare.unlink();
        Some(chunk)
    }

    /// Takes the block of a thread that is gone.
    fn retire(&mut self, thread: &'static Thread) {
        if let Some(metered) = thread.metered() {
            self.metered.add(metered);
            thread.meter.store(ptr::null_mut(), Relaxed);
        }
        for (counter, total) in thread.directory.near().zip(&FOLDED).take(self.sites) {
            match counter.take() {
                0 => {}
                count => _ = total.fetch_add(count, Relaxed),
            }
        }
        let slots = thread.directory.slots().skip(1);
        for (slot, totals) in slots.zip(FOLDED.chunks(CHUNK)).take(self.sites.div_ceil(CHUNK)) {
            let chunk = slot.swap(ptr::null_mut(), Relaxed);
            // SAFETY: chunks live for ever, and its thread counts there no more.
            let Some(counters) = (unsafe { chunk.as_ref() }) else { continue };
            for (counter, total) in counters.iter().zip(totals) {
                total.fetch_add(counter.take(), Relaxed);
            }
            counters.link(self.spare);
            self.spare = chunk;
        }
        thread.scopes.depth.store(0, Relaxed);
        thread.tid.store(0, Relaxed);
        self.give_back(thread);
    }
}

/// Runs on the thread that ends, after its Rust thread-locals.
unsafe extern "C" fn thread_ended(thread: *mut c_void) {
    if sys::process::TELLS_ENDS_EARLY
        && with(|local| !local.ending.replace(true))
        && sys::process::at_thread_end(thread, thread_ended)
    {
        return;
    }
    with(|local| {
        local.near.set(0);
        compiler_fence(SeqCst);
        local.directory.set(&raw const NOBODYS);
        local.scopes.set(&raw const NOWHERE);
        local.thread.set(ptr::null());
        local.ended.set(true);
    });
    // SAFETY: `make_room` gave it this thread's block.
    let thread: &'static Thread = unsafe { &*thread.cast_const().cast::<Thread>() };
    REGISTRY.lock().retire(thread);
}

/// The other threads are not in this process.
pub(crate) fn after_fork_in_child() {
    sys::thread::after_fork_in_child();
    let own = with(|local| local.thread.get());
    let mut registry = REGISTRY.lock();
    for thread in registry.threads() {
        if ptr::eq(thread, own) {
            thread.tid.store(sys::process::thread_id(), Relaxed);
        } else if thread.tid.load(Relaxed) != 0 {
            registry.retire(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(id: u32, times: u64) {
        for _ in 0..times {
            with(|local| match local.counter(id) {
                Some(counter) => counter.add(),
                None => first_event(local, &AtomicU32::new(id)).expect("memory for a block").add(),
            });
        }
    }

    #[test]
    fn counts_outlive_their_threads_and_the_growth_of_blocks() {
        let ids: Vec<u32> = (0..300).map(|_| site_id(&AtomicU32::new(0))).collect();
        let (low, high) = (ids[0], ids[299]);
        for round in 1..=3 {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        count(low, 1000);
                        count(high, 10); // grows the block
                        count(low, 1);
                    });
                }
            });
            assert_eq!(total(low), round * 4 * 1001);
            assert_eq!(total(high), round * 40);
        }
        assert_eq!(total(ids[1]), 0, "a reused block starts from zero");
    }
}
