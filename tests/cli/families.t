# Hugging Face folders to GGUF and back, for every family: the same bits, the same configuration, the same tokenizer.

$ $PYTHON $ROOT/tests/fixtures/make_families.py models && ls models | wc -l
15
$ for m in models/*; do tola convert -q $m $m.gguf && tola convert -q $m.gguf $m.back/ || echo $m; done
$ for m in models/*.gguf; do echo "$(basename $m): $(tola inspect --json $m | grep '"architecture"')"; done
gemma.gguf:   "architecture": "gemma",
gemma2.gguf:   "architecture": "gemma2",
gemma3.gguf:   "architecture": "gemma3",
llama-biased.gguf:   "architecture": "llama",
llama.gguf:   "architecture": "llama",
mistral-linear.gguf:   "architecture": "llama",
mistral.gguf:   "architecture": "llama",
mixtral.gguf:   "architecture": "mixtral",
phi3-long.gguf:   "architecture": "phi3",
phi3.gguf:   "architecture": "phi3",
qwen2-yarn.gguf:   "architecture": "qwen2",
qwen2.gguf:   "architecture": "qwen2",
qwen2_moe.gguf:   "architecture": "qwen2_moe",
qwen3.gguf:   "architecture": "qwen3",
qwen3_moe.gguf:   "architecture": "qwen3_moe",
$ for m in models/*.gguf; do m=${m%.gguf}; for d in $m $m.back; do tola inspect --digest --json $d | grep '"digest"'; done | uniq | wc -l; done | uniq -c | sed 's/^ *//'
15 1
$ for m in models/*.gguf; do m=${m%.gguf}; for f in config tokenizer; do $PYTHON -c 'import json, sys; a, b = (json.load(open(f)) for f in sys.argv[1:]); print(a == b)' $m/$f.json $m.back/$f.json; done; done | uniq -c | sed 's/^ *//'
30 True
$ tola convert -q models/qwen3 shards.gguf --max-shard-size 4kB && ls shards* | wc -l && tola convert -q shards-00001-of-*.gguf again/ --max-shard-size 4kB && ls again | wc -l
3
8
$ for d in models/qwen3 again; do tola inspect --digest --json $d | grep '"digest"'; done | uniq | wc -l
1
