//! What futures tell when they are asked: the profiles `tasks` and `await`, and their half of `goroutine`.
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use super::park;
use super::slot::{self, Seen, Task};
use super::wait::{self, AWAITED};
use crate::alive::{self, Alive, Facts, Kind, Tags, Wanted};
use crate::local::{self, MAX_SCOPES};
use crate::profile::{Entry, Profile, Source, View};
use crate::record::{ValueType, pseudo};
use crate::snapshot::{Key, Meta, Places, Row, Shape, Snapshot};
use crate::store::bucket::Bucket;
use crate::store::{Labels, Stack};
use crate::{clock, label, stack};

/// All futures that are profiled and alive: those of `#[profiled]` functions, of [`instrument`](super::instrument) and of
/// `tasks::spawn`, with the place where each waits.
///
/// It takes some hundred nanoseconds a future, disturbs none, and makes no poll wait. One that is being polled is
/// `running` and has no stack here: its thread has it.
pub fn dump() -> Snapshot {
    snapshot("tasks", Wanted::ROWS)
}

fn snapshot(name: &'static str, wanted: Wanted) -> Snapshot {
    let count = ValueType::new(name, "count");
    let alive: Vec<Alive> = alive().into_iter().filter(|one| wanted.has(one)).collect();
    let mut comments: Vec<String> = comments().collect();
    comments.extend(label::losses());
    let meta = Meta {
        profile: name,
        value_types: vec![count],
        period: (count, 1),
        places: Places::Parked,
        shape: Shape::Count,
        time: SystemTime::now(),
        comments,
        ..Meta::default()
    };
    let rows = alive::rows(&alive, wanted.tags);
    Snapshot { alive, tagged: wanted.tags != Tags::None, ..Snapshot::new(meta, rows, stack::modules()) }
}

/// What there is to say of all of them.
pub(crate) fn comments() -> impl Iterator<Item = String> {
    let refused = slot::refused();
    let one_in = park::one_in();
    let lost = (refused > 0).then(|| format!("{refused} futures are not shown: too many at once"));
    let inherited = slot::inherited();
    let inherited = (inherited > 0).then(|| {
        format!(
            "{inherited} futures of the process that forked this one are not shown: nobody polled them here"
        )
    });
    let seen = match one_in {
        0 => Some("where futures wait is not looked at: tasks::set_stacks is Off".to_owned()),
        1 => None,
        n => {
            Some(format!("one suspension of a future in {n} is looked at: they take more than 1 % of a core"))
        }
    };
    lost.into_iter().chain(inherited).chain(seen)
}

/// A place where a future waits.
#[derive(Clone, Copy)]
struct Pending {
    stack: Stack,
    since: u64,
    lasts: bool,
}

/// The futures that are alive, those that await others before those.
pub(crate) fn alive() -> Vec<Alive> {
    let seen = slot::all();
    let now = clock::ticks();
    let polled = polled_now();
    let mut pending: HashMap<u64, Vec<Pending>> = HashMap::new();
    for (one, wait) in seen.iter().flat_map(|one| one.waits.iter().map(move |wait| (one, wait))) {
        let whole = wait.bucket.key().stack;
        let mut at = |id: u64, stack: Stack| {
            pending.entry(id).or_default().push(Pending { stack, since: wait.since, lasts: wait.lasts });
        };
        at(one.id, whole);
        for inner in wait.inner.iter().filter(|inner| inner.id != 0) {
            let own = whole.addresses().get(..inner.frames).unwrap_or_default();
            if !own.is_empty() {
                at(inner.id, Stack::intern(own, whole.epoch()));
            }
        }
    }
    let ids: HashSet<u64> = seen.iter().map(|one| one.id).collect();
    seen.into_iter()
        .map(|one| {
            let waits = pending.remove(&one.id).unwrap_or_default();
            let parent = if ids.contains(&one.parent) { one.parent } else { 0 };
            describe(one, parent, waits, &polled, now)
        })
        .collect()
}

fn describe(one: Seen, parent: u64, waits: Vec<Pending>, polled: &HashSet<u64>, now: u64) -> Alive {
    let time = |since: u64| Duration::from_nanos(clock::elapsed(since, now));
    let lasting: Vec<Pending> = waits.iter().copied().filter(|wait| wait.lasts).collect();
    // Woken, all of them: what it waited for is where it goes on.
    let shown = if lasting.is_empty() { &waits } else { &lasting };
    let first = shown.first();
    let earliest =
        shown.iter().map(|wait| wait.since).min_by_key(|&since| std::cmp::Reverse(now.wrapping_sub(since)));
    let (state, since, missing) = if polled.contains(&one.id) {
        (State::Running, None, Some("it is being polled"))
    } else if one.polls == 0 {
        (State::New, Some(one.born), Some("it was not polled yet"))
    } else if !lasting.is_empty() {
        (State::Pending, earliest, None)
    } else if first.is_some() {
        (State::Woken, Some(one.woken).filter(|&woken| woken != 0), None)
    } else {
        (State::Pending, None, Some("nobody looked when it began to wait"))
    };
    let stack = match first.filter(|_| missing.is_none()) {
        Some(wait) => wait.stack,
        None => Stack::pseudo(state.place()),
    };
    let name = one.site.unique_name();
    Alive {
        kind: Kind::Task,
        id: one.id,
        name: name.to_owned(),
        state: state.word(),
        wait: since.map(time),
        key: Key { labels: Labels::intern_if_ample(&one.labels), scope: Some(name), ..Key::of(stack) },
        creator: None,
        missing,
        ours: false,
        facts: Some(Facts {
            parent,
            branches: shown.iter().skip(1).map(|wait| wait.stack).collect(),
            polls: one.polls,
            busy: Duration::from_nanos(one.busy),
            age: time(one.born),
            maker: one.maker,
        }),
    }
}

#[derive(Clone, Copy)]
enum State {
    Running,
    New,
    Pending,
    Woken,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::New => "new",
            State::Pending => "pending",
            State::Woken => "woken",
        }
    }

    fn place(self) -> u64 {
        match self {
            State::Running => pseudo::STATE,
            State::New => pseudo::NEW,
            State::Pending => pseudo::PENDING,
            State::Woken => pseudo::WOKEN,
        }
    }
}

/// The numbers of those that threads are polling.
fn polled_now() -> HashSet<u64> {
    // Nothing is allocated under the lock that is held here: as in `function::report`.
    let mut found = Vec::with_capacity(4096);
    local::each_scopes(|scopes| {
        for at in 0..scopes.depth.load(Relaxed).min(MAX_SCOPES) {
            if let Some(task) = scopes.task(at).filter(|_| found.len() < found.capacity()) {
                found.push(task.id());
            }
        }
    });
    found.into_iter().collect()
}

/// The innermost future that each thread polls, and the thread.
pub(super) fn innermost_polls() -> Vec<(i32, &'static Task)> {
    let polled = |thread: &'static local::Thread| {
        let scopes = &thread.scopes;
        let noted = scopes.depth.load(Relaxed).min(MAX_SCOPES);
        (0..noted).rev().find_map(|at| scopes.task(at)).map(|task| (thread.tid(), task))
    };
    local::threads().into_iter().filter_map(polled).collect()
}

/// Every future.
struct Tasks;

impl Source for Tasks {
    fn count(&self) -> usize {
        slot::count()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        snapshot(name, Wanted::ROWS)
    }

    fn view(&self, name: &'static str, view: View) -> Option<Snapshot> {
        let View::Alive(wanted) = view else { return None };
        Some(snapshot(name, wanted))
    }

    fn has_view(&self, view: View) -> bool {
        matches!(view, View::Alive(_))
    }

    fn is_cumulative(&self) -> bool {
        false
    }
}

static TASKS: Profile =
    Profile::predefined("tasks", "Futures that are alive, now, by the place where they wait", &Tasks);
inventory::submit! { Entry::Profile(&TASKS) }

/// What futures waited for.
struct Await;

impl Source for Await {
    fn count(&self) -> usize {
        AWAITED.count()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let seen = slot::all();
        let mut lasting: HashMap<*const Bucket, Vec<&wait::Seen>> = HashMap::new();
        for wait in seen.iter().flat_map(|one| &one.waits) {
            lasting.entry(std::ptr::from_ref(wait.bucket)).or_default().push(wait);
        }
        let now = clock::ticks();
        let rows = AWAITED.iter().map(|bucket| {
            let waits = lasting.get(&std::ptr::from_ref(bucket)).map_or(&[][..], |waits| waits);
            let [count, delay] = wait::values(bucket, waits, now);
            let key = bucket.key();
            let scope = key.scope.map(|site| site.unique_name());
            Row {
                key: Key { labels: key.labels, scope, ..Key::of(key.stack) },
                values: [clipped(count), clipped(delay), 0, 0],
            }
        });
        let rows = rows.collect();
        let (waits, delay) = (ValueType::new("waits", "count"), ValueType::new("delay", "nanoseconds"));
        let mut comments: Vec<String> = comments().collect();
        comments.extend(label::losses());
        if AWAITED.folded() > 0 {
            comments.push(format!("{} waits are in [other]: too many different ones", AWAITED.folded()));
        }
        let meta = Meta {
            profile: name,
            value_types: vec![waits, delay],
            period: (waits, 1),
            places: Places::Parked,
            shape: Shape::Contention { mutex: false },
            time: SystemTime::now(),
            cumulative: true,
            comments,
            ..Meta::default()
        };
        Snapshot::new(meta, rows, stack::modules())
    }
}

fn clipped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

static AWAIT: Profile = Profile::predefined(
    "await",
    "Where profiled futures waited, and for how long, those included that wait now",
    &Await,
);
inventory::submit! { Entry::Profile(&AWAIT) }
