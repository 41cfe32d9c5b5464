//! The profile `threadcreate`: the stacks that started the threads that are alive, by `profiled::thread`.
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use profiled::profiled;
use profiled::thread::{Builder, spawn};
use profiled_test_profiles::{Profile, alone, read, text};

const VALUE: &str = "threadcreate";

/// Threads that are there until it is dropped.
#[derive(Default)]
struct Crew {
    hold: Vec<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// What a thread of a crew does: says that it is there, and waits for its end.
fn work(there: &Sender<()>, hold: &Receiver<()>) {
    there.send(()).unwrap();
    _ = hold.recv();
}

impl Crew {
    fn add(&mut self, count: usize, starts: fn(Box<dyn FnOnce() + Send>) -> JoinHandle<()>) {
        for _ in 0..count {
            let (hold, held) = mpsc::channel();
            let (there, is_there) = mpsc::channel();
            self.hold.push(hold);
            self.threads.push(starts(Box::new(move || work(&there, &held))));
            is_there.recv().unwrap();
        }
    }

    /// Ends those that came first.
    fn end(&mut self, count: usize) {
        self.hold.drain(..count);
        self.threads.drain(..count).for_each(|thread| thread.join().unwrap());
    }
}

type Work = Box<dyn FnOnce() + Send>;

#[inline(never)]
fn spawns(work: Work) -> JoinHandle<()> {
    let handle = spawn(work);
    std::hint::black_box(handle)
}

#[inline(never)]
fn builds(work: Work) -> JoinHandle<()> {
    let handle = Builder::new().name("crew".to_owned()).stack_size(256 << 10).spawn(work).unwrap();
    std::hint::black_box(handle)
}

#[inline(never)]
fn at_its_own_risk(work: Work) -> JoinHandle<()> {
    // SAFETY: it borrows nothing.
    #[expect(unsafe_code, reason = "what is tested")]
    let handle = unsafe { Builder::new().spawn_unchecked(work) }.unwrap();
    std::hint::black_box(handle)
}

#[cfg(not(profiled_portable))]
#[inline(never)]
fn unknown(work: Work) -> JoinHandle<()> {
    let handle = thread::spawn(work);
    std::hint::black_box(handle)
}

fn of(profile: &Profile, name: &str) -> i64 {
    profile.total_of(VALUE, &[name])
}

/// The profile, once there are so many of `name`: a thread is there for a moment after it was joined.
fn settled(name: &str, count: i64) -> Profile {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let profile = read(VALUE);
        if of(&profile, name) == count {
            return profile;
        }
        assert!(
            Instant::now() < end,
            "{} of {name}, and not {count}:\n{}",
            of(&profile, name),
            text(VALUE, 1)
        );
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(not(profiled_portable))]
fn threads_of_the_process() -> i64 {
    std::fs::read_dir("/proc/self/task").unwrap().count() as i64
}

/// Whatever way a thread is started, it is a row's for as long as it is alive.
#[test]
fn threads_are_where_they_were_started_until_they_end() {
    alone("threads_are_where_they_were_started_until_they_end", || {
        let mut crew = Crew::default();
        crew.add(5, spawns);
        crew.add(4, builds);
        crew.add(3, at_its_own_risk);
        let profile = read(VALUE);
        let counts = ["spawns", "builds", "at_its_own_risk"].map(|name| of(&profile, name));
        assert_eq!(counts, [5, 4, 3], "{}", text(VALUE, 1));
        assert_eq!(profile.types, [(VALUE.to_owned(), "count".to_owned())]);
        // Whoever started it is where a stack begins: neither we nor the standard library.
        for name in ["spawns", "builds", "at_its_own_risk"] {
            for row in profile.find(&[name]) {
                let leaf = &row.frames[0].name;
                assert!(leaf.ends_with(&format!("::{name}")), "{leaf}");
            }
        }
        let grouped = text(VALUE, 1);
        assert!(grouped.starts_with(&format!("threadcreate profile: total {}\n", profile.total(VALUE))));
        assert!(grouped.lines().any(|line| line.starts_with("5 @ 0x")), "{grouped}");
        // They end, in the order they began.
        crew.end(4);
        let profile = settled("spawns", 1);
        assert_eq!([of(&profile, "builds"), of(&profile, "at_its_own_risk")], [4, 3]);
        crew.end(8);
        let profile = settled("at_its_own_risk", 0);
        assert_eq!([of(&profile, "spawns"), of(&profile, "builds")], [0, 0]);
    });
}

/// The sum is how many threads there are.
#[test]
#[cfg(not(profiled_portable))]
fn threads_that_nobody_noted_have_a_row() {
    alone("threads_that_nobody_noted_have_a_row", || {
        const UNKNOWN: &str = "[unknown creator]";
        let mut crew = Crew::default();
        // The harness's, and that of this test.
        let before = of(&read(VALUE), UNKNOWN);
        assert_eq!(before, threads_of_the_process());
        crew.add(6, unknown);
        crew.add(2, spawns);
        let profile = read(VALUE);
        assert_eq!([of(&profile, UNKNOWN), of(&profile, "spawns")], [before + 6, 2]);
        assert_eq!(profile.total(VALUE), threads_of_the_process());
        assert_eq!(profiled::lookup(VALUE).unwrap().count() as i64, threads_of_the_process());
        // One that is busy for the profiler is not the program's.
        let _session = profiled::cpu::start().unwrap();
        // It says whose it is when it begins.
        let end = Instant::now() + Duration::from_secs(30);
        while read(VALUE).total(VALUE) != before + 8 {
            assert!(Instant::now() < end, "{}", text(VALUE, 1));
        }
        assert!(threads_of_the_process() > before + 8, "a thread of ours runs");
        crew.end(8);
    });
}

/// Records of threads that are gone are nobody's, whoever has their ids or their room.
#[test]
fn a_thousand_short_threads_leave_nothing() {
    alone("a_thousand_short_threads_leave_nothing", || {
        let mut crew = Crew::default();
        crew.add(2, builds);
        for _ in 0..1000 {
            spawns(Box::new(|| ())).join().unwrap();
        }
        let profile = settled("spawns", 0);
        assert_eq!(of(&profile, "builds"), 2);
        // All at a time.
        let started: Vec<_> = (0..10)
            .map(|_| {
                thread::spawn(|| {
                    let mut crew = Crew::default();
                    crew.add(20, spawns);
                    crew
                })
            })
            .collect();
        let mut crews: Vec<Crew> = started.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(of(&settled("spawns", 200), "spawns"), 200);
        crews.iter_mut().for_each(|crew| crew.end(20));
        settled("spawns", 0);
        crew.end(2);
    });
}

#[test]
fn threads_of_a_scope_are_noted_too() {
    #[inline(never)]
    fn scoped<'scope>(
        scope: &'scope thread::Scope<'scope, '_>,
        barrier: &'scope std::sync::Barrier,
    ) -> thread::ScopedJoinHandle<'scope, usize> {
        let build = Builder::new().name("in a scope".to_owned());
        let handle = build.spawn_scoped(scope, || {
            barrier.wait();
            assert_eq!(thread::current().name(), Some("in a scope"));
            barrier.wait();
            7
        });
        std::hint::black_box(handle.unwrap())
    }
    alone("threads_of_a_scope_are_noted_too", || {
        let barrier = std::sync::Barrier::new(4);
        thread::scope(|scope| {
            let handles: Vec<_> = (0..3).map(|_| scoped(scope, &barrier)).collect();
            barrier.wait();
            let found = of(&read(VALUE), "scoped");
            barrier.wait();
            assert_eq!(found, 3, "{}", text(VALUE, 1));
            assert_eq!(handles.into_iter().map(|handle| handle.join().unwrap()).sum::<usize>(), 21);
        });
        settled("scoped", 0);
    });
}

/// What `std` promises: names, results, panics, and that a thread may not be had.
#[test]
fn threads_are_as_the_standard_library_makes_them() {
    alone("threads_are_as_the_standard_library_makes_them", || {
        assert_eq!(spawn(|| thread::current().name().map(str::to_owned)).join().unwrap(), None);
        let named = Builder::new().name("named".to_owned());
        assert!(format!("{named:?}").contains("named"));
        let name = named.spawn(|| thread::current().name().map(str::to_owned)).unwrap().join().unwrap();
        assert_eq!(name.as_deref(), Some("named"));
        let panicked = Builder::new().spawn(|| panic!("on purpose")).unwrap().join();
        assert_eq!(*panicked.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
        let refused = Builder::new().stack_size(1 << 46).spawn(|| ());
        assert!(refused.is_err());
        let nul = std::panic::catch_unwind(|| Builder::new().name("a\0b".to_owned()).spawn(|| ()));
        assert!(nul.is_err());
        // None of these is waited for as one that is about to begin: ten milliseconds each time, for ever.
        settled("threads_are_as", 0);
        let looks = (0..40).map(|_| {
            let begin = Instant::now();
            drop(profiled::lookup(VALUE).unwrap().snapshot());
            begin.elapsed()
        });
        // Ten looks with a millisecond between any two take nine at the least, each of forty times. One alone, which takes
        // some tens of microseconds, has forty chances.
        let fastest = looks.min().unwrap();
        assert!(fastest < Duration::from_millis(9), "{fastest:?}");
    });
}

/// Labels and scope are the creator's.
#[test]
fn a_row_has_the_labels_of_whoever_started_the_thread() {
    #[profiled(name = "starts/one")]
    fn starts(crew: &mut Crew) {
        profiled::labels::with(&[("job", "import")], || crew.add(1, spawns));
    }
    alone("a_row_has_the_labels_of_whoever_started_the_thread", || {
        let mut crew = Crew::default();
        starts(&mut crew);
        crew.add(1, spawns);
        let profile = read(VALUE);
        let rows = profile.find(&["spawns"]);
        let mut labels: Vec<_> = rows.iter().map(|row| (row.text("job"), row.text("profiled"))).collect();
        labels.sort();
        assert_eq!(labels, [(None, None), (Some("import"), Some("starts/one"))]);
        crew.end(2);
    });
}

/// Blocks end with who started the thread, as Go's do.
#[test]
#[cfg(not(profiled_portable))]
fn a_dump_says_who_started_each_thread() {
    alone("a_dump_says_who_started_each_thread", || {
        let mut crew = Crew::default();
        crew.add(2, builds);
        crew.add(1, unknown);
        for name in ["threads", "goroutine"] {
            let full = text(name, 2);
            let blocks: Vec<&str> = full.split("\n\n").filter(|block| block.starts_with("thread ")).collect();
            let of_crew: Vec<_> = blocks.iter().filter(|block| block.contains("\"crew\"")).collect();
            assert_eq!(of_crew.len(), 2, "{full}");
            for block in of_crew {
                let lines: Vec<&str> = block.lines().collect();
                let [.., who, place] = lines[..] else { panic!("{block}") };
                assert_eq!(who, "created by threadcreate::builds", "{block}");
                let line = 1 + include_str!("threadcreate.rs")
                    .lines()
                    .position(|line| line.contains(".name(\"crew\".to_owned())"))
                    .unwrap();
                let place = place.strip_prefix('\t').unwrap();
                assert!(place.ends_with(&format!("tests/threadcreate.rs:{line}")), "{block}");
            }
            assert_eq!(full.matches("created by").count(), 2, "of no other one it is known:\n{full}");
        }
        crew.end(3);
    });
}

/// A row for each thread, over HTTP.
#[test]
#[cfg(not(profiled_portable))]
fn rows_of_single_threads_say_who_started_them() {
    alone("rows_of_single_threads_say_who_started_them", || {
        let mut crew = Crew::default();
        crew.add(2, builds);
        let server = profiled::http::serve("127.0.0.1:0").unwrap();
        let get = |path: &str| {
            use std::io::{Read as _, Write as _};
            let mut stream = std::net::TcpStream::connect(server.local_addr().to_string()).unwrap();
            write!(
                stream,
                "GET /debug/pprof/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            let head = String::from_utf8_lossy(&answer[..end]).into_owned();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            answer[end + 4..].to_vec()
        };
        for stacks in ["", "&threads=stacks"] {
            let profile = Profile::read(&get(&format!("goroutine?tags=id{stacks}")));
            let known: Vec<_> = profile
                .samples()
                .iter()
                .filter(|row| row.text("created_by") == Some("threadcreate::builds"))
                .collect();
            assert_eq!(known.len(), 2, "{stacks}");
            assert!(known.iter().all(|row| row.text("thread") == Some("crew")));
            let others = profile.samples().iter().filter(|row| row.text("thread") != Some("crew"));
            assert!(others.into_iter().all(|row| row.text("created_by").is_none()));
        }
        let profile = Profile::read(&get("threadcreate"));
        assert_eq!(of(&profile, "builds"), 2);
        // A state at the end, as no other is of use.
        let profile = Profile::read(&get("threadcreate?seconds=0.1"));
        assert_eq!(of(&profile, "builds"), 2);
        assert!(
            String::from_utf8(get("threadcreate?debug=1"))
                .unwrap()
                .starts_with("threadcreate profile: total")
        );
        crew.end(2);
    });
}

/// The child has one thread, which no thread of it started; and it goes on noting.
#[test]
#[cfg(not(profiled_portable))]
#[expect(unsafe_code, reason = "forks")]
fn a_forked_child_has_its_own_threads_only() {
    alone("a_forked_child_has_its_own_threads_only", || {
        let mut crew = Crew::default();
        crew.add(3, spawns);
        // The thread that forks is itself known.
        let forks = spawn(|| {
            // SAFETY: the child uses what a forked child may use of ours, and ends without clean-up.
            unsafe {
                let child = libc::fork();
                if child == 0 {
                    libc::alarm(60);
                    let profile = read(VALUE);
                    let first =
                        (profile.total(VALUE), of(&profile, "spawns"), of(&profile, "[unknown creator]"));
                    let mut crew = Crew::default();
                    crew.add(2, spawns);
                    let profile = read(VALUE);
                    let second =
                        (profile.total(VALUE), of(&profile, "spawns"), of(&profile, "[unknown creator]"));
                    if (first, second) != ((1, 0, 1), (3, 2, 1)) {
                        eprintln!("{first:?} {second:?}");
                        libc::_exit(1);
                    }
                    libc::_exit(0);
                }
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                assert_eq!(status, 0);
            }
        });
        forks.join().unwrap();
        assert_eq!(of(&settled("spawns", 3), "spawns"), 3);
        crew.end(3);
    });
}

/// A thread that has the id of one that was noted, and is gone, is not that one.
///
/// Ids are used again when all have been. Where there are four million of them that takes too long, and this says so;
/// `hook::thread` has a test of the comparison itself.
#[test]
#[cfg(not(profiled_portable))]
fn an_id_that_is_used_again_is_another_threads() {
    fn tid() -> i32 {
        #[expect(unsafe_code, reason = "a system call")]
        // SAFETY: takes nothing.
        unsafe {
            libc::gettid()
        }
    }
    alone("an_id_that_is_used_again_is_another_threads", || {
        let ids: u64 = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap().trim().parse().unwrap();
        let noted: Vec<i32> = (0..200).map(|_| spawn(tid).join().unwrap()).collect();
        settled("an_id_that_is_used_again", 0);
        // The kernel's unit of time.
        thread::sleep(Duration::from_millis(30));
        let mut tries = if ids <= 1 << 16 { 3 * ids } else { 1 };
        let (hold, thread) = loop {
            let (hold, held) = mpsc::channel::<()>();
            let (there, is_there) = mpsc::channel();
            let thread = thread::spawn(move || {
                there.send(tid()).unwrap();
                _ = held.recv();
            });
            let again = is_there.recv().unwrap();
            if noted.contains(&again) {
                break (hold, thread);
            }
            drop(hold);
            thread.join().unwrap();
            tries -= 1;
            if tries == 0 {
                eprintln!("no id of {ids} was used again: nothing was tested");
                return;
            }
        };
        let profile = read(VALUE);
        let found = of(&profile, "an_id_that_is_used_again_is_another_threads");
        assert_eq!(
            (found, of(&profile, "[unknown creator]")),
            (0, profile.total(VALUE)),
            "{}",
            text(VALUE, 1)
        );
        assert_eq!(text("threads", 2).matches("created by").count(), 0);
        drop(hold);
        thread.join().unwrap();
    });
}
