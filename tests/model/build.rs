//! Copies the files that are looked at, with the model's atomics and with tiny sizes in place of theirs, once as they
//! are and once with each fault that the models have to find. What is to be replaced has to be there, once.
use std::path::{Path, PathBuf};
use std::{env, fmt::Write, fs};

/// In all of them.
const MODEL: &[(&str, &str)] = &[("use std::sync::atomic::", "use crate::atomic::")];

/// A file, as the module that it becomes, and what is another in it.
type File = (&'static str, &'static [(&'static str, &'static str)]);

const FILES: &[File] = &[
    (
        "store/live.rs",
        &[
            ("const LINE: usize = 8;", "const LINE: usize = 2;"),
            ("const FIRST: usize = 2048;", "const FIRST: usize = 1;"),
            ("const LEVELS: usize = 8;", "const LEVELS: usize = 2;"),
            ("const PLACES: usize = 1 << 22;", "const PLACES: usize = 2;"),
        ],
    ),
    ("store/intern.rs", &[]),
    ("local/meter.rs", &[("std::thread::yield_now()", "loom::thread::yield_now()")]),
    ("hook/lock/account.rs", &[("#[cfg(test)]\n    pub(crate) fn", "pub(crate) fn")]),
];

/// A fault: its name, the file, what is there, and what is wrong.
type Fault = (&'static str, &'static str, &'static str, &'static str);

const FAULTS: &[Fault] = &[
    (
        "a_slot_is_taken_without_asking",
        "store/live.rs",
        "key.compare_exchange(0, TAKEN, Acquire, Relaxed).is_ok()",
        "{ key.store(TAKEN, Relaxed); true }",
    ),
    (
        "a_level_is_placed_without_asking",
        "store/live.rs",
        "let placed = self.levels[level].compare_exchange(null, fresh.cast().as_ptr(), Release, Relaxed);",
        "let placed = Ok::<*mut Line, *mut Line>(null);
         self.levels[level].store(fresh.cast().as_ptr(), Release);",
    ),
    (
        "a_level_is_published_relaxed",
        "store/live.rs",
        "fresh.cast().as_ptr(), Release, Relaxed);",
        "fresh.cast().as_ptr(), Relaxed, Relaxed);",
    ),
    (
        "the_filter_counts_in_two_steps",
        "store/live.rs",
        "_ = filter.fetch_update(Relaxed, Relaxed, |n| n.checked_add(1));",
        "filter.store(filter.load(Relaxed) + 1, Relaxed);",
    ),
    (
        "the_key_comes_first",
        "store/live.rs",
        "value.store(std::ptr::from_ref(bucket).cast_mut().cast(), Relaxed);",
        "key.store(address as u64, Release);
         value.store(std::ptr::from_ref(bucket).cast_mut().cast(), Relaxed);",
    ),
    (
        "the_birth_is_published_relaxed",
        "store/live.rs",
        "born.store(birth, Release);",
        "born.store(birth, Relaxed);",
    ),
    (
        "the_key_is_published_relaxed",
        "store/live.rs",
        "born.store(birth, Release);
                    key.store(address as u64, Release);",
        "born.store(birth, Relaxed);
                    key.store(address as u64, Relaxed);",
    ),
    ("a_slot_is_filled_without_a_fence", "store/live.rs", "fence(Release);", ""),
    (
        "the_key_is_not_looked_at_again",
        "store/live.rs",
        "let same = key.load(Acquire) == address && ",
        "let same = ",
    ),
    ("the_birth_is_not_looked_at_again", "store/live.rs", "&& born.load(Relaxed) == birth;", ";"),
    (
        "a_lookup_ends_with_the_first_level",
        "store/live.rs",
        "for level in 0..LEVELS {
            let (line, births) = self.line(level, address, false)?;",
        "for level in 0..1 {
            let (line, births) = self.line(level, address, false)?;",
    ),
    (
        "a_record_is_linked_relaxed",
        "store/intern.rs",
        "match head.compare_exchange(seen, record, Ordering::AcqRel, Ordering::Acquire) {",
        "match head.compare_exchange(seen, record, Ordering::Relaxed, Ordering::Acquire) {",
    ),
    (
        "what_was_linked_meanwhile_is_not_looked_at",
        "store/intern.rs",
        "find(seen, checked, hash, elements, tag)",
        "find(checked, checked, hash, elements, tag)",
    ),
    (
        "the_version_is_not_compared",
        "local/meter.rs",
        "version.is_multiple_of(2) && version == self.version.load(Relaxed)",
        "true",
    ),
    ("a_version_that_changes_is_taken", "local/meter.rs", "version.is_multiple_of(2) && ", ""),
    ("a_draw_is_not_fenced", "local/meter.rs", "fence(Release);\n        self.drawn", "self.drawn"),
    (
        "a_pause_is_not_fenced",
        "local/meter.rs",
        "fence(Release);
        }
        self.countdown.store(i64::MAX, Relaxed);",
        "}
        self.countdown.store(i64::MAX, Release);",
    ),
    (
        "what_is_kept_is_published_relaxed",
        "local/meter.rs",
        "self.kept.store(left, Release);",
        "self.kept.store(left, Relaxed);",
    ),
    (
        "a_charge_is_made_without_asking",
        "hook/lock/account.rs",
        "match self.word.compare_exchange(word, charged, AcqRel, Acquire) {
                Ok(_)",
        "match { self.word.store(charged, Release); Ok::<u64, u64>(0) } {
                Ok(_)",
    ),
    (
        "a_charge_notes_its_moment_late",
        "hook/lock/account.rs",
        "self.last.fetch_max(now, AcqRel);
            let charged = word.wrapping_add((due as u64) << SUM_SHIFT);
            match self.word.compare_exchange(word, charged, AcqRel, Acquire) {
                Ok(_) => return Some(due as u64),",
        "let charged = word.wrapping_add((due as u64) << SUM_SHIFT);
            match self.word.compare_exchange(word, charged, AcqRel, Acquire) {
                Ok(_) => {
                    self.last.fetch_max(now, AcqRel);
                    return Some(due as u64);
                }",
    ),
    (
        "a_charge_is_published_relaxed",
        "hook/lock/account.rs",
        "match self.word.compare_exchange(word, charged, AcqRel, Acquire) {",
        "match self.word.compare_exchange(word, charged, Relaxed, Relaxed) {",
    ),
    (
        "who_leaves_last_leaves_a_debt",
        "hook/lock/account.rs",
        "1 => word >> SUM_SHIFT,",
        "0 => word >> SUM_SHIFT,",
    ),
    (
        "a_question_is_put_over_another",
        "hook/lock/account.rs",
        "&& self.point.compare_exchange(0, time << 1 | 1, AcqRel, Relaxed).is_ok();",
        "&& { self.point.store(time << 1 | 1, Release); true };",
    ),
    (
        "a_question_is_taken_back_before_its_mark",
        "hook/lock/account.rs",
        "self.word.fetch_and(!POINTED, AcqRel);
        Some(self.point.swap(0, AcqRel)).filter(",
        "let point = self.point.swap(0, AcqRel);
        self.word.fetch_and(!POINTED, AcqRel);
        Some(point).filter(",
    ),
    (
        "an_answer_is_given_to_whoever_asks",
        "hook/lock/account.rs",
        "_ = self.point.compare_exchange(question, answer, AcqRel, Relaxed);",
        "self.point.store(answer, Release);",
    ),
    (
        "two_clear_an_old_generation",
        "hook/lock/account.rs",
        "self.generation.compare_exchange(of, CHANGING, AcqRel, Relaxed).is_err()",
        "{ self.generation.store(CHANGING, Relaxed); false }",
    ),
    (
        "a_generation_is_cleared_in_the_open",
        "hook/lock/account.rs",
        "if of == CHANGING || self.generation.compare_exchange(of, CHANGING, AcqRel, Relaxed).is_err() {",
        "if self.generation.compare_exchange(of, generation, AcqRel, Relaxed).is_err() {",
    ),
];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let models = here.join("src/models.rs");
    let sources = here.join("../../runtime/src");
    println!("cargo::rerun-if-changed=build.rs");
    let mut modules = String::new();
    let plain = [("as_written", "", "", "")];
    for &(name, file, right, wrong) in plain.iter().chain(FAULTS) {
        let folder = out.join(name);
        for &(path, sizes) in FILES {
            let source = sources.join(path);
            println!("cargo::rerun-if-changed={}", source.display());
            let mut text = fs::read_to_string(&source).unwrap();
            text.truncate(text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len()));
            for (is, becomes) in MODEL.iter().chain(sizes) {
                text = replaced(&text, is, becomes, path);
            }
            if path == file {
                text = replaced(&text, right, wrong, path);
            }
            let place = folder.join(Path::new(path).file_name().unwrap());
            fs::create_dir_all(&folder).unwrap();
            fs::write(place, text).unwrap();
        }
        write!(
            modules,
            "/// {name}
            #[allow(dead_code, missing_debug_implementations, unused_variables, clippy::all)]
            pub mod {name} {{
                pub(crate) mod store {{
                    pub(crate) use crate::stand_ins::{{arena, bucket}};
                    #[path = {live:?}] pub(crate) mod live;
                    #[path = {intern:?}] pub(crate) mod intern;
                }}
                #[path = {meter:?}] pub(crate) mod meter;
                #[path = {account:?}] pub(crate) mod account;
                #[path = {models:?}] pub mod models;
            }}\n",
            live = folder.join("live.rs"),
            intern = folder.join("intern.rs"),
            meter = folder.join("meter.rs"),
            account = folder.join("account.rs"),
        )
        .unwrap();
    }
    fs::write(out.join("modules.rs"), modules).unwrap();
}

/// The text with the one place of `is` another.
fn replaced(text: &str, is: &str, becomes: &str, path: &str) -> String {
    assert_eq!(text.matches(is).count(), 1, "`{is}` is not in {path} once: the models need to follow");
    text.replace(is, becomes)
}
