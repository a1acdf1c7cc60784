# tola card, tola bom: exit 0 done or agrees, 1 disagrees, 2 error.

$ cp "$FIXTURES/tiny.safetensors" w.safetensors; tola card w.safetensors README.md
README.md: Model Card for w.safetensors; * fields unknown (glob)
$ head -6 README.md
---
---
\
\# Model Card for w.safetensors
\
\## Model Details
$ tail -3 README.md
---
\
* fields unknown. (glob)

# An output is not replaced by accident.
$ tola card w.safetensors README.md
2> tola: README.md: exists already and is not overwritten without being told to (--force)
[exit 2]

# Facts, hostile ones too; what is known says where from.
$ cat > facts.yaml <<'F'
> provider: {legal_name: "Acme <b>|</b> *Ltd*"}
> model: {name: "Tiny: # no", languages: [en, "no"], version: "1.0", release_date: 2026-01-02}
> licence: {id: Apache-2.0}
> training: {energy_mwh: 12}
> F
> tola card w.safetensors --facts facts.yaml --date 2026-11-22 card.md; sed -n '2,/^---$/p' card.md
card.md: Model Card for Tiny: # no; * fields unknown (glob)
language:
- en
- "no"
license: apache-2.0
---
$ grep -E 'Developed|^# |Energy|Repository' card.md
\# Model Card for Tiny: \# no
- **Developed by:** Acme &lt;b&gt;\|&lt;/b&gt; \*Ltd\*
- **Repository:** [More Information Needed]
- **Energy:** 12 MWh
$ tola card w.safetensors --facts facts.yaml --kind eu --date 2026-11-22 form.md -q; grep -E 'last updated|Legal|energy used|size|Union market' form.md
| Date this document was last updated | 2026-11-22 | computed: the day it was made | AIO, NCA, DP |
| Legal name for the model provider | Acme &lt;b&gt;\|&lt;/b&gt; \*Ltd\* | facts: provider.legal\_name | AIO, NCA, DP |
| Union market release date | *unknown* |  | AIO, NCA, DP |
* (glob)
...
| Total model size | * parameters (*) | weights | AIO, NCA | (glob)
| Range of the total model size | 1-500M | weights | AIO, NCA, DP |
| Amount of energy used for training | 12 MWh | facts: training.energy\_mwh | AIO, NCA |
$ tola card w.safetensors --facts facts.yaml --kind data summary.html --json --date 2026-11-22 | head -8
{
  "schema": "tola.paper/1",
  "output": "summary.html",
  "kind": "data",
  "title": "Public Summary of Training Content for General-Purpose AI models: Tiny: # no",
  "fields": *, (glob)
  "unknown": *, (glob)
  "unknown_fields": [
$ grep -c '<b>' summary.html
0
[exit 1]

# The same bytes on the same day.
$ for k in cyclonedx spdx; do tola bom w.safetensors --facts facts.yaml --kind $k --date 2026-11-22 - > a.json; tola bom w.safetensors --facts facts.yaml --kind $k --date 2026-11-22 b.json --force -q; cmp a.json b.json && ! grep "$PWD" a.json; done
$ tola bom w.safetensors --date 2026-11-22 bom.json; grep -E '"(bomFormat|specVersion|serialNumber|timestamp)"' bom.json
bom.json: CycloneDX 1.6 bill of materials of w.safetensors; * fields unknown (glob)
  "bomFormat": "CycloneDX",
  "specVersion": "1.6",
  "serialNumber": "urn:uuid:*", (glob)
    "timestamp": "2026-11-22T00:00:00Z",

# Documents are held against the weights.
$ tola card --check form.md w.safetensors; tola bom --check bom.json w.safetensors
form.md: agrees with the weights (* claims checked) (glob)
bom.json: agrees with the weights (* claims checked) (glob)
$ sed -i 's/| Total model size | [^|]*/| Total model size | 7.2\\*10^9 parameters /' form.md; tola card --check form.md w.safetensors
form.md:*: parameters: the document says 7.2*10^9 parameters, the weights * (disagrees) (glob)
form.md: 1 of * claims disagree with the weights (glob)
[exit 1]
$ printf x | dd of=w.safetensors bs=1 seek=420 conv=notrunc 2>/dev/null; tola bom --check bom.json w.safetensors -q
[exit 1]
$ cp "$FIXTURES/tiny.safetensors" w.safetensors
$ echo '# nothing' > empty.md; tola card --check empty.md w.safetensors
2> tola: empty.md: says nothing of the weights that can be checked
[exit 2]
$ echo '{"a": 1}' > other.json; tola card --check other.json w.safetensors
2> tola: other.json: is neither a card of tola's nor CycloneDX nor SPDX 3
[exit 2]
$ tola card --check does-not-exist.md w.safetensors
2> tola: cannot open does-not-exist.md: No such file or directory
[exit 2]

# Facts that contradict the weights are told.
$ echo 'model: {parameters: 7B}' > wrong.yaml; tola card w.safetensors --facts wrong.yaml x.json > /dev/null
2> tola: warning: the facts say 7e+09 parameters (model.parameters), the weights * (glob)

# Bad input.
$ tola card w.safetensors
2> tola: OUT is missing: a file (its ending says its form), or - for stdout
[exit 2]
$ tola card w.safetensors card.pdf
2> tola: card.pdf: the ending says no form that a card has: .md, .json or .html (or --format)
[exit 2]
$ tola card w.safetensors --date 2026-02-30 y.md
2> tola: --date 2026-02-30 is no day, as 2026-11-22 is
[exit 2]
$ echo 'modle: {}' > bad.yaml; tola card w.safetensors --facts bad.yaml y.md
2> tola: bad.yaml: line 1, column 1: * 'modle'* (glob)
[exit 2]
$ echo '{}' > no.json; tola bom w.safetensors --eval no.json y.json
2> tola: no.json: is no result of tola eval --json
[exit 2]

# What Tola recorded: evaluations, reports, logs.
$ mkdir -p m && cp w.safetensors m/model.safetensors; echo '{"schema":"tola.eval/1","task":"perplexity","protocol":"chunk","context":512,"perplexity":12.5,"perplexity_error":0.25,"kl":null}' > m/eval.json; printf '{"step":1,"loss":2.5,"tokens":10}\n{"step":2,"loss":1.5,"tokens":20}\n{"step":2,"run":{"seconds":7200,"tokens":20,"energy_j":3600000}}\n' > m/log.jsonl; printf 'MIT License\n' > m/LICENSE; printf -- '---\nbase_model: org/base\nlanguage: [de]\n---\n# x\n' > m/README.md
> tola card m --kind hf c.md -q; grep -E 'Energy|License|Procedure:|perplexity: 12|Finetuned|Language' c.md; sed -n '2,/^---$/p' c.md
- **Language(s) (NLP):** de
- **License:** mit
- **Finetuned from model [optional]:** org/base
- **Procedure:** 2 steps, 20 tokens or rows, loss 1.5 at the end
eval.json, perplexity: 12.5 +- 0.25
- **Energy:** 1.0\*10^-3 MWh
language:
- de
license: mit
base_model:
- org/base
metrics:
- perplexity
model-index:
- name: m
  results:
  - task:
      type: other
    dataset:
      name: "unknown, see eval.json"
      type: unknown
    metrics:
    - type: perplexity
      value: 12.5
      name: "perplexity (chunk, context 512)"
---
$ tola bom m m.json -q; grep -A1 -E 'activityEnergyCost|"lowerBound"' m.json
*"lowerBound": "12.01", (glob)
*"upperBound": "12.99" (glob)
--
*"activityEnergyCost": { (glob)
*"value": 1.0, (glob)
