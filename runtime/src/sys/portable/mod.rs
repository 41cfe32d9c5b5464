//! Anywhere that `std` is: its clock, its allocator beneath ours, and the standard unwinder.
//!
//! No call of the system's own. What there is no portable word for is not there: signals and CPU sampling, handlers of
//! `fork`, the loader's list of modules. `PLATFORM.md` says what that means for a user.
pub(crate) mod asked;
pub(crate) mod clock;
pub(crate) mod ending;
pub(crate) mod file;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod process;
pub(crate) mod stack;
pub(crate) mod thread;

/// Nothing of ours runs before `main` here: what wants to, is told when it is first used, or not at all.
macro_rules! at_start {
    ($name:ident, $priority:literal, $function:path) => {
        const _: extern "C" fn() = $function;
    };
}
pub(crate) use at_start;

/// Has the site submitted: what the attribute emits. `$start`, which would register it, is not called.
#[doc(hidden)]
#[macro_export]
macro_rules! __profiled_register {
    ($site:ident, $start:ident) => {
        const _: extern "C" fn() = $start;
        $crate::__private::submit! { $crate::__private::Entry::Function(&$site) }
    };
}
