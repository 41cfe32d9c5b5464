//! The standard library's, name for name.
mod barrier;
mod condvar;
pub mod mpsc;
mod mutex;
mod once;
mod rwlock;

use super::deadlock::Blocking;
use super::traced::{Traced, release};
use super::waiting::Waiting;
use crate::hook::interpose::{self, OwnWait};
use crate::local::blocked::{self, Manner};
use crate::local::held::Access;
use crate::trace::event::Class;
use crate::trace::record::{self, For};
use crate::{clock, trap};

pub use barrier::Barrier;
pub use condvar::Condvar;
pub use mutex::MutexGuard;
pub use once::{LazyLock, Once, OnceLock};
pub use rwlock::{RwLockReadGuard, RwLockWriteGuard};

/// Waits for something that nobody holds: an event of `block`. `what` tells it from all else that is waited for; it is 0 if
/// nobody [tells](goes_on) who ends the wait.
#[inline(never)]
pub(super) fn waits<R>(class: Class, what: usize, wait: impl FnOnce() -> R) -> R {
    trap::not_in_handler(trap::LOCKS);
    let waiting = Waiting::begin(clock::ticks(), 0, None);
    let _blocking = blocks(&waiting);
    let _traced = Traced::begin(For { object: what, ..For::class(class) }, waiting.stack());
    interpose::own_wait(wait)
}

/// Who waits for this goes on in a moment, one or all of them: for the trace. To be called before they can.
#[inline(always)]
pub(super) fn goes_on(class: Class, what: usize) {
    if record::is_on() && what != 0 {
        release(For { object: what, ..For::class(class) });
    }
}

/// The wait is this thread's, which does nothing else meanwhile.
fn blocks(waiting: &Waiting) -> Blocking {
    let (since, stack) = (waiting.since(), waiting.stack());
    Blocking::begin(blocked::Wait { lock: None, site: 0, since, stack, manner: Manner::of(Access::Alone) })
}

/// A wait whose first half may be the wait of somebody else: an initialisation, which one thread runs and others wait
/// for. `wait` is given what to call when it turns out that this thread runs it: then it did not wait.
#[inline(never)]
pub(super) fn waits_unless<R>(class: Class, what: usize, wait: impl FnOnce(&dyn Fn()) -> R) -> R {
    trap::not_in_handler(trap::LOCKS);
    let waiting = Waiting::begin(clock::ticks(), 0, None);
    let blocking = std::cell::Cell::new(Some(blocks(&waiting)));
    let traced =
        std::cell::Cell::new(Some(Traced::begin(For { object: what, ..For::class(class) }, waiting.stack())));
    let waiting = std::cell::Cell::new(Some(waiting));
    let own = OwnWait::begin();
    wait(&|| {
        own.end();
        drop(blocking.take());
        drop(traced.take());
        if let Some(waiting) = waiting.take() {
            waiting.forget();
        }
    })
}
