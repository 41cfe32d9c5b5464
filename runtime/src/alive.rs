//! What is alive: threads and futures, one by one, as a dump found them, and the rows of a profile that they make.
use std::panic::Location;
use std::time::Duration;

use crate::snapshot::{Key, Row};
use crate::store::{Labels, Stack};

/// What a unit of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    #[cfg_attr(
        all(profiled_portable, not(test)),
        expect(dead_code, reason = "the portable backend dumps no threads")
    )]
    Thread,
    /// A future that is profiled.
    Task,
}

impl Kind {
    /// The word that stands for it in headers and in the label `kind`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Thread => "thread",
            Kind::Task => "task",
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
    /// The stack that started it, if that is known.
    pub(crate) creator: Option<Stack>,
    /// It is of this crate.
    pub(crate) ours: bool,
    /// What there is to say of a future besides.
    pub(crate) facts: Option<Facts>,
}

/// What is known of a future.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The number of the one that awaits it, or made it; 0: none that is alive.
    pub(crate) parent: u64,
    /// Where else it waits.
    pub(crate) branches: Vec<Stack>,
    pub(crate) polls: u64,
    /// In polls, estimated.
    pub(crate) busy: Duration,
    pub(crate) age: Duration,
    /// Where it was made, if that is known.
    pub(crate) maker: Option<&'static Location<'static>>,
}

/// How what is alive is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// With the stacks of threads, which have to be disturbed for them.
    pub(crate) stacks: bool,
    /// Since when threads wait, too, however many they are.
    pub(crate) times: bool,
    pub(crate) tags: Tags,
    /// With threads of ours.
    pub(crate) all: bool,
    /// Only who has been waiting for so long.
    pub(crate) stuck: Option<Duration>,
}

impl Wanted {
    /// As a snapshot has it.
    pub(crate) const ROWS: Wanted =
        Wanted { stacks: true, times: false, tags: Tags::Kind, all: false, stuck: None };
    /// As text has it, one by one.
    pub(crate) const BLOCKS: Wanted = Wanted { times: true, ..Wanted::ROWS };

    /// Whether `one` is among what is wanted.
    pub(crate) fn has(&self, one: &Alive) -> bool {
        (self.all || !one.ours) && self.stuck.is_none_or(|stuck| one.wait.is_some_and(|wait| wait >= stuck))
    }
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
    /// These, `created_by`, and the numbers `id` and `wait_ns`: a row for each.
    Id,
}

/// A row for each, of which those of one key are still to be merged.
pub(crate) fn rows(alive: &[Alive], tags: Tags) -> Vec<Row> {
    alive.iter().map(|one| Row { key: one.tagged(tags), values: [1, 0, 0, 0] }).collect()
}

impl Alive {
    fn tagged(&self, tags: Tags) -> Key {
        // In the order of their keys.
        let [kind, state] = [("kind", self.kind.word()), ("state", self.state)];
        let name = (self.kind.word(), self.name.as_str());
        let key = match (tags, self.kind) {
            (Tags::None, _) => return self.key,
            (Tags::Kind, Kind::Thread) => Key { tags: Labels::of(&[kind, state]), ..self.key },
            // Of futures many have one name.
            (Tags::Kind, Kind::Task) | (Tags::Name | Tags::Id, _) => {
                Key { tags: Labels::of(&[kind, state, name]), ..self.key }
            }
        };
        if tags != Tags::Id {
            return key;
        }
        let wait = self.wait.map(|wait| i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX));
        Key { id: i64::try_from(self.id).ok(), wait, creator: self.creator, ..key }
    }
}
