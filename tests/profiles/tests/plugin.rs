//! Functions of other libraries: in dependencies, and in libraries that are loaded while the program runs.
#![cfg(unix)]
#![expect(unsafe_code, reason = "loads libraries")]
use std::ffi::{CString, c_void};
use std::fs;
use std::mem::transmute;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use profiled::{lookup, profiled, profiles};

const METHOD: &str = "profiled_test_plugin::inner::deep::Cart::checkout";

/// The library as cargo built it for this test.
fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.parent().unwrap().join("libprofiled_test_plugin.so")
}

type Call = extern "C" fn(u32) -> u32;
type Count = unsafe extern "C" fn(*const u8, usize) -> i64;

/// A loaded library.
struct Copy {
    call: Call,
    count: Count,
}

impl Copy {
    fn load(path: &Path) -> Copy {
        let c_path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: a library of ours, whose start runs nothing but registrations; it stays loaded.
        let handle = unsafe { libc::dlopen(c_path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{}", path.display());
        let symbol = |name: &std::ffi::CStr| {
            // SAFETY: the handle is one.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            assert!(!symbol.is_null(), "{name:?}");
            symbol
        };
        let (call, count) = (symbol(c"profiled_test_plugin_call"), symbol(c"profiled_test_plugin_count"));
        // SAFETY: these are the functions of these names, of these types.
        unsafe {
            Copy { call: transmute::<*mut c_void, Call>(call), count: transmute::<*mut c_void, Count>(count) }
        }
    }

    fn count(&self, name: &str) -> i64 {
        // SAFETY: so many bytes are there.
        unsafe { (self.count)(name.as_ptr(), name.len()) }
    }
}

mod private {
    pub(super) mod deeper {
        pub(in super::super) struct Only;

        impl Only {
            #[profiled::profiled]
            #[expect(dead_code, reason = "never runs, and is found all the same")]
            fn never(&self) {}
        }
    }
}

#[profiled]
fn ours() {}

#[test]
fn functions_are_found_that_never_ran() {
    let _ = private::deeper::Only;
    // In a private module, as the only method of its block.
    let own = format!("{}::private::deeper::Only::never", module_path!());
    assert_eq!(lookup(&own).expect(&own).count(), 0);
    // In private modules of a dependency.
    assert_eq!(profiled_test_plugin::call(0), 0);
    for name in ["Cart::never", "never_waited"] {
        let name = format!("profiled_test_plugin::inner::deep::{name}");
        assert_eq!(lookup(&name).expect(&name).count(), 0);
    }
    let sorted = profiles();
    assert!(sorted.iter().any(|profile| profile.name() == own));
}

/// Each has its own functions, its own counts and its own `lookup`.
#[test]
fn copies_side_by_side_do_not_disturb_one_another() {
    let folder = std::env::temp_dir().join(format!("profiled-plugin-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let twin = folder.join("libtwin.so");
    fs::copy(library(), &twin).unwrap();
    ours();
    let ours_name = format!("{}::ours", module_path!());
    let before = lookup(METHOD).unwrap().count();
    let names: Vec<_> = profiles().iter().map(|profile| profile.name().to_owned()).collect();

    let (one, other) = (Copy::load(&library()), Copy::load(&twin));
    fs::remove_dir_all(&folder).unwrap();
    // Found before they ran, by whoever they belong to.
    assert_eq!((one.count(METHOD), other.count(METHOD)), (0, 0));
    assert_eq!(one.count("profiled_test_plugin::inner::deep::Cart::never"), 0);
    assert_eq!((one.count(&ours_name), other.count("no such name")), (-1, -1));

    let calls = std::thread::scope(|scope| {
        let threads = [(&one, 1000), (&other, 70), (&one, 500)]
            .map(|(copy, times)| scope.spawn(move || (0..times).for_each(|_| _ = (copy.call)(1))));
        profiled_test_plugin::call(3);
        ours();
        threads.into_iter().all(|thread| thread.join().is_ok())
    });
    assert!(calls);
    assert_eq!((one.count(METHOD), other.count(METHOD)), (1500, 70));
    assert_eq!(lookup(METHOD).unwrap().count(), before + 3);
    assert_eq!(lookup(&ours_name).unwrap().count(), 2);
    // Nothing came or went here.
    assert_eq!(profiles().iter().map(|profile| profile.name().to_owned()).collect::<Vec<_>>(), names);
}
