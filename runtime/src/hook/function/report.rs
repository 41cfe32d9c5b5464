//! What functions tell when they are asked: the profile `functions`, and one a function.
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::chains::{self, Chain};
use super::timing::Timing;
use super::{CHAINS, overhead};
use crate::hook::task;
use crate::local::{self, MAX_SCOPES};
use crate::profile::{Entry, Profile, Source};
use crate::record::{Kind, ValueType};
use crate::site::FunctionSite;
use crate::snapshot::{self, Column, Meta, Places, Row, Shape, Snapshot, Table, Unit};
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
        snapshot_of(name, &[self.site], Chain::whole)
    }
}

impl Source for Functions {
    fn count(&self) -> usize {
        crate::site::functions().filter(|site| calls(site) > 0).count()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        snapshot_of(name, &crate::site::functions().collect::<Vec<_>>(), Chain::own)
    }
}

pub(super) fn calls(site: &FunctionSite) -> u64 {
    local::total(site.id())
}

fn snapshot_of(name: &'static str, sites: &[&'static FunctionSite], wall: fn(&Chain) -> u64) -> Snapshot {
    clock::calibrate();
    overhead::measure();
    let chains = chains::settled();
    let mut by_site: HashMap<*const FunctionSite, Vec<&Chain>> = HashMap::new();
    for chain in &chains {
        by_site.entry(std::ptr::from_ref(chain.site)).or_default().push(chain);
    }
    let of_site = |site: &FunctionSite| by_site.get(&std::ptr::from_ref(site)).map_or(&[][..], |all| all);
    let rows = sites.iter().flat_map(|site| of_site(site)).map(|chain| Row {
        key: snapshot::Key { labels: chain.labels, ..snapshot::Key::of(chain.stack) },
        values: [chain.calls() as i64, wall(chain) as i64, 0, 0],
    });
    let rows = rows.collect();
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
        table: Some(table(sites.iter().map(|&site| (site, of_site(site))))),
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
    Column { title: "panics", unit: Unit::Count },
    Column { title: "polls", unit: Unit::Count },
    Column { title: "busy", unit: Unit::Nanoseconds },
];

fn table<'a>(sites: impl Iterator<Item = (&'static FunctionSite, &'a [&'a Chain])>) -> Table {
    let allocated = crate::hook::alloc::allocated_by_scope();
    let running = running();
    let alive = task::polls_by_site();
    let of_site = |map: &HashMap<*const FunctionSite, f64>, site| map.get(&std::ptr::from_ref(site)).copied();
    let mut rows: Vec<(String, Vec<Option<f64>>)> = sites
        .map(|(site, chains)| {
            let stats = site.stats.get();
            let timing = stats.map(|stats| &stats.calls);
            let mean = timing.and_then(Timing::mean);
            let calls: u64 = chains.iter().map(|chain| chain.calls()).sum();
            let sum = |time: fn(&Chain) -> u64| chains.iter().map(|chain| time(chain)).sum::<u64>() as f64;
            // Of futures all that began and did not end, waiting or not; of calls those that are running now.
            let in_flight = match site.ended.load(Relaxed) {
                0 => of_site(&running, site).unwrap_or(0.0),
                ended => calls.saturating_sub(local::total(ended)) as f64,
            };
            let quantiles = timing.and_then(|timing| timing.histogram.quantiles([0.5, 0.9, 0.99]));
            let quantile = |n: usize| quantiles.map(|all| all[n] as f64);
            // Of those that ended, and of those that are alive.
            let polls = Some(site.polls.load(Relaxed)).filter(|&id| id != 0).map(|id| {
                (local::total(id) + alive.get(&std::ptr::from_ref(site)).copied().unwrap_or(0)) as f64
            });
            let poll = stats.and_then(|stats| stats.polls.get()?.mean());
            let cells = vec![
                Some(calls as f64),
                Some(in_flight),
                mean.map(|_| sum(Chain::whole)),
                mean,
                quantile(0),
                quantile(1),
                quantile(2),
                timing.filter(|_| mean.is_some()).map(|timing| timing.histogram.max() as f64),
                mean.map(|_| sum(Chain::own)),
                of_site(&allocated, site),
                Some(stats.map_or(0.0, |stats| stats.panics.load(Relaxed) as f64)),
                polls,
                polls.zip(poll).map(|(polls, poll)| polls * poll),
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

/// How often each function is among the scopes of threads now.
fn running() -> HashMap<*const FunctionSite, f64> {
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
    let mut running = HashMap::new();
    for site in found {
        *running.entry(site).or_default() += 1.0;
    }
    running
}

static FUNCTIONS_PROFILE: Profile = Profile::predefined(
    "functions",
    "Calls and wall time of functions marked #[profiled], by the chain of marked functions around them",
    &Functions,
);
inventory::submit! { Entry::Profile(&FUNCTIONS_PROFILE) }
