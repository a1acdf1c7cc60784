#!/usr/bin/env python3
"""Runs what a build folder holds: run_tests.py unit|fuzz BUILD_FOLDER [PROGRAM...]

unit: every test_* program (cmocka); each of its tests counts as one, a program that dies as one more that failed.
fuzz: every fuzz_* program over the files of fuzz/corpus/<name>; each file counts as one.
Programs run side by side, one for each processor. Prints what failed, then "N passed, N failed[, N skipped]"."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TIMEOUT = 600  # seconds a program may take, sanitizers included


def execute(*command, **environment):
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT,
                              stdin=subprocess.DEVNULL, env={**os.environ, **environment})
        return done.returncode, done.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as late:
        return -1, (late.stdout or b"").decode("utf-8", "replace") + f"\nno end after {TIMEOUT} seconds"


def run_unit(program):
    code, text = execute(str(program), CMOCKA_MESSAGE_OUTPUT="STDOUT")
    count = {word: len(re.findall(rf"^\[ +{word} +\] (?!tests:|\d+ test)\S", text, re.M)) for word in ("OK", "SKIPPED")}
    ran = re.findall(r"^\[=+\].* (\d+) test\(s\) run", text, re.M)
    passed, failed, skipped = count["OK"], sum_failed(text), count["SKIPPED"]
    if code != 0 and not failed or not ran:
        failed += 1
    if failed:
        print(f"{program.name}: exit {code}\n" + "\n".join(l for l in text.splitlines()[-60:]
                                                           if not re.match(r"\[ +(OK|RUN) +\]", l)))
    return passed, failed, skipped


def sum_failed(text):
    """The totals that cmocka gives for each group."""
    return sum(int(n) for n in re.findall(r"^\[ +FAILED +\] +(?:tests: )?(\d+) test\(s\), listed below", text, re.M))


def run_fuzz(program):
    files = sorted((ROOT / "fuzz" / "corpus" / program.name[len("fuzz_"):]).glob("*"))
    if not files:
        print(f"{program.name}: no corpus in fuzz/corpus/{program.name[len('fuzz_'):]}")
        return 0, 1, 0
    code, _ = execute(str(program), *map(str, files))
    if code == 0:
        return len(files), 0, 0
    failed = 0
    for path in files: # which ones?
        code, text = execute(str(program), str(path))
        if code:
            failed += 1
            print(f"{program.name} {path.relative_to(ROOT)}: exit {code}\n" + "\n".join(text.splitlines()[:30]))
    return len(files) - failed, max(failed, 1), 0


def main():
    kinds = {"unit": ("test_*", run_unit), "fuzz": ("fuzz_*", run_fuzz)}
    if len(sys.argv) < 3 or sys.argv[1] not in kinds:
        sys.exit(__doc__.split("\n")[0])
    pattern, run = kinds[sys.argv[1]]
    build = pathlib.Path(sys.argv[2]).resolve()
    programs = sorted(p for p in build.glob(pattern) if p.is_file() and os.access(p, os.X_OK)
                      and (len(sys.argv) == 3 or p.name in sys.argv[3:]))
    if len(programs) < len(sys.argv) - 3:
        sys.exit(f"{build}: some of {' '.join(sys.argv[3:])} are missing")
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = list(pool.map(run, programs))
    passed, failed, skipped = (sum(column) for column in zip(*results)) if results else (0, 0, 0)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
