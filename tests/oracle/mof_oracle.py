#!/usr/bin/env python3
"""Classes of the Model Openness Framework beside the Model Openness Tool's: mof_oracle.py

mof_cases.csv is the tool's public test data with what it says of each (make_mof_cases.py); each goes through
`tola comply --mof` as a model file and through `tola comply --facts` as facts. Where $TOLA_MOT names a checkout of
https://github.com/lfai/model_openness_tool, its models/*.yml are classified, too, and compared with the tool's published
rules (web/modules/mof/src/ModelEvaluator.php, its settings and licences), written again below."""
import csv
import json
import os
import pathlib
import re
import subprocess
import tempfile

import common

TOLA = str(common.BUILD / "tola")
HERE = pathlib.Path(__file__).resolve().parent
KINDS = ["distribution", "code", "data", "document"]


def yaml_text(text):
    return json.dumps(text)  # JSON's strings are YAML's


def run(*arguments):
    done = subprocess.run([TOLA, "comply", "--json", *arguments], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise common.Refused(done.stderr.strip())
    return json.loads(done.stdout)["mof"]


def parts_of(row):
    for part in filter(None, row["components"].split(";")):
        yield part.split("=", 1)


def model_file(row):
    lines = ["release:", f"  name: {yaml_text(row['name'])}", "  license:"]
    for kind in KINDS:
        if row[kind]:
            lines += [f"    {kind}:", f"      name: {yaml_text(row[kind])}"]
    lines.append("  components:")
    for name, licence in parts_of(row):
        lines.append(f"  - name: {yaml_text(name)}")
        if licence:
            lines.append(f"    license: {yaml_text(licence)}")
    return "\n".join(lines) + "\n"


def facts_file(row, titles):
    lines = ["release:", "  licences:"]
    lines += [f"    {kind}: {yaml_text(row[kind])}" for kind in KINDS if row[kind]]
    lines.append("  components:")
    for name, licence in parts_of(row):
        lines.append(f"  - {{component: {titles[name]}, present: true"
                     + (f", licence: {yaml_text(licence)}" if licence else "") + "}")
    return "\n".join(lines) + "\n"


def expected(row):
    """As scripts/test-model-files.php takes the names: a class counts only where the lower one is complete."""
    three, two, one = int(row["class3"]), int(row["class2"]), int(row["class1"])
    if three < 100:
        two = one = 0
    elif two < 100:
        one = 0
    return [one, two, three]


def rounded(mof):
    return [int(mof["progress"][c] + 0.5) for c in "123"]


def test_cases(tally, folder):
    rows = list(csv.DictReader(open(HERE / "mof_cases.csv", encoding="utf-8")))
    path = folder / "case.yml"
    path.write_text("release: {components: []}\n", encoding="utf-8")
    titles = {c["title"]: c["component"] for c in run("--mof", str(path))["components"]}
    for row in rows:
        path.write_text(model_file(row), encoding="utf-8")
        mof = run("--mof", str(path))
        tally.equal(row["name"], rounded(mof), expected(row))
        classes = [c for c in (3, 2, 1) if expected(row)[c - 1] == 100]
        tally.equal(row["name"] + ", class", mof["class"], classes[-1] if classes else 0)
        path.write_text(facts_file(row, titles), encoding="utf-8")
        mof = run("--facts", str(path))
        if mof is None:
            tally.equal(row["name"] + ", facts that name no component", row["components"], "")
        else:
            tally.equal(row["name"] + ", as facts", rounded(mof), expected(row))


# ---- the tool's rules, from its sources ----

def open_licences(checkout):
    kinds = {}
    for name in ("licenses.json", "mof-licenses.json"):
        for licence in json.load(open(checkout / "web/modules/mof" / name, encoding="utf-8"))["licenses"]:
            kinds[licence["licenseId"]] = bool(licence.get("isOsiApproved")) or bool(licence.get("isFsfLibre"))
    source = (checkout / "web/modules/mof/src/LicenseHandler.php").read_text(encoding="utf-8")
    named = re.findall(r"^    '([^']+)',$", source, re.M)
    return {k for k, good in kinds.items() if good} | set(named)


def their_class(release, settings, good):
    licences = release.get("license") or {}
    kind_of = {c["name"]: c["content_type"] for c in settings}

    def included(component):
        if "license" in component:
            return (component["license"] or "unlicensed") in good
        for kind in (kind_of[component["name"]], "distribution"):
            entry = licences.get(kind)
            name = entry.get("name") if isinstance(entry, dict) else entry
            if name:
                return name in good
        return False

    have = {c["name"] for c in release.get("components") or [] if c["name"] in kind_of and included(c)}
    reached = 0
    for wanted in (3, 2, 1):
        need = {c["name"] for c in settings if c["required"] and c["class"] >= wanted}
        if "Research paper" in have:
            need.discard("Technical report")
        if not need <= have:
            break
        reached = wanted
    return reached


def test_models(tally, folder):
    where = os.environ.get("TOLA_MOT")
    if not where:
        tally.skip("TOLA_MOT names no checkout of lfai/model_openness_tool: its models are not classified")
        return
    try:
        import yaml
    except ImportError:
        tally.skip("PyYAML is absent")
        return
    checkout = pathlib.Path(where)
    settings = yaml.safe_load((checkout / "web/modules/mof/config/install/mof.settings.yml").read_text())["components"]
    good = open_licences(checkout)
    for path in sorted((checkout / "models").glob("*.yml")):
        release = yaml.safe_load(path.read_text(encoding="utf-8"))["release"]
        try:
            tally.equal(path.name, run("--mof", str(path))["class"], their_class(release, settings, good))
        except common.Refused as refused:
            tally.check(path.name, False, str(refused))


def main():
    tally = common.Tally("mof")
    with tempfile.TemporaryDirectory() as name:
        test_cases(tally, pathlib.Path(name))
        test_models(tally, pathlib.Path(name))
    tally.finish()


main()
