# tola train: recipes, what is refused, runs that go on, memory, files of a run.

$ cat > flowers.csv <<'END'
> length,width,kind
> 1.0,0.2,small
> 1.2,0.3,small
> 1.1,0.1,small
> 0.9,0.2,small
> 4.0,1.3,large
> 4.2,1.5,large
> 3.9,1.2,large
> 4.4,1.4,large
> END
$ cat > flowers.yaml <<'END'
> data: {train: flowers.csv, validation: 2}
> model: {layers: [dense 4, tanh]}
> training: {steps: 60, batch: 3}
> optimizer: {rate: 0.05}
> validation: {every: 30}
> save: {every: 20, keep: 2}
> END
$ tola train flowers.yaml
layers, 22 parameters; 6 rows, 2 for validation; 60 steps
memory *: weights 88 B, gradients 4.10 kB, optimizer 512 B, activations *, program * (glob)
step 0: validation loss *, accuracy * % (glob)
step 30: validation loss *, accuracy 100.00 % (glob)
step 60: validation loss 0.0*, accuracy 100.00 % (glob)
done: 60 steps in * s, loss 0.*; validation loss 0.0*, accuracy 100.00 % (glob)
memory at most * (* were predicted) (glob)
flowers holds the model
$ ls -I 'loss.*' flowers flowers/checkpoint-60; wc -l < flowers/log.jsonl
flowers:
checkpoint-40
checkpoint-60
config.json
log.jsonl
model.safetensors
\
flowers/checkpoint-60:
config.json
model.safetensors
run.json
state.safetensors
64
$ sed -n 2p flowers/log.jsonl
{"step":1,"loss":*,"lr":0.05,"grad_norm":*,"tokens":3,"tokens_per_s":*,"memory":*} (glob)
$ tail -n 1 flowers/log.jsonl
{"step":60,"run":{"seconds":*,"tokens":180*} (glob)
# Energy, where it can be read: here counters that stand still.
$ mkdir -p cap/intel-rapl:0; echo package-0 > cap/intel-rapl:0/name; echo 1000 > cap/intel-rapl:0/max_energy_range_uj; echo 7 > cap/intel-rapl:0/energy_uj; TOLA_POWERCAP=cap tola train flowers.yaml --out measured -q; tail -n 1 measured/log.jsonl
{"step":60,"run":{"seconds":*,"tokens":180,"energy_j":0*}} (glob)
$ TOLA_POWERCAP=/does-not-exist tola train flowers.yaml --out measured -q --force; tail -n 1 measured/log.jsonl | grep -c energy
0
[exit 1]
$ tola inspect flowers --tensors | tail -n 4 | cut -c1-40
...
$ cat flowers/config.json | tr -d '\n '; echo
{"model_type":"tola_layers","input":[2],"offset":[*],"factor":[*],"layers":["dense4","tanh","dense2"],"classes":["large","small"]} (glob)

# The same bits at any number of threads, and after a resume.
$ mkdir again; touch again/.loss.png.a1b2c3; tola train flowers.yaml --out again --quiet --threads 3; ls -A again | grep -c '^\.'; cmp flowers/model.safetensors again/model.safetensors
0
$ rm -r again/checkpoint-60 again/model.safetensors; tola train flowers.yaml --out again --quiet --resume
$ cmp flowers/model.safetensors again/model.safetensors
$ tola train flowers.yaml
2> tola: flowers: holds a run already: --resume goes on with it, --force begins anew
[exit 2]
$ tola train flowers.yaml --resume --json | grep -E '"(schema|steps|resumed_from|stopped)"'
  "schema": "tola.train/1",
  "steps": 60,
  "resumed_from": 60,
  "stopped": false,

$ flock again/log.jsonl tola train flowers.yaml --out again --quiet --resume
2> tola: again: another run is at work in this folder
[exit 2]

# A resume says what has changed; what is harmless may.
# The curves of the run: a PNG, or an SVG where there is no cairo.
$ ls flowers | grep -c '^loss\.'; head -c 4 flowers/loss.* | grep -a -c -e PNG -e '<svg'
1
1
$ sed -i 's/rate: 0.05/rate: 0.06/; s/every: 30/every: 10/' flowers.yaml
$ tola train flowers.yaml --resume --quiet
2> tola: flowers/checkpoint-60/run.json: the run was begun with another recipe: optimizer.rate was 0.05, is 0.06
[exit 2]
$ sed -i 's/steps: 60/steps: 70/' flowers.yaml; tola train flowers.yaml --resume --changed --quiet; ls -I 'loss.*' flowers
checkpoint-60
checkpoint-70
config.json
log.jsonl
model.safetensors
$ echo '4.1,1.2,large' >> flowers.csv; tola train flowers.yaml --resume --quiet
2> tola: flowers/checkpoint-70/run.json: the run was begun with another recipe: data was *, is * (glob)
[exit 2]
$ cp -r flowers moved; mv moved/checkpoint-70 moved/checkpoint-69; tola train flowers.yaml --out moved --resume --quiet
2> tola: moved/checkpoint-69/run.json: its step is not that of its folder, 69
[exit 2]
$ tola train flowers.yaml --changed
2> tola: --changed is said beside --resume
[exit 2]

# Memory before a run: nothing is written.
$ tola train flowers.yaml --out dry --dry-run; ls dry
layers, 22 parameters; 7 rows, 2 for validation; 70 steps
memory *: weights 88 B, gradients 4.10 kB, optimizer 512 B, activations *, program * (glob)
2> ls: cannot access 'dry': No such file or directory
[exit 2]

# Recipes that are refused: line, key, the nearest that is known.
$ bad() { cat > bad.yaml; tola train bad.yaml; }; declare -f bad > bad.sh
$ . ./bad.sh; bad <<'END'
> data: {train: flowers.csv, target: 7}
> model: {layers: [dense 3]}
> training: {steps: 3}
> END
2> tola: flowers.csv: line 1: there is no column '7' among 3
[exit 2]
$ for rows in 1e30 2.5; do sed "s/validation: 2/validation: $rows, target: -1/" flowers.yaml > bad.yaml; tola train bad.yaml; done
2> tola: bad.yaml: line 1, column 40: data.validation: a whole number is wanted, not the number 1e30
2> tola: bad.yaml: line 1, column 40: data.validation: a whole number is wanted, not the number 2.5
[exit 2]
$ . ./bad.sh; bad <<'END'
> data: {train: flowers.csv}
> model: {layers: [dense 3]}
> training: {steps: 3, batsch: 2}
> END
2> tola: bad.yaml: line 3, column 22: training: unknown key 'batsch'; did you mean 'batch'?
[exit 2]
$ . ./bad.sh; bad <<'END'
> data: {train: flowers.csv}
> model:
>   layers:
>     - dense 3
>     - rellu
> training: {steps: 3}
> END
2> tola: bad.yaml: line 5, column 7: model.layers[1]: no layer is called 'rellu'; did you mean 'relu'?
[exit 2]
$ . ./bad.sh; printf 'data: {train: flowers.csv}\nmodel: {layers: [conv 3 5]}\ntraining: {steps: 3}\n' | bad
2> tola: bad.yaml: line 2, column 18: model.layers[0]: a window of 5 x 5 does not fit into an image of 1 x 2
[exit 2]
$ . ./bad.sh; printf 'data: {train: flowers.csv}\nmodel: {layers: [dense]}\ntraining: {steps: 3}\n' | bad
2> tola: bad.yaml: line 2, column 18: model.layers[0]: 'dense' wants how many outputs, a whole number from 1 to 16777216
[exit 2]
$ . ./bad.sh; printf 'data: {train: flowers.csv}\ntraining: {steps: 3}\n' | bad
2> tola: bad.yaml: line 1, column 1: the key 'model' is missing
[exit 2]
$ . ./bad.sh; printf 'data: {train: flowers.csv}\nmodel: {}\ntraining: {steps: 3, epochs: 2}\n' | bad
2> tola: bad.yaml: line 3, column 11: training: either 'steps' or 'epochs' says how long
[exit 2]
$ . ./bad.sh; printf 'data: {train: flowers.csv, validation: 9}\nmodel: {}\ntraining: {steps: 3}\n' | bad
2> tola: bad.yaml: line 1, column 40: data.validation: 9 examples for validation leave none of 9 to train on
[exit 2]
$ . ./bad.sh; printf 'data: {train: flowers.csv}\nmodel: {architecture: lama}\ntraining: {steps: 3}\n' | bad
2> tola: bad.yaml: line 2, column 23: model.architecture: 'lama' is none of llama, gpt2, mixtral, mistral, qwen2, qwen3; any other: 'config', a config.json
[exit 2]
$ . ./bad.sh; printf 'data: {train: flowers.csv}\nmodel: {architecture: llama}\ntraining: {steps: 3}\n' | bad
2> tola: bad.yaml: line 2, column 8: model: a table is learned by 'layers'
[exit 2]
$ . ./bad.sh; printf 'data: {train: nothing.csv}\nmodel: {}\ntraining: {steps: 3}\n' | bad
2> tola: cannot open nothing.csv: No such file or directory
[exit 2]
$ printf 'a,kind\n1,0\n2,1\n3,2\n' > labels.csv
$ . ./bad.sh; printf 'data: {train: labels.csv, classes: 2}\nmodel: {}\ntraining: {steps: 3}\n' | bad
2> tola: labels.csv: line 4: * (glob)
[exit 2]
$ . ./bad.sh; : > empty.csv; printf 'data: {train: empty.csv}\nmodel: {}\ntraining: {steps: 3}\n' | bad
2> tola: empty.csv: there is no row of data in it
[exit 2]
$ tola train flowers
2> tola: flowers: its name gives no folder; say one with --out DIR
[exit 2]
$ rm -rf bad

# Numbers that are none: the step, the tensor, and no checkpoint of broken weights.
$ cat > wild.yaml <<'END'
> data: {train: flowers.csv, scale: none}
> model: {layers: [dense 3, tanh]}
> training: {steps: 300, batch: 2}
> optimizer: {method: sgd, rate: 1e+6, decay: 1000}
> save: {every: 1}
> END
$ tola train wild.yaml --quiet
2> tola: step 5: the update made the weight 'layers.0.weight' not finite (* of 6 elements); the last good checkpoint is wild/checkpoint-4. A smaller rate, a warm-up or clipping may help (glob)
[exit 2]
$ sed -i 's/every: 1/every: 100/' wild.yaml; tola train wild.yaml --quiet --force
2> tola: step 6: the loss is nan, the gradient of 'layers.2.bias' is not finite (2 of 2 elements; so are those of 4 of 4 tensors), and so is the weight 'layers.0.weight'. Nothing was updated; there is no checkpoint yet. A smaller rate, a warm-up or clipping may help (glob)
[exit 2]

# A language model: its folder opens like any other.
$ cat > tokenizer.json <<'END'
> {"added_tokens":[{"id":5,"content":"<|endoftext|>","special":true,"normalized":false}],
> "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},"decoder":{"type":"ByteLevel"},
> "model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"d":3,"\u0120":4},"merges":[]}}
> END
$ for i in $(seq 200); do printf 'abcd '; done > text.txt
$ cat > words.yaml <<'END'
> data: {train: text.txt, validation: 0.1}
> tokenizer: {file: tokenizer.json}
> model: {architecture: llama, width: 16, layers: 1, heads: 2, context: 16}
> training: {steps: 80, batch: 4}
> optimizer: {rate: 0.02, clip: 1}
> schedule: {kind: cosine, warmup: 5}
> END
$ tola train words.yaml --quiet; ls -I 'loss.*' words
checkpoint-80
config.json
log.jsonl
model.safetensors
tokenizer.json
train.tokens
$ tola run words --raw -p 'abcd ab' -n 8 --temp 0
cd abcd 
$ printf 'a' > text.txt; tola train words.yaml --out one
2> tola: text.txt: one token is there, and two are the least that can be learned from
[exit 2]
$ printf 'abcd e' > text.txt; echo '{"model_type":"llama","hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":16,"vocab_size":3,"max_position_embeddings":64}' > config.json
$ sed -i 's/architecture.*/config: config.json, context: 16}/' words.yaml; tola train words.yaml --out two
2> tola: text.txt: the tokenizer gives token 3, and the model has 3 tokens
[exit 2]

# A tokenizer of its own.
$ for i in $(seq 300); do printf 'the cat sat on the mat. '; done > cats.txt
$ cat > cats.yaml <<'END'
> data: {train: cats.txt}
> tokenizer: {vocabulary: 262}
> model: {architecture: gpt2, width: 16, layers: 1, heads: 2, context: 16}
> training: {steps: 60, batch: 4}
> optimizer: {rate: 0.02, clip: 1}
> END
$ tola train cats.yaml --quiet; ls -I 'loss.*' cats
checkpoint-60
config.json
log.jsonl
model.safetensors
tokenizer.json
tokenizer_config.json
train.tokens
$ tola run cats --raw -p 'the cat' -n 6 --temp 0
...
$ sed -i 's/^tokenizer:.*//; s/^model: .*/model: {weights: cats}/' cats.yaml; tola train cats.yaml --force
2> tola: cats.yaml: line 3, column 18: model.weights: is the folder of the run; say another with --out
[exit 2]
$ tola train cats.yaml --out more --quiet; ls -I 'loss.*' more
checkpoint-60
config.json
log.jsonl
model.safetensors
tokenizer.json
tokenizer_config.json
train.tokens

# Provenance: the recipe and every file it names; none of a run that is only tried.
$ tola train flowers.yaml --out proven --provenance proven.json -q && tola train flowers.yaml --out tried --dry-run --provenance tried.json > said; ls tried.json; python3 -c 'import json; s = json.load(open("proven.json")); print([x["name"] for x in s["subject"]], [(x["name"], x["annotations"]["role"]) for x in s["predicate"]["buildDefinition"]["resolvedDependencies"]])'
['config.json', 'model.safetensors'] [('flowers.yaml', 'data'), ('flowers.csv', 'data')]
2> ls: cannot access 'tried.json': No such file or directory
