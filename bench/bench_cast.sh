#!/usr/bin/env bash
# Casts over buffers larger than the caches against copies in the same rounds, 1 and all threads.
set -euo pipefail
cmake --build "$TOLA_BUILD" --target bench_cast >/dev/null
for threads in 1 "$(nproc)"; do
    echo "$threads thread(s):"
    "$TOLA_BUILD/bench_cast" "$threads" 11
done
