#!/usr/bin/env python3
"""What a small model forgets when it is fine-tuned, method against remedy: the table of docs/finetune.md.

    bench/forgetting.py MODEL --data FILE.jsonl --anchor FILE [--validation FILE.jsonl] [--steps 80] [--folder DIR]

Every row is one run of tola finetune with the same examples, order, seed and steps. Printed: loss of the answers on
--validation after the run, the anchor's perplexity after it, and KL(base || after) in nats a token. tola is found in
$TOLA_BUILD, else in build/release. The standard library is enough."""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FULL, LORA = ["--method", "full", "--lr", "1e-3"], ["--lr", "5e-3"]
RUNS = [
    ("full", FULL),
    ("full, replay 0.25", FULL + ["--replay", "0.25"]),
    ("full, KL to the base 1", FULL + ["--anchor-kl", "1"]),
    ("full, EWC 100", FULL + ["--ewc", "100"]),
    ("full, EWC 1000", FULL + ["--ewc", "1000"]),
    ("full, stop at +25 %, looked at every 10 steps", FULL + ["--forget-limit", "0.25"]),
    ("LoRA, rank 8", LORA),
    ("LoRA, rank 2", LORA + ["--rank", "2"]),
    ("LoRA, rank 8, replay 0.25", LORA + ["--replay", "0.25"]),
    ("LoRA, rank 8, KL to the base 1", LORA + ["--anchor-kl", "1"]),
    ("DoRA, rank 8", LORA + ["--method", "dora"]),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--anchor", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--context", type=int, default=192)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--folder", default="/tmp")
    args = parser.parse_args()
    tola = pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build" / "release") / "tola"
    print("| | loss of answers | anchor perplexity | rise | KL to the base | steps |\n|---|---|---|---|---|---|", flush=True)
    first = True
    for what, flags in RUNS:
        with tempfile.TemporaryDirectory(dir=args.folder, prefix="tola-forgetting-") as name:
            command = [tola, "finetune", args.model, "--data", args.data, "--validation", args.validation, "--anchor",
                       args.anchor, "--out", name, "--steps", args.steps, "--batch", args.batch, "--context", args.context,
                       "--long", "drop", "--validate-every", 10 if "--forget-limit" in flags else args.steps, "--seed", 1,
                       "--json", "--force", *flags]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{what}: {done.stderr.strip()}")
            r = json.loads(done.stdout)
            before = json.loads((pathlib.Path(name) / "log.jsonl").read_text().splitlines()[0])["validation"]
        a = r["anchor"]
        if first:
            print(f"| before | {before['loss']:.3f} | {a['perplexity_before']:.2f} | | | |", flush=True)
            first = False
        print(f"| {what} | {r['validation']['loss']:.3f} | {a['perplexity_after']:.2f} | "
              f"{100 * (a['perplexity_after'] / a['perplexity_before'] - 1):+.0f} % | {a['kl']:.4f} | {r['steps']} |", flush=True)


if __name__ == "__main__":
    main()
