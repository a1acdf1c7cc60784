#!/usr/bin/env python3
"""tola stats on bf16 against the bandwidth of reading: the same file, in alternating runs.

    bench/bench_stats.py [--size 4GB] [--pairs 9] [--folder TMP]

Reading is bench_load: all threads, every byte touched through a map of the page cache. The model is random bf16."""
import argparse
import json
import os
import pathlib
import random
import re
import statistics
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build/release").resolve()


def make(path, size):
    count = size // (2 * 4096 * 4096)
    one = 2 * 4096 * 4096
    header = {f"layer.{i}.weight": {"dtype": "BF16", "shape": [4096, 4096], "data_offsets": [i * one, i * one + one]}
              for i in range(count)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random.seed(3)
    values = b"".join(struct.pack("<f", random.gauss(0, 0.02))[2:] for _ in range(1 << 20))
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _ in range(count * one // len(values)):
            f.write(values)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="4GB")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tola-bench-", dir=args.folder) as work:
        path = pathlib.Path(work) / "m.safetensors"
        make(path, int(float(args.size.removesuffix("GB")) * 1e9))
        rates, reads = [], []
        for number in range(args.pairs + 1):
            for side in ("ab" if number % 2 else "ba"):
                if side == "a":
                    begin = time.perf_counter()
                    subprocess.run([BUILD / "tola", "stats", "--json", path], check=True, capture_output=True)
                    rate = path.stat().st_size / (time.perf_counter() - begin) / 1e9
                else:
                    done = subprocess.run([BUILD / "bench_load", path], check=True, capture_output=True, text=True)
                    rate = float(re.search(r"([\d.]+) GB/s", done.stdout).group(1))
                if number:
                    (rates if side == "a" else reads).append(rate)
        ratios = sorted(a / b for a, b in zip(rates, reads))
        print(f"stats, bf16: {statistics.median(rates):.1f} GB/s, reading {statistics.median(reads):.1f} GB/s, ratio "
              f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}), {args.pairs} pairs")


main()
