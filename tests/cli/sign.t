# tola sign, tola verify: exit 0 signed or valid, 1 not valid, 2 error. Keys and certificates are made here by openssl.
# needs: openssl

$ umask 077; k() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:$1 -out $2.pem 2>/dev/null; openssl pkey -in $2.pem -pubout -out $2.pub; }
> k P-256 k256; k P-384 k384; k P-521 k521; k secp256k1 koblitz
> openssl genpkey -algorithm ED25519 -out ked.pem; openssl pkey -in ked.pem -pubout -out ked.pub
> openssl genrsa -out rsa.pem 2048 2>/dev/null; openssl pkey -in rsa.pem -pubout -out rsa.pub
> openssl pkey -in k256.pem -aes256 -passout pass:secret -out locked.pem; echo secret > pass; echo wrong > wrong
> mkdir -p m/sub m/a m/a-b m/.git; echo one > m/one; echo two > m/sub/two; echo x > m/a/x; echo y > m/a-b/x; : > m/empty; echo g > m/.git/HEAD

$ tola sign m --key k256.pem; tola verify m --public-key k256.pub
m/model.sig: 5 entries, 12 B, signed with a P-256 key
m: valid, signed with a P-256 key; 5 entries, 12 B
2> tola: warning: .git is there and was not looked at: the signature or you leave it out

# A signature is not replaced by accident.
$ tola sign m --key k256.pem
2> tola: m/model.sig: exists already and is not overwritten without being told to (--force)
[exit 2]

# Curves, hashes, shards.
$ for k in k384 k521; do tola sign m --key $k.pem --force && tola verify m --public-key $k.pub; done
m/model.sig: 5 entries, 12 B, signed with a P-384 key
m: valid, signed with a P-384 key; 5 entries, 12 B
m/model.sig: 5 entries, 12 B, signed with a P-521 key
m: valid, signed with a P-521 key; 5 entries, 12 B
2> tola: warning: .git is there and was not looked at: the signature or you leave it out
2> tola: warning: .git is there and was not looked at: the signature or you leave it out

$ tola sign m --key ked.pem --force && tola verify m --public-key ked.pub
m/model.sig: 5 entries, 12 B, signed with an Ed25519 key
m: valid, signed with an Ed25519 key; 5 entries, 12 B
2> tola: warning: the model_signing package does not read signatures of Ed25519 keys; tola verify does
2> tola: warning: .git is there and was not looked at: the signature or you leave it out

$ for h in blake2b blake3; do tola sign m --key k256.pem --hash $h --force -q && tola verify m --public-key k256.pub; done
m: valid, signed with a P-256 key; 5 entries, 12 B
m: valid, signed with a P-256 key; 5 entries, 12 B
2> tola: warning: .git is there and was not looked at: the signature or you leave it out
2> tola: warning: .git is there and was not looked at: the signature or you leave it out

$ head -c 200000 /dev/zero > m/big; tola sign m --key k256.pem --shard-size 65536 --force && tola verify m --public-key k256.pub
m/model.sig: 8 entries, 200.01 kB, signed with a P-256 key
m: valid, signed with a P-256 key; 8 entries, 200.01 kB
2> tola: warning: .git is there and was not looked at: the signature or you leave it out

# Tampering, file by file; a shard that changed is its file.
$ printf x | dd of=m/big bs=1 seek=150000 conv=notrunc 2>/dev/null; mv m/one m/uno; rm m/a/x; echo n > m/new; echo g > m/.git/other; tola verify m --public-key k256.pub
m: not valid: the model is not what was signed: 1 changed, 1 missing, 1 added, 1 renamed
  changed big
  missing a/x
  added   new
  renamed one -> uno
[exit 1]

$ tola verify m --public-key k256.pub --ignore-unsigned-files
m: not valid: the model is not what was signed: 1 changed, 2 missing
  changed big
  missing a/x
  missing one
[exit 1]

$ echo longer >> m/big; tola verify m --public-key k256.pub --ignore-paths new --ignore-paths uno -q
[exit 1]

# One file.
$ echo weights > w.gguf; tola sign w.gguf --key k384.pem && tola verify w.gguf --public-key k384.pub --json | grep -v seconds
w.gguf.sig: 1 entry, 8 B, signed with a P-384 key
{
  "schema": "tola.verify/1",
  "valid": true,
  "reason": null,
  "method": "key",
  "key": "P-384",
  "identity": null,
  "subject": null,
  "identity_demanded": false,
  "issuer": null,
  "signed_at": null,
  "name": "w.gguf",
  "digest": "4adf1214a920a955173f697d1766cdc347de7aebfcb435efa1e44398ec9224fe",
  "uncovered": [],
  "changed": [],
  "missing": [],
  "added": [],
  "renamed": [],
  "resources": 1,
  "bytes": 8,
}

$ echo x >> w.gguf; tola verify w.gguf --public-key k384.pub
w.gguf: not valid: the model is not what was signed: 1 changed
  changed w.gguf
[exit 1]
