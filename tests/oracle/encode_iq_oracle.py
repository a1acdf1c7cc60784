#!/usr/bin/env python3
"""The encoders of iq1_s .. iq3_s, read back by the gguf package: with importance and without, neither the plain nor the
weighted error is larger than ggml's (encode_iq.csv, which make_encode_iq.py wrote)."""

import csv
import subprocess

import common

tally = common.Tally("encode_iq")
try:
    import numpy as np
    from gguf import GGMLQuantizationType, dequantize

    import make_encode_iq as made
except ImportError as missing:
    tally.skip(missing)
    tally.finish()


def encode(kind, w, importance):
    arguments = [kind, str(w.shape[1])] + ([] if importance is None else ["weighted"])
    data = b"" if importance is None else importance.tobytes()
    done = subprocess.run([common.BUILD / "tola_encode", *arguments], input=data + w.tobytes(), capture_output=True,
                          check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(w.shape[0], -1)


def main():
    with open(made.TABLE, newline="") as file:
        for row in csv.DictReader(file):
            kind, given = row["type"], row["importance"] == "1"
            w, importance = made.rows(row["data"])
            number, size, _ = made.TYPES[kind]
            what = f"{kind}, {row['data']}, {'with' if given else 'without'} importance"
            blocks = encode(kind, w, importance if given else None)
            if not tally.equal(f"{what}: bytes of a row", blocks.shape[1], w.shape[1] // 256 * size):
                continue
            got = made.errors(w, dequantize(blocks, GGMLQuantizationType(number)), importance)
            for name, ours in zip(("plain", "weighted"), got):
                tally.check(f"{what}: {name} error", ours <= float(row[name]), f"{ours:.5f} > {row[name]}")
    tally.finish()


main()
