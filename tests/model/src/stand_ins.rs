#![expect(unsafe_code, reason = "memory that lives until the next run of a model")]
//! What the copies stand on: memory, buckets, and the run that all of it belongs to.
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use loom::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// What this run keeps. A model's threads are all on one thread of the machine.
    static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };

    /// See [`step`].
    static STEPS: Cell<Option<&'static AtomicUsize>> = const { Cell::new(None) };
}

/// Keeps a value until the run is over.
pub(crate) fn keep<T: 'static>(value: T) -> &'static T {
    let value = Box::new(value);
    // SAFETY: the box stays where it is until the next run, which knows nothing of this one's.
    let kept: &'static T = unsafe { &*std::ptr::from_ref(&*value) };
    KEPT.with_borrow_mut(|all| all.push(value));
    kept
}

/// Runs a model in every order in which at most `preemptions` times a thread has to stop where it could go on, or
/// `LOOM_MAX_PREEMPTIONS` times: more take minutes and hours.
pub(crate) fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(move || {
        KEPT.with_borrow_mut(Vec::clear);
        STEPS.set(Some(keep(AtomicUsize::new(0))));
        run();
    });
}

/// Stands before each use of an atomic. The model tries two uses both ways round where they meet, but of each atomic it
/// remembers the last use only: a thread that loads before it stores hides from it all loads of others. They do meet in
/// this one, which nobody reads, so that it orders nothing.
pub(crate) fn step() {
    STEPS.get().expect("a model runs").store(0, Ordering::Relaxed);
}

struct Memory(NonNull<u8>, Layout);

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `zeroed` had it from there.
        unsafe { dealloc(self.0.as_ptr(), self.1) };
    }
}

fn zeroed(layout: Layout) -> Option<NonNull<u8>> {
    // SAFETY: nobody asks for nothing.
    let memory = NonNull::new(unsafe { alloc_zeroed(layout) })?;
    keep(Memory(memory, layout));
    Some(memory)
}

pub(crate) mod sys {
    pub(crate) mod memory {
        use std::alloc::Layout;
        use std::ptr::NonNull;

        use crate::atomic::Cell;

        /// A level: nothing but atomics, so all of them are made here, by whoever maps it.
        pub(crate) fn map(size: usize) -> Option<NonNull<u8>> {
            let memory = crate::stand_ins::zeroed(Layout::from_size_align(size, 64).ok()?)?;
            for cell in 0..size / size_of::<Cell>() {
                // SAFETY: zeroed, large enough, aligned, and kept.
                _ = unsafe { memory.cast::<Cell>().add(cell).as_ref() }.modelled();
            }
            Some(memory)
        }

        pub(crate) fn unmap(_: NonNull<u8>, _: usize) {}

        pub(crate) fn touched<T>(_: &[T]) -> usize {
            0
        }
    }
}

pub(crate) mod arena {
    use std::alloc::Layout;
    use std::ptr::NonNull;

    pub(crate) fn allocate(layout: Layout) -> Option<NonNull<u8>> {
        super::zeroed(layout)
    }
}

pub(crate) mod bucket {
    use std::marker::PhantomData;

    pub(crate) struct Blocks;

    /// A bucket, and the birth of the blocks that the models put there.
    pub(crate) struct Bucket<T>(pub(crate) u32, pub(crate) PhantomData<T>);
}
