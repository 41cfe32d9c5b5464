//! Items first, of every sort, and what only looks like one.
use crate::support::{Note, block_on, order};
use profiled::profiled;

#[profiled]
fn shape() -> u32 {
    use std::cmp::max;
    const LOCAL: u32 = 1;
    #[allow(dead_code)]
    pub(super) struct Unit;
    struct Tuple(u32);
    struct Fields<T, const N: usize>
    where
        [T; N]: Sized,
    {
        n: [T; N],
    }
    impl Fields<u32, { 1 + 1 }> {
        const fn first(&self) -> u32 {
            self.n[0]
        }
    }
    const fn constant(n: u32) -> u32 {
        n
    }
    unsafe extern "C" fn external() -> u32 {
        5
    }
    let _scope = Tuple(1);
    max(LOCAL, _scope.0) + Fields { n: [1, 2] }.first() + constant(1) + unsafe { external() }
}

#[profiled]
fn blocks() -> u32 {
    unsafe { std::hint::assert_unchecked(true) };
    const { assert!(size_of::<u8>() == 1) };
    let f = move || 3;
    f()
}

#[profiled]
async fn later(_a: Note) -> Option<Box<u32>> {
    static N: u32 = 4;
    if N == 0 {
        return None;
    }
    Some(Box::new(N))
}

pub(crate) fn run() {
    is!((shape(), blocks()), (8, 3));
    is!(order(|| is!(block_on(later(Note("a"))), Some(Box::new(4)))), "a");
}
