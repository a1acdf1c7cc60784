#!/usr/bin/env python3
"""Makes data/spdx-open.yaml: spdx_open.py LICENSES.json MOF_LICENSES.json > data/spdx-open.yaml

Which SPDX licences are open, after the Model Openness Tool (https://github.com/lfai/model_openness_tool): approved by
OSI or listed as free by the FSF (SPDX's license list, web/modules/mof/licenses.json there), or open for data or models
(its LicenseHandler.php); and for which kinds of content each is meant (web/modules/mof/mof-licenses.json)."""
import json
import sys

DATA = """CC0-1.0 CC-BY-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-2.5-AU CC-BY-3.0 CC-BY-3.0-AT CC-BY-3.0-AU CC-BY-3.0-DE
CC-BY-3.0-IGO CC-BY-3.0-NL CC-BY-3.0-US CC-BY-4.0 CC-BY-SA-1.0 CC-BY-SA-2.0 CC-BY-SA-2.0-UK CC-BY-SA-2.1-JP
CC-BY-SA-2.5 CC-BY-SA-3.0 CC-BY-SA-3.0-AT CC-BY-SA-4.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0 CDLA-Sharing-1.0
ODC-PDDL-1.0 ODC-By-1.0 ODbL-1.0 GFDL-1.3 OGL-Canada-2.0 OGL-UK-2.0 OGL-UK-3.0""".split()
MODEL = ["OpenMDW-1.0"]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n")[0])
    rows, version = {}, []
    for path in sys.argv[1:]:
        text = json.load(open(path, encoding="utf-8"))
        version.append(text.get("licenseListVersion", "?"))
        for licence in text["licenses"]:
            kinds = licence.get("ContentType") or []
            kinds = [kinds] if isinstance(kinds, str) else kinds
            row = rows.setdefault(licence["licenseId"], set())
            row.clear()  # the second file's row replaces the first one's, as the tool's import does
            row.update(["osi"] * bool(licence.get("isOsiApproved")), ["fsf"] * bool(licence.get("isFsfLibre")), kinds)
    for name in DATA:
        rows.setdefault(name, set()).add("open-data")
    for name in MODEL:
        rows.setdefault(name, set()).add("open-model")
    print("# Made by scripts/spdx_open.py; not edited by hand. osi: approved by the Open Source Initiative; fsf: free")
    print("# after the Free Software Foundation; open-data, open-model: counted as open by the Model Openness Tool;")
    print("# code, data, document: the kinds of content it is meant for.")
    print(f'version: "SPDX licence list {" and ".join(version)}"')
    print("licences:")
    order = ["osi", "fsf", "open-data", "open-model", "code", "data", "document"]
    for name in sorted(rows, key=str.lower):
        if rows[name] & {"osi", "fsf", "open-data", "open-model"}:
            print(f'  {name}: {" ".join(sorted(rows[name], key=order.index))}')


main()
