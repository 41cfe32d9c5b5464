//! The reference that stacks are compared with, libgcc's unwinder, and the code that makes the stacks.
use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use profiled::__private::stack as ours;

pub mod maze;

/// Frames that the reference keeps.
pub const DEEP: usize = 700;
/// Frames that the crate keeps.
pub const MAX_FRAMES: usize = 128;

unsafe extern "C" {
    fn _Unwind_Backtrace(
        trace: extern "C" fn(*mut c_void, &mut Reference) -> c_int,
        reference: &mut Reference,
    ) -> c_int;
    fn _Unwind_GetIPInfo(context: *mut c_void, before: &mut c_int) -> usize;
}

/// What libgcc (with musl: LLVM's libunwind) found: lookup addresses, leaf first.
#[repr(C)]
pub struct Reference {
    pub len: usize,
    pub addresses: [u64; DEEP],
    /// The index of the first frame that was interrupted rather than left by a call, or `usize::MAX`.
    pub interrupted: usize,
}

impl Reference {
    pub const fn new() -> Reference {
        Reference { len: 0, addresses: [0; DEEP], interrupted: usize::MAX }
    }

    /// The first address is in the function that this is called in.
    #[inline(never)]
    pub fn take(&mut self) {
        extern "C" fn one(context: *mut c_void, reference: &mut Reference) -> c_int {
            let mut before = 0;
            // SAFETY: libgcc's own context.
            let ip = unsafe { _Unwind_GetIPInfo(context, &mut before) } as u64;
            if before != 0 && reference.interrupted == usize::MAX {
                reference.interrupted = reference.len;
            }
            if ip != 0 && reference.len < DEEP {
                reference.addresses[reference.len] = ip - u64::from(before == 0);
                reference.len += 1;
            }
            0
        }
        self.len = 0;
        self.interrupted = usize::MAX;
        // SAFETY: calls back with what it is given.
        unsafe { _Unwind_Backtrace(one, self) };
        black_box(&*self);
    }

    pub fn addresses(&self) -> &[u64] {
        &self.addresses[..self.len]
    }
}

impl Default for Reference {
    fn default() -> Self {
        Reference::new()
    }
}

/// Whether a stack is what the reference says, cut at the depth that the crate keeps.
pub fn same(ours: &[u64], truncated: bool, theirs: &[u64]) -> bool {
    // musl's own C code, such as `qsort` and what begins a thread, has no unwind information. Both end there: the
    // reference before that frame, ours after it.
    if cfg!(target_env = "musl") && ours.len() == theirs.len() + 1 {
        return ours[..theirs.len()] == *theirs;
    }
    !ours.is_empty()
        && ours == &theirs[..theirs.len().min(MAX_FRAMES)]
        && truncated == (theirs.len() > MAX_FRAMES)
}

/// Hits and misses, and the first few misses in words.
#[derive(Default)]
pub struct Score {
    pub same: usize,
    pub different: usize,
    pub examples: Vec<String>,
    pub deepest: usize,
}

impl Score {
    pub fn add(&mut self, ours: &[u64], truncated: bool, theirs: &[u64]) {
        self.deepest = self.deepest.max(theirs.len());
        if same(ours, truncated, theirs) {
            self.same += 1;
            return;
        }
        self.different += 1;
        if self.examples.len() < 5 {
            let at = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
            self.examples.push(format!(
                "{} and {} frames (cut: {truncated}), apart from {at}: {:x?}, {:x?}",
                ours.len(),
                theirs.len(),
                &ours[at.saturating_sub(1)..ours.len().min(at + 2)],
                &theirs[at.saturating_sub(1)..theirs.len().min(at + 2)],
            ));
        }
    }

    /// Takes the caller's stack both ways.
    #[inline(never)]
    pub fn compare(&mut self) {
        let mut reference = Box::new(Reference::new());
        let (addresses, truncated) = ours::capture_addresses(1);
        reference.take();
        // `take` and this function are not among ours.
        let theirs = reference.addresses().get(2..).unwrap_or_default();
        self.add(&addresses, truncated, theirs);
    }

    pub fn merge(&mut self, other: Score) {
        self.same += other.same;
        self.different += other.different;
        self.deepest = self.deepest.max(other.deepest);
        self.examples.extend(other.examples);
    }

    pub fn percent(&self) -> f64 {
        100.0 * self.same as f64 / (self.same + self.different).max(1) as f64
    }

    /// Prints the score, and demands at least 99 % of at least `stacks` stacks.
    pub fn check(&self, what: &str, stacks: usize) {
        let total = self.same + self.different;
        println!("{what}: {:.3} % of {total} stacks, up to {} frames", self.percent(), self.deepest);
        for example in &self.examples {
            println!("  {example}");
        }
        assert!(total >= stacks, "{total} stacks are too few");
        assert!(self.percent() >= 99.0, "{:.3} %", self.percent());
    }
}

/// Compiles `source` into a library that can be opened.
pub fn library(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("profiled-test-stack-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (c, so) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    std::fs::write(&c, source).unwrap();
    let status =
        Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&so).arg(&c).args(flags).status();
    assert!(status.unwrap().success());
    so
}

/// An open library, closed when dropped.
pub struct Library(*mut c_void);

// SAFETY: a handle that any thread may use.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    pub fn open(path: &Path) -> Library {
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a library of ours, without constructors.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null());
        Library(handle)
    }

    /// The function that calls the one it is given.
    pub fn caller(&self, name: &std::ffi::CStr) -> extern "C" fn(extern "C" fn(*mut c_void), *mut c_void) {
        // SAFETY: the handle is open.
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!symbol.is_null());
        // SAFETY: the tests' libraries have functions of this type only.
        unsafe { std::mem::transmute(symbol) }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once.
        unsafe { libc::dlclose(self.0) };
    }
}
