"""Differences against numpy in f64: values, NaN rules, tolerance, dtypes across containers, renamed tensors, exit codes."""

import json
import math
import pathlib
import subprocess

import common

tally = common.Tally("diff")
try:
    import numpy as np
except ImportError as error:
    tally.skip(f"no numpy ({error})")
    tally.finish()


def tola(a, b, *flags):
    """The document and the exit code."""
    done = subprocess.run([str(common.BUILD / "tola"), "diff", "--json", *map(str, flags), str(a), str(b)],
                          capture_output=True)
    if done.returncode == 2:
        raise common.Refused(done.stderr.decode())
    return json.loads(done.stdout), done.returncode


def expected(a, b, tolerance):
    x, y = np.asarray(a).astype(np.float64).ravel(), np.asarray(b).astype(np.float64).ravel()
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    both = np.isfinite(x) & np.isfinite(y)
    apart = np.zeros(x.size)
    apart[both] = np.abs(x[both] - y[both])
    apart[~both & ~same] = np.inf
    f, g = x[both].astype(np.longdouble), y[both].astype(np.longdouble)
    want = {"max_abs": float(apart.max(initial=0)), "changed_elements": int((apart > tolerance).sum())}
    if np.isinf(apart).any():
        want["rel"] = math.inf
    else:
        with np.errstate(divide="ignore"):
            want["rel"] = 0.0 if not apart.any() else float(np.sqrt(((f - g) ** 2).sum()) / np.sqrt((f * f).sum()))
    norm = np.sqrt((f * f).sum()) * np.sqrt((g * g).sum())
    want["cosine"] = 1.0 if not apart.any() else float((f * g).sum() / norm) if norm else math.nan
    return want


def close(got, want, tolerance):
    if not math.isfinite(want):
        return got is None
    return got is not None and abs(got - want) <= tolerance * max(abs(want), 1e-300)


def check_pair(what, got, a, b, tolerance):
    want = expected(a, b, tolerance)
    tally.equal(f"{what}: changed elements", got["changed_elements"], want["changed_elements"])
    tally.check(f"{what}: max abs", close(got["max_abs"], want["max_abs"], 1e-6), (got["max_abs"], want["max_abs"]))
    tally.check(f"{what}: relative", close(got["rel"], want["rel"], 1e-6), (got["rel"], want["rel"]))
    tally.check(f"{what}: cosine", close(got["cosine"], want["cosine"], 1e-9), (got["cosine"], want["cosine"]))


def pairs():
    rng = np.random.default_rng(5)
    big = rng.standard_normal((11, 131072)).astype("f4")
    moved = big.copy()
    moved[10, 131071] += 1
    noisy = (big + rng.standard_normal(big.shape) * 1e-3).astype("f4")
    nan = np.array([np.nan, 1, 2, np.inf, -np.inf, 0], "f4")
    return {
        "one element": (big, moved), "noise": (big, noisy), "f16": (big.astype("f2"), noisy.astype("f2")),
        "f64": (big.astype("f8"), noisy.astype("f8")), "f64 last bit": (np.array([1.0, 2]), np.array([np.nextafter(1, 2), 2])),
        "dtype": (big.astype("f2"), big), "exact dtype": (big.astype("f2"), big.astype("f2").astype("f8")),
        "shape": (big[:2], big[:2].reshape(-1)), "nan against number": (nan, np.array([3, 1, 2, np.inf, -np.inf, 0], "f4")),
        "infinities": (nan, np.array([np.nan, 1, 2, -np.inf, -np.inf, 0], "f4")), "to zero": (big[0], np.zeros_like(big[0])),
        "from zero": (np.zeros(8, "f4"), np.ones(8, "f4")), "bool": (np.array([True, False]), np.array([True, True])),
        "i8": (rng.integers(-100, 100, 999).astype("i1"), rng.integers(-100, 100, 999).astype("i1")),
        "i32 and f32": (np.array([1 << 24, (1 << 24) + 1], "i4"), np.array([1 << 24, 1 << 24], "f4")),
        "u8 and i64": (np.array([1, 200], "u1"), np.array([1, -56], "i8")),
    }


def check_values(folder):
    table = pairs()
    np.savez(folder / "a.npz", **{k: v[0] for k, v in table.items()})
    np.savez(folder / "b.npz", **{k: v[1] for k, v in table.items()})
    for tolerance in (0, 1e-3, 0.5):
        flags = ("--tolerance", repr(tolerance))
        got, code = tola(folder / "a.npz", folder / "b.npz", *flags, "--threads", 1)
        tally.equal(f"tolerance {tolerance}: exit code", code, 1)
        tally.check(f"tolerance {tolerance}: threads", tola(folder / "a.npz", folder / "b.npz", *flags, "--threads", 3)[0] == got)
        changed = {c["name"]: c for c in got["changed"]}
        for name, (a, b) in table.items():
            want = expected(a, b, tolerance)
            differs = want["changed_elements"] or a.dtype != b.dtype or a.shape != b.shape
            what = f"{name}, tolerance {tolerance}"
            if not tally.equal(f"{what}: is listed", name in changed, bool(differs)) or not differs:
                continue
            check_pair(what, changed[name], a, b, tolerance)
            kind = "shape" if a.shape != b.shape else "dtype" if a.dtype != b.dtype else "values"
            tally.equal(f"{what}: what", changed[name]["what"], kind)


def check_integers(folder):
    """f64 would hide these."""
    np.savez(folder / "a.npz", x=np.array([2**53, -(2**63), 5]), y=np.array([2**64 - 1, 7], "u8"))
    np.savez(folder / "b.npz", x=np.array([2**53 + 1, 2**63 - 1, 5]), y=np.array([2**64 - 2, 7], "u8"))
    changed = {c["name"]: c for c in tola(folder / "a.npz", folder / "b.npz")[0]["changed"]}
    tally.equal("i64: changed elements", changed["x"]["changed_elements"], 2)
    tally.equal("i64: max abs", changed["x"]["max_abs"], float(2**64 - 1))
    tally.equal("u64: changed elements", changed["y"]["changed_elements"], 1)
    tally.equal("u64: max abs", changed["y"]["max_abs"], 1.0)


def check_equal(folder):
    """What is the same though its bytes are not: zeros of both signs, NaNs with other payloads."""
    a = np.array([0.0, np.nan, 1], "f4")
    b = a.copy()
    b.view("u4")[:2] = 0x80000000, 0x7FC12345
    np.savez(folder / "a.npz", x=a)
    np.savez(folder / "b.npz", x=b)
    tally.equal("zeros and NaNs", tola(folder / "a.npz", folder / "b.npz"), (dict(
        schema="tola.diff/1", same=True, tolerance=0.0, seen_as_gguf=None, added=[], removed=[], changed=[], metadata=[]), 0))


def check_names(folder):
    rng = np.random.default_rng(6)
    t = [rng.standard_normal((40, 50)).astype("f4") for _ in range(6)]
    ones = np.ones(50, "f4")
    a = {"kept": t[0], "old": t[1], "gone": t[2], "first": ones, "second": ones, "cast": t[3]}
    b = {"kept": t[0], "new": t[1], "come": t[4], "third": ones, "fourth": ones, "cast2": t[3].astype("f8")}
    np.savez(folder / "a.npz", **a)
    np.savez(folder / "b.npz", **b)
    got, _ = tola(folder / "a.npz", folder / "b.npz")
    renamed = {c["a"]["name"]: c["b"]["name"] for c in got["changed"] if c["what"] == "renamed"}
    tally.equal("renamed", renamed, {"old": "new", "first": "third", "second": "fourth"})
    tally.equal("removed", got["removed"], ["gone", "cast"])
    tally.equal("added", got["added"], ["come", "cast2"])


def check_containers(folder):
    """Every container against every other: the same tensors are the same."""
    rng = np.random.default_rng(8)
    arrays = {"w": rng.standard_normal((30, 40)).astype("f4"), "h": rng.standard_normal(64).astype("f2"),
              "i": np.arange(7, dtype="i4")}
    np.savez(folder / "same.npz", **arrays)
    np.savez_compressed(folder / "packed.npz", **arrays)
    paths = [folder / "same.npz", folder / "packed.npz"]
    try:
        from safetensors.numpy import save_file

        save_file(arrays, folder / "same.safetensors")
        paths.append(folder / "same.safetensors")
    except ImportError as error:
        tally.skip(f"no safetensors package ({error})")
    try:
        import torch

        torch.save({k: torch.from_numpy(v) for k, v in arrays.items()}, folder / "same.pt")
        paths.append(folder / "same.pt")
    except ImportError as error:
        tally.skip(f"no torch ({error})")
    try:
        import gguf

        writer = gguf.GGUFWriter(folder / "same.gguf", "llama")
        for k, v in arrays.items():
            writer.add_tensor(k, v)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        paths.append(folder / "same.gguf")
    except ImportError as error:
        tally.skip(f"no gguf package ({error})")
    for a in paths:
        for b in paths:
            got, code = tola(a, b)
            tally.equal(f"{a.name} and {b.name}", (got["same"], got["changed"], code), (True, [], 0))


for step in (check_values, check_integers, check_equal, check_names, check_containers):
    with common.folder() as temporary:
        step(pathlib.Path(temporary))
tally.finish()
