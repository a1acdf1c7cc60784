#!/usr/bin/env python3
"""Makes fuzz/corpus/data: CSV, IDX, lines of JSON and texts, each after a byte that says which and one of options."""
import gzip
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "data"


def idx(kind, dims, payload):
    return struct.pack(">BBBB", 0, 0, kind, len(dims)) + struct.pack(f">{len(dims)}I", *dims) + payload


images = idx(8, [2, 2, 3], bytes(range(12)))
FILES = {
    "csv": (0, 1, b"a,b,kind\n1,2.5,x\n3,-4e1,y\n"),
    "csv-quoted": (0, 1 | 64, b'\xef\xbb\xbf"a ""b""",k\r\n"1",x\r\n\r\n2,"y,\nz"'),
    "csv-numbers": (0, 1 | 4 | 128, b"1,2\n3,4\n"),
    "csv-classes": (0, 1 | 8, b"1,0\n3,2\n3,3\n"),
    "csv-semicolon": (0, 2 | 16 | 32, b"a;b\n0;1\n2; 3 \n"),
    "csv-open": (0, 0, b'1,2\n"3,4\n'),
    "idx": (1, 64, images),
    "idx-labels": (1, 1, idx(8, [3], b"\1\0\2")),
    "idx-negative": (1, 1, idx(9, [3], b"\2\xc2\2")),
    "idx-gzip": (1, 128, gzip.compress(images, mtime=0)),
    "idx-floats": (1, 128, idx(0x0D, [2, 1], struct.pack(">2f", 1, -3))),
    "idx-doubles": (1, 0, idx(0x0E, [1, 2], struct.pack(">2d", 1e300, 2))),
    "idx-shorts": (1, 64, idx(0x0B, [2, 2], struct.pack(">4h", 1, -2, 3, 4))),
    "idx-huge": (1, 0, idx(8, [2 ** 32 - 1] * 4, b"")),
    "jsonl": (2, 0, b'{"text": "one"}\r\n\n {"txt": 2}\n[1]\n{\n{"text": "x\\ny"}'),
    "text": (3, 1, b"one\n\ntwo\n\n\n\nthree"),
    "text-overlap": (3, 0, b"xababay abaaba"),
}

OUT.mkdir(parents=True, exist_ok=True)
for name, (kind, options, content) in FILES.items():
    (OUT / name).write_bytes(bytes([kind, options]) + content)
