#!/usr/bin/env bash
# The storms of allocations, threads and forks under AddressSanitizer, which sees what the checking allocator of these
# tests cannot: reads outside of blocks and of stacks, in the profiler and in what it uses. Needs a nightly toolchain,
# whose target comes with the sanitizer's runtime.
#
#     PROFILED_STRESS_SECONDS=60 tests/tools/sanitize.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=x86_64-unknown-linux-gnu
export PROFILED_STRESS_SECONDS=${PROFILED_STRESS_SECONDS:-10}
# What the profiler maps itself is no root to the search for leaks, and what hangs on it would be one.
export ASAN_OPTIONS=detect_leaks=0
# A folder of its own, so that neither build throws away what the other one made.
RUSTFLAGS=-Zsanitizer=address cargo +nightly -q test --target "$target" --target-dir target/asan -p profiled-test-storms
