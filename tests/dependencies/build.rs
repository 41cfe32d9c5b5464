//! Nothing: there are no build dependencies without a build script.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
