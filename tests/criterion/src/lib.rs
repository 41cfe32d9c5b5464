//! What `benches/sums.rs` measures, and `tests/profiler.rs` looks for in the profiles.

/// Takes nearly all the time of the benchmark `sums/hot <3>`.
#[inline(never)]
pub fn hot_sum(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |sum, n| step(sum, *n))
}

/// Inlined into [`hot_sum`].
#[inline(always)]
fn step(sum: u64, n: u64) -> u64 {
    std::hint::black_box(sum.rotate_left(5) ^ n)
}

/// Takes nearly all the time of the benchmark `product`.
#[inline(never)]
pub fn hot_product(numbers: &[u64]) -> u64 {
    numbers.iter().fold(1, |product, n| std::hint::black_box(product.wrapping_mul(n | 1)))
}
