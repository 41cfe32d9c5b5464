//! What there is to tell of deadlocks: the profile `deadlock`, for people and for tools.
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::graph::{self, Graph, Waiter};
use super::order::{self, Inversion};
use crate::fork::Lock;
use crate::hook::interpose;
use crate::hook::lock::report::{rates, sites};
use crate::local::Thread;
use crate::local::held::{Access, Hold};
use crate::profile::{Entry, Profile, Source};
use crate::record::{ValueType, pseudo};
use crate::site::LockSite;
use crate::snapshot::{self, Meta, Part, Places, Row, Shape, Snapshot};
use crate::store::{Labels, Stack};
use crate::{clock, label, local, stack, sys};

const VALUES: [ValueType; 2] = [ValueType::new("threads", "count"), ValueType::new("wait", "nanoseconds")];
const NAME: &str = "deadlock";

struct Deadlock;

impl Source for Deadlock {
    fn count(&self) -> usize {
        graph::look().cycles.len() + order::count_of_inversions()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let graph = graph::look();
        let inversions = order::inversions();
        let teller = Teller::new();
        let mut told = Told::default();
        for cycle in &graph.cycles {
            let id = id_of(&graph, cycle);
            teller.cycle(&graph, cycle, id, &mut told);
        }
        for (inversion, number) in inversions.iter().zip(1..) {
            teller.inversion(inversion, number, &mut told);
        }
        let futexes = interpose::waiting();
        teller.others(&graph, &futexes, &mut told);
        finish(name, told, summary(&graph, &inversions, futexes.len()))
    }

    fn is_cumulative(&self) -> bool {
        false
    }

    fn rate(&self) -> Option<String> {
        Some(format!("order of locks: {}", if order::checks() { "checked" } else { "not checked" }))
    }
}

static DEADLOCK: Profile = Profile::predefined(
    NAME,
    "Threads that wait for one another for ever, and locks that are taken in both orders",
    &Deadlock,
);
inventory::submit! { Entry::Profile(&DEADLOCK) }

/// What is to be told once: a deadlock or an inversion by its number, its threads, its locks, all of it.
pub(super) struct Finding {
    pub(super) is_deadlock: bool,
    pub(super) number: u64,
    pub(super) threads: Vec<String>,
    pub(super) locks: Vec<String>,
    pub(super) snapshot: Snapshot,
}

/// Everything that is found now and of which `is_new`, asked with [`Finding::is_deadlock`] and [`Finding::number`],
/// holds.
pub(super) fn findings(mut is_new: impl FnMut(bool, u64) -> bool) -> Vec<Finding> {
    let graph = graph::look();
    let inversions = order::inversions();
    let teller = Teller::new();
    let mut findings = Vec::new();
    for cycle in &graph.cycles {
        let number = id_of(&graph, cycle);
        if is_new(true, number) {
            let mut told = Told::default();
            teller.cycle(&graph, cycle, number, &mut told);
            let waiters = || cycle.iter().map(|&place| &graph.waiters[place]);
            findings.push(Finding {
                is_deadlock: true,
                number,
                threads: waiters().map(|waiter| teller.name(waiter.thread)).collect(),
                locks: waiters().map(|waiter| teller.lock_name(waiter.seen.site).to_owned()).collect(),
                snapshot: finish(NAME, told, Vec::new()),
            });
        }
    }
    for (inversion, number) in inversions.iter().zip(1..) {
        if is_new(false, number) {
            let mut told = Told::default();
            teller.inversion(inversion, number, &mut told);
            let [order, _] = &inversion.orders;
            findings.push(Finding {
                is_deadlock: false,
                number,
                threads: inversion.threads.to_vec(),
                locks: [order.first, order.second]
                    .map(|hold| teller.lock_name(hold.site).to_owned())
                    .to_vec(),
                snapshot: finish(NAME, told, Vec::new()),
            });
        }
    }
    findings
}

/// Deadlocks that were ever seen, as their threads and waits. They do not end, so they are few.
static SEEN: Lock<Vec<Vec<(u32, u64)>>> = Lock::new(Vec::new());
const MAX_SEEN: usize = 1024;

/// A number that this deadlock keeps, from 1.
fn id_of(graph: &Graph, cycle: &[usize]) -> u64 {
    let wait = |&place: &usize| (graph.waiters[place].thread, graph.waiters[place].seen.round);
    let mut waits: Vec<(u32, u64)> = cycle.iter().map(wait).collect();
    waits.sort_unstable();
    let mut seen = SEEN.lock();
    let known = seen.iter().position(|known| *known == waits);
    let place = known.unwrap_or_else(|| {
        if seen.len() < MAX_SEEN {
            seen.push(waits);
        }
        seen.len() - 1
    });
    place as u64 + 1
}

/// Rows and the parts of a report, as they come.
#[derive(Default)]
struct Told {
    rows: Vec<Row>,
    report: Vec<Part>,
}

impl Told {
    fn line(&mut self, line: String) {
        self.report.push(Part::Line(line));
    }

    fn stack(&mut self, stack: Option<Stack>) {
        match stack {
            Some(stack) => self.report.push(Part::Stack(stack)),
            None => self.line("  no stack: waits are not sampled (block rate 0)".to_owned()),
        }
    }
}

/// Who puts numbers into words: of one moment.
struct Teller {
    sites: HashMap<u64, &'static LockSite>,
    /// By number.
    threads: HashMap<u32, (String, i32)>,
    now: u64,
}

impl Teller {
    fn new() -> Teller {
        let named = |thread: &'static Thread| {
            let tid = thread.tid();
            (thread.number(), (sys::thread::name(tid).unwrap_or_default(), tid))
        };
        let threads = local::threads().into_iter().map(named).collect();
        Teller { sites: sites(), threads, now: clock::ticks() }
    }

    fn name(&self, thread: u32) -> String {
        self.threads.get(&thread).map_or_else(String::new, |(name, _)| name.clone())
    }

    fn thread(&self, number: u32) -> String {
        match self.threads.get(&number) {
            Some((name, tid)) if name.is_empty() => format!("({tid})"),
            Some((name, tid)) => format!("{name:?} ({tid})"),
            None => "that has ended".to_owned(),
        }
    }

    fn lock_name(&self, site: u32) -> &'static str {
        self.sites.get(&u64::from(site)).map_or("[unknown]", |site| site.unique_name())
    }

    fn lock(&self, site: u32) -> String {
        let Some(site) = self.sites.get(&u64::from(site)) else { return "[unknown]".to_owned() };
        let (name, place) = (site.unique_name(), site.place);
        match name.ends_with(&format!("{}:{}", place.file, place.line)) {
            true => name.to_owned(),
            false => format!("{name} ({}:{})", place.file, place.line),
        }
    }

    fn waited(&self, waiter: &Waiter) -> Duration {
        Duration::from_nanos(clock::elapsed(waiter.seen.since, self.now))
    }

    fn holders(&self, waiter: &Waiter) -> String {
        let holders: Vec<String> = waiter.holders.iter().map(|&holder| self.thread(holder)).collect();
        match holders.as_slice() {
            [] if !waiter.ahead.is_empty() => {
                let ahead: Vec<String> = waiter.ahead.iter().map(|&other| self.thread(other)).collect();
                format!("behind {}, who came first and will have it alone", ahead.join(" and "))
            }
            [] => "whose holder is not known".to_owned(),
            [holder] if waiter.holders[0] == waiter.thread => format!("held by {holder}, itself"),
            holders => format!("held by {}", holders.join(" and ")),
        }
    }

    fn wait(&self, waiter: &Waiter) -> String {
        let (thread, time) = (self.thread(waiter.thread), short(self.waited(waiter)));
        let what = match waiter.seen.place {
            0 => "what nobody holds (a condition, a channel, a barrier, an initialisation)".to_owned(),
            _ => format!("{}, {}", self.lock(waiter.seen.site), self.holders(waiter)),
        };
        let patience = if waiter.seen.manner.in_time { ", and gives up by itself" } else { "" };
        format!("thread {thread} has waited {time} for {what}{patience}")
    }

    fn holds(&self, hold: &Hold, told: &mut Told) {
        let reads = if hold.access != Access::Alone { ", to read" } else { "" };
        told.line(format!("it holds {}, taken{reads} at", self.lock(hold.site)));
        told.stack(hold.stack);
    }

    /// A deadlock.
    fn cycle(&self, graph: &Graph, cycle: &[usize], number: u64, told: &mut Told) {
        let waiters: Vec<&Waiter> = cycle.iter().map(|&place| &graph.waiters[place]).collect();
        let latest = waiters.iter().map(|waiter| self.waited(waiter)).min().unwrap_or_default();
        told.line(String::new());
        told.line(match waiters.len() {
            1 => format!("DEADLOCK {number}: a thread has waited for itself for {}", short(latest)),
            n => format!("DEADLOCK {number}: {n} threads have waited for one another for {}", short(latest)),
        });
        let before = waiters.iter().skip(waiters.len().saturating_sub(1)).chain(&waiters);
        for (waiter, before) in waiters.iter().zip(before) {
            told.line(String::new());
            told.line(format!("{}, at", self.wait(waiter)));
            let row = self.row(waiter, number);
            told.rows.push(row);
            told.report.push(Part::Row(row));
            if !before.holders.contains(&waiter.thread) {
                told.line("the one before waits behind it, for the same lock".to_owned());
            }
            // What the one before waits for.
            let is_it = |hold: &&Hold| before.seen.lock != 0 && hold.lock == before.seen.lock;
            match waiter.held.iter().find(is_it) {
                Some(hold) => self.holds(hold, told),
                None if !before.holders.contains(&waiter.thread) => {}
                None => told.line(format!(
                    "it holds {}; where it took it is known if deadlock::check_order is on",
                    self.lock(before.seen.site)
                )),
            }
            for hold in waiter.held.iter().filter(|hold| !is_it(hold)) {
                self.holds(hold, told);
            }
        }
        let behind = behind(graph, cycle);
        if behind > 0 {
            told.line(String::new());
            told.line(format!("{behind} more wait behind these; debug=2 has them"));
        }
    }

    fn row(&self, waiter: &Waiter, cycle: u64) -> Row {
        let stack = waiter.seen.stack.unwrap_or_else(|| Stack::pseudo(pseudo::UNKNOWN));
        let cycle = cycle.to_string();
        let name = self.name(waiter.thread);
        let tags = [("cycle", cycle.as_str()), ("thread", name.as_str())];
        let key = snapshot::Key {
            lock: Some(self.lock_name(waiter.seen.site)),
            tags: Labels::of(if name.is_empty() { &tags[..1] } else { &tags }),
            ..snapshot::Key::of(stack)
        };
        let waited = i64::try_from(self.waited(waiter).as_nanos()).unwrap_or(i64::MAX);
        Row { key, values: [1, waited, 0, 0] }
    }

    /// Two locks that are taken in both orders.
    fn inversion(&self, inversion: &Inversion, number: u64, told: &mut Told) {
        let [a, b] = [inversion.orders[0].first, inversion.orders[0].second].map(|hold| self.lock(hold.site));
        let what = if a == b { format!("two locks of {a}") } else { format!("{a} and {b}") };
        told.line(String::new());
        told.line(format!(
            "LOCK ORDER {number}: {what} are taken in both orders, and can deadlock{}",
            if inversion.pairs > 1 {
                format!(" ({} pairs of locks)", inversion.pairs)
            } else {
                String::new()
            }
        ));
        for (order, thread) in inversion.orders.iter().zip(&inversion.threads) {
            // Of one site, the first of them is the lower number.
            let which = |hold: &Hold| match a == b {
                true => format!("{} number {}", self.lock(hold.site), hold.lock),
                false => self.lock(hold.site),
            };
            let reads = |hold: &Hold| if hold.access != Access::Alone { ", to read," } else { "" };
            told.line(String::new());
            told.line(format!("thread {thread:?} took {}{} at", which(&order.first), reads(&order.first)));
            told.stack(order.first.stack);
            told.line(format!("and then {}{} at", which(&order.second), reads(&order.second)));
            told.stack(order.second.stack);
        }
    }

    /// All who wait and are in no deadlock: in full text only.
    fn others(&self, graph: &Graph, futexes: &[(u32, u64, Stack)], told: &mut Told) {
        let in_cycle = |place: usize| graph.cycles.iter().any(|cycle| cycle.contains(&place));
        let mut others = Told::default();
        for (place, waiter) in graph.waiters.iter().enumerate() {
            if in_cycle(place) {
                continue;
            }
            others.line(String::new());
            others.line(format!("{}, at", self.wait(waiter)));
            others.stack(waiter.seen.stack);
            for hold in &waiter.held {
                self.holds(hold, &mut others);
            }
        }
        for &(thread, time, stack) in futexes {
            let who =
                if thread == 0 { "a thread".to_owned() } else { format!("thread {}", self.thread(thread)) };
            others.line(String::new());
            let time = short(Duration::from_nanos(time));
            others.line(format!("{who} has waited {time} for a futex, whose holder is not known, at"));
            others.stack(Some(stack));
        }
        told.report.extend(others.report.into_iter().map(|part| Part::InFull(Box::new(part))));
    }
}

/// How many wait for those of a cycle, or for somebody who does.
fn behind(graph: &Graph, cycle: &[usize]) -> usize {
    let mut stuck: Vec<u32> = cycle.iter().map(|&place| graph.waiters[place].thread).collect();
    let mut looked = 0;
    while looked < stuck.len() {
        let holder = stuck[looked];
        looked += 1;
        let more = graph.waiters.iter().filter(|waiter| waiter.waits_for().any(|other| other == holder));
        let more: Vec<u32> =
            more.map(|waiter| waiter.thread).filter(|thread| !stuck.contains(thread)).collect();
        stuck.extend(more);
    }
    stuck.len() - cycle.len()
}

/// A time for people.
fn short(time: Duration) -> String {
    format!("{time:.1?}")
}

fn summary(graph: &Graph, inversions: &[Inversion], futexes: usize) -> Vec<String> {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut comments = vec![format!(
        "{}, {}; {} in all",
        count(graph.cycles.len(), "deadlock"),
        count(inversions.len(), "lock order inversion"),
        count(graph.waiters.len() + futexes, "waiting thread"),
    )];
    comments.extend(order::comments());
    if rates().0 == 0 {
        comments.push("waits have no stacks: block sampling is off".to_owned());
    }
    comments.extend(label::losses());
    comments
}

fn finish(name: &'static str, told: Told, comments: Vec<String>) -> Snapshot {
    let meta = Meta {
        profile: name,
        value_types: VALUES.to_vec(),
        period: (VALUES[0], 1),
        places: Places::Hooked,
        shape: Shape::Report,
        time: SystemTime::now(),
        comments,
        report: told.report,
        ..Meta::default()
    };
    Snapshot::new(meta, told.rows, stack::modules())
}
