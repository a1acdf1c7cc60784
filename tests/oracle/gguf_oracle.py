"""GGUF against its reference implementations.

The gguf Python package (GGUFReader) must see the same names, shapes, types, bytes and metadata as tola in real files
and in generated ones: every element type, versions 2 and 3, both byte orders, split, arrays, other alignments. What
tola writes, GGUFReader must read with equal contents, llama.cpp must load, and generate the same tokens from."""

import ctypes
import hashlib
import math
import pathlib
import struct

import common

tally = common.Tally("gguf")
try:
    import gguf
    import numpy as np
    from gguf.scripts import gguf_convert_endian
except ImportError as error:
    tally.skip(f"no gguf package ({error})")
    tally.finish()

Q = gguf.GGMLQuantizationType
V = gguf.GGUFValueType
VALUE_TYPES = {
    V.UINT8: ("uint", "u8"), V.INT8: ("int", "i8"), V.UINT16: ("uint", "u16"), V.INT16: ("int", "i16"),
    V.UINT32: ("uint", "u32"), V.INT32: ("int", "i32"), V.UINT64: ("uint", "u64"), V.INT64: ("int", "i64"),
    V.FLOAT32: ("float", "f32"), V.FLOAT64: ("float", "f64"), V.BOOL: ("bool", "bool"), V.STRING: ("string", None),
}
SCALARS = {Q.F32: "<f4", Q.F16: "<f2", Q.F64: "<f8", Q.I8: "i1", Q.I16: "<i2", Q.I32: "<i4", Q.I64: "<i8"}
# gguf-py says 40 bytes for a block of q8_1, ggml 36 (its struct holds two 16-bit numbers): left to check_type_sizes
SIZES = {kind: size for kind, size in gguf.GGML_QUANT_SIZES.items() if kind != Q.Q8_1}
BIG_ENDIAN_BLOCKS = (Q.Q4_0, Q.Q8_0, Q.Q4_K, Q.Q6_K, Q.MXFP4, Q.NVFP4)  # those that gguf-py can turn around


# ---- what GGUFReader sees ----

def little_endian(tensor, swapped):
    """A tensor's bytes as tola delivers them."""
    if tensor.tensor_type in SCALARS:
        return np.ascontiguousarray(tensor.data.astype(SCALARS[tensor.tensor_type])).tobytes()
    data = np.ascontiguousarray(tensor.data).reshape(-1).copy()
    if not swapped:
        return data.tobytes()
    if tensor.tensor_type == Q.BF16:
        return data.view(np.uint16).byteswap().tobytes()

    class Block:
        pass

    block = Block()
    block.data = data
    size = SIZES[tensor.tensor_type][1]
    for at in range(0, len(data), size):
        gguf_convert_endian.byteswap_tensors[tensor.tensor_type](block, at)
    return data.tobytes()


def same_number(got, expected):
    if isinstance(expected, float) and not math.isfinite(expected):
        return got is None  # JSON has no such numbers
    return got == expected and isinstance(got, bool) == isinstance(expected, bool)


def same_value(got, field):
    kind = field.types[0]
    expected = field.contents()
    if kind == V.ARRAY:
        if got["kind"] != "array" or len(got["value"]) != len(expected):
            return False
        if not expected:
            return True
        element = VALUE_TYPES[field.types[-1]]
        return (got["element"], got.get("dtype")) == element and all(map(same_number, got["value"], expected))
    return (got["kind"], got.get("dtype")) == VALUE_TYPES[kind] and same_number(got["value"], expected)


def metadata_of(reader):
    return {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def compare(what, path, others=(), readers=None):
    """tola's view of `path` (of all parts of it) against GGUFReader's of it and the others. Returns the readers."""
    got = common.dump(path)
    readers = readers or [gguf.GGUFReader(p) for p in (path, *others)]
    expected = {}
    for reader in readers:
        for t in reader.tensors:
            data = little_endian(t, reader.byte_order == "S")
            expected[t.name] = (t.tensor_type.name.lower(), [int(d) for d in reversed(t.shape.tolist())],
                                hashlib.sha256(data).hexdigest(), int(t.data_offset))
    tensors = {t["name"]: (t["dtype"], t["shape"], t.get("sha256", t.get("error")), t["offset"])
               for t in got["tensors"]}
    tally.equal(f"{what}: names", list(tensors), list(expected))
    for name in tensors.keys() & expected.keys():
        tally.equal(f"{what}: {name}", tensors[name], expected[name])
    fields, values = metadata_of(readers[0]), got["metadata"]["value"]
    tally.equal(f"{what}: metadata keys", list(values), list(fields))
    for name in values.keys() & fields.keys():
        tally.check(f"{what}: metadata {name}", same_value(values[name], fields[name]), str(values[name])[:200])
    # the same bytes however they are read
    for flags in (("--chunk", "1000"), ("--acquire",)):
        again = common.dump(path, *flags)
        tally.equal(f"{what}: read with {flags[0]}", [t.get("sha256") for t in again["tensors"]],
                    [t.get("sha256") for t in got["tensors"]])
    return readers


def compare_rewritten(what, source, a, folder, *flags):
    """What tola writes from `source`, as GGUFReader sees it, against the source as GGUFReader `a` sees it."""
    target = pathlib.Path(folder) / "rewritten.gguf"
    common.rewrite(source, target, *flags)
    parts = sorted(pathlib.Path(folder).glob("rewritten*.gguf"))
    readers = [gguf.GGUFReader(p) for p in parts]
    old = [(t.name, t.tensor_type, t.shape.tolist(), little_endian(t, a.byte_order == "S")) for t in a.tensors]
    new = [(t.name, t.tensor_type, t.shape.tolist(), little_endian(t, False)) for r in readers for t in r.tensors]
    tally.check(f"{what}: rewritten tensors", old == new, f"{len(new)} of {len(old)} tensors, or other contents")
    if len(parts) == 1 and a.tensors and a.byte_order == "I":
        tally.check(f"{what}: rewritten byte for byte", parts[0].read_bytes() == pathlib.Path(source).read_bytes())
    own = ("split.no", "split.count", "split.tensors.count")
    old = {k: (f.types, f.contents()) for k, f in metadata_of(a).items() if k not in own}
    new = {k: (f.types, f.contents()) for k, f in metadata_of(readers[0]).items() if k not in own}
    tally.check(f"{what}: rewritten metadata", repr(old) == repr(new), f"{old} became {new}"[:400])
    if len(parts) > 1:
        for i, r in enumerate(readers):
            split = [r.fields[k].contents() for k in own]
            tally.equal(f"{what}: part {i}", split, [i, len(parts), len(a.tensors)])
    compare(f"{what}: rewritten", parts[0], readers=readers)
    for p in parts:
        p.unlink()
    return len(parts)


# ---- generated files ----

def random_bytes(rng, count):
    return rng.integers(0, 256, count, dtype=np.uint8)


def add_values(writer):
    writer.add_uint8("v.u8", 255)
    writer.add_int8("v.i8", -128)
    writer.add_uint16("v.u16", 65535)
    writer.add_int16("v.i16", -32768)
    writer.add_uint32("v.u32", 4294967295)
    writer.add_int32("v.i32", -2147483648)
    writer.add_uint64("v.u64", 18446744073709551615)
    writer.add_int64("v.i64", -9223372036854775808)
    writer.add_float32("v.f32", 0.1)
    writer.add_float64("v.f64", 0.1)
    writer.add_float32("v.inf", math.inf)
    writer.add_bool("v.true", True)
    writer.add_bool("v.false", False)
    writer.add_string("v.string", "Gr\u00fc\u00dfe \u4f60\u597d \U0001f600 \x01\n\"\\")
    for kind in (V.UINT8, V.INT8, V.UINT16, V.INT16, V.UINT32, V.INT32, V.UINT64, V.INT64):
        writer.add_key_value(f"a.{kind.name}", [1, 0, 100, 7], V.ARRAY, kind)
    writer.add_key_value("a.f32", [0.5, -1e30, math.nan, 3e-45], V.ARRAY, V.FLOAT32)
    writer.add_key_value("a.f64", [0.1, -1e300], V.ARRAY, V.FLOAT64)
    writer.add_key_value("a.bool", [True, False, True], V.ARRAY, V.BOOL)
    writer.add_key_value("a.string", ["", "x", "\u2581the", "\U0001f600" * 300], V.ARRAY, V.STRING)
    writer.add_key_value("a.many", [f"token {i}" for i in range(3000)], V.ARRAY, V.STRING)


def add_tensors(writer, rng, big):
    for kind, (elements, size) in SIZES.items():
        shape = (3, 2, 2 * elements)
        name = f"type.{kind.name.lower()}"
        if kind in SCALARS:
            array = random_bytes(rng, 12 * size).view(np.dtype(SCALARS[kind])).reshape(shape)
            writer.add_tensor(name, array)
        elif big and kind == Q.BF16:
            writer.add_tensor(name, random_bytes(rng, 24).view(np.uint16).reshape(3, 2, 2), raw_dtype=kind)
        elif not big or kind in BIG_ENDIAN_BLOCKS:
            endian = gguf.GGUFEndian.BIG if big else None  # random bytes are as good turned around
            writer.add_tensor(name, random_bytes(rng, 12 * size).reshape(3, 2, 2 * size), raw_dtype=kind,
                              tensor_endianess=endian)
    writer.add_tensor("scalar", np.float32(2.5).reshape(()))
    writer.add_tensor("four", rng.standard_normal((2, 3, 4, 5)).astype(np.float16))


def generate(path, big=False, alignment=None, values=True, tensors=True, shard=0):
    endian = gguf.GGUFEndian.BIG if big else gguf.GGUFEndian.LITTLE
    writer = gguf.GGUFWriter(path, "test", endianess=endian, split_max_size=shard)
    if alignment:
        writer.add_custom_alignment(alignment)
    if values:
        add_values(writer)
    if tensors:
        add_tensors(writer, np.random.default_rng(7), big)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_generated(folder):
    folder = pathlib.Path(folder)
    for name, options in {
        "little": {}, "big": {"big": True}, "align64": {"alignment": 64}, "align4096": {"alignment": 4096},
        "big-align64": {"big": True, "alignment": 64}, "vocabulary": {"tensors": False},
        "big-vocabulary": {"tensors": False, "big": True}, "tensors": {"values": False},
    }.items():
        path = folder / f"{name}.gguf"
        generate(path, **options)
        (reader,) = compare(name, path)
        compare_rewritten(name, path, reader, folder)
        if name in ("little", "align64"):
            parts = compare_rewritten(f"{name} split", path, reader, folder, "--shard", "2000", "--chunk", "777")
            tally.check(f"{name}: is split", parts > 3)
    data = bytearray((folder / "little.gguf").read_bytes())
    data[4:8] = struct.pack("<I", 2)
    (folder / "v2.gguf").write_bytes(data)
    compare("version 2", folder / "v2.gguf")
    data = bytearray((folder / "big.gguf").read_bytes())
    data[4:8] = struct.pack(">I", 2)
    (folder / "v2-big.gguf").write_bytes(data)
    compare("version 2, big-endian", folder / "v2-big.gguf")


def check_split(folder):
    """Parts as gguf-py writes them; any of them opens all."""
    folder = pathlib.Path(folder) / "split"
    folder.mkdir()
    generate(folder / "m.gguf", shard=1500)
    parts = sorted(folder.glob("*.gguf"))
    tally.check("split: several files", len(parts) > 2, str(parts))
    compare("split", parts[0], parts[1:])
    first = common.dump(parts[0])
    for p in parts[1:]:
        again = common.dump(p)
        tally.equal(f"split: opened from {p.name}", again, first)
    parts[1].unlink()
    try:
        common.dump(parts[0])
        tally.check("split: a missing part is an error", False)
    except common.Refused as refused:
        tally.check("split: the missing part is named", parts[1].name in str(refused), str(refused))


# ---- llama.cpp ----

def load_llama():
    try:
        import llama_cpp
        return llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        tally.skip(f"no llama_cpp ({error})")
        return None


def check_type_sizes(llama_cpp, folder):
    """Elements and bytes of every block, as ggml itself has them, against what tola makes of the type's number."""
    libraries = sorted((pathlib.Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.so*"))
    if not libraries:
        tally.skip("no libggml-base beside llama_cpp")
        return
    ggml = ctypes.CDLL(str(libraries[0]))
    ggml.ggml_type_size.restype = ctypes.c_size_t
    ggml.ggml_blck_size.restype = ctypes.c_int64
    ggml.ggml_type_name.restype = ctypes.c_char_p
    for number in range(43):
        size, elements = ggml.ggml_type_size(number), ggml.ggml_blck_size(number)
        path = pathlib.Path(folder) / "type.gguf"
        header = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q", 1) + b"w"
        header += struct.pack("<IQIQ", 1, elements or 256, number, 0)
        path.write_bytes(header + bytes(-len(header) % 32) + bytes(size or 256))
        if size == 0 or elements == 0:
            try:
                common.dump(path)
                tally.check(f"type {number} is refused", False)
            except common.Refused as refused:
                tally.check(f"type {number} is refused", "was removed from the format" in str(refused), str(refused))
            continue
        t = common.dump(path)["tensors"][0]
        name = ggml.ggml_type_name(number).decode().lower()
        tally.equal(f"type {number}", (t["dtype"], t["elements"], t["bytes"]), (name, elements, size))


def greedy(llama_cpp, path, prompt, count):
    model = llama_cpp.Llama(model_path=str(path), n_ctx=256, n_threads=1, verbose=False, logits_all=False, seed=1)
    tokens = model.tokenize(prompt.encode())
    out = []
    for token in model.generate(tokens, temp=0.0, top_k=1, reset=True):
        out.append(token)
        if len(out) == count:
            break
    model.close()
    return out


def check_generation(llama_cpp, folder):
    source = common.DATA / "llm" / "stories260K" / "stories260Ktok512.gguf"
    if not source.exists():
        tally.skip(f"no {source.name} in the data folder")
        return
    folder = pathlib.Path(folder) / "llama"
    folder.mkdir()
    expected = greedy(llama_cpp, source, "Once upon a time", 64)
    common.rewrite(source, folder / "one.gguf")
    tally.equal("llama.cpp: tokens from a rewritten file",
                greedy(llama_cpp, folder / "one.gguf", "Once upon a time", 64), expected)
    common.rewrite(source, folder / "many.gguf", "--shard", "300000")
    parts = sorted(folder.glob("many-*.gguf"))
    tally.check("llama.cpp: the model is split", len(parts) > 2, str(parts))
    tally.equal("llama.cpp: tokens from a split file", greedy(llama_cpp, parts[0], "Once upon a time", 64), expected)
    common.rewrite(parts[1], folder / "joined.gguf")
    tally.check("a split model joined again is the file it came from",
                (folder / "joined.gguf").read_bytes() == (folder / "one.gguf").read_bytes())


# ---- real files ----

def check_real(folder):
    files = sorted(p for p in common.DATA.rglob("*.gguf") if p.read_bytes()[:4] == b"GGUF")
    if not files:
        tally.skip(f"no .gguf files under {common.DATA}")
    for path in files:
        name = str(path.relative_to(common.DATA))
        if "-of-" in path.name:
            if "-00001-of-" in path.name:
                compare(name, path, sorted(path.parent.glob(path.name.replace("-00001-of-", "-*-of-")))[1:])
            continue
        (reader,) = compare(name, path)
        compare_rewritten(name, path, reader, folder)


with common.folder() as temporary:
    check_real(temporary)
    check_generated(temporary)
    check_split(temporary)
    llama = load_llama()
    if llama:
        check_type_sizes(llama, temporary)
        check_generation(llama, temporary)
tally.finish()
