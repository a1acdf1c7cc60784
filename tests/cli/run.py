#!/usr/bin/env python3
"""Runs the CLI tests: pairs of a command and exactly what it prints.

    run.py [--tola PROGRAM] [--update] [FILE.t ...]

A .t file holds commands and what is expected of them:

    # a comment
    $ tola convert "$FIXTURES/tiny.safetensors" out.gguf
    an expected line of stdout
    2> an expected line of stderr
    [exit 1]

Without [exit N] the exit code is 0. A command may go on in lines that begin with "> ". Commands are run by bash, all of
one file in one fresh folder. In the output the paths of the fixtures, of the data and of that folder are replaced by
$FIXTURES, $DATA and $DIR. A line of output that would be mistaken for something else (an empty one, too) is written
with a backslash before it. "*" and "?" in an expected line that ends in " (glob)" match anything, "..." alone matches
any number of lines.
"# needs: data" in a file skips it where $TOLA_DATA is absent; "# needs: PROGRAM" where that program is absent.

Every command is one test. Files run side by side, one for each processor. --update writes what was printed into the
files; read the difference before you commit it.
The standard library is enough.
"""
import argparse
import concurrent.futures
import fnmatch
import glob
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIMEOUT = 120  # seconds a command may take, sanitizers included


class Case:
    def __init__(self, line):
        self.line, self.command, self.out, self.err, self.exit = line, [], [], [], 0
        self.comments = []  # lines after the expectation that belong to nobody


def parse(path):
    """The lines before the first command, and the cases."""
    head, cases = [], []
    for number, line in enumerate(open(path, encoding="utf-8").read().split("\n"), 1):
        case = cases[-1] if cases else None
        if line.startswith("$ "):
            cases.append(Case(number))
            cases[-1].command.append(line[2:])
        elif line == "" or line.startswith("#"):
            (case.comments if case else head).append(line)
        elif case is None:
            sys.exit(f"{path}:{number}: expected output before the first command")
        elif line.startswith("> ") and not case.out and not case.err:
            case.command.append(line[2:])
        elif line.startswith("2> "):
            case.err.append(line[3:])
        elif line == "2>":
            case.err.append("")
        elif line.startswith("[exit ") and line.endswith("]"):
            case.exit = int(line[6:-1])
        else:
            case.out.append(line)
    return head, cases


def escape(line):
    special = line == "" or line[0] in "\\#$>" or line.startswith(("2>", "[exit ")) or line == "..." or \
        line.endswith(" (glob)")
    return "\\" + line if special else line


def line_matches(expected, actual):
    if expected.startswith("\\"):
        return expected[1:] == actual
    if expected.endswith(" (glob)"):
        return fnmatch.fnmatchcase(actual, expected[:-7].replace("[", "[[]"))
    return expected == actual


def matches(expected, actual):
    """Whether the lines fit, with "..." standing for any number of them."""
    e = a = 0
    retry = None  # the last "...": where to go on in both
    while a < len(actual) or e < len(expected):
        if e < len(expected) and expected[e] == "...":
            retry = (e, a)
            e += 1
        elif e < len(expected) and a < len(actual) and line_matches(expected[e], actual[a]):
            e, a = e + 1, a + 1
        elif retry and retry[1] < len(actual):
            retry = (retry[0], retry[1] + 1)
            e, a = retry[0] + 1, retry[1]
        else:
            return False
    return True


def split(data, names):
    text = data.decode("utf-8", "backslashreplace")
    for path, name in names:
        text = text.replace(path, name)
    return text.split("\n")[:-1] if text.endswith("\n") else (text.split("\n") if text else [])


def show(case, code, out, err):
    lines = ["$ " + case.command[0]] + ["> " + more for more in case.command[1:]]
    lines += [escape(line) for line in out]
    lines += ["2> " + line if line else "2>" for line in err]
    if code:
        lines.append(f"[exit {code}]")
    return lines


class Runner:
    """Of one file."""

    def __init__(self, programs, fixtures, data, update):
        self.programs, self.fixtures, self.data, self.update = programs, fixtures, data, update
        self.passed = self.failed = self.skipped = 0
        self.said = []

    def environment(self, folder):
        keep = {k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "LSAN_", "TSAN_", "TOLA_CPU"))}
        # fontconfig, which cairo loads for the letters of a PNG, keeps what it has read until the process ends
        keep.setdefault("LSAN_OPTIONS", "print_suppressions=0:suppressions=" + os.path.join(ROOT, "tests/cli/leaks.supp"))
        return {**keep, "PATH": self.programs + ":" + os.environ.get("PATH", "/usr/bin:/bin"), "HOME": folder,
                "LC_ALL": "C.UTF-8", "TERM": "dumb", "TZ": "UTC", "FIXTURES": self.fixtures,
                "DATA": self.data or "", "DIR": folder, "ROOT": ROOT, "PYTHON": sys.executable}

    def needs(self, head):
        for line in head:
            if line.startswith("# needs: "):
                for need in line[9:].split():
                    if need == "data" and not self.data:
                        return "the data folder ($TOLA_DATA or ../shared/data)"
                    if need != "data" and not shutil.which(need):
                        return need
        return None

    def run_case(self, path, case, folder):
        names = [(self.fixtures, "$FIXTURES"), (folder, "$DIR"), (ROOT, "$ROOT")]
        if self.data:
            names.insert(0, (self.data, "$DATA"))
        try:
            done = subprocess.run(["bash", "-c", "\n".join(case.command)], cwd=folder, env=self.environment(folder),
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
            code, out, err = done.returncode, split(done.stdout, names), split(done.stderr, names)
        except subprocess.TimeoutExpired:
            code, out, err = -1, [], [f"no end after {TIMEOUT} seconds"]
        good = code == case.exit and matches(case.out, out) and matches(case.err, err)
        if good:
            self.passed += 1
            return ["$ " + case.command[0]] + ["> " + c for c in case.command[1:]] + case.out + \
                ["2> " + e if e else "2>" for e in case.err] + ([f"[exit {case.exit}]"] if case.exit else [])
        self.failed += 1
        if not self.update:
            self.said.append(f"{os.path.relpath(path)}:{case.line}: $ " + case.command[0])
            for sign, lines in (("expected", case.out + ["2> " + e for e in case.err] + [f"[exit {case.exit}]"]),
                                ("got", out + ["2> " + e for e in err] + [f"[exit {code}]"])):
                self.said.append(f"  {sign}:")
                self.said += ["    " + line for line in lines[:40]]
        return show(case, code, out, err)

    def run_file(self, path):
        head, cases = parse(path)
        absent = self.needs(head)
        if absent:
            self.said.append(f"{os.path.relpath(path)}: {len(cases)} skipped, {absent} is absent")
            self.skipped += len(cases)
            return self
        folder = tempfile.mkdtemp(prefix="tola-cli-")
        lines = list(head)
        try:
            for case in cases:
                lines += self.run_case(path, case, folder) + case.comments
        finally:
            subprocess.run(["chmod", "-R", "u+rwX", folder], check=False)
            shutil.rmtree(folder, ignore_errors=True)
        if self.update:
            with open(path, "w", encoding="utf-8") as f:
                f.write("\n".join(lines))
        return self


def find_data():
    path = os.environ.get("TOLA_DATA", os.path.join(os.path.dirname(ROOT), "shared", "data"))
    return os.path.realpath(path) if os.path.isdir(path) else None


def main():
    parser = argparse.ArgumentParser(description="Runs the CLI tests.")
    parser.add_argument("--tola", default=os.path.join(ROOT, "build", "release", "tola"))
    parser.add_argument("--update", action="store_true", help="write what was printed into the files")
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    files = args.files or glob.glob(os.path.join(ROOT, "tests", "cli", "*.t"))
    files = sorted(files, key=os.path.getsize, reverse=True) # what takes long not at the end, alone
    work = tempfile.mkdtemp(prefix="tola-cli-fixtures-")
    try:
        fixtures = os.path.join(work, "fixtures")
        make = os.path.join(ROOT, "tests", "fixtures", "make_fixtures.py")
        subprocess.run([sys.executable, make, fixtures], check=True)
        programs, data = os.path.join(work, "bin"), find_data()
        os.mkdir(programs)
        os.symlink(os.path.abspath(args.tola), os.path.join(programs, "tola"))
        passed = failed = skipped = 0
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for done in pool.map(lambda path: Runner(programs, fixtures, data, args.update).run_file(path), files):
                print("\n".join(done.said), end="\n" if done.said else "", flush=True)
                passed, failed, skipped = passed + done.passed, failed + done.failed, skipped + done.skipped
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed + skipped else 0


if __name__ == "__main__":
    sys.exit(main())
