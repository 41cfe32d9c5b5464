//! What a thread waited for, read from the names on its stack: the labels `wait` and `idle`.
//!
//! A futex does not say whose it is, but the functions do that lead to it. The innermost one that is known decides; a
//! thread that is parked, or waits for a condition, may do so on behalf of a channel, which is a frame or two above.
use std::collections::HashMap;

use super::{Frame, Level, Names};
use crate::record::pseudo;
use crate::snapshot::{Shape, Snapshot};
use crate::store::{Labels, Stack};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Mutex,
    RwLock,
    Condvar,
    Park,
    Once,
    Channel,
    Join,
    /// Something else that waits at a futex.
    Futex,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Class::Mutex => "mutex",
            Class::RwLock => "rwlock",
            Class::Condvar => "condvar",
            Class::Park => "park",
            Class::Once => "once",
            Class::Channel => "channel",
            Class::Join => "join",
            Class::Futex => "futex",
        }
    }

    /// Whether somebody holds it: whoever ends such a wait is to blame for it.
    fn is_held(self) -> bool {
        matches!(self, Class::Mutex | Class::RwLock | Class::Once)
    }
}

/// Frames that are looked at.
const FRAMES: usize = 40;

/// Modules and types that wait, by how a function's path begins, or what is in it. Conditions come before the mutexes
/// that they take.
const WAITING: &[(&str, Class)] = &[
    ("std::sys::sync::condvar::", Class::Condvar),
    ("std::sys::sync::mutex::", Class::Mutex),
    ("std::sys::sync::rwlock::", Class::RwLock),
    ("std::sys::sync::once::", Class::Once),
    ("std::sys::sync::thread_parking::", Class::Park),
    ("parking_lot::condvar::", Class::Condvar),
    ("parking_lot::raw_mutex::", Class::Mutex),
    ("parking_lot::raw_rwlock::", Class::RwLock),
    ("parking_lot::once::", Class::Once),
    ("pthread_join", Class::Join),
];

/// Whatever else is named so.
const NAMED: &[(&str, Class)] = &[
    ("Condvar", Class::Condvar),
    ("RwLock", Class::RwLock),
    ("Mutex", Class::Mutex),
    ("OnceCell", Class::Once),
    ("::Once>::", Class::Once),
];

/// What waits by parking its thread, or by a condition.
const ON_BEHALF: &[(&str, Class)] = &[
    ("std::sync::mpmc::", Class::Channel),
    ("std::sync::mpsc::", Class::Channel),
    ("crossbeam_channel::", Class::Channel),
    ("flume::", Class::Channel),
    ("kanal::", Class::Channel),
    ("async_channel::", Class::Channel),
    ("tokio::sync::mpsc::", Class::Channel),
    ("tokio::sync::oneshot::", Class::Channel),
    ("std::thread::scoped::scope", Class::Join),
    ("once_cell::", Class::Once),
];

/// Where pools wait for work: the crate, and how the path of such a function begins.
const IDLE: &[(&str, &str)] = &[
    ("tokio", "tokio::runtime::scheduler::multi_thread::worker::"),
    ("tokio", "tokio::runtime::blocking::pool::"),
    ("rayon", "rayon_core::registry::main_loop"),
    ("rayon", "rayon_core::registry::ThreadBuilder"),
    ("threadpool", "threadpool::spawn_in_pool"),
    ("futures", "futures_executor::thread_pool::PoolState"),
    ("blocking", "blocking::Executor::main_loop"),
    ("blocking", "blocking::Executor>::main_loop"),
];

/// Whose functions may stand between a wait and a pool's loop: another's between them is work.
const LIBRARIES: &[&str] = &[
    "std::",
    "core::",
    "alloc::",
    "parking_lot",
    "lock_api::",
    "crossbeam",
    "tokio::",
    "rayon_core::",
    "threadpool::",
    "futures_executor::",
    "blocking::",
    "async_lock::",
    "event_listener::",
];

/// What a worker does that is not idle, in a library's own functions.
const WORK: &[&str] =
    &["rayon_core::join::", "rayon_core::scope::", "::block_on", "tokio::task::", "::block_in_place"];

/// The path of `<T as Trait>::f` and `<T>::f` is that of `T`.
fn path(frame: &Frame) -> &str {
    frame.name().trim_start_matches(['<', '&']).trim_start_matches("mut ")
}

fn begins(path: &str, table: &[(&str, Class)]) -> Option<Class> {
    table.iter().find(|(start, _)| path.starts_with(start)).map(|&(_, class)| class)
}

/// What the thread of these frames, innermost first, waits for, and the pool whose idle thread it is.
fn class<'a>(frames: impl Iterator<Item = &'a Frame>) -> (Class, Option<&'static str>) {
    let mut found = None;
    // Once a function of the program's is met, the rest is what it was called by.
    let mut in_library = true;
    for frame in frames.take(FRAMES) {
        let path = path(frame);
        if found.is_none() {
            found = begins(path, WAITING).or_else(|| {
                let named = NAMED.iter().find(|(part, _)| path.contains(part));
                named.map(|&(_, class)| class)
            });
        } else if matches!(found, Some(Class::Park | Class::Condvar)) && in_library {
            found = begins(path, ON_BEHALF).or(found);
        }
        in_library &= LIBRARIES.iter().any(|library| path.starts_with(library)) || !path.contains("::");
        if in_library && !WORK.iter().any(|work| path.contains(work)) {
            if let Some((pool, _)) = IDLE.iter().find(|(_, start)| path.starts_with(start)) {
                return (found.unwrap_or(Class::Futex), Some(pool));
            }
        } else if found.is_some_and(|class| !matches!(class, Class::Park | Class::Condvar)) {
            break;
        }
        if WORK.iter().any(|work| path.contains(work)) {
            in_library = false;
        }
        if !in_library && found.is_some() {
            // A channel of a crate that is not in the list above: one more look at what called.
            break;
        }
    }
    (found.unwrap_or(Class::Futex), None)
}

impl Snapshot {
    /// Gives rows that wait for something the labels that say for what, and leaves out charges for what nobody holds.
    pub(crate) fn name_waits(&mut self) {
        if self.rows.iter().all(|row| row.key.waits_in.is_none()) {
            return;
        }
        let charges = self.meta.shape == Shape::Contention { mutex: true };
        let mut known: HashMap<usize, (Class, Option<&'static str>)> = HashMap::new();
        let mut rows = std::mem::take(&mut self.rows);
        let names = Names::new(self, Level::Lines);
        rows.retain_mut(|row| {
            let Some(stack) = row.key.waits_in.take() else { return true };
            let (class, idle) = *known.entry(stack.id()).or_insert_with(|| of(&names, stack));
            let mut labels: Vec<(&str, &str)> = row.key.tags.iter().collect();
            labels.push(("wait", class.name()));
            if let Some(pool) = idle {
                labels.insert(0, ("idle", pool));
            }
            row.key.tags = Labels::of(&labels);
            !charges || class.is_held()
        });
        self.rows = rows;
        self.settle();
    }

    /// What becomes of pools' threads that wait for work: left out, shown in text, too, or as it is by default.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
    pub(crate) fn show_idle(&mut self, idle: Option<bool>) {
        self.meta.shows_idle = idle == Some(true);
        if idle != Some(false) {
            return;
        }
        let before = self.rows.len();
        self.rows.retain(|row| !row.key.is_idle());
        let left_out = before - self.rows.len();
        if left_out > 0 {
            self.meta.comments.push(format!("{left_out} rows of idle pool threads are left out"));
        }
    }
}

fn of(names: &Names<'_>, stack: Stack) -> (Class, Option<&'static str>) {
    let mut frames = Vec::new();
    for &address in stack.addresses().iter().take(FRAMES) {
        if pseudo::name(address).is_none() {
            frames.extend(names.at(address, stack.epoch()).iter().cloned());
        }
    }
    class(frames.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_of(names: &[&str]) -> (Class, Option<&'static str>) {
        let frames: Vec<Frame> = names.iter().map(|name| Frame::test(name, "", (0, 0), 0, 0)).collect();
        class(frames.iter())
    }

    #[test]
    fn the_innermost_lock_is_what_is_waited_for() {
        let futex = "std::sys::pal::unix::futex::futex_wait";
        let park = ["std::sys::sync::thread_parking::futex::Parker::park", "std::thread::park"];
        let lock = "<std::sys::sync::mutex::futex::Mutex>::lock_contended";
        for (names, class) in [
            (vec![futex, lock, "shop::f"], Class::Mutex),
            (vec![futex, "std::sys::sync::rwlock::futex::RwLock::read_contended"], Class::RwLock),
            (vec![futex, "<std::sys::sync::condvar::futex::Condvar>::wait", "shop::f"], Class::Condvar),
            (vec![futex, lock, "<std::sys::sync::condvar::futex::Condvar>::wait"], Class::Mutex),
            (vec![futex, "std::sys::sync::once::futex::Once::call", "shop::f"], Class::Once),
            (vec![futex, park[0], park[1], "shop::f"], Class::Park),
            (vec![futex, park[0], park[1], "std::sync::mpmc::context::Context::wait_until"], Class::Channel),
            (
                vec![futex, park[0], park[1], "<crossbeam_channel::context::Context>::wait_until"],
                Class::Channel,
            ),
            (vec![futex, park[0], park[1], "shop::f", "crossbeam_channel::context::x"], Class::Park),
            (vec![futex, park[0], park[1], "std::thread::scoped::scope::<F, ()>"], Class::Join),
            (vec!["pthread_join", "std::sys::thread::unix::Thread::join"], Class::Join),
            (
                vec!["parking_lot_core::parking_lot::park", "parking_lot::raw_mutex::RawMutex::lock_slow"],
                Class::Mutex,
            ),
            (vec!["x", "parking_lot::condvar::Condvar::wait_until_internal"], Class::Condvar),
            (vec!["x", "<dashmap::lock::RawRwLock>::lock_exclusive_slow"], Class::RwLock),
            (vec![futex, "shop::f"], Class::Futex),
        ] {
            assert_eq!(class_of(&names), (class, None), "{names:?}");
        }
    }

    #[test]
    fn idle_is_who_waits_for_work_and_not_who_waits_at_work() {
        let wait = ["<std::sys::sync::condvar::futex::Condvar>::wait", "std::sync::Condvar::wait"];
        let sleep = "rayon_core::sleep::Sleep::sleep";
        let idle = [wait[0], wait[1], sleep, "rayon_core::registry::main_loop"];
        assert_eq!(class_of(&idle), (Class::Condvar, Some("rayon")));
        let joins =
            [wait[0], wait[1], sleep, "rayon_core::join::join_context", "rayon_core::registry::main_loop"];
        assert_eq!(class_of(&joins), (Class::Condvar, None));
        let works = [wait[0], wait[1], "shop::f", "tokio::runtime::blocking::pool::Inner::run"];
        assert_eq!(class_of(&works), (Class::Condvar, None));
        let pool = [wait[0], wait[1], "tokio::runtime::blocking::pool::Inner::run", "shop::f"];
        assert_eq!(class_of(&pool), (Class::Condvar, Some("tokio")));
    }
}
