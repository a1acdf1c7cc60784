#!/usr/bin/env python3
"""Tokenizers against Hugging Face's tokenizers, sentencepiece, tiktoken and llama.cpp's published vectors: the same ids
for the same text, and the same text back.

Texts: what ../shared/data has (prose in English and Japanese, wikitext, code, chat templates, JSON) and adversarial
Unicode made here with a fixed seed: every plane, combining runs, spaces of all kinds, broken surrogates' neighbours,
special tokens spelled out. --megabytes N makes more of the latter."""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import common

parser = argparse.ArgumentParser()
parser.add_argument("--megabytes", type=float, default=0.3, help="of made text for each tokenizer")
OPTIONS = parser.parse_args()
TALLY = common.Tally("tokenize")
TOLA = common.BUILD / "tola"
DATA = common.DATA
SCRATCH = tempfile.TemporaryDirectory(prefix="tola-tokenize-")


def ids_of(model, text, *flags):
    done = subprocess.run([TOLA, "tokenize", model, *flags], input=text.encode("utf-8"), capture_output=True, timeout=600)
    if done.returncode:
        return done.stderr.decode(errors="replace")
    return [int(x) for x in done.stdout.split()]


def text_of(model, ids, *flags):
    done = subprocess.run([TOLA, "tokenize", model, "--decode", *flags], input=" ".join(map(str, ids)).encode(),
                          capture_output=True, timeout=600)
    return done.stdout.decode("utf-8") if done.returncode == 0 else done.stderr.decode(errors="replace")


# ---- texts ----

# Characters that every library's tables know: BERT's steps in tokenizers are of Unicode 8, its patterns of 16, pcre2's
# of 14.
def assigned(low, high):
    old = unicodedata.ucd_3_2_0.category
    return [chr(c) for c in range(low, high) if c >= 0x1f300 or old(chr(c)) not in ("Cn", "Cs", "Co")]


POOLS = [assigned(0x20, 0x7f), assigned(0, 0x250), assigned(0x250, 0x870), assigned(0x900, 0xe00),
         assigned(0x1100, 0x1200), assigned(0x2000, 0x2c00), assigned(0x3000, 0x3400), assigned(0x4e00, 0x5200),
         assigned(0xa000, 0xa500), assigned(0xac00, 0xae00), assigned(0xf900, 0x10000), assigned(0x10000, 0x10300),
         assigned(0x1d400, 0x1d800), assigned(0x1f300, 0x1f500), assigned(0x20000, 0x20400)]
POOLS = [pool for pool in POOLS if pool]
SPACES = [" ", "  ", "\n", "\r\n", "\t", "\xa0", "\u2003", "\u3000", "\u200b", "\u2028", "\x85", "\u180e", "\x1c", "   \n "]
MARKS = assigned(0x300, 0x370) + assigned(0x591, 0x5c8) + assigned(0x64b, 0x660)
WORDS = ["the", "don't", "DON'T", "we'll", "I'm", "it\u2019s", "'S", "'\u017f", "x1y2z3", "1234567", "3.14", "e-mail",
         "foo_bar", "C++", "::", "===", "<|endoftext|>", "<s>", "</s>", "[CLS]", "[MASK]", "<unk>", "<0x0A>", "\u2581",
         "\u2581\u2581", "\U0001f469\u200d\U0001f4bb", "\ufb01", "\u1e9e", "\u0130", "\u03a3\u03a3", "\ufffd", "\ufeff"]


def made_text(size, seed):
    source = random.Random(seed)
    out, length = [], 0
    while length < size:
        kind = source.random()
        if kind < 0.25:
            piece = source.choice(WORDS)
        elif kind < 0.45:
            piece = source.choice(SPACES)
        elif kind < 0.5:
            piece = "e" + "".join(source.choices(MARKS, k=source.randint(1, 4)))
        else:
            piece = "".join(source.choices(source.choice(POOLS), k=source.randint(1, 8)))
        if source.random() < 0.4:
            piece += " "
        out.append(piece)
        length += len(piece.encode())
    return "".join(out)


def read(path, limit=None):
    text = pathlib.Path(path).read_bytes().decode("utf-8", "replace")
    return text[:limit]


def texts():
    """(name, text) of what there is."""
    yield "made", made_text(int(OPTIONS.megabytes * 1e6), 1)
    yield "edges", "".join(f"{a}{b}" for a in WORDS + SPACES for b in SPACES[:4] + ["x", "\u0301"])
    if not DATA.is_dir():
        return
    for name in ("text/tinyshakespeare_input.txt", "text/canterbury/alice29.txt", "text/sentencepiece/botchan.txt",
                 "text/wikitext-2-raw/wiki.valid.raw", "text/c4_demo.jsonl"):
        if (DATA / name).exists():
            yield name, read(DATA / name, 400_000)
    chats = sorted((DATA / "chat").rglob("*.jinja"))
    yield "templates", "\n".join(read(p) for p in chats)[:400_000]
    own = sorted((common.ROOT / "src").rglob("*.c"))
    yield "C", "\n".join(read(p) for p in own)[:400_000]


TEXTS = list(texts())


def first_difference(got, expected):
    if isinstance(got, str):
        return got.strip()[:200]
    for i, (a, b) in enumerate(zip(got, expected)):
        if a != b:
            return f"id {i} of {len(expected)}: {got[max(0, i - 3):i + 5]}, expected {expected[max(0, i - 3):i + 5]}"
    return f"{len(got)} ids, expected {len(expected)}"


def compare(what, model, encode, decode=None, flags=(), only=None):
    for name, text in TEXTS:
        if only and name not in only:
            continue
        expected = encode(text)
        got = ids_of(model, text, *flags)
        TALLY.check(f"{what} on {name}", got == expected, first_difference(got, expected))
        if decode:
            ids = expected[:20000]
            back, wanted = text_of(model, ids, "--special"), decode(ids)
            at = next((i for i, (a, b) in enumerate(zip(back, wanted)) if a != b), min(len(back), len(wanted)))
            TALLY.check(f"{what} back from {name}", back == wanted,
                        f"at {at}: {back[at - 10:at + 20]!r}, expected {wanted[at - 10:at + 20]!r}")


# ---- Hugging Face's tokenizers ----

def hf_files():
    for path in ("gpt2", "bert", "swift-transformers_expected"):
        yield path, DATA / "tokenizers" / path / "tokenizer.json"
    yield "mini llama", DATA / "tokenizers" / "ollama_mini_llama.json"


def hugging_face():
    try:
        import tokenizers
    except ImportError:
        TALLY.skip("tokenizers is not installed")
        return
    for name, path in hf_files():
        if not path.exists():
            TALLY.skip(f"no {path.name} of {name}")
            continue
        try:
            reference = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # not all files of other libraries are taken
            TALLY.skip(f"tokenizers refuses {name}: {str(error)[:80]}")
            continue
        compare(name, path, lambda t: reference.encode(t, add_special_tokens=False).ids,
                lambda ids: reference.decode(ids, skip_special_tokens=False))
        got = ids_of(path, "a text", "--special")
        TALLY.equal(f"{name} --special", got, reference.encode("a text").ids)
    made(tokenizers)


def made(tokenizers):
    """Small tokenizers trained here, one for each kind of step."""
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
    corpus = [t for n, t in TEXTS if n in ("text/canterbury/alice29.txt", "C", "edges")] or [TEXTS[0][1]]
    lines = [line for text in corpus for line in text[:150_000].splitlines(keepends=True)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    llama3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
              r"\s+(?!\S)|\s+")
    gpt4o = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
             r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
             r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    deepseek = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+"]
    split = lambda p, b="isolated", i=False: pre_tokenizers.Split(tokenizers.Regex(p), b, i)
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    special = ["<unk>", "<s>", "</s>", "<|im_start|>"]
    bpe = lambda **kw: (models.BPE(unk_token="<unk>", **kw), trainers.BpeTrainer(
        vocab_size=1500, special_tokens=special, initial_alphabet=alphabet if not kw else [], show_progress=False))
    unigram = lambda **kw: (models.Unigram(**kw), trainers.UnigramTrainer(
        vocab_size=1200, special_tokens=special, unk_token="<unk>", show_progress=False))
    kinds = {
        "llama 3's words": (bpe(), None, pre_tokenizers.Sequence([split(llama3), bytes_only]), decoders.ByteLevel()),
        "gpt-4o's words, NFC": (bpe(), normalizers.NFC(), pre_tokenizers.Sequence([split(gpt4o), bytes_only]),
                                decoders.ByteLevel()),
        "deepseek's words": (bpe(), None, pre_tokenizers.Sequence(
            [split(p) for p in deepseek] + [pre_tokenizers.Digits(individual_digits=True), bytes_only]), decoders.ByteLevel()),
        "falcon's words": (bpe(), None, pre_tokenizers.Sequence(
            [pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
             pre_tokenizers.Digits(False), split("[0-9][0-9][0-9]")]), decoders.ByteLevel()),
        "prefix space": (bpe(), None, pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()),
        "llama 2, bytes": (bpe(byte_fallback=True, fuse_unk=True),
                           normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
                           decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                              decoders.Strip(" ", 1, 0)])),
        "metaspace, first": (unigram(), normalizers.NFKC(), pre_tokenizers.Metaspace(prepend_scheme="first"),
                             decoders.Metaspace(prepend_scheme="first")),
        "metaspace, no split": (unigram(), normalizers.Sequence([normalizers.Nmt(), normalizers.NFKD(),
                                normalizers.StripAccents(), normalizers.Lowercase()]),
                                pre_tokenizers.Metaspace(prepend_scheme="always", split=False),
                                decoders.Metaspace(prepend_scheme="always")),
        "replace, strip": (unigram(), normalizers.Sequence([normalizers.Replace(tokenizers.Regex(r" {2,}"), " "),
                                                            normalizers.Strip()]),
                           pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                                    pre_tokenizers.Metaspace(prepend_scheme="always")]),
                           decoders.Metaspace()),
        "suffix": ((models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), trainers.BpeTrainer(
            vocab_size=1500, special_tokens=special, end_of_word_suffix="</w>", show_progress=False)),
            normalizers.NFC(), pre_tokenizers.Whitespace(), decoders.BPEDecoder("</w>")),
        "merged with next": (bpe(), None, pre_tokenizers.Sequence([split(r"[A-Z]", "merged_with_next"), bytes_only]),
                             decoders.ByteLevel()),
        "merged with previous": (bpe(), None, pre_tokenizers.Sequence([split(r"[.,;]\s?", "merged_with_previous"),
                                                                       bytes_only]), decoders.ByteLevel()),
        "inverted": (bpe(), None, pre_tokenizers.Sequence([split(r"\w+", "removed", True), bytes_only]),
                     decoders.ByteLevel()),
    }
    for name, ((model, trainer), normalizer, pre, decoder) in kinds.items():
        t = tokenizers.Tokenizer(model)
        if normalizer:
            t.normalizer = normalizer
        if pre:
            t.pre_tokenizer = pre
        t.decoder = decoder
        t.train_from_iterator(lines, trainer)
        if "bytes" in name:  # byte tokens as Llama's have them
            data = json.loads(t.to_str())
            vocab = data["model"]["vocab"]
            for b in range(256):
                vocab.setdefault(f"<0x{b:02X}>", len(vocab))
            t = tokenizers.Tokenizer.from_str(json.dumps(data))
        t.add_tokens([tokenizers.AddedToken("lamb", single_word=True), tokenizers.AddedToken("HATTER", normalized=True),
                      tokenizers.AddedToken("<x>", lstrip=True, rstrip=True)])
        t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[
            ("<s>", t.token_to_id("<s>")), ("</s>", t.token_to_id("</s>"))])
        path = pathlib.Path(SCRATCH.name) / "tokenizer.json"
        t.save(str(path))
        compare(name, path, lambda text: t.encode(text, add_special_tokens=False).ids,
                lambda ids: t.decode(ids, skip_special_tokens=False),
                only=("made", "edges", "text/canterbury/alice29.txt", "C"))
        for text in ("a <x> b lamb lambs HATTER hatter<x>", "", " ", "<s></s>"):
            TALLY.equal(f"{name}: '{text}'", ids_of(path, text, "--special"), t.encode(text).ids)


def two_files():
    """vocab.json and merges.txt: GPT-2's rules where nothing else is there, those of the class that is named."""
    folder = DATA / "tokenizers" / "qwen2"
    try:
        import tokenizers
    except ImportError:
        return
    if not folder.is_dir():
        return
    bare = pathlib.Path(SCRATCH.name) / "two"
    bare.mkdir()
    for name in ("vocab.json", "merges.txt"):
        (bare / name).write_bytes((folder / name).read_bytes())
    t = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = tokenizers.decoders.ByteLevel()
    compare("vocab.json + merges.txt", bare, lambda text: t.encode(text).ids, t.decode)
    try:
        from transformers import AutoTokenizer
        reference = AutoTokenizer.from_pretrained(str(folder))
    except Exception as error:
        TALLY.skip(f"transformers does not take {folder.name}: {str(error)[:80]}")
        return
    compare("a folder of Qwen2", folder, lambda text: reference(text, add_special_tokens=False).input_ids,
            lambda ids: reference.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


# ---- sentencepiece, tiktoken, llama.cpp ----

def sentencepiece():
    try:
        import sentencepiece as spm
    except ImportError:
        TALLY.skip("sentencepiece is not installed")
        return
    models = [DATA / "tokenizers/sentencepiece/test_model.model", DATA / "tokenizers/sentencepiece/test_ja_model.model",
              DATA / "llm/stories260K/tok512.model"]
    for path in models:
        if not path.exists():
            continue
        p = spm.SentencePieceProcessor(model_file=str(path))
        clean = lambda text: text.replace("\0", "")
        for name, text in TEXTS:
            text = clean(text)[:200_000]
            expected = p.encode(text)
            got = ids_of(path, text, "--plain")
            TALLY.check(f"{path.name} on {name}", got == expected, first_difference(got, expected))
            TALLY.check(f"{path.name} back from {name}",
                        text_of(path, expected[:20000]) == p.decode(expected[:20000]))


def tiktoken():
    try:
        import tiktoken as package
        from tiktoken.load import load_tiktoken_bpe
    except ImportError:
        TALLY.skip("tiktoken is not installed")
        return
    patterns = {
        "r50k_base": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        "cl100k_base": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|"
                       r"\s++$|\s*[\r\n]|\s+(?!\S)|\s"}
    for name, pattern in patterns.items():
        path = DATA / "tokenizers" / "tiktoken" / f"{name}.tiktoken"
        if not path.exists():
            continue
        e = package.Encoding(name, pat_str=pattern, mergeable_ranks=load_tiktoken_bpe(str(path)), special_tokens={})
        compare(name, path, e.encode_ordinary, lambda ids: e.decode(ids))


def llama_cpp_vectors():
    for vectors in sorted((DATA / "gguf_vocab").rglob("*.gguf.inp")):
        model = vectors.with_suffix("")
        if not model.exists():
            continue
        inputs = vectors.read_text().split("\n__ggml_vocab_test__\n")
        outputs = pathlib.Path(str(model) + ".out").read_text().split("\n")
        for i, (text, ids) in enumerate(zip(inputs, outputs)):
            expected = [int(x) for x in ids.split()]
            got = ids_of(model, text, "--plain")
            TALLY.check(f"{model.name} vector {i} {text[:30]!r}", got == expected,
                        f"got {got[:12] if isinstance(got, list) else got}, expected {expected[:12]}")


hugging_face()
two_files()
sentencepiece()
tiktoken()
llama_cpp_vectors()
TALLY.finish()
