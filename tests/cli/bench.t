# tola bench: what it prints, but for the figures.

$ tola bench "$FIXTURES/llama" --prompt 8 --generate 4 --rounds 1 --threads 1 > t.txt; head -n 1 t.txt; grep -e 'fill 8' -e 'code 4' -e ': read' t.txt | sed 's/  */ /g; s/[0-9]*\.[0-9]*/N/g'
\$FIXTURES/llama: llama, 5.54 kB of weights, 5.18 kB read for a token; 1 round
 1 prefill 8 N N N tokens/s 
 1 decode 4 N N N tokens/s 
 1 limit: read N N N GB/s decode: N %
 1 limit: read_plain N N N GB/s decode: N %
$ tola bench "$FIXTURES/llama" --prompt 0 --generate 3 --depth 20 --rounds 2 --thread-counts 1,2 --json > b.json; grep -e schema -e '"threads"' -e depth -e rounds -e complete b.json
  "schema": "tola.bench/1",
  "depth": 20,
  "rounds": 2,
  "complete": true,
      "threads": 1,
      "threads": 2,
# 2 operations a weight: 8 tokens x (192 of a layer in attention, 384 behind it, 64 for keys and values of the last layer),
# 1 x (the last layer's other 128, 384 and the head's 96); 2 heads x 4 x 4 for each of 36 pairs of tokens, 8 in the last layer
$ tola bench "$FIXTURES/llama" --prompt 8 --generate 0 --rounds 1 --threads 1 --json | grep prompt_operations
  "prompt_operations": 12864.0,
$ tola bench "$FIXTURES/llama" --prompt 0 --generate 0
2> tola: --prompt 0 and --generate 0 leave nothing to measure
[exit 2]
$ tola bench "$FIXTURES/llama" --rounds 0
2> tola: --rounds: 1 to 1001
[exit 2]
$ tola bench "$FIXTURES/llama" --thread-counts 1,x
2> tola: --thread-counts: '1,x' is no list of up to 16 numbers from 1 to 1024
[exit 2]
$ tola bench "$FIXTURES/llama" --thread-counts 0
2> tola: --thread-counts: '0' is no list of up to 16 numbers from 1 to 1024
[exit 2]
$ tola bench "$FIXTURES/tiny.safetensors"
2> tola: *: not a language model of a known architecture (glob)
[exit 2]
$ tola bench nothing.gguf
2> tola: cannot open nothing.gguf: No such file or directory
[exit 2]
