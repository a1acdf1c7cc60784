# tola sign, tola verify: keys, certificates, bundles and folders that must be refused, each with one clear line.
# needs: openssl
# needs: python3

$ umask 077; k() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:$1 -out $2.pem 2>/dev/null; openssl pkey -in $2.pem -pubout -out $2.pub; }
> k P-256 key; k P-256 other; k secp256k1 koblitz
> openssl genrsa -out rsa.pem 2048 2>/dev/null; openssl pkey -in rsa.pem -pubout -out rsa.pub
> openssl pkey -in key.pem -aes256 -passout pass:secret -out locked.pem; echo secret > pass; echo wrong > wrong
> mkdir m; echo one > m/one; tola sign m --key key.pem -q

# Keys.
$ tola sign m
2> tola: signing needs a private key: --key KEY.pem
[exit 2]
$ cp key.pem open.pem; chmod 644 open.pem; tola sign m --key open.pem --force >out && tola verify m --public-key key.pub -q
2> tola: warning: open.pem: others than its owner may read this key: chmod 600
$ tola sign m --key absent.pem --force
2> tola: cannot open absent.pem: No such file or directory
[exit 2]
$ tola sign m --key rsa.pem --force
2> tola: rsa.pem: the key is of no kind that signs models: no elliptic curve; P-256, P-384, P-521 and Ed25519 do
[exit 2]
$ tola sign m --key koblitz.pem --force
2> tola: koblitz.pem: the key is of no kind that signs models: curve secp256k1; P-256, P-384, P-521 and Ed25519 do
[exit 2]
$ tola sign m --key key.pub --force
2> tola: key.pub: holds no private key in PEM form
[exit 2]
$ echo nonsense > nonsense.pem; chmod 600 nonsense.pem; tola sign m --key nonsense.pem --force
2> tola: nonsense.pem: holds no private key in PEM form
[exit 2]
$ head -c 150 key.pem > cut.pem; chmod 600 cut.pem; tola sign m --key cut.pem --force
2> tola: cut.pem: holds no private key in PEM form
[exit 2]
$ tola sign m --key locked.pem --force
2> tola: locked.pem: the private key is encrypted: its passphrase is needed
[exit 2]
$ tola sign m --key locked.pem --passphrase-file wrong --force
2> tola: locked.pem: the private key does not open: wrong passphrase, or damaged
[exit 2]
$ tola sign m --key locked.pem --passphrase-file pass --force
m/model.sig: 1 entry, 4 B, signed with a P-256 key
$ tola verify m
2> tola: verifying needs to know whom to trust: --public-key PUB.pem or --trust-root CA.pem
[exit 2]
$ tola verify m --public-key rsa.pub
2> tola: rsa.pub: the key is of no kind that signs models: no elliptic curve; P-256, P-384, P-521 and Ed25519 do
[exit 2]
$ tola verify m --public-key koblitz.pub
2> tola: koblitz.pub: the key is of no kind that signs models: curve secp256k1; P-256, P-384, P-521 and Ed25519 do
[exit 2]
$ tola verify m --public-key nonsense.pem
2> tola: nonsense.pem: holds no public key in PEM form
[exit 2]
$ tola verify m --public-key other.pub
m: not valid: it was signed with another key
[exit 1]
$ tola verify m --public-key key.pub --trust-root key.pub
2> tola: --public-key and --trust-root exclude each other
[exit 2]
$ tola verify m --trust-root nonsense.pem
2> tola: nonsense.pem: holds no certificate in PEM form: no start line
[exit 2]
$ tola verify m --public-key key.pub --cert-identity me
2> tola: a bare key names nobody: identities need a trust root
[exit 2]

# What is signed.
$ tola sign absent --key key.pem
2> tola: cannot open absent: No such file or directory
[exit 2]
$ mkdir empty; tola sign empty --key key.pem
2> tola: empty: there is nothing to sign in it
[exit 2]
$ ln -s one m/link; tola sign m --key key.pem --force
2> tola: link is a symbolic link: allow links (then the file it leads to is signed), or ignore the path
[exit 2]
$ tola sign m --key key.pem --force --allow-symlinks && tola verify m --public-key key.pub
m/model.sig: 2 entries, 8 B, signed with a P-256 key
m: valid, signed with a P-256 key; 2 entries, 8 B
$ tola sign m --key key.pem --force --ignore-paths link -q && tola verify m --public-key key.pub && rm m/link
m: valid, signed with a P-256 key; 1 entry, 4 B
2> tola: warning: link is there and was not looked at: the signature or you leave it out
$ ln -s /etc/passwd m/one.link; tola verify m --public-key key.pub; rm m/one.link
m: not valid: the model is not what was signed: 1 added; one.link is a symbolic link, which counts as its file only where links are allowed
  added   one.link
$ tola sign m --key key.pem --force -q; mv m/one one; ln -s ../one m/one; tola verify m --public-key key.pub; tola verify m --public-key key.pub --allow-symlinks; rm m/one; mv one m/one
m: not valid: the model is not what was signed: 1 changed; one is a symbolic link, which counts as its file only where links are allowed
  changed one
m: valid, signed with a P-256 key; 1 entry, 4 B
$ mkdir d; echo z > d/z; ln -s ../d m/folder; tola sign m --key key.pem --force --allow-symlinks
2> tola: folder is a symbolic link to a folder or to nothing, which a signature cannot cover: ignore the path
[exit 2]
$ tola verify m --public-key key.pub --allow-symlinks; rm m/folder
m: not valid: the model is not what was signed: 1 added
  added   folder
$ mkfifo m/pipe; tola sign m --key key.pem --force; tola verify m --public-key key.pub; rm m/pipe
m: not valid: the model is not what was signed: 1 added
  added   pipe
2> tola: pipe is no regular file: ignore the path
$ echo z > "m/a:b"; tola sign m --key key.pem --force --shard-size 1MB; rm m/a:b
2> tola: the name a:b has a ':', which model_signing cannot read in a list of shards: sign whole files
$ tola sign m --key key.pem --force --hash blake3 --shard-size 1MB
2> tola: shards are for hashes that are chains: blake3 is a tree, whole files are as fast
[exit 2]
$ tola sign m --key key.pem --force --shard-size 1
2> tola: shards have at least 65536 bytes
[exit 2]
$ tola sign m --key key.pem --force --ignore-paths ./
2> tola: ignoring './' would ignore the whole model
[exit 2]

# Bundles.
$ tola verify m --public-key key.pub -s absent.sig
2> tola: cannot open absent.sig: No such file or directory
[exit 2]
$ cat > forge.py <<'END'
> import base64, json, subprocess, sys
> def pae(p): return b"DSSEv1 28 application/vnd.in-toto+json %d " % len(p) + p
> def sign(text):
>     open("pae", "wb").write(pae(text)); return subprocess.run(["openssl", "dgst", "-sha256", "-sign", "key.pem", "pae"], capture_output=True, check=True).stdout
> bundle = json.load(open("m/model.sig")); statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
> exec(sys.argv[1])
> text = json.dumps(statement).encode() if not isinstance(statement, bytes) else statement
> bundle["dsseEnvelope"]["payload"] = base64.b64encode(text).decode()
> if "keep" not in globals(): bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(sign(text)).decode()
> if "last" in globals(): exec(last)
> open("forged.sig", "w").write(json.dumps(bundle))
> END
> cat > lib <<'END'
> root() { echo 'import hashlib; statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in statement["predicate"]["resources"])).hexdigest()'; }
> f() { python3 forge.py "$1" && tola verify m --public-key key.pub -s forged.sig; }
> END

$ . ./lib; f 'pass'
m: valid, signed with a P-256 key; 1 entry, 4 B
$ . ./lib; f 'keep = 1; statement["subject"][0]["name"] = "other"'
m: not valid: the signature is not that of this key over this content
[exit 1]
$ . ./lib; f 'statement["predicate"]["resources"][0]["digest"] = "00" * 32'
m: not valid: what was signed is inconsistent: its root digest is not that of its resources
[exit 1]
$ . ./lib; f 'R = statement["predicate"]["resources"]; R[0]["name"] = "../one"'
m: not valid: what was signed names a file outside the model, or by a bad path: '../one'
[exit 1]
$ . ./lib; f 'R = statement["predicate"]["resources"]; R[0]["name"] = "/etc/passwd"'
m: not valid: what was signed names a file outside the model, or by a bad path: '/etc/passwd'
[exit 1]
$ . ./lib; f 'R = statement["predicate"]["resources"]; R[0]["name"] = "a//b"'
m: not valid: what was signed names a file outside the model, or by a bad path: 'a//b'
[exit 1]
$ . ./lib; f 'R = statement["predicate"]["resources"]; R[0]["name"] = "one\0"'
m: not valid: what was signed has a resource without name, algorithm or digest
[exit 1]
$ . ./lib; f "R = statement['predicate']['resources']; R.append(dict(R[0])); $(root)"
m: not valid: what was signed names a file twice: 'one'
[exit 1]
$ . ./lib; f 'R = statement["predicate"]["resources"]; R[0]["digest"] = "abc"'
m: not valid: what was signed has a digest of the wrong length or alphabet, of 'one'
[exit 1]
$ . ./lib; f 'R = statement["predicate"]["resources"]; R[0]["algorithm"] = "md5"'
m: not valid: what was signed has a resource of another algorithm: 'md5'
[exit 1]
$ . ./lib; f 'statement["predicate"]["serialization"]["hash_type"] = "md5"'
m: not valid: what was signed uses a hash that is not known: 'md5'
[exit 1]
$ . ./lib; f 'statement["predicate"]["serialization"]["method"] = "tensors"'
m: not valid: what was signed uses a serialization that is not known: 'tensors'
[exit 1]
$ . ./lib; f 'statement["predicate"]["serialization"]["ignore_paths"] = ["./"]'
m: not valid: what was signed ignores the whole model: './'
[exit 1]
$ . ./lib; f 'statement["predicateType"] = "https://example.org/other"'
m: not valid: what was signed is no signature of a model: predicateType 'https://example.org/other'
[exit 1]
$ . ./lib; f 'statement["_type"] = "https://example.org/other"'
m: not valid: what was signed is no in-toto statement v1: 'https://example.org/other'
[exit 1]
$ . ./lib; f 'statement["subject"].append(statement["subject"][0])'
m: not valid: what was signed has not one subject
[exit 1]
$ . ./lib; f 'statement = b"[" * 100000'
m: not valid: what was signed: offset 128: JSON: nested deeper than 128 levels
[exit 1]
$ . ./lib; f 'statement = b"not json"'
m: not valid: what was signed: offset 0: JSON: expected a value, found 'n'
[exit 1]
$ . ./lib; f 'statement = b"{\"_type\":1,\"_type\":2}"'
m: not valid: what was signed: offset 20: JSON: key "_type" appears twice in one object
[exit 1]
$ . ./lib; f 'last = """bundle["dsseEnvelope"]["signatures"].append(bundle["dsseEnvelope"]["signatures"][0])"""'
m: not valid: the signature is no bundle that can be read: dsseEnvelope.signatures is not a list of one
[exit 1]
$ . ./lib; f 'last = """bundle["dsseEnvelope"]["payload"] += "="  """'
m: not valid: dsseEnvelope.payload is no base64
[exit 1]
$ . ./lib; f 'last = """bundle["dsseEnvelope"]["payloadType"] = "text/plain" """'
m: not valid: the payload is no in-toto statement by its type
[exit 1]
$ . ./lib; f 'last = """bundle["mediaType"] = "text/plain" """'
m: not valid: the signature is no Sigstore bundle of version 0.1 to 0.3: its mediaType is 'text/plain'
[exit 1]
$ . ./lib; f 'last = """bundle["verificationMaterial"] = {} """'
m: not valid: the signature is no bundle that can be read: its verificationMaterial has neither a key nor certificates
[exit 1]
$ . ./lib; f 'last = """bundle["verificationMaterial"]["publicKey"]["hint"] = "0" * 64 """'
m: not valid: it was signed with another key
[exit 1]
$ echo '[' > forged.sig; tola verify m --public-key key.pub -s forged.sig
m: not valid: the signature: offset 2: JSON: expected a value, found the end
[exit 1]
$ : > forged.sig; tola verify m --public-key key.pub -s forged.sig
m: not valid: the signature: offset 0: JSON: expected a value, found the end
[exit 1]
$ head -c 100000 /dev/zero | tr '\0' '[' > forged.sig; tola verify m --public-key key.pub -s forged.sig
m: not valid: the signature: offset 128: JSON: nested deeper than 128 levels
[exit 1]
$ truncate -s 300M forged.sig; tola verify m --public-key key.pub -s forged.sig; rm forged.sig
m: not valid: forged.sig: the file has more than 268435456 bytes

# Signatures that are none, or another spelling of one: trailing bytes, zeros, r and s of the curve's order, base64 that
# is not canonical, keys in JSON twice, a digest of another hash.
$ cat > spell.py <<'END'
> import base64, json, sys
> b = json.load(open("m/model.sig")); sig = base64.b64decode(b["dsseEnvelope"]["signatures"][0]["sig"])
> N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
> def integer(n): n = n.to_bytes((n.bit_length() + 8) // 8 or 1, "big"); return b"\2" + bytes([len(n)]) + n
> def pair(r, s): body = integer(r) + integer(s); return b"0" + bytes([len(body)]) + body
> r = int.from_bytes(sig[4:4 + sig[3]], "big"); s = int.from_bytes(sig[6 + sig[3]:], "big")
> assert pair(r, s) == sig
> forms = {"trailing": sig + b"\0", "zero": pair(0, 0), "zero-s": pair(r, 0), "order": pair(N, N), "r-plus-order": pair(r + N, s), "empty": b"", "long-form": b"0\x81" + sig[1:], "padded": sig[:2] + b"\2" + bytes([sig[3] + 1]) + b"\0" + sig[4:]}
> b["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(forms[sys.argv[1]]).decode()
> open("forged.sig", "w").write(json.dumps(b))
> END
> tola sign m --key key.pem --force -q; for form in trailing zero zero-s order r-plus-order empty long-form padded; do python3 spell.py $form; tola verify m --public-key key.pub -s forged.sig; done | sort | uniq -c
      8 m: not valid: the signature is not that of this key over this content
$ for how in 's/"sig":"/"sig":" /' 's/"sig":"\(.\)/"sig":"\1\\n/' 's/"keyid":""/"keyid":"","keyid":""/' 's/"dsseEnvelope":/"dsseEnvelope":{},"dsseEnvelope":/' 's/$/x/'; do sed "$how" m/model.sig > forged.sig; cmp -s m/model.sig forged.sig || tola verify m --public-key key.pub -s forged.sig | sed 's/offset [0-9]*/offset N/'; done
m: not valid: dsseEnvelope.signatures[0].sig is no base64
m: not valid: dsseEnvelope.signatures[0].sig is no base64
m: not valid: the signature: offset N: JSON: key "keyid" appears twice in one object
m: not valid: the signature: offset N: JSON: key "dsseEnvelope" appears twice in one object
m: not valid: the signature: offset N: JSON: expected the end of the document, found 'x'
$ cat > hashes.py <<'END'
> import hashlib
> for what in ("blake2b", "blake3", "sha512", "SHA256", ""):
>     print(f'P = statement["predicate"]; P["serialization"]["hash_type"] = {what!r}; P["resources"][0]["algorithm"] = {what!r}')
> END
> . ./lib; python3 hashes.py | while read -r line; do f "$line"; done
m: not valid: what was signed has a digest of the wrong length or alphabet, of 'one'
m: not valid: the model is not what was signed: 1 changed
  changed one
m: not valid: what was signed uses a hash that is not known: 'sha512'
m: not valid: what was signed uses a hash that is not known: 'SHA256'
m: not valid: what was signed uses a hash that is not known: ''
[exit 1]
$ . ./lib; for name in 'a/../one' './one' 'one/' '/one' 'one/.' 'a\\one' '\\u202eone' 'o\\u0000ne' 'one\\n' 'ONE' 'x' 'on\\u0065\\u0301'; do f "statement[\"predicate\"][\"resources\"][0][\"name\"] = \"$name\"" | head -1; done
m: not valid: what was signed names a file outside the model, or by a bad path: 'a/../one'
m: not valid: what was signed names a file outside the model, or by a bad path: './one'
m: not valid: what was signed names a file outside the model, or by a bad path: 'one/'
m: not valid: what was signed names a file outside the model, or by a bad path: '/one'
m: not valid: what was signed names a file outside the model, or by a bad path: 'one/.'
m: not valid: the model is not what was signed: 1 renamed
m: not valid: the model is not what was signed: 1 renamed
m: not valid: the model is not what was signed: 1 renamed
m: not valid: the model is not what was signed: 1 renamed
m: not valid: the model is not what was signed: 1 renamed
m: not valid: the model is not what was signed: 1 renamed
m: not valid: the model is not what was signed: 1 renamed
# Shards that overlap, leave a gap, go beyond the end, or are larger than they may be.
$ head -c 150000 /dev/zero > m/big; tola sign m --key key.pem --shard-size 65536 --force -q; . ./lib; for names in '0:65536 60000:131072 131072:150000' '0:65536 70000:131072 131072:150000' '0:65536 65536:131072 131072:150001' '0:150000' '0:65536 65536:131072' '131072:150000 0:65536 65536:131072' '5:5' '9:3' '0:18446744073709551616'; do f "R = statement['predicate']['resources']; one = [r for r in R if r['name'].startswith('one')]; big = [r for r in R if r['name'].startswith('big')]; names = '$names'.split(); statement['predicate']['resources'] = R = [dict(big[min(i, len(big) - 1)], name='big:' + n) for i, n in enumerate(names)] + one; $(root)" | tr '\n' ' '; echo; done; rm m/big
m: not valid: what was signed has a shard that is no 'path:start:end': 'big:60000:131072' 
m: not valid: the model is not what was signed: 1 changed   changed big 
m: not valid: the model is not what was signed: 1 changed   changed big 
m: not valid: what was signed has a shard that is no 'path:start:end': 'big:0:150000' 
m: not valid: the model is not what was signed: 1 changed   changed big 
m: not valid: the model is not what was signed: 1 changed   changed big 
m: not valid: what was signed has a shard that is no 'path:start:end': 'big:5:5' 
m: not valid: what was signed has a shard that is no 'path:start:end': 'big:9:3' 
m: not valid: what was signed has a shard that is no 'path:start:end': 'big:0:18446744073709551616' 

# What a signature leaves out is told where it is there: git runs what .git/config says.
$ rm -rf left && mkdir -p left/.git && echo one > left/one && tola sign left --key key.pem -q && echo '[core] fsmonitor = evil' > left/.git/config && tola verify left --public-key key.pub
left: valid, signed with a P-256 key; 1 entry, 4 B
2> tola: warning: .git is there and was not looked at: the signature or you leave it out
$ mkdir left/.github && tola verify left --public-key key.pub 2>&1 >/dev/null
tola: warning: .git and 1 more are there and were not looked at: the signature or you leave them out
$ rm -r left/.git left/.github && tola verify left --public-key key.pub
left: valid, signed with a P-256 key; 1 entry, 4 B
