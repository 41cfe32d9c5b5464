//! One file a refusal: it must fail for the reason in its name, with exactly the message beside it.
#![cfg(feature = "enabled")]

#[test]
fn refusals() {
    trybuild::TestCases::new().compile_fail("fail/*.rs");
}
