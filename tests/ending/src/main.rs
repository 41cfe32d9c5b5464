//! Begins as a program with `init` does, works, and ends as it is told: `ending HOW`.
#![expect(unsafe_code, reason = "signals and limits")]
use std::hint::black_box;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

/// Sampled for sure, and nothing else is.
#[inline(never)]
fn keeps() -> Vec<u8> {
    profiled::heap::set_rate(1);
    let kept = black_box(vec![7; 123_456]);
    profiled::heap::set_rate(0);
    kept
}

#[inline(never)]
fn works() {
    let begin = Instant::now();
    let mut sum = 0_u64;
    while begin.elapsed() < Duration::from_millis(300) {
        sum = (0..10_000).fold(sum, |sum, n| black_box(sum.wrapping_mul(31) + n));
    }
    black_box(sum);
}

fn main() {
    // SAFETY: takes a number. What hangs is killed.
    unsafe { libc::alarm(60) };
    println!("panic = {}", if cfg!(panic = "abort") { "abort" } else { "unwind" });
    let how = std::env::args().nth(1).expect("how to end");
    if how == "panic with a hook" {
        std::panic::set_hook(Box::new(|_| eprintln!("the program's own hook")));
    }
    let guard = profiled::init();
    works();
    let _kept = keeps();
    match &*how {
        "panic" | "panic with a hook" => panic!("of main"),
        "panic of a thread" => {
            _ = std::thread::spawn(|| panic!("of a thread")).join();
            unreachable!("a panic ends it");
        }
        "panic in a destructor" => {
            struct Panics;
            impl Drop for Panics {
                fn drop(&mut self) {
                    panic!("of a destructor");
                }
            }
            drop(Panics);
        }
        "panic with a full disk" => {
            // SAFETY: plain numbers. Without the signal, to write too much is an error, as on a disk that is full.
            unsafe {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                let limit = libc::rlimit { rlim_cur: 100, rlim_max: 100 };
                assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
            }
            panic!("of main");
        }
        "exit" => std::process::exit(5),
        "SIGTERM" => {
            // SAFETY: takes a number.
            unsafe { libc::raise(libc::SIGTERM) };
            loop {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        "return" => drop(guard),
        other => unreachable!("{other}"),
    }
}
