//! What the attribute's expansions name. They are there although the attribute expands to nothing: a build
//! dependency can turn `profiled-macros/enabled` on while this crate is off, for cargo gives a procedural macro the
//! features of all its users.
use std::fmt::Display;

use super::label::Scope as LabelScope;

/// A place in source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place;

/// How a function's name would be made.
#[derive(Clone, Copy, Debug)]
pub enum Name {
    /// `name = ".."`.
    Literal(&'static str),
    /// `name = ".."` on an `impl` block.
    Prefixed(&'static str, &'static str),
    /// The path.
    Path {
        /// `module_path!()`.
        module: &'static str,
        /// The function's identifier.
        function: &'static str,
        /// `type_name` of an item inside the body.
        item: fn() -> &'static str,
    },
}

impl Name {
    /// Of a function in `module`, with an item of its body.
    pub const fn path<Item: Copy>(_module: &'static str, function: &'static str, _item: Item) -> Name {
        Name::Literal(function)
    }

    /// The site of this name.
    pub const fn here(self) -> FunctionSite {
        FunctionSite
    }
}

/// A function that `#[profiled]` marks.
#[derive(Debug)]
pub struct FunctionSite;

impl FunctionSite {
    /// A site at this place.
    pub const fn new(_name: Name, _file: &'static str, _line: u32, _column: u32) -> Self {
        FunctionSite
    }

    /// The same.
    pub const fn untraced(self) -> Self {
        self
    }
}

/// A message to no trace.
#[inline(always)]
pub const fn log_formatted(_category: &'static str, _message: std::fmt::Arguments<'_>) {}

/// What would be submitted.
#[derive(Debug)]
#[non_exhaustive]
pub enum Entry {
    /// `#[profiled]`.
    Function(&'static FunctionSite),
}

/// The scope of a function.
#[derive(Debug)]
pub struct Scope;

impl Drop for Scope {
    #[inline(always)]
    fn drop(&mut self) {}
}

/// The first statement of a body.
#[inline(always)]
pub fn enter(_site: &'static FunctionSite) -> Scope {
    Scope
}

/// The body of an async function, itself.
#[derive(Debug)]
pub struct Polled;

impl Polled {
    /// What the attribute wraps the body with.
    #[inline(always)]
    #[expect(clippy::new_ret_no_self, reason = "off, a future is left as it is")]
    pub fn new<F>(_site: &'static FunctionSite, future: F) -> F {
        future
    }
}

/// The labels of a call.
#[derive(Clone, Debug)]
pub struct Set;

impl Set {
    /// A copy of the labels in force.
    #[inline(always)]
    pub const fn inherit() -> Set {
        Set
    }

    /// Sets one.
    #[inline(always)]
    pub fn insert(&mut self, _key: &str, _value: &(impl Display + ?Sized)) {}

    /// Puts them in force.
    #[inline(always)]
    pub const fn enter(&self) -> LabelScope {
        LabelScope::enter()
    }
}

/// A future with labels, itself.
#[derive(Debug)]
pub struct Labelled;

impl Labelled {
    /// What the attribute wraps it with.
    #[inline(always)]
    #[expect(clippy::new_ret_no_self, reason = "off, a future is left as it is")]
    pub fn new<F>(_set: Set, future: F) -> F {
        future
    }
}

/// A value of the type that an asynchronous function returns, in code that never runs.
pub fn never<T>() -> T {
    loop {
        std::hint::spin_loop();
    }
}

/// Would register a site.
pub const fn register(_site: &'static FunctionSite) {}

/// Registers nothing.
#[doc(hidden)]
#[macro_export]
macro_rules! __profiled_register {
    ($site:ident, $start:ident) => {
        const _: extern "C" fn() = $start;
    };
}

/// Submits nothing.
#[doc(hidden)]
#[macro_export]
macro_rules! __profiled_submit {
    ($($entry:tt)*) => {};
}

/// Code for tests of this half.
#[doc(hidden)]
#[macro_export]
macro_rules! __profiled_when_off {
    ($($code:tt)*) => { $($code)* };
}
