#!/usr/bin/env bash
# What the CPU sampler must survive, over and over, while other programs keep both cores busy.
#
#     PROFILED_STRESS_SECONDS=60 tests/tools/survive.sh [ROUNDS]      (3 rounds; 60 seconds is what it takes for all of
#                                                                      the hundred thousand threads)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

rounds=${1:-3}
export PROFILED_STRESS_SECONDS=${PROFILED_STRESS_SECONDS:-60}
tests=(--test cpu_survival --test cpu_stress --test cpu_forks --test fork)
build=(cargo -q test --release -p profiled-test-profiles --no-fail-fast)

"${build[@]}" "${tests[@]}" --no-run
load=()
trap 'kill "${load[@]}" 2>/dev/null || true' EXIT
for _ in $(seq "$(nproc)"); do
    (while :; do :; done) &
    load+=($!)
done

for ((round = 1; round <= rounds; round++)); do
    begin=$SECONDS
    "${build[@]}" "${tests[@]}"
    # Threads that keep the signal blocked: what they used is counted as lost.
    "${build[@]}" --test cpu_accuracy what_blocks_the_signal_is_counted_as_lost
    echo "round $round of $rounds: $((SECONDS - begin)) s, load average $(cut -d' ' -f1 /proc/loadavg)"
done
