#!/usr/bin/env python3
"""Hashing a model to sign it, against the model_signing package and against `openssl speed`, in alternating runs.

    bench/bench_sign.py [--size 2GB] [--files 8] [--pairs 9] [--folder /dev/shm] [--python PYTHON]

The model is files of random bytes in memory (tmpfs), so that no disk is measured. model_signing signs with the same key
on all processors (its own default); its time is that of Config.hash and signing, without starting Python. `openssl speed
-elapsed -multi N` hashes the same small buffer on N processes: what the processors can do without reading anything."""
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
THREADS = len(os.sched_getaffinity(0))

THEIRS = """
import sys, time, model_signing
model, key, signature, algorithm = sys.argv[1:]
begin = time.perf_counter()
config = model_signing.hashing.Config().use_file_serialization(hashing_algorithm=algorithm)
model_signing.signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(
    config.set_ignored_paths(paths=["model.sig"])).sign(model, signature)
print(time.perf_counter() - begin)
"""


def ours(model, key, algorithm):
    text = subprocess.run([BUILD / "tola", "sign", model, "--key", key, "--hash", algorithm, "--force", "--json"],
                          check=True, capture_output=True, text=True).stdout
    return float(re.search(r'"seconds": ([\d.e-]+)', text).group(1))


def theirs(python, model, key, algorithm):
    text = subprocess.run([python, "-c", THEIRS, model, key, str(model) + ".theirs",
                           {"blake2b": "blake2"}.get(algorithm, algorithm)], check=True, capture_output=True, text=True)
    return float(text.stdout)


def openssl(algorithm):
    """Bytes a second of all processors together."""
    name = {"blake2b": "blake2b512"}[algorithm] if algorithm == "blake2b" else algorithm
    text = subprocess.run(["openssl", "speed", "-elapsed", "-seconds", "1", "-multi", str(THREADS), "-bytes", "65536",
                           "-evp", name], check=True, capture_output=True, text=True).stdout
    return float(re.search(r"([\d.]+)k\s*$", text).group(1)) * 1000


def describe(values, unit=""):
    return f"{statistics.median(values):.2f}{unit} ({min(values):.2f}-{max(values):.2f})"


def measure(model, key, size, algorithm, args):
    a, b, limit, package = [], [], [], bool(args.python)
    for number in range(args.pairs + 1):
        for side in ("ab" if number % 2 else "ba"):
            if side == "a":
                took = ours(model, key, algorithm)
            elif package:
                took = theirs(args.python, model, key, algorithm)
            else:
                continue
            if number:
                (a if side == "a" else b).append(size / took / 1e9)
        if number and algorithm != "blake3":
            limit.append(openssl(algorithm) / 1e9)
    line = f"{algorithm}: tola {describe(a, ' GB/s')}"
    if b:
        line += f"; model_signing {describe(b, ' GB/s')}, ratio {describe([x / y for x, y in zip(a, b)])}"
    if limit:
        line += f"; openssl speed {describe(limit, ' GB/s')}, ratio {describe([x / y for x, y in zip(a, limit)])}"
    print(f"{line}; {args.pairs} pairs, {THREADS} threads", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="2GB")
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--folder", default="/dev/shm")
    parser.add_argument("--python", default=os.environ.get("TOLA_PYTHON"), help="one that has model_signing")
    parser.add_argument("--hash", action="append", choices=["sha256", "blake2b", "blake3"])
    args = parser.parse_args()
    if args.python and subprocess.run([args.python, "-c", "import model_signing"], capture_output=True).returncode:
        print(f"{args.python} has no model_signing: only tola is measured", file=sys.stderr)
        args.python = None
    with tempfile.TemporaryDirectory(prefix="tola-bench-", dir=args.folder) as work:
        key, model = pathlib.Path(work) / "key.pem", pathlib.Path(work) / "model"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key],
                       check=True, capture_output=True)
        key.chmod(0o600)
        model.mkdir()
        one = int(float(args.size.removesuffix("GB")) * 1e9) // args.files
        block = os.urandom(1 << 20)
        for i in range(args.files):
            with open(model / f"part-{i}", "wb") as f:
                for _ in range(one // len(block)):
                    f.write(block)
        size = sum(p.stat().st_size for p in model.iterdir())
        for algorithm in args.hash or ["sha256", "blake2b", "blake3"]:
            measure(model, key, size, algorithm, args)


main()
