//! From timed calls to rows that add up to the exact number of calls, and only grow.
//!
//! A site's exact number of calls is known, and how its timed ones are spread over chains of scopes. A call that was timed
//! because all were then stands for itself: such are the calls of long functions, and each thread's first. The others
//! are spread over the chains in proportion to the timed calls that stand for them, and so is their time (a ratio
//! estimate of each stratum; Cochran, Sampling Techniques, 1977, chapters 5 and 6).
//!
//! A share gets smaller when more is known, and what was told cannot be taken back: a difference of two snapshots would
//! have negative rows, or rows that do not add up. So each chain has what was told of it, and new calls go to those that
//! are behind their shares. Sums are exact at all times, no row ever shrinks, and differences add up, whoever takes them
//! and when. What was told too much of a time at first is there until the truth has caught up with it.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::CHAINS;
use crate::fork::Lock;
use crate::record::pseudo;
use crate::site::FunctionSite;
use crate::store::bucket::{Bucket, Calls, Key};
use crate::store::{Labels, Stack};

/// One who tells at a time.
static TELLING: Lock<()> = Lock::new(());

/// What is told of a function in one chain of scopes.
pub(super) struct Chain {
    pub(super) site: &'static FunctionSite,
    pub(super) stack: Stack,
    pub(super) labels: Labels,
    bucket: &'static Bucket<Calls>,
    /// Calls, whole nanoseconds, own nanoseconds: what it would be by itself, then what it is.
    told: [u64; 3],
}

impl Chain {
    pub(super) fn calls(&self) -> u64 {
        self.told[0]
    }

    /// Nanoseconds with those of the scopes inside it.
    pub(super) fn whole(&self) -> u64 {
        self.told[1]
    }

    /// Nanoseconds without.
    pub(super) fn own(&self) -> u64 {
        self.told[2]
    }
}

/// All chains of all functions that were called, those of one function side by side.
pub(super) fn settled() -> Vec<Chain> {
    // Chains first, totals after: a call that comes between is in the totals, and is spread over the chains.
    let mut by_site: HashMap<*const FunctionSite, Vec<Part>> = HashMap::new();
    for bucket in CHAINS.iter() {
        if let Some(site) = bucket.key().scope {
            by_site.entry(std::ptr::from_ref(site)).or_default().push(Part::of(bucket));
        }
    }
    let mut chains = Vec::new();
    let mut groups = Vec::new();
    for site in crate::site::functions() {
        let total = super::report::calls(site);
        let mut parts = by_site.remove(&std::ptr::from_ref(site)).unwrap_or_default();
        if parts.is_empty() && total > 0 {
            // Called, but only where nothing can be timed.
            let stack = Stack::intern(&[std::ptr::from_ref(site).addr() as u64], 0);
            let key = Key { stack, labels: Labels::none(), scope: Some(site), what: 0, rate: 0 };
            parts.extend(CHAINS.get_or(key, key).map(Part::of));
        }
        let begin = chains.len();
        chains.extend(parts.iter().zip(shares(total, &parts)).map(|(part, [calls, wall])| {
            let Key { stack, labels, .. } = part.bucket.key();
            Chain { site, stack, labels, bucket: part.bucket, told: [calls, wall, 0] }
        }));
        groups.push((total, begin..chains.len()));
    }
    // The program's allocator is not called under the lock.
    let telling = TELLING.lock();
    for (total, group) in groups {
        tell_calls(total, &mut chains[group]);
    }
    chains.iter_mut().for_each(|chain| chain.told[1] = grow(&chain.bucket.value().told[1], chain.told[1]));
    drop(telling);
    let own = own_time(&chains);
    for (chain, own) in chains.iter_mut().zip(own) {
        chain.told[2] = grow(&chain.bucket.value().told[2], own);
    }
    chains
}

/// What was told or is to be told, whichever is more.
fn grow(told: &AtomicU64, now: u64) -> u64 {
    told.fetch_max(now, Relaxed).max(now)
}

/// What was counted of a chain.
struct Part {
    bucket: &'static Bucket<Calls>,
    /// Timed calls and nanoseconds, for themselves and for others.
    certain: [u64; 2],
    sampled: [u64; 2],
}

impl Part {
    fn of(bucket: &'static Bucket<Calls>) -> Part {
        let Calls { certain, sampled, .. } = bucket.value();
        let [certain, sampled] =
            [certain, sampled].map(|timed| [timed.begun.load(Relaxed), timed.nanoseconds.load(Relaxed)]);
        Part { bucket, certain, sampled }
    }
}

/// The calls and the nanoseconds of each part, where there were `total` calls of all.
fn shares(total: u64, parts: &[Part]) -> Vec<[u64; 2]> {
    let sum = |of: fn(&Part) -> u64| parts.iter().map(of).sum::<u64>();
    let certain = sum(|part| part.certain[0]);
    let others = total.saturating_sub(certain);
    // As long as none is known that stands for others, they are spread as those are that do not; and if there are none
    // of those either, evenly. Of their time nothing is known then.
    let weight: fn(&Part) -> u64 = match (sum(|part| part.sampled[0]), certain) {
        (0, 0) => |_| 1,
        (0, _) => |part| part.certain[0],
        _ => |part| part.sampled[0],
    };
    let weights = sum(weight).max(1);
    let (mut passed, mut given) = (0, 0);
    parts
        .iter()
        .map(|part| {
            // Cumulative rounding: the shares add up whatever they are.
            passed += weight(part);
            let share = scale(others, passed, weights) - given;
            given += share;
            let time = scale(part.sampled[1], others, weights);
            [part.certain[0] + share, part.certain[1].saturating_add(time)]
        })
        .collect()
}

/// `value * times / of`.
fn scale(value: u64, times: u64, of: u64) -> u64 {
    (u128::from(value) * u128::from(times) / u128::from(of)).try_into().unwrap_or(u64::MAX)
}

/// Brings what is told of the calls of one function to `total`: each chain gets of what is new in proportion to how far it
/// is behind its share. They are behind by as much or more, all together.
fn tell_calls(total: u64, chains: &mut [Chain]) {
    let told = |chain: &Chain| chain.bucket.value().told[0].load(Relaxed);
    let new = total.saturating_sub(chains.iter().map(told).sum());
    let behind = |chain: &Chain| chain.told[0].saturating_sub(told(chain));
    let all_behind = chains.iter().map(behind).sum::<u64>().max(1);
    let (mut passed, mut given) = (0, 0);
    for chain in chains {
        let before = told(chain);
        passed += behind(chain);
        let share = scale(new, passed, all_behind) - given;
        given += share;
        chain.told[0] = before + share;
        chain.bucket.value().told[0].store(before + share, Relaxed);
    }
}

/// The time of each chain without that of the scopes inside it, which have rows themselves. So tools that add up a stack's
/// callers get the whole time of a function as its cumulative value, once.
///
/// Sampled durations can leave a caller with less than nothing, and so can one that is still running, or futures that are
/// polled side by side in one scope: such a chain has no time of its own.
fn own_time(chains: &[Chain]) -> Vec<u64> {
    let mut by_stack: HashMap<&'static [u64], Vec<usize>> = HashMap::new();
    for (at, chain) in chains.iter().enumerate() {
        by_stack.entry(chain.stack.addresses()).or_default().push(at);
    }
    let mut own: Vec<i128> = chains.iter().map(|chain| i128::from(chain.whole())).collect();
    for chain in chains {
        let callers = match chain.stack.addresses() {
            [_, pseudo::TRUNCATED, noted @ ..] | [_, noted @ ..] => noted,
            [] => &[],
        };
        let Some(callers) = by_stack.get(callers) else { continue };
        let whole = i128::from(chain.whole());
        // A caller is found under several sets of labels: the same one if it is there, else all by their time.
        match callers.iter().find(|&&caller| chains[caller].labels == chain.labels) {
            Some(&caller) => own[caller] -= whole,
            None => {
                let total: i128 = callers.iter().map(|&caller| i128::from(chains[caller].whole())).sum();
                for &caller in callers {
                    own[caller] -= whole * i128::from(chains[caller].whole()) / total.max(1);
                }
            }
        }
    }
    own.into_iter().map(|own| own.max(0) as u64).collect()
}
