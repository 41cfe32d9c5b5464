#![expect(unsafe_code, reason = "a handler notes a static site as a pointer")]
//! From the ring to what a session holds.
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::ring::Record;
use crate::record::{ValueType, pseudo};
use crate::snapshot::{self, Meta, Places, Row, Shape, Snapshot};
use crate::store::{Labels, Stack};
use crate::sys::clock::tick;
use crate::{clock, rate, stack};

/// Rows of one session. What comes beyond goes to `[other]`: with the map's overhead the bound is 6 MB.
const MAX_ROWS: usize = 1 << 16;

/// Where those wait who await a task, by the number of the nearest.
pub(super) type Awaiting = HashMap<u64, Vec<Stack>>;

/// So many are remembered.
const MAX_AWAITING: usize = 4096;

/// What one session has sampled.
#[derive(Clone)]
pub(super) struct Aggregate {
    /// Nanoseconds between two samples of this session.
    period: u64,
    rows: HashMap<snapshot::Key, u64>,
    /// Time since the session's last sample. The sampler may run faster than the session asked: every `period`
    /// one of its samples is taken, whichever that falls on, from a random start.
    phase: u64,
    /// Time that was sampled or lost.
    accounted: u64,
    /// Samples that found no room in the ring.
    lost: u64,
    /// Time of threads that block the signal.
    blocked: u64,
    truncated: u64,
}

/// What there is to say about a session.
pub(super) struct About {
    pub(super) hz: u32,
    pub(super) wall: bool,
    pub(super) continuous: bool,
    pub(super) time: SystemTime,
    pub(super) duration: Duration,
    /// The process's CPU time meanwhile.
    pub(super) cpu: u64,
    pub(super) comments: Vec<String>,
}

impl Aggregate {
    pub(super) fn new(period: u64) -> Aggregate {
        Aggregate {
            period,
            rows: HashMap::new(),
            phase: rate::Random::new(clock::ticks()).next() % period,
            accounted: 0,
            lost: 0,
            blocked: 0,
            truncated: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A sample that stands for `time` nanoseconds. Its key is asked for only if it is taken.
    pub(super) fn add(&mut self, time: u64, key: impl FnOnce() -> snapshot::Key) {
        let samples = self.take(time);
        if samples == 0 {
            return;
        }
        let key = key();
        if key.stack.addresses().last() == Some(&pseudo::TRUNCATED) {
            self.truncated += samples;
        }
        let full = self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key);
        let key = if full { snapshot::Key::of(Stack::other()) } else { key };
        *self.rows.entry(key).or_default() += samples;
    }

    /// Samples that found no room in the ring.
    pub(super) fn add_lost(&mut self, time: u64) {
        self.lost += self.add_missing(time);
    }

    /// Time of threads that block the signal.
    pub(super) fn add_blocked(&mut self, time: u64) {
        self.blocked += self.add_missing(time) * self.period;
    }

    fn add_missing(&mut self, time: u64) -> u64 {
        let samples = self.take(time);
        if samples > 0 {
            *self.rows.entry(snapshot::Key::of(Stack::pseudo(pseudo::LOST))).or_default() += samples;
        }
        samples
    }

    fn take(&mut self, time: u64) -> u64 {
        self.phase += time;
        let samples = self.phase / self.period;
        self.phase %= self.period;
        self.accounted += samples * self.period;
        samples
    }

    /// The rows, and in the comments whether they account for the process's own clock.
    pub(super) fn snapshot(&self, name: &'static str, about: About) -> Snapshot {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let mut comments = vec![if about.wall {
            format!(
                "sampled at {} Hz of the wall clock: {:.3} s of threads",
                about.hz,
                seconds(self.accounted)
            )
        } else {
            format!(
                "sampled at {} Hz: {:.3} s of {:.3} s CPU time accounted for ({:.3})",
                about.hz,
                seconds(self.accounted),
                seconds(about.cpu),
                if about.cpu == 0 { 1.0 } else { self.accounted as f64 / about.cpu as f64 },
            )
        }];
        comments.push(format!("{} samples lost, {} truncated", self.lost, self.truncated));
        if self.blocked > 0 {
            comments.push(format!("{:.3} s in threads that block SIGPROF", seconds(self.blocked)));
        }
        comments.extend(about.comments);
        comments.extend(crate::label::losses());
        comments.extend(1_000_000_000_u64.checked_div(tick()).map(|hz| format!("kernel tick {hz} Hz")));
        comments.extend(crate::sys::process::kernel_release().map(|release| format!("kernel {release}")));
        let rows = self
            .rows
            .iter()
            .map(|(&key, &samples)| Row {
                key,
                values: [samples as i64, (samples * self.period) as i64, 0, 0],
            })
            .collect();
        let duration = (!about.continuous).then_some(about.duration.max(Duration::from_nanos(1)));
        let time = if about.continuous { SystemTime::now() } else { about.time };
        let meta = Meta { time, duration, comments, ..meta(name, about.wall, self.period) };
        Snapshot::new(meta, rows, stack::modules())
    }
}

/// The profile `cpu` while nobody switched it on.
pub(super) fn nothing(name: &'static str) -> Snapshot {
    let comments = vec!["continuous CPU sampling is off: cpu::set_continuous(19) switches it on".to_owned()];
    let meta = Meta { time: SystemTime::now(), comments, ..meta(name, false, 0) };
    Snapshot::new(meta, Vec::new(), stack::modules())
}

fn meta(name: &'static str, wall: bool, period: u64) -> Meta {
    let time = ValueType::new(if wall { "wall" } else { "cpu" }, "nanoseconds");
    Meta {
        profile: name,
        value_types: vec![ValueType::new("samples", "count"), time],
        period: (time, period as i64),
        places: Places::Code,
        shape: Shape::Count,
        cumulative: true,
        ..Meta::default()
    }
}

/// Interns what a handler noted.
pub(super) fn key_of(record: &Record) -> snapshot::Key {
    // SAFETY: null, or one of the statics that the thread's scopes hold.
    let scope = unsafe { record.scope.as_ref() };
    let labels = record.labels.get(..record.label_bytes).unwrap_or_default();
    snapshot::Key {
        labels: Labels::intern(labels),
        scope: crate::hook::function::name_of(scope),
        ..snapshot::Key::of(record.frames.intern())
    }
}

/// The name of the task that was polled.
pub(super) fn task_of(record: &Record) -> Option<&'static str> {
    // SAFETY: null, or one of the statics that slots of futures hold.
    crate::hook::function::name_of(unsafe { record.task.as_ref() })
}

/// The stack with what polled the task, the executor and its thread, replaced by those who await it; the same where there
/// is no task. Who awaits it may run or be gone by now: then it is where it was seen last, as `seen` has it.
pub(super) fn stack_of_task(record: &Record, whole: Stack, seen: &mut Option<Awaiting>) -> Stack {
    let frames = &record.frames;
    // There is always more: a walk that did not come so far is no task's.
    if record.own >= frames.len {
        return whole;
    }
    let Some(own) = frames.addresses().get(..record.own as usize).filter(|own| !own.is_empty()) else {
        return whole;
    };
    let now = crate::hook::task::awaiting(record.parent);
    let seen = seen.get_or_insert_default();
    if !now.is_empty() {
        if seen.len() >= MAX_AWAITING {
            seen.clear();
        }
        seen.insert(record.parent, now);
    }
    let awaiting = seen.get(&record.parent).map(Vec::as_slice).unwrap_or_default();
    let awaiting = awaiting.iter().flat_map(|stack| [pseudo::AWAITED_BY].iter().chain(stack.addresses()));
    let addresses: Vec<u64> = own.iter().chain(awaiting).copied().take(stack::MAX_FRAMES).collect();
    Stack::intern(&addresses, frames.epoch)
}

/// The labels `state`, `task` and `thread`, as far as there are any.
pub(super) fn tags(state: Option<&str>, task: Option<&str>, thread: Option<&str>) -> Labels {
    let pairs = [("state", state), ("task", task), ("thread", thread)];
    let known: Vec<_> = pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    if known.is_empty() { Labels::none() } else { Labels::of(&known) }
}
