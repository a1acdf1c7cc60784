#!/usr/bin/env python3
"""Help, man pages, completions and README agree with each other: docs.py BUILD_FOLDER

All of them but README come from one table a verb, so this checks the generators: every verb and every option that
`tola help VERB` shows is in its man page and in the completions of each shell, the man pages have no faults that mandoc
can find, and each shell accepts its file. README's table names every verb and no other. Tests that security.md names
exist, and it names every fuzz target. Prints "N passed, N failed[, N
skipped]"."""
import pathlib
import re
import shutil
import subprocess
import sys
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Tally:
    passed = failed = skipped = 0

    def check(self, what, good, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"{what}{': ' if detail else ''}{detail}")

    def skip(self, why):
        self.skipped += 1
        print(f"skipped: {why}")


def run(*arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def options_in_help(text):
    """The names at the beginnings of the lines of options, "-q" and "--quiet" each."""
    names = []
    for line in re.findall(r"^ {2,6}(-.*)$", text, re.M):
        names += re.match(r"((?:-\w, )?--?[\w-]+)", line).group(1).split(", ")
    return names


def check_verb(tally, tola, docs, verb, scripts):
    text = run(tola, "help", verb)
    tally.check(f"help {verb} ends with -h's list", options_in_help(text) == options_in_help(run(tola, verb, "-h")))
    page = (docs / "man" / f"tola-{verb}.1").read_text().replace("\\-", "-")
    shown = options_in_help(text)
    tally.check(f"help {verb} shows options", len(shown) >= 8, str(shown))
    for option in shown:
        macro = "Fl " + option[1:]
        tally.check(f"tola-{verb}(1) lacks {option}", re.search(re.escape(macro) + r"(?![\w-])", page))
        for shell, script in scripts.items():
            fish = f" -l {option[2:]}" if option.startswith("--") else f" -s {option[1:]}"
            if shell == "fish":
                lines = [l for l in script.splitlines() if f"from {verb}'" in l]
            else:
                lines = section(script, verb)
            wanted = fish if shell == "fish" else option
            tally.check(f"{shell} completion of {verb} lacks {option}",
                        any(re.search(re.escape(wanted) + r"(?![\w-])", l) for l in lines))


def section(script, verb):
    """The lines of a case in a bash or zsh script."""
    lines = script.splitlines()
    start = lines.index(f"    {verb})")
    option = " " * 12 + "-"
    end = next(i for i in range(start, len(lines)) if lines[i].endswith(" ;;") and not lines[i].startswith(option))
    return lines[start:end + 1]


def check_readme(tally, verbs):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `tola (\w+)", text, re.M)
    tally.check("README's table of verbs", table == verbs, f"it has {table}, the program {verbs}")


def check_tools(tally, docs):
    pages = sorted((docs / "man").glob("*.1"))
    if shutil.which("mandoc"):
        for page in pages:
            done = subprocess.run(["mandoc", "-T", "lint", "-W", "style", page], capture_output=True, text=True)
            faults = [l for l in done.stdout.splitlines() if "referenced manual not found" not in l]
            tally.check(f"mandoc -T lint {page.name}", not faults, "\n".join(faults))
    else:
        tally.skip("mandoc is absent: man pages are not linted")
    for shell, name in (("bash", "tola.bash"), ("zsh", "_tola"), ("fish", "tola.fish")):
        if shutil.which(shell):
            done = subprocess.run([shell, "-n", docs / name], capture_output=True, text=True)
            tally.check(f"{shell} -n {name}", done.returncode == 0, done.stderr)
        else:
            tally.skip(f"{shell} is absent: its completion is not parsed")


def tests_named(page):
    """FILE:NAME of each test that a page names in backquotes; a NAME may hold whatever a backquote does not."""
    return re.findall(r"`([\w-]+\.(?:c|py|t)):([^`]+)`", page)


def check_security(tally):
    """Every test that docs/security.md names exists, and every fuzz target is in its table."""
    page = (ROOT / "docs" / "security.md").read_text()
    files = {f.name: f for folder in ("unit", "cli", "oracle") for f in (ROOT / "tests" / folder).iterdir()}
    sys.path.insert(0, str(ROOT / "tests" / "oracle"))
    import scan_attacks
    warnings.simplefilter("ignore")  # zips with two members of a name are meant to be such
    attacks = {name for name, *_ in scan_attacks.attacks()}
    tests = tests_named(page)
    tally.check("security.md names tests", len(tests) > 50, str(len(tests)))
    for file, name in tests:
        if file == "scan_attacks.py":
            there = name in attacks
        elif file.endswith(".c"):
            there = file in files and re.search(rf"^static void {re.escape(name)}\(", files[file].read_text(), re.M)
        else:
            there = file in files and name in files[file].read_text()
        tally.check(f"security.md: there is no test {file}:{name}", there)
    for target in sorted((ROOT / "fuzz").glob("fuzz_*.c")):
        tally.check(f"security.md lacks {target.stem}", f"`{target.stem}`" in page)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.split("\n")[0])
    build, tally = pathlib.Path(sys.argv[1]), Tally()
    tola, docs = str(build / "tola"), build / "docs"
    verbs = run(tola, "__verbs").split()
    scripts = {s: (docs / n).read_text() for s, n in (("bash", "tola.bash"), ("zsh", "_tola"), ("fish", "tola.fish"))}
    overview, page = run(tola, "help"), (docs / "man" / "tola.1").read_text()
    for verb in verbs:
        tally.check(f"tola help lacks {verb}", f"\n  {verb} " in overview)
        tally.check(f"tola(1) lacks {verb}", f".Xr tola-{verb} 1" in page)
        check_verb(tally, tola, docs, verb, scripts)
    check_readme(tally, verbs)
    check_tools(tally, docs)
    check_security(tally)
    print(f"{tally.passed} passed, {tally.failed} failed" + (f", {tally.skipped} skipped" if tally.skipped else ""))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
