//! What it has to tell: rows of `block` and `mutex`, and comments.
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::{BLOCK, COUNT_SCALE, CREATED, MUTEX, is_active, known, table, wait};
use crate::hook::function::name_of;
use crate::hook::lock::{waiting, with_waiting};
use crate::profile::{Entry, Profile, Source};
use crate::record::{ValueType, pseudo};
use crate::snapshot::{self, Meta, Places, Row, Shape, Snapshot};
use crate::store::bucket::Key;
use crate::store::{Labels, Stack};
use crate::{label, stack};

pub(crate) fn count_of_waits() -> usize {
    BLOCK.count()
}

pub(crate) fn count_of_charges() -> usize {
    MUTEX.count()
}

fn row(key: Key, waits_in: Stack, count: u64, delay: i64) -> Row {
    let count = count as f64 / COUNT_SCALE;
    Row {
        key: snapshot::Key {
            labels: key.labels,
            scope: name_of(key.scope),
            waits_in: Some(waits_in),
            ..snapshot::Key::of(key.stack)
        },
        values: [(count.round() as i64).max(i64::from(delay > 0)), delay, 0, 0],
    }
}

/// Those who waited, and those who wait right now with the time so far: in the same row, or `apart`.
pub(crate) fn waits(apart: bool) -> impl Iterator<Item = Row> {
    let waits = wait::WAITING.all(wait::SHOWN);
    let by_bucket = waiting::by_bucket(&waits);
    let rows = BLOCK.iter().flat_map(|bucket| {
        let waits = by_bucket.get(&std::ptr::from_ref(bucket).addr());
        let ([count, delay], so_far) = waiting::values(bucket, waits.map_or(&[], Vec::as_slice));
        let key = bucket.key();
        with_waiting(row(key, key.stack, count, delay as i64), so_far, apart)
    });
    rows.collect::<Vec<_>>().into_iter()
}

/// Who waits right now: the thread's number, or 0, nanoseconds, the stack.
pub(crate) fn waiting() -> Vec<(u32, u64, Stack)> {
    let waits = wait::WAITING.all(wait::SHOWN);
    waits.iter().map(|wait| (wait.thread, wait.delay, wait.bucket.key().stack)).collect()
}

/// Whether it is active, for people.
pub(crate) fn status() -> Option<&'static str> {
    Some(if is_active() { "interpose: active" } else { "interpose: inactive" })
}

/// Those who made them wait, for whatever it was; and what nobody is charged for.
pub(crate) fn charges() -> impl Iterator<Item = Row> {
    let charged = MUTEX.iter().filter_map(|bucket| {
        let kind = known(&bucket.value().kind)?.key().stack;
        let value = bucket.value();
        let delay = value.delay.load(Relaxed) as i64;
        (delay > 0).then(|| row(bucket.key(), kind, value.count.load(Relaxed), delay))
    });
    let nobodys = BLOCK.iter().filter_map(|bucket| {
        let value = bucket.value();
        let (key, delay) = (bucket.key(), value.uncharged.load(Relaxed) as i64);
        let wake_up = Stack::pseudo(pseudo::WAKE_UP);
        let row = row(
            Key { stack: wake_up, labels: Labels::none(), scope: None, ..key },
            key.stack,
            value.count.load(Relaxed),
            delay,
        );
        (delay > 0).then_some(row)
    });
    charged.chain(nobodys)
}

/// Whether it works, and what it lost.
pub(crate) fn comments() -> impl Iterator<Item = String> {
    let state = match is_active() {
        true => "interpose: active: waits for futexes and for the ends of threads, of the whole process",
        false => "interpose: inactive: this is a library that was opened at run time, and calls go to libc",
    };
    let lost = match table::no_room() {
        0 => None,
        n => Some(format!("{n} waits that nobody was charged for: the table was full")),
    };
    [state.to_owned()].into_iter().chain(lost)
}

struct Created;

impl Source for Created {
    fn count(&self) -> usize {
        CREATED.count()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let rows = CREATED.iter().map(|bucket| {
            let key = bucket.key();
            let (labels, scope) = (key.labels, name_of(key.scope));
            Row {
                key: snapshot::Key { labels, scope, ..snapshot::Key::of(key.stack) },
                values: [bucket.value().first.load(Relaxed) as i64, 0, 0, 0],
            }
        });
        let count = ValueType::new("threadcreate", "count");
        let meta = Meta {
            profile: name,
            value_types: vec![count],
            period: (count, 1),
            places: Places::Hooked,
            shape: Shape::Count,
            time: SystemTime::now(),
            comments: comments().take(1).chain(label::losses()).collect(),
            cumulative: true,
            ..Meta::default()
        };
        Snapshot::new(meta, rows.collect(), stack::modules())
    }
}

static THREADCREATE: Profile =
    Profile::predefined("threadcreate", "Stacks that started threads, as many as they started", &Created);
inventory::submit! { Entry::Profile(&THREADCREATE) }
