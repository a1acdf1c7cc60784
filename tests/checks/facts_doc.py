#!/usr/bin/env python3
"""docs/facts.md shows the template that the program prints: facts_doc.py BUILD_FOLDER [--update]"""
import pathlib
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "facts.md"
HEAD = """# facts.yaml: what the weights do not tell

`tola comply`, `tola card` and `tola bom` read one file of facts. Below is the template that `tola comply
--template` prints, made from the same table that checks a file: an unknown key is an error that names the nearest
known one with its line and column, and so is a unit that cannot be (`tokens: 14.8TB`). A key that is empty or
absent is unknown; nothing is assumed for it. For texts that say that there is none, write `none`.

Numbers: `14.8T`, `2.664M hours`, `3.8e25`, `15 trillion`, `$2`, `40%`; K, M, B, T are 1e3 to 1e12. Another unit of the
same kind converts (`1.2 GWh`, `54 days`); bytes want theirs spelled out (`15TB` or `15TiB`). Days: `2026-11-22`.

```yaml
"""


def main():
    template = subprocess.run([sys.argv[1] + "/tola", "comply", "--template"], check=True, capture_output=True,
                              text=True).stdout
    want = HEAD + template + "```\n"
    if "--update" in sys.argv:
        PAGE.write_text(want, encoding="utf-8")
    good = PAGE.exists() and PAGE.read_text(encoding="utf-8") == want
    if not good:
        print("docs/facts.md is not what the program prints: tests/checks/facts_doc.py BUILD --update")
    print(f"{int(good)} passed, {int(not good)} failed")
    return 0 if good else 1


sys.exit(main())
