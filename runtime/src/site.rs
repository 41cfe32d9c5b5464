//! A place in source that a macro marked.
use std::sync::atomic::AtomicU32;

/// Where something stands in the source.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as the compiler was given it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// How a function's name is made.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Name {
    /// `name = ".."`.
    Literal(&'static str),
    /// `name = ".."` on an `impl` block: `prefix::function`.
    Prefixed(&'static str, &'static str),
    /// `module_path!()`, the function, and the type name of an item inside its body, which tells the type.
    Path {
        /// `module_path!()`.
        module: &'static str,
        /// The function's identifier.
        function: &'static str,
        /// `type_name` of an item inside the body.
        item: fn() -> &'static str,
    },
}

/// A function that `#[profiled]` marks: one static a function in source.
#[doc(hidden)]
#[derive(Debug)]
pub struct FunctionSite {
    pub(crate) id: AtomicU32,
    pub(crate) name: Name,
    pub(crate) place: Place,
}

impl FunctionSite {
    /// What the attribute emits.
    pub const fn new(name: Name, file: &'static str, line: u32, column: u32) -> Self {
        FunctionSite { id: AtomicU32::new(0), name, place: Place { file, line, column } }
    }
}

/// A lock that `profile_mutex!` marks: one static a place in source.
#[doc(hidden)]
#[derive(Debug)]
pub struct LockSite {
    pub(crate) id: AtomicU32,
    pub(crate) name: &'static str,
    pub(crate) place: Place,
}

impl LockSite {
    /// What `profile_mutex!` emits.
    pub const fn new(name: &'static str, file: &'static str, line: u32, column: u32) -> Self {
        LockSite { id: AtomicU32::new(0), name, place: Place { file, line, column } }
    }
}

/// The site whose address stands in a stack of scopes: its name and its place.
pub(crate) fn by_address(_address: u64) -> Option<(&'static str, Place)> {
    None
}
