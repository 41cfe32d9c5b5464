//! Since 2024: what comes back captures every lifetime.
use profiled::profiled;

#[profiled]
fn shape(list: &[u32]) -> impl Iterator<Item = u32> {
    list.iter().copied()
}

pub(crate) fn run() {
    is!(shape(&[1, 2]).sum::<u32>(), 3);
}
