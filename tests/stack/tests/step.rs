//! Stacks from a signal handler, at every instruction of real code: prologues, epilogues, stubs, system calls.
//!
//! A child process sets the processor's trap flag, so that each instruction ends in a SIGTRAP; its handler takes the
//! interrupted stack both ways. libgcc crosses the signal frame; what it finds behind that is the reference.
#![cfg(not(any(profiled_portable, target_env = "musl")))]
use profiled_test_stack::maze::{go, small_plan};
use profiled_test_stack::{DEEP, Reference, Score, ours};
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

const CHILD: &str = "PROFILED_TEST_STEP";
/// Stacks that differ and are kept to be shown.
const KEPT: usize = 2000;

static RUNNING: AtomicBool = AtomicBool::new(false);
static SAME: AtomicUsize = AtomicUsize::new(0);
static DIFFERENT: AtomicUsize = AtomicUsize::new(0);
static DEEPEST: AtomicUsize = AtomicUsize::new(0);
/// libgcc's own text. Where it jumps into a landing pad its unwind information is wrong for an instruction or two,
/// and libgcc crashes over it; we must not, but nobody says what would be right.
static LIBGCC: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static UNJUDGED: AtomicUsize = AtomicUsize::new(0);
static mut REFERENCE: Reference = Reference::new();
static mut OURS: [u64; 128] = [0; 128];
static mut MISSES: [(usize, usize, usize, [u64; 3], bool); KEPT] = [(0, 0, 0, [0; 3], false); KEPT];

const _: () = assert!(DEEP > 128);

#[expect(static_mut_refs, reason = "one thread, one handler, which is not interrupted by itself")]
extern "C" fn on_trap(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: as said above; the context is the handler's own.
    unsafe {
        if !RUNNING.load(Relaxed) {
            let context = context.cast::<libc::ucontext_t>();
            (*context).uc_mcontext.gregs[libc::REG_EFL as usize] &= !0x100;
            return;
        }
        let (len, truncated) = ours::capture_context(context, &mut OURS);
        let pc = (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
        if (LIBGCC[0].load(Relaxed)..LIBGCC[1].load(Relaxed)).contains(&pc) {
            UNJUDGED.fetch_add(1, Relaxed);
            return;
        }
        REFERENCE.take();
        let theirs = REFERENCE.addresses().get(REFERENCE.interrupted..).unwrap_or_default();
        let found = &OURS[..len];
        DEEPEST.fetch_max(theirs.len(), Relaxed);
        if profiled_test_stack::same(found, truncated, theirs) {
            SAME.fetch_add(1, Relaxed);
            return;
        }
        let miss = DIFFERENT.fetch_add(1, Relaxed);
        if let Some(slot) = MISSES.get_mut(miss) {
            let at = found.iter().zip(theirs).take_while(|(a, b)| a == b).count();
            let word = |words: &[u64], at: usize| words.get(at).copied().unwrap_or(0);
            let words = [word(found, at.saturating_sub(1)), word(found, at), word(theirs, at)];
            *slot = (len, theirs.len(), at, words, truncated);
        }
    }
}

fn stepping(run: impl FnOnce()) {
    RUNNING.store(true, Relaxed);
    // SAFETY: sets the trap flag, which the handler takes back.
    unsafe { std::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    run();
    RUNNING.store(false, Relaxed);
    black_box(());
}

fn child() {
    ours::prepare();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("libgcc_s") && line.contains(" r-xp ")).unwrap();
    for (bound, digits) in LIBGCC.iter().zip(line.split([' ', '-'])) {
        bound.store(usize::from_str_radix(digits, 16).unwrap(), Relaxed);
    }
    // SAFETY: installs the handler above.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_trap as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGTRAP, &action, std::ptr::null_mut()), 0);
    }
    let mut parts = Vec::new();
    let mut part = |name: &str, run: &mut dyn FnMut()| {
        let before = (SAME.load(Relaxed), DIFFERENT.load(Relaxed));
        stepping(run);
        parts.push(format!(
            "{name} {}/{}",
            SAME.load(Relaxed) - before.0,
            DIFFERENT.load(Relaxed) - before.1
        ));
    };
    part("maze", &mut || {
        for number in 0..60 {
            go(&small_plan(number, number as usize % 12), &mut || _ = black_box(number));
        }
    });
    part("std", &mut || {
        let mut map = HashMap::new();
        for n in 0..12 {
            map.insert(format!("{n:>5} {:?}", black_box([1.5, n as f64])), vec![n; n]);
        }
        let mut words: Vec<_> = map.keys().cloned().collect();
        words.sort();
        black_box(words.join("+"));
    });
    part("libc", &mut || {
        // SAFETY: calls with proper arguments.
        unsafe {
            let mut buffer = [0_u8; 300];
            libc::snprintf(buffer.as_mut_ptr().cast(), 300, c"%s %d %f".as_ptr(), c"x".as_ptr(), 7, 2.5);
            libc::free(libc::realloc(libc::malloc(black_box(100)), 400_000));
            libc::getenv(c"PATH".as_ptr());
            libc::syscall(libc::SYS_getpid);
            libc::usleep(1);
            let mut time = std::mem::zeroed();
            libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time);
            libc::strtod(c"1.25e3".as_ptr(), std::ptr::null_mut());
        }
        black_box(std::time::Instant::now());
    });
    part("panic", &mut || {
        _ = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(black_box(1))));
    });
    let (same, different) = (SAME.load(Relaxed), DIFFERENT.load(Relaxed));
    let mut score = Score { same, different, deepest: DEEPEST.load(Relaxed), ..Score::default() };
    // Which code the misses are in, and how often.
    #[expect(clippy::type_complexity, reason = "a table for one look")]
    let mut kinds: HashMap<([u64; 3], bool), (usize, usize, usize, usize)> = HashMap::new();
    // SAFETY: nobody traps any more.
    for &(ours, theirs, at, words, truncated) in unsafe { &MISSES[..different.min(KEPT)] } {
        kinds.entry((words, truncated)).or_insert((0, ours, theirs, at)).0 += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, (count, ..))| std::cmp::Reverse(*count));
    for ((words, truncated), (count, ours_len, theirs_len, at)) in kinds.into_iter().take(20) {
        let place = |address: u64| match ours::module_at(address, ours::epoch()) {
            Some((path, _)) => format!("{}+{:#x}", path, address - ours::bias(address).unwrap_or(0)),
            None => {
                if address > 4096 {
                    for l in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
                        let r = l.split(' ').next().unwrap();
                        let (a, b) = r.split_once('-').unwrap();
                        if u64::from_str_radix(a, 16).unwrap() <= address
                            && address < u64::from_str_radix(b, 16).unwrap()
                        {
                            println!("MAPS {l}");
                        }
                    }
                }
                format!("{address:#x}")
            }
        };
        score.examples.push(format!(
            "{count} times: {ours_len} and {theirs_len} frames, cut: {truncated}, apart from {at}: after {} {} against {}",
            place(words[0]),
            place(words[1]),
            place(words[2]),
        ));
    }
    println!("same/different: {}; unjudged: {}", parts.join(", "), UNJUDGED.load(Relaxed));
    score.check("single steps", 50_000);
}

#[test]
fn every_instruction_can_be_interrupted() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "every_instruction_can_be_interrupted", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
}
