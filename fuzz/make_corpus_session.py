#!/usr/bin/env python3
"""Files of sessions for fuzz_session, right and wrong ones: make_corpus_session.py [FOLDER]

fuzz_session mends checksums, layout and fingerprint, so those are left empty here. A page of its model (2 layers, 1
head of 32 numbers for keys and for values, q4_0) has 2 * 2 * 1152 bytes."""
import pathlib
import struct
import sys

PAGE = 2 * 2 * (64 * 18)


def build(tokens, state=None, note=b"", ids=None, count=None, state_bytes=None, note_bytes=None, mended=True):
    ids = [(7 * i + 3) % 288 for i in range(tokens)] if ids is None else ids
    state = bytes(PAGE * ((tokens + 63) // 64)) if state is None else state
    body = struct.pack(f"<{len(ids)}I", *ids)
    body += bytes(-len(body) % 64) + state + note
    header = (b"\1" if mended else b"T") + b"OLASEQ\n" + struct.pack(
        "<IIQQQQ", 1, tokens if count is None else count, 0, 0, len(state) if state_bytes is None else state_bytes,
        len(note) if note_bytes is None else note_bytes)
    return header.ljust(64, b"\0") + body + bytes(4)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    ones = bytes([0x00, 0x3c] + [0x99] * 16) * (PAGE // 18)  # scales of 1
    infinite = bytes([0x00, 0x7c] + [0x99] * 16) * (PAGE // 18)
    huge = bytes([0xff, 0x7b] + [0x00] * 16) * (PAGE // 18)
    cases = {
        "empty": build(0),
        "one": build(1, ones),
        "note": build(3, ones, b"tola.run chat\nuser 2\nhi\n"),
        "page": build(64, ones),
        "two-pages": build(65, ones * 2),
        "full": build(200),
        "too-many": build(201),
        "infinite": build(2, infinite),
        "huge": build(2, huge),
        "id-beyond": build(1, ones, ids=[288]),
        "count-beyond": build(1, ones, count=0xffffffff),
        "state-beyond": build(1, ones, state_bytes=1 << 63),
        "note-beyond": build(1, ones, note_bytes=(1 << 64) - PAGE),
        "no-state": build(5, b""),
        "not-mended": build(1, ones, mended=False),
        "short": b"TOLASEQ\n",
        "other": b"GGUF" + bytes(100),
    }
    for name, data in cases.items():
        (folder / name).write_bytes(data)


main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "corpus" / "session")
