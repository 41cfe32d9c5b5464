//! What is alive: threads, one by one, as a dump found them, and the rows of a profile that they make.
use std::time::Duration;

use crate::snapshot::{Key, Row};
use crate::store::Labels;

/// What a unit of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    #[cfg_attr(
        all(profiled_portable, not(test)),
        expect(dead_code, reason = "the portable backend dumps no threads")
    )]
    Thread,
}

impl Kind {
    /// The word that stands for it in headers and in the label `kind`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Thread => "thread",
        }
    }
}

/// One that was alive.
#[derive(Clone, Debug)]
pub(crate) struct Alive {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) name: String,
    /// `running`, or what it waits in: `futex`, `epoll`, ..
    pub(crate) state: &'static str,
    /// For how long, if that is known.
    pub(crate) wait: Option<Duration>,
    /// Its stack, its labels, its scope.
    pub(crate) key: Key,
    /// Why there is no stack of it.
    pub(crate) missing: Option<&'static str>,
    /// It is of this crate.
    #[cfg_attr(profiled_portable, expect(dead_code, reason = "the portable backend dumps no threads"))]
    pub(crate) ours: bool,
}

/// What rows say of alive besides stack and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    /// Nothing.
    None,
    /// `kind` and `state`.
    Kind,
    /// These, and the name as `thread`.
    Name,
    /// These, and the numbers `id` and `wait_ns`: a row for each.
    Id,
}

/// A row for each, of which those of one key are still to be merged.
pub(crate) fn rows(alive: &[Alive], tags: Tags) -> Vec<Row> {
    alive.iter().map(|one| Row { key: one.tagged(tags), values: [1, 0, 0, 0] }).collect()
}

impl Alive {
    fn tagged(&self, tags: Tags) -> Key {
        let kind = [("kind", self.kind.word()), ("state", self.state)];
        let named = [kind[0], kind[1], ("thread", self.name.as_str())];
        let key = match tags {
            Tags::None => return self.key,
            Tags::Kind => Key { tags: Labels::of(&kind), ..self.key },
            Tags::Name | Tags::Id => Key { tags: Labels::of(&named), ..self.key },
        };
        if tags != Tags::Id {
            return key;
        }
        let wait = self.wait.map(|wait| i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX));
        Key { id: i64::try_from(self.id).ok(), wait, ..key }
    }
}
