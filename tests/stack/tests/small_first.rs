//! The very first stack may be wanted on a thread that has no room to build the table. Alone in its process.
#![cfg(not(profiled_portable))]
use profiled_test_stack::ours;
use std::thread::Builder;

#[test]
fn a_small_stack_does_not_build_the_table() {
    let small = || Builder::new().stack_size(16 << 10).spawn(|| ours::capture_addresses(0)).unwrap();
    let (addresses, truncated) = small().join().unwrap();
    assert_eq!((addresses.len(), truncated), (0, true), "only the place itself is known, and it is skipped");
    assert_eq!(ours::size(), (0, 0));
    let (addresses, truncated) = ours::capture_addresses(0);
    assert!(addresses.len() > 4 && !truncated);
    assert!(ours::size().0 > 10_000);
    let (addresses, truncated) = small().join().unwrap();
    assert!(addresses.len() > 4 && !truncated);
}
