#![expect(unsafe_code, reason = "signals, and a fork")]
//! What has a flight recorder take a snapshot, and what is in that.
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, io, panic, thread};

use profiled::trace::{self, Cause, FlightRecorder, Format, Snapshot};
use profiled::{Error, profiled};
use profiled_test_trace::flight::{alone, bytes_of, eventually, file, millis, regions};
use profiled_test_trace::{Trace, count, perfetto};

const FORMATS: [Format; 2] = [Format::Go, Format::Perfetto];

/// A request that is slow in the middle.
fn request(number: u64, pause: Duration) {
    let _task = trace::task("request");
    let _handle = trace::region("handle");
    trace::log!("request", "begins {number}");
    {
        let _reads = trace::region("reads");
        thread::sleep(pause);
    }
    thread::sleep(millis(5));
    trace::log!("request", "ends {number}");
}

#[test]
fn a_slow_request_is_there_from_begin_to_end() {
    alone(|| {
        for format in FORMATS {
            let (send, snapshots) = mpsc::channel();
            let path = file("slow");
            let recorder = FlightRecorder::builder()
                .format(format)
                .on_slow_with(millis(200), move |snapshot| send.send(snapshot).unwrap())
                .on_slow(millis(200), &path)
                .start()
                .unwrap();
            (0..20).for_each(|number| request(number, millis(1)));
            assert!(snapshots.try_recv().is_err());
            request(77, millis(250));
            // Nothing comes after it, and the file's turn is before or after.
            let snapshot = snapshots.recv_timeout(millis(30_000)).unwrap();
            let Cause::Slow { name, took } = snapshot.cause() else { panic!("{snapshot:?}") };
            assert!(name == "request" && *took >= millis(255), "{snapshot:?}");
            let written = eventually(|| fs::read(&path).ok());
            for bytes in [bytes_of(&snapshot), written] {
                if format == Format::Go {
                    let text = Trace::new(&bytes).parsed();
                    let line = |parts: &[&str]| {
                        let found: Vec<usize> = (0..)
                            .zip(text.lines())
                            .filter(|(_, line)| parts.iter().all(|part| line.contains(part)))
                            .map(|(at, _)| at)
                            .collect();
                        assert_eq!(found.len(), 1, "{parts:?}: {text}");
                        found[0]
                    };
                    assert!(line(&["Log", "\"begins 77\""]) < line(&["Log", "\"ends 77\""]));
                    for kind in ["TaskBegin", "TaskEnd", "RegionBegin", "RegionEnd"] {
                        let of_each = if kind.starts_with("Task") { 21 } else { 42 };
                        assert_eq!(count(&text, &[kind]), of_each, "{kind}: {text}");
                    }
                } else {
                    let [slow, begun] = perfetto::query_good(
                        &bytes,
                        [
                            "select name from slice where dur >= 250000000 and name != '' order by name",
                            "select count(*) from slice where name in ('request', 'handle', 'reads') and dur < 0",
                        ],
                    );
                    assert_eq!(slow.concat(), ["handle", "reads", "request"], "{slow:?}");
                    assert_eq!(perfetto::number(&begun), 0, "all that begins ends in it");
                }
            }
            let status = recorder.status();
            assert_eq!((status.delivered, status.failed, status.suppressed), (2, 0, 0), "{status:?}");
            recorder.stop().unwrap();
            fs::remove_file(&path).unwrap();
        }
    });
}

#[profiled(name = "flight/long call")]
fn long_call() {
    thread::sleep(millis(60));
}

#[test]
fn calls_and_polls_are_slow_too_and_few_snapshots_are_taken() {
    alone(|| {
        let (send, snapshots) = mpsc::channel();
        let recorder = FlightRecorder::builder()
            .on_slow_with(millis(50), move |snapshot: Snapshot| send.send(snapshot).unwrap())
            .start()
            .unwrap();
        (0..5).for_each(|_| long_call());
        let first = snapshots.recv_timeout(millis(30_000)).unwrap();
        assert!(matches!(first.cause(), Cause::Slow { name, .. } if name == "flight/long call"), "{first:?}");
        // Each of the others comes within the ten seconds.
        eventually(|| (recorder.status().suppressed == 4).then_some(()));
        assert!(snapshots.try_recv().is_err());
        let summary = recorder.write_to(io::sink()).unwrap();
        assert_eq!((summary.suppressed, recorder.status().delivered), (4, 1));
        recorder.stop().unwrap();

        let (send, snapshots) = mpsc::channel();
        let recorder = FlightRecorder::builder()
            .at_most_every(millis(1))
            .on_slow_with(millis(50), move |snapshot: Snapshot| send.send(snapshot).unwrap())
            .start()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..3 {
            runtime.block_on(profiled::tasks::instrument("flight/long poll", async {
                thread::sleep(millis(60))
            }));
            let snapshot = snapshots.recv_timeout(millis(30_000)).unwrap();
            assert!(
                matches!(snapshot.cause(), Cause::Slow { name, .. } if name == "flight/long poll"),
                "{snapshot:?}"
            );
            Trace::new(&bytes_of(&snapshot)).parsed();
        }
        assert_eq!(recorder.status().suppressed, 0);
        recorder.stop().unwrap();
    });
}

#[test]
fn a_panic_is_in_the_snapshot_of_it() {
    alone(|| {
        static SEEN: AtomicUsize = AtomicUsize::new(0);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            SEEN.fetch_add(1, Relaxed);
            if !info.to_string().contains("as it should") {
                before(info);
            }
        }));
        let path = file("panic");
        let recorder = FlightRecorder::builder().on_panic(&path).start().unwrap();
        let panics = || {
            let _region = trace::region("fails");
            panic!("as it should, {}", 42);
        };
        assert!(thread::spawn(panics).join().is_err());
        // The thread went on only when it was there.
        let text = Trace::new(&fs::read(&path).unwrap()).parsed();
        let message = "tests/trace/tests/flight_triggers.rs";
        assert_eq!(count(&text, &["Log", "Category=\"panic\"", message, "as it should, 42"]), 1, "{text}");
        assert_eq!(count(&text, &["RegionBegin", "\"fails\""]), 1, "{text}");
        assert_eq!(SEEN.load(Relaxed), 1, "the hook before");
        fs::remove_file(&path).unwrap();
        assert!(thread::spawn(panics).join().is_err());
        assert_eq!((SEEN.load(Relaxed), recorder.status().suppressed, path.exists()), (2, 1, false));
        recorder.stop().unwrap();
        // And without one.
        assert!(thread::spawn(panics).join().is_err());
        assert_eq!(SEEN.load(Relaxed), 3);
        assert!(!path.exists());
    });
}

#[test]
fn a_signal_has_a_snapshot_written() {
    alone(|| {
        static SEEN: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn on_signal(_: i32) {
            SEEN.fetch_add(1, Relaxed);
        }
        // SAFETY: a handler that counts.
        unsafe { libc::signal(libc::SIGUSR2, on_signal as extern "C" fn(i32) as usize) };
        let path = file("signal");
        let recorder = FlightRecorder::builder()
            .format(Format::Perfetto)
            .on_signal(libc::SIGUSR1, &path)
            .on_signal_with(libc::SIGUSR2, |_| panic!("no use for it"))
            .start()
            .unwrap();
        drop(trace::region("before the signal"));
        // SAFETY: sends one to this process, which handles it.
        unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) };
        let bytes = eventually(|| fs::read(&path).ok());
        assert_eq!(regions(Format::Perfetto, &bytes, "before the signal"), (1, 1));
        // SAFETY: as above.
        unsafe { libc::kill(libc::getpid(), libc::SIGUSR2) };
        eventually(|| (recorder.status().failed == 1).then_some(()));
        assert_eq!((SEEN.load(Relaxed), recorder.status().delivered), (1, 1), "the handler before");
        let error = recorder.stop().unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.to_string().contains("panicked")), "{error:?}");
        fs::remove_file(&path).unwrap();
        for signal in [libc::SIGKILL, libc::SIGSEGV, libc::SIGPROF, libc::SIGTERM, 0, -1, 100] {
            let error = FlightRecorder::builder().on_signal(signal, file("x")).start().unwrap_err();
            assert!(
                matches!(&error, Error::Invalid { what: "on_signal", value } if *value == signal.to_string())
            );
        }
        // One that comes late does nothing.
        // SAFETY: as above.
        unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) };
    });
}

#[test]
fn a_forked_child_has_none() {
    alone(|| {
        let path = file("child");
        let recorder = FlightRecorder::builder().on_slow(millis(1000), &path).start().unwrap();
        // SAFETY: the child calls nothing but what it is to be able to call, and leaves by `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let refused = recorder.write_to(io::sink()).is_err() && recorder.stop().is_err();
            let again = FlightRecorder::builder().start().and_then(|own| own.write_to(io::sink()));
            // SAFETY: ends the child.
            unsafe { libc::_exit(if refused && again.is_ok() { 7 } else { 8 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(libc::WEXITSTATUS(status), 7);
        recorder.write_to(io::sink()).unwrap();
        recorder.stop().unwrap();
    });
}
