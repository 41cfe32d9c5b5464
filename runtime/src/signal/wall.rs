//! Sampling by the wall clock: every thread, whether it runs or waits.
//!
//! No timer tells a thread that waits, so a thread of ours walks over all others and sends each a signal. What each
//! was at is asked of the kernel first. All that has a budget: where there are too many threads for the rate, each
//! walk takes in as many as may be afforded, in turn, and each sample stands for so much more.
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::handler;
use super::sampler::{SAMPLER, Sampler, spawn};
use crate::record::pseudo;
use crate::snapshot::Key;
use crate::store::Stack;
use crate::sys::clock::{Clock, nanoseconds};
use crate::sys::signal::send;
use crate::sys::thread::{self, Doing};

/// Half of the budget of one processor's time: a hundredth for asking threads, another for listing them.
const SHARE: u32 = 100;
/// What a sample costs its thread: being woken, the handler, going back to sleep.
const COST_THERE: u64 = 5_000;
/// The shortest time between two lists of the threads.
const LIST: Duration = Duration::from_millis(50);

/// The state, for people, of a thread whose signal is `word`.
pub(super) fn state(word: usize) -> &'static str {
    thread::name_of_state(word.wrapping_sub(handler::WALL_CLOCK))
}

/// Sees to it that a thread walks.
pub(super) fn walk(sampler: &mut Sampler) -> io::Result<()> {
    sampler.asked.get_or_insert_default();
    if !sampler.walked {
        spawn("profiled-wall", run)?;
        sampler.walked = true;
    }
    Ok(())
}

/// The threads, and whose turn it is.
struct Round {
    ids: Vec<i32>,
    next: usize,
    listed: Option<Instant>,
    listing: Duration,
    /// What one question costs us, in nanoseconds: a running mean.
    cost: u64,
}

fn run() {
    crate::local::serve();
    let mut round = Round { ids: Vec::new(), next: 0, listed: None, listing: Duration::ZERO, cost: 20_000 };
    let mut last = Instant::now();
    loop {
        let hz = {
            let mut sampler = SAMPLER.lock();
            sampler.drain();
            let hz = sampler.highest(true);
            if hz == 0 {
                sampler.walked = false;
                return;
            }
            hz
        };
        // If a single question is too much for the rate, the rate gives way.
        let period = Duration::from_secs(1) / hz;
        let pause = period.max(Duration::from_nanos(round.cost + COST_THERE) * SHARE);
        std::thread::sleep(pause.saturating_sub(last.elapsed()));
        let elapsed = last.elapsed();
        last = Instant::now();
        round.list();
        let affordable = (elapsed / SHARE).as_nanos() as u64 / (round.cost + COST_THERE);
        round.ask(elapsed, affordable.max(1) as usize);
    }
}

impl Round {
    /// Lists the threads, if it is time to.
    fn list(&mut self) {
        let begun = Instant::now();
        if self.listed.is_some_and(|listed| listed.elapsed() < LIST.max(self.listing * SHARE)) {
            return;
        }
        if let Ok(ids) = thread::ids() {
            self.ids = ids;
            self.ids.retain(|&id| !thread::is_ours(id));
            self.ids.sort_unstable();
            let mut sampler = SAMPLER.lock();
            if let Some(asked) = &mut sampler.asked {
                asked.retain(|id, _| self.ids.binary_search(id).is_ok());
            }
        }
        self.listed = Some(Instant::now());
        self.listing = begun.elapsed();
    }

    /// Takes samples of at most `affordable` threads that stand for `elapsed` of all of them.
    fn ask(&mut self, elapsed: Duration, affordable: usize) {
        let threads = self.ids.len();
        let count = affordable.min(threads);
        if count == 0 {
            return;
        }
        let before = nanoseconds(Clock::ThreadCpu);
        let time = (elapsed.as_nanos() as u64).saturating_mul(threads as u64) / count as u64;
        handler::WALL.store(time.max(1), Relaxed);
        let turn: Vec<i32> = (0..count).map(|n| self.ids[(self.next + n) % threads]).collect();
        self.next = (self.next + count) % threads;
        let mut gone = Vec::new();
        for tid in turn {
            match thread::doing(tid) {
                Some(doing) => gone.extend((!ask(tid, doing, time)).then_some(tid)),
                None => gone.push(tid),
            }
        }
        self.ids.retain(|id| !gone.contains(id));
        let cost = nanoseconds(Clock::ThreadCpu).saturating_sub(before) / count as u64;
        self.cost = (self.cost * 7 + cost) / 8;
    }
}

/// Has a thread take a sample that stands for `time`. One that cannot is noted as `[unknown]`. `false`: it is gone.
fn ask(tid: i32, doing: Doing, time: u64) -> bool {
    let state = doing.state().min(handler::STATES - 1);
    let silent = {
        let mut sampler = SAMPLER.lock();
        let Some(asked) = &mut sampler.asked else { return true };
        // It has not answered the last time: it blocks the signal, or is not woken by any.
        let silent = doing.takes_signals() || asked.contains_key(&tid);
        if silent {
            sampler.note_unknown(tid, thread::name_of_state(state), time);
        } else {
            asked.insert(tid, Instant::now());
        }
        silent
    };
    silent || {
        let sent = send(tid, handler::value(handler::WALL_CLOCK + state)).is_ok();
        if !sent && let Some(asked) = &mut SAMPLER.lock().asked {
            asked.remove(&tid);
        }
        sent
    }
}

impl Sampler {
    /// A thread was at something for `time`, and where is not known.
    fn note_unknown(&mut self, tid: i32, state: &str, time: u64) {
        let named = self.sessions.iter().any(|session| session.options.thread_names);
        let name = if named { thread::name(tid) } else { None };
        for session in self.sessions.iter_mut().filter(|session| session.options.wall) {
            let tags = session.tags(Some(state), name.as_deref());
            let key = || Key { tags, ..Key::of(Stack::pseudo(pseudo::UNKNOWN)) };
            session.aggregate.add(time, key);
        }
    }
}
