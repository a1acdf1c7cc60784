# tola quantize: types, names, formats, reports, refusals. Rates and times vary, so only their form is checked.

$ "$PYTHON" "$ROOT/tests/fixtures/make_model.py" model "$FIXTURES/llama"
$ tola quantize model q.gguf --to mxfp4 --pure | sed "s/, [0-9.]* s, .*/, T, R/"
q.gguf: 21 tensors, 639.23 kB from 2.37 MB, 4.28 bits per weight, T, R
type   tensors   bits      bytes
mxfp4       16   4.25  629.95 kB
f32          5  32.00    5.12 kB
total       21   4.28  635.07 kB
$ tola quantize model q.gguf --to mxfp4 --pure
2> tola: q.gguf: exists already and is not overwritten without being told to (--force)
[exit 2]
$ tola quantize -q --force model q.gguf --to mxfp4 --pure && tola inspect q.gguf | sed -n '/dtype/,$p'
  dtype  tensors  elements       size   share
  f32          5    1.28 K    5.12 kB   0.8 %
  mxfp4       16    1.19 M  629.95 kB  99.2 %
$ tola inspect --json q.gguf | grep -E '"general.(file_type|quantization_version)"'
    "general.file_type": 38,
    "general.quantization_version": 2,

# A mixture by llama.cpp's name; sizes alone read no weights and write nothing.
$ tola quantize model m.gguf --to Q4_K_M --dry-run -v; ls m.gguf
tensor                    type   bits      bytes
token_embd.weight         q4_k   4.50    1.73 kB
blk.0.attn_norm.weight    f32   32.00    1.02 kB
blk.0.attn_q.weight       q4_k   4.50   36.86 kB
blk.0.attn_k.weight       q4_k   4.50   18.43 kB
blk.0.attn_v.weight       q4_k   4.50   18.43 kB
blk.0.attn_output.weight  q4_k   4.50   36.86 kB
blk.0.ffn_norm.weight     f32   32.00    1.02 kB
blk.0.ffn_gate.weight     q4_k   4.50   73.73 kB
blk.0.ffn_up.weight       q4_k   4.50   73.73 kB
blk.0.ffn_down.weight     q4_k   4.50   73.73 kB
blk.1.attn_norm.weight    f32   32.00    1.02 kB
blk.1.attn_q.weight       q4_k   4.50   36.86 kB
blk.1.attn_k.weight       q4_k   4.50   18.43 kB
blk.1.attn_v.weight       q6_k   6.56   26.88 kB
blk.1.attn_output.weight  q4_k   4.50   36.86 kB
blk.1.ffn_norm.weight     f32   32.00    1.02 kB
blk.1.ffn_gate.weight     q4_k   4.50   73.73 kB
blk.1.ffn_up.weight       q4_k   4.50   73.73 kB
blk.1.ffn_down.weight     q6_k   6.56  107.52 kB
output_norm.weight        f32   32.00    1.02 kB
output.weight             q6_k   6.56    2.52 kB
\
m.gguf: 21 tensors, 719.33 kB from 2.37 MB, 4.82 bits per weight; nothing was written
type   tensors   bits      bytes
q4_k        13   4.50  573.12 kB
q6_k         3   6.56  136.92 kB
f32          5  32.00    5.12 kB
total       21   4.82  715.16 kB
2> ls: cannot access 'm.gguf': No such file or directory
[exit 2]
$ tola quantize model m.gguf --to iq2_m --dry-run --json | sed -n '1,/types/p'
{
  "schema": "tola.quantize/1",
  "output": "m.gguf",
  "format": "gguf",
  "recipe": "IQ2_M",
  "dry_run": true,
  "bits_per_weight": 2.7490295449644164,
  "bytes": 412096,
  "tensor_bytes": 407912,
  "files": 1,
  "rmse": null,
  "snr_db": null,
  "max_abs": null,
  "cosine": null,
  "fallbacks": 0,
  "nan": 0,
  "inf": 0,
  "clamped": 0,
  "types": [

# Overrides win; one that matches nothing is told.
$ tola quantize model o.gguf --to nvfp4 --override '*ffn_down*=q8_0' --override '*q_proj*=f16' --override 'x=f16' -n -v | grep -E 'ffn_down|attn_q'
blk.0.attn_q.weight       f16    16.00  131.07 kB
blk.0.ffn_down.weight     q8_0    8.50  139.26 kB
blk.1.attn_q.weight       f16    16.00  131.07 kB
blk.1.ffn_down.weight     q8_0    8.50  139.26 kB
2> tola: warning: no tensor matches the override 'x'

# Figures: per tensor, whole, and the same whatever the threads.
$ tola quantize -q model r.gguf --to nvfp4 --report r.json --report r.md --report r.svg --threads 1 && tola quantize --force -q model r.gguf --to nvfp4 --report r3.json --threads 3 && diff <(grep -v seconds r.json | sed '/"candidates"/,/\]/d') <(grep -v seconds r3.json)
$ "$PYTHON" -c "
> import json
> r = json.load(open('r.json'))
> print(r['schema'], sorted(r['tensors'][0]))
> print(all(t['rmse'] > 0 for t in r['tensors'] if t['type'] == 'nvfp4'), 15 < r['snr_db'] < 25, len(r['candidates']) > 10)"
tola.quantize/1 ['bits_per_weight', 'bytes', 'cosine', 'elements', 'max_abs', 'name', 'rmse', 'snr_db', 'source', 'type']
True True True
$ sed -n '1p;/^| tensor/,/attn_q/p' r.md | cut -c1-60; grep -c '<rect' r.svg | sed 's/[0-9][0-9][0-9]*/many/'
\# r.gguf
| tensor | type | bits | RMSE | SNR, dB | largest error | co
|---|---|--:|--:|--:|--:|--:|
| `token_embd.weight` | nvfp4 | 4.5 | 0.001797 | 20.90 | 0.0
| `blk.0.attn_norm.weight` | f32 | 32 | 0 | exact | 0 | 1 |
| `blk.0.attn_q.weight` | nvfp4 | 4.5 | 0.001784 | 21.02 | 0
many
$ tola quantize -q model r2.gguf --to nvfp4 --report r.json
2> tola: r.json exists already; --force overwrites it
[exit 2]

$ tola quantize -q model r.gguf --to nvfp4 --report r.txt
2> tola: --report: r.txt ends in none of .json, .md, .svg, .png
[exit 2]

# Another container, names kept; a type that a format cannot hold, a name that is none.
$ tola quantize -q --keep-names model k.gguf --to tq2_0 && tola inspect k.gguf --tensors | grep q_proj
  model.layers.{0-1}.self_attn.q_proj.weight          tq2_0  [256, 256]  x2  33.79 kB
$ tola quantize model o.safetensors --to Q4_K_M
2> tola: safetensors cannot hold Q4_K_M; a GGUF file would do
[exit 2]
$ tola quantize model o.gguf --to int4
2> tola: gguf cannot hold int4; safetensors would do
[exit 2]
$ tola quantize model o.gguf --to Q4KM
2> tola: no type 'Q4KM'; did you mean Q4_K_M?
[exit 2]
$ tola quantize model o.gguf --to Q4_K_M --bits 4
2> tola: a type for all (--to) and a bound that chooses types (--max-size, --bits) exclude each other
[exit 2]
$ tola quantize model o.gguf
2> tola: there is neither a type (--to) nor a bound (--max-size, --bits)
[exit 2]
$ tola quantize model model/ --to int8
2> tola: model/: the output would lie in the folder of the input model/model.safetensors; choose another name
[exit 2]
$ tola quantize q.gguf q.gguf --to nvfp4 --force
2> tola: q.gguf: the output would replace the input q.gguf; choose another name
[exit 2]
$ tola quantize model o.gguf --to mxfp4 --imatrix "$FIXTURES/tiny.safetensors"
2> tola: $FIXTURES/tiny.safetensors: offset 0: the number of entries is 304 where 1 to 24 are possible
[exit 2]
$ ls
k.gguf
model
q.gguf
r.gguf
r.json
r.md
r.svg
r3.json

# Layouts that keep a matrix as several tensors: the configuration says so, what is no layer stays.
$ tola quantize model int4/ --to int4 --group 64 | sed "s/, [0-9.]* s, .*/, T, R/"
int4/: 21 tensors, 646.90 kB from 2.37 MB, 4.32 bits per weight, T, R
type   tensors   bits      bytes
int4        14   4.25  626.91 kB
f16          7  16.00   14.85 kB
total       21   4.32  641.76 kB
$ ls int4 && tola inspect int4 --tensors | grep -E 'q_proj|lm_head|embed' && sed -n '/quantization_config/,$p' int4/config.json
config.json
generation_config.json
model.safetensors
tokenizer.json
tokenizer_config.json
  embedding         3.07 K   0.3 %  ▏
  model.layers.{0-1}.self_attn.q_proj.weight_shape    i64    [2]        x2       32 B
  model.layers.{0-1}.self_attn.q_proj.weight_packed   i32    [256, 32]  x2   65.54 kB
  model.embed_tokens.weight                           f16    [12, 256]        6.14 kB
  model.layers.{0-1}.self_attn.q_proj.weight_scale    f16    [256, 4]   x2    4.10 kB
  lm_head.weight                                      f16    [12, 256]        6.14 kB
  "quantization_config": {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "quantization_status": "compressed",
    "config_groups": {
      "group_0": {
        "targets": [
          "Linear"
        ],
        "weights": {
          "num_bits": 4,
          "type": "int",
          "symmetric": true,
          "strategy": "group",
          "group_size": 64,
          "dynamic": false
        },
        "input_activations": null,
        "output_activations": null
      }
    },
    "ignore": [
      "lm_head"
    ],
    "kv_cache_scheme": null
  }
}
$ tola quantize -q model t8.safetensors --to int8 --per tensor --report t8.json && tola inspect --json t8.safetensors | grep -c quantization_config && grep -m1 snr_db t8.json | sed 's/[0-9][0-9]*,$/N/'
1
  "snr_db": 41.N
$ for f in 'gptq int4' 'awq int4' 'bnb nf4' 'fp8 fp8'; do set -- $f; tola quantize -q model $1/ --format $1 --to $2 && grep -h -o '"quant_method": .*"' $1/config.json; tola inspect $1 --tensors | grep -c q_proj; done
"quant_method": "gptq"
4
"quant_method": "awq"
3
"quant_method": "bitsandbytes"
4
"quant_method": "fp8"
2
$ tola convert -q int4 back/ && tola inspect back | sed -n '/dtype/,$p'
  dtype  tensors  elements       size   share
  i32         14  147.46 K  589.82 kB  91.9 %
  i64         14        28      224 B   0.0 %
  f16         21   25.86 K   51.71 kB   8.1 %
$ tola quantize int4 from-int4.gguf --to q8_0 | sed "s/, [0-9.]* s, .*/, T, R/"
from-int4.gguf: 21 tensors, 1.27 MB from 4.73 MB, 8.53 bits per weight, T, R
type   tensors   bits    bytes
q8_0        16   8.50  1.26 MB
f32          5  32.00  5.12 kB
total       21   8.53  1.27 MB
$ tola quantize q.gguf from-gguf/ --to int8 --per channel | sed "s/, [0-9.]* s, .*/, T, R/"
from-gguf/: 21 tensors, 1.21 MB from 635.07 kB, 8.11 bits per weight, T, R
type   tensors   bits     bytes
int8        14   8.06   1.19 MB
f16          7  16.00  14.85 kB
total       21   8.11   1.20 MB
$ tola quantize model x/ --to int4 --override '*q_proj*=int8'
2> tola: a configuration describes one quantized type, not int4 and int8 together
[exit 2]
$ tola quantize model x/ --to int4 --group 64 --per channel
2> tola: groups of 64 and one scale per channel contradict each other
[exit 2]
$ tola quantize model x/ --to mxfp8 --asymmetric
2> tola: mxfp8 has no zero points (--asymmetric)
[exit 2]
$ tola quantize model x/ --format gptq --to nf4
2> tola: GPTQ keeps integers alone
[exit 2]
$ tola quantize model x/ --format awq --to mxfp4
2> tola: AWQ keeps integers alone
[exit 2]
$ tola quantize -q model t4.safetensors --to int4 --override '*norm*=int4' --json | grep -c '"fallback_from": "int4"'
5
$ tola quantize -q model nested/ --to nf4 --double-quant && grep -o 'use_double_quant.*,' nested/config.json && tola inspect nested --tensors | grep -c nested_absmax
use_double_quant": true,
7
$ tola quantize model x/ --to int4 --double-quant
2> tola: the scales of int4 are not quantized (--double-quant)
[exit 2]
$ tola quantize model x/ --to nf4 --per tensor
2> tola: nf4 says itself what shares a scale (--per)
[exit 2]
$ tola quantize model x/ --to nf4 --format gptq
2> tola: GPTQ keeps integers alone
[exit 2]
$ tola quantize model x/ --to mxfp4 --format awq
2> tola: AWQ keeps integers alone
[exit 2]
$ tola quantize model x/ --to int4 --format gptq --per tensor
2> tola: GPTQ has a scale for each channel or group
[exit 2]
$ tola quantize model x/ --to fp8 --group 64
2> tola: fp8 says itself what shares a scale (--group)
[exit 2]
$ tola quantize model x.gguf --to Q4_0 --asymmetric
2> tola: the types of GGUF say themselves what shares a scale (--group, --per, --asymmetric)
[exit 2]
$ tola quantize model x.gguf --to Q4_0 --report nowhere/r.json
2> tola: cannot write nowhere/r.json: No such file or directory
[exit 2]
$ mkdir taken.md && tola quantize model x.gguf --to Q4_0 --report taken.md
2> tola: cannot write taken.md: Is a directory
[exit 2]
$ ls x x.gguf
2> ls: cannot access 'x': No such file or directory
2> ls: cannot access 'x.gguf': No such file or directory
[exit 2]

# Only matrices become blocks or parts, whatever is asked for: another shape would not come back.
$ tola quantize model x/ --to int4 --override '*input_layernorm*=int4' -n -v | grep layernorm
model.layers.0.input_layernorm.weight           f16*  16.00     512 B
model.layers.0.post_attention_layernorm.weight  f16   16.00     512 B
model.layers.1.input_layernorm.weight           f16*  16.00     512 B
model.layers.1.post_attention_layernorm.weight  f16   16.00     512 B
2> tola: warning: 2 tensors have another type than asked for: their rows or shapes do not fit it
$ tola quantize model x.gguf --to q8_0 --override '*attn_norm*=q4_0' -n -v | grep attn_norm
blk.0.attn_norm.weight    f32*  32.00    1.02 kB
blk.1.attn_norm.weight    f32*  32.00    1.02 kB
2> tola: warning: 2 tensors have another type than asked for: their rows or shapes do not fit it

# A file without a folder says itself what its parts are.
$ tola quantize -q model v2/ --to int4 --format gptq && sed -i 's/"quant_method": "gptq"/&, "checkpoint_format": "gptq_v2"/' v2/config.json && tola convert -q v2 v2.safetensors && tola diff v2 v2.safetensors
same: 21 tensors, every value
$ tola convert -q v2.safetensors plain.safetensors --dtype f32 && tola inspect --json plain.safetensors | grep -c quantization_config
0
[exit 1]

# The least that is said to be possible is, and one byte less is not.
$ least=$(tola quantize model y.gguf --max-size 1 2>&1 | grep -o '[0-9]* bytes' | cut -d' ' -f1); tola quantize model y.gguf --max-size $((least - 1)) 2>&1 | grep -c "take $least bytes"; tola quantize -q model y.gguf --max-size $least && test $(stat -c %s y.gguf) -le $least
1

# Requantizing what is quantized already.
$ tola quantize -q q.gguf again.gguf --to nvfp4 --pure && tola inspect again.gguf | sed -n '/dtype/,$p'
  dtype  tensors  elements       size   share
  f32          5    1.28 K    5.12 kB   0.8 %
  nvfp4       16    1.19 M  667.01 kB  99.2 %

# NaN and infinities are counted.
$ "$PYTHON" -c "
> import json, struct
> w = [0.01 * (i % 7 - 3) for i in range(512)]
> w[3], w[9], w[10] = float('nan'), float('inf'), float('-inf')
> h = json.dumps({'w.weight': {'dtype': 'F32', 'shape': [2, 256], 'data_offsets': [0, 2048]}}).encode()
> open('odd.safetensors', 'wb').write(struct.pack('<Q', len(h)) + h + struct.pack('<512f', *w))"
$ tola quantize odd.safetensors odd.gguf --to mxfp4 | sed "s/, [0-9.]* s, .*/, T, R/"
odd.gguf: 1 tensor, 448 B from 2.05 kB, 4.25 bits per weight, T, R
type   tensors  bits  bytes
mxfp4        1  4.25  272 B
total        1  4.25  272 B
2> tola: warning: 1 NaN became 0
2> tola: warning: 2 infinities became the largest number of the type

# Sizes from headers alone: 7B and 70B by their published shapes (sparse files), in bytes of tensors.
$ cat > sizes.sh <<'END'
> shape() { echo "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": $2, \"intermediate_size\": $3, \"num_hidden_layers\": $4, \"num_attention_heads\": $5, \"num_key_value_heads\": $6, \"vocab_size\": 32000}" > $1.json
> "$PYTHON" "$ROOT/tests/oracle/make_shape.py" $1.json $1 > shape.log; }
> size() { tola quantize $1 out-$1/ --to $2 --dry-run --json | sed -n 's/^  "\(bits_per_weight\|tensor_bytes\)": \([0-9.]*\),/\2/p' | paste -sd ' ' | "$PYTHON" -c "b, n = input().split(); print('$1', '$2', f'{float(n) / 1e9:.2f} GB {float(b):.3f} bits')"; }
> shape 7B 4096 11008 32 32 32; shape 70B 8192 28672 80 64 8
> for model in 7B 70B; do for type in f32 f16 bf16 int8 int4 mxfp4; do size $model $type; done; done
> END
$ bash sizes.sh; ls -d out-* 7B
7B f32 26.95 GB 31.999 bits
7B f16 13.48 GB 16.000 bits
7B bf16 13.48 GB 16.000 bits
7B int8 7.10 GB 8.432 bits
7B int4 3.86 GB 4.587 bits
7B mxfp4 3.97 GB 4.708 bits
70B f32 275.90 GB 32.000 bits
70B f16 137.95 GB 16.000 bits
70B bf16 137.95 GB 16.000 bits
70B int8 70.57 GB 8.185 bits
70B int4 36.35 GB 4.215 bits
70B mxfp4 37.42 GB 4.340 bits
7B
2> ls: cannot access 'out-*': No such file or directory
[exit 2]
$ for type in Q8_0 Q4_0 Q4_K_M Q2_K; do tola quantize 70B 70B.gguf --keep-names --to $type --pure --dry-run | head -1; done; rm -r 7B 70B
70B.gguf: 723 tensors, 73.29 GB from 137.95 GB, 8.50 bits per weight; nothing was written
70B.gguf: 723 tensors, 38.80 GB from 137.95 GB, 4.50 bits per weight; nothing was written
70B.gguf: 723 tensors, 38.80 GB from 137.95 GB, 4.50 bits per weight; nothing was written
70B.gguf: 723 tensors, 22.64 GB from 137.95 GB, 2.63 bits per weight; nothing was written

# Under a bound: files of at most that size, a smaller error than the mixture of that size; what cannot be met is told.
$ tola quantize -q model mix.gguf --to Q4_K_M --report mix.json && tola quantize -q model bound.gguf --max-size $(stat -c %s mix.gguf) --report bound.json && tola quantize -q model bits.gguf --bits 3.5 --override '*attn_v*=q8_0' --report bits.json
$ "$PYTHON" -c "
> import json
> mix, bound, bits = (json.load(open(f + '.json')) for f in ('mix', 'bound', 'bits'))
> print(bound['bytes'] <= mix['bytes'], bound['rmse'] < mix['rmse'], 3.4 < bits['bits_per_weight'] <= 3.5)
> print({t['type'] for t in bits['tensors'] if 'attn_v' in t['name']})"
True True True
{'q8_0'}
$ stat -c %s bound.gguf | xargs -I{} test {} -le $(stat -c %s mix.gguf) && tola inspect --json bound.gguf | grep -c file_type
1
$ tola quantize model none.gguf --max-size 100kB
2> tola: the smallest types, what stays as it is and the headers take 176064 bytes; no more than 100000 were wanted
[exit 2]
$ tola quantize model none/ --bits 4
2> tola: a bound chooses among the types of GGUF: OUT ends in .gguf, or --format gguf
[exit 2]
