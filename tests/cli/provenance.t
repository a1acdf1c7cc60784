# --provenance of convert and quantize, sign --provenance, verify --chain: from a quantized file to the signed original.
# needs: openssl
# needs: python3

$ umask 077; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k.pem 2>/dev/null; openssl pkey -in k.pem -pubout -out k.pub
> mkdir originals; cp -r "$FIXTURES/llama" originals/llama; tola sign originals/llama --key k.pem -q

$ tola convert originals/llama llama.gguf --provenance llama.json -q; python3 -c 'import json; s = json.load(open("llama.json")); d = s["predicate"]["buildDefinition"]; print(s["predicateType"], d["buildType"], s["subject"][0]["name"], [x["annotations"]["model"] + "/" + x["name"] for x in d["resolvedDependencies"]], s["predicate"]["runDetails"])'
https://slsa.dev/provenance/v1 urn:tola:convert:1 llama.gguf ['llama/config.json', 'llama/generation_config.json', 'llama/model-00001-of-00002.safetensors', 'llama/model-00002-of-00002.safetensors', 'llama/model.safetensors.index.json', 'llama/tokenizer.json', 'llama/tokenizer_config.json'] {'builder': {'id': 'urn:tola:0.1.0'}}

$ tola quantize llama.gguf q.gguf --to Q8_0 --provenance q.json -q; python3 -c 'import json; s = json.load(open("q.json")); d = s["predicate"]["buildDefinition"]; print(d["buildType"], d["externalParameters"], [x["name"] for x in d["resolvedDependencies"]])'
urn:tola:quantize:1 {'to': 'Q8_0'} ['llama.gguf']

# The statement's file is not replaced by accident, before any work.
$ tola quantize llama.gguf q2.gguf --to Q8_0 --provenance q.json; ls q2.gguf
2> tola: q.json exists already; --force overwrites it
2> ls: cannot access 'q2.gguf': No such file or directory
[exit 2]

$ tola sign llama.gguf --key k.pem --provenance llama.json && tola sign q.gguf --key k.pem --provenance q.json
llama.gguf.sig: 1 entry, 9.79 kB, signed with a P-256 key
q.gguf.sig: 1 entry, 7.10 kB, signed with a P-256 key

$ tola verify q.gguf --public-key k.pub --chain --origin originals
q.gguf: valid, signed with a P-256 key; 1 entry, 7.10 kB
  chain   q.gguf: signed, with provenance
  from    ./llama.gguf: signed, with provenance
  from    originals/llama: signed, an original

$ tola verify q.gguf --public-key k.pub --chain
q.gguf: not valid: the chain breaks at llama: no signature of it was found beside the model, nor in the folders of origins
  chain   q.gguf: signed, with provenance
  from    ./llama.gguf: signed, with provenance
  from    llama: no signature of it was found beside the model, nor in the folders of origins
[exit 1]

$ tola verify q.gguf --public-key k.pub --chain --origin originals --json | sed -n '/chain/,/\]/p' | grep -v digest
  "chain": [
    {
      "model": "q.gguf",
      "valid": true,
      "signed": true,
      "reason": null,
      "inputs": 1
    },
    {
      "model": "./llama.gguf",
      "valid": true,
      "signed": true,
      "reason": null,
      "inputs": 7
    },
    {
      "model": "originals/llama",
      "valid": true,
      "signed": true,
      "reason": null,
      "inputs": 0
    }
  ],

# What was signed under that name is another model now: the chain breaks, with or without its files.
$ cp originals/llama/config.json kept; echo '{}' > originals/llama/config.json; tola sign originals/llama --key k.pem --force -q; tola verify q.gguf --public-key k.pub --chain --origin originals
q.gguf: not valid: the chain breaks at originals/llama: what was signed is not the config.json that the result was made of
  chain   q.gguf: signed, with provenance
  from    ./llama.gguf: signed, with provenance
  from    originals/llama: what was signed is not the config.json that the result was made of
[exit 1]

$ cp kept originals/llama/config.json; tola sign originals/llama --key k.pem --force -q; rm originals/llama/*.safetensors; tola verify q.gguf --public-key k.pub --chain --origin originals | head -1
q.gguf: valid, signed with a P-256 key; 1 entry, 7.10 kB

# Signed by somebody else, or in a way whose digests say nothing here.
$ openssl genpkey -algorithm ED25519 -out o.pem; tola sign originals/llama --key o.pem --force -q 2>/dev/null; tola verify q.gguf --public-key k.pub --chain --origin originals | tail -1
  from    originals/llama: it was signed with another key
$ tola sign originals/llama --key k.pem --hash blake3 --force -q; tola verify q.gguf --public-key k.pub --chain --origin originals | tail -1
  from    originals/llama: config.json: it was not signed by sha256 over whole files, so digests cannot be compared

# Provenance is about the very files, and is what it says it is.
$ cp llama.gguf other.gguf; tola sign other.gguf --key k.pem --provenance q.json
2> tola: q.json: the statement is about 'q.gguf' with another content than what is being signed
[exit 2]
$ tola sign q.gguf --key k.pem --force --provenance originals/llama/config.json
2> tola: originals/llama/config.json: is no in-toto statement of provenance (SLSA v1)
[exit 2]
$ tola sign q.gguf --key k.pem --force --provenance q.json --hash blake3
2> tola: q.json: provenance is signed along with sha256 over whole files only
[exit 2]
$ sed 's/"model": "llama.gguf"/"model": "..\/..\/etc"/' q.json > p.json; tola sign q.gguf --key k.pem --force --provenance p.json -q; tola verify q.gguf --public-key k.pub --chain
q.gguf: not valid: the chain breaks at q.gguf: its provenance names a file without name or sha256
  chain   q.gguf: its provenance names a file without name or sha256
[exit 1]
