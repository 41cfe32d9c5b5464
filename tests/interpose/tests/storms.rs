//! Threads that contend while signals interrupt them and the process forks: nothing crashes, and the sums are right.
#![expect(unsafe_code, reason = "signals and forks")]
use std::ffi::c_int;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use profiled_test_interpose::{alone, delay, of, read, stress, take_all};

const THREADS: usize = 8;

static HANDLED: AtomicU32 = AtomicU32::new(0);

/// Waits at a futex, and takes a lock that its own thread may have been about to take: `try_lock` does not wait.
extern "C" fn handler(_signal: c_int) {
    // SAFETY: the words outlive the calls; `errno` is the thread's own.
    unsafe {
        let before = *libc::__errno_location();
        let word = AtomicU32::new(0);
        let soon = libc::timespec { tv_sec: 0, tv_nsec: 20_000 };
        let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        libc::syscall(libc::SYS_futex, &raw const word, wait, 0, &raw const soon);
        libc::syscall(libc::SYS_futex, &raw const word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
        *libc::__errno_location() = before;
    }
    HANDLED.fetch_add(1, Relaxed);
}

#[derive(Default)]
struct Shop {
    lock: Mutex<u64>,
    other: parking_lot::Mutex<u64>,
    shelf: RwLock<u64>,
    /// Nanoseconds, as the threads measured them: for the standard library's locks, and for `parking_lot`'s.
    waited: [AtomicU64; 2],
    rounds: AtomicU64,
}

impl Shop {
    fn timed<T>(&self, whose: usize, take: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let taken = take();
        self.waited[whose].fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
        taken
    }

    fn visit(&self, round: u64) {
        let hold = || thread::sleep(Duration::from_micros(150 + round % 7 * 100));
        match round % 4 {
            0 => {
                let mut held = self.timed(0, || self.lock.lock().unwrap());
                *held += 1;
                hold();
            }
            1 => {
                let mut held = self.timed(1, || self.other.lock());
                *held += 1;
                hold();
            }
            2 => {
                let mut held = self.timed(0, || self.shelf.write().unwrap());
                *held += 1;
                hold();
            }
            _ => {
                let held = self.timed(0, || self.shelf.read().unwrap());
                std::hint::black_box(*held);
                hold();
            }
        }
        self.rounds.fetch_add(u64::from(round % 4 != 3), Relaxed);
    }
}

/// A child that contends itself, and ends well. It leaves `parking_lot` alone: that one's table of waiters has locks of its
/// own, which a thread that the child does not have may have held at the fork.
fn fork_once() {
    // SAFETY: the child uses locks of its own and ends without clean-up; the parent waits for it.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::alarm(60);
            let shop = Shop::default();
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope
                        .spawn(|| (0..12).filter(|round| round % 4 != 1).for_each(|round| shop.visit(round)));
                }
            });
            libc::_exit(c_int::from(shop.rounds.load(Relaxed) != 12));
        }
        let mut status = 0;
        // A signal of ours may come meanwhile.
        while libc::waitpid(child, &raw mut status, 0) != child {}
        assert_eq!(status, 0, "a child went wrong: it hung if this is the alarm's 14");
    }
}

#[test]
fn sums_are_right_in_a_storm() {
    alone("sums_are_right_in_a_storm", || {
        take_all();
        // SAFETY: the handler may run at any moment.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGUSR2, &raw const action, null_mut()), 0);
        }
        let (shop, stop) = (Shop::default(), AtomicBool::new(false));
        let ids = [const { AtomicUsize::new(0) }; THREADS];
        let shop = &shop;
        thread::scope(|scope| {
            for (n, id) in ids.iter().enumerate() {
                let stop = &stop;
                scope.spawn(move || {
                    // SAFETY: takes nothing.
                    id.store(unsafe { libc::pthread_self() } as usize, Relaxed);
                    let mut round = n as u64;
                    while !stop.load(Relaxed) {
                        shop.visit(round);
                        round += 1;
                    }
                });
            }
            let begin = Instant::now();
            let mut turn = 0;
            while begin.elapsed() < stress() {
                for id in &ids {
                    let id = id.load(Relaxed);
                    if id != 0 {
                        // SAFETY: the threads run until they are told to stop, which is below.
                        unsafe { libc::pthread_kill(id as libc::pthread_t, libc::SIGUSR2) };
                    }
                }
                thread::sleep(Duration::from_millis(1));
                turn += 1;
                if turn % 50 == 0 {
                    fork_once();
                    // Short threads, whose words come and go.
                    (0..4).for_each(|n| {
                        thread::spawn(move || thread::sleep(Duration::from_micros(n))).join().unwrap()
                    });
                }
            }
            stop.store(true, Relaxed);
        });
        let counted = *shop.lock.lock().unwrap() + *shop.other.lock() + *shop.shelf.read().unwrap();
        assert_eq!(counted, shop.rounds.load(Relaxed), "no update is lost");
        assert!(HANDLED.load(Relaxed) > 100);
        let (block, mutex) = (read("block"), read("mutex"));
        let held = |profile| ["mutex", "rwlock"].map(|class| delay(&of(profile, class)));
        let (waited, charged) = (held(&block).iter().sum::<f64>(), held(&mutex).iter().sum::<f64>());
        let [measured, measured_other] = [0, 1].map(|whose| shop.waited[whose].load(Relaxed) as f64);
        let other = delay(&block.find(&["parking_lot::"]));
        let nobody: f64 = delay(&mutex.find(&["[wake-up]"]));
        eprintln!(
            "measured {:.0} + {:.0} ms, waited {:.0} + {:.0}, charged {:.0} (wake-up {:.0}), {} signals",
            measured / 1e6,
            measured_other / 1e6,
            (waited - other) / 1e6,
            other / 1e6,
            charged / 1e6,
            nobody / 1e6,
            HANDLED.load(Relaxed)
        );
        // A moment is some 20 ns, and waits are of hundreds of microseconds; what a signal handler meets in the midst of
        // our own steps goes uncounted on one side.
        assert!((charged / waited - 1.0).abs() < 0.02, "{charged} charged of {waited} waited");
        // What the threads measured has the way to the futex and back, too: turns at spinning, the handler's 70 us where a
        // signal comes just then, and on a busy machine the time until a thread gets its processor back. `parking_lot`
        // gives its processor away up to seven times before it waits, which may be long.
        let std = waited - other;
        assert!(std <= measured && std >= measured * 0.9, "{std} waited, {measured} measured");
        assert!(other <= measured_other && other > 0.0, "{other} waited, {measured_other} measured");
        assert!(
            !block.comments.iter().any(|comment| comment.contains("the table was full")),
            "{:?}",
            block.comments
        );
    });
}

/// More words than the table has room for: what does not fit is counted and said.
#[test]
fn what_finds_no_room_is_said() {
    alone("what_finds_no_room_is_said", || {
        take_all();
        const WORDS: usize = 5000;
        let words: Vec<AtomicU32> = (0..WORDS).map(|_| AtomicU32::new(0)).collect();
        let ready = &AtomicUsize::new(0);
        thread::scope(|scope| {
            for word in &words {
                let wait = move || {
                    ready.fetch_add(1, Relaxed);
                    while word.load(Relaxed) == 0 {
                        // SAFETY: the word outlives the call.
                        unsafe {
                            libc::syscall(
                                libc::SYS_futex,
                                std::ptr::from_ref(word),
                                libc::FUTEX_WAIT,
                                0,
                                null::<libc::timespec>(),
                            )
                        };
                    }
                };
                thread::Builder::new().stack_size(32 << 10).spawn_scoped(scope, wait).unwrap();
            }
            while ready.load(Relaxed) < WORDS {
                thread::sleep(Duration::from_millis(10));
            }
            thread::sleep(Duration::from_millis(300));
            for word in &words {
                word.store(1, Relaxed);
                // SAFETY: as above.
                unsafe { libc::syscall(libc::SYS_futex, std::ptr::from_ref(word), libc::FUTEX_WAKE, 1) };
            }
        });
        let block = read("block");
        let said = block.comments.iter().find(|comment| comment.contains("the table was full"));
        assert!(said.is_some(), "{:?}", block.comments);
        // All of them are in `block` all the same.
        let waits: i64 = block
            .find(&["what_finds_no_room_is_said"])
            .iter()
            .filter(|row| row.text("wait") == Some("futex"))
            .map(|row| row.value("contentions"))
            .sum();
        // But for a thread that came when its word had been set.
        assert!(waits > WORDS as i64 * 99 / 100, "{waits}");
    });
}
