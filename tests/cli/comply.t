# tola comply: published models come out as they are known; dates, lineage, contradictions, papers, bad facts.

$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; tola comply --facts "$ROOT/tests/cli/comply/llama-405b.yaml" --on-date 2026-11-22 --json | show eu.general-purpose eu.systemic-risk eu.open.licence eu.open eu.duty.copyright eu.duty.notification ca.frontier-model
flop 3.8e+25 cost unknown class 0
eu.general-purpose yes
eu.systemic-risk yes
eu.open.licence no
eu.open no
eu.duty.copyright yes/unknown from 2027-08-02
eu.duty.notification yes/unknown from 2027-08-02
ca.frontier-model no

$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; tola comply --facts "$ROOT/tests/cli/comply/llama-405b.yaml" --on-date 2027-08-03 --json | show eu.duty.copyright eu.duty.notification ny.frontier-model
flop 3.8e+25 cost unknown class 0
eu.duty.copyright yes/unknown
eu.duty.notification yes/unknown
ny.frontier-model no

$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; tola comply --facts "$ROOT/tests/cli/comply/deepseek-v3.yaml" --on-date 2026-11-22 --json | show eu.general-purpose eu.systemic-risk eu.duty.copyright eu.duty.representative
flop 3.29e+24 cost 5.328e+06 class 0
eu.general-purpose yes  estimate
eu.systemic-risk no  estimate
eu.duty.copyright yes/unknown  estimate
eu.duty.representative yes/unknown  estimate

$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; tola comply --facts "$ROOT/tests/cli/comply/gpt-oss-20b.yaml" --on-date 2026-11-22 --json | show eu.general-purpose eu.systemic-risk eu.open.licence eu.open ca.frontier-model
flop unknown cost unknown class 0
eu.general-purpose yes
eu.systemic-risk unknown
eu.open.licence yes
eu.open unknown
ca.frontier-model unknown

$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; tola comply --facts "$ROOT/tests/cli/comply/olmo-2.yaml" --on-date 2026-11-22 --json | show eu.general-purpose eu.open eu.duty.documentation eu.duty.copyright eu.duty.summary eu.duty.representative osaid
flop 4.6e+23 cost unknown class 1
eu.general-purpose yes  estimate
eu.open yes  estimate
eu.duty.documentation no  estimate
eu.duty.copyright yes/unknown  estimate
eu.duty.summary yes/unknown  estimate
eu.duty.representative no  estimate
osaid yes

$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; tola comply --facts "$ROOT/tests/cli/comply/tinyllama.yaml" --on-date 2026-11-22 --json | show eu.general-purpose eu.provider eu.systemic-risk
flop 1.98e+22 cost unknown class 0
eu.general-purpose no  estimate
eu.provider no  estimate
eu.systemic-risk not asked

$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; tola comply --facts "$ROOT/tests/cli/comply/lora.yaml" --on-date 2026-11-22 --json | show eu.general-purpose eu.modifier eu.provider
flop 3.8e+25 cost unknown class None
eu.general-purpose yes  estimate
eu.modifier no  estimate
eu.provider no  estimate

$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; sed 's/tokens: 1B/compute_flop: 1.3e25/' "$ROOT/tests/cli/comply/lora.yaml" > f.yaml; tola comply --facts f.yaml --on-date 2026-11-22 --json | show eu.modifier eu.provider eu.systemic-risk
flop 5.1e+25 cost unknown class None
eu.modifier yes
eu.provider yes  estimate
eu.systemic-risk yes  estimate

# where the original's compute is unknown: a third of 1e25 for one with systemic risk, else of 1e23
$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; for c in 3.3e24 3.4e24; do sed "s/tokens: 1B/compute_flop: $c/; s/compute_flop: 3.8e25, //" "$ROOT/tests/cli/comply/lora.yaml" > f.yaml; tola comply --facts f.yaml --json | show eu.modifier; done; for c in 3.3e22 3.4e22; do sed "s/tokens: 1B/compute_flop: $c/; s/compute_flop: 3.8e25, systemic_risk: true/own: false/" "$ROOT/tests/cli/comply/lora.yaml" > f.yaml; tola comply --facts f.yaml --json | show eu.modifier; done
flop unknown cost unknown class None
eu.modifier no
flop unknown cost unknown class None
eu.modifier yes
flop unknown cost unknown class None
eu.modifier no
flop unknown cost unknown class None
eu.modifier yes

$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; tola comply --facts "$ROOT/tests/cli/comply/grok-like.yaml" --on-date 2026-11-22 --json | show eu.systemic-risk eu.open eu.duty.notification ca.frontier-model ca.large-developer ca.duty.framework ca.duty.report ny.large-developer ny.duty.framework
flop 5e+26 cost unknown class 0
eu.systemic-risk yes
eu.open no
eu.duty.notification yes/no
ca.frontier-model yes
ca.large-developer yes
ca.duty.framework yes/yes
ca.duty.report yes/unknown
ny.large-developer yes from 2027-01-01
ny.duty.framework yes/yes from 2027-01-01

# the exemption falls with each of its conditions, and with systemic risk
$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; f="$ROOT/tests/cli/comply/olmo-2.yaml"; for e in 's/monetised: false/monetised: true/' 's/usage_public: true/usage_public: false/' 's/id: apache-2.0/id: cc-by-nc-4.0/' 's/tokens: 5.6T/compute_flop: 2e25/' 's/, usage_public: true//'; do sed "$e" "$f" > g.yaml; tola comply --facts g.yaml --json | show eu.open | tail -1; done
eu.open no  estimate
eu.open no  estimate
eu.open no  estimate
eu.open no
eu.open unknown  estimate

# two ways that differ by more than a factor of 3; more than the hardware can give; hours that do not multiply
$ cat > f.yaml <<'E'
> model: {name: x, parameters: 7B, outputs: [{modality: text}]}
> training: {tokens: 2T, compute_flop: 3e24}
> E
> export COLUMNS=160; tola comply --facts f.yaml | grep -A1 contradiction; sed -i 's/, compute_flop: 3e24/, hardware: [{count: 10, hours: 100, device_hours: 5000, peak_tflops: 1000, utilisation: 0.4}]/' f.yaml; tola comply --facts f.yaml | grep -A1 "^  contradiction"
  contradiction
          compute of training: declared says 3e24 FLOP, 6ND says 8.4e22: a factor of 35.7 apart, more than 3
  contradiction
          training.hardware[0]: device_hours is 5000, but count x hours is 1000
  contradiction
          compute of training: 6ND says 8.4e22 FLOP, hardware says 7.2e21: a factor of 11.7 apart, more than 3
  contradiction
          compute of training: 6ND says 8.4e22 FLOP, but the hardware at its peak gives at most 1.8e22

# lineage: a non-commercial base, one of Llama without its notices and name, two that cannot both hold
$ cat > f.yaml <<'E'
> model: {name: mine, outputs: [{modality: text}]}
> licence: {id: apache-2.0}
> bases: [{name: org/nc, relation: finetune, licence: cc-by-nc-4.0}, {name: meta-llama/Llama-3.1-8B, relation: merge, licence: llama3.1}, {name: org/gpl, relation: merge, licence: gpl-3.0}]
> E
> COLUMNS=160 tola comply --facts f.yaml | grep -A1 -E "^  (contradiction|missing)$" | grep -v -E "^(--|  (contradiction|missing))"
          org/nc is cc-by-nc-4.0, which allows no commercial use; what is made from it cannot be apache-2.0
          org/nc (cc-by-nc-4.0) asks for attribution with copies and derivatives: licence.notices names none
          meta-llama/Llama-3.1-8B is llama3.1: its terms and use restrictions go on to what is made from it, and apache-2.0 does not carry them
          meta-llama/Llama-3.1-8B (llama3.1) asks for a copy of its licence with copies and derivatives: licence.notices names none
          meta-llama/Llama-3.1-8B (llama3.1) asks for a notice file with copies and derivatives: licence.notices names none ("Llama 3.1 is licensed under the
          meta-llama/Llama-3.1-8B (llama3.1): "Built with Llama" must be displayed; licence.attribution does not say it
          the name 'mine' must begin with "Llama", as meta-llama/Llama-3.1-8B (llama3.1) asks of models made from it
          org/gpl is gpl-3.0: what is made from it comes under the same terms, not apache-2.0
          org/gpl (gpl-3.0) asks for a copy of its licence with copies and derivatives: licence.notices names none
          org/nc is cc-by-nc-4.0 and org/gpl is gpl-3.0: the terms of both cannot hold for one work
          meta-llama/Llama-3.1-8B is llama3.1 and org/gpl is gpl-3.0: the terms of both cannot hold for one work

# weights speak, and the folder names bases; facts that contradict them are told
$ cp -r "$FIXTURES/llama" m; printf -- '---\nlicense: mit\nbase_model: org/base\n---\n' > m/README.md; printf 'model: {parameters: 7B}\nlicence: {id: apache-2.0}\n' > f.yaml; COLUMNS=160 tola comply m --facts f.yaml | grep -E "^  (parameters|base)|facts say|the licence is|licence of the base" | grep -v compute_flop
  parameters        1.38 K (the weights)
  base     org/base: relation unknown, licence unknown (README.md)
          the facts say 7e9 parameters, the weights 1384
          the licence is apache-2.0 by licence.id of the facts, but mit by README.md
          the licence of the base org/base is not known: bases[].licence

# papers
$ tola comply --facts "$ROOT/tests/cli/comply/grok-like.yaml" --notification n.md --evaluation-record e.md -q; echo $?; grep -E "Legal name|Cumulative|Last day|Cyber" n.md; grep -A1 Evaluations e.md | head -1; tola comply --facts "$ROOT/tests/cli/comply/grok-like.yaml" --notification n.md
1
- Legal name: Example
- Cumulative training compute: 5e26 FLOP (training.compute\_flop)
- Last day for this notification: 2026-01-24 (safety.threshold\_met\_date + 14 days)
- Cybersecurity: **unknown** (facts: `safety.cybersecurity`)
\## Evaluations
2> tola: n.md: exists already and is not overwritten without being told to (--force)
[exit 2]

# a facts file that is complete is clean; rules may be replaced
$ cat > r.yaml <<'E'
> {title: t, jurisdiction: Nowhere, version: "1", as_of: "2026-01-01", values: {few: 10}, rules: [{id: x.big, kind: status, title: Big, article: "1", when: "model.parameters > few", yes: "big: {model.parameters}"}]}
> E
> printf 'model: {name: x, parameters: 7B}\n' > f.yaml; tola comply --facts f.yaml --rules r.yaml | sed -n 1,7p
x, as of * (glob)
  parameters        7.00 B (model.parameters)
  training compute  unknown
    training, 6ND: unknown, needs training.tokens
\
Nowhere
  yes     Big

# bad facts
$ for t in 'training: {tokens: 14.8TB}' 'training: {tokns: 1}' 'tokens: 3' 'training: {hardware: [{hours: 3 GB}]}' 'training: {tokens: -1}' 'training: {hardware: [{utilisation: 41}]}' 'model: {release_date: soon}' 'x'; do printf '%s\n' "$t" > f.yaml; tola comply --facts f.yaml; echo $?; done
2
2
2
2
2
2
2
2
2> tola: f.yaml: line 1, column 20: training.tokens: '14.8TB' is given in bytes (TB), but this is a number of tokens
2> tola: f.yaml: line 1, column 12: training: unknown key 'tokns'; did you mean 'tokens'?
2> tola: f.yaml: line 1, column 1: unknown key 'tokens'; did you mean 'training.tokens'?
2> tola: f.yaml: line 1, column 31: training.hardware[0].hours: '3 GB' is given in bytes (GB), but this is a number of hours
2> tola: f.yaml: line 1, column 20: training.tokens: -1 is not in 0 .. 1e+17 tokens; it cannot be negative
2> tola: f.yaml: line 1, column 37: training.hardware[0].utilisation: 41 is not in 1e-06 .. 1 share; 40 % is 0.4
2> tola: f.yaml: line 1, column 23: model.release_date: a day as 2026-11-22 is wanted, not the text 'soon'
2> tola: f.yaml: line 1, column 1: a map is wanted, not the text 'x'

$ tola comply
2> tola: a model or --facts FILE.yaml is wanted; --template prints one to fill in
[exit 2]

$ tola comply --facts "$ROOT/tests/cli/comply/lora.yaml" --on-date yesterday
2> tola: 'yesterday' is no day; 2026-11-22 is one
[exit 2]

$ tola comply --template > t.yaml; tola comply --facts t.yaml -q
[exit 1]

# all is said: 0; with one fact less: 1, and it is named
$ tola comply --facts "$ROOT/tests/cli/comply/complete.yaml" --on-date 2026-11-22 -q; echo $?; grep -v summary_url "$ROOT/tests/cli/comply/complete.yaml" > f.yaml; echo 'data_policy: {copyright_policy: none, summary_url: x}' >> f.yaml; tola comply --facts f.yaml --on-date 2026-11-22 | grep "^  not met"; sed 's/, summary_url: [^}]*}/}/' "$ROOT/tests/cli/comply/complete.yaml" > f.yaml; tola comply --facts f.yaml --on-date 2026-11-22 | sed -n '/^Missing/,/^$/p'
0
  not met Policy to comply with Union copyright law [estimate]
Missing facts
  data_policy.summary_url
\

# facts that cannot go together
$ cat > f.yaml <<'E'
> model: {release_date: 2025-01-01, eu_placed: false, eu_release_date: 2025-02-01, parameters: 1B, active_parameters: 2B}
> licence: {parameters_public: true}
> release: {access: api}
> training: {start_date: 2025-03-01, end_date: 2025-03-02, wall_hours: 100, tokens: 1T}
> data: [{tokens: 10T}]
> E
> COLUMNS=160 tola comply --facts f.yaml | grep -A1 "^  contradiction" | grep -v -E "^(--|  contradiction)"
          more parameters are active than there are
          training.start_date is after model.release_date
          training.start_date is after model.eu_release_date
          it is not placed on the Union's market, but has a day on which it was
          the data sum up to 1e13 tokens, training says 1e12
          the parameters are public (licence.parameters_public), but access is by API or closed
          training.wall_hours is 100, but from start_date to end_date are 48 hours

$ printf 'training: {tokens: 14.8}\n' > f.yaml; tola comply --facts f.yaml
2> tola: f.yaml: line 1, column 20: training.tokens: 14.8 is no whole number of tokens; K, M, B and T are thousands to 1e12
[exit 2]

# a notification that is overdue is a duty not met; one in time is met
$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; f="$ROOT/tests/cli/comply/grok-like.yaml"; sed 's/, notified_date: 2026-02-10//' "$f" > f.yaml; for d in 2026-01-20 2026-01-30; do tola comply --facts f.yaml --on-date $d --json | show eu.duty.notification | tail -1; done; sed 's/2026-02-10/2026-01-24/' "$f" > f.yaml; tola comply --facts f.yaml --on-date 2026-01-30 --json | show eu.duty.notification | tail -1
eu.duty.notification yes/unknown
eu.duty.notification yes/no
eu.duty.notification yes/yes

# config.json with its folder's card, adapters, merges; GGUF's own words
$ mkdir c; cp "$FIXTURES/llama/config.json" c/; printf -- '---\nlicense: llama3.1\nbase_model:\n- meta-llama/Llama-3.1-8B\nbase_model_relation: quantized\n---\n' > c/README.md; printf 'models:\n- model: org/one\n- model: org/two\n' > c/mergekit_config.yml; COLUMNS=160 tola comply c/config.json | grep -E "^  (base|licence) "; COLUMNS=160 tola comply c | grep -E "^  (base|licence|parameters) "
  licence  llama3.1
  base     meta-llama/Llama-3.1-8B: quantize, llama3.1 (README.md)
  base     org/one: merge, licence unknown (mergekit_config.yml)
  base     org/two: merge, licence unknown (mergekit_config.yml)
  parameters        1.38 K (config.json; the weights are not all there)
  licence  llama3.1
  base     meta-llama/Llama-3.1-8B: quantize, llama3.1 (README.md)
  base     org/one: merge, licence unknown (mergekit_config.yml)
  base     org/two: merge, licence unknown (mergekit_config.yml)

# a base that is only named: the licence of well-known models is known; so Llama's name and notices are asked for
$ mkdir l; cp "$FIXTURES/llama/config.json" l/; printf -- '---\nlicense: mit\nbase_model: meta-llama/Llama-3.1-8B\n---\n' > l/README.md; COLUMNS=160 tola comply l | sed -n '/^Licence lineage/,/^Missing/p' | grep -A1 -E "^  (base|contradiction|missing|note)" | grep -v -E "^(--|  (contradiction|missing|note))"
  base     meta-llama/Llama-3.1-8B: relation unknown, llama3.1 (README.md)
          meta-llama/Llama-3.1-8B: the licence llama3.1 is taken from data/licences.yaml by its name, unless bases[].licence says another
          meta-llama/Llama-3.1-8B is llama3.1: its terms and use restrictions go on to what is made from it, and mit does not carry them
          meta-llama/Llama-3.1-8B (llama3.1) asks for a copy of its licence with copies and derivatives: licence.notices names none
          meta-llama/Llama-3.1-8B (llama3.1) asks for a notice file with copies and derivatives: licence.notices names none ("Llama 3.1 is licensed under the
          meta-llama/Llama-3.1-8B (llama3.1): "Built with Llama" must be displayed; licence.attribution does not say it
          the name 'l' must begin with "Llama", as meta-llama/Llama-3.1-8B (llama3.1) asks of models made from it
          meta-llama/Llama-3.1-8B (llama3.1): above 700M monthly users a licence of their own is needed

# what Tola made says what it was made of
$ cp -r "$FIXTURES/llama" o; tola convert o q.gguf --provenance p.json -q; tola comply q.gguf --provenance p.json | grep "^  base "
  base     o: convert, licence unknown (p.json)

# an adapter's compute goes through all of its base
$ show() { python3 "$ROOT/tests/cli/comply/show.py" "$@" | sed 's/ *$//'; }; printf 'bases: [{name: b, relation: adapter, parameters: 7B, tokens: 2T, licence: mit}]\nfinetuning: {tokens: 1B}\n' > f.yaml; tola comply --facts f.yaml --json | show eu.modifier
flop 8.4e+22 cost unknown class None
eu.modifier no  estimate

# The nearest known key, by its letters or by its words.
$ for k in 'training: {token: 1T}' 'training: {flops: 1e25}' 'training: {token_count: 1T}' 'model: {params: 7B}' 'training: {hardware: [{mfu: 0.4}]}' 'training: {gpu_hours: 3}' 'provider: {revenue: 5B}' 'model: {zzzzzz: 1}' '___: 1'; do echo "$k" > near.yaml; tola comply --facts near.yaml; done
2> tola: near.yaml: line 1, column 12: training: unknown key 'token'; did you mean 'tokens'?
2> tola: near.yaml: line 1, column 12: training: unknown key 'flops'; did you mean 'compute_flop'?
2> tola: near.yaml: line 1, column 12: training: unknown key 'token_count'; did you mean 'tokens'?
2> tola: near.yaml: line 1, column 9: model: unknown key 'params'; did you mean 'parameters'?
2> tola: near.yaml: line 1, column 24: training.hardware[0]: unknown key 'mfu'; did you mean 'utilisation'?
2> tola: near.yaml: line 1, column 12: training: unknown key 'gpu_hours'; did you mean 'hardware'?
2> tola: near.yaml: line 1, column 12: provider: unknown key 'revenue'; did you mean 'annual_revenue_usd'?
2> tola: near.yaml: line 1, column 9: model: unknown key 'zzzzzz'; tola comply --template lists all
2> tola: near.yaml: line 1, column 1: unknown key '___'; tola comply --template lists all
[exit 2]
