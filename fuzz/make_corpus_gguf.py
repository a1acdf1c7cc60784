"""Makes fuzz/corpus/gguf: small GGUF files that between them reach every branch of the reader."""

import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "gguf"


class File:
    def __init__(self, order="<", version=3):
        self.order, self.version, self.values, self.tensors, self.data = order, version, [], [], b""

    def pack(self, form, *numbers):
        return struct.pack(self.order + form, *numbers)

    def string(self, text):
        text = text if isinstance(text, bytes) else text.encode()
        return self.pack("Q", len(text)) + text

    def value(self, key, kind, payload):
        self.values.append(self.string(key) + self.pack("I", kind) + payload)

    def tensor(self, name, kind, dims, size, alignment=32):
        self.tensors.append(self.string(name) + self.pack("I", len(dims)) + self.pack(f"{len(dims)}Q", *dims)
                            + self.pack("IQ", kind, len(self.data)))
        self.data += bytes(i * 37 % 256 for i in range(size)) + bytes(-size % alignment)

    def save(self, name, alignment=32):
        head = b"GGUF" + self.pack("IQQ", self.version, len(self.tensors), len(self.values))
        head += b"".join(self.values) + b"".join(self.tensors)
        if self.data:
            head += bytes(-len(head) % alignment)
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / name).write_bytes(head + self.data)


def all_values(f):
    for kind, form in enumerate("BbHhIif"):
        f.value(f"v.{kind}", kind, f.pack(form, 1))
        f.value(f"a.{kind}", 9, f.pack("IQ", kind, 2) + f.pack(2 * form, 1, 2))
    f.value("v.bool", 7, b"\1")
    f.value("a.bool", 9, f.pack("IQ", 7, 2) + b"\0\1")
    f.value("v.string", 8, f.string("text"))
    f.value("a.string", 9, f.pack("IQ", 8, 3) + f.string("a") + f.string("") + f.string("\u4f60"))
    for kind, form in ((10, "Q"), (11, "q"), (12, "d")):
        f.value(f"v.{kind}", kind, f.pack(form, 1))
        f.value(f"a.{kind}", 9, f.pack("IQ", kind, 1) + f.pack(form, 1))
    f.value("nested", 9, f.pack("IQ", 9, 2) + f.pack("IQ", 4, 1) + f.pack("I", 5) + f.pack("IQ", 9, 0))


BLOCKS = {  # ggml's number of a type: elements and bytes of a block
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    19: (256, 50), 20: (32, 18), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18),
}

for order, tag in (("<", "little"), (">", "big")):
    f = File(order)
    f.save(f"empty-{tag}")
    f = File(order, 2)
    all_values(f)
    f.save(f"values-{tag}")
    f = File(order)
    for kind, (elements, size) in BLOCKS.items():
        f.tensor(f"t{kind}", kind, [elements, 2], 2 * size)
    f.save(f"types-{tag}")

f = File()
f.value("general.alignment", 4, f.pack("I", 64))
f.tensor("a", 24, [3], 3, 64)
f.tensor("scalar", 0, [], 4, 64)
f.tensor("b", 0, [2, 3, 1, 2], 48, 64)
f.save("alignment", 64)
f = File()
f.value("split.no", 2, f.pack("H", 0))
f.value("split.count", 2, f.pack("H", 2))
f.value("split.tensors.count", 5, f.pack("i", 2))
f.tensor("a", 24, [3], 3)
f.save("split")
f = File(version=1)
f.save("version-1")
f = File()
f.tensor("removed", 4, [32], 32)
f.save("removed-type")
f = File()
f.tensor("deep", 24, [8], 8)
f.value("deep", 9, b"".join(f.pack("IQ", 9, 1) for _ in range(12)))
f.save("deep")
