#!/usr/bin/env python3
"""Makes fuzz/corpus/papers: a document of each kind that --check reads, and what is odd."""
import pathlib

OUT = pathlib.Path(__file__).parent / "corpus" / "papers"
HEX = "0123456789abcdef" * 4

FILES = {
    "card.md": "---\nlicense: mit\n---\n# Model Card for x\n\n- **Parameters:** 7.2\\*10^9 parameters (7,241,732,096)\n"
               "- **Tensor types:** bf16, f32\n### Architecture\n\nllama, 22 layers\n- **Fingerprint:** tola digest " + HEX + "\n",
    "form.md": "# Form\n\n| Item | Answer | Source | For |\n|---|---|---|---|\n| Total model size | 7B | weights | AIO |\n"
               "| Model authenticity | tola digest " + HEX + "<br>sha256 " + HEX + " a.safetensors | weights | AIO |\n"
               "| Range of the total model size | 5B-15B | weights | DP |\n",
    "form.html": "<!DOCTYPE html><html><body><table><tr><th scope=\"row\" title=\"a &gt; b\">Total model size</th>"
                 "<td>7&lt;B<br>x</td><td class=\"s\">weights</td></tr>\n<tr><td>Context length</td><td>4096</td></tr></table>",
    "card.json": '{"schema": "tola.card/1", "model": {"digest": "' + HEX + '", "parameters": 12, "dtypes": "f32"}, '
                 '"sections": [{"fields": [{"label": "Total model size", "value": "7.2e9"}]}]}',
    "cdx.json": '{"bomFormat": "CycloneDX", "components": [{"type": "machine-learning-model", "modelCard": '
                '{"modelParameters": {"architectureFamily": "llama"}}, "licenses": [{"license": {"id": "MIT"}}], '
                '"properties": [{"name": "tola:parameters", "value": "12"}], "components": [{"type": "file", "name": "a", '
                '"hashes": [{"alg": "SHA-256", "content": "' + HEX + '"}]}]}]}',
    "spdx.json": '{"@context": "c", "@graph": [{"type": "ai_AIPackage", "spdxId": "u:m", "ai_typeOfModel": ["llama"], '
                 '"ai_hyperparameter": [{"type": "DictionaryEntry", "key": "parameters", "value": "12"}]}, '
                 '{"type": "Relationship", "from": "u:m", "relationshipType": "hasDeclaredLicense", "to": ["u:l"]}, '
                 '{"spdxId": "u:l", "simplelicensing_licenseExpression": "MIT"}, {"type": "software_File", "name": "a", '
                 '"verifiedUsing": [{"algorithm": "sha256", "hashValue": "' + HEX + '"}]}]}',
    "odd.md": "---\nlicense: [\n---\nParameters: \\\n| a | b\n|\\||Context|\n# \n<br><\nhttps://a.example/<b> &lt &amp;amp;\n",
    "text": "# [x](javascript:y) **b** `c` | d \x1b[0m \u202e \ufeff no 1. 2026-01-01 https://a.example/b_c. é \U000e0041\n",
    "empty": "",
}

OUT.mkdir(parents=True, exist_ok=True)
for name, text in FILES.items():
    (OUT / name).write_bytes(text.encode())
