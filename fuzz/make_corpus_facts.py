#!/usr/bin/env python3
"""Makes fuzz/corpus/facts: the facts of tests/cli/comply, units, lineages, rules behind %%, a model file of the Model
Openness Tool, and what is refused."""
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
OUT = ROOT / "fuzz" / "corpus" / "facts"
HEAD = "{title: t, jurisdiction: j, version: '1', as_of: '2026-01-01', values: {few: 1e25}, lists: {union: [DE]}, rules: ["
RULE = "{id: x, kind: duty, title: t, article: a, when: \"%s\", met: \"given(model.name)\", text: '{compute.flop} {value}', value: '%s'}]}"
FILES = {
    "units": "training: {tokens: 14.8T tokens, hardware: [{count: 8, hours: 3 days, peak_tflops: 1 PFLOP/s, utilisation: 40%}], "
             "energy_mwh: 1.2 GWh, price_per_device_hour_usd: $2}\ndata: [{size: 15TiB, points: 3 million}]\n",
    "bytes": "training: {tokens: 14.8TB}\n",
    "key": "training: {tokns: 1}\n",
    "bases": "licence: {id: apache-2.0}\nbases: [{name: a, relation: finetune, licence: cc-by-nc-4.0, compute_flop: 1e24}, "
             "{name: b, relation: merge, licence: gpl-3.0}, {name: c, relation: distil, licence: llama3}]\n",
    "rules": "model: {parameters: 7B}\n%%\n" + HEAD + RULE % ("model.parameters * 6 > few or not known(training.tokens)",
                                                             "max(model.parameters, 2)"),
    "days": "model: {release_date: 2025-01-01}\n%%\n" + HEAD + RULE % ("model.release_date + 14 <= on_date", "1 / 0"),
    "list": "provider: {country: DE}\n%%\n" + HEAD + RULE % ("provider.country in union and (true)", "few - 1"),
    "name": "{}\n%%\n" + HEAD + RULE % ("model.parametrs", "1"),
    "mof": "release: {license: {distribution: {name: MIT}}, components: [{name: Model card}, {name: Datasets, license: ''}]}\n",
    "empty": "",
}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    for path in (ROOT / "tests" / "cli" / "comply").glob("*.yaml"):
        FILES[path.stem] = path.read_text(encoding="utf-8")
    for name, text in FILES.items():
        (OUT / name).write_text(text, encoding="utf-8")


main()
