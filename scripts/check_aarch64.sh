#!/bin/sh
# Compiles the kernels for aarch64 and runs their checker under qemu: scripts/check_aarch64.sh
# Needs gcc-aarch64-linux-gnu and qemu-user. The checker holds NEON against the plain C definition.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for folder in cast compare dequantize stats; do set -- "$@" src/kernels/$folder/*.c; done
aarch64-linux-gnu-gcc -std=gnu17 -O2 -ffp-contract=off -Wall -Wextra -Werror -DBENCH_WITHOUT_ZLIB -Iinclude -Isrc \
    -static -o "$out/check" bench/kernels.c "$@" src/base/cpu.c src/tensor/dtype.c -lm -lpthread
qemu-aarch64 "$out/check"
