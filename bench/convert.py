#!/usr/bin/env python3
"""tola convert against cp: both make the same bytes durable, in alternating runs over the same files.

    bench/convert.py [--size 8.5GB] [--pairs 9] [--folder TMP] [--tola PROGRAM] [--cases same,widen,narrow]

same:   cp --reflink=never IN OUT && sync -f OUT   against   tola convert IN OUT (which syncs, too)
widen:  the same cp                                against   tola convert --dtype f32 (bf16 -> f32)
narrow: cp of the f32 model                        against   tola convert --dtype bf16 (f32 -> bf16)

Rates count (bytes read + bytes written) / 2 a second, so that copying N bytes and turning N into 2N compare. A ratio is
the median over pairs of tola's rate by cp's; the spread is the lowest and highest. Peak memory is ru_maxrss of the
process. The model is random bf16 in [-1, 1) with a 2 GB tensor in it (a quarter of a smaller model), made once in the
folder and removed at the end. Run it on a quiet machine with room for five times the size."""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def parse_size(text):
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("GiB", 2**30), ("MiB", 2**20)):
        if text.endswith(unit):
            return int(float(text[: -len(unit)]) * factor)
    return int(text)


def make_model(path, size):
    """bf16 tensors of a quarter (at most 2 GB), many of 32 MiB, and a thousand small ones."""
    shapes = [("big.weight", [min(size // 4, 2 * 10**9) // 8192, 4096])]
    shapes += [(f"small.{i}.bias", [2048 + i]) for i in range(1000)]
    left = size - sum(2 * n[0] * (n[1] if len(n) > 1 else 1) for _, n in shapes)
    shapes += [(f"layer.{i}.weight", [4096, 4096]) for i in range(max(0, left) // (2 * 4096 * 4096))]
    header, at = {}, 0
    for name, shape in shapes:
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + 2 * count]}
        at += 2 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random.seed(7)
    block = bytearray(random.randbytes(16 << 20))
    for i in range(1, len(block), 2):
        block[i] = (block[i] & 0x80) | 0x3E  # sign and exponent of numbers below 1
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        while at:
            n = min(at, len(block))
            f.write(memoryview(block)[:n])
            at -= n
        f.flush()
        os.fsync(f.fileno())


def in_child(work, *arguments):
    """In a process of its own: what a process once held is counted in ru_maxrss of those it starts."""
    pid = os.fork()
    if pid == 0:
        work(*arguments)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        sys.exit("the model could not be made")


def timed(command):
    """Seconds and peak resident bytes of one command."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    if status:
        sys.exit(f"{command} ended with {status}")
    return seconds, usage.ru_maxrss * 1024


def copy(source, target):
    script = 'cp --reflink=never "$0" "$1" && sync -f "$1"'
    return timed(["sh", "-c", script, str(source), str(target)])


def run_case(name, source, target, tola, options, pairs):
    cp_rates, rates, ratios, peak = [], [], [], 0
    for i in range(pairs):
        measured = {}
        for who in (("cp", "tola") if i % 2 == 0 else ("tola", "cp")):
            if target.exists():
                target.unlink()
            subprocess.run(["sync", "-f", str(source.parent)], check=True)
            if who == "cp":
                seconds, _ = copy(source, target)
            else:
                seconds, resident = timed([tola, "convert", "-q", str(source), str(target), *options])
                peak = max(peak, resident)
            measured[who] = (source.stat().st_size + target.stat().st_size) / 2 / seconds
        cp_rates.append(measured["cp"])
        rates.append(measured["tola"])
        ratios.append(measured["tola"] / measured["cp"])
        print(f"  pair {i + 1}: cp {measured['cp'] / 1e6:.0f} MB/s, tola {measured['tola'] / 1e6:.0f} MB/s", flush=True)
    print(f"{name}: cp {statistics.median(cp_rates) / 1e6:.0f} MB/s, tola {statistics.median(rates) / 1e6:.0f} MB/s, "
          f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}), {pairs} pairs, "
          f"peak {peak / 2**20:.1f} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="8.5GB")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--folder", help="where to work; default: a temporary folder")
    parser.add_argument("--tola", default=str(ROOT / "build/release/tola"))
    parser.add_argument("--cases", default="same,widen,narrow")
    a = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tola-bench-", dir=a.folder))
    try:
        model, out, wide = folder / "model.safetensors", folder / "out.safetensors", folder / "wide.safetensors"
        in_child(make_model, model, parse_size(a.size))
        print(f"model: {model.stat().st_size / 1e9:.2f} GB bf16", flush=True)
        cases = a.cases.split(",")
        if "same" in cases:
            run_case("same dtype", model, out, a.tola, [], a.pairs)
        if "widen" in cases:
            run_case("bf16 -> f32", model, out, a.tola, ["--dtype", "f32"], a.pairs)
        if "narrow" in cases:
            out.unlink(missing_ok=True)
            timed([a.tola, "convert", "-q", str(model), str(wide), "--dtype", "f32"])
            model.unlink()
            run_case("f32 -> bf16", wide, out, a.tola, ["--dtype", "bf16"], a.pairs)
    finally:
        shutil.rmtree(folder)


main()
