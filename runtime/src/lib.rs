//! Go's pprof for Rust, and more.

#[cfg(feature = "enabled")]
mod alive;
#[cfg(feature = "enabled")]
mod clock;
#[cfg(feature = "enabled")]
mod encode;
mod error;
#[cfg(feature = "enabled")]
mod fork;
#[cfg(feature = "enabled")]
mod hook;
#[cfg(feature = "enabled")]
mod label;
#[cfg(feature = "enabled")]
mod local;
#[cfg(feature = "enabled")]
mod module;
#[cfg(not(feature = "enabled"))]
mod off;
#[cfg(feature = "enabled")]
mod on;
#[cfg(feature = "enabled")]
mod profile;
#[cfg(feature = "enabled")]
mod rate;
mod record;
#[cfg(all(feature = "enabled", not(profiled_portable)))]
mod signal;
#[cfg(all(feature = "enabled", profiled_portable))]
#[path = "signal/absent.rs"]
mod signal;
#[cfg(feature = "enabled")]
mod site;
#[cfg(feature = "enabled")]
mod snapshot;
#[cfg(feature = "enabled")]
mod stack;
#[cfg(feature = "enabled")]
mod store;
#[cfg(feature = "enabled")]
mod surface;
#[cfg(feature = "enabled")]
mod symbol;
#[cfg(feature = "enabled")]
mod sys;
#[cfg(feature = "enabled")]
pub mod trace;
#[cfg(feature = "enabled")]
#[cfg_attr(profiled_portable, expect(dead_code, reason = "the portable backend has no signal handlers"))]
mod trap;

pub use error::{Error, Result};
#[cfg(not(feature = "enabled"))]
pub use off::*;
#[cfg(feature = "enabled")]
pub use on::*;
pub use record::{Format, Kind, LabelValue, ValueType};

/// Profiles a function, a method or all methods of an `impl` block, asynchronous ones too.
///
/// Each becomes a profile of its own, which [`lookup`] finds by the function's path before it ever ran: how often it
/// was called, how long it took, and from which other profiled functions. Together they are the profile `functions`.
///
/// ```
/// use profiled::profiled;
///
/// #[profiled] // `crate_name::module::checkout`
/// fn checkout(cart: &Cart) -> u32 {
///     cart.total()
/// }
///
/// #[profiled(name = "shipping/quote")]
/// async fn quote(weight: u32) -> u32 {
///     weight * 2
/// }
///
/// struct Cart(Vec<u32>);
///
/// #[profiled] // all of them: `crate_name::module::Cart::total`
/// impl Cart {
///     fn total(&self) -> u32 {
///         self.0.iter().sum()
///     }
///
///     #[profiled(skip)] // but not this one
///     fn is_empty(&self) -> bool {
///         self.0.is_empty()
///     }
///
///     const fn new() -> Cart { // nor this one, which may run while compiling
///         Cart(Vec::new())
///     }
/// }
/// # assert!(checkout(&Cart::new()) == 0 && Cart::new().is_empty());
/// # drop(quote(1));
/// ```
///
/// # Arguments
///
/// - `name = "literal"`: the profile's name. On an `impl` block it takes the place of path and type: a method is then
///   `literal::method`.
/// - `skip`: not this method, in an annotated `impl` block.
/// - `labels(key = expr, ..)`: [labels](labels!) for the length of each call, a future's for the length of its polls,
///   on whatever thread. A key is an identifier or a string, a value anything that is `Display`. Values are evaluated at
///   each call, a future's at its first poll, and may use the arguments. A call costs what [`labels!`] costs, formatting
///   and some 400 bytes of stack, and a future an allocation. On an `impl` block they are those of each method that has
///   none of its own.
/// - `trace = false`: its calls, or its futures, are not in [traces](mod@trace).
/// - `crate = path`: where this crate is, if it is not at `::profiled`.
///
/// ```
/// # use profiled::profiled;
/// #[profiled(labels(route = path, "user id" = user.unwrap_or(0)))]
/// async fn handle(path: &str, user: Option<u64>) -> usize {
///     path.len() + user.map_or(0, |_| 1)
/// }
/// # drop(handle("/", None));
/// ```
///
/// # Names
///
/// | where the function stands | name |
/// |---|---|
/// | in a module | `shop::cart::checkout` |
/// | in `impl Cart` or `impl<T> Cart<T>` | `shop::cart::Cart::checkout` |
/// | in `impl Cart<u32>` | `shop::cart::Cart<u32>::checkout` |
/// | in `impl Drop for Cart` | `shop::cart::<Cart as Drop>::drop` |
/// | in `trait Store`, with a default body | `shop::cart::Store::get` |
/// | in another function | `shop::cart::checkout::inner` |
///
/// The module is the one that the code stands in. A generic function is one profile. Where a name is taken, the later
/// one has its place in the source added. The type's name comes from the compiler in a form that is not promised;
/// should that ever change, a method goes by `module::function`.
///
/// # What it leaves alone
///
/// The body runs as it did: early returns, `?`, panics, the order in which things are dropped, `#[track_caller]`, and
/// whether a future is `Send`. (One exception: what a pattern of an `async fn`'s argument leaves unbound, the second half
/// of `(a, _)`, is dropped after the others.) A function that returns the future of an `async` block (`-> impl Future`, or in `Box::pin`, as
/// `async_trait` makes it) is measured as that future.
///
/// Lints say what they said: that nobody calls it, that an argument is unused. Only three of clippy's do not, for the
/// function is no longer what they look for: `missing_const_for_fn`, `unused_async` and `manual_async_fn`.
///
/// It cannot be on a `const fn`, on a method without a body, or on anything that is neither function nor `impl` block.
///
/// Without the feature `enabled` the item stays as it is, token by token, and arguments are not looked at.
pub use profiled_macros::profiled;
