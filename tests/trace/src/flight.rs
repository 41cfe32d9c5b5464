//! What the tests of the flight recorder share.
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, panic, process, thread};

use profiled::trace::{Format, Snapshot};

use crate::{Trace, count, perfetto};

/// Recorders are the process's: one test at a time, and each with an end.
///
/// # Panics
/// If `f` does, or does not end within two minutes.
pub fn alone(f: impl FnOnce() + Send + 'static) {
    alone_for(Duration::from_secs(120), f);
}

/// The same, within another time.
///
/// # Panics
/// If `f` does, or does not end by then.
pub fn alone_for(time: Duration, f: impl FnOnce() + Send + 'static) {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (done, end) = mpsc::channel();
    let test = thread::spawn(move || {
        f();
        _ = done.send(());
    });
    match end.recv_timeout(time) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
        _ => test.join().unwrap_or_else(|why| panic::resume_unwind(why)),
    }
}

/// So many milliseconds.
pub fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A name for a file that is not there yet.
pub fn file(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("profiled-flight-{}-{}-{name}", process::id(), COUNT.fetch_add(1, Relaxed));
    env::temp_dir().join(name)
}

/// What there is once there is something.
///
/// # Panics
/// If there is nothing for half a minute.
#[track_caller]
pub fn eventually<T>(mut f: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = f() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "nothing comes");
        thread::sleep(millis(2));
    }
}

/// A snapshot, written.
///
/// # Panics
/// If that fails.
pub fn bytes_of(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    let summary = snapshot.write_to(&mut bytes).unwrap();
    assert_eq!((summary, summary.bytes), (snapshot.summary(), bytes.len() as u64));
    bytes
}

/// How many regions of a name a snapshot has: begins, and those of them that end in it.
///
/// # Panics
/// If a reader refuses any of it.
pub fn regions(format: Format, bytes: &[u8], name: &str) -> (usize, usize) {
    regions_in(format, bytes, name, false)
}

/// The same of a program that records as fast as it can; `lossy` if that may have been too fast.
pub fn regions_in(format: Format, bytes: &[u8], name: &str, lossy: bool) -> (usize, usize) {
    if format == Format::Go {
        let text = Trace::new(bytes).parsed();
        let name = format!("\"{name}\"");
        return (count(&text, &["RegionBegin", &name]), count(&text, &["RegionEnd", &name]));
    }
    let begins = format!("select count(*) from slice where name = '{name}'");
    let ends = format!("select count(*) from slice where name = '{name}' and dur >= 0");
    let [problems, begins, ends] = perfetto::query(bytes, [perfetto::PROBLEMS, &begins, &ends]);
    // What was recorded faster than anybody could take it is told as lost; nothing else is wrong.
    let is_loss = |row: &Vec<String>| row[0] == "traced_buf_trace_writer_packet_loss";
    assert!(problems.iter().all(|row| lossy && is_loss(row)), "{problems:?}");
    (perfetto::number(&begins) as usize, perfetto::number(&ends) as usize)
}
