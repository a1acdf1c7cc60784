#!/usr/bin/env bash
# Every check there is, one line each, and the sum at the end: "N passed, N failed[, N skipped]".
#
# A stage prints its own counts as its last line; a build counts as one failure where it fails. The logs are in
# build/check/. Stages that need a tool which is absent say so. Exits with 1 where anything failed or nothing ran.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

logs=build/check
rm -rf "$logs"
mkdir -p "$logs"
started=$SECONDS
jobs=$(nproc)

# stage NAME COMMAND...: runs it and leaves its counts in NAME.counts; returns its exit code.
stage() {
    local name=$1 log=$logs/$1.log code=0 begin=$SECONDS counts p=0 f=0 s=0
    shift
    echo 0 1 0 >"$logs/$name.counts" # should it not come to its end
    "$@" >"$log" 2>&1 </dev/null || code=$?
    counts=$(grep -Eo '[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?' "$log" | tail -n 1)
    if [ -n "$counts" ]; then
        read -r p _ f _ s _ <<<"${counts//,/} 0"
    fi
    if [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    echo "$p $f $s" >"$logs/$name.counts"
    {
        flock 9
        printf '%-28s %6d passed %4d failed %4d skipped  %4d s\n' "$name" "$p" "$f" "$s" $((SECONDS - begin))
        grep -E '^skipped: |skipped, .* is absent$' "$log" | sort | uniq -c | sed 's/^ *\([0-9]*\) /    \1 x /' |
            head -n 20
        if [ "$f" -gt 0 ]; then
            sed 's/^/    | /' "$log" | grep -Ev '\[[0-9]+/[0-9]+\]' | tail -n 60
        fi
    } 9>"$logs/lock"
    return "$code"
}

# beside NAME COMMAND...: a stage of one process, beside others of its kind and what comes next.
beside() {
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    stage "$@" &
}

# shellcheck disable=SC2317 # called through stage
build() { # PRESET TARGET...
    cmake --preset "$1" && cmake --build --preset "$1" --target "${@:2}" -- -j "$jobs" -k 0
}

finish() {
    wait
    echo "the whole took $((SECONDS - started)) s"
    local passed failed skipped file
    for file in "$logs"/*.counts; do # what failed, once more, where a reader of the end sees it
        read -r _ failed _ <"$file"
        if [ "$failed" -gt 0 ]; then
            grep -Ev '\[[0-9]+/[0-9]+\]|^skipped: ' "${file%.counts}.log" | tail -n 8 | cut -c 1-300 |
                sed "s/^/$(basename "$file" .counts): /"
        fi
    done
    read -r passed failed skipped < <(awk '{ p += $1; f += $2; s += $3 } END { print p, f, s }' "$logs"/*.counts)
    local total="$passed passed, $failed failed"
    if [ "$skipped" -gt 0 ]; then total="$total, $skipped skipped"; fi
    echo "$total" | tee "$logs/total"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

python=$(scripts/oracles.sh | tail -n 1)
export TOLA_PYTHON=$python

beside include-graph tests/checks/include_graph.py
beside headers tests/checks/headers.sh
if command -v shellcheck >/dev/null; then
    beside shellcheck tests/checks/shell.sh
fi

stage build-gcc build check-gcc all || finish
stage unit-gcc tests/run_tests.py unit build/check-gcc
stage amx tests/checks/amx.sh build/check-gcc
stage cli-gcc tests/cli/run.py --tola build/check-gcc/tola
stage bad-input-gcc tests/cli/bad_input.py build/check-gcc/tola
beside symbols tests/checks/symbols.py build/check-gcc
beside docs tests/checks/docs.py build/check-gcc
beside facts-doc tests/checks/facts_doc.py build/check-gcc
beside install tests/checks/install.sh build/check-gcc
beside train-kill-gcc tests/cli/train_kill.py build/check-gcc/tola
for script in tests/oracle/*.py; do
    if [ "$script" = tests/oracle/common.py ] || ! grep -qE 'Tally\(|passed, ' "$script"; then continue; fi
    beside "oracle-$(basename "$script" .py)" env TOLA_BUILD=build/check-gcc "$python" "$script"
done

stage build-clang build check-clang all && stage unit-clang tests/run_tests.py unit build/check-clang

# The sanitizers end a program at the first fault; leaks are faults.
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
mapfile -t unit < <(basename -s .c tests/unit/test_*.c)
mapfile -t fuzz < <(basename -s .c fuzz/fuzz_*.c)
if stage build-asan build asan tola "${unit[@]}" "${fuzz[@]}"; then
    stage unit-asan tests/run_tests.py unit build/asan
    stage cli-asan tests/cli/run.py --tola build/asan/tola
    stage bad-input-asan tests/cli/bad_input.py build/asan/tola
    stage fuzz-corpora tests/run_tests.py fuzz build/asan
fi
export TSAN_OPTIONS=halt_on_error=1
# Programs that start threads; those that make everything fail in turn take minutes and start one, and some that speak
# of threads start none.
mapfile -t threaded < <(grep -lE 'threads|pool_create|pthread' tests/unit/test_*.c | xargs -n 1 basename -s .c |
    grep -vx -e test_torture -e test_train -e test_cli -e test_gemm -e test_kv -e test_papers)
if stage build-tsan build tsan tola "${threaded[@]}"; then
    stage unit-tsan tests/run_tests.py unit build/tsan "${threaded[@]}"
    stage cli-tsan tests/cli/run.py --tola build/tsan/tola tests/cli/{convert,eval,finetune,run,train}.t
fi
stage mpi tests/checks/mpi.sh
stage aarch64 tests/checks/aarch64.sh
finish
