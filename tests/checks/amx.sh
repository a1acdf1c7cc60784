#!/usr/bin/env bash
# Kernels with AMX on any processor with AVX-512, VNNI and BF16: amx.sh BUILD_FOLDER
#
# Unit tests linked anew with amx.c, which does what AMX's instructions do where the processor knows none.
set -uo pipefail
build=$(realpath "$1")
cd "$(dirname "$0")/../.." || exit 2
for word in avx512_vnni avx512_bf16; do
    if ! grep -qsw "$word" /proc/cpuinfo; then
        echo "skipped: no $word here: nothing is run with AMX"
        echo "0 passed, 0 failed, 1 skipped"
        exit 0
    fi
done

out=$build/amx
rm -rf "$out"
mkdir -p "$out"
failed=0
for test in attention gemm generate graph matmul matvec session; do
    "${CC:-cc}" -std=gnu17 -O2 -Wall -Wextra -Wshadow -Werror -Iinclude -Isrc -Itests/unit "tests/unit/test_$test.c" \
        -mamx-tile tests/checks/amx.c "$build/libtola.a" -o "$out/test_$test" -Wl,--wrap=cpu_get,--wrap=cpu_allow_amx \
        -lcmocka -pthread -lz -ldl -lm || failed=$((failed + 1))
done
log=$(tests/run_tests.py unit "$out")
echo "$log"
read -r passed _ more _ <<<"$(tail -n 1 <<<"$log")"
failed=$((failed + more))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
