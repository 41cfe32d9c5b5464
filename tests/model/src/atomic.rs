//! The model's atomics in the shape of the standard ones: made by a `const fn`, and valid where memory is zero.
//!
//! Each is what it starts with, and a pointer to the model's, which is made when it is first used. That first use must
//! come before all others, or the model complains: so tests touch what is shared before they share it.
use std::marker::PhantomData;
use std::sync::atomic::AtomicPtr as Real;

use loom::sync::atomic::AtomicU64 as Modelled;
pub(crate) use loom::sync::atomic::{Ordering, fence};

use crate::stand_ins::{keep, step};

/// What all atomics are.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Cell {
    /// The bits, as the one type that both integers and pointers become in a constant.
    start: Real<()>,
    modelled: Real<Modelled>,
}

impl Cell {
    const fn new(start: *mut ()) -> Cell {
        Cell { start: Real::new(start), modelled: Real::new(std::ptr::null_mut()) }
    }

    /// The model's. One thread of the machine runs all of a model's, so that nothing races here.
    pub(crate) fn modelled(&self) -> &'static Modelled {
        use std::sync::atomic::Ordering::Relaxed;
        if self.modelled.load(Relaxed).is_null() {
            let modelled = keep(Modelled::new(self.start.load(Relaxed).bits()));
            self.modelled.store(std::ptr::from_ref(modelled).cast_mut(), Relaxed);
        }
        reference(self.modelled.load(Relaxed))
    }

    /// The model's, for a step of the program.
    fn step(&self) -> &'static Modelled {
        step();
        self.modelled()
    }
}

fn reference(modelled: *mut Modelled) -> &'static Modelled {
    #![expect(unsafe_code, reason = "the model's atomics are kept for as long as a run lasts")]
    // SAFETY: `modelled` has just made sure that it is there.
    unsafe { &*modelled }
}

/// What fits a cell.
pub(crate) trait Word: Copy {
    fn bits(self) -> u64;
    fn of(bits: u64) -> Self;
}

/// An atomic of a type.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Atomic<T>(Cell, PhantomData<T>);

impl<T: Word> Atomic<T> {
    pub(crate) fn load(&self, order: Ordering) -> T {
        T::of(self.0.step().load(order))
    }

    pub(crate) fn store(&self, value: T, order: Ordering) {
        self.0.step().store(value.bits(), order);
    }

    pub(crate) fn compare_exchange(&self, is: T, to: T, good: Ordering, bad: Ordering) -> Result<T, T> {
        let result = self.0.step().compare_exchange(is.bits(), to.bits(), good, bad);
        result.map(T::of).map_err(T::of)
    }

    pub(crate) fn fetch_update(
        &self,
        good: Ordering,
        bad: Ordering,
        mut step: impl FnMut(T) -> Option<T>,
    ) -> Result<T, T> {
        let result = self.0.step().fetch_update(good, bad, |bits| step(T::of(bits)).map(T::bits));
        result.map(T::of).map_err(T::of)
    }
}

macro_rules! integers {
    ($($name:ident: $type:ty),*) => {$(
        pub(crate) type $name = Atomic<$type>;

        impl Word for $type {
            fn bits(self) -> u64 {
                self as u64
            }

            fn of(bits: u64) -> $type {
                bits as $type
            }
        }

        impl $name {
            pub(crate) const fn new(value: $type) -> $name {
                Atomic(Cell::new(std::ptr::without_provenance_mut(value as usize)), PhantomData)
            }
        }
    )*};
}

integers!(AtomicU8: u8, AtomicU32: u32, AtomicU64: u64, AtomicI64: i64, AtomicUsize: usize);

macro_rules! operations {
    ($($name:ident: $type:ty, $($operation:ident)*;)*) => {$(
        impl $name {$(
            pub(crate) fn $operation(&self, by: $type, order: Ordering) -> $type {
                self.0.step().$operation(by as u64, order) as $type
            }
        )*}
    )*};
}

operations! {
    AtomicUsize: usize, fetch_add fetch_sub;
    AtomicU64: u64, fetch_add fetch_and fetch_or fetch_max swap;
}

pub(crate) type AtomicPtr<T> = Atomic<*mut T>;

impl<T> Word for *mut T {
    fn bits(self) -> u64 {
        self.expose_provenance() as u64
    }

    fn of(bits: u64) -> *mut T {
        std::ptr::with_exposed_provenance_mut(bits as usize)
    }
}

impl<T> Atomic<*mut T> {
    pub(crate) const fn new(value: *mut T) -> AtomicPtr<T> {
        Atomic(Cell::new(value.cast()), PhantomData)
    }
}
