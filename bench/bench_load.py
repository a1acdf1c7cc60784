#!/usr/bin/env python3
"""Loading every tensor and touching every byte: bench/load.c against the formats' own packages.

    bench/bench_load.py [--size 2GB] [--pairs 9] [--folder TMP]

safetensors against the safetensors package (safe_open, as torch tensors), a PyTorch zip against torch.load
(weights_only). Both sides time themselves, so that starting Python and importing torch does not count; both print the
sum over all words, which has to agree. Needs a Python with numpy, safetensors and torch ($TOLA_PYTHON). The file is in
the page cache for both. A ratio above 1 says that tola is faster."""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build/release").resolve()
PYTHON = os.environ.get("TOLA_PYTHON") or sys.executable
MAKE = """import sys, torch
torch.manual_seed(1)
n = int(float(sys.argv[2]) * 1e9 / 2 / 4096 / 4096)
big = {f'layer.{i}.weight': torch.randn(4096, 4096).to(torch.bfloat16) for i in range(n)}
big.update({f'layer.{i}.bias': torch.randn(4096) for i in range(200)})
torch.save(big, sys.argv[1] + '/m.pt')
from safetensors.torch import save_file
save_file(big, sys.argv[1] + '/m.safetensors')"""


def once(command):
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    size, seconds, total = re.match(r"(\d+) bytes in ([\d.]+) s.*sum ([0-9a-f]+)", text).groups()
    return float(seconds), (size, total)


def compare(path, count, threads):
    ours, theirs = [], []
    a = [str(BUILD / "bench_load"), str(path)] + ([str(threads)] if threads else [])
    b = [PYTHON, str(ROOT / "bench/load_peer.py"), str(path)]
    for number in range(count + 1):
        results = {}
        for side in ("ab" if number % 2 else "ba"):
            results[side] = once(a if side == "a" else b)
        if results["a"][1] != results["b"][1]:
            sys.exit(f"{path}: the two did not read the same: {results}")
        if number:
            ours.append(results["a"][0])
            theirs.append(results["b"][0])
    ratios = sorted(b / a for a, b in zip(ours, theirs))
    size = path.stat().st_size
    name = "safetensors" if path.suffix == ".safetensors" else "torch.load"
    print(f"{path.suffix[1:]}, {threads or 'all'} threads: tola {size / statistics.median(ours) / 1e9:.2f} GB/s, {name} "
          f"{size / statistics.median(theirs) / 1e9:.2f} GB/s, ratio {statistics.median(ratios):.2f} "
          f"({ratios[0]:.2f}-{ratios[-1]:.2f}), {count} pairs", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="2GB")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--folder")
    args = parser.parse_args()
    if subprocess.run([PYTHON, "-c", "import numpy, torch, safetensors"], capture_output=True).returncode:
        sys.exit("bench_load: numpy, torch and safetensors are wanted in " + PYTHON)
    with tempfile.TemporaryDirectory(prefix="tola-bench-", dir=args.folder) as work:
        subprocess.run([PYTHON, "-c", MAKE, work, args.size.removesuffix("GB")], check=True)
        for name in ("m.safetensors", "m.pt"):
            for threads in (1, 0):
                compare(pathlib.Path(work) / name, args.pairs, threads)


main()
