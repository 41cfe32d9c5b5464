#![expect(unsafe_code, reason = "shares versions with readers that may be signal handlers")]
//! One value, replaced now and then by ordinary code, and read at any moment by anyone, signal handlers included.
//!
//! *Readers* add one to a counter, load the pointer, use the value, subtract one. They never wait, and a reader
//! that interrupts another reader, or the writer, is just one more.
//!
//! *The writer* swaps the pointer and puts the old version aside. A version is freed once each of the two counters
//! has been seen at zero after the swap: whoever had loaded the old pointer had been counted before it, in one of
//! the two. Readers count in the one that is not being watched, so that a steady stream of them cannot keep it
//! above zero; the writer never waits either, it looks again the next time.
//!
//! A handler that is left by `longjmp`, or a thread that is killed in one, leaves its count behind: then versions
//! are kept for ever, a few kilobytes for each `dlopen`, and nothing else happens.
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::trap;

/// A value of which there may be no version yet.
pub(crate) struct Published<T> {
    current: AtomicPtr<T>,
    /// Its lowest bit says where readers count.
    turn: AtomicUsize,
    reading: [AtomicUsize; 2],
    /// The thread that writes, by the address of one of its thread-locals, or 0.
    writer: AtomicUsize,
    /// Touched by the writer only.
    retired: UnsafeCell<ManuallyDrop<Vec<Retired<T>>>>,
}

/// A version that was replaced.
struct Retired<T> {
    version: *mut T,
    /// The counters that have been seen at zero since.
    quiet: [bool; 2],
}

// SAFETY: `current` only leads to shared access; `retired` is guarded by `writer`.
unsafe impl<T: Send + Sync> Sync for Published<T> {}

impl<T> Published<T> {
    pub(crate) const fn new() -> Self {
        Published {
            current: AtomicPtr::new(ptr::null_mut()),
            turn: AtomicUsize::new(0),
            reading: [const { AtomicUsize::new(0) }; 2],
            writer: AtomicUsize::new(0),
            retired: UnsafeCell::new(ManuallyDrop::new(Vec::new())),
        }
    }

    /// Whether nothing was published yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.current.load(SeqCst).is_null()
    }

    /// Calls `look` with the current version. Fit for signal handlers if `look` is.
    #[inline]
    pub(crate) fn read<R>(&self, look: impl FnOnce(Option<&T>) -> R) -> R {
        let counter = &self.reading[self.turn.load(SeqCst) & 1];
        counter.fetch_add(1, SeqCst);
        // SAFETY: a version is freed only after this counter was seen at zero.
        let result = look(unsafe { self.current.load(SeqCst).as_ref() });
        counter.fetch_sub(1, SeqCst);
        result
    }

    /// Becomes the writer. `None`: this very thread writes already, or another has been at it for `patience`.
    pub(crate) fn write(&self, patience: Duration) -> Option<Writer<'_, T>> {
        const NAP: Duration = Duration::from_micros(100);
        trap::not_in_handler(trap::PUBLISHES);
        let me = token();
        let mut waited = Duration::ZERO;
        loop {
            match self.writer.compare_exchange(0, me, SeqCst, SeqCst) {
                Ok(_) => return Some(Writer(self)),
                Err(owner) if owner == me || waited >= patience => return None,
                Err(_) => {
                    std::thread::sleep(NAP);
                    waited += NAP;
                }
            }
        }
    }

    /// In a forked child the other threads are gone, with whatever they were doing here. What they had put aside
    /// is left where it is: it may have been half written.
    pub(crate) fn after_fork_in_child(&self) {
        for counter in &self.reading {
            counter.store(0, SeqCst);
        }
        if self.writer.load(SeqCst) != 0 {
            // SAFETY: nobody else is left to touch it, and the old contents are not dropped.
            unsafe { self.retired.get().write(ManuallyDrop::new(Vec::new())) };
            self.writer.store(0, SeqCst);
        }
    }
}

/// The right to replace the value.
pub(crate) struct Writer<'a, T>(&'a Published<T>);

impl<T> Writer<'_, T> {
    /// The current version.
    pub(crate) fn current(&self) -> Option<&T> {
        // SAFETY: only a writer, which we are, retires it, and `replace` takes `self` by `&mut`.
        unsafe { self.0.current.load(SeqCst).as_ref() }
    }

    /// Publishes `new`, and frees those older versions that nobody can be reading.
    pub(crate) fn replace(&mut self, new: T) {
        // SAFETY: we are the one writer.
        let retired = unsafe { &mut *self.0.retired.get() };
        retired.reserve(1);
        let old = self.0.current.swap(Box::into_raw(Box::new(new)), SeqCst);
        if !old.is_null() {
            retired.push(Retired { version: old, quiet: [false; 2] });
        }
        self.sweep();
    }

    /// Frees what nobody reads, and says how many older versions are left.
    pub(crate) fn sweep(&mut self) -> usize {
        // SAFETY: we are the one writer.
        let retired = unsafe { &mut *self.0.retired.get() };
        // The counter that readers have left alone since the last time, then the other one.
        for _ in 0..2 {
            let watched = self.0.turn.fetch_xor(1, SeqCst) & 1;
            if self.0.reading[watched].load(SeqCst) == 0 {
                retired.iter_mut().for_each(|old| old.quiet[watched] = true);
            }
        }
        retired.retain(|old| {
            let quiet = old.quiet == [true; 2];
            if quiet {
                // SAFETY: it came from a box, is not current, and whoever had loaded it is gone.
                drop(unsafe { Box::from_raw(old.version) });
            }
            !quiet
        });
        retired.len()
    }
}

impl<T> Drop for Writer<'_, T> {
    fn drop(&mut self) {
        self.0.writer.store(0, SeqCst);
    }
}

/// A number that tells the calling thread from all others that live.
fn token() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| ptr::from_ref(here).addr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_version_lives_as_long_as_it_is_read() {
        let published = Published::new();
        let mark = Arc::new(());
        let replace = || published.write(Duration::ZERO).unwrap().replace(mark.clone());
        assert!(published.is_empty());
        replace();
        assert_eq!(Arc::strong_count(&mark), 2);
        published.read(|version| {
            replace();
            replace();
            assert_eq!(Arc::strong_count(version.unwrap()), 4, "what is read must not be freed");
        });
        assert_eq!(published.write(Duration::ZERO).unwrap().sweep(), 0);
        assert_eq!(Arc::strong_count(&mark), 2, "one is current, the others are free");
    }

    #[test]
    fn no_handler_writes() {
        let published = Published::<u32>::new();
        let write = || _ = published.write(Duration::ZERO);
        assert_eq!(trap::tests::fate(write), (0, String::new()));
        assert_eq!(trap::tests::fate(|| trap::handler(write)), trap::tests::trapped(trap::PUBLISHES));
    }

    #[test]
    fn a_writer_is_alone_and_never_waits_for_itself() {
        let published = Published::<u32>::new();
        let writer = published.write(Duration::ZERO);
        assert!(published.write(Duration::MAX).is_none());
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(published.write(Duration::from_millis(1)).is_none()));
        });
        drop(writer);
        let mut writer = published.write(Duration::ZERO).unwrap();
        assert!(writer.current().is_none());
        writer.replace(7);
        assert_eq!(writer.current(), Some(&7));
        std::mem::forget(writer);
        published.after_fork_in_child();
        assert!(published.write(Duration::ZERO).is_some());
    }
}
