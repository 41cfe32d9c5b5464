//! The flight recorder: what it keeps, within which bounds, and that readers take it.
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{fs, thread};

use profiled::trace::{self, FlightRecorder, Format};
use profiled::{Error, profiled};
use profiled_test_trace::flight::{alone, eventually, file, millis, regions, regions_in};
use profiled_test_trace::{Memory, Trace, perfetto, rows};

const MIB: usize = 1 << 20;
const FORMATS: [Format; 2] = [Format::Go, Format::Perfetto];

#[test]
fn it_keeps_the_last_seconds() {
    alone(|| {
        for format in FORMATS {
            let recorder = FlightRecorder::builder().format(format).min_age(millis(300)).start().unwrap();
            let (pause, paused) = mpsc::channel::<()>();
            let worker = thread::Builder::new().name("long-lived".to_owned()).spawn(move || {
                let _early = trace::region("early");
                paused.recv().unwrap();
                let _late = trace::region("late");
                paused.recv().unwrap();
            });
            // The region that is open is of no generation that is kept any more, nor is the thread's begin.
            for _ in 0..100 {
                drop(trace::region("meanwhile"));
                thread::sleep(millis(10));
            }
            pause.send(()).unwrap();
            thread::sleep(millis(20));
            let mut bytes = Vec::new();
            let summary = recorder.write_to(&mut bytes).unwrap();
            // It goes on. What is over now began before what is kept, in part.
            pause.send(()).unwrap();
            worker.unwrap().join().unwrap();
            let again = Memory::default();
            recorder.write_to(again.clone()).unwrap();
            assert_eq!((summary.bytes, summary.dropped), (bytes.len() as u64, 0));
            assert_eq!(regions(format, &bytes, "early"), (0, 0), "{format:?}");
            assert_eq!(regions(format, &bytes, "late"), (1, 0), "{format:?}");
            let (meanwhile, _) = regions(format, &bytes, "meanwhile");
            assert!((15..=60).contains(&meanwhile), "{meanwhile} of 100 {format:?}");
            if format == Format::Go {
                let goroutines = rows(&Trace::new(&bytes).pages().get("/goroutines"));
                assert!(goroutines.iter().any(|row| row[0] == "long-lived"), "{goroutines:?}");
            } else {
                let on = "select th.name from slice s join thread_track t on s.track_id = t.id
                          join thread th using (utid) where s.name = 'late'";
                assert_eq!(perfetto::query_good(&bytes, [on]), [[["long-lived".to_owned()]]]);
            }
            assert_eq!(regions(format, &again.bytes(), "late"), (1, 1), "{format:?}");
            assert_eq!(regions(format, &again.bytes(), "early").0, 0, "{format:?}");
            recorder.stop().unwrap();
        }
        assert!(!trace::is_enabled());
    });
}

/// A stack of its own for each number.
#[profiled(name = "flight/deep")]
fn deep(number: u32, f: &mut dyn FnMut()) {
    match number {
        0 => f(),
        n if n % 2 == 0 => deep(n / 2, f),
        n => other(n / 2, f),
    }
}

fn other(number: u32, f: &mut dyn FnMut()) {
    if number == 0 { f() } else { deep(number, f) }
}

/// Regions, messages that are long, and tasks with stacks, until it is to stop.
fn load(seed: u32, stop: &AtomicBool) {
    let mut number = seed;
    while !stop.load(Relaxed) {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        deep(number >> 22, &mut || drop(trace::task("loaded")));
        for _ in 0..50 {
            let _region = trace::region("load");
        }
        trace::log!("load", "{number} {}", "long \u{e4}".repeat(number as usize >> 20 & 127));
        if cfg!(debug_assertions) {
            thread::sleep(millis(5));
        }
    }
}

/// Has the others stop, whatever happens.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// What `f` gives while four threads do what they can.
fn loaded<R>(f: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for seed in 0..4 {
            let stop = &stop;
            scope.spawn(move || load(seed, stop));
        }
        f()
    })
}

#[test]
fn the_bound_holds_under_load() {
    alone(|| {
        for format in FORMATS {
            let recorder = FlightRecorder::builder()
                .format(format)
                .max_bytes(MIB)
                .min_age(millis(60_000))
                .start()
                .unwrap();
            let mut snapshots = Vec::new();
            loaded(|| {
                let begin = Instant::now();
                let mut most = 0;
                while begin.elapsed() < millis(3000) || snapshots.len() < 6 {
                    let bytes = recorder.status().bytes;
                    assert!(bytes <= MIB, "{bytes} {format:?}");
                    most = most.max(bytes);
                    if snapshots.len() < begin.elapsed().as_millis() as usize / 300 {
                        let mut bytes = Vec::new();
                        let summary = recorder.write_to(&mut bytes).unwrap();
                        snapshots.push((summary, bytes));
                    }
                    thread::yield_now();
                }
                assert!(most > MIB / 2, "{most}: it is there to be used");
            });
            let status = recorder.status();
            assert!(status.most_bytes <= MIB, "{status:?} {format:?}");
            assert_eq!((status.restarts, status.suppressed), (0, 0));
            recorder.stop().unwrap();
            assert!(snapshots.len() > 5);
            for (summary, bytes) in &snapshots {
                assert!(bytes.len() <= MIB && summary.bytes == bytes.len() as u64, "{summary:?}");
                assert!(summary.events > 0);
            }
            for (_, bytes) in snapshots.iter().rev().take(2) {
                let (begins, ends) = regions_in(format, bytes, "load", true);
                assert!(begins > 100 && ends > 100, "{begins} {ends}");
            }
        }
    });
}

#[test]
fn too_many_futures_for_the_bytes_begin_anew() {
    alone(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let recorder = FlightRecorder::builder().max_bytes(MIB).min_age(millis(60_000)).start().unwrap();
        // Each is said in every generation, in some 20 bytes.
        let mut futures = Vec::new();
        for n in 0..40_000_u32 {
            let future = async move { std::future::pending::<()>().await };
            let _within = runtime.enter();
            futures.push(profiled::tasks::spawn("flight/waits", future));
            if n % 1000 == 0 {
                runtime.block_on(tokio::task::yield_now());
                assert!(recorder.status().bytes <= MIB);
            }
        }
        eventually(|| (recorder.status().restarts > 0).then_some(()));
        drop(trace::region("afterwards"));
        let mut bytes = Vec::new();
        recorder.write_to(&mut bytes).unwrap();
        assert_eq!(regions(Format::Go, &bytes, "afterwards"), (1, 1));
        let status = recorder.status();
        assert!(status.most_bytes <= MIB && bytes.len() <= MIB, "{status:?}");
        recorder.stop().unwrap();
    });
}

#[test]
fn it_runs_beside_sessions_and_other_recorders() {
    alone(|| {
        let recorder = FlightRecorder::builder().start().unwrap();
        drop(trace::region("first"));
        let memory = Memory::default();
        let session = trace::start(memory.clone(), Format::Go).unwrap();
        let other = FlightRecorder::builder().format(Format::Perfetto).start().unwrap();
        drop(trace::region("second"));
        let summary = session.stop().unwrap();
        assert_eq!(summary.events, 2);
        drop(trace::region("third"));
        let found =
            |bytes: &[u8], format| ["first", "second", "third"].map(|name| regions(format, bytes, name).1);
        assert_eq!(found(&memory.bytes(), Format::Go), [0, 1, 0]);
        let [mut of_one, mut of_other] = [Vec::new(), Vec::new()];
        assert_eq!(recorder.write_to(&mut of_one).unwrap().events, 6);
        assert_eq!(other.write_to(&mut of_other).unwrap().events, 4);
        assert_eq!(found(&of_one, Format::Go), [1, 1, 1]);
        assert_eq!(found(&of_other, Format::Perfetto), [0, 1, 1]);
        recorder.stop().unwrap();
        assert!(trace::is_enabled());
        drop(other);
        assert!(!trace::is_enabled());
    });
}

/// Takes some bytes, and then no more.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "as it should"));
        }
        let len = bytes.len().min(self.0);
        self.0 -= len;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_takes_nothing_with_it() {
    alone(|| {
        let folder = file("folder");
        fs::create_dir(&folder).unwrap();
        let recorder = FlightRecorder::builder().on_slow(millis(20), folder.join("slow")).start().unwrap();
        drop(trace::region("kept"));
        for room in [0, 10, 40] {
            let error = recorder.write_to(Full(room)).unwrap_err();
            assert!(matches!(&error, Error::Io(error) if error.to_string() == "as it should"), "{error:?}");
        }
        let mut bytes = Vec::new();
        recorder.write_to(&mut bytes).unwrap();
        assert_eq!(regions(Format::Go, &bytes, "kept"), (1, 1));
        // A file that cannot be written any more: counted, told at the end, and the recorder goes on.
        fs::remove_dir(&folder).unwrap();
        {
            let _slow = trace::region("slow");
            thread::sleep(millis(25));
        }
        eventually(|| (recorder.status().failed == 1).then_some(()));
        recorder.write_to(&mut bytes).unwrap();
        let error = recorder.stop().unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::NotFound), "{error:?}");
        // One that could never be written.
        let error = FlightRecorder::builder().on_panic(folder.join("x")).start().unwrap_err();
        assert!(matches!(&error, Error::Io(_)), "{error:?}");
        assert!(!trace::is_enabled());
    });
}

/// Does in its `write` whatever a program may do.
struct Busy(Arc<FlightRecorder>, usize);

impl Write for Busy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _region = trace::region("within a writer");
        let elsewhere = || {
            self.0.write_to(io::sink()).unwrap();
            let session = trace::start(io::sink(), Format::Go).unwrap();
            self.0.status();
            session.stop().unwrap();
        };
        elsewhere();
        // On another thread, too, which has none of this one's locks.
        thread::scope(|scope| _ = scope.spawn(elsewhere).join());
        self.1 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_may_do_anything() {
    alone(|| {
        let recorder = Arc::new(FlightRecorder::builder().start().unwrap());
        drop(trace::region("before"));
        let begin = Instant::now();
        let mut writer = Busy(Arc::clone(&recorder), 0);
        let summary = recorder.write_to(&mut writer).unwrap();
        assert_eq!(writer.1 as u64, summary.bytes);
        assert!(begin.elapsed() < Duration::from_secs(9), "nobody waits for anybody: {:?}", begin.elapsed());
        drop(writer);
        let mut bytes = Vec::new();
        recorder.write_to(&mut bytes).unwrap();
        assert!(regions(Format::Go, &bytes, "within a writer").0 > 0);
        Arc::into_inner(recorder).unwrap().stop().unwrap();
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    alone(|| {
        let refused = |builder: trace::Builder, what| {
            let error = builder.start().unwrap_err();
            assert!(matches!(error, Error::Invalid { what: found, .. } if found == what), "{error:?}");
        };
        refused(FlightRecorder::builder().max_bytes(MIB - 1), "max_bytes");
        refused(FlightRecorder::builder().min_age(Duration::ZERO), "min_age");
        refused(FlightRecorder::builder().on_slow(Duration::ZERO, file("x")), "on_slow");
        assert!(!trace::is_enabled());
    });
}
