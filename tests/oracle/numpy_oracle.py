"""NumPy files against numpy itself: every array of every .npy and .npz file in the data folder and of generated ones
(every dtype, both byte orders, Fortran order, strings, records, all header versions, stored and deflated), and what
tola writes through np.load."""

import hashlib
import pathlib
import zipfile

import common

tally = common.Tally("numpy")
try:
    import numpy as np
except ImportError as error:
    tally.skip(f"no numpy ({error})")
    tally.finish()

NAMES = {"?": "bool", "b": "i8", "B": "u8", "h": "i16", "H": "u16", "i": "i32", "I": "u32", "q": "i64", "Q": "u64",
         "l": "i64", "L": "u64", "e": "f16", "f": "f32", "d": "f64", "F": "c64", "D": "c128"}
RNG = np.random.default_rng(7)


def canonical(array):
    """Row-major, little-endian bytes."""
    if array.dtype.char in NAMES:
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(array).tobytes()


def compare(what, path, arrays, *flags):
    try:
        seen = common.dump(path, *flags)
    except common.Refused as refused:
        tally.check(what, False, str(refused))
        return
    got = {t["name"]: t for t in seen["tensors"]}
    if not tally.equal(f"{what}: names", sorted(got), sorted(arrays)):
        return
    for name, array in arrays.items():
        t = got[name]
        tally.equal(f"{what}: {name}: dtype", t["dtype"], NAMES.get(array.dtype.char, "opaque"))
        tally.equal(f"{what}: {name}: shape", t["shape"], list(array.shape))
        expected = hashlib.sha256(canonical(array)).hexdigest()
        tally.equal(f"{what}: {name}: values", t.get("sha256", t.get("error")), expected)


def load(path):
    loaded = np.load(path)
    return dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {"arr_0": loaded}


def real_files():
    folder = common.DATA / "pytorch"
    if not folder.is_dir():
        tally.skip("no data folder")
        return
    for path in sorted([*folder.rglob("*.npy"), *folder.rglob("*.npz")]):
        compare(str(path.relative_to(folder)), path, load(path))


def arrays():
    out = {}
    for kind in NAMES:
        for order in "<>":
            dtype = np.dtype(kind).newbyteorder(order)
            values = (RNG.standard_normal((3, 4, 5)) * 60)
            out[f"{order}{kind}".replace("<", "little_").replace(">", "big_").replace("?", "bool")] = (
                values > 0 if kind == "?" else values.astype(dtype) if kind.islower() or kind in "FD"
                else np.abs(values).astype(dtype))
    base = np.arange(120, dtype=np.int32).reshape(2, 3, 4, 5)
    out.update(scalar=np.array(2.5), empty=np.zeros((0, 3)), fortran=np.asfortranarray(base),
               one=np.ones((1, 7), order="F"),
               big_fortran=np.asfortranarray(base.astype(">i4")), strided=base[:, ::2, 1:], long=np.arange(100000.0),
               text=np.array(["ab", "c"]), bytes=np.array([b"ab", b"c"]), dates=np.array(["2020-01-01"], "M8[D]"),
               record=np.zeros(3, dtype=[("a", "<f4"), ("b", "<i2", (2, 2)), ("c", [("d", "S3")])]),
               padded=np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)), void=np.zeros(3, "V2"))
    return out


def generated(folder):
    values = arrays()
    for name, array in values.items():
        for version in ((1, 0), (2, 0), (3, 0)):
            path = folder / f"{name}-{version[0]}.npy"
            with open(path, "wb") as file:
                np.lib.format.write_array(file, array, version=version, allow_pickle=False)
            compare(path.name, path, {"arr_0": array})
    np.savez(folder / "stored.npz", **values)
    np.savez_compressed(folder / "deflated.npz", **values)
    np.savez(folder / "empty.npz")
    for name in ("stored", "deflated"):
        compare(f"{name}.npz", folder / f"{name}.npz", values)
        compare(f"{name}.npz in pieces", folder / f"{name}.npz", values, "--chunk", 999)
    compare("empty.npz", folder / "empty.npz", {})


def refused(folder):
    path = folder / "objects.npy"
    np.save(path, np.array([{}, None], dtype=object), allow_pickle=True)
    try:
        common.dump(path)
        tally.check("objects", False, "were not refused")
    except common.Refused as error:
        tally.check("objects", "Python objects" in str(error), str(error))


def written(folder):
    values = {name: array for name, array in arrays().items() if array.dtype.char in NAMES}
    values["folder/name"] = np.arange(3)
    source, target = folder / "source.npz", folder / "written.npz"
    np.savez(source, **values)
    try:
        common.rewrite(source, target, "--chunk", 1000)
    except common.Refused as error:
        tally.check("writing", False, str(error))
        return
    with zipfile.ZipFile(target) as archive:
        tally.equal("written: zip", archive.testzip(), None)
    back = np.load(target)
    tally.equal("written: names", sorted(back.files), sorted(values))
    for name, array in values.items():
        same = back[name].shape == array.shape and canonical(back[name]) == canonical(array)
        tally.check(f"written: {name}", same and back[name].dtype == array.dtype.newbyteorder("<"))
    compare("written, read back", target, values)


real_files()
with common.folder() as temporary:
    place = pathlib.Path(temporary)
    generated(place)
    refused(place)
    written(place)
tally.finish()
