//! The profiles `threads` and `goroutine`: every thread, where it is now, as what, and since when.
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "signals, forks, and a debugger")]
use std::ffi::c_int;
use std::process::{Child, Command, Stdio};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use profiled_test_profiles::{Profile, alone, read, read_snapshot, stress, text};

const MS: Duration = Duration::from_millis(1);

/// Where threads wait until it is over.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    #[inline(never)]
    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

macro_rules! places {
    ($($name:ident)*) => { $(
        #[inline(never)]
        fn $name(gate: &Gate) {
            gate.pass();
            // Or they would be one function.
            std::hint::black_box(stringify!($name));
        }
    )* };
}
places! { cooks fetches carves serves washes }

type Place = fn(&Gate);

/// So many threads in each place, which are there when this returns.
struct Crew {
    gate: Arc<Gate>,
    threads: Vec<thread::JoinHandle<()>>,
    ids: Vec<i32>,
}

fn tid() -> i32 {
    // SAFETY: takes nothing.
    unsafe { libc::gettid() }
}

/// Waits until each of these threads sleeps.
fn settle(ids: &[i32]) {
    let end = Instant::now() + Duration::from_secs(30);
    for id in ids {
        let sleeps = || {
            let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
        };
        while !sleeps() {
            assert!(Instant::now() < end, "{id} does not come to rest");
            thread::sleep(MS);
        }
    }
}

impl Crew {
    fn new(places: &[(usize, &'static str, Place)]) -> Crew {
        let gate = Arc::new(Gate::default());
        let (sender, receiver) = mpsc::channel();
        let mut threads = Vec::new();
        for &(count, label, place) in places {
            for _ in 0..count {
                let (gate, sender) = (Arc::clone(&gate), sender.clone());
                let work = move || {
                    sender.send(tid()).unwrap();
                    drop(sender);
                    match label {
                        "" => place(&gate),
                        label => profiled::labels::with(&[("job", label)], || place(&gate)),
                    }
                };
                let builder = thread::Builder::new().name("crew".to_owned()).stack_size(64 << 10);
                threads.push(builder.spawn(work).unwrap());
            }
        }
        drop(sender);
        let ids: Vec<i32> = receiver.iter().collect();
        settle(&ids);
        Crew { gate, threads, ids }
    }

    fn end(self) {
        self.gate.open();
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn count(profile: &Profile, name: &str, value: &str) -> i64 {
    profile.total_of(value, &[name])
}

/// Paragraphs of a text form, from a line that begins like `head` on.
fn blocks<'a>(text: &'a str, head: &str) -> Vec<&'a str> {
    text.split("\n\n").filter(|block| block.lines().any(|line| line.starts_with(head))).collect()
}

#[test]
fn forty_threads_in_five_places() {
    alone("forty_threads_in_five_places", || {
        let crew = Crew::new(&[
            (14, "", cooks as Place),
            (10, "", fetches),
            (8, "", carves),
            (6, "", serves),
            (2, "", washes),
        ]);
        let counts = [("cooks", 14), ("fetches", 10), ("carves", 8), ("serves", 6), ("washes", 2)];
        for name in ["threads", "goroutine"] {
            // Who was asked a moment ago may not be waiting again yet.
            let asked = |debug| {
                settle(&crew.ids);
                text(name, debug)
            };
            settle(&crew.ids);
            let profile = read(name);
            let full = asked(2);
            let grouped = asked(1);
            for (place, n) in counts {
                assert_eq!(count(&profile, place, name), n, "{name}: {place}");
                let rows = profile.find(&[place]);
                assert!(rows.iter().all(|row| row.text("kind") == Some("thread")));
                assert!(rows.iter().all(|row| row.text("state") == Some("futex")), "{rows:?}");
                // One paragraph, with the number before the addresses.
                let of_place = blocks(&grouped, &format!("{n} @ "));
                let found = of_place.iter().filter(|block| block.contains(&format!("::{place}+"))).count();
                assert_eq!(found, 1, "{name}: {place} in\n{grouped}");
                let each = blocks(&full, "thread ");
                let each: Vec<_> =
                    each.into_iter().filter(|block| block.contains(&format!("::{place}(...)\n"))).collect();
                assert_eq!(each.len(), n as usize, "{name}: {place} in\n{full}");
                for block in each {
                    assert!(block.contains("\"crew\" [futex"), "{block}");
                    assert!(block.contains("tests/threads.rs:"), "{block}");
                }
            }
            // This one runs, and comes first; what we do with it is left out.
            let leaf = full.lines().nth(1).unwrap();
            assert!(leaf.starts_with("profiled_test_profiles::text"), "{leaf}");
            let first = full.lines().next().unwrap();
            assert!(
                first.starts_with(&format!("thread {} ", tid())) && first.ends_with("[running]:"),
                "{first}"
            );
            let one_by_one = blocks(&full, "thread ").len();
            assert_eq!(one_by_one as i64, profile.total(name), "{name}: as many blocks as threads");
        }
        crew.end();
    });
}

/// Go's own cases: 50, 40 and 10 in three places, and the same with labels.
#[test]
fn groups_are_by_stack_and_labels() {
    alone("groups_are_by_stack_and_labels", || {
        let crew = Crew::new(&[(50, "", cooks as Place), (40, "", fetches), (10, "", carves)]);
        let grouped = text("goroutine", 1);
        let head = |grouped: &str| -> Vec<u32> {
            let counts = grouped.lines().filter_map(|line| line.split_once(" @")?.0.parse().ok());
            counts.take(3).collect()
        };
        assert_eq!(head(&grouped), [50, 40, 10], "{grouped}");
        crew.end();
        let crew = Crew::new(&[
            (44, "", cooks as Place),
            (36, "", fetches),
            (9, "", carves),
            (1, "one", cooks),
            (4, "four", fetches),
        ]);
        let grouped = text("goroutine", 1);
        assert_eq!(head(&grouped), [44, 36, 9], "{grouped}");
        let labelled = |n: u32, label: &str, place: &str| {
            blocks(&grouped, &format!("{n} @ ")).iter().any(|block| {
                block.contains(&format!("# labels: {{\"job\":\"{label}\"}}"))
                    && block.contains(&format!("::{place}+"))
            })
        };
        assert!(labelled(1, "one", "cooks") && labelled(4, "four", "fetches"), "{grouped}");
        let profile = read("goroutine");
        let of = |label: &str| -> i64 {
            let rows = profile.find(&["Gate>::pass"]);
            let rows = if rows.is_empty() { profile.find(&["pass"]) } else { rows };
            rows.iter().filter(|row| row.text("job") == Some(label)).map(|row| row.value("goroutine")).sum()
        };
        assert_eq!([of("one"), of("four")], [1, 4]);
        crew.end();
    });
}

#[test]
fn a_wait_lasts_until_it_ends_and_not_until_somebody_looks() {
    alone("a_wait_lasts_until_it_ends_and_not_until_somebody_looks", || {
        let before = Instant::now();
        let crew = Crew::new(&[(1, "", cooks as Place)]);
        let after = Instant::now();
        // Each look wakes the thread for a moment.
        for _ in 0..6 {
            thread::sleep(500 * MS);
            // It has been waiting from some moment between the two on.
            let at_least = after.elapsed();
            profiled::threads::dump();
            // It takes a moment until it waits again.
            settle(&crew.ids);
            let text = text("threads", 2);
            let blocks = blocks(&text, "thread ");
            let block = blocks.iter().find(|block| block.contains("::cooks(...)")).unwrap();
            let at_most = before.elapsed();
            let line = block.lines().find(|line| line.starts_with("thread ")).unwrap();
            let said = line.split_once(", ").map_or("", |(_, rest)| rest.split(']').next().unwrap());
            let (number, unit) = said.split_once(' ').unwrap_or_else(|| panic!("no time in {line}"));
            let said: u64 = number.parse().unwrap();
            let said = if unit == "ms" { said } else { said * 1000 };
            // Whole seconds are said, and the kernel's clock is told at its tick.
            let least = (at_least.as_millis() as u64).saturating_sub(1100);
            let most = at_most.as_millis() as u64 + 100;
            assert!(said >= least && said <= most, "{line}: {at_least:?} to {at_most:?}");
        }
        crew.end();
    });
}

/// A thread that cannot be asked is there all the same, and nothing of ours is left behind with it.
#[test]
fn who_cannot_answer_is_named_with_the_reason() {
    alone("who_cannot_answer_is_named_with_the_reason", || {
        static IDS: [AtomicI32; 3] = [const { AtomicI32::new(0) }; 3];
        let over = Arc::new(Gate::default());
        let all = || {
            // SAFETY: a set of our own, filled before it is used.
            unsafe {
                let mut set: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&raw mut set);
                set
            }
        };
        // Blocks all signals.
        let gate = Arc::clone(&over);
        let blocks_all = thread::spawn(move || {
            // SAFETY: a set that is whole.
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &all(), null_mut()) };
            IDS[0].store(tid(), SeqCst);
            gate.pass();
            // SAFETY: as above; asks only.
            unsafe {
                let mut pending: libc::sigset_t = std::mem::zeroed();
                libc::sigpending(&raw mut pending);
                libc::sigismember(&raw const pending, libc::SIGURG)
            }
        });
        // Waits for signals: for any of them, ours included.
        let waits_for_signals = thread::spawn(move || {
            let mut set = all();
            // SAFETY: as above.
            unsafe {
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, null_mut());
                libc::sigdelset(&raw mut set, libc::SIGPROF);
                IDS[1].store(tid(), SeqCst);
                let mut signal: c_int = 0;
                libc::sigwait(&raw const set, &raw mut signal);
                signal
            }
        });
        // In uninterruptible sleep: the parent of a `vfork` whose child goes on sleeping.
        let in_vfork = thread::spawn(|| {
            IDS[2].store(tid(), SeqCst);
            vforks(Duration::from_secs(2));
        });
        while IDS.iter().any(|id| id.load(SeqCst) == 0) {
            thread::sleep(MS);
        }
        thread::sleep(100 * MS);
        let begun = Instant::now();
        let text = text("threads", 2);
        let took = begun.elapsed();
        let reason = |id: &AtomicI32, state: &str, why: &str| {
            let head = format!("thread {} ", id.load(SeqCst));
            let blocks = blocks(&text, &head);
            let found =
                blocks.iter().any(|block| block.contains(&format!("[{state}")) && block.contains(why));
            assert!(found, "{head}, {state}, {why} in\n{text}");
        };
        reason(&IDS[0], "", "it blocks SIGURG");
        reason(&IDS[1], "wait for a signal", "it waits for signals");
        reason(&IDS[2], "uninterruptible", "it waits for the kernel");
        assert!(text.contains("1 threads without a stack: it blocks SIGURG"), "{text}");
        // Names are looked up, too, which takes longer than any wait; a second dump knows them.
        let begun_again = Instant::now();
        let again = profiled::threads::dump();
        assert!(begun_again.elapsed() < 2 * Duration::from_secs(1), "{took:?}, {:?}", begun_again.elapsed());
        assert!(again.samples().len() >= 3);
        // What it waits for is what the program sends, and not what we do.
        let waiter = IDS[1].load(SeqCst);
        // SAFETY: the thread is there, and waits for that.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), waiter, libc::SIGUSR1) };
        assert_eq!(waits_for_signals.join().unwrap(), libc::SIGUSR1);
        over.open();
        assert_eq!(blocks_all.join().unwrap(), 0, "no signal of ours is pending");
        in_vfork.join().unwrap();
    });
}

/// `vfork` whose child sleeps before it ends.
fn vforks(time: Duration) {
    // SAFETY: the child shares our memory, and calls nothing but two system calls.
    unsafe {
        let time = libc::timespec { tv_sec: time.as_secs() as i64, tv_nsec: 0 };
        let child: i64;
        // In one piece: whatever the child does to the stack, the parent finds.
        std::arch::asm!(
            "mov eax, 58", // vfork
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, 35", // nanosleep
            "mov rdi, {time}",
            "xor esi, esi",
            "syscall",
            "mov eax, 60", // exit
            "xor edi, edi",
            "syscall",
            "2:",
            time = in(reg) &raw const time,
            out("rax") child,
            out("rdi") _,
            out("rsi") _,
            out("rcx") _,
            out("r11") _,
        );
        assert!(child > 0);
        assert_eq!(libc::waitpid(child as i32, null_mut(), 0), child as i32);
    }
}

/// Threads that wait are left alone by whoever did not ask for stacks.
#[test]
fn names_disturb_nobody() {
    alone("names_disturb_nobody", || {
        static INTERRUPTED: AtomicU32 = AtomicU32::new(0);
        static STOP: AtomicBool = AtomicBool::new(false);
        static ID: AtomicI32 = AtomicI32::new(0);
        let polls = thread::Builder::new().name("poller".to_owned()).spawn(|| {
            ID.store(tid(), SeqCst);
            while !STOP.load(SeqCst) {
                // SAFETY: nothing is polled, for a while.
                if unsafe { libc::poll(null_mut(), 0, 200) } < 0 {
                    INTERRUPTED.fetch_add(1, SeqCst);
                }
            }
        });
        while ID.load(SeqCst) == 0 {
            thread::sleep(MS);
        }
        settle(&[ID.load(SeqCst)]);
        let server = profiled::http::serve("127.0.0.1:0").unwrap();
        let address = server.local_addr().to_string();
        let get = |page: &str| -> Vec<u8> {
            use std::io::{Read as _, Write as _};
            let mut stream = std::net::TcpStream::connect(&address).unwrap();
            write!(stream, "GET /debug/pprof/{page} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
            assert!(answer.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&answer[..body]));
            answer.split_off(body)
        };
        for page in
            ["goroutine", "threads", "threads?threads=names&debug=2", "goroutine?threads=names&tags=id"]
        {
            for _ in 0..5 {
                get(page);
            }
        }
        let profile = Profile::read(&get("goroutine"));
        assert_eq!(INTERRUPTED.load(SeqCst), 0, "a scrape wakes nobody");
        let named: Vec<_> =
            profile.samples().iter().filter(|row| row.text("thread") == Some("poller")).collect();
        assert_eq!(named.len(), 1);
        assert_eq!(named[0].text("state"), Some("poll"));
        // The profiler's own threads are there for who wants them; so is one that has its name and has done nothing yet.
        let (begun, end) = std::sync::mpsc::channel::<()>();
        let young = thread::Builder::new().name("profiled-http-w".to_owned()).spawn(move || _ = end.recv());
        let names = |page: &str| String::from_utf8(get(page)).unwrap();
        assert!(!names("threads?debug=2&threads=names").contains("\"profiled-"));
        assert!(names("threads?debug=2&threads=names&all=1").contains("\"profiled-"));
        drop(begun);
        young.unwrap().join().unwrap();
        // Stacks do wake it.
        let stacks = Profile::read(&get("goroutine?threads=stacks"));
        assert_eq!(count(&stacks, "names_disturb_nobody", "goroutine"), 2, "this one and the poller");
        assert!(INTERRUPTED.load(SeqCst) > 0);
        let each = Profile::read(&get("goroutine?threads=stacks&tags=id"));
        let row = each.samples().iter().find(|row| row.number("id") == Some(ID.load(SeqCst).into()));
        let row = row.expect("a row for each");
        assert_eq!(row.value("goroutine"), 1);
        assert!(row.number("wait_ns").is_some_and(|wait| wait < 10_000_000_000), "{row:?}");
        STOP.store(true, SeqCst);
        polls.unwrap().join().unwrap();
    });
}

/// Threads come and go, handlers interrupt, processes fork, while dump follows dump.
#[test]
fn dumps_survive_a_storm() {
    alone("dumps_survive_a_storm", || {
        let stop = AtomicBool::new(false);
        let crew = Crew::new(&[(4, "", cooks as Place)]);
        let (mut dumps, mut most) = (0, Duration::ZERO);
        thread::scope(|scope| {
            for n in 0..4_u64 {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(SeqCst) {
                        thread::spawn(move || thread::sleep(Duration::from_micros(n * 50))).join().unwrap();
                    }
                });
            }
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    // SAFETY: the child dumps itself, which is one thread, and ends.
                    unsafe {
                        let child = libc::fork();
                        if child == 0 {
                            libc::alarm(60);
                            let dump = profiled::threads::dump();
                            libc::_exit(c_int::from(dump.samples().len() != 1));
                        }
                        let mut status = 0;
                        while libc::waitpid(child, &raw mut status, 0) != child {}
                        assert_eq!(status, 0, "a child went wrong");
                    }
                    thread::sleep(5 * MS);
                }
            });
            let begun = Instant::now();
            while begun.elapsed() < stress() || dumps < 20 {
                let begun = Instant::now();
                let dump = profiled::threads::dump();
                most = most.max(begun.elapsed());
                dumps += 1;
                let profile = read_snapshot(&dump);
                assert_eq!(count(&profile, "cooks", "threads"), 4, "who stays is in every dump");
            }
            stop.store(true, SeqCst);
        });
        eprintln!("{dumps} dumps, the longest took {most:?}");
        crew.end();
    });
}

/// More of them than there are slots.
/// The alternate stacks that the standard library gives to threads hold little more than one handler: a sample and a dump
/// that are both due come one after the other. Here there is room for what the kernel saves, once, and for a handler that
/// finds that the signal is not its own.
#[test]
fn a_sample_and_a_dump_do_not_share_a_stack() {
    alone("a_sample_and_a_dump_do_not_share_a_stack", || {
        profiled::cpu::set_continuous(100).unwrap();
        assert!(!read("threads").samples().is_empty());
        profiled::cpu::set_continuous(0).unwrap();
        let small = thread::spawn(|| {
            // SAFETY: asks for a number, maps memory of our own of which the lowest page is no stack, and installs it;
            // nothing else on this thread runs on it. Then signals for this thread alone, and sets of our own.
            unsafe {
                let least = (libc::getauxval(libc::AT_MINSIGSTKSZ) as usize).max(libc::MINSIGSTKSZ);
                let size = least + 2048;
                let whole = 4096 + size.next_multiple_of(4096);
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let map = libc::mmap(null_mut(), whole, libc::PROT_NONE, flags, -1, 0);
                let access = libc::PROT_READ | libc::PROT_WRITE;
                assert_eq!(libc::mprotect(map.byte_add(4096), whole - 4096, access), 0);
                // From the guard page up.
                let place = libc::stack_t { ss_sp: map.byte_add(4096), ss_flags: 0, ss_size: size };
                assert_eq!(libc::sigaltstack(&raw const place, null_mut()), 0);
                let mut both: libc::sigset_t = std::mem::zeroed();
                libc::sigaddset(&raw mut both, libc::SIGPROF);
                libc::sigaddset(&raw mut both, libc::SIGURG);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const both, null_mut());
                libc::pthread_kill(libc::pthread_self(), libc::SIGPROF);
                libc::pthread_kill(libc::pthread_self(), libc::SIGURG);
                libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const both, null_mut());
            }
        });
        small.join().expect("a thread with room for one handler");
    });
}

#[test]
fn thousands_of_threads_are_asked_in_turn() {
    alone("thousands_of_threads_are_asked_in_turn", || {
        let crew = Crew::new(&[(1500, "", cooks as Place), (1000, "", fetches)]);
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let profile = read("threads");
            // Where others keep the processors busy, a quarter of a second may not be enough for so many.
            if count(&profile, "cooks", "threads") == 1500 && count(&profile, "fetches", "threads") == 1000 {
                break;
            }
            assert!(profile.total("threads") >= 2501, "nobody is missing");
            assert!(Instant::now() < end, "{:?}", profile.comments);
        }
        assert_eq!(crew.ids.len(), 2500);
        crew.end();
    });
}

/// What a debugger has stopped, and a leader that has ended before its process.
#[test]
fn the_stopped_and_the_dead_are_shown_and_not_waited_for() {
    const VARIABLE: &str = "PROFILED_TEST_LEADERLESS";
    if std::env::var_os(VARIABLE).is_some() {
        leaderless();
    }
    alone("the_stopped_and_the_dead_are_shown_and_not_waited_for", || {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["the_stopped_and_the_dead", "--nocapture", "--test-threads=1"]);
        let child = child.env(VARIABLE, "1").stdout(Stdio::piped()).spawn().unwrap();
        let output = finish(child);
        assert!(output.contains("[zombie") && output.contains("it has ended"), "{output}");
        assert!(output.contains("leaderless::{"), "the program's own names are found: {output}");
        assert!(output.contains("[traced") && output.contains("a debugger has stopped it"), "{output}");
    });
}

fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Ends the main thread, has a process of its own stop another one, and prints the dump.
fn leaderless() -> ! {
    static STOPPED: AtomicI32 = AtomicI32::new(0);
    let gate = Arc::new(Barrier::new(2));
    let other = Arc::clone(&gate);
    thread::spawn(move || {
        STOPPED.store(tid(), SeqCst);
        other.wait();
        thread::sleep(Duration::from_secs(60));
    });
    gate.wait();
    settle(&[STOPPED.load(SeqCst)]);
    thread::spawn(move || {
        // Time for the main thread to end.
        thread::sleep(300 * MS);
        // SAFETY: the child attaches to one thread of its parent, says so, and ends when it is told to.
        unsafe {
            let mut ends = [0; 2];
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY);
            let tracee = STOPPED.load(SeqCst);
            let child = libc::fork();
            if child == 0 {
                libc::alarm(30);
                let nothing = null::<u8>();
                let attached = libc::ptrace(libc::PTRACE_ATTACH, tracee, nothing, nothing) == 0;
                let stopped = libc::waitpid(tracee, null_mut(), libc::__WALL) == tracee;
                libc::write(ends[1], [u8::from(attached && stopped)].as_ptr().cast(), 1);
                libc::sleep(20);
                libc::_exit(0);
            }
            let mut said = [0_u8];
            assert_eq!(libc::read(ends[0], said.as_mut_ptr().cast(), 1), 1);
            assert_eq!(said, [1], "a child may stop a thread of its parent");
            let begun = Instant::now();
            profiled::threads::dump();
            assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits for them: {:?}", begun.elapsed());
            println!("{}", text("threads", 2));
            libc::kill(child, libc::SIGKILL);
            libc::_exit(0);
        }
    });
    /// Ends the thread that it runs on and no other.
    extern "C" fn leave(_signal: c_int) {
        // SAFETY: takes a number.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    // SAFETY: the main thread waits for this one, and is not needed for anything else.
    unsafe {
        libc::signal(libc::SIGUSR2, leave as *const () as usize);
        libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::getpid(), libc::SIGUSR2);
    }
    loop {
        thread::park();
    }
}
