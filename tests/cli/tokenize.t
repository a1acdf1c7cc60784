# tola tokenize: both directions, stdin, JSON, refusals.

$ cat > tokenizer.json <<'EOF'
> {"added_tokens":[{"id":10,"content":"<s>","special":true,"normalized":false}],
> "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"},
> "post_processor":{"type":"BertProcessing","cls":["<s>",10],"sep":["<s>",10]},
> "model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"\u0120":3,"\u0120ab":4,"\u00c3":5,"\u00a9":6,"<":7,"s":8,">":9,
> "\u010a":11},"merges":["a b","\u0120 ab"]}}
> EOF
$ tola tokenize tokenizer.json 'ab abé'
2 4 5 6
$ tola tokenize . 'ab' --special
10 2 10
$ tola tokenize . 'a<s>b'; tola tokenize . 'a<s>b' --plain
0 10 1
0 7 8 9 1
$ printf 'ab\n' | tola tokenize .
2 11
$ tola tokenize . '' | od -c
0000000  \n
0000001
$ tola tokenize . --json ab
{
  "schema": "tola.tokenize/1",
  "ids": [
    2
  ],
  "tokens": [
    "ab"
  ]
}
$ tola tokenize . --decode '2 4, 5 6'; echo
ab abé
$ tola tokenize . --decode '10 2 10'; echo; tola tokenize . --decode '10 2 10' --special; echo
ab
<s>ab<s>
$ echo '[2, 5]' | tola tokenize . --decode; echo
ab�
$ tola tokenize . --decode 99
2> tola: id 99 has no text; the vocabulary has 12
[exit 2]
$ tola tokenize . --decode 'x'
2> tola: 'x' is no id
[exit 2]
$ tola tokenize "$FIXTURES/tiny.safetensors" x
2> tola: $FIXTURES/tiny.safetensors: there is no tokenizer: no tokenizer.json, tokenizer.model, vocab.txt, or vocab.json with merges.txt
[exit 2]
$ mkdir empty; tola tokenize empty x
2> tola: empty: there is no tokenizer: no tokenizer.json, tokenizer.model, vocab.txt, or vocab.json with merges.txt
[exit 2]
$ echo '{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}' > twice.json; tola tokenize twice.json a
2> tola: twice.json: id 0 is that of 'a' and of 'b'
[exit 2]
$ tola tokenize nothing.json a
2> tola: cannot open nothing.json: No such file or directory
[exit 2]

# normalizers whose work grows from step to step
$ "$PYTHON" - <<'END'
> import json
> d = json.load(open("tokenizer.json"))
> d["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}] * 5}
> json.dump(d, open("grows.json", "w"))
> END
> tola tokenize grows.json ab
2> tola: the normalizers make more than 1048000 bytes of this text
[exit 2]

# GGUF: lists that are not as long as the vocabulary are no lists of it
$ cat > gguf.py <<'END'
> import struct, sys
> text = lambda s: struct.pack("<Q", len(s.encode())) + s.encode()
> key = lambda k, v: text("tokenizer.ggml." + k) + v
> array = lambda kind, items: struct.pack("<IIQ", 9, kind, len(items)) + b"".join(items)
> tokens, scores, types = (int(n) for n in sys.argv[1:])
> names = ["<unk>", "<s>", "</s>", "\u2581", "a", "b"]
> pairs = [key("model", struct.pack("<I", 8) + text("llama")), key("tokens", array(8, [text(t) for t in names[:tokens]])),
>          key("scores", array(6, [struct.pack("<f", -i) for i in range(scores)])),
>          key("token_type", array(5, [struct.pack("<i", 1)] * types))]
> open("list.gguf", "wb").write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs))
> END
> "$PYTHON" gguf.py 6 6 6; tola tokenize list.gguf ab
3 4 5
$ "$PYTHON" gguf.py 6 5 6; tola tokenize list.gguf ab
2> tola: list.gguf: tokenizer.ggml.scores has 5 entries, the vocabulary 6
[exit 2]
$ "$PYTHON" gguf.py 6 6 0; tola tokenize list.gguf ab
2> tola: list.gguf: tokenizer.ggml.token_type has 0 entries, the vocabulary 6
[exit 2]
