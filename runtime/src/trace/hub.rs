//! The thread `profiled-trace`: takes what threads recorded, puts it in the order of time, and has each session's encoder
//! make bytes of it.
//!
//! It looks at all buffers every few milliseconds, and at the last of them when a session ends. What is younger than a moment
//! it keeps back: another thread may have something older that is just being written. What comes later than that still
//! is given the time of what was told before it: order is never broken, and a time may be a little off.
//!
//! A release knows not who goes on because of it, and who goes on knows not by whom. Both are here, side by side, and
//! become one [`What::Wake`].
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime};
use std::{io, mem};

use super::event::{Beginning, Encoder};
use super::flight::Kept;
use super::record;
use super::session::{Output, Session, Summary};
use super::stream::Stream;
use super::tables::Known;
use crate::error::Result;
use crate::fork::Lock;
use crate::sys::clock::{Clock, nanoseconds};
use crate::{clock, local, signal, site, sys};

/// How often it looks.
const EVERY: Duration = Duration::from_millis(5);
/// What is younger than this many nanoseconds is kept back.
const MOMENT: u64 = 5_000_000;
/// The same while the CPU is sampled: samples come late.
const LONG_MOMENT: u64 = 200_000_000;

/// What a session's end is told.
pub(super) type Answer = Sender<io::Result<Summary>>;

enum Order {
    Begin(Box<Session>),
    End {
        session: u64,
        until: u64,
        answer: Answer,
    },
    /// What a recorder keeps, with all that happened up to now.
    Cut {
        session: u64,
        until: u64,
        answer: Sender<Option<Kept>>,
    },
}

/// What is done once everything up to its time was told.
enum Last {
    End(Answer),
    Cut(Sender<Option<Kept>>),
}

struct Hub {
    /// While there is a session.
    thread: Option<Thread>,
    orders: Vec<Order>,
    sessions: usize,
    last: u64,
}

static HUB: Lock<Hub> = Lock::new(Hub { thread: None, orders: Vec::new(), sessions: 0, last: 0 });

/// Begins a session. Gives its number.
pub(super) fn begin(encoder: Box<dyn Encoder>, output: Output) -> Result<u64> {
    crate::stack::prepare();
    clock::calibrate();
    local::with(|local| {
        local.aside(|| {
            let mut hub = HUB.lock();
            if hub.thread.is_none() {
                let first = record::next();
                let run =
                    || thread::Builder::new().name("profiled-trace".to_owned()).spawn(move || serve(first));
                hub.thread = Some(sys::thread::with_signals_blocked(run)?.thread().clone());
            }
            hub.last += 1;
            hub.sessions += 1;
            let number = hub.last;
            let beginning = Beginning {
                monotonic: nanoseconds(Clock::Monotonic),
                wall: SystemTime::now(),
                process: std::process::id(),
            };
            let session = Session::new(number, beginning, record::lost(), encoder, output);
            // Whatever is recorded from here on belongs to it.
            record::begin();
            if hub.sessions == 1 {
                site::trace(true);
            }
            hub.orders.push(Order::Begin(Box::new(session)));
            hub.wake();
            Ok(number)
        })
    })
}

/// Ends the session with what happened up to now; `answer` is told when all of it is written.
pub(super) fn end(session: u64, answer: Answer) {
    local::with(|local| {
        local.aside(|| {
            let until = clock::ticks();
            let mut hub = HUB.lock();
            hub.sessions = hub.sessions.saturating_sub(1);
            if hub.sessions == 0 {
                record::end();
                site::trace(false);
            }
            hub.orders.push(Order::End { session, until, answer });
            hub.wake();
        });
    });
}

/// What a session of a recorder keeps, with all that happened up to now. `None`: nobody
/// would ever do it, or the calling thread itself.
pub(super) fn cut(session: u64) -> Option<Receiver<Option<Kept>>> {
    local::with(|local| {
        local.aside(|| {
            let (answer, answered) = channel();
            let until = clock::ticks();
            let mut hub = HUB.lock();
            let thread = hub.thread.as_ref()?;
            if thread.id() == thread::current().id() {
                return None;
            }
            hub.orders.push(Order::Cut { session, until, answer });
            hub.wake();
            Some(answered)
        })
    })
}

impl Hub {
    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

/// In a forked child there are no sessions, and no thread to serve them.
pub(super) fn after_fork_in_child() {
    let mut hub = HUB.lock();
    hub.thread = None;
    hub.sessions = 0;
    // What is in them is the parent's: its writers are not to be touched here, not even dropped.
    mem::take(&mut hub.orders).into_iter().for_each(mem::forget);
}

fn serve(first: u32) {
    local::serve();
    let mut stream = Stream::new(first, Known::new());
    let mut sessions: Vec<Session> = Vec::new();
    loop {
        let orders = mem::take(&mut HUB.lock().orders);
        let mut last = Vec::new();
        for order in orders {
            match order {
                Order::Begin(session) => {
                    stream.tell_again();
                    sessions.push(*session);
                }
                Order::End { session, until, answer } => last.push((session, until, Last::End(answer))),
                Order::Cut { session, until, answer } => last.push((session, until, Last::Cut(answer))),
            }
        }
        for session in sessions.iter().filter(|session| session.is_asked()) {
            last.push((session.number, clock::ticks(), Last::Cut(channel().0)));
        }
        if !last.is_empty() {
            signal::hear();
        }
        let kept = match last.is_empty() {
            true => clock::in_ticks(if signal::is_sampling() { LONG_MOMENT } else { MOMENT }),
            false => 0,
        };
        let now = clock::ticks();
        let until = now.wrapping_sub(kept);
        // After a while with a slow writer there is much. What comes meanwhile is for the next look: a busy program may never
        // stop for us.
        let mut is_behind = false;
        while let Some(from) = stream.collect(now) {
            is_behind = (from.wrapping_sub(until) as i64) >= 0;
            if is_behind {
                break;
            }
            stream.tell(from.wrapping_sub(1), &mut sessions);
        }
        stream.tell(until, &mut sessions);
        for (number, until, what) in last {
            let Some(at) = sessions.iter().position(|session| session.number == number) else { continue };
            // Nobody may be there any more to hear it.
            match what {
                Last::End(answer) => _ = answer.send(sessions.remove(at).finish(until, &mut stream.tables)),
                Last::Cut(answer) => _ = answer.send(sessions[at].cut(until, &mut stream.tables)),
            }
        }
        if sessions.is_empty() {
            let mut hub = HUB.lock();
            if hub.orders.is_empty() {
                hub.thread = None;
                return;
            }
        } else if !is_behind {
            thread::park_timeout(EVERY);
        }
    }
}

/// Runs code of the program's, such as a writer's. A panic of it is an error.
pub(super) fn guarded<R>(f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    panic::catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(io::Error::other("the trace's writer panicked")))
}
