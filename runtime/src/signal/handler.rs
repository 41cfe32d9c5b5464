#![expect(unsafe_code, reason = "reads the context that the kernel interrupted")]
//! The fence: what runs inside `SIGPROF`.
//!
//! No allocation, no lock, no panic, no formatting; `core` and what the `use` lines name are all there is. It never
//! touches the store. It runs on any thread of the process, on its alternate stack where it has one, and may have
//! interrupted anything: the allocator, our own hooks, another handler.
#![no_implicit_prelude]
#![deny(clippy::std_instead_of_core, clippy::alloc_instead_of_core)]
use ::core::ffi::{c_int, c_void};
use ::core::option::Option::{self, None, Some};
use ::core::ptr;
use ::core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::armed::{Known, known};
use super::ring::{Record, Ring};
use crate::site::FunctionSite;
use crate::{label, local, stack, sys, trap};

/// Where samples go.
pub(super) static RING: Ring = Ring::new();

/// CPU time between two expirations of the timers; 0 while no session samples the CPU. The handler stays installed
/// then.
pub(super) static PERIOD: AtomicU64 = AtomicU64::new(0);

/// What a sample of the wall clock stands for; 0 while no session wants any.
pub(super) static WALL: AtomicU64 = AtomicU64::new(0);

/// Whether samples carry their thread's name.
pub(super) static NAMES: AtomicBool = AtomicBool::new(false);

/// Whether samples say which frames are of their task, and who awaits that.
pub(super) static TASKS: AtomicBool = AtomicBool::new(false);

/// Signals of the process's timer that came, whatever became of them.
pub(super) static TICKS: AtomicU64 = AtomicU64::new(0);

/// What our signals' values point into: where, tells what the signal is. Its address tells them from everybody
/// else's, a second copy of this crate included.
static MARK: [u8; WORDS] = [0; WORDS];
const WORDS: usize = 64;

/// The timer on the process's clock.
pub(super) const PROCESS_TIMER: usize = 0;
/// The timer on a thread's own clock.
pub(super) const THREAD_TIMER: usize = 1;
/// The wall clock's; what the thread was at is added to it.
pub(super) const WALL_CLOCK: usize = 2;
/// Things that a thread can be at.
pub(super) const STATES: usize = WORDS - WALL_CLOCK;

/// The value of a signal that is `word`.
pub(super) fn value(word: usize) -> *const c_void {
    (&raw const MARK).cast::<u8>().wrapping_add(word).cast()
}

/// What the kernel calls.
pub(super) extern "C" fn on_signal(signal: c_int, info: *mut ::libc::siginfo_t, context: *mut c_void) {
    match sys::signal::brought(info, value(0), WORDS) {
        None => sys::signal::SAMPLING.chain(signal, info, context),
        Some(brought) => {
            sys::signal::keeping_errno(|| trap::handler(|| sample(brought, context)));
        }
    }
}

#[inline(always)]
fn sample(brought: sys::signal::Brought, context: *mut c_void) {
    let word = brought.word;
    let unit = if word >= WALL_CLOCK { WALL.load(Relaxed) } else { PERIOD.load(Relaxed) };
    if word == PROCESS_TIMER {
        TICKS.fetch_add(1, Relaxed);
    }
    // A signal that comes late, when all is over.
    if unit == 0 {
        return;
    }
    let tid = sys::call::thread_id();
    if word == PROCESS_TIMER {
        match known(tid) {
            // Its own timer sees to it.
            Known::Armed => return,
            // It was woken to take the signal that another thread's CPU time caused, one that blocks it.
            // SAFETY: the kernel passed the context to the handler that is running.
            Known::Idle if unsafe { stack::is_in_system_call(context) } => return,
            Known::Idle | Known::No => {}
        }
    }
    let lost = if word >= WALL_CLOCK { 0 } else { brought.expirations * unit };
    RING.push(lost, |record| {
        record.time = brought.expirations * unit;
        record.at = sys::clock::counter();
        record.word = word;
        record.tid = tid;
        record.name = if NAMES.load(Relaxed) { sys::call::thread_name() } else { [0; _] };
        // SAFETY: the kernel passed the context to the handler that is running.
        unsafe { fill(record, context) };
    });
}

/// Notes where the thread is and what it does it for: its stack, its scope, its task, its labels.
///
/// # Safety
/// `context` is what the kernel passed to the handler that is running.
#[inline(always)]
pub(super) unsafe fn fill(record: &mut Record, context: *mut c_void) {
    (record.own, record.parent) = (0, 0);
    let task = local::with(|local| {
        let scopes = local.scopes();
        record.scope = or_null(scopes.innermost());
        scopes.outermost_task()
    });
    record.task = match task {
        Some((task, _)) => or_null(task.site()),
        None => ptr::null(),
    };
    record.label_bytes = 0;
    let labels = label::encoded();
    if let Some(room) = record.labels.get_mut(..labels.len()) {
        room.copy_from_slice(labels);
        record.label_bytes = labels.len();
    }
    if let (Some((task, mark)), true) = (task, TASKS.load(Relaxed)) {
        // SAFETY: as the caller promises.
        unsafe { stack::capture_context_below(&mut record.frames, context, mark) };
        (record.own, record.parent) = (record.frames.len, task.parent());
    }
    // SAFETY: as the caller promises.
    unsafe { stack::capture_context(&mut record.frames, context) };
}

#[inline(always)]
fn or_null(site: Option<&'static FunctionSite>) -> *const FunctionSite {
    match site {
        Some(site) => ptr::from_ref(site),
        None => ptr::null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trap;
    use crate::trap::tests::{fate, trapped};
    use ::core::alloc::{GlobalAlloc, Layout};
    use ::core::mem::zeroed;
    use ::core::{assert_eq, assert_ne, hint};

    /// In place of a mistake in the handler: a context that cannot be read, and a handler of the fault that allocates.
    #[test]
    fn the_handler_is_under_the_trap() {
        extern "C" fn allocate(_signal: c_int) {
            // SAFETY: a proper layout. The block is never freed, and if all goes well never had.
            hint::black_box(unsafe { crate::Allocator::system().alloc(Layout::new::<u64>()) });
            // SAFETY: ends the child.
            unsafe { ::libc::_exit(0) };
        }
        let end = fate(|| {
            // SAFETY: a handler for a fault that `on_signal` runs into, in a child of one thread.
            unsafe {
                let page = ::libc::mmap(
                    ptr::null_mut(),
                    4096,
                    ::libc::PROT_NONE,
                    ::libc::MAP_PRIVATE | ::libc::MAP_ANONYMOUS,
                    -1,
                    0,
                );
                assert_ne!(page, ::libc::MAP_FAILED);
                let mut action: ::libc::sigaction = zeroed();
                action.sa_sigaction = allocate as *const () as usize;
                assert_eq!(::libc::sigaction(::libc::SIGSEGV, &raw const action, ptr::null_mut()), 0);
                let mut info: [usize; 16] = [0; 16];
                let info = (&raw mut info).cast::<::libc::siginfo_t>();
                (*info).si_code = ::libc::SI_TIMER;
                info.cast::<*const c_void>().add(3).write(value(THREAD_TIMER));
                PERIOD.store(1, Relaxed);
                on_signal(::libc::SIGPROF, info, page);
                ::libc::_exit(3);
            }
        });
        assert_eq!(end, trapped(trap::ALLOCATES));
    }
}
