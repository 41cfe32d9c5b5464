//! The stacks of CPU samples are the standard library's own, in a plain build. `variants` does the same for others.
use std::process::Command;

#[test]
fn stacks_of_real_code_are_those_of_the_unwinder() {
    let output = Command::new(env!("CARGO_BIN_EXE_truth")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("% of 3500 stacks are identical"));
}
