//! Linux on x86-64, with glibc or musl.
pub(crate) mod asked;
pub(crate) mod call;
pub(crate) mod clock;
pub(crate) mod ending;
pub(crate) mod file;
#[cfg(profiled_interpose)]
pub(crate) mod interpose;
pub(crate) mod look;
pub(crate) mod memory;
pub(crate) mod modules;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod stack;
pub(crate) mod thread;
pub(crate) mod timer;

/// Has a function run by the loader before `main`, or when the library that we are in is opened. Those of a lower
/// priority, five digits, run first.
macro_rules! at_start {
    ($name:ident, $priority:literal, $function:path) => {
        #[used]
        #[unsafe(link_section = concat!(".init_array.", $priority))]
        static $name: extern "C" fn() = $function;
    };
}
pub(crate) use at_start;

/// Has the loader call `$start`, which registers the site: what the attribute emits.
///
/// `inventory` would do, and takes the compiler half a millisecond longer for each site: three macros one in another, a
/// node, and a vtable.
#[doc(hidden)]
#[macro_export]
macro_rules! __profiled_register {
    ($site:ident, $start:ident) => {
        #[used]
        #[unsafe(link_section = ".init_array")]
        static __PROFILED_START: extern "C" fn() = $start;
    };
}
