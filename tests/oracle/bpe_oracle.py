#!/usr/bin/env python3
"""Tokenizers that are learned, against Hugging Face's BpeTrainer: the same vocabulary and the same merges in the same
order, and the files open in tokenizers, in transformers and here with the same ids."""

import json
import pathlib
import random
import subprocess
import time

import common

TALLY = common.Tally("bpe")
GPT2 = None
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")

try:
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers
except ImportError:
    print("skipped: tokenizers is not installed")
    print("bpe: 0 passed, 0 failed, 1 skipped")
    raise SystemExit(0)


def theirs(text, vocabulary, words, specials):
    t = tokenizers.Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words == "gpt2")
    t.pre_tokenizer = byte_level if words == "gpt2" else pre_tokenizers.Sequence(
        [pre_tokenizers.Split(tokenizers.Regex(LLAMA3), "isolated"), byte_level])
    t.decoder = decoders.ByteLevel()
    begin = time.perf_counter()
    t.train_from_iterator([text], trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=specials, min_frequency=0,
                                                      show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return json.loads(t.to_str())["model"], time.perf_counter() - begin


def ours(path, vocabulary, words, threads, folder, specials):
    out = common.run("tola_bpe", vocabulary, words, threads, folder, path, *specials).split()
    return json.loads((folder / "tokenizer.json").read_text())["model"], float(out[1]) + float(out[2])


def pairs(model):
    return [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]


def compare(name, path, text, vocabulary, words, specials, folder):
    what = f"{name} {vocabulary} {words}"
    mine, seconds = ours(path, vocabulary, words, 0, folder, specials)
    reference, their_seconds = theirs(text, vocabulary, words, specials)
    got, want = pairs(mine), pairs(reference)
    same = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    TALLY.check(f"{what}: merges", got == want,
                f"first difference at {same} of {len(want)} ({len(got)} here): {got[same:same + 3]}, "
                f"{want[same:same + 3]}")
    TALLY.check(f"{what}: vocabulary", mine["vocab"] == reference["vocab"])
    print(f"{what}: {seconds:.2f} s, tokenizers {their_seconds:.2f} s")
    if not specials:
        return
    single, _ = ours(path, vocabulary, words, 1, folder, specials)
    TALLY.check(f"{what}: one thread", single == mine)
    # the files, opened by everyone
    opened = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    sample = text[:20000] + specials[0] + "\u00e4\u65e5\U0001f600 1234567 don't\r\n\t x"
    ids = opened.encode(sample).ids
    done = subprocess.run([common.BUILD / "tola", "tokenize", folder], input=sample.encode(), capture_output=True,
                          check=True)
    TALLY.check(f"{what}: ids", list(map(int, done.stdout.split())) == ids)
    TALLY.check(f"{what}: special", specials[0] not in opened.decode(ids) and 0 in ids)
    TALLY.check(f"{what}: back", opened.decode(ids, skip_special_tokens=False) == sample)
    try:
        from transformers import AutoTokenizer
        loaded = AutoTokenizer.from_pretrained(str(folder))
        TALLY.equal(f"{what}: transformers", (loaded(sample)["input_ids"] == ids, loaded.eos_token),
                    (True, specials[0]))
    except ImportError:
        TALLY.skip("transformers is not installed")


def small_texts():
    """Ties, repeats, a text that runs out of pairs, all kinds of characters."""
    rng = random.Random(3)
    yield "repeats", "aaaa aaa aa aaaaaaa aaaaa\n" * 3
    yield "ties", "ab ba cd dc ef fe\n"
    yield "letters", " ".join("".join(rng.choice("abcd") for _ in range(rng.randint(1, 12))) for _ in range(3000))
    yield "bits", "".join(rng.choice("ab\n ") for _ in range(20000))
    parts = ["\u00e4\u00f6", "\u65e5\u672c", "12345", "don't ", "\r\n", "  ", "The ", "_x.", "\n\n"]
    yield "mixed", "".join(rng.choice(parts) for _ in range(5000))


with common.folder() as scratch:
    scratch = pathlib.Path(scratch)
    for name, text in small_texts():
        path = scratch / "text"
        path.write_bytes(text.encode())
        for words in ("gpt2", "llama3"):
            compare(name, path, text, 700, words, ["<|end|>", "<pad>"], scratch)
    found = 0
    for name in ("tinyshakespeare_input.txt", "wikitext-2-raw/wiki.valid.raw", "wikitext-2-raw/wiki.test.raw"):
        path = common.DATA / "text" / name
        if not path.exists():
            continue
        found += 1
        text = path.read_bytes().decode()
        for vocabulary, words in ((2000, "gpt2"), (2000, "llama3"), (8000, "gpt2")):
            compare(name, path, text, vocabulary, words, ["<|endoftext|>"], scratch)
    if not found:
        TALLY.skip("shared data is absent")
TALLY.finish()
