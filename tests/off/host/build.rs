//! Uses the crate with `enabled`. The attribute is a procedural macro, built for the host too, so it is on for all.
#[profiled::profiled]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    assert!(profiled::lookup("build_script_build::main").is_some());
}
