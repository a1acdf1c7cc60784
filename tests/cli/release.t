# tola release: exit 0 ready, 1 something is missing, 2 error.
# needs: openssl

$ umask 077; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k.pem 2>/dev/null; openssl pkey -in k.pem -pubout -out k.pub
> mkdir m; cp "$FIXTURES/tiny.safetensors" m/model.safetensors; printf 'licence: {id: mit}\nevaluation: [{benchmark: x, metric: accuracy, value: 0.5}]\n' > facts.yaml
> printf 'model: m\nrelease: open\nwhy: to be checked\nby: the board\nfacts: facts.yaml\nform: form.md\nsummary: summary.md\nbom: m.cdx.json\npublic_key: k.pub\n' > plan.yaml
> tola release plan.yaml | grep -v '^ '
ok       decision    open, by the board: to be checked
missing  licence     mit, but its text is not in the folder (LICENSE)
missing  card        README.md is not there
missing  form        form.md is not there
missing  summary     summary.md is not there
missing  bom         m.cdx.json is not there
missing  signature   * (glob)
ok       scan        1 files, safe
ok       state       none
ok       metadata    none found
ok       tokenizer   not a model of language
ok       evaluation  1 results
m: not ready for an open release, 6 of 12 missing

$ printf 'MIT License\n' > m/LICENSE; tola card m --facts facts.yaml m/README.md -q; tola card m --facts facts.yaml --kind eu form.md -q; tola card m --kind data summary.md -q; tola bom m --facts facts.yaml m.cdx.json -q; tola sign m --key k.pem -q; tola release plan.yaml | tail -n 1
m: ready for an open release

# Each thing is looked at, not only whether it is there.
$ mkdir m/checkpoint-5; echo x > m/checkpoint-5/optimizer.pt; echo '{"a": "/home/joe/x"}' > m/extra.json; sed -i 's/Tensor types:\*\* [a-z0-9, ]*/Tensor types:** q4_0/' m/README.md; cp form.md summary.md; tola release plan.yaml | grep ^missing
missing  card        README.md: dtype: it says q4_0, the weights * (glob)
missing  form        form.md: digest: there is now sha256 * README.md (glob)
missing  summary     summary.md is no "Public Summary of Training Content"
missing  bom         m.cdx.json: sha256 of README.md does not agree
missing  signature   the model is not what was signed: 1 changed, 2 added
missing  scan        * (glob)
missing  state       checkpoint-5/optimizer.pt
missing  metadata    extra.json holds "/home/"

# What does not apply is waived with a reason.
$ printf 'waive: {form: no general-purpose model, tokenizers: x}\n' >> plan.yaml; tola release plan.yaml
2> tola: plan.yaml: line 10, column *: waive: unknown key 'tokenizers'; did you mean 'tokenizer'? (glob)
[exit 2]
$ sed -i '$d' plan.yaml; printf 'waive: {form: no general-purpose model}\n' >> plan.yaml; rm form.md; tola release plan.yaml --json | grep -B3 general-purpose | grep -v title
      "id": "form",
      "state": "waived",
      "found": "no general-purpose model"

# Closed.
$ printf 'model: m\nrelease: closed\nwhy: too capable\nby: the board\n' > closed.yaml; tola release closed.yaml | grep -v '^ '
ok       decision    closed, by the board: too capable
missing  encryption  they lie there in plain (tola encrypt)
missing  access      the plan names nobody (access)
missing  log         the plan names none
m: not ready for a closed release, 3 of 4 missing

# Bad input.
$ echo 'model: m' > bad.yaml; tola release bad.yaml
2> tola: bad.yaml: * (glob)
[exit 2]
$ printf 'model: nothing\nrelease: open\n' > bad.yaml; tola release bad.yaml
2> tola: cannot open ./nothing: No such file or directory
[exit 2]
$ tola release does-not-exist.yaml
2> tola: cannot open does-not-exist.yaml: No such file or directory
[exit 2]
