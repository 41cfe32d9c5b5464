//! Files of `init` at every end that a process may come to, and what the program itself wants to do about it.
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "signals, forks and limits")]
use std::ffi::c_int;
use std::fs;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use profiled_test_profiles::{Profile, busy, strict};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

busy! { works }

const MS: Duration = Duration::from_millis(1);
const FOLDER: &str = "PROFILED_TEST_FOLDER";

/// What is left of a process that ran one test of these by itself.
struct Ended {
    status: ExitStatus,
    errors: String,
    folder: PathBuf,
}

/// Runs `case` in a process of its own, which ends as it likes, with files for both profiles; there, does not return.
fn end(test: &str, case: impl FnOnce(PathBuf)) -> Ended {
    if let Some(folder) = std::env::var_os(FOLDER) {
        // SAFETY: takes a number. What hangs is killed.
        unsafe { libc::alarm(100) };
        case(folder.into());
        std::process::exit(77);
    }
    let folder = std::env::temp_dir().join(format!("profiled-{}-{test}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, &folder)
        .env("PROFILED_CPU", folder.join("cpu.pb.gz"))
        .env("PROFILED_HEAP", folder.join("heap.pb.gz"))
        .env("PROFILED_HEAP_RATE", "0")
        .output()
        .unwrap();
    Ended { status: output.status, errors: String::from_utf8_lossy(&output.stderr).into_owned(), folder }
}

impl Ended {
    #[track_caller]
    fn read(&self, name: &str, window: bool) -> Profile {
        let file = fs::read(self.folder.join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}; {}", self.errors));
        let wrong = strict(&file, window);
        assert!(wrong.is_empty(), "{wrong:#?}");
        Profile::read(&file)
    }

    /// Both files are there, whole, and nothing else is.
    #[track_caller]
    fn assert_written(self) {
        assert_eq!(self.names(), ["cpu.pb.gz", "heap.pb.gz"], "{}", self.errors);
        let samples = self.read("cpu.pb.gz", true).total_of("samples", &["ending::works"]);
        // Of 30, and what the machine took.
        assert!(samples >= 10, "{samples}");
        assert_eq!(self.read("heap.pb.gz", false).total_of("inuse_space", &["ending::keeps"]), 123_456);
        fs::remove_dir_all(&self.folder).unwrap();
    }

    #[track_caller]
    fn assert_nothing_written(self) {
        assert_eq!(self.names(), [""; 0], "{}", self.errors);
        fs::remove_dir_all(&self.folder).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Sampled for sure, and nothing else is.
#[inline(never)]
fn keeps() -> Vec<u8> {
    profiled::heap::set_rate(1);
    let kept = black_box(vec![7; 123_456]);
    profiled::heap::set_rate(0);
    kept
}

/// Begins, and has something to tell.
fn begin() -> (profiled::Guard, Vec<u8>) {
    let guard = profiled::init();
    works(300 * MS);
    (guard, keeps())
}

fn terminate(process: u32) {
    // SAFETY: sends a signal to a process of this test.
    assert_eq!(unsafe { libc::kill(process as i32, libc::SIGTERM) }, 0);
}

/// Waits until it is killed.
fn stay() -> ! {
    loop {
        std::thread::sleep(50 * MS);
    }
}

#[test]
fn a_signal_that_nobody_handles_ends_it_and_the_files_are_whole() {
    let test = "a_signal_that_nobody_handles_ends_it_and_the_files_are_whole";
    let ended = end(test, |_| {
        let _kept = begin();
        terminate(std::process::id());
        stay();
    });
    assert_eq!(ended.status.signal(), Some(libc::SIGTERM), "its parent sees what it was: {}", ended.errors);
    ended.assert_written();
}

/// To write the files takes a thousand times as long as to send these to the thread that sends them.
#[test]
fn a_second_signal_ends_it_at_once() {
    let ended = end("a_second_signal_ends_it_at_once", |_| {
        let _kept = begin();
        for _ in 0..2 {
            // SAFETY: takes a number; the handler has run when it returns.
            unsafe { libc::raise(libc::SIGTERM) };
        }
        stay();
    });
    assert_eq!(ended.status.signal(), Some(libc::SIGTERM), "{}", ended.errors);
    // It may have begun, and no half is under the name of a whole.
    assert!(ended.names().iter().all(|name| name.ends_with(".tmp")), "{:?}", ended.names());
    fs::remove_dir_all(&ended.folder).unwrap();
}

static SEEN: AtomicUsize = AtomicUsize::new(0);
static BEFORE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn the_programs(_: c_int) {
    SEEN.fetch_add(1, SeqCst);
}

extern "C" fn the_programs_that_passes_it_on(signal: c_int) {
    SEEN.fetch_add(1, SeqCst);
    let before = BEFORE.load(SeqCst);
    // SAFETY: what `sigaction` gave as the handler before, which takes the signal.
    unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(before)(signal) };
}

/// What handled it before.
fn handle(handler: usize) -> usize {
    // SAFETY: all-zero is an empty mask; the handler does what one may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        let mut before: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(libc::SIGTERM, &raw const action, &raw mut before), 0);
        before.sa_sigaction
    }
}

/// Sends it, and sees that the program's own handler is all there is to it.
fn is_handled_by_the_program(folder: &std::path::Path, ignored: bool) {
    let (begin, before) = (Instant::now(), SEEN.load(SeqCst));
    terminate(std::process::id());
    while SEEN.load(SeqCst) == before && !ignored {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    // Time for what must not happen.
    std::thread::sleep(300 * MS);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "the program is not done yet");
}

#[test]
fn a_handler_of_the_programs_is_all_that_is_called() {
    for (case, name) in ["before", "after", "passes it on", "ignored"].into_iter().enumerate() {
        let test = "a_handler_of_the_programs_is_all_that_is_called";
        let variable = "PROFILED_TEST_CASE";
        let here = std::env::var(variable).ok();
        if here.as_ref().is_some_and(|here| *here != name) {
            continue;
        }
        // SAFETY: this thread is the only one that reads or writes the environment.
        unsafe { std::env::set_var(variable, name) };
        let ended = end(test, |folder| {
            let plain = the_programs as extern "C" fn(c_int) as usize;
            match case {
                0 => _ = handle(plain),
                3 => _ = handle(libc::SIG_IGN),
                _ => {}
            }
            let kept = begin();
            match case {
                1 => _ = handle(plain),
                2 => {
                    let passes_on = the_programs_that_passes_it_on as extern "C" fn(c_int) as usize;
                    BEFORE.store(handle(passes_on), SeqCst);
                }
                _ => {}
            }
            is_handled_by_the_program(&folder, case == 3);
            // Time and again.
            is_handled_by_the_program(&folder, case == 3);
            drop(kept.0);
            drop(kept.1);
            // What it was told of when it began is still so.
            let handler = handle(libc::SIG_DFL);
            assert!(if case == 3 { handler == libc::SIG_IGN } else { handler != libc::SIG_DFL });
            std::process::exit(0);
        });
        // SAFETY: as above.
        unsafe { std::env::remove_var(variable) };
        assert_eq!(ended.status.code(), Some(0), "{name}: {}", ended.errors);
        ended.assert_written();
    }
}

#[test]
fn the_signal_is_the_systems_again_when_the_guard_is_dropped() {
    let test = "the_signal_is_the_systems_again_when_the_guard_is_dropped";
    let ended = end(test, |_| {
        drop(begin());
        assert_eq!(handle(libc::SIG_DFL), libc::SIG_DFL);
        // And once more.
        let kept = begin();
        terminate(std::process::id());
        drop(kept.1);
        stay();
    });
    assert_eq!(ended.status.signal(), Some(libc::SIGTERM), "{}", ended.errors);
    fs::remove_dir_all(&ended.folder).unwrap();
}

#[test]
fn a_forked_child_dies_of_it_and_writes_nothing() {
    let test = "a_forked_child_dies_of_it_and_writes_nothing";
    let ended = end(test, |folder| {
        let kept = begin();
        // SAFETY: the child waits and is killed.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::alarm(60);
                stay();
            }
            terminate(child as u32);
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGTERM, "{status:#x}");
            let child = libc::fork();
            if child == 0 {
                libc::alarm(60);
                std::process::exit(3);
            }
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 3, "{status:#x}");
        }
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "the files are the parent's");
        drop(kept.0);
        drop(kept.1);
        std::process::exit(0);
    });
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    ended.assert_written();
}

#[test]
fn exit_writes_the_files_of_a_guard_that_is_never_dropped() {
    let test = "exit_writes_the_files_of_a_guard_that_is_never_dropped";
    let ended = end(test, |_| {
        let _kept = begin();
        std::process::exit(5);
    });
    assert_eq!(ended.status.code(), Some(5), "{}", ended.errors);
    ended.assert_written();
}

/// `_exit` and `abort` are ends that nobody is told of.
#[test]
fn abort_writes_nothing() {
    let ended = end("abort_writes_nothing", |_| {
        let _kept = begin();
        std::process::abort();
    });
    assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "{}", ended.errors);
    ended.assert_nothing_written();
}

/// A panic of another thread's: the program goes on, and what it was then is there at once.
#[test]
fn a_panic_has_the_heap_written_as_it_was() {
    let test = "a_panic_has_the_heap_written_as_it_was";
    let ended = end(test, |folder| {
        std::panic::set_hook(Box::new(|_| eprintln!("the program's own hook")));
        let guard = profiled::init();
        let kept = keeps();
        assert!(std::thread::spawn(|| panic!("of a thread")).join().is_err());
        let written = fs::read(folder.join("heap.pb.gz")).expect("it is there as soon as the panic is over");
        assert_eq!(Profile::read(&written).total_of("inuse_space", &["ending::keeps"]), 123_456);
        assert!(!folder.join("cpu.pb.gz").exists(), "that goes on");
        // Only the first one.
        drop(kept);
        let more = [keeps(), keeps()];
        assert!(std::panic::catch_unwind(|| panic!("another")).is_err());
        assert_eq!(fs::read(folder.join("heap.pb.gz")).unwrap(), written);
        works(300 * MS);
        // At the end it is what there is at the end.
        drop(guard);
        let written = Profile::read(&fs::read(folder.join("heap.pb.gz")).unwrap());
        assert_eq!(written.total_of("inuse_space", &["ending::keeps"]), 2 * 123_456);
        drop(more);
        std::process::exit(0);
    });
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    assert_eq!(ended.errors.matches("the program's own hook").count(), 2, "{}", ended.errors);
    assert_eq!(ended.names(), ["cpu.pb.gz", "heap.pb.gz"]);
    assert!(ended.read("cpu.pb.gz", true).total_of("samples", &["ending::works"]) >= 10);
    fs::remove_dir_all(&ended.folder).unwrap();
}

/// The panic that ends `main`: the heap is that of the moment, not what unwinding has left of it.
#[test]
fn what_was_alive_when_main_panicked_is_shown() {
    let test = "what_was_alive_when_main_panicked_is_shown";
    let ended = end(test, |_| {
        let main = std::panic::catch_unwind(|| {
            let _guard = profiled::init();
            works(300 * MS);
            let _kept = keeps();
            panic!("of main");
        });
        std::process::exit(if main.is_err() { 101 } else { 0 });
    });
    assert_eq!(ended.status.code(), Some(101), "{}", ended.errors);
    ended.assert_written();
}

/// A disk that is full, as far as this process can tell: no half of a file stands under the name of a whole one.
#[test]
fn a_full_disk_leaves_the_old_file() {
    let test = "a_full_disk_leaves_the_old_file";
    let ended = end(test, |folder| {
        let kept = begin();
        fs::write(folder.join("heap.pb.gz"), "of the last time").unwrap();
        // SAFETY: plain numbers. Without the signal, to write too much is an error, as on a disk that is full.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let limit = libc::rlimit { rlim_cur: 100, rlim_max: 100 };
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
        }
        drop(kept.0);
        std::process::exit(0);
    });
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    assert_eq!(ended.names(), ["heap.pb.gz"], "{}", ended.errors);
    assert_eq!(fs::read(ended.folder.join("heap.pb.gz")).unwrap(), b"of the last time");
    for variable in ["PROFILED_CPU", "PROFILED_HEAP"] {
        let told = ended.errors.lines().filter(|line| line.starts_with(&format!("profiled: {variable}=")));
        let told: Vec<_> = told.collect();
        assert!(told.len() == 1 && told[0].contains("File too large"), "{}", ended.errors);
    }
    fs::remove_dir_all(&ended.folder).unwrap();
}

/// Every profile at every level says so when there is no room for it, with the writer's own error.
#[test]
fn write_to_a_full_disk_returns_the_error() {
    let rate = profiled::heap::set_rate(1);
    let kept = keeps();
    profiled::heap::set_rate(rate);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    for profile in profiled::profiles() {
        for debug in 0..3 {
            match profile.write_to(&full, debug) {
                Err(profiled::Error::Io(error)) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{} {debug}", profile.name());
                }
                other => panic!("{} {debug}: {other:?}", profile.name()),
            }
        }
    }
    assert!(profiled::heap::write(&full).is_err());
    drop(kept);
}
