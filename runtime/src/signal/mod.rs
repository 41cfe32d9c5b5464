//! CPU sampling: sessions, any number of which share one sampler.
//!
//! Timers on CPU clocks raise `SIGPROF` on threads that run; the handler puts what it finds into a ring; a thread of
//! ours empties the ring and gives each open session its share. The kernel expires such timers at its tick at the
//! most (often 250 times a second), and tells with each signal how many expirations it stands for: every sample is
//! weighted with that, so that totals are right at any rate.
//!
//! ```text
//!   timers (threads), wall --SIGPROF--> handler --ring--> sampler --drain--> sessions
//! ```
mod armed;
mod drain;
mod dump;
mod handler;
mod ring;
mod sampler;
mod threads;
mod wall;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::fork::Lock;
use crate::profile::{Entry, How, Profile, Recording, Source};
use crate::record::{Fact, Rate};
use crate::snapshot::Snapshot;
pub use dump::dump;
pub(crate) use dump::stack_of;
use sampler::{SAMPLER, close, open};

/// Whether samples of the CPU are taken.
pub(crate) fn is_sampling() -> bool {
    handler::PERIOD.load(std::sync::atomic::Ordering::Relaxed) != 0
}

/// Takes in what was sampled so far.
pub(crate) fn hear() {
    if is_sampling() {
        SAMPLER.lock().drain();
    }
}

/// The parent's threads are not there.
pub(crate) fn after_fork_in_child() {
    sampler::after_fork_in_child();
    dump::after_fork_in_child();
}

/// Samples a second, unless asked otherwise.
const DEFAULT_HZ: u32 = 100;
/// Beyond this, samples would only be heavier: the kernel's tick is 1 000 Hz at the most.
const MAX_HZ: u32 = 4_000;

/// How to sample the CPU.
///
/// ```no_run
/// let session = profiled::cpu::Options::new().hz(250).start()?;
/// // ..
/// session.stop().write(std::fs::File::create("cpu.pb.gz")?, profiled::Format::Pprof)?;
/// # Ok::<(), profiled::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is sampled until `start`"]
pub struct Options {
    hz: u32,
    wall: bool,
    thread_names: bool,
    task_stacks: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// 100 samples for every second of CPU time.
    pub const fn new() -> Options {
        Options { hz: DEFAULT_HZ, wall: false, thread_names: false, task_stacks: false }
    }

    /// Samples for every second of CPU time, 1 to 4 000. Above the kernel's tick (often 250) samples come no oftener,
    /// and each counts for several: totals stay right, detail does not grow.
    pub const fn hz(self, hz: u32) -> Options {
        Options { hz, ..self }
    }

    /// Samples by the wall clock: `hz` times a second every thread, whether it runs or waits, with a label `state`
    /// that says which: `running`, `futex`, `epoll`, `sleep`, .. The values are `wall/nanoseconds` then.
    ///
    /// With many threads they take turns, each sample standing for several, so that it all costs about 2 % of one
    /// processor at the most; a comment says how many samples a second that came to. A thread that does not answer,
    /// for it blocks `SIGPROF`, is there as `[unknown]`.
    ///
    /// Off by default, because waiting threads see it: the signals make `poll`, `epoll_wait`, `nanosleep` and reads
    /// with a timeout return early with `EINTR`, which `SA_RESTART` does not prevent. Rust's standard library and all
    /// code that is to survive a debugger try again.
    pub const fn wall(self, on: bool) -> Options {
        Options { wall: on, ..self }
    }

    /// Has samples carry the name of their thread as the label `thread`.
    pub const fn thread_names(self, on: bool) -> Options {
        Options { thread_names: on, ..self }
    }

    /// Has the stacks of samples within a task, which is the outermost profiled future that is polled, end there. Instead of
    /// the executor and its thread, those who await it follow, each with the place where it waits, as far as they are
    /// profiled futures, too: `stacks=async` over HTTP. Samples of anything else are as they are.
    pub const fn task_stacks(self, on: bool) -> Options {
        Options { task_stacks: on, ..self }
    }

    fn check(self) -> Result<()> {
        if !(1..=MAX_HZ).contains(&self.hz) {
            return Err(Error::Invalid { what: "hz", value: self.hz.to_string() });
        }
        if crate::sys::modules::is_late() {
            // Its thread-locals are reached by a call that may allocate, which a handler must not.
            return Err(Error::Unsupported("CPU sampling from a library that was opened at run time"));
        }
        Ok(())
    }

    /// Begins a session. Any number may be open at once; each sees exactly its own window.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the rate is out of its range, [`Error::Io`] if the kernel refuses a timer or a thread.
    pub fn start(self) -> Result<Session> {
        self.check()?;
        Ok(Session { id: open(self, false)? })
    }
}

/// Begins to sample the CPU at 100 Hz.
///
/// # Errors
/// [`Error::Io`] if the kernel refuses a timer or a thread.
pub fn start() -> Result<Session> {
    Options::new().start()
}

/// Samples the CPU for as long as `duration`, and waits for it.
///
/// # Errors
/// As [`start`].
pub fn profile(duration: Duration) -> Result<Snapshot> {
    let session = start()?;
    std::thread::sleep(duration);
    Ok(session.stop())
}

/// Keeps sampling at `hz` for ever, 19 for example; 0 ends it and forgets what was sampled. Returns the rate before.
///
/// The profile `cpu` holds what was sampled since, so that two looks at it and their difference are a window that
/// nobody had to wait for.
///
/// # Errors
/// As [`Options::start`]; the rate before then stays in force.
pub fn set_continuous(hz: u32) -> Result<u32> {
    /// One at a time, or two of them would leave two sessions.
    static SWITCH: Lock<()> = Lock::new(());
    let _switch = SWITCH.lock();
    let before = SAMPLER.lock().continuous().map(|session| (session.id, session.options.hz));
    if hz > 0 {
        let options = Options::new().hz(hz);
        options.check()?;
        open(options, true)?;
    }
    if let Some((id, _)) = before {
        drop(close(id));
    }
    Ok(before.map_or(0, |(_, hz)| hz))
}

/// CPU sampling, from here until [`stop`](Self::stop). Dropping it discards what was sampled.
#[derive(Debug)]
#[must_use = "dropping it discards what was sampled"]
pub struct Session {
    id: u64,
}

impl Session {
    /// Ends the session and gives what was sampled in it.
    pub fn stop(self) -> Snapshot {
        let id = self.id;
        std::mem::forget(self);
        // A fork ends the sessions of the child: it gets an empty profile.
        close(id).map_or_else(Snapshot::default, |open| open.snapshot("cpu"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(close(self.id));
    }
}

impl Recording for Session {
    fn finish(self: Box<Self>) -> Snapshot {
        self.stop()
    }
}

/// The value that our timers' signals carry: benches raise such signals by hand.
#[doc(hidden)]
pub fn timer_tag() -> *const std::ffi::c_void {
    handler::value(handler::THREAD_TIMER)
}

/// The profile `cpu`: what is sampled all the time, and windows for those who ask.
struct Cpu;

impl Source for Cpu {
    fn count(&self) -> usize {
        SAMPLER.lock().continuous().map_or(0, |session| session.aggregate.len())
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let copy = {
            let mut sampler = SAMPLER.lock();
            sampler.settle();
            sampler.continuous().cloned()
        };
        match copy {
            Some(session) => session.snapshot(name),
            None => drain::nothing(name),
        }
    }

    fn start(&self, how: How) -> Result<Box<dyn Recording>> {
        let How { hz, wall, thread_names, task_stacks } = how;
        let options = Options { hz, wall, thread_names, task_stacks };
        Ok(Box::new(options.start()?))
    }

    /// While it is sampled all the time, a window is the difference of two looks.
    fn is_started(&self) -> bool {
        SAMPLER.lock().continuous().is_none()
    }

    fn rate_now(&self) -> Option<Rate> {
        Some(Rate {
            value: SAMPLER.lock().continuous().map_or(0, |session| u64::from(session.options.hz)),
            unit: "samples a second of CPU time, always",
        })
    }

    fn facts(&self) -> Vec<Fact> {
        vec![
            Fact::now(
                "cpu_sessions",
                "CPU profiles that are being taken",
                SAMPLER.lock().sessions.len() as u32,
            ),
            Fact {
                value: sampler::LOST.load(Relaxed) as f64 / 1e9,
                ..Fact::so_far(
                    "cpu_lost_seconds_total",
                    "CPU time whose samples found no room in the ring",
                    0,
                )
            },
        ]
    }

    fn set_rate(&self, rate: u64) -> Result<()> {
        set_continuous(u32::try_from(rate).unwrap_or(u32::MAX)).map(drop)
    }

    fn rate(&self) -> Option<String> {
        Some(match SAMPLER.lock().continuous() {
            Some(session) => format!("{} Hz, always", session.options.hz),
            None => "off; windows are sampled on request".to_owned(),
        })
    }
}

static CPU_PROFILE: Profile = Profile::predefined(
    "cpu",
    "CPU time by what was running, sampled since cpu::set_continuous switched it on",
    &Cpu,
);
inventory::submit! { Entry::Profile(&CPU_PROFILE) }
