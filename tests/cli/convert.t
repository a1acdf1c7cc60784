# tola convert: containers, casts, choices, names, shards, refusals. Rates and times vary, so only their form is checked.

$ tola convert $FIXTURES/tiny.safetensors a.gguf | sed "s/, [0-9.]* s, .*/, T, R/"
a.gguf: 4 tensors, 112 B, T, R
$ tola convert $FIXTURES/tiny.safetensors a.safetensors --json | sed 's/"seconds": .*/"seconds": S/'
{
  "schema": "tola.convert/1",
  "output": "a.safetensors",
  "tensors": 4,
  "files": 1,
  "bytes": {
    "in": 112,
    "out": 112
  },
  "overflowed": 0,
  "seconds": S
  "warnings": []
}
$ tola convert $FIXTURES/tiny.safetensors a.safetensors
2> tola: a.safetensors: exists already and is not overwritten without being told to (--force)
[exit 2]

$ tola convert -q --force $FIXTURES/tiny.safetensors a.safetensors && tola convert -q a.safetensors b.safetensors && cmp a.safetensors b.safetensors
$ tola convert -q $FIXTURES/tiny.safetensors cast.safetensors --dtype f16 --dtype-override '*.bias=f64' && tola inspect --json cast.safetensors | grep -A1 '      "name"'
      "name": "layer.bias",
      "dtype": "f64",
--
      "name": "position_ids",
      "dtype": "i64",
--
      "name": "layer.weight",
      "dtype": "f16",
--
      "name": "half.weight",
      "dtype": "f16",
$ tola convert -q $FIXTURES/tiny.safetensors some.safetensors -i 'layer.*' -x '*.bias' --rename 'layer.*=blk.0.*' && tola inspect --json some.safetensors | grep '      "name"'
      "name": "blk.0.weight",
$ for f in $FIXTURES/tiny.{gguf,npz,safetensors}; do tola convert -q --keep-names $f "same-$(basename $f).safetensors" && tola inspect --json --digest "same-$(basename $f).safetensors" | grep '"digest"'; done
  "digest": "ee6d0ae427aa685fbb09a0b3dcca845c0cb36fbe558573b397716616865bb832",
  "digest": "3a6f3cbf792a99985e1d6ce472267f27808178c6d72f31a502a5a5f49421dcb7",
  "digest": "ee6d0ae427aa685fbb09a0b3dcca845c0cb36fbe558573b397716616865bb832",

# A folder: shards, an index, and what lies beside the weights; dtype in the configuration follows.
$ tola convert -q $FIXTURES/llama out/ --dtype f32 --max-shard-size 2kB && ls out && grep dtype out/config.json && tola inspect --json out | grep '"parameters"' -A1
config.json
generation_config.json
model-00001-of-00004.safetensors
model-00002-of-00004.safetensors
model-00003-of-00004.safetensors
model-00004-of-00004.safetensors
model.safetensors.index.json
tokenizer.json
tokenizer_config.json
  "torch_dtype": "float32",
  "parameters": {
    "total": 1384,
$ tola convert $FIXTURES/tiny.safetensors out/
2> tola: out/: the folder holds config.json, which this output would not replace: two models would lie in one folder
[exit 2]
$ tola convert --force $FIXTURES/tiny.safetensors out/
2> tola: out/: the folder holds config.json, which this output would not replace: two models would lie in one folder
[exit 2]
$ tola convert -q --force --dtype bf16 $FIXTURES/llama out/ && ls out
2> tola: out/: the folder holds model-00001-of-00004.safetensors, which this output would not replace: two models would lie in one folder
[exit 2]
$ tola convert -q --force --dtype bf16 --max-shard-size 1kB $FIXTURES/llama out/ && ls out
config.json
generation_config.json
model-00001-of-00004.safetensors
model-00002-of-00004.safetensors
model-00003-of-00004.safetensors
model-00004-of-00004.safetensors
model.safetensors.index.json
tokenizer.json
tokenizer_config.json
$ tola convert -q $FIXTURES/tiny.safetensors one.safetensors --max-shard-size 30 && ls one*
one-00001-of-00004.safetensors
one-00002-of-00004.safetensors
one-00003-of-00004.safetensors
one-00004-of-00004.safetensors
one.safetensors.index.json

# Between Hugging Face and GGUF for a family that is known, and back to the same tensors.
$ tola convert -q $FIXTURES/llama llama.gguf && tola inspect --json llama.gguf | grep -E '"(architecture|format)"' && tola convert -q llama.gguf back/ && ls back
  "format": "gguf",
  "architecture": "llama",
config.json
generation_config.json
model.safetensors
tokenizer.json
tokenizer_config.json
$ for m in $FIXTURES/llama back; do tola inspect --digest --json $m | grep '"digest"'; done | uniq | wc -l
1
$ tola convert -q $FIXTURES/llama plain.gguf --keep-names && tola inspect --tensors='*0.self_attn*' --json plain.gguf | grep '      "name"'
      "name": "model.layers.0.self_attn.q_proj.weight",
      "name": "model.layers.0.self_attn.k_proj.weight",
      "name": "model.layers.0.self_attn.v_proj.weight",
      "name": "model.layers.0.self_attn.o_proj.weight",
$ printf '{"architectures":["OddForCausalLM"]}' > odd.json && mkdir odd && cp odd.json odd/config.json && cp $FIXTURES/tiny.safetensors odd/model.safetensors && tola convert odd odd.gguf
2> tola: OddForCausalLM has no known names in GGUF; --keep-names converts the container alone
[exit 2]

# Refusals: one line, exit 2, nothing left.
$ mkdir none && cd none && tola convert $FIXTURES/tiny.safetensors x.npz
2> tola: tensor 'half.weight': npz cannot hold bf16; --dtype f32 would do
[exit 2]
$ cd none && tola convert $FIXTURES/tiny.safetensors x.npz --dtype bf16
2> tola: tensor 'layer.weight': npz cannot hold bf16; --dtype f32 would do
[exit 2]
$ cd none && tola convert $FIXTURES/tiny.safetensors x.gguf --dtype q4_k
2> tola: tensor 'layer.weight' is f32 and cannot become q4_k: block types are made by quantizing, not by a cast
[exit 2]
$ cd none && tola convert $FIXTURES/tiny.safetensors x.gguf --dtype float99
2> tola: --dtype: unknown dtype 'float99'; known ones are f32, f16, bf16, f8_e4m3, i8, q8_0 and others
[exit 2]
$ cd none && tola convert $FIXTURES/tiny.safetensors x.zip
2> tola: x.zip: its extension says no format (known: *; a folder ends in '/') (glob)
[exit 2]
$ cd none && tola convert $FIXTURES/tiny.safetensors x --format tar
2> tola: no format 'tar' is written here (known: safetensors, *) (glob)
[exit 2]
$ cd none && tola convert $FIXTURES/tiny.safetensors x.safetensors --include 'nothing*'
2> tola: include and exclude leave none of the 4 tensors
[exit 2]
$ cd none && tola convert $FIXTURES/tiny.safetensors x.safetensors --rename '*=same'
2> tola: tensors 'layer.weight' and 'layer.bias' would both be called 'same'
[exit 2]
$ cd none && tola convert $FIXTURES/tiny.safetensors x.safetensors --rename nothing
2> tola: rename rule 'nothing' is not of the form FROM=TO
[exit 2]
$ cd none && tola convert $FIXTURES/tiny.safetensors missing/x.safetensors
2> tola: cannot create missing/x.safetensors: No such file or directory
[exit 2]
$ cd none && tola convert nowhere.safetensors x.safetensors
2> tola: cannot open nowhere.safetensors: No such file or directory
[exit 2]
$ cd none && tola convert $FIXTURES/tiny.safetensors
2> tola: convert: an argument is missing: tola convert IN OUT [options]
[exit 2]
$ ls -A none
$ cp $FIXTURES/tiny.safetensors t.safetensors && ln t.safetensors u.safetensors && tola convert --force t.safetensors u.safetensors
2> tola: u.safetensors: the output would replace the input t.safetensors; choose another name
[exit 2]
$ tola convert --force out/ out/
2> tola: out/: the output would lie in the folder of the input out/model-00001-of-00004.safetensors; choose another name
[exit 2]
$ tola convert --force out/ out/model.safetensors --max-shard-size 1kB
2> tola: out/model.safetensors: the output would belong to the same shards as the input out/model-00001-of-00004.safetensors; choose another name
[exit 2]
$ ls -A | grep '^[.]'
[exit 1]

# Overflow is counted.
$ tola convert -q $FIXTURES/tiny.safetensors e.safetensors --dtype f8_e4m3
$ printf '\x40\0\0\0\0\0\0\0{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}          \0\0\0\x7f\0\0\x80\x3f' > over.safetensors && tola convert over.safetensors over16.safetensors --dtype f16 | sed "s/, [0-9.]* s, .*/, T, R/"
over16.safetensors: 1 tensor, 4 B from 8 B, T, R
2> tola: warning: 1 number left the range of the new dtype
