//! The registry, which is empty.
use std::fmt;
use std::io;

use super::Snapshot;
use crate::error::Result;
use crate::record::Kind;

/// A named collection of samples: switched off, the name.
pub struct Profile {
    name: &'static str,
}

/// The profile of this name: there is none.
#[inline(always)]
pub fn lookup(_name: &str) -> Option<&'static Profile> {
    None
}

/// All profiles: none.
#[inline(always)]
pub fn profiles() -> Vec<&'static Profile> {
    Vec::new()
}

impl Profile {
    /// What `profile!` makes.
    #[doc(hidden)]
    pub const fn custom(name: &'static str) -> Self {
        Profile { name }
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        self.name
    }

    /// One sentence on what it holds.
    pub fn help(&self) -> &str {
        "Stack traces of what `add` was called for"
    }

    /// Where it comes from.
    pub fn kind(&self) -> Kind {
        Kind::Custom
    }

    /// How much is in it: nothing.
    pub fn count(&self) -> usize {
        0
    }

    /// An empty copy.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }

    /// Writes nothing.
    ///
    /// # Errors
    /// None.
    #[inline(always)]
    pub fn write_to(&self, _w: impl io::Write, _debug: u32) -> Result<()> {
        Ok(())
    }

    /// Adds nothing.
    ///
    /// # Errors
    /// None.
    #[inline(always)]
    pub fn add(&self, _key: impl Into<Key>, _skip: usize) -> Result<()> {
        Ok(())
    }

    /// Removes nothing, and says so.
    #[inline(always)]
    pub fn remove(&self, _key: impl Into<Key>) -> bool {
        false
    }

    /// Adds nothing.
    #[must_use = "dropping it removes the member at once"]
    #[inline(always)]
    pub fn track(&'static self) -> Tracked {
        Tracked { nothing: () }
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.name)
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// What tells one member of a custom profile from another: switched off, all keys are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(());

impl Key {
    /// The key that is this value's address.
    #[inline(always)]
    pub fn of<T: ?Sized>(_value: &T) -> Key {
        Key(())
    }
}

macro_rules! from {
    ($($type:ty)*) => {$(
        impl From<$type> for Key {
            #[inline(always)]
            fn from(_: $type) -> Key {
                Key(())
            }
        }
    )*};
}
from!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize &str &String);

impl<T> From<*const T> for Key {
    #[inline(always)]
    fn from(_: *const T) -> Key {
        Key(())
    }
}

/// A member of a custom profile for as long as this value lives: switched off, nothing.
#[must_use = "dropping it removes the member at once"]
pub struct Tracked {
    nothing: (),
}

impl Drop for Tracked {
    #[inline(always)]
    fn drop(&mut self) {
        self.nothing
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked").finish_non_exhaustive()
    }
}

/// A profile of your own: switched off, a name that nothing is recorded under.
///
/// ```
/// profiled::profile! { pub static CONNS = "example.com/conns"; }
///
/// let conn = CONNS.track();
/// drop(conn);
/// ```
#[macro_export]
macro_rules! profile {
    ($($(#[$attribute:meta])* $visibility:vis static $id:ident = $name:expr);+ $(;)?) => {$(
        $(#[$attribute])*
        $visibility static $id: $crate::Profile = $crate::Profile::custom($name);
    )+};
    ($($other:tt)*) => {
        ::core::compile_error!("`profile!` takes\n    profile! { static ID = \"name\"; .. }");
    };
}
