#!/usr/bin/env python3
"""tola convert against cp: both make the same bytes durable, in alternating runs over the same files.

    bench/bench_convert.py [--size 8.5GB] [--pairs 9] [--folder TMP] [--cases same,widen,narrow]

same:   cp --reflink=never IN OUT && sync -f OUT   against   tola convert IN OUT (which syncs, too)
widen:  the same cp                                against   tola convert --dtype f32 (bf16 -> f32)
narrow: cp of the f32 model                        against   tola convert --dtype bf16 (f32 -> bf16)

Rates count (bytes read + bytes written) / 2 a second, so that copying N bytes and turning N into 2N compare. A ratio is
the median over pairs of tola's rate by cp's; the spread is the lowest and highest. Peak memory is ru_maxrss of the
process. The model is random bf16 in [-1, 1) with a 2 GB tensor in it (a quarter of a smaller model), made once in the
folder and removed at the end. Run it on a quiet machine with room for five times the size. tola is found in
$TOLA_BUILD, else in build/release."""
import argparse
import json
import os
import pathlib
import random
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile

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


def tola():
    return pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build/release").resolve() / "tola"


def convert(source, target, options):
    subprocess.run([str(tola()), "convert", "-q", "--force", str(source), str(target), *options.split()], check=True)


def run_case(name, source, target, options, pairs):
    """One call of pairs.py, its times turned into rates."""
    quoted = {k: shlex.quote(str(v)) for k, v in (("in", source), ("out", target), ("tola", tola()), ("at", target.parent))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench/pairs.py"), "--json", "--pairs", str(pairs),
         "--before", "rm -f {out} && sync -f {at}".format(**quoted),
         "--a", "{tola} convert -q {in} {out}".format(**quoted) + options,
         "--b", "cp --reflink=never {in} {out} && sync -f {out}".format(**quoted)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    result = json.loads(done.stdout)
    read = source.stat().st_size
    convert(source, target, options)
    moved = {"a": (read + target.stat().st_size) / 2, "b": read}
    rate = {k: moved[k] / result[k]["seconds"]["median"] / 1e6 for k in "ab"}
    ratio = {k: v * moved["a"] / moved["b"] for k, v in result["ratio_b_over_a"].items()}
    print(f"{name}: cp {rate['b']:.0f} MB/s, tola {rate['a']:.0f} MB/s, ratio {ratio['median']:.2f} "
          f"({ratio['min']:.2f}-{ratio['max']:.2f}), {pairs} pairs, peak {result['a']['peak_kib'] / 1024:.1f} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="8.5GB")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--folder", help="where to work; default: a temporary folder")
    parser.add_argument("--cases", default="same,widen,narrow")
    a = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tola-bench-", dir=a.folder))
    try:
        model, out, wide = folder / "model.safetensors", folder / "out.safetensors", folder / "wide.safetensors"
        make_model(model, parse_size(a.size))
        print(f"model: {model.stat().st_size / 1e9:.2f} GB bf16", flush=True)
        cases = a.cases.split(",")
        if "same" in cases:
            run_case("same dtype", model, out, "", a.pairs)
        if "widen" in cases:
            run_case("bf16 -> f32", model, out, " --dtype f32", a.pairs)
        if "narrow" in cases:
            out.unlink(missing_ok=True)
            convert(model, wide, "--dtype f32")
            model.unlink()
            run_case("f32 -> bf16", wide, out, " --dtype bf16", a.pairs)
    finally:
        shutil.rmtree(folder)


main()
