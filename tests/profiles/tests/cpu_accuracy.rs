//! Profile `cpu` accounts for every second of CPU time, and gives it to whom it belongs.
//!
//! Optimised builds only: `tests/run` makes one, and minutes of clocks show nothing else in another.
#![cfg(not(debug_assertions))]
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "signal masks, limits and timers")]
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use profiled::cpu::Options;
use profiled_test_profiles::cpu::{at, processors, stay_on, thread_time};
use profiled_test_profiles::{Profile, alone, busy, cpu_time, read_snapshot};

const MS: Duration = Duration::from_millis(1);

busy! { busy first second third fourth short_life blocking other }

type Named = (&'static str, fn(Duration));

/// The names of four functions, and the functions.
const FOUR: [Named; 4] = [
    ("cpu_accuracy::first", first),
    ("cpu_accuracy::second", second),
    ("cpu_accuracy::third", third),
    ("cpu_accuracy::fourth", fourth),
];

/// The profile of a window in which `run` used CPU time, once it accounts for 0.97 to 1.03 of it. Two seconds at 100 Hz
/// hold 200 periods, of which those at both ends are cut anywhere, for each thread: 1 %. A thread that was stopped
/// in between, or ended, loses up to a tick of the kernel's. The rest is for the clocks, which differ. What a busy
/// machine takes from us is repeated, twice as long.
fn accounted(hz: u32, run: impl Fn(Duration)) -> Profile {
    let mut share = 0.0;
    for time in [2000 * MS, 4000 * MS, 8000 * MS, 16_000 * MS] {
        let begin = Instant::now();
        let session = at(hz);
        let before = cpu_time();
        run(time);
        let used = cpu_time() - before;
        let snapshot = session.stop();
        let longest = begin.elapsed();
        let profile = read_snapshot(&snapshot);
        assert_eq!(profile.period, 1_000_000_000 / i64::from(hz));
        let duration = Duration::from_nanos(profile.duration_nanos as u64);
        assert!(duration >= time && duration <= longest, "{duration:?}");
        share = profile.total("cpu") as f64 / used.as_nanos() as f64;
        assert_eq!(profile.total("cpu"), profile.total("samples") * profile.period);
        if (0.97..=1.03).contains(&share) {
            return profile;
        }
        eprintln!("{share} of {used:?}, at {hz} Hz");
    }
    panic!("{share} of the CPU time is accounted for, at {hz} Hz");
}

#[test]
fn one_thread_is_accounted_for() {
    alone("one_thread_is_accounted_for", || {
        for hz in [100, 250, 1000] {
            let profile = accounted(hz, busy);
            let named = profile.total_of("cpu", &["cpu_accuracy::busy"]) as f64 / profile.total("cpu") as f64;
            assert!(named >= 0.97, "{named} of it is in the function that runs");
        }
    });
}

#[test]
fn four_threads_are_accounted_for_by_name() {
    alone("four_threads_are_accounted_for_by_name", || {
        for hz in [100, 250, 1000] {
            let profile = accounted(hz, |time| {
                thread::scope(|scope| FOUR.iter().for_each(|&(_, work)| _ = scope.spawn(move || work(time))));
            });
            for (name, _) in FOUR {
                let share = profile.total_of("cpu", &[name]) as f64 / profile.total("cpu") as f64;
                // A quarter, but that the process's timer is all there is for the first tenth of a second, and gives
                // its ticks to whom it likes.
                assert!((0.2..0.3).contains(&share), "{name} has {share} at {hz} Hz");
            }
            assert_eq!(profile.find(&[FOUR[0].0, FOUR[1].0]).len(), 0);
        }
    });
}

/// Four threads that run 10, 20, 30 and 40 % of the time: each has its share, within 3 points of what its own clock
/// says. At 100 Hz, 20 s of one processor's time are 2 000 samples.
#[test]
fn threads_have_their_shares() {
    alone("threads_have_their_shares", || {
        let session = at(100);
        let end = Instant::now() + 20_000 * MS;
        let used: Vec<u64> = thread::scope(|scope| {
            let run = |(n, &(_, work)): (u32, &Named)| {
                scope.spawn(move || {
                    // No divisor of the kernel's tick, nor of each other.
                    let (whole, mut next) = ((31 + 6 * n) * MS, Instant::now());
                    while Instant::now() < end {
                        work(whole * (n + 1) / 10);
                        next += whole;
                        thread::sleep(next.saturating_duration_since(Instant::now()));
                    }
                    thread_time()
                })
            };
            let threads: Vec<_> = (0..).zip(&FOUR).map(run).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let profile = read_snapshot(&session.stop());
        let all: u64 = used.iter().sum();
        for ((name, _), used) in FOUR.iter().zip(used) {
            let share = profile.total_of("cpu", &[name]) as f64 / profile.total("cpu") as f64;
            let true_share = used as f64 / all as f64;
            assert!((share - true_share).abs() <= 0.03, "{name}: {share}, and in truth {true_share}");
        }
    });
}

/// A program of the system's that keeps a processor busy, until it is dropped.
struct Other(std::process::Child);

impl Other {
    fn start() -> Other {
        Other(std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap())
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Beside others, the kernel's ticks find our threads seldom, and our looks at them, which come with the ticks, find
/// them in our own handler. None of them blocks the signal for that.
#[test]
fn who_is_in_our_handler_does_not_block_the_signal() {
    alone("who_is_in_our_handler_does_not_block_the_signal", || {
        let _others: Vec<_> = (0..=processors().len()).map(|_| Other::start()).collect();
        let session = at(100);
        thread::scope(|scope| {
            for _ in processors() {
                scope.spawn(|| busy(3000 * MS));
            }
        });
        let snapshot = session.stop();
        let blocked =
            snapshot.comments().iter().find(|comment| comment.ends_with("s in threads that block SIGPROF"));
        assert_eq!(blocked, None);
        let profile = read_snapshot(&snapshot);
        let named = profile.total_of("cpu", &["cpu_accuracy::busy"]) as f64 / profile.total("cpu") as f64;
        assert!(named >= 0.97, "{named} of it is in the function that runs");
    });
}

/// What a client asks for: five seconds, while one thread computes, and while two do. The window begins when the server
/// is given a processor, and ours, which it is compared with, when we are: a tenth is for what lies between, and on a
/// machine that is busy with others that is more, so a wrong share is looked at again, twice as long.
#[test]
fn five_seconds_over_http_are_accounted_for() {
    alone("five_seconds_over_http_are_accounted_for", || {
        let server = profiled::http::serve("127.0.0.1:0").unwrap();
        let addr = server.local_addr().to_string();
        for threads in [1, 2] {
            let mut found = Vec::new();
            for seconds in [5, 10, 20] {
                found.push(over_http(&addr, seconds, threads));
                let (share, named) = found[found.len() - 1];
                if (0.9..=1.1).contains(&share) && named >= 0.9 {
                    break;
                }
            }
            let &(share, named) = found.last().unwrap();
            assert!((0.9..=1.1).contains(&share), "shares and named shares {found:?} with {threads} threads");
            assert!(named >= 0.9, "{found:?}: of it is in the function that runs");
        }
    });
}

/// While so many threads are busy: the share of their time that a profile over HTTP has, and that of their function in it.
fn over_http(addr: &str, seconds: u64, threads: usize) -> (f64, f64) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    busy(MS);
                }
            });
        }
        let mut stream = TcpStream::connect(addr).unwrap();
        let request =
            format!("GET /debug/pprof/profile?seconds={seconds} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let before = cpu_time();
        stream.write_all(request.as_bytes()).unwrap();
        // The window is over when the first byte of the answer is here, all but the looking up of names.
        thread::sleep(Duration::from_secs(seconds));
        let used = cpu_time() - before;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        stop.store(true, Relaxed);
        let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let profile = Profile::read(&answer[body..]);
        let all = profile.total("cpu") as f64;
        let named = profile.total_of("cpu", &["cpu_accuracy::busy"]) as f64 / all;
        (all / used.as_nanos() as f64, named)
    })
}

#[test]
fn short_threads_are_accounted_for() {
    alone("short_threads_are_accounted_for", || {
        let mut share = 0.0;
        for threads in [1000, 2000, 4000] {
            let session = at(1000);
            let used = AtomicU64::new(0);
            for _ in 0..threads {
                thread::scope(|scope| {
                    scope.spawn(|| {
                        short_life(2 * MS);
                        used.fetch_add(thread_time(), Relaxed);
                    });
                });
            }
            let profile = read_snapshot(&session.stop());
            // The kernel looks at its tick, 4 ms or less: 500 looks in two seconds, each right or wrong, are good to
            // 1/sqrt(500), of which four make 18 %.
            share = profile.total_of("cpu", &["cpu_accuracy::short_life"]) as f64 / used.into_inner() as f64;
            if (0.82..=1.18).contains(&share) {
                return;
            }
        }
        panic!("{share} of their time is there");
    });
}

/// A stream of threads that live for a fifth of a millisecond, and one that stays and does the same work.
#[test]
fn the_shortest_threads_are_not_lost() {
    alone("the_shortest_threads_are_not_lost", || {
        let mut shares = (0.0, 0.0);
        for threads in [5000, 10_000, 20_000] {
            let session = at(1000);
            let before = cpu_time();
            let used = AtomicU64::new(0);
            for _ in 0..threads {
                thread::scope(|scope| {
                    scope.spawn(|| {
                        short_life(MS / 5);
                        used.fetch_add(thread_time(), Relaxed);
                    });
                });
            }
            let all = cpu_time() - before;
            let profile = read_snapshot(&session.stop());
            // The kernel's ticks, 250 a second, are looks at random: of 500 of them 1/sqrt(500) is one standard
            // deviation. What a thread does before and after our function is its own time, too.
            let own = profile.total_of("cpu", &["cpu_accuracy::short_life"]) as f64;
            shares = (profile.total("cpu") as f64 / all.as_nanos() as f64, own / used.into_inner() as f64);
            if (0.9..=1.1).contains(&shares.0) && shares.1 >= 0.82 {
                return;
            }
            eprintln!("{shares:?} of {threads} threads");
        }
        panic!("{shares:?} of the time is there");
    });
}

/// Blocks `SIGPROF` on this thread and those that it starts from now on.
fn block_signal() {
    mask_signal(libc::SIG_BLOCK);
}

fn mask_signal(how: libc::c_int) {
    // SAFETY: the set is made by the first call.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGPROF);
        assert_eq!(libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut()), 0);
    }
}

#[test]
fn what_blocks_the_signal_is_counted_as_lost() {
    alone("what_blocks_the_signal_is_counted_as_lost", || {
        let session = Options::new().hz(100).thread_names(true).start().unwrap();
        thread::scope(|scope| {
            let named = |name: &str| thread::Builder::new().name(name.to_owned());
            let deaf = named("deaf").spawn_scoped(scope, || {
                block_signal();
                blocking(2000 * MS);
            });
            deaf.unwrap();
            named("hearing").spawn_scoped(scope, || other(2000 * MS)).unwrap();
        });
        let snapshot = session.stop();
        let profile = read_snapshot(&snapshot);
        let heard = profile.total_of("cpu", &["cpu_accuracy::other"]) as f64 / 2e9;
        // In the first tenths of a second its ticks may still go to the other, or to the main thread.
        assert!((0.9..1.2).contains(&heard), "{heard} of the thread that takes the signal");
        assert_eq!(profile.find(&["cpu_accuracy::blocking"]).len(), 0);
        let lost = profile.total_of("cpu", &["[lost]"]) as f64 / 2e9;
        assert!((0.8..1.1).contains(&lost), "{lost} of the thread that does not: {:?}", snapshot.comments());
        assert!(
            snapshot.comments().iter().any(|comment| comment.ends_with("s in threads that block SIGPROF")),
            "{:?}",
            snapshot.comments()
        );
        assert!(
            profile
                .find(&["cpu_accuracy::other"])
                .iter()
                .all(|sample| sample.text("thread") == Some("hearing"))
        );
    });
}

/// The kernel gives a user only so many timers.
#[test]
fn without_timers_for_threads_the_process_has_one() {
    alone("without_timers_for_threads_the_process_has_one", || {
        let session = at(250);
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a good pointer.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, &raw const none) }, 0);
        let (before, stop) = (cpu_time(), AtomicBool::new(false));
        let (snapshot, used) = thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        other(MS);
                    }
                });
            }
            thread::sleep(2000 * MS);
            let used = cpu_time() - before;
            let snapshot = session.stop();
            stop.store(true, Relaxed);
            (snapshot, used)
        });
        let comments = snapshot.comments();
        assert!(
            comments.iter().any(|comment| comment.starts_with("4 threads without a timer")),
            "{comments:?}"
        );
        let share = read_snapshot(&snapshot).total_of("cpu", &["cpu_accuracy::other"]) as f64
            / used.as_nanos() as f64;
        assert!((0.9..=1.1).contains(&share), "{share}: {comments:?}");
    });
}

/// The kernel may drop the timer, and then nobody hears of it again.
#[test]
fn a_timer_that_is_lost_is_missed() {
    alone("a_timer_that_is_lost_is_missed", || {
        let session = at(250);
        busy(300 * MS);
        for id in 0..4096_i32 {
            // SAFETY: all-zero disarms. No timer of this process is anybody's but the session's.
            let nothing: libc::itimerspec = unsafe { std::mem::zeroed() };
            // SAFETY: what is no timer's id is refused.
            unsafe {
                libc::syscall(
                    libc::SYS_timer_settime,
                    id,
                    0,
                    &raw const nothing,
                    std::ptr::null_mut::<libc::itimerspec>(),
                )
            };
        }
        let before = cpu_time();
        // Threads that only the process's timer sees, and one that has its own.
        while cpu_time() - before < 3000 * MS {
            thread::scope(|scope| _ = scope.spawn(|| short_life(2 * MS)));
            first(2 * MS);
        }
        let profile = read_snapshot(&session.stop());
        for name in ["cpu_accuracy::first", "cpu_accuracy::short_life"] {
            let share = profile.total_of("cpu", &[name]) as f64 / 1.5e9;
            assert!(share > 0.6, "{share} of {name}");
        }
    });
}

/// Sessions that are shorter than the time between two looks into the ring lose nothing by that.
#[test]
fn windows_shorter_than_a_look_are_whole() {
    alone("windows_shorter_than_a_look_are_whole", || {
        let mut found = Vec::new();
        // A busy machine lets such windows begin and end where others run: then more of them are looked at.
        for windows in [10, 20, 40, 80] {
            let samples: i64 = (0..windows)
                .map(|_| {
                    let session = at(1000);
                    busy(150 * MS);
                    read_snapshot(&session.stop()).total_of("samples", &["cpu_accuracy::busy"])
                })
                .sum();
            let share = samples as f64 / (150 * windows) as f64;
            // Up to a tick of the kernel's at the end, and another when the thread gets its timer, is nobody's: of 8 ms
            // in 150 half on average.
            if (0.85..=1.07).contains(&share) {
                return;
            }
            found.push(share);
        }
        panic!("{found:?} of what there was");
    });
}

#[inline(never)]
fn waits(end: &std::sync::mpsc::Receiver<()>) {
    assert!(end.recv().is_err());
}

/// How often this process's thread of that name went to sleep.
fn sleeps_of(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of_name = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let status = of_name.into_iter().find(|status| status.starts_with(&format!("Name:\t{name}\n"))).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

/// The kernel hands the signal of the process's timer to any thread that does not block it. A thread that waits is
/// neither woken by those of threads that run, nor charged for them.
#[test]
fn threads_that_wait_are_left_alone() {
    alone("threads_that_wait_are_left_alone", || {
        // At a tick on one processor there is one thread whose it is.
        stay_on(processors()[0]);
        let session = at(1000);
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            thread::Builder::new()
                .name("waits".to_owned())
                .spawn_scoped(scope, move || waits(&receive))
                .unwrap();
            // Until all are known.
            busy(500 * MS);
            let before = sleeps_of("waits");
            busy(2000 * MS);
            let woken = sleeps_of("waits") - before;
            // There are 500 ticks of the kernel's. While there are no young threads, the process's timer expires
            // at 40 of them.
            assert!(woken < 100, "woken {woken} times");
            // Now some that only the process's timer sees. And this one blocks its signal, as does who starts those: at
            // the ticks that are its own, whoever waits is all that the kernel has to give it to.
            scope.spawn(|| {
                block_signal();
                while !over.load(Relaxed) {
                    thread::scope(|scope| {
                        scope.spawn(|| {
                            mask_signal(libc::SIG_UNBLOCK);
                            short_life(2 * MS);
                        });
                    });
                }
            });
            block_signal();
            blocking(2000 * MS);
            over.store(true, Relaxed);
            drop(send);
        });
        let profile = read_snapshot(&session.stop());
        let waited = profile.total_of("cpu", &["futex_wait"]) as f64;
        let short = profile.total_of("cpu", &["cpu_accuracy::short_life"]) as f64;
        assert!(short > 3e8, "{short}");
        // All are young for a moment, and waiting takes some time itself.
        assert!(waited < 0.05 * short, "{waited} beside {short}");
    });
}
