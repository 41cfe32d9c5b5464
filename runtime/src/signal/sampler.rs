//! The one sampler behind all sessions, and the thread that empties the ring.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, io};

use super::Options;
use super::drain::{self, About, Aggregate};
use super::handler::{self, RING};
use super::threads::Threads;
use super::wall::{self, Asked};
use crate::error::Result;
use crate::fork::Lock;
use crate::rate::Random;
use crate::record::pseudo;
use crate::snapshot::{Key, Snapshot};
use crate::store::{Labels, Stack};
use crate::sys::clock::{Clock, nanoseconds};
use crate::sys::signal::SAMPLING;
use crate::sys::thread::NAME_BYTES;
use crate::sys::timer::Timer;
use crate::trace::{record as trace, samples};
use crate::{clock, stack};

/// The shortest and the longest time between two looks into the ring.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));
/// How often to ask whether libraries were loaded.
const PREPARE: Duration = Duration::from_secs(1);
/// CPU time of young threads of which there is no sample at all; beyond it, it is `[unattributed]`.
const UNSEEN: u64 = 50_000_000;
/// CPU time at the end of a session that no sample stands for; beyond it, it is `[unattributed]`. What is on its way to
/// the next tick is ordinary.
const UNHEARD: u64 = 20_000_000;
/// Young threads are few if they use less than one part in so many of the CPU time.
const FEW: u64 = 50;
/// The period of the process's timer then: at the kernel's tick it would still be heard every time.
const QUIET: u64 = 50_000_000;
/// Samples of young threads that are kept until the next look at all threads.
const MANY: usize = 1000;
/// CPU time without a tick of the process's timer, and two periods, that prove that the kernel has dropped it.
const DROPPED: u64 = 20_000_000;

/// Nanoseconds whose samples found no room, since the process began.
pub(super) static LOST: AtomicU64 = AtomicU64::new(0);

/// Everything about the sampler that is running.
pub(super) struct Sampler {
    pub(super) sessions: Vec<Open>,
    next_id: u64,
    process: Option<Process>,
    threads: Threads,
    /// Samples of young threads, until it is known what they stand for.
    young: Vec<Young>,
    /// Whom the wall clock's signal was sent and who has not answered yet.
    pub(super) asked: Option<HashMap<i32, Asked>>,
    /// The thread that empties the ring. It ends by itself when no session is left.
    attendant: Option<Thread>,
    /// Questions of the wall clock so far, and the nanoseconds of threads that they stand for.
    pub(super) walks: (u64, u64),
    /// Where those were last who await tasks, while somebody asks for it.
    awaiting: Option<drain::Awaiting>,
    /// A thread walks over all threads for the wall clock. It ends by itself when no session wants it.
    pub(super) walked: bool,
    installed: bool,
}

/// A sample of a young thread.
struct Young {
    key: Key,
    of_task: Stack,
    task: Option<&'static str>,
    name: [u8; NAME_BYTES],
    time: u64,
}

/// The timer on the process's CPU time.
struct Process {
    timer: Timer,
    hz: u32,
    /// Its period. Longer than the rate says while there are hardly any young threads.
    period: u64,
    /// Its signals so far, and the process's CPU time then.
    ticks: u64,
    cpu: u64,
    /// The process's CPU time at the last look at all threads.
    looked: u64,
}

/// A session, on our side.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) id: u64,
    pub(super) options: Options,
    /// It is the one behind the profile `cpu`, which never ends.
    pub(super) continuous: bool,
    time: SystemTime,
    start: Instant,
    /// The process's CPU clock at the start.
    cpu: u64,
    /// The sampler's figures of this name at the start.
    walks: (u64, u64),
    /// CPU time that no sample stood for yet at the start: what does later is from before.
    unheard: u64,
    pub(super) aggregate: Aggregate,
}

pub(super) static SAMPLER: Lock<Sampler> = Lock::new(Sampler {
    sessions: Vec::new(),
    next_id: 1,
    process: None,
    threads: Threads::new(),
    young: Vec::new(),
    asked: None,
    walks: (0, 0),
    awaiting: None,
    attendant: None,
    walked: false,
    installed: false,
});

/// Begins a session. The options were checked.
pub(super) fn open(options: Options, continuous: bool) -> Result<u64> {
    clock::calibrate();
    stack::prepare();
    let mut sampler = SAMPLER.lock();
    if !sampler.installed || SAMPLING.is_unhandled() {
        SAMPLING.install(handler::on_signal)?;
        sampler.installed = true;
    }
    // What is in the ring now belongs to those who are there already.
    sampler.settle();
    sampler.attend()?;
    if options.wall {
        wall::walk(&mut sampler)?;
    } else {
        let highest = sampler.highest(false).max(options.hz);
        sampler.run_at(highest)?;
    }
    let (id, walks) = (sampler.next_id, sampler.walks);
    sampler.next_id += 1;
    let unheard = sampler.threads.unheard() + sampler.threads.young();
    sampler.sessions.push(Open {
        id,
        options,
        continuous,
        time: SystemTime::now(),
        start: Instant::now(),
        cpu: nanoseconds(Clock::ProcessCpu),
        walks,
        unheard,
        aggregate: Aggregate::new(1_000_000_000 / u64::from(options.hz)),
    });
    sampler.note_wishes();
    Ok(id)
}

/// Ends a session. `None`: a fork has ended it.
pub(super) fn close(id: u64) -> Option<Open> {
    let mut sampler = SAMPLER.lock();
    let at = sampler.sessions.iter().position(|session| session.id == id)?;
    sampler.settle();
    sampler.note_unknown(|_, _| true);
    let mut session = sampler.sessions.swap_remove(at);
    if !session.options.wall {
        sampler.add_unheard(&mut session);
    }
    match sampler.highest(false) {
        0 => {
            handler::PERIOD.store(0, Relaxed);
            sampler.process = None;
            sampler.threads.clear();
        }
        // A slower timer is a courtesy: if the kernel refuses, the faster one goes on and samples are thinned.
        highest => _ = sampler.run_at(highest),
    }
    if sampler.highest(true) == 0 {
        handler::WALL.store(0, Relaxed);
        sampler.asked = None;
    }
    sampler.note_wishes();
    Some(session)
}

impl Sampler {
    /// The highest rate that a session asked for, of the wall clock or of CPU time.
    pub(super) fn highest(&self, wall: bool) -> u32 {
        let rates = self.sessions.iter().filter(|session| session.options.wall == wall);
        rates.map(|session| session.options.hz).max().unwrap_or(0)
    }

    pub(super) fn continuous(&self) -> Option<&Open> {
        self.sessions.iter().find(|session| session.continuous)
    }

    fn note_wishes(&mut self) {
        handler::NAMES.store(self.sessions.iter().any(|session| session.options.thread_names), Relaxed);
        let of_tasks = self.sessions.iter().any(|session| session.options.task_stacks);
        handler::TASKS.store(of_tasks, Relaxed);
        if !of_tasks {
            self.awaiting = None;
        }
    }

    /// Has the timers expire `hz` times for every second of CPU time.
    fn run_at(&mut self, hz: u32) -> io::Result<()> {
        if self.process.as_ref().is_some_and(|process| process.hz == hz) {
            return Ok(());
        }
        let period = 1_000_000_000 / u64::from(hz);
        // Somewhere in the first period, or what happens regularly would be seen always or never.
        let first = 1 + Random::new(clock::ticks()).next() % period;
        match &mut self.process {
            Some(process) => {
                // If the kernel refuses, it goes on at the rate it had.
                process.timer.arm(first, period)?;
                (process.hz, process.period) = (hz, period);
            }
            None => {
                let timer = Timer::of_process(handler::value(handler::PROCESS_TIMER))?;
                self.threads.begin();
                timer.arm(first, period)?;
                let (ticks, cpu) = (handler::TICKS.load(Relaxed), nanoseconds(Clock::ProcessCpu));
                self.process = Some(Process { timer, hz, period, ticks, cpu, looked: cpu });
            }
        }
        handler::PERIOD.store(period, Relaxed);
        self.threads.rearm(period);
        Ok(())
    }

    /// Gives the sessions what is in the ring.
    pub(super) fn drain(&mut self) {
        let Sampler { sessions, threads, asked, young, awaiting, .. } = self;
        let lost = RING.drain(|record| {
            let (key, task) = (drain::key_of(record), drain::task_of(record));
            let of_task = drain::stack_of_task(record, key.stack, awaiting);
            if record.word < handler::WALL_CLOCK && trace::is_on() && clock::is_counter() {
                let samples = record.time / handler::PERIOD.load(Relaxed).max(1);
                samples::sampled(record.tid, record.at, samples.clamp(1, 1000) as u32, key.stack);
            }
            if record.word == handler::PROCESS_TIMER {
                young.push(Young { key, of_task, task, name: record.name, time: record.time });
                return;
            }
            let wall = record.word >= handler::WALL_CLOCK;
            let mut time = record.time;
            if wall {
                let asked = asked.as_mut().and_then(|asked| asked.remove(&record.tid));
                time += asked.map_or(0, |asked| asked.owed);
            } else {
                threads.heard(record.tid, record.time);
            }
            let state = wall.then(|| wall::state(record.word));
            let name = name_in(&record.name);
            for session in sessions.iter_mut().filter(|session| session.options.wall == wall) {
                let tags = session.tags(state, task, Some(&name));
                let stack = if session.options.task_stacks { of_task } else { key.stack };
                session.aggregate.add(time, || Key { stack, tags, ..key });
            }
        });
        if lost > 0 {
            LOST.fetch_add(lost, Relaxed);
            self.threads.forgive();
            self.each_of_cpu(|aggregate| aggregate.add_lost(lost));
        }
    }

    /// Drains the ring, and gives the young threads' samples what these have used meanwhile. That is the result, too.
    pub(super) fn settle(&mut self) -> u64 {
        self.drain();
        self.threads.balance();
        let used = self.threads.take_young();
        let samples = std::mem::take(&mut self.young);
        let all: u64 = samples.iter().map(|sample| sample.time).sum();
        if all == 0 {
            if used < UNSEEN {
                self.threads.put_back(used);
            } else {
                let key = || Key::of(Stack::pseudo(pseudo::UNATTRIBUTED));
                self.each_of_cpu(|aggregate| aggregate.add(used, key));
            }
            return used;
        }
        for sample in samples {
            let time = (u128::from(sample.time) * u128::from(used) / u128::from(all)) as u64;
            let name = name_in(&sample.name);
            for session in self.sessions.iter_mut().filter(|session| !session.options.wall) {
                let tags = session.tags(None, sample.task, Some(&name));
                let stack = if session.options.task_stacks { sample.of_task } else { sample.key.stack };
                session.aggregate.add(time, || Key { stack, tags, ..sample.key });
            }
        }
        used
    }

    /// Gives a session that ends what no sample will tell it any more: CPU time of threads whose timers have expired
    /// without a tick of the kernel's to notice, and of young threads that no sample was taken of.
    fn add_unheard(&mut self, session: &mut Open) {
        let time = (self.threads.unheard() + self.threads.young()).saturating_sub(session.unheard);
        if time > UNHEARD {
            session.aggregate.add(time, || Key::of(Stack::pseudo(pseudo::UNATTRIBUTED)));
        }
    }

    fn each_of_cpu(&mut self, f: impl FnMut(&mut Aggregate)) {
        let sessions = self.sessions.iter_mut().filter(|session| !session.options.wall);
        sessions.map(|session| &mut session.aggregate).for_each(f);
    }

    /// Sees to it that a thread empties the ring.
    fn attend(&mut self) -> io::Result<()> {
        match &self.attendant {
            Some(attendant) => attendant.unpark(),
            None => self.attendant = Some(spawn("profiled-cpu", attend)?),
        }
        Ok(())
    }

    /// Arms the process's timer again if the kernel has dropped it: since Linux 6.4 it can lose the signal of one that
    /// expires while the thread that it hits is on its way out, and then waits for ever for its delivery.
    fn watch(&mut self) {
        let Some(process) = &mut self.process else { return };
        let (ticks, cpu) = (handler::TICKS.load(Relaxed), nanoseconds(Clock::ProcessCpu));
        let overdue = process.timer.remaining().is_none_or(|remaining| remaining == 1);
        if ticks != process.ticks || !overdue {
            (process.ticks, process.cpu) = (ticks, cpu);
        } else if cpu.saturating_sub(process.cpu) > DROPPED.max(2 * process.period) {
            process.cpu = cpu;
            // If it cannot be armed, the threads' own timers are still there, and the next look tries again.
            _ = process.timer.arm(process.period, process.period);
        }
    }

    /// Slows the process's timer down while it has next to nothing to tell: its signals wake threads that wait, when
    /// those that run are at another. What its samples stand for is told by clocks, whatever its rate.
    fn pace(&mut self, young: u64) {
        let Some(process) = &mut self.process else { return };
        let cpu = nanoseconds(Clock::ProcessCpu);
        let all = cpu.saturating_sub(process.looked);
        process.looked = cpu;
        let quiet = young * FEW < all;
        let period = (1_000_000_000 / u64::from(process.hz)).max(if quiet { QUIET } else { 0 });
        if period != process.period && process.timer.arm(period, period).is_ok() {
            process.period = period;
        }
    }

    /// What the attendant does at each look. Gives the period if the threads are to be looked at.
    fn look(&mut self) -> Option<u64> {
        self.drain();
        if SAMPLING.is_unhandled() {
            // Better late than killed at the next tick. If it cannot be had, there was no handler to lose.
            _ = SAMPLING.install(handler::on_signal);
        }
        self.watch();
        let period = 1_000_000_000 / u64::from(self.process.as_ref()?.hz);
        let due = self.threads.is_due(Instant::now());
        if due || self.young.len() > MANY {
            let young = self.settle();
            self.pace(young);
        }
        due.then_some(period)
    }

    /// How long until the next look: a quarter of the ring may fill meanwhile.
    fn pause(&self, processors: u32) -> Duration {
        let hz = self.highest(false).max(1);
        let fills = Duration::from_secs(super::ring::SLOTS as u64 / 4) / hz.saturating_mul(processors);
        fills.clamp(LOOK.0, LOOK.1)
    }
}

/// The text before the first 0.
fn name_in(bytes: &[u8]) -> String {
    let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Starts a thread of ours.
pub(super) fn spawn(name: &str, run: fn()) -> io::Result<Thread> {
    // It inherits the mask: no signal of the program's, and none of our own, ever runs on it.
    let thread = crate::sys::thread::with_signals_blocked(|| {
        std::thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024).spawn(run)
    })?;
    Ok(thread.thread().clone())
}

/// The thread that empties the ring.
fn attend() {
    crate::local::serve();
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let mut prepared = Instant::now();
    loop {
        let (due, pause) = {
            let mut sampler = SAMPLER.lock();
            let due = sampler.look();
            if sampler.sessions.is_empty() {
                sampler.attendant = None;
                return;
            }
            (due, sampler.pause(processors))
        };
        if let Some(period) = due {
            let begun = Instant::now();
            // Without a list of the threads, the process's timer is all there is.
            if let Ok(ids) = crate::sys::thread::ids() {
                let mut sampler = SAMPLER.lock();
                // Unless the last session ended, or the rate changed meanwhile: then at the next look.
                if handler::PERIOD.load(Relaxed) == period {
                    // What came meanwhile is heard before anybody is taken for silent.
                    sampler.drain();
                    let blocked = sampler.threads.look(&ids, period, begun);
                    sampler.each_of_cpu(|aggregate| aggregate.add_blocked(blocked));
                }
            }
        }
        if prepared.elapsed() > PREPARE {
            stack::prepare();
            prepared = Instant::now();
        }
        std::thread::park_timeout(pause);
    }
}

impl Open {
    /// The labels of a sample, as far as the session wants them.
    pub(super) fn tags(&self, state: Option<&str>, task: Option<&str>, thread: Option<&str>) -> Labels {
        drain::tags(state, task, thread.filter(|_| self.options.thread_names))
    }

    pub(super) fn snapshot(&self, name: &'static str) -> Snapshot {
        let (without, walks) = {
            let sampler = SAMPLER.lock();
            (sampler.threads.without(), sampler.walks)
        };
        let mut comments = Vec::new();
        if without > 0 {
            comments.push(format!("{without} threads without a timer of their own: the kernel has no more"));
        }
        if self.options.wall {
            let (asked, all) = (walks.0 - self.walks.0, walks.1 - self.walks.1);
            let each = asked as f64 / (all as f64 / 1e9).max(1e-9);
            comments.push(format!("{each:.1} samples a second of each thread"));
        }
        let about = About {
            hz: self.options.hz,
            wall: self.options.wall,
            continuous: self.continuous,
            time: self.time,
            duration: self.start.elapsed(),
            cpu: nanoseconds(Clock::ProcessCpu).saturating_sub(self.cpu),
            comments,
        };
        let mut snapshot = self.aggregate.snapshot(name, about);
        snapshot.join_tasks();
        snapshot
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("id", &self.id).field("options", &self.options).finish_non_exhaustive()
    }
}

/// The timers, the threads and the sessions are the parent's.
pub(crate) fn after_fork_in_child() {
    handler::PERIOD.store(0, Relaxed);
    handler::WALL.store(0, Relaxed);
    let mut sampler = SAMPLER.lock();
    RING.reset();
    // The kernel gives a child no timers, and the ids may be another timer's by now: forget, do not delete.
    std::mem::forget(sampler.process.take());
    sampler.threads.after_fork_in_child();
    // Freeing may take a lock of the allocator, which its own handlers have not seen to yet.
    std::mem::forget(std::mem::take(&mut sampler.sessions));
    std::mem::forget(std::mem::take(&mut sampler.young));
    std::mem::forget((sampler.asked.take(), sampler.awaiting.take()));
    std::mem::forget(sampler.attendant.take());
    sampler.walked = false;
}
