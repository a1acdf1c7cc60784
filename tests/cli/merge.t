# tola merge: a merged model tells what the model with its adapter tells. Numbers are held to PEFT's in
# tests/oracle/merge_adapter_oracle.py.
# needs: data

$ ln -s "$DATA/llm/stories260K/stories260Ktok512.gguf" s.gguf; tola convert s.gguf chat/ >/dev/null && ls chat | wc -l
5
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
$ told() { tola run "$1" --raw -p 'Once upon a time' -n 30 --temp 0 "${@:2}"; }; told chat/ --adapter lora > one; told chat/ --adapter lora:0.5 > half
> tola merge -q chat/ --adapter lora m/ && tola merge -q s.gguf -a lora m.gguf && tola merge -q chat/ -a lora:0.5 h.gguf
> told m/ | cmp - one && told m.gguf | cmp - one && told h.gguf | cmp - half && told s.gguf | cmp -s - one || echo the same, and another than before
the same, and another than before
$ tola diff s.gguf m.gguf | grep -c attn
2
$ tola merge s.gguf -a lora m2.gguf --json | sed 's/"seconds": .*/"seconds": S/'
{
  "schema": "tola.merge/1",
  "output": "m2.gguf",
  "tensors": 48,
  "files": 1,
  "bytes": {
    "in": 1171200,
    "out": 1171200
  },
  "overflowed": 0,
  "seconds": S
  "warnings": []
}
$ tola merge s.gguf -a lora m2.gguf
2> tola: m2.gguf: exists already and is not overwritten without being told to (--force)
[exit 2]
$ tola merge -q s.gguf -a lora:-1 -a lora --force m2.gguf && tola diff s.gguf m2.gguf --tolerance 1e-6 | tail -1
same: 48 tensors, no element further apart than 1e-06

# refusals
$ tola merge chat/ out/
2> tola: what is to be merged? --adapter names it, or a recipe that ends in .yaml
[exit 2]
$ tola merge chat/ --adapter nowhere out/
2> tola: cannot open nowhere: No such file or directory
[exit 2]
$ tola merge "$FIXTURES/llama" --adapter lora out/
2> tola: lora/adapter_model.safetensors: tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight': a pair from 64 to 64 columns does not fit the weight model.layers.0.self_attn.q_proj.weight
[exit 2]
$ tola merge "$FIXTURES/tiny.safetensors" --adapter lora out.gguf
2> tola: $FIXTURES/tiny.safetensors: not a language model of a known architecture
[exit 2]
$ ls -d out out.gguf 2>/dev/null
[exit 2]
