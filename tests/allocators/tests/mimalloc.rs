//! Around `mimalloc::MiMalloc`.
use mimalloc::MiMalloc;
use profiled::Allocator;
use profiled_test_allocators::Watch;
use profiled_test_profiles::truth::Exact;

#[global_allocator]
static ALLOCATOR: Allocator<Watch<MiMalloc>> = Allocator::new(Watch(Exact(MiMalloc)));

/// As programs have it: without anything between.
const _: Allocator<MiMalloc> = Allocator::new(MiMalloc);

profiled_test_allocators::cases!(in_place: true);
