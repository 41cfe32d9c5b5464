//! A lock and its unlock, for `machine_code`: once in a test with the feature, once in a program without.
/// What a program's lock and unlock are.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn locks_once(lock: &std::sync::Mutex<u64>) -> u64 {
    match lock.lock() {
        Ok(mut held) => {
            *held += 1;
            *held
        }
        Err(_) => 0,
    }
}

/// The whole of that program.
pub(crate) fn main() {
    let lock = std::hint::black_box(std::sync::Mutex::new(0));
    assert!((0..1000).map(|_| locks_once(&lock)).sum::<u64>() == 500_500);
}
