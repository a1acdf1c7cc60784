#!/usr/bin/env bash
# A tour: builds the release, then inspects, compares, converts, quantizes and runs real weights, printing each command
# before it runs.
#
# The weights are those of $TOLA_DATA (or ../shared/data); where that is absent, small ones are generated. What is
# written goes to a fresh folder that is removed at the end. Ends with an error where a step does not come out as it
# says.
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release >/dev/null
cmake --build --preset release --target tola
PATH=$PWD/build/release:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
steps=0

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# run [N] COMMAND...: shows the command, runs it, and takes exit code N (0) as right.
run() {
    local expected=0 code=0
    if [[ $1 =~ ^[0-9]+$ ]]; then expected=$1; shift; fi
    printf '$ %s\n' "$*"
    "$@" || code=$?
    if [ "$code" -ne "$expected" ]; then
        echo "tour: that ended with $code, not with $expected" >&2
        exit 1
    fi
    steps=$((steps + 1))
}

# largest FOLDER PATTERN: the largest such file below 4 MB.
largest() { find -L "$1" -name "$2" -size -4M -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-; }

data=${TOLA_DATA:-../shared/data}
python3 tests/fixtures/make_fixtures.py "$work/made"
python3 tests/fixtures/make_model.py "$work/made/model" "$work/made/llama"
if [ -d "$data" ]; then
    say "Real weights from $data"
    gguf=$(largest "$data/llm" '*.gguf')
    folder=$(dirname "$(find -L "$data/llm" -name config.json | sort | head -n 1)")
    torch=$(largest "$data/pytorch" '*.pt')
    safetensors=$(largest "$data/safetensors" '*.safetensors')
    model=$gguf
else
    say "There is no $data: small generated files stand in"
    gguf=$work/made/tiny.gguf folder=$work/made/llama torch=$work/made/tiny.pt safetensors=$work/made/tiny.safetensors
    model=$work/made/model # of random weights: what it says makes no sense
fi
say "What is in a file? GGUF, a Hugging Face folder, PyTorch, safetensors: one command"
run tola inspect "$gguf"
run tola inspect "$folder"
run tola inspect "$torch"
run tola inspect "$safetensors" --tensors
say "The numbers themselves"
run tola stats "$safetensors"

say "Into another container and back: the same tensors, the same fingerprint"
run tola convert "$safetensors" "$work/copy.pt"
run tola convert "$work/copy.pt" "$work/back.safetensors"
run tola diff "$safetensors" "$work/back.safetensors"
fingerprint() { tola inspect "$1" --digest --json | grep '"digest"'; }
printf '$ tola inspect FILE --digest\n'
for file in "$safetensors" "$work/copy.pt" "$work/back.safetensors"; do fingerprint "$file"; done
[ "$(fingerprint "$safetensors")" = "$(fingerprint "$work/back.safetensors")" ] ||
    { echo "tour: the fingerprints differ" >&2; exit 1; }

say "A Llama in the Hugging Face layout, to GGUF and back: bit-equal"
run tola convert "$work/made/llama" "$work/llama.gguf"
run tola inspect "$work/llama.gguf"
run tola convert "$work/llama.gguf" "$work/llama/"
run tola diff "$work/made/llama" "$work/llama"

say "Fewer bits, several shards"
size=$(stat -L -c %s "$safetensors")
run tola convert "$safetensors" "$work/half/" --dtype bf16 --max-shard-size $((size / 6))
run ls "$work/half"
say "Quantized: a mixture of llama.cpp's, then the least error that seven bits a weight can have, and int4 for vLLM"
run tola quantize "$model" "$work/q4.gguf" --to Q4_K_M
run tola quantize "$model" "$work/seven.gguf" --bits 7 --report "$work/seven.md"
run 1 tola diff "$work/seven.gguf" "$work/q4.gguf"
run tola quantize "$work/made/model" "$work/int4/" --to int4 --group 32
run tola inspect "$work/int4"

say "A language model speaks, the same words at any number of threads; as JSON that a schema allows; and its perplexity"
run tola tokenize "$model" "Once upon a time"
run tola run "$model" --raw -p "Once upon a time" -n 40 --temp 0
run tola run "$model" --raw -p "Once upon a time" -n 40 --temp 0 --threads 1 --lookup 2
if [ -d "$data" ]; then # a model that has the characters of JSON
    echo '{"type": "object", "properties": {"day": {"enum": ["Monday", "Friday"]}}, "required": ["day"],
        "additionalProperties": false}' >"$work/day.json"
    run tola run "$model" --raw -p "A day:" --json-schema "$work/day.json" --seed 1 -n 40
fi
run tola eval perplexity "$work/q4.gguf" README.md --context 64 --reference "$work/seven.gguf"

say "And what that changed: the answer is 'different', exit code 1"
run 1 tola diff "$work/made/tiny.safetensors" "$work/made/changed.safetensors"

say "Bad files get one line with the file, the place and the cause, and exit code 2"
for bad in lfs.safetensors truncated-payload.safetensors overlap.safetensors tensor-count.gguf calls-system.pt; do
    run 2 tola inspect "$work/made/bad/$bad"
done
say "Done: $steps commands, each came out as it should. 'tola help' lists what there is."
