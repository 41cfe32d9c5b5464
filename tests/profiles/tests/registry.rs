//! All profiles together: their names, the ones that programs fill, writers that fail, differences, and what Go's own
//! tool makes of each.
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use profiled::{Error, Format, Kind, Snapshot, profile_mutex, profiled};
use profiled_test_profiles::{File, Profile, alone, file, pprof, read, read_snapshot, strict, text};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

profiled::profile! { static CONNECTIONS = "example.com/connections" }
profiled::profile! { static HEAP = "heap" }
profiled::profile! { static TWIN = "twin" }
profiled::profile! { static DEEP = "deep" }

#[profiled(name = "twin")]
#[inline(never)]
fn first_twin() {}

#[profiled(name = "twin")]
#[inline(never)]
fn second_twin() {}

profile_mutex! {
    static LOCK: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
}

/// Where a line that begins so is in this file, as a suffix of a name.
fn place(what: &str) -> String {
    let found = include_str!("registry.rs").lines().position(|line| line.trim_start().starts_with(what));
    let line = found.unwrap_or_else(|| panic!("no line begins with {what}")) + 1;
    format!(" (tests/profiles/tests/registry.rs:{line})")
}

const OURS: [&str; 12] = [
    "allocs",
    "await",
    "block",
    "cpu",
    "deadlock",
    "functions",
    "goroutine",
    "heap",
    "mutex",
    "tasks",
    "threadcreate",
    "threads",
];

#[test]
fn names_are_sorted_and_each_is_one_profiles() {
    let names: Vec<&str> = profiled::profiles().iter().map(|profile| profile.name()).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for name in OURS {
        let profile = profiled::lookup(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((profile.name(), profile.kind()), (name, Kind::Predefined));
        assert!(!profile.help().is_empty() && names.contains(&name));
    }
    assert!(profiled::lookup("HEAP").is_none() && profiled::lookup("").is_none());
}

#[test]
fn whoever_comes_second_has_its_place_in_its_name() {
    let lock = profile_mutex!("twin", std::sync::Mutex::new(0));
    drop(lock.lock());
    let kind = |name: &str| profiled::lookup(name).unwrap_or_else(|| panic!("no {name}")).kind();
    assert_eq!(kind("heap"), Kind::Predefined);
    assert_eq!(kind(&format!("heap{}", place("profiled::profile! { static HEAP"))), Kind::Custom);
    assert_eq!(kind("twin"), Kind::Function);
    let second = format!("twin{}", place("#[profiled(name = \"twin\")]"));
    // The first of the two functions has the name, so the second has the place of its own attribute or name.
    let twins: Vec<&str> = profiled::profiles()
        .iter()
        .filter(|profile| profile.name().starts_with("twin") && profile.kind() == Kind::Function)
        .map(|profile| profile.name())
        .collect();
    assert_eq!(twins.len(), 2, "{twins:?}");
    assert!(
        twins[1].starts_with("twin (tests/profiles/tests/registry.rs:") && twins[1] != second,
        "{twins:?}"
    );
    assert_eq!(kind(&format!("twin{}", place("let lock = profile_mutex!(\"twin\""))), Kind::Lock);
    assert_eq!(kind(&format!("twin{}", place("profiled::profile! { static TWIN"))), Kind::Custom);

    // Each counts for itself.
    (0..3).for_each(|_| first_twin());
    second_twin();
    assert_eq!((read("twin").total("calls"), read(twins[1]).total("calls")), (3, 1));
    TWIN.add(1, 0).unwrap();
    assert_eq!(read(TWIN.name()).samples().len(), 1);
    assert!(TWIN.name().starts_with("twin ("), "{}", TWIN.name());
    assert!(TWIN.remove(1));
}

#[inline(never)]
fn connects(n: u32) -> profiled::Result<()> {
    std::hint::black_box(CONNECTIONS.add(n, 0))
}

#[test]
fn members_come_and_go() {
    alone("members_come_and_go", || {
        let connections = profiled::lookup("example.com/connections").unwrap();
        assert_eq!((connections.kind(), connections.count()), (Kind::Custom, 0));
        (0..std::hint::black_box(5)).for_each(|n| connects(n).unwrap());
        assert!(matches!(connects(3), Err(Error::DuplicateKey)));
        CONNECTIONS.add("3", 0).unwrap();
        CONNECTIONS.add(profiled::Key::of(&LOCK), 0).unwrap();
        assert_eq!(connections.count(), 7);
        let profile = read("example.com/connections");
        assert_eq!(profile.types, [("example.com/connections".to_owned(), "count".to_owned())]);
        let found = profile.find(&["registry::connects"]);
        assert_eq!((found.len(), found[0].values[0]), (1, 5), "one stack, five members");
        assert_eq!(found[0].frames[0].name, "registry::connects");

        assert!(CONNECTIONS.remove(3) && !CONNECTIONS.remove(3) && !CONNECTIONS.remove("4"));
        connects(3).unwrap();
        let tracked = profiled::labels::with(&[("peer", "::1")], || CONNECTIONS.track());
        assert_eq!(connections.count(), 8);
        let profile = read("example.com/connections");
        let labelled: Vec<_> =
            profile.samples().iter().filter(|sample| sample.text("peer") == Some("::1")).collect();
        assert_eq!(labelled.len(), 1);
        thread::spawn(|| drop(tracked)).join().unwrap();
        assert_eq!(connections.count(), 7);
        // The real one reads it, too.
        let top = File::new("connections", &file("example.com/connections"));
        let top = top.top("example.com/connections", "count");
        assert!(top.contains(&("registry::connects".to_owned(), 5.0, 5.0)), "{top:?}");

        let heap = profiled::lookup("heap").unwrap();
        assert!(matches!(heap.add(1, 0), Err(Error::NotCustom)) && !heap.remove(1));
        drop(heap.track());
    });
}

#[inline(never)]
fn level_one(skip: usize) {
    std::hint::black_box(DEEP.add(skip, skip)).unwrap();
}

#[inline(never)]
fn level_two(skip: usize) {
    level_one(skip);
    std::hint::black_box(());
}

#[inline(never)]
fn level_three(skip: usize) {
    level_two(skip);
    std::hint::black_box(());
}

#[test]
fn skipped_callers_are_left_out() {
    for (skip, leaf) in
        ["registry::level_one", "registry::level_two", "registry::level_three"].iter().enumerate()
    {
        level_three(skip);
        let profile = read("deep");
        let [sample] = profile.samples() else { panic!("{profile:?}") };
        assert_eq!(sample.frames[0].name, *leaf, "with {skip} left out");
        assert!(sample.has(&["registry::level_three", "registry::skipped_callers_are_left_out"]));
        assert!(DEEP.remove(skip));
    }
    // More than there are is all of them: still a member.
    DEEP.add(1000, 1000).unwrap();
    assert_eq!(profiled::lookup("deep").unwrap().count(), 1);
    assert!(DEEP.remove(1000));
}

/// Takes so many bytes, and then no more.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.min(bytes.len()) {
            0 => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            taken => {
                self.0 -= taken;
                Ok(taken)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_is_told_and_the_next_one_works() {
    alone("a_writer_that_fails_is_told_and_the_next_one_works", || {
        busy_program();
        for name in OURS {
            let profile = profiled::lookup(name).unwrap();
            for debug in 0..=2 {
                let whole = match debug {
                    0 => file(name).len(),
                    _ => text(name, debug).len(),
                };
                // It may be a little shorter next time, as figures change; by more than half it is not.
                for room in [0, 1, whole / 2] {
                    match profile.write_to(Full(room), debug) {
                        Err(Error::Io(error)) => assert_eq!(error.raw_os_error(), Some(libc::ENOSPC)),
                        other => panic!("{name}, debug={debug}, room for {room} of {whole}: {other:?}"),
                    }
                }
            }
            read(name);
        }
        assert!(matches!(profiled::heap::write(Full(3)), Err(Error::Io(_))));
    });
}

#[test]
fn only_snapshots_of_one_profile_have_a_difference() {
    let snapshot = |name: &str| profiled::lookup(name).unwrap().snapshot();
    let (heap, block) = (snapshot("heap"), snapshot("block"));
    assert!(matches!(heap.delta(&block), Err(Error::Mismatch)));
    assert!(matches!(block.delta(&snapshot("mutex")), Err(Error::Mismatch)), "alike, and not the same");
    assert!(matches!(snapshot("allocs").delta(&heap), Err(Error::Mismatch)));
    let window = snapshot("heap").delta(&heap).unwrap();
    assert!(window.duration().is_some() && window.time() == heap.time());
    read_snapshot(&window);
}

#[inline(never)]
#[profiled]
fn handles_request(n: u32) -> Vec<Vec<u8>> {
    profiled::labels! { "route" => if n.is_multiple_of(2) { "/cart" } else { "/pay" } }
    *LOCK.lock().unwrap() += 1;
    let end = Instant::now() + Duration::from_millis(2);
    while Instant::now() < end {
        std::hint::black_box((0..1000).fold(n, |sum, n| std::hint::black_box(sum ^ n)));
    }
    (0..20).map(|n| Vec::with_capacity(1000 << (n % 8))).collect()
}

/// What waits for ever.
#[profiled]
async fn waits() {
    tokio::sync::Notify::new().notified().await;
}

/// A bit of everything: allocations that stay and that go, contention, functions, CPU time, members, a future that waits.
fn busy_program() -> Vec<Vec<u8>> {
    let mut future = Box::pin(waits());
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    // It is never dropped.
    std::mem::forget(future);
    if cfg!(not(profiled_portable)) {
        profiled::cpu::set_continuous(1000).unwrap();
    }
    profiled::heap::set_rate(4096);
    profiled::block::set_rate(1);
    profiled::mutex::set_fraction(1);
    let ready = Barrier::new(2);
    let kept = thread::scope(|scope| {
        scope.spawn(|| {
            let _guard = LOCK.lock().unwrap();
            ready.wait();
            thread::sleep(Duration::from_millis(20));
        });
        ready.wait();
        let threads: Vec<_> = (0..3)
            .map(|n| scope.spawn(move || (0..100).flat_map(|m| handles_request(n + m)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).step_by(2).collect()
    });
    profiled::heap::set_rate(0);
    for n in 0..10 {
        _ = CONNECTIONS.add(n, 0);
    }
    kept
}

fn written(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot.write(&mut bytes, format).unwrap();
    bytes
}

/// What Go's `pprof` understands of a file, as a profile again.
fn through_pprof(name: &str, bytes: &[u8]) -> Profile {
    let (input, output) = (File::new(name, bytes), File::new(&format!("{name}.out"), b""));
    pprof(&["-proto", "-symbolize=none", "-output", output.path(), input.path()]);
    Profile::read(&std::fs::read(output.path()).unwrap())
}

#[test]
fn all_profiles_of_a_busy_program_please_every_reader() {
    alone("all_profiles_of_a_busy_program_please_every_reader", || {
        let kept = busy_program();
        if cfg!(not(profiled_portable)) {
            profiled::cpu::set_continuous(1000).unwrap();
        }
        let mut empty = Vec::new();
        busy_program();
        for profile in profiled::profiles() {
            let name = profile.name();
            let snapshot = profile.snapshot();
            let bytes = written(&snapshot, Format::Pprof);
            assert_eq!(strict(&bytes, false), [""; 0], "{name}");
            let ours = Profile::read(&bytes);
            if ours.samples().is_empty() {
                empty.push(name);
                continue;
            }
            let plain = name.replace(|c: char| !c.is_alphanumeric(), "-");
            let validate = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/validate.py");
            let saved = File::new(&format!("{plain}.pb.gz"), &bytes);
            let output =
                Command::new("python3").arg(validate).args(["--cumulative", saved.path()]).output().unwrap();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));

            let theirs = through_pprof(&plain, &bytes);
            assert_eq!(theirs.types, ours.types, "{name}");
            for (kind, _) in &ours.types {
                assert_eq!(theirs.total(kind), ours.total(kind), "{kind} of {name}");
            }
            // The texts. Functions and locks have a table for people instead.
            if matches!(profile.kind(), Kind::Function | Kind::Lock) || name == "functions" {
                continue;
            }
            for format in [Format::Text, Format::Verbose] {
                // One block for each, for people and tools of panics, as Go's: `threads.rs` reads them.
                if format == Format::Verbose && ["goroutine", "tasks", "threads"].contains(&name) {
                    continue;
                }
                let theirs = through_pprof(&plain, &written(&snapshot, format));
                let texts = match name {
                    "cpu" => vec![(0, "samples".to_owned())],
                    // Readers of text call the first of two by their own name.
                    "await" => vec![(0, "waits".to_owned()), (1, "delay".to_owned())],
                    _ => ours.types.iter().map(|(kind, _)| (usize::MAX, kind.clone())).collect(),
                };
                for (index, kind) in texts {
                    let found = match theirs.types.get(index) {
                        Some((of_place, _)) => theirs.total(of_place),
                        None => theirs.total(&kind),
                    };
                    assert_eq!(found, ours.total(&kind), "{kind} of {name} as {format:?}");
                }
            }
        }
        for name in
            OURS.iter().chain(&["example.com/connections", "registry::LOCK", "registry::handles_request"])
        {
            // Nobody waits for another for ever.
            let absent = *name == "deadlock"
                || cfg!(profiled_portable) && ["cpu", "threadcreate", "threads"].contains(name);
            assert_eq!(empty.contains(name), absent, "{name} has nothing, or something");
        }
        drop(kept);
    });
}

#[test]
fn one_snapshot_is_the_same_bytes_each_time() {
    alone("one_snapshot_is_the_same_bytes_each_time", || {
        let kept = busy_program();
        profiled::cpu::set_continuous(0).unwrap();
        for profile in profiled::profiles() {
            let snapshot = profile.snapshot();
            for format in [Format::Pprof, Format::Text, Format::Verbose, Format::Folded, Format::Svg] {
                assert!(
                    written(&snapshot, format) == written(&snapshot.clone(), format),
                    "{}",
                    profile.name()
                );
            }
        }
        drop(kept);
    });
}
