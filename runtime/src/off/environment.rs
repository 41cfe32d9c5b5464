//! The environment, unread.
use std::marker::PhantomData;

/// Reads nothing and begins nothing.
#[inline(always)]
pub fn init() -> Guard {
    Guard(PhantomData)
}

/// What [`init`] did not begin.
#[derive(Debug)]
#[must_use = "dropping it ends what the environment asked for"]
pub struct Guard(PhantomData<Box<dyn Send>>);

impl Drop for Guard {
    #[inline(always)]
    fn drop(&mut self) {}
}
