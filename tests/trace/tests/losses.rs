//! What is missing is counted: writers that are too slow, or fail, files that are cut.
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use profiled::Error;
use profiled::trace::{self, Format};
use profiled_test_trace::{Memory, Trace, count, perfetto};

/// Sessions are the process's: one test at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Regions and messages on some threads, for so long, and once at least. How many events that were.
fn busy(threads: usize, time: Duration) -> u64 {
    let made = AtomicU64::new(0);
    let end = Instant::now() + time;
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = 0;
                loop {
                    for n in 0..200 {
                        let _outer = trace::region("outer");
                        {
                            let _inner = trace::region("inner");
                        }
                        own += 4;
                        if n == 0 {
                            trace::log!("busy", "{n} of many");
                            own += 1;
                        }
                    }
                    if Instant::now() >= end {
                        break;
                    }
                }
                made.fetch_add(own, Relaxed);
            });
        }
    });
    made.into_inner()
}

/// Takes nothing until it may.
struct Stuck(Memory, Arc<AtomicBool>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while !self.1.load(Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_slow_writer_costs_is_counted_to_the_event() {
    let _alone = alone();
    let memory = Memory::default();
    let moves = Arc::new(AtomicBool::new(false));
    let session = trace::start(Stuck(memory.clone(), Arc::clone(&moves)), Format::Go).unwrap();
    // One that would be quick enough, and has to wait for the other.
    let beside = Memory::default();
    let other = trace::start(beside.clone(), Format::Perfetto).unwrap();
    let mut made = 0;
    // An event has two bytes to twelve: the 32 MiB of buffers are full by then, whatever is under way to the writer.
    while made < 10_000_000 {
        made += busy(4, Duration::from_millis(100));
    }
    moves.store(true, Relaxed);
    // What comes when there is room again tells of what is missing.
    thread::sleep(Duration::from_millis(500));
    made += busy(2, Duration::ZERO);
    let summary = session.stop().unwrap();
    assert!(summary.dropped > 0, "{made} events, and none was too many");
    assert_eq!(summary.events + summary.dropped, made, "{summary:?}");
    let trace = Trace::new(&memory.bytes());
    let [begins, ends, losses] =
        trace.counts([&["RegionBegin"], &["RegionEnd"], &["Log", "Category=\"profiled\"", "events lost\""]]);
    assert!(begins > 0 && ends > 0 && begins + ends <= summary.events, "{begins}, {ends} of {summary:?}");
    assert!(losses > 0);

    let of_other = other.stop().unwrap();
    assert_eq!((of_other.events, of_other.dropped), (summary.events, summary.dropped));
    let bytes = beside.bytes();
    let [problems, slices, told, shown] = perfetto::query(
        &bytes,
        [
            perfetto::PROBLEMS,
            "select count(*) from slice where name in ('outer', 'inner')",
            "select sum(a.int_value) from slice s join args a using (arg_set_id)
             where s.name = 'events lost' and a.key = 'debug.count'",
            "select count(*) from slice where name = 'events lost'",
        ],
    );
    // What readers warn of is what is missing, and nothing else.
    let dropped = summary.dropped.to_string();
    assert_eq!(problems, [["traced_buf_trace_writer_packet_loss", &dropped, "data_loss"].map(str::to_owned)]);
    assert_eq!(perfetto::number(&slices), begins, "the same as the other format has");
    assert_eq!(perfetto::number(&told), summary.dropped);
    let after_losses = perfetto::packets(&bytes).iter().filter(|packet| packet.after_loss).count();
    assert_eq!(perfetto::number(&shown), after_losses as u64, "each where it is");
}

#[test]
fn without_losses_every_event_is_there() {
    let _alone = alone();
    let memory = Memory::default();
    let session = trace::start(memory.clone(), Format::Go).unwrap();
    let mut made = 0;
    for _ in 0..20 {
        made += busy(2, Duration::ZERO);
        thread::sleep(Duration::from_millis(5));
    }
    let summary = session.stop().unwrap();
    assert_eq!((summary.events, summary.dropped), (made, 0));
    let text = Trace::new(&memory.bytes()).parsed();
    let events = count(&text, &["RegionBegin"]) + count(&text, &["RegionEnd"]) + count(&text, &[" Log "]);
    assert_eq!(events as u64, made);
}

#[test]
fn a_full_disk_is_told_by_stop() {
    let _alone = alone();
    let session = trace::start(File::create("/dev/full").unwrap(), Format::Go).unwrap();
    // Another one goes on.
    let memory = Memory::default();
    let beside = trace::start(memory.clone(), Format::Go).unwrap();
    let made = busy(1, Duration::from_millis(1));
    match session.stop() {
        Err(Error::Io(error)) => assert_eq!(error.raw_os_error(), Some(libc::ENOSPC), "{error}"),
        other => panic!("{other:?}"),
    }
    let summary = beside.stop().unwrap();
    assert_eq!(summary.events + summary.dropped, made);
    Trace::new(&memory.bytes()).parsed();
}

/// Panics.
struct Panics;

impl Write for Panics {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        panic!("no");
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_panics_is_an_error_and_nothing_else() {
    let _alone = alone();
    let session = trace::start(Panics, Format::Go).unwrap();
    busy(1, Duration::from_millis(1));
    assert!(matches!(session.stop(), Err(Error::Io(_))));
    // And the next one is as good as new.
    let memory = Memory::default();
    let session = trace::start(memory.clone(), Format::Go).unwrap();
    let made = busy(1, Duration::from_millis(1));
    assert_eq!(session.stop().unwrap().events, made);
    Trace::new(&memory.bytes()).parsed();
}

/// Where a generation's last batch ends: it holds nothing but how long a unit of time is.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut ends) = (16, Vec::new());
    let number = |at: &mut usize| {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    };
    while at < bytes.len() {
        assert_eq!(bytes[at], 1, "a batch at {at}");
        at += 1;
        let [_, _, _, size] = [0; 4].map(|_| number(&mut at));
        let last = bytes[at] == 8;
        at += size as usize;
        if last {
            ends.push(at);
        }
    }
    ends
}

#[test]
fn a_file_that_is_cut_has_its_complete_generations() {
    let _alone = alone();
    let memory = Memory::default();
    let session = trace::start(memory.clone(), Format::Go).unwrap();
    // Generations end after a second.
    for _ in 0..33 {
        busy(2, Duration::ZERO);
        thread::sleep(Duration::from_millis(100));
    }
    session.stop().unwrap();
    let bytes = memory.bytes();
    let ends = ends(&bytes);
    assert!(ends.len() >= 3, "{ends:?}");
    let whole = Trace::new(&bytes).parsed();
    let regions = |text: &str| count(text, &["RegionBegin"]);
    let of_complete = |complete: usize| {
        let end = complete.checked_sub(1).map_or(0, |last| ends[last]);
        if complete == 0 { 0 } else { regions(&Trace::new(&bytes[..end]).parsed()) }
    };
    let expected: Vec<usize> = (0..=ends.len()).map(of_complete).collect();
    assert!(expected.windows(2).all(|pair| pair[0] < pair[1]), "each has some: {expected:?}");
    // In the midst of everything, at both ends of each generation, and on either side of them.
    let mut cuts: Vec<usize> = (1..40).map(|n| bytes.len() * n / 40).collect();
    cuts.extend(
        ends.iter().flat_map(|&end| [end - 1, end, end + 1, end + 9]).filter(|&cut| cut <= bytes.len()),
    );
    cuts.sort_unstable();
    for cut in cuts {
        let text = match Trace::new(&bytes[..cut]).parse() {
            Ok(text) | Err((text, _)) => text,
        };
        let complete = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(
            regions(&text),
            expected[complete],
            "{complete} generations complete at {cut} of {}",
            bytes.len()
        );
    }
    assert_eq!(regions(&whole), expected[ends.len()]);
}
