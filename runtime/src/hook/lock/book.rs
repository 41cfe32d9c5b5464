#![expect(unsafe_code, reason = "a lock's word holds the bucket of whoever was charged last")]
//! Where waits and charges are booked: the rates, the buckets of `block` and `mutex`, the weights.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};

use crate::local::Points;
use crate::store::bucket::{Bucket, Buckets, Key};
use crate::{clock, label, local, stack};

const DEFAULT_BLOCK_RATE: u64 = 10_000;
const DEFAULT_MUTEX_FRACTION: u64 = 10;
/// A charge of this many nanoseconds always takes a stack, whatever the fraction: a rare long hold is what one looks
/// for, and a microsecond for a millisecond waited is nothing.
const LONG_CHARGE: u64 = 1_000_000;

pub(super) static BLOCK_RATE: AtomicU64 = AtomicU64::new(DEFAULT_BLOCK_RATE);
pub(super) static MUTEX_FRACTION: AtomicU64 = AtomicU64::new(DEFAULT_MUTEX_FRACTION);
pub(super) static BLOCK: Buckets = Buckets::new();
pub(super) static MUTEX: Buckets = Buckets::new();

/// Events are counted in units of 1/1024: a sampled one may stand for 3.7.
pub(super) const COUNT_SCALE: f64 = 1024.0;

/// Samples waits from now on: one of `ns` nanoseconds or longer always, a shorter one of d with probability d/`ns`,
/// counted `ns`/d times. 1 takes every wait, 0 none. The default is 10 000. Returns the rate before.
///
/// What was recorded before keeps its weight, and a wait has the rate that was in force when it began.
pub fn set_block_rate(ns: u64) -> u64 {
    BLOCK_RATE.swap(ns, Relaxed)
}

/// Takes the holder's stack for one charge in `n` from now on, and for every charge of a millisecond or more; each
/// counts for as many as it stands for. 1 takes every charge, 0 none. The default is 10. Returns the fraction before.
///
/// The first microsecond of a wait is charged in portions of `n` times 10 us (100 ms at the most), by chance, to one who
/// held the lock then; with 1 it is charged as all else.
///
/// What was recorded before keeps its weight.
pub fn set_mutex_fraction(n: u64) -> u64 {
    MUTEX_FRACTION.swap(n, Relaxed)
}

/// The probability that a wait of `delay` nanoseconds is taken.
pub(super) fn probability(delay: u64, rate: u64) -> f64 {
    if rate == 0 { 0.0 } else { (delay as f64 / rate as f64).min(1.0) }
}

/// Nanoseconds of short waits between two points at which the holder is asked. `None`: a rate is 1, so all is to be booked.
pub(super) fn between_points() -> Option<u64> {
    match MUTEX_FRACTION.load(Relaxed) {
        _ if BLOCK_RATE.load(Relaxed) == 1 => None,
        0 => Some(Points::NEVER),
        1 => None,
        n => Some(n.saturating_mul(TYPICAL).min(FARTHEST)),
    }
}

/// Nanoseconds of waiting that are worth a stack.
const TYPICAL: u64 = 10_000;
/// Nanoseconds between two points at the most: seldom enough whatever the fraction, and far from where distances are cut.
const FARTHEST: u64 = 100_000_000;

/// Nanoseconds from which on a wait is taken, by chance, and the rate that this goes by.
pub(super) fn taken_from(chance: u32) -> (u64, u64) {
    match BLOCK_RATE.load(Relaxed) {
        0 => (u64::MAX, 0),
        rate => (threshold(chance, rate), rate),
    }
}

/// 1 to `rate`, each as likely: a wait is as long as that with just its [`probability`].
fn threshold(chance: u32, rate: u64) -> u64 {
    ((u128::from(chance) * u128::from(rate)) >> 32) as u64 + 1
}

/// Whether an event of this probability is taken.
pub(super) fn happens(probability: f64) -> bool {
    probability > 0.0 && local::with(|local| local.random(|random| random.happens(probability)))
}

/// Frames between whoever calls [`here`] and `stack::capture`: `here` and its closures.
const OUR_FRAMES: usize = 1;

/// The bucket of an event on this thread, now: its stack, its labels, its scope. `None` inside ourselves.
#[inline(never)]
pub(super) fn here(
    buckets: &'static Buckets,
    what: u64,
    label: Option<(&str, &str)>,
) -> Option<&'static Bucket> {
    let bucket = local::with(|local| {
        local.enter(|| {
            let labels = match label {
                None => label::interned(),
                Some((key, value)) => label::interned_with(key, value),
            };
            let stack = stack::capture_interned(OUR_FRAMES);
            buckets.get(Key { stack, labels, scope: local.scopes().innermost(), what, rate: 0 })
        })
    });
    stack::stay();
    bucket.flatten()
}

/// Books a wait of `delay` nanoseconds that was taken with this probability.
pub(super) fn wait(bucket: &Bucket, delay: u64, probability: f64) {
    let weight = 1.0 / probability;
    // Who sees one of them sees that the wait is no longer among those that last: see `waiting::values`.
    bucket.value().first.fetch_add((weight * COUNT_SCALE) as u64, Release);
    bucket.value().second.fetch_add((delay as f64 * weight) as u64, Release);
}

/// Where a wait on this thread is booked.
#[inline(never)]
pub(super) fn place(what: u64) -> Option<&'static Bucket> {
    let bucket = here(&BLOCK, what, None);
    stack::stay();
    bucket
}

/// Books a wait that is over and was taken at this rate.
pub(super) fn taken(bucket: &Bucket, delay: u64, rate: u64) {
    wait(bucket, delay, probability(delay, rate));
}

/// Books a wait that is over and began at this rate, at the stack of the caller, if it is taken.
#[inline(never)]
pub(super) fn wait_here(what: u64, delay: u64, rate: u64) {
    let probability = probability(delay, rate);
    if happens(probability)
        && let Some(bucket) = here(&BLOCK, what, None)
    {
        wait(bucket, delay, probability);
    }
    stack::stay();
}

/// Books what a holder is charged, if it is taken. Gives what [`served`] is to be told when a wait ends for which it made
/// way: 0 if it was not taken.
#[inline(never)]
pub(super) fn charge(what: u64, delay: u64) -> u64 {
    let probability = match MUTEX_FRACTION.load(Relaxed) {
        0 => return 0,
        n => (1.0 / n as f64).max(delay as f64 / LONG_CHARGE as f64).min(1.0),
    };
    if !happens(probability) {
        return 0;
    }
    let bucket = here(&MUTEX, what, None);
    stack::stay();
    let Some(bucket) = bucket else { return 0 };
    let weight = 1.0 / probability;
    bucket.value().second.fetch_add((delay as f64 * weight) as u64, Relaxed);
    server(bucket, weight)
}

/// What the holder of a lock answers who is asked, and has looked at the clock at `now`: its bucket, and over that how
/// long it took to find out, in units of 16 ticks.
#[inline(never)]
pub(super) fn answer(what: u64, now: u64) -> Option<u64> {
    let bucket = here(&MUTEX, what, None);
    stack::stay();
    let address = std::ptr::from_ref(bucket?).expose_provenance() as u64;
    let took = (clock::ticks().wrapping_sub(now) >> 4).min(u64::from(u16::MAX));
    // No address of a program that we know is longer.
    (address >> 48 == 0).then_some(took << 48 | address)
}

/// Nanoseconds that an answer took.
pub(super) fn took(answer: u64) -> u64 {
    clock::elapsed(0, answer >> 48 << 4)
}

/// Books so many waits, in units of [`COUNT_SCALE`], and their nanoseconds, as of whoever answered.
pub(super) fn answered(answer: u64, [waits, delay]: [u64; 2]) {
    let address = std::ptr::with_exposed_provenance::<Bucket>((answer << 16 >> 16) as usize);
    // SAFETY: answers come from `answer`; buckets live for ever.
    if let Some(bucket) = unsafe { address.as_ref() } {
        bucket.value().first.fetch_add(waits, Relaxed);
        bucket.value().second.fetch_add(delay, Relaxed);
    }
}

/// A bucket and a weight in one word: the address, and the upper half of an `f32`, rounded up or down by chance so that
/// the mean is right.
fn server(bucket: &'static Bucket, weight: f64) -> u64 {
    let address = std::ptr::from_ref(bucket).expose_provenance() as u64;
    if address >> 48 != 0 {
        // No address of a program that we know. The count is lost; the delay is booked.
        return 0;
    }
    let chance = local::with(|local| local.random(|random| random.next() >> 48)) as u32;
    address << 16 | u64::from((weight as f32).to_bits().saturating_add(chance) >> 16)
}

/// A wait ended for which `server` made way: it is one of its contentions.
pub(super) fn served(server: u64) {
    let address = std::ptr::with_exposed_provenance::<Bucket>((server >> 16) as usize);
    // SAFETY: words other than 0 come from `server`, which put a bucket's address there; buckets live for ever.
    if let Some(bucket) = unsafe { address.as_ref() } {
        let weight = f32::from_bits((server as u32 & 0xffff) << 16);
        bucket.value().first.fetch_add((f64::from(weight) * COUNT_SCALE) as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::pseudo;
    use crate::store::{Labels, Stack};

    /// Go's test: 100 000 events of a tenth of the rate and 10 000 of the rate itself, each within 10 %. Of the former
    /// some 10 000 are taken, which is right to 0.95 %.
    #[test]
    fn events_are_booked_without_bias() {
        static BUCKETS: Buckets = Buckets::new();
        const RATE: u64 = 10_000;
        for (what, events, delay) in [(1, 100_000_u64, RATE / 10), (2, 10_000, RATE)] {
            let key = Key {
                stack: Stack::pseudo(pseudo::UNKNOWN),
                labels: Labels::none(),
                scope: None,
                what,
                rate: 0,
            };
            let bucket = BUCKETS.get(key).unwrap();
            for _ in 0..events {
                let probability = probability(delay, RATE);
                if happens(probability) {
                    wait(bucket, delay, probability);
                }
            }
            let count = bucket.value().first.load(Relaxed) as f64 / COUNT_SCALE;
            let sum = bucket.value().second.load(Relaxed) as f64;
            assert!((count / events as f64 - 1.0).abs() < 0.1, "{count} of {events}");
            assert!((sum / (events * delay) as f64 - 1.0).abs() < 0.1, "{sum} of {}", events * delay);
        }
    }

    /// Each of 10 000 chances, once.
    #[test]
    fn short_waits_are_taken_with_their_probability() {
        let taken = |delay: u64, rate: u64| {
            let chances = (0..10_000_u64).map(|n| (n << 32).div_ceil(10_000) as u32);
            chances.filter(|&chance| threshold(chance, rate) <= delay).count()
        };
        for delay in [0, 1, 40, 2_500, 9_999, 10_000, 50_000] {
            assert_eq!(taken(delay, 10_000) as f64, probability(delay, 10_000) * 10_000.0, "{delay}");
        }
        assert_eq!((taken(1, 1), taken(7, 1)), (10_000, 10_000), "a rate of 1 takes every wait");
    }

    #[test]
    fn a_server_comes_back_with_its_weight() {
        static BUCKETS: Buckets = Buckets::new();
        let key = Key {
            stack: Stack::pseudo(pseudo::UNKNOWN),
            labels: Labels::none(),
            scope: None,
            what: 1,
            rate: 0,
        };
        let bucket = BUCKETS.get(key).unwrap();
        let count = || bucket.value().first.load(Relaxed) as f64 / COUNT_SCALE;
        served(0);
        served(server(bucket, 1.0));
        assert!((count() - 1.0).abs() < 0.01, "{}", count());
        // A step of an upper half is 1/128 at the most: of 10 000 the mean is good to 4/128/sqrt(12 * 10 000).
        let before = count();
        for _ in 0..10_000 {
            served(server(bucket, 10.03));
        }
        let mean = (count() - before) / 10_000.0;
        assert!((mean / 10.03 - 1.0).abs() < 0.001, "{mean}");
    }
}
