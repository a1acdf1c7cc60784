#!/usr/bin/env bash
# What reads no files, on aarch64: the rooms below formats/, text/, graph/ and sampling cross-compiled with warnings as
# errors, their unit tests run under qemu.
#
# The tests chosen are those that include nothing of the other rooms, nor what needs zlib.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
cc=aarch64-linux-gnu-gcc
qemu=$(command -v qemu-aarch64)
header=/usr/include/cmocka.h
for tool in "$cc" qemu-aarch64 "$header"; do
    if ! command -v "$tool" >/dev/null && [ ! -e "$tool" ]; then
        echo "skipped: $tool is absent: nothing is run on aarch64"
        echo "0 passed, 0 failed, 1 skipped"
        exit 0
    fi
done

build=build/aarch64
rm -rf "$build"
mkdir -p "$build/include"
cp "$header" "$build/include/"
mapfile -t sources < <(find src/base src/tensor src/kernels src/codecs src/text src/graph src/generate/sample*.c -name '*.c' |
    grep -vE '_(avx2|avx512|pclmul)\.c$' | sort)
flags=(-std=gnu17 -O2 -ffp-contract=off -Wall -Wextra -Wshadow -Wvla -Werror -Wno-maybe-uninitialized -Iinclude -Isrc)
export build cc
# shellcheck disable=SC2016 # expanded by the inner shell
printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -I{} bash -c \
    'case $1 in
         *_dotprod.c) more=-march=armv8.2-a+dotprod+fp16 ;; # as CMakeLists.txt
         *_i8mm.c) more=-march=armv8.2-a+dotprod+fp16+i8mm ;;
     esac
     $cc "${@:2}" $more -c "$1" -o "$build/${1//\//_}.o"' _ {} "${flags[@]}" ||
    { echo "0 passed, 1 failed"; exit 1; }
rm -f "$build/libtola.a"
aarch64-linux-gnu-ar rcs "$build/libtola.a" "$build"/*.o
above='"(formats|families|models|learn|trust|transform|insight|share|cli)/|<tola/(checkpoint|insight|transform|tola)\.h>'
above="$above"'|unit\.h"|base/(hash|json)\.h"|text/schema\.h"|zip_build|gguf_build'
failed=0
for test in tests/unit/test_*.c; do
    grep -qE "$above" "$test" && continue
    "$cc" "${flags[@]}" -Wno-unused-parameter -Itests/unit -isystem "$build/include" \
        "$test" tests/checks/cmocka_small.c "$build/libtola.a" -o "$build/$(basename "$test" .c).bin" -pthread -ldl -lm || failed=$((failed + 1))
done
# Products once more on processors without i8mm (a76), and without dotprod as well (a57).
for cpu in cortex-a76 cortex-a57; do
    for test in matmul matvec; do cp "$build/test_$test.bin" "$build/test_${test}_$cpu.bin"; done
done
mkdir -p "$build/run"
for program in "$build"/test_*.bin; do
    wrapper=$build/run/$(basename "$program" .bin)
    cpu=max
    case $program in
        *_cortex-*) cpu=cortex-${program##*_cortex-} cpu=${cpu%.bin} ;;
    esac
    printf '#!/bin/sh\nexec %s -cpu %s -L /usr/aarch64-linux-gnu "%s" "$@"\n' "$qemu" "$cpu" \
        "$(realpath "$program")" >"$wrapper"
    chmod +x "$wrapper"
done
log=$(tests/run_tests.py unit "$build/run")
echo "$log"
read -r passed _ more _ <<<"$(tail -n 1 <<<"$log")"
failed=$((failed + more))
# The checker of the kernels, which holds each instruction set against the plain C definition.
if log=$(scripts/check_aarch64.sh 2>&1); then
    passed=$((passed + $(grep -o '[0-9]* operations checked' <<<"$log" | cut -d' ' -f1)))
else
    failed=$((failed + 1))
fi
echo "$log"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
