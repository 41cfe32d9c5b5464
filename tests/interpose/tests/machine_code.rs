//! What it costs where nobody waits: nothing. A lock's machine code is what it is without the feature, and calls nothing of
//! ours; another system call passes one branch that is not taken.
#![expect(unsafe_code, reason = "a function that is found by its name")]
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "locks/program.rs"]
mod program;

/// The instructions of a function of this program, without addresses and bytes.
fn instructions(program: &PathBuf, function: &str) -> Vec<String> {
    let output = Command::new("objdump")
        .args(["-d", "-M", "intel", "--no-show-raw-insn", &format!("--disassemble={function}")])
        .arg(program)
        .output()
        .expect("objdump");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let begin = text.find(&format!("<{function}>:")).unwrap_or_else(|| panic!("no {function} in {text}"));
    let lines = text[begin..].lines().skip(1).take_while(|line| !line.trim().is_empty());
    lines.filter_map(|line| Some(line.split_once(":\t")?.1.trim().to_owned())).collect()
}

/// An instruction without what depends on where things lie.
fn plain(instruction: &str) -> String {
    let without = instruction.split(" #").next().unwrap_or(instruction);
    let mut words: Vec<&str> = without.split_whitespace().collect();
    if let [jump, target, ..] = words.as_slice()
        && (jump.starts_with('j') || *jump == "call")
        && target.starts_with(|c: char| c.is_ascii_hexdigit())
    {
        // Of a target, its function's name; the offset into it stays.
        let name = without.split_once('<').map_or("", |(_, name)| name);
        let name = name.split(".llvm.").next().unwrap_or(name);
        // Without the hash of the crate that made it.
        let name = name.rsplit_once("17h").map_or(name, |(name, _)| name);
        return format!("{jump} {name}");
    }
    if let Some(at) = words.iter().position(|word| word.contains("rip")) {
        words.truncate(at);
    }
    words.join(" ")
}

fn locks(program: &PathBuf) -> Vec<String> {
    instructions(program, "locks_once").iter().map(|instruction| plain(instruction)).collect()
}

/// The same function in a program that knows nothing of us, built as the workspace builds its own.
fn without() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("locks-{}", std::process::id()));
    let level = if cfg!(debug_assertions) { "0" } else { "3" };
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let status = Command::new(rustc)
        .args([
            "--edition=2024",
            "-Cpanic=unwind",
            // Not optimised, what is told of variables would lie on the stack.
            "-Cdebuginfo=line-tables-only",
            &format!("-Copt-level={level}"),
            "-o",
        ])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/locks/program.rs"))
        .status()
        .expect("rustc");
    assert!(status.success());
    program
}

#[test]
fn a_lock_is_what_it_was() {
    program::main();
    let (with, without) = (std::env::current_exe().unwrap(), without());
    let [ours, theirs] = [&with, &without].map(locks);
    std::fs::remove_file(&without).unwrap();
    assert!(ours.len() > 5, "{ours:#?}");
    assert_eq!(ours, theirs);
    // The exchange is there, where locks are inlined; what is called is the standard library's.
    let hooked = ours.iter().find(|line| line.contains("profiled::") || line.contains("<syscall"));
    assert_eq!(hooked, None);
    assert!(cfg!(debug_assertions) || ours.iter().any(|line| line.contains("cmpxchg")), "{ours:#?}");
    // An entry would have left a row: there is none, though every wait is taken.
    profiled_test_interpose::take_all();
    program::main();
    assert!(profiled_test_interpose::read("block").find(&["locks_once"]).is_empty());
    assert!(profiled_test_interpose::read("mutex").find(&["locks_once"]).is_empty());
}

#[test]
fn another_call_passes_one_branch() {
    let code = instructions(&std::env::current_exe().unwrap(), "syscall");
    let code: Vec<&str> = code.iter().map(String::as_str).filter(|line| *line != "endbr64").collect();
    assert_eq!(code.len(), 3, "{code:#?}");
    assert_eq!(code[0].split_whitespace().collect::<Vec<_>>(), ["cmp", "rdi,0xca"]);
    assert!(code[1].starts_with("je") && code[1].contains("futex"), "{code:#?}");
    assert!(code[2].starts_with("jmp") && code[2].contains("[rip+"), "{code:#?}");
}
