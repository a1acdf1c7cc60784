#!/usr/bin/env python3
"""What `tola fit --on this` says beside what `tola bench` and `tola run` measure, in interleaved pairs.

    bench/bench_fit.py [--types Q8_0,Q4_K_M,Q4_0,F16] [--pairs 7] [--layers 6] [--context 64] [--prompt 512]
                       [--quantize PROGRAM] [--folder /dev/shm] [--threads N] [--json FILE] [--models FILE...]

A pair is `tola fit --on this`, which measures the machine, then `tola bench`, then `tola run`, then fit again; its ratio
is the mean of both predictions over what was measured, so that a bandwidth that drifts counts for both. Printed are
medians with the lowest and highest; below 0.85 or above 1.15 the promise is not kept, and the exit code is 1. The shares
of the machine's limits that bench saw are those that data/devices.yaml lists under `kernels`.

Models have TinyLlama's shape with --layers layers (random_model.py), quantized by tola, or by --quantize
(llama-quantize). tola is found in $TOLA_BUILD, else in build/release. The standard library is enough."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import random_model

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOLA = pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build/release").resolve() / "tola"


def output(*command):
    found = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if found.returncode not in (0, 1):
        sys.exit(f"{command[0]} ended with {found.returncode}: {found.stderr.strip()[-300:]}")
    return json.loads(found.stdout)


def predicted(model, a, threads):
    found = output(TOLA, "fit", model, "--on", "this", "--context", a.context, "--prompt", a.prompt, "--json", *threads)
    device = found["devices"][0]
    return {"decode": device["decode_tokens_per_s"], "prefill": device["prefill_tokens_per_s"]}


def benched(model, a, threads):
    found = output(TOLA, "bench", model, "--json", "-q", "--rounds", 1, "--prompt", a.prompt, "--generate", a.context,
                   *threads)["results"][0]
    shares = {name: limit.get("decode_share", limit.get("prefill_share", {})).get("median")
              for name, limit in found["limits"].items()}
    return {"decode": found["decode_tokens_per_s"]["median"], "prefill": found["prefill_tokens_per_s"]["median"],
            "shares": shares}


def run(model, a, threads):
    found = output(TOLA, "run", model, "--raw", "-p", "the end of a text", "-n", a.context, "--temp", 0, "--ignore-end",
                   "--context", a.context + 16, "--json", *threads)["timings"]
    return {"decode": found["generated_tokens"] / found["generated_ms"] * 1000}


def shown(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def measure(model, label, a):
    threads = ["--threads", a.threads] if a.threads else []
    benched(model, a, threads)  # pages are read
    pairs = []
    before = predicted(model, a, threads)
    for _ in range(a.pairs):
        bench, text = benched(model, a, threads), run(model, a, threads)
        after = predicted(model, a, threads)
        pairs.append({"fit": {k: (before[k] + after[k]) / 2 for k in before}, "bench": bench, "run": text})
        before = after
    good = True
    report = {"model": label, "pairs": pairs}
    for what, against in (("decode", "bench"), ("decode", "run"), ("prefill", "bench")):
        ratios = [p["fit"][what] / p[against][what] for p in pairs]
        measured = [p[against][what] for p in pairs]
        within = 0.85 <= statistics.median(ratios) <= 1.15
        good = good and (within or what != "decode")
        report[f"{what} {against}"] = statistics.median(ratios)
        print(f"{label:8} {what:7} of {against:5} {shown(measured, 1):>24} tokens/s; fit/{against} {shown(ratios)}"
              f"{'' if within else '  NOT within 15 %'}", flush=True)
    shares = [p["bench"]["shares"] for p in pairs]
    print(f"{label:8} shares: " + ", ".join(f"{k} {statistics.median([s[k] for s in shares]):.3f}" for k in shares[0]
                                            if None not in [s[k] for s in shares]), flush=True)
    return good, report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", default="Q8_0,Q4_K_M,Q4_0,F16")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--quantize", help="llama-quantize")
    parser.add_argument("--folder", default="/dev/shm")
    parser.add_argument("--json")
    parser.add_argument("--models", nargs="*", help="measure these files instead")
    a = parser.parse_args()
    reports, good = [], True
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        base = pathlib.Path(folder) / "f16.gguf"
        if not a.models:
            random_model.make(base, "tinyllama", a.layers)
        for name in a.models or a.types.split(","):
            path = pathlib.Path(name) if a.models else base
            if not a.models and name.upper() != "F16":
                path = pathlib.Path(folder) / f"{name}.gguf"
                command = [a.quantize, base, path, name] if a.quantize else [TOLA, "quantize", base, path, "--to",
                                                                             name.lower(), "-q"]
                subprocess.run([str(c) for c in command], check=True, capture_output=True)
            kept, report = measure(path, path.stem if a.models else name, a)
            good, reports = good and kept, reports + [report]
            if path != base and not a.models:
                path.unlink()
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(reports, indent=1))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
