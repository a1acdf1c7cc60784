#!/usr/bin/env python3
"""What the library gives away and what it calls: symbols.py BUILD_FOLDER

1. The shared library exports exactly the functions in src/libtola.symbols, and those are exactly the ones declared with
   TOLA_API. `--update` writes the list from the headers.
2. No object of the library calls what a library must not: printing, ending the process, signal handlers, the locale,
   other programs, and the C allocator outside of base/mem.c.
Prints each violation, then "N passed, N failed", one for each function and each object."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = ROOT / "src" / "libtola.symbols"
DECLARED = re.compile(r"TOLA_API\b(?:(?!;|\{).)*?\b(tola_\w+)\s*\(", re.S)
FORBIDDEN = {
    "printf", "fprintf", "vprintf", "vfprintf", "puts", "fputs", "putchar", "fputc", "putc", "perror", "psignal",
    "exit", "_exit", "_Exit", "quick_exit", "abort", "atexit", "signal", "sigaction", "setlocale", "system", "popen",
    "execv", "execve", "execvp", "execlp", "fork", "vfork", "posix_spawn", "sprintf", "vsprintf",
    "gets", "tmpnam", "mktemp", "strtok", "rand", "srand",
}
EXCEPTIONS = {
    "sandbox.c.o": {"fork", "_exit"},  # the scanner's child, which ends where its work does
    "window.c.o": {"sigaction"},  # SIGBUS of a mapped file that is cut short, while it is hashed and no longer
}
ALLOCATOR = {"malloc", "calloc", "realloc", "reallocarray", "free", "strdup", "strndup", "aligned_alloc",
             "posix_memalign", "asprintf", "vasprintf", "getline"}


def nm(*arguments):
    return subprocess.run(["nm", *arguments], check=True, capture_output=True, text=True).stdout.splitlines()


def plain(symbol):
    """__printf_chk is printf; versions are dropped."""
    symbol = symbol.split("@")[0]
    fortified = re.fullmatch(r"__(\w+)_chk", symbol)
    return fortified.group(1) if fortified else symbol


def exported(build):
    names = (line.split() for line in nm("-D", "--defined-only", build / "libtola.so"))
    return {plain(fields[-1]) for fields in names if fields[-2] != "A"}


def declared():
    names = set()
    for header in sorted((ROOT / "include" / "tola").glob("*.h")):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.S)
        text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
        names |= set(DECLARED.findall(text))
    return names


def check_exports(build):
    listed = set(LIST.read_text(encoding="utf-8").split())
    there, promised = exported(build), declared()
    bad = 0
    for name in sorted(listed | there | promised):
        lacks = [where for where, names in (("libtola.symbols", listed), ("the shared library", there),
                                            ("the public headers", promised)) if name not in names]
        if lacks:
            print(f"{name} is missing from {' and '.join(lacks)}")
            bad += 1
    return len(listed | there | promised) - bad, bad


def check_calls(build):
    calls, current = {}, None
    for line in nm("-u", build / "libtola.a"):
        if line.endswith(":"):
            current = calls.setdefault(line[:-1], set())
        elif line.strip():
            current.add(plain(line.split()[-1]))
    bad = 0
    for name, symbols in sorted(calls.items()):
        wrong = (symbols & FORBIDDEN) - EXCEPTIONS.get(name, set()) | (set() if name == "mem.c.o" else symbols & ALLOCATOR)
        if wrong:
            print(f"{name} calls {', '.join(sorted(wrong))}")
            bad += 1
    return len(calls) - bad, bad


def main():
    if sys.argv[1:] == ["--update"]:
        LIST.write_text("".join(f"{name}\n" for name in sorted(declared())), encoding="utf-8")
        return 0
    if len(sys.argv) != 2:
        sys.exit(__doc__.split("\n")[0])
    build = pathlib.Path(sys.argv[1])
    results = check_exports(build), check_calls(build)
    passed, failed = (sum(column) for column in zip(*results))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
