#![expect(unsafe_code, reason = "sets the signal mask")]
//! Threads: our own, and all of the process as the kernel lists them.
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::{fs, io, ptr};

use super::look::Threads;
use super::process::thread_id;
use crate::record::pseudo;

/// Bytes of a thread's name, the last of them 0.
pub(crate) const NAME_BYTES: usize = 16;

/// Threads of ours. More than these there are not at a time but in a storm of requests; then some go unnoted.
static OURS: [AtomicI32; 64] = [const { AtomicI32::new(0) }; 64];

/// Notes that this thread is ours, until it ends.
pub(crate) fn note_ours() {
    struct Noted(Cell<Option<&'static AtomicI32>>);
    impl Drop for Noted {
        fn drop(&mut self) {
            if let Some(entry) = self.0.get() {
                entry.store(0, Relaxed);
            }
        }
    }
    thread_local! {
        static NOTED: Noted = const { Noted(Cell::new(None)) };
    }
    let tid = thread_id();
    if !is_ours(tid) {
        let entry = OURS.iter().find(|entry| entry.compare_exchange(0, tid, Relaxed, Relaxed).is_ok());
        NOTED.with(|noted| noted.0.set(entry));
    }
}

/// Whether the thread is ours.
pub(crate) fn is_ours(tid: i32) -> bool {
    OURS.iter().any(|ours| ours.load(Relaxed) == tid)
}

/// What threads of ours are called. One that has just begun has its name before it has said that it is ours.
const NAMES: [&str; 9] = [
    "profiled-cpu",
    "profiled-files",
    "profiled-flight",
    "profiled-http",
    "profiled-http-w",
    "profiled-locks",
    "profiled-tasks",
    "profiled-trace",
    "profiled-wall",
];

/// Whether a thread of that name is ours, or means to be taken for one.
pub(crate) fn is_our_name(name: &str) -> bool {
    NAMES.contains(&name)
}

/// CPU time of those that are ours and alive, in nanoseconds.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
pub(crate) fn own_cpu_time() -> Option<u64> {
    let ours = OURS.iter().map(|ours| ours.load(Relaxed)).filter(|&tid| tid != 0);
    Some(ours.filter_map(super::timer::cpu_time_of).sum())
}

/// Threads of ours stay behind when the process forks.
pub(crate) fn after_fork_in_child() {
    OURS.iter().for_each(|ours| ours.store(0, Relaxed));
}

/// The ids of all threads of the process.
pub(crate) fn ids() -> io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc/self/task")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// How many there are, without ours. `None`: the kernel does not tell.
pub(crate) fn count() -> Option<usize> {
    Some(ids().ok()?.into_iter().filter(|&id| !is_ours(id)).count())
}

/// All of them that have not ended, without ours, and when each began, in nanoseconds since the machine did; to the
/// kernel's unit, 10 ms, and not later than it was. `None`: the kernel does not tell.
pub(crate) fn began() -> Option<Vec<(i32, u64)>> {
    let mut threads = Threads::open().ok()?;
    let theirs = ids().ok()?.into_iter().filter(|&id| !is_ours(id));
    Some(theirs.filter_map(|id| Some((id, nanoseconds(threads.started(id)?)))).collect())
}

/// The kernel's unit of such times in nanoseconds.
pub(crate) fn nanoseconds(started: u64) -> u64 {
    // SAFETY: takes a number.
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    started.saturating_mul(1_000_000_000 / u64::try_from(hz).unwrap_or(0).max(1))
}

/// Now, by the clock of [`began`].
pub(crate) fn moment() -> u64 {
    super::clock::nanoseconds(super::clock::Clock::Boot)
}

/// Whether this process has a thread of this id. 0 is none.
pub(crate) fn is_there(tid: i32) -> bool {
    tid != 0 && super::call::is_thread(std::process::id() as i32, tid)
}

fn file_of(tid: i32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/task/{tid}/{name}"))
}

/// Whether the thread blocks `SIGPROF`; `None` if it is gone or the kernel does not tell.
pub(crate) fn blocks_our_signal(tid: i32) -> Option<bool> {
    let status = fs::read_to_string(file_of(tid, "status")).ok()?;
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
    let blocked = u64::from_str_radix(blocked.trim(), 16).ok()?;
    Some(blocked & 1 << (libc::SIGPROF - 1) != 0)
}

/// What a thread is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It runs, or would if it had a processor.
    Running,
    /// It waits in the system call of this number.
    Call(i64),
    /// It waits, and the kernel does not tell for what.
    Waiting,
}

/// What the thread is at; `None` if it is gone.
pub(crate) fn doing(tid: i32) -> Option<Doing> {
    match fs::read_to_string(file_of(tid, "syscall")) {
        Ok(text) => Some(Doing::in_file(&text)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => None,
        // Kernels that are built without it, or forbid it.
        Err(_) => {
            let stat = fs::read_to_string(file_of(tid, "stat")).ok()?;
            let state = stat.rsplit_once(')')?.1.trim_start();
            Some(if state.starts_with('R') { Doing::Running } else { Doing::Waiting })
        }
    }
}

/// The system calls that threads usually wait in: those of each of [`pseudo::STATES`], as far as there are any.
const CALLS: [&[i64]; 16] = [
    &[],
    &[],
    &[libc::SYS_futex],
    &[libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2],
    &[libc::SYS_poll, libc::SYS_ppoll, libc::SYS_select, libc::SYS_pselect6],
    &[libc::SYS_nanosleep, libc::SYS_clock_nanosleep],
    &[libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_preadv],
    &[libc::SYS_write, libc::SYS_writev, libc::SYS_pwrite64, libc::SYS_pwritev],
    &[libc::SYS_fsync, libc::SYS_fdatasync],
    &[libc::SYS_accept, libc::SYS_accept4],
    &[libc::SYS_connect],
    &[libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_recvmmsg],
    &[libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_sendmmsg],
    &[libc::SYS_wait4, libc::SYS_waitid],
    &[libc::SYS_io_uring_enter],
    &[libc::SYS_rt_sigtimedwait, libc::SYS_pause, libc::SYS_rt_sigsuspend],
];

impl Doing {
    /// What the kernel's file `syscall` says.
    pub(crate) fn in_file(text: &str) -> Doing {
        match text.split_ascii_whitespace().next() {
            Some("running") => Doing::Running,
            number => match number.and_then(|number| number.parse().ok()) {
                Some(number) if number >= 0 => Doing::Call(number),
                _ => Doing::Waiting,
            },
        }
    }

    /// Its number among the states.
    pub(crate) fn state(self) -> usize {
        match self {
            Doing::Running => 0,
            Doing::Waiting => 1,
            Doing::Call(number) => CALLS.iter().position(|calls| calls.contains(&number)).unwrap_or(1),
        }
    }

    /// Whether the thread would take our signal as what it waits for, and never give it to the handler.
    pub(crate) fn takes_signals(self) -> bool {
        self == Doing::Call(libc::SYS_rt_sigtimedwait)
    }
}

/// The state of this number, for people.
pub(crate) fn name_of_state(state: usize) -> &'static str {
    let name = pseudo::STATES.get(state).unwrap_or(&pseudo::STATES[1]);
    name.trim_matches(['[', ']'])
}

/// The name of another thread; `None` if it is gone.
pub(crate) fn name(tid: i32) -> Option<String> {
    let name = fs::read(file_of(tid, "comm")).ok()?;
    Some(String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned())
}

/// Runs `f` with all signals blocked, so that a thread started there never takes one meant for the program. What
/// a fault of the thread itself raises stays open: blocked, it would kill the process past every crash handler.
pub(crate) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    let _restore = block();
    f()
}

/// The mask as it was.
struct Restore(Option<libc::sigset_t>);

fn block() -> Restore {
    let (mut all, mut old) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: `sigfillset` makes `all` a set before anything else reads it; `old` is read only if it was written.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGSYS,
            libc::SIGABRT,
        ] {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        match libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr()) {
            0 => Restore(Some(old.assume_init())),
            _ => Restore(None),
        }
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(old) = &self.0 {
            // SAFETY: `old` is the set that `block` was given by the system.
            _ = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old, ptr::null_mut()) };
        }
    }
}
