//! Asking all threads where they are.
//!
//! Each gets a signal with a slot for its answer; who cannot be asked is there without a stack, with the reason. What
//! threads wait for the kernel tells beforehand.
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::super::drain::key_of;
use super::handler;
use super::slots::{self, Missing, SLOTS, Slot};
use super::waits::{Memory, Waits};
use crate::alive::{Alive, Kind};
use crate::fork::Lock;
use crate::hook;
use crate::hook::function::name_of;
use crate::record::pseudo;
use crate::snapshot::Key;
use crate::stack::{self, Frames};
use crate::store::Stack;
use crate::sys::look::{Look, Ran, Threads};
use crate::sys::process::thread_id;
use crate::sys::signal::DUMPING;
use crate::sys::thread;
use crate::{label, local};

/// All waits for answers of a dump together, and how long none has to come for it to be over.
const PATIENCE: Duration = Duration::from_millis(250);
const SILENCE: Duration = Duration::from_millis(100);

/// What is kept from one dump to the next.
#[derive(Default)]
struct Dumps {
    /// One is on.
    busy: bool,
    installed: bool,
    waits: Memory,
}

static DUMPS: Lock<Option<Dumps>> = Lock::new(None);
/// Of the next batch.
static NUMBER: AtomicU32 = AtomicU32::new(1);
/// Slots that were ever given out.
static USED: AtomicUsize = AtomicUsize::new(0);

/// The one dump that is on: dumps come one after another.
struct Turn {
    waits: Memory,
}

impl Turn {
    fn begin(asks: bool) -> io::Result<Turn> {
        loop {
            if let Some(turn) = Turn::try_begin(asks)? {
                return Ok(turn);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn try_begin(asks: bool) -> io::Result<Option<Turn>> {
        let mut dumps = DUMPS.lock();
        let dumps = dumps.get_or_insert_default();
        if dumps.busy {
            return Ok(None);
        }
        if asks && (!dumps.installed || DUMPING.is_unhandled()) {
            DUMPING.install(handler::on_signal)?;
            dumps.installed = true;
        }
        dumps.busy = true;
        Ok(Some(Turn { waits: std::mem::take(&mut dumps.waits) }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(dumps) = &mut *DUMPS.lock() {
            dumps.busy = false;
            dumps.waits = std::mem::take(&mut self.waits);
        }
    }
}

/// All threads of the process, the caller's own first. Without `stacks` none of them notices. Since when they wait is said
/// where they are few, and if it is asked for: the kernel takes as long for that as for all the rest of a look.
pub(super) fn threads(stacks: bool, times: bool) -> io::Result<Vec<Alive>> {
    if stacks {
        stack::prepare();
    }
    let mut turn = Turn::begin(stacks)?;
    let own = thread_id();
    let mut ids = thread::ids()?;
    ids.retain(|&id| id != own);
    ids.sort_unstable();
    let times = times || ids.len() < MANY;
    let mut dump = Dump {
        times,
        number: 0,
        threads: Threads::open()?,
        alive: Vec::with_capacity(ids.len() + 1),
        waits: Waits::new(if times { std::mem::take(&mut turn.waits) } else { Memory::default() }),
        left: PATIENCE,
    };
    if let Some(look) = dump.threads.look(own) {
        dump.alive.push(alive(own, &look));
        if stacks && let Some(one) = dump.alive.last_mut() {
            one.key = here();
        }
    }
    for batch in ids.chunks(SLOTS) {
        dump.batch(batch, stacks);
    }
    // What the kernel says of this thread is from its last tick, which is good enough.
    if times {
        dump.tell(own);
    }
    let Dump { mut alive, waits, .. } = dump;
    let (found, memory) = waits.settle();
    for (index, wait) in found {
        if let Some(one) = alive.get_mut(index) {
            one.wait = Some(wait);
        }
    }
    if times {
        turn.waits = memory;
    } else if stacks {
        turn.waits.allow_for_a_signal();
    }
    Ok(alive)
}

/// Where one thread is, if it answers.
pub(crate) fn stack_of(tid: i32) -> Option<Stack> {
    stack::prepare();
    let _turn = Turn::begin(true).ok()?;
    let mut dump = Dump {
        times: false,
        number: 0,
        threads: Threads::open().ok()?,
        alive: Vec::new(),
        waits: Waits::new(Memory::default()),
        left: PATIENCE,
    };
    dump.batch(&[tid], true);
    dump.alive.pop().filter(|one| one.missing.is_none()).map(|one| one.key.stack)
}

/// The caller's own stack.
#[inline(never)]
fn here() -> Key {
    let mut frames = Frames::new();
    stack::capture(&mut frames, 1);
    let scope = local::with(|local| local.scopes().innermost());
    let key = Key { labels: label::interned(), scope: name_of(scope), ..Key::of(frames.intern()) };
    stack::stay();
    key
}

/// What is known of a thread before it has answered.
fn alive(tid: i32, look: &Look) -> Alive {
    Alive {
        kind: Kind::Thread,
        id: u64::from(tid.unsigned_abs()),
        name: look.name.clone(),
        state: thread::name_of_state(look.state),
        wait: None,
        key: Key::of(Stack::pseudo(pseudo::STATE + look.state as u64)),
        missing: look.silent,
        creator: hook::thread::created_by(tid, thread::nanoseconds(look.started)),
        ours: thread::is_ours(tid) || thread::is_our_name(&look.name),
        facts: None,
    }
}

/// A thread that was looked at, and perhaps asked.
struct Asked {
    alive: Alive,
    tid: i32,
    look: Look,
    ran: Option<Ran>,
    /// Where its answer will be.
    slot: Option<&'static Slot>,
}

struct Dump {
    /// Since when threads wait is asked for, too.
    times: bool,
    /// The batch's.
    number: u32,
    threads: Threads,
    alive: Vec<Alive>,
    waits: Waits,
    /// For how long answers are still waited for.
    left: Duration,
}

impl Dump {
    /// A thread has just run.
    fn tell(&mut self, tid: i32) {
        if let (Some(look), Some(ran)) = (self.threads.look(tid), self.threads.ran(tid)) {
            self.waits.tell(look.processor, ran.last);
        }
    }

    fn batch(&mut self, ids: &[i32], stacks: bool) {
        // A number for each batch: a late answer must not be taken for that of another thread.
        self.number = NUMBER.fetch_add(1, Relaxed) & (u32::MAX >> 2);
        let asked = self.ask(ids, stacks.then_some(self.number));
        self.wait(&asked.iter().filter_map(|asked| asked.slot).collect::<Vec<_>>());
        let mut answered = Vec::new();
        for Asked { mut alive, tid, look, ran, slot } in asked {
            if let Some(slot) = slot
                && let Some((key, answers)) = slot.take(self.number, |record| (key_of(record), record.tid))
            {
                debug_assert_eq!(answers, tid);
                (alive.key, alive.missing) = (key, None);
                answered.push(tid);
            }
            if let Some(ran) = ran {
                let since = self.waits.meet(self.alive.len(), tid, &look, ran, slot.is_some());
                alive.wait = since.map(|since| since.elapsed());
            }
            self.alive.push(alive);
        }
        if self.times {
            self.hear_clocks(&answered);
        }
    }

    /// Looks at threads, and has each answer for this dump.
    fn ask(&mut self, ids: &[i32], dump: Option<u32>) -> Vec<Asked> {
        let mut slots = 0..SLOTS;
        ids.iter().filter_map(|&tid| self.ask_one(tid, dump, &mut slots)).collect()
    }

    /// The same for one of them. `None`: it is gone.
    fn ask_one(&mut self, tid: i32, dump: Option<u32>, slots: &mut Range<usize>) -> Option<Asked> {
        let look = self.threads.look(tid)?;
        // Before the signal wakes it.
        let ran = if self.times && look.state != RUNNING { self.threads.ran(tid) } else { None };
        let mut asked = Asked { alive: alive(tid, &look), tid, look, ran, slot: None };
        let Some(dump) = dump.filter(|_| asked.look.silent.is_none()) else { return Some(asked) };
        let Some((number, slot)) = slots::give(slots, dump) else {
            asked.alive.missing = Some(NO_SLOT);
            return Some(asked);
        };
        USED.fetch_max(number + 1, Relaxed);
        match DUMPING.send(tid, handler::value(number), dump) {
            Ok(()) => (asked.alive.missing, asked.slot) = (Some(LATE), Some(slot)),
            Err(error) => {
                _ = slot.take(dump, |_| ());
                if error.raw_os_error() == Some(libc::ESRCH) {
                    return None;
                }
                asked.alive.missing = Some(REFUSED);
            }
        }
        Some(asked)
    }

    /// Has those who answered tell what the clocks of processors say, until none is wanted that they can tell.
    fn hear_clocks(&mut self, answered: &[i32]) {
        let mut useless = 0;
        for &tid in answered {
            let Some(look) = self.threads.look(tid) else { continue };
            if self.waits.wants(look.processor) {
                useless = 0;
                self.tell(tid);
            } else {
                useless += 1;
            }
            if useless > ENOUGH {
                return;
            }
        }
    }

    /// Waits for answers, as long as there is hope.
    fn wait(&mut self, asked: &[&Slot]) {
        let begun = Instant::now();
        let (mut first, mut heard) = (0, begun);
        let mut turns = 0_u32;
        while let Some(slot) = asked.get(first) {
            match slot.is_answered(self.number) {
                Ok(()) => {
                    first += 1;
                    heard = Instant::now();
                    continue;
                }
                Err(Missing::Nearly) => heard = Instant::now(),
                Err(Missing::Yet) => {
                    // Others may be answering still.
                    let (_, rest) = asked.split_at(first);
                    let open = rest.iter().filter(|slot| slot.is_answered(self.number).is_err()).count();
                    if open < turns as usize {
                        heard = Instant::now();
                    }
                    turns = open as u32;
                }
            }
            if begun.elapsed() > self.left || heard.elapsed() > SILENCE {
                break;
            }
            if begun.elapsed() < Duration::from_micros(200) {
                std::thread::yield_now();
            } else {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        self.left = self.left.saturating_sub(begun.elapsed());
    }
}

/// Who is asked for a clock where nobody wants it, so often in a row: then there is none to be had.
const ENOUGH: usize = 16;
const RUNNING: usize = 0;
/// So many threads are no longer few.
const MANY: usize = 200;
const LATE: &str = "it did not answer in time: it gets no processor, or somebody else handles SIGURG";
const NO_SLOT: &str = "more threads than are asked at a time, and earlier ones are still answering";
const REFUSED: &str = "the kernel has no room for its signal";

/// The parent's threads are not there, and nobody dumps.
pub(crate) fn after_fork_in_child() {
    slots::all().take(USED.load(Relaxed)).for_each(|(_, slot)| slot.reset());
    if let Some(dumps) = &mut *DUMPS.lock() {
        dumps.busy = false;
        // Not freed: the allocator's own handlers may not have run yet.
        std::mem::forget(std::mem::take(&mut dumps.waits));
    }
}
