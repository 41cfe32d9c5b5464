//! A program that has no lock and no channel of the standard library, and no line about them of ours: who waited for what is
//! under the functions of the crates that it uses, and of its own.
use std::process::Command;

use profiled_test_interpose::{Profile, Sample, delay, of};

#[test]
fn a_pipeline_of_parking_lot_and_crossbeam() {
    let files = ["block", "mutex"].map(|name| {
        let name = format!("profiled-pipeline-{}-{name}.pb.gz", std::process::id());
        std::env::temp_dir().join(name)
    });
    let status = Command::new(env!("CARGO_BIN_EXE_pipeline"))
        .args(&files)
        .env("PROFILED_BLOCK_RATE", "1")
        .env("PROFILED_MUTEX_FRACTION", "1")
        .status()
        .unwrap();
    assert!(status.success());
    let [block, mutex] = files.each_ref().map(|file| {
        let profile = Profile::read(&std::fs::read(file).unwrap());
        std::fs::remove_file(file).unwrap();
        profile
    });

    // Each wait: its class, whose function it is under, and who of the program called that.
    let waits = |class: &str, of_dependency: &str, function: &str| -> f64 {
        let all = of(&block, class);
        let ours = all.into_iter().filter(|row: &&Sample| {
            let at = |part: &str| row.frames.iter().position(|frame| frame.name.contains(part));
            at(of_dependency).zip(at(function)).is_some_and(|(inner, outer)| inner < outer)
        });
        delay(&ours.collect::<Vec<_>>())
    };
    for (class, of_dependency, function) in [
        ("channel", "crossbeam_channel::", "pipeline::counts_words"),
        ("channel", "crossbeam_channel::", "pipeline::reads_files"),
        ("mutex", "parking_lot::raw_mutex::", "pipeline::counts_words"),
    ] {
        let waited = waits(class, of_dependency, function);
        assert!(waited > 1e6, "{class} of {of_dependency} in {function}: {waited} of {:#?}", block.samples());
    }
    // Nothing that is parked is left without its class.
    let nameless = of(&block, "futex");
    assert!(nameless.is_empty(), "{nameless:#?}");
    // Who reports holds the lock for 5 ms at a time, the others for less than a microsecond, unless they lose their processor
    // with it in hand.
    let charged = |function: &str| delay(&mutex.find(&[function]));
    let (reports, counts) = (charged("pipeline::reports"), charged("pipeline::counts_words"));
    assert!(reports > counts && reports > 100e6, "{reports} and {counts} of {:#?}", mutex.samples());
    assert!(
        mutex.comments.iter().any(|comment| comment.starts_with("interpose: active")),
        "{:?}",
        mutex.comments
    );
}
