#![expect(unsafe_code, reason = "blocks of the arena, which live for ever")]
//! All threads that have a block, what they count together, and what those counted that have ended.
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst, compiler_fence,
};

use super::blocked::{Blocked, Seen};
use super::counter::Counter;
use super::directory::{CHUNK, Chunk, Directory, FIRST_ID, NEAR, NOBODYS};
use super::held::Held;
use super::{Local, MAX_SITES, Meter, Metered, NOWHERE, Scopes, with};
use crate::fork::Lock;
use crate::store::arena::{self, Placed};
use crate::sys;

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
    /// See [`Thread::number`].
    number: AtomicU32,
    pub(crate) blocked: Blocked,
    held: Placed<Held>,
}

/// All threads that have a block, and the ids given out.
struct Registry {
    threads: *const Thread,
    /// Blocks that no thread has.
    free: *const Thread,
    /// What threads allocated that are gone.
    metered: Metered,
    sites: usize,
    /// The last number that a thread was given.
    numbers: u32,
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
    numbers: 0,
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
    let counter = counter_of(local, id);
    if counter.is_none() {
        fold(id.load(Relaxed));
    }
    counter
}

/// The counter for a thread's first event of a site, as above, but where that is `None` nothing is counted.
#[cold]
#[inline(never)]
pub(crate) fn counter_of<'a>(local: &'a Local, id: &AtomicU32) -> Option<&'a Counter> {
    let room = local.enter(|| {
        let id = if id.load(Relaxed) == 0 { site_id(id) } else { id.load(Relaxed) };
        make_room(local, id)
    });
    if room == Some(true) { local.counter(id.load(Relaxed)) } else { None }
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

/// This thread's block, now if it had none. `None`: it has ended, memory is out, or we are inside ourselves.
pub(crate) fn thread(local: &Local) -> Option<&'static Thread> {
    if local.ended.get() {
        return None;
    }
    local.thread().or_else(|| local.enter(|| REGISTRY.lock().block_of(local)).flatten())
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

/// The threads that have a block now.
pub(crate) fn threads() -> Vec<&'static Thread> {
    let registry = REGISTRY.lock();
    registry.threads().filter(|thread| thread.tid.load(Relaxed) != 0).collect()
}

/// Calls `f` with the scopes of each thread. They change while one looks: a moment's picture, not a promise.
pub(crate) fn each_scopes(mut f: impl FnMut(&Scopes)) {
    let registry = REGISTRY.lock();
    registry.threads().filter(|thread| thread.tid.load(Relaxed) != 0).for_each(|thread| f(&thread.scopes));
}

/// Held while somebody looks at what threads wait for.
static LOOKING: Lock<()> = Lock::new(());

impl Thread {
    /// A number that no other thread of this process has or had; 0 while no thread has the block.
    pub(crate) fn number(&self) -> u32 {
        self.number.load(Relaxed)
    }

    /// What the system calls the thread.
    pub(crate) fn tid(&self) -> i32 {
        self.tid.load(Relaxed)
    }

    /// What each of `threads` waits for now.
    pub(crate) fn look(threads: &[&'static Thread]) -> Vec<Option<Seen>> {
        let _looking = LOOKING.lock();
        threads.iter().map(|thread| thread.blocked.look()).collect()
    }

    /// The locks that it holds, if their order was ever checked.
    pub(crate) fn held(&self) -> Option<&'static Held> {
        self.held.get()
    }

    /// The same, to put one in. `None`: memory is out.
    pub(crate) fn held_or_new(&self) -> Option<&'static Held> {
        self.held.get_or_place(Held::new)
    }

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
            self.numbers = self.numbers.wrapping_add(1).max(1);
            thread.number.store(self.numbers, Relaxed);
            local.number.set(self.numbers);
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
            number: AtomicU32::new(0),
            blocked: Blocked::new(),
            held: Placed::new(),
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
        thread.blocked.forget();
        if let Some(held) = thread.held() {
            held.clear();
        }
        thread.number.store(0, Relaxed);
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
    crate::trace::record::thread_ends();
    with(|local| {
        crate::hook::task::give_back(local);
        local.near.set(0);
        compiler_fence(SeqCst);
        local.directory.set(&raw const NOBODYS);
        local.scopes.set(&raw const NOWHERE);
        local.thread.set(ptr::null());
        local.number.set(0);
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
