# tola release: an open and a closed release from start to end with what Tola has, then each item broken in turn.
# needs: openssl

# A tiny model of language, trained here.
$ umask 077; for i in $(seq 60); do echo "The cat sat on the mat and the dog sat on the log, number $i."; done > text.txt
> printf 'data: {train: text.txt}\ntokenizer: {vocabulary: 280}\nmodel: {architecture: llama, width: 16, layers: 1, heads: 2, context: 32}\ntraining: {steps: 4, batch: 2}\noptimizer: {rate: 0.01}\n' > cats.yaml
> tola train cats.yaml --out run -q && tola convert run m/ -q; ls m
config.json
model.safetensors
tokenizer.json
tokenizer_config.json
$ printf 'model: {name: Cats, release_date: 2026-11-22, eu_placed: true, general_purpose: false}\nlicence: {id: apache-2.0}\ntraining: {tokens: 256}\n' > facts.yaml
> cat > plan.yaml <<'END'
> kind: open
> model: m/
> why: others should be able to check our results
> by: the board
> facts: facts.yaml
> licence: apache-2.0
> form: form.md
> summary: summary.md
> bom: m.cdx.json
> rules: [eu, ca, ny]
> on_date: 2026-11-22
> public_key: key.pem.pub
> END
$ tola release plan.yaml
ok       decision    open, by the board: others should be able to check our results
ok       weights     8600 parameters (8,624), f32
ok       scan        4 files, safe
ok       state       none
ok       metadata    none found
ok       tokenizer   loads: BPE, 280 tokens (PreTrainedTokenizerFast)
missing  licence     apache-2.0, but its text is not in the folder (LICENSE)
                     > curl -fo m/LICENSE https://raw.githubusercontent.com/spdx/license-list-data/main/text/Apache-2.0.txt
missing  evaluation  neither evaluation[].value in the facts nor tola eval --json beside the weights
                     > tola eval perplexity m TEXT --json > m/eval.json
ok       comply      nothing missing, nothing contradictory as of 2026-11-22; 0 duties
missing  card        README.md is not there
                     > tola card m --facts facts.yaml m/README.md
missing  form        form.md is not there
                     > tola card m --facts facts.yaml --kind eu form.md
missing  summary     summary.md is not there
                     > tola card m --facts facts.yaml --kind data summary.md
missing  bom         m.cdx.json is not there
                     > tola bom m --facts facts.yaml --kind cyclonedx m.cdx.json
missing  signature   the key key.pem.pub is not there
                     > tola keygen key.pem --kind sign && tola sign m --key key.pem
ok       provenance  not made from other models
m: not ready for an open release, 7 of 15 missing
[exit 1]

# What it says is what is done; but for the licence, which would be loaded, and the text to evaluate on.
$ printf 'Apache License\nVersion 2.0\n' > m/LICENSE; tola eval perplexity m text.txt --context 32 --json > m/eval.json
> for i in 1 2 3 4 5 6; do tola release plan.yaml | sed -n 's/^ *> //p' | head -n 1 > next; [ -s next ] || break; bash next > done || break; done
> tola release plan.yaml | grep -v '^ok'; tola release plan.yaml -q; echo "exit $?"
m: ready for an open release
exit 0

# Each item is looked at. `broken PLAN CHANGE...` works on a copy.
$ cat > lib <<'END'
> broken() { rm -rf b; cp -a m b; sed 's,^model: .*,model: b/,' plan.yaml > b.yaml; (cd b; eval "$1"); tola release b.yaml; }
> missing() { broken "$1" | grep -A 8 "^missing  $2 " | sed -n '2,$ { /^[a-z]/q }; p' | grep -v '^[a-lno-z]' | head -n "${3:-9}"; }
> END
$ . ./lib; missing ': > LICENSE' licence 1; missing 'echo MIT License > LICENSE' licence 1; missing 'rm eval.json' evaluation 1
missing  licence     apache-2.0, but LICENSE is not its text
missing  licence     apache-2.0, but LICENSE is not its text
missing  evaluation  neither evaluation[].value in the facts nor tola eval --json beside the weights
$ . ./lib; missing 'sed -i s/8,624/9,624/ README.md' card 1; missing 'sed -i 1d README.md' card 1; missing 'sed -i s/8,624/9,624/ ../form.md' form 1; cp summary.md form.md; missing : form 1
missing  card        README.md: parameters: it says 8600 parameters (9,624), the weights 8624
missing  card        README.md has no front matter
missing  form        form.md: parameters: it says * (glob)
missing  form        form.md is no "Model Documentation Form"
$ . ./lib; tola card m --facts facts.yaml --kind eu form.md --force -q; printf '\1' > x; missing 'dd if=../x of=model.safetensors bs=1 seek=20000 conv=notrunc status=none' summary 1; missing 'echo >> config.json' bom; missing 'echo >> config.json' signature
missing  summary     summary.md: digest: there is now tola digest * (glob)
missing  bom         m.cdx.json: sha256 of config.json does not agree
                     > tola bom b --facts facts.yaml --kind cyclonedx m.cdx.json --force
missing  signature   the model is not what was signed: 1 changed
                     - changed: config.json
                     > tola sign b --key KEY.pem --force
$ . ./lib; missing 'printf "\200\4cos\nsystem\n(S\"id\"\ntR." > w.bin' scan; missing 'mkdir checkpoint-5; echo x > checkpoint-5/optimizer.pt; echo x > training_args.bin' state
missing  scan        w.bin: dangerous: calls os.system
                     > rm b/w.bin
missing  state       2, such as checkpoint-5/optimizer.pt
                     - checkpoint-5/optimizer.pt
                     - training_args.bin
                     > rm -rf b/checkpoint-5 b/training_args.bin
$ . ./lib; missing 'rm tokenizer.json' tokenizer 1; missing 'echo { > tokenizer.json' tokenizer 1; missing 'truncate -s -8 model.safetensors' weights; missing 'truncate -s -8 model.safetensors' card
missing  tokenizer   it does not load: there is no tokenizer: * (glob)
missing  tokenizer   it does not load: tokenizer.json: * (glob)
missing  weights     the weights cannot be read: b/model.safetensors: * (glob)
missing  card        the weights cannot be read

# What tells of people and machines, in files and in the metadata of weights; the commands take it away.
$ . ./lib; cat > leak <<'END'
> mkdir .git; echo '[core]' > .git/config; echo '{}' > a.ipynb; echo x > train.log
> echo '{"from": "/home/joe/run 7"}' > a.json; echo '{"by": "joe@corp.example.org"}' > b.json; echo '{"hub": "http://gpu7:8080/x"}' > c.json; echo '{"user_name": "joe"}' > d.json
> echo "hf_$(printf 'a%.0s' $(seq 34))" > e.txt; echo '{"ok": "https://example.org/home/joe", "git": "git@github.com", "user": "Hello there"}' > f.json
> python3 -c 'import json, struct
> b = open("model.safetensors", "rb").read(); n, = struct.unpack("<Q", b[:8]); h = json.loads(b[8:8 + n]); h["__metadata__"] = {"host": "gpu7"}
> t = json.dumps(h).encode(); open("model.safetensors", "wb").write(struct.pack("<Q", len(t)) + t + b[8 + n:])'
> END
> broken '. ../leak' > out; grep -A 11 '^missing  metadata' out
missing  metadata    9, such as .git/config
                     - .git/config
                     - a.ipynb
                     - train.log
                     - a.json holds the path /home/joe/run
                     - b.json holds the address joe@corp.example.org
                     - c.json holds the host gpu7
                     - d.json holds a value for user_name
                     - e.txt holds a token of the Hugging Face Hub
                     - model.safetensors holds a value (host)
                     > rm -rf b/.git b/a.ipynb b/train.log && sed -i 's#/home/joe/run#removed#g' b/a.json && sed -i 's#joe@corp.example.org#removed#g' b/b.json && sed -i 's#gpu7#removed#g' b/c.json && ${EDITOR:-vi} b/d.json && ${EDITOR:-vi} b/e.txt && tola convert b/model.safetensors clean.npz && tola convert clean.npz b/model.safetensors --force
ok       tokenizer   loads: BPE, 280 tokens (PreTrainedTokenizerFast)

# Bases: their terms, and a chain of signatures back to them.
$ . ./lib; cp facts.yaml f; printf 'bases: [{name: meta-llama/Llama-3.1-8B, relation: finetune}]\n' >> facts.yaml; tola release plan.yaml | grep -E -A 3 '^missing  (licence|provenance)'; mv f facts.yaml
missing  licence     meta-llama/Llama-3.1-8B is llama3.1: its terms and use restrictions go on to what is made from it, and apache-2.0 does not carry them
                     - meta-llama/Llama-3.1-8B (llama3.1) asks for a copy of its licence with copies and derivatives: licence.notices names none
                     - meta-llama/Llama-3.1-8B (llama3.1) asks for a notice file with copies and derivatives: licence.notices names none ("Llama 3.1 is licensed under the Llama 3.1 Community License")
                     - meta-llama/Llama-3.1-8B (llama3.1): "Built with Llama" must be displayed; licence.attribution does not say it
--
missing  provenance  made from meta-llama/Llama-3.1-8B, but its signature does not say so (tola sign --provenance)
                     > tola sign m --key KEY.pem --provenance STATEMENT.json --force
m: not ready for an open release, 3 of 15 missing

$ mkdir base q; cp -r m/config.json m/model.safetensors m/tok* m/LICENSE base; tola sign base --key key.pem -q
> tola convert base q/ --dtype f16 --provenance q.json -q; cp m/LICENSE q; sed 's,^model: .*,model: q/,' plan.yaml > q.yaml; echo 'provenance: q.json' >> q.yaml
> tola sign q --key key.pem -q; tola release q.yaml | grep -E -A 1 ' (licence|provenance) '
missing  licence     the licence of the base base is not known: bases[].licence
                     > tola comply q --facts facts.yaml
--
missing  comply      8 open, such as missing: the licence of the base base is not known: bases[].licence
                     - missing: the licence of the base base is not known: bases[].licence
                     - California: frontier model, frontier developer: not known: bases[].compute_flop
--
missing  provenance  made from base, but its signature does not say so (tola sign --provenance)
                     > tola sign q --key KEY.pem --provenance q.json --force
$ cp facts.yaml f; printf 'bases: [{name: base, relation: convert, licence: apache-2.0}]\n' >> facts.yaml; sed -i 's/^licence: .*/licence: {id: apache-2.0, notices: [LICENSE, NOTICE]}/' facts.yaml
> tola sign q --key key.pem --provenance q.json -q --force; tola release q.yaml | grep -E -A 1 ' (licence|provenance) '; rm base/model.sig; tola release q.yaml | grep -A 2 ' provenance '; mv f facts.yaml
ok       licence     apache-2.0 (LICENSE), goes with 1 base
missing  evaluation  neither evaluation[].value in the facts nor tola eval --json beside the weights
--
ok       provenance  2 links, back to the signed originals
q: not ready for an open release, 6 of 15 missing
missing  provenance  the chain breaks at base: no signature of it was found beside the model, nor in the folders of origins
                     - base: no signature of it was found beside the model, nor in the folders of origins
                     > origins: [FOLDER, ...], in the plan: where the originals and their signatures lie

# What does not apply is waived with a reason, which is shown; items of the other kind can be asked for, too.
$ cp plan.yaml w.yaml; printf 'waive: {form: no general-purpose model, scan: not needed}\nrequire: [exposure]\n' >> w.yaml; mv form.md f; tola release w.yaml | grep -A 2 -E ' (form|scan|exposure) '; mv f form.md
ok       scan        8 files, safe
                     the waiver is not needed: not needed
ok       state       none
--
waived   form        no general-purpose model
                     found: form.md is not there
ok       summary     summary.md agrees with the weights (5 claims); * marked as unknown (glob)
--
missing  exposure    the plan states no cap on what leaves (cap)
                     > cap: 10MB/s, in the plan
m: not ready for an open release, 1 of 16 missing

# Closed.
$ tola keygen anna.key -q; tola keygen ben.key -q; mkdir -m 700 c; mkdir archive; cp form.md archive; tola encrypt m c/m.enc --recipient anna.key.pub --recipient ben.key.pub -q
> TOLA_LOG=access.log tola inspect c/m.enc --identity anna.key > done; TOLA_LOG=access.log tola log checkpoint > monday.ckpt
> cat > closed.yaml <<'END'
> kind: closed
> model: c/
> why: too capable
> by: the board
> facts: facts.yaml
> form: form.md
> recipients: [anna.key.pub, ben.key.pub]
> identity: anna.key
> access: [anna, ben]
> log: access.log
> checkpoint: monday.ckpt
> cap: 1KB/day
> archive: archive
> keep_until: 2036-11-22
> END
> tola release closed.yaml
ok       decision    closed, by the board: too capable
ok       encryption  1 file, opened and read to the end; for the recipients of the plan and nobody else
ok       access      2 named; mode 700
ok       keys        2 files that only the owner can read
ok       log         3 entries, whole, and begins with the checkpoint
ok       exposure    * days for * bytes at 1KB/day (glob)
ok       retention   kept in archive until 2036-11-22
c: ready for a closed release
$ echo 'closed() { tola release "${1:-closed.yaml}" 2>/dev/null | grep -A 2 "^missing" | grep -v "^ok\|^c:"; }' >> lib; . ./lib; cp m/model.safetensors c/notes.dat; closed; rm c/notes.dat
missing  encryption  notes.dat lies there in plain
                     > tola encrypt c/notes.dat c/notes.dat.enc --recipient anna.key.pub --recipient ben.key.pub && rm c/notes.dat
$ . ./lib; tola keygen eve.key -q; tola rekey c/m.enc --identity anna.key --add-recipient eve.key.pub --remove-recipient ben.key.pub -q; closed; tola release closed.yaml | sed -n 's/^ *> //p' > fix; bash fix > done; closed; sed -i '/^identity/d' closed.yaml; closed; tola release closed.yaml --identity anna.key -q && echo ready
missing  encryption  m.enc: tola-public-1:* cannot open it (glob)
                     - m.enc: tola-public-1:* opens it, but is not listed (glob)
                     > tola rekey c/m.enc --identity anna.key --add-recipient tola-public-1:* --remove-recipient tola-public-1:* (glob)
missing  encryption  m.enc: is encrypted: --identity KEY opens it
                     > tola release closed.yaml --identity KEY
ready
$ . ./lib; echo 'identity: anna.key' >> closed.yaml; cp c/m.enc e; printf '\1\1\1\1' | dd of=c/m.enc bs=1 seek=90000 conv=notrunc status=none; closed; cp e c/m.enc; chmod 640 anna.key; chmod 755 c; closed; chmod 600 anna.key; chmod 700 c; cp key.pem c/; closed; rm c/key.pem
missing  encryption  m.enc: what is encrypted here was changed or damaged
missing  access      mode 755 lets others read
                     > chmod -R go= c
missing  keys        anna.key: mode 640 lets others read it
                     > chmod 600 anna.key
missing  keys        key.pem: a private key lies with the weights
                     > mv c/key.pem /a/safe/place/
$ . ./lib; sed '/^checkpoint/d; s/^cap.*/cap: 1MB\/s\nleast_days: 30/; s/^keep_until.*/keep_until: 2036-11-21/' closed.yaml > d.yaml; echo more >> form.md; closed d.yaml
missing  log         valid, but without a checkpoint that lies elsewhere it could be rolled back unseen
                     > TOLA_LOG=access.log tola log checkpoint > checkpoint.txt   # and checkpoint: checkpoint.txt in the plan
missing  exposure    * days for * bytes at 1MB/s, less than 30 (glob)
                     > cap: *B/s, or less, in the plan and on the link (glob)
missing  retention   keep_until: 2036-11-21 is before 2036-11-22, ten years after the release
                     - form.md is not in archive as it is now
                     > mkdir -p archive && cp form.md archive/
$ . ./lib; python3 -c 'import sqlite3
> c = sqlite3.connect("access.log")
> for t in ("UPDATE", "DELETE"): c.execute("DROP TRIGGER entries_no_" + t)
> c.execute("DELETE FROM entries WHERE rowid = (SELECT max(rowid) FROM entries)"); c.commit()'; closed | grep -o '^missing  log'
missing  log

# What is no file is not opened, and hides nothing.
$ . ./lib; mkfifo c/pipe.json m/pipe.json; ln -s ../m c/more; closed; rm c/pipe.json c/more; tola release plan.yaml | grep -A 1 -E ' (metadata|signature) '; rm m/pipe.json
missing  encryption  more is no file: what is behind it is not looked at
                     - pipe.json is no file: what is behind it is not looked at
                     > rm c/more
--
missing  log         schema: triggers that keep the log append-only were removed from the database
                     - dropped: entry 2 is dropped
                     > TOLA_LOG=access.log tola log verify
--
missing  retention   form.md is not in archive as it is now
                     > mkdir -p archive && cp form.md archive/
ok       metadata    none found
ok       tokenizer   loads: BPE, 280 tokens (PreTrainedTokenizerFast)
--
missing  signature   the model is not what was signed: 1 added
                     - added: pipe.json

# Bad plans: the place, and the nearest name.
$ bad() { printf -- "$1" > bad.yaml; tola release bad.yaml; }; bad 'kind: open\nmodel: m\nsumary: x\n'; bad 'kind: opne\nmodel: m\n'; bad 'model: m\n'; bad 'kind: open\n'; bad 'kind: open\nmodel: nothing\n'; bad 'kind: open\nmodel: m\nwaive: {tokenizers: x}\n'; bad 'kind: open\nmodel: m\nwaive: {bom: ""}\n'; bad 'kind: open\nmodel: m\nwaive: {decision: no}\n'; bad 'kind: open\nmodel: m\nrequire: [lock]\n'; bad 'kind: open\nmodel: m\nrules: [uu]\n'; bad 'kind: closed\nmodel: m\ncap: fast\n'; bad 'kind: open\nmodel: m\nkeep_until: 2036-02-30\n'; bad 'kind: open\nmodel: m\nrelease: closed\n'; bad '- x\n'; bad ''; tola release none.yaml; tola release
2> tola: bad.yaml: line 3, column 1: unknown key 'sumary'; did you mean 'summary'?
2> tola: bad.yaml: line 1, column 7: kind: 'opne' is not one of open, closed; did you mean 'open'?
2> tola: bad.yaml: line 1, column 1: 'kind' is missing: open or closed
2> tola: bad.yaml: line 1, column 1: the key 'model' is missing
2> tola: bad.yaml: line 2, column 8: model: there is no nothing
2> tola: bad.yaml: line 3, column 9: waive: unknown key 'tokenizers'; did you mean 'tokenizer'?
2> tola: bad.yaml: line 3, column 14: waive.bom: a reason is wanted
2> tola: bad.yaml: line 3, column 9: waive: unknown key 'decision'
2> tola: bad.yaml: line 3, column 11: require[0]: 'lock' is not one of decision, weights, scan, state, metadata, tokenizer, licence, evaluation, comply, card, form, summary, bom, signature, provenance, encryption, access, keys, log, exposure, retention; did you mean 'log'?
2> tola: bad.yaml: line 3, column 9: rules[0]: 'uu' is not one of eu, ca, ny, osaid, export; did you mean 'eu'?
2> tola: bad.yaml: line 3, column 6: cap: 'fast' is no rate: 10MB/s, 100Mbit/s, 1GB/day, 50GB/month or 200tokens/s are
2> tola: bad.yaml: line 3, column 13: keep_until: '2036-02-30' is no day; 2026-11-22 is one
2> tola: bad.yaml: line 3, column 1: 'kind' says that already
2> tola: bad.yaml: line 1, column 1: a map is wanted, not a list
2> tola: bad.yaml: line 1, column 1: a map is wanted, not nothing
2> tola: cannot open none.yaml: No such file or directory
2> tola: a plan is wanted; --template open and --template closed print one to fill in
[exit 2]
$ tola release --template open > o.yaml; tola release --template closed > c.yaml; sed -i 's,^model: [^ ]*,model: m,' o.yaml c.yaml; tola release o.yaml -q; echo "exit $?"; tola release --template other
exit 1
2> tola: --template: 'other' is not one of open, closed
[exit 2]

# For programs.
$ tola release w.yaml --json | python3 -c 'import json, sys
> r = json.load(sys.stdin); print(r["schema"], r["model"], r["release"], r["ready"], sorted(r["items"][0])); print([(i["id"], i["reason"], i["mend"]) for i in r["items"] if i["state"] != "ok"])'
tola.release/1 m open False ['details', 'found', 'id', 'mend', 'reason', 'state', 'title']
[('exposure', None, 'cap: 10MB/s, in the plan')]
