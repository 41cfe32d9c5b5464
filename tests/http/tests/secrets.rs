//! No page tells the environment, which is where programs have their secrets.
#![allow(missing_docs)]
use std::process::Command;

use profiled_test_http::{ask, get};
use profiled_test_reader::unzip;

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

const NAME: &str = "TEST_OF_SECRETS";
const SECRET: &str = "nobody-is-to-know-this";

#[test]
fn the_environment_is_in_no_page() {
    let test = "the_environment_is_in_no_page";
    if std::env::var_os(NAME).is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let status =
            again.args([test, "--exact"]).env(NAME, SECRET).env("PROFILED_TOKEN", SECRET).status().unwrap();
        assert!(status.success());
        return;
    }
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    let addr = server.local_addr().socket_addr().unwrap();
    let mut pages: Vec<String> =
        ["", "cmdline", "status", "status?format=prometheus", "rates", "symbol?0x1", "nope"]
            .map(str::to_owned)
            .into();
    pages.extend(["profile?seconds=0.1", "trace?seconds=0.1", "delta_heap"].map(str::to_owned));
    for profile in profiled::profiles() {
        let forms = ["debug=0", "debug=1", "debug=2", "format=folded", "format=svg"];
        pages.extend(forms.map(|form| format!("{}?{form}", profile.name())));
    }
    for page in pages {
        let answer = get(addr, &page);
        assert!(matches!(answer.status, 200 | 404), "{page}: {}", answer.text());
        let body =
            if answer.body.starts_with(&[0x1f, 0x8b]) { unzip(&answer.body).unwrap() } else { answer.body };
        let text = String::from_utf8_lossy(&body);
        for word in [NAME, SECRET] {
            assert!(!text.contains(word), "{page}: {text}");
        }
    }
    let answer = ask(addr, "POST", "/debug/pprof/rates", &[], "heap=524288");
    assert!(answer.status == 200 && !answer.text().contains(SECRET), "{}", answer.text());
}
