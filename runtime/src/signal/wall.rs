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
use crate::sys::signal::SAMPLING;
use crate::sys::thread::{self, Doing};

/// Half of the budget of one processor's time: a hundredth for asking threads, another for listing them.
const SHARE: u32 = 100;
/// What a sample costs its thread: being woken, the handler, going back to sleep.
const COST_THERE: u64 = 5_000;
/// The shortest time between two lists of the threads.
const LIST: Duration = Duration::from_millis(50);

/// Who has not answered by then blocks the signal, or waits for it in a system call.
const PATIENCE: Duration = Duration::from_secs(1);

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
            let gone = |id: i32| self.ids.binary_search(&id).is_err();
            sampler.note_unknown(|id, asked| asked.when.elapsed() > PATIENCE || gone(id));
            if let Some(asked) = &mut sampler.asked {
                asked.retain(|&id, _| !gone(id));
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
        let all = elapsed.as_nanos() as u64 * threads as u64;
        {
            let mut sampler = SAMPLER.lock();
            sampler.walks.0 += count as u64;
            sampler.walks.1 += all;
        }
        let time = (all / count as u64).max(1);
        handler::WALL.store(time, Relaxed);
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

/// Has a thread take a sample that stands for `time`. `false`: it is gone.
fn ask(tid: i32, doing: Doing, time: u64) -> bool {
    let state = doing.state().min(handler::STATES - 1);
    {
        let mut sampler = SAMPLER.lock();
        let Some(asked) = &mut sampler.asked else { return true };
        if let Some(asked) = asked.get_mut(&tid) {
            (asked.owed, asked.state) = (asked.owed + time, state);
            return true;
        }
        let owed = if doing.takes_signals() { time } else { 0 };
        asked.insert(tid, Asked { when: Instant::now(), state, owed });
    }
    let sent =
        doing.takes_signals() || SAMPLING.send(tid, handler::value(handler::WALL_CLOCK + state), 0).is_ok();
    if !sent && let Some(asked) = &mut SAMPLER.lock().asked {
        asked.remove(&tid);
    }
    sent
}

/// A thread that was asked and has not answered.
pub(super) struct Asked {
    when: Instant,
    /// What it was at when it was to be asked last.
    state: usize,
    /// Time that it has not been asked about, because it had not answered. A thread that waits for a processor stays
    /// where it is: this is all for the stack that it answers with.
    pub(super) owed: u64,
}

impl Sampler {
    /// Gives up on those who were asked and are `lost`: where they were is not known.
    pub(super) fn note_unknown(&mut self, mut lost: impl FnMut(i32, &Asked) -> bool) {
        let Sampler { sessions, asked, .. } = self;
        let named = sessions.iter().any(|session| session.options.thread_names);
        for (tid, asked) in asked.iter_mut().flatten().filter(|(tid, asked)| lost(**tid, asked)) {
            let time = std::mem::take(&mut asked.owed);
            let name = if named { thread::name(*tid) } else { None };
            for session in sessions.iter_mut().filter(|session| session.options.wall) {
                let tags = session.tags(Some(thread::name_of_state(asked.state)), None, name.as_deref());
                let key = || Key { tags, ..Key::of(Stack::pseudo(pseudo::UNKNOWN)) };
                session.aggregate.add(time, key);
            }
        }
    }
}
