# tola encrypt, decrypt, rekey, keygen: exit 0 done, 2 error. Attacks are in tests/oracle/encrypt_oracle.py.

$ umask 077; export HOME=$PWD; tola keygen alice && tola keygen bob -q && cut -c 1-14 alice.pub && tail -n 1 alice | cut -c 1-14; stat -c %a alice; wc -l < bob
alice: keep it secret; its public half is alice.pub
tola-public-1:
tola-secret-1:
600
2

$ tola keygen alice
2> tola: alice: exists already and is not overwritten without being told to (--force)
[exit 2]

$ umask 077; echo open sesame > phrase; echo wrong > wrong; cp -r "$FIXTURES/llama" m; mkdir -p m/sub; echo more > m/sub/x; find m -type f | wc -l
8

$ tola encrypt m m.enc --recipient alice.pub --passphrase-file phrase --argon2-memory 8MiB
m.enc: 8 files, 21 tensors, 10.91 kB, for 1 recipient and 1 passphrase

# The plaintext is nowhere in it, names of files and tensors neither.
$ grep -c -a -E "safetensors|layers|config|llama|LlamaForCausalLM" m.enc
0
[exit 1]

$ tola decrypt m.enc back --identity alice && diff -r m back && tola decrypt m.enc again/ --passphrase-file phrase -q && diff -r m again
back: 8 files, 10.91 kB

$ tola decrypt m.enc back --identity alice
2> tola: back/config.json: exists already and is not overwritten without being told to (--force)
[exit 2]

# An encrypted model is a model.
$ for v in inspect stats; do tola $v m --json | sed 's:"m/:"m.enc/:' > plain && tola $v m.enc --json --identity alice > ours && diff plain ours && echo $v; done
inspect
stats

$ TOLA_IDENTITY=alice tola diff m m.enc
same: 21 tensors, every value

$ TOLA_PASSPHRASE_FILE=phrase tola inspect m.enc/model-00002-of-00002.safetensors --json | grep -m 1 '"format"'
  "format": "safetensors",

$ tola convert m.enc out.gguf --identity alice --dtype f16 --json >/dev/null; tola convert m.enc out.gguf --identity alice --dtype f16 --force >/dev/null; tola convert m plain.gguf --dtype f16 -q; cmp out.gguf plain.gguf
2> tola: warning: the input is encrypted, the output is not

# Keys that do not open it.
$ tola inspect m.enc
2> tola: m.enc: is encrypted: --identity KEY or --passphrase-file FILE opens it
[exit 2]

$ tola decrypt m.enc no --identity bob
2> tola: m.enc: is encrypted, and no key that was given opens it: not for this key, or damaged (--identity KEY or --passphrase-file FILE is wanted)
[exit 2]

$ tola decrypt m.enc no --passphrase-file wrong 2>&1 | grep -c "no key that was given opens it"; tola inspect m.enc --identity alice.pub; ls no 2>&1 | grep -c cannot
1
1
2> tola: alice.pub: this is a public key, a secret one is wanted here

$ sed -i '2{s/q$/p/;t;s/.$/q/}' bob; tola inspect m.enc --identity bob; echo hello > junk; tola inspect m.enc --identity junk; : > none; tola inspect m.enc --passphrase-file none
2> tola: bob: the key is mistyped or damaged: its checksum is wrong
2> tola: junk: holds no key of tola keygen, which begins with tola-secret-1:
2> tola: none: the first line is empty: it should be the passphrase
[exit 2]

$ tola encrypt m x.enc; tola encrypt m x.enc -r alice; tola encrypt m x.enc -r nobody.pub; tola encrypt m x.enc --recipient tola-public-1:AAAA; tola encrypt none.gguf x.enc -r alice.pub; ls x.enc 2>&1 | grep -c cannot
1
2> tola: who may open it? --recipient PUB (tola keygen makes a pair of keys) or --passphrase-file FILE
2> tola: alice: this is a secret key, a public one is wanted here
2> tola: cannot open nobody.pub: No such file or directory
2> tola: recipient: the key is mistyped or damaged: its checksum is wrong
2> tola: cannot open none.gguf: No such file or directory

$ chmod 644 alice; tola inspect m.enc --identity alice >/dev/null
2> tola: warning: alice: others than its owner may read this key: chmod 600

# Passphrases come through pipes, too; keys as text.
$ chmod 600 alice; tola encrypt m/config.json c.enc -r "$(cat alice.pub)" --passphrase-file <(echo secret) --argon2-memory 8MiB -q && echo secret | tola decrypt c.enc c.json --passphrase-file - -q && cmp c.json m/config.json

# Who may open it, changed in place.
$ tola keygen carol -q; tola rekey m.enc --identity alice --add-recipient carol.pub && tola rekey m.enc --identity carol --remove-recipient alice.pub --remove-passphrases
m.enc: for 2 recipients and 1 passphrase
m.enc: for 1 recipient

$ tola inspect m.enc --identity alice
2> tola: m.enc: is encrypted, and no key that was given opens it: not for this key, or damaged (--identity KEY is wanted)
[exit 2]

$ tola rekey m.enc --identity carol --remove-recipient carol.pub
2> tola: m.enc: nobody could open it any more
[exit 2]

$ tola rekey m/config.json --identity carol
2> tola: m/config.json: offset 0: is not encrypted by tola
[exit 2]

$ tola encrypt m.enc twice.enc -r alice.pub; tola encrypt c.json c.json -r alice.pub --force; tola decrypt m/config.json x --identity carol
2> tola: m.enc: is encrypted already; tola rekey changes who may open it
2> tola: c.json: the output would replace the input; choose another name
2> tola: m/config.json: offset 0: is not encrypted by tola
[exit 2]

# What was cut off or changed leaves nothing.
$ head -c -1 m.enc > cut.enc; cp m.enc bad.enc; printf XXXX | dd of=bad.enc bs=1 seek=$(($(stat -c %s m.enc) - 5)) conv=notrunc 2>/dev/null; tola decrypt cut.enc cut --identity carol; tola decrypt bad.enc bad --identity carol; ls -d cut bad .bad* .cut* 2>/dev/null
2> tola: cut.enc: offset 55964: truncated: 1 bytes are missing at its end
2> tola: bad.enc: offset 55782: what is encrypted here was changed or damaged
[exit 2]

$ tola decrypt m.enc json --identity carol --json | grep -v seconds
{
  "schema": "tola.decrypt/1",
  "output": "json",
  "folder": true,
  "files": 8,
  "tensors": 21,
  "bytes": 10909,
  "encrypted_bytes": 55965,
  "recipients": 1,
  "passphrases": 0,
}

# Keys for signatures.
$ tola keygen s --kind sign -q && tola sign m --key s -q && tola verify m --public-key s.pub; tola keygen e --kind sign --curve ed25519 --json
m: valid, signed with a P-256 key; 8 entries, 10.91 kB
{
  "schema": "tola.keygen/1",
  "kind": "ed25519",
  "key": "e",
  "public": "e.pub"
}

# Signatures over the plain files hold for what comes back.
$ tola encrypt m signed.enc -r carol.pub -q && tola decrypt signed.enc signed --identity carol -q && tola verify signed --public-key s.pub
signed: valid, signed with a P-256 key; 8 entries, 10.91 kB

# What nobody can look into is not safe; with the key it is looked into.
$ tola encrypt m/model-00001-of-00002.safetensors s.enc -r carol.pub -q; tola scan s.enc; tola scan s.enc signed.enc --identity carol | sort
unknown  s.enc (encrypted)
  unknown: is encrypted, and no key that opens it was given (offset 0)
10 files: 10 safe, 0 unknown, 0 dangerous

# A lone - is stdout: of a file, after all of it was found genuine; an encrypted one cannot go there.
$ tola decrypt s.enc - --identity carol | cmp - m/model-00001-of-00002.safetensors && tola decrypt signed.enc - --identity carol; tola decrypt s.enc - --identity carol --json; tola encrypt m/config.json - -r carol.pub; ls ./-
2> tola: signed.enc: holds a folder, which cannot be written as one stream
2> tola: - is stdout, where --json goes, too
2> tola: - is stdout, where this cannot be written; a file of that name is ./-
2> ls: cannot access './-': No such file or directory
[exit 2]
$ python3 -c "b = bytearray(open('s.enc', 'rb').read()); b[-2000] ^= 1; open('s2.enc', 'wb').write(b)"; tola decrypt s2.enc - --identity carol
2> tola: s2.enc: offset 47048: what is encrypted here was changed or damaged
[exit 2]

# What is written about an encrypted folder names it by its own bytes.
$ echo 'model: {name: M}' > f.yaml; tola bom signed.enc b.json --facts f.yaml --identity carol; grep -c $(sha256sum < signed.enc | cut -c1-64) b.json
b.json: CycloneDX 1.6 bill of materials of M; 13 of 16 fields unknown
2

# Large files are written past the system's cache, from places that are no multiples of a block.
$ "$PYTHON" - <<'END'
> import json, struct
> shape, data = [70_000_001], bytes(range(251)) * 278885
> text = json.dumps({"w": {"dtype": "U8", "shape": shape, "data_offsets": [0, shape[0]]}}).encode()
> with open("large.safetensors", "wb") as f:
>     f.write(struct.pack("<Q", len(text)) + text + data[:shape[0]])
> END
$ tola encrypt large.safetensors large.enc -r alice.pub -q && tola decrypt large.enc large.back --identity alice -q && cmp large.safetensors large.back; rm large.*
