//! Where every thread is, now: the profiles `threads` and `goroutine`.
mod handler;
mod slots;
mod take;
mod waits;

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::alive::{self, Alive, Tags, Wanted};
use crate::hook::task;
use crate::profile::{Entry, Profile, Source, View};
use crate::record::ValueType;
use crate::snapshot::{Meta, Places, Shape, Snapshot};
use crate::sys::thread;
use crate::{label, stack};

pub(crate) use take::{after_fork_in_child, stack_of};

/// All threads of the process with their stacks, but for those of this crate.
///
/// Each is asked by a signal, `SIGURG`, and answers from its handler. Threads that wait notice: `poll`, `epoll_wait`,
/// `nanosleep` and reads with a timeout return early with `EINTR`, which `SA_RESTART` does not prevent; Rust's standard
/// library and all code that is to survive a debugger try again. Who cannot be asked, because it blocks the signal, waits
/// for signals, is stopped, or waits for the kernel alone, is there without a stack. All of it takes some microseconds a
/// thread; for those that do not answer it waits at most 250 ms.
///
/// Since when each waits is known where threads are fewer than 200; to ask the kernel for it takes half as long again, and is
/// left to [`write_to`](crate::Profile::write_to) with `debug` 2.
pub fn dump() -> Snapshot {
    snapshot("threads", Wanted::ROWS, false)
}

/// Of all threads, and with `tasks` of all futures, too.
fn snapshot(name: &'static str, wanted: Wanted, tasks: bool) -> Snapshot {
    let count = ValueType::new(name, "count");
    let (mut alive, failed) = match take::threads(wanted.stacks, wanted.times) {
        Ok(alive) => (alive, None),
        Err(error) => (Vec::new(), Some(format!("threads cannot be listed: {error}"))),
    };
    let ours = alive.iter().filter(|one| one.ours && !wanted.all).count();
    alive.retain(|one| wanted.has(one));
    let mut comments: Vec<String> = failed.into_iter().collect();
    if ours > 0 {
        comments.push(format!("{ours} threads of the profiler's own are left out; all=1 has them"));
    }
    if let Some(stuck) = wanted.stuck {
        comments.push(format!("only what has been waiting for {} s and longer", stuck.as_secs_f64()));
    }
    if wanted.stacks {
        comments.extend(missing(&alive));
    } else {
        comments.push(
            "no thread was disturbed for its stack: debug=1, debug=2 or threads=stacks does that".to_owned(),
        );
    }
    comments.extend(label::losses());
    if tasks {
        comments.extend(task::comments());
        alive.extend(task::alive().into_iter().filter(|one| wanted.has(one)));
    }
    let tags = match wanted.tags {
        // All that there is to tell them by.
        Tags::Kind if !wanted.stacks => Tags::Name,
        tags => tags,
    };
    let meta = Meta {
        profile: name,
        value_types: vec![count],
        period: (count, 1),
        places: if tasks { Places::Parked } else { Places::Hooked },
        shape: Shape::Count,
        time: SystemTime::now(),
        comments,
        ..Meta::default()
    };
    let rows = alive::rows(&alive, tags);
    let tagged = (wanted.stacks || tasks) && tags != Tags::None;
    Snapshot { alive, tagged, ..Snapshot::new(meta, rows, stack::modules()) }
}

/// How many have no stack, by reason.
fn missing(alive: &[Alive]) -> impl Iterator<Item = String> {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in alive.iter().filter_map(|one| one.missing) {
        *reasons.entry(reason).or_default() += 1;
    }
    reasons.into_iter().map(|(reason, count)| format!("{count} threads without a stack: {reason}"))
}

/// Every thread, and with `tasks` every future, too.
struct Everyone {
    tasks: bool,
}

impl Source for Everyone {
    fn count(&self) -> usize {
        let threads = thread::ids().map_or(0, |ids| ids.iter().filter(|&&id| !thread::is_ours(id)).count());
        threads + if self.tasks { task::count() } else { 0 }
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        snapshot(name, Wanted::ROWS, self.tasks)
    }

    fn view(&self, name: &'static str, view: View) -> Option<Snapshot> {
        let View::Alive(wanted) = view else { return None };
        Some(snapshot(name, wanted, self.tasks))
    }

    fn has_view(&self, view: View) -> bool {
        matches!(view, View::Alive(_))
    }

    fn is_cumulative(&self) -> bool {
        false
    }
}

static THREADS: Profile =
    Profile::predefined("threads", "Stacks of all threads, now", &Everyone { tasks: false });
inventory::submit! { Entry::Profile(&THREADS) }

static GOROUTINE: Profile = Profile::predefined(
    "goroutine",
    "Stacks of all that is alive, now: every thread, and every future that is profiled",
    &Everyone { tasks: true },
);
inventory::submit! { Entry::Profile(&GOROUTINE) }
