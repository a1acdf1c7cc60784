#!/usr/bin/env bash
# Training shared by several processes: the losses of one process, a resume with another number, a process that dies.
# Builds with TOLA_MPI; skipped with one line where MPI is absent. Last line: "N passed, N failed[, N skipped]".
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v mpirun >/dev/null || ! command -v mpicc >/dev/null; then
    echo "skipped: mpirun or mpicc (libopenmpi-dev, openmpi-bin) is absent"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
cmake --preset mpi >/dev/null
cmake --build --preset mpi --target tola
tola=$PWD/build/mpi/tola
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
passed=0 failed=0
check() { # WHAT COMMAND...
    local what=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $what"; fi
}
ranks() { # N COMMAND...
    local n=$1
    shift
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout 120 mpirun --oversubscribe -n "$n" "$@"
}

python3 - <<'P'
import random
r = random.Random(3)
with open("points.csv", "w") as f:
    print("x,y,class", file=f)
    for _ in range(400):
        x, y = r.gauss(0, 1), r.gauss(0, 1)
        print(f"{x:.4f},{y:.4f},{'in' if x * x + y * y < 1.2 else 'out'}", file=f)
P
cat >points.yaml <<'P'
data:
  train: points.csv
  target: class
  validation: 80
model:
  layers: [dense 400, tanh, dropout 0.1, dense 300, relu]
training:
  steps: 60
  batch: 12
optimizer:
  method: adamw
  rate: 0.003
  clip: 0.5
validation:
  every: 20
save:
  every: 20
  keep: 9
P
same_losses() { # A B [FIRST STEP]: every line of the logs, but for rounding
    python3 - "$@" <<'P'
import json, sys
a, b = ([json.loads(line) for line in open(f"{name}/log.jsonl")] for name in sys.argv[1:3])
assert [line["step"] for line in a] == [line["step"] for line in b], "other steps"
for x, y in zip(a, b):
    for key in ("loss", "grad_norm", "lr"):
        assert abs(x.get(key, 0) - y.get(key, 0)) <= 2e-5 * max(1, abs(x.get(key, 0))), (key, x, y)
    for key in x.get("validation", {}):
        assert abs(x["validation"][key] - y["validation"][key]) <= 2e-3, (x, y)
P
}
"$tola" train points.yaml --out one --threads 1 >/dev/null
for n in 2 3 4; do
    check "$n processes run" ranks "$n" "$tola" train points.yaml --out "run$n" --threads 1 >"run$n.log"
    check "$n processes give the losses of one" same_losses one "run$n"
done
ranks 2 "$tola" train points.yaml --out again --threads 1 >/dev/null
check "the same number gives the same bits" cmp run2/model.safetensors again/model.safetensors

sed 's/method: adamw/method: adamw8/' points.yaml >eight.yaml # moments of 8 bits are shared out with their scales
ranks 2 "$tola" train eight.yaml --out eight --threads 1 >/dev/null
cp -r eight eight2
rm -rf eight2/checkpoint-[46]0 eight2/model.safetensors
ranks 2 "$tola" train eight.yaml --out eight2 --resume --threads 1 >/dev/null
check "8-bit moments come back from a checkpoint" cmp eight/model.safetensors eight2/model.safetensors

check "one process tells" test "$(ranks 3 "$tola" train points.yaml --out told --threads 1 2>&1 | grep -c '^done')" = 1

for n in 1 3; do # the state of two processes, taken up by others
    cp -r run2 "resumed$n"
    rm -rf "resumed$n"/checkpoint-[46]0 "resumed$n"/model.safetensors
    check "$n processes go on with the checkpoint of two" \
        ranks "$n" "$tola" train points.yaml --out "resumed$n" --resume --threads 1 >/dev/null
    check "and end as if nothing had been" same_losses one "resumed$n"
done

code=0
ranks 5 "$tola" train points.yaml --out uneven >uneven.log 2>&1 || code=$?
check "what cannot be shared out is an error" test "$code" = 2 -a "$(grep -c 'cannot be shared out' uneven.log)" = 1

sed 's/steps: 60/steps: 100000000/' points.yaml >long.yaml
ranks 2 "$tola" train long.yaml --out long --threads 1 >long.log 2>&1 &
launcher=$!
for _ in $(seq 100); do
    sleep 0.1
    if [ -d long/checkpoint-20 ]; then break; fi
done
pkill -KILL -n -f "$tola train long.yaml"
code=0
wait "$launcher" || code=$?
check "the death of one process ends the others" test "$code" -ne 0
check "and says so" grep -q "exited on signal 9" long.log
check "a checkpoint is left" test -n "$(ls -d long/checkpoint-*)"
last=$(find long -maxdepth 1 -name 'checkpoint-*' | sed 's/.*-//' | sort -n | tail -n 1)
sed "s/steps: 60/steps: $((last + 5))/" points.yaml >long.yaml
check "which can be gone on with" \
    ranks 3 "$tola" train long.yaml --out long --resume --changed --threads 1 >/dev/null

if [ "$failed" -gt 0 ]; then tail -n 20 long.log uneven.log; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
