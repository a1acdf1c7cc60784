#!/usr/bin/env python3
"""Products of training beside torch.mm: bench_gemm.py BUILD_FOLDER --python PATH [--threads N] [--rounds N]
[--cpu-time]

Both take turns, one product each: the least of five runs of a hundredth of a second. Printed are the medians over the
rounds in GFLOP/s and the median of the ratios within a round (above 1: ours is faster). Of bf16 torch.mm gets operands
that are bf16 already, ours the f32 that it has to round. PATH is a Python that has torch. --cpu-time: one thread's time
of the processor, where others keep it busy."""
import argparse
import os
import pathlib
import statistics
import subprocess

SHAPES = [(256, 768, 768, "nt"), (256, 3072, 768, "nt"), (256, 768, 3072, "nn"), (3072, 768, 256, "tn"),
          (256, 50257, 768, "nt"), (50257, 768, 256, "tn"), (1024, 768, 768, "nt"), (1024, 3072, 768, "nt"),
          (1024, 768, 3072, "nn"), (3072, 768, 1024, "tn"), (64, 256, 784, "nt"), (256, 784, 64, "tn"),
          (64, 64, 64, "nt")]

TORCH = """
import sys, time
import torch
torch.set_num_threads(int(sys.argv[1]))
clock = time.thread_time if sys.argv[2] == "True" else time.perf_counter
def matrix(rows, cols, turned, dtype):
    x = (torch.rand(cols, rows).t() if turned else torch.rand(rows, cols)) - 0.5
    return x.to(dtype)
for line in sys.stdin:
    m, n, k, transposes, precision, _ = line.split()
    m, n, k, dtype = int(m), int(n), int(k), torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = matrix(m, k, transposes[0] == "t", dtype), matrix(k, n, transposes[1] == "t", dtype)
    c, best = torch.empty(m, n, dtype=dtype), 1e9
    for _ in range(5):
        times, taken = 1, 0
        while taken < 0.01:
            start = clock()
            for _ in range(times):
                torch.mm(a, b, out=c)
            taken, times = clock() - start, times * 2
        best = min(best, taken / (times / 2))
    print(best, flush=True)
"""


class Served:
    def __init__(self, *command, threads):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--python", required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", default="f32,bf16")
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    if options.cpu_time:
        options.threads = 1
    ours = Served(options.build / "bench_gemm", "--serve", "--threads", options.threads,
                  *["--cpu-time"] * options.cpu_time, threads=options.threads)
    peer = Served(options.python, "-c", TORCH, options.threads, options.cpu_time, threads=options.threads)
    for precision in options.precision.split(","):
        for m, n, k, transposes in SHAPES:
            line = f"{m} {n} {k} {transposes} {precision} f32"
            pairs = [(ours.ask(line), peer.ask(line)) for _ in range(options.rounds)]
            operations = 2e-9 * m * n * k
            print(f"{precision} {m:6} x {n:6} x {k:6} {transposes}: "
                  f"{operations / statistics.median(p[0] for p in pairs):7.1f} GFLOP/s, torch.mm "
                  f"{operations / statistics.median(p[1] for p in pairs):7.1f}, "
                  f"ratio {statistics.median(b / a for a, b in pairs):.2f}", flush=True)
    for program in (ours, peer):
        program.process.stdin.close()
        program.process.wait()


if __name__ == "__main__":
    main()
