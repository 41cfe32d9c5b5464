#![expect(unsafe_code, reason = "installs a signal handler and raises signals with a timer's mark")]
//! What benches of CPU sampling are made of: signals that look like a timer's, stacks to take, clocks and memory to
//! read.
#![allow(dead_code, reason = "no bench uses all of it")]
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::mem::zeroed;
use std::ptr;
use std::time::Duration;

/// A timer's signal, as the kernel lays it out.
#[repr(C)]
struct TimerSignal {
    signal: c_int,
    errno: c_int,
    code: c_int,
    padding: c_int,
    id: c_int,
    overrun: c_int,
    value: *const c_void,
    rest: [u64; 12],
}

/// Has the kernel deliver `signal` to this thread as if a timer of this value had expired.
pub(crate) fn raise(signal: c_int, value: *const c_void) {
    const SI_TIMER: c_int = -2;
    let info =
        TimerSignal { signal, errno: 0, code: SI_TIMER, padding: 0, id: 0, overrun: 0, value, rest: [0; 12] };
    // SAFETY: the structure is a whole `siginfo_t`; a process may send itself any code below zero.
    let sent = unsafe {
        libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), libc::gettid(), signal, &raw const info)
    };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
}

thread_local! {
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

extern "C" fn nothing(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    SEEN.with(|seen| seen.set(seen.get() + 1));
}

/// A signal that costs what a signal costs, under the flags that ours has.
pub(crate) fn install_nothing(signal: c_int) {
    // SAFETY: all-zero is an empty mask and no flags; the handler only counts.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = nothing as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(signal, &raw const action, ptr::null_mut()), 0);
    }
    let before = SEEN.get();
    raise(signal, ptr::null());
    assert_eq!(SEEN.get(), before + 1, "the kernel delivers what we queue");
}

/// How many functions deep [`distinct`] goes, and how many there are to choose from at each floor.
const FLOORS: usize = 24;
const DOORS: usize = 8;

/// Calls `f` once from each of so many stacks. They differ, also from those of another call if the ranges do not
/// overlap. They are made of 192 functions: at each floor the stack's number says which of eight goes on.
pub(crate) fn distinct(first: u32, count: u32, f: &mut dyn FnMut()) {
    assert!(first + count <= 1 << 24);
    (first..first + count).for_each(|number| enter(number, 0, f));
}

fn enter(number: u32, floor: usize, f: &mut dyn FnMut()) {
    // Eight floors tell a number from every other; those above have to vary only.
    let door = match floor {
        0..8 => number >> (3 * floor),
        _ => (number ^ floor as u32).wrapping_mul(0x9e37_79b9) >> 16,
    };
    match HOUSE.get(floor) {
        Some(doors) => doors[door as usize % DOORS](number, floor + 1, f),
        None => f(),
    }
}

type Door = fn(u32, usize, &mut dyn FnMut());

#[inline(never)]
fn door<const N: usize>(number: u32, floor: usize, f: &mut dyn FnMut()) {
    let mut frame = [N; 4];
    black_box(&mut frame);
    enter(number, floor, f);
    black_box(&mut frame);
}

macro_rules! house {
    ($($floor:literal)*) => {
        static HOUSE: [[Door; DOORS]; FLOORS] = [$(house!(@ $floor 0 1 2 3 4 5 6 7)),*];
    };
    (@ $floor:literal $($door:literal)*) => {
        [$(door::<{ $floor * DOORS + $door }>),*]
    };
}
house!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23);

/// The CPU time of all threads of this process.
pub(crate) fn process_cpu() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours.
    assert_eq!(unsafe { libc::clock_gettime(id, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time of all threads of this process that have this name, by the scheduler's own books: `stat` beside them
/// has the same in hundredths of a second, which is more than there is to see.
pub(crate) fn cpu_of_threads(name: &str) -> Duration {
    let mut all = 0;
    for task in std::fs::read_dir("/proc/self/task").expect("the threads") {
        let path = task.expect("a thread").path();
        // A thread may end meanwhile.
        let Ok(its) = std::fs::read_to_string(path.join("comm")) else { continue };
        if its.trim_end() == name {
            let books = std::fs::read_to_string(path.join("schedstat")).expect("the scheduler's books");
            all += books.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0_u64);
        }
    }
    Duration::from_nanos(all)
}

/// The memory that this process has at the moment, exactly: pages counted one by one.
pub(crate) fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("the process's pages");
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).expect("a line of it");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("KiB");
    kib * 1024
}

/// Raises more samples than a ring has slots, in portions of which none is lost.
pub(crate) fn fill(value: *const c_void) {
    // Not unrolled: each copy of the call would be the root of stacks of its own.
    for _ in 0..black_box(10) {
        distinct(0, 300, &mut || raise(libc::SIGPROF, value));
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Something to do until so much of this thread's CPU time is gone.
pub(crate) fn burn(time: Duration) {
    let end = thread_cpu() + time;
    while thread_cpu() < end {
        work(1000);
    }
}

/// The same, from `stacks` different stacks in turns.
pub(crate) fn burn_in(stacks: u32, time: Duration) {
    distinct(0, stacks, &mut || burn(time / stacks));
}

/// So many rounds, a few nanoseconds each.
pub(crate) fn work(rounds: u64) {
    let mut sum = black_box(1_u64);
    for n in 0..rounds {
        sum = black_box(sum.rotate_left(7) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    black_box(sum);
}

/// Has what the caches hold make room: 64 MiB, each line of it read and written.
pub(crate) fn evict(buffer: &mut Vec<u64>) {
    buffer.resize((64 << 20) / 8, 1);
    for line in buffer.chunks_exact_mut(8) {
        line[0] = line[0].wrapping_add(1);
    }
    black_box(buffer);
}
