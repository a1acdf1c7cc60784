# From a quantized model that was fine-tuned and merged back to the signed original, and links that are broken.
# needs: openssl
# needs: data

$ umask 077; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k.pem 2>/dev/null; openssl pkey -in k.pem -pubout -out k.pub
> mkdir base; cp "$DATA/llm/stories260K/stories260Ktok512.gguf" base/s.gguf
> printf '%s\n' '{"prompt": "Who was it?", "completion": " It was a cat."}' '{"question": "Why?", "answer": " Because."}' > d.jsonl
> tola sign base/s.gguf --key k.pem -q
> tola finetune base/s.gguf --data d.jsonl --out lora --steps 2 --rank 2 --context 64 --provenance lora.json -q && tola sign lora --key k.pem --provenance lora.json -q
> tola merge base/s.gguf --adapter lora:0.5 merged.gguf --provenance merged.json -q && tola sign merged.gguf --key k.pem --provenance merged.json -q
> tola quantize merged.gguf q.gguf --to q8_0 --provenance q.json -q && tola sign q.gguf --key k.pem --provenance q.json -q
> echo 'v() { tola verify q.gguf --public-key k.pub --chain --origin base "$@"; }' > lib

$ . ./lib; v
q.gguf: valid, signed with a P-256 key; 1 entry, 379.17 kB
  chain   q.gguf: signed, with provenance
  from    ./merged.gguf: signed, with provenance
  from    base/s.gguf: signed, an original
  from    ./lora: signed, with provenance
  from    d.jsonl: data, named by its digest, not signed

# A run's log and checkpoints are no part of what came out, and may go before it is signed.
$ python3 -c 'import json; s = json.load(open("lora.json")); print([x["name"] for x in s["subject"]], s["predicate"]["buildDefinition"]["buildType"])'; rm -r lora/checkpoint-2 lora/loss.png; tola sign lora --key k.pem --provenance lora.json --force -q; echo signed
['adapter_config.json', 'adapter_model.safetensors'] urn:tola:finetune:1
signed

# ... but what was merged was hashed with them: the chain says so.
$ . ./lib; v | tail -2
  from    base/s.gguf: signed, an original
  from    ./lora: what was signed is not the checkpoint-2/adapter_config.json that the result was made of

$ . ./lib; tola merge base/s.gguf --adapter lora:0.5 merged.gguf --provenance merged.json -q --force && tola sign merged.gguf --key k.pem --provenance merged.json -q --force; v -q && echo whole
whole

# Data that is signed is held to its signature.
$ . ./lib; tola sign d.jsonl --key k.pem -q; v | tail -1; echo >> d.jsonl; tola sign d.jsonl --key k.pem -q --force; v | tail -1
  from    ./d.jsonl: signed, an original
  from    ./d.jsonl: what was signed is not the d.jsonl that the result was made of
$ . ./lib; rm d.jsonl.sig; v -q && echo whole
whole

# Broken: the original was replaced and signed again, its signature is gone, somebody else signed it, the link was edited.
$ . ./lib; cp base/s.gguf s.gguf; cp base/s.gguf.sig kept; cp q.gguf base/s.gguf; tola sign base/s.gguf --key k.pem --force -q; v | grep -v lora
q.gguf: not valid: the chain breaks at base/s.gguf: what was signed is not the s.gguf that the result was made of
  chain   q.gguf: signed, with provenance
  from    ./merged.gguf: signed, with provenance
  from    base/s.gguf: what was signed is not the s.gguf that the result was made of
  from    d.jsonl: data, named by its digest, not signed
$ . ./lib; rm base/s.gguf.sig; v | head -1
q.gguf: not valid: the chain breaks at s.gguf: no signature of it was found beside the model, nor in the folders of origins
$ . ./lib; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out o.pem 2>/dev/null; tola sign base/s.gguf --key o.pem -q; v | head -1
q.gguf: not valid: the chain breaks at base/s.gguf: it was signed with another key
$ . ./lib; cp s.gguf base; cp kept base/s.gguf.sig; v -q && echo whole
whole
$ . ./lib; python3 - <<'X'
> import base64, json
> b = json.load(open("merged.gguf.sig")); e = b["dsseEnvelope"]
> p = json.loads(base64.b64decode(e["payload"])); p["predicate"]["provenance"]["predicate"]["buildDefinition"]["resolvedDependencies"].pop()
> e["payload"] = base64.b64encode(json.dumps(p).encode()).decode(); json.dump(b, open("merged.gguf.sig", "w"))
> X
> v | head -1
q.gguf: not valid: the chain breaks at ./merged.gguf: the signature is not that of this key over this content

# Merges by a recipe, and training: models and files that a recipe names.
$ printf 'models:\n  - model: base/s.gguf\n    parameters: {weight: 1}\n  - model: merged.gguf\n    parameters: {weight: 1}\nmerge_method: linear\ndtype: float32\n' > r.yaml; tola merge r.yaml two.gguf --provenance two.json -q; python3 -c 'import json; s = json.load(open("two.json")); print([(x["name"], x["annotations"].get("role")) for x in s["predicate"]["buildDefinition"]["resolvedDependencies"]])'
[('s.gguf', None), ('merged.gguf', None), ('r.yaml', 'data')]
