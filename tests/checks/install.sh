#!/usr/bin/env bash
# What is installed can be used: install.sh BUILD_FOLDER
#
# Installs into a fresh folder, compiles the example there through pkg-config against the shared and the static library,
# and runs it on a fixture.
set -uo pipefail
build=$(realpath "$1")
cd "$(dirname "$0")/../.." || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

try() { # what command...
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $what"
    fi
}

root=$work/root
cmake --install "$build" --prefix "$root" >/dev/null || exit 1
for file in bin/tola lib*/libtola.a lib*/libtola.so.0 include/tola/tola.h share/man/man1/tola.1 \
    share/bash-completion/completions/tola share/zsh/site-functions/_tola share/fish/vendor_completions.d/tola.fish; do
    # shellcheck disable=SC2086 # the star is meant: lib or lib64
    try "$file is installed" compgen -G "$root"/$file >/dev/null
done
pc=$(find "$root" -name tola.pc)
config() { PKG_CONFIG_PATH=$(dirname "$pc") pkg-config "$@" tola; }
python3 tests/fixtures/make_fixtures.py "$work/fixtures"
soname=$(objdump -p "$root"/lib*/libtola.so 2>/dev/null | awk '$1 == "SONAME" { print $2 }')
try "the shared library is called libtola.so.0 (it is '$soname')" [ "$soname" = libtola.so.0 ]
# shellcheck disable=SC2046 # words are meant
try "the example compiles against the shared library" \
    "${CC:-cc}" examples/list_tensors.c -o "$work/shared" $(config --cflags --libs)
# shellcheck disable=SC2046
try "the example compiles against the static library" \
    "${CC:-cc}" -static-libgcc examples/list_tensors.c "$root"/lib*/libtola.a -o "$work/static" \
    $(config --cflags) -pthread -lz -lm -ldl
for kind in shared static; do
    LD_LIBRARY_PATH=$(dirname "$(dirname "$pc")") "$work/$kind" "$work/fixtures/tiny.safetensors" >"$work/$kind.out"
    try "the $kind example lists the tensors" grep -q '^layer.weight.*f32.*2 3' "$work/$kind.out"
done
LD_LIBRARY_PATH=$(dirname "$(dirname "$pc")") \
    python3 examples/list_tensors.py "$work/fixtures/tiny.gguf" >"$work/python.out"
try "the Python example lists the same" diff <(sort "$work/python.out") <(sort "$work/shared.out")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
