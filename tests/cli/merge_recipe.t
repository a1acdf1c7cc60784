# tola merge RECIPE.yaml OUT. Numbers are held to mergekit's in tests/oracle/merge_oracle.py.
$ cat > make.py <<'END'
> import json, os, struct, sys
> for name, scale in (("base", 1.0), ("a", 2.0), ("b", 4.0)):
>     os.makedirs(name, exist_ok=True)
>     json.dump({"model_type": "llama", "num_hidden_layers": 2, "vocab_size": 2}, open(name + "/config.json", "w"))
>     tensors = {"model.embed_tokens.weight": [2, 2], "model.norm.weight": [2]}
>     tensors |= {f"model.layers.{i}.mlp.up_proj.weight": [1, 2] for i in range(2)}
>     header, data = {}, b""
>     for tensor, shape in tensors.items():
>         count = shape[0] * (shape[1] if len(shape) > 1 else 1)
>         values = struct.pack(f"<{count}f", *[scale * (k + 1) for k in range(count)])
>         header[tensor] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
>         data += values
>     text = json.dumps(header).encode()
>     open(name + "/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
> END
$ cat > show.py <<'END'
> import json, struct, sys
> data = open(sys.argv[1] + "/model.safetensors", "rb").read()
> n = struct.unpack("<Q", data[:8])[0]
> for name, t in sorted(json.loads(data[8:8 + n]).items()):
>     if name == "__metadata__": continue
>     begin, end = (8 + n + o for o in t["data_offsets"])
>     print(name, t["dtype"], *struct.unpack(f"<{(end - begin) // 4}f", data[begin:end]))
> print("layers", json.load(open(sys.argv[1] + "/config.json"))["num_hidden_layers"])
> END
$ "$PYTHON" make.py; printf 'merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: [1, 3]}}\n' > r.yaml
$ tola merge r.yaml out/ -q && "$PYTHON" show.py out
model.embed_tokens.weight F32 3.0 6.0 9.0 12.0
model.layers.0.mlp.up_proj.weight F32 3.0 6.0
model.layers.1.mlp.up_proj.weight F32 3.5 7.0
model.norm.weight F32 3.0 6.0
layers 2

# Layers put together are numbered anew.
$ printf 'merge_method: passthrough\nslices:\n- sources: [{model: a, layer_range: [0, 2]}]\n- sources: [{model: b, layer_range: [1, 2], parameters: {scale: 0.5}}]\n' > p.yaml
$ tola merge p.yaml deep/ -q && "$PYTHON" show.py deep
model.embed_tokens.weight F32 2.0 4.0 6.0 8.0
model.layers.0.mlp.up_proj.weight F32 2.0 4.0
model.layers.1.mlp.up_proj.weight F32 2.0 4.0
model.layers.2.mlp.up_proj.weight F32 2.0 4.0
model.norm.weight F32 2.0 4.0
layers 3

# Types, and the base that is added by itself.
$ printf 'merge_method: task_arithmetic\nbase_model: base\nmodels:\n- {model: a, parameters: {weight: 0.5}}\ndtype: bfloat16\n' > t.yaml
$ tola merge t.yaml task/ --json | sed 's/"seconds": .*/"seconds": S/'
{
  "schema": "tola.merge/1",
  "output": "task/",
  "tensors": 4,
  "files": 1,
  "bytes": {
    "in": 20,
    "out": 20
  },
  "overflowed": 0,
  "seconds": S
  "warnings": []
}
$ tola stats task/ | grep norm
model.norm.weight * (glob)

# What is wrong is told with line and key; nothing is written.
$ printf 'printf "$1" > bad.yaml; tola merge bad.yaml bad/; code=$?; ls -d bad 2>/dev/null; exit $code' > bad.sh; bash bad.sh 'merge_method: liner\nmodels: []\n'
2> tola: bad.yaml: line 1, column 15: merge_method: 'liner' is not one of linear, slerp, task_arithmetic, ties, dare_linear, dare_ties, model_stock, passthrough; did you mean 'linear'?
[exit 2]
$ bash bad.sh 'merge_method: linear\nmodel:\n- a\n'
2> tola: bad.yaml: line 2, column 1: unknown key 'model'; did you mean 'models'?
[exit 2]
$ bash bad.sh 'merge_method: linear\n'
2> tola: bad.yaml: line 1, column 1: the key 'models' or 'slices' is missing
[exit 2]
$ bash bad.sh 'merge_method: linear\nmodels:\n- {model: a}\n'
2> tola: bad.yaml: line 3, column 3: models[0]: the parameter 'weight' is missing for model.embed_tokens.weight
[exit 2]
$ bash bad.sh 'merge_method: linear\nmodels:\n- {model: a, parameters: {wieght: 1}}\n'
2> tola: bad.yaml: line 3, column 27: models[0].parameters: unknown key 'wieght'; did you mean 'weight'?
[exit 2]
$ bash bad.sh 'merge_method: linear\nmodels:\n- {model: a, parameters: {weight: heavy}}\n'
2> tola: bad.yaml: line 3, column 35: models[0].parameters.weight: a number is wanted, not the text 'heavy'
[exit 2]
$ bash bad.sh 'merge_method: linear\nmodels:\n- {model: nowhere, parameters: {weight: 1}}\n'
2> tola: bad.yaml: line 3, column 11: models[0].model: cannot open nowhere: No such file or directory
[exit 2]
$ bash bad.sh 'merge_method: ties\nmodels:\n- {model: a, parameters: {weight: 1}}\n'
2> tola: bad.yaml: line 3, column 1: models: ties wants a base_model
[exit 2]
$ bash bad.sh 'merge_method: slerp\nbase_model: a\nmodels: [{model: a}]\nparameters: {t: 0.5}\n'
2> tola: bad.yaml: line 3, column 9: models: 1 models; slerp wants 2, with the base
[exit 2]
$ bash bad.sh 'merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}]\n'
2> tola: bad.yaml: line 1, column 1: the parameter 't' is missing for model.embed_tokens.weight
[exit 2]
$ bash bad.sh 'merge_method: linear\nmodels: [{model: a}, {model: a}]\n'
2> tola: bad.yaml: line 2, column 30: models[1].model: the model is there twice
[exit 2]
$ bash bad.sh 'merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [0, 3]}]}]\n'
2> tola: bad.yaml: line 2, column 49: slices[0].sources[0].layer_range[1]: 3 is not in 1 .. 2
[exit 2]
$ bash bad.sh 'merge_method: ties\nbase_model: base\nmodels: [{model: a, parameters: {weight: 1, density: 1.5}}]\n'
2> tola: bad.yaml: line 3, column 10: models[0]: a density of 1.5 for model.embed_tokens.weight is not in 0 .. 1
[exit 2]
$ bash bad.sh 'merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\ndtype: int8\n'
2> tola: bad.yaml: line 3, column 8: dtype: 'int8' is none of float32, bfloat16, float16
[exit 2]
$ sed -i 's/\[2, 2\]/[3, 2]/' make.py; mkdir old; mv base a old/; "$PYTHON" make.py; rm -r base a; mv old/* .; tola merge r.yaml again/
2> tola: r.yaml: line 4, column 3: models[1]: model.embed_tokens.weight is 3 x 2, where the first model has 2 x 2
[exit 2]
$ umask 077; tola keygen key -q; tola encrypt a a.enc -r key.pub -q; printf 'merge_method: linear\nmodels: [{model: a.enc, parameters: {weight: 1}}, {model: a.enc/model.safetensors, parameters: {weight: 1}}]\n' > e.yaml; tola merge e.yaml out3/ --identity key >/dev/null
2> tola: warning: the input is encrypted, the output is not
$ tola merge a out2/
2> tola: what is to be merged? --adapter names it, or a recipe that ends in .yaml
[exit 2]
$ tola merge r.yaml out2/ --adapter x
2> tola: a recipe merges models; adapters are folded into one of them before
[exit 2]
