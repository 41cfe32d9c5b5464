//! Plain values that cross the borders between rooms.

/// What one value of a sample counts, and in what unit: `alloc_space` in `bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ValueType {
    /// The name pprof shows, such as `alloc_space` or `delay`.
    pub name: &'static str,
    /// The unit: `count`, `bytes` or `nanoseconds`.
    pub unit: &'static str,
}

impl ValueType {
    /// A value type of this name and unit.
    pub const fn new(name: &'static str, unit: &'static str) -> Self {
        ValueType { name, unit }
    }
}

/// The value of a label: text, or a number with its unit (empty when it has none).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LabelValue<'a> {
    /// A text.
    Str(&'a str),
    /// A number, and its unit or `""`.
    Num(i64, &'a str),
}

/// Where a profile comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One of this crate's own: `heap`, `mutex`, ..
    Predefined,
    /// A function that `#[profiled]` marks.
    Function,
    /// A lock that `profile_mutex!` or a typed wrapper made.
    Lock,
    /// Made with [`profile!`](crate::profile!).
    Custom,
}

/// How a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Gzipped protobuf, what `pprof` and every scraper read.
    Pprof,
    /// Text in the shape of Go's `debug=1`.
    Text,
    /// Text in the shape of Go's `debug=2`.
    Verbose,
    /// One line a stack, `root;..;leaf value`, for flame graph tools: the value that tools show first (of `heap`
    /// `inuse_space`, of `cpu` nanoseconds), in its own unit, greatest first. Rows that differ only in labels, lines or
    /// addresses are one. In names `;` is written `:` and control characters as spaces; a space that would make a
    /// number at a name's end look like a value is written `_`.
    Folded,
    /// A flame graph of what [`Folded`](Self::Folded) has, as an image that browsers search and zoom. What is thinner
    /// than a ten thousandth of it is not drawn. Needs the feature `flamegraph`, otherwise
    /// [`Error::Unsupported`](crate::Error::Unsupported).
    Svg,
}

/// Addresses that no code can have: they stand in a stack for what is not a place in the program.
///
/// The first page is never mapped, so that a small number cannot be mistaken for an instruction.
#[cfg(feature = "enabled")]
pub(crate) mod pseudo {
    /// The stack goes on towards the root, but was not followed further.
    pub(crate) const TRUNCATED: u64 = 1;
    /// Samples that were dropped for want of room.
    pub(crate) const LOST: u64 = 2;
    /// Rows that were folded together because there were too many.
    pub(crate) const OTHER: u64 = 3;
    /// From the release of a lock until the waiter that it woke ran: nobody held it.
    pub(crate) const WAKE_UP: u64 = 4;
    /// CPU time that could not be given to a place.
    pub(crate) const UNATTRIBUTED: u64 = 5;
    /// No stack was taken.
    pub(crate) const UNKNOWN: u64 = 6;
    /// Nobody knows who started the thread.
    pub(crate) const UNKNOWN_CREATOR: u64 = 7;

    /// Between a task's frames and those of who awaits it, until its names are looked up.
    pub(crate) const AWAITED_BY: u64 = 8;

    /// In place of the stack of a thread that was not asked for it: what it is at, the first of [`STATES`].
    pub(crate) const STATE: u64 = 64;

    /// Of a future that was not polled yet.
    pub(crate) const NEW: u64 = STATE + 20;
    /// Of one that waits, nobody knows where.
    pub(crate) const PENDING: u64 = STATE + 21;
    /// Of one that is to be polled again.
    pub(crate) const WOKEN: u64 = STATE + 22;

    /// What a thread, and what a future can be at.
    pub(crate) const STATES: [&str; 23] = [
        "[running]",
        "[waiting]",
        "[futex]",
        "[epoll]",
        "[poll]",
        "[sleep]",
        "[read]",
        "[write]",
        "[sync]",
        "[accept]",
        "[connect]",
        "[receive]",
        "[send]",
        "[wait for a process]",
        "[io_uring]",
        "[wait for a signal]",
        "[uninterruptible]",
        "[stopped]",
        "[traced]",
        "[zombie]",
        "[new]",
        "[pending]",
        "[woken]",
    ];

    /// The name to show for `address`, if it is one of these.
    pub(crate) fn name(address: u64) -> Option<&'static str> {
        Some(match address {
            STATE.. => return STATES.get((address - STATE) as usize).copied(),
            TRUNCATED => "[truncated]",
            LOST => "[lost]",
            OTHER => "[other]",
            WAKE_UP => "[wake-up]",
            AWAITED_BY => "[awaited by]",
            UNATTRIBUTED => "[unattributed]",
            UNKNOWN => "[unknown]",
            UNKNOWN_CREATOR => "[unknown creator]",
            _ => return None,
        })
    }
}

/// A rate, and what it counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg(feature = "enabled")]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server asks"))]
pub(crate) struct Rate {
    pub(crate) value: u64,
    pub(crate) unit: &'static str,
}

/// A figure on the profiler itself. Its name is one that Prometheus takes, without what all of them begin with.
#[derive(Clone, Debug, PartialEq)]
#[cfg(feature = "enabled")]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server asks"))]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) value: f64,
    /// It only grows while the process lives.
    pub(crate) grows: bool,
}

#[cfg(feature = "enabled")]
impl Fact {
    /// What is so or is not, or how much there is now.
    pub(crate) fn now(name: &'static str, help: &'static str, value: impl Into<f64>) -> Fact {
        Fact { name, help, value: value.into(), grows: false }
    }

    /// How often something happened so far.
    pub(crate) fn so_far(name: &'static str, help: &'static str, count: u64) -> Fact {
        Fact { name, help, value: count as f64, grows: true }
    }
}
