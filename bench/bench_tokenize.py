#!/usr/bin/env python3
"""Tokenizing on one thread beside Hugging Face's tokenizers and sentencepiece, interleaved: bench_tokenize.py [--pairs 9]

Each pair runs both over the same text, in turn, in one process (the library through ctypes, so that neither pays for
starting). Prints MB/s of each, the median of the ratios of the pairs with its spread (above 1: Tola is faster), and
seconds to open. tokenizers runs encode_batch_fast, which leaves out offsets. Ids are compared first."""

import argparse
import ctypes
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))
import tokenize_texts  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--pairs", type=int, default=9)
parser.add_argument("--bytes", type=int, default=1_000_000, help="of each text")
parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(os.environ.get("TOLA_DATA", ROOT.parent / "shared/data")))
parser.add_argument("--library", default=ROOT / "build/release/libtola.so")
OPTIONS = parser.parse_args()
DATA = OPTIONS.data
LIBRARY = ctypes.CDLL(str(OPTIONS.library))


class Tola:
    def __init__(self, path):
        self.handle = ctypes.c_void_p()
        if LIBRARY.tola_tokenizer_open(str(path).encode(), ctypes.byref(self.handle), None):
            sys.exit(f"libtola does not open {path}")

    def close(self):
        LIBRARY.tola_tokenizer_free(self.handle)

    def encode(self, data, flags=0):
        ids, count = ctypes.POINTER(ctypes.c_uint32)(), ctypes.c_size_t()
        begin = time.perf_counter()
        status = LIBRARY.tola_tokenize(self.handle, data, ctypes.c_size_t(len(data)), flags, ctypes.byref(ids),
                                       ctypes.byref(count), None)
        seconds = time.perf_counter() - begin
        if status:
            sys.exit("libtola does not tokenize")
        self.ids = (ctypes.c_uint32 * count.value).from_address(ctypes.addressof(ids.contents)) if count.value else []
        self.ids = list(self.ids)
        LIBRARY.tola_free(ids)
        return seconds


def first(pieces):
    """About --bytes of what comes."""
    out = b""
    for piece in pieces:
        out += piece.encode("utf-8", "replace")
        if len(out) >= OPTIONS.bytes:
            break
    return out[:OPTIONS.bytes].decode("utf-8", "ignore")


def as_json(model, path):
    """A SentencePiece BPE model as the tokenizer.json that transformers makes of it (Llama 2's)."""
    from sentencepiece import sentencepiece_model_pb2 as pb2
    m = pb2.ModelProto()
    m.ParseFromString(model.read_bytes())
    vocab = {p.piece: i for i, p in enumerate(m.pieces)}
    scores = {p.piece: p.score for p in m.pieces}
    merges = [(-scores[p], vocab[p[:i]], p[:i], p[i:]) for p in vocab for i in range(1, len(p))
              if p[:i] in vocab and p[i:] in vocab and m.pieces[vocab[p]].type == 1]
    merges.sort()
    tree = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "post_processor": None,
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "\u2581"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
            "pre_tokenizer": None, "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "vocab": vocab,
                      "merges": [f"{a} {b}" for _, _, a, b in merges]}}
    path.write_text(json.dumps(tree))
    return path


def peers(scratch):
    import tokenizers
    for name, path in (("byte-level BPE, GPT-2", DATA / "tokenizers/gpt2/tokenizer.json"),
                       ("WordPiece, BERT", DATA / "tokenizers/bert/tokenizer.json")):
        if path.exists():
            yield name, path, (lambda p=path: tokenizers.Tokenizer.from_file(str(p))), None
    folder = DATA / "tokenizers/qwen2"
    if folder.is_dir():
        from transformers import AutoTokenizer
        t = AutoTokenizer.from_pretrained(str(folder))._tokenizer
        t.save(str(scratch / "qwen2.json"))
        yield ("byte-level BPE, Qwen2 (NFC)", scratch / "qwen2.json",
               (lambda: tokenizers.Tokenizer.from_file(str(scratch / "qwen2.json"))), None)
    model = DATA / "llm/stories260K/tok512.model"
    if model.exists():
        path = as_json(model, scratch / "llama.json")
        yield "SentencePiece BPE, as tokenizer.json", path, (lambda: tokenizers.Tokenizer.from_file(str(path))), None
        import sentencepiece
        yield ("SentencePiece BPE, beside sentencepiece", model, None,
               lambda: sentencepiece.SentencePieceProcessor(model_file=str(model)))
        unigram = DATA / "tokenizers/sentencepiece/test_model.model"
        yield ("SentencePiece unigram, beside sentencepiece", unigram, None,
               lambda: sentencepiece.SentencePieceProcessor(model_file=str(unigram)))


def timed(call):
    begin = time.perf_counter()
    out = call()
    return time.perf_counter() - begin, out


def main():
    texts = {"English": first(tokenize_texts.prose(DATA)), "code": first(tokenize_texts.code()),
             "languages": first(tokenize_texts.translations()), "made": tokenize_texts.made_text(OPTIONS.bytes, 1)}
    scratch = tempfile.TemporaryDirectory(prefix="tola-bench-")
    for name, path, open_hf, open_spm in peers(pathlib.Path(scratch.name)):
        opening = []
        for _ in range(min(5, OPTIONS.pairs)):
            seconds, tola = timed(lambda: Tola(path))
            other_seconds, other = timed(open_hf or open_spm)
            opening.append((seconds, other_seconds))
        print(f"{name}: open {min(a for a, _ in opening) * 1e3:.0f} ms, beside it {min(b for _, b in opening) * 1e3:.0f} ms")
        encode = ((lambda text: other.encode_batch_fast([text], add_special_tokens=False)[0].ids) if open_hf else
                  other.encode)
        for what, text in texts.items():
            if open_spm:
                text = text.replace("\0", "")[:200_000]
            data, ratios, own, others = text.encode(), [], [], []
            if not data:
                continue
            plain = 2 if open_spm else 0
            tola.encode(data, plain)
            same = tola.ids == list(encode(text))
            for number in range(OPTIONS.pairs):
                if number % 2:
                    a, b = tola.encode(data, plain), timed(lambda: encode(text))[0]
                else:
                    b, a = timed(lambda: encode(text))[0], tola.encode(data, plain)
                own.append(a)
                others.append(b)
                ratios.append(b / a)
            print(f"  {what:10} {len(data) / statistics.median(own) / 1e6:6.1f} MB/s, beside it "
                  f"{len(data) / statistics.median(others) / 1e6:6.1f} MB/s, ratio {statistics.median(ratios):5.1f} "
                  f"({min(ratios):.1f}-{max(ratios):.1f}){'' if same else '  OTHER IDS'}", flush=True)
        tola.close()


main()
