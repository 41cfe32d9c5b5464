//! What functions tell when they are asked: the profile `functions`, and one a function.
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::{CHAINS, Stats, overhead};
use crate::local::{self, MAX_SCOPES};
use crate::profile::{Entry, Profile, Source};
use crate::record::{Kind, ValueType};
use crate::site::FunctionSite;
use crate::snapshot::{self, Column, Meta, Places, Row, Shape, Snapshot, Table, Unit};
use crate::store::Stack;
use crate::store::bucket::Key;
use crate::{clock, stack};

/// One function's figures and rows.
struct Function {
    site: &'static FunctionSite,
}

/// All functions' figures and rows.
struct Functions;

pub(crate) fn profile_of(site: &'static FunctionSite) -> Profile {
    let place = site.place;
    let help = format!(
        "Calls of the function at {}:{}, by its callers among #[profiled] scopes",
        place.file, place.line
    );
    Profile::of_site(Kind::Function, site.name(), help, place, Box::leak(Box::new(Function { site })))
}

impl Source for Function {
    fn count(&self) -> usize {
        calls(self.site) as usize
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        snapshot_of(name, vec![self.site], |_| ())
    }
}

impl Source for Functions {
    fn count(&self) -> usize {
        crate::site::functions().filter(|site| calls(site) > 0).count()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        snapshot_of(name, crate::site::functions().collect(), own_time)
    }
}

fn calls(site: &FunctionSite) -> u64 {
    local::total(site.id.load(Relaxed))
}

fn snapshot_of(name: &'static str, sites: Vec<&'static FunctionSite>, settle: fn(&mut [Row])) -> Snapshot {
    clock::calibrate();
    overhead::measure();
    let mut rows = Vec::new();
    // Chains first, totals after: a call that comes between is in the totals, and is spread over the chains.
    let chains: Vec<_> = CHAINS
        .iter()
        .map(|bucket| {
            let value = bucket.value();
            (bucket.key(), value.first.load(Relaxed), value.second.load(Relaxed))
        })
        .collect();
    let mut by_site: HashMap<*const FunctionSite, Vec<_>> = Default::default();
    for (key, weight, wall) in chains {
        if let Some(site) = key.scope {
            by_site.entry(std::ptr::from_ref(site)).or_default().push((key, weight, wall));
        }
    }
    let mut table = Vec::new();
    for &site in &sites {
        let total = calls(site);
        let chains = by_site.remove(&std::ptr::from_ref(site)).unwrap_or_default();
        table.push((site, total));
        rows.extend(spread(site, total, &chains));
    }
    settle(&mut rows);
    let calls = ValueType::new("calls", "count");
    let meta = Meta {
        profile: name,
        value_types: vec![calls, ValueType::new("wall", "nanoseconds")],
        period: (calls, 1),
        places: Places::Scopes,
        shape: Shape::Table,
        time: SystemTime::now(),
        cumulative: true,
        comments: folded(),
        table: Some(figures(table)),
        ..Meta::default()
    };
    Snapshot::new(meta, rows, stack::modules())
}

fn folded() -> Vec<String> {
    match CHAINS.folded() {
        0 => Vec::new(),
        n => vec![format!("{n} timed calls folded into [other]: too many different chains of scopes")],
    }
}

/// Spreads a site's exact number of calls over its chains in proportion to their weights; the wall time goes with
/// it, as every call of a chain is taken to last as long as the timed ones did.
fn spread(site: &'static FunctionSite, total: u64, chains: &[(Key, u64, u64)]) -> Vec<Row> {
    let weights: u64 = chains.iter().map(|&(_, weight, _)| weight).sum();
    if weights == 0 {
        // Called, and no timed call has ended yet.
        let stack = Stack::intern(&[std::ptr::from_ref(site).addr() as u64], 0);
        return vec![Row { key: snapshot::Key::of(stack), values: [total as i64, 0, 0, 0] }];
    }
    let (mut passed, mut given) = (0_u64, 0_u64);
    chains
        .iter()
        .map(|&(key, weight, wall)| {
            // Cumulative rounding: the shares add up to the total whatever they are.
            passed += weight;
            let share = (u128::from(total) * u128::from(passed) / u128::from(weights)) as u64 - given;
            given += share;
            let wall = (u128::from(wall) * u128::from(total) / u128::from(weights)) as i64;
            Row {
                key: snapshot::Key { labels: key.labels, ..snapshot::Key::of(key.stack) },
                values: [share as i64, wall, 0, 0],
            }
        })
        .collect()
}

/// Makes the wall time of each chain its own: without that of the scopes inside it, which have rows themselves. So
/// tools that add up a stack's callers get the whole time of a function as its cumulative value, once.
///
/// Sampled durations can leave a caller with less than nothing, and so can futures that are polled side by side in one
/// scope: such a row has no time of its own.
fn own_time(rows: &mut [Row]) {
    let mut by_chain: HashMap<&'static [u64], Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        by_chain.entry(row.key.stack.addresses()).or_default().push(at);
    }
    let whole: Vec<i64> = rows.iter().map(|row| row.values[1]).collect();
    for at in 0..rows.len() {
        let callers = rows[at].key.stack.addresses().get(1..).unwrap_or_default();
        let Some(callers) = by_chain.get(callers) else { continue };
        // A caller is found under several sets of labels: the same one if it is there, else all by their time.
        let same = callers.iter().find(|&&caller| rows[caller].key.labels == rows[at].key.labels);
        match same {
            Some(&caller) => rows[caller].values[1] -= whole[at],
            None => {
                let total: i128 = callers.iter().map(|&caller| i128::from(whole[caller])).sum();
                for &caller in callers {
                    let share = i128::from(whole[at]) * i128::from(whole[caller]) / total.max(1);
                    rows[caller].values[1] -= share as i64;
                }
            }
        }
    }
    for row in rows {
        row.values[1] = row.values[1].max(0);
    }
}

const COLUMNS: &[Column] = &[
    Column { title: "calls", unit: Unit::Count },
    Column { title: "in flight", unit: Unit::Count },
    Column { title: "total", unit: Unit::Nanoseconds },
    Column { title: "mean", unit: Unit::Nanoseconds },
    Column { title: "p50", unit: Unit::Nanoseconds },
    Column { title: "p90", unit: Unit::Nanoseconds },
    Column { title: "p99", unit: Unit::Nanoseconds },
    Column { title: "max", unit: Unit::Nanoseconds },
    Column { title: "self", unit: Unit::Nanoseconds },
    Column { title: "allocated", unit: Unit::Bytes },
];

fn figures(sites: Vec<(&'static FunctionSite, u64)>) -> Table {
    let allocated = crate::hook::alloc::allocated_by_scope();
    let mut inside: HashMap<u64, f64> = HashMap::new();
    for bucket in CHAINS.iter() {
        if let Some(&parent) = bucket.key().stack.addresses().get(1) {
            *inside.entry(parent).or_default() += bucket.value().second.load(Relaxed) as f64;
        }
    }
    // The program's allocator is not called under the lock: threads and scopes that there is no room for are newer than
    // the question.
    let mut scopes_now = 0;
    local::each_scopes(|scopes| scopes_now += scopes.depth.load(Relaxed).min(MAX_SCOPES));
    let mut found = Vec::with_capacity(2 * scopes_now + 100);
    local::each_scopes(|scopes| {
        for at in 0..scopes.depth.load(Relaxed).min(MAX_SCOPES) {
            if let Some(site) = scopes.site(at).filter(|_| found.len() < found.capacity()) {
                found.push(std::ptr::from_ref(site));
            }
        }
    });
    let mut in_flight: HashMap<*const FunctionSite, u64> = HashMap::new();
    for site in found {
        *in_flight.entry(site).or_default() += 1;
    }
    let mut rows: Vec<(String, Vec<Option<f64>>)> = sites
        .into_iter()
        .map(|(site, calls)| {
            let stats = site.stats.get();
            let mean = stats.and_then(Stats::mean).map(|mean| mean as f64);
            // Of futures all that began and did not end, waiting or not; of calls those that are running now.
            let in_flight = match site.ended.load(Relaxed) {
                0 => in_flight.get(&std::ptr::from_ref(site)).copied().unwrap_or(0),
                ended => calls.saturating_sub(local::total(ended)),
            };
            // What the scopes directly inside it did not take; concurrent children may take more than there is.
            let own = mean.map(|mean| {
                let inside = inside.get(&(std::ptr::from_ref(site).addr() as u64)).copied().unwrap_or(0.0);
                (mean * calls as f64 - inside).max(0.0)
            });
            let quantiles = stats.and_then(|stats| stats.histogram.quantiles([0.5, 0.9, 0.99]));
            let quantile = |n: usize| quantiles.map(|all| all[n] as f64);
            let cells = vec![
                Some(calls as f64),
                Some(in_flight as f64),
                mean.map(|mean| mean * calls as f64),
                mean,
                quantile(0),
                quantile(1),
                quantile(2),
                stats.map(|stats| stats.histogram.max() as f64),
                own,
                allocated.get(&std::ptr::from_ref(site)).copied(),
            ];
            (site.unique_name().to_owned(), cells)
        })
        .collect();
    rows.sort_by(|(a, left), (b, right)| {
        let key = |cells: &[Option<f64>]| (cells[2].unwrap_or(0.0), cells[0].unwrap_or(0.0));
        key(right).partial_cmp(&key(left)).unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.cmp(b))
    });
    Table { columns: COLUMNS, rows }
}

static FUNCTIONS_PROFILE: Profile = Profile::predefined(
    "functions",
    "Calls and wall time of functions marked #[profiled], by the chain of marked functions around them",
    &Functions,
);
inventory::submit! { Entry::Profile(&FUNCTIONS_PROFILE) }
