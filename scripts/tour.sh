#!/usr/bin/env bash
# A tour: the life of a model in about two minutes, each command printed before it runs.
#
# A corpus (CORPUS=FILE, or one that is generated) becomes a tokenizer and a language model that writes readable lines;
# it is inspected, quantized, measured before and after, taught to answer questions, asked what it forgot, scanned,
# signed, encrypted, logged, held against devices and rules, and run. What it makes stays in build/tour to be looked at.
# Ends with an error where a step does not come out as it says.
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release >/dev/null
cmake --build --preset release --target tola
PATH=$PWD/build/release:$PATH
root=$PWD
work=build/tour
rm -rf "$work"
mkdir -p "$work"
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
fail() { echo "tour: $*" >&2; exit 1; }
# field FILE KEY...: a value in a file of JSON
field() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1]))
for k in sys.argv[2:]: d = d[k]
print(d)' "$@"; }

say "A corpus"
python3 scripts/make_corpus.py "$work/corpus"
corpus=$work/corpus/stories.txt held=$work/corpus/held.txt
if [ -n "${CORPUS:-}" ]; then
    [ -r "$CORPUS" ] || fail "cannot read CORPUS=$CORPUS"
    corpus=$work/corpus/given.txt held=$work/corpus/given-held.txt
    bytes=$(stat -L -c %s "$CORPUS")
    head -c $((bytes - bytes / 20)) "$CORPUS" >"$corpus"
    tail -c $((bytes / 20)) "$CORPUS" >"$held"
fi
cd "$work"
corpus=${corpus#"$work/"} held=${held#"$work/"}
run head -c 400 "$corpus"
echo " ..."

say "A recipe: a tokenizer of 512 tokens and a Llama of 0.7 million parameters, trained from nothing"
cat >model.yaml <<END
data:
  train: $corpus
  validation: [$held]
tokenizer:
  vocabulary: 512
model:
  architecture: llama
  width: 128
  layers: 3
  heads: 4
  context: 128
training:
  steps: 400
  batch: 16
optimizer:
  rate: 0.003
  betas: [0.9, 0.95]
  decay: 0.1
  clip: 1
schedule:
  kind: cosine
  warmup: 40
  floor: 0.1
validation:
  every: 100
save:
  every: 200
END
run cat model.yaml
run tola train model.yaml --out model
say "It writes"
run tola run model --raw -p "Lily was a" -n 80 --seed 3

say "What is in it"
run tola inspect model
run tola stats model --plot weights.svg
run tola scan model/model.safetensors model/config.json model/tokenizer.json

say "A quarter of the bits: how much worse is it?"
run tola quantize model four.gguf --to Q4_0 --report quantized.svg
for m in model four.gguf; do
    run tola eval perplexity "$m" "$held" --context 128
    tola eval perplexity "$m" "$held" --context 128 --json >"perplexity-$(basename "$m" .gguf).json"
done
python3 - <<'END' || fail "four bits cost more than a tenth"
import json
before, after = (json.load(open(f"perplexity-{m}.json"))["perplexity"] for m in ("model", "four"))
print(f"perplexity {before:.4f} -> {after:.4f}: {100 * (after / before - 1):+.2f} %")
assert after < 1.1 * before
END

say "It learns to answer questions: an adapter over the four-bit weights, and what was forgotten of the stories"
run head -n 3 corpus/questions.jsonl
ask="What does the owl eat?"
run tola run four.gguf --raw -p "$ask" -n 20 --temp 0
run tola finetune four.gguf --data corpus/questions.jsonl --out answers --anchor "$held" --lr 3e-3 --batch 8 --steps 200 \
    --rank 16 --validate-every 50
run tola run four.gguf --adapter answers --raw -p "$ask" -n 20 --temp 0
say "The same, held to what it knew: a quarter of each batch is stories again"
run tola finetune four.gguf --data corpus/questions.jsonl --out gentle --anchor "$held" --lr 3e-3 --batch 8 --steps 200 \
    --rank 16 --validate-every 50 --replay 0.25
run tola run four.gguf --adapter gentle --raw -p "$ask" -n 20 --temp 0
run tola merge four.gguf --adapter gentle taught.gguf
run tola run taught.gguf --raw -p "Where does the frog live?" -n 20 --temp 0

say "Signed: what is touched is told"
run tola keygen sign.pem --kind sign
run tola sign taught.gguf --key sign.pem
run tola verify taught.gguf --public-key sign.pem.pub
cp taught.gguf touched.gguf
cp taught.gguf.sig touched.gguf.sig
printf '\x00' | dd of=touched.gguf bs=1 seek=20000 conv=notrunc status=none
run 1 tola verify touched.gguf --public-key sign.pem.pub

say "Locked: it opens with its key alone, with every verb, and comes back byte by byte"
run tola keygen friend
run tola encrypt taught.gguf taught.enc --recipient friend.pub
run 2 tola inspect taught.enc
run tola run taught.enc --identity friend --raw -p "Where does the frog live?" -n 20 --temp 0
run tola decrypt taught.enc back.gguf --identity friend
run cmp back.gguf taught.gguf

say "Logged: who used which weights, in a log that cannot be rewritten unseen"
run env TOLA_LOG=access.db tola run taught.gguf --raw -p "$ask" -n 20 --temp 0
run env TOLA_LOG=access.db tola convert taught.gguf taken.safetensors --dtype f16
run env TOLA_LOG=access.db tola log show
run env TOLA_LOG=access.db tola log verify

say "What it takes, and what comes with it"
run tola fit model --on this,raspberry-pi-5-8 --plot fit.svg
cat >facts.yaml <<END
model:
  name: Tola Tour Stories
  release_date: 2026-11-22
licence:
  id: apache-2.0
training:
  tokens: 819200
data_policy:
  copyright_policy: texts made by a script, nobody else's
END
echo "What nobody said stays unknown, and the exit code is 1:"
run 1 tola comply model --facts facts.yaml

say "Bad files get one line with the file, the place and the cause, and exit code 2"
head -c 3000 taught.gguf >cut.gguf
run 2 tola inspect cut.gguf

say "Done: $steps commands, each came out as it should. In ${root##*/}/$work lie"
for f in model/loss.png weights.svg quantized.svg answers/loss.png gentle/loss.png fit.svg; do
    [ -s "$f" ] || fail "$f is missing"
    echo "    $f"
done
echo "    model/ four.gguf answers/ gentle/ taught.gguf taught.gguf.sig taught.enc access.db facts.yaml"
echo "'tola help' lists what there is."
