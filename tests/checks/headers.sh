#!/usr/bin/env bash
# Each public header compiles alone, as C17 and as C++17, without warnings, and each internal one as C17.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
passed=0 failed=0
warnings="-Wall -Wextra -Wshadow -Wpointer-arith -Werror -fsyntax-only"

try() { # name command...
    local name=$1 log
    shift
    if log=$("$@" 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '%s does not compile alone:\n%s\n' "$name" "$log"
    fi
}

for header in include/tola/*.h; do
    # shellcheck disable=SC2086 # the warnings are words
    try "$header as C" "${CC:-cc}" -std=c17 -pedantic -Wstrict-prototypes $warnings -Iinclude \
        -include "$header" -x c /dev/null
    # shellcheck disable=SC2086
    try "$header as C++" "${CXX:-c++}" -std=c++17 -pedantic $warnings -Iinclude -include "$header" -x c++ /dev/null
done
while IFS= read -r header; do
    # Parts of files of an instruction set, which define what these need.
    case $header in *_body.h | *_runs.h) continue ;; esac
    # Words of an instruction set need its options (as in CMakeLists.txt), and a processor of its family.
    options='' family=$(uname -m)
    case $header in
        *_avx2.h) options="-mavx2 -mfma -mf16c" family=x86_64 ;;
        *_avx512*.h) options="-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni" family=x86_64 ;;
        *_amx.h) options="-mamx-tile" family=x86_64 ;;
        *_neon.h) family=aarch64 ;;
    esac
    [ "$family" = "$(uname -m)" ] || continue
    # shellcheck disable=SC2086
    try "$header" "${CC:-cc}" -std=gnu17 $warnings $options -Wno-unused-function -Iinclude -Isrc \
        -include "$header" -x c /dev/null
done < <(find src -name '*.h' | sort)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
