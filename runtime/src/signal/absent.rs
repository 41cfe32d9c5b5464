//! CPU sampling where there is none: the same names, and a polite no.
//!
//! The portable backend has no timers on CPU time and no handlers of signals. Nothing here can be begun; everything
//! that the rest of the crate and its users call is there.
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use crate::alive::{self, Alive, Tags, Wanted};
use crate::error::{Error, Result};
use crate::hook::task;
use crate::profile::{Entry, How, Profile, Recording, Source, View};
use crate::record::{Rate, ValueType};
use crate::snapshot::{Meta, Places, Shape, Snapshot};

/// Samples a second, unless asked otherwise.
const DEFAULT_HZ: u32 = 100;
/// The bound that sampling has where there is any.
const MAX_HZ: u32 = 4_000;

/// What is refused, with the reason.
const ABSENT: &str = "CPU sampling needs Linux on x86-64 and a build without `profiled_portable`";

/// How to sample the CPU.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is sampled until `start`"]
pub struct Options {
    hz: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// 100 samples for every second of CPU time.
    pub const fn new() -> Options {
        Options { hz: DEFAULT_HZ }
    }

    /// Samples for every second of CPU time, 1 to 4 000.
    pub const fn hz(self, hz: u32) -> Options {
        Options { hz }
    }

    /// Samples by the wall clock.
    pub const fn wall(self, _on: bool) -> Options {
        self
    }

    /// Has samples carry the name of their thread.
    pub const fn thread_names(self, _on: bool) -> Options {
        self
    }

    /// Has the stacks of samples within a task end there, and go on with those who await it.
    pub const fn task_stacks(self, _on: bool) -> Options {
        self
    }

    /// Begins a session, where that can be.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the rate is out of its range; otherwise [`Error::Unsupported`]: this backend cannot.
    pub fn start(self) -> Result<Session> {
        check(self.hz)
    }
}

/// Begins to sample the CPU, where that can be.
///
/// # Errors
/// [`Error::Unsupported`]: this backend cannot.
pub fn start() -> Result<Session> {
    Options::new().start()
}

/// Samples the CPU for as long as `duration`, where that can be. Here it does not wait.
///
/// # Errors
/// [`Error::Unsupported`]: this backend cannot.
pub fn profile(_duration: Duration) -> Result<Snapshot> {
    Ok(start()?.stop())
}

/// Keeps sampling at `hz` for ever, where that can be; 0, which ends it, always can. Returns the rate before: 0.
///
/// # Errors
/// As [`Options::start`].
pub fn set_continuous(hz: u32) -> Result<u32> {
    if hz == 0 { Ok(0) } else { check(hz).map(|_: Session| 0) }
}

/// A wrong rate is wrong everywhere.
fn check<T>(hz: u32) -> Result<T> {
    if !(1..=MAX_HZ).contains(&hz) {
        return Err(Error::Invalid { what: "hz", value: hz.to_string() });
    }
    Err(Error::Unsupported(ABSENT))
}

/// CPU sampling. On this backend no value of it exists.
#[derive(Debug)]
#[must_use = "dropping it discards what was sampled"]
pub struct Session(Infallible);

impl Session {
    /// Ends the session and gives what was sampled in it.
    pub fn stop(self) -> Snapshot {
        match self.0 {}
    }
}

/// The profile `cpu`: it says why it is empty.
struct Cpu;

impl Source for Cpu {
    fn count(&self) -> usize {
        0
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let cpu = ValueType::new("cpu", "nanoseconds");
        let meta = Meta {
            profile: name,
            value_types: vec![ValueType::new("samples", "count"), cpu],
            period: (cpu, 0),
            shape: Shape::Count,
            time: SystemTime::now(),
            cumulative: true,
            comments: vec![ABSENT.to_owned()],
            ..Meta::default()
        };
        Snapshot::new(meta, Vec::new(), crate::stack::modules())
    }

    fn start(&self, how: How) -> Result<Box<dyn Recording>> {
        check(how.hz)
    }

    fn is_started(&self) -> bool {
        true
    }

    fn rate_now(&self) -> Option<Rate> {
        Some(Rate { value: 0, unit: "samples a second of CPU time, always" })
    }

    fn set_rate(&self, rate: u64) -> Result<()> {
        set_continuous(u32::try_from(rate).unwrap_or(u32::MAX)).map(drop)
    }

    fn rate(&self) -> Option<String> {
        Some("not on this platform".to_owned())
    }
}

static CPU_PROFILE: Profile =
    Profile::predefined("cpu", "CPU time by what was running: not on this platform", &Cpu);
inventory::submit! { Entry::Profile(&CPU_PROFILE) }

/// Nobody calls it: no fork is noticed here.
pub(crate) fn after_fork_in_child() {}

/// Whether samples of the CPU are taken.
pub(crate) fn is_sampling() -> bool {
    false
}

/// Takes in what was sampled so far.
pub(crate) fn hear() {}

/// All threads of the process, where they can be asked: here none can.
pub fn dump() -> Snapshot {
    Nobody.snapshot("threads")
}

fn nobody(name: &'static str) -> Meta {
    let count = ValueType::new(name, "count");
    Meta {
        profile: name,
        value_types: vec![count],
        period: (count, 1),
        shape: Shape::Count,
        time: SystemTime::now(),
        comments: vec![
            "stacks of threads need Linux on x86-64 and a build without `profiled_portable`".to_owned(),
        ],
        ..Meta::default()
    }
}

/// The profile `threads`: it says why it is empty.
struct Nobody;

impl Source for Nobody {
    fn count(&self) -> usize {
        0
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        Snapshot::new(nobody(name), Vec::new(), crate::stack::modules())
    }

    fn is_cumulative(&self) -> bool {
        false
    }
}

static THREADS: Profile =
    Profile::predefined("threads", "Stacks of all threads, now: not on this platform", &Nobody);
inventory::submit! { Entry::Profile(&THREADS) }

/// The profile `goroutine`: the futures, and why there are no threads.
struct Futures;

impl Futures {
    fn wanted(name: &'static str, wanted: Wanted) -> Snapshot {
        let alive: Vec<Alive> = task::alive().into_iter().filter(|one| wanted.has(one)).collect();
        let rows = alive::rows(&alive, wanted.tags);
        let mut meta = Meta { places: Places::Parked, ..nobody(name) };
        meta.comments.extend(task::comments());
        Snapshot {
            alive,
            tagged: wanted.tags != Tags::None,
            ..Snapshot::new(meta, rows, crate::stack::modules())
        }
    }
}

impl Source for Futures {
    fn count(&self) -> usize {
        task::count()
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        Futures::wanted(name, Wanted::ROWS)
    }

    fn view(&self, name: &'static str, view: View) -> Option<Snapshot> {
        let View::Alive(wanted) = view else { return None };
        Some(Futures::wanted(name, wanted))
    }

    fn has_view(&self, view: View) -> bool {
        matches!(view, View::Alive(_))
    }

    fn is_cumulative(&self) -> bool {
        false
    }
}

static GOROUTINE: Profile = Profile::predefined(
    "goroutine",
    "Stacks of every future that is profiled, now; of threads none on this platform",
    &Futures,
);
inventory::submit! { Entry::Profile(&GOROUTINE) }

/// Where one thread is: not on this platform.
pub(crate) fn stack_of(_tid: i32) -> Option<crate::store::Stack> {
    None
}
