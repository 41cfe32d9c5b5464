//! What it has to tell: rows of `block` and `mutex`, and comments.
use std::sync::atomic::Ordering::Relaxed;

use super::{BLOCK, COUNT_SCALE, MUTEX, is_active, known, table, wait};
use crate::hook::function::name_of;
use crate::hook::lock::{waiting, with_waiting};
use crate::record::pseudo;
use crate::snapshot::{self, Row};
use crate::store::bucket::Key;
use crate::store::{Labels, Stack};

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
