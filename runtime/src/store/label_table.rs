//! Each label set that a sample was taken under, once.
//!
//! A set that no sample met is never here: request ids may come by the million, and only the sampled ones stay.
use std::{fmt, ptr, str};

use super::intern::{Record, Table};

/// Distinct sets that are kept, 20 MB of them at the most. Beyond it samples go unlabelled, and are counted.
const MAX_SETS: usize = 1 << 16;

static SETS: Table<u8, (), MAX_SETS> = Table::new();
static EMPTY: Record<u8> = Record::empty();

/// An interned set of labels, sorted by key.
///
/// The bytes are those of `label::Set`: for each pair a length byte and the key, then a length byte and the value.
#[derive(Clone, Copy)]
pub(crate) struct Labels(&'static Record<u8>);

impl Labels {
    /// The set without labels.
    pub(crate) const fn none() -> Labels {
        Labels(&EMPTY)
    }

    /// The one set of this encoding.
    pub(crate) fn intern(encoded: &[u8]) -> Labels {
        if encoded.is_empty() {
            return Labels::none();
        }
        SETS.intern(encoded, 0).map_or(Labels::none(), Labels)
    }

    /// The same as long as more than half of all sets that can be kept are still to come; else the set without labels.
    pub(crate) fn intern_if_ample(encoded: &[u8]) -> Labels {
        if SETS.count() < MAX_SETS / 2 { Labels::intern(encoded) } else { Labels::none() }
    }

    /// The one set of these pairs, which come sorted by key. Texts are cut at 255 bytes.
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Labels {
        let mut encoded = Vec::new();
        for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
            let length = (0..=text.len().min(255)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            encoded.push(length as u8);
            encoded.extend_from_slice(&text.as_bytes()[..length]);
        }
        Labels::intern(&encoded)
    }

    /// What it was interned from.
    pub(crate) fn encoded(self) -> &'static [u8] {
        self.0.elements()
    }

    /// The pairs, by key.
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        pairs(self.0.elements())
    }

    /// A number that is this set's alone for as long as the process lives.
    pub(crate) fn id(self) -> usize {
        ptr::from_ref(self.0).addr()
    }

    /// How many samples lost their labels because there were too many different sets.
    pub(crate) fn dropped() -> usize {
        SETS.refused()
    }
}

/// The pairs of an encoded set.
pub(crate) fn pairs(mut encoded: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    fn text<'a>(encoded: &mut &'a [u8]) -> Option<&'a str> {
        let (&length, rest) = encoded.split_first()?;
        let (text, rest) = rest.split_at_checked(length as usize)?;
        *encoded = rest;
        str::from_utf8(text).ok()
    }
    std::iter::from_fn(move || Some((text(&mut encoded)?, text(&mut encoded)?)))
}

impl PartialEq for Labels {
    fn eq(&self, other: &Labels) -> bool {
        ptr::eq(self.0, other.0)
    }
}

impl Eq for Labels {}

impl std::hash::Hash for Labels {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
