# tola inspect: facts for people and programs. Numbers of real models are in tests/oracle/inspect_oracle.py.

$ tola inspect "$FIXTURES/tiny.safetensors" --tensors
\$FIXTURES/tiny.safetensors
  format        safetensors, 1 file, 424 B
  tensors       4, 112 B
  architecture  unknown
  parameters    26
  buffers       5 elements, not counted
  precision     22.15 bits per weight
\
  role   parameters   share  
  other          22  84.6 %  ██████████████████████████████▌
  bias            4  15.4 %  █████▌
\
  dtype  tensors  elements  size   share
  i64          1         5  40 B  35.7 %
  f32          2        10  40 B  35.7 %
  bf16         1        16  32 B  28.6 %
\
  tensor        dtype  shape     size
  layer.weight  f32    [2, 3]    24 B
  layer.bias    f32    [4]       16 B
  half.weight   bf16   [4, 4]    32 B
  position_ids  i64    [5]       40 B

$ tola inspect "$FIXTURES/llama" --tensors='*mlp*'
\$FIXTURES/llama
  format        safetensors, 2 files, 7.59 kB
  tensors       21, 5.54 kB
  architecture  llama (LlamaForCausalLM)
  parameters    1,384
  precision     32 bits per weight
  layers        2 of width 8, feed-forward 16
  attention     2 heads of 4, 1 for keys and values
  context       64 tokens
  vocabulary    12
  tokenizer     BPE, 12 tokens (PreTrainedTokenizerFast); with a chat template
\
  role          parameters   share  
  feed_forward         768  55.5 %  ████████████████████
  attention            384  27.7 %  ██████████
  embedding             96   6.9 %  ██▌
  output                96   6.9 %  ██▌
  norm                  40   2.9 %  █
\
  dtype  tensors  elements     size    share
  f32         21    1.38 K  5.54 kB  100.0 %
\
  tensor                                   dtype  shape           size
  model.layers.{0-1}.mlp.gate_proj.weight  f32    [16, 8]  x2  1.02 kB
  model.layers.{0-1}.mlp.up_proj.weight    f32    [16, 8]  x2  1.02 kB
  model.layers.{0-1}.mlp.down_proj.weight  f32    [8, 16]  x2  1.02 kB

# a folder of which a shard is missing can be looked at, but not read

$ cp -r "$FIXTURES/llama" part && rm part/model-00002-of-*.safetensors && tola inspect part
part
  format        safetensors, 2 files, 4.10 kB
  tensors       11, 3.01 kB; 10 more in missing shards
  architecture  llama (LlamaForCausalLM)
  parameters    752
  precision     32 bits per weight
  layers        2 of width 8, feed-forward 16
  attention     2 heads of 4, 1 for keys and values
  context       64 tokens
  vocabulary    12
  tokenizer     BPE, 12 tokens (PreTrainedTokenizerFast); with a chat template
  warning       1 of 2 shards are missing (model-00002-of-00002.safetensors
                first)
\
  role          parameters   share  
  feed_forward         384  51.1 %  ██████████████████▍
  attention            256  34.0 %  ████████████▎
  embedding             96  12.8 %  ████▋
  norm                  16   2.1 %  ▊
\
  dtype  tensors  elements     size    share
  f32         11       752  3.01 kB  100.0 %

$ tola inspect part --digest
2> tola: the shards that hold 10 of 21 tensors are missing; the first is tensor 'model.layers.1.self_attn.k_proj.weight'
[exit 2]

$ tola inspect part --json | grep -c '"missing"'
10

# what is not there

$ tola inspect "$FIXTURES/tiny.safetensors" --tensors='nothing*'
2> tola: $FIXTURES/tiny.safetensors: no tensor matches 'nothing*'
[exit 2]

$ tola inspect "$FIXTURES/nowhere.safetensors"
2> tola: cannot open $FIXTURES/nowhere.safetensors: No such file or directory
[exit 2]

# the fingerprint is the same in any container and any order

$ for f in tiny.safetensors reordered.safetensors; do tola inspect "$FIXTURES/$f" --json --digest | grep '"digest"'; done
  "digest": "ee6d0ae427aa685fbb09a0b3dcca845c0cb36fbe558573b397716616865bb832",
  "digest": "ee6d0ae427aa685fbb09a0b3dcca845c0cb36fbe558573b397716616865bb832",

$ tola inspect "$FIXTURES/changed.safetensors" --json --digest | grep '"digest"'
  "digest": "3ecfe6a698ed133d3e39857c5206304cbc7310d9d7a64164535bca604b5c9d9b",

# the JSON, whole

$ tola inspect "$FIXTURES/weight.npy" --json
{
  "schema": "tola.inspect/1",
  "format": "npy",
  "architecture": null,
  "parameters": {
    "total": 6,
    "active": 6,
    "by_role": {
      "other": 6,
      "embedding": 0,
      "attention": 0,
      "feed_forward": 0,
      "experts": 0,
      "router": 0,
      "norm": 0,
      "bias": 0,
      "output": 0,
      "convolution": 0,
      "recurrent": 0,
      "adapter": 0
    }
  },
  "buffers": 0,
  "bytes": {
    "file": 152,
    "tensors": 24
  },
  "bits_per_weight": 32.0,
  "dtypes": {
    "f32": {
      "tensors": 1,
      "elements": 6,
      "bytes": 24
    }
  },
  "context_length": null,
  "tokenizer": null,
  "chat_template": false,
  "licence": null,
  "name": null,
  "model_class": null,
  "layers": null,
  "heads": null,
  "kv_heads": null,
  "head_dim": null,
  "width": null,
  "feed_forward": null,
  "vocabulary": null,
  "experts": null,
  "experts_used": null,
  "quantization": null,
  "adapter": null,
  "shared_tensors": 0,
  "missing_tensors": 0,
  "states": {
    "tensors": 0,
    "elements": 0
  },
  "files": [
    {
      "path": "$FIXTURES/weight.npy",
      "bytes": 152
    }
  ],
  "tensors": [
    {
      "name": "arr_0",
      "dtype": "f32",
      "shape": [
        2,
        3
      ],
      "bytes": 24,
      "file": "$FIXTURES/weight.npy",
      "offset": 128,
      "role": "other"
    }
  ],
  "metadata": {},
  "digest": null,
  "warnings": []
}

$ tola inspect "$FIXTURES/tiny.gguf" --metadata
\$FIXTURES/tiny.gguf
  name          tiny
  format        gguf, 1 file, 608 B
  tensors       4, 112 B
  architecture  llama
  parameters    26
  buffers       5 elements, not counted
  precision     22.15 bits per weight
  layers        1
  context       128 tokens
  vocabulary    3
\
  role   parameters   share  
  other          22  84.6 %  ██████████████████████████████▌
  bias            4  15.4 %  █████▌
\
  dtype  tensors  elements  size   share
  i64          1         5  40 B  35.7 %
  f32          2        10  40 B  35.7 %
  bf16         1        16  32 B  28.6 %
\
  metadata
  general.architecture = "llama"
  general.name = "tiny"
  llama.block_count = 1
  llama.context_length = 128
  tokenizer.ggml.tokens = ["<unk>", "<s>", "</s>"]
