#!/usr/bin/env python3
"""Makes fuzz/corpus/yaml: recipes, every kind of value, and what is refused."""
import pathlib

OUT = pathlib.Path(__file__).parent / "corpus" / "yaml"

FILES = {
    "recipe": "# train\nmodel:\n  kind: decoder\n  layers: 4\noptimizer: {name: adamw, lr: 3e-4, betas: [0.9, 0.95]}\n",
    "merge": "models:\n  - model: a\n    parameters:\n      weight:\n        - filter: mlp\n"
             "          value: [0, 0.5, 1]\n        - value: 0.5\nmerge_method: ties\nbase_model: b\ndtype: bfloat16\n",
    "words": "[~, null, true, FALSE, yes, 0, -12, +7, 010, 0x1F, 0o17, 1.5, .5, 5., 1e-4, -.inf, .nan,"
             " 18446744073709551616]\n",
    "texts": "a: 'it''s'\nb: \"x\\n\\u00e4\"\nc: |\n  two\n  lines\nd: >-\n  one\n  line\ne: plain text\n",
    "tags": "[!!str 12, ! 12, !!int '3', !!float 3, !!null '', !!bool true, !!seq [], !!map {}]\n",
    "aliases": "a: &a [x, {y: z}]\nb: *a\nc: &c {d: *a}\ne: [*c, *c]\n",
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
              "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
    "itself": "a: &a [*a]\n",
    "twice": "a: 1\nb: 2\na: 3\n",
    "second": "a: 1\n---\nb: 2\n",
    "complex": "? [1]\n: 2\n",
    "tag": "a: !!python/object:os.system x\n",
    "deep": "[" * 70 + "]" * 70,
    "directive": "%YAML 1.2\n%TAG ! tag:x,2000:\n---\na: b\n...\n",
    "open": "a: [1, 2\nb: {c: d\n",
    "utf16": b"\xff\xfea\x00:\x00 \x00b\x00",
    "empty": "",
}

OUT.mkdir(parents=True, exist_ok=True)
for name, content in FILES.items():
    (OUT / name).write_bytes(content if isinstance(content, bytes) else content.encode())
