"""Texts for tokenize_oracle.py and bench_tokenize.py: prose, code, many languages, and Unicode made to break things.

    tokenize_texts.py --megabytes 50 > text

Real text is what the machine has: ../shared/data, translations of programs (/usr/share/locale), Python's library. What
is made depends on the seed alone. Parts are about a megabyte."""

import argparse
import glob
import itertools
import os
import pathlib
import random
import struct
import sys

SPACES = [" ", "  ", "\n", "\r\n", "\t", "\xa0", "\u2003", "\u3000", "\u200b", "\u2028", "\x85", "\u180e", "\x1c", "\x0b",
          "   \n ", "\n\n\n", " \t ", "\u1680", "\u202f", "\u2009"]
WORDS = ["the", "don't", "DON'T", "we'll", "I'm", "it\u2019s", "'S", "'\u017f", "x1y2z3", "1234567", "3.14", "e-mail",
         "foo_bar", "C++", "::", "===", "<|endoftext|>", "<s>", "</s>", "[CLS]", "[MASK]", "<unk>", "<0x0A>", "\u2581",
         "\u2581\u2581", "\U0001f469\u200d\U0001f4bb", "\ufb01", "\u1e9e", "\u0130", "\u03a3\u03a3", "\ufffd", "\ufeff",
         "\u212a", "'RE", "'ve'LL", "/*//", "$%^&", "\u0e01\u0e33", "\uac00\u11a8", "\u1100\u1161\u11a8", "\u0928\u093f",
         "\u2126", "\u00c5", "A\u030a", "q\u0307\u0323", "\u01c5", "\u2160\u2170", "\u00bd\u00b2", "\u0660\u0661", "'", "''"]


def in_unicode_16(c):
    """Assigned, private or not, in one of the versions that tables and packages know: all of them are tried."""
    return not 0xd800 <= c < 0xe000


def made_text(size, seed):
    """Text of every plane, letters and marks of one block to a word, spaces of all kinds."""
    source = random.Random(seed)
    blocks = [(0x20, 0x7f), (0x20, 0x7f), (0x80, 0x250), (0x250, 0x370), (0x370, 0x530), (0x530, 0x870), (0x870, 0xe00),
              (0xe00, 0x1100), (0x1100, 0x1250), (0x1250, 0x1800), (0x1800, 0x2000), (0x2000, 0x2c00), (0x2c00, 0x3000),
              (0x3000, 0x3400), (0x3400, 0x4e00), (0x4e00, 0xa000), (0xa000, 0xac00), (0xac00, 0xd7b0),
              (0xf900, 0x10000), (0xe000, 0xe100), (0x10000, 0x11000), (0x11000, 0x12000), (0x16000, 0x17000),
              (0x1b000, 0x1c000), (0x1d000, 0x1e000), (0x1e000, 0x1f000), (0x1f000, 0x1fc00), (0x20000, 0x20400),
              (0x2f800, 0x2fa20), (0x30000, 0x32400), (0xe0000, 0xe0200)]
    marks = list(range(0x300, 0x370)) + list(range(0x591, 0x5c8)) + list(range(0x64b, 0x660)) + [0x94d, 0xe38, 0x1ab0]
    out, length = [], 0
    while length < size:
        kind = source.random()
        if kind < 0.2:
            piece = source.choice(WORDS)
        elif kind < 0.4:
            piece = source.choice(SPACES)
        elif kind < 0.45:
            piece = "e" + "".join(map(chr, source.choices(marks, k=source.randint(1, 5))))
        elif kind < 0.47:
            piece = source.choice("a \n1.!\u00e9\u4e00") * source.randint(1, 300)
        else:
            low, high = source.choice(blocks)
            around = source.randrange(low, high)  # words keep to a corner of their block, as real ones do
            piece = "".join(chr(c) for c in (min(high - 1, around + source.randrange(64))
                                             for _ in range(source.randint(1, 9))) if in_unicode_16(c))
        if source.random() < 0.4:
            piece += " "
        out.append(piece)
        length += len(piece.encode())
    return "".join(out)


def edges():
    return "".join(f"{a}{b}" for a in WORDS + SPACES for b in SPACES[:6] + ["x", "\u0301"])


def read(path):
    return pathlib.Path(path).read_bytes().decode("utf-8", "replace")


def translations():
    """Messages of gettext catalogues, language after language."""
    by_language = sorted(glob.glob("/usr/share/locale/*/LC_MESSAGES"))
    for folders in itertools.zip_longest(*[iter(by_language)] * 20):
        for name in filter(None, folders):
            taken = 0
            for path in sorted(glob.glob(f"{name}/*.mo")):
                data = pathlib.Path(path).read_bytes()
                if data[:4] != b"\xde\x12\x04\x95" or taken > 2_000_000:
                    continue
                count, _, table = struct.unpack("<III", data[8:20])
                for i in range(1, count):
                    n, at = struct.unpack("<II", data[table + 8 * i:table + 8 * i + 8])
                    try:
                        message = data[at:at + n].decode("utf-8").replace("\0", "\n")
                    except UnicodeDecodeError:
                        continue
                    taken += n
                    yield message + "\n"


def code():
    for path in sorted(glob.glob(os.path.dirname(os.__file__) + "/**/*.py", recursive=True)):
        yield read(path)
    for path in sorted(pathlib.Path(__file__).resolve().parents[2].glob("src/**/*.[ch]")):
        yield read(path)


def prose(data):
    for name in ("text/wikitext-2-raw/wiki.test.raw", "text/tinyshakespeare_input.txt", "text/canterbury/alice29.txt",
                 "text/sentencepiece/botchan.txt", "text/wikitext-2-raw/wiki.valid.raw", "text/c4_demo.jsonl"):
        if (data / name).exists():
            yield read(data / name)
    for path in sorted((data / "chat").rglob("*.jinja")):
        yield read(path)


def parts(pieces, size=1_000_000):
    """Joins pieces to parts of about `size` bytes."""
    gathered, length = [], 0
    for piece in pieces:
        gathered.append(piece)
        length += len(piece.encode("utf-8", "surrogatepass"))
        if length >= size:
            yield "".join(gathered).encode("utf-8", "replace").decode()
            gathered, length = [], 0
    if gathered:
        yield "".join(gathered).encode("utf-8", "replace").decode()


def corpus(megabytes, data):
    """(name, text) of about so many megabytes: a quarter made, the rest what there is of each kind, in turn."""
    left, number = megabytes * 1_000_000, 0
    size = min(1_000_000, int(left / 8))
    kinds = {"prose": parts(prose(data), size), "code": parts(code(), size), "languages": parts(translations(), size),
             "made": (made_text(size, seed) for seed in itertools.count(1))}
    while left > 0:
        for kind, texts in kinds.items():
            text = next(texts, None)
            if text is None or left <= 0:
                continue
            text = text.encode()[:int(left)].decode("utf-8", "ignore")
            left -= len(text.encode())
            number += 1
            yield f"{kind} {number}", text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(os.environ.get("TOLA_DATA", "../shared/data")))
    options = parser.parse_args()
    for _, one in corpus(options.megabytes, options.data):
        sys.stdout.buffer.write(one.encode())
