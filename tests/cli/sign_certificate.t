# tola sign --certificate, tola verify --trust-root: chains that hold, and each way in which they do not.
# needs: openssl
# needs: python3

$ umask 077; key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:${2:-P-256} -out $1.key 2>/dev/null; }
> ca() { key $1 P-384; openssl req -new -x509 -key $1.key -subj /CN=$1 -days 3650 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -out $1.pem; }
> issue() { # ISSUER NAME EXTENSIONS [DATES]: NAME.pem
> [ -f $2.key ] || key $2; openssl req -new -key $2.key -subj /CN=$2 -out $2.csr; printf "$3" > ext
> mkdir -p db; : > db/index.txt; rm -f db/index.txt.attr; printf '[ca]\ndefault_ca=d\n[d]\ndatabase=db/index.txt\nnew_certs_dir=db\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' > db/conf
> openssl ca -batch -config db/conf -cert $1.pem -keyfile $1.key -in $2.csr -out $2.pem -notext -extfile ext ${4:--days 365} 2>/dev/null; }
> ca root; ca stranger
> issue root middle 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n'
> issue middle leaf 'keyUsage=critical,digitalSignature\nsubjectAltName=email:ml@example.org,URI:https://example.org/ml\n'
> issue middle code 'extendedKeyUsage=codeSigning\n'; issue middle wrong 'keyUsage=critical,keyEncipherment\n'; issue middle plain 'basicConstraints=CA:FALSE\n'
> issue root noca 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'; issue noca below 'keyUsage=critical,digitalSignature\n'
> issue root stale 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' '-startdate 20200101000000Z -enddate 20210101000000Z'; issue stale late 'keyUsage=critical,digitalSignature\n'
> issue middle expired 'keyUsage=critical,digitalSignature\n' '-startdate 20200101000000Z -enddate 20210101000000Z'
> issue middle tls 'keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n'; issue middle mail 'keyUsage=critical,digitalSignature\nextendedKeyUsage=emailProtection\n'
> openssl genrsa -out small.key 1024 2>/dev/null; issue root small 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n'; issue small under 'keyUsage=critical,digitalSignature\n'
> openssl genrsa -out rsa.key 2048 2>/dev/null; issue middle rsa 'keyUsage=critical,digitalSignature\n'; key koblitz secp256k1; issue middle koblitz 'keyUsage=critical,digitalSignature\n'
> mkdir m; echo one > m/one
> cat > lib <<'END'
> s() { cat $1.pem ${2:-middle}.pem > chain.pem; tola sign m --key $1.key --certificate chain.pem --force -q; }
> v() { tola verify m --trust-root ${1:-root}.pem "${@:2}"; }
> END

$ . ./lib; s leaf && v root
m: valid, signed with a P-256 key of ml@example.org; 1 entry, 4 B
2> tola: warning: whoever has a certificate under root.pem could have signed this; it was ml@example.org: demand that with --cert-identity
$ . ./lib; v root --cert-identity ml@example.org
m: valid, signed with a P-256 key of ml@example.org; 1 entry, 4 B
$ . ./lib; v root --cert-identity https://example.org/ml
m: valid, signed with a P-256 key of ml@example.org; 1 entry, 4 B
$ . ./lib; v root --cert-identity else@example.org
m: not valid: the certificate does not name else@example.org but ml@example.org
[exit 1]
$ . ./lib; v root --cert-issuer https://example.org
2> tola: only certificates of Sigstore name an issuer of identities
[exit 2]
$ . ./lib; v stranger
m: not valid: the certificate 1 above the signer's: unable to get local issuer certificate
[exit 1]
$ . ./lib; v middle
m: not valid: the certificate 1 above the signer's: unable to get issuer certificate
[exit 1]
$ . ./lib; s code && v root
m: valid, signed with a P-256 key of /CN=code; 1 entry, 4 B
2> tola: warning: whoever has a certificate under root.pem could have signed this; it was /CN=code, whose certificate holds no name that --cert-identity could demand
$ . ./lib; s wrong
2> tola: chain.pem: the signer's certificate may not be used for signing: it has no key usage digitalSignature and no extended key usage codeSigning
[exit 2]
$ . ./lib; s plain
2> tola: chain.pem: the signer's certificate may not be used for signing: it has no key usage digitalSignature and no extended key usage codeSigning
[exit 2]
$ . ./lib; s below noca && v root
m: not valid: the certificate 1 above the signer's: invalid CA certificate
[exit 1]
$ . ./lib; s late stale && v root
m: not valid: the certificate 1 above the signer's: certificate has expired
[exit 1]
$ . ./lib; s expired && v root
m: not valid: the certificate 2 above the signer's: certificate is not yet valid
[exit 1]
$ cat middle.pem leaf.pem > chain.pem; tola sign m --key leaf.key --certificate chain.pem --force
2> tola: chain.pem: the first certificate is not that of the private key (it must come first)
[exit 2]
$ tola sign m --key leaf.key --certificate leaf.key --force
2> tola: leaf.key: holds no certificate in PEM form: no start line
[exit 2]
$ head -c 300 leaf.pem > chain.pem; tola sign m --key leaf.key --certificate chain.pem --force
2> tola: chain.pem: holds no certificate in PEM form: bad end line
[exit 2]
$ . ./lib; tola sign m --key leaf.key --certificate leaf.pem --force -q && v root
m: not valid: the signer's certificate: unable to get local issuer certificate
[exit 1]
$ . ./lib; s leaf && openssl pkey -in leaf.key -pubout -out leaf.pub && tola verify m --public-key leaf.pub
m: not valid: it was signed with a certificate: a trust root is needed, not a key
[exit 1]
$ . ./lib; tola sign m --key leaf.key --force -q && v root
m: not valid: it was signed with a bare key: that key is needed, not a trust root
[exit 1]
$ echo '{}' > trust.json; tola verify m --trust-root trust.json
2> tola: trust.json: is no trust root of Sigstore: its mediaType is not application/vnd.dev.sigstore.trustedroot
[exit 2]

# A certificate for TLS servers signs nothing; keys that are too small vouch for nothing.
$ . ./lib; s tls
2> tola: chain.pem: the signer's certificate may not be used for signing: its extended key usage is for something else
[exit 2]
$ . ./lib; s mail && v root -q && echo valid
valid
$ . ./lib; s under small && v root
m: not valid: the certificate 1 above the signer's: CA certificate key too weak
[exit 1]

# What nobody could have signed with, put into a signature: another kind of key, another order, a certificate for TLS.
$ . ./lib; cat > swap.py <<'END'
> import base64, json, subprocess, sys
> b = json.load(open("m/model.sig")); der = lambda n: base64.b64encode(subprocess.run(["openssl", "x509", "-in", n + ".pem", "-outform", "DER"], capture_output=True, check=True).stdout).decode()
> b["verificationMaterial"]["x509CertificateChain"]["certificates"] = [{"rawBytes": der(n)} for n in sys.argv[1:]]
> json.dump(b, open("m/model.sig", "w"))
> END
> s leaf; for c in "rsa middle" "koblitz middle" "middle leaf" "tls middle" "mail middle"; do python3 swap.py $c; v root; done
m: not valid: the key is of no kind that signs models: no elliptic curve; P-256, P-384, P-521 and Ed25519 do
m: not valid: the key is of no kind that signs models: curve secp256k1; P-256, P-384, P-521 and Ed25519 do
m: not valid: the signer's certificate may not be used for signing: it has no key usage digitalSignature and no extended key usage codeSigning
m: not valid: the signer's certificate may not be used for signing: its extended key usage is for something else
m: not valid: the signature is not that of this key over this content
[exit 1]
$ . ./lib; s leaf; python3 -c 'import base64, json; b = json.load(open("m/model.sig")); c = b["verificationMaterial"]["x509CertificateChain"]["certificates"]; c[0]["rawBytes"] = base64.b64encode(base64.b64decode(c[0]["rawBytes"]) + b"\0").decode(); json.dump(b, open("m/model.sig", "w"))'; v root
m: not valid: a certificate cannot be read: bytes behind its end
[exit 1]
