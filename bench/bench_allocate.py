#!/usr/bin/env python3
"""tola quantize --max-size against llama.cpp's mixtures: the error of all weights in files of the same size.

For each model and mixture: llama-quantize's file (where $LLAMA_QUANTIZE is set), ours of the same mixture, and ours
with --max-size that file's size. Files are decoded here again, so that no program's own report is believed. Error: root
of the sum of squared differences over that of squared weights, in all tensors of two and more dimensions, each square
weighted by the importance matrix where the model has one.

Models: weights of published models under $TOLA_DATA; and a made one of Llama's shape, 28 million weights with spreads
and tails that differ by layer and role, with an importance matrix.

    bench/bench_allocate.py [--tola build/release/tola] [--folder /dev/shm] [--types Q3_K_M,Q4_K_M,Q5_K_M]"""

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
DATA = pathlib.Path(os.environ.get("TOLA_DATA") or ROOT.parent / "shared" / "data")
PEER = os.environ.get("LLAMA_QUANTIZE")


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-800:]}")
    return done.stdout + done.stderr


def load(path):
    """{name: f32 array} of a safetensors file of f32."""
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        base = f.tell()
    head.pop("__metadata__", None)
    return {name: np.fromfile(path, np.float32, int(np.prod(t["shape"], dtype=int)),
                              offset=base + t["data_offsets"][0]).reshape(t["shape"]) for name, t in head.items()}


def decode(tola, path, folder):
    out = folder / "decoded.safetensors"
    run(tola, "convert", path, out, "--dtype", "f32", "--keep-names", "--force", "--progress", "never")
    tensors = load(out)
    out.unlink()
    return tensors


def error(weights, decoded, importance):
    lost = all_of = 0.0
    for name, w in weights.items():
        if w.ndim < 2:
            continue
        h = importance.get(name, 1.0)
        lost += float((h * (decoded[name].astype(np.float64) - w) ** 2).sum())
        all_of += float((h * w.astype(np.float64) ** 2).sum())
    return (lost / all_of) ** 0.5


# ---- models ----

def write_gguf(path, keys, tensors):
    """keys: {name: (type, packed value)}; tensors: {name: f32 array}, written as f16 but for vectors."""
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()

    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))
    head += b"".join(text(key) + struct.pack("<I", kind) + value for key, (kind, value) in keys.items())
    at, payloads = 0, []
    for name, w in tensors.items():
        data = w.astype(np.float16 if w.ndim > 1 else np.float32).tobytes()
        head += text(name) + struct.pack("<I", w.ndim) + b"".join(struct.pack("<Q", n) for n in reversed(w.shape))
        head += struct.pack("<IQ", 1 if w.ndim > 1 else 0, at)
        payloads.append(data + bytes(-len(data) % 32))
        at += len(payloads[-1])
    with open(path, "wb") as out:
        out.write(head + bytes(-len(head) % 32))
        out.writelines(payloads)


def made_model(path, imatrix_path):
    """Llama's shape. Spreads differ by layer and role, rows and columns differ, queries and keys have heavy tails."""
    rng = np.random.default_rng(20261121)
    layers, width, wide, keys, words = 8, 512, 1536, 128, 4096
    shapes = {"attn_q": (width, width), "attn_k": (keys, width), "attn_v": (keys, width), "attn_output": (width, width),
              "ffn_gate": (wide, width), "ffn_up": (wide, width), "ffn_down": (width, wide)}
    tails = {"attn_q": 5, "attn_k": 4, "attn_v": 12, "attn_output": 8, "ffn_gate": 20, "ffn_up": 30, "ffn_down": 6}

    def matrix(shape, degrees, spread):
        w = rng.standard_t(degrees, shape) * np.exp(0.25 * rng.standard_normal((shape[0], 1)))
        return (w * np.exp(0.2 * rng.standard_normal((1, shape[1]))) * spread).astype(np.float32)

    tensors = {"token_embd.weight": matrix((words, width), 12, 0.02), "output_norm.weight": np.ones(width, np.float32)}
    importance = {}
    for i in range(layers):
        for part in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{i}.{part}.weight"] = np.ones(width, np.float32)
        for role, shape in shapes.items():
            name = f"blk.{i}.{role}.weight"
            tensors[name] = matrix(shape, tails[role], 0.02 * np.exp(0.4 * rng.standard_normal()))
            importance[name] = np.exp(1.2 * rng.standard_normal(shape[1]) + rng.standard_normal()).astype(np.float32)
    tensors["output.weight"] = matrix((words, width), 8, 0.02)
    u32 = {"context_length": 256, "embedding_length": width, "block_count": layers, "feed_forward_length": wide,
           "attention.head_count": 8, "attention.head_count_kv": 2}
    keys = {"general.architecture": (8, struct.pack("<Q", 5) + b"llama"),
            "llama.attention.layer_norm_rms_epsilon": (6, struct.pack("<f", 1e-5))}
    write_gguf(path, keys | {f"llama.{k}": (4, struct.pack("<I", v)) for k, v in u32.items()}, tensors)
    with open(imatrix_path, "wb") as out:  # llama-imatrix's old format
        out.write(struct.pack("<i", len(importance)))
        for name, values in importance.items():
            out.write(struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 1, len(values)))
            out.write(values.tobytes())
    return importance


def measure(tola, folder, name, model, imatrix, importance, mixtures, runs=True):
    weights = decode(tola, model, folder)
    given = ["--imatrix", imatrix] if imatrix else []
    for mixture in mixtures:
        fixed, bound, theirs = folder / "fixed.gguf", folder / "bound.gguf", folder / "theirs.gguf"
        common = ["--keep-names", "--force", "--quiet", *given]
        run(tola, "quantize", model, fixed, "--to", mixture, *common)
        files = {}
        if PEER and runs:
            run(PEER, *given, model, theirs, mixture)
            files["llama-quantize"] = theirs
        files["mixture"] = fixed
        size = fixed.stat().st_size
        run(tola, "quantize", model, bound, "--max-size", size, *common)
        assert bound.stat().st_size <= size, (bound.stat().st_size, size)
        files["--max-size"] = bound
        line = f"{name:28} {mixture:7} {size:>10,} bytes"
        errors = {}
        for what, path in files.items():
            errors[what] = error(weights, decode(tola, path, folder), importance)
            line += f"  {what} {errors[what]:.5f}"
        print(f"{line}  ratio {errors['--max-size'] / errors['mixture']:.3f}", flush=True)
        for path in files.values():
            path.unlink()


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--tola", default=ROOT / "build" / "release" / "tola")
    ask.add_argument("--folder", default=None)
    ask.add_argument("--types", default="Q2_K,Q3_K_M,Q4_K_M,Q5_K_M,Q6_K")
    options = ask.parse_args()
    mixtures = options.types.split(",")
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = pathlib.Path(made)
        model, imatrix = folder / "made.gguf", folder / "made.dat"
        importance = made_model(model, imatrix)
        measure(options.tola, folder, "made", model, None, {}, mixtures)
        measure(options.tola, folder, "made, importance", model, imatrix, importance, mixtures)
        retsim = DATA / "safetensors" / "retsim.safetensors"
        if retsim.exists():
            measure(options.tola, folder, "retsim", retsim, None, {}, mixtures, runs=False)
        stories = DATA / "llm" / "stories260K" / "stories260Ktok512.gguf"
        if stories.exists():
            measure(options.tola, folder, "stories260K", stories, None, {}, mixtures)


main()
