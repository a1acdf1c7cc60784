"""Makes fuzz/corpus/onnx: small models that between them reach every branch of the ONNX reader."""
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "onnx"


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def number(field, value):
    return varint(field << 3) + varint(value)


def block(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def packed(field, values):
    return block(field, b"".join(map(varint, values)))


def tensor(name, kind, dims, *data):
    return packed(1, dims) + number(2, kind) + b"".join(data) + block(8, name)


def entry(key, value):
    return block(1, key) + (number(2, value) if isinstance(value, int) else block(2, value))


def model(graph, *more):
    return number(1, 10) + block(2, "corpus") + block(8, entry("", 21)) + block(7, graph) + b"".join(more)


def attribute(name, field, data):
    return block(1, name) + block(field, data)


def node(op, output, *attributes):
    return block(2, output) + block(4, op) + b"".join(block(5, a) for a in attributes)


def initializers(*tensors):
    return b"".join(block(5, t) for t in tensors)


RAW = tensor("raw", 1, [3], block(9, struct.pack("<3f", 1, 2, 3)))
CONSTANT = node("Constant", "k", attribute("value", 5, tensor("", 7, [2], packed(7, [1, -1]))))
INNER = block(1, CONSTANT) + initializers(RAW)
MODELS = {
    "raw": model(initializers(RAW)),
    "typed": model(initializers(
        tensor("f", 1, [2], block(4, struct.pack("<2f", 1, 2))), tensor("d", 11, [1], block(10, struct.pack("<d", 1))),
        tensor("i", 3, [4], packed(5, [1, -1, 127, -128])), tensor("h", 10, [2, 2], packed(5, [0, 65535, 1, 2])),
        tensor("u", 13, [2], packed(11, [2**64 - 1, 0])), tensor("n", 22, [3], packed(5, [0x21, 0x03])),
        tensor("six", 27, [3], packed(5, [63, 1, 2])), tensor("c", 14, [1], block(4, struct.pack("<2f", 1, 2))),
        tensor("b", 9, [2], packed(5, [0, 1])))),
    "six-raw": model(initializers(tensor("s", 28, [5], block(9, b"\x01\x02\x03\x04")))),
    "unpacked": model(initializers(tensor("i", 6, [3], number(5, 1), packed(5, [2]), number(5, -3)),
                                   tensor("f", 1, [1], b"\x25" + struct.pack("<f", 1)))),
    "strings": model(initializers(tensor("s", 8, [2], block(6, "ab"), block(6, "")))),
    "external": model(initializers(tensor("x", 1, [2], number(14, 1), block(13, entry("location", "w.bin")),
                                          block(13, entry("offset", "16")), block(13, entry("length", "8"))))),
    "subgraph": model(block(1, node("If", "y", attribute("then_branch", 6, INNER), attribute("else", 11, INNER)))),
    "constant": model(INNER, block(25, block(1, "fn") + block(7, node("Constant", "q", attribute("value", 5, RAW))))),
    "sparse": model(block(15, block(1, RAW) + block(2, tensor("", 7, [3], packed(7, [1, 5, 7]))) + packed(3, [9]))),
    "metadata": model(block(2, "name") + block(10, "doc"), block(14, entry("key", "value")), number(5, 3),
                      block(20, block(1, initializers(RAW)) + block(2, initializers(RAW)))),
    "empty": model(initializers(tensor("e", 1, [0, 5]))),
}
OUT.mkdir(parents=True, exist_ok=True)
for name, data in MODELS.items():
    (OUT / name).write_bytes(data)
