#![expect(unsafe_code, reason = "opens files in a directory that is open already")]
//! All threads of the process as the kernel shows them: a look at each, of some microseconds.
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::str::SplitAsciiWhitespace;
use std::time::Duration;

use super::thread::Doing;
use crate::record::pseudo;

/// The directory of the process's threads.
pub(crate) struct Threads {
    directory: OwnedFd,
    text: Vec<u8>,
}

/// A thread as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) name: String,
    /// Its place among [`pseudo::STATES`].
    pub(crate) state: usize,
    /// Why it cannot be asked, if it cannot.
    pub(crate) silent: Option<&'static str>,
    /// When it started: tells it from another one that gets its id.
    pub(crate) started: u64,
    /// The processor that it runs on, or ran on last.
    pub(crate) processor: u64,
}

/// When a thread was on a processor last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ran {
    /// By the scheduler's clock of that processor.
    pub(crate) last: Duration,
    /// How often it has left one to wait.
    pub(crate) switches: u64,
}

impl Threads {
    pub(crate) fn open() -> io::Result<Threads> {
        Ok(Threads { directory: File::open("/proc/self/task")?.into(), text: Vec::new() })
    }

    fn read(&mut self, tid: i32, file: &str) -> Option<&str> {
        let path = CString::new(format!("{tid}/{file}")).ok()?;
        // SAFETY: the path ends in 0; what is returned is a descriptor of our own, or less than 0.
        let mut file = unsafe {
            let flags = libc::O_RDONLY | libc::O_CLOEXEC;
            match libc::openat(self.directory.as_raw_fd(), path.as_ptr(), flags) {
                ..0 => return None,
                descriptor => File::from_raw_fd(descriptor),
            }
        };
        self.text.clear();
        // The kernel makes such a file's text when it is read: one read has it all, but for names that are no UTF-8.
        self.text.resize(4096, 0);
        let len = file.read(&mut self.text).ok()?;
        self.text.truncate(len);
        if let Err(error) = str::from_utf8(&self.text) {
            let lossy = String::from_utf8_lossy(&self.text).into_owned();
            debug_assert!(error.valid_up_to() < lossy.len());
            self.text = lossy.into_bytes();
        }
        str::from_utf8(&self.text).ok()
    }

    /// A look at the thread; `None` if it is gone.
    pub(crate) fn look(&mut self, tid: i32) -> Option<Look> {
        let mut look = stat(self.read(tid, "stat")?)?;
        if look.silent.is_none() && look.state == WAITING {
            // Kernels may be built without it, or forbid it.
            let doing = self.read(tid, "syscall").map_or(Doing::Waiting, Doing::in_file);
            look.state = doing.state();
            if doing.takes_signals() {
                look.silent = Some("it waits for signals, and would take ours for one of them");
            }
        }
        Some(look)
    }

    /// When the thread started; `None` if it is gone, or has ended.
    pub(crate) fn started(&mut self, tid: i32) -> Option<u64> {
        let look = stat(self.read(tid, "stat")?)?;
        (pseudo::STATES.get(look.state) != Some(&"[zombie]")).then_some(look.started)
    }

    /// When the thread ran last; `None` if it is gone, or the kernel does not tell.
    pub(crate) fn ran(&mut self, tid: i32) -> Option<Ran> {
        ran(self.read(tid, "sched")?)
    }
}

const WAITING: usize = 1;

/// What the file `stat` has, of which a name in brackets may be anything.
fn stat(text: &str) -> Option<Look> {
    let (head, rest) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = rest.split_ascii_whitespace();
    let letter = fields.next()?;
    let state = |name: &str| pseudo::STATES.iter().position(|state| state[1..].starts_with(name));
    let (state, silent) = match letter {
        "R" => (state("running")?, None),
        "D" => (state("uninterruptible")?, Some("it waits for the kernel and for nothing else")),
        "T" => (state("stopped")?, Some("it is stopped")),
        "t" => (state("traced")?, Some("a debugger has stopped it")),
        "Z" | "X" | "x" => (state("zombie")?, Some("it has ended")),
        _ => (WAITING, None),
    };
    // Those of the manual, from 1, of which the first two are before the letter, which is the third.
    let number = |fields: &mut SplitAsciiWhitespace<'_>, skip: usize| fields.nth(skip)?.parse::<u64>().ok();
    let started = number(&mut fields, 22 - 4)?;
    let blocked = number(&mut fields, 32 - 23)?;
    let silent = silent.or((blocked & 1 << (libc::SIGURG - 1) != 0).then_some("it blocks SIGURG"));
    let processor = number(&mut fields, 39 - 33)?;
    Some(Look { name, state, silent, started, processor })
}

/// What the file `sched` has.
fn ran(text: &str) -> Option<Ran> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start().strip_prefix(':')?.trim())
    };
    let last = Duration::try_from_secs_f64(value("se.exec_start")?.parse::<f64>().ok()? / 1e3).ok()?;
    Some(Ran { last, switches: value("nr_voluntary_switches")?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let line = |name: &str, letter: &str, blocked: u64| {
            format!(
                "77 ({name}) {letter} 1 77 77 0 -1 64 13 0 0 0 1 2 0 0 20 0 9 0 5391 1000 200 18446744073709551615 1 2 \
                 3 0 0 0 {blocked} 0 1 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
            )
        };
        let look = stat(&line("a) R (b", "S", 0)).unwrap();
        assert_eq!((look.name.as_str(), look.state, look.silent), ("a) R (b", WAITING, None));
        assert_eq!((look.started, look.processor), (5391, 1));
        assert_eq!(stat(&line("a", "R", 1 << 22)).unwrap().silent, Some("it blocks SIGURG"));
        assert_eq!(stat(&line("a", "R", !(1 << 22))).unwrap().silent, None);
        assert_eq!(pseudo::STATES[stat(&line("a", "t", 0)).unwrap().state], "[traced]");
        assert_eq!(pseudo::STATES[stat(&line("a", "D", 0)).unwrap().state], "[uninterruptible]");
        assert_eq!(stat("77 (a) S 1"), None);
        let text = "sh (77, #threads: 1)\n---\nse.exec_start                                :      5389.233220\n\
                    se.vruntime : 1\nnr_voluntary_switches                             :                    12\n";
        assert_eq!(ran(text), Some(Ran { last: Duration::from_nanos(5_389_233_220), switches: 12 }));
        assert_eq!(ran("sh (77)\n"), None);
    }

    #[test]
    fn this_thread_runs() {
        let mut threads = Threads::open().unwrap();
        let tid = super::super::process::thread_id();
        let look = threads.look(tid).unwrap();
        assert_eq!((pseudo::STATES[look.state], look.silent), ("[running]", None));
        assert_eq!(threads.look(i32::MAX), None);
    }
}
