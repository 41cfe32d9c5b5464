//! Which backend is compiled: `--cfg profiled_portable` selects the one that compiles anywhere, and so does every
//! target that the other one, in `src/sys/linux`, was not written for. `Cargo.toml` says the same once more, for the
//! dependencies. Whether `interpose` has anything to bind to. And whether the standard library has what came with 1.92.
use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |what: &str, values: &[&str]| {
        let value = env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
        values.contains(&value.as_str())
    };
    let linux = is("OS", &["linux"]) && is("ENV", &["gnu", "musl"]);
    // There is an x86-64 with pointers of 32 bits, too.
    let ours = linux && is("ARCH", &["x86_64"]) && is("POINTER_WIDTH", &["64"]);
    if !ours {
        println!("cargo::rustc-cfg=profiled_portable");
    }
    // The feature `interpose`, where a program's definition of a function of libc's can be bound: glibc, as a shared
    // library.
    println!("cargo::rustc-check-cfg=cfg(profiled_interpose)");
    let is_on = |name: &str| env::var_os(format!("CARGO_{name}")).is_some();
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let glibc = is("ENV", &["gnu"]) && !features.split(',').any(|feature| feature == "crt-static");
    if ours
        && glibc
        && is_on("FEATURE_INTERPOSE")
        && is_on("FEATURE_ENABLED")
        && !is_on("CFG_PROFILED_PORTABLE")
    {
        println!("cargo::rustc-cfg=profiled_interpose");
    }
    // `RwLockWriteGuard::downgrade`. Of a compiler that does not say, the oldest that we know is expected.
    println!("cargo::rustc-check-cfg=cfg(profiled_rust_1_92)");
    if minor_version().is_some_and(|minor| minor >= 92) {
        println!("cargo::rustc-cfg=profiled_rust_1_92");
    }
}

/// The compiler's 92 of 1.92.0.
fn minor_version() -> Option<u32> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}
