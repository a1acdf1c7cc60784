"""The digest, computed from docs/digest.md in Python over what the reference packages read."""

import hashlib
import struct

import common

tally = common.Tally("digest")
CHUNK = 1 << 20


def root(data):
    chunks = (data[i : i + CHUNK] for i in range(0, len(data), CHUNK))
    return hashlib.sha256(b"".join(hashlib.sha256(c).digest() for c in chunks)).digest()


def digest(tensors):
    """tensors: {name: (dtype, shape, bytes)}"""
    h = hashlib.sha256(b"tola-digest-1\n")
    for name in sorted(tensors, key=str.encode):
        dtype, shape, data = tensors[name]
        encoded = name.encode()
        h.update(struct.pack("<Q", len(encoded)) + encoded + dtype.encode() + b"\0")
        h.update(struct.pack(f"<{len(shape) + 1}Q", len(shape), *shape))
        h.update(root(data))
    return h.hexdigest()


def tola(path, *flags):
    import json

    return json.loads(common.run("tola", "inspect", "--json", "--digest", *flags, path))["digest"]


NUMPY = {"float64": "f64", "float32": "f32", "float16": "f16", "int64": "i64", "int32": "i32", "int16": "i16",
         "int8": "i8", "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "bool": "bool",
         "complex64": "c64", "complex128": "c128"}
SAFETENSORS = {"F64": "f64", "F32": "f32", "F16": "f16", "BF16": "bf16", "I64": "i64", "I32": "i32", "I16": "i16",
               "I8": "i8", "U8": "u8", "BOOL": "bool", "F8_E4M3": "f8_e4m3", "F8_E5M2": "f8_e5m2"}


def of_safetensors(path):
    """Straight from the header: the format is two lines."""
    import json

    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__", None)
    data = raw[8 + length :]
    return {k: (SAFETENSORS[v["dtype"]], v["shape"], data[slice(*v["data_offsets"])]) for k, v in header.items()}


def of_numpy(arrays):
    import numpy as np

    return {k: (NUMPY[v.dtype.name], v.shape, np.ascontiguousarray(v).tobytes()) for k, v in arrays.items()}


def check_real_files():
    for path in sorted((common.DATA / "safetensors").rglob("*.safetensors")):
        tally.equal(str(path.relative_to(common.DATA)), tola(path), digest(of_safetensors(path)))


def check_gguf():
    try:
        import gguf
    except ImportError as error:
        return tally.skip(f"no gguf package ({error})")
    for name in ("llm/stories260K/stories260Ktok512.gguf", "gguf/docker_dummy/dummy.gguf"):
        path = common.DATA / name
        if not path.exists():
            tally.skip(f"no {name} in {common.DATA}")
            continue
        tensors = {}
        for t in gguf.GGUFReader(path).tensors:
            tensors[t.name] = (t.tensor_type.name.lower(), [int(n) for n in reversed(t.shape)], t.data.tobytes())
        tally.equal(name, tola(path), digest(tensors))


def sample(np):
    rng = np.random.default_rng(1)
    return {"big": rng.standard_normal((700, 1501)).astype("f4"), "exact": rng.standard_normal(1 << 18).astype("f4"),
            "empty": np.zeros((0, 4), "f4"), "scalar": np.array(3.5), "ids": np.arange(10), "é": np.ones(3, "f2"),
            "a.b": np.zeros(3, bool), "a": np.array([[1, -2]], "i1"), "fortran": np.asfortranarray(rng.random((31, 17)))}


def check_containers():
    """One set of tensors in every container, at several thread counts."""
    try:
        import numpy as np
    except ImportError as error:
        return tally.skip(f"no numpy ({error})")
    arrays = sample(np)
    want = digest(of_numpy(arrays))
    with common.folder() as folder:
        import pathlib

        folder = pathlib.Path(folder)
        np.savez(folder / "x.npz", **arrays)
        np.savez_compressed(folder / "compressed.npz", **arrays)
        paths = [folder / "x.npz", folder / "compressed.npz"]
        try:
            from safetensors.numpy import save_file

            save_file({k: np.ascontiguousarray(v).reshape(v.shape) for k, v in arrays.items()}, folder / "x.safetensors")
            paths.append(folder / "x.safetensors")
        except ImportError as error:
            tally.skip(f"no safetensors package ({error})")
        try:
            import torch

            torch.save({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()}, folder / "x.pt")
            torch.save({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()}, folder / "old.pt",
                       _use_new_zipfile_serialization=False)
            paths += [folder / "x.pt", folder / "old.pt"]
        except ImportError as error:
            tally.skip(f"no torch ({error})")
        for path in paths:
            for threads in (1, 3):
                try:
                    got = tola(path, "--threads", threads)
                except common.Refused as refused:
                    got = str(refused)
                tally.equal(f"{path.name} with {threads} threads", got, want)


if common.DATA.exists():
    check_real_files()
    check_gguf()
else:
    tally.skip(f"no data at {common.DATA}")
check_containers()
tally.finish()
