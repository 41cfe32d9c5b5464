//! The standard library's monotonic clock.
use std::sync::OnceLock;
use std::time::Instant;

/// A clock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// Never set back.
    Monotonic,
}

/// What `clock` shows, in nanoseconds, counted from the first look at it.
pub(crate) fn nanoseconds(clock: Clock) -> u64 {
    /// Made without allocating, as hooks look at the clock.
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let Clock::Monotonic = clock;
    // 0 would be "not noted" to some: the first look is at 1.
    1 + FIRST.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// There is no counter that this backend would know the rate of.
pub(crate) fn counter_is_invariant() -> bool {
    false
}

/// In place of the processor's counter.
pub(crate) fn counter() -> u64 {
    nanoseconds(Clock::Monotonic)
}

/// The same: a look at the clock takes longer than what could come out of order.
pub(crate) fn counter_in_order() -> u64 {
    counter()
}
