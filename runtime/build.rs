//! Which backend is compiled: `--cfg profiled_portable` selects the one that compiles anywhere, and so does every
//! target that the other one, in `src/sys/linux`, was not written for. `Cargo.toml` says the same once more, for the
//! dependencies.
use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |what: &str, values: &[&str]| {
        let value = env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
        values.contains(&value.as_str())
    };
    let linux = is("OS", &["linux"]) && is("ENV", &["gnu", "musl"]);
    // There is an x86-64 with pointers of 32 bits, too.
    if !(linux && is("ARCH", &["x86_64"]) && is("POINTER_WIDTH", &["64"])) {
        println!("cargo::rustc-cfg=profiled_portable");
    }
}
