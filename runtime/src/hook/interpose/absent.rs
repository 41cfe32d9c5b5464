//! The feature `interpose` where it is off, or has nothing to bind to.
use crate::snapshot::Row;
use crate::store::Stack;

pub(crate) fn own_wait<R>(f: impl FnOnce() -> R) -> R {
    f()
}

pub(crate) struct OwnWait;

impl OwnWait {
    pub(crate) fn begin() -> OwnWait {
        OwnWait
    }

    #[expect(clippy::unused_self, reason = "as where it is not absent")]
    pub(crate) fn end(&self) {}
}

pub(crate) fn is_active() -> bool {
    false
}

pub(crate) fn count_of_waits() -> usize {
    0
}

pub(crate) fn count_of_charges() -> usize {
    0
}

pub(crate) fn waits(_apart: bool) -> impl Iterator<Item = Row> {
    std::iter::empty()
}

/// Who waits right now: the thread's number, nanoseconds, the stack.
pub(crate) fn waiting() -> Vec<(u32, u64, Stack)> {
    Vec::new()
}

/// Whether it is active, for people, where it was asked for.
pub(crate) fn status() -> Option<&'static str> {
    cfg!(feature = "interpose").then_some("interpose: inactive")
}

pub(crate) fn charges() -> impl Iterator<Item = Row> {
    std::iter::empty()
}

/// Says so where it was asked for.
pub(crate) fn comments() -> impl Iterator<Item = String> {
    const WHY: &str = "interpose: inactive: only programs on Linux with glibc as a shared library have it";
    cfg!(feature = "interpose").then(|| WHY.to_owned()).into_iter()
}

pub(crate) fn after_fork_in_child() {}
