#![expect(unsafe_code, reason = "asks how long this thread has had a processor")]
//! The heap and the CPU in Perfetto's format.
use std::hint::black_box;
use std::thread;
use std::time::Duration;

use profiled::{cpu, heap, trace};
use profiled_test_trace::perfetto::{number, query_good, record_perfetto};

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
fn the_heap_is_a_counter_and_samples_have_their_stacks() {
    heap::set_rate(4096);
    let session = cpu::Options::new().hz(250).start().unwrap();
    let (bytes, summary) = record_perfetto(|| {
        let worker = thread::Builder::new().name("burner".to_owned()).spawn(|| {
            let _region = trace::region("burning");
            burns(600);
        });
        let blocks: Vec<_> = (0..100).map(|_| vec![7_u8; 1 << 16]).collect();
        worker.unwrap().join().unwrap();
        drop(black_box(blocks));
        // It is looked at every few milliseconds.
        thread::sleep(Duration::from_millis(300));
    });
    drop(session);
    // A region: what nobody noted is not counted as the program's.
    assert_eq!((summary.events, summary.dropped), (2, 0));
    let [figures, unit, of_threads, burning] = query_good(
        &bytes,
        [
            "select max(c.value) - min(c.value), max(c.value) - (select value from counter order by ts desc limit 1)
             from counter c join track t on c.track_id = t.id where t.name = 'heap'",
            "select p.name, t.unit from counter_track t left join process p on true
             where t.name = 'heap' and p.pid > 0",
            "select th.name, p.pid, count(*), sum(s.callsite_id is null) from perf_sample s
             join thread th using (utid) join process p using (upid) group by 1 order by 3 desc",
            "with recursive up(id, callsite) as (
               select id, callsite_id from perf_sample
               union all select up.id, c.parent_id from up join stack_profile_callsite c on c.id = up.callsite)
             select count(distinct up.id) from up join stack_profile_callsite c on c.id = up.callsite
             join stack_profile_frame f on f.id = c.frame_id where f.name = 'perfetto_figures::burns'",
        ],
    );
    // Six megabytes came, and went. Of 65 536 bytes at 4 096 each block is sampled, but for one in ten million.
    let [rise, fall] = [0, 1].map(|at| figures[0][at].parse::<f64>().unwrap());
    assert!((6e6..9e6).contains(&rise) && fall > 5e6, "{figures:?}");
    assert_eq!(unit.len(), 1);
    assert!(unit[0][0].starts_with("perfetto_figure") && unit[0][1] == "bytes", "{unit:?}");
    // 600 ms at 250 Hz are 150 samples: a third is enough to tell.
    assert_eq!(of_threads[0][..2], ["burner".to_owned(), std::process::id().to_string()], "{of_threads:?}");
    assert_eq!(of_threads[0][3], "0", "{of_threads:?}");
    let samples: u64 = of_threads[0][2].parse().unwrap();
    assert!(samples >= 50, "{of_threads:?}");
    assert!(number(&burning) * 10 > samples * 9, "{burning:?} of {of_threads:?}");
}
