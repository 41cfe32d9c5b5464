//! Runs the bench with `--profile-time`, as its author would, and reads what it left behind.
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use profiled_test_reader::{FlameGraph, Profile, pprof, strict};

const SUM: &str = "profiled_test_criterion::hot_sum";
const PRODUCT: &str = "profiled_test_criterion::hot_product";

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("profiled-criterion-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// The files below, without the folder's own path.
    fn files(&self) -> BTreeMap<String, PathBuf> {
        fn walk(root: &Path, folder: &Path, into: &mut BTreeMap<String, PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, into);
                } else {
                    into.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), path);
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(&self.0, &self.0, &mut files);
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// As it is compiled for other tests, too.
const ON: [&str; 2] = ["--features", "profiled-test-dependencies/whole"];

/// `cargo bench --bench sums` and so on, with criterion's output in `folder`.
fn bench(folder: &Folder, cargo: &[&str], arguments: &[&str], rate: &str) -> Output {
    let output = Command::new(env!("CARGO"))
        .args(["bench", "--offline", "--quiet", "--bench", "sums"])
        // What is beneath as it is compiled for other tests.
        .args(["-p", env!("CARGO_PKG_NAME"), "-p", "profiled-test-dependencies"])
        .args(cargo)
        .arg("--")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CRITERION_HOME", &folder.0)
        .env("RATE", rate)
        .output()
        .unwrap();
    let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{}\n{}", text[0], text[1]);
    output
}

/// What is in a benchmark's file, held against every rule, and of whose CPU time it is. A benchmark has its thread for
/// itself, so that but for the profiler's own thread and criterion's arithmetic all of it is the function's.
fn assert_profile(path: &Path, function: &str, other: &str) -> Profile {
    let file = fs::read(path).unwrap();
    assert_eq!(strict(&file, true), [""; 0]);
    let profile = Profile::read(&file);
    let (all, its) = (profile.total("cpu"), profile.total_of("cpu", &[function]));
    assert!(its * 10 >= all * 8 && its > 0, "{its} of {all} ns is of {function}");
    assert_eq!(profile.total_of("cpu", &[other]), 0, "the other benchmark's");
    // What the real reader prints: `flat flat% sum% cum cum% name`.
    let top = pprof(&[OsStr::new("-top"), OsStr::new("-symbolize=none"), path.as_os_str()]);
    assert!(
        top.lines().any(|line| line.ends_with(function) || line.ends_with(&format!("{function} (inline)"))),
        "{top}"
    );
    profile
}

#[test]
fn each_benchmark_has_its_profile() {
    let folder = Folder::new("on");
    bench(&folder, &ON, &["--profile-time", "1"], "1000");
    let mut files = folder.files();
    let expected = ["product/profile/flamegraph.svg", "product/profile/profile.pb.gz"].map(str::to_owned);
    let product: Vec<_> = files.keys().filter(|name| name.starts_with("product/")).cloned().collect();
    assert_eq!(product, expected);
    assert_profile(&files.remove(&expected[1]).unwrap(), PRODUCT, SUM);
    files.remove(&expected[0]);

    // The name of the other is one that criterion has to change for a directory.
    let names: Vec<_> = files.keys().cloned().collect();
    let [svg, file] = &names[..] else { panic!("{names:?}") };
    assert!(svg.starts_with("sums/") && svg.ends_with("/profile/flamegraph.svg"), "{svg}");
    let profile = assert_profile(&files[file], SUM, PRODUCT);
    // Optimised, with line tables: what is inlined has its name, its file and its line.
    let inlined = profile.find(&["profiled_test_criterion::step", "src/lib.rs", SUM]);
    assert!(inlined.iter().any(|sample| sample.value("cpu") > 0), "nothing is inlined into {SUM}");

    let image = fs::read_to_string(&files[svg]).unwrap();
    let graph = FlameGraph::read(&image).unwrap();
    assert_eq!((graph.title.as_str(), graph.unit.as_str()), ("cpu: cpu in nanoseconds", "nanoseconds"));
    assert_eq!(graph.total, u64::try_from(profile.total("cpu")).unwrap());
    let drawn: u64 = graph
        .bars
        .iter()
        .filter(|(path, _)| path.last().is_some_and(|name| name == SUM))
        .map(|bar| bar.1)
        .sum();
    let its = profile.total_of("cpu", &[SUM]);
    assert!(drawn as f64 >= its as f64 * 0.99, "{drawn} of {its} ns is drawn");
    assert!(graph.subtitle.contains("sampled at 1000 Hz"), "{}", graph.subtitle);
}

#[test]
fn what_is_refused_is_said_and_ends_nothing() {
    let folder = Folder::new("refused");
    for (rate, value) in [("0", "\"0\""), ("9999", "\"9999\"")] {
        let output = bench(&folder, &ON, &["--profile-time", "1"], rate);
        let complaints = String::from_utf8_lossy(&output.stderr);
        for name in ["sums/hot <3>", "product"] {
            let line = format!("profiled: no profile of {name}: invalid value for hz: {value}");
            assert!(complaints.contains(&line), "{complaints}");
        }
        assert!(folder.files().is_empty(), "{:?}", folder.files());
    }
    // A file where a directory has to be.
    fs::write(folder.0.join("product"), "").unwrap();
    let output = bench(&folder, &ON, &["--profile-time", "1", "product"], "100");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.contains("profiled: no profile of product: "), "{complaints}");
    assert_eq!(folder.files().len(), 1);
}

#[test]
fn switched_off_nothing_is_written() {
    let folder = Folder::new("off");
    let off = ["--no-default-features", "--features", "profiled-test-dependencies/libraries"];
    let output = bench(&folder, &off, &["--profile-time", "1"], "1000");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("product") && !String::from_utf8_lossy(&output.stderr).contains("profiled:"),
        "{text}"
    );
    assert!(folder.files().is_empty(), "{:?}", folder.files());
}
