#![expect(unsafe_code, reason = "a handler notes a static site as a pointer")]
//! From the ring to what a session holds.
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::ring::Record;
use crate::record::{ValueType, pseudo};
use crate::snapshot::{self, Meta, Places, Row, Shape, Snapshot};
use crate::store::{Labels, Stack};
use crate::{clock, rate, stack};

/// Rows of one session. What comes beyond goes to `[other]`: with the map's overhead the bound is 6 MB.
const MAX_ROWS: usize = 1 << 16;

/// What one session has sampled.
#[derive(Clone)]
pub(super) struct Aggregate {
    /// Nanoseconds of CPU time between two samples of this session.
    period: u64,
    rows: HashMap<snapshot::Key, u64>,
    /// CPU time since the session's last sample. The sampler may run faster than the session asked: every `period`
    /// one of its samples is taken, whichever that falls on, from a random start.
    phase: u64,
    /// CPU time that was sampled or lost.
    accounted: u64,
    lost: u64,
    truncated: u64,
}

impl Aggregate {
    pub(super) fn new(period: u64) -> Aggregate {
        Aggregate {
            period,
            rows: HashMap::new(),
            phase: rate::Random::new(clock::ticks()).next() % period,
            accounted: 0,
            lost: 0,
            truncated: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A sample that stands for `time` nanoseconds.
    pub(super) fn add(&mut self, key: snapshot::Key, time: u64) {
        let samples = self.take(time);
        if samples == 0 {
            return;
        }
        if key.stack.addresses().last() == Some(&pseudo::TRUNCATED) {
            self.truncated += samples;
        }
        let full = self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key);
        let key = if full { snapshot::Key::of(Stack::other()) } else { key };
        *self.rows.entry(key).or_default() += samples;
    }

    /// Samples that found no room in the ring.
    pub(super) fn add_lost(&mut self, time: u64) {
        let samples = self.take(time);
        self.lost += samples;
        *self.rows.entry(snapshot::Key::of(Stack::pseudo(pseudo::LOST))).or_default() += samples;
    }

    fn take(&mut self, time: u64) -> u64 {
        self.phase += time;
        let samples = self.phase / self.period;
        self.phase %= self.period;
        self.accounted += samples * self.period;
        samples
    }

    /// The rows, and in the comments whether they account for `cpu` nanoseconds of the process's own clock.
    pub(super) fn snapshot(
        &self,
        name: &'static str,
        hz: u32,
        time: SystemTime,
        duration: Duration,
        cpu: u64,
        continuous: bool,
    ) -> Snapshot {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let mut comments = vec![format!(
            "sampled at {hz} Hz: {:.3} s of {:.3} s CPU time accounted for ({:.3}), {} samples lost, {} truncated",
            seconds(self.accounted),
            seconds(cpu),
            if cpu == 0 { 1.0 } else { self.accounted as f64 / cpu as f64 },
            self.lost,
            self.truncated,
        )];
        comments.extend(crate::sys::process::kernel_release().map(|release| format!("kernel {release}")));
        let rows = self
            .rows
            .iter()
            .map(|(&key, &samples)| Row {
                key,
                values: [samples as i64, (samples * self.period) as i64, 0, 0],
            })
            .collect();
        let duration = (!continuous).then_some(duration.max(Duration::from_nanos(1)));
        let time = if continuous { SystemTime::now() } else { time };
        Snapshot::new(Meta { time, duration, comments, ..meta(name, self.period) }, rows, stack::modules())
    }
}

/// The profile `cpu` while nobody switched it on.
pub(super) fn nothing(name: &'static str) -> Snapshot {
    let comments = vec!["continuous CPU sampling is off: cpu::set_continuous(19) switches it on".to_owned()];
    Snapshot::new(Meta { time: SystemTime::now(), comments, ..meta(name, 0) }, Vec::new(), stack::modules())
}

fn meta(name: &'static str, period: u64) -> Meta {
    let cpu = ValueType::new("cpu", "nanoseconds");
    Meta {
        profile: name,
        value_types: vec![ValueType::new("samples", "count"), cpu],
        period: (cpu, period as i64),
        places: Places::Code,
        shape: Shape::Count,
        cumulative: true,
        ..Meta::default()
    }
}

/// Interns what a handler noted. Gives the row and the number of expirations it stands for.
pub(super) fn key_of(record: &Record) -> (snapshot::Key, u64) {
    // SAFETY: null, or one of the statics that the thread's scopes hold.
    let scope = unsafe { record.scope.as_ref() };
    let labels = record.labels.get(..record.label_bytes).unwrap_or_default();
    let key = snapshot::Key {
        labels: Labels::intern(labels),
        scope: crate::hook::function::name_of(scope),
        ..snapshot::Key::of(record.frames.intern())
    };
    (key, record.weight)
}
