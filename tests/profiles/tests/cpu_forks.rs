//! CPU sampling in a process that forks, starts others, or becomes another.
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "forks")]
use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use profiled_test_profiles::cpu::at;
use profiled_test_profiles::{Profile, alone, busy, file, read_snapshot};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

const MS: Duration = Duration::from_millis(1);

busy! { busy child_work }

#[inline(never)]
fn child_allocates() -> Vec<Vec<u8>> {
    (0..100).map(|_| Vec::with_capacity(10_007)).collect()
}

/// What a forked child does. Gives its exit status.
fn child() -> i32 {
    // SAFETY: takes a number. Whoever hangs is killed, and that is seen.
    unsafe { libc::alarm(30) };
    let lived = std::panic::catch_unwind(|| {
        profiled::heap::set_rate(1);
        let blocks = child_allocates();
        profiled::heap::set_rate(0);
        let heap = Profile::read(&file("heap"));
        let found = heap.total_of("inuse_space", &["cpu_forks::child_allocates"]);
        assert!(found >= 100 * 10_007, "{found}");
        drop(blocks);
        let session = at(1000);
        child_work(200 * MS);
        let profile = read_snapshot(&session.stop());
        assert!(profile.total_of("samples", &["cpu_forks::child_work"]) > 10);
        assert_eq!(profile.find(&["cpu_forks::busy"]).len(), 0, "the parent's samples are the parent's");
        // And threads of its own.
        thread::spawn(|| child_work(MS)).join().unwrap();
    });
    i32::from(lived.is_err())
}

#[test]
fn a_forked_child_is_a_program_like_any_other() {
    alone("a_forked_child_is_a_program_like_any_other", || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            // One computes, one allocates, one reads: the fork comes at any moment.
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    busy(MS);
                }
            });
            scope.spawn(|| {
                profiled::heap::set_rate(1000);
                while !stop.load(Relaxed) {
                    drop(black_box(vec![0_u8; 3000]));
                }
            });
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    drop(profiled::lookup("heap").unwrap().snapshot());
                }
            });
            let session = at(1000);
            let failures = (0..8).filter(|_| {
                // SAFETY: what the child runs is under test: it has one thread, and libc's own locks in order.
                let id = unsafe { libc::fork() };
                if id == 0 {
                    let status = child();
                    // SAFETY: ends the child without what the parent registered.
                    unsafe { libc::_exit(status) };
                }
                let mut status = 0;
                // SAFETY: our child, and a good pointer.
                unsafe { libc::waitpid(id, &raw mut status, 0) };
                if status != 0 {
                    eprintln!("a child ended with {status:#x}");
                }
                status != 0
            });
            let failures = failures.count();
            stop.store(true, Relaxed);
            let profile = read_snapshot(&session.stop());
            assert!(profile.total_of("samples", &["cpu_forks::busy"]) > 0, "the parent's session goes on");
            assert_eq!(profile.find(&["cpu_forks::child_work"]).len(), 0);
            assert_eq!(failures, 0);
        });
    });
}

/// Copying the tables of a big process takes the kernel longer than the time between two signals: a fork that is
/// started over at each signal never ends. And a timer or a handler that got into the child would kill it.
#[test]
fn other_programs_start_while_sampling() {
    alone("other_programs_start_while_sampling", || {
        let heap = black_box(vec![1_u8; 1 << 30]);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    busy(MS);
                }
            });
            let session = at(1000);
            for n in 0..200 {
                // It computes for a while: a timer that survived would kill it.
                let mut command = Command::new("sh");
                command.args(["-c", "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done"]);
                if n % 2 == 1 {
                    // SAFETY: does nothing; with it the library forks, without it it has the kernel spawn.
                    unsafe { command.pre_exec(|| Ok(())) };
                }
                let status = command.status().unwrap();
                assert!(status.success(), "{status}");
            }
            stop.store(true, Relaxed);
            assert!(read_snapshot(&session.stop()).total_of("samples", &["cpu_forks::busy"]) > 0);
        });
        drop(heap);
    });
}

#[test]
fn a_program_may_become_another_while_sampling() {
    alone("a_program_may_become_another_while_sampling", || {
        for _ in 0..20 {
            // SAFETY: the child has one thread, and soon another program.
            let id = unsafe { libc::fork() };
            if id == 0 {
                let session = at(4000);
                child_work(20 * MS);
                // It computes for a while, without a handler: a timer that survived would kill it.
                let error = Command::new("sh")
                    .args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])
                    .exec();
                eprintln!("{error}");
                drop(session);
                // SAFETY: ends the child without what the parent registered.
                unsafe { libc::_exit(1) };
            }
            let mut status = 0;
            // SAFETY: our child, and a good pointer.
            unsafe { libc::waitpid(id, &raw mut status, 0) };
            assert_eq!(status, 0, "the other program ended with {status:#x}");
        }
    });
}
