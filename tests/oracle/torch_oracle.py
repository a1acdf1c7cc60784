"""PyTorch files against torch itself.

Every tensor of every file in the data folder and of generated files (zip, legacy, tar; every dtype, views, shared
storages, parameters, optimizer states, quantized, sparse, conjugated, TorchScript, numpy inside) must come out with the
dtype, shape and values that torch.load gives. What tola writes, torch.load(weights_only=True) must take with equal
values. Runs with torch 1.13 and later; what a version lacks is left out."""

import argparse
import collections
import hashlib
import io
import json
import pickle
import struct
import tarfile
import warnings
import zipfile

import common

tally = common.Tally("torch")
try:
    import numpy as np
    import torch
except ImportError as error:
    tally.skip(f"no torch ({error})")
    tally.finish()
warnings.simplefilter("ignore")

NAMES = {
    "float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "int64": "i64", "int32": "i32",
    "int16": "i16", "int8": "i8", "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "bool": "bool",
    "complex128": "c128", "complex64": "c64", "complex32": "c32", "float8_e4m3fn": "f8_e4m3",
    "float8_e5m2": "f8_e5m2", "float8_e4m3fnuz": "f8_e4m3fnuz", "float8_e5m2fnuz": "f8_e5m2fnuz",
    "float8_e8m0fnu": "f8_e8m0", "qint8": "i8", "quint8": "u8", "qint32": "i32",
}
DTYPES = [name for name in NAMES if hasattr(torch, name) and name[0] != "q"]
FLAGS = {"shared": 1, "strided": 2, "swapped": 4, "packed": 8, "sparse": 16, "quantized": 32, "parameter": 64,
         "state": 128}


def raw(t):
    """The bytes of a dense tensor, row-major."""
    t = t.detach()
    if t.dtype == getattr(torch, "complex32", None):
        t = torch.view_as_real(t.resolve_conj())
    if t.is_complex():
        t = t.resolve_conj()
    t = t.resolve_neg().contiguous().reshape(-1)
    if t.numel() == 0:
        return b""
    return t.view(torch.uint8).numpy().tobytes()


def flatten(value, path, out):
    """Names as tola makes them -> tensors."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "biufc":
            value = torch.from_numpy(np.array(value, order="C").astype(value.dtype.newbyteorder("=")))
        else:
            return
    if isinstance(value, torch.Tensor):
        name = path or "tensor"
        if value.is_quantized:
            out[name] = value.int_repr()
            if value.qscheme() == torch.per_channel_affine:
                out[name + ".scales"] = value.q_per_channel_scales()
                out[name + ".zero_points"] = value.q_per_channel_zero_points()
        elif value.layout == torch.sparse_coo:
            out[name + ".indices"], out[name + ".values"] = value._indices(), value._values()
        elif value.layout == torch.sparse_csr:
            out[name + ".crow_indices"], out[name + ".col_indices"] = value.crow_indices(), value.col_indices()
            out[name + ".values"] = value.values()
        else:
            out[name] = value
    elif isinstance(value, argparse.Namespace):
        flatten(vars(value), path, out)
    elif isinstance(value, dict):
        for key, item in value.items():
            flatten(item, f"{path}.{key}" if path else str(key), out)
    elif isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        for i, item in enumerate(value):
            flatten(item, f"{path}.{i}" if path else str(i), out)
    elif type(value).__name__ in ("TypedStorage", "UntypedStorage") or type(value).__name__.endswith("Storage"):
        out[path or "tensor"] = torch.tensor([], dtype=value.dtype).set_(value)
    return out


def compare(what, seen, expected):
    """A dump against named tensors."""
    got = {t["name"]: t for t in seen["tensors"]}
    if not tally.equal(f"{what}: names", sorted(got), sorted(expected)):
        return
    for name, tensor in expected.items():
        t, label = got[name], f"{what}: {name}"
        dtype = str(tensor.dtype).replace("torch.", "")
        tally.equal(f"{label}: dtype", t["dtype"], NAMES.get(dtype, dtype))
        tally.equal(f"{label}: shape", t["shape"], list(tensor.shape))
        tally.equal(f"{label}: values", t.get("sha256", t.get("error")), hashlib.sha256(raw(tensor)).hexdigest())


def check(what, path, value, *flags):
    try:
        seen = common.dump(path, *flags)
    except common.Refused as refused:
        tally.check(what, False, str(refused))
        return None
    compare(what, seen, flatten(value, "", collections.OrderedDict()))
    return seen


def load(path, **options):
    """torch.load without restrictions, whatever its version calls that."""
    try:
        return torch.load(path, map_location="cpu", weights_only=False, **options)
    except TypeError:
        return torch.load(path, map_location="cpu", **options)


# ---- real files ----


def expected_of(path):
    """What torch makes of a real file, or None where torch cannot say."""
    if path.suffix == ".zip":
        out = {}
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".pth"):
                    inner = flatten(load(io.BytesIO(archive.read(name))), "", {})
                    out.update({f"{name[:-4]}/{key}": value for key, value in inner.items()})
        return out
    if path.suffix == ".tar":
        return None  # written by another program, in a way that torch does not read
    if path.suffix == ".jit" or "torchscript" in str(path.parent):
        module = torch.jit.load(str(path), map_location="cpu")
        return script_tensors(module)
    return flatten(load(path), "", {})


def script_tensors(module):
    """The state of a TorchScript module and those of its attributes that are tensors."""
    out = dict(module.state_dict())
    for prefix, part in module.named_modules():
        for name, value in {n: getattr(part, n, None) for n in ("_state", "_context", "h", "c")}.items():
            if isinstance(value, torch.Tensor):
                out[f"{prefix}.{name}" if prefix else name] = value
    return out


def real_files():
    folder = common.DATA / "pytorch"
    if not folder.is_dir():
        tally.skip("no data folder")
        return
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in (".npy", ".npz"):
            continue
        what = str(path.relative_to(folder))
        if path.name == "broken.pt":
            try:
                common.dump(path)
                tally.check(what, False, "was not refused")
            except common.Refused:
                tally.check(what, True)
            continue
        try:
            seen = common.dump(path)
        except common.Refused as refused:
            tally.check(what, False, str(refused))
            continue
        expected = expected_of(path)
        if expected is None:
            tally.check(what, seen["format"] == "pytorch-tar" and seen["tensors"])
            continue
        for flags, kind in (((), ""), (("--chunk", 1000), " in pieces")):
            seen = common.dump(path, *flags)
            if seen["format"] == "torchscript":  # constants of the code are no part of the state
                seen["tensors"] = [t for t in seen["tensors"] if not t["name"].startswith("constants.")]
            compare(what + kind, seen, expected)


# ---- generated files ----


def sample(name, *shape):
    dtype = getattr(torch, name)
    torch.manual_seed(len(name))
    wide = torch.randn(*shape) * 50
    if name == "bool":
        return wide > 0
    if name in ("uint16", "uint32", "uint64"):
        return torch.arange(wide.numel()).reshape(shape).to(dtype)
    if name == "complex32":
        return torch.view_as_complex(torch.randn(*shape, 2).half())
    if name == "float8_e8m0fnu":
        return torch.arange(wide.numel(), dtype=torch.uint8).reshape(shape).view(dtype)
    return wide.to(dtype)


def every_dtype():
    values = {}
    for name in DTYPES:
        try:
            values[name] = sample(name, 3, 4)
            raw(values[name])
            torch.save(values[name], io.BytesIO())
        except (RuntimeError, NotImplementedError, TypeError, KeyError):
            values.pop(name, None)
    return values


def views():
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    values = {
        "base": base, "part": base[1:], "transposed": base.permute(2, 0, 1), "steps": base[:, ::2, 1::3],
        "expanded": torch.arange(3.0).expand(4, 3), "scalar": torch.tensor(7.0), "empty": torch.zeros(0, 3),
        "one": base[2, 3, 4], "empty_view": base[:, :0], "diagonal": base[0].diagonal(),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "half_steps": torch.arange(20).half()[::3], "flipped": base.flip(0),
    }
    z = torch.randn(3, 2, dtype=torch.complex64)
    values["conj"], values["imag_of_conj"] = z.conj(), torch.randn(3, 2, dtype=torch.complex64).conj().imag
    values["conj_strided"] = z.t().conj()
    return values


def nested():
    shared = torch.randn(4, 4)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.randn(5, 4)).sum().backward()
    optimizer.step()
    return {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 7, "loss": 0.25,
        "tied": {"a": shared, "b": shared, "c": shared[1:, 2:]},
        "list": [torch.ones(2), (torch.zeros(1), "text", None)],
        "parameter": torch.nn.Parameter(torch.ones(3)), 5: torch.tensor([5]), "size": shared.size(),
        "namespace": argparse.Namespace(lr=0.5, names=["x", "y"], weight=torch.tensor([1.5])),
        "counter": collections.Counter("aab"), "default": collections.defaultdict(list, x=[1]), "set": {1, 2},
        "bytes": b"\x00\xff", "array": bytearray(b"xyz"), "dtype": torch.float16, "device": torch.device("cpu"),
        "big": 2 ** 70, "negative": -(2 ** 40), "complex": 1 + 2j,
    }


def quantized():
    x = torch.randn(4, 6)
    return {
        "qint8": torch.quantize_per_tensor(x, 0.1, 3, torch.qint8),
        "quint8": torch.quantize_per_tensor(x, 0.1, 10, torch.quint8),
        "qint32": torch.quantize_per_tensor(x, 0.1, 10, torch.qint32),
        "channel": torch.quantize_per_channel(x, torch.rand(4) + 0.1, torch.arange(4), 0, torch.qint8),
    }


def sparse():
    dense = torch.tensor([[0.0, 1, 0], [2, 0, 3]])
    return {"coo": dense.to_sparse(), "csr": dense.to_sparse_csr(), "dense": dense}


def numpy_inside():
    return {
        "plain": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(4, dtype=">i4"), "bools": np.array([True, False]), "zero": np.array(3.5),
        "scalar": np.float32(1.5), "int": np.int16(-3), "half": np.float16(-0.5), "text": np.array(["a", "bc"]),
    }


def legacy_options():
    return {"_use_new_zipfile_serialization": False}


def generated(folder):
    sets = {"dtypes": every_dtype(), "views": views(), "nested": nested(), "quantized": quantized(), "sparse": sparse(),
            "numpy": numpy_inside(), "tensor": torch.arange(6).reshape(2, 3), "list": [torch.ones(2), torch.zeros(3)],
            "nothing": {}, "storage": {"s": torch.arange(4.0).storage()}}
    for name, value in sets.items():
        for container, options in (("zip", {}), ("legacy", legacy_options())):
            for protocol in (1, 2, 3, 4, 5) if name in ("nested", "numpy", "dtypes") else (2,):
                path = folder / f"{name}-{container}-{protocol}.pt"
                try:
                    torch.save(value, path, pickle_protocol=protocol, **options)
                except (RuntimeError, AttributeError, NotImplementedError) as error:
                    tally.skip(f"this torch does not save {name} in {container}: {str(error).splitlines()[0]}")
                    continue
                # torch 1.13 forgets conjugation: what it loads counts, not what it was given
                try:
                    value = load(path)
                except AttributeError:  # legacy files with new dtypes are more than torch itself reads
                    pass
                seen = check(f"generated {path.name}", path, value)
                if seen:
                    more(name, seen)


def more(name, seen):
    """Flags and metadata of the generated files."""
    flags = {t["name"]: t["flags"] for t in seen["tensors"]}
    storages = {t["name"]: t["storage"] for t in seen["tensors"]}
    meta = seen["metadata"]["value"]

    def plain(v):
        if v["kind"] == "map":
            return {k: plain(x) for k, x in v["value"].items()}
        if v["kind"] == "array":
            return [plain(x) if isinstance(x, dict) else x for x in v["value"]]
        return v["value"]

    if name == "nested":
        tally.check("shared storages", storages["tied.a"] == storages["tied.b"] == storages["tied.c"] and
                    flags["tied.a"] & FLAGS["shared"])
        tally.check("strided view", flags["tied.c"] & FLAGS["strided"])
        tally.check("parameter flag", flags["parameter"] & FLAGS["parameter"])
        tally.check("optimizer flag", flags["optimizer.state.0.exp_avg"] & FLAGS["state"])
        tally.check("model is no state", not flags["model.0.weight"] & FLAGS["state"])
        tally.equal("epoch", plain(meta["epoch"]), 7)
        tally.equal("loss", plain(meta["loss"]), 0.25)
        tally.equal("namespace", plain(meta["namespace"]), {"lr": 0.5, "names": ["x", "y"]})
        tally.equal("counter", plain(meta["counter"]), {"a": 2, "b": 1})
        tally.equal("default", plain(meta["default"]), {"x": [1]})
        tally.equal("negative", plain(meta["negative"]), -(2 ** 40))
        tally.equal("size", plain(meta["size"]), [4, 4])
        tally.equal("dtype", plain(meta["dtype"]), "torch.float16")
        tally.equal("device", plain(meta["device"]), "cpu")
        tally.check("no bookkeeping of modules", "_metadata" not in str(meta))
    if name == "quantized":
        tally.check("quantized flag", flags["qint8"] & FLAGS["quantized"])
        tally.equal("scale", plain(meta["qint8"]), {"scheme": "per_tensor_affine", "scale": 0.1, "zero_point": 3})
        tally.equal("axis", plain(meta["channel"]), {"scheme": "per_channel_affine", "axis": 0})
    if name == "sparse":
        tally.check("sparse flag", flags["coo.indices"] & FLAGS["sparse"] and not flags["dense"] & FLAGS["sparse"])
        tally.equal("sparse size", plain(meta["coo"])["size"], [2, 3])
        tally.equal("sparse layout", plain(meta["csr"])["layout"], "torch.sparse_csr")
    if name == "numpy":
        tally.equal("numpy scalars", [plain(meta[k]) for k in ("scalar", "int", "half")], [1.5, -3, -0.5])


def big_endian(folder):
    """Files as a big-endian machine writes them."""
    values = {"f": torch.arange(5.0), "i": torch.arange(6).reshape(2, 3).t(), "h": torch.arange(3).half(),
              "c": torch.randn(2, dtype=torch.complex64), "b": torch.tensor([1, 2], dtype=torch.uint8)}
    plain, swapped = folder / "little.pt", folder / "big.pt"
    torch.save(values, plain)
    order = [t.element_size() if not t.is_complex() else t.element_size() // 2 for t in values.values()]
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(swapped, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("byteorder"):
                continue
            if "/data/" in name:
                width = order[int(name.rsplit("/", 1)[1])]
                data = np.frombuffer(data, f"<u{width}").byteswap().tobytes()
            target.writestr(name, data)
        target.writestr(source.namelist()[0].split("/")[0] + "/byteorder", "big")
    check("big-endian", swapped, values)


def deflated(folder):
    """A torch file that someone packed again with an ordinary zip program."""
    values = {"a": torch.arange(100000.0).reshape(100, 1000), "t": torch.arange(12.0).reshape(3, 4).t()}
    plain, packed = folder / "stored.pt", folder / "deflated.pt"
    torch.save(values, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    check("deflated", packed, values)
    check("deflated in pieces", packed, values, "--chunk", 4096)


def old_tar(folder):
    """The container of 2016, built by hand: torch itself can only read it."""
    weight, bias = torch.arange(12.0).reshape(3, 4), torch.arange(6.0)
    path = folder / "old.tar"
    storages = io.BytesIO()
    pickle.dump(1, storages, protocol=2)
    pickle.dump((11, "cpu", torch.FloatStorage), storages, protocol=2)
    storages.write(struct.pack("<q", 18) + raw(weight) + raw(bias))
    pickle.dump([(12, 11, 12, 6)], storages, protocol=2)
    tensors = io.BytesIO()
    pickle.dump(2, tensors, protocol=2)
    for key, storage, shape, stride, offset in ((21, 11, (4, 3), (1, 4), 0), (22, 12, (5,), (1,), 1)):
        pickle.dump((key, storage, torch.FloatTensor), tensors, protocol=2)
        n = len(shape)
        tensors.write(struct.pack("<ii", n, 0) + struct.pack(f"<{n}q", *shape) + struct.pack(f"<{n}q", *stride) +
                      struct.pack("<q", offset))

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return {"W": "21", "B": "22"}.get(value) if isinstance(value, str) else None

    object_pickle = io.BytesIO()
    Pickler(object_pickle, protocol=2).dump(collections.OrderedDict([("weight", "W"), ("bias", "B")]))
    system = pickle.dumps({"protocol_version": 1000, "little_endian": True}, protocol=2)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in (("sys_info", system), ("pickle", object_pickle.getvalue()), ("tensors", tensors.getvalue()),
                           ("storages", storages.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    values = load(path)
    tally.check("old tar in torch", torch.equal(values["weight"], weight.reshape(-1)[:12].reshape(3, 4).t()))
    seen = check("old tar", path, values)
    if seen:
        tally.equal("old tar: format", seen["format"], "pytorch-tar")


def script(folder):
    class Inner(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)
            self.register_buffer("mean", torch.ones(2))
            self.names = ["a", "b"]

        def forward(self, x):
            return self.layer(x) + self.mean

    class Outer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner()
            self.scale = torch.nn.Parameter(torch.full((1,), 2.0))

        def forward(self, x):
            return self.inner(x) * self.scale

    module = torch.jit.script(Outer())
    path = folder / "script.pt"
    torch.jit.save(module, str(path))
    seen = common.dump(path)
    tally.equal("script: format", seen["format"], "torchscript")
    compare("script", seen, dict(module.state_dict()))


# ---- what tola writes ----


def written(folder):
    values = every_dtype()
    values["folder.scalar"], values["empty"] = torch.tensor(3.5), torch.zeros(0, 4)
    values["parameter"] = torch.nn.Parameter(torch.ones(3))
    source, target = folder / "source.pt", folder / "written.pt"
    torch.save(values, source)
    try:
        common.rewrite(source, target)
    except common.Refused as refused:
        tally.check("writing", False, str(refused))
        return
    try:
        back = torch.load(target, weights_only=True)
    except Exception as error:  # whatever torch raises is the answer
        tally.check("torch.load(weights_only=True)", False, str(error))
        return
    tally.equal("written: names", list(back), list(values))
    for name, value in values.items():
        same = back[name].dtype == value.dtype and back[name].shape == value.shape and raw(back[name]) == raw(value)
        tally.check(f"written: {name}", same)
    tally.check("written: parameter", isinstance(back["parameter"], torch.nn.Parameter))
    check("written, read back", target, values)
    with zipfile.ZipFile(target) as archive:
        tally.equal("written: zip", archive.testzip(), None)
    if "mmap" in torch.load.__code__.co_varnames:
        mapped = torch.load(target, weights_only=True, mmap=True)
        tally.check("written: mapped", all(raw(mapped[n]) == raw(v) for n, v in values.items()))


def written_shards(folder):
    """Shards with an index, as transformers writes and reads them."""
    values = {f"layer.{i}.weight": torch.randn(100, 10) for i in range(10)}
    source, target = folder / "whole.pt", folder / "shards.bin"
    torch.save({**values, "note": "x"}, source)
    try:
        common.rewrite(source, target, "--shard", 13000, "--format", "pytorch")
    except common.Refused as refused:
        tally.check("writing shards", False, str(refused))
        return
    index = json.loads((folder / "shards.bin.index.json").read_text())
    tally.equal("shards: files", sorted(set(index["weight_map"].values())),
                [f"shards-{i:05}-of-00004.bin" for i in range(1, 5)])
    tally.equal("shards: size", index["metadata"]["total_size"], 40000)
    for name, file in index["weight_map"].items():
        part = torch.load(folder / file, weights_only=True)
        tally.check(f"shards: {name}", name in part and torch.equal(part[name], values[name]))
    compare("shards, read back", common.dump(folder / "shards.bin.index.json"), values)


def written_metadata(folder):
    source, target, again = folder / "meta.pt", folder / "meta-written.pt", folder / "meta-again.pt"
    # weights_only of torch 1.13 knows no opcode for floats
    config = {"name": "x", "rates": [1, 2] if torch.__version__.startswith("1.") else [0.5, 1.5]}
    torch.save({"w": torch.ones(2), "epoch": 3, "config": config}, source)
    try:
        common.rewrite(source, target)
        common.rewrite(target, again)
    except common.Refused as refused:
        tally.check("writing metadata", False, str(refused))
        return
    back = torch.load(again, weights_only=True)
    tally.equal("metadata: only tensors in the dictionary", list(back), ["w"])
    tally.equal("metadata: beside it", back.metadata, {"epoch": 3, "config": config})


real_files()
with common.folder() as temporary:
    import pathlib

    place = pathlib.Path(temporary)
    generated(place)
    big_endian(place)
    deflated(place)
    old_tar(place)
    script(place)
    written(place)
    written_metadata(place)
    written_shards(place)
tally.finish()
