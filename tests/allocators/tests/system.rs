//! Around `std::alloc::System`.
use profiled::Allocator;
use profiled_test_allocators::Watch;
use profiled_test_profiles::truth::Exact;
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: Allocator<Watch<System>> = Allocator::new(Watch(Exact(System)));

/// As programs have it: without anything between.
const _: Allocator<System> = Allocator::new(System);

profiled_test_allocators::cases!(in_place: true);
