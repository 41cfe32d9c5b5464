//! Views of the heap: its peak, in memory and in a file that outlives the process; what is old; and its settings.
#![expect(unsafe_code, reason = "limits, signals and allocations by hand")]
use std::alloc::{Layout, alloc};
use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use profiled::heap;
use profiled_test_profiles::{File, Profile, alone, read, read_snapshot, text};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

const MIB: usize = 1 << 20;

#[inline(never)]
fn hill(blocks: usize) -> Vec<Vec<u8>> {
    // Bodies that differ, or one function would do for both.
    let mut kept = Vec::with_capacity(blocks);
    for _ in 0..blocks {
        kept.push(black_box(Vec::with_capacity(4096)));
    }
    black_box("hill");
    kept
}

#[inline(never)]
fn valley(blocks: usize) -> Vec<Vec<u8>> {
    let mut kept = Vec::with_capacity(blocks);
    for _ in 0..blocks {
        kept.push(black_box(Vec::with_capacity(4096)));
    }
    black_box("valley");
    kept
}

/// Bytes in use in the blocks that `function` takes, without what holds them.
fn space(profile: &Profile, function: &str) -> f64 {
    let rows = profile.find(&[function]);
    let blocks = rows.iter().filter(|row| {
        row.number("bytes").is_some_and(|bytes| [4096, MIB / 2, MIB / 8].contains(&(bytes as usize)))
    });
    blocks.map(|row| row.value("inuse_space")).sum::<i64>() as f64
}

#[test]
fn the_peak_is_what_there_was_most_of() {
    alone("the_peak_is_what_there_was_most_of", || {
        heap::set_rate(4096);
        // 64 MiB.
        let mut blocks = hill(16 << 10);
        blocks.truncate(0);
        // An eighth of that stays.
        let kept = valley(2 << 10);
        let peak = heap::peak().expect("something was sampled");
        let top = read_snapshot(&peak);
        let now = read("heap");
        // A block is sampled with p = 1 - 1/e and then stands for 1/p blocks: the standard error of 16 384 blocks is
        // sqrt((1-p)/p/16384) = 0.6 %. The mark is at most 5 % below the peak.
        let hill_at_peak = space(&top, "heap_views::hill") / (64 * MIB) as f64;
        assert!((0.92..=1.03).contains(&hill_at_peak), "{hill_at_peak}");
        assert_eq!(space(&top, "heap_views::valley"), 0.0, "that came later");
        assert!(
            top.total_of("alloc_space", &["heap_views::hill"])
                >= top.total_of("inuse_space", &["heap_views::hill"])
        );
        assert_eq!(space(&now, "heap_views::hill"), 0.0);
        assert!((0.9..=1.1).contains(&(space(&now, "heap_views::valley") / (8 * MIB) as f64)));
        let comment = "the live heap as it was when it was largest";
        assert!(peak.comments().iter().any(|text| text == comment), "{:?}", peak.comments());
        assert!(peak.time() < std::time::SystemTime::now());
        let stats = heap::stats();
        assert!((0.92..=1.1).contains(&(stats.peak_bytes as f64 / (64 * MIB) as f64)), "{stats:?}");
        // A higher one takes its place.
        drop(kept);
        let higher = valley(20 << 10);
        let top = read_snapshot(&heap::peak().unwrap());
        assert_eq!(space(&top, "heap_views::hill"), 0.0);
        assert!((0.92..=1.03).contains(&(space(&top, "heap_views::valley") / (80 * MIB) as f64)));
        drop(higher);
    });
}

/// Set in a process that is to come to an end.
const PATH: &str = "PROFILED_TEST_PEAK_FILE";

fn dying(test: &str, path: &PathBuf) -> Child {
    let program = std::env::current_exe().unwrap();
    Command::new(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[inline(never)]
fn fills_memory(kept: &mut Vec<Vec<u8>>) {
    kept.push(black_box(vec![1; MIB / 2]));
}

#[inline(never)]
fn fills_a_little(kept: &mut Vec<Vec<u8>>) {
    kept.push(black_box(vec![1; MIB / 8]));
}

/// Takes memory until somebody or something ends it.
fn fill(path: &str) -> ! {
    // SAFETY: takes a number. What is not ended in time ends so.
    unsafe { libc::alarm(100) };
    heap::peak_file(path).unwrap();
    let mut kept = Vec::new();
    for n in 1.. {
        profiled::labels::with(&[("batch", "nightly")], || fills_memory(&mut kept));
        fills_a_little(&mut kept);
        if n % 8 == 0 {
            println!("filled {}", n * (MIB / 2 + MIB / 8));
        }
    }
    unreachable!()
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("profiled-{}-{name}", std::process::id()))
}

/// What is in the file, against what the process says it had: the samples' error, and the mark's 5 %.
fn assert_filled(profile: &Profile, filled: f64) {
    // 800 samples or more of blocks of 512 KiB, and a quarter of that in small ones: 4 standard errors are 15 %.
    let share = space(profile, "heap_views::fill") / filled;
    assert!((0.80..=1.15).contains(&share), "{share} of {filled}");
    let large = space(profile, "heap_views::fills_memory") / space(profile, "heap_views::fill");
    assert!((0.72..=0.88).contains(&large), "{large} should be four fifths");
    let labelled = profile.find(&["heap_views::fills_memory"]);
    assert!(labelled.iter().all(|sample| sample.text("batch") == Some("nightly")));
}

/// As the kernel does to who has used up the memory, from outside and without a warning.
#[test]
#[cfg_attr(profiled_portable, ignore = "there are no names of another process's addresses")]
fn a_process_that_is_killed_leaves_its_peak() {
    if let Ok(path) = std::env::var(PATH) {
        fill(&path);
    }
    let path = temporary("killed.peak");
    let mut child = dying("a_process_that_is_killed_leaves_its_peak", &path);
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut filled = 0;
    for line in out.lines() {
        let line = line.unwrap();
        if let Some(bytes) = line.strip_prefix("filled ") {
            filled = bytes.parse().unwrap();
        }
        if filled > 500 * MIB {
            break;
        }
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}");
    let snapshot = heap::read_peak_file(&path).unwrap();
    let profile = read_snapshot(&snapshot);
    assert_filled(&profile, filled as f64);
    let comment = format!("the live heap of process {} as it was", child.id());
    assert!(snapshot.comments()[0].starts_with(&comment), "{:?}", snapshot.comments());
    // And in the tool that its user would use: functions of the dead process, with lines.
    let mut file = Vec::new();
    snapshot.write(&mut file, profiled::Format::Pprof).unwrap();
    let listed = File::new("killed", &file).pprof(&["-traces", "-lines", "-symbolize=none"]);
    assert!(listed.contains("heap_views::fills_memory") && listed.contains("heap_views.rs:"), "{listed}");
    std::fs::remove_file(path).unwrap();
}

/// A limit that makes the allocator give nothing: the process ends by its own hand, and says what for.
#[test]
#[cfg_attr(profiled_portable, ignore = "there are no names of another process's addresses")]
fn an_allocation_that_is_refused_leaves_the_peak() {
    if let Ok(path) = std::env::var(PATH) {
        let limit = libc::rlimit { rlim_cur: (800 * MIB) as u64, rlim_max: (800 * MIB) as u64 };
        // SAFETY: a good pointer.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
        fill(&path);
    }
    let path = temporary("refused.peak");
    let output = dying("an_allocation_that_is_refused_leaves_the_peak", &path).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{} {said}", output.status);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let filled = out.lines().filter_map(|line| line.strip_prefix("filled ")).next_back().expect("some lines");
    let filled: f64 = filled.parse().unwrap();
    assert!(filled > (400 * MIB) as f64, "{filled}");
    let snapshot = heap::read_peak_file(&path).unwrap();
    assert_filled(&read_snapshot(&snapshot), filled);
    let refused =
        |comment: &String| comment.starts_with("then an allocation of ") && comment.ends_with(" was refused");
    assert!(snapshot.comments().iter().any(refused), "{:?}", snapshot.comments());
    std::fs::remove_file(path).unwrap();
}

/// A refusal is noted though nothing has grown since the mark; and a limit that comes later is no end of the program.
#[test]
#[cfg_attr(profiled_portable, ignore = "nobody tells of limits there, and beyond them a signal kills")]
fn what_cannot_be_had_is_told() {
    alone("what_cannot_be_had_is_told", || {
        let path = temporary("limits.peak");
        heap::peak_file(&path).unwrap();
        let large = black_box(Vec::<u8>::with_capacity(200 * MIB));
        for _ in 0..3 {
            assert!(black_box(Vec::<u8>::new()).try_reserve(1 << 46).is_err());
        }
        let snapshot = heap::read_peak_file(&path).unwrap();
        let refused = format!("then an allocation of {} bytes was refused", 1_u64 << 46);
        assert!(snapshot.comments().contains(&refused), "{:?}", snapshot.comments());
        assert_eq!(heap::stats().refused, 3);
        // It takes no more room to be read again.
        for _ in 0..300 {
            assert_eq!(heap::read_peak_file(&path).unwrap().samples().len(), snapshot.samples().len());
        }
        assert!(!text("heap", 1).contains("folded"), "the table of stacks is as it was");
        let whole = || {
            let snapshot = heap::read_peak_file(&path).unwrap();
            (
                snapshot.comments().to_vec(),
                snapshot.time(),
                snapshot.samples().map(|s| s.values().to_vec()).collect::<Vec<_>>(),
            )
        };
        let before = whole();
        let limit = libc::rlimit { rlim_cur: MIB as u64, rlim_max: MIB as u64 };
        // SAFETY: a good pointer.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
        let larger = black_box(Vec::<u8>::with_capacity(400 * MIB));
        assert!(heap::stats().peak_bytes >= 600 * MIB as u64);
        assert_eq!(whole(), before, "what was there stays");
        let text = text("heap", 1);
        assert!(text.contains("times the peak could not be written to its file"), "{text}");
        assert!(heap::peak_file(path.with_extension("other")).is_err());
        drop((large, larger));
        std::fs::remove_file(path).unwrap();
    });
}

/// Whatever moment the process ends at, and whatever becomes of the file: it is read, or refused in words.
#[test]
#[cfg_attr(profiled_portable, ignore = "there are no names of another process's addresses")]
fn a_damaged_peak_file_is_refused() {
    alone("a_damaged_peak_file_is_refused", || {
        let path = temporary("damaged.peak");
        heap::set_rate(4096);
        heap::peak_file(&path).unwrap();
        let blocks = hill(1000);
        let whole = heap::peak().unwrap();
        drop(blocks);
        // To read files takes memory, too.
        heap::set_rate(0);
        let good = std::fs::read(&path).unwrap();
        let found = heap::read_peak_file(&path).unwrap();
        let hills = |snapshot| space(&read_snapshot(snapshot), "heap_views::hill");
        assert_eq!(hills(&found), hills(&whole));
        assert!(matches!(heap::read_peak_file(path.with_extension("none")), Err(profiled::Error::Io(_))));
        // Cut, or with any word of what is not a hole changed.
        let mut read = 0;
        let mut is_read = || match heap::read_peak_file(&path) {
            Ok(_) => read += 1,
            Err(profiled::Error::Invalid { what, value }) => {
                assert_eq!((what, value.as_str()), ("peak file", path.to_str().unwrap()));
            }
            Err(error) => panic!("{error}"),
        };
        let words: Vec<u64> = (0..good.len() as u64 / 8 * 8)
            .step_by(8)
            .filter(|&at| good[at as usize..at as usize + 8] != [0; 8])
            .collect();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        for &at in words.iter().step_by(words.len() / 1000 + 1).chain(words.iter().take(300)) {
            let word = &good[at as usize..at as usize + 8];
            let flipped = [word[0] ^ 0x41, word[1], word[2], word[3], word[4], word[5], word[6], word[7]];
            for bad in [[0xff; 8], flipped] {
                file.write_all_at(&bad, at).unwrap();
                is_read();
            }
            file.write_all_at(word, at).unwrap();
        }
        for &end in words.iter().rev().step_by(words.len() / 100 + 1) {
            file.set_len(end + 3).unwrap();
            is_read();
        }
        assert!(read > 0, "an earlier state, or other values, are read");
        std::fs::remove_file(path).unwrap();
    });
}

#[inline(never)]
fn leaks(n: usize) -> Vec<Vec<u8>> {
    let mut kept = Vec::with_capacity(n);
    for _ in 0..n {
        kept.push(black_box(Vec::with_capacity(10_007)));
    }
    black_box("leaks");
    kept
}

#[inline(never)]
fn passes(n: usize) -> Vec<Vec<u8>> {
    let mut kept = Vec::with_capacity(n);
    for _ in 0..n {
        kept.push(black_box(Vec::with_capacity(10_007)));
    }
    black_box("passes");
    kept
}

#[test]
fn what_is_old_is_told_from_what_is_new() {
    alone("what_is_old_is_told_from_what_is_new", || {
        heap::set_rate(1);
        let old = leaks(1000);
        let mut both = leaks(10);
        std::thread::sleep(Duration::from_millis(1500));
        let new = passes(500);
        both.extend(leaks(20));
        heap::set_rate(0);
        // Before anything is read, which may take a second.
        let [all, aged] = [0, 1].map(|seconds| heap::older_than(Duration::from_secs(seconds)));
        let older = |seconds: f64| read_snapshot(&heap::older_than(Duration::from_secs_f64(seconds)));
        let count = |profile: &Profile, name: &str| {
            let rows = profile.find(&[name]);
            let sized = rows.iter().filter(|row| row.number("bytes") == Some(10_007));
            sized.map(|row| row.value("inuse_objects")).sum::<i64>()
        };
        let all = read_snapshot(&all);
        assert_eq!((count(&all, "heap_views::leaks"), count(&all, "heap_views::passes")), (1030, 500));
        let aged = read_snapshot(&aged);
        assert_eq!((count(&aged, "heap_views::leaks"), count(&aged, "heap_views::passes")), (1010, 0));
        let row = aged.find(&["heap_views::leaks"])[0];
        assert_eq!(row.values[..2], row.values[2..], "all values are those blocks'");
        assert_eq!(count(&older(600.0), "heap_views::leaks"), 0);
        drop((old, new));
        assert_eq!(count(&older(0.0), "heap_views::leaks"), 30, "what is freed is gone");
        drop(both);
        assert_eq!(count(&older(0.0), "heap_views::leaks"), 0);
    });
}

/// Runs before `main`.
extern "C" fn before_main() {
    if std::env::var_os(SETTING).is_some() {
        // SAFETY: the size is not zero.
        black_box(unsafe { alloc(Layout::from_size_align(12_321, 1).unwrap()) });
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// Set in a process whose setting is looked at.
const SETTING: &str = "PROFILED_TEST_SETTING";

#[test]
fn the_rate_comes_from_the_environment_before_main() {
    if std::env::var_os(SETTING).is_some() {
        println!("rate {}", heap::rate());
        heap::set_rate(0);
        let early = read("heap").total_of("alloc_space", &["heap_views::before_main"]);
        println!("early {early}");
        return;
    }
    let run = |value: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "the_rate_comes_from_the_environment_before_main",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(SETTING, "1")
            .env("PROFILED_HEAP_RATE", value)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = |name: &str| -> u64 {
            let (_, rest) = out.split_once(name).unwrap_or_else(|| panic!("no {name} in {out}"));
            rest.lines().next().unwrap().trim().parse().unwrap()
        };
        (number("rate "), number("early "), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (rate, early, said) = run("1");
    assert_eq!(rate, 1, "{said}");
    // And what asking for a variable takes.
    assert!((12_321..12_400).contains(&early), "{early}");
    let (rate, _, said) = run(" 4096 ");
    assert_eq!(rate, 4096, "{said}");
    let (rate, _, said) = run("");
    assert!(rate == 524_288 && !said.contains("PROFILED_HEAP_RATE"), "{said}");
    for wrong in ["abc", "-1", "1k", "99999999999999999999999"] {
        let (rate, _, said) = run(wrong);
        assert_eq!(rate, 524_288, "{wrong}");
        assert_eq!(said.matches("PROFILED_HEAP_RATE is not a number of bytes").count(), 1, "{wrong}: {said}");
    }
}

/// Without counting, what is alive is estimated, and how well is said.
#[test]
fn estimates_say_how_good_they_are() {
    alone("estimates_say_how_good_they_are", || {
        let before = heap::stats();
        let blocks = hill(40 << 10);
        let stats = heap::stats();
        let live = (stats.live_bytes.value as f64 - before.live_bytes.value as f64) / (160 * MIB) as f64;
        // 320 samples of 524 288 bytes: a standard error of 5.6 %.
        let error = stats.live_bytes.standard_error as f64 / (160 * MIB) as f64;
        assert!((0.045..0.07).contains(&error), "{error}");
        assert!((live - 1.0).abs() < 4.0 * error, "{live}, {error}");
        assert!((200..450).contains(&(stats.samples - before.samples)), "{stats:?}");
        assert_eq!(stats.rate, 524_288);
        if cfg!(not(profiled_portable)) {
            assert!(stats.resident_bytes.unwrap() <= stats.peak_resident_bytes.unwrap());
        }
        assert!(stats.table_bytes > 0 && stats.lost_samples == 0);
        let text = text("heap", 1);
        assert!(text.contains("\n# Alloc is an estimate, its standard error "), "{text}");
        drop(blocks);
    });
}
