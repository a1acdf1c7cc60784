#!/usr/bin/env python3
"""tola beside llama.cpp and ik_llama.cpp: reading a prompt, generating, the first token of a new process, memory.

    bench/bench_run.py [--llama FOLDER] [--ik FOLDER] [--shapes tinyllama,moe] [--types Q8_0,...] [--threads 1,2]
                       [--pairs 9] [--layers N] [--prompt 512] [--generate 64] [--depth N] [--folder /dev/shm]
                       [--json FILE]

--llama and --ik name the folders of their programs (llama-bench; llama-completion or llama-cli); without them those in
PATH are looked for, and what is not found is left out. Models are made by random_model.py, quantized by tola, and read
by all from the folder. In a tmpfs they lie in small pages, as in most ways of reading a disk; on a disk they are thrown
out of memory once written, so that tola's first run decides how they are read in: with huge pages, where these are to
be had. All programs get the same pages. Of their layers there are 4, or --layers N; 0: all, with which all types take
hours.

A pair runs `tola bench` and each peer's llama-bench once, with the same file and threads, in an order that changes
from pair to pair; printed are medians of tokens per second with the lowest and highest, and the median of the pairs'
ratios (above 1: tola is faster) with theirs. Peers run in the best of their modes (weights repacked or not) of one
trial, which also tells whether a mode works at all. Beside tola's figures stand the shares of the machine's limits
that it measured in the same run. Then the first token: new processes that read a short prompt and write one token,
wall time and peak resident memory, interleaved in the same way. --depth N measures generating behind N tokens
instead.

tola is found in $TOLA_BUILD, else in build/release. The standard library is enough."""
import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import random_model

ROOT = pathlib.Path(__file__).resolve().parents[1]
TYPES = "Q8_0,Q4_K_M"  # the others: Q4_0, Q6_K, F16, BF16
TEXT = "the end of a text that is not very long and has no meaning"


class Failed(Exception):
    """A program ended badly; the text says how."""


def run(command, folder=None):
    """stdout, seconds and peak resident bytes of one run, in a folder of its own: some programs leave logs behind."""
    environment = dict(os.environ)
    if folder:
        environment["LD_LIBRARY_PATH"] = f"{folder}:{environment.get('LD_LIBRARY_PATH', '')}"
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryDirectory() as where:
        child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                 env=environment, cwd=where)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        out.seek(0), err.seek(0)
        if child.returncode:
            last = err.read().decode("utf-8", "replace").strip().split("\n")[-1]
            raise Failed(f"{command[0]} ended with {child.returncode}{': ' if last else ''}{last[-200:]}")
        return out.read().decode("utf-8", "replace"), seconds, usage.ru_maxrss * 1024


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def shown(s, digits=2, unit=1.0):
    return f"{s['median'] / unit:.{digits}f} ({s['min'] / unit:.{digits}f}-{s['max'] / unit:.{digits}f})"


# ---- programs ----

class Tola:
    name = "tola"

    def __init__(self, args):
        self.args = args
        self.program = pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build/release").resolve() / "tola"

    def speeds(self, model, threads):
        a = self.args
        out, _, _ = run([self.program, "bench", model, "--json", "-q", "--rounds", 1, "--threads", threads, "--prompt",
                         0 if a.depth else a.prompt, "--generate", a.generate, "--depth", a.depth])
        found = json.loads(out)["results"][0]
        result = {"shares": {k: v.get("prefill_share", v.get("decode_share", {})).get("median")
                             for k, v in found["limits"].items()}}
        for key in ("prefill", "decode"):
            if f"{key}_tokens_per_s" in found:
                result[key] = found[f"{key}_tokens_per_s"]["median"]
        return result

    def first(self, model, threads):
        return run([self.program, "run", model, "--raw", "-p", TEXT, "-n", 1, "--temp", 0, "--ignore-end", "--context",
                    512, "--threads", threads, "-q"])


class Llama:
    """llama.cpp or ik_llama.cpp, in one of its modes."""

    def __init__(self, args, name, folder, mode):
        self.args, self.folder, self.mode = args, folder, mode
        self.name = f"{name} {' '.join(mode)}".strip()

    def program(self, *names):
        found = [f for f in ((self.folder / n) if self.folder else shutil.which(n) for n in names)
                 if f and pathlib.Path(f).exists()]
        if not found:
            raise Failed(f"no {' or '.join(names)}")
        return found[0]

    def speeds(self, model, threads):
        a = self.args
        command = [self.program("llama-bench"), "-m", model, "-p", 0 if a.depth else a.prompt, "-n", a.generate, "-t",
                   threads, "-r", 1, "-o", "json", *self.mode]
        out, _, _ = run(command + (["-d", a.depth] if a.depth else []), self.folder)
        return {"prefill" if int(row["n_prompt"]) else "decode": float(row["avg_ts"]) for row in json.loads(out)}

    def first(self, model, threads):
        mode = {"--repack 0": ["-no-cnv", "--no-repack"], "--repack 1": ["-no-cnv"], "-rtr 1": ["-rtr"]}.get(
            " ".join(self.mode), [])
        return run([self.program("llama-completion", "llama-cli"), "-m", model, "-p", TEXT, "-n", 1, "--temp", 0,
                    "--ignore-eos", "-c", 512, "-t", threads, "--no-warmup", *mode], self.folder)


def peers(args):
    """For each peer its modes."""
    found = []
    if args.llama or shutil.which("llama-bench"):
        folder = pathlib.Path(args.llama).resolve() if args.llama else None
        found.append([Llama(args, "llama.cpp", folder, mode) for mode in (["--repack", "1"], ["--repack", "0"])])
    if args.ik:
        folder = pathlib.Path(args.ik).resolve()
        found.append([Llama(args, "ik_llama.cpp", folder, mode) for mode in ([], ["-rtr", "1"])])
    return found


# ---- measuring ----

def trial(modes, what):
    """Those modes that are the best in something, each measured once."""
    best = {}
    for mode in modes:
        try:
            for key, value in what(mode).items():
                if key not in best or value > best[key][0]:
                    best[key] = (value, mode)
        except Failed as why:
            print(f"  {mode.name}: {why}", flush=True)
    return list({id(mode): mode for _, mode in best.values()}.values())


def interleave(programs, pairs, what):
    """What each program gives, `pairs` times in turn."""
    found = {p.name: [] for p in programs}
    for number in range(pairs):
        for p in programs if number % 2 else reversed(programs):
            found[p.name].append(what(p))
    return found


def speeds(model, threads, args, label, report):
    tola = Tola(args)
    tola.speeds(model, threads)  # pages are read, what is made is made
    chosen = [mode for modes in peers(args) for mode in trial(modes, lambda m: m.speeds(model, threads))]
    found = interleave([tola, *chosen], args.pairs, lambda p: p.speeds(model, threads))
    for key in ("prefill", "decode"):
        own = [r[key] for r in found["tola"] if key in r]
        if not own:
            continue
        row = {"model": label, "threads": threads, "what": key, "tola": spread(own), "peers": {}}
        line = f"{label}, {threads} thread{'s' if threads > 1 else ''}, {key}: tola {shown(row['tola'])} tokens/s"
        shares = {}
        for limit in found["tola"][0]["shares"]:
            values = [r["shares"][limit] for r in found["tola"]]
            if limit.startswith("read") == (key == "decode") and None not in values:
                shares[limit] = spread(values)
        row["shares"] = shares
        # a limit of arithmetic that this type is not computed in can be exceeded, and says nothing
        line += "".join(f", {100 * s['median']:.1f} % of {limit}" for limit, s in shares.items()
                        if key == "decode" or s["median"] <= 1)
        for p in chosen:
            ratios = [a / r[key] for a, r in zip(own, found[p.name])]
            row["peers"][p.name] = {"tokens_per_s": spread([r[key] for r in found[p.name]]), "ratio": spread(ratios)}
            line += f"; {p.name} {shown(row['peers'][p.name]['tokens_per_s'])}, ratio {shown(spread(ratios))}"
        report.append(row)
        print(line, flush=True)


def first_token(model, threads, args, label, report):
    tola = Tola(args)

    def once(program):
        _, seconds, memory = program.first(model, threads)
        return {"speed": 1 / seconds, "seconds": seconds, "bytes": memory}

    once(tola)
    chosen = []
    for modes in peers(args):
        chosen += trial(modes, lambda m: {"speed": once(m)["speed"]})
    found = interleave([tola, *chosen], args.pairs, once)
    row = {"model": label, "threads": threads, "what": "first token", "tola": {}, "peers": {}}
    for p in (tola, *chosen):
        entry = {"seconds": spread([r["seconds"] for r in found[p.name]]),
                 "bytes": spread([r["bytes"] for r in found[p.name]])}
        line = f"{shown(entry['seconds'], 1, 1e-3)} ms, peak {entry['bytes']['median'] / 2**20:.0f} MiB"
        if p is tola:
            row["tola"] = entry
            text = f"{label}, {threads} thread{'s' if threads > 1 else ''}, first token: tola {line}"
            continue
        pairs = list(zip(found["tola"], found[p.name]))
        entry["ratio"] = spread([b["seconds"] / a["seconds"] for a, b in pairs])
        row["peers"][p.name] = entry
        text += f"; {p.name} {line}, ratio {shown(entry['ratio'])}"
    report.append(row)
    print(text, flush=True)


# ---- models ----

def make_type(name, source, target):
    if name == "F16":
        os.link(source, target)
    else:
        run([Tola(None).program, "quantize", "-q", source, target, "--to", name])
    with open(target, "rb") as f:  # pages as they were written are not those of a file that is read
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--llama", help="folder of llama.cpp's programs")
    parser.add_argument("--ik", help="folder of ik_llama.cpp's programs")
    parser.add_argument("--shapes", default="tinyllama,moe")
    parser.add_argument("--types", default=TYPES)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--depth", type=int, default=0)
    parser.add_argument("--folder", default="/dev/shm")
    parser.add_argument("--json", help="write all figures into this file")
    parser.add_argument("--skip", default="", help="'speeds' or 'first'")
    args = parser.parse_args()
    if args.pairs < 1:
        parser.error("--pairs must be at least 1")
    if not peers(args):
        print("no llama.cpp: --llama says where it is; tola alone", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # gigabytes of models are removed in any case
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tola-bench-", dir=args.folder)).resolve()
    report = []
    try:
        for shape in args.shapes.split(","):
            source = folder / "source.gguf"
            size = random_model.make(source, shape, args.layers)
            print(f"{shape}: {size / 1e9:.2f} GB in f16, {args.layers or random_model.SHAPES[shape]['layers']} layers",
                  flush=True)
            for name in args.types.split(","):
                model = folder / "model.gguf"
                make_type(name, source, model)
                for threads in map(int, args.threads.split(",")):
                    label = f"{shape} {name}"
                    if args.skip != "speeds":
                        speeds(model, threads, args, label, report)
                    if args.skip != "first" and not args.depth:
                        first_token(model, threads, args, label, report)
                model.unlink()
            source.unlink()
    except Failed as why:
        sys.exit(str(why))
    finally:
        shutil.rmtree(folder)
        if args.json:
            pathlib.Path(args.json).write_text(json.dumps({"pairs": args.pairs, "results": report}, indent=1))


main()
