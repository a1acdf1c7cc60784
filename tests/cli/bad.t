# Files that must be refused: one line with the file, the place and the cause, exit code 2.

# safetensors
$ tola inspect "$FIXTURES/bad/empty.safetensors"
2> tola: $FIXTURES/bad/empty.safetensors: the file is empty
[exit 2]

$ tola inspect "$FIXTURES/bad/lfs.safetensors"
2> tola: $FIXTURES/bad/lfs.safetensors: offset 0: this is a Git LFS pointer, not the weights: the real file has 13476838400 bytes; fetch it with `git lfs pull`
[exit 2]

$ tola inspect "$FIXTURES/bad/page.safetensors"
2> tola: $FIXTURES/bad/page.safetensors: offset 0: this is a web page (HTML), not weights: the download saved an error or a login page
[exit 2]

$ tola inspect "$FIXTURES/bad/length-beyond-file.safetensors"
2> tola: $FIXTURES/bad/length-beyond-file.safetensors: offset 0: truncated: the header has 4096 bytes but only 8 follow (4088 missing)
[exit 2]

$ tola inspect "$FIXTURES/bad/length-beyond-limit.safetensors"
2> tola: $FIXTURES/bad/length-beyond-limit.safetensors: offset 0: header length 1099511627776 is above the limit of 100000000: this is no safetensors file, or a broken one
[exit 2]

$ tola inspect "$FIXTURES/bad/truncated-header.safetensors"
2> tola: $FIXTURES/bad/truncated-header.safetensors: offset 0: truncated: the header has 304 bytes but only 32 follow (272 missing)
[exit 2]

$ tola inspect "$FIXTURES/bad/truncated-payload.safetensors"
2> tola: $FIXTURES/bad/truncated-payload.safetensors: offset 239: tensor 'position_ids': the file is truncated: 92 bytes of data are there, 20 are missing
[exit 2]

$ tola inspect "$FIXTURES/bad/trailing-comma.safetensors"
2> tola: $FIXTURES/bad/trailing-comma.safetensors: offset 62: JSON: expected a key, found '}'
[exit 2]

$ tola inspect "$FIXTURES/bad/overlap.safetensors"
2> tola: $FIXTURES/bad/overlap.safetensors: offset 124: tensor 'b': its bytes overlap those of tensor 'a' by 4
[exit 2]

$ tola inspect "$FIXTURES/bad/hole.safetensors"
2> tola: $FIXTURES/bad/hole.safetensors: offset 128: tensor 'b': 4 bytes before it belong to no tensor
[exit 2]

$ tola inspect "$FIXTURES/bad/out-of-range.safetensors"
2> tola: $FIXTURES/bad/out-of-range.safetensors: offset 9: tensor 'a': the file is truncated: 8 bytes of data are there, 8 are missing
[exit 2]

$ tola inspect "$FIXTURES/bad/backwards.safetensors"
2> tola: $FIXTURES/bad/backwards.safetensors: offset 9: tensor 'a': data_offsets run backwards, from 8 to 0
[exit 2]

$ tola inspect "$FIXTURES/bad/wrong-size.safetensors"
2> tola: $FIXTURES/bad/wrong-size.safetensors: offset 9: tensor 'a': data_offsets span 4 bytes, but its shape and dtype f32 need 8
[exit 2]

$ tola inspect "$FIXTURES/bad/duplicate.safetensors"
2> tola: $FIXTURES/bad/duplicate.safetensors: offset 120: tensor 'a': its bytes overlap those of tensor 'a' by 8
[exit 2]

$ tola inspect "$FIXTURES/bad/overflow.safetensors"
2> tola: $FIXTURES/bad/overflow.safetensors: offset 9: tensor 'a': the product of its shape overflows
[exit 2]

$ tola inspect "$FIXTURES/bad/dtype.safetensors"
2> tola: $FIXTURES/bad/dtype.safetensors: offset 22: tensor 'a': unknown dtype 'F33'
[exit 2]

$ tola inspect "$FIXTURES/bad/deep.safetensors"
2> tola: $FIXTURES/bad/deep.safetensors: offset 13: tensor 'a': its description is no object
[exit 2]

# GGUF
$ tola inspect "$FIXTURES/bad/truncated-header.gguf"
2> tola: $FIXTURES/bad/truncated-header.gguf: offset 8: the header claims 4 tensors, which cannot fit in the 36 bytes that follow
[exit 2]

$ tola inspect "$FIXTURES/bad/truncated-payload.gguf"
2> tola: $FIXTURES/bad/truncated-payload.gguf: offset 512: tensor 'half.weight': truncated: its bytes 512 to 544 reach beyond the end of the file at 508 (76 bytes missing)
[exit 2]

$ tola inspect "$FIXTURES/bad/version.gguf"
2> tola: $FIXTURES/bad/version.gguf: offset 4: unsupported version 77 of GGUF; 2 and 3 are read
[exit 2]

$ tola inspect "$FIXTURES/bad/tensor-count.gguf"
2> tola: $FIXTURES/bad/tensor-count.gguf: offset 8: the header claims 1152921504606846976 tensors, which cannot fit in the 584 bytes that follow
[exit 2]

$ tola inspect "$FIXTURES/bad/pair-count.gguf"
2> tola: $FIXTURES/bad/pair-count.gguf: offset 24: the header claims 1152921504606846976 metadata entries, which cannot fit in the 584 bytes that follow
[exit 2]

$ tola inspect "$FIXTURES/bad/string-length.gguf"
2> tola: $FIXTURES/bad/string-length.gguf: offset 24: truncated: metadata key needs 4611686018427387904 bytes, 576 are left
[exit 2]

# PyTorch and NumPy; nothing of a pickle is run
$ tola inspect "$FIXTURES/bad/calls-system.pt"
2> tola: $FIXTURES/bad/calls-system.pt: offset 86: the pickle calls os.system (offset 22); nothing was run
[exit 2]

$ tola inspect "$FIXTURES/bad/crc.pt"
2> tola: $FIXTURES/bad/crc.pt: offset 64: the CRC of zip member 'archive/data.pkl' is de0569a1, not 2c365d0a: its bytes were changed
[exit 2]

$ tola inspect "$FIXTURES/bad/truncated.pt"
2> tola: $FIXTURES/bad/truncated.pt: truncated: a zip archive without its directory, which stands at the end of the file
[exit 2]

$ tola inspect "$FIXTURES/bad/legacy-calls-system.pt"
2> tola: $FIXTURES/bad/legacy-calls-system.pt: offset 159: the pickle calls os.system (offset 22); nothing was run
[exit 2]

$ tola inspect "$FIXTURES/bad/truncated.npy"
2> tola: $FIXTURES/bad/truncated.npy: offset 128: truncated: the array has 24 bytes, 19 are there (5 missing)
[exit 2]

$ tola inspect "$FIXTURES/bad/object.npy"
2> tola: $FIXTURES/bad/object.npy: offset 20: an array of Python objects: its data are a pickle, which is not read
[exit 2]

# folders and indexes
$ tola inspect "$FIXTURES/bad/missing-shard"
\$FIXTURES/bad/missing-shard
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

$ tola stats "$FIXTURES/bad/missing-shard"
2> tola: $FIXTURES/bad/missing-shard/model-00002-of-00002.safetensors: shard 2 of 2 is missing
[exit 2]

$ tola inspect "$FIXTURES/bad/lying-index"
2> tola: $FIXTURES/bad/lying-index/model.safetensors.index.json: tensor 'absent' should be in model.safetensors but is not there
[exit 2]

$ tola inspect "$FIXTURES/bad/climbing-index"
2> tola: $FIXTURES/bad/climbing-index/model.safetensors.index.json: offset 21: shard name '../../tiny.safetensors' leads out of the folder of its index and is not followed
[exit 2]

$ mkdir empty && tola inspect empty
2> tola: empty: holds no weights (no *.safetensors, *.gguf, *.bin, *.pt, ...)
[exit 2]

$ tola inspect absent.safetensors
2> tola: cannot open absent.safetensors: No such file or directory
[exit 2]

$ mkfifo pipe.safetensors && tola inspect pipe.safetensors
2> tola: pipe.safetensors: is a named pipe, not a file of weights
[exit 2]

$ ln -s b.safetensors a.safetensors && ln -s a.safetensors b.safetensors && tola inspect a.safetensors
2> tola: cannot open a.safetensors: Too many levels of symbolic links
[exit 2]

$ tola inspect /dev/zero
2> tola: /dev/zero: is a device, not a file of weights
[exit 2]

# Names that carry escape sequences reach a terminal only in visible form.
$ tola inspect "$FIXTURES/bad/escapes.safetensors" --tensors | tail -n 3
  tensor       dtype  shape    size
  \x1b[31mred  f32    [2]       8 B
  x\x0ay       f32    [2]       8 B

# Nothing is written from a bad file, and what was there stays.
$ tola convert "$FIXTURES/bad/truncated-payload.safetensors" out.gguf; ls -A
a.safetensors
b.safetensors
empty
pipe.safetensors
2> tola: $FIXTURES/bad/truncated-payload.safetensors: offset 239: tensor 'position_ids': the file is truncated: 92 bytes of data are there, 20 are missing

$ tola convert "$FIXTURES/bad/calls-system.pt" out.safetensors; ls -A
a.safetensors
b.safetensors
empty
pipe.safetensors
2> tola: $FIXTURES/bad/calls-system.pt: offset 86: the pickle calls os.system (offset 22); nothing was run

$ echo keep > out.npz; tola convert "$FIXTURES/bad/crc.pt" out.npz --force; cat out.npz; ls -A
keep
a.safetensors
b.safetensors
empty
out.npz
pipe.safetensors
2> tola: $FIXTURES/bad/crc.pt: offset 64: the CRC of zip member 'archive/data.pkl' is de0569a1, not 2c365d0a: its bytes were changed
