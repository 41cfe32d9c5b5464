//! A flight recorder for minutes, under all the load there can be.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use profiled::profiled;
use profiled::trace::{self, Cause, FlightRecorder, Format, Snapshot};
use profiled_test_trace::flight::{alone_for, bytes_of, millis};
use profiled_test_trace::{count, perfetto, stress_seconds};

const BOUND: usize = 10 << 20;

#[profiled(name = "flight/deep")]
fn deep(number: u64, f: &mut dyn FnMut()) {
    if number == 0 { f() } else { deep(number - 1, f) }
}

/// Regions, calls, messages, and tasks with stacks. So much that the hub cannot keep up, unless it is to be `calm`.
fn load(seed: u64, stop: &AtomicBool, calm: &AtomicBool, made: &AtomicU64) {
    let mut number = seed;
    while !stop.load(Relaxed) {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        deep(number >> 60, &mut || drop(trace::task("loaded")));
        for _ in 0..200 {
            let _region = trace::region("load");
        }
        trace::log!("load", "{number} {}", "long \u{e4}".repeat(number as usize >> 57));
        made.fetch_add(2 * (200 + 1 + (number >> 60)) + 1, Relaxed);
        if calm.load(Relaxed) || cfg!(debug_assertions) {
            thread::sleep(millis(10));
        }
    }
}

/// Kilobytes of memory that this process has.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn slow_request() {
    let _task = trace::task("slow request");
    let _handle = trace::region("handles");
    {
        let _reads = trace::region("reads");
        thread::sleep(millis(300));
    }
    thread::sleep(millis(20));
}

/// All of a slow request is in the snapshot that was taken because of it.
fn check(format: Format, snapshot: &Snapshot) {
    let Cause::Slow { name, took } = snapshot.cause() else { panic!("{snapshot:?}") };
    assert!(name == "slow request" && *took >= millis(320), "{snapshot:?}");
    let bytes = bytes_of(snapshot);
    assert!(bytes.len() <= BOUND);
    if format == Format::Go {
        let text = profiled_test_trace::Trace::new(&bytes).parsed();
        for kind in ["TaskBegin", "TaskEnd"] {
            assert_eq!(count(&text, &[kind, "\"slow request\""]), 1, "{kind} {snapshot:?}");
        }
        for (kind, name) in [("Begin", "handles"), ("End", "handles"), ("Begin", "reads"), ("End", "reads")] {
            let (kind, name) = (format!("Region{kind}"), format!("\"{name}\""));
            assert_eq!(count(&text, &[&kind, &name]), 1, "{kind} {name} {snapshot:?}");
        }
    } else {
        // What was too much before is missing, and said to be.
        let whole =
            "select count(*) from slice where (name in ('slow request', 'handles') and dur >= 320000000)
                     or (name = 'reads' and dur >= 300000000)";
        let others = "select count(*) from stats where value > 0 and severity in ('error', 'data_loss')
                      and name != 'traced_buf_trace_writer_packet_loss'";
        let [whole, others] = perfetto::query(&bytes, [whole, others]);
        assert_eq!((perfetto::number(&whole), perfetto::number(&others)), (3, 0), "{snapshot:?}");
    }
}

/// Has the others stop, whatever happens.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn ten_mebibytes_under_full_load() {
    let time = Duration::from_secs(stress_seconds());
    alone_for(time * 2 + Duration::from_secs(300), move || {
        let (send, snapshots) = mpsc::channel();
        let recorders = [Format::Go, Format::Perfetto].map(|format| {
            let send = send.clone();
            let recorder = FlightRecorder::builder()
                .format(format)
                .min_age(millis(60_000))
                .at_most_every(millis(1))
                .on_slow_with(millis(300), move |snapshot| send.send((format, snapshot)).unwrap())
                .start();
            (format, recorder.unwrap())
        });
        let (stop, calm, made) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        let (mut looks, mut most, mut memory, mut slow) = (0_u64, [0; 2], (u64::MAX, 0), 0);
        thread::scope(|scope| {
            let (stop, calm, made) = (&stop, &calm, &made);
            (0..4).for_each(|seed| _ = scope.spawn(move || load(seed, stop, calm, made)));
            let _stop = Stop(stop);
            let begin = Instant::now();
            while begin.elapsed() < time {
                let part = Instant::now();
                // However busy others are: it is there to be used.
                while part.elapsed() < millis(1500) || most.iter().any(|most| *most <= BOUND / 2) {
                    for ((format, recorder), most) in recorders.iter().zip(&mut most) {
                        let status = recorder.status();
                        assert!(status.bytes <= BOUND && status.most_bytes <= BOUND, "{format:?} {status:?}");
                        *most = status.most_bytes.max(*most);
                    }
                    looks += 1;
                    thread::sleep(Duration::from_micros(200));
                }
                for (format, recorder) in &recorders {
                    let mut bytes = Vec::new();
                    recorder.write_to(&mut bytes).unwrap();
                    assert!(bytes.len() <= BOUND, "{} {format:?}", bytes.len());
                }
                let now = resident();
                memory = (memory.0.min(now), memory.1.max(now));
                // What waits from before is over.
                calm.store(true, Relaxed);
                thread::sleep(millis(100));
                recorders.iter().for_each(|(_, recorder)| _ = recorder.write_to(std::io::sink()));
                // Under full load ten mebibytes are less than a request: what was slow then is not looked at.
                while snapshots.try_recv().is_ok() {}
                slow_request();
                for _ in &recorders {
                    let (format, snapshot) = snapshots.recv_timeout(millis(60_000)).unwrap();
                    check(format, &snapshot);
                }
                slow += 1;
                calm.store(false, Relaxed);
            }
        });
        for ((format, recorder), most) in recorders.into_iter().zip(most) {
            println!("{format:?}: at most {most} of {BOUND} bytes in {looks} looks; {:?}", recorder.status());
            recorder.stop().unwrap();
        }
        println!("{} events made, {slow} slow requests, {memory:?} kB resident", made.into_inner());
        assert!(slow > 0);
    });
}
