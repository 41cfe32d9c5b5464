//! CPU profiles in the tools that people read them with, and over HTTP.
#![cfg(not(profiled_portable))]
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use profiled_test_profiles::cpu::at;
use profiled_test_profiles::{File, Profile, alone, busy};

const MS: Duration = Duration::from_millis(1);

busy! { paid unpaid early late }

#[inline(never)]
fn order(route: &str) {
    profiled::labels::with(&[("route", route)], || paid(300 * MS));
    unpaid(300 * MS);
}

/// The answer to a GET, without its head.
fn get(address: &str, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    assert!(answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"), "{path}");
    answer.split_off(head + 4)
}

#[test]
fn pprof_shows_traces_tags_and_lines() {
    alone("pprof_shows_traces_tags_and_lines", || {
        let session = at(1000);
        order("/cart");
        let mut bytes = Vec::new();
        session.stop().write(&mut bytes, profiled::Format::Pprof).unwrap();
        let file = File::new("readers", &bytes);
        let traces = file.pprof(&["-traces"]);
        assert!(
            traces.contains("route:") && traces.contains("/cart") && traces.contains("cpu_readers::paid"),
            "{traces}"
        );
        let tags = file.pprof(&["-tags"]);
        assert!(tags.contains("route:") && tags.contains("/cart"), "{tags}");
        let list = file.pprof(&["-list=cpu_readers::order"]);
        // The line of the call, with the time below it, in the text of this very file.
        let line =
            list.lines().find(|line| line.contains("unpaid(300 * MS);")).unwrap_or_else(|| panic!("{list}"));
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert!(cells[1].ends_with("ms") || cells[1].ends_with('s'), "{line}");
        let focused = file.pprof(&["-top", "-tagfocus=route=/cart"]);
        assert!(
            focused.contains("cpu_readers::paid") && !focused.contains("cpu_readers::unpaid"),
            "{focused}"
        );
    });
}

struct Web(Child);

impl Drop for Web {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn the_flame_graph_of_pprof_has_it() {
    alone("the_flame_graph_of_pprof_has_it", || {
        let session = at(1000);
        order("/cart");
        let mut bytes = Vec::new();
        session.stop().write(&mut bytes, profiled::Format::Pprof).unwrap();
        let file = File::new("web", &bytes);
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let web = Command::new(profiled_test_profiles::pprof_path())
            .args(["-no_browser", "-http", &address, file.path()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _web = Web(web);
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < end, "pprof serves nothing");
            thread::sleep(50 * MS);
        }
        let page = String::from_utf8(get(&address, "/ui/flamegraph?si=cpu")).unwrap();
        for name in ["cpu_readers::order", "cpu_readers::paid", "cpu_readers::unpaid"] {
            assert!(page.contains(name), "{name} is not in the page of {} bytes", page.len());
        }
    });
}

#[test]
fn windows_over_http_overlap() {
    alone("windows_over_http_overlap", || {
        let server = profiled::http::serve("127.0.0.1:0").unwrap();
        let address = &server.local_addr().to_string();
        let window = |seconds: u32| {
            move || Profile::read(&get(address, &format!("/debug/pprof/profile?hz=250&seconds={seconds}")))
        };
        let (short, long) = thread::scope(|scope| {
            let (short, long) = (scope.spawn(window(2)), scope.spawn(window(6)));
            // One function until the first answer is here, another until the second is.
            while !short.is_finished() {
                early(MS);
            }
            while !long.is_finished() {
                late(MS);
            }
            (short.join().unwrap(), long.join().unwrap())
        });
        let seconds = |profile: &Profile| profile.duration_nanos as f64 / 1e9;
        let durations = (seconds(&short), seconds(&long));
        assert!((2.0..2.8).contains(&durations.0) && (6.0..6.8).contains(&durations.1), "{durations:?}");
        let share =
            |profile: &Profile, name| profile.total_of("cpu", &[name]) as f64 / profile.total("cpu") as f64;
        assert!(share(&short, "cpu_readers::early") > 0.8 && short.find(&["cpu_readers::late"]).is_empty());
        // A third and two, but others may have had the processor.
        for name in ["cpu_readers::early", "cpu_readers::late"] {
            assert!(share(&long, name) > 0.1, "{name}: {}", share(&long, name));
        }
    });
}

/// Whether our thread that samples is there.
fn samples() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.into_iter().any(|task| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).is_ok_and(|name| name == "profiled-cpu\n")
    })
}

#[test]
fn who_hangs_up_ends_the_session() {
    alone("who_hangs_up_ends_the_session", || {
        let server = profiled::http::serve("127.0.0.1:0").unwrap();
        let address = server.local_addr().to_string();
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET /debug/pprof/profile?seconds=100 HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let until = |wanted: bool| {
            let end = Instant::now() + Duration::from_secs(20);
            while samples() != wanted {
                assert!(Instant::now() < end, "sampling: {}", !wanted);
                thread::sleep(20 * MS);
            }
        };
        until(true);
        drop(stream);
        until(false);
    });
}
