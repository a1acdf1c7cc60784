"""Makes fuzz/corpus/imatrix: importance matrices in the old format and as GGUF."""

import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "imatrix"


def old(entries, tail=b""):
    data = struct.pack("<i", len(entries))
    for name, calls, values in entries:
        data += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", calls, len(values))
        data += struct.pack(f"<{len(values)}f", *values)
    return data + tail


def gguf(tensors):
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()

    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), 2)
    head += text("imatrix.chunk_count") + struct.pack("<II", 4, 3)
    head += text("imatrix.datasets") + struct.pack("<IIQ", 9, 8, 1) + text("t")
    data = b""
    for name, shape, values in tensors:
        head += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in reversed(shape))
        head += struct.pack("<IQ", 0, len(data))
        data += struct.pack(f"<{len(values)}f", *values)
        data += bytes(-len(data) % 32)
    return head + bytes(-len(head) % 32) + data


OUT.mkdir(parents=True, exist_ok=True)
two = [("b.weight", 2, [1, 0, 4]), ("a.weight", 0, [1.5])]
(OUT / "old").write_bytes(old(two))
(OUT / "old-tail").write_bytes(old(two, struct.pack("<ii", 5, 4) + b"text"))
(OUT / "old-negative").write_bytes(old([("a.weight", 1, [1, -1])]))
(OUT / "gguf").write_bytes(gguf([("a.in_sum2", (1, 3), [1, 2, 3]), ("a.counts", (1, 1), [2])]))
(OUT / "gguf-experts").write_bytes(gguf([("a.in_sum2", (2, 3), [1, 2, 3, 0, 0, 0]), ("a.counts", (2, 1), [2, 0])]))
(OUT / "gguf-alone").write_bytes(gguf([("a.in_sum2", (1, 3), [1, 2, 3])]))
(OUT / "gguf-uneven").write_bytes(gguf([("a.in_sum2", (1, 3), [1, 2, 3]), ("a.counts", (2, 1), [2, 1])]))
