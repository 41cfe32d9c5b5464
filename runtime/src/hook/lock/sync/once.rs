//! `std::sync::{Once, OnceLock, LazyLock}`: who waits for another thread's initialisation is in the profile `block`.
use crate::trace::event::Class;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{OnceState, PoisonError};
use std::{fmt, ops};

use super::{waits, waits_unless};

/// [`std::sync::Once`]: who waits while another thread runs the closure is in the profile `block`.
pub struct Once(std::sync::Once);

#[expect(clippy::new_without_default, reason = "the standard library's has none")]
impl Once {
    /// One that nothing was called with yet.
    #[must_use]
    #[inline]
    pub const fn new() -> Once {
        Once(std::sync::Once::new())
    }

    /// Calls `f` if nothing was called here before, or waits until that is done.
    ///
    /// # Panics
    /// If `f` panics, or did so before.
    #[inline]
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        if !self.0.is_completed() {
            waits_unless(Class::Once, 0, |ours| {
                self.0.call_once(|| {
                    ours();
                    f();
                });
            });
        }
    }

    /// The same, also after a panic.
    ///
    /// # Panics
    /// If `f` panics.
    #[inline]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        if !self.0.is_completed() {
            waits_unless(Class::Once, 0, |ours| {
                self.0.call_once_force(|state| {
                    ours();
                    f(state);
                });
            });
        }
    }

    /// Whether a call was completed.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.0.is_completed()
    }

    /// Waits until a call is completed.
    ///
    /// # Panics
    /// If it panicked.
    #[inline]
    pub fn wait(&self) {
        if !self.0.is_completed() {
            waits(Class::Once, 0, || self.0.wait());
        }
    }

    /// Waits until a call is completed, however many panic before.
    #[inline]
    pub fn wait_force(&self) {
        if !self.0.is_completed() {
            waits(Class::Once, 0, || self.0.wait_force());
        }
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// [`std::sync::OnceLock`]: who waits while another thread makes the value is in the profile `block`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OnceLock<T>(std::sync::OnceLock<T>);

impl<T> OnceLock<T> {
    /// One without a value.
    #[must_use]
    #[inline]
    pub const fn new() -> OnceLock<T> {
        OnceLock(std::sync::OnceLock::new())
    }

    /// The value, if it is there.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// The value, if it is there.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.0.get_mut()
    }

    /// Waits until there is a value.
    #[inline]
    pub fn wait(&self) -> &T {
        match self.0.get() {
            Some(value) => value,
            None => waits(Class::Once, 0, || self.0.wait()),
        }
    }

    /// Sets the value; waits for another thread that is at it.
    ///
    /// # Errors
    /// If there is one, with the one that was to be set.
    #[inline]
    pub fn set(&self, value: T) -> Result<(), T> {
        if self.0.get().is_some() {
            return Err(value);
        }
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("called once"));
        value.map_or(Ok(()), Err)
    }

    /// The value, made by `f` if there is none; waits for another thread that is at it.
    ///
    /// # Panics
    /// If `f` panics; then there is still none.
    #[inline]
    pub fn get_or_init<F: FnOnce() -> T>(&self, f: F) -> &T {
        match self.0.get() {
            Some(value) => value,
            None => waits_unless(Class::Once, 0, |ours| {
                self.0.get_or_init(|| {
                    ours();
                    f()
                })
            }),
        }
    }

    /// The value, if there is one.
    #[inline]
    pub fn into_inner(self) -> Option<T> {
        self.0.into_inner()
    }

    /// Takes the value out.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> OnceLock<T> {
        OnceLock(value.into())
    }
}

/// [`std::sync::LazyLock`]: who waits while another thread makes the value is in the profile `block`.
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    /// What makes it, until it does.
    make: std::sync::Mutex<Option<F>>,
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that `f` makes when it is first needed.
    #[inline]
    pub const fn new(f: F) -> LazyLock<T, F> {
        LazyLock { value: OnceLock::new(), make: std::sync::Mutex::new(Some(f)) }
    }

    /// The value.
    ///
    /// # Panics
    /// If making it panics, or did so before.
    #[inline]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        this.value.get_or_init(|| {
            // Nobody panics with it in hand, and nobody waits for it: who comes here is alone.
            let make = this.make.lock().unwrap_or_else(PoisonError::into_inner).take();
            make.unwrap_or_else(poisoned)()
        })
    }

    /// The value.
    ///
    /// # Panics
    /// If making it panics, or did so before.
    #[inline]
    pub fn force_mut(this: &mut LazyLock<T, F>) -> &mut T {
        LazyLock::force(this);
        this.value.get_mut().unwrap_or_else(poisoned)
    }
}

#[cold]
fn poisoned<R>() -> R {
    panic!("LazyLock instance has previously been poisoned")
}

impl<T, F> LazyLock<T, F> {
    /// The value, if it was made.
    #[inline]
    pub fn get(this: &LazyLock<T, F>) -> Option<&T> {
        this.value.get()
    }

    /// The value, if it was made.
    #[inline]
    pub fn get_mut(this: &mut LazyLock<T, F>) -> Option<&mut T> {
        this.value.get_mut()
    }
}

impl<T, F: FnOnce() -> T> ops::Deref for LazyLock<T, F> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T, F: FnOnce() -> T> ops::DerefMut for LazyLock<T, F> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        LazyLock::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> LazyLock<T> {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("LazyLock");
        match self.value.get() {
            Some(value) => tuple.field(value),
            None => tuple.field(&format_args!("<uninit>")),
        };
        tuple.finish()
    }
}

impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}
