#!/usr/bin/env python3
"""tola inspect of models of 700 GB and more in 150 shards (sparse files), and tola --version.

    bench/bench_inspect.py [--pairs 15] [--folder TMP]

The peer reads the same headers with json and struct in Python, which is what the safetensors package does before it
maps a file; its start is included, as ours is. Figures: medians, and peak resident memory."""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOLA = pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build/release").resolve() / "tola"
PEER = """import json, struct, sys, glob
n = 0
for path in sorted(glob.glob(sys.argv[1] + '/*.safetensors')):
    with open(path, 'rb') as f:
        n += len(json.loads(f.read(struct.unpack('<Q', f.read(8))[0])))
json.load(open(sys.argv[1] + '/model.safetensors.index.json'))
print(n)"""


def pairs(name, a, b, count):
    print(f"== {name}", flush=True)
    subprocess.run([sys.executable, str(ROOT / "bench/pairs.py"), "--pairs", str(count), "--name-a", "tola", "--name-b",
                    "python", "--a", a, "--b", b], check=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tola-bench-", dir=args.folder) as work:
        peer = pathlib.Path(work) / "peer.py"
        peer.write_text(PEER)
        pairs("--version", f"{TOLA} --version", f"{sys.executable} --version", args.pairs)
        for shape in ("llama405b", "deepseek-v3"):
            model = pathlib.Path(work) / shape
            subprocess.run([sys.executable, str(ROOT / "bench/make_sparse.py"), str(model), "--shape", shape], check=True)
            pairs(f"inspect {shape}", f"{TOLA} inspect {model}", f"{sys.executable} {peer} {model}", args.pairs)


main()
