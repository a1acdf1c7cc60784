# tola finetune: what it refuses and tells. Numbers are held to PyTorch's and PEFT's in tests/oracle/finetune_oracle.py.
# needs: data

$ ln -s "$DATA/llm/stories260K/stories260Ktok512.gguf" s.gguf
> printf '%s\n' '{"prompt": "Who was it?", "completion": " It was a cat."}' '{"question": "Why?", "answer": " Because."}' '{"instruction": "Say it.", "input": "", "output": "Yes."}' '{"text": "Once upon a time there was a dog."}' > four.jsonl
> for i in 1 2 3 4 5 6 7 8 9; do echo "One day, Lily went to the park with her mom. She saw a big dog and was happy. They played all day."; done > anchor.txt
$ tola finetune s.gguf --data four.jsonl --out run --batch 2 --steps 3 --rank 2 --anchor anchor.txt --context 64 --validate-every 2 --validation four.jsonl | sed 's/memory .*/M/; s/in [0-9.]* s/in T s/; s/-*[0-9.]* %/P %/g; s/[0-9]*\.[0-9]*/N/g'
llama, 11,560 of 292,800 parameters are learned; 4 examples, 31 tokens of answers; 3 steps
M
step 0: validation loss N, accuracy P %, anchor_perplexity N, anchor_kl N
step 2: validation loss N, accuracy P %, anchor_perplexity N, anchor_kl N
step 3: validation loss N, accuracy P %, anchor_perplexity N, anchor_kl N
anchor: perplexity N, N before (P %), KL to the base N nats a token
done: 3 steps in T s, loss N; validation loss N, accuracy P %, anchor_perplexity N, anchor_kl N
M
run holds the model
$ ls run && tola run s.gguf --adapter run --raw -p 'Who was it?' -n 5 --temp 0 | wc -l && wc -l < run/log.jsonl
adapter_config.json
adapter_model.safetensors
anchor.tokens
checkpoint-3
log.jsonl
loss.png
1
7
$ tola finetune s.gguf --data four.jsonl --out run --batch 2 --steps 3
2> tola: run: holds a run already: --resume goes on with it, --force begins anew
[exit 2]
$ tola finetune s.gguf --data four.jsonl --out run --batch 2 --steps 3 --rank 2 --context 64 --resume --lr 1e-3 2>&1 | grep -c rate
1
$ tola quantize s.gguf other.gguf --to q8_0 --quiet; tola finetune other.gguf --data four.jsonl --out run --batch 2 --steps 3 --resume 2>&1 | grep -c 'model was'
1
$ tola finetune s.gguf --data four.jsonl --out .
2> tola: .: is the folder of the model; say another with --out
[exit 2]
$ tola finetune s.gguf --data four.jsonl --dry-run --json | grep -v '": [0-9.]*,*$'
{
  "schema": "tola.finetune/1",
  "network": "llama",
  "memory": {
  }
}

# examples that are none
$ refuse() { printf "$1" > bad.jsonl; tola finetune s.gguf --data bad.jsonl --out no "${@:2}"; }
> refuse ''; refuse '\n\n{"prompt": "x"}\n'; refuse '{"text": "x"}\n{"prompt": 5, "completion": "y"}\n'; refuse 'nonsense\n'
> refuse '{"messages": [{"role": "user", "content": "hello"}]}\n'; refuse '{"prompt": "x", "completion": ""}\n'; refuse '{"text": ""}\n'
> refuse '{"text": "One two three four five six seven eight nine ten"}\n' --context 8
> refuse '{"text": "One two three four five six seven eight nine ten"}\n' --context 8 --long drop
2> tola: bad.jsonl: there is no line of JSON in it
2> tola: bad.jsonl: line 3: neither 'messages', 'prompt' and 'completion', 'instruction' and 'output', 'question' and 'answer', nor 'text'
2> tola: bad.jsonl: line 2: the field 'prompt' is no text
2> tola: bad.jsonl: line 1: byte 0: JSON: expected a value, found 'n'
2> tola: bad.jsonl: line 1: a conversation, but the model has no chat template
2> tola: bad.jsonl: line 1: the answer is empty: there is nothing to learn from
2> tola: bad.jsonl: line 1: the text is empty: there is nothing to learn from
2> tola: bad.jsonl: line 1: 31 tokens, but the context is 8 (a longer --context, or --long cut or drop)
2> tola: bad.jsonl: no example to learn from: all are longer than the context
[exit 2]

# a template: answers are found in what it writes, or it is said that they are not
$ tola convert s.gguf chat/ >/dev/null; cat > chat/chat_template.jinja <<'END'
> {% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}
> END
> printf '%s\n' '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello you"}, {"role": "user", "content": "Bye"}, {"role": "assistant", "content": "Well"}]}' > talk.jsonl
> tola finetune chat/ --data talk.jsonl --dry-run --json | grep tokens
  "tokens": 41,
  "answer_tokens": 9,
$ tola finetune chat/ --data four.jsonl --dry-run --json | grep tokens
  "tokens": 90,
  "answer_tokens": 31,
$ cat > chat/chat_template.jinja <<'END'
> {% for m in messages %}{{ m.role + ': ' }}{% if loop.last or m.role == 'user' %}{{ m.content }}{% endif %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}
> END
> tola finetune chat/ --data talk.jsonl --dry-run
2> tola: talk.jsonl: line 1: the chat template writes message 2 otherwise once others follow, so that where the answer lies is not known
[exit 2]
$ echo '{"messages": [{"role": "user", "content": "Hi"}]}' > talk.jsonl; tola finetune chat/ --data talk.jsonl --dry-run
2> tola: talk.jsonl: line 1: there is no answer to learn from
[exit 2]

# choices that make no sense
$ tola finetune s.gguf --data four.jsonl --out no --targets q_prj,v_proj
2> tola: target 'q_prj': the model has no such matrix; the nearest is 'q_proj'
[exit 2]
$ tola finetune s.gguf --data four.jsonl --out no --context 4096
2> tola: a context of 4096 tokens: the model was made for 2 to 128
[exit 2]
$ tola finetune s.gguf --data four.jsonl --out no --replay 0.5
2> tola: replay, KL to the base, EWC and a limit to forgetting want an anchor text
[exit 2]
$ tola finetune s.gguf --data four.jsonl --out no --anchor four.jsonl --context 64
2> tola: four.jsonl: line 1: there is no field 'text'
[exit 2]
$ tola finetune s.gguf --data four.jsonl --out no --rank 0
2> tola: an adapter of rank 0, expected 1 to 65536
[exit 2]
$ tola finetune s.gguf --out no
2> tola: what is to be learned? --data names a file of examples
[exit 2]
$ tola finetune s.gguf --data four.jsonl
2> tola: where to? --out names a folder
[exit 2]
$ tola finetune "$FIXTURES/tiny.safetensors" --data four.jsonl --out no
2> tola: $FIXTURES/tiny.safetensors: not a language model of a known architecture
[exit 2]
