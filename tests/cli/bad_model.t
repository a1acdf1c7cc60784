# Models that contradict themselves: one line with the file and the cause, exit code 2.

$ tola convert "$FIXTURES/llama" m/ -q; cp m/config.json good.json; cp m/model.safetensors good.safetensors
$ tola run m -p a -n 1 --raw --temp 0 -q > /dev/null

# a model of a kind that is not known, though its tensors are called as a Llama's are

$ sed 's/"model_type": *"llama"/"model_type":"helium"/; s/LlamaForCausalLM/HeliumForCausalLM/' good.json > m/config.json
$ tola run m -p a -n 1 --raw
2> tola: m/config.json: configuration: models of type helium are not known
[exit 2]
# one that cannot be read says why
$ head -c 20 good.json > m/config.json; tola run m --raw -p a
2> tola: m/config.json: offset * (glob)
[exit 2]
$ echo null > m/config.json; tola run m --raw -p a
2> tola: m/config.json: configuration: no JSON object
[exit 2]
$ rm m/config.json; tola run m --raw -p a
2> tola: m/model.safetensors: llama without a config.json
[exit 2]
$ cp good.json m/config.json

# whole numbers where weights are wanted

$ cat > patch.py <<'EOP'
> import sys
> data = open(sys.argv[1], "rb").read()
> old, new = (bytes(a, "latin-1").decode("unicode_escape").encode("latin-1") for a in sys.argv[3:5])
> assert len(old) == len(new) and data.count(old) >= 1
> open(sys.argv[2], "wb").write(data.replace(old, new, 1))
> EOP
$ python3 patch.py good.safetensors m/model.safetensors '"F32"' '"I32"'
$ tola run m -p a -n 1 --raw
2> tola: m/model.safetensors: tensor '*': i32 is no type that weights have (glob)
[exit 2]
$ cp good.safetensors m/model.safetensors

# special ids and switches of GGUF: the type is 4 (u32), 7 (bool)

$ tola convert m m.gguf -q
$ python3 patch.py m.gguf a.gguf eos_token_id'\x04' eos_token_id'\x06'; tola run a.gguf -p a -n 1 --raw
2> tola: a.gguf: no tokenizer: tokenizer.ggml.eos_token_id is no id of a token
[exit 2]
$ python3 patch.py m.gguf a.gguf add_bos_token'\x07' add_bos_token'\x00'; tola run a.gguf -p a -n 1 --raw
2> tola: a.gguf: no tokenizer: tokenizer.ggml.add_bos_token is neither true nor false
[exit 2]
$ python3 patch.py m.gguf a.gguf token_type'\x09\0\0\0\x05' token_type'\x09\0\0\0\x06'; tola run a.gguf -p a -n 1 --raw
2> tola: a.gguf: no tokenizer: tokenizer.ggml.token_type: entry 0 is no number
[exit 2]

# a tokenizer.json without merges, with a score that is none

$ cp m/tokenizer.json good_tokenizer.json
$ cat > edit.py <<'EOP'
> import json, sys
> t = json.load(open("good_tokenizer.json"))
> exec(sys.argv[1])
> json.dump(t, open("m/tokenizer.json", "w"))
> EOP
$ python3 edit.py 't["model"]["merges"] = "x"'; tola tokenize m a
2> tola: *tokenizer.json: there is no list of merges (glob)
[exit 2]
$ python3 edit.py 't["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", "x"], ["a", -1]]}'
$ tola tokenize m a
2> tola: *tokenizer.json: the score of token 0 is no number (glob)
[exit 2]
