//! CPU sampling: sessions, any number of which share one sampler.
//!
//! A timer on the process's CPU clock raises `SIGPROF` on a thread that runs; the handler puts what it finds into a
//! ring; a thread of ours empties the ring every 50 ms and gives each open session its share. The kernel expires
//! such a timer at its tick at the most (often 250 times a second), and tells with each signal how many expirations
//! it stands for: every sample is weighted with that, so that totals are right at any rate.
mod drain;
mod handler;
mod ring;

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, io};

use crate::error::{Error, Result};
use crate::fork::Lock;
use crate::profile::{Entry, Profile, Recording, Source};
use crate::rate::Random;
use crate::snapshot::Snapshot;
use crate::sys::clock::{Clock, nanoseconds};
use crate::sys::timer::{self, Timer};
use crate::{clock, stack};
use drain::Aggregate;

/// Samples a second, unless asked otherwise.
const DEFAULT_HZ: u32 = 100;
/// Beyond this, samples would only be heavier: the kernel's tick is 1 000 Hz at the most.
const MAX_HZ: u32 = 4_000;
/// How often the ring is emptied.
const LOOK: Duration = Duration::from_millis(50);

/// Everything about the sampler that is running.
struct Sampler {
    sessions: Vec<Open>,
    next_id: u64,
    /// Armed at the highest rate that any session asked for.
    timer: Option<(Timer, u32)>,
    /// A thread empties the ring. It ends by itself when no session is left.
    attended: bool,
    installed: bool,
}

/// A session, on our side.
#[derive(Clone)]
struct Open {
    id: u64,
    hz: u32,
    /// It is the one behind the profile `cpu`, which never ends.
    continuous: bool,
    time: SystemTime,
    start: Instant,
    /// The process's CPU clock at the start.
    cpu: u64,
    aggregate: Aggregate,
}

static SAMPLER: Lock<Sampler> =
    Lock::new(Sampler { sessions: Vec::new(), next_id: 1, timer: None, attended: false, installed: false });

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

    /// Samples for every second of CPU time, 1 to 4 000. Above the kernel's tick (often 250) samples come no oftener,
    /// and each counts for several: totals stay right, detail does not grow.
    pub const fn hz(self, hz: u32) -> Options {
        Options { hz }
    }

    /// Begins a session. Any number may be open at once; each sees exactly its own window.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the rate is out of its range, [`Error::Io`] if the kernel refuses a timer or a thread.
    pub fn start(self) -> Result<Session> {
        Ok(Session { id: open(self.hz, false)? })
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
    let before = {
        let sampler = SAMPLER.lock();
        sampler.sessions.iter().find(|session| session.continuous).map(|session| (session.id, session.hz))
    };
    if hz > 0 {
        open(hz, true)?;
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

fn open(hz: u32, continuous: bool) -> Result<u64> {
    if !(1..=MAX_HZ).contains(&hz) {
        return Err(Error::Invalid { what: "hz", value: hz.to_string() });
    }
    if crate::sys::modules::is_late() {
        // Its thread-locals are reached by a call that may allocate, which a handler must not.
        return Err(Error::Unsupported("CPU sampling from a library that was opened at run time"));
    }
    clock::calibrate();
    stack::prepare();
    let mut sampler = SAMPLER.lock();
    if !sampler.installed || timer::is_unhandled() {
        timer::install(handler::on_signal)?;
        sampler.installed = true;
    }
    // What is in the ring now belongs to those who are there already.
    sampler.drain();
    sampler.attend()?;
    let highest = sampler.highest().max(hz);
    sampler.run_at(highest)?;
    let id = sampler.next_id;
    sampler.next_id += 1;
    sampler.sessions.push(Open {
        id,
        hz,
        continuous,
        time: SystemTime::now(),
        start: Instant::now(),
        cpu: nanoseconds(Clock::ProcessCpu),
        aggregate: Aggregate::new(1_000_000_000 / u64::from(hz)),
    });
    handler::ENABLED.store(true, Relaxed);
    Ok(id)
}

fn close(id: u64) -> Option<Open> {
    let mut sampler = SAMPLER.lock();
    let at = sampler.sessions.iter().position(|session| session.id == id)?;
    sampler.drain();
    let session = sampler.sessions.swap_remove(at);
    let highest = sampler.highest();
    if highest == 0 {
        handler::ENABLED.store(false, Relaxed);
        sampler.timer = None;
    } else {
        // A slower timer is a courtesy: if the kernel refuses, the faster one goes on and samples are thinned.
        _ = sampler.run_at(highest);
    }
    Some(session)
}

impl Sampler {
    fn highest(&self) -> u32 {
        self.sessions.iter().map(|session| session.hz).max().unwrap_or(0)
    }

    /// Has the timer expire `hz` times for every second of CPU time.
    fn run_at(&mut self, hz: u32) -> io::Result<()> {
        if self.timer.as_ref().is_some_and(|&(_, armed)| armed == hz) {
            return Ok(());
        }
        let period = 1_000_000_000 / u64::from(hz);
        // Somewhere in the first period, or what happens regularly would be seen always or never.
        let first = Random::new(clock::ticks()).next() % period;
        let (timer, before) = match self.timer.take() {
            Some(running) => running,
            None => (Timer::new(handler::tag())?, 0),
        };
        let armed = timer.arm(first, period);
        // If the kernel refuses, it goes on at the rate it had.
        let hz = if armed.is_ok() { hz } else { before };
        self.timer = (hz > 0).then_some((timer, hz));
        armed
    }

    /// Gives the sessions what is in the ring.
    fn drain(&mut self) {
        let period = self.timer.as_ref().map_or(0, |&(_, hz)| 1_000_000_000 / u64::from(hz));
        let sessions = &mut self.sessions;
        let lost = handler::RING.drain(|record| {
            let (key, weight) = drain::key_of(record);
            sessions.iter_mut().for_each(|session| session.aggregate.add(key, weight * period));
        });
        if lost > 0 {
            sessions.iter_mut().for_each(|session| session.aggregate.add_lost(lost * period));
        }
    }

    /// Sees to it that a thread empties the ring.
    fn attend(&mut self) -> io::Result<()> {
        if self.attended {
            return Ok(());
        }
        // It inherits the mask: no signal of the program's, and none of our own, ever runs on it.
        crate::sys::thread::with_signals_blocked(|| {
            std::thread::Builder::new().name("profiled-cpu".to_owned()).stack_size(256 * 1024).spawn(attend)
        })?;
        self.attended = true;
        Ok(())
    }
}

/// The thread that empties the ring.
fn attend() {
    crate::local::serve();
    let mut looks = 0_u32;
    loop {
        std::thread::sleep(LOOK);
        let mut sampler = SAMPLER.lock();
        sampler.drain();
        if sampler.sessions.is_empty() {
            sampler.attended = false;
            return;
        }
        if timer::is_unhandled() {
            // Better late than killed at the next tick. If it cannot be had, there was no handler to lose.
            _ = timer::install(handler::on_signal);
        }
        drop(sampler);
        looks = looks.wrapping_add(1);
        // Libraries that were loaded since: once a second is soon enough.
        if looks.is_multiple_of(20) {
            stack::prepare();
        }
    }
}

impl Open {
    fn snapshot(&self, name: &'static str) -> Snapshot {
        let cpu = nanoseconds(Clock::ProcessCpu).saturating_sub(self.cpu);
        self.aggregate.snapshot(name, self.hz, self.time, self.start.elapsed(), cpu, self.continuous)
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("id", &self.id).field("hz", &self.hz).finish_non_exhaustive()
    }
}

/// The value that our timers' signals carry: benches raise such signals by hand.
#[doc(hidden)]
pub fn timer_tag() -> *const std::ffi::c_void {
    handler::tag()
}

/// The timer, the thread and the sessions are the parent's.
pub(crate) fn after_fork_in_child() {
    handler::ENABLED.store(false, Relaxed);
    let mut sampler = SAMPLER.lock();
    handler::RING.reset();
    // The kernel gives a child no timers, and the ids may be another timer's by now: forget, do not delete.
    std::mem::forget(sampler.timer.take());
    // Freeing may take a lock of the allocator, which its own handlers have not seen to yet.
    std::mem::forget(std::mem::take(&mut sampler.sessions));
    sampler.attended = false;
}

/// The profile `cpu`: what is sampled all the time, and windows for those who ask.
struct Cpu;

impl Source for Cpu {
    fn count(&self) -> usize {
        let sampler = SAMPLER.lock();
        sampler
            .sessions
            .iter()
            .find(|session| session.continuous)
            .map_or(0, |session| session.aggregate.len())
    }

    fn snapshot(&self, name: &'static str) -> Snapshot {
        let copy = {
            let mut sampler = SAMPLER.lock();
            sampler.drain();
            sampler.sessions.iter().find(|session| session.continuous).cloned()
        };
        match copy {
            Some(session) => session.snapshot(name),
            None => drain::nothing(name),
        }
    }

    fn start(&self, hz: u32) -> Result<Box<dyn Recording>> {
        let hz = if hz == 0 { DEFAULT_HZ } else { hz };
        Ok(Box::new(Options::new().hz(hz).start()?))
    }

    fn is_started(&self) -> bool {
        true
    }

    fn rate(&self) -> Option<String> {
        let sampler = SAMPLER.lock();
        Some(match sampler.sessions.iter().find(|session| session.continuous) {
            Some(session) => format!("{} Hz, always", session.hz),
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
