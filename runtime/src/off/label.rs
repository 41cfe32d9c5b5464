#![expect(unsafe_code, reason = "projects a pin to the future inside")]
//! Labels, of which there are none.
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs `f`.
///
/// ```
/// let sum = profiled::labels::with(&[("route", "/cart")], || (0..100).sum::<u32>());
/// # assert_eq!(sum, 4950);
/// ```
#[inline(always)]
pub fn with<R>(_labels: &[(&str, &str)], f: impl FnOnce() -> R) -> R {
    f()
}

/// The labels in force on this thread: none.
#[inline(always)]
pub fn current() -> Labels {
    Labels(())
}

/// A copy of the labels of one moment: none.
#[derive(Clone, Debug)]
pub struct Labels(());

impl Labels {
    /// The pairs, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        std::iter::empty()
    }

    /// The value of `key`.
    pub fn get(&self, _key: &str) -> Option<&str> {
        None
    }
}

/// Labels for futures: switched off, none.
pub trait FutureExt: Future + Sized {
    /// This future.
    ///
    /// ```
    /// use profiled::labels::FutureExt as _;
    ///
    /// let request = async { 7 }.with_labels(&[("route", "/cart")]);
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// # assert_eq!(pin!(request).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(7));
    /// ```
    #[inline(always)]
    fn with_labels(self, _labels: &[(&str, &str)]) -> WithLabels<Self> {
        WithLabels { future: ManuallyDrop::new(self) }
    }
}

impl<F: Future> FutureExt for F {}

/// A future without labels.
#[must_use = "futures do nothing unless they are polled"]
pub struct WithLabels<F> {
    future: ManuallyDrop<F>,
}

impl<F: Future> Future for WithLabels<F> {
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned whenever we are, and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut *this.future) }.poll(cx)
    }
}

/// By hand, as its original's: what a program may do with a type depends on whether it has a `drop`.
impl<F> Drop for WithLabels<F> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: nobody uses it after this, and nobody else drops it.
        unsafe { ManuallyDrop::drop(&mut self.future) }
    }
}

impl<F> fmt::Debug for WithLabels<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithLabels").finish_non_exhaustive()
    }
}

/// The rest of a block, which stays on its thread.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "dropping it puts the outer labels back at once"]
pub struct Scope {
    here: PhantomData<*const ()>,
}

impl Scope {
    /// What `labels!` emits.
    #[inline(always)]
    pub const fn enter() -> Scope {
        Scope { here: PhantomData }
    }
}

impl Drop for Scope {
    #[inline(always)]
    fn drop(&mut self) {}
}

/// Asks of a key and a value what the real one does. Never called.
#[doc(hidden)]
pub fn borrow(_key: &str, _value: &(impl Display + ?Sized)) {}

/// Labels for the rest of the enclosing block: switched off, none. Keys and values are checked, not evaluated.
///
/// ```
/// fn handle(user: u64) {
///     profiled::labels! { "user" => user, "route" => "/cart" }
///     // ..
/// }
/// # handle(7);
/// ```
#[macro_export]
macro_rules! labels {
    ($($key:expr => $value:expr),+ $(,)?) => {
        let _scope = $crate::__private::LabelScope::enter();
        if false {
            $($crate::__private::label($key, &$value);)+
        }
    };
    ($($other:tt)*) => {
        ::core::compile_error!("`labels!` takes\n    labels! { \"key\" => value, .. }");
    };
}
