#!/usr/bin/env python3
"""quality.csv: how much each block type loses, ours and ggml's, on the same weights; and what the schemes of
safetensors (compressed-tensors' int8 .. int1 in groups of 128, fp8, mx and nvfp4, bitsandbytes' nf4 and fp4) lose.

    bench/quality/make_quality.py            prints what has changed against quality.csv
    bench/quality/make_quality.py --write    writes it anew

Data: weights of published models (found as the oracle tests find them, $TOLA_DATA) and generated ones; with "weighted"
a log-normal importance of the columns, the same for both, and errors weighted by it. Columns: bits a weight; rmse, the
root of the mean squared error over the standard deviation of the weights; snr, in dB; largest error over the standard
deviation; the same rmse and largest error of ggml_quantize_chunk; rmse over ggml's.

ggml's columns need libggml-base.so beside $LLAMA_QUANTIZE; without it they are taken from quality.csv. It refuses some
types without an importance matrix: there it gets one of ones. Encoders give the same bits on every instruction set;
what is left to differ between machines is the last bit of generated weights; their figures may differ by a
thousandth."""

import csv
import ctypes
import json
import math
import os
import pathlib
import struct
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "oracle"))
import common  # noqa: E402

TABLE = HERE / "quality.csv"
HEAD = ["data", "type", "bits", "rmse", "snr", "largest", "ggml_rmse", "ggml_largest", "ratio"]
# name: elements of a block, bytes, ggml's number
TYPES = {
    "q4_0": (32, 18, 2), "q4_1": (32, 20, 3), "q5_0": (32, 22, 6), "q5_1": (32, 24, 7), "q8_0": (32, 34, 8),
    "q2_k": (256, 84, 10), "q3_k": (256, 110, 11), "q4_k": (256, 144, 12), "q5_k": (256, 176, 13),
    "q6_k": (256, 210, 14), "iq1_s": (256, 50, 19), "iq1_m": (256, 56, 29), "iq2_xxs": (256, 66, 16),
    "iq2_xs": (256, 74, 17), "iq2_s": (256, 82, 22), "iq3_xxs": (256, 98, 18), "iq3_s": (256, 110, 21),
    "iq4_nl": (32, 18, 20), "iq4_xs": (256, 136, 23), "tq1_0": (256, 54, 34), "tq2_0": (256, 66, 35),
    "mxfp4": (32, 17, 39), "nvfp4": (64, 36, 40), "q1_0": (128, 18, 41), "q2_0": (64, 18, 42),
}
SCHEMES = ("int8", "int4", "int3", "int2", "int1", "fp8", "mxfp8", "mxfp6", "mxfp4", "nvfp4", "nf4", "fp4")
NEEDS_IMPORTANCE = ("iq2_xxs", "iq2_xs", "iq1_s", "iq1_m")  # ggml_quantize_requires_imatrix, and llama-quantize

REAL = ("retsim", "stories260K")


# ---- data ----

def tensor(path, name):
    file = common.DATA / path
    if not file.exists():
        return None
    found = next(t for t in common.dump(file)["tensors"] if t["name"] == name)
    return np.fromfile(file, np.float32, found["elements"], offset=found["offset"]).reshape(found["shape"])


def generated(name):
    """64 rows of 512 weights, each row with a spread of its own, as in models."""
    rng = np.random.default_rng(20261121)
    shape = (64, 512)
    if name == "gaussian":
        w = rng.standard_normal(shape)
    elif name == "laplace":
        w = rng.laplace(size=shape)
    elif name == "student":  # four degrees of freedom: heavy tails
        w = rng.standard_t(4, shape)
    else:  # sparse: nine tenths small, a few columns of outliers
        w = rng.standard_normal(shape) * np.where(rng.random(shape) < 0.1, 1, 0.05)
        w[:, rng.choice(shape[1], 5, replace=False)] *= 20
    return (w * 0.02 * np.exp(0.3 * rng.standard_normal((shape[0], 1)))).astype(np.float32)


RETSIM, STORIES = "safetensors/retsim.safetensors", "llm/stories260K/stories260Ktok512.gguf"
DATA = {
    "retsim proj1": lambda: tensor(RETSIM, "gau_layers.0.proj1.weight"),
    "retsim proj2": lambda: tensor(RETSIM, "gau_layers.1.proj2.weight"),
    "retsim embedding": lambda: tensor(RETSIM, "metric_embedding.linear.weight"),
    "stories260K token_embd": lambda: tensor(STORIES, "token_embd.weight"),
    "stories260K ffn_up": lambda: tensor(STORIES, "blk.2.ffn_up.weight"),
    "gaussian": lambda: generated("gaussian"),
    "laplace": lambda: generated("laplace"),
    "student": lambda: generated("student"),
    "sparse": lambda: generated("sparse"),
}


def importance_for(columns):
    return np.exp(1.5 * np.random.default_rng(7).standard_normal(columns)).astype(np.float32)


# ---- encoders ----

def ours(kind, rows, importance):
    weighted = ["weighted"] if importance is not None else []
    data = (importance.tobytes() if weighted else b"") + rows.tobytes()
    done = subprocess.run([common.BUILD / "tola_encode", kind, str(rows.shape[1]), *weighted], input=data,
                          capture_output=True, check=True)
    return done.stdout


class Ggml:
    def __init__(self):
        self.library = None
        if os.environ.get("LLAMA_QUANTIZE"):
            path = pathlib.Path(os.environ["LLAMA_QUANTIZE"]).parent / "libggml-base.so"
            self.library = ctypes.CDLL(str(path))
            self.library.ggml_quantize_chunk.restype = ctypes.c_size_t

    def encode(self, kind, rows, importance):
        block, size, number = TYPES[kind]
        if importance is None and kind in NEEDS_IMPORTANCE:
            importance = np.ones(rows.shape[1], np.float32)
        out = np.zeros(rows.size // block * size, np.uint8)
        floats = ctypes.POINTER(ctypes.c_float)
        done = self.library.ggml_quantize_chunk(
            ctypes.c_int(number), rows.ctypes.data_as(floats), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0),
            ctypes.c_int64(rows.shape[0]), ctypes.c_int64(rows.shape[1]),
            importance.ctypes.data_as(floats) if importance is not None else None)
        assert done == out.size, (kind, done, out.size)
        return out.tobytes()


def decode(kind, data, count):
    done = subprocess.run([common.BUILD / "tola_cast", kind, "f32", "ieee", str(count)], input=data,
                          capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32)


def by_scheme(kind, rows):
    """(bits, decoded) of `tola quantize --to KIND`, as safetensors; groups of 128 for whole numbers."""
    with common.folder() as folder:
        source, packed, plain = (f"{folder}/{name}.safetensors" for name in ("source", "packed", "plain"))
        name = "model.layers.0.mlp.up_proj.weight"
        head = json.dumps({name: {"dtype": "F32", "shape": rows.shape, "data_offsets": [0, rows.nbytes]}}).encode()
        with open(source, "wb") as out:
            out.write(struct.pack("<Q", len(head)) + head + rows.tobytes())
        group = ["--group", min(128, rows.shape[1])] if kind.startswith("int") else []
        report = json.loads(common.run("tola", "quantize", source, packed, "--to", kind, *group, "--json"))
        common.run("tola", "convert", packed, plain, "--dtype", "f32", "--quiet")
        found = next(t for t in common.dump(plain)["tensors"] if t["name"] == name)
        return report["bits_per_weight"], np.fromfile(plain, np.float32, found["elements"], offset=found["offset"])


def measure(rows, decoded, importance):
    """(rmse, snr in dB, largest), the first and last over the standard deviation."""
    w = rows.astype(np.float64)
    error = decoded.reshape(w.shape).astype(np.float64) - w
    h = np.ones(w.shape[1]) if importance is None else importance.astype(np.float64)
    h = h / h.mean()
    mean_square = (h * error * error).mean()
    signal = (h * w * w).mean()
    snr = 10 * math.log10(signal / mean_square) if mean_square else math.inf
    return math.sqrt(mean_square) / w.std(), snr, np.abs(error).max() / w.std()


def digits(x):
    return f"{x:.5g}"


def table():
    """{(data, type): row}; where ggml is absent, its columns are those of quality.csv. Data that is not there is left
    out."""
    ggml, rows_of, before = Ggml(), {}, read_table()
    for name, make in DATA.items():
        weights = make()
        if weights is None:
            continue
        rows = np.ascontiguousarray(weights.reshape(-1, weights.shape[-1]))
        for weighted in (False, True):
            importance = importance_for(rows.shape[1]) if weighted else None
            data = name + (" weighted" if weighted else "")
            for kind, (block, size, _) in TYPES.items():
                if rows.shape[1] % block:
                    continue
                rmse, snr, largest = measure(rows, decode(kind, ours(kind, rows, importance), rows.size), importance)
                if ggml.library:
                    theirs = decode(kind, ggml.encode(kind, rows, importance), rows.size)
                    their_rmse, _, their_largest = map(digits, measure(rows, theirs, importance))
                else:
                    their_rmse, their_largest = before[data, kind][6:8]
                rows_of[data, kind] = [
                    data, kind, digits(size * 8 / block), digits(rmse), f"{snr:.2f}", digits(largest), their_rmse,
                    their_largest, f"{float(digits(rmse)) / float(their_rmse):.4f}"]
        for kind in SCHEMES:
            bits, decoded = by_scheme(kind, rows)
            rmse, snr, largest = measure(rows, decoded, None)
            key = name, f"safetensors/{kind}"
            rows_of[key] = [*key, digits(bits), digits(rmse), f"{snr:.2f}", digits(largest), "", "", ""]
    return rows_of


def read_table():
    if not TABLE.exists():
        return {}
    with open(TABLE, newline="") as file:
        return {(row[0], row[1]): row for row in list(csv.reader(file))[1:]}


def main():
    now = table()
    if "--write" in sys.argv:
        if len({data for data, _ in now}) != 2 * len(DATA):
            sys.exit("--write needs all the data")
        with open(TABLE, "w", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(HEAD)
            out.writerows(now.values())
        return
    before, changed = read_table(), 0
    for key, row in now.items():
        if before.get(key, [])[:6] != row[:6]:
            changed += 1
            print("-", ",".join(before.get(key, ["none"])))
            print("+", ",".join(row))
    print(f"{changed} of {len(now)} rows differ from {TABLE.name}")


if __name__ == "__main__":
    main()
