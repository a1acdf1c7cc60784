# a student learns from a teacher
$ "$PYTHON" - <<'END'
> import random
> r = random.Random(1)
> words = "the a cat dog sat ran on under red blue mat tree".split()
> with open("texts.txt", "w") as f:
>     for _ in range(400):
>         print(" ".join(r.choice(words) for _ in range(8)) + ".", file=f)
> END
$ printf 'data: {train: texts.txt, validation: 0.1}\ntokenizer: {vocabulary: 300}\nmodel: {architecture: llama, width: 32, layers: 1, heads: 2, context: 32}\ntraining: {steps: 40, batch: 8}\noptimizer: {rate: 0.01}\n' > teacher.yaml; tola train teacher.yaml --out teacher -q; ls teacher | grep -v loss
checkpoint-40
config.json
log.jsonl
model.safetensors
tokenizer.json
tokenizer_config.json
train.tokens
$ sed 's/width: 32/width: 16/; s/steps: 40/steps: 20/; /^tokenizer/d' teacher.yaml > student.yaml; tola distill teacher --student student.yaml --data texts.txt --out student -q --threads 1; cmp teacher/tokenizer.json student/tokenizer.json; ls student | grep teacher
teacher.rows
$ tola distill teacher --student student.yaml --data texts.txt --out again -q --threads 2; cmp student/model.safetensors again/model.safetensors; cp student/teacher.rows again/teacher.rows; printf x | dd of=again/teacher.rows bs=1 seek=3000 conv=notrunc status=none; tola distill teacher --student student.yaml --data texts.txt --out again -q --force; cmp student/model.safetensors again/model.safetensors
$ tola distill teacher --student student --data texts.txt --out more --steps 3 --context 16 --json -q | grep -E '"schema"|"steps"'
  "schema": "tola.distill/1",
  "steps": 3,
$ umask 077; tola keygen key -q; tola encrypt teacher teacher.enc -r key.pub -q; tola distill teacher.enc --student student.yaml --data texts.txt --out plain --threads 1 --identity key >/dev/null; cmp student/model.safetensors plain/model.safetensors
2> tola: warning: teacher.enc is encrypted, what is learned from it is not
$ sed 's/^model: .*/model: {weights: student.enc}/; s/steps: 20/steps: 1/' student.yaml > go.yaml; tola encrypt student student.enc -r key.pub -q; tola train go.yaml --out gone --identity key >/dev/null
2> tola: warning: student.enc is encrypted, what is learned from it is not
$ tola distill teacher --student student.yaml --out student -q
2> tola: student: holds a run already: --resume goes on with it, --force begins anew
[exit 2]
$ tola distill teacher --student student.yaml --data texts.txt --out student --resume --temperature 3 -q
2> tola: student/checkpoint-20/run.json: * (glob)
[exit 2]
$ tola distill teacher --student student.yaml --data texts.txt --out y --temperature 0
2> tola: a temperature of 0 and a share of 0.5: 0.01 to 1000 and 0 to 1 are possible
[exit 2]
$ tola distill teacher --student student.yaml --data texts.txt --out y --share 2
2> tola: a temperature of 2 and a share of 2: 0.01 to 1000 and 0 to 1 are possible
[exit 2]
$ tola distill teacher --student student.yaml --out y --lr 1
2> tola: student.yaml: steps, batch, context and rate are the recipe's to say
[exit 2]
$ tola distill teacher --data texts.txt --out y
2> tola: who learns? --student RECIPE.yaml or --student MODEL
[exit 2]
$ tola distill nowhere --student student.yaml --data texts.txt --out y
2> tola: *nowhere* (glob)
[exit 2]
$ sed 's/vocabulary: 300/vocabulary: 290/' teacher.yaml > other.yaml; tola train other.yaml --out other -q; tola distill other --student student --data texts.txt --out z --steps 1
2> tola: *a teacher of 290 tokens for a student of 29* (glob)
[exit 2]
