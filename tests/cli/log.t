# tola log, and what TOLA_LOG does to every verb. Attacks by name are in tests/oracle/log_oracle.py.
# needs: python3

# A verb without TOLA_LOG makes no log.
$ cp "$FIXTURES/tiny.safetensors" m.safetensors; cp -r "$FIXTURES/llama" llama; tola inspect m.safetensors -q >out; ls
llama
m.safetensors
out

# The first verb makes the log, its key, the public key and the newest head.
$ export TOLA_LOG=a.log; tola inspect m.safetensors >out; tola convert m.safetensors m.gguf -q; ls; stat -c %a a.log a.log.key a.log.head
a.log
a.log.head
a.log.key
a.log.pub
llama
m.gguf
m.safetensors
out
600
600
600

$ export TOLA_LOG=a.log; tola log verify | sed 's| of [^ ]*/tola-log/.*| of X|'
a.log: valid, 5 entries of X

$ export TOLA_LOG=a.log; tola log show | sed -E 's/[0-9-]{10}T[0-9:]{8}Z  [^ ]+/TIME  USER/; s/[0-9.]+ s$/0.0 s/' | grep -v stdout
1  TIME  USER  inspect  exit 0, 0.0 s
    in   $DIR/m.safetensors  (file, 424 B)
         sha256:ac50cad476bc8cca668b5193a043333dcaed551d448f9f712127f33a91c36081
3  TIME  USER  convert  exit 0, 0.0 s
    in   $DIR/m.safetensors  (file, 424 B)
         sha256:ac50cad476bc8cca668b5193a043333dcaed551d448f9f712127f33a91c36081
    to   $DIR/m.gguf
    out  $DIR/m.gguf  (file, 384 B)
         sha256:e5e6963f3c580d1a45f3c7c2c77ee6a3d3c34cbdfefe92dd5c5903109e369a60
2 of 2 runs, 5 entries; 'tola log verify' tells whether they are what was written

# Models that no argument names: those of a recipe.
$ printf 'merge_method: linear\nmodels:\n  - model: m.safetensors\n    parameters: {weight: 1}\n  - model: m2.safetensors\n    parameters: {weight: 1}\n' > r.yaml; cp m.safetensors m2.safetensors; TOLA_LOG=a.log tola merge r.yaml merged.safetensors -q; python3 -c "
> import sqlite3, json
> for n, b in sqlite3.connect('a.log').execute('select n, body from entries where n > 4 order by n'):
>     e = json.loads(b); print(n, e['event'], [x['path'].split('/')[-1] for x in e.get('inputs', [])], [x['path'].split('/')[-1] if 'path' in x else x.split('/')[-1] for x in e.get('outputs', [])])"
5 begin ['r.yaml'] ['merged.safetensors']
6 open ['m.safetensors'] []
7 open ['m2.safetensors'] []
8 end [] ['merged.safetensors']

# Prompts, texts and what may be a token in an address are not written; names of options are.
$ TOLA_LOG=b.log tola tokenize llama "my secret text" >out; TOLA_LOG=b.log tola run m.safetensors -p "my secret prompt" --temp 0 -n 3 2>err; TOLA_LOG=b.log tola inspect 'https://user:secret@localhost:1/m.gguf?token=secret#secret' 2>err; python3 -c "
> import sqlite3, json
> for n, b in sqlite3.connect('b.log').execute('select n, body from entries'):
>     e = json.loads(b); print(e['event'], e.get('verb'), e.get('options'), [x['path'].split('/')[-1] for x in e.get('inputs', [])], e.get('exit'))"; grep -c secret b.log
log None None [] None
begin tokenize [] ['llama'] None
end None None [] 0
begin run ['--prompt', '--max-tokens=3', '--temp=0'] ['m.safetensors'] None
end None None [] 2
begin inspect [] ['m.gguf'] None
end None None [] 2
0
[exit 1]

# No entry, no verb.
$ TOLA_LOG=absent/a.log tola convert m.safetensors n.gguf; ls n.gguf
2> tola: the access log (TOLA_LOG) takes no entry, so 'convert' was not run: cannot open absent/a.log: No such file or directory
2> ls: cannot access 'n.gguf': No such file or directory
[exit 2]
$ TOLA_LOG= tola convert m.safetensors n.gguf; ls n.gguf
2> tola: TOLA_LOG is set, but names no file; 'convert' was not run
2> ls: cannot access 'n.gguf': No such file or directory
[exit 2]
$ echo text > c.log; TOLA_LOG=c.log tola inspect m.safetensors
2> tola: the access log (TOLA_LOG) takes no entry, so 'inspect' was not run: c.log is no access log
[exit 2]
$ cp a.log d.log; cp a.log.key d.log.key; cp a.log.head d.log.head; chmod 644 d.log.key; TOLA_LOG=d.log tola inspect m.safetensors >out
2> tola: warning: d.log.key: others than its owner may read this key: chmod 600

# A usage that is wrong is no access, nor are help and the log itself.
$ export TOLA_LOG=e.log; tola inspect; tola help inspect >out; tola --version >out; tola log show; ls e.log
2> tola: inspect: an argument is missing: tola inspect MODEL [options]
2> tola: cannot open e.log: No such file or directory
2> ls: cannot access 'e.log': No such file or directory
[exit 2]
$ tola log show
2> tola: which log? TOLA_LOG names it, or --log FILE
[exit 2]
$ TOLA_LOG=a.log tola log prove 99
2> tola: there is no entry 99: the log has 9
[exit 2]
$ TOLA_LOG=a.log tola log prove x
2> tola: 'x' is no number of an entry; 'tola log show' prints them
[exit 2]
$ TOLA_LOG=a.log tola log prove
2> tola: prove takes the number of an entry, as 'tola log show' prints it, or --from
[exit 2]
$ TOLA_LOG=a.log tola log vrify
2> tola: log: there is no 'vrify'; did you mean 'verify'?
[exit 2]
$ TOLA_LOG=a.log tola log show --since yesterday
2> tola: --since: 'yesterday' is no time; 2026-11-22, 2026-11-22T08:30, 24h and 7d are
[exit 2]
$ TOLA_LOG=a.log tola log show --since 2026-02-30
2> tola: --since: '2026-02-30' is no time; 2026-11-22, 2026-11-22T08:30, 24h and 7d are
[exit 2]
$ TOLA_LOG=a.log tola log show --rate 1MB/s
2> tola: --rate is of 'tola log exposure'
[exit 2]

# Proofs, with and without the log.
$ export TOLA_LOG=a.log; tola log checkpoint > old; tola inspect m.safetensors -q > out; tola log prove 3 --from old > p; tola log prove 3 --from old --json > p.json; unset TOLA_LOG; for p in p p.json; do tola log verify -q --proof $p --checkpoint old --public-key a.log.pub; echo $?; done; sed -i 's/^index 3/index 4/' p; tola log verify --proof p --checkpoint old --public-key a.log.pub | grep -v ', entry'; tola log verify --proof p --checkpoint old
0
0
  proof: its hashes do not lead from entry 4 to the root of its checkpoint
2> tola: a proof is verified with the log's public key: --public-key FILE, or TOLA_LOG
[exit 2]

# The log in the folder that is looked at, is no part of it.
$ mkdir in; cp m.safetensors in; TOLA_LOG=in/a.log tola scan in -q; TOLA_LOG=in/a.log tola scan in -q; TOLA_LOG=in/a.log tola log show --json | grep -o '"digest.*"'
"digest": "sha256:9db1217e83822156f42820398600bedfac9d438dd13e5fc5b45a4220bf2bc1e3"
"digest": "sha256:9db1217e83822156f42820398600bedfac9d438dd13e5fc5b45a4220bf2bc1e3"

# The head beside it is taken away, or emptied: nothing is appended that would hide what was cut off before.
$ (export TOLA_LOG=g.log; cp a.log g.log; cp a.log.key g.log.key; cp a.log.pub g.log.pub; tola inspect m.safetensors; : > g.log.head; tola inspect m.safetensors; tola log verify -q; echo $?; tola log checkpoint > head; mv head g.log.head; tola inspect m.safetensors > out; tola log verify | head -1)
1
g.log: valid, 13 entries of * (glob)
2> tola: the access log (TOLA_LOG) takes no entry, so 'inspect' was not run: g.log: the signed head beside the log (.head) is missing, so entries may have been cut off; nothing is appended: see 'tola log verify'
2> tola: the access log (TOLA_LOG) takes no entry, so 'inspect' was not run: g.log: the signed head beside the log (.head) is missing, so entries may have been cut off; nothing is appended: see 'tola log verify'

# An entry is edited.
$ cp a.log f.log; cp a.log.pub f.log.pub; cp a.log.head f.log.head; cp a.log.key f.log.key; sed -i 's/"verb":"merge"/"verb":"stats"/' f.log; TOLA_LOG=f.log tola log verify --json | grep -A9 problems; TOLA_LOG=f.log tola inspect m.safetensors -q >out; TOLA_LOG=f.log tola log show -q --verb merge
  "problems": [
    {
      "kind": "edited",
      "entry": 5,
      "what": "entry 5 is edited: it is not what was signed"
    }
  ]
}

# Exposure: days = bytes / (compression x rate).
$ tola log exposure --bytes 810GB --rate 10MB/s
810.00 GB of weights
rate     leaves in    days  
10MB/s  22.5 hours  0.9375  
days = bytes / (compression x rate); compression 1
$ tola log exposure --bytes 864GB --rate 1GB/day --compression 4 --json
{
  "schema": "tola.log.exposure/1",
  "bytes": 864000000000,
  "compression": 4.0,
  "bytes_per_token": 2.0,
  "rate": "1GB/day",
  "bytes_per_second": 11574.074074074075,
  "seconds": 18662400.0,
  "days": 216.0
}
$ for r in 80Mbit/s 80Mbps 10MB/s 10MBps 36GB/h 864GB/day 5000000tokens/s; do tola log exposure --bytes 864GB --rate $r --json | grep days; done
  "days": 1.0
  "days": 1.0
  "days": 1.0
  "days": 1.0
  "days": 1.0
  "days": 1.0
  "days": 1.0
$ tola log exposure m.safetensors | head -3
m.safetensors: 112 B of weights
rate                  leaves in         days  
50tokens/s         1.12 seconds   1.2963e-05  one answer of an API
$ for r in 10 MB/s 10MB 10MB/fortnight 0MB/s -1MB/s 1e3MB/s 10XB/s; do tola log exposure --bytes 1GB --rate $r; done
2> tola: --rate: '10' is no rate: 10MB/s, 100Mbit/s, 1GB/day, 50GB/month or 200tokens/s are
2> tola: --rate: 'MB/s' is no rate: 10MB/s, 100Mbit/s, 1GB/day, 50GB/month or 200tokens/s are
2> tola: --rate: '10MB' is no rate: 10MB/s, 100Mbit/s, 1GB/day, 50GB/month or 200tokens/s are
2> tola: --rate: '10MB/fortnight' is no rate: 10MB/s, 100Mbit/s, 1GB/day, 50GB/month or 200tokens/s are
2> tola: --rate: a rate is more than nothing
2> tola: --rate: '-1MB/s' is no rate: 10MB/s, 100Mbit/s, 1GB/day, 50GB/month or 200tokens/s are
2> tola: --rate: '1e3MB/s' is no rate: 10MB/s, 100Mbit/s, 1GB/day, 50GB/month or 200tokens/s are
2> tola: --rate: '10XB/s' is no rate: 10MB/s, 100Mbit/s, 1GB/day, 50GB/month or 200tokens/s are
[exit 2]
$ tola log exposure --bytes 1GB --rate 1MB/s --compression 0
2> tola: --compression: 0 is not above 0
[exit 2]
$ tola log exposure
2> tola: exposure takes a MODEL, or --bytes SIZE
[exit 2]

# A message is one line, though the verb has several uses.
$ tola log; tola merge
2> tola: log: an argument is missing: tola log show [--since T] [options]
2> tola: merge: arguments are missing: tola merge RECIPE.yaml OUT [options]
[exit 2]

# What is changed in place is told as written; what stands before a server or an organisation may be a secret.
$ tola keygen k -q; tola encrypt m.safetensors m.enc -r k.pub -q; (export TOLA_LOG=h.log; tola rekey m.enc --identity k -q; tola inspect hf://user:secret@x/y; tola inspect hf://x@y:secret@z/w@main; tola log show --json | grep -c "$(sha256sum < m.enc | cut -c1-64)"; tola log show | grep -o 'hf://[^ ]*'; grep -c secret h.log)
1
hf://x/y
hf://z/w@main
0
2> tola: hf://user:secret@x/y: the organisation is no name as hubs allow it; the form is hf://ORG/NAME[@REVISION][/PATH]
2> tola: hf://x@y:secret@z/w@main: the revision is none; the form is hf://ORG/NAME[@REVISION][/PATH]
[exit 1]
