#!/usr/bin/env python3
"""QLoRA steps of tola finetune over random Q4_K weights of published shapes: tokens per second, memory predicted and
measured.

    bench/bench_finetune.py [--shapes tinyllama,llama-7b] [--steps 4] [--tokens 128] [--batch 1] [--precision bf16]
                            [--threads 2] [--layers N] [--folder /dev/shm] [--json FILE]

Models are made by random_model.py in the folder and removed. Rank 8 over all matrices of attention and feed-forward,
activations computed again, AdamW. Memory is what
/proc/self/status gives as the process's peak, pages of the mapped model included. tola is found in $TOLA_BUILD, else in
build/release. The standard library is enough."""
import argparse
import json
import os
import pathlib
import random
import subprocess
import tempfile

import random_model

ROOT = pathlib.Path(__file__).resolve().parents[1]


def examples(path, tokens, count):
    """Texts of about so many tokens each: words of the vocabulary that random_model makes."""
    random.seed(7)
    words = [word[1:] for word, _, kind in random_model.words() if kind == 1 and word.startswith("\u2581") and len(word) == 4]
    with open(path, "w", encoding="utf-8") as f:
        for _ in range(count):
            f.write(json.dumps({"text": " ".join(random.choices(words, k=tokens))}) + "\n")


def run(tola, model, folder, args):
    data, out = folder / "data.jsonl", folder / "run"
    examples(data, args.tokens, max(args.batch, 4))
    command = [tola, "finetune", model, "--data", data, "--out", out, "--steps", args.steps, "--context", args.tokens,
               "--long", "cut", "--batch", args.batch, "--recompute", "--precision", args.precision, "--threads",
               args.threads, "--json", "--force"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"tola finetune: {done.stderr.strip()}")
    report = json.loads(done.stdout)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    report["losses"] = [line["loss"] for line in lines if "loss" in line]
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="tinyllama,llama-7b")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--folder", default="/dev/shm")
    parser.add_argument("--json")
    args = parser.parse_args()
    tola = pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build" / "release") / "tola"
    rows = []
    for shape in args.shapes.split(","):
        with tempfile.TemporaryDirectory(dir=args.folder, prefix="tola-finetune-") as name:
            folder = pathlib.Path(name)
            model = folder / f"{shape}.gguf"
            size = random_model.make(model, shape, args.layers, kind=random_model.Q4_K)
            r = run(tola, model, folder, args)
        row = {"shape": shape, "file_bytes": size, "tokens_per_s": r["tokens_per_s"], "predicted": r["memory"]["total"],
               "measured": r["memory"]["measured"], "losses": r["losses"], "trained": r["trained"]}
        rows.append(row)
        print(f"{shape}: {size / 1e9:.2f} GB of q4_k, {row['trained']:,} numbers learned, {args.batch} x {args.tokens} "
              f"tokens a step, {args.precision}: {row['tokens_per_s']:.1f} tokens/s; memory {row['measured'] / 1e9:.2f} GB "
              f"({row['measured'] / 2**30:.2f} GiB), {row['predicted'] / 1e9:.2f} GB predicted "
              f"({100 * (row['predicted'] / row['measured'] - 1):+.1f} %); losses "
              + ", ".join(f"{x:.3f}" for x in row["losses"]), flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
