//! Two benchmarks, each with a profile of its own. `RATE` is the rate of the samples, for tests of what is refused.
#![allow(missing_docs)]
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use profiled::criterion::Profiler;
use profiled_test_criterion::{hot_product, hot_sum};

fn sums(c: &mut Criterion) {
    let numbers: Vec<u64> = (0..10_000).collect();
    c.benchmark_group("sums").bench_function("hot <3>", |b| b.iter(|| hot_sum(black_box(&numbers))));
    c.bench_function("product", |b| b.iter(|| hot_product(black_box(&numbers))));
}

fn profiler() -> Profiler {
    match std::env::var("RATE").map(|rate| rate.parse()) {
        Ok(Ok(hz)) => Profiler::new(hz),
        _ => Profiler::default(),
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_profiler(profiler());
    targets = sums
}
criterion_main!(benches);
