//! Profiles that the program fills itself: what `add` was called for and not yet removed.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::fork::{Guard, Lock};
use crate::label;
use crate::record::ValueType;
use crate::snapshot::{self, Meta, Places, Row, Shape, Snapshot};
use crate::stack;
use crate::store::{Labels, Stack};

/// What tells one member of a custom profile from another: a number, a hash of a text, or an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Inner);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Inner {
    Number(u128),
    Text(u64, u64),
    Address(usize),
    /// Given out by `track`, apart from all that a program could choose.
    Serial(u64),
}

impl Key {
    /// The key that is this value's address: good for as long as the value stays where it is.
    pub fn of<T: ?Sized>(value: &T) -> Key {
        Key(Inner::Address(std::ptr::from_ref(value).addr()))
    }
}

macro_rules! from_integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Key {
            fn from(number: $integer) -> Key {
                // Sign extension keeps -1 apart from every number that is not -1 in any type.
                Key(Inner::Number(number as u128))
            }
        }
    )*};
}
from_integers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let hash = |seed: u64| {
            let mut hasher = DefaultHasher::new();
            (seed, text).hash(&mut hasher);
            hasher.finish()
        };
        // 128 bits: two texts that share them will not be met.
        Key(Inner::Text(hash(0), hash(1)))
    }
}

impl From<&String> for Key {
    fn from(text: &String) -> Key {
        Key::from(text.as_str())
    }
}

impl<T> From<*const T> for Key {
    fn from(pointer: *const T) -> Key {
        Key(Inner::Address(pointer.addr()))
    }
}

/// The members of one custom profile.
pub(crate) struct Members {
    map: Lock<BTreeMap<Key, (Stack, Labels)>>,
}

impl Members {
    pub(crate) const fn new() -> Members {
        Members { map: Lock::new(BTreeMap::new()) }
    }

    /// Map operations only; nothing of the program's runs under it.
    fn lock(&self) -> Guard<'_, BTreeMap<Key, (Stack, Labels)>> {
        self.map.lock()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// `skip` callers are left out of the stack, this function itself not counted.
    #[inline(never)]
    pub(crate) fn add(&self, key: Key, skip: usize) -> Result<()> {
        // If this is the first stack of the process, the tables it needs are not the program's memory.
        stack::prepare();
        let member = (stack::capture_interned(skip + 1), label::interned());
        match self.lock().entry(key) {
            std::collections::btree_map::Entry::Occupied(_) => Err(Error::DuplicateKey),
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(member);
                Ok(())
            }
        }
    }

    pub(crate) fn remove(&self, key: Key) -> bool {
        self.lock().remove(&key).is_some()
    }

    #[inline(never)]
    pub(crate) fn track(&'static self, skip: usize) -> Tracked {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let key = Key(Inner::Serial(NEXT.fetch_add(1, Ordering::Relaxed)));
        _ = self.add(key, skip + 1);
        Tracked { member: Some((self, key)) }
    }

    pub(crate) fn snapshot(&self, name: &'static str) -> Snapshot {
        let rows = self
            .lock()
            .values()
            .map(|&(stack, labels)| Row {
                key: snapshot::Key { labels, ..snapshot::Key::of(stack) },
                values: [1, 0, 0, 0],
            })
            .collect();
        let count = ValueType::new(name, "count");
        let meta = Meta {
            profile: name,
            value_types: vec![count],
            period: (count, 1),
            places: Places::Hooked,
            shape: Shape::Count,
            time: SystemTime::now(),
            ..Meta::default()
        };
        Snapshot::new(meta, rows, stack::modules())
    }
}

/// A member of a custom profile for as long as this value lives.
#[must_use = "dropping it removes the member at once"]
pub struct Tracked {
    member: Option<(&'static Members, Key)>,
}

impl Tracked {
    pub(crate) fn nothing() -> Tracked {
        Tracked { member: None }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if let Some((members, key)) = self.member {
            members.remove(key);
        }
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked").finish_non_exhaustive()
    }
}

/// A profile of your own, found by [`lookup`](crate::lookup) from the first moment on:
///
/// ```
/// profiled::profile! { pub static CONNS = "example.com/conns"; }
///
/// let conn = CONNS.track();            // a member, with this stack, until it is dropped
/// # #[cfg(feature = "enabled")]
/// assert_eq!(profiled::lookup("example.com/conns").unwrap().count(), 1);
/// drop(conn);
/// ```
#[macro_export]
macro_rules! profile {
    ($($(#[$attribute:meta])* $visibility:vis static $id:ident = $name:expr);+ $(;)?) => {$(
        $(#[$attribute])*
        $visibility static $id: $crate::Profile = $crate::Profile::custom(
            $name,
            $crate::__private::Place {
                file: ::core::file!(),
                line: ::core::line!(),
                column: ::core::column!(),
            },
        );
        $crate::__private::submit! { $crate::__private::Entry::Profile(&$id) }
    )+};
    ($($other:tt)*) => {
        ::core::compile_error!("`profile!` takes\n    profile! { static ID = \"name\"; .. }");
    };
}
