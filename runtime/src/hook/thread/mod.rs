//! Who started each thread that is alive: the profile `threadcreate`.
//!
//! Whoever starts a thread takes the stack: [`spawn`] and [`Builder`], or, of the whole process, `pthread_create` of the
//! feature `interpose`. The new thread notes it with its own id before it does anything else. Which threads there are the
//! kernel says, when somebody asks; whoever it lists and nobody noted has an unknown creator. The portable backend cannot
//! list threads, and shows those that were noted, until their function has returned.
mod builder;
mod table;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

pub use builder::{Builder, spawn};

use crate::hook::function::name_of;
use crate::hook::interpose;
use crate::profile::{Entry, Profile, Source};
use crate::record::{ValueType, pseudo};
use crate::snapshot::{self, Meta, Places, Row, Shape, Snapshot};
use crate::stack::{self, Frames};
use crate::store::Stack;
use crate::store::bucket::{Bucket, Buckets, Key};
use crate::trace::record;
use crate::{label, local, sys};

/// A stack that started threads, with its labels.
pub(crate) type Creator = Bucket<()>;

static CREATORS: Buckets<()> = Buckets::new();

/// Threads that are being started, and have not noted who they are.
static STARTING: AtomicUsize = AtomicUsize::new(0);

/// Whoever has this stack starts a thread.
pub(crate) fn creator(frames: &Frames) -> Option<&'static Creator> {
    CREATORS.get(Key {
        stack: frames.intern(),
        labels: label::interned(),
        scope: local::with(|local| local.scopes().innermost()),
        what: 0,
        rate: 0,
    })
}

/// A thread is about to be started.
pub(crate) fn starting() {
    STARTING.fetch_add(1, Relaxed);
}

/// Threads that were started while too many others were, so that nobody notes by whom.
static TOO_MANY: AtomicU64 = AtomicU64::new(0);

/// A thread is about to be started, and too many others are.
#[cfg(profiled_interpose)]
pub(crate) fn starting_unnoted() {
    TOO_MANY.fetch_add(1, Relaxed);
}

/// It was not.
pub(crate) fn not_started() {
    STARTING.fetch_sub(1, Relaxed);
}

/// This is the thread, with the id that is returned.
pub(crate) fn started(by: &'static Creator) -> i32 {
    let tid = sys::process::thread_id();
    table::note(tid, by);
    record::thread_began(by.key().stack);
    STARTING.fetch_sub(1, Relaxed);
    tid
}

/// Who started the thread of this id, which began `began` nanoseconds after the machine.
#[cfg_attr(profiled_portable, expect(dead_code, reason = "nobody lists threads there"))]
pub(crate) fn created_by(tid: i32, began: u64) -> Option<Stack> {
    known(tid, began).map(|by| by.key().stack)
}

fn known(tid: i32, began: u64) -> Option<&'static Creator> {
    // A record that was made before the thread began is of another thread, which had its id.
    table::find(tid).filter(|known| began <= known.noted).map(|known| known.by)
}

/// How often threads that are just beginning are looked for again, a millisecond later.
const LOOKS: u32 = 10;

/// Who started each thread there is; `None` of those that nobody knows of.
fn creators() -> Vec<Option<&'static Creator>> {
    let mut looks = 0;
    loop {
        let Some(threads) = sys::thread::began() else {
            return table::all().map(|known| Some(known.by)).collect();
        };
        let all: Vec<_> = threads.into_iter().map(|(tid, began)| known(tid, began)).collect();
        looks += 1;
        if looks == LOOKS || STARTING.load(Relaxed) == 0 || all.iter().all(Option::is_some) {
            return all;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Created;

impl Source for Created {
    fn count(&self) -> usize {
        sys::thread::count().unwrap_or_else(|| table::all().count())
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let creators = creators();
        let rows = creators.iter().map(|by| {
            let key = match by.map(Creator::key) {
                Some(key) => snapshot::Key {
                    labels: key.labels,
                    scope: name_of(key.scope),
                    ..snapshot::Key::of(key.stack)
                },
                None => snapshot::Key::of(Stack::pseudo(pseudo::UNKNOWN_CREATOR)),
            };
            Row { key, values: [1, 0, 0, 0] }
        });
        let count = ValueType::new("threadcreate", "count");
        let meta = Meta {
            profile: name,
            value_types: vec![count],
            period: (count, 1),
            places: Places::Starting,
            shape: Shape::Count,
            time: SystemTime::now(),
            comments: comments(),
            ..Meta::default()
        };
        Snapshot::new(meta, rows.collect(), stack::modules())
    }

    fn is_cumulative(&self) -> bool {
        false
    }
}

fn comments() -> Vec<String> {
    let known = if interpose::is_active() {
        "known is who started any thread by pthread_create".to_owned()
    } else if sys::thread::count().is_some() {
        "known is who started a thread by profiled::thread; with the feature interpose, by pthread_create"
            .to_owned()
    } else {
        "only threads that profiled::thread started are known".to_owned()
    };
    let lost = match table::no_room() {
        0 => None,
        n => Some(format!("{n} threads that were not noted: the table was full")),
    };
    let too_many = match TOO_MANY.load(Relaxed) {
        0 => None,
        n => Some(format!(
            "{n} threads that were not noted: too many others were on their way when they were started"
        )),
    };
    let interpose = interpose::comments().take(1);
    interpose.chain([known]).chain(lost).chain(too_many).chain(label::losses()).collect()
}

static THREADCREATE: Profile =
    Profile::predefined("threadcreate", "Stacks that started the threads that are alive", &Created);
inventory::submit! { Entry::Profile(&THREADCREATE) }

#[cfg(all(test, not(profiled_portable)))]
mod tests {
    use super::*;

    /// The test's own thread, which the harness started: nobody noted it but this.
    #[test]
    fn a_record_that_is_older_than_its_thread_is_anothers() {
        let mut frames = Frames::new();
        stack::capture(&mut frames, 0);
        starting();
        let tid = started(creator(&frames).unwrap());
        let began =
            |tid| sys::thread::began().unwrap().into_iter().find(|&(found, _)| found == tid).unwrap().1;
        assert_eq!(created_by(tid, began(tid)), Some(frames.intern()));
        let noted = table::find(tid).unwrap().noted;
        assert_eq!(created_by(tid, noted + 1), None);
        // One that the kernel would give this id from now on.
        std::thread::sleep(Duration::from_millis(30));
        let later = std::thread::spawn(move || began(sys::process::thread_id())).join().unwrap();
        assert!(later > noted, "{later} is not later than {noted}");
        assert_eq!(created_by(tid, later), None);
    }
}
