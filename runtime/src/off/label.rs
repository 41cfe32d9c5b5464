//! Labels, of which there are none.
use std::fmt::Display;
use std::marker::PhantomData;

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
