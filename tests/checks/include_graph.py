#!/usr/bin/env python3
"""Every file includes only what its room may see: include_graph.py

The rooms of src/ in order; a room uses itself and those before it, and the public headers. base/ uses only the public
headers that belong to it, the program and the examples only public headers and their own. Prints each violation, then
"N passed, N failed", one for each file."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ["base", "tensor", "kernels", "codecs", "formats", "families", "text", "transform", "graph", "models", "generate",
         "learn", "insight", "trust", "policy", "share", "cli"]
BASE_PUBLIC = {"tola/base.h", "tola/tensor.h", "tola/value.h", "tola/json.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def resolve(path, name):
    """The file that an include in quotes means, relative to src/, or None where it is none of ours."""
    for folder in (path.parent, ROOT / "src"):
        if (folder / name).is_file():
            return (folder / name).resolve()
    return None


def check_room(path, room, name, quoted):
    """Why `path` may not include `name`, or None."""
    if name.startswith("tola/"):
        if not (ROOT / "include" / name).is_file():
            return f"{name} is no public header"
        if room == "base" and name not in BASE_PUBLIC:
            return f"base/ does not see {name}"
        return None
    if not quoted:
        return None
    target = resolve(path, name)
    if target is None:
        return f"{name} does not exist"
    other = target.relative_to(ROOT / "src").parts[0]
    if room == "cli" and other != "cli":
        return f"the program sees public headers only, not {name}"
    if other not in ROOMS:
        return f"{other}/ is no room"
    if ROOMS.index(other) > ROOMS.index(room):
        return f"{room}/ does not see {other}/ ({name})"
    return None


def violations(path):
    parts = path.relative_to(ROOT).parts
    for bracket, name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        quoted, why = bracket == '"', None
        if parts[0] == "src":
            if len(parts) < 3 or parts[1] not in ROOMS:
                why = "lies in no room"
            else:
                why = check_room(path, parts[1], name, quoted)
        elif parts[0] == "include":
            if quoted:
                why = f"a public header includes with <...>, not \"{name}\""
            elif name.startswith("tola/") and not (ROOT / "include" / name).is_file():
                why = f"{name} is no public header"
        elif quoted and not (path.parent / name).is_file():  # examples
            why = f"examples see public headers only, not {name}"
        if why:
            yield why


def main():
    passed = failed = 0
    files = [p for folder in ("include", "src", "examples") for p in sorted((ROOT / folder).rglob("*.[ch]"))]
    for path in files:
        bad = list(violations(path))
        for why in bad:
            print(f"{path.relative_to(ROOT)}: {why}")
        failed += bool(bad)
        passed += not bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
