//! The rooms and their doors: what a module may import, read off its `use` lines and paths.
use std::fs;
use std::path::{Path, PathBuf};

/// A room and the rooms it must not know.
const CLOSED: &[(&str, &[&str])] = &[
    // Events come in here, and never see who reads.
    ("hook", &["surface", "symbol", "encode"]),
    ("signal", &["surface", "symbol", "encode"]),
    // Of the trace hooks see the one half, which knows nobody who reads.
    ("hook", &["trace::hub", "trace::api", "trace::stream", "trace::session", "trace::tables", "trace::go"]),
    // What is read is plain values.
    ("surface", &["hook", "signal", "store", "stack"]),
    ("encode", &["hook", "signal", "surface"]),
    ("symbol", &["hook", "signal", "surface", "encode"]),
    ("snapshot", &["hook", "signal", "surface", "encode", "symbol"]),
    // The bottom knows nobody above.
    ("store", &["hook", "signal", "surface", "encode", "symbol", "snapshot", "profile"]),
    ("stack", &["hook", "signal", "surface", "encode", "symbol", "snapshot", "profile"]),
    ("rate", &["hook", "signal", "surface", "encode", "symbol", "snapshot", "profile", "store", "stack"]),
    ("clock", &["hook", "signal", "surface", "encode", "symbol", "snapshot", "profile", "store", "stack"]),
    ("module", &["hook", "signal", "surface", "encode", "symbol", "snapshot", "profile", "store", "stack"]),
    ("record", &["hook", "signal", "surface", "encode", "symbol", "snapshot", "profile", "store", "stack"]),
    (
        "trap",
        &["hook", "signal", "surface", "encode", "symbol", "snapshot", "profile", "store", "stack", "fork"],
    ),
    ("error", &["hook", "signal", "surface", "encode", "symbol", "snapshot", "profile", "store", "stack"]),
    ("sys", &["hook", "signal", "surface", "encode", "symbol", "snapshot", "profile", "store", "local"]),
];

/// Each outside crate has one home.
const HOMES: &[(&str, &[&str])] = &[
    ("gimli::", &["stack", "symbol"]),
    ("addr2line::", &["symbol"]),
    ("object::", &["stack", "symbol"]),
    ("prost::", &["encode", "trace"]),
    ("flate2::", &["encode"]),
    ("hyper::", &["surface"]),
    ("tower_service::", &["surface"]),
    // `on` has a module of that name.
    ("tokio::", &["surface", "hook", "on"]),
    ("parking_lot::", &["hook"]),
    ("parking_lot_0_13::", &["hook"]),
    ("lock_api::", &["hook"]),
    ("lock_api_0_5::", &["hook"]),
    ("inferno::", &["encode"]),
    ("::criterion::", &["surface"]),
    ("tracing_core::", &["trace"]),
    ("tracing_subscriber::", &["trace"]),
    ("libc::", &["sys", "signal"]),
    ("backtrace::", &["sys"]),
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The code of a file without its comments and its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let tests =
        ["#[cfg(test)]\nmod tests", "#[cfg(all(test, not(profiled_portable)))]\npub(crate) mod tests"];
    let end = tests.iter().filter_map(|tests| text.find(tests)).min().unwrap_or(text.len());
    let text = &text[..end];
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether `code` names the module `room` of our crate: `crate::room` or `room` in a list of `crate::{..}`.
fn names(code: &str, room: &str) -> bool {
    let whole = |text: &str| !text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let direct = code
        .match_indices("crate::")
        .any(|(at, found)| code[at + found.len()..].strip_prefix(room).is_some_and(whole));
    let listed = code.match_indices("use crate::{").any(|(at, found)| {
        let list = &code[at + found.len()..];
        let list = &list[..list.find("};").unwrap_or(list.len())];
        list.split([',', '{', '}']).any(|item| item.trim().strip_prefix(room).is_some_and(whole))
    });
    direct || listed
}

#[test]
fn imports_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtime/src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "the sources are where they were");
    let mut wrong = Vec::new();
    for path in files {
        let inside = path.strip_prefix(&root).unwrap().with_extension("");
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
        // Test files of a room, and windows for them, may look anywhere.
        let name = inside.file_name().unwrap().to_str().unwrap();
        if name.ends_with("tests") || room == "off" {
            continue;
        }
        let code = code(&path);
        for (closed, rooms) in CLOSED.iter().filter(|(closed, _)| *closed == room) {
            for other in rooms.iter().filter(|other| names(&code, other)) {
                wrong.push(format!("{}: {closed} must not know {other}", inside.display()));
            }
        }
        for (outside, homes) in HOMES {
            let at_home = homes.contains(&room.as_str());
            // Nor is a text that begins so an import: names of functions are looked for, too.
            let used = code
                .match_indices(outside)
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"'));
            if used && !at_home {
                wrong.push(format!("{}: {outside} lives in {homes:?}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the target is, the build script asks, and nobody else outside the backends: they ask which of the two it chose.
#[test]
fn only_the_backends_know_the_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtime/src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let asks = |path: &PathBuf| {
        let code = code(path);
        ["target_os", "target_arch", "target_env"].iter().any(|name| code.contains(name))
    };
    let asking: Vec<PathBuf> = files.into_iter().filter(asks).collect();
    assert!(asking.iter().all(|path| path.starts_with(root.join("sys/linux"))), "{asking:?}");
    assert!(!asking.is_empty(), "musl differs from glibc somewhere");
}

#[test]
fn a_forbidden_import_is_seen() {
    assert!(names("use crate::hook::alloc::x;", "hook"));
    assert!(names("use crate::{clock, hook};", "hook"));
    assert!(names("use crate::{\n    clock,\n    hook::{a, b},\n};", "hook"));
    assert!(!names("use crate::hooks::x; use crate::{clock, hooking};", "hook"));
}
