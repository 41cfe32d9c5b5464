#![expect(unsafe_code, reason = "writes events into a buffer of this thread's own")]
//! What hooks call: an event of this thread, now.
//!
//! While nobody records that is one relaxed load. While somebody does, an event is written into a buffer that is this
//! thread's alone: no lock, no allocation, nothing that others write to. A full buffer is left to the hub and another one
//! is taken. If there is none the event is *lost*: counted, and said with the next one that is not.
//!
//! A recording has a number. What a thread has left from another one is not looked at any more.
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::SeqCst, compiler_fence,
};

use super::event::{Class, TaskId};
use super::polls;
use super::pool::{self, Buffer, ROOM};
use super::raw::{Kind, MAX_RECORD, Writer};
use crate::site::FunctionSite;
use crate::store::Stack;
use crate::{clock, local, sys};

/// How far ahead of what is written lines of the cache are asked for: some twenty events, which is as long as that takes.
const AHEAD: usize = 256;

/// The number of the recording, or 0.
static RECORDING: AtomicU32 = AtomicU32::new(0);
/// The number of the last one.
static LAST: AtomicU32 = AtomicU32::new(0);
/// Events that were lost, ever.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Those of threads that ended before they could tell.
static UNTOLD: AtomicU64 = AtomicU64::new(0);

/// The user's task that was made last.
static LAST_TASK: AtomicU64 = AtomicU64::new(0);

/// Whether anybody records.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    RECORDING.load(Relaxed) != 0
}

/// The number of the recording that goes on, or 0.
#[cfg(feature = "tracing")]
#[inline(always)]
pub(super) fn recording() -> u32 {
    RECORDING.load(Relaxed)
}

/// Begins a recording, if there is none, and gives its number. Under the hub's lock.
pub(super) fn begin() -> u32 {
    let now = RECORDING.load(Relaxed);
    if now != 0 {
        return now;
    }
    UNTOLD.store(0, Relaxed);
    let number = LAST.fetch_add(1, Relaxed).wrapping_add(1).max(1);
    RECORDING.store(number, Relaxed);
    polls::set_traced(true);
    number
}

/// The number that the next recording has.
pub(super) fn next() -> u32 {
    LAST.load(Relaxed).wrapping_add(1).max(1)
}

/// Ends it. Events that are being written meanwhile are written.
pub(super) fn end() {
    RECORDING.store(0, Relaxed);
    polls::set_traced(false);
}

/// An event is lost, and nobody is there to tell.
pub(super) fn lose_untold() {
    LOST.fetch_add(1, Relaxed);
    UNTOLD.fetch_add(1, Relaxed);
}

/// Events that were lost on threads that cannot tell any more; each once.
pub(super) fn take_untold() -> u64 {
    UNTOLD.swap(0, Relaxed)
}

/// Events that were lost so far.
pub(super) fn lost() -> u64 {
    LOST.load(Acquire)
}

/// What a thread keeps. Const, without a destructor.
struct Own {
    /// The recording that the buffer belongs to; 0 without one.
    recording: Cell<u32>,
    /// Where the next event goes, and what it may not begin behind.
    at: Cell<*mut u8>,
    last: Cell<*mut u8>,
    buffer: Cell<*const Buffer>,
    /// Ticks of the event before.
    before: Cell<u64>,
    /// An event is being written: a signal handler's would be in the midst of it.
    busy: Cell<bool>,
    /// Events that were lost and not told of, and in which recording.
    lost: Cell<u64>,
    lost_in: Cell<u32>,
    /// Buffers that were filled.
    order: Cell<u32>,
    /// The recording in which it has said who it is.
    told: Cell<u32>,
    /// Whoever started it, if that was noted in this recording.
    creator: Cell<u64>,
    /// The user's task that it is in.
    task: Cell<TaskId>,
}

thread_local! {
    static OWN: Own = const {
        Own {
            recording: Cell::new(0),
            at: Cell::new(ptr::null_mut()),
            last: Cell::new(ptr::null_mut()),
            buffer: Cell::new(ptr::null()),
            before: Cell::new(0),
            busy: Cell::new(false),
            lost: Cell::new(0),
            lost_in: Cell::new(0),
            order: Cell::new(0),
            told: Cell::new(0),
            creator: Cell::new(0),
            task: Cell::new(0),
        }
    };
}

#[inline(always)]
fn own<R>(f: impl FnOnce(&Own) -> R) -> R {
    // The compiler inlines `LocalKey::with` around something small, and may not around `f`.
    let own = OWN.with(ptr::from_ref);
    // SAFETY: a thread-local without a destructor is there as long as its thread runs code, which `f` does.
    f(unsafe { &*own })
}

/// The user's task that this thread is in.
#[inline(always)]
pub(super) fn task() -> TaskId {
    own(|own| own.task.get())
}

/// The number of a new one.
pub(super) fn new_task() -> TaskId {
    LAST_TASK.fetch_add(1, Relaxed) + 1
}

/// Puts this thread into another one. Gives the one before.
#[inline(always)]
pub(super) fn set_task(task: TaskId) -> TaskId {
    own(|own| own.task.replace(task))
}

/// Writes an event that `f` puts together after its kind and time.
#[inline(always)]
fn write(kind: Kind, f: impl FnOnce(&mut Writer)) {
    let recording = RECORDING.load(Relaxed);
    if recording == 0 {
        return;
    }
    own(|own| {
        if own.busy.get() {
            return lose(own, recording);
        }
        if (own.recording.get() != recording || own.at.get() > own.last.get()) && !own.refill(recording) {
            return lose(own, recording);
        }
        own.busy.set(true);
        compiler_fence(SeqCst);
        own.put(kind, clock::ticks(), f);
        compiler_fence(SeqCst);
        own.busy.set(false);
    });
}

#[cold]
#[inline(never)]
fn lose(own: &Own, recording: u32) {
    let before = if own.lost_in.replace(recording) == recording { own.lost.get() } else { 0 };
    own.lost.set(before + 1);
    LOST.fetch_add(1, Relaxed);
}

impl Own {
    #[inline(always)]
    fn put(&self, kind: Kind, now: u64, f: impl FnOnce(&mut Writer)) {
        // SAFETY: `refill` has seen to the room, in a buffer that is this thread's.
        let mut writer = unsafe { Writer::new(self.at.get()) };
        writer.byte(kind as u8);
        // Another processor's counter may be a little behind.
        let ticks = now.wrapping_sub(self.before.get());
        if ticks as i64 >= 0 {
            writer.number(ticks);
            self.before.set(now);
        } else {
            writer.number(0);
        }
        f(&mut writer);
        self.at.set(writer.end());
        // The hub read these lines last, on another processor.
        sys::memory::about_to_write(writer.end().wrapping_add(AHEAD));
        // SAFETY: set where there is room, and buffers live for ever.
        unsafe { &*self.buffer.get() }.publish(writer.end());
    }

    /// Sees to it that there is room for an event of this recording. `false`: there is none, or this thread cannot be
    /// told from others.
    #[cold]
    #[inline(never)]
    fn refill(&self, recording: u32) -> bool {
        // A signal handler comes too early or too late.
        self.busy.set(true);
        let number = local::with(|local| local::thread(local).map(|_| local.number()));
        let next = number.filter(|&number| number != 0).and_then(|number| Some((number, pool::take()?)));
        let is_there = next.is_some();
        if let Some((number, next)) = next {
            self.leave();
            let now = clock::ticks();
            next.recording.store(recording, Relaxed);
            next.thread.store(number, Relaxed);
            next.order.store(self.order.get(), Relaxed);
            next.begin.store(now, Relaxed);
            self.order.set(self.order.get().wrapping_add(1));
            self.buffer.set(next);
            self.before.set(now);
            self.at.set(next.start());
            self.last.set(next.start().wrapping_add(ROOM - 3 * MAX_RECORD));
            self.recording.set(recording);
            self.tell(recording, now);
        }
        self.busy.set(false);
        is_there
    }

    /// Says what there is to say at the begin of a buffer.
    fn tell(&self, recording: u32, now: u64) {
        if self.told.replace(recording) != recording {
            let creator = self.creator.replace(0);
            self.put(Kind::Thread, now, |to| {
                to.number(u64::from(sys::process::thread_id() as u32));
                to.byte(u8::from(creator != 0));
                to.address(creator as usize & !1);
                let name = sys::process::thread_name();
                let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
                // The system keeps bytes, and of a longer name the first fifteen.
                to.copy(name[..len].utf8_chunks().next().map_or("", |chunk| chunk.valid()));
            });
        }
        match self.lost.replace(0) {
            0 => {}
            lost if self.lost_in.get() == recording => self.put(Kind::Lost, now, |to| to.number(lost)),
            _ => {}
        }
    }

    /// Leaves the buffer to the hub.
    fn leave(&self) {
        // SAFETY: null, or a buffer, which lives for ever.
        if let Some(buffer) = unsafe { self.buffer.get().as_ref() } {
            buffer.hand_over();
        }
        self.forget();
    }

    fn forget(&self) {
        self.buffer.set(ptr::null());
        self.recording.set(0);
    }
}

/// This thread was just started by whoever has this stack.
pub(crate) fn thread_began(creator: Stack) {
    if is_on() {
        own(|own| own.creator.set(creator.expose() as u64 | 1));
        own(|own| {
            let recording = RECORDING.load(Relaxed);
            _ = recording != 0 && own.recording.get() != recording && own.refill(recording);
        });
    }
}

/// This thread is about to end, and has its block still.
pub(crate) fn thread_ends() {
    own(|own| {
        if own.lost_in.get() == RECORDING.load(Relaxed) {
            UNTOLD.fetch_add(own.lost.replace(0), Relaxed);
        }
        if own.buffer.get().is_null() || own.busy.get() {
            return;
        }
        if own.recording.get() == RECORDING.load(Relaxed) {
            // There is always room for one more: see `refill`.
            own.put(Kind::ThreadEnd, clock::ticks(), |_| ());
        }
        own.leave();
        own.told.set(0);
    });
}

/// In a forked child nobody records.
pub(crate) fn after_fork_in_child() {
    end();
    own(|own| {
        own.forget();
        own.busy.set(false);
    });
    pool::after_fork_in_child();
}

fn stack_of(stack: Option<Stack>) -> usize {
    stack.map_or(0, Stack::expose)
}

#[inline(always)]
fn site_of(site: &'static FunctionSite) -> usize {
    ptr::from_ref(site).expose_provenance()
}

/// What is waited for: its class, the id of its site if it is a lock, a name if it has one, and what tells it from others.
#[derive(Clone, Copy)]
pub(crate) struct For {
    pub(crate) class: Class,
    pub(crate) site: u32,
    pub(crate) name: &'static str,
    pub(crate) object: usize,
}

impl For {
    /// Something that is known by its class alone.
    pub(crate) const fn class(class: Class) -> For {
        For { class, site: 0, name: "", object: 0 }
    }
}

/// This thread waits, until [`wait_ends`].
#[inline(never)]
pub(crate) fn wait_begins(what: For, stack: Option<Stack>) {
    write(Kind::WaitBegin, |to| {
        to.byte(what.class as u8);
        to.number(u64::from(what.site));
        to.text(what.name);
        to.address(what.object);
        to.address(stack_of(stack));
    });
}

/// It does not any more.
#[inline(never)]
pub(crate) fn wait_ends(class: Class, object: usize) {
    write(Kind::WaitEnd, |to| {
        to.byte(class as u8);
        to.address(object);
    });
}

/// Whoever waits for this goes on, one or all of them.
#[inline(never)]
pub(crate) fn releases(what: For, stack: Option<Stack>) {
    write(Kind::Release, |to| {
        to.byte(what.class as u8);
        to.number(u64::from(what.site));
        to.address(what.object);
        to.address(stack_of(stack));
    });
}

/// A profiled future is known from now on.
#[inline(never)]
pub(crate) fn task_created(
    task: TaskId,
    parent: TaskId,
    site: &'static FunctionSite,
    spawned: bool,
    stack: Option<Stack>,
) {
    write(Kind::TaskCreate, |to| {
        to.number(task);
        to.number(parent);
        to.address(site_of(site));
        to.byte(u8::from(spawned));
        to.address(stack_of(stack));
    });
}

/// Somebody wakes it.
#[inline(never)]
pub(crate) fn task_woken(task: TaskId, stack: Option<Stack>) {
    write(Kind::TaskWake, |to| {
        to.number(task);
        to.address(stack_of(stack));
    });
}

/// It is polled.
#[inline(always)]
pub(crate) fn poll_begins(task: TaskId, site: &'static FunctionSite) {
    write(Kind::PollBegin, |to| {
        to.number(task);
        to.address(site_of(site));
    });
}

/// It is about to wait, in this poll.
#[inline(never)]
pub(crate) fn awaits(task: TaskId, class: Class, stack: Option<Stack>) {
    write(Kind::Await, |to| {
        to.number(task);
        to.byte(class as u8);
        to.address(stack_of(stack));
    });
}

/// The poll that began last on this thread, and has not ended, ends.
#[inline(always)]
pub(crate) fn poll_ends(ready: bool) {
    write(if ready { Kind::PollReady } else { Kind::PollPending }, |_| ());
}

/// It is gone.
#[inline(never)]
pub(crate) fn task_ends(task: TaskId, cancelled: bool) {
    write(Kind::TaskEnd, |to| {
        to.number(task);
        to.byte(u8::from(cancelled));
    });
}

/// A function begins that is marked.
#[inline(always)]
pub(crate) fn scope_begins(site: &'static FunctionSite) {
    write(Kind::ScopeBegin, |to| to.address(site_of(site)));
}

/// It ends.
#[inline(always)]
pub(crate) fn scope_ends(site: &'static FunctionSite) {
    write(Kind::ScopeEnd, |to| to.address(site_of(site)));
}

/// Other labels are in force from now on.
#[cold]
#[inline(never)]
pub(crate) fn labels(encoded: &[u8]) {
    write(Kind::Labels, |to| to.bytes(encoded));
}

pub(super) fn user_task_begins(task: TaskId, parent: TaskId, name: &'static str, stack: Option<Stack>) {
    write(Kind::UserTaskBegin, |to| {
        to.number(task);
        to.number(parent);
        to.text(name);
        to.address(stack_of(stack));
    });
}

pub(super) fn user_task_ends(task: TaskId, name: &'static str, stack: Option<Stack>) {
    write(Kind::UserTaskEnd, |to| {
        to.number(task);
        to.text(name);
        to.address(stack_of(stack));
    });
}

#[cold]
#[inline(never)]
pub(super) fn region_begins(task: TaskId, name: &'static str) {
    write(Kind::RegionBegin, |to| {
        to.number(task);
        to.text(name);
    });
}

/// The region that began last on this thread, and has not ended, ends.
#[cold]
#[inline(never)]
pub(super) fn region_ends() {
    write(Kind::RegionEnd, |_| ());
}

pub(super) fn log(task: TaskId, category: &'static str, message: &str) {
    write(Kind::Log, |to| {
        to.number(task);
        to.text(category);
        to.copy(message);
    });
}
