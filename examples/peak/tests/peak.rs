//! The command as its user runs it, on a file that this process writes.
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, Output};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

#[inline(never)]
fn fills_memory() -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    for _ in 0..2000 {
        kept.push(black_box(vec![1; 10_000]));
    }
    kept
}

fn run(arguments: &[&str]) -> (Output, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_peak")).args(arguments).output().unwrap();
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output, out, err)
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("peak-{}-{name}", std::process::id()))
}

#[test]
fn what_filled_the_memory_is_printed_and_written() {
    let [file, profile] = ["heap.peak", "heap.pb.gz"].map(temporary);
    profiled::heap::set_rate(1000);
    profiled::heap::peak_file(&file).unwrap();
    let blocks = fills_memory();
    profiled::heap::set_rate(0);
    drop(blocks);
    let (output, out, err) = run(&[file.to_str().unwrap(), "-o", profile.to_str().unwrap()]);
    assert!(output.status.success(), "{err}");
    // 20 MB, of which the mark may miss a twentieth, and samples two in a hundred or so.
    let row = out.lines().find(|line| line.contains("peak::fills_memory")).unwrap_or_else(|| panic!("{out}"));
    let bytes: u64 = row.split_whitespace().next().unwrap().parse().unwrap();
    assert!((18_000_000..21_000_000).contains(&bytes), "{row}");
    assert!(row.contains("tests/peak.rs:"), "{row}");
    assert!(
        out.starts_with(&format!("# the live heap of process {} as it was", std::process::id())),
        "{out}"
    );
    let written = std::fs::read(&profile).unwrap();
    assert_eq!(written[..2], [0x1f, 0x8b], "gzipped protobuf");
    // Whoever looks at the file is told what it is, or is not.
    std::fs::write(&file, "something else").unwrap();
    let (output, _, err) = run(&[file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("invalid value for peak file"), "{err}");
    for path in [file, profile] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn wrong_arguments_are_named() {
    for (arguments, wrong) in [
        (&[][..], "no file"),
        (&["a", "b"], "one file at a time"),
        (&["-x"], "there is no option -x"),
        (&["a", "-o"], "-o wants a file"),
    ] {
        let (output, _, err) = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err.starts_with(&format!("peak: {wrong}\nusage: peak FILE")), "{err}");
    }
    let (output, _, err) = run(&["/no/such/file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("/no/such/file: No such file"), "{err}");
    assert!(run(&["--help"]).1.starts_with("usage: peak FILE"));
}
