//! CPU samples of code that no compiler's table describes: a just-in-time compiler's, the vdso's, stubs of the linker.
#![cfg(not(profiled_portable))]
#![expect(unsafe_code, reason = "machine code by hand, and a library that is opened")]
use std::ffi::{CStr, CString, c_void};
use std::hint::black_box;
use std::ops::Range;
use std::process::Command;
use std::thread;
use std::time::Duration;

use profiled_test_profiles::cpu::at;
use profiled_test_profiles::{Profile, Sample, alone, busy, cpu_time, read_snapshot};

const MS: Duration = Duration::from_millis(1);
/// Rounds of a loop: some milliseconds.
const ROUNDS: u64 = 10_000_000;

busy! { calls_back_for }

/// `f(n)`, with a frame pointer: counts `n` down to 0.
const FRAMED: &[u8] = &[
    0x55, // push rbp
    0x48, 0x89, 0xe5, // mov rbp, rsp
    0x48, 0xff, 0xcf, // dec rdi
    0x75, 0xfb, // jnz the line before
    0x5d, // pop rbp
    0xc3, // ret
];

/// `f(n, depth)`, with a frame pointer: so many frames of its own, of which the last counts `n` down.
const RECURSIVE: &[u8] = &[
    0x55, // push rbp
    0x48, 0x89, 0xe5, // mov rbp, rsp
    0x48, 0xff, 0xce, // dec rsi
    0x74, 0x07, // jz over the call
    0xe8, 0xf2, 0xff, 0xff, 0xff, // call the beginning
    0x5d, // pop rbp
    0xc3, // ret
    0x48, 0xff, 0xcf, // dec rdi
    0x75, 0xfb, // jnz the line before
    0x5d, // pop rbp
    0xc3, // ret
];

/// `f(n)`, a leaf that uses no stack at all.
const FRAMELESS: &[u8] = &[
    0x48, 0xff, 0xcf, // dec rdi
    0x75, 0xfb, // jnz the line before
    0xc3, // ret
];

/// `f(n, rbp, word)`: 128 bytes of its own, zeroed but for `word` where `rsp` points, and something in `rbp`.
const MOVED: &[u8] = &[
    0x55, // push rbp
    0x48, 0x89, 0xf5, // mov rbp, rsi
    0xb9, 0x0f, 0x00, 0x00, 0x00, // mov ecx, 15
    0x6a, 0x00, // push 0
    0xff, 0xc9, // dec ecx
    0x75, 0xfa, // jnz the push
    0x52, // push rdx
    0x48, 0xff, 0xcf, // dec rdi
    0x75, 0xfb, // jnz the line before
    0x48, 0x83, 0xec, 0x80, // sub rsp, -128
    0x5d, // pop rbp
    0xc3, // ret
];

/// `f(g, argument)`, with a frame pointer: calls `g(argument)`.
const CALLING: &[u8] = &[
    0x55, // push rbp
    0x48, 0x89, 0xe5, // mov rbp, rsp
    0x48, 0x89, 0xf8, // mov rax, rdi
    0x48, 0x89, 0xf7, // mov rdi, rsi
    0xff, 0xd0, // call rax
    0x5d, // pop rbp
    0xc3, // ret
];

/// `f()`: where it returns to.
const RETURN_ADDRESS: &[u8] = &[
    0x48, 0x8b, 0x04, 0x24, // mov rax, [rsp]
    0xc3, // ret
];

/// A page of code that no table knows.
struct Page(*mut u8);

impl Page {
    fn new(code: &[u8]) -> Page {
        // SAFETY: memory of our own, written before it may run.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let page = libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0);
            assert_ne!(page, libc::MAP_FAILED);
            std::ptr::copy_nonoverlapping(code.as_ptr(), page.cast(), code.len());
            assert_eq!(libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_EXEC), 0);
            Page(page.cast())
        }
    }

    fn range(&self) -> Range<u64> {
        let begin = self.0.addr() as u64;
        begin..begin + 4096
    }
}

/// What is wrong with a sample, if anything is.
type Judge<'a> = &'a dyn Fn(&Sample) -> Result<(), &'static str>;

/// Runs `work` on a thread of its own for long enough, and sees that nearly all the time is in samples that begin in
/// `code`, that the total is whole, and that `judge` finds nothing wrong.
fn sampled(name: &str, code: &Range<u64>, work: &(dyn Fn() + Sync), judge: Judge<'_>) -> Profile {
    let mut shares = (0.0, 0.0);
    for time in [1000 * MS, 2000 * MS, 4000 * MS, 8000 * MS] {
        let session = at(1000);
        let before = cpu_time();
        thread::scope(|scope| _ = scope.spawn(|| beginning(time, work)));
        let used = (cpu_time() - before).as_nanos() as f64;
        let profile = read_snapshot(&session.stop());
        let (mut inside, mut wrong) = (0, Vec::new());
        for sample in profile.samples().iter().filter(|sample| code.contains(&sample.frames[0].address)) {
            inside += sample.value("cpu");
            if let Err(fault) = judge(sample) {
                wrong.push((fault, sample.value("samples"), names(sample)));
            }
        }
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        shares = (profile.total("cpu") as f64 / used, inside as f64 / used);
        // A period at both ends, and up to a tick of the kernel's when the thread gets its timer and when it ends: 10 of
        // 1 000 ms. What the machine takes from us meanwhile is repeated, twice as long.
        if (0.95..=1.05).contains(&shares.0) && shares.1 >= 0.85 {
            return profile;
        }
        eprintln!("{name}: {shares:?} of {used}");
    }
    panic!("{name}: {shares:?} of the time is there, and is in the code");
}

/// What a thread of ours begins with.
#[inline(never)]
fn beginning(time: Duration, work: &dyn Fn()) {
    let end = profiled_test_profiles::cpu::thread_time() + time.as_nanos() as u64;
    while profiled_test_profiles::cpu::thread_time() < end {
        work();
    }
    black_box(());
}

fn names(sample: &Sample) -> Vec<String> {
    sample.frames.iter().map(|frame| format!("{:#x} {}", frame.address, frame.name)).collect()
}

fn is_truncated(sample: &Sample) -> bool {
    sample.frames.iter().any(|frame| frame.name == "[truncated]")
}

/// `depth` frames in `page`, then `caller`, and the thread's beginning in the end.
fn whole(sample: &Sample, page: &Range<u64>, depth: usize, caller: &str) -> Result<(), &'static str> {
    let (of_page, rest) = sample.frames.split_at(depth.min(sample.frames.len()));
    if !of_page.iter().all(|frame| page.contains(&frame.address)) {
        return Err("not that deep in the page");
    }
    if !rest.first().is_some_and(|frame| frame.name.contains(caller)) {
        return Err("another caller");
    }
    let ends = !is_truncated(sample) && sample.has(&[caller, "cpu_jit::beginning"]);
    if ends { Ok(()) } else { Err("it does not end where the thread began") }
}

/// In front of a function's first instruction and after its last, a frame pointer is still or again the caller's. No
/// sample of a loop of millions of rounds falls there, or one in thousands.
#[inline(never)]
fn calls_framed(f: extern "C" fn(u64, u64), n: u64, depth: u64) {
    f(n, depth);
    black_box(());
}

#[test]
fn frame_pointers_lead_out_of_code_without_a_table() {
    alone("frame_pointers_lead_out_of_code_without_a_table", || {
        let page = Page::new(FRAMED);
        // SAFETY: it takes a number, and leaves all registers that are not its own.
        let f: extern "C" fn(u64, u64) = unsafe { std::mem::transmute(page.0) };
        sampled("one frame", &page.range(), &|| calls_framed(f, ROUNDS, 0), &|sample| {
            whole(sample, &page.range(), 1, "cpu_jit::calls_framed")
        });
        let page = Page::new(RECURSIVE);
        // SAFETY: as above, and calls itself.
        let f: extern "C" fn(u64, u64) = unsafe { std::mem::transmute(page.0) };
        for depth in [3, 100] {
            sampled("several", &page.range(), &|| calls_framed(f, ROUNDS, depth), &|sample| {
                whole(sample, &page.range(), depth as usize, "cpu_jit::calls_framed")
            });
        }
    });
}

#[inline(never)]
fn calls_frameless(f: extern "C" fn(u64)) {
    f(ROUNDS);
    black_box(());
}

#[test]
fn a_leaf_that_uses_no_stack_has_its_caller() {
    alone("a_leaf_that_uses_no_stack_has_its_caller", || {
        let page = Page::new(FRAMELESS);
        // SAFETY: it takes a number, and leaves all registers that are not its own.
        let f: extern "C" fn(u64) = unsafe { std::mem::transmute(page.0) };
        sampled("a leaf", &page.range(), &|| calls_frameless(f), &|sample| {
            whole(sample, &page.range(), 1, "cpu_jit::calls_frameless")
        });
    });
}

#[inline(never)]
fn calls_moved(f: extern "C" fn(u64, u64, u64), rbp: u64, word: u64) {
    f(ROUNDS, rbp, word);
    black_box(());
}

/// Calls, and is nobody's caller when its return address is found again.
#[inline(never)]
fn decoy(f: extern "C" fn() -> u64) -> u64 {
    f() ^ black_box(0)
}

/// Code that moved the stack pointer, has no frame pointer and no table cannot be left. What lies about must not be
/// taken for the way out.
#[test]
fn no_caller_is_made_up() {
    alone("no_caller_is_made_up", || {
        let page = Page::new(MOVED);
        let tells = Page::new(RETURN_ADDRESS);
        // SAFETY: it takes numbers, and leaves all registers that are not its own.
        let f: extern "C" fn(u64, u64, u64) = unsafe { std::mem::transmute(page.0) };
        // SAFETY: as above, and takes none.
        let tells: extern "C" fn() -> u64 = unsafe { std::mem::transmute(tells.0) };
        let function = decoy as *const () as u64;
        let stale = decoy(tells);
        // What a structure may hold: its own address, and a function's.
        let (mut looks_like, mut is_stale) = ([0_u64, function, 0, 0], [0_u64, stale, 0, 0]);
        looks_like[0] = looks_like.as_ptr().addr() as u64;
        is_stale[0] = is_stale.as_ptr().addr() as u64 + 16;
        let mut reached = 0;
        for (what, rbp, word) in [
            ("a number", 0xdead_beef_dead, 7),
            ("0", 0, 0),
            ("no address", 0x8000_0000_0000_0000, function),
            ("a function's address", 1, function),
            ("a return address that was left behind", 2, stale),
        ] {
            let profile = sampled(what, &page.range(), &|| calls_moved(f, rbp, word), &|sample| {
                reached_or_truncated(sample, &page.range())
            });
            let samples = profile.samples().iter();
            reached +=
                samples.filter(|sample| !is_truncated(sample)).map(|s| s.value("samples")).sum::<i64>();
        }
        eprintln!("{reached} samples came home");
        for (what, of) in [("a structure", &looks_like), ("an old one", &is_stale)] {
            // On the stack of the very thread.
            let copied = || {
                let mut words = *of;
                words[0] = words.as_ptr().addr() as u64 + (of[0] - of.as_ptr().addr() as u64);
                calls_moved(f, black_box(&words).as_ptr().addr() as u64, 0);
            };
            sampled(what, &page.range(), &copied, &|sample| reached_or_truncated(sample, &page.range()));
        }
    });
}

fn reached_or_truncated(sample: &Sample, page: &Range<u64>) -> Result<(), &'static str> {
    match &sample.frames[..] {
        [_, end] if end.name == "[truncated]" => Ok(()),
        _ => whole(sample, page, 1, "cpu_jit::calls_moved"),
    }
}

extern "C" fn is_called_back(_: u64) {
    calls_back_for(10 * MS);
}

#[inline(never)]
fn calls_calling(f: extern "C" fn(extern "C" fn(u64), u64)) {
    f(is_called_back, 1);
    black_box(());
}

#[test]
fn a_walk_passes_through_code_without_a_table() {
    alone("a_walk_passes_through_code_without_a_table", || {
        let page = Page::new(CALLING);
        // SAFETY: it takes a function and a number, and leaves all registers that are not its own.
        let f: extern "C" fn(extern "C" fn(u64), u64) = unsafe { std::mem::transmute(page.0) };
        let own = ["cpu_jit::is_called_back", "cpu_jit::calls_calling", "cpu_jit::beginning"];
        sampled("called back", &(0..u64::MAX), &|| calls_calling(f), &|sample| {
            // Its thread begins and ends, and another waits for it.
            if !sample.has(&own[..1]) {
                return Ok(());
            }
            let inside = sample.frames.iter().filter(|frame| page.range().contains(&frame.address)).count();
            let good = inside == 1 && !is_truncated(sample) && sample.has(&own);
            if good { Ok(()) } else { Err("no way through") }
        });
    });
}

#[inline(never)]
fn reads_the_clock() {
    for _ in 0..10_000 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a good pointer.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        black_box(time);
    }
}

#[test]
fn the_kernels_own_library_has_callers() {
    alone("the_kernels_own_library_has_callers", || {
        // SAFETY: takes a number, gives a number.
        let vdso = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
        assert_ne!(vdso, 0);
        let profile = sampled("a clock", &(0..u64::MAX), &|| reads_the_clock(), &|sample| {
            if !(vdso..vdso + (16 << 10)).contains(&sample.frames[0].address) {
                return Ok(());
            }
            // What begins the thread looks at a clock, too.
            let called = !is_truncated(sample) && sample.has(&["clock_gettime", "cpu_jit::beginning"]);
            if called { Ok(()) } else { Err("nobody called it") }
        });
        let of_clock = profile.find(&["cpu_jit::reads_the_clock"]);
        let inside = of_clock.iter().filter(|s| (vdso..vdso + (16 << 10)).contains(&s.frames[0].address));
        let share = inside.map(|s| s.value("cpu")).sum::<i64>() as f64 / profile.total("cpu") as f64;
        assert!(share > 0.2, "{share} of the time is in the vdso");
        assert!(of_clock.iter().all(|sample| !is_truncated(sample)));
    });
}

/// Where a section is in a library that is loaded at `base`.
fn section(library: &str, name: &str, base: u64) -> Option<Range<u64>> {
    let output = Command::new("objdump").args(["-h", library]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(name))?;
    let cells: Vec<u64> =
        line.split_whitespace().skip(2).take(2).map(|cell| u64::from_str_radix(cell, 16).unwrap()).collect();
    Some(base + cells[1]..base + cells[1] + cells[0])
}

#[inline(never)]
fn calls_stubs(f: extern "C" fn(u64) -> u64) {
    assert_eq!(f(1_000_000), 1_000_000);
}

#[test]
fn stubs_have_callers() {
    alone("stubs_have_callers", || {
        let name = format!("profiled-{}-stubs", std::process::id());
        let [source, library] = ["c", "so"].map(|end| std::env::temp_dir().join(format!("{name}.{end}")));
        // `next` is for everybody, so that whoever is loaded first may define it: it is called through a stub.
        let code = "unsigned long next(unsigned long n) { return n + 1; }
            unsigned long count(unsigned long n) { unsigned long at = 0; while (at < n) at = next(at); return at; }";
        std::fs::write(&source, code).unwrap();
        for protection in ["none", "branch"] {
            let cc = Command::new("cc")
                .args(["-shared", "-fPIC", "-fplt", "-fno-inline", "-fsemantic-interposition", "-O1"])
                .arg(format!("-fcf-protection={protection}"))
                .arg("-o")
                .args([&library, &source])
                .status();
            assert!(cc.unwrap().success());
            let path = CString::new(library.to_str().unwrap()).unwrap();
            let (f, base) = open(&path);
            let of = |name| section(library.to_str().unwrap(), name, base);
            let stubs = of(".plt.sec").or_else(|| of(".plt")).unwrap();
            let profile = sampled("stubs", &(0..u64::MAX), &|| calls_stubs(f), &|sample| {
                let in_stub = stubs.contains(&sample.frames[0].address);
                if in_stub
                    && (is_truncated(sample) || !sample.has(&["cpu_jit::calls_stubs", "cpu_jit::beginning"]))
                {
                    return Err("nobody called it");
                }
                Ok(())
            });
            let inside = profile.samples().iter().filter(|s| stubs.contains(&s.frames[0].address));
            let share = inside.map(|s| s.value("cpu")).sum::<i64>() as f64 / profile.total("cpu") as f64;
            assert!(share > 0.02, "{share} of the time is in {stubs:x?}");
            let whole = profile.total_of("cpu", &["count", "cpu_jit::calls_stubs", "cpu_jit::beginning"]);
            // What no tick noticed before the end has no stack.
            let with_stacks = profile.total("cpu") - profile.total_of("cpu", &["[unattributed]"]);
            let share = whole as f64 / with_stacks as f64;
            assert!(share > 0.95, "{share} of the time has its callers");
            std::fs::remove_file(&library).unwrap();
        }
        std::fs::remove_file(source).unwrap();
    });
}

/// The function `count` of a library that stays open, and where the library is.
fn open(path: &CStr) -> (extern "C" fn(u64) -> u64, u64) {
    // SAFETY: a library of ours, whose function has this signature.
    unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!handle.is_null());
        let count: *mut c_void = libc::dlsym(handle, c"count".as_ptr());
        assert!(!count.is_null());
        let mut found: libc::Dl_info = std::mem::zeroed();
        assert_ne!(libc::dladdr(count, &raw mut found), 0);
        (std::mem::transmute::<*mut c_void, extern "C" fn(u64) -> u64>(count), found.dli_fbase.addr() as u64)
    }
}
