//! A program that was built with `panic = "abort"` leaves its files, however it ends: a panic, which nothing comes after
//! there, too. `tests/run` has the profile say so; the program says whether it was.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use profiled_test_reader::{Profile, strict};

const OLD: &[u8] = b"of the last time";
const FILES: [&str; 3] = ["cpu.pb.gz", "heap.pb.gz", "run.pftrace"];

/// The folder with what was left there; of each file the old one was there, and is kept by another name.
struct Ended {
    output: Output,
    folder: PathBuf,
}

fn end(how: &str) -> Ended {
    let name = format!("profiled-ending-{}-{}", std::process::id(), how.replace(' ', "-"));
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(folder.join("old")).unwrap();
    for file in FILES {
        fs::write(folder.join(file), OLD).unwrap();
        fs::hard_link(folder.join(file), folder.join("old").join(file)).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_ending"))
        .arg(how)
        .env("PROFILED_CPU", folder.join(FILES[0]))
        .env("PROFILED_HEAP", folder.join(FILES[1]))
        .env("PROFILED_TRACE", folder.join(FILES[2]))
        .env("PROFILED_HEAP_RATE", "0")
        // A core would say nothing.
        .current_dir(&folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("panic = abort"),
        "run this with CARGO_PROFILE_DEV_PANIC=abort, as tests/run does: {text}"
    );
    Ended { output, folder }
}

impl Ended {
    fn errors(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    #[track_caller]
    fn names(&self) {
        let entries = fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with("core"));
        names.sort();
        let expected = [FILES[0], FILES[1], "old", FILES[2]];
        assert_eq!(names, expected, "nothing half-written is left: {}", self.errors());
    }

    /// All are there, whole, and in place of the old ones, which nobody wrote into.
    #[track_caller]
    fn assert_written(self) {
        self.names();
        let [cpu, heap, trace] = FILES.map(|name| fs::read(self.folder.join(name)).unwrap());
        for (name, file) in [(FILES[0], &cpu), (FILES[1], &heap), (FILES[2], &trace)] {
            assert_ne!(file, OLD, "{name} was not written: {}", self.errors());
            assert_eq!(
                fs::read(self.folder.join("old").join(name)).unwrap(),
                OLD,
                "{name} is renamed into place"
            );
        }
        for (file, window) in [(&cpu, true), (&heap, false)] {
            assert_eq!(strict(file, window), [""; 0], "{}", self.errors());
        }
        // Of 30, and what the machine took.
        let samples = Profile::read(&cpu).total_of("samples", &["ending::works"]);
        assert!(samples >= 10, "{samples}");
        assert_eq!(Profile::read(&heap).total_of("inuse_space", &["ending::keeps"]), 123_456);
        assert!(trace.len() > 100, "{}", trace.len());
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[test]
fn a_panic_leaves_the_files() {
    for how in ["panic", "panic of a thread", "panic in a destructor", "panic with a hook"] {
        let ended = end(how);
        assert_eq!(ended.output.status.signal(), Some(libc::SIGABRT), "{how}: {}", ended.errors());
        let told = if how == "panic with a hook" { "the program's own hook" } else { "panicked at" };
        assert_eq!(ended.errors().matches(told).count(), 1, "{how}: {}", ended.errors());
        ended.assert_written();
    }
}

#[test]
fn other_ends_leave_them_too() {
    for (how, code, signal) in
        [("return", Some(0), None), ("exit", Some(5), None), ("SIGTERM", None, Some(libc::SIGTERM))]
    {
        let ended = end(how);
        let status = ended.output.status;
        assert_eq!((status.code(), status.signal()), (code, signal), "{how}: {}", ended.errors());
        ended.assert_written();
    }
}

/// No half of a file stands under the name of a whole one.
#[test]
fn a_panic_on_a_full_disk_leaves_the_old_ones() {
    let ended = end("panic with a full disk");
    assert_eq!(ended.output.status.signal(), Some(libc::SIGABRT), "{}", ended.errors());
    ended.names();
    for name in &FILES[..2] {
        assert_eq!(fs::read(ended.folder.join(name)).unwrap(), OLD, "{name}");
    }
    for variable in ["PROFILED_CPU", "PROFILED_HEAP"] {
        let errors = ended.errors();
        let told: Vec<_> =
            errors.lines().filter(|line| line.starts_with(&format!("profiled: {variable}="))).collect();
        assert!(told.len() == 1 && told[0].contains("File too large"), "{errors}");
    }
    fs::remove_dir_all(&ended.folder).unwrap();
}
