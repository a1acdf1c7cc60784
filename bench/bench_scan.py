#!/usr/bin/env python3
"""tola scan: weights without pickles, pickles against picklescan, what the sandbox costs. Alternating runs.

    bench/bench_scan.py [--size 1GB] [--pairs 9] [--folder TMP]

Weights: a safetensors file, a torch zip (stored; its checksums are compared) and a deflated npz of --size, in GB/s of
the file. Pickles: one of protocol 4 with 100,000 entries of numbers, texts and tuples, and torch's with 10,000 tensors,
against `picklescan -p` (TOLA_PYTHON's); both with the start of their programs, and without (the same over an empty
pickle taken off). Sandbox: an empty pickle with and without."""

import argparse
import json
import os
import pathlib
import pickle
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOLA = pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build/release").resolve() / "tola"
PYTHON = os.environ.get("TOLA_PYTHON", sys.executable)
PICKLESCAN = [PYTHON, "-m", "picklescan.cli", "-p"]


def seconds(command):
    begin = time.perf_counter()
    done = subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took = time.perf_counter() - begin
    if done.returncode not in (0, 1):
        sys.exit(f"{command} ended with {done.returncode}")
    return took


def alternate(commands, pairs):
    """Seconds of each command in `pairs` rounds, after one that is not counted."""
    times = [[] for _ in commands]
    for number in range(pairs + 1):
        order = range(len(commands)) if number % 2 else reversed(range(len(commands)))
        for i in order:
            took = seconds(commands[i])
            if number:
                times[i].append(took)
    return times


def spread(values):
    values = sorted(values)
    return f"{statistics.median(values):.3g} ({values[0]:.3g}-{values[-1]:.3g})"


def tensor_file(path, size):
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    block = os.urandom(1 << 24)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(header)) + header)
        for at in range(0, size, len(block)):
            f.write(block[: size - at])


def torch_file(path, count, each):
    """What torch.save writes of `count` tensors."""
    body = b"\x80\x02}q\0("
    for i in range(count):
        key = f"layer.{i}.weight".encode()
        body += (
            b"X" + struct.pack("<I", len(key)) + key + b"ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage"
            b"ctorch\nByteStorage\nX"
            + struct.pack("<I", len(str(i)))
            + str(i).encode()
            + b"X\3\0\0\0cpuJ"
            + struct.pack("<i", each)
            + b"tQK\0J"
            + struct.pack("<i", each)
            + b"\x85K\1\x85\x89ccollections\nOrderedDict\n)RtR"
        )
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("archive/data.pkl", body + b"u.")
        block = os.urandom(each)
        for i in range(count):
            z.writestr(f"archive/data/{i}", block)
        z.writestr("archive/version", b"3\n")


def npz_file(path, size):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % size
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    block = bytes(range(256)) * 4096
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z, z.open(
        "a.npy", "w", force_zip64=True
    ) as f:
        f.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
        for at in range(0, size, len(block)):
            f.write(block[: size - at])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="1GB")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--folder")
    args = parser.parse_args()
    size = int(float(args.size.removesuffix("GB")) * 1e9)
    with tempfile.TemporaryDirectory(prefix="tola-bench-", dir=args.folder) as work:
        folder = pathlib.Path(work)
        empty = folder / "empty.pkl"
        empty.write_bytes(pickle.dumps({}))
        tensor_file(folder / "m.safetensors", size)
        torch_file(folder / "m.pt", 16, size // 16)
        npz_file(folder / "m.npz", size // 4)
        for name, unpacked in (("m.safetensors", size), ("m.pt", size), ("m.npz", size // 4)):
            times = alternate([[TOLA, "scan", folder / name]], args.pairs)[0]
            print(f"{name}: {spread([unpacked / t / 1e9 for t in times])} GB/s of weights")
            (folder / name).unlink()

        boxed = alternate([[TOLA, "scan", "--sandbox", how, empty] for how in ("always", "never")], args.pairs)
        print(
            f"sandbox: {spread([1e3 * (a - b) for a, b in zip(*boxed)])} ms a file; "
            f"with it {spread([1e3 * t for t in boxed[0]])} ms"
        )

        (folder / "p.pkl").write_bytes(
            pickle.dumps({f"k{i}": [i, float(i), str(i) * 3, (i, i + 1)] for i in range(100000)}, 4)
        )
        torch_file(folder / "p.pt", 10000, 16)
        if subprocess.run([PYTHON, "-c", "import picklescan"], capture_output=True).returncode:
            print("skipped: picklescan is not installed")
            return
        for name in ("p.pkl", "p.pt"):
            commands = [
                [TOLA, "scan", folder / name],
                [*PICKLESCAN, folder / name],
                [TOLA, "scan", empty],
                [*PICKLESCAN, empty],
            ]
            ours, theirs, our_start, their_start = alternate(commands, args.pairs)
            whole = [b / a for a, b in zip(ours, theirs)]
            bare = [(b - y) / max(a - x, 1e-4) for a, b, x, y in zip(ours, theirs, our_start, their_start)]
            print(
                f"{name}, {(folder / name).stat().st_size / 1e6:.1f} MB: "
                f"{spread([1e3 * t for t in ours])} ms, picklescan "
                f"{spread([1e3 * t for t in theirs])} ms, ratio {spread(whole)}; without start {spread(bare)}"
            )


main()
