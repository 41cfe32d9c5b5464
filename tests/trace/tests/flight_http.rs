//! `/debug/pprof/flightrecorder`, and the page that opens a trace in Perfetto's viewer.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::{env, fs, process};

use profiled::trace::{self, FlightRecorder, Format};
use profiled_test_trace::flight::{alone, file, regions};

/// The status, the headers in small letters, and the body.
struct Answer(u16, String, Vec<u8>);

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.2).into_owned()
    }
}

fn ask(server: &profiled::http::Server, method: &str, page: &str, header: &str) -> Answer {
    let address = server.local_addr().to_string();
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "{method} /debug/pprof/{page} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n{header}Connection: close\r\n\r\n"
    )
    .unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let headers = String::from_utf8_lossy(&all[..end]).to_lowercase();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    Answer(status, headers, all[end + 4..].to_vec())
}

#[test]
fn what_it_keeps_is_downloaded() {
    alone(|| {
        let server = profiled::http::serve("127.0.0.1:0").unwrap();
        let get = |page| ask(&server, "GET", page, "");
        let none = get("flightrecorder");
        assert_eq!(none.0, 404);
        assert!(none.1.contains("x-go-pprof: 1"), "{}", none.1);
        assert!(
            none.text().contains("profiled::trace::FlightRecorder::builder().start()"),
            "{}",
            none.text()
        );
        assert!(get("").text().contains("flightrecorder: none is running"));

        let recorder = FlightRecorder::builder().start().unwrap();
        drop(trace::region("downloaded"));
        for page in ["flightrecorder", "flightrecorder?format=go"] {
            let answer = get(page);
            assert_eq!(answer.0, 200, "{}", answer.text());
            assert!(answer.1.contains("attachment; filename=\"flight.trace\""), "{}", answer.1);
            assert_eq!(regions(Format::Go, &answer.2, "downloaded"), (1, 1));
        }
        let other = get("flightrecorder?format=perfetto");
        assert_eq!(other.0, 409);
        assert!(
            other.text().contains("format=go") && other.text().contains("Format::Perfetto"),
            "{}",
            other.text()
        );
        assert_eq!(get("flightrecorder?format=chrome").0, 400);
        assert_eq!(ask(&server, "PUT", "flightrecorder", "").0, 405);
        let head = ask(&server, "HEAD", "flightrecorder", "");
        assert_eq!((head.0, head.2.len()), (200, 0));

        let beside = FlightRecorder::builder().format(Format::Perfetto).start().unwrap();
        drop(trace::region("downloaded"));
        let answer = get("flightrecorder?format=perfetto");
        assert!(answer.1.contains("filename=\"flight.pftrace\""), "{}", answer.1);
        assert_eq!(regions(Format::Perfetto, &answer.2, "downloaded"), (1, 1));
        assert_eq!(regions(Format::Go, &get("flightrecorder?format=go").2, "downloaded"), (2, 2));
        let index = get("").text();
        for link in [
            "href=\"flightrecorder\"",
            "href=\"perfetto?of=flightrecorder\"",
            "href=\"perfetto?of=trace&amp;seconds=5\"",
        ] {
            assert!(index.contains(link), "{link}: {index}");
        }
        beside.stop().unwrap();
        recorder.stop().unwrap();
        assert_eq!(get("flightrecorder").0, 404);
    });
}

#[test]
fn a_post_fires_the_trigger() {
    alone(|| {
        let server = profiled::http::serve("127.0.0.1:0").unwrap();
        let post = |header| ask(&server, "POST", "flightrecorder", header);
        let recorder = FlightRecorder::builder().start().unwrap();
        drop(trace::region("posted"));
        // Without a trigger it is what GET gives.
        let answer = post("");
        assert!(answer.1.contains("filename=\"flight.trace\""), "{}", answer.1);
        assert_eq!(regions(Format::Go, &answer.2, "posted"), (1, 1));
        recorder.stop().unwrap();

        let path = file("posted");
        let recorder = FlightRecorder::builder().on_request(&path).start().unwrap();
        drop(trace::region("posted"));
        for header in ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
            assert_eq!(post(header).0, 403);
        }
        assert!(!path.exists());
        let answer = post("");
        assert_eq!(answer.0, 200, "{}", answer.text());
        let written = fs::read(&path).unwrap();
        let said = format!("snapshot to {}: 2 events, 0 dropped, {} bytes", path.display(), written.len());
        assert!(answer.text().starts_with(&said), "{} {said}", answer.text());
        assert_eq!(regions(Format::Go, &written, "posted"), (1, 1));
        // Too soon, and counted.
        let answer = post("");
        assert_eq!(answer.0, 429, "{}", answer.text());
        assert!(answer.1.contains("retry-after: 10"), "{}", answer.1);
        let status = ask(&server, "GET", "status", "").text();
        for line in ["flight_recorders 1 ", "flight_snapshots_total 1 ", "flight_suppressed_total 1 "] {
            assert!(status.contains(line), "{line}: {status}");
        }
        fs::remove_file(&path).unwrap();
        recorder.stop().unwrap();
    });
}

/// A browser, as far as the page's script needs one: what it says is `SENT bytes of LINK to ORIGIN`.
const BROWSER: &str = r#"
const page = require('fs').readFileSync(process.argv[1], 'utf8');
const link = page.match(/id="file" href="([^"]*)"/)[1].replace('&amp;', '&');
const items = {open: {hidden: true}, said: {}, file: {href: link}};
let hears, asked;
globalThis.document = {title: 'a title', getElementById: id => items[id]};
const viewer = {closed: false, postMessage(message, origin) {
  if (message === 'PING') { hears({origin: 'https://evil.example', data: 'PONG'}); setTimeout(() => hears({origin, data: 'PONG'}), 10); return; }
  console.log(`SENT ${message.perfetto.buffer.byteLength} bytes of ${asked} to ${origin}`);
}};
globalThis.window = {open: url => viewer, addEventListener: (kind, f) => { hears = f; }};
globalThis.fetch = async url => { asked = url; return {ok: true, arrayBuffer: async () => new ArrayBuffer(77)}; };
(0, eval)(page.match(/<script>([^]*)<\/script>/)[1]);
if (items.open.hidden) throw new Error('no button');
items.open.onclick().then(() => console.log(items.said.textContent));
"#;

#[test]
fn a_page_hands_a_trace_to_the_viewer() {
    alone(|| {
        let server = profiled::http::serve("127.0.0.1:0").unwrap();
        for (query, link) in [
            ("", "trace?format=perfetto&seconds=5"),
            ("?of=trace&seconds=0.5", "trace?format=perfetto&seconds=0.5"),
            ("?of=flightrecorder", "flightrecorder?format=perfetto"),
        ] {
            let answer = ask(&server, "GET", &format!("perfetto{query}"), "");
            assert_eq!(answer.0, 200);
            let policy = "connect-src 'self'; frame-ancestors 'none'";
            assert!(answer.1.contains(policy) && answer.1.contains("default-src 'none'"), "{}", answer.1);
            let page = env::temp_dir().join(format!("profiled-perfetto-{}.html", process::id()));
            fs::write(&page, &answer.2).unwrap();
            let output = Command::new("node").args(["-e", BROWSER]).arg(&page).output().expect("node runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let expected = format!("SENT 77 bytes of {link} to https://ui.perfetto.dev\nOpened.\n");
            assert_eq!(said, expected, "{}", String::from_utf8_lossy(&output.stderr));
            // Without a script it is a link.
            let escaped = link.replace('&', "&amp;");
            assert!(answer.text().contains(&format!("href=\"{escaped}\" download")), "{}", answer.text());
            fs::remove_file(&page).unwrap();
        }
        for bad in ["?of=heap", "?seconds=x", "?seconds=301"] {
            assert_eq!(ask(&server, "GET", &format!("perfetto{bad}"), "").0, 400, "{bad}");
        }
    });
}
