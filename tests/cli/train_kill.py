#!/usr/bin/env python3
"""Runs that are killed and resumed: train_kill.py TOLA [KILLS]

A network over a table and a language model over a text, each once without disturbance, at one thread, and then killed
with SIGKILL at random moments (which the seed of this test decides) and resumed until done, at other numbers of
threads.
Weights must be the same bytes, the logs must tell the same losses, and no half-written checkpoint may be left. Prints
what failed, then "N passed, N failed"."""
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TABLE = """
seed: 3
data: {train: table.csv, validation: 0.25}
model: {layers: [dense 24, relu, dropout 0.1, dense 16, tanh]}
training: {steps: 400, batch: 16, accumulate: 2}
optimizer: {method: %s, rate: 0.01, clip: 1}
schedule: {kind: cosine, warmup: 20}
validation: {every: 100}
save: {every: 23, keep: 2}
"""

TEXT = """
seed: 5
data: {train: text.txt, validation: 0.1}
tokenizer: {%s}
model: {architecture: %s, width: 32, layers: 2, heads: 4, context: 32}
training: {steps: 60, batch: 4, recompute: %s}
optimizer: {rate: 0.003, clip: 1}
schedule: {kind: wsd, warmup: 5, decay_steps: 20}
validation: {every: 20, batches: 2}
save: {every: 7, keep: 1}
"""


ON = """
seed: 6
data: {train: text.txt, validation: 0.1}
model: {weights: given}
training: {steps: 40, batch: 4, precision: bf16}
optimizer: {method: adamw, rate: 0.001}
save: {every: 5}
"""

GIVEN, TRAINED = "file: tokenizer.json", "vocabulary: 270"


def make_data(folder, rng):
    with open(folder / "table.csv", "w") as f:
        f.write("a,b,c,class\n")
        for _ in range(300):
            x = [rng.uniform(-1, 1) for _ in range(3)]
            kind = "inside" if sum(v * v for v in x) < 0.8 else "outside"
            f.write(",".join("%.4f" % v for v in x) + "," + kind + "\n")
    words = ["".join(rng.choice("abcdefgh") for _ in range(rng.randint(2, 6))) for _ in range(40)]
    with open(folder / "text.txt", "w") as f:
        f.write(" ".join(rng.choice(words) for _ in range(3000)))
    vocabulary = {c: i for i, c in enumerate("abcdefgh\u0120")}
    vocabulary["<|endoftext|>"] = len(vocabulary)
    added = [{"id": vocabulary["<|endoftext|>"], "content": "<|endoftext|>", "special": True, "normalized": False}]
    with open(folder / "tokenizer.json", "w") as f:
        json.dump({"added_tokens": added, "decoder": {"type": "ByteLevel"},
                   "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
                   "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}, f)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def losses(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["step"], line.get("loss"), line.get("validation")) for line in lines if "run" not in line]


def killed_run(command, rng, kills, longest):
    """Kills the command `kills` times at random moments (now and then with Ctrl-C's signal, which writes a checkpoint),
    then lets it end."""
    for _ in range(kills):
        process = subprocess.Popen(command + ["--threads", str(rng.randint(1, 3))], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        try:
            process.wait(rng.uniform(0.01, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]))
        message = process.communicate()[1].decode()
        if process.returncode not in (0, -signal.SIGKILL, -signal.SIGINT):  # the last: before the first step
            return f"exit {process.returncode}: {message.strip()}"
    done = subprocess.run(command + ["--threads", "2"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"exit {done.returncode}: {done.stderr.strip()}"


def check(tola, folder, name, recipe, rng, kills):
    (folder / f"{name}.yaml").write_text(recipe)
    whole, killed = folder / f"{name}-whole", folder / f"{name}-killed"
    command = [tola, "train", str(folder / f"{name}.yaml"), "--quiet"]
    began = time.monotonic()
    done = subprocess.run(command + ["--out", str(whole), "--threads", "1"], capture_output=True, text=True)
    took = time.monotonic() - began
    if done.returncode:
        yield f"{name}: exit {done.returncode}: {done.stderr.strip()}"
        return
    why = killed_run(command + ["--out", str(killed), "--resume"], rng, kills, took)
    if why:
        yield f"{name}: {why}"
        return
    if digest(whole / "model.safetensors") != digest(killed / "model.safetensors"):
        yield f"{name}: the weights of the killed run are others"
    if losses(whole / "log.jsonl") != losses(killed / "log.jsonl"):
        yield f"{name}: the log of the killed run tells other losses"
    left = [p.name for p in killed.iterdir() if p.name.startswith(".")]
    if left:
        yield f"{name}: {left} were left"


def main():
    tola = os.path.abspath(sys.argv[1])
    # under sanitizers: fontconfig keeps what it has read, as run.py says
    suppressions = pathlib.Path(__file__).with_name("leaks.supp").resolve()
    os.environ.setdefault("LSAN_OPTIONS", f"print_suppressions=0:suppressions={suppressions}")
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    rng = random.Random(20261121)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tola-kill-"))
    make_data(folder, rng)
    passed = failed = 0
    for name, recipe in (("table-adamw", TABLE % "adamw"), ("table-adamw8", TABLE % "adamw8"),
                         ("table-sgd", TABLE % "sgd, momentum: 0.9"), ("text-llama", TEXT % (GIVEN, "llama", "false")),
                         ("text-gpt2", TEXT % (TRAINED, "gpt2", "true")),
                         ("text-mixtral", TEXT % (GIVEN, "mixtral, experts: 4", "false")), ("text-on", ON)):
        if name == "text-on":  # with weights of 16 bits, whose masters a checkpoint keeps beside them
            subprocess.run([tola, "convert", str(folder / "text-llama-whole"), str(folder / "given") + "/", "--dtype",
                            "bf16", "--quiet"], check=True)
        bad = list(check(tola, folder, name, recipe, rng, kills))
        for line in bad:
            print(line)
        failed += bool(bad)
        passed += not bad
    shutil.rmtree(folder)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
