//! What CPU sampling must not do to a program: its handlers, its stacks, its libraries.
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "signals, threads with stacks of their own and libraries")]
use std::ffi::{CString, c_int, c_void};
use std::hint::black_box;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use profiled_test_profiles::cpu::at;
use profiled_test_profiles::{alone, busy, read, read_snapshot, stress};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

const MS: Duration = Duration::from_millis(1);

busy! { busy after tiny_stack_work }

#[test]
fn no_late_signal_kills() {
    alone("no_late_signal_kills", || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        busy(MS);
                    }
                });
            }
            let mut samples = 0;
            for n in 0..1000 {
                let session = at([4000, 1000, 100][n % 3]);
                busy(Duration::from_micros(500));
                match n % 2 {
                    0 => samples += session.stop().samples().map(|sample| sample.values()[0]).sum::<i64>(),
                    _ => drop(session),
                }
            }
            assert!(samples > 0);
            let session = at(1000);
            busy(300 * MS);
            stop.store(true, Relaxed);
            assert!(read_snapshot(&session.stop()).total_of("samples", &["cpu_survival::busy"]) > 100);
        });
    });
}

static CALLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn plain_handler(_: c_int) {
    CALLED.fetch_add(1, Relaxed);
}

extern "C" fn handler_with_info(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's own.
    CALLED.fetch_add(usize::from(unsafe { (*info).si_code } == libc::SI_USER), Relaxed);
}

fn install(handler: usize, flags: c_int) {
    // SAFETY: all-zero is a valid action; the handlers only count.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags | libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGPROF, &raw const action, null_mut()), 0);
    }
}

/// Sends the program's own `SIGPROF` among ours, and sees that the program's handler gets them all and no other.
fn own_signals_arrive() {
    let session = at(1000);
    for n in 1..=50 {
        // SAFETY: takes two numbers.
        unsafe { libc::kill(libc::getpid(), libc::SIGPROF) };
        let end = Instant::now() + 5000 * MS;
        while CALLED.load(Relaxed) < n && Instant::now() < end {
            busy(MS);
        }
        assert_eq!(CALLED.load(Relaxed), n);
    }
    busy(300 * MS);
    let profile = read_snapshot(&session.stop());
    assert_eq!(CALLED.load(Relaxed), 50, "timers are not the program's");
    assert!(profile.total_of("samples", &["cpu_survival::busy"]) >= 100);
    // SAFETY: takes two numbers.
    unsafe { libc::kill(libc::getpid(), libc::SIGPROF) };
    thread::sleep(50 * MS);
    assert_eq!(CALLED.load(Relaxed), 51, "also when nothing is sampled");
}

#[test]
fn a_handler_that_was_there_before_goes_on() {
    alone("a_handler_that_was_there_before_goes_on", || {
        install(plain_handler as *const () as usize, 0);
        own_signals_arrive();
    });
}

#[test]
fn so_does_one_that_takes_information() {
    alone("so_does_one_that_takes_information", || {
        install(handler_with_info as *const () as usize, libc::SA_SIGINFO);
        own_signals_arrive();
    });
}

extern "C" fn tiny_stack(_: *mut c_void) -> *mut c_void {
    tiny_stack_work(300 * MS);
    null_mut()
}

#[test]
fn threads_with_tiny_stacks_are_sampled() {
    alone("threads_with_tiny_stacks_are_sampled", || {
        let session = at(1000);
        let mut threads = [const { std::mem::MaybeUninit::uninit() }; 8];
        // SAFETY: good pointers; the threads are joined.
        unsafe {
            let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
            assert_eq!(libc::pthread_attr_init(&raw mut attributes), 0);
            assert_eq!(libc::pthread_attr_setstacksize(&raw mut attributes, 16 << 10), 0);
            for thread in &mut threads {
                let thread = thread.as_mut_ptr();
                assert_eq!(libc::pthread_create(thread, &raw const attributes, tiny_stack, null_mut()), 0);
            }
            for thread in threads {
                libc::pthread_join(thread.assume_init(), null_mut());
            }
        }
        let profile = read_snapshot(&session.stop());
        let found = profile.find(&["cpu_survival::tiny_stack_work", "cpu_survival::tiny_stack"]);
        assert!(found.iter().map(|sample| sample.value("samples")).sum::<i64>() > 30);
    });
}

#[test]
#[cfg_attr(target_env = "musl", ignore = "a program that is linked statically opens no library")]
fn libraries_come_and_go_while_sampling() {
    alone("libraries_come_and_go_while_sampling", || {
        let name = format!("profiled-{}-visitor", std::process::id());
        let [source, library] = ["c", "so"].map(|end| std::env::temp_dir().join(format!("{name}.{end}")));
        let code =
            "long spin(long n) { volatile long sum = 0; for (long i = 0; i < n; i++) sum += i; return sum; }";
        std::fs::write(&source, code).unwrap();
        let cc =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).status();
        assert!(cc.unwrap().success());
        let path = CString::new(library.to_str().unwrap()).unwrap();
        let visit = || {
            // SAFETY: the library is the one above, and is closed when nothing of it runs.
            unsafe {
                let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
                assert!(!handle.is_null());
                let spin = libc::dlsym(handle, c"spin".as_ptr());
                assert!(!spin.is_null());
                let spin: extern "C" fn(i64) -> i64 = std::mem::transmute(spin);
                assert_eq!(spin(100_000), 4_999_950_000);
                libc::dlclose(handle);
            }
        };
        profiled::heap::set_rate(1000);
        let session = at(1000);
        let (end, visits) = (Instant::now() + stress(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while Instant::now() < end {
                        visit();
                        busy(MS);
                        visits.fetch_add(1, Relaxed);
                    }
                });
            }
            while Instant::now() < end {
                drop(profiled::lookup("heap").unwrap().snapshot());
                after(MS);
            }
        });
        profiled::heap::set_rate(0);
        let profile = read_snapshot(&session.stop());
        assert!(visits.into_inner() > 50);
        for name in ["cpu_survival::busy", "cpu_survival::after"] {
            assert!(profile.total_of("samples", &[name]) > 0, "{name}");
        }
        assert!(read("heap").total("alloc_objects") > 0);
        // A library that stays is named.
        // SAFETY: as above; it is never closed.
        unsafe {
            let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
            let spin: extern "C" fn(i64) -> i64 = std::mem::transmute(libc::dlsym(handle, c"spin".as_ptr()));
            let session = at(1000);
            let end = Instant::now() + 2500 * MS;
            while Instant::now() < end {
                black_box(spin(1_000_000));
            }
            let profile = read_snapshot(&session.stop());
            let named = profile.total_of("cpu", &["spin"]) as f64 / profile.total("cpu") as f64;
            assert!(named > 0.5, "{named} of the time is in `spin`");
            let path = library.to_str().unwrap();
            assert!(profile.mappings.iter().any(|(file, _)| file == path), "{:?}", profile.mappings);
        }
        for file in [source, library] {
            std::fs::remove_file(file).unwrap();
        }
    });
}

/// A handler that is installed over ours, and one that calls ours in turn, as a well-behaved one does.
#[test]
fn a_handler_that_comes_later_does_no_harm() {
    alone("a_handler_that_comes_later_does_no_harm", || {
        static OURS: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn calls_ours(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
            CALLED.fetch_add(1, Relaxed);
            let ours = OURS.load(Relaxed);
            // SAFETY: what was installed before, with this signature.
            let ours: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(ours) };
            ours(signal, info, context);
        }
        let session = at(1000);
        // SAFETY: all-zero is a valid action to be filled.
        let before = unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            assert_eq!(libc::sigaction(libc::SIGPROF, std::ptr::null(), &raw mut before), 0);
            before
        };
        OURS.store(before.sa_sigaction, Relaxed);
        install(calls_ours as *const () as usize, libc::SA_SIGINFO);
        // On a busy machine the kernel's ticks find others running, and bring few signals that stand for much.
        let end = Instant::now() + 20_000 * MS;
        while CALLED.load(Relaxed) <= 50 && Instant::now() < end {
            busy(500 * MS);
        }
        let profile = read_snapshot(&session.stop());
        assert!(profile.total_of("samples", &["cpu_survival::busy"]) > 300);
        assert!(CALLED.load(Relaxed) > 50, "it sees our signals first");
        // One that keeps them all to itself: nothing is sampled, and nothing breaks.
        install(plain_handler as *const () as usize, 0);
        let session = at(1000);
        busy(300 * MS);
        drop(session);
        // And one that gives the default back, which kills: ours returns.
        install(libc::SIG_DFL, 0);
        let session = at(1000);
        busy(300 * MS);
        assert!(read_snapshot(&session.stop()).total_of("samples", &["cpu_survival::busy"]) > 100);
    });
}
