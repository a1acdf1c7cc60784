#!/usr/bin/env python3
"""Files that are broken or malicious, made here: each gives exit 2 and one line that names the file and the cause.

usage: bad_input.py [TOLA]     (TOLA: the program; default: that of $TOLA_BUILD, else of the newest build folder)

For every case inspect, convert, stats and diff are run (not inspect where a payload is bad): nothing on stdout, on
stderr one line with the file's name and the words given here, and where the output would have been there is nothing,
not even a temporary file. Inspect is forgiving where only a part of the weights is absent. Standard library only.
Prints "N passed, N failed[, N skipped]"."""
import concurrent.futures
import glob
import io
import itertools
import json
import os
import pickle
import pwd
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIMEOUT = 300  # seconds a command may take, sanitizers and a busy machine included


def find_tola():
    if len(sys.argv) > 1:
        return os.path.abspath(sys.argv[1])
    if os.environ.get("TOLA_BUILD"):
        return os.path.abspath(os.path.join(os.environ["TOLA_BUILD"], "tola"))
    built = glob.glob(os.path.join(ROOT, "build", "*", "tola"))
    return max(built, key=os.path.getmtime) if built else sys.exit("bad_input: no tola under build/: build it first")


TOLA = find_tola()
CASES = []  # name; file name; its bytes, or a function that makes it in a folder and gives its path; words


def case(name, file, contents, *words):
    CASES.append((name, file, contents, words))


# ---- safetensors ----


def safetensors(header, payload=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + payload


def tensor(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


GOOD = safetensors({"__metadata__": {"k": "v"}, "a": tensor(0, 16, [4]), "b": tensor(16, 24, [2])}, bytes(24))

ST = "m.safetensors"
case("header length beyond the file", ST, safetensors(b"{}", length=1000), "header", "1000")
case("header length beyond 100 MB", ST, struct.pack("<Q", 200_000_000) + b"{" + bytes(100), "100")
case("header length of 2^63", ST, struct.pack("<Q", 1 << 63) + b"{" + bytes(100))
case("header length 0", ST, struct.pack("<Q", 0) + bytes(8))
case("header is no JSON", ST, safetensors(b"{not json}"), "offset 9")
case("header is an array", ST, safetensors(b"[1]     "))
case("header with bad UTF-8", ST, safetensors(b'{"\xff":1}'), "offset")
case("text behind the header", ST, safetensors(b'{} {}'), "offset")
case("tensor beyond the file", ST, safetensors({"a": tensor(0, 400, [100])}, bytes(16)), "tensor 'a'", "missing")
case("offset beyond 2^64", ST, safetensors({"a": tensor(0, 99999999999999999999, [1])}, bytes(4)))
case("negative offset", ST, safetensors({"a": tensor(-4, 0, [1])}, bytes(4)), "tensor 'a'")
case("overlap", ST, safetensors({"a": tensor(0, 16, [4]), "b": tensor(8, 24, [4])}, bytes(24)), "'a'", "'b'")
case("hole", ST, safetensors({"a": tensor(0, 8, [2]), "b": tensor(16, 24, [2])}, bytes(24)), "'b'")
case("hole at the start", ST, safetensors({"a": tensor(8, 16, [2])}, bytes(16)), "'a'")
case("bytes behind the last tensor", ST, safetensors({"a": tensor(0, 8, [2])}, bytes(16)))
case("offsets run backwards", ST, safetensors({"a": tensor(8, 0, [2])}, bytes(8)), "tensor 'a'", "backwards")
case("duplicate name", ST, safetensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                                       b'"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', bytes(8)), "'a'")
case("shape overflow", ST, safetensors({"a": tensor(0, 4, [1 << 40, 1 << 40])}, bytes(4)), "tensor 'a'", "overflow")
case("shape and bytes disagree", ST, safetensors({"a": tensor(0, 8, [3])}, bytes(8)), "tensor 'a'", "12")
case("negative extent", ST, safetensors({"a": tensor(0, 4, [-1])}, bytes(4)), "tensor 'a'")
case("fraction in a shape", ST, safetensors({"a": tensor(0, 4, [1.5])}, bytes(4)), "tensor 'a'")
case("70 dimensions", ST, safetensors({"a": tensor(0, 4, [1] * 70)}, bytes(4)), "tensor 'a'")
case("unknown dtype", ST, safetensors({"a": tensor(0, 4, [1], "F33")}, bytes(4)), "tensor 'a'", "F33")
case("dtype is a number", ST, safetensors({"a": {**tensor(0, 4, [1]), "dtype": 7}}, bytes(4)), "tensor 'a'")
case("no dtype", ST, safetensors({"a": {"shape": [1], "data_offsets": [0, 4]}}, bytes(4)), "tensor 'a'", "dtype")
case("unknown field", ST, safetensors({"a": {**tensor(0, 4, [1]), "x": 1}}, bytes(4)), "tensor 'a'", "'x'")
case("metadata is no text", ST, safetensors({"__metadata__": {"a": 1}}), "__metadata__")
case("deep JSON", ST, safetensors(b'{"__metadata__":' + b"[" * 5000 + b"]" * 5000 + b"}"), "deep")
case("long name", ST, safetensors({"n" * 5000: tensor(0, 4, [1])}, bytes(4)), "name")
case("escape sequences in a name", ST, safetensors({"\x1b[31m": tensor(0, 8, [1])}, bytes(8)), "\\x1b")

# ---- not weights at all ----

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 4976698672\n"
for name in ["m.safetensors", "m.gguf", "pytorch_model.bin", "m.npz", "m.onnx", "m.pt", "m.npy", "m"]:
    case(f"empty {name}", name, b"", "empty")
    case(f"LFS pointer {name}", name, LFS, "Git LFS pointer", "4976698672")
    case(f"web page {name}", name, b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "HTML")
    case(f"noise {name}", name, bytes(i * 73 % 251 for i in range(500)))
    case(f"one byte {name}", name, b"\x80")
case("XML", "m.bin", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML")
case("JSON", "m.bin", b'{"error": "not found"}', "JSON")
case("zstd", "m.bin", b"\x28\xb5\x2f\xfd" + bytes(50), "zstd")
case("HDF5", "m.h5", b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5")
case("gzip", "m.bin", b"\x1f\x8b\x08" + bytes(50), "gzip")

# ---- GGUF ----


def gtext(text):
    text = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(text)) + text


def u64(*numbers):
    """Negative ones as a file would hold them."""
    return b"".join(struct.pack("<Q", n & (1 << 64) - 1) for n in numbers)


def gguf(values=b"", n_values=0, tensors=b"", n_tensors=0, payload=b"", version=3, pad=True):
    head = b"GGUF" + struct.pack("<I", version) + u64(n_tensors, n_values) + values + tensors
    return head + (bytes(-len(head) % 32) if pad else b"") + payload


def gtensor(name="t", dims=(32,), kind=0, offset=0, n_dims=None):
    count = len(dims) if n_dims is None else n_dims
    return gtext(name) + struct.pack("<I", count) + u64(*dims) + struct.pack("<I", kind) + u64(offset)


def gguf1(bytes_after=128, **fields):
    """A file with one tensor."""
    return gguf(tensors=gtensor(**fields), n_tensors=1, payload=bytes(bytes_after))


def gvalue(key, kind, data):
    return gtext(key) + struct.pack("<I", kind) + data


GG = "m.gguf"
U32 = gvalue("general.alignment", 4, struct.pack("<I", 32))
GGUF_GOOD = gguf(U32 + gvalue("general.name", 8, gtext("x")), 2, gtensor() + gtensor("u", (32, 2), 8, 128), 2,
                 bytes(128 + 68))
case("gguf: version 99", GG, gguf(version=99), "version")
case("gguf: version 0", GG, gguf(version=0), "version")
case("gguf: huge tensor count", GG, gguf(n_tensors=1 << 40))
case("gguf: negative tensor count", GG, gguf(n_tensors=-1))
case("gguf: huge value count", GG, gguf(n_values=1 << 40))
case("gguf: negative value count", GG, gguf(n_values=-1))
case("gguf: n_dims 0xFFFFFFFF", GG, gguf1(n_dims=0xFFFFFFFF), "'t'")
case("gguf: n_dims 5", GG, gguf1(dims=(1,) * 5), "'t'")
for alignment in [0, 3, 1 << 31, 24]:
    case(f"gguf: alignment {alignment}", GG, gguf(gvalue("general.alignment", 4, struct.pack("<I", alignment)), 1,
                                                  gtensor(), 1, bytes(128)), "alignment")
case("gguf: alignment is a text", GG, gguf(gvalue("general.alignment", 8, gtext("x")), 1, gtensor(), 1, bytes(128)))
case("gguf: extent overflow", GG, gguf1(dims=(1 << 40, 1 << 40)), "'t'")
case("gguf: negative extent", GG, gguf1(dims=(-1,)), "'t'")
case("gguf: offset + size beyond the file", GG, gguf1(offset=64), "'t'")
case("gguf: offset wraps", GG, gguf1(offset=(1 << 64) - 32), "'t'")
case("gguf: misaligned offset", GG, gguf1(256, offset=4), "'t'")
case("gguf: overlap", GG, gguf(tensors=gtensor("a") + gtensor("b"), n_tensors=2, payload=bytes(256)), "'b'")
case("gguf: unknown tensor type", GG, gguf1(kind=99), "'t'", "99")
case("gguf: rows do not fill blocks", GG, gguf1(dims=(33,), kind=2), "'t'")
case("gguf: duplicate tensor", GG, gguf(tensors=gtensor() + gtensor(offset=128), n_tensors=2, payload=bytes(256)),
     "'t'")
case("gguf: duplicate key", GG, gguf(U32 + U32, 2), "general.alignment")
case("gguf: text of 2^63 bytes", GG, gguf(struct.pack("<Q", 1 << 63) + b"x", 1))
case("gguf: unknown value type", GG, gguf(gvalue("k", 99, bytes(8)), 1), "99")
case("gguf: array of 2^60 texts", GG, gguf(gvalue("k", 9, struct.pack("<IQ", 8, 1 << 60)), 1))
case("gguf: array of 2^61 numbers", GG, gguf(gvalue("k", 9, struct.pack("<IQ", 10, 1 << 61)), 1))
case("gguf: array of unknown type", GG, gguf(gvalue("k", 9, struct.pack("<IQ", 77, 1) + bytes(8)), 1), "77")
case("gguf: nested arrays", GG, gguf(gvalue("k", 9, struct.pack("<IQ", 9, 1) * 5000), 1))
case("gguf: name with NUL", GG, gguf1(name="a\0b"))
case("gguf: empty key", GG, gguf(gvalue("", 4, bytes(4)), 1))

# ---- pickles ----


def text_op(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def rebuild(key="0", elements=4, shape=(4,), stride=(1,), offset=0, storage=b"FloatStorage"):
    tuple_of = lambda numbers: b"(" + b"".join(b"J" + struct.pack("<i", n) for n in numbers) + b"t"
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text_op("storage") + b"ctorch\n" + storage + b"\n" + text_op(key)
            + text_op("cpu") + b"J" + struct.pack("<i", elements) + b"tQ" + b"J" + struct.pack("<i", offset)
            + tuple_of(shape) + tuple_of(stride) + b"\x89ccollections\nOrderedDict\n)RtR")


def state_dict(*members):
    return b"\x80\x02}(" + b"".join(text_op(k) + v for k, v in members) + b"u."


def archive(pickled, storages=None, compression=zipfile.ZIP_STORED, more=()):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as z:
        z.writestr("archive/data.pkl", pickled)
        z.writestr("archive/version", b"3\n")
        for key, data in ({"0": bytes(16)} if storages is None else storages).items():
            z.writestr(f"archive/data/{key}", data)
        for name, data in more:
            z.writestr(name, data)
    return out.getvalue()


PT = "m.pt"
PT_GOOD = archive(state_dict(("w", rebuild())))
EVIL = {
    "os.system": b"cos\nsystem\n" + b"(" + text_op("touch pwned") + b"tR",
    "posix.system": b"cposix\nsystem\n" + b"(" + text_op("touch pwned") + b"tR",
    "builtins.eval": b"c__builtin__\neval\n" + b"(" + text_op("1") + b"tR",
    "builtins.exec": b"cbuiltins\nexec\n" + b"(" + text_op("1") + b"tR",
    "subprocess.Popen": b"csubprocess\nPopen\n" + b"(" + text_op("id") + b"tR",
    "builtins.getattr": b"cbuiltins\ngetattr\n" + b"(" + text_op("x") + text_op("y") + b"tR",
    "codecs.open": b"ccodecs\nopen\n" + b"(" + text_op("pwned") + text_op("w") + b"tR",
    "importlib.import_module": b"cimportlib\nimport_module\n" + b"(" + text_op("os") + b"tR",
    "torch.hub.load": b"ctorch.hub\nload\n" + b"(" + text_op("x") + b"tR",
    "torch._utils._rebuild_tensor_v2.__globals__": b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n)R",
    "marshal.loads": b"\x8c\x07marshal\x8c\x05loads\x93" + b"(" + text_op("x") + b"tR",
    "a.b (INST)": b"(" + text_op("x") + b"ios\nsystem\n",
}
for name, code in EVIL.items():
    words = [] if "INST" in name else [name.split(".")[-1]]
    case(f"pickle calls {name}", PT, archive(b"\x80\x02" + code + b"."), *words)
    case(f"pickle calls {name} inside", PT, archive(state_dict(("w", rebuild()), ("x", code))), *words)
    case(f"bare pickle calls {name}", "m.pkl.pt", b"\x80\x02" + code + b".")
case("pickle: unknown storage", PT, archive(state_dict(("w", rebuild(storage=b"EvilStorage")))), "EvilStorage")
case("pickle: absent storage", PT, archive(state_dict(("w", rebuild(key="7")))), "7")
case("pickle: storage too small", PT, archive(state_dict(("w", rebuild())), {"0": bytes(8)}))
case("pickle: view beyond its storage", PT, archive(state_dict(("w", rebuild(shape=(5,))))), "w")
case("pickle: stride beyond its storage", PT, archive(state_dict(("w", rebuild(shape=(2, 2), stride=(100, 1))))), "w")
case("pickle: negative stride", PT, archive(state_dict(("w", rebuild(stride=(-1,))))), "w")
case("pickle: negative extent", PT, archive(state_dict(("w", rebuild(shape=(-4,))))), "w")
case("pickle: negative offset", PT, archive(state_dict(("w", rebuild(offset=-1)))), "w")
case("pickle: shape overflow", PT, archive(state_dict(("w", rebuild(shape=(2**31 - 1,) * 4, stride=(0,) * 4)))), "w")
case("pickle: one element repeated to 4 TiB", PT, archive(state_dict(("w", rebuild(shape=(1 << 20,) * 2, stride=(0, 0))))),
     "w", "unfold")
case("pickle: one storage under 40,000 names", PT, archive(b"\x80\x02}(" + text_op("w") + rebuild(
    elements=1 << 18, shape=(1 << 18,)) + b"q\x07" + b"".join(text_op(str(i)) + b"h\x07" for i in range(40000)) + b"u.",
    {"0": bytes(1 << 20)}), "unfold")
case("pickle: stack underflow", PT, archive(b"\x80\x02tttt."))
case("pickle: no end", PT, archive(b"\x80\x02}"))
case("pickle: protocol 9", PT, archive(b"\x80\x09}."))
case("pickle: unknown opcode", PT, archive(b"\x80\x02\xff."))
case("pickle: memo that was never filled", PT, archive(b"\x80\x02h\x05."))
case("pickle: text longer than the pickle", PT, archive(b"\x80\x02X\xff\xff\xff\x7fab."))
case("pickle: deep lists", PT, archive(b"\x80\x02" + b"]" * 200000 + b"a" * 199999 + b"."), "deep")
case("pickle: deep tuples", PT, archive(b"\x80\x02)" + b"\x85" * 200000 + b"."), "deep")
case("pickle: persistent id of protocol 0", PT, archive(b"Pevil\n."))
case("pickle: extension registry", PT, archive(b"\x80\x02\x82\x01."))

# ---- zip ----


def patched(data, at, value):
    return data[:at] + value + data[at + len(value):]


def central(data, index=0):
    """Where entry `index` of the central directory lies."""
    at = struct.unpack_from("<I", data, data.rindex(b"PK\5\6") + 16)[0]
    for _ in range(index):
        at += 46 + sum(struct.unpack_from("<HHH", data, at + 28))
    return at


C = central(PT_GOOD)
case("zip: wrong CRC", PT, patched(PT_GOOD, PT_GOOD.index(b"PK\1\2") + 16, b"\1\2\3\4"), "CRC")
case("zip: size differs from the local header", PT, patched(PT_GOOD, C + 20, struct.pack("<II", 10, 10)))
case("zip: member beyond the file", PT, patched(PT_GOOD, C + 42, struct.pack("<I", 1 << 30)))
case("zip: name differs from the local header", PT, patched(PT_GOOD, C + 46, b"archivX"))
case("zip: encrypted", PT, patched(PT_GOOD, C + 8, b"\1\0"))
case("zip: directory beyond the file", PT, patched(PT_GOOD, PT_GOOD.rindex(b"PK\5\6") + 16, struct.pack("<I", 1 << 30)))
case("zip: count of entries", PT, patched(PT_GOOD, PT_GOOD.rindex(b"PK\5\6") + 8, struct.pack("<HH", 9, 9)))
case("zip: compression method 99", PT, patched(PT_GOOD, C + 10, struct.pack("<H", 99)))
DOUBLE = archive(state_dict(("w", rebuild())), more=[("archive/data/1", bytes(16))])
case("zip: duplicate members", PT, DOUBLE.replace(b"archive/data/1", b"archive/data/0"), "archive/data/0")
case("zip: no data.pkl", PT, archive(b"", {}).replace(b"data.pkl", b"data.pkX"))
DEFLATED = archive(state_dict(("w", rebuild(elements=1 << 20, shape=(1 << 20,)))), {"0": bytes(1 << 22)},
                   zipfile.ZIP_DEFLATED)
case("zip: transposed view of a deflated record", PT,
     archive(state_dict(("w", rebuild(elements=1 << 22, shape=(1 << 11,) * 2, stride=(1, 1 << 11)))),
             {"0": bytes(1 << 24)}, zipfile.ZIP_DEFLATED), "'w'", "deflated")

STORAGE = central(DEFLATED, 2)
LOCAL, HUGE = struct.unpack_from("<I", DEFLATED, STORAGE + 42)[0], struct.pack("<I", 0xF0000000)
case("zip: absurd ratio", PT, patched(patched(DEFLATED, STORAGE + 24, HUGE), LOCAL + 22, HUGE))


def npy(dtype="<f4", shape="(4,)", payload=bytes(16), version=b"\1\0", order="False"):
    text = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + payload


NPY_GOOD = npy()
case("npy: objects", "m.npy", npy("|O"), "m.npy")
case("npy: version 9", "m.npy", npy(version=b"\x09\0"))
case("npy: unknown dtype", "m.npy", npy("<q9"))
case("npy: shape overflow", "m.npy", npy(shape="(9223372036854775807, 9223372036854775807)"))
case("npy: negative extent", "m.npy", npy(shape="(-4,)"))
case("npy: more bytes than there are", "m.npy", npy(shape="(5,)"))
case("npy: header calls", "m.npy", npy(shape="(__import__('os').system('touch pwned'),)"))


def npz(members, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as z:
        for name, data in members:
            z.writestr(name, data)
    return out.getvalue()


NPZ_GOOD = npz([("a.npy", NPY_GOOD), ("b.npy", NPY_GOOD)])
PACKED = npz([("a.npy", npy(payload=bytes(range(16))))], zipfile.ZIP_DEFLATED)
case("npz: wrong CRC (payload)", "m.npz", patched(patched(PACKED, central(PACKED) + 16, b"\1\2\3\4"), 14, b"\1\2\3\4"),
     "'a'", "CRC")
case("npz: broken member", "m.npz", npz([("a.npy", NPY_GOOD[:50])]), "a")
case("npz: duplicate", "m.npz", npz([("a.npy", NPY_GOOD), ("b.npy", NPY_GOOD)]).replace(b"b.npy", b"a.npy"), "a")

case("npz: changed bytes, stored (payload)", "m.npz",
     npz([("a.npy", npy(payload=bytes(range(1, 17))))]).replace(bytes(range(1, 17)), bytes(range(2, 18))), "'a'", "CRC")
case("zip: changed bytes, stored (payload)", PT,
     archive(state_dict(("w", rebuild())), {"0": b"0123456789abcdef"}).replace(b"abcdef", b"abcdeg"), "'w'", "CRC")

# ---- ONNX ----


def varint(n):
    out = bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def number(field, value):
    return varint(field << 3) + varint(value & (1 << 64) - 1)


def block(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def onnx(*initializers):
    return number(1, 9) + block(7, b"".join(block(5, t) for t in initializers))


def initializer(*data, name=b"w", kind=1, dims=(4,)):
    return b"".join(number(1, d) for d in dims) + number(2, kind) + block(8, name) + b"".join(data)


def external(**entries):
    fields = [block(13, block(1, k.encode()) + block(2, v.encode())) for k, v in entries.items()]
    return initializer(number(14, 1), *fields)


RAW16 = block(9, bytes(16))
ONNX_GOOD = onnx(initializer(RAW16))
OX = "m.onnx"
case("onnx: no graph", OX, number(1, 9) + block(2, b"producer"), "no graph")
case("onnx: two graphs", OX, ONNX_GOOD + block(7, b""), "two graphs")
case("onnx: too few bytes", OX, onnx(initializer(RAW16, dims=(5,))), "tensor 'w'", "20")
case("onnx: too many bytes", OX, onnx(initializer(RAW16, dims=(3,))), "tensor 'w'", "12")
case("onnx: no values", OX, onnx(initializer()), "tensor 'w'", "no values")
case("onnx: unknown type", OX, onnx(initializer(RAW16, kind=77)), "tensor 'w'", "77")
case("onnx: negative extent", OX, onnx(initializer(RAW16, dims=(-1,))), "negative")
case("onnx: shape overflow", OX, onnx(initializer(RAW16, dims=(1 << 40, 1 << 40))), "tensor 'w'", "overflow")
case("onnx: 65 dimensions", OX, onnx(initializer(RAW16, dims=(1,) * 65)), "dimensions")
case("onnx: duplicate name", OX, onnx(initializer(RAW16), initializer(RAW16)), "'w'")
case("onnx: length beyond the file", OX, ONNX_GOOD[:2] + b"\x3a\xff\xff\xff\xff\x0f" + ONNX_GOOD[4:])
case("onnx: value out of range (payload)", OX, onnx(initializer(number(5, 70000), kind=5, dims=(1,))), "'w'", "70000")
case("onnx: external data above the folder", OX, onnx(external(location="../x")), "tensor 'w'", "../x")
case("onnx: external data at an absolute path", OX, onnx(external(location="/etc/passwd")), "tensor 'w'", "/etc/passwd")
case("onnx: external data that is absent (payload)", OX, onnx(external(location="x.bin")), "tensor 'w'", "x.bin")
case("onnx: external data without a place", OX, onnx(external(offset="0")), "tensor 'w'", "location")
DEEP = b""
for _ in range(100):
    DEEP = block(1, block(5, block(1, b"g") + block(6, DEEP)))
case("onnx: deep graphs", OX, number(1, 9) + block(7, DEEP), "deeper")


def onnx_link(folder):
    os.symlink("/etc/passwd", os.path.join(folder, "x.bin"))
    with open(os.path.join(folder, "m.onnx"), "wb") as f:
        f.write(onnx(external(location="x.bin")))
    return os.path.join(folder, "m.onnx")


case("onnx: external data is a link elsewhere", None, onnx_link, "tensor 'w'", "symbolic link")

# ---- truncation at every byte of small files ----


def legacy():
    """torch.save's format before zip: five pickles, then the storages."""
    out = b"\x80\x02" + b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
    out += pickle.dumps(1001, 2) + pickle.dumps({"protocol_version": 1001, "little_endian": True,
                                                 "type_sizes": {"short": 2, "int": 4, "long": 4}}, 2)
    storage = (b"(" + text_op("storage") + b"ctorch\nFloatStorage\n" + text_op("0") + text_op("cpu") + b"K\x04NtQ")
    body = (b"\x80\x02}" + text_op("w") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage
            + b"K\x00K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRs.")
    return out + body + pickle.dumps(["0"], 2) + struct.pack("<q", 4) + bytes(16)


WHOLE = {"m.safetensors": GOOD, "m.gguf": GGUF_GOOD, "m.pt": PT_GOOD, "legacy.pt": legacy(), "m.npy": NPY_GOOD,
         "m.npz": NPZ_GOOD, "m.onnx": ONNX_GOOD}
for name, data in WHOLE.items():
    step = max(1, len(data) // 150)
    for cut in itertools.chain(range(1, len(data), step), range(max(1, len(data) - 24), len(data))):
        case(f"{name} cut at {cut} of {len(data)}", name, data[:cut])

# ---- things that are no files, and what an index points to ----


SHARDS = SHARD1, SHARD2 = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def index(folder, **files):
    """A model of two shards; files: shard number -> bytes, or a function that makes something else there."""
    names = {1: SHARD1, 2: SHARD2}
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
        json.dump({"weight_map": {"a": names[1], "b": names[2]}}, f)
    for key, name in names.items():
        make = files.get(f"s{key}", safetensors({"ab"[key - 1]: tensor(0, 4, [1])}, bytes(4)))
        path = os.path.join(folder, name)
        if callable(make):
            make(path)
        else:
            with open(path, "wb") as f:
                f.write(make)
    return os.path.join(folder, "model.safetensors.index.json")


def raw_index(text):
    def make(folder):
        path = os.path.join(folder, "model.safetensors.index.json")
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else json.dumps(text).encode())
        return path
    return make


def made(how):
    def make(folder):
        path = os.path.join(folder, "m.safetensors")
        how(path)
        return path
    return make


def loop(path):
    os.symlink(os.path.basename(path), path)


def dangling(path):
    os.symlink("nowhere", path)


def forbidden(path):
    with open(path, "wb") as f:
        f.write(GOOD)
    os.chmod(path, 0)


case("absent", None, lambda folder: os.path.join(folder, "absent.safetensors"), "absent.safetensors", "No such file")
case("named pipe", None, made(os.mkfifo), "named pipe")
case("symbolic link to itself", None, made(loop), "symbolic links")
case("link to nowhere", None, made(dangling), "No such file")
case("device", None, lambda folder: "/dev/zero", "/dev/zero", "device")
case("empty folder", None, lambda folder: folder, "no weights")
case("file as a folder", None, lambda folder: os.path.join(TOLA, "x"), "Not a directory")
case("unreadable", None, made(forbidden), "Permission denied")
case("unreadable shard", None, lambda f: index(f, s2=forbidden), SHARD2, "Permission denied")
case("shard is a folder", None, lambda f: index(f, s2=os.mkdir), SHARD2, "folder")
case("shard is a named pipe", None, lambda f: index(f, s1=os.mkfifo), SHARD1, "named pipe")
case("shard is a link to itself", None, lambda f: index(f, s2=loop), SHARD2, "symbolic links")
case("shard is an LFS pointer", None, lambda f: index(f, s2=LFS), SHARD2, "Git LFS pointer")
case("shard is a web page", None, lambda f: index(f, s1=b"<html>"), SHARD1, "HTML")
case("shard is empty", None, lambda f: index(f, s1=b""), SHARD1, "empty")
case("shard is cut", None, lambda f: index(f, s2=safetensors({"b": tensor(0, 400, [100])}, bytes(4))),
     SHARD2, "tensor 'b'", "missing")
case("shard of another format", None, lambda f: index(f, s2=GGUF_GOOD), SHARD2)
case("shard without its tensor", None, lambda f: index(f, s2=safetensors({"c": tensor(0, 4, [1])}, bytes(4))), "'b'")
case("tensor in two shards", None,
     lambda f: index(f, s2=safetensors({"a": tensor(0, 4, [1]), "b": tensor(4, 8, [1])}, bytes(8))), "'a'")
for name in ["../m.safetensors", "/etc/passwd", "a/../../m.safetensors", "https://127.0.0.1:9/m.safetensors", ""]:
    case(f"index that leads to '{name}'", None, raw_index({"weight_map": {"a": name}}), "index.json")
case("index: empty", None, raw_index(b""), "index.json")
case("index: no weight_map", None, raw_index({"metadata": {}}), "weight_map")
case("index: weight_map is a list", None, raw_index({"weight_map": []}), "weight_map")
case("index: shard is a number", None, raw_index({"weight_map": {"a": 1}}), "index.json")
case("index: deep", None, raw_index(b'{"x":' + b"[" * 5000), "deep")
case("index: LFS pointer", None, raw_index(LFS), "index.json")
case("index: web page", None, raw_index(b"<!DOCTYPE html>"), "index.json")
case("index: cut", None, raw_index(b'{"weight_map": {"a": "b'), "index.json")
TWICE = ', '.join([f'"a": "{SHARD1}"'] * 2)
case("index: name twice", None, lambda f: index(f) and raw_index(b'{"weight_map": {%s}}' % TWICE.encode())(f), "'a'")

# ---- running ----

NOBODY = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def execute(arguments, folder, plain_user):
    if plain_user and NOBODY is not None:
        for path, _, _ in os.walk(folder):
            os.chmod(path, 0o777)
    return subprocess.run([TOLA, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          cwd=folder, timeout=TIMEOUT, env={**os.environ, "LC_ALL": "C"},
                          user=NOBODY if plain_user and NOBODY is not None else None)


def judge(done, path, words):
    """What is wrong with the answer; None where nothing is."""
    err = done.stderr.decode("utf-8", "replace")
    if done.returncode != 2:
        return f"exit {done.returncode}: {err.strip()[:500]}"
    if done.stdout:
        return f"stdout: {done.stdout[:200]}"
    if err.count("\n") != 1 or not err.startswith("tola: "):
        return f"not one line: {err[:500]}"
    named = [os.path.basename(path), *(w for w in words if w in SHARDS)]  # a shard may stand for its index
    if not any(n in err for n in named):
        return f"does not name the file: {err.strip()}"
    missing = [w for w in words if w not in err]
    return f"lacks {missing}: {err.strip()}" if missing else None


def run_case(entry):
    name, file, contents, words = entry
    plain_user = "unreadable" in name
    with tempfile.TemporaryDirectory(prefix="tola-bad-") as folder:
        if callable(contents):
            path = contents(folder)
        else:
            path = os.path.join(folder, file)
            with open(path, "wb") as f:
                f.write(contents)
        before = sorted(os.listdir(folder))
        out = os.path.join(folder, "out")
        os.mkdir(out)
        problems = []
        verbs = [["inspect", path], ["convert", path, os.path.join(out, "x.safetensors")]]
        if " cut at " not in name:
            verbs += [["stats", path], ["diff", path, path], ["convert", path, out + "/", "--format", "gguf"]]
        for arguments in verbs[1 if "(payload)" in name else 0:]:  # inspect does not read payloads
            try:
                problem = judge(execute(arguments, folder, plain_user), path, words)
            except subprocess.TimeoutExpired:
                problem = f"no end after {TIMEOUT} s"
            if problem:
                problems.append(f"{arguments[0]}: {problem}")
        left = os.listdir(out)
        if left:
            problems.append(f"left behind: {left}")
        if sorted(os.listdir(folder)) != sorted(before + ["out"]):
            problems.append(f"made files: {sorted(os.listdir(folder))}")
        return name, problems


def check_good():
    """The files that the truncations start from do open."""
    for name, data in WHOLE.items():
        with tempfile.TemporaryDirectory(prefix="tola-bad-") as folder:
            path = os.path.join(folder, name)
            with open(path, "wb") as f:
                f.write(data)
            done = execute(["inspect", path], folder, False)
            yield f"whole {name}", [] if done.returncode == 0 else [done.stderr.decode("utf-8", "replace").strip()]


def full_disk():
    """A file system of 64 KiB, in a mount namespace of its own; None where that is not allowed here."""
    with tempfile.TemporaryDirectory(prefix="tola-bad-") as folder:
        path = os.path.join(folder, "big.safetensors")
        with open(path, "wb") as f:
            f.write(safetensors({"a": tensor(0, 1 << 20, [1 << 18])}, bytes(1 << 20)))
        os.mkdir(os.path.join(folder, "disk"))
        script = f"mount -t tmpfs -o size=64k none disk || exit 77; '{TOLA}' convert big.safetensors disk/x.gguf; " \
                 "code=$?; ls -A disk; exit $code"
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=TIMEOUT)
        err = done.stderr.decode("utf-8", "replace")
        if done.returncode == 77 or "unshare" in err:
            return None
        good = done.returncode == 2 and not done.stdout and err.count("\n") == 1 and "No space left" in err
        return [] if good else [f"exit {done.returncode}, left {done.stdout}, {err}"]


def main():
    only = os.environ.get("ONLY")
    chosen = [c for c in CASES if not only or only in c[0]]
    passed = failed = skipped = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = list(pool.map(run_case, chosen))
    results += list(check_good())
    disk = full_disk() if shutil.which("unshare") else None
    if disk is None:
        skipped += 1
        print("skipped: a full disk (no mount namespaces here)")
    else:
        results.append(("full disk", disk))
    for name, problems in results:
        passed += not problems
        failed += bool(problems)
        for problem in problems:
            print(f"FAILED {name}: {problem}")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(1 if failed else 0)


main()
