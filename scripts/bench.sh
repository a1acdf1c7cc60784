#!/usr/bin/env bash
# Builds the release and runs every benchmark of bench/: bench_*.sh and bench_*.py, or those that are named.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release >/dev/null
cmake --build --preset release >/dev/null
PATH=$PWD/build/release:$PATH
TOLA_PYTHON=$(scripts/oracles.sh | tail -n 1)
export PATH TOLA_PYTHON TOLA_BUILD=$PWD/build/release
for script in "${@:-bench/bench_*}"; do
    for found in $script; do
        [ -e "$found" ] || { echo "bench: no $found"; continue; }
        echo "== $found"
        case $found in
        *.py) "$TOLA_PYTHON" "$found" ;;
        *) bash "$found" ;;
        esac
    done
done
