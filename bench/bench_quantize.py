#!/usr/bin/env python3
"""tola quantize against llama-quantize: the same f16 GGUF of the shape of a 1.1B Llama to the same types, alternating.

    bench/bench_quantize.py [--peer PATH/llama-quantize] [--types Q8_0,Q4_0,...] [--pairs 9] [--threads 2]
                            [--folder /dev/shm] [--layers 22] [--figures]

Both read from and write to the folder, which should lie in memory (tmpfs): there syncing costs nothing, so that neither
side waits for a disk. The model is Gaussian weights, made once and removed at the end. A ratio is llama-quantize's wall
time by tola's, the median of the pairs; the spread is the lowest and highest. --figures compares the errors of
both outputs (tola diff of the file against the source). tola is found in $TOLA_BUILD, else in build/release;
llama-quantize is given, or found in PATH. The standard library is enough."""
import argparse
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

import random_model

ROOT = pathlib.Path(__file__).resolve().parents[1]
TYPES = "Q8_0,Q4_0,Q4_K,Q5_K,Q6_K,IQ4_XS"


def tola():
    return pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build/release").resolve() / "tola"


def run_type(name, source, folder, args, size):
    q = {"t": tola(), "p": args.peer, "in": source, "a": folder / "tola.gguf", "b": folder / "peer.gguf", "type": name,
         "n": args.threads}
    q = {k: shlex.quote(str(v)) for k, v in q.items()}
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench/pairs.py"), "--json", "--pairs", str(args.pairs),
         "--before", "rm -f {a} {b}".format(**q),
         "--a", "{t} quantize -q --progress never --threads {n} {in} {a} --to {type}".format(**q),
         "--b", "{p} {in} {b} {type} {n}".format(**q)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    r = json.loads(done.stdout)
    a, b, ratio = r["a"]["seconds"], r["b"]["seconds"], r["ratio_b_over_a"]
    print(f"{name}: tola {a['median']:.2f} s ({size / a['median'] / 1e9:.2f} GB/s), "
          f"llama-quantize {b['median']:.2f} s, "
          f"ratio {ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f}), {args.pairs} pairs, "
          f"peak {r['a']['peak_kib'] / 1024:.0f} and {r['b']['peak_kib'] / 1024:.0f} MiB", flush=True)
    if args.figures:
        figures(name, source, folder, args)


def figures(name, source, folder, args):
    """Root of the mean square of the difference from the source, over all matrices."""
    subprocess.run([tola(), "quantize", "-q", source, folder / "tola.gguf", "--to", name, "--force"], check=True)
    subprocess.run([args.peer, source, folder / "peer.gguf", name, str(args.threads)], check=True, capture_output=True)
    for who in ("tola", "peer"):
        done = subprocess.run([tola(), "diff", "--json", source, folder / f"{who}.gguf"],
                              capture_output=True, text=True)
        changed = [c for c in json.loads(done.stdout)["changed"] if c.get("rel") is not None]
        mean = (sum(c["rel"] ** 2 for c in changed) / max(1, len(changed))) ** 0.5
        print(f"  {who}: relative RMSE {mean:.6f} over {len(changed)} tensors", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", default=shutil.which("llama-quantize"))
    parser.add_argument("--types", default=TYPES)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", default="/dev/shm")
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--figures", action="store_true")
    args = parser.parse_args()
    if not args.peer:
        sys.exit("no llama-quantize: --peer says where it is")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tola-bench-", dir=args.folder))
    try:
        source = folder / "f16.gguf"
        size = random_model.make(source, "tinyllama", args.layers)
        print(f"model: {size / 1e9:.2f} GB f16, {args.layers} layers", flush=True)
        for name in args.types.split(","):
            run_type(name, source, folder, args, size)
    finally:
        shutil.rmtree(folder)


main()
