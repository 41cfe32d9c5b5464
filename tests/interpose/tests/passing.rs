//! What passes through is as it was: arguments, results, `errno`, threads, forks.
#![expect(unsafe_code, reason = "system calls and threads of C")]
use std::ffi::{c_int, c_long, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use profiled_test_interpose::{alone, read, take_all};

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn set_errno(value: i32) {
    // SAFETY: a thread's own variable.
    unsafe { *libc::__errno_location() = value };
}

const PRIVATE: c_int = libc::FUTEX_PRIVATE_FLAG;

/// A futex call with all its arguments, and `errno` after it, which was 77 before.
fn futex(
    word: &AtomicU32,
    op: c_int,
    value: u32,
    time: *const libc::timespec,
    other: *const AtomicU32,
    last: u32,
) -> (c_long, i32) {
    set_errno(77);
    // SAFETY: the words outlive the call, and the time is null or lives as long.
    let result = unsafe { libc::syscall(libc::SYS_futex, word, op, value, time, other, last) };
    (result, errno())
}

fn time(duration: Duration) -> libc::timespec {
    libc::timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}

#[test]
fn other_calls_are_libcs() {
    // SAFETY: calls without effects, and a mapping that nobody uses.
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_gettid), c_long::from(libc::gettid()));
        set_errno(77);
        assert_eq!((libc::syscall(100_000), errno()), (-1, libc::ENOSYS));
        set_errno(77);
        assert_eq!(libc::syscall(libc::SYS_getpid), c_long::from(libc::getpid()));
        assert_eq!(errno(), 77);
        // Six arguments, each of which counts.
        let file = libc::memfd_create(c"profiled".as_ptr(), 0);
        assert_eq!(libc::ftruncate(file, 8192), 0);
        assert_eq!(libc::pwrite(file, c"there".as_ptr().cast(), 5, 4096), 5);
        let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        let at = libc::syscall(libc::SYS_mmap, null::<u8>(), 4096_usize, protection, flags, file, 4096_i64);
        assert_eq!(*(at as *const [u8; 5]), *b"there");
        libc::munmap(at as *mut c_void, 4096);
        libc::close(file);
    }
}

#[test]
fn futex_results_and_errno_are_the_kernels() {
    take_all();
    let word = AtomicU32::new(5);
    let soon = time(Duration::from_millis(20));
    let begin = Instant::now();
    assert_eq!(futex(&word, libc::FUTEX_WAIT | PRIVATE, 5, &soon, null(), 0), (-1, libc::ETIMEDOUT));
    assert!(begin.elapsed() >= Duration::from_millis(20));
    assert_eq!(futex(&word, libc::FUTEX_WAIT | PRIVATE, 6, null(), null(), 0), (-1, libc::EAGAIN));
    assert_eq!(futex(&word, libc::FUTEX_WAIT, 6, null(), null(), 0), (-1, libc::EAGAIN));
    // A moment that is past, by either clock.
    let past = time(Duration::from_secs(1));
    let bits = libc::FUTEX_WAIT_BITSET | PRIVATE;
    assert_eq!(futex(&word, bits, 5, &past, null(), u32::MAX), (-1, libc::ETIMEDOUT));
    assert_eq!(futex(&word, bits | libc::FUTEX_CLOCK_REALTIME, 5, &past, null(), 1), (-1, libc::ETIMEDOUT));
    assert_eq!(futex(&word, bits, 5, &past, null(), 0), (-1, libc::EINVAL), "the last argument came along");
    assert_eq!(futex(&word, libc::FUTEX_WAKE | PRIVATE, 1, null(), null(), 0), (0, 77), "nobody there");
    assert_eq!(futex(&word, 99, 1, null(), null(), 0), (-1, libc::ENOSYS));
    // SAFETY: the kernel refuses an address that is no multiple of four.
    let odd = unsafe {
        libc::syscall(libc::SYS_futex, (&raw const word).cast::<u8>().wrapping_add(1), libc::FUTEX_WAKE, 1)
    };
    assert_eq!((odd, errno()), (-1, libc::EINVAL));
    // Of two that wait one is woken and one moved over; the sixth argument is the value that has to be there.
    let other = AtomicU32::new(0);
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| futex(&word, libc::FUTEX_WAIT | PRIVATE, 5, null(), null(), 0)))
            .collect();
        thread::sleep(Duration::from_millis(50));
        let limit = std::ptr::without_provenance::<libc::timespec>(1);
        let requeue = libc::FUTEX_CMP_REQUEUE | PRIVATE;
        assert_eq!(futex(&word, requeue, 1, limit, &other, 6), (-1, libc::EAGAIN));
        assert_eq!(futex(&word, requeue, 1, limit, &other, 5), (2, 77));
        assert_eq!(futex(&word, libc::FUTEX_WAKE | PRIVATE, 9, null(), null(), 0), (0, 77));
        assert_eq!(futex(&other, libc::FUTEX_WAKE | PRIVATE, 9, null(), null(), 0), (1, 77));
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), (0, 77));
        }
    });
}

static HANDLED: AtomicU32 = AtomicU32::new(0);

/// Waits itself, for a moment.
extern "C" fn handler(_signal: c_int) {
    let before = errno();
    let word = AtomicU32::new(0);
    let soon = time(Duration::from_micros(200));
    futex(&word, libc::FUTEX_WAIT | PRIVATE, 0, &soon, null(), 0);
    HANDLED.fetch_add(1, Relaxed);
    set_errno(before);
}

#[test]
fn a_signal_interrupts_a_wait() {
    take_all();
    // SAFETY: a handler that touches its own memory, a signal that nobody else here uses, a thread that is there.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR2, &raw const action, null_mut()), 0);
        let word = AtomicU32::new(0);
        let id = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                id.store(libc::pthread_self() as usize, Relaxed);
                futex(&word, libc::FUTEX_WAIT | PRIVATE, 0, null(), null(), 0)
            });
            thread::sleep(Duration::from_millis(50));
            libc::pthread_kill(id.load(Relaxed) as libc::pthread_t, libc::SIGUSR2);
            assert_eq!(waiter.join().unwrap(), (-1, libc::EINTR));
        });
        assert!(HANDLED.load(Relaxed) > 0);
    }
}

/// What a child ends with, which gets 60 seconds.
fn status(child: libc::pid_t) -> c_int {
    let mut status = 0;
    // SAFETY: a child of ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 1000 + libc::WTERMSIG(status) }
}

/// Those who wait at a fork do not wait in the child.
#[test]
fn a_forked_child_owes_nothing_for_its_parents_threads() {
    #[inline(never)]
    fn releases(guard: std::sync::MutexGuard<'_, ()>) {
        drop(guard);
        std::hint::black_box(());
    }
    alone("a_forked_child_owes_nothing_for_its_parents_threads", || {
        take_all();
        let lock = std::sync::Mutex::new(());
        let guard = lock.lock().unwrap();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| drop(lock.lock().unwrap()));
            }
            thread::sleep(Duration::from_millis(100));
            // SAFETY: the child uses what a forked child may use of ours, and ends without clean-up.
            unsafe {
                let child = libc::fork();
                if child == 0 {
                    libc::alarm(60);
                    releases(guard);
                    let of_parents = read("mutex").total_of("delay", &["releases"]);
                    // It goes on counting.
                    let held = lock.lock().unwrap();
                    thread::scope(|scope| {
                        scope.spawn(|| drop(lock.lock().unwrap()));
                        thread::sleep(Duration::from_millis(50));
                        releases(held);
                    });
                    let own = read("mutex").total_of("delay", &["releases"]);
                    libc::_exit(c_int::from(of_parents != 0) + 2 * c_int::from(own < 10_000_000));
                }
                assert_eq!(status(child), 0);
            }
            releases(guard);
        });
        assert!(read("mutex").total_of("delay", &["releases"]) > 100_000_000);
    });
}

#[test]
fn a_child_made_by_a_raw_clone_runs() {
    take_all();
    let word = AtomicU32::new(0);
    // SAFETY: as `fork`, without the handlers; the child makes two calls and ends.
    unsafe {
        let child = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
        if child == 0 {
            libc::alarm(60);
            let soon = time(Duration::from_millis(5));
            let waited = futex(&word, libc::FUTEX_WAIT | PRIVATE, 0, &soon, null(), 0);
            libc::_exit(c_int::from(waited != (-1, libc::ETIMEDOUT)) * 3 + 7);
        }
        assert_eq!(status(child as libc::pid_t), 7);
    }
}

unsafe extern "C-unwind" {
    fn pthread_join(thread: libc::pthread_t, result: *mut *mut c_void) -> c_int;
}

static SLEEP: AtomicBool = AtomicBool::new(true);

extern "C" fn sleeper(_: *mut c_void) -> *mut c_void {
    while SLEEP.load(Relaxed) {
        thread::sleep(Duration::from_millis(1));
    }
    0x1234_usize as *mut c_void
}

extern "C-unwind" fn joiner(thread: *mut c_void) -> *mut c_void {
    let mut result = null_mut();
    // SAFETY: the thread of this id has not been joined.
    unsafe { pthread_join(thread as libc::pthread_t, &raw mut result) };
    result
}

/// `pthread_join` may be cancelled, and the thread that waits is then unwound through us.
#[test]
fn a_join_can_be_cancelled_and_gives_the_result() {
    type Start = extern "C" fn(*mut c_void) -> *mut c_void;
    // SAFETY: threads of C whose functions touch statics only.
    unsafe {
        unsafe extern "C" {
            fn pthread_cancel(thread: libc::pthread_t) -> c_int;
        }
        let (mut slept, mut joined, mut result) = (0, 0, null_mut());
        assert_eq!(libc::pthread_create(&raw mut slept, null(), sleeper, null_mut()), 0);
        let joiner = std::mem::transmute::<*const (), Start>(joiner as *const ());
        assert_eq!(libc::pthread_create(&raw mut joined, null(), joiner, slept as *mut c_void), 0);
        thread::sleep(Duration::from_millis(50));
        assert_eq!(pthread_cancel(joined), 0);
        assert_eq!(pthread_join(joined, &raw mut result), 0);
        assert_eq!(result as isize, -1, "PTHREAD_CANCELED");
        SLEEP.store(false, Relaxed);
        set_errno(77);
        assert_eq!(pthread_join(slept, &raw mut result), 0);
        assert_eq!((result as usize, errno()), (0x1234, 77));
        // Itself: refused by libc, with no change of ours.
        assert_eq!(pthread_join(libc::pthread_self(), null_mut()), libc::EDEADLK);
    }
}

#[inline(never)]
fn starts_a_thread() -> u32 {
    let thread = thread::Builder::new().name("with-attributes".to_owned()).stack_size(1 << 20);
    let thread = thread.spawn(|| {
        assert_eq!(thread::current().name(), Some("with-attributes"));
        // SAFETY: a thread asks for its own attributes.
        unsafe {
            let mut attributes = std::mem::zeroed();
            assert_eq!(libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes), 0);
            let mut size = 0;
            libc::pthread_attr_getstacksize(&raw const attributes, &raw mut size);
            libc::pthread_attr_destroy(&raw mut attributes);
            assert!((1 << 20..2 << 20).contains(&size), "{size}");
        }
        7
    });
    std::hint::black_box(thread.unwrap().join().unwrap())
}

#[test]
fn threads_start_as_asked() {
    alone("threads_start_as_asked", || {
        for _ in 0..3 {
            assert_eq!(starts_a_thread(), 7);
        }
        // One that cannot be had.
        let refused = thread::Builder::new().stack_size(1 << 46).spawn(|| ());
        assert!(refused.is_err());
        // Nobody waits for it to begin: ten looks with a millisecond between any two take nine at the least, each of forty
        // times.
        let looks = (0..40).map(|_| {
            let begin = Instant::now();
            drop(profiled::lookup("threadcreate").unwrap().snapshot());
            begin.elapsed()
        });
        let fastest = looks.min().unwrap();
        assert!(fastest < Duration::from_millis(9), "{fastest:?}");
    });
}
