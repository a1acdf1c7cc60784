#!/usr/bin/env python3
"""ONNX: values of every type in every field, external data, subgraphs, Constants, sparse initializers and metadata as
the onnx package writes them; and what must be refused."""
import hashlib
import os
import sys

import common

try:
    import numpy as np
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    print(f"onnx_oracle: 0 passed, 0 failed, 1 skipped ({missing.name} is not installed)")
    sys.exit(0)

tally = common.Tally("onnx_oracle")
rng = np.random.default_rng(7)

# name of the type, our dtype, bytes an element takes in raw_data, the field of its values, what one entry holds
TYPES = {
    "FLOAT": ("f32", "float_data"), "UINT8": ("u8", "int32_data"), "INT8": ("i8", "int32_data"),
    "UINT16": ("u16", "int32_data"), "INT16": ("i16", "int32_data"), "INT32": ("i32", "int32_data"),
    "INT64": ("i64", "int64_data"), "BOOL": ("bool", "int32_data"), "FLOAT16": ("f16", "int32_data"),
    "DOUBLE": ("f64", "double_data"), "UINT32": ("u32", "uint64_data"), "UINT64": ("u64", "uint64_data"),
    "COMPLEX64": ("c64", "float_data"), "COMPLEX128": ("c128", "double_data"), "BFLOAT16": ("bf16", "int32_data"),
    "FLOAT8E4M3FN": ("f8_e4m3", "int32_data"), "FLOAT8E4M3FNUZ": ("f8_e4m3fnuz", "int32_data"),
    "FLOAT8E5M2": ("f8_e5m2", "int32_data"), "FLOAT8E5M2FNUZ": ("f8_e5m2fnuz", "int32_data"),
    "FLOAT8E8M0": ("f8_e8m0", "int32_data"), "UINT4": ("u4", "int32_data"), "INT4": ("i4", "int32_data"),
    "FLOAT4E2M1": ("f4", "int32_data"), "UINT2": ("u2", "int32_data"), "INT2": ("i2", "int32_data"),
    "FLOAT6E2M3": ("f6_e2m3", "int32_data"), "FLOAT6E3M2": ("f6_e3m2", "int32_data"),
}
BITS = {"u4": 4, "i4": 4, "f4": 4, "u2": 2, "i2": 2, "f6_e2m3": 6, "f6_e3m2": 6}
WIDTH = {"f32": 4, "u8": 1, "i8": 1, "u16": 2, "i16": 2, "i32": 4, "i64": 8, "bool": 1, "f16": 2, "f64": 8, "u32": 4,
         "u64": 8, "c64": 8, "c128": 16, "bf16": 2}


def raw_bytes(dtype, elements):
    """Random contents, as ONNX packs them, and padded to whole units as tola delivers them."""
    if dtype in BITS:
        bits = BITS[dtype]
        stored = (elements * bits + 7) // 8
        number = int.from_bytes(rng.bytes(stored + 1), "little") & ((1 << (elements * bits)) - 1)
        unit = {2: 1, 4: 1, 6: 3}[bits]
        per = {2: 4, 4: 2, 6: 4}[bits]
        whole = -(-elements // per) * unit
        return number.to_bytes(stored, "little"), number.to_bytes(whole, "little")
    if dtype == "bool":
        data = bytes(rng.integers(0, 2, elements, dtype=np.uint8))
    else:
        data = rng.bytes(elements * WIDTH.get(dtype, 1))
    return data, data


def entries(dtype, field, raw, elements):
    """The values of `field` that stand for `raw`."""
    if field == "float_data":
        return np.frombuffer(raw, np.float32)
    if field == "double_data":
        return np.frombuffer(raw, np.float64)
    if field == "int64_data":
        return np.frombuffer(raw, np.int64)
    if field == "uint64_data":
        return np.frombuffer(raw, np.uint32 if dtype == "u32" else np.uint64)
    if dtype in ("f6_e2m3", "f6_e3m2"):
        number = int.from_bytes(raw, "little")
        return [(number >> (6 * i)) & 63 for i in range(elements)]
    kind = {"i8": np.int8, "i16": np.int16, "i32": np.int32, "u16": np.uint16, "f16": np.uint16, "bf16": np.uint16}
    return np.frombuffer(raw, kind.get(dtype, np.uint8))


def tensor(name, type_name, shape, as_raw):
    dtype, field = TYPES[type_name]
    elements = int(np.prod(shape, dtype=np.int64))
    raw, delivered = raw_bytes(dtype, elements)
    t = TensorProto(name=name, data_type=getattr(TensorProto, type_name), dims=shape)
    if as_raw:
        t.raw_data = raw
    else:
        getattr(t, field).extend([x.item() if hasattr(x, "item") else x for x in entries(dtype, field, raw, elements)])
        if field in ("float_data", "double_data"):  # protobuf may change the bits of signalling NaN
            kind = np.float32 if field == "float_data" else np.float64
            delivered = np.array(getattr(t, field), kind).tobytes()
    return t, dtype, delivered


def save(folder, initializers, nodes=(), name="model.onnx", sparse=(), **extra):
    graph = helper.make_graph(list(nodes), "the graph", [], [], initializer=list(initializers),
                              sparse_initializer=list(sparse))
    model = helper.make_model(graph, producer_name="oracle", opset_imports=[helper.make_opsetid("", 21),
                                                                         helper.make_opsetid("com.x", 3)])
    for key, value in extra.items():
        setattr(model, key, value)
    path = os.path.join(folder, name)
    with open(path, "wb") as f:
        f.write(model.SerializeToString())
    return path, model


def digest(data):
    return hashlib.sha256(data).hexdigest()


def tensors_of(document):
    return {t["name"]: t for t in document["tensors"]}


def expect(path, wanted, *flags):
    """wanted: name -> (dtype, shape, bytes)."""
    try:
        found = tensors_of(common.dump(path, *flags))
    except common.Refused as refused:
        tally.check(f"{path} {flags}", False, str(refused))
        return
    tally.equal("names", list(found), list(wanted))
    for name, (dtype, shape, data) in wanted.items():
        t = found.get(name, {})
        tally.equal(f"{name} {flags}", (t.get("dtype"), t.get("shape"), t.get("sha256"), t.get("error")),
                    (dtype, list(shape), digest(data), None))


def refused(what, folder, words, initializers=(), data=None, name="bad.onnx"):
    path = os.path.join(folder, name)
    if data is None:
        path, _ = save(folder, initializers, name=name)
    else:
        with open(path, "wb") as f:
            f.write(data)
    try:
        document = common.dump(path)
        errors = " ".join(t["error"] for t in document["tensors"] if t.get("error"))
        tally.check(what, errors and all(w in errors for w in words), f"opened: {errors or 'no error'}")
    except common.Refused as error:
        tally.check(what, all(w in str(error) for w in words), str(error))


def test_types(folder):
    for as_raw in (True, False):
        wanted, initializers = {}, []
        for type_name in TYPES:
            if not hasattr(TensorProto, type_name):
                tally.skip(f"this onnx package does not know {type_name}")
                continue
            for shape in ((3, 5), (), (7,), (0, 4), (2, 3, 4)):
                name = f"{type_name}.{'x'.join(map(str, shape))}"
                t, dtype, data = tensor(name, type_name, shape, as_raw)
                initializers.append(t)
                wanted[name] = (dtype, shape, data)
        path, _ = save(folder, initializers)
        expect(path, wanted)
        for flags in (("--chunk", "3"), ("--chunk", "16"), ("--acquire",)):
            expect(path, wanted, *flags)


def test_numpy(folder):
    """Against the package's own decoding."""
    arrays = {"a": rng.standard_normal((64, 33)).astype(np.float32), "b": np.arange(-500, 500, dtype=np.int64),
              "c": rng.integers(0, 2, 100).astype(bool), "d": rng.standard_normal(9).astype(np.float16)}
    path, model = save(folder, [numpy_helper.from_array(v, k) for k, v in arrays.items()])
    found = tensors_of(common.dump(path))
    for t in onnx.load(path).graph.initializer:
        tally.equal(t.name, found[t.name]["sha256"], digest(numpy_helper.to_array(t).tobytes()))


def unpack_fields(data, field, values):
    """The same TensorProto with each value in a field of its own."""
    out = bytearray(data)
    for v in values:
        out += bytes([field << 3])
        v &= (1 << 64) - 1
        while v >= 128:
            out.append(v & 127 | 128)
            v >>= 7
        out.append(v)
    return bytes(out)


def test_unpacked(folder):
    values = [1, -2, 300, -70000, 2**31 - 1, -(2**31)]
    t = TensorProto(name="u", data_type=TensorProto.INT32, dims=[len(values)])
    body = unpack_fields(t.SerializeToString(), 5, values)
    graph = bytes([5 << 3 | 2, len(body)]) + body
    model = bytes([8, 8]) + bytes([7 << 3 | 2, len(graph)]) + graph
    path = os.path.join(folder, "unpacked.onnx")
    with open(path, "wb") as f:
        f.write(model)
    expect(path, {"u": ("i32", (6,), np.array(values, np.int32).tobytes())})
    expect(path, {"u": ("i32", (6,), np.array(values, np.int32).tobytes())}, "--chunk", "4")


def test_external(folder):
    arrays = {f"w{i}": rng.standard_normal((40, 50)).astype(np.float32) for i in range(4)}
    arrays["small"] = np.arange(4, dtype=np.int64)
    path, model = save(folder, [numpy_helper.from_array(v, k) for k, v in arrays.items()])
    wanted = {k: ("i64" if k == "small" else "f32", v.shape, v.tobytes()) for k, v in arrays.items()}
    for one_file in (True, False):
        sub = os.path.join(folder, f"external{one_file}")
        os.mkdir(sub)
        target = os.path.join(sub, "model.onnx")
        onnx.save_model(onnx.load(path), target, save_as_external_data=True, all_tensors_to_one_file=one_file,
                        location="weights.bin" if one_file else None, size_threshold=100)
        expect(target, wanted)
    # tied weights: two names, the same bytes
    sub = os.path.join(folder, "externalTrue")
    loaded = onnx.load(os.path.join(sub, "model.onnx"), load_external_data=False)
    twin = TensorProto()
    twin.CopyFrom(loaded.graph.initializer[0])
    twin.name = "twin"
    loaded.graph.initializer.append(twin)
    tied = os.path.join(sub, "tied.onnx")
    with open(tied, "wb") as f:
        f.write(loaded.SerializeToString())
    found = tensors_of(common.dump(tied))
    tally.equal("tied storage", found["twin"].get("sha256"), found["w0"].get("sha256"))


def external(location, **more):
    t = TensorProto(name="x", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        t.external_data.add(key=key, value=value)
    return t


def test_external_refused(folder):
    with open(os.path.join(folder, "x.bin"), "wb") as f:
        f.write(b"12345678")
    inner = os.path.join(folder, "inner")
    os.mkdir(inner)
    os.symlink("../x.bin", os.path.join(inner, "link.bin"))
    os.symlink("loop.bin", os.path.join(inner, "loop.bin"))
    path, _ = save(folder, [external("x.bin")])
    expect(path, {"x": ("f32", (2,), b"12345678")})
    refused("parent", inner, ["out of the model's folder"], [external("../x.bin")])
    refused("hidden parent", inner, ["out of the model's folder"], [external("a/../../x.bin")])
    refused("absolute", inner, ["no relative path"], [external(os.path.join(folder, "x.bin"))])
    refused("link", inner, ["symbolic link out"], [external("link.bin")])
    refused("link to itself", inner, ["loop.bin"], [external("loop.bin")])
    refused("url", inner, ["no relative path"], [external("http://127.0.0.1/x")])
    refused("absent", inner, ["absent.bin"], [external("absent.bin")])
    refused("folder", folder, ["folder"], [external("inner")])
    refused("nothing", folder, ["no location"], [external("")])
    refused("beyond the end", folder, ["beyond the end", "x.bin"], [external("x.bin", offset="1")])
    refused("offset overflow", folder, ["no number"], [external("x.bin", offset="99999999999999999999")])
    refused("offset wraps", folder, ["beyond the end"], [external("x.bin", offset="18446744073709551615")])
    refused("negative offset", folder, ["no number"], [external("x.bin", offset="-1")])
    refused("wrong length", folder, ["its shape and type need 8"], [external("x.bin", length="4")])


def test_graphs(folder):
    value = helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.float32([1, 2])))
    inner = helper.make_graph([value], "inner", [], [], initializer=[numpy_helper.from_array(np.float32([3]), "w")])
    node = helper.make_node("If", ["c"], ["y"], name="branch", then_branch=inner, else_branch=inner)
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.bool_([True])))
    other = helper.make_node("Constant", [], ["ints"], value_ints=[1, 2, 3])
    path, _ = save(folder, [numpy_helper.from_array(np.float32([9]), "w")], [constant, other, node])
    expect(path, {"c": ("bool", (1,), b"\1"),
                  "branch/else_branch/k": ("f32", (2,), np.float32([1, 2]).tobytes()),
                  "branch/else_branch/w": ("f32", (1,), np.float32([3]).tobytes()),
                  "branch/then_branch/k": ("f32", (2,), np.float32([1, 2]).tobytes()),
                  "branch/then_branch/w": ("f32", (1,), np.float32([3]).tobytes()),
                  "w": ("f32", (1,), np.float32([9]).tobytes())})
    sparse = onnx.SparseTensorProto(values=numpy_helper.from_array(np.float32([5, 6]), "s"),
                                    indices=numpy_helper.from_array(np.int64([1, 7])), dims=[10])
    path, _ = save(folder, [], sparse=[sparse])
    expect(path, {"s.values": ("f32", (2,), np.float32([5, 6]).tobytes()),
                  "s.indices": ("i64", (2,), np.int64([1, 7]).tobytes())})
    path, _ = save(folder, [helper.make_tensor("text", TensorProto.STRING, [2], [b"ab", b"cde"])])
    expect(path, {"text": ("opaque", (2,), b"\x32\x02ab\x32\x03cde")})


def test_metadata(folder):
    path, model = save(folder, [], doc_string="a text", model_version=7, domain="org.x")
    helper.set_model_props(model, {"key": "value", "other": "x" * 5000})
    with open(path, "wb") as f:
        f.write(model.SerializeToString())
    document = common.dump(path)
    tally.equal("format", document["format"], "onnx")
    metadata = document["metadata"]["value"]
    plain = {k: v["value"] for k, v in metadata.items() if v["kind"] != "map"}
    tally.equal("metadata", plain, {"ir_version": model.ir_version, "producer_name": "oracle", "domain": "org.x",
                                    "model_version": 7, "doc_string": "a text", "graph_name": "the graph"})
    tally.equal("opsets", {k: v["value"] for k, v in metadata["opset_import"]["value"].items()},
                {"ai.onnx": 21, "com.x": 3})
    tally.equal("props", {k: v["value"] for k, v in metadata["metadata_props"]["value"].items()},
                {"key": "value", "other": "x" * 5000})


def test_package_models(folder):
    """The models that the onnx package brings for its own tests, those that hold weights."""
    for root, _, files in os.walk(os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")):
        if "model.onnx" not in files:
            continue
        path = os.path.join(root, "model.onnx")
        model = onnx.load(path)
        initializers = [t for t in model.graph.initializer if t.data_type != TensorProto.STRING]
        if not initializers:
            continue
        found = tensors_of(common.dump(path))
        for t in initializers:
            if t.data_type in (TensorProto.UINT4, TensorProto.INT4, TensorProto.FLOAT4E2M1):
                continue  # to_array unpacks them
            tally.equal(f"{path} {t.name}", found.get(t.name, {}).get("sha256"),
                        digest(numpy_helper.to_array(t).tobytes()))


def test_refused(folder):
    def t(**fields):
        return TensorProto(**{"name": "x", "data_type": TensorProto.FLOAT, "dims": [2], **fields})
    refused("no values", folder, ["tensor 'x'", "no values"], [t()])
    refused("raw too short", folder, ["raw_data has 4 bytes", "need 8"], [t(raw_data=b"1234")])
    refused("too few values", folder, ["holds 1 values"], [t(float_data=[1])])
    refused("wrong field", folder, ["field 4"], [t(data_type=TensorProto.INT32, float_data=[1, 2])])
    refused("both", folder, ["twice"], [t(raw_data=b"12345678", float_data=[1, 2])])
    refused("unknown type", folder, ["unknown element type 99"], [t(data_type=99, raw_data=b"12345678")])
    refused("undefined type", folder, ["unknown element type 0"], [t(data_type=0, raw_data=b"12345678")])
    refused("negative extent", folder, ["negative"], [t(dims=[-1], raw_data=b"")])
    refused("shape overflow", folder, ["overflow"], [t(dims=[2**62, 8], raw_data=b"")])
    refused("value too large", folder, ["cannot hold"], [t(data_type=TensorProto.UINT8, int32_data=[1, 256])])
    refused("negative unsigned", folder, ["cannot hold"], [t(data_type=TensorProto.UINT16, int32_data=[1, -1])])
    refused("no bool", folder, ["cannot hold"], [t(data_type=TensorProto.BOOL, int32_data=[1, 2])])
    refused("varints: too few", folder, ["holds 3 values"],
            [t(data_type=TensorProto.INT64, dims=[5], int64_data=[1 << 40, 1 << 40, 1 << 40])])
    refused("varints: too many", folder, ["more values"],
            [t(data_type=TensorProto.INT64, dims=[2], int64_data=[1, 2, 3])])
    refused("no name", folder, ["no name"], [t(name="", raw_data=b"12345678")])
    refused("two of one name", folder, ["two tensors"], [t(raw_data=b"12345678"), t(raw_data=b"12345678")])
    refused("segment", folder, ["segments"], [t(segment=TensorProto.Segment(begin=0, end=1), raw_data=b"12345678")])
    path, model = save(folder, [t(raw_data=b"12345678")])
    data = model.SerializeToString()
    for cut in range(4, len(data)):
        try:
            if onnx.ModelProto.FromString(data[:cut]).HasField("graph"):
                continue  # cut between two fields of the model: nothing tells that more belongs there
        except DecodeError:
            pass
        refused(f"cut at {cut}", folder, ["bad.onnx"], data=data[:cut])
    nested = b""
    for _ in range(200):
        attribute = b"\x0a\x01g" + b"\x32" + length(nested) + nested
        node = b"\x12\x01o" + b"\x2a" + length(attribute) + attribute
        nested = b"\x0a" + length(node) + node
    refused("deep", folder, ["deeper"], data=b"\x08\x08\x3a" + length(nested) + nested)


def length(data):
    n, out = len(data), bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


for test in (test_types, test_numpy, test_unpacked, test_external, test_external_refused, test_graphs, test_metadata,
             test_package_models, test_refused):
    with common.folder() as place:
        test(place)
tally.finish()
