//! CPU sampling where there is none: asked for it, the portable backend says no, politely.
#![cfg(profiled_portable)]
use std::time::Duration;

use profiled::{Error, Kind, cpu};
use profiled_test_profiles::{read, text};

#[test]
fn nothing_begins_and_the_error_says_why() {
    let refused = [
        cpu::start().map(drop),
        cpu::Options::new().hz(250).start().map(drop),
        // Nobody waits an hour for what will not come.
        cpu::profile(Duration::from_secs(3600)).map(drop),
        cpu::set_continuous(19).map(drop),
    ];
    for answer in refused {
        let Err(error @ Error::Unsupported(_)) = answer else { panic!("{answer:?}") };
        let text = error.to_string();
        assert!(text.starts_with("not supported here: CPU sampling needs Linux on x86-64"), "{text}");
    }
}

#[test]
fn what_is_wrong_or_nothing_is_answered_as_everywhere() {
    for hz in [0, 4001] {
        let answer = cpu::Options::new().hz(hz).start();
        assert!(matches!(&answer, Err(Error::Invalid { what: "hz", .. })), "{answer:?}");
    }
    assert_eq!(cpu::set_continuous(0).unwrap(), 0, "it was off");
}

#[test]
fn the_profile_is_there_and_empty_and_says_so() {
    let profile = profiled::lookup("cpu").unwrap();
    assert_eq!((profile.kind(), profile.count()), (Kind::Predefined, 0));
    assert!(profile.help().contains("not on this platform"));
    let file = read("cpu");
    assert!(file.samples().is_empty());
    assert!(
        file.comments.iter().any(|comment| comment.contains("CPU sampling needs")),
        "{:?}",
        file.comments
    );
    assert!(text("cpu", 1).contains("CPU sampling needs"), "{}", text("cpu", 1));
}
