//! Attributes beside ours.
use profiled::profiled;
use std::panic::Location;

#[profiled]
fn inner_attributes() -> u32 {
    #![allow(unused_variables)]
    #![allow(clippy::all)]
    //! And a comment.
    let unused = 1;
    2
}

#[profiled]
async fn async_inner_attributes() -> u32 {
    #![allow(unused_variables)]
    let unused = 1;
    2
}

/// Documented.
#[profiled]
#[inline]
#[must_use]
#[cfg_attr(all(), doc = "more")]
fn among_others() -> u32 {
    1
}

#[inline(always)]
#[profiled]
#[cold]
fn after_others() -> u32 {
    2
}

#[cfg_attr(all(), profiled)]
fn conditionally() -> u32 {
    3
}

#[cfg_attr(any(), profiled)]
fn never_there() -> u32 {
    4
}

#[profiled]
#[profiled]
fn twice() -> u32 {
    5
}

#[profiled(name = "attributes/named")]
fn named() -> u32 {
    6
}

#[profiled(name = "attributes/trailing comma", crate = ::profiled,)]
fn trailing_comma() -> u32 {
    7
}

#[profiled(skip)]
fn skipped() -> u32 {
    8
}

#[profiled()]
fn empty_parentheses() -> u32 {
    9
}

extern crate profiled as renamed;

#[renamed::profiled(crate = self::renamed)]
fn renamed_crate() -> u32 {
    10
}

#[profiled(crate = self::facade::inner)]
fn reexported_crate() -> u32 {
    11
}

mod facade {
    #[allow(unused_imports)]
    pub(super) use profiled as inner;
}

#[profiled::profiled]
fn by_path() -> u32 {
    12
}

#[profiled]
#[track_caller]
fn caller() -> u32 {
    Location::caller().line()
}

#[track_caller]
#[profiled]
fn caller_after() -> &'static Location<'static> {
    Location::caller()
}

#[profiled]
#[allow(dead_code)]
#[deprecated(note = "on purpose")]
fn deprecated() {}

/// The warning is still there, so that this expectation is met.
#[expect(dead_code)]
#[profiled]
fn nobody_calls() {}

#[profiled]
#[expect(dead_code)]
pub(self) fn nobody_calls_either() {}

#[profiled]
#[expect(unused_variables)]
fn unused_argument(argument: u32) {}

#[profiled]
#[expect(unused_variables)]
async fn unused_async_argument(argument: u32) {}

#[profiled]
#[expect(unused_mut, unused_variables)]
fn unused_local() {
    let mut local = 1;
}

#[profiled]
#[expect(unreachable_code)]
async fn unreachable_still_seen() -> u32 {
    return 1;
    2
}

#[test]
#[profiled]
fn a_test() {
    assert_eq!(inner_attributes(), 2);
}

#[profiled]
#[test]
fn a_test_after() {
    assert_eq!(super::block_on(async_inner_attributes()), 2);
}

#[profiled]
#[test]
#[should_panic(expected = "on purpose")]
fn a_test_that_panics() {
    panic!("on purpose");
}

#[test]
fn they_keep_their_meaning() {
    let values = [among_others(), after_others(), conditionally(), never_there(), twice(), named()];
    assert_eq!(values, [1, 2, 3, 4, 5, 6]);
    let values =
        [trailing_comma(), skipped(), empty_parentheses(), renamed_crate(), reexported_crate(), by_path()];
    assert_eq!(values, [7, 8, 9, 10, 11, 12]);
    unused_argument(1);
    unused_local();
    super::block_on(unused_async_argument(1));
    assert_eq!(super::block_on(unreachable_still_seen()), 1);
}

#[test]
fn the_caller_is_the_caller() {
    assert_eq!(caller(), line!());
    let location = caller_after();
    assert_eq!((location.file(), location.line()), (file!(), line!() - 1));
}
