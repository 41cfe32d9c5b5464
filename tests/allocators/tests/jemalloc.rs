//! Around `tikv_jemallocator::Jemalloc`.
use profiled::Allocator;
use profiled_test_allocators::Watch;
use profiled_test_profiles::truth::Exact;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Allocator<Watch<Jemalloc>> = Allocator::new(Watch(Exact(Jemalloc)));

/// As programs have it: without anything between.
const _: Allocator<Jemalloc> = Allocator::new(Jemalloc);

profiled_test_allocators::cases!(in_place: true);
