#!/usr/bin/env python3
"""Makes gguf_pre.json: a small byte-level vocabulary whose tokens go across words, texts, and the ids that llama.cpp
gives them under each tokenizer.ggml.pre.

    make_gguf_pre.py LLAMA_TOKENIZE > gguf_pre.json

LLAMA_TOKENIZE is a program made of llama.cpp's library: called with a GGUF file it reads "LENGTH ADD PARSE\\n" and
LENGTH bytes, again and again, and answers each with the ids of llama_tokenize on a line."""

import json
import subprocess
import sys
import tempfile

import gguf
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tokenize_gguf import BOS, NAMES, write_gguf

TEXTS = [
    "1234567 12 345 67890 2024-11-22 3.14159 1,000,000", "don't I'll WE'LL we've it's HELLO'S", "x=y;\n\n\n  return (a+b)*c;",
    "\r\n\t\tif (x) {\n\t}\r\n\r\n", "price: $100.50!!! ... ??? --- *** ##", "foo_bar camelCase HTTPServer a/b\\c //\n/*",
    "<sentinel:12> IMGIMGABZ", "\u4e2d\u6587\u6d4b\u8bd5 and \u65e5\u672c\u8a9e\u30c6\u30b9\u30c8\u3002\u201cquoted\u201d\u2026",
    "\ud55c\uad6d\uc5b4 \u3131\u3132 \u0e44\u0e17\u0e22 \u0930\u093e\u0920\u0940 \u0391\u03b8\u03ae\u03bd\u03b1 \u00dcn\u00efc\u00f6de",
    "a    b        c   \n   d \t ", "  lead", "tail  ", "12\u00bd \u00b2 \u0663\u0664\u0665\u0666 \uff11\uff12\uff13", "Ga\u00dfe \u2014 caf\u00e9, na\u00efve; \u20ac5",
    "don\u2019t \u2018x\u2019 `y` ^z| ~w <= >= != +-", "\U0001f600\U0001f680 ok \u00a0x\u3000y", "one two three. Four, five (six) seven!"]


def main():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    t.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(vocab_size=900, show_progress=False, initial_alphabet=alphabet,
                                                         special_tokens=[BOS], min_frequency=2))
    model = json.loads(t.to_str())["model"]
    vocab = sorted(model["vocab"], key=model["vocab"].get)
    merges = [" ".join(m) for m in model["merges"]]
    asked = b"".join(b"%d 1 1\n" % len(s.encode()) + s.encode() for s in TEXTS)
    ids = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            write_gguf(f"{folder}/pre.gguf", name, vocab, merges)
            done = subprocess.run([sys.argv[1], f"{folder}/pre.gguf"], input=asked, capture_output=True, check=True)
            rows = [list(map(int, line.split())) for line in done.stdout.decode().splitlines()]
            ids.setdefault(json.dumps(rows), []).append(name)
    json.dump({"made_with": f"llama.cpp, gguf {gguf.__version__ if hasattr(gguf, '__version__') else ''}".strip(" ,"),
               "vocab": vocab, "merges": merges, "texts": TEXTS,
               "ids": [{"pre": names, "ids": json.loads(rows)} for rows, names in ids.items()]}, sys.stdout, separators=(",", ":"))
    print()


main()
