//! A library with `interpose`: opened at run time, its waits go to libc, and it says so.
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// Contends for a lock and looks at what is recorded: 0 if the profile says that it is inactive and is empty.
#[expect(unsafe_code, reason = "to be found by its name")]
#[unsafe(no_mangle)]
pub extern "C" fn contend() -> i32 {
    profiled::block::set_rate(1);
    let lock = Mutex::new(0);
    thread::scope(|scope| {
        let guard = lock.lock();
        scope.spawn(|| lock.lock().map(|mut held| *held += 1).is_ok());
        thread::sleep(Duration::from_millis(20));
        drop(guard);
    });
    let mut text = Vec::new();
    let written = profiled::lookup("block").map(|block| block.write_to(&mut text, 1));
    let text = String::from_utf8_lossy(&text);
    if !matches!(written, Some(Ok(()))) || lock.into_inner().ok() != Some(1) {
        return 1;
    }
    match (text.contains("# interpose: inactive"), text.contains(" @ ")) {
        (true, false) => 0,
        (false, _) => 2,
        (true, true) => 3,
    }
}
