#![expect(unsafe_code, reason = "asks how long this thread has had a processor")]
//! The heap and the CPU, beside everything else.
use std::hint::black_box;
use std::time::Duration;
use std::{iter, thread};

use profiled::{cpu, heap, trace};
use profiled_test_trace::{count, record};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

/// Milliseconds that this thread has had a processor.
fn had() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it is written there.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

#[inline(never)]
fn burns(milliseconds: i64) -> u64 {
    let end = had() + milliseconds;
    let mut x = 1_u64;
    while had() < end {
        for _ in 0..10_000 {
            x = black_box(x.wrapping_mul(3) + 1);
        }
    }
    x
}

#[test]
fn the_heap_and_the_cpu_are_in_the_trace() {
    heap::set_rate(4096);
    let session = cpu::Options::new().hz(250).start().unwrap();
    let (trace, summary) = record(|| {
        let worker = thread::Builder::new().name("burner".to_owned()).spawn(|| {
            let _region = trace::region("burning");
            burns(600);
        });
        let blocks: Vec<_> = iter::repeat_with(|| {
            thread::sleep(Duration::from_millis(1));
            vec![7_u8; 1 << 16]
        })
        .take(100)
        .collect();
        worker.unwrap().join().unwrap();
        drop(black_box(blocks));
        thread::sleep(Duration::from_millis(100));
    });
    drop(session);
    // A region: what nobody noted is not counted as the program's.
    assert_eq!((summary.events, summary.dropped), (2, 0));
    let text = trace.parsed();
    let heap: Vec<u64> = text
        .lines()
        .filter(|line| line.contains("/memory/classes/heap/objects:bytes"))
        .map(|line| {
            let value = line.split("Uint64(").nth(1).unwrap_or_else(|| panic!("{line}"));
            value.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
        })
        .collect();
    assert!(heap.len() >= 10, "{heap:?}\n{text}");
    let (least, most) = (heap.iter().min().unwrap(), heap.iter().max().unwrap());
    // Six megabytes came, and went. Of 65 536 bytes at 4 096 each block is sampled, but for one in ten million.
    assert!((6_000_000..9_000_000).contains(&(most - least)), "{least} to {most}");
    assert!(heap.last().unwrap() < &(most - 5_000_000), "{heap:?}");
    // 600 ms of a processor at 250 Hz are 150 samples, of which the youngest thread's first tenth of a second is not its own: a
    // third is enough to tell.
    let samples = count(&text, &["StackSample"]);
    assert!(samples >= 50, "{samples}");
    let burning = text
        .split("StackSample")
        .skip(1)
        .filter(|sample| sample.lines().take(20).any(|line| line.contains("figures::burns")));
    assert!(burning.count() * 2 > samples);
}
