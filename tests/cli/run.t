# tola run: words from a small model that tells stories. What a terminal sees is in tests/oracle/run_terminal_test.py.
# needs: data

$ ln -s "$DATA/llm/stories260K/stories260Ktok512.gguf" s.gguf; tola convert s.gguf chat/ >/dev/null && ls chat | wc -l
5
$ tola run s.gguf --raw -p 'Once upon a time' -n 40 --temp 0
, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball.
# from a pipe, to the last byte; stdin by name
$ printf 'Once upon a time' | tola run s.gguf --raw -n 12 --temp 0
, there was a little girl named Lily. She
$ printf 'Once upon a time' | tola run s.gguf --raw -p - -n 12 --temp 0
, there was a little girl named Lily. She
# who reads it goes away, or the disk is full: the model ends, too, and a session is kept as far as it came
$ tola run s.gguf --raw -p 'Once upon a time' --ignore-end --temp 0 --context 1000000 -q --session gone.tola | head -c 9; tola run s.gguf --raw -p '' -n 1 -q --session gone.tola | wc -l
, there w1
$ tola run s.gguf --raw -p 'Once upon a time' --ignore-end --context 1000000 -q > /dev/full
2> tola: writing to stdout: No space left on device
[exit 2]
# the folder is the same model
$ tola run chat/ --raw -p 'Once upon a time' -n 12 --temp 0
, there was a little girl named Lily. She

# the same seed is the same text, whatever saves time
$ run() { tola run s.gguf --raw -p 'Once upon a time there was a dog' -n 100 --seed 5 --json "$@" | "$PYTHON" -c "import json, sys; d = json.load(sys.stdin); print(len(d['tokens']), d['tokens'], d['text'])" | sha256sum; }
> for o in "--threads 1" "--threads 2" "--threads 5" "--batch 1" "--batch 7" "--batch 64" "--batch 512" "--lookup 1" "--lookup 2 --draft-tokens 31" "--draft s.gguf" "--draft chat --draft-tokens 3" "--context 120"; do run $o; done | sort -u | wc -l
1
$ for t in f32 f16 bf16; do for o in "--threads 1" "--threads 3 --batch 3 --lookup 1"; do tola run s.gguf --raw -p 'Once' -n 60 --seed 5 --kv-type $t $o | md5sum; done | sort -u | wc -l; done | sort -u
1
# the largest is a seed like any other
$ for i in 1 2; do tola run s.gguf --raw -p 'Once' -n 60 --seed 18446744073709551615 | md5sum; done | sort -u | wc -l
1
$ tola run s.gguf --raw -p 'Once' -n 1 --seed 18446744073709551615 --json | grep seed
  "seed": 18446744073709551615,
$ tola run s.gguf --raw -p 'Once' -n 1 --seed 18446744073709551616
2> tola: --seed: 18446744073709551616 is too large, the largest is 18446744073709551615
[exit 2]
$ tola run s.gguf --raw -p 'Once' -n 60 --seed 5 > a; tola run s.gguf --raw -p 'Once' -n 60 --seed 6 > b; cmp -s a b || echo different
different
$ tola run s.gguf --raw -p 'Once' -n 60 --temp 3 > a; tola run s.gguf --raw -p 'Once' -n 60 --temp 3 > b; cmp -s a b || echo different
different

# a cache of blocks that fits the model's heads and not the draft's
$ "$PYTHON" - <<'END'
> import json, os, shutil, struct
> os.mkdir("wide"), shutil.copy("chat/tokenizer.json", "wide"), shutil.copy("chat/tokenizer_config.json", "wide")
> json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": True}, open("wide/config.json", "w"))
> shapes = {"embed_tokens": [512, 64], "norm": [64], "layers.0.input_layernorm": [64], "layers.0.post_attention_layernorm": [64], "layers.0.self_attn.q_proj": [64, 64], "layers.0.self_attn.k_proj": [32, 64], "layers.0.self_attn.v_proj": [32, 64], "layers.0.self_attn.o_proj": [64, 64], "layers.0.mlp.gate_proj": [32, 64], "layers.0.mlp.up_proj": [32, 64], "layers.0.mlp.down_proj": [64, 32]}
> header, data = {}, b""
> for name, shape in shapes.items():
>     count = shape[0] * (shape[1] if len(shape) == 2 else 1)
>     values = [((i * i + len(data)) % 251 - 125) / 300 for i in range(count)]
>     header[f"model.{name}.weight"] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
>     data += struct.pack(f"<{count}f", *values)
> text = json.dumps(header).encode()
> open("wide/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
> END
$ for t in q8_0 q4_0; do for o in "" "--draft s.gguf" "--lookup 1"; do tola run wide --raw -p 'Once' -n 60 --seed 5 --ignore-end --kv-type $t $o | md5sum; done | sort -u | wc -l; done
1
1
$ tola run s.gguf --raw -p 'Once' --kv-type q8_0 --draft wide
2> tola: no cache of q8_0 for keys of 8 numbers in layer 0
[exit 2]

# a session goes on where it ended, in another process
$ tola run s.gguf --raw -p 'Once upon a time' -n 30 --temp 0 --session story.tola > part; tola run s.gguf --raw -p '' -n 30 --temp 0 --session story.tola --threads 3 >> part
> tola run s.gguf --raw -p 'Once upon a time' -n 60 --temp 0 > whole; tr -d '\n' < part | md5sum | cut -c 1-32 > 1; tr -d '\n' < whole | md5sum | cut -c 1-32 > 2; cmp 1 2 && echo same
same
$ tola run s.gguf --raw -p '' -n 1 --temp 0 --session story.tola --json | grep reused
    "reused_tokens": 64,
$ tola run s.gguf --raw -p '' -n 1 --session story.tola --kv-type f32
2> tola: story.tola: the session's keys and values are of other types
[exit 2]
$ tola run s.gguf --raw -p '' -n 1 --session story.tola --context 20
2> tola: story.tola: the session has 65 tokens, the context 20
[exit 2]
$ head -c 1000 story.tola > cut.tola; tola run s.gguf --raw -p '' -n 1 --session cut.tola
2> tola: cut.tola: offset 12: 65 tokens, 81920 bytes of state and 284 of notes are not 1000 bytes of file
[exit 2]
$ echo hello > text.tola; tola run s.gguf --raw -p '' -n 1 --session text.tola; cat text.tola
hello
2> tola: text.tola: offset 0: too short for a session file

$ tola run s.gguf --raw -p Once --session nowhere/s.tola
2> tola: --session 'nowhere/s.tola': No such file or directory
[exit 2]
$ tola run s.gguf --raw -p Once --session "$(printf '%0300d' 0)"
2> tola: --session '0000000000000000000000000000000000000000...': File name too long
[exit 2]
$ tola run s.gguf --raw -p Once --session ''
2> tola: --session '': No such file or directory
[exit 2]
$ ln -s nowhere.tola lost.tola; tola run s.gguf --raw -p Once --session lost.tola
2> tola: --session 'lost.tola': a link that leads nowhere
[exit 2]
$ ln -s story.tola link.tola; tola run s.gguf --raw -p '' -n 1 --session link.tola >/dev/null; test -L link.tola && stat -c %a story.tola
600

# endings
$ tola run s.gguf --raw -p 'Once upon a time' --temp 0 --stop 'Lily' --stop 'nothing of the kind'
, there was a little girl named 
$ tola run s.gguf --raw -p 'Once upon a time' --temp 0 --context 20
, there was a little girl named Lily. She loved to play
2> tola: the context of 20 tokens is full: 5 of the prompt and 16 of the answer; --context makes it larger, -n ends sooner
[exit 2]
$ tola run s.gguf --raw -p 'Once upon a time there was a dog' --context 4
2> tola: the prompt of 10 tokens does not fit into the context of 4
[exit 2]
$ tola run s.gguf --raw -p 'Once' -n 3 --temp 0 --json --seed 9 | sed 's/_ms": [0-9.e-]*/_ms": 0/'
{
  "schema": "tola.run/1",
  "text": " upon a time",
  "tokens": [
    407,
    261,
    378
  ],
  "ending": "limit",
  "seed": 9,
  "timings": {
    "prompt_tokens": 2,
    "reused_tokens": 0,
    "prompt_ms": 0,
    "generated_tokens": 3,
    "generated_ms": 0,
    "guessed_tokens": 0,
    "accepted_tokens": 0
  }
}
$ tola run s.gguf --raw -p 'Once' -n 3 --temp 0 -v
 upon a time
2> [prompt: 2 tokens read, */s; answer: 3 tokens, */s] (glob)

# what the model may say
$ printf 'root ::= " " [a-c] [a-c]? "!"\n' > g.gbnf; tola run s.gguf --raw -p 'Once' --seed 1 --grammar g.gbnf | grep -c '^ [abc]*!$'
1
# at the beginning of a text, too, where a space before a word is none otherwise
$ for m in s.gguf chat; do tola run $m --raw -p '' --seed 1 --grammar g.gbnf | grep -c '^ [abc]*!$'; tola run $m --raw -p '' --temp 0 -n 2; done
1
Once upon
1
Once upon
$ echo '{"type": "object", "properties": {"name": {"enum": ["Lily", "Tim"]}, "age": {"enum": [3, 4]}}, "required": ["name", "age"], "additionalProperties": false}' > s.json; tola run s.gguf --raw -p 'Once' --seed 1 --context 2000 --json-schema s.json | "$PYTHON" -c "import json, sys; d = json.load(sys.stdin); print(sorted(d), d['name'] in ('Lily', 'Tim'))"
['age', 'name'] True
2> tola: warning: the model was made for 128 tokens; what is beyond them it may not follow
$ echo '{"type": "object", "nonsense": 1}' > bad.json; tola run s.gguf --raw -p 'Once' --json-schema bad.json
2> tola: bad.json: schema: #/nonsense: a keyword that nothing here does
[exit 2]
$ tola run s.gguf --raw -p 'Once' --json-schema s.json --grammar g.gbnf
2> tola: --grammar and --json-schema: one of them
[exit 2]
$ tola run s.gguf --raw -p 'Once' -n 2 --temp 0 --logit-bias 436=-inf --logit-bias 410=100
  
$ echo 'root ::= root "a"' > bad.gbnf; tola run s.gguf --raw -p 'Once' --grammar bad.gbnf
2> tola: bad.gbnf: offset 0: grammar: rule 'root' can never end: each way through it needs itself again
[exit 2]
$ tola run s.gguf --raw -p 'Once' --grammar none.gbnf
2> tola: none.gbnf: No such file or directory
[exit 2]
$ tola run s.gguf --raw -p 'Once' --temp -1
2> tola: sampling: temperature is -1; it must be between 0 and 1e6
[exit 2]
$ tola run s.gguf --raw -p 'Once' --logit-bias x=1
2> tola: --logit-bias: 'x=1' is not ID=X
[exit 2]
$ tola run s.gguf --raw -p 'Once' --logit-bias 512=1
2> tola: sampling: a bias for token 512; the vocabulary has 512
[exit 2]

# chats: special tokens that are typed are text
$ tola run s.gguf -p 'Hello'
2> tola: s.gguf: no chat template; with --raw the model goes on with the text as it is
[exit 2]
$ cat > chat/chat_template.jinja <<'END'
> {{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content | trim }}
> {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}
> END
$ tola run chat/ --temp 0 -n 12 -p 'Tell me about Lily' --system 'Be kind.' --session chat.tola
"Hello, Dad! D
$ printf 'And then?\n\n' | tola run chat/ --temp 0 -n 12 --session chat.tola --json > out; sed -n '/tola.run chat$/,$p' chat.tola | tail -n +2 | head -n -1
system 8
Be kind.
user 18
Tell me about Lily
assistant 15
 "Hello, Dad! D
user 9
And then?
assistant 30
 Do you want to play with me?"
$ tola run chat/ --temp 0 -n 1 -p '<s></s>' --json | grep prompt_tokens; tola run chat/ --temp 0 -n 1 -p 'xyz' --json | grep prompt_tokens
    "prompt_tokens": 22,
    "prompt_tokens": 18,
$ tola run chat/ --raw -p x -n 1 --session chat.tola
2> tola: chat.tola: a session, but not of a text, as --raw makes
[exit 2]
$ echo '{{ raise_exception("no system, please") }}' > chat/chat_template.jinja; tola run chat/ -p x
2> tola: chat template: line 1: the template refuses: no system, please
[exit 2]
$ echo '{% if %}' > chat/chat_template.jinja; tola run chat/ -p x
2> tola: chat_template.jinja: chat template: line 1: expected an expression, found %}
[exit 2]
$ tola run chat/ -p x --raw --system y
2> tola: --raw writes no system message; put it into the prompt
[exit 2]

# an adapter, at full strength, at none, and a session that belongs to it
$ "$PYTHON" - <<'END'
> import json, os, struct
> os.mkdir("lora")
> json.dump({"peft_type": "LORA", "r": 2, "lora_alpha": 64, "target_modules": ["q_proj", "v_proj"]}, open("lora/adapter_config.json", "w"))
> header, data = {}, b""
> for module, rows in (("q_proj", 64), ("v_proj", 32)):
>     for part, shape in (("A", [2, 64]), ("B", [rows, 2])):
>         values = [((i * 37 + len(data)) % 19 - 9) / 40 for i in range(shape[0] * shape[1])]
>         end = len(data) + 4 * len(values)
>         header[f"base_model.model.model.layers.0.self_attn.{module}.lora_{part}.weight"] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), end]}
>         data += struct.pack(f"<{len(values)}f", *values)
> text = json.dumps(header).encode()
> open("lora/adapter_model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
> END
$ told() { tola run chat/ --raw -p 'Once upon a time' -n 30 --temp 0 "$@"; }; told > none; told --adapter lora > one; told --adapter lora:0 > zero; told --adapter lora:0.5 --adapter lora/:0.5 > halves; told --adapter lora:-1 > minus; cmp none zero && ! cmp -s none halves && ! cmp -s none one && ! cmp -s one minus && echo so it is
so it is
$ tola run chat/ --raw -p Once -n 2 --temp 0 --adapter lora --session l.tola >/dev/null; tola run chat/ --raw -p '' -n 2 --session l.tola; tola run chat/ --raw -p '' -n 2 --adapter lora:2 --session l.tola; tola run chat/ --raw -p '' -n 2 --temp 0 --adapter lora --session l.tola --json | grep reused
    "reused_tokens": 3,
2> tola: l.tola: the session is of another model or other adapters
2> tola: l.tola: the session is of another model or other adapters
$ tola run chat/ --raw -p Once --adapter nowhere:0.5
2> tola: cannot open nowhere: No such file or directory
[exit 2]

# refusals
$ tola run s.gguf --raw -p x --kv-type q5_0
2> tola: no cache of q5_0 for keys of 8 numbers in layer 0
[exit 2]
$ tola run s.gguf --raw -p x --adapter chat
2> tola: chat/model.safetensors: adapter_config.json: a peft_type other than LORA is not known
[exit 2]
$ tola run none.gguf -p x
2> tola: cannot open none.gguf: No such file or directory
[exit 2]
$ tola run "$FIXTURES/tiny.safetensors" -p x
2> tola: *: not a language model of a known architecture (glob)
[exit 2]
$ tola run s.gguf --raw -p x --draft none.gguf
2> tola: cannot open none.gguf: No such file or directory
[exit 2]
$ tola run s.gguf --raw -p x --lookup 1 --draft-tokens 65536
2> tola: --draft-tokens: 65536 is too large, the largest is 65535
[exit 2]
$ tola run s.gguf --raw -p x --top-k 5000000000
2> tola: --top-k: 5000000000 is too large
[exit 2]
