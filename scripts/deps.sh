#!/usr/bin/env bash
# Installs the Debian packages that are missing: deps.sh build|check
#
# build: compiling and running. check: the tests as well; those that tests can do without (they say what they skip) are
# asked for, but their absence is no error. Does nothing, and needs no network, where everything is there.
set -euo pipefail

build=(gcc libc6-dev cmake ninja-build pkg-config zlib1g-dev libcurl4-openssl-dev libyaml-dev libssl3 libarchive13
    libsqlite3-0 libsodium23 python3)
check=(g++ clang binutils libcmocka-dev)
optional=(libclang-rt-14-dev python3-numpy python3-torch python3-venv mandoc zsh fish shellcheck
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user ccache libopenmpi-dev openmpi-bin)

missing() {
    local p
    for p in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
    done
}

install() {
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    if [ ${#as_root[@]} -gt 0 ] && ! command -v sudo >/dev/null; then
        echo "deps: not root and no sudo: install these yourself: $*" >&2
        return 1
    fi
    echo "deps: installing $*"
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

case ${1:-} in
build) needed=("${build[@]}") wanted=() ;;
check) needed=("${build[@]}" "${check[@]}") wanted=("${optional[@]}") ;;
*) echo "usage: deps.sh build|check" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps: this is no Debian; needed are ${needed[*]} under the names they have here"
    exit 0
fi
mapfile -t lacking < <(missing "${needed[@]}")
if [ ${#lacking[@]} -gt 0 ]; then
    install "${lacking[@]}" || { echo "deps: could not install ${lacking[*]}" >&2; exit 1; }
fi
[ ${#wanted[@]} -eq 0 ] && exit 0
mapfile -t lacking < <(missing "${wanted[@]}")
if [ ${#lacking[@]} -gt 0 ] && ! install "${lacking[@]}"; then
    echo "deps: without ${lacking[*]}; the tests that need them say that they are skipped"
fi
