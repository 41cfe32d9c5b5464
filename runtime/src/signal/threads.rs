//! Which thread has a timer of its own.
//!
//! A timer on the process's clock sees every thread, the shortest included, but gives each of its ticks to whichever
//! processor looks first, and says nothing of threads that block the signal. A timer on a thread's own clock is
//! exact, but loses up to a tick of the kernel's when the thread ends. So young threads are the process timer's; who
//! has lived through a whole look and has used any CPU worth the name gets a timer, and from then on the handler
//! leaves the process timer's signals on that thread alone.
//!
//! That timer still counts what all threads use. So its samples say where the young were, and how much they used
//! together is a difference of clocks: the process's, less those of all threads that have timers.
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::armed::{self, Known};
use super::handler;
use crate::rate::Random;
use crate::sys::clock::{Clock, nanoseconds};
use crate::sys::thread;
use crate::sys::timer::{Timer, cpu_time_of};

/// CPU time that makes a thread worth a timer.
const WORTH_A_TIMER: u64 = 1_000_000;
/// CPU time that proves that a thread is not young, when it is met for the first time.
const NOT_YOUNG: u64 = 100_000_000;
/// A timer that has not been heard of for so much CPU time, and four periods, may be blocked.
const SILENCE: u64 = 40_000_000;
/// One that has expired so much CPU time ago, and two periods, is helped: on a busy machine the kernel's ticks may find
/// others running for a hundred milliseconds, and only they make it look.
const UNNOTICED: u64 = 12_000_000;
/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(100);
/// A look takes at most one part in so many of the time.
const SHARE: u32 = 400;
/// How long to do without new timers when the kernel has none left.
const REFUSED: Duration = Duration::from_secs(10);

/// A thread, from the first look that finds it to the first that does not.
struct Thread {
    /// The look that found it last.
    look: u64,
    /// Its CPU time when it was found first.
    first: u64,
    /// So much of its CPU time is not the young threads'.
    counted: u64,
    /// Its CPU time as far as samples stand for it, or as it was found to block them.
    heard: u64,
    /// Its CPU time when it was last looked into whether it blocks them.
    checked: u64,
    /// Its CPU time when it was found to block them, and nothing was heard of it since.
    suspected: Option<u64>,
    kind: Kind,
}

impl Thread {
    fn met(cpu: u64) -> Thread {
        Thread {
            look: 0,
            first: cpu,
            counted: cpu,
            heard: cpu,
            checked: cpu,
            suspected: None,
            kind: Kind::Young,
        }
    }

    /// Whether it is the thread that it was, and not another under the id of one that is gone.
    fn is_still(&self, cpu: u64) -> bool {
        let counts = match &self.kind {
            Kind::Armed(timer) => timer.remaining().is_some(),
            Kind::Young | Kind::Idle | Kind::Blocking | Kind::Ours => true,
        };
        counts && cpu >= self.first
    }
}

enum Kind {
    Young,
    Idle,
    Armed(Timer),
    Blocking,
    /// It works for us, and takes no signals.
    Ours,
}

/// All threads that the sampler knows.
pub(super) struct Threads {
    known: Option<HashMap<i32, Thread>>,
    looks: u64,
    next: Option<Instant>,
    refused: Option<Instant>,
    /// The process's CPU time at the last look.
    cpu: u64,
    /// The process's CPU time when the young threads' was counted last.
    counted: u64,
    /// CPU time of young threads that no sample stands for yet. Less than nothing where clocks were read in between.
    young: i64,
    random: Random,
    /// Threads that should have a timer and have none, at the last look.
    without: usize,
}

impl Threads {
    pub(super) const fn new() -> Threads {
        Threads {
            known: None,
            looks: 0,
            next: None,
            refused: None,
            cpu: 0,
            counted: 0,
            young: 0,
            random: Random::fixed(),
            without: 0,
        }
    }

    /// Threads that are left to the process timer because the kernel has no more timers.
    pub(super) fn without(&self) -> usize {
        self.without
    }

    /// Whether it is time to look again: not too soon, and not while the process sleeps.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next) && nanoseconds(Clock::ProcessCpu) >= self.cpu + WORTH_A_TIMER
    }

    /// Looks at the threads `ids`, all there are. Gives the CPU time of threads that block the signal, since they were
    /// heard of last.
    pub(super) fn look(&mut self, ids: &[i32], period: u64, begun: Instant) -> u64 {
        self.looks += 1;
        self.without = 0;
        self.balance();
        let mut known = self.known.take().unwrap_or_default();
        let mut blocked = 0;
        for &tid in ids {
            let Some(cpu) = cpu_time_of(tid) else { continue };
            let thread = known.entry(tid).or_insert_with(|| Thread::met(cpu));
            if !thread.is_still(cpu) {
                armed::note(tid, Known::No);
                *thread = Thread::met(cpu);
            }
            blocked += self.meet(tid, thread, cpu, period);
            thread.look = self.looks;
        }
        for (tid, _) in known.extract_if(|_, thread| thread.look != self.looks) {
            armed::note(tid, Known::No);
        }
        self.known = Some(known);
        self.cpu = nanoseconds(Clock::ProcessCpu);
        self.next = Some(Instant::now() + SHORTEST.max(begun.elapsed() * SHARE));
        blocked
    }

    /// Begins to count: what was used so far is nobody's.
    pub(super) fn begin(&mut self) {
        (self.counted, self.young, self.without) = (nanoseconds(Clock::ProcessCpu), 0, 0);
    }

    /// Counts what young threads have used: what the process has, less what the others have.
    pub(super) fn balance(&mut self) {
        for (&tid, thread) in self.known.iter_mut().flatten() {
            if matches!(thread.kind, Kind::Young | Kind::Idle) {
                continue;
            }
            // Of one that is gone we have what its samples stand for.
            let alive = cpu_time_of(tid).filter(|&cpu| cpu >= thread.counted);
            let now = alive.unwrap_or(thread.heard).max(thread.counted);
            self.young -= (now - thread.counted) as i64;
            thread.counted = now;
        }
        let now = nanoseconds(Clock::ProcessCpu);
        self.young += now.wrapping_sub(self.counted) as i64;
        self.counted = now;
    }

    /// CPU time of young threads since it was taken last, if there is any.
    pub(super) fn take_young(&mut self) -> u64 {
        let young = self.young.max(0);
        self.young -= young;
        young as u64
    }

    /// CPU time of young threads that was not taken yet.
    pub(super) fn young(&self) -> u64 {
        self.young.max(0) as u64
    }

    /// Puts back what no sample stood for.
    pub(super) fn put_back(&mut self, young: u64) {
        self.young += young as i64;
    }

    /// Looks at one thread. Gives its CPU time since it was last heard of, if it blocks the signal.
    fn meet(&mut self, tid: i32, thread: &mut Thread, cpu: u64, period: u64) -> u64 {
        let silent = cpu.saturating_sub(thread.heard);
        if thread.look == 0 && thread::is_ours(tid) {
            (thread.kind, thread.counted) = (Kind::Ours, cpu);
        }
        match &thread.kind {
            Kind::Young | Kind::Idle => {
                let seen = thread.look != 0;
                if if seen { cpu - thread.first >= WORTH_A_TIMER } else { cpu >= NOT_YOUNG } {
                    self.arm(tid, thread, cpu, period);
                } else if seen && armed::note(tid, Known::Idle) {
                    thread.kind = Kind::Idle;
                }
                0
            }
            Kind::Armed(timer) => {
                if silent > UNNOTICED.max(2 * period) && timer.remaining() == Some(1) {
                    // If the kernel refuses, the next tick that finds it running does as well.
                    _ = timer.fire(thread.heard + period, period);
                }
                let unchecked = cpu.saturating_sub(thread.heard.max(thread.checked));
                if unchecked < SILENCE.max(4 * period) {
                    return 0;
                }
                // Or its samples found no room in the ring, and are counted there.
                if thread::blocks_our_signal(tid) != Some(true) {
                    (thread.checked, thread.suspected) = (cpu, None);
                    return 0;
                }
                // So does our own handler, and a busy machine may well have stopped the thread just there: whoever
                // waited for a tick of the kernel's is served at the same one as our look. It would be through it by
                // the next.
                if cpu - *thread.suspected.get_or_insert(cpu) < WORTH_A_TIMER {
                    return 0;
                }
                thread.heard = cpu;
                // The signal that is pending must not stand for all that time when it comes through: with the timer
                // its count goes. In the table the thread stays, as the process timer's signals are not its own.
                thread.kind = Kind::Blocking;
                silent
            }
            Kind::Ours => 0,
            Kind::Blocking => {
                thread.heard = cpu;
                if silent > 0 && thread::blocks_our_signal(tid) == Some(false) {
                    self.arm(tid, thread, cpu, period);
                }
                silent
            }
        }
    }

    /// Takes it that samples stand for all that threads with timers have used: some were lost, and nobody knows whose.
    pub(super) fn forgive(&mut self) {
        for (&tid, thread) in self.known.iter_mut().flatten() {
            if let (Kind::Armed(_), Some(cpu)) = (&thread.kind, cpu_time_of(tid)) {
                thread.heard = thread.heard.max(cpu);
            }
        }
    }

    /// CPU time of threads with timers that no sample stands for yet.
    pub(super) fn unheard(&self) -> u64 {
        let armed = self.known.iter().flatten().filter(|(_, thread)| matches!(thread.kind, Kind::Armed(_)));
        armed.map(|(&tid, thread)| cpu_time_of(tid).map_or(0, |cpu| cpu.saturating_sub(thread.heard))).sum()
    }

    fn arm(&mut self, tid: i32, thread: &mut Thread, cpu: u64, period: u64) {
        (thread.heard, thread.checked, thread.counted) = (cpu, cpu, cpu);
        thread.suspected = None;
        if self.refused.is_some_and(|until| Instant::now() < until) {
            self.without += 1;
            return;
        }
        match Timer::of_thread(tid, handler::value(handler::THREAD_TIMER)) {
            // First the table, or signals of both timers would count.
            Ok(timer) if armed::note(tid, Known::Armed) => match timer.arm(self.within(period), period) {
                Ok(()) => thread.kind = Kind::Armed(timer),
                Err(_) => _ = armed::note(tid, Known::No),
            },
            // No room in the table.
            Ok(_) => self.without += 1,
            Err(_) => {
                self.without += 1;
                self.refused = Some(Instant::now() + REFUSED);
            }
        }
    }

    /// Somewhere in a period, or what happens regularly would be seen always or never.
    fn within(&mut self, period: u64) -> u64 {
        1 + self.random.next() % period
    }

    /// A sample of the thread's own timer came.
    pub(super) fn heard(&mut self, tid: i32, time: u64) {
        if let Some(thread) = self.known.as_mut().and_then(|known| known.get_mut(&tid)) {
            thread.heard += time;
            thread.suspected = None;
        }
    }

    /// Has all timers go on at another rate.
    pub(super) fn rearm(&mut self, period: u64) {
        let random = &mut self.random;
        for thread in self.known.iter().flat_map(HashMap::values) {
            if let Kind::Armed(timer) = &thread.kind {
                _ = timer.arm(1 + random.next() % period, period);
            }
        }
    }

    /// Deletes all timers.
    pub(super) fn clear(&mut self) {
        self.known = None;
        self.next = None;
        self.refused = None;
        (self.cpu, self.counted, self.young) = (0, 0, 0);
        armed::clear();
    }

    /// The threads and their timers are the parent's: forget, do not delete. Nothing is freed, as that may take a
    /// lock of the allocator, which its own handlers have not seen to yet.
    pub(super) fn after_fork_in_child(&mut self) {
        std::mem::forget(self.known.take());
        self.clear();
    }
}
