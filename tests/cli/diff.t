# tola diff: exit 0 same, 1 different, 2 error.

$ tola diff "$FIXTURES/tiny.safetensors" "$FIXTURES/reordered.safetensors"
same: 4 tensors, every value
\
metadata (no difference of weights): format

$ tola diff "$FIXTURES/tiny.safetensors" "$FIXTURES/changed.safetensors"
different: 1 of 4 tensors
\
changed: 1 tensor
  tensor        type  max abs  relative    cosine     changed
  layer.weight  f32      0.25    0.0524  0.999223  1 (16.7 %)
[exit 1]

$ tola diff "$FIXTURES/tiny.safetensors" "$FIXTURES/changed.safetensors" --tolerance 100
same: 4 tensors, no element further apart than 100

$ tola diff "$FIXTURES/tiny.safetensors" "$FIXTURES/renamed.safetensors"
different: 1 of 4 tensors
\
renamed: 1 tensor
  layer.weight  ->  layer.kernel
[exit 1]

$ tola diff -q "$FIXTURES/tiny.safetensors" "$FIXTURES/changed.safetensors"
[exit 1]

$ tola diff "$FIXTURES/tiny.safetensors" "$FIXTURES/renamed.safetensors" --json
{
  "schema": "tola.diff/1",
  "same": false,
  "tolerance": 0.0,
  "seen_as_gguf": null,
  "added": [],
  "removed": [],
  "changed": [
    {
      "name": "layer.weight",
      "what": "renamed",
      "max_abs": 0.0,
      "rel": 0.0,
      "cosine": 1.0,
      "changed_elements": 0,
      "a": {
        "name": "layer.weight",
        "dtype": "f32",
        "shape": [
          2,
          3
        ]
      },
      "b": {
        "name": "layer.kernel",
        "dtype": "f32",
        "shape": [
          2,
          3
        ]
      }
    }
  ],
  "metadata": []
}
[exit 1]

$ tola diff "$FIXTURES/tiny.safetensors" "$FIXTURES/tiny.npz"
different: 1 of 4 tensors
\
only in $FIXTURES/tiny.safetensors: 1 tensor
- half.weight  bf16  [4, 4]  
\
metadata (no difference of weights): format
[exit 1]

$ tola diff "$FIXTURES/tiny.safetensors" "$FIXTURES/tiny-big-endian.gguf"
same: 4 tensors, every value
\
metadata (no difference of weights): format, general.architecture, general.name, llama.block_count, llama.context_length, tokenizer.ggml.tokens

$ tola diff "$FIXTURES/tiny.safetensors" "$FIXTURES/nowhere.gguf"
2> tola: cannot open $FIXTURES/nowhere.gguf: No such file or directory
[exit 2]

$ tola diff "$FIXTURES/tiny.safetensors" "$FIXTURES/tiny.gguf" --tolerance -1
2> tola: --tolerance is a number from 0 on
[exit 2]

$ tola diff "$FIXTURES/tiny.safetensors"
2> tola: diff: an argument is missing: tola diff A B [options]
[exit 2]

# a Hugging Face folder and its GGUF are compared in GGUF's words

$ tola convert -q "$FIXTURES/llama" llama.gguf && tola diff "$FIXTURES/llama" llama.gguf
same: 21 tensors, every value
\$FIXTURES/llama is seen as the GGUF file that it would become

$ tola diff -q llama.gguf "$FIXTURES/llama"

$ tola convert -q "$FIXTURES/llama" half.gguf --dtype f16 && tola diff "$FIXTURES/llama" half.gguf | grep -v 'f32 -> f16'
different: 16 of 21 tensors
\$FIXTURES/llama is seen as the GGUF file that it would become
\
changed: 16 tensors
  tensor                    type        max abs  relative    cosine  changed
\
metadata (no difference of weights): general.file_type

$ tola diff llama.gguf "$FIXTURES/llama" --keep-names | grep renamed
renamed: 17 tensors
