//! Futures that are stuck, and polls that take long: seen from the outside, while it happens.
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use super::report;
use crate::alive::{self, Alive, Tags};
use crate::fork::Lock;
use crate::hook::watch::{self, Watch};
use crate::profile::{Entry, Profile, Source};
use crate::record::{Format, ValueType, pseudo};
use crate::site::FunctionSite;
use crate::snapshot::{Key, Meta, Places, Row, Shape, Snapshot};
use crate::store::Stack;
use crate::{signal, stack};

/// A poll that takes longer is a long one.
const LONG: Duration = Duration::from_millis(10);
/// How often threads are looked at.
const OFTEN: Duration = Duration::from_millis(5);

/// Calls `f` once for each future that waits for `threshold` or longer at one place, and for each poll that takes as long.
/// Those that do already are told of at once.
///
/// While a watch lasts, polls of 10 ms and longer are in the profile `long_polls` as well: a future that takes that long holds
/// up all others of its executor's thread.
///
/// `threshold` is at least a millisecond; what is shorter than 5 ms may be seen as late as that. A look at threads, every 5 ms,
/// takes microseconds. One at all futures, a quarter of `threshold` apart, takes some hundred nanoseconds for each of
/// them. Neither disturbs anybody, but for the one signal that asks a thread where it is, when its poll has become long.
///
/// `f` runs on a thread of ours, named `profiled-tasks`, and holds no lock of ours: it may take its time, ask for profiles,
/// write files, drop the [`Watch`] or end the process. If it panics, the message is on standard error.
///
/// If the thread cannot be started, nobody watches; a line on standard error says so. In a forked child nobody watches.
///
/// ```
/// use std::time::Duration;
///
/// let watch = profiled::tasks::watch(Duration::from_secs(30), |stuck| eprintln!("{stuck}"));
/// # drop(watch);
/// ```
pub fn watch(threshold: Duration, f: impl Fn(&Stuck) + Send + Sync + 'static) -> Watch {
    let threshold = threshold.max(Duration::from_millis(1));
    let mut memory = Memory { threshold, looked: None, polls: HashMap::new(), told: HashSet::new() };
    watch::start("profiled-tasks", "stuck futures", OFTEN.min(threshold), move || memory.look(), f)
}

/// A future that waits, or is polled, for longer than it should.
///
/// Displayed it is what the profile `tasks` says of it in text, with its stack.
pub struct Stuck {
    alive: Alive,
    name: &'static str,
    time: Duration,
    polled: bool,
}

impl Stuck {
    /// The name of the future: its function's, or the one that it was given.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The number that the profile `tasks` shows it with.
    pub fn id(&self) -> u64 {
        self.alive.id
    }

    /// For how long it has been waiting, or has been polled.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Whether it is being polled, and so holds up its thread; otherwise it waits.
    pub fn is_polled(&self) -> bool {
        self.polled
    }

    /// What `tasks` has of it, to be written in any format. Of one that is being polled the stack is its thread's, where that
    /// could be asked.
    pub fn snapshot(&self) -> Snapshot {
        let count = ValueType::new("tasks", "count");
        let meta = Meta {
            profile: "tasks",
            value_types: vec![count],
            period: (count, 1),
            places: Places::Parked,
            shape: Shape::Count,
            time: SystemTime::now(),
            ..Meta::default()
        };
        let alive = vec![self.alive.clone()];
        let rows = alive::rows(&alive, Tags::Id);
        Snapshot { alive, tagged: true, ..Snapshot::new(meta, rows, stack::modules()) }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.snapshot().write(&mut text, Format::Verbose).map_err(|_| fmt::Error)?;
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl fmt::Debug for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stuck")
            .field("name", &self.name)
            .field("id", &self.id())
            .field("time", &self.time)
            .field("is_polled", &self.polled)
            .finish_non_exhaustive()
    }
}

/// A poll as it is met at one look after the other.
struct Poll {
    since: Instant,
    stack: Option<Stack>,
    is_long: bool,
    told: bool,
}

/// What a watch remembers from one look to the next. A poll is known by its future and its number.
struct Memory {
    threshold: Duration,
    /// When all futures were looked at last.
    looked: Option<Instant>,
    polls: HashMap<(u64, u64), Poll>,
    told: HashSet<(u64, u64)>,
}

impl Memory {
    fn look(&mut self) -> Vec<Stuck> {
        let mut stuck = self.polls();
        let now = Instant::now();
        if self.looked.is_none_or(|looked| now - looked >= self.threshold / 4) {
            self.looked = Some(now);
            stuck.extend(self.waits());
        }
        stuck
    }

    /// Futures that wait for so long.
    fn waits(&mut self) -> Vec<Stuck> {
        let all = report::alive();
        let one_of = |one: &Alive| (one.id, one.facts.as_ref().map_or(0, |facts| facts.polls));
        let there: HashSet<_> = all.iter().map(one_of).collect();
        self.told.retain(|one| there.contains(one));
        all.into_iter()
            .filter_map(|alive| {
                let time = alive.wait.filter(|&wait| wait >= self.threshold)?;
                let name = alive.key.scope?;
                self.told.insert(one_of(&alive)).then_some(Stuck { alive, name, time, polled: false })
            })
            .collect()
    }

    /// Futures that are polled for so long.
    fn polls(&mut self) -> Vec<Stuck> {
        let now = Instant::now();
        let mut there = HashSet::new();
        let mut stuck = Vec::new();
        for (tid, task) in report::innermost_polls() {
            let one = (task.id(), task.number_of_polls());
            there.insert(one);
            let Some(site) = task.site() else { continue };
            let poll = self.polls.entry(one).or_insert(Poll {
                since: now,
                stack: None,
                is_long: false,
                told: false,
            });
            let time = now - poll.since;
            if time < LONG.min(self.threshold) {
                continue;
            }
            if poll.stack.is_none() {
                poll.stack = signal::stack_of(tid);
                // It was being polled before and after: then the stack is this poll's.
                if (task.id(), task.number_of_polls()) != one {
                    poll.stack = None;
                    continue;
                }
            }
            if time >= LONG {
                note(site, poll, time);
            }
            if time >= self.threshold
                && !std::mem::replace(&mut poll.told, true)
                && let Some(mut alive) = report::alive().into_iter().find(|alive| alive.id == one.0)
            {
                alive.wait = Some(time);
                if let Some(stack) = poll.stack {
                    alive.key.stack = stack;
                    alive.missing = None;
                }
                stuck.push(Stuck { alive, name: site.unique_name(), time, polled: true });
            }
        }
        self.polls.retain(|one, _| there.contains(one));
        stuck
    }
}

/// The long polls of one function's futures.
struct Long {
    site: &'static FunctionSite,
    count: u64,
    longest: Duration,
    stack: Option<Stack>,
}

static LONG_POLLS: Lock<Vec<Long>> = Lock::new(Vec::new());

fn note(site: &'static FunctionSite, poll: &mut Poll, time: Duration) {
    let mut all = LONG_POLLS.lock();
    let at = all.iter().position(|long| std::ptr::eq(long.site, site)).unwrap_or_else(|| {
        all.push(Long { site, count: 0, longest: Duration::ZERO, stack: None });
        all.len() - 1
    });
    let long = &mut all[at];
    long.count += u64::from(!std::mem::replace(&mut poll.is_long, true));
    if time > long.longest {
        (long.longest, long.stack) = (time, poll.stack);
    }
}

struct LongPolls;

impl Source for LongPolls {
    fn count(&self) -> usize {
        LONG_POLLS.lock().len()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let of = |long: &Long| {
            let longest = i64::try_from(long.longest.as_nanos()).unwrap_or(i64::MAX);
            (long.site, long.stack, i64::try_from(long.count).unwrap_or(i64::MAX), longest)
        };
        let all: Vec<_> = LONG_POLLS.lock().iter().map(of).collect();
        let rows = all.into_iter().map(|(site, stack, count, longest)| {
            let stack = stack.unwrap_or_else(|| Stack::pseudo(pseudo::UNKNOWN));
            Row {
                key: Key { scope: Some(site.unique_name()), ..Key::of(stack) },
                values: [count, longest, 0, 0],
            }
        });
        let rows = rows.collect();
        let polls = ValueType::new("polls", "count");
        let meta = Meta {
            profile: name,
            value_types: vec![polls, ValueType::new("longest", "nanoseconds")],
            period: (polls, 1),
            default_type: Some(0),
            places: Places::Parked,
            shape: Shape::Contention { mutex: false },
            time: SystemTime::now(),
            comments: vec![
                "polls of 10 ms and longer, seen while a tasks::watch lasts; the stack is the longest's"
                    .to_owned(),
            ],
            ..Meta::default()
        };
        Snapshot::new(meta, rows, stack::modules())
    }

    fn is_cumulative(&self) -> bool {
        false
    }
}

static LONG_POLLS_PROFILE: Profile = Profile::predefined(
    "long_polls",
    "Polls that held up their executor's thread for 10 ms and longer, by the function of the future",
    &LongPolls,
);
inventory::submit! { Entry::Profile(&LONG_POLLS_PROFILE) }
