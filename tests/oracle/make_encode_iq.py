#!/usr/bin/env python3
"""Writes encode_iq.csv: what ggml's encoders of the iq types lose on generated rows, for encode_iq_oracle.py.

    LLAMA_QUANTIZE=.../bin/llama-quantize tests/oracle/make_encode_iq.py

libggml-base.so is taken from beside that program; the committed figures are of llama-cpp-python 0.3.36's source. Types
that ggml refuses to encode without importance get an importance of ones there. `plain` is sqrt(sum e^2 / sum w^2),
`weighted` has the importance in both sums."""

import csv
import ctypes
import os
import pathlib

import numpy as np

TABLE = pathlib.Path(__file__).with_suffix(".csv").with_name("encode_iq.csv")
# ggml's number, bytes of 256 elements, whether ggml insists on importance
TYPES = {"iq1_s": (19, 50, True), "iq1_m": (29, 56, True), "iq2_xxs": (16, 66, True), "iq2_xs": (17, 74, True),
         "iq2_s": (22, 82, False), "iq3_xxs": (18, 98, False), "iq3_s": (21, 110, False)}
DATA = ("gaussian", "student", "laplace", "outliers")


def rows(name):
    """40 rows of 768 elements and an importance for the columns."""
    rng = np.random.default_rng(20261121)
    shape = (40, 768)
    importance = np.exp(rng.standard_normal(shape[1])).astype(np.float32)
    w = {"gaussian": lambda: rng.standard_normal(shape), "student": lambda: rng.standard_t(4, shape),
         "laplace": lambda: rng.laplace(size=shape),
         "outliers": lambda: rng.standard_normal(shape) * np.where(rng.random(shape) < 0.01, 10, 1)}[name]()
    return (w * 0.02).astype(np.float32), importance


def errors(w, decoded, importance):
    """(plain, weighted)"""
    w = w.astype(np.float64)
    e = decoded.reshape(w.shape).astype(np.float64) - w
    return [float(np.sqrt((h * e * e).sum() / (h * w * w).sum())) for h in (np.ones(w.shape[1]), importance)]


def main():
    from gguf import GGMLQuantizationType, dequantize

    library = ctypes.CDLL(str(pathlib.Path(os.environ["LLAMA_QUANTIZE"]).parent / "libggml-base.so"))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    floats = ctypes.POINTER(ctypes.c_float)
    with open(TABLE, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["type", "data", "importance", "plain", "weighted"])
        for kind, (number, size, insists) in TYPES.items():
            for name in DATA:
                w, importance = rows(name)
                for given in (False, True):
                    h = importance if given else np.ones_like(importance) if insists else None
                    blocks = np.zeros((w.shape[0], w.shape[1] // 256 * size), np.uint8)
                    library.ggml_quantize_chunk(
                        ctypes.c_int(number), w.ctypes.data_as(floats), blocks.ctypes.data_as(ctypes.c_void_p),
                        ctypes.c_int64(0), ctypes.c_int64(w.shape[0]), ctypes.c_int64(w.shape[1]),
                        None if h is None else h.ctypes.data_as(floats))
                    decoded = dequantize(blocks, GGMLQuantizationType(number))
                    out.writerow([kind, name, int(given), *(f"{x:.5f}" for x in errors(w, decoded, importance))])


if __name__ == "__main__":
    main()
