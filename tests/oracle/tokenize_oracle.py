#!/usr/bin/env python3
"""Tokenizers against Hugging Face's tokenizers, transformers, sentencepiece, tiktoken and llama.cpp's published vectors:
the same ids for the same text, and the same text back, at once and as a stream.

Texts are those of tokenize_texts.py: --megabytes of them for each tokenizer. --only takes the tokenizers whose names
contain a text, --skip-large those of shared/data with one chunk alone."""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import tempfile
import time

import common
import tokenize_texts

parser = argparse.ArgumentParser()
parser.add_argument("--megabytes", type=float, default=2, help="of text for each tokenizer")
parser.add_argument("--only", default="", help="tokenizers whose names contain this")
OPTIONS = parser.parse_args()
TALLY = common.Tally("tokenize")
TOLA = common.BUILD / "tola"
DATA = common.DATA
SCRATCH = tempfile.TemporaryDirectory(prefix="tola-tokenize-")
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def ids_of(model, text, *flags):
    done = subprocess.run([TOLA, "tokenize", model, *flags], input=text.encode("utf-8"), capture_output=True, timeout=600)
    if done.returncode:
        return done.stderr.decode(errors="replace")
    return list(map(int, done.stdout.split()))


def text_of(model, ids, *flags):
    done = subprocess.run([TOLA, "tokenize", model, "--decode", *flags], input=" ".join(map(str, ids)).encode(),
                          capture_output=True, timeout=600)
    return done.stdout.decode("utf-8") if done.returncode == 0 else done.stderr.decode(errors="replace")


TEXTS = [("edges", tokenize_texts.edges())] + list(tokenize_texts.corpus(OPTIONS.megabytes, DATA))
# For tokenizers that are made here to try one step: less of it.
SOME = TEXTS[:1] + [(name, text[:150_000]) for name, text in TEXTS[1:9]] if OPTIONS.megabytes < 10 else TEXTS[:9]


def first_difference(got, expected):
    if isinstance(got, str):
        return got.strip()[:200]
    for i, (a, b) in enumerate(zip(got, expected)):
        if a != b:
            return f"id {i} of {len(expected)}: {got[max(0, i - 3):i + 5]}, expected {expected[max(0, i - 3):i + 5]}"
    return f"{len(got)} ids, expected {len(expected)}"


def wanted(what):
    return OPTIONS.only.lower() in what.lower()


def compare(what, model, encode, decode=None, flags=(), texts=None):
    """Ids of all texts and, where there is a decoder, the text of the first ids of each."""
    if not wanted(what):
        return
    begin, bytes_, count = time.monotonic(), 0, 0
    for name, text in texts or TEXTS:
        expected = encode(text)
        got = ids_of(model, text, *flags)
        bytes_ += len(text.encode())
        count += len(expected)
        TALLY.check(f"{what} on {name}", got == expected, first_difference(got, expected))
        if decode:
            ids = expected[:20000]
            back, want = text_of(model, ids, "--special"), decode(ids)
            at = next((i for i, (a, b) in enumerate(zip(back, want)) if a != b), min(len(back), len(want)))
            TALLY.check(f"{what} back from {name}", back == want,
                        f"at {at}: {back[max(0, at - 10):at + 20]!r}, expected {want[max(0, at - 10):at + 20]!r}")
    print(f"{what}: {bytes_ / 1e6:.1f} MB, {count} ids, {time.monotonic() - begin:.0f} s", flush=True)


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
        compare(f"{name} tokenizer.json", path, lambda t: reference.encode(t, add_special_tokens=False).ids,
                lambda ids: reference.decode(ids, skip_special_tokens=False))
        got = ids_of(path, "a text", "--special")
        TALLY.equal(f"{name} --special", got, reference.encode("a text").ids)
    made(tokenizers)
    odd(tokenizers)
    patterns(tokenizers)


def made(tokenizers):
    """Small tokenizers trained here, one for each kind of step."""
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
    corpus = [text for _, text in itertools.islice(tokenize_texts.corpus(4, DATA), 4)]
    lines = [line for text in corpus for line in text[:200_000].splitlines(keepends=True)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    llama3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
              r"\s+(?!\S)|\s+")
    gpt4o = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
             r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
             r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    contractions = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    end = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    qwen2 = contractions + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + end
    qwen35 = contractions + (r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|"
                             r"\s+(?!\S)|\s+")
    cl100k = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"
              r"\s*[\r\n]|\s+(?!\S)|\s")
    tekken = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
              r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
              r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    deepseek = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+"]
    deepseek_llm = [r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ]+",
                    r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+"]
    deepseek_v3 = [r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+",
                   r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
                   r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
    kimi = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
            r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
            r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    split = lambda p, b="isolated", i=False: pre_tokenizers.Split(tokenizers.Regex(p), b, i)
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    letters = [line for line in lines if max(map(ord, line), default=0) < 0x500]  # unigram keeps all characters
    special = ["<unk>", "<s>", "</s>", "<|im_start|>"]
    bpe = lambda **kw: (models.BPE(unk_token="<unk>", **kw), trainers.BpeTrainer(
        vocab_size=1500, special_tokens=special, initial_alphabet=alphabet if not kw else [], show_progress=False))
    unigram = lambda **kw: (models.Unigram(**kw), trainers.UnigramTrainer(
        vocab_size=3000, special_tokens=special, unk_token="<unk>", show_progress=False))
    def charsmap():
        """nmt_nfkc as sentencepiece's test model holds it."""
        from sentencepiece import sentencepiece_model_pb2 as pb2
        m = pb2.ModelProto()
        m.ParseFromString((DATA / "tokenizers/sentencepiece/test_model.model").read_bytes())
        return normalizers.Sequence([normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap),
                                     normalizers.Strip(left=False), normalizers.Replace(tokenizers.Regex(" {2,}"), "▁")])

    kinds = {
        "llama 3's words": (bpe(), None, pre_tokenizers.Sequence([split(llama3), bytes_only]), decoders.ByteLevel()),
        "gpt-4o's words, NFC": (bpe(), normalizers.NFC(), pre_tokenizers.Sequence([split(gpt4o), bytes_only]),
                                decoders.ByteLevel()),
        "qwen2's words, NFC": (bpe(), normalizers.NFC(), pre_tokenizers.Sequence([split(qwen2), bytes_only]),
                               decoders.ByteLevel()),
        "qwen3.5's words": (bpe(), normalizers.NFC(), pre_tokenizers.Sequence([split(qwen35), bytes_only]),
                            decoders.ByteLevel()),
        "gpt-4's words": (bpe(), None, pre_tokenizers.Sequence([split(cl100k), bytes_only]), decoders.ByteLevel()),
        "tekken's words": (bpe(), None, pre_tokenizers.Sequence([split(tekken), bytes_only]), decoders.ByteLevel()),
        "kimi's words": (bpe(), None, pre_tokenizers.Sequence([split(kimi), bytes_only]), decoders.ByteLevel()),
        "deepseek v3's words": (bpe(), None, pre_tokenizers.Sequence([split(p) for p in deepseek_v3] + [bytes_only]),
                                decoders.ByteLevel()),
        "deepseek llm's words": (bpe(), None, pre_tokenizers.Sequence(
            [split(p) for p in deepseek_llm] + [pre_tokenizers.Digits(individual_digits=True), bytes_only]),
            decoders.ByteLevel()),
        "starcoder's words": (bpe(), None, pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]),
            decoders.ByteLevel()),
        "gemma, bytes": (bpe(byte_fallback=True, fuse_unk=True), normalizers.Replace(" ", "▁"),
                         pre_tokenizers.Split(" ", "merged_with_previous"),
                         decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])),
        "mistral, bytes": (bpe(byte_fallback=True, fuse_unk=True), None,
                           pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
                           decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                              decoders.Strip(" ", 1, 0)])),
        "wordpiece, cased": ((models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(
            vocab_size=2000, special_tokens=special, limit_alphabet=600, show_progress=False)),
            normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()),
        "wordpiece, NFKC": ((models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(
            vocab_size=2000, special_tokens=special, limit_alphabet=600, show_progress=False)),
            normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), pre_tokenizers.Whitespace(),
            decoders.WordPiece(cleanup=False)),
        "words": ((models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(
            vocab_size=2000, special_tokens=special, show_progress=False)),
            normalizers.NFKD(), pre_tokenizers.Punctuation(), None),
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
            vocab_size=1500, special_tokens=special, end_of_word_suffix="</w>", limit_alphabet=400, show_progress=False)),
            normalizers.NFC(), pre_tokenizers.Whitespace(), decoders.BPEDecoder("</w>")),
        "merged with next": (bpe(), None, pre_tokenizers.Sequence([split(r"[A-Z]", "merged_with_next"), bytes_only]),
                             decoders.ByteLevel()),
        "merged with previous": (bpe(), None, pre_tokenizers.Sequence([split(r"[.,;]\s?", "merged_with_previous"),
                                                                       bytes_only]), decoders.ByteLevel()),
        "inverted": (bpe(), None, pre_tokenizers.Sequence([split(r"\w+", "removed", True), bytes_only]),
                     decoders.ByteLevel()),
    }
    if (DATA / "tokenizers/sentencepiece/test_model.model").exists():
        kinds["t5, charsmap"] = (unigram(), charsmap(), pre_tokenizers.Metaspace(prepend_scheme="always"),
                                 decoders.Metaspace(prepend_scheme="always"))
    for name, ((model, trainer), normalizer, pre, decoder) in kinds.items():
        if not wanted(name):
            continue
        t = tokenizers.Tokenizer(model)
        if normalizer:
            t.normalizer = normalizer
        if pre:
            t.pre_tokenizer = pre
        if decoder:
            t.decoder = decoder
        t.train_from_iterator(letters if isinstance(model, models.Unigram) else lines, trainer)
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
                lambda ids: t.decode(ids, skip_special_tokens=False), texts=SOME)
        for text in ("a <x> b lamb lambs HATTER hatter<x>", "", " ", "<s></s>"):
            TALLY.equal(f"{name}: '{text}'", ids_of(path, text, "--special"), t.encode(text).ids)


def odd(tokenizers):
    """Steps in combinations that no published tokenizer has, each of which was wrong once."""
    from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
    if not wanted("odd"):
        return
    letters = [chr(c) for c in range(0x21, 0x7f)] + ["\u00e9", "\u2581", "ab", "bc"]
    ids = lambda words: {w: i for i, w in enumerate(dict.fromkeys(words))}
    bpe = lambda words=(), **kw: models.BPE(vocab=ids(["<unk>", *letters, *words]), merges=[("a", "b")], **kw)
    some_bytes = [f"<0x{b:02X}>" for b in range(256) if b not in (0x9f, 0xe3)]
    affixed = models.BPE(vocab=ids(["<unk>", "a", "b", "##a", "##b", "##a$", "##b$", "a$"] + some_bytes), merges=[],
                         byte_fallback=True, continuing_subword_prefix="##", end_of_word_suffix="$", unk_token="<unk>")
    unigram = models.Unigram([("<unk>", 0.0), ("a", -1.0), ("\u00c3", -2.0), ("\u0120", -2.0)], 0)
    spelled = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bert = processors.BertProcessing(("a", 1), ("b", 2))
    around = processors.TemplateProcessing(single="a $A b c", pair="$A $B", special_tokens=[("a", 3), ("b", 4), ("c", 5)])
    cases = {  # name: model, normalizer, pre-tokenizer, decoder, post-processor, added tokens
        "blanks taken by the token before": (bpe(), None, None, None, None, [
            AddedToken("<x>", rstrip=True, normalized=False), AddedToken("  ", normalized=False)]),
        "one blank, both sides": (bpe(), None, None, None, None, [
            AddedToken(" ", lstrip=True, rstrip=True, normalized=False)]),
        "bytes of affixes": (affixed, None, pre_tokenizers.Whitespace(), None, None, []),
        "unknown before bytes": (bpe(some_bytes, byte_fallback=True, unk_token="<unk>", fuse_unk=True), None, None, None,
                                 None, []),
        "unigram of cut characters": (unigram, None, pre_tokenizers.Sequence([
            spelled, pre_tokenizers.Split(Regex("."), "isolated")]), None, None, []),
        "spelled, then marked": (bpe(["\u0120", "\u00c3"], unk_token="<unk>"), None, pre_tokenizers.Sequence([
            spelled, pre_tokenizers.Metaspace(prepend_scheme="always")]), None, None, []),
        "marked after spelling": (bpe(["\u0120"]), normalizers.Sequence([normalizers.ByteLevel(), normalizers.Prepend("\u2581")]),
                                  None, None, None, []),
        "processors around processors": (bpe(), None, None, None, processors.Sequence([bert, around]), []),
        "pieces of a length": (bpe(unk_token="<unk>"), None, pre_tokenizers.Sequence([
            pre_tokenizers.FixedLength(3), pre_tokenizers.Metaspace(prepend_scheme="always")]), None, None, []),
        "empty matches, joined": (models.WordLevel(ids(["[UNK]", "ab"]), "[UNK]"), None,
                                  pre_tokenizers.Split(Regex("^"), "contiguous"), None, None, []),
        "empty matches, replaced": (bpe(), normalizers.Replace(Regex("x*"), "-"), None,
                                    decoders.Sequence([decoders.Replace(Regex("a*"), "+"), decoders.Fuse()]), None, []),
        "lines begin": (bpe(), normalizers.Replace(Regex("^"), ">"), None, None, None, []),
        "broken bytes are tokens": (bpe(some_bytes, byte_fallback=True), None, None, decoders.Sequence([
            decoders.ByteFallback(), decoders.WordPiece("##", False)]), None, []),
    }
    for clean in (False, True):
        cases[f"CTC {clean}"] = (bpe(["<pad>"]), None, None, decoders.CTC("<pad>", "|", clean), None, [])
    path = pathlib.Path(SCRATCH.name) / "tokenizer.json"
    texts = ["ab <x>   <x>  ab  ", "  a b<x> ", "aab\u00e9b \u00e3\u3042b\U0001f600a", "axxb\nab\n\nab\n", "'x'|ab|", "", " "]
    for name, (model, normalizer, pre, decoder, post, added) in cases.items():
        t = tokenizers.Tokenizer(model)
        for step, value in (("normalizer", normalizer), ("pre_tokenizer", pre), ("decoder", decoder), ("post_processor", post)):
            if value:
                setattr(t, step, value)
        t.add_tokens(added)
        t.save(str(path))
        size = t.get_vocab_size()
        for text in texts:
            TALLY.equal(f"odd: {name}: {text!r}", ids_of(path, text, "--special"), t.encode(text).ids)
        for seed in range(12 if decoder else 0):
            some = [(seed * 7919 + i * i * 31 // 3) % size for i in range(1 + seed)]
            TALLY.equal(f"odd: {name}: {some}", text_of(path, some, "--special"), t.decode(some, skip_special_tokens=False))


PATTERNS = [
    r"\w+", r"\W+", r"\s", r"[^\s\w]+", r"\d+", r"\D", r"\h+", r"\p{L}\p{M}*", r"\p{Lu}", r"\p{Ll}+", r"\p{Lt}|\p{Lm}",
    r"\p{N}{2}", r"\p{Nd}\p{No}?", r"\p{P}+", r"\p{S}", r"\p{Z}+", r"\p{C}", r"\p{Cf}", r"\p{Mn}+", r"\p{Mc}", r"\p{Han}+",
    r"\p{Hiragana}+|\p{Katakana}+", r"\p{Hangul}+", r"\p{Cyrillic}+", r"\p{Arabic}+", r"\p{Thai}", r"\p{Common}{3}",
    r"\p{Alphabetic}+", r"[[:alpha:]]+[[:punct:]]", r"[[:alnum:]]{2}", r"[[:upper:]][[:lower:]]*", r"[[:space:]]+",
    r"(?i:[a-z\u00e9\u03c3k]+)", r"(?i)the|don't|'ve|stra\u00dfe", r"\b", r"\bt\w*", r"\B\w", r"^\s*\S+", r"\S+$", r"a.{3}", r"(?m:a.{3})",
    r"(?<=e)\S|(?<!\w)\d", r"(?=\w)\W?\w", r"(?>\s+)x|\s+", r"\s*+\S", r"\w+?\b", r"[a-z&&[^aeiou]]+", r"[^\W\d_]+",
    r"\d{1,3}(?=(?:\d{3})*\b)", r"(?:\r\n|\n|\r)+", r"x*", r"(?:a|ab)(?:c|bcd)*", r"[\x{4e00}-\x{9fa5}]+|[\u3040-\u30ff]"]


def patterns(tokenizers):
    """Patterns as Oniguruma understands them: a space is put before each piece, so ids tell where pieces begin."""
    from tokenizers import models, pre_tokenizers
    text = tokenize_texts.edges() + tokenize_texts.made_text(60_000, 99) + TEXTS[1][1][:20_000]
    text = text.replace(" ", "_ ")  # no piece begins with a space by itself, but for those that are spaces
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    path = pathlib.Path(SCRATCH.name) / "tokenizer.json"
    for pattern in PATTERNS if wanted("patterns") else []:
        for behavior in ("isolated", "removed"):
            t = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[]))
            t.pre_tokenizer = pre_tokenizers.Sequence([
                pre_tokenizers.Split(tokenizers.Regex(pattern), behavior),
                pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)])
            t.save(str(path))
            expected, got = t.encode(text).ids, ids_of(path, text)
            TALLY.check(f"pattern {pattern} {behavior}", got == expected, first_difference(got, expected))


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
        # One text a call is at most 200 kB: sums of scores would lose their digits. NUL ends a text there.
        short = [(name, piece) for name, text in TEXTS
                 for piece in (text.replace("\0", "")[i:i + 200_000] for i in range(0, len(text), 200_000))]
        compare(path.name, path, p.encode, None, ("--plain",), short)
        for name, text in short[:12] if wanted(path.name) else []:
            ids = p.encode(text)[:20000]
            TALLY.check(f"{path.name} back from {name}", text_of(path, ids) == p.decode(ids))


def sentencepiece_trained():
    """Models trained here: symbols of users, marks behind words, marks in a text, ids in another order."""
    try:
        import io
        import sentencepiece as spm
    except ImportError:
        return
    lines = [line for line in TEXTS[1][1][:100_000].splitlines() if line.strip()]
    texts = ["a<user>b <user>", "<user>", " the ab  cab ", "x\u2581", "\u2581\u2581", "end \u2581 ", "Ab aB \uff21b", ""] + lines[:60]
    path = pathlib.Path(SCRATCH.name) / "trained.model"
    for kind, suffix, prefix, collapse in itertools.product(("bpe", "unigram"), *[(False, True)] * 3):
        name = f"trained {kind}, suffix {suffix}, prefix {prefix}, collapse {collapse}"
        if not wanted(name):
            continue
        out = io.BytesIO()
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=out, model_type=kind, vocab_size=600, hard_vocab_limit=False,
            treat_whitespace_as_suffix=suffix, add_dummy_prefix=prefix, remove_extra_whitespaces=collapse,
            user_defined_symbols=["<user>", "ab"], control_symbols=["<sep>"], unk_id=3, bos_id=0, eos_id=1, pad_id=2,
            byte_fallback=suffix, normalization_rule_name="nfkc_cf" if prefix else "identity", minloglevel=3)
        path.write_bytes(out.getvalue())
        p = spm.SentencePieceProcessor(model_proto=out.getvalue())
        for text in texts:
            ids = p.encode(text)
            TALLY.equal(f"{name}: {text[:40]!r}", ids_of(path, text, "--plain"), ids)
            TALLY.equal(f"{name}: back from {text[:40]!r}", text_of(path, ids), p.decode(ids))


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
        compare(f"tiktoken {name}", path, e.encode_ordinary, e.decode)


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


# Texts of gguf_pre.json that llama.cpp cuts otherwise than the published tokenizer.json does: it has no \p{M} in cased
# words, keeps DeepSeek's digits together, replaces white space before it compares, and takes U+2FFF for a letter's bytes.
PRE_APART = {"deepseek-llm": {0, 4, 6, 12, 15}, "deepseek-coder": {15}, "falcon": {0, 7, 8, 12}, "superbpe": {12},
             "tekken": {8}, "gpt-4o": {8}, "llama4": {8}, "kanana2": {8}, "talkie": {8}, "minimax-m2": {8}, "kimi-k2": {8}}


def gguf_pre():
    """Every name of tokenizer.ggml.pre, against llama.cpp's ids (make_gguf_pre.py)."""
    try:
        import tokenize_gguf
    except ImportError:
        TALLY.skip("gguf is not installed")
        return
    vectors = json.loads((common.ROOT / "tests/oracle/gguf_pre.json").read_text())
    path = f"{SCRATCH.name}/pre.gguf"
    for row in vectors["ids"] if wanted("gguf pre") else []:
        for pre in row["pre"]:
            tokenize_gguf.write_gguf(path, pre, vectors["vocab"], vectors["merges"])
            for i, (text, expected) in enumerate(zip(vectors["texts"], row["ids"])):
                if i not in PRE_APART.get(pre, ()):
                    TALLY.equal(f"gguf pre {pre} on text {i}", ids_of(path, text, "--special"), expected)


def gguf_gemma4():
    """Merges over characters, the same tokenizer in tokenizers and in a file."""
    try:
        import tokenizers
        import tokenize_gguf
        from tokenizers import decoders, models, normalizers, trainers
    except ImportError:
        TALLY.skip("tokenizers or gguf is not installed")
        return
    if not wanted("gguf gemma4"):
        return
    t = tokenizers.Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizers.Replace(" ", "\u2581")
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
    lines = [line for line in TEXTS[1][1][:100_000].splitlines(keepends=True)]
    t.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=2500, special_tokens=specials, show_progress=False))
    data = json.loads(t.to_str())
    data["added_tokens"] = data["added_tokens"][:4]
    t = tokenizers.Tokenizer.from_str(json.dumps(data))
    vocab = sorted(data["model"]["vocab"], key=data["model"]["vocab"].get)
    types = [3, 3, 3, 2] + [6] * 256 + [1] * (len(vocab) - 260)
    path = f"{SCRATCH.name}/gemma4.gguf"
    tokenize_gguf.write_gguf(path, None, vocab, [" ".join(m) for m in data["model"]["merges"]], "gemma4", types,
                             unknown_token_id=3)
    compare("gguf gemma4", path, lambda text: t.encode(text, add_special_tokens=False).ids,
            lambda ids: t.decode(ids, skip_special_tokens=False), texts=SOME)
    TALLY.equal("gguf gemma4 --special", ids_of(path, "a", "--special")[:1], [0])


def swift_vectors():
    """What swift-transformers publishes; the vocabularies of its other two files are not there."""
    folder = DATA / "tokenizers"
    for vectors, model, flags in (("bert_uncased_encoded", "torchtext/bert_base_uncased_vocab.txt", ["--special"]),
                                  ("gpt2_encoded_tokens", "gpt2", [])):
        path = folder / "swift-transformers_expected" / f"{vectors}.json"
        if path.exists() and (folder / model).exists():
            vector = json.loads(path.read_text())
            TALLY.equal(vectors, ids_of(folder / model, vector["text"], *flags), vector["token_ids"])


hugging_face()
two_files()
sentencepiece()
sentencepiece_trained()
tiktoken()
llama_cpp_vectors()
gguf_pre()
gguf_gemma4()
swift_vectors()
TALLY.finish()
