//! A consistent, owned, sorted copy of a profile, and the difference of two.
//!
//! A snapshot copies values and nothing else: its stacks and labels are interned records that never change, so
//! that taking one of 100 000 rows costs a third of a millisecond and names are looked up only if somebody asks.
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::alive::{self, Alive, Tags};
use crate::error::{Error, Result};
use crate::module::ModuleMap;
use crate::record::{LabelValue, ValueType};
use crate::store::{Labels, Stack};

/// Profiles have at most four values a sample.
pub(crate) const MAX_VALUES: usize = 4;

/// What the addresses of a snapshot's stacks are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Places {
    /// Instructions.
    #[default]
    Code,
    /// Instructions, where the frames of our own hooks and of the allocator's plumbing are cut off at the leaf.
    Hooked,
    /// The same, where those of the standard library's containers are cut off, too.
    HookedQuietly,
    /// The same as `Hooked`, where those of whoever keeps a waker are cut off, too.
    Parked,
    /// Instructions, where what starts threads is cut off at the leaf.
    Starting,
    /// Sites that `#[profiled]` marked: `site::by_address` knows them.
    Scopes,
}

/// The shape of the text form: Go's shapes, so that what reads Go's text reads ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `heap profile: ..`: four values a row.
    Heap,
    /// `--- contention:` (block) and `--- mutex:`.
    Contention { mutex: bool },
    /// `NAME profile: total N`: one count a row.
    #[default]
    Count,
    /// The snapshot's own [`Table`].
    Table,
    /// As `Count`, with the snapshot's own [`Part`]s in place of the rows.
    Report,
}

/// A part of a text that is a story and not a list of rows. All of it but the rows is a comment to those who read rows.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Line(String),
    Stack(Stack),
    /// One of the snapshot's rows.
    Row(Row),
    /// Told in full texts only.
    InFull(Box<Part>),
}

/// Figures beside the samples, for people: one row a function or a lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// The columns after the name.
    pub(crate) columns: &'static [Column],
    /// Each row's name and a cell for every column; `None` where there is nothing to say.
    pub(crate) rows: Vec<(String, Vec<Option<f64>>)>,
}

/// A column of a [`Table`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
}

/// How a cell reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    Nanoseconds,
    Bytes,
    Percent,
}

/// What is true of a whole snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    /// The profile's name.
    pub(crate) profile: &'static str,
    pub(crate) value_types: Vec<ValueType>,
    /// The index of the value type that tools show first; `None` leaves it to them (they take the last).
    pub(crate) default_type: Option<usize>,
    pub(crate) period: (ValueType, i64),
    pub(crate) places: Places,
    pub(crate) shape: Shape,
    pub(crate) time: SystemTime,
    /// `Some` exactly for windows: CPU sessions and deltas.
    pub(crate) duration: Option<Duration>,
    pub(crate) comments: Vec<String>,
    /// Comments that text forms have at their end.
    pub(crate) footer: Vec<String>,
    /// Values only grow while the process lives, so that a difference of two snapshots is a window.
    pub(crate) cumulative: bool,
    pub(crate) table: Option<Table>,
    pub(crate) report: Vec<Part>,
    /// Text has the waits of idle threads, too.
    pub(crate) shows_idle: bool,
}

impl Default for Meta {
    fn default() -> Self {
        Meta {
            profile: "",
            value_types: Vec::new(),
            default_type: None,
            period: (ValueType::default(), 0),
            places: Places::default(),
            shape: Shape::default(),
            time: SystemTime::UNIX_EPOCH,
            duration: None,
            comments: Vec::new(),
            footer: Vec::new(),
            cumulative: false,
            table: None,
            report: Vec::new(),
            shows_idle: false,
        }
    }
}

/// What tells one row from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) stack: Stack,
    /// The labels that the program had set.
    pub(crate) labels: Labels,
    /// The size of the blocks, in heap profiles: label `bytes`.
    pub(crate) bytes: Option<i64>,
    /// The lock's name: label `lock`.
    pub(crate) lock: Option<&'static str>,
    /// The innermost `#[profiled]` scope: label `profiled`.
    pub(crate) scope: Option<&'static str>,
    /// What we have to say ourselves: the labels `state` and `thread`, or `wait` and `idle`.
    pub(crate) tags: Labels,
    /// A stack by whose names `tags` are yet to be found: see `symbol::wait`.
    pub(crate) waits_in: Option<Stack>,
    /// The stack that started it, by whose names the label `created_by` is yet to be found: see `symbol::creator`.
    pub(crate) creator: Option<Stack>,
    /// The number of a thread: label `id`.
    pub(crate) id: Option<i64>,
    /// For how long it has been waiting, in nanoseconds: label `wait_ns`.
    pub(crate) wait: Option<i64>,
}

impl Key {
    /// The key of `[other]`.
    pub(crate) fn other() -> Key {
        Key::of(Stack::other())
    }

    /// The key of a row that has nothing but its stack.
    pub(crate) fn of(stack: Stack) -> Key {
        Key {
            stack,
            labels: Labels::none(),
            bytes: None,
            lock: None,
            scope: None,
            tags: Labels::none(),
            waits_in: None,
            creator: None,
            id: None,
            wait: None,
        }
    }

    /// Whether it is a pool's thread that waits for work.
    pub(crate) fn is_idle(self) -> bool {
        self.tags.iter().any(|(key, _)| key == "idle")
    }

    fn labels(self) -> impl Iterator<Item = (&'static str, LabelValue<'static>)> + use<> {
        self.labels
            .iter()
            .map(|(key, value)| (key, LabelValue::Str(value)))
            .chain(self.bytes.map(|bytes| ("bytes", LabelValue::Num(bytes, ""))))
            .chain(self.lock.map(|lock| ("lock", LabelValue::Str(lock))))
            .chain(self.scope.map(|scope| ("profiled", LabelValue::Str(scope))))
            .chain(self.tags.iter().map(|(key, value)| (key, LabelValue::Str(value))))
            .chain(self.id.map(|id| ("id", LabelValue::Num(id, ""))))
            .chain(self.wait.map(|wait| ("wait_ns", LabelValue::Num(wait, "nanoseconds"))))
    }
}

/// One row: its key, and as many of the values as the profile has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) values: [i64; MAX_VALUES],
}

impl Row {
    /// One `[other]` for all of these. The sums stay.
    pub(crate) fn other<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Row {
        Row { key: Key::other(), values: sum(rows) }
    }
}

fn sum<'a>(rows: impl IntoIterator<Item = &'a Row>) -> [i64; MAX_VALUES] {
    let mut totals = [0_i64; MAX_VALUES];
    for row in rows {
        for (total, value) in totals.iter_mut().zip(row.values) {
            *total = total.saturating_add(value);
        }
    }
    totals
}

/// A profile as it was at one moment, or over one window: owned, sorted, complete.
///
/// Rows come with the greatest last value first. Two snapshots of the same state are equal row by row.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub(crate) meta: Meta,
    pub(crate) rows: Vec<Row>,
    pub(crate) modules: Arc<ModuleMap>,
    /// What the rows are of, where that is what is alive.
    pub(crate) alive: Vec<Alive>,
    /// The rows say more of each than its stack and its labels, by which text groups them.
    pub(crate) tagged: bool,
}

impl Snapshot {
    /// Sorts `rows`, merging those of one key, and drops what is zero throughout.
    pub(crate) fn new(meta: Meta, rows: Vec<Row>, modules: Arc<ModuleMap>) -> Snapshot {
        debug_assert!(meta.value_types.len() <= MAX_VALUES);
        let mut snapshot = Snapshot { meta, rows, modules, alive: Vec::new(), tagged: false };
        snapshot.settle();
        snapshot
    }

    /// What each of a sample's values counts, in their order.
    pub fn value_types(&self) -> &[ValueType] {
        &self.meta.value_types
    }

    /// The value that tools show first: its place among a sample's values, and what it counts. `None` of an empty
    /// profile of no kind.
    pub(crate) fn shown(&self) -> Option<(usize, ValueType)> {
        let types = &self.meta.value_types;
        let index =
            self.meta.default_type.filter(|&index| index < types.len()).or(types.len().checked_sub(1))?;
        types.get(index).map(|&kind| (index, kind))
    }

    /// The rows: a stack, its values, its labels.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = SampleRef<'_>> {
        self.rows.iter().map(|row| SampleRef { row, snapshot: self })
    }

    /// When it was taken; for a window, when that began.
    pub fn time(&self) -> SystemTime {
        self.meta.time
    }

    /// How long the window was; `None` for a state at one moment or since the start of the process.
    pub fn duration(&self) -> Option<Duration> {
        self.meta.duration
    }

    /// What lies between two samples, and how much of it: `(cpu in nanoseconds, 10 000 000)` at 100 Hz.
    pub fn period(&self) -> (ValueType, i64) {
        self.meta.period
    }

    /// What there is to say about this profile as a whole: real rates, losses, what is switched off.
    pub fn comments(&self) -> &[String] {
        &self.meta.comments
    }

    /// What happened since `earlier`, as a window that lasts from then until now.
    ///
    /// Of a profile that only grows, no value is negative. Of a state, such as a custom profile's members, the
    /// difference may be.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the two are not of the same profile with the same value types.
    #[expect(
        clippy::mutable_key_type,
        reason = "a stack is compared and hashed by its place, which never changes"
    )]
    pub fn delta(&self, earlier: &Snapshot) -> Result<Snapshot> {
        if self.meta.profile != earlier.meta.profile || self.meta.value_types != earlier.meta.value_types {
            return Err(Error::Mismatch);
        }
        let mut before: HashMap<Key, [i64; MAX_VALUES]> =
            earlier.rows.iter().map(|row| (row.key, row.values)).collect();
        let mut rows = self.rows.clone();
        for row in &mut rows {
            if let Some(values) = before.remove(&row.key) {
                for (value, old) in row.values.iter_mut().zip(values) {
                    *value = value.saturating_sub(old);
                }
            }
        }
        // Rows that are gone altogether: their last values left.
        rows.extend(
            before.into_iter().map(|(key, values)| Row { key, values: values.map(i64::saturating_neg) }),
        );
        for row in &mut rows {
            for (value, kind) in row.values.iter_mut().zip(&self.meta.value_types) {
                if self.meta.cumulative && !kind.name.starts_with("inuse") {
                    *value = (*value).max(0);
                }
            }
        }
        let elapsed = self.meta.time.duration_since(earlier.meta.time).unwrap_or_default();
        let meta = Meta {
            time: earlier.meta.time,
            duration: Some(elapsed.max(Duration::from_nanos(1))),
            table: None,
            footer: Vec::new(),
            shape: if self.meta.shape == Shape::Table { Shape::Count } else { self.meta.shape },
            ..self.meta.clone()
        };
        Ok(Snapshot::new(meta, rows, self.modules.clone()))
    }

    /// A window whose time is that of its end, as in Go.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
    pub(crate) fn dated_at_its_end(mut self) -> Snapshot {
        self.meta.time += self.meta.duration.unwrap_or_default();
        self
    }

    /// The same with nothing in it, at an earlier time.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
    pub(crate) fn nothing(&self, time: SystemTime) -> Snapshot {
        let time = time.min(self.meta.time);
        Snapshot::new(Meta { time, ..self.meta.clone() }, Vec::new(), self.modules.clone())
    }

    /// Leaves out the standard library's containers at the leaves of stacks that begin in an allocator.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
    pub(crate) fn hide_noise(&mut self) {
        if self.meta.places == Places::Hooked {
            self.meta.places = Places::HookedQuietly;
        }
    }

    /// What is alive, grouped by stack and labels alone, where its rows are not.
    pub(crate) fn grouped(&self) -> Option<Snapshot> {
        let rows = alive::rows(&self.alive, Tags::None);
        self.tagged.then(|| Snapshot::new(self.meta.clone(), rows, Arc::clone(&self.modules)))
    }

    /// The sum of the values of each type.
    pub(crate) fn totals(&self) -> [i64; MAX_VALUES] {
        sum(&self.rows)
    }

    /// Merges rows of one key, drops what is zero, and sorts.
    pub(crate) fn settle(&mut self) {
        self.settle_epochs();
        self.merge();
        let last = self.meta.value_types.len().saturating_sub(1).min(MAX_VALUES - 1);
        self.rows.retain(|row| row.values.iter().any(|&value| value != 0));
        // Ties are broken by content, never by where a record happens to lie.
        self.rows.sort_by(|a, b| {
            (Reverse(a.values[last]), Reverse(a.values))
                .cmp(&(Reverse(b.values[last]), Reverse(b.values)))
                .then_with(|| a.key.stack.addresses().cmp(b.key.stack.addresses()))
                .then_with(|| a.key.labels().cmp(b.key.labels()))
                .then_with(|| a.key.stack.epoch().cmp(&b.key.stack.epoch()))
        });
    }

    /// Stacks that were taken in different epochs, but whose modules were there all along, are one stack.
    fn settle_epochs(&mut self) {
        let last = self.rows.iter().map(|row| row.key.stack.epoch()).max().unwrap_or(0);
        if last == 0 {
            return;
        }
        let modules = Arc::clone(&self.modules);
        for row in &mut self.rows {
            let stack = row.key.stack;
            let since =
                |&address: &u64| modules.find(address, stack.epoch()).map_or(0, |module| module.first_epoch);
            let first = stack.addresses().iter().map(since).max().unwrap_or(0);
            if first != stack.epoch() && self.meta.places != Places::Scopes {
                row.key.stack = Stack::intern(stack.addresses(), first);
            }
        }
    }

    #[expect(
        clippy::mutable_key_type,
        reason = "a stack is compared and hashed by its place, which never changes"
    )]
    fn merge(&mut self) {
        let mut places: HashMap<Key, usize> = HashMap::with_capacity(self.rows.len());
        let mut merged: Vec<Row> = Vec::with_capacity(self.rows.len());
        for row in self.rows.drain(..) {
            let place = *places.entry(row.key).or_insert(merged.len());
            match merged.get_mut(place) {
                None => merged.push(row),
                Some(first) => {
                    for (sum, value) in first.values.iter_mut().zip(row.values) {
                        *sum = sum.saturating_add(value);
                    }
                }
            }
        }
        self.rows = merged;
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("profile", &self.meta.profile)
            .field("value_types", &self.meta.value_types)
            .field("samples", &self.rows.len())
            .field("time", &self.meta.time)
            .field("duration", &self.meta.duration)
            .field("comments", &self.meta.comments)
            .finish_non_exhaustive()
    }
}

/// One row of a [`Snapshot`].
#[derive(Clone, Copy, Debug)]
pub struct SampleRef<'a> {
    pub(crate) row: &'a Row,
    pub(crate) snapshot: &'a Snapshot,
}

impl<'a> SampleRef<'a> {
    /// One value for each of [`Snapshot::value_types`], unbiased.
    pub fn values(&self) -> &'a [i64] {
        &self.row.values[..self.snapshot.meta.value_types.len().min(MAX_VALUES)]
    }

    /// The stack, leaf first. A caller's address is the return address minus one: it lies in the call.
    pub fn addresses(&self) -> &'a [u64] {
        self.row.key.stack.addresses()
    }

    /// The labels, user's first.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, LabelValue<'a>)> + use<'a> {
        // Not the identity: it makes the lifetimes those of the snapshot.
        #[expect(clippy::map_identity, reason = "shortens the lifetimes")]
        self.row.key.labels().map(|pair| -> (&'a str, LabelValue<'a>) { pair })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(rows: &[(u64, [i64; 2])], seconds: u64) -> Snapshot {
        let meta = Meta {
            profile: "block",
            value_types: vec![ValueType::new("contentions", "count"), ValueType::new("delay", "nanoseconds")],
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            cumulative: true,
            ..Meta::default()
        };
        let rows = rows
            .iter()
            .map(|&(address, [count, delay])| Row {
                key: Key::of(Stack::intern(&[address], 0)),
                values: [count, delay, 0, 0],
            })
            .collect();
        Snapshot::new(meta, rows, Arc::default())
    }

    fn plain(snapshot: &Snapshot) -> Vec<(u64, Vec<i64>)> {
        snapshot.samples().map(|s| (s.addresses()[0], s.values().to_vec())).collect()
    }

    #[test]
    fn rows_of_one_key_merge_and_come_greatest_first() {
        let s = snapshot(&[(0x7000, [1, 5]), (0x8000, [1, 50]), (0x7000, [2, 10]), (0x9000, [0, 0])], 0);
        assert_eq!(plain(&s), [(0x8000, vec![1, 50]), (0x7000, vec![3, 15])]);
    }

    #[test]
    fn a_delta_is_the_window_between_and_never_negative() {
        let early = snapshot(&[(0x7000, [1, 5]), (0x9000, [4, 4])], 10);
        let late = snapshot(&[(0x7000, [3, 25]), (0x8000, [1, 1])], 14);
        let delta = late.delta(&early).unwrap();
        assert_eq!(plain(&delta), [(0x7000, vec![2, 20]), (0x8000, vec![1, 1])]);
        assert_eq!(delta.duration(), Some(Duration::from_secs(4)));
        assert_eq!(delta.time(), early.time());
        let mut other = early.clone();
        other.meta.profile = "mutex";
        assert!(matches!(late.delta(&other), Err(Error::Mismatch)));
    }
}
