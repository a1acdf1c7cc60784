"""Statistics against numpy in f64: real files and generated ones of every dtype, with NaNs, infinities and outliers."""

import json
import math
import pathlib

import common

tally = common.Tally("stats")
try:
    import numpy as np
except ImportError as error:
    tally.skip(f"no numpy ({error})")
    tally.finish()


def tola(path, *flags):
    return json.loads(common.run("tola", "stats", "--json", *flags, path))["tensors"]


def close(got, want, tolerance):
    if want is None or not math.isfinite(want):
        return got is None
    return got is not None and abs(got - want) <= tolerance * max(1e-300, abs(want))


def expected(array):
    x = np.asarray(array).astype(np.float64).reshape(-1)
    finite = x[np.isfinite(x)]
    want = {"elements": x.size, "zeros": int((finite == 0).sum()), "nan": int(np.isnan(x).sum()),
            "inf": int(np.isinf(x).sum())}
    if finite.size == 0:
        want.update(min=None, max=None, mean=None, std=None, norm=0.0, kurtosis=None, outliers=0)
        return want, finite
    long = finite.astype(np.longdouble)
    mean = long.mean()
    m2, m4 = ((long - mean) ** 2).mean(), ((long - mean) ** 4).mean()
    std = np.sqrt(m2)
    want.update(min=float(finite.min()), max=float(finite.max()), mean=float(mean), std=float(std),
                norm=float(np.sqrt((long**2).sum())), kurtosis=float(m4 / m2**2) if m2 > 0 else None,
                outliers=int((abs(long - mean) > 6 * std).sum()))
    return want, finite


def check_histogram(what, got, finite):
    edges, counts = got["edges"], got["counts"]
    tally.equal(f"{what}: sum of the histogram", sum(counts), finite.size)
    if not counts:
        return
    tally.check(f"{what}: edges ascend", len(edges) == len(counts) + 1 and edges == sorted(edges))
    tally.check(f"{what}: no empty end", counts[0] and counts[-1])
    exponents = np.full(finite.size, -999)
    nonzero = finite != 0
    exponents[nonzero] = np.clip(np.frexp(np.abs(finite[nonzero]))[1] - 1, -64, 63)
    for low, high, n in zip(edges, edges[1:], counts):
        if low < 0 < high:
            want = (~nonzero).sum()
        elif high <= 0:
            inside = (exponents < math.log2(-low)) & (exponents >= (math.log2(-high) if high else -65))
            want = (inside & (finite < 0)).sum()
        else:
            inside = (exponents >= math.log2(low)) & (exponents < math.log2(high))
            want = (inside & (finite > 0)).sum()
        tally.equal(f"{what}: elements from {low} to {high}", n, int(want))


def check_one(what, got, array):
    want, finite = expected(array)
    for key in ("elements", "zeros", "nan", "inf", "min", "max", "outliers"):
        tally.equal(f"{what}: {key}", got[key], want[key])
    # the mean of numbers that cancel is small against them: its error is measured by their size
    scale = abs(want["mean"] or 0) + (want["std"] or 0) if want["mean"] is not None else 1
    if want["mean"] is None:
        tally.equal(f"{what}: mean", got["mean"], None)
    else:
        tally.check(f"{what}: mean", abs(got["mean"] - want["mean"]) <= 1e-12 * max(scale, 1e-300), (got["mean"], want["mean"]))
    for key, tolerance in (("std", 1e-10), ("norm", 1e-10), ("kurtosis", 1e-8)):
        tally.check(f"{what}: {key}", close(got[key], want[key], tolerance), (got[key], want[key]))
    check_histogram(what, got["histogram"], finite)


def generated():
    rng = np.random.default_rng(7)
    big = rng.standard_normal((9, 131072)).astype("f4") * 0.02
    spiked = big.copy()
    spiked[3, 77] = 5
    spiked[8, 131071] = -0.13
    arrays = {"normal_f32": big, "spiked_f32": spiked, "normal_f64": rng.standard_normal(300001), "f16": spiked.astype("f2"),
              "far_from_zero": (rng.standard_normal(200000) + 1000).astype("f4"), "constant": np.full(5000, 0.1, "f4"),
              "zeros": np.zeros(1000, "f4"), "minus_zero": np.array([-0.0, 0.0, 1, -1], "f4"), "one": np.array([3.5], "f4"),
              "empty": np.zeros((0, 3), "f4"), "nans": np.array([np.nan, 1, np.inf, -np.inf, 2, np.nan], "f8"),
              "only_nan": np.full(5, np.nan, "f4"), "subnormal": np.array([1e-40, -1e-42, 1e-38, 0], "f4"),
              "huge": np.array([3e38, -3e38, 1e30], "f4"), "wide": np.array([1e70, -1e-300, 1e-320, 5], "f8"),
              "bool": rng.integers(0, 2, 999).astype(bool), "i64": rng.integers(-1000, 1000, 70000)}
    # blocks (131072 elements) of other spreads than their tensor, and with more far elements than are noted
    uneven = rng.standard_normal((12, 131072)) * np.array([1, 1, 20, 1, 0.01, 1, 1, 3, 1, 1, 1, 1])[:, None]
    arrays.update(uneven=uneven.astype("f4"), uneven_f16=uneven.astype("f2"), uneven_f64=uneven)
    crowd = rng.standard_normal((12, 131072)).astype("f4") * 0.1
    crowd[5, ::200] = 40
    crowd[6, ::100] = -3
    crowd[7, ::100] = np.inf
    arrays["crowd"] = crowd
    for kind in ("i1", "i2", "i4", "u1", "u2", "u4", "u8"):
        info = np.iinfo(kind)
        arrays[kind] = rng.integers(max(info.min, -(2**31)), min(info.max, 2**40), 140000).astype(kind)
    return arrays


def check_generated():
    arrays = generated()
    with common.folder() as folder:
        path = pathlib.Path(folder) / "x.npz"
        np.savez(path, **arrays)
        one = tola(path, "--threads", 1)
        for threads in (2, 5):
            tally.check(f"{threads} threads", tola(path, "--threads", threads) == one)
        for got in one:
            check_one(got["name"], got, arrays[got["name"]])
        tally.equal("all tensors", sorted(t["name"] for t in one), sorted(arrays))


def check_ml_dtypes():
    """Narrow floats, whose every value ml_dtypes knows."""
    try:
        import ml_dtypes
    except ImportError as error:
        return tally.skip(f"no ml_dtypes ({error})")
    kinds = {"BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2}
    rng = np.random.default_rng(3)
    header, payload, arrays = {}, b"", {}
    for name, kind in kinds.items():
        width = np.dtype(kind).itemsize
        every = np.arange(256**width, dtype=f"u{width}").view(kind)
        for key, array in ((name, (rng.standard_normal(300000) * 3).astype(kind)), (name + "_every", every)):
            raw = array.tobytes()
            header[key] = {"dtype": name, "shape": [array.size], "data_offsets": [len(payload), len(payload) + len(raw)]}
            payload += raw
            with np.errstate(invalid="ignore"):
                arrays[key] = array.astype(np.float64)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with common.folder() as folder:
        path = pathlib.Path(folder) / "x.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + payload)
        for got in tola(path):
            check_one(got["name"], got, arrays[got["name"]])


def check_real():
    if not common.DATA.exists():
        return tally.skip(f"no data at {common.DATA}")
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        return tally.skip(f"no safetensors package ({error})")
    for path in sorted((common.DATA / "safetensors").rglob("*.safetensors")):
        try:
            arrays = load_file(path)
        except Exception as error:  # whatever the package makes of odd files is not what is tested here
            tally.skip(f"{path.name}: the safetensors package: {error}")
            continue
        for got in tola(path):
            check_one(f"{path.name} {got['name']}", got, arrays[got["name"]])


def check_gguf():
    """Quantized tensors are measured as the numbers they stand for."""
    try:
        import gguf
    except ImportError as error:
        return tally.skip(f"no gguf package ({error})")
    path = common.DATA / "llm/stories260K/stories260Ktok512.gguf"
    if not path.exists():
        return tally.skip(f"no {path}")
    arrays = {t.name: t.data for t in gguf.GGUFReader(path).tensors}
    for got in tola(path):
        check_one(got["name"], got, arrays[got["name"]])


check_generated()
check_ml_dtypes()
check_real()
check_gguf()
tally.finish()
