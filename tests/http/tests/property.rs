//! Requests made by chance, of pieces that mean something and pieces that do not: whatever they are, there is a proper
//! answer, and nobody gets past a rule. In place of a fuzzer's target, with seeds: `PROFILED_STRESS_SECONDS` says how long.
#![allow(missing_docs)]
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use profiled::http::Handler;

profiled::profile! { static CONNS = "conns"; }
profiled::profile! { static ODD = "<script>alert('x')</script>"; }

const TOKEN: &str = "s3cret";

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn of<'a, T: ?Sized>(&mut self, pieces: &[&'a T]) -> &'a T {
        pieces[self.below(pieces.len())]
    }

    /// Some of the pieces, one after another.
    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| self.of(pieces)).collect()
    }
}

const PAGES: &[&str] = &[
    "",
    "conns",
    "cmdline",
    "symbol",
    "status",
    "rates",
    "profile",
    "heap",
    "goroutine",
    "delta_heap",
    "delta_x",
    "functions",
    "nope",
    "%3Cscript%3Ealert%28%27x%27%29%3C%2Fscript%3E",
    "x/symbol",
    "..",
    "../..",
    "%2e%2e/",
    "%00",
    "%ff",
    "%",
    "%4",
    "//",
    "conns/",
    "Conns",
    ".",
    "%2F",
    "conns%20",
    "threads",
    "block",
];
const NAMES: &[&str] = &[
    "seconds",
    "debug",
    "gc",
    "hz",
    "mode",
    "tags",
    "rows",
    "symbols",
    "format",
    "age",
    "peak",
    "idle",
    "stuck",
    "all",
    "threads",
    "noise",
    "x",
    "",
    "%73econds",
    "SECONDS",
    "%ff",
];
const VALUES: &[&str] = &[
    "0",
    "1",
    "2",
    "0.001",
    "0.01",
    "-1",
    "-0",
    "NaN",
    "inf",
    "1e308",
    "1e-308",
    "301",
    "99999999999999999999",
    "abc",
    "",
    "%00",
    "%ff",
    "%",
    "%3Cscript%3E",
    "thread",
    "id",
    "waiting",
    "wall",
    "cpu",
    "pprof",
    "text",
    "folded",
    "svg",
    "names",
    "raw",
    "stacks",
    "prometheus",
    "=",
    "1&",
    "\u{fc}",
    "+1",
    " 1",
    "0x1",
];
const BODIES: &[&str] = &[
    "0x1",
    "+",
    "1",
    "0xffffffffffffffff",
    "junk",
    "%2B",
    "heap=524288",
    "block=10000",
    "mutex=10",
    "&",
    "=",
    "heap=x",
    "nobody=1",
    "\0",
    "\n",
    "\u{fc}",
    "cpu=0",
];
const METHODS: &[&str] =
    &["GET", "GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"];
const HOSTS: &[&str] = &["localhost", "127.0.0.1:6060", "[::1]", "app.example", "APP.example:1"];
const STRANGERS: &[&str] = &[
    "evil.example",
    "localhost.evil.example",
    "",
    "[::1",
    "127.0.0.1@evil.example",
    "app.example.evil.example",
    "a b",
    ":1",
];

/// A request, and whether it may be answered. `None`: no request can be made of it.
fn request(random: &mut Random) -> Option<(Request<Full<Bytes>>, bool)> {
    let mut query = String::new();
    for n in 0..random.below(4) {
        query.push_str(if n == 0 { "?" } else { "&" });
        query.push_str(random.of(NAMES));
        query.push('=');
        query.push_str(random.of(VALUES));
    }
    // A CPU profile without a time takes half a minute.
    let page = match random.of(PAGES) {
        "profile" => "profile?seconds=0.01&",
        page => page,
    };
    let prefix = if random.below(20) == 0 {
        random.of(&["", "/", "/debug", "/debug/pprofx/"])
    } else {
        "/debug/pprof/"
    };
    let uri = format!("{prefix}{page}{query}");
    let mut uri: String = uri.chars().filter(|c| c.is_ascii_graphic()).collect();
    if !uri.starts_with('/') {
        uri.insert(0, '/');
    }
    let mut allowed = true;
    let method = random.of(METHODS);
    let mut headers = HeaderMap::new();
    if random.below(5) > 0 {
        headers.insert("host", random.of(HOSTS).parse().unwrap());
    } else {
        headers.insert("host", random.of(STRANGERS).parse().unwrap());
        allowed = false;
    }
    if random.below(30) == 0 {
        headers.append("host", "localhost".parse().unwrap());
        allowed = false;
    }
    match random.below(6) {
        0 => allowed = false,
        1 => {
            let wrong =
                ["Bearer s3cre", "Bearer ", "Basic s3cret", "s3cret", "Bearer s3crets", "Bearer\ts3cret"];
            headers.insert("authorization", random.of(&wrong).parse().unwrap());
            allowed = false;
        }
        _ => _ = headers.insert("authorization", format!("Bearer {TOKEN}").parse().unwrap()),
    }
    if random.below(6) == 0 {
        let (name, value) = [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ][random.below(5)];
        headers.insert(name, value.parse().unwrap());
        allowed = false;
    }
    if random.below(6) == 0 {
        headers.insert(
            "accept",
            random.of(&["*/*", "text/plain;version=0.0.4", "\"", "a/b;q=x"]).parse().unwrap(),
        );
    }
    let body = match random.below(40) {
        0 => "0+".repeat(70_000),
        _ => random.text(BODIES, 6),
    };
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(uri);
    *request.headers_mut()? = headers;
    Some((request.body(Full::new(Bytes::from(body))).ok()?, allowed))
}

/// What is wrong with an answer, whatever it answers.
fn wrong(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    allowed: bool,
    method: &Method,
) -> Option<&'static str> {
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"));
    if !matches!(status, 200 | 307 | 400 | 401 | 403 | 404 | 405 | 413 | 421 | 501) {
        return Some("an odd status");
    }
    if !allowed && !matches!(status, 400 | 401 | 403 | 421) {
        return Some("it got past the rules");
    }
    if allowed && matches!(status, 401 | 403 | 421) {
        return Some("it was kept out");
    }
    if header("x-content-type-options") != "nosniff" {
        return Some("it may be sniffed");
    }
    let text = String::from_utf8_lossy(body);
    if status >= 400 {
        let one_line = text.ends_with('\n') && text.lines().count() == 1 && !text.contains(['\0', '\x1b']);
        if !one_line || text.len() > 2_000 {
            return Some("no one line");
        }
        if header("content-type") != "text/plain; charset=utf-8" || header("x-go-pprof") != "1" {
            return Some("no text for pprof to print");
        }
    }
    if header("content-type").starts_with("text/html") && text.contains("<script") {
        return Some("a script in the page");
    }
    if text.contains(TOKEN) {
        return Some("it tells the token");
    }
    if method == Method::HEAD && status == 200 && !body.is_empty() {
        return Some("HEAD has a body");
    }
    (body.len() > 8 << 20).then_some("it is huge")
}

#[test]
fn whatever_is_asked_there_is_a_proper_answer() {
    let seconds =
        std::env::var("PROFILED_STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let handler = Handler::new().token(TOKEN).allow_host("app.example");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _members = (CONNS.track(), ODD.track());
    let (mut asked, mut answered, mut refused) = (0_u64, 0_u64, 0_u64);
    while Instant::now() < end || asked < 2_000 {
        // Each from a seed of its own, which is all that there is to be known of one that failed.
        let seed = asked.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        asked += 1;
        let Some((request, allowed)) = request(&mut Random(seed)) else { continue };
        let (method, shown) = (request.method().clone(), format!("{request:?}"));
        let (status, headers, body) = runtime.block_on(async {
            let response = tokio::time::timeout(Duration::from_secs(30), handler.handle(request)).await;
            let response = response.unwrap_or_else(|_| panic!("seed {seed}: no answer to {shown}"));
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            (status, headers, response.into_body().collect().await.unwrap().to_bytes())
        });
        if let Some(wrong) = wrong(status, &headers, &body, allowed, &method) {
            panic!(
                "seed {seed}: {wrong}: {status} {headers:?} {:.500} to {shown}",
                String::from_utf8_lossy(&body)
            );
        }
        answered += u64::from(status == 200);
        refused += u64::from(!allowed);
    }
    // Both happen, or this has shown nothing.
    assert!(answered * 20 > asked && refused * 4 > asked, "{asked}: {answered}, {refused}");
}
