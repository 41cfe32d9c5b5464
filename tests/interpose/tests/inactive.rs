//! Where it cannot bind it compiles, does nothing and says so. `tests/run` has this built for musl, too, and for glibc
//! linked statically; here it is active.
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use profiled_test_interpose::{alone, read, take_all, text};

#[inline(never)]
fn waits_here(lock: &Mutex<()>) {
    drop(lock.lock().unwrap());
    std::hint::black_box(());
}

#[test]
fn it_says_what_it_does() {
    alone("it_says_what_it_does", || {
        take_all();
        let lock = Mutex::new(());
        let wrapped = profiled::profile_mutex!("wrapped", Mutex::new(()));
        thread::scope(|scope| {
            let (guard, held) = (lock.lock().unwrap(), wrapped.lock().unwrap());
            scope.spawn(|| waits_here(&lock));
            scope.spawn(|| drop(wrapped.lock().unwrap()));
            thread::sleep(Duration::from_millis(40));
            drop(held);
            drop(guard);
        });
        let active = !cfg!(any(target_env = "musl", target_feature = "crt-static"));
        let state = if active { "# interpose: active" } else { "# interpose: inactive" };
        for name in ["block", "mutex"] {
            assert!(text(name, 1).contains(state), "{}", text(name, 1));
            let profile = read(name);
            assert_eq!(profile.samples().iter().any(|row| row.text("wait").is_some()), active);
            assert!(profile.samples().iter().any(|row| row.text("lock") == Some("wrapped")));
        }
    });
}
