//! Locks, which stay what they are.

/// Times a wait that is none of a lock's: switched off, nothing.
#[inline(always)]
pub fn region(_name: &'static str) -> Region {
    Region(())
}

/// A wait, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the region at once"]
pub struct Region(());

impl Drop for Region {
    #[inline(always)]
    fn drop(&mut self) {}
}

/// Profiles a lock: switched off, the lock itself.
///
/// ```
/// use std::sync::Mutex;
///
/// // An expression, under a name, or under its module and line.
/// let orders = profiled::profile_mutex!("orders", Mutex::new(vec![1, 2]));
/// let others = profiled::profile_mutex!(Mutex::new(0));
/// orders.lock().unwrap().push(3);
///
/// // Statics, under their module and name.
/// profiled::profile_mutex! {
///     /// All that came in.
///     pub static SEEN: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// }
/// # fn main() {}
/// # SEEN.lock().unwrap().push(*others.lock().unwrap());
/// # assert_eq!(orders.into_inner().unwrap(), [1, 2, 3]);
/// ```
#[macro_export]
macro_rules! profile_mutex {
    ($($(#[$attribute:meta])* $visibility:vis static $id:ident : $type:ty = $lock:expr);+ $(;)?) => {$(
        $(#[$attribute])*
        $visibility static $id: $type = $lock;
    )+};
    // These are no expressions, which the next ones would say of them.
    (static $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    (pub $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    (const $id:ident $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    (# $($other:tt)*) => {
        $crate::profile_mutex! { @ }
    };
    ($name:expr, $lock:expr $(,)?) => {
        $lock
    };
    ($lock:expr $(,)?) => {
        $lock
    };
    ($($other:tt)*) => {
        ::core::compile_error! {
            "`profile_mutex!` takes one of\n    \
             profile_mutex!(\"name\", lock)\n    \
             profile_mutex!(lock)\n    \
             profile_mutex! { static ID: Type = lock; .. }"
        }
    };
}
