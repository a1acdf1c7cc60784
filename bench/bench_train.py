#!/usr/bin/env python3
"""Steps of training GPT-2 124M beside PyTorch's and llm.c's: bench_train.py BUILD_FOLDER [options]

    --tokens N[,N]  --batch N  --threads N  --rounds N  --precision f32[,bf16]
    --python PATH   one that has torch and transformers; absent: no PyTorch
    --llmc FOLDER   of karpathy/llm.c; its train_gpt2.c is compiled for these sizes, given random weights and tokens

Forward, backward and AdamW of one batch, the same sizes for all. Programs take turns, one step each; printed are the
medians, those of the ratios within a round, and of ours the share of what the machine's loops of fma reach in the same
round (operations of the products, attention's over what is seen). PyTorch: transformers' GPT-2 with its scaled
dot-product attention, fused AdamW, autocast for bf16. llm.c has f32 only."""
import argparse
import os
import pathlib
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

WIDTH, LAYERS, HEADS, VOCABULARY, PADDED, CONTEXT = 768, 12, 12, 50257, 50304, 1024
REST = 0.3  # seconds between two programs, until the threads of the last sleep

TORCH = """
import sys, time
import torch, transformers
batch, tokens, threads, precision = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(threads)
torch.manual_seed(0)
config = transformers.GPT2Config(attn_pdrop=0, embd_pdrop=0, resid_pdrop=0, attn_implementation="sdpa", use_cache=False)
model = transformers.GPT2LMHeadModel(config)
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
ids = torch.randint(0, config.vocab_size, (batch, tokens + 1))
print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = model(ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    print(time.perf_counter() - start, flush=True)
"""


class Served:
    """A program that answers lines."""

    def __init__(self, command, **environment):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env={**os.environ, **environment})
        self.first = self.process.stdout.readline()
        if not self.first:
            raise OSError(f"{command[0]} does not start")

    def ask(self, line="step"):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Stopped:
    """llm.c, which runs by itself: stopped after each line it prints about a step."""

    def __init__(self, folder, threads):
        self.process = subprocess.Popen([folder / "train_gpt2"], cwd=folder, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, bufsize=1,
                                        env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        self.ask()

    def ask(self):
        self.process.send_signal(signal.SIGCONT)
        for line in self.process.stdout:
            found = re.search(r"took ([0-9.]+) ms", line)
            if found:
                self.process.send_signal(signal.SIGSTOP)
                return float(found[1]) / 1000
        raise OSError("llm.c has ended")

    def close(self):
        self.process.kill()
        self.process.wait()


def write_llmc_files(folder):
    """Random weights (version 3: f32), tokens and no tokenizer, as train_gpt2.c reads them."""
    sizes = [PADDED * WIDTH, CONTEXT * WIDTH] + [LAYERS * n for n in (
        WIDTH, WIDTH, 3 * WIDTH * WIDTH, 3 * WIDTH, WIDTH * WIDTH, WIDTH, WIDTH, WIDTH, 4 * WIDTH * WIDTH, 4 * WIDTH,
        4 * WIDTH * WIDTH, WIDTH)] + [WIDTH, WIDTH]
    piece = b"".join(struct.pack("<f", ((i * 2654435761 % 2**32) / 2**32 - 0.5) * 0.07) for i in range(1 << 16))
    left = 4 * sum(sizes)
    with open(folder / "gpt2_124M.bin", "wb") as out:
        header = [20240326, 3, CONTEXT, VOCABULARY, LAYERS, HEADS, WIDTH, PADDED]
        out.write(struct.pack("<256i", *header, *[0] * (256 - len(header))))
        while left:
            out.write(piece[:left])
            left -= min(left, len(piece))
    data = folder / "dev/data/tinyshakespeare"
    data.mkdir(parents=True)
    for name in ("train", "val"):
        tokens = [i * 2654435761 % VOCABULARY for i in range(1 << 16)]
        header = [20240520, 1, len(tokens)]
        (data / f"tiny_shakespeare_{name}.bin").write_bytes(
            struct.pack("<256i", *header, *[0] * 253) + struct.pack(f"<{len(tokens)}H", *tokens))


def build_llmc(source, folder, batch, tokens):
    """With its Makefile's flags, sizes of a batch set, and neither validation nor samples between steps."""
    text = (source / "train_gpt2.c").read_text()
    for old, new in ((r"int B = 4;", f"int B = {batch};"), (r"int T = 64;", f"int T = {tokens};"),
                     (r"step <= 40", "step <= 1000000"), (r"step % 10 == 0", "0"),
                     (r"step > 0 && step % 20 == 0", "0")):
        text, count = re.subn(re.escape(old), new, text)
        if count != 1:
            raise OSError(f"train_gpt2.c is not as expected: {old}")
    text = text.replace("int main(", "__attribute__((constructor)) static void by_lines(void) "
                        "{ setvbuf(stdout, NULL, _IOLBF, 0); }\nint main(")
    (folder / "train_gpt2.c").write_text(text)
    subprocess.run(["gcc", "-Ofast", "-fno-finite-math-only", "-Wno-unused-result", "-march=native", "-fopenmp",
                    "-DOMP", "-I", source, "train_gpt2.c", "-o", "train_gpt2", "-lm"], cwd=folder, check=True,
                   stderr=subprocess.DEVNULL)


def measure(options, tokens, precision, llmc):
    threads = options.threads
    ours = Served([options.build / "bench_train", "--batch", options.batch, "--tokens", tokens, "--threads", threads,
                   "--precision", precision, "--serve", "1"])
    operations = float(ours.first)
    peers = {}
    if options.python:
        peers["PyTorch"] = Served([options.python, "-c", TORCH, options.batch, tokens, threads, precision],
                                  OMP_NUM_THREADS=str(threads))
    if llmc and precision == "f32":
        peers["llm.c"] = Stopped(llmc, threads)
    seconds, shares, ratios = [], [], {name: [] for name in peers}
    for name, peer in peers.items():
        peer.ask()
    for _ in range(options.rounds):
        time.sleep(REST)
        peak = ours.ask("peak")
        seconds.append(ours.ask())
        shares.append(operations / seconds[-1] / peak)
        for name, peer in peers.items():
            time.sleep(REST)
            ratios[name].append((peer.ask(), seconds[-1]))
    for program in (ours, *peers.values()):
        program.close()
    middle = statistics.median(seconds)
    print(f"{options.batch} x {tokens} {precision}: {middle:.3f} s, least {min(seconds):.3f}, "
          f"{options.batch * tokens / middle:.0f} tokens/s, {operations / middle / 1e9:.0f} GFLOP/s, "
          f"{100 * statistics.median(shares):.1f} % of the peak of fma in f32")
    for name, pairs in ratios.items():
        print(f"  {name}: {statistics.median(p for p, _ in pairs):.3f} s, least {min(p for p, _ in pairs):.3f}, "
              f"{statistics.median(p / o for p, o in pairs):.2f} x ours")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--tokens", default="64,256")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", default="f32,bf16")
    parser.add_argument("--python")
    parser.add_argument("--llmc", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        if options.llmc:
            write_llmc_files(folder)
        for tokens in map(int, options.tokens.split(",")):
            if options.llmc:
                build_llmc(options.llmc.resolve(), folder, options.batch, tokens)
            for precision in options.precision.split(","):
                measure(options, tokens, precision, folder if options.llmc else None)


if __name__ == "__main__":
    main()
