# Quantized tensors of GGUF as numbers. Values are compared with the gguf package in tests/oracle.

$ tola stats "$FIXTURES/blocks.gguf"
tensor   min  max   mean    std  NaN  inf  -2^n  0  +2^n
q4_0      -4  3.5  -0.25  2.305    0    0  ▅█▆▅    ▅    ▅▆█ 
q8_0      -8  7.5  -0.25  4.617    0    0  ▃█▆▄▃   ▃   ▃▄▆█ 
q4_k       0  7.5   3.75  2.305    0    0          ▅    ▅▆▇█
nvfp4    -12   12      0  3.352    0    0  ▃▄▅▅▄▂  █  ▂▄▅▅▄▃
corrupt    -    -      -      -   32    0                   
norm       1    4    2.5  1.118    0    0                ▅█▅
\
  6 tensors, 284 B
  1 tensor holds NaN or infinity
$ tola stats "$FIXTURES/blocks.gguf" q4_k
q4_k  q4_k [1, 256]
  elements    256
  range       0 .. 7.5
  mean        3.75
  std         2.30488611
  norm        70.4272674
  kurtosis    1.79058824
  zeros       16 (6.25 %)
  outliers    0
\
        negative                     2^n    positive
                                     2      ███████████████████ 128
                                     1      ██████████          64
                                     0      █████               32
                                     -1     ██                  16
$ tola stats "$FIXTURES/blocks.gguf" corrupt | head -8
corrupt  q4_0 [1, 32]
  elements    32
  range       nothing finite
  mean        undefined
  std         undefined
  norm        0
  kurtosis    undefined
  zeros       0

# Decoding and keeping the container, and another container.
$ tola convert -q "$FIXTURES/blocks.gguf" plain.gguf --dtype f32 && tola diff "$FIXTURES/blocks.gguf" plain.gguf
different: 5 of 6 tensors
\
changed: 5 tensors
  tensor   type          max abs  relative    cosine  changed
  q4_0     q4_0 -> f32         0         0  1.000000     none
  q8_0     q8_0 -> f32         0         0  1.000000     none
  q4_k     q4_k -> f32         0         0  1.000000     none
  nvfp4    nvfp4 -> f32        0         0  1.000000     none
  corrupt  q4_0 -> f32         0         0  1.000000     none
[exit 1]
$ tola convert -q "$FIXTURES/blocks.gguf" half.safetensors --dtype f16 && tola inspect --tensors half.safetensors | tail -7
  tensor   dtype  shape        size
  q4_0     f16    [2, 32]     128 B
  q8_0     f16    [1, 32]      64 B
  q4_k     f16    [1, 256]    512 B
  nvfp4    f16    [1, 64]     128 B
  corrupt  f16    [1, 32]      64 B
  norm     f16    [4]           8 B
$ tola convert "$FIXTURES/blocks.gguf" x.safetensors
2> tola: tensor 'q4_0': safetensors cannot hold q4_0; --dtype f16 would do
[exit 2]
$ tola convert -q "$FIXTURES/blocks.gguf" one.gguf --dtype-override 'q8_0=bf16' && tola inspect --tensors one.gguf | tail -7
  tensor   dtype  shape        size
  q4_0     q4_0   [2, 32]      36 B
  q8_0     bf16   [1, 32]      64 B
  q4_k     q4_k   [1, 256]    144 B
  nvfp4    nvfp4  [1, 64]      36 B
  corrupt  q4_0   [1, 32]      18 B
  norm     f32    [4]          16 B
$ tola convert "$FIXTURES/blocks.gguf" x.gguf --dtype-override 'q8_0=q4_0'
2> tola: tensor 'q8_0' is q8_0 and cannot become q4_0: block types are made by quantizing, not by a cast
[exit 2]

# A model: the layout of Hugging Face has no blocks, so that they become f16 unless another dtype is asked for.
$ tola convert "$FIXTURES/quantized.gguf" model/ | sed "s/, [0-9.]* s, .*/, T, R/"
model/: 12 tensors, 19.84 kB from 5.86 kB, T, R
2> tola: warning: 9 quantized tensors are decoded to f16; --dtype chooses another
2> tola: warning: the tokenizer (none) is not written: only byte-level and SentencePiece-style BPE are
$ tola inspect model/ | tail -3
  dtype  tensors  elements      size   share
  f32          3        96     384 B   1.9 %
  f16          9    9.73 K  19.46 kB  98.1 %
$ grep dtype model/config.json
  "torch_dtype": "float16"
$ tola convert -q "$FIXTURES/quantized.gguf" model32/ --dtype f32 2>/dev/null && tola diff model model32 | tail -4
  model.layers.0.self_attn.o_proj.weight  f16 -> f32        0         0  1.000000     none
  model.layers.0.mlp.gate_proj.weight     f16 -> f32        0         0  1.000000     none
  model.layers.0.mlp.up_proj.weight       f16 -> f32        0         0  1.000000     none
  model.layers.0.mlp.down_proj.weight     f16 -> f32        0         0  1.000000     none
$ tola convert -q model32/ again.gguf && tola diff "$FIXTURES/quantized.gguf" again.gguf | grep -v " none$"
different: 9 of 12 tensors
\
changed: 9 tensors
  tensor                    type         max abs  relative    cosine  changed
\
metadata (no difference of weights): general.type, llama.vocab_size, llama.attention.key_length, llama.attention.value_length, llama.rope.dimension_count, tola.source.config, tola.source.dtype, tola.source.family, general.file_type, general.quantization_version, tokenizer.ggml.model
$ tola diff "$FIXTURES/quantized.gguf" model32/ | head -4
different: 9 of 12 tensors
model32/ is seen as the GGUF file that it would become
\
changed: 9 tensors
