//! Waits for locks that nobody wrapped are in a trace, with who ended them.
use std::hint::black_box;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use std::{env, fs, io};

use profiled::trace::{self, Format};
use profiled_test_interpose::{alone, take_all};

#[inline(never)]
fn wants(lock: &Mutex<u32>) {
    *lock.lock().unwrap() += 1;
    black_box(());
}

#[inline(never)]
fn lets_go<T>(held: T) {
    drop(held);
    black_box(());
}

/// What the program writes, while others may look at it.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The events, as `go tool trace` has them: each with the lines of its stacks.
fn parsed(bytes: &[u8]) -> Vec<String> {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/trace");
    let tool = env::var_os("PROFILED_GO_TRACE").unwrap_or_else(|| tools.into());
    let path = env::temp_dir().join(format!("profiled-interpose-{}.trace", std::process::id()));
    fs::write(&path, bytes).unwrap();
    let output = Command::new(&tool).arg("-d=parsed").arg(&path).output().expect("tests/run builds the tool");
    fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut events: Vec<String> = Vec::new();
    for line in text.lines() {
        match events.last_mut() {
            Some(event) if !line.starts_with("M=") => event.extend(["\n", line]),
            _ => events.push(line.to_owned()),
        }
    }
    events
}

#[test]
fn a_wait_for_a_plain_mutex_has_both_stacks() {
    alone("a_wait_for_a_plain_mutex_has_both_stacks", || {
        take_all();
        let memory = Memory::default();
        let session = trace::start(memory.clone(), Format::Go).unwrap();
        let lock = Mutex::new(0);
        let held = lock.lock().unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| wants(&lock));
            thread::sleep(Duration::from_millis(30));
            lets_go(held);
            waiter.join().unwrap();
        });
        assert_eq!(session.stop().unwrap().dropped, 0);
        let events = parsed(&memory.0.lock().unwrap());
        let with = |state: &str, function: &str| {
            events.iter().any(|event| event.contains(state) && event.contains(function))
        };
        assert!(with("Running->Waiting", "traced::wants"), "{events:#?}");
        assert!(with("Waiting->Runnable", "traced::lets_go"), "{events:#?}");
    });
}
