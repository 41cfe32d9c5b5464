//! A library that is opened at run time has the definitions, and nothing calls them.
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library, built where this test was, of what was compiled for it.
fn plugin() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let release: &[&str] = if cfg!(debug_assertions) {
        &[]
    } else {
        &["--release", "--features", "profiled-test-dependencies/whole"]
    };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "profiled-test-interpose-plugin", "--target-dir"])
        .arg(folder)
        .args(["--package", env!("CARGO_PKG_NAME"), "--package", "profiled-test-dependencies"])
        .args(release)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo");
    assert!(status.success());
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    folder.join(profile).join("libprofiled_test_interpose_plugin.so")
}

#[test]
fn a_library_that_is_opened_does_nothing_and_says_so() {
    // In a process that has no `syscall` but libc's: Python's.
    let output = Command::new("python3")
        .args(["-c", "import ctypes, sys; sys.exit(ctypes.CDLL(sys.argv[1]).contend())"])
        .arg(plugin())
        .output()
        .expect("python3");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
