# tola eval: both tasks, refusals. Numbers are compared with torch in tests/oracle/eval_oracle.py; those that are
# printed here keep keys and values as f32, with which every processor gives the same.

$ printf 'Once upon a time there was a list of tensors.\nIt was small and had no name; nobody knew why.\n' > text.txt
$ tola eval perplexity "$FIXTURES/llama" text.txt -c 8 --kv-type f32 | grep -v ^speed
perplexity             6.0011 ± 0.9778
protocol               chunk: 11 of 8 tokens, the second half of each scored, without BOS
tokens scored          33
tokens of the text     93
$ tola eval perplexity "$FIXTURES/llama" text.txt --protocol window --context 8 --stride 3 --limit 5 --kv-type f32 | grep -v ^speed
perplexity             6.9388 ± 1.5824
protocol               window: 5 of 8 tokens, 3 further each
tokens scored          19
tokens of the text     93
$ tola eval perplexity "$FIXTURES/llama" - -c 8 --kv-type f32 --json < text.txt | grep -v -e per_s -e seconds
{
  "schema": "tola.eval/1",
  "task": "perplexity",
  "protocol": "chunk",
  "context": 8,
  "bos": false,
  "perplexity": 6.001052187380733,
  "perplexity_error": 0.9778039420469825,
  "nll": 1.7919348184169428,
  "nll_error": 0.1629387499917348,
  "tokens": 33,
  "text_tokens": 93,
  "read_tokens": 77,
  "windows": 11,
  "windows_total": 11,
  "complete": true,
  "kl": null,
  "top1_agreement": null
}
$ tola eval perplexity "$FIXTURES/llama" text.txt -c 8 --kv-type f32 --reference "$FIXTURES/llama" | grep -v ^speed
perplexity             6.0011 ± 0.9778
protocol               chunk: 11 of 8 tokens, the second half of each scored, without BOS
tokens scored          33
tokens of the text     93
reference perplexity   6.0011 ± 0.9778
ln of their ratio      0.000000 ± 0.000000
KL divergence          0.000000 ± 0.000000 nats a token
                       median 0.000000, 99 % 0.000000, 99.9 % 0.000000, max 0.000000
same likeliest token   100.000 ± 0.000 %
change of probability  0.000 % (root mean square)

$ tola eval perplexity "$FIXTURES/llama" text.txt --protocol window -c 4000000000 | grep -e window -e scored
protocol               window: 1 of 4000000000 tokens, 2000000000 further each
tokens scored          92

# the number of threads changes nothing

$ for n in 1 2 5; do tola eval perplexity "$FIXTURES/llama" text.txt -c 8 --json --threads $n | grep -v -e sec -e per_s | sha256sum; done | uniq | wc -l
1

# what cannot be evaluated

$ tola eval perplexity "$FIXTURES/llama" text.txt
2> tola: the text has 93 tokens; two chunks of 512 are the least that is evaluated
[exit 2]
$ tola eval perplexity "$FIXTURES/llama" text.txt -c 8 --stride 4
2> tola: --stride goes with --protocol window
[exit 2]
$ tola eval perplexity "$FIXTURES/llama" text.txt -c 8 --stride 9 --protocol window
2> tola: a stride of 9 passes over tokens between windows of 8
[exit 2]
$ tola eval perplexity "$FIXTURES/llama" nothing.txt
2> tola: nothing.txt: No such file or directory
[exit 2]
$ tola eval perplexity "$FIXTURES/tiny.safetensors" text.txt
2> tola: *: not a language model of a known architecture (glob)
[exit 2]
$ tola eval perplexity "$FIXTURES/llama" text.txt -c 8 --adapter nothing
2> tola: cannot open nothing: No such file or directory
[exit 2]
$ tola eval guess "$FIXTURES/llama" text.txt
2> tola: there is no task 'guess'; perplexity and choice are understood
[exit 2]
$ tola eval perplexity "$FIXTURES/llama" text.txt --protocol chunks
2> tola: --protocol: 'chunks' is not one of chunk, window
[exit 2]
$ tola eval choice "$FIXTURES/llama" text.txt --protocol chunk
2> tola: --protocol is of 'tola eval perplexity'
[exit 2]
$ tola eval perplexity "$FIXTURES/llama" text.txt --delimiter x
2> tola: --delimiter is of 'tola eval choice'
[exit 2]

# questions

$ cat > questions.jsonl <<'EOQ'
> {"question": "a list of", "choices": ["tensors", "names"], "answer": 0}
> 
> {"context": "It was", "choices": ["small", "large", "nothing"], "answer": "B"}
> {"prompt": "nobody knew ", "choices": ["why", "it"], "answer": "it", "subject": "grammar"}
> EOQ
$ tola eval choice "$FIXTURES/llama" questions.jsonl
questions              3
accuracy               0.3333 ± 0.3333
  by characters        0.3333 ± 0.3333
  by bytes             0.3333 ± 0.3333
$ tola eval choice "$FIXTURES/llama" questions.jsonl --limit 1 --kv-type f32 --json | grep -v '"seconds"'
{
  "schema": "tola.eval/1",
  "task": "choice",
  "accuracy": 0.0,
  "accuracy_error": null,
  "accuracy_characters": 1.0,
  "accuracy_characters_error": null,
  "accuracy_bytes": 1.0,
  "accuracy_bytes_error": null,
  "questions": 1,
  "questions_total": 1,
  "tokens": 14,
  "complete": true,
  "items": [
    {
      "line": 1,
      "answer": 0,
      "chosen": 1,
      "chosen_characters": 0,
      "chosen_bytes": 0,
      "log_likelihood": [
        -11.393351390861756,
        -8.936325842685026
      ]
    }
  ]
}
$ (printf '\357\273\277'; cat questions.jsonl) | tola eval choice "$FIXTURES/llama" - --json | grep -v '"seconds"' > with
$ tola eval choice "$FIXTURES/llama" questions.jsonl --json | grep -v '"seconds"' | cmp - with
$ echo '{"question": "a"' | tola eval choice "$FIXTURES/llama" -
2> tola: stdin: line 1: JSON: expected ',' or '}', found the end
[exit 2]
$ printf '\n{"question":"a","choices":["b","c"],"answer":7}\n' > bad.jsonl; tola eval choice "$FIXTURES/llama" bad.jsonl
2> tola: bad.jsonl: line 2: "answer" is beyond the 2 choices
[exit 2]
$ tola eval choice "$FIXTURES/llama" questions.jsonl --context 9
2> tola: questions.jsonl: line 1: question and choice 0 have 17 tokens, the context 9
[exit 2]
$ : > empty.jsonl; tola eval choice "$FIXTURES/llama" empty.jsonl
2> tola: empty.jsonl: there is no question
[exit 2]
