//! `init`: what a program does that reads `PROFILED_*`, and what it says.
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "a forked child, and a pipe")]
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use profiled_test_profiles::{Profile, busy, child, read, strict};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

const MS: Duration = Duration::from_millis(1);

busy! { works }

/// A folder of a test's own, under one name in the test and in the process that it starts.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let variable = "PROFILED_TEST_FOLDER";
        let path = std::env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| {
            let path = std::env::temp_dir().join(format!("profiled-{}-{test}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            path
        });
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs `case` with `variables`; the lines of ours on standard error.
    fn run(&self, test: &str, variables: &[(&str, &OsStr)], case: impl FnOnce()) -> Option<Vec<String>> {
        let folder = [("PROFILED_TEST_FOLDER", self.0.as_os_str())];
        let variables = [variables, &folder].concat();
        let errors = child(test, &variables, case)?;
        Some(errors.lines().filter(|line| line.starts_with("profiled: ")).map(str::to_owned).collect())
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn parsed(path: &Path, window: bool) -> Profile {
    let file = fs::read(path).unwrap();
    let wrong = strict(&file, window);
    assert!(wrong.is_empty(), "{wrong:#?}");
    Profile::read(&file)
}

#[inline(never)]
fn keeps() -> Vec<u8> {
    black_box(vec![7; 123_456])
}

#[test]
fn files_are_written_when_the_guard_is_dropped() {
    let test = "files_are_written_when_the_guard_is_dropped";
    let folder = Folder::new(test);
    let (cpu, heap) = (folder.file("cpu.pb.gz"), folder.file("heap.pb.gz"));
    let variables = [
        ("PROFILED_CPU", cpu.as_os_str()),
        ("PROFILED_HEAP", heap.as_os_str()),
        ("PROFILED_HEAP_RATE", OsStr::new("1")),
        ("PROFILED_BLOCK_RATE", OsStr::new("")),
    ];
    fs::write(&heap, "of the last time").unwrap();
    let lines = folder.run(test, &variables, || {
        let guard = profiled::init();
        works(500 * MS);
        let kept = keeps();
        assert!(!cpu.exists(), "it has only begun");
        assert_eq!(fs::read(&heap).unwrap(), b"of the last time");
        // The files are where the program was when it began.
        std::env::set_current_dir("/").unwrap();
        drop(guard);
        drop(kept);
    });
    let Some(lines) = lines else { return };
    assert_eq!(lines, [""; 0]);
    assert_eq!(folder.names(), ["cpu.pb.gz", "heap.pb.gz"]);
    let profile = parsed(&cpu, true);
    assert_eq!(profile.period, 10_000_000);
    // Of 50, a tick at both ends, and what the machine took.
    let samples = profile.total_of("samples", &["environment::works"]);
    assert!((30..=60).contains(&samples), "{samples}");
    assert_eq!(parsed(&heap, false).total_of("inuse_space", &["environment::keeps"]), 123_456);
    fs::remove_dir_all(&folder.0).unwrap();
}

#[test]
fn paths_are_those_of_the_beginning() {
    let test = "paths_are_those_of_the_beginning";
    let folder = Folder::new(test);
    let lines = folder.run(test, &[("PROFILED_HEAP", OsStr::new("here"))], || {
        // Variables are read by `init`, which is where the program is by now.
        std::env::set_current_dir(&folder.0).unwrap();
        let guard = profiled::init();
        std::env::set_current_dir("/").unwrap();
        drop(guard);
    });
    let Some(lines) = lines else { return };
    assert_eq!(lines, [""; 0]);
    assert_eq!(folder.names(), ["here"]);
    fs::remove_dir_all(&folder.0).unwrap();
}

#[test]
fn a_forked_child_leaves_the_files_to_its_parent() {
    let test = "a_forked_child_leaves_the_files_to_its_parent";
    let folder = Folder::new(test);
    let (cpu, heap) = (folder.file("cpu.pb.gz"), folder.file("heap.pb.gz"));
    let variables = [("PROFILED_CPU", cpu.as_os_str()), ("PROFILED_HEAP", heap.as_os_str())];
    let lines = folder.run(test, &variables, || {
        let guard = profiled::init();
        works(300 * MS);
        // SAFETY: the child drops what it has a copy of, and ends.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::alarm(60);
                drop(guard);
                libc::_exit(if cpu.exists() || heap.exists() { 1 } else { 0 });
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            assert_eq!(status, 0);
        }
        drop(guard);
    });
    let Some(lines) = lines else { return };
    assert_eq!(lines, [""; 0]);
    assert!(parsed(&cpu, true).total_of("samples", &["environment::works"]) > 10);
    parsed(&heap, false);
    fs::remove_dir_all(&folder.0).unwrap();
}

#[test]
fn a_panic_writes_the_files_on_its_way() {
    let test = "a_panic_writes_the_files_on_its_way";
    let folder = Folder::new(test);
    let heap = folder.file("heap.pb.gz");
    let lines = folder.run(test, &[("PROFILED_HEAP", heap.as_os_str())], || {
        let caught = std::panic::catch_unwind(|| {
            let _guard = profiled::init();
            std::panic::resume_unwind(Box::new(1));
        });
        assert!(caught.is_err());
    });
    if lines.is_some() {
        parsed(&heap, false);
        fs::remove_dir_all(&folder.0).unwrap();
    }
}

fn ask(socket: &Path, header: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    write!(stream, "GET /debug/pprof/ HTTP/1.0\r\nHost: localhost\r\n{header}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().map(str::to_owned)
}

#[test]
fn a_server_with_a_token_runs_until_the_guard_is_dropped() {
    let test = "a_server_with_a_token_runs_until_the_guard_is_dropped";
    let folder = Folder::new(test);
    let socket = folder.file("socket");
    let address = format!("unix:{}", socket.display());
    let variables = [("PROFILED_ADDR", OsStr::new(&address)), ("PROFILED_TOKEN", OsStr::new("a big secret"))];
    let lines = folder.run(test, &variables, || {
        let guard = profiled::init();
        let status = |header| ask(&socket, header).unwrap();
        assert!(status("Authorization: Bearer a big secret\r\n").contains("200"));
        assert!(status("").contains("401"));
        drop(guard);
        assert_eq!(ask(&socket, ""), None);
    });
    let Some(lines) = lines else { return };
    assert_eq!(lines, [format!("profiled: serving /debug/pprof/ at {address}")]);
    fs::remove_dir_all(&folder.0).unwrap();
}

#[test]
fn rates_are_set_and_stay() {
    let test = "rates_are_set_and_stay";
    let variables = [
        ("PROFILED_CPU_HZ", OsStr::new("250")),
        ("PROFILED_HEAP_RATE", OsStr::new("4096")),
        ("PROFILED_BLOCK_RATE", OsStr::new("17")),
        ("PROFILED_MUTEX_FRACTION", OsStr::new("3")),
    ];
    let lines = Folder(std::env::temp_dir()).run(test, &variables, || {
        drop(profiled::init());
        works(500 * MS);
        let profile = read("cpu");
        assert_eq!(profile.period, 4_000_000);
        let samples = profile.total_of("samples", &["environment::works"]);
        assert!((75..=150).contains(&samples), "{samples} of 125");
        assert_eq!(profiled::cpu::set_continuous(0).unwrap(), 250);
        assert_eq!(profiled::heap::set_rate(0), 4096);
        assert_eq!(profiled::block::set_rate(0), 17);
        assert_eq!(profiled::mutex::set_fraction(0), 3);
    });
    assert_eq!(lines.unwrap_or_default(), [""; 0]);
}

/// What stays when nothing that was asked for is understood.
fn defaults() {
    assert_eq!(profiled::cpu::set_continuous(0).unwrap(), 0);
    assert_eq!(profiled::heap::rate(), 524_288);
    assert_eq!(profiled::block::set_rate(0), 10_000);
    assert_eq!(profiled::mutex::set_fraction(0), 10);
}

#[test]
fn what_is_not_understood_is_told_in_one_line_and_left_out() {
    let test = "what_is_not_understood_is_told_in_one_line_and_left_out";
    let folder = Folder::new(test);
    let (cpu, good) = (folder.file("missing/cpu.pb.gz"), folder.file("heap.pb.gz"));
    let variables = [
        ("PROFILED_HEAP_RATE", "many\nlines"),
        ("PROFILED_BLOCK_RATE", "-1"),
        ("PROFILED_MUTEX_FRACTION", "0x10"),
        ("PROFILED_CPU_HZ", "4001"),
        ("PROFILED_CPU", cpu.to_str().unwrap()),
        ("PROFILED_ADDR", "nowhere"),
    ];
    let mut all: Vec<(&str, &OsStr)> =
        variables.iter().map(|&(name, value)| (name, OsStr::new(value))).collect();
    all.push(("PROFILED_HEAP", good.as_os_str()));
    let lines = folder.run(test, &all, || {
        drop(profiled::init());
        defaults();
        assert!(good.exists(), "the rest goes on");
    });
    let Some(lines) = lines else { return };
    assert_eq!(lines.len(), variables.len(), "{lines:#?}");
    for (name, value) in variables {
        // The allocator reads its rate before `main`, and says so without a value, for which it would need itself.
        let begin = match name {
            "PROFILED_HEAP_RATE" => format!("profiled: {name} is "),
            name => format!("profiled: {name}={value:?}: "),
        };
        assert!(lines.iter().any(|line| line.len() > begin.len() && line.starts_with(&begin)), "{lines:#?}");
    }
    assert_eq!(folder.names(), ["heap.pb.gz"]);
    fs::remove_dir_all(&folder.0).unwrap();
}

/// Without the token that was asked for there is no server, and a token is in nobody's log.
#[test]
fn a_token_that_is_none_keeps_the_server_from_starting() {
    let test = "a_token_that_is_none_keeps_the_server_from_starting";
    for token in [OsString::new(), OsString::from_vec(b"secret\xff".to_vec())] {
        let folder = Folder::new(test);
        let socket = folder.file("socket");
        let address = format!("unix:{}", socket.display());
        let variables = [("PROFILED_ADDR", OsStr::new(&address)), ("PROFILED_TOKEN", token.as_os_str())];
        let lines = folder.run(test, &variables, || {
            let guard = profiled::init();
            assert!(!socket.exists());
            drop(guard);
        });
        let Some(lines) = lines else { return };
        assert!(lines.len() == 1 && lines[0].contains("PROFILED_TOKEN"), "{lines:?}");
        assert!(!lines[0].contains("secret") && !lines[0].contains("serving"), "{lines:?}");
        fs::remove_dir_all(&folder.0).unwrap();
    }
}

#[test]
fn nothing_but_a_file_is_replaced() {
    let test = "nothing_but_a_file_is_replaced";
    let folder = Folder::new(test);
    let (pipe, inner) = (folder.file("pipe"), folder.file("folder"));
    fs::create_dir_all(&inner).unwrap();
    let name = CString::new(pipe.to_str().unwrap()).unwrap();
    // SAFETY: a path that ends. In the process that the test starts, it is there already.
    _ = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    let variables = [("PROFILED_CPU", pipe.as_os_str()), ("PROFILED_HEAP", inner.as_os_str())];
    let lines = folder.run(test, &variables, || drop(profiled::init()));
    let Some(lines) = lines else { return };
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("not a file")), "{lines:#?}");
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo() && inner.is_dir());
    fs::remove_dir_all(&folder.0).unwrap();
}

/// A program without any of the variables is left alone.
#[test]
fn nothing_is_done_that_nobody_asked_for() {
    let lines = child("nothing_is_done_that_nobody_asked_for", &[], || {
        let _guard = profiled::init();
        defaults();
    });
    assert!(lines.is_none_or(|lines| !lines.contains("profiled: ")));
}
