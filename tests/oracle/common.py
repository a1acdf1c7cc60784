"""What the oracle tests share: where things are, counting, running tola_dump and tola_rewrite.

Data is found through $TOLA_DATA, else ../shared/data beside the repository; the programs through $TOLA_BUILD, else the
build folder that was used last. Every script prints "N passed, N failed[, N skipped]" and exits with 1 on a failure."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("TOLA_DATA") or ROOT.parent / "shared" / "data")


def find_build():
    if os.environ.get("TOLA_BUILD"):
        return pathlib.Path(os.environ["TOLA_BUILD"]).resolve()
    built = [p.parent for p in (ROOT / "build").glob("*/tola_dump")]
    if not built:
        sys.exit("no tola_dump under build/: build it first, or name its folder in TOLA_BUILD")
    return max(built, key=lambda p: (p / "tola_dump").stat().st_mtime)


BUILD = find_build()


class Tally:
    """Counts checks; a failed one is printed at once."""

    def __init__(self, name):
        self.name, self.passed, self.failed, self.skipped = name, 0, 0, 0

    def check(self, what, good, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}{': ' if detail else ''}{detail}")
        return bool(good)

    def equal(self, what, got, expected):
        return self.check(what, got == expected, f"got {str(got)[:300]}, expected {str(expected)[:300]}")

    def skip(self, why):
        self.skipped += 1
        print(f"skipped: {why}")

    def finish(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.name}: {self.passed} passed, {self.failed} failed{skipped}")
        sys.exit(1 if self.failed else 0)


class Refused(Exception):
    """tola did not take a file; the text is its message."""


def check_fresh(program):
    """A program that was left behind by a build of some targets says things of the past."""
    made, library = BUILD / program, BUILD / "libtola.a"
    if made.exists() and library.exists() and made.stat().st_mtime < library.stat().st_mtime:
        sys.exit(f"{made} is older than libtola.a beside it: build it, too")


def run(program, *arguments):
    check_fresh(program)
    done = subprocess.run([str(BUILD / program), *map(str, arguments)], capture_output=True)
    if done.returncode:
        raise Refused(done.stderr.decode(errors="replace").strip() or f"{program} ended with {done.returncode}")
    return done.stdout


def dump(path, *flags):
    """The document that tola_dump prints, metadata with types."""
    return json.loads(run("tola_dump", *flags, path))


def rewrite(source, target, *flags):
    run("tola_rewrite", *flags, source, target)


def folder():
    """A temporary folder, for `with`."""
    return tempfile.TemporaryDirectory(prefix="tola-oracle-")
