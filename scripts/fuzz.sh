#!/usr/bin/env bash
# Runs each fuzz target for FUZZ_SECONDS, one after another on one processor: fuzz.sh [TARGET ...]
#
# New inputs go to build/fuzz-corpus/<target>, findings to build/fuzz-findings; fuzz/corpus is read but not written to.
# Prints executions, coverage and findings of each, then "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

seconds=${FUZZ_SECONDS:-600}
cmake --preset fuzz >/dev/null && cmake --build --preset fuzz || exit 1
mkdir -p build/fuzz-findings
passed=0 failed=0
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(printf '%s\n' fuzz/fuzz_*.c | sed 's/\.c$//; s/^.*fuzz_//')
for name in "${targets[@]}"; do
    grown=build/fuzz-corpus/$name log=build/fuzz-findings/$name.log
    mkdir -p "$grown"
    seeds=()
    [ -d "fuzz/corpus/$name" ] && seeds=("fuzz/corpus/$name")
    if "build/fuzz/fuzz_$name" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=25 \
        -max_len=65536 -print_final_stats=1 \
        -artifact_prefix="build/fuzz-findings/$name-" "$grown" "${seeds[@]}" >"$log" 2>&1; then
        passed=$((passed + 1)) verdict=clean
    else
        failed=$((failed + 1)) verdict="FOUND SOMETHING, see $log"
    fi
    runs=$(awk '/stat::number_of_executed_units/ { print $2 }' "$log")
    cover=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
    echo "$name: $seconds s, ${runs:-?} runs, ${cover:-cov: ?}, $verdict"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
