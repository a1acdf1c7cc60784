#!/usr/bin/env python3
"""Two commands against each other, interleaved: pairs.py [options] --a COMMAND --b COMMAND

    pairs.py --pairs 9 --a 'tola convert in.safetensors out.gguf --force' --b 'cp in.safetensors out && sync -f out'

Runs A and B in turn (the order changes from pair to pair), at least 9 pairs after one run of each that is not counted,
and prints for each the median wall time, the smallest and largest, the peak resident memory, and the median of the
ratios B/A of the pairs with its spread (above 1: A is faster). Each command is run by bash; its output goes nowhere.
--before is run before each one and not timed (removing outputs, dropping caches). --bytes N prints GB/s as well.
--json writes one line of JSON for a table. The standard library is enough."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def run(command):
    """Seconds and peak resident kilobytes (of the largest process) of one run."""
    begin = time.perf_counter()
    child = subprocess.Popen(["bash", "-c", "exec " + command if "&&" not in command and ";" not in command and
                              "|" not in command else command],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    message = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"'{command}' ended with {child.returncode}: {message.decode('utf-8', 'replace').strip()}")
    return seconds, usage.ru_maxrss


def prepare(command):
    if command:
        subprocess.run(["bash", "-c", command], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def describe(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main():
    parser = argparse.ArgumentParser(description="Times two commands, interleaved.")
    parser.add_argument("--a", required=True)
    parser.add_argument("--b", required=True)
    parser.add_argument("--name-a", default="A")
    parser.add_argument("--name-b", default="B")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--before", default="")
    parser.add_argument("--bytes", type=int, default=0, help="what each command moves, for GB/s")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.pairs < 1:
        parser.error("--pairs must be at least 1")
    commands = {"a": args.a, "b": args.b}
    seconds, memory = {"a": [], "b": []}, {"a": 0, "b": 0}
    for number in range(args.pairs + 1):
        for side in ("ab" if number % 2 else "ba"):
            prepare(args.before)
            took, peak = run(commands[side])
            if number:
                seconds[side].append(took)
                memory[side] = max(memory[side], peak)
    ratios = describe([b / a for a, b in zip(seconds["a"], seconds["b"])])
    result = {"pairs": args.pairs, "ratio_b_over_a": ratios}
    for side, name in (("a", args.name_a), ("b", args.name_b)):
        result[side] = {"name": name, "command": commands[side], "seconds": describe(seconds[side]),
                        "peak_kib": memory[side]}
    if args.json:
        print(json.dumps(result))
        return
    for side in "ab":
        r, s = result[side], result[side]["seconds"]
        rate = f", {args.bytes / s['median'] / 1e9:.2f} GB/s" if args.bytes else ""
        print(f"{r['name']}: median {s['median'] * 1e3:.1f} ms ({s['min'] * 1e3:.1f} .. {s['max'] * 1e3:.1f}){rate}, "
              f"peak {r['peak_kib'] / 1024:.1f} MiB")
    print(f"{args.name_b}/{args.name_a}: median {ratios['median']:.3f} ({ratios['min']:.3f} .. {ratios['max']:.3f}) "
          f"of {args.pairs} pairs")


if __name__ == "__main__":
    main()
