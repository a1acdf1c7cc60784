#!/usr/bin/env bash
# Every shell script is one that shellcheck finds nothing wrong with.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
passed=0 failed=0
while IFS= read -r script; do
    if shellcheck -x "$script"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done < <(find scripts tests bench fuzz examples .ci \( -name '*.sh' -o -path .ci/run \) -type f | sort)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
