//! Futures in the readers that people have: Go's `pprof` by their names, and parsers of Go's stack dumps.
//!
//! Not optimised: names of asynchronous functions that are inlined are more than line tables have.
#![cfg(all(debug_assertions, not(miri)))]
#![cfg(not(profiled_portable))]
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use profiled::profiled;
use profiled::tasks::{self, Stacks};
use profiled_test_profiles::{File, Profile, alone, file, read, text};
use tokio::sync::Notify;

#[profiled]
async fn bakes(world: Arc<Notify>) {
    world.notified().await;
}

#[profiled]
async fn brews(world: Arc<Notify>) {
    kettle(world).await;
}

async fn kettle(world: Arc<Notify>) {
    world.notified().await;
}

#[profiled]
async fn opens(world: Arc<Notify>) {
    tokio::join!(bakes(world.clone()), brews(world));
}

/// Runs `case` while 5 bake, 3 brew, and 2 do both; all of them wait.
fn while_they_wait(case: impl FnOnce()) {
    tasks::set_stacks(Stacks::All);
    let world = Arc::new(Notify::new());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    (0..5).for_each(|_| _ = runtime.spawn(bakes(world.clone())));
    (0..3).for_each(|_| _ = runtime.spawn(brews(world.clone())));
    (0..2).for_each(|_| _ = runtime.spawn(opens(world.clone())));
    let waiting = |profile: &Profile| -> i64 {
        let is = |state| move |sample: &&profiled_test_profiles::Sample| sample.text("state") == Some(state);
        profile.samples().iter().filter(is("pending")).map(|sample| sample.value("tasks")).sum()
    };
    for _ in 0..1000 {
        if waiting(&read("tasks")) == 14 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(waiting(&read("tasks")), 14, "{}", text("tasks", 2));
    case();
    drop(runtime);
}

#[test]
fn pprof_shows_them_by_name() {
    alone("pprof_shows_them_by_name", || {
        while_they_wait(|| {
            let profile = File::new("goroutine.pb.gz", &file("goroutine"));
            let tags = profile.pprof(&["-tags"]);
            let of_task =
                tags.split("\n\n").find(|block| block.trim_start().starts_with("task:")).unwrap_or_default();
            for (name, count) in [("bakes", 7), ("brews", 5), ("opens", 2)] {
                let line = of_task.lines().find(|line| line.ends_with(&format!(": tasks_readers::{name}")));
                let number = line.and_then(|line| line.trim().split([' ', '.']).next()?.parse().ok());
                assert_eq!(number, Some(count), "{name} in\n{tags}");
            }
            let traces = profile.pprof(&["-traces"]);
            let of = |name: &str, function: &str| {
                let label = format!("task:  tasks_readers::{name}\n");
                traces.split("-----------+-").any(|trace| trace.contains(&label) && trace.contains(function))
            };
            assert!(of("bakes", "tasks_readers::bakes") && of("brews", "tasks_readers::kettle"), "{traces}");
            let top = profile.pprof(&["-top", "-cum", "-focus=tasks_readers"]);
            assert!(top.contains("tasks_readers::kettle"), "{top}");
        });
    });
}

/// A program that is gone when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn the_flame_graph_page_has_them_by_name() {
    alone("the_flame_graph_page_has_them_by_name", || {
        while_they_wait(|| {
            let profile = File::new("page.pb.gz", &file("goroutine"));
            // It takes a port that we name: one that is free.
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut command = Command::new(profiled_test_reader::tool());
            command.args([&format!("-http={address}"), "-no_browser", profile.path()]);
            let _pprof = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
            let mut tries = (0..1000).map(|_| match TcpStream::connect(address) {
                Ok(stream) => Ok(stream),
                Err(error) => {
                    std::thread::sleep(Duration::from_millis(10));
                    Err(error)
                }
            });
            let mut stream = tries.find_map(Result::ok).expect("it serves");
            write!(stream, "GET /ui/flamegraph HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
            let mut page = Vec::new();
            stream.read_to_end(&mut page).unwrap();
            let page = String::from_utf8_lossy(&page);
            for name in ["bakes", "brews", "kettle", "opens"] {
                assert!(page.contains(&format!("tasks_readers::{name}")), "{name} is not on the page");
            }
        });
    });
}

/// What a parser of Go's dumps makes of one block.
#[derive(Debug)]
struct Dumped {
    kind: String,
    state: String,
    /// Function, file, line.
    calls: Vec<(String, String, u32)>,
    created_by: Option<String>,
}

/// A parser in the way of those for Go's dumps: of each block a header, then functions, each with a line for its place that
/// begins with a tab, and who created it, with its place. What is not of that form is refused, but for comments at the
/// end; blocks within others are indented.
///
/// The header's word is another one, as there are threads and futures: `task 7 "name" [pending, 2 seconds] {labels}:`.
fn parse(dump: &str) -> Vec<Dumped> {
    dump.split("\n\n")
        .filter(|block| !block.trim().is_empty() && !block.starts_with('#'))
        .map(parse_block)
        .collect()
}

fn parse_block(block: &str) -> Dumped {
    let indent = block.len() - block.trim_start_matches(' ').len();
    let mut lines = block.lines().map(|line| {
        let (space, line) = line.split_at_checked(indent).unwrap_or_else(|| panic!("{line:?} in\n{block}"));
        assert!(space.trim().is_empty(), "{line:?} in\n{block}");
        line
    });
    let header = lines.next().unwrap();
    let (head, state) = header.strip_suffix(':').and_then(|header| header.split_once(" [")).unwrap();
    let (kind, rest) = head.split_once(' ').unwrap();
    let (id, name) = rest.split_once(' ').unwrap();
    assert!(["thread", "task"].contains(&kind), "{header}");
    assert!(id.parse::<u64>().is_ok() && name.starts_with('"') && name.ends_with('"'), "{header}");
    let (state, labels) = state.rsplit_once(']').unwrap();
    assert!(labels.is_empty() || labels.starts_with(" {") && labels.ends_with('}'), "{header}");
    let mut dumped = Dumped {
        kind: kind.to_owned(),
        state: state.split([',', ' ']).next().unwrap().to_owned(),
        calls: Vec::new(),
        created_by: None,
    };
    while let Some(function) = lines.next() {
        assert!(dumped.created_by.is_none(), "{function:?} comes after who created it, in\n{block}");
        let place = lines.next().unwrap_or_else(|| panic!("no place of {function:?} in\n{block}"));
        let place = place.strip_prefix('\t').unwrap_or_else(|| panic!("{place:?} in\n{block}"));
        let place = place.rsplit_once(" +0x").map_or(place, |(place, offset)| {
            assert!(u64::from_str_radix(offset, 16).is_ok(), "{place:?}");
            place
        });
        let (path, line) = place.rsplit_once(':').unwrap_or_else(|| panic!("{place:?} in\n{block}"));
        let line = line.parse().unwrap_or_else(|_| panic!("{place:?} in\n{block}"));
        match function.strip_prefix("created by ") {
            Some(creator) => dumped.created_by = Some(creator.to_owned()),
            None => {
                let (name, arguments) =
                    function.rsplit_once('(').unwrap_or_else(|| panic!("{function:?} in\n{block}"));
                assert!(arguments.ends_with(')'), "{function:?}");
                dumped.calls.push((name.to_owned(), path.to_owned(), line));
            }
        }
    }
    dumped
}

#[test]
fn parsers_of_stack_dumps_read_them() {
    alone("parsers_of_stack_dumps_read_them", || {
        while_they_wait(|| {
            let dumped = parse(&text("goroutine", 2));
            let tasks: Vec<&Dumped> = dumped.iter().filter(|one| one.kind == "task").collect();
            assert_eq!(tasks.len(), 14, "{dumped:#?}");
            let at = |function: &str| {
                let is = |one: &&&Dumped| {
                    one.calls.iter().any(|(name, file, line)| {
                        name.contains(function) && file.ends_with("tests/tasks_readers.rs") && *line > 0
                    })
                };
                tasks.iter().filter(is).count()
            };
            // Those of `opens` show what is in it, too: two futures that each wait.
            assert_eq!(at("tasks_readers::bakes"), 7 + 2, "{tasks:#?}");
            assert_eq!(at("tasks_readers::kettle"), 5 + 2, "{tasks:#?}");
            assert!(tasks.iter().all(|task| task.state == "pending"), "{tasks:#?}");
            let threads: Vec<&Dumped> = dumped.iter().filter(|one| one.kind == "thread").collect();
            let first = &threads[0];
            assert_eq!(first.state, "running", "who asks comes first: {threads:#?}");
            assert!(first.calls.iter().any(|(name, ..)| name.contains("while_they_wait")), "{first:#?}");
            assert!(
                threads.len() >= 3 && threads.iter().all(|thread| !thread.calls.is_empty()),
                "{threads:#?}"
            );
            assert!(parse(&text("threads", 2)).len() >= 3);
        });
    });
}
