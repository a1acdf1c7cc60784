#!/usr/bin/env python3
"""Makes mof_cases.csv from the Model Openness Tool's test data: make_mof_cases.py CHECKOUT > tests/oracle/mof_cases.csv

CHECKOUT is one of https://github.com/lfai/model_openness_tool (MIT). The files' names carry what the tool is to say
(Test_Data/README.md). A row: name, progress of class 1, 2, 3 as in the name, licences of the release by kind, and
"component=licence" (nothing behind the sign: it inherits) with ; between them. Needs PyYAML."""
import csv
import pathlib
import re
import sys

import yaml

NAME = re.compile(r"_C1_(\d+)%-C2_(\d+)%-C3_(\d+)%_")
KINDS = ["distribution", "code", "data", "document"]


def licence_of(component):
    if "license" not in component:
        return ""
    return component["license"] or "unlicensed"


def main():
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["name", "class1", "class2", "class3", *KINDS, "components"])
    for path in sorted(pathlib.Path(sys.argv[1], "Test_Data").glob("*.yml")):
        release = yaml.safe_load(path.read_text(encoding="utf-8"))["release"]
        licences = release.get("license") or {}
        parts = ";".join(f"{c['name']}={licence_of(c)}" for c in release.get("components") or [])
        out.writerow([path.stem, *NAME.search(path.name).groups(),
                      *[(licences.get(k) or {}).get("name") or "" for k in KINDS], parts])


main()
