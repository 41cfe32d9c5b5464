//! Starting, stopping, and where a server listens.
#![allow(missing_docs)]
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use profiled::http::{Server, serve};
use profiled_test_http::{connect, get, read};

profiled::profile! { static CONNS = "conns"; }

fn addr(server: &Server) -> SocketAddr {
    server.local_addr().socket_addr().unwrap()
}

#[test]
fn an_address_in_use_is_named() {
    let first = serve("127.0.0.1:0").unwrap();
    let taken = first.local_addr().to_string();
    let error = serve(&taken).unwrap_err();
    assert!(error.to_string().contains(&taken), "{error}");
    match error {
        profiled::Error::Io(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse),
        error => panic!("{error:?}"),
    }
    for nonsense in ["", "6060", ":6060", "localhost", "localhost:x", "127.0.0.1:70000", "unix:"] {
        let error = serve(nonsense).unwrap_err();
        assert!(matches!(error, profiled::Error::Invalid { .. }), "{nonsense}: {error}");
        assert!(error.to_string().contains(nonsense));
    }
    assert_eq!(get(addr(&first), "").status, 200, "the first is not disturbed");
}

#[test]
fn dropping_it_stops_it() {
    let server = serve("127.0.0.1:0").unwrap();
    let addr = addr(&server);
    assert_eq!(get(addr, "conns").status, 200);
    let mut idle = connect(addr);
    let mut window = connect(addr);
    window.write_all(b"GET /debug/pprof/conns?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    drop(server);
    assert!(begin.elapsed() < Duration::from_millis(2500), "{:?}", begin.elapsed());
    assert!(TcpStream::connect(addr).is_err(), "nobody listens any more");
    let answer = read(&mut window).unwrap();
    assert_eq!(answer.status, 503, "a window that cannot end says so");
    assert_eq!(idle.read(&mut [0; 1]).unwrap_or(0), 0);
    // The address is free.
    drop(serve(addr).unwrap());
}

#[test]
fn detached_it_stays() {
    let server = serve("127.0.0.1:0").unwrap();
    let addr = addr(&server);
    server.detach();
    assert_eq!(get(addr, "conns").status, 200);
}

#[test]
fn inside_of_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("profiled-{}.sock", std::process::id()));
    let name = format!("unix:{}", path.display());
    let ask = || {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        stream
            .write_all(b"GET /debug/pprof/conns HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    // A dead process's.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = serve(&name).unwrap();
    assert_eq!(server.local_addr().to_string(), name);
    assert!(ask().starts_with("HTTP/1.1 200 OK"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let error = serve(path.as_path()).unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
    assert!(ask().starts_with("HTTP/1.1 200 OK"), "a living one is left alone");
    drop(server);
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    assert!(serve(&name).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
}

/// Threads of ours take no signal that is meant for the program.
#[test]
#[cfg(all(target_os = "linux", not(profiled_portable)))]
fn its_threads_block_signals() {
    let server = serve("127.0.0.1:0").unwrap();
    assert_eq!(get(addr(&server), "conns").status, 200);
    let mut seen = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let Ok(status) = std::fs::read_to_string(task.unwrap().path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        let (name, mask) = (field("Name:"), u64::from_str_radix(field("SigBlk:"), 16).unwrap());
        if name.starts_with("profiled-http") {
            seen.push(name.to_owned());
            for signal in [1, 2, 10, 12, 13, 15, 17, 27, 35, 64] {
                assert!(mask >> (signal - 1) & 1 == 1, "{name} takes signal {signal}");
            }
            assert!(mask >> (11 - 1) & 1 == 0, "{name} would die of a fault unseen");
        }
    }
    for name in ["profiled-http", "profiled-http-w"] {
        assert!(seen.iter().any(|seen| seen == name), "{name} in {seen:?}");
    }
    // The thread that called `serve` has its own mask back.
    let own = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(own.contains("SigBlk:\t0000000000000000"), "{own}");
}
