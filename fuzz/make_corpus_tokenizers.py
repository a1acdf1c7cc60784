"""Makes fuzz/corpus/tokenizer and fuzz/corpus/regex: a small tokenizer for each step and kind of file, with a text, and
patterns that between them reach every construct."""
import base64
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "corpus"
TEXT = "\nTEXT\nab  Ab\u00e9 <s>a\u0301\u20ac\n12 \u4e00'll \uac01 \U0001f600\xff"


def put(name, kind, data, text=TEXT):
    data = data.encode() if isinstance(data, str) else data
    (HERE / "tokenizer" / name).write_bytes(kind.encode() + data + text.encode("utf-8"))


BYTES = {"a": 0, "b": 1, "ab": 2, "\u0120": 3, "\u0120ab": 4, "\u00c3": 5, "\u00a9": 6, "1": 7, "2": 8, "\u010a": 9}
BPE = {"type": "BPE", "vocab": BYTES, "merges": ["a b", ["\u0120", "ab"]]}
LEVEL = {"type": "ByteLevel", "add_prefix_space": False}
ADDED = [{"id": 20, "content": "<s>", "special": True}, {"id": 21, "content": "AB", "normalized": True, "single_word": True},
         {"id": 22, "content": "x", "lstrip": True, "rstrip": True}]
PIECES = {"<unk>": 0, "\u2581": 1, "a": 2, "\u2581a": 3, "<0xE2>": 4, "<0x82>": 5, "<0xAC>": 6, "b": 7}
split = lambda p, b="Isolated", i=False: {"type": "Split", "pattern": p, "behavior": b, "invert": i}
regex = lambda r, b="Isolated": split({"Regex": r}, b)
several = lambda key, *steps: {"type": "Sequence", key: list(steps)}
CHARSMAP = base64.b64encode(struct.pack("<I", 4) + struct.pack("<I", 0) + b"x\0").decode()

models = {
    "bytes": {"model": BPE, "pre_tokenizer": LEVEL, "decoder": {"type": "ByteLevel"}, "added_tokens": ADDED,
              "post_processor": {"type": "TemplateProcessing", "single": [
                  {"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                  "special_tokens": {"<s>": {"ids": [20]}}}},
    "llama3": {"model": dict(BPE, ignore_merges=True), "pre_tokenizer": several("pretokenizers", regex(
        r"(?i:'s|'ll)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"),
        dict(LEVEL, use_regex=False))},
    "splits": {"model": BPE, "pre_tokenizer": several("pretokenizers", regex("[A-Z]", "MergedWithNext"),
               regex(r"\d", "MergedWithPrevious"), regex(r"\s", "Contiguous"), split({"String": "b"}, "Removed"),
               {"type": "Digits", "individual_digits": True}, {"type": "Punctuation"}, LEVEL, regex("a"))},
    "spelled": {"model": BPE, "normalizer": {"type": "ByteLevel"}, "pre_tokenizer": {"type": "WhitespaceSplit"}},
    "llama2": {"model": {"type": "BPE", "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>", "vocab": PIECES,
                         "merges": ["\u2581 a"]},
               "normalizer": several("normalizers", {"type": "Prepend", "prepend": "\u2581"},
                                     {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}),
               "decoder": several("decoders", {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                                  {"type": "ByteFallback"}, {"type": "Fuse"},
                                  {"type": "Strip", "content": " ", "start": 1, "stop": 0})},
    "unigram": {"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a", -1.5], ["ab", -2], ["\u2581", -3]]},
                "normalizer": several("normalizers", {"type": "Nmt"}, {"type": "NFKC"}, {"type": "StripAccents"},
                                      {"type": "Precompiled", "precompiled_charsmap": CHARSMAP},
                                      {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
                "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"},
                "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"}},
    "wordpiece": {"model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "a": 1, "##b": 2, "1": 3}},
                  "normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
                  "decoder": {"type": "WordPiece", "prefix": "##"},
                  "post_processor": {"type": "BertProcessing", "sep": ["a", 1], "cls": ["[UNK]", 0]}},
    "words": {"model": {"type": "WordLevel", "unk_token": "b", "vocab": {"ab": 0, "b": 1}},
              "normalizer": several("normalizers", {"type": "NFD"}, {"type": "Lowercase"}, {"type": "Strip"}),
              "pre_tokenizer": {"type": "Whitespace"}},
    "suffix": {"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {"a": 0, "a</w>": 1}, "merges": []},
               "pre_tokenizer": {"type": "CharDelimiterSplit", "delimiter": " "},
               "decoder": {"type": "BPEDecoder", "suffix": "</w>"}},
}

# ---- protocol buffers of SentencePiece ----


def varint(n):
    out = bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def block(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def sentencepiece(kind, pieces):
    out = b""
    for text, score, type_ in pieces:
        out += block(1, block(1, text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + varint(3 << 3) + varint(type_))
    return out + block(2, varint(3 << 3) + varint(kind) + varint(35 << 3) + varint(1)) + block(3, varint(3 << 3) + varint(1))


PIECE_LIST = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("<0x0A>", 0, 6), ("<0xC3>", 0, 6), ("\u2581", -1, 1),
              ("a", -2, 1), ("b", -3, 1), ("ab", -1, 1), ("\u2581ab", -.5, 1), ("Ab", 0, 4), ("gone", 0, 5)]


# ---- GGUF ----

def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(**keys):
    out = b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys) + 1) + string("general.architecture") + struct.pack("<I", 8) + string("llama")
    for key, value in keys.items():
        out += string("tokenizer.ggml." + key)
        if isinstance(value, str):
            out += struct.pack("<I", 8) + string(value)
        elif isinstance(value, int):
            out += struct.pack("<II", 4, value)
        elif isinstance(value[0], str):
            out += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(string, value))
        elif isinstance(value[0], float):
            out += struct.pack("<IIQ", 9, 6, len(value)) + struct.pack(f"<{len(value)}f", *value)
        else:
            out += struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
    return out


if __name__ == "__main__":
    for kind in ("tokenizer", "regex"):
        (HERE / kind).mkdir(parents=True, exist_ok=True)
    for name, tree in models.items():
        put(f"json_{name}", "J", json.dumps(tree, ensure_ascii=False))
    for kind, name in ((1, "unigram"), (2, "bpe")):
        put(f"sentencepiece_{name}", "S", sentencepiece(kind, PIECE_LIST))
    put("tiktoken", "K", "".join(f"{base64.b64encode(bytes([b])).decode()} {b}\n" for b in range(97, 105)) + "YWI= 300\n")
    put("bert", "V", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n1\n")
    texts, scores, types = zip(*PIECE_LIST)
    put("gguf_llama", "G", gguf(model="llama", tokens=list(texts), scores=list(map(float, scores)), token_type=list(types),
                                bos_token_id=1, eos_token_id=2, unknown_token_id=0, padding_token_id=0xffffffff))
    put("gguf_gpt2", "G", gguf(model="gpt2", pre="llama-bpe", tokens=list(BYTES), merges=["a b", "\u0120 ab"], eos_token_id=1))
    put("gguf_bert", "G", gguf(model="bert", tokens=["[UNK]", "[CLS]", "[SEP]", "\u2581a", "b"], token_type=[3, 3, 3, 1, 1],
                               unknown_token_id=0, cls_token_id=1, seperator_token_id=2))
    put("gguf_t5", "G", gguf(model="t5", tokens=list(texts), scores=list(map(float, scores)), token_type=list(types)))
    patterns = [r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
                r"(a|b*)*c", r"(?<=ab|c)d|(?<!x)\bq\B", r"(?>a+)b|a*+a|(?:ab){2,3}?|x{,2}", r"[a-c&&[^b]][[:alpha:]\]\-]",
                r"^a$|\A.\z|(?m:.)\Z", r"\x{1F600}|\u0041\x41|\p{^Han}\P{Lu}\pN|\h\H\w\W", r"(?i)straSSe|[k-s]+?"]
    for i, pattern in enumerate(patterns):
        (HERE / "regex" / f"pattern_{i}").write_bytes(pattern.encode() + b"\0" + "abcd 'S q\u4e00\U0001f600 aab\nAa1 ".encode())
