# tola embed. Vectors are compared with torch in tests/oracle/eval_oracle.py.

$ tola embed "$FIXTURES/llama" 'a text' | wc -lw
      1       8
$ printf 'a text\nother\n' | tola embed "$FIXTURES/llama" --lines > b; tola embed "$FIXTURES/llama" 'a text' other | cmp - b
$ printf 'a text\r\nother' | tola embed "$FIXTURES/llama" --lines | cmp - b
$ tola embed "$FIXTURES/llama" other | cmp - <(tail -n 1 b)
$ tola embed "$FIXTURES/llama" 'a text' --json | head -9
{
  "schema": "tola.embed/1",
  "pooling": "last",
  "normalized": false,
  "width": 8,
  "tokens": [
    6
  ],
  "embeddings": [
$ for n in 1 2 5; do tola embed "$FIXTURES/llama" 'a text' --pooling mean --threads $n --batch $n | sha256sum; done | uniq | wc -l
1
$ tola embed "$FIXTURES/llama" 'a text' --pooling cls --normalize yes --json | grep -e pooling -e normalized
  "pooling": "cls",
  "normalized": true,

# what cannot be embedded

$ tola embed "$FIXTURES/llama" "$(printf 'a%.0s' $(seq 100))"
2> tola: text 1 has 100 tokens, the context 64
[exit 2]
$ tola embed "$FIXTURES/llama" "$(printf 'a%.0s' $(seq 100))" --truncate | wc -w
8
$ tola embed "$FIXTURES/llama" ''
2> tola: text 1 has no token
[exit 2]
$ printf '' | tola embed "$FIXTURES/llama" --lines
2> tola: stdin has no line
[exit 2]
$ tola embed "$FIXTURES/llama" text --lines
2> tola: --lines reads stdin; texts are given, too
[exit 2]
$ tola embed "$FIXTURES/llama" text --pooling max
2> tola: --pooling: 'max' is not one of model, mean, cls, last
[exit 2]
$ tola embed "$FIXTURES/tiny.safetensors" text
2> tola: *: not a language model of a known architecture (glob)
[exit 2]

# folders of sentence-transformers

$ cp -r "$FIXTURES/llama" st; mkdir st/1_Pooling
$ echo '[{"path":"","type":"st.Transformer"},{"path":"1_Pooling","type":"st.Pooling"},{"path":"2_N","type":"st.Normalize"}]' > st/modules.json
$ echo '{"pooling_mode_cls_token":false,"pooling_mode_mean_tokens":true}' > st/1_Pooling/config.json
$ echo '{"max_seq_length":5}' > st/sentence_bert_config.json
$ tola embed st 'a' --json | grep -e pooling -e normalized
  "pooling": "mean",
  "normalized": true,
$ tola embed st 'six more'
2> tola: text 1 has 8 tokens, the context 5
[exit 2]
$ echo '[{"path":"","type":"st.Transformer"},{"path":"1_Pooling","type":"st.Pooling"},{"path":"2_Dense","type":"st.models.Dense"}]' > st/modules.json
$ tola embed st a
2> tola: the module 'st.models.Dense' is not supported
[exit 2]
$ tola embed st a --pooling mean --normalize yes | wc -w
8

# as sentence-transformers writes them since 5.4, with prompts

$ echo '[{"path":"","type":"st.Transformer"},{"path":"1_Pooling","type":"st.Pooling"}]' > st/modules.json
$ echo '{"pooling_mode":"cls","embedding_dimension":8}' > st/1_Pooling/config.json; rm st/sentence_bert_config.json
$ echo '{"prompts":{"query":"find: ","text":""},"default_prompt_name":"query"}' > st/config_sentence_transformers.json
$ tola embed st a --json | grep -e pooling -e prompt
  "pooling": "cls",
  "prompt": "find: ",
$ tola embed st a | cmp - <(tola embed st 'find: a' --prompt '')
$ tola embed st a --prompt text | cmp - <(tola embed st a --prompt '')
$ tola embed st a --prompt nothing
2> tola: st/config_sentence_transformers.json: the model has no prompt called 'nothing'
[exit 2]
$ tola embed "$FIXTURES/llama" a --prompt query
2> tola: the model has no prompt called 'query'
[exit 2]
$ echo '{"pooling_mode":"max"}' > st/1_Pooling/config.json; tola embed st a
2> tola: pooling 'max' is not supported
[exit 2]
$ echo '{"pooling_mode":"cls","embedding_dimension":9}' > st/1_Pooling/config.json; tola embed st a
2> tola: the pooling is of vectors of 9 numbers, the model's have 8
[exit 2]
$ echo '{"pooling_mode":' > st/1_Pooling/config.json; tola embed st a
2> tola: st/1_Pooling/config.json: offset 17: JSON: expected a value, found the end
[exit 2]
$ rm st/1_Pooling/config.json; tola embed st a
2> tola: st/1_Pooling/config.json: the pooling's configuration is missing, or no object
[exit 2]
