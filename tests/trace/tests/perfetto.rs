//! Perfetto's format, as its own trace processor reads it.
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, SystemTime};

use profiled::sync::{Mutex, RwLock};
use profiled::{block, profile_mutex, profiled, tasks, trace};
use profiled_test_trace::perfetto::{
    PROBLEMS, Packet, Rows, number, packets, query, query_good, query_parts, record_perfetto,
};

/// Sessions are the process's: one test at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// Texts as rows.
fn rows<const N: usize>(rows: &[[&str; N]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|&text| text.to_owned()).collect()).collect()
}

#[test]
fn threads_tasks_regions_and_messages_are_where_they_were() {
    let _alone = alone();
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64;
    let (bytes, summary) = record_perfetto(|| {
        let task = trace::task("checkout");
        trace::log!("order", "number {}", 42);
        {
            let _pay = trace::region("payment");
            pause(2);
        }
        thread::scope(|scope| {
            for name in ["packer one", "packer two"] {
                let thread = thread::Builder::new().name(name.to_owned());
                let packs = || {
                    task.in_scope(|| {
                        for _ in 0..3 {
                            let _region = trace::region("packing");
                            let _inside = block::region("box");
                            pause(1);
                        }
                    });
                };
                thread.spawn_scoped(scope, packs).unwrap();
            }
        });
        drop(task);
        let _outside = trace::region("afterwards");
    });
    let after = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64;
    assert_eq!(summary.dropped, 0);
    let [on_threads, in_box, task, flows, message, process, wall] = query_good(
        &bytes,
        [
            "select th.name, s.name, count(*) from slice s join thread_track t on s.track_id = t.id
             join thread th using (utid) where th.name like 'packer%' group by 1, 2 order by 1, 2",
            "select count(*) from slice s join slice p on s.parent_id = p.id
             where s.name = 'box' and p.name = 'packing' and s.dur > 1000000 and s.dur <= p.dur",
            "select s.name, s.dur > 5000000, t.name, p.name from slice s join track t on s.track_id = t.id
             join track p on t.parent_id = p.id where s.name = 'checkout'",
            "select a.name, b.name, count(*) from flow f join slice a on f.slice_out = a.id
             join slice b on f.slice_in = b.id group by 1, 2 order by 1, 2",
            "select s.name, s.dur, a.display_value from slice s join args a using (arg_set_id)
             where a.key = 'debug.message'",
            "select pid, name from process where pid > 0",
            "select to_realtime(ts) from slice where name = 'payment'",
        ],
    );
    assert_eq!(
        on_threads,
        rows(&[
            ["packer one", "box", "3"],
            ["packer one", "packing", "3"],
            ["packer two", "box", "3"],
            ["packer two", "packing", "3"],
        ])
    );
    assert_eq!(number(&in_box), 6);
    assert_eq!(task, rows(&[["checkout", "1", "checkout", "tasks"]]));
    assert_eq!(
        flows,
        rows(&[["checkout", "payment", "1"], ["packing", "packing", "5"], ["payment", "packing", "1"]])
    );
    assert_eq!(message, rows(&[["order", "0", "number 42"]]));
    assert_eq!(process.len(), 1, "{process:?}");
    assert_eq!(process[0][0], std::process::id().to_string());
    assert!(process[0][1].starts_with("perfetto-"), "{process:?}");
    assert!((before..after).contains(&(number(&wall) as i64)), "{wall:?} of {before} to {after}");
}

#[inline(never)]
fn asks(lock: &Mutex<u32>) -> u32 {
    let value = *lock.lock().unwrap();
    std::hint::black_box(value)
}

#[inline(never)]
fn lets_go<T>(held: T) {
    drop(held);
    std::hint::black_box(());
}

/// The functions of the stacks of slices: `id, name`, of those with names like that.
const STACKS: &str = "with recursive f(slice_id, callsite, depth, name) as (
       select c.slice_id, s.parent_id, 0, fr.name from __intrinsic_track_event_callstacks c
         join stack_profile_callsite s on s.id = c.callsite_id join stack_profile_frame fr on fr.id = s.frame_id
       union all
       select f.slice_id, s.parent_id, f.depth + 1, fr.name from f
         join stack_profile_callsite s on s.id = f.callsite join stack_profile_frame fr on fr.id = s.frame_id)
     select s.name, th.name, group_concat(f.name, ' < ' order by f.depth) from f join slice s on s.id = f.slice_id
       join thread_track t on s.track_id = t.id join thread th using (utid) group by s.id order by s.ts";

#[test]
fn waits_have_the_stacks_of_both_and_an_arrow_from_one_to_the_other() {
    let _alone = alone();
    let lock = Arc::new(profile_mutex!("cart", Mutex::new(0)));
    let shared = Arc::new(profile_mutex!("prices", RwLock::new(0)));
    let (bytes, _) = record_perfetto(|| {
        let (theirs, also) = (Arc::clone(&lock), Arc::clone(&shared));
        let waiter = thread::Builder::new().name("waiter".to_owned());
        let (held, written) = (lock.lock().unwrap(), shared.write().unwrap());
        let waiter = waiter.spawn(move || asks(&theirs) + *also.read().unwrap()).unwrap();
        pause(20);
        lets_go(held);
        pause(20);
        drop(written);
        waiter.join().unwrap();
    });
    let [slices, flows, stacks, counter, others] = query_good(
        &bytes,
        [
            "select s.name, th.name, s.dur > 10000000 from slice s join thread_track t on s.track_id = t.id
             join thread th using (utid) where s.name like 'wait: %' and th.name = 'waiter' order by s.ts",
            "select a.name, b.name, ta.utid != tb.utid, w.name, b.ts >= w.ts + w.dur, a.ts < w.ts + w.dur and a.ts > w.ts
             from flow f join slice a on f.slice_out = a.id join slice b on f.slice_in = b.id
             join thread_track ta on ta.id = a.track_id join thread_track tb on tb.id = b.track_id
             join slice w on w.track_id = b.track_id and w.name like 'wait: %' and w.ts + w.dur <= b.ts
               and w.ts + w.dur > b.ts - 5000000
             order by a.ts",
            STACKS,
            "select p.name, t.name, min(c.value), max(c.value), count(*) from counter c
             join track t on c.track_id = t.id join track p on t.parent_id = p.id
             group by t.id order by t.name",
            "select count(*) from slice where dur = -1",
        ],
    );
    assert_eq!(
        slices,
        rows(&[["wait: Mutex cart", "waiter", "1"], ["wait: RwLock read prices", "waiter", "1"]])
    );
    assert_eq!(
        flows,
        rows(&[
            ["unlock", "acquired", "1", "wait: Mutex cart", "1", "1"],
            ["unlock", "acquired", "1", "wait: RwLock read prices", "1", "1"],
        ])
    );
    let of = |name: &str, thread: &str| {
        let found: Vec<&Vec<String>> =
            stacks.iter().filter(|row| row[0] == name && row[1] == thread).collect();
        assert_eq!(found.len(), 1, "{name} of {thread}: {stacks:?}");
        found[0][2].clone()
    };
    let wait = of("wait: Mutex cart", "waiter");
    assert!(wait.contains("perfetto::asks") && !wait.contains("lets_go"), "{wait}");
    let unlocks: Vec<&Vec<String>> = stacks.iter().filter(|row| row[0] == "unlock").collect();
    assert_eq!(unlocks.len(), 2, "{stacks:?}");
    assert!(unlocks[0][2].contains("lets_go") && !unlocks[0][2].contains("perfetto::asks"), "{unlocks:?}");
    assert!(unlocks.iter().all(|row| row[1] != "waiter"));
    assert_eq!(counter.len(), 2, "{counter:?}");
    assert_eq!(counter[0][..4], ["waiting for locks", "cart", "0", "1"].map(str::to_owned));
    assert_eq!(number(&others), 0);
}

#[profiled(name = "futures/inner")]
async fn inner() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

#[profiled(name = "futures/outer")]
async fn outer() {
    for _ in 0..3 {
        inner().await;
    }
}

#[profiled(name = "futures/forever")]
async fn forever() {
    std::future::pending::<()>().await;
}

#[test]
fn futures_have_tracks_of_their_own() {
    let _alone = alone();
    tasks::set_stacks(tasks::Stacks::All);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let (bytes, summary) = record_perfetto(|| {
        runtime.block_on(async {
            let handles: Vec<_> = (0..20).map(|_| tasks::spawn("futures/spawned", outer())).collect();
            let cancelled = tasks::spawn("futures/cancelled", forever());
            for handle in handles {
                handle.await.unwrap();
            }
            cancelled.abort();
            assert!(cancelled.await.unwrap_err().is_cancelled());
        });
    });
    assert_eq!(summary.dropped, 0);
    // A future is a slice; what is in it is its polls and awaits, and perhaps that it was cancelled.
    let [futures, within, rows_of, polls, flows, orders] = query_good(
        &bytes,
        [
            "select s.name, count(*), min(s.dur) > 0 from slice s join track t on s.track_id = t.id
             join track p on t.parent_id = p.id where p.name = 'futures' and s.depth = 0 group by 1 order by 1",
            "select p.name, s.name, count(*), min(s.dur) >= 0 from slice s join slice p on s.parent_id = p.id
             join track t on s.track_id = t.id join track f on t.parent_id = f.id
             where f.name = 'futures' and s.depth = 1 group by 1, 2 order by 1, 2",
            "select max(n) from (select count(*) n from track t join track p on t.parent_id = p.id
             where p.name = 'futures' group by t.name)",
            "select s.name, count(*) from slice s join thread_track t on s.track_id = t.id
             where s.name like 'futures/%' group by 1 order by 1",
            "select a.name, b.name, count(*), min(b.ts >= a.ts) from flow f join slice a on f.slice_out = a.id
             join slice b on f.slice_in = b.id group by 1, 2 order by 1, 2",
            // Where one future's slices overlap, or belong to different ones.
            "select count(*) from slice a join slice b using (parent_id)
             where a.id < b.id and a.depth = 1 and a.name in ('poll', 'await') and b.name in ('poll', 'await')
               and a.track_id not in (select id from thread_track) and a.ts + a.dur > b.ts",
        ],
    );
    let all: Vec<[&str; 3]> = vec![
        ["futures/cancelled", "1", "1"],
        ["futures/forever", "1", "1"],
        ["futures/inner", "60", "1"],
        ["futures/outer", "20", "1"],
        ["futures/spawned", "20", "1"],
    ];
    assert_eq!(futures, rows(&all));
    // Sleeps may be polled once more than they must, when a timer is early.
    let at_least: &[(&str, &str, u64)] = &[
        ("futures/cancelled", "await", 1),
        ("futures/cancelled", "cancelled", 1),
        ("futures/cancelled", "poll", 1),
        ("futures/forever", "await", 1),
        ("futures/forever", "cancelled", 1),
        ("futures/forever", "poll", 1),
        ("futures/inner", "await", 60),
        ("futures/inner", "poll", 120),
        ("futures/outer", "await", 60),
        ("futures/outer", "poll", 80),
        ("futures/spawned", "await", 60),
        ("futures/spawned", "poll", 80),
    ];
    assert_eq!(within.len(), at_least.len(), "{within:?}");
    for (row, &(future, name, count)) in within.iter().zip(at_least) {
        assert_eq!((&*row[0], &*row[1], &*row[3]), (future, name, "1"), "{within:?}");
        assert!(row[2].parse::<u64>().unwrap() >= count, "{within:?}");
    }
    assert!(number(&rows_of) <= 20, "as many rows as there were at a time");
    let of = |name: &str| within.iter().find(|row| row[0] == name && row[1] == "poll").unwrap()[2].clone();
    for row in &polls {
        assert_eq!(row[1], of(&row[0]), "each poll is on its thread, too: {polls:?} {within:?}");
    }
    assert_eq!(polls.len(), 5, "{polls:?}");
    let count = |from: &str| {
        let row = flows.iter().find(|row| row[0] == from).unwrap_or_else(|| panic!("{flows:?}"));
        assert_eq!((&*row[1], &*row[3]), ("poll", "1"), "{flows:?}");
        row[2].parse::<u64>().unwrap()
    };
    assert_eq!(count("spawn"), 21);
    assert!(count("wake") >= 60);
    assert_eq!(number(&orders), 0);
}

/// Regions and messages on two threads.
fn busy() -> u64 {
    let made = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..100 {
                    let _outer = trace::region("outer");
                    drop(trace::region("inner"));
                    if n % 10 == 0 {
                        trace::log!("busy", "{n} of many");
                    }
                    made.fetch_add(4 + u64::from(n % 10 == 0), Relaxed);
                }
            });
        }
    });
    made.into_inner()
}

#[test]
fn a_file_that_is_cut_at_either_end_has_all_that_is_complete() {
    let _alone = alone();
    let mut made = 0;
    let lock = profile_mutex!("cut", Mutex::new(0));
    let (bytes, summary) = record_perfetto(|| {
        // Generations end after a second. This thread says the same in each.
        for _ in 0..33 {
            made += busy();
            let _round = trace::region("round");
            thread::scope(|scope| {
                let held = lock.lock().unwrap();
                scope.spawn(|| asks(&lock));
                pause(20);
                lets_go(held);
            });
            pause(80);
            made += 2;
        }
    });
    assert_eq!(summary.dropped, 0);
    let packets = packets(&bytes);
    // The hub's sequence is the first one; what it says first in a generation is the first thing in it.
    let begins: Vec<usize> = packets
        .iter()
        .filter(|packet| packet.is_cleared && packet.sequence == 1)
        .map(|packet| packet.range.start)
        .collect();
    assert!(begins.len() >= 3 && begins[0] == 0, "{begins:?}");
    let slices = |part: &Range<usize>| {
        let within = |packet: &&Packet| packet.range.start >= part.start && packet.range.end <= part.end;
        packets.iter().filter(within).filter(|packet| matches!(packet.kind, Some(1 | 3))).count() as u64
    };
    let len = bytes.len();
    // In the midst of everything, a byte from where a packet ends, at each byte of a few packets; and from each generation on.
    let mut parts: Vec<Range<usize>> = (1..20).map(|n| 0..len * n / 20).collect();
    parts.extend(begins.iter().skip(1).flat_map(|&at| [0..at - 1, 0..at, 0..at + 1]));
    parts.extend((len - 30..=len).map(|to| 0..to));
    let whole_at = parts.len() - 1;
    let from_begins = parts.len();
    parts.extend(begins.iter().skip(1).map(|&from| from..len));
    let queries = [
        PROBLEMS,
        "select count(*) from slice",
        // What all have: a name, and a thread with a name, in a process.
        "select count(*) from slice s left join thread_track t on s.track_id = t.id left join thread th using (utid)
         left join process p using (upid) where s.name is null or s.name = '' or th.name is null or p.name is null",
        "select count(*) from slice s left join __intrinsic_track_event_callstacks c on s.id = c.slice_id
         left join stack_profile_callsite l on l.id = c.callsite_id
         where (s.name like 'wait: %' or s.name = 'unlock') and l.id is null",
        "select count(*) from slice where name = 'wait: Mutex cut'",
    ];
    let answers = query_parts(&bytes, &parts, &queries);
    for (at, (part, answer)) in parts.iter().zip(&answers).enumerate() {
        let answer = answer.as_ref().unwrap_or_else(|why| panic!("{part:?} of {len}: {why}"));
        assert_eq!(answer[0], Rows::new(), "{part:?} of {len}");
        assert_eq!(number(&answer[1]), slices(part), "{part:?} of {len}");
        assert_eq!((number(&answer[2]), number(&answer[3])), (0, 0), "{part:?} of {len}");
        if at >= from_begins {
            assert!(number(&answer[4]) >= 1, "each generation has one: {part:?} of {len}");
        }
    }
    // Of the program's events one in two begins something or is a message: ten of each 410.
    let whole = answers[whole_at].as_ref().unwrap();
    let [of_waits] = query(
        &bytes,
        ["select count(*) from slice where name like 'wait: %' or name in ('unlock', 'acquired', 'started')"],
    );
    let messages = 33 * 20;
    assert_eq!(number(&whole[1]) - number(&of_waits), (made - messages) / 2 + messages);
}
