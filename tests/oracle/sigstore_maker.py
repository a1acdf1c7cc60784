"""A Sigstore of one's own for sign_oracle.py: certificate authority, certificate log, transparency log, and a trust root
that names them. Everything that the real one signs is signed here by keys made on the spot.

Formats: RFC 6962 (SCTs, Merkle trees), Fulcio's certificate profile, Rekor's entries of kind dsse 0.0.1."""
import base64
import datetime
import hashlib
import json
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

SCT = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
NOW = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.timezone.utc)
IDENTITY, ISSUER = "ml@example.org", "https://issuer.example.org"


def b64(data):
    return base64.b64encode(data).decode()


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def der(tag, content):
    n = len(content)
    head = bytes([n]) if n < 128 else bytes([0x80 + (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + head + content


def key_usage(signing):
    return x509.KeyUsage(digital_signature=signing, key_cert_sign=not signing, crl_sign=not signing,
                         content_commitment=False, key_encipherment=False, data_encipherment=False,
                         key_agreement=False, encipher_only=False, decipher_only=False)


class Sigstore:
    def __init__(self):
        self.root_key, self.middle_key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
        self.ct_key, self.log_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.root = self.authority("root", self.root_key, "root", self.root_key, 1)
        self.middle = self.authority("middle", self.middle_key, "root", self.root_key, 0)

    def authority(self, name, key, issuer, issuer_key, length):
        builder = self.builder(name, issuer, key.public_key(), issuer_key, datetime.timedelta(days=-100),
                               datetime.timedelta(days=3000))
        builder = builder.add_extension(x509.BasicConstraints(True, length), True).add_extension(key_usage(False), True)
        return builder.sign(issuer_key, hashes.SHA384())

    def builder(self, name, issuer, public, issuer_key, begin, end):
        def called(text):
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])
        return (x509.CertificateBuilder().subject_name(called(name)).issuer_name(called(issuer)).public_key(public)
                .serial_number(x509.random_serial_number()).not_valid_before(NOW + begin).not_valid_after(NOW + end)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False))

    def leaf(self, key, code_signing=True, sct_key=None):
        """A short-lived certificate with an SCT over itself."""
        base = self.builder("", "middle", key.public_key(), self.middle_key, datetime.timedelta(minutes=-1),
                            datetime.timedelta(minutes=9))
        usage = ExtendedKeyUsageOID.CODE_SIGNING if code_signing else ExtendedKeyUsageOID.EMAIL_PROTECTION
        base = (base.add_extension(key_usage(True), True).add_extension(x509.ExtendedKeyUsage([usage]), False)
                .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(IDENTITY)]), True)
                .add_extension(x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.57264.1.1"), ISSUER.encode()), False)
                .add_extension(x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.57264.1.8"),
                                                          der(0x0c, ISSUER.encode())), False))
        log_id = hashlib.sha256(spki(self.ct_key)).digest()
        stamp = struct.pack(">Q", int(NOW.timestamp() * 1000))

        def finish(signature):
            sct = b"\0" + log_id + stamp + b"\0\0" + b"\4\3" + struct.pack(">H", len(signature)) + signature
            listed = struct.pack(">H", len(sct)) + sct
            value = der(4, struct.pack(">H", len(listed)) + listed)
            return base.add_extension(x509.UnrecognizedExtension(SCT, value), False).sign(self.middle_key, hashes.SHA384())

        tbs = finish(b"x" * 70).tbs_precertificate_bytes
        entry = b"\0\1" + hashlib.sha256(spki(self.middle_key)).digest() + len(tbs).to_bytes(3, "big") + tbs
        signed = b"\0\0" + stamp + entry + b"\0\0"
        return finish((sct_key or self.ct_key).sign(signed, ec.ECDSA(hashes.SHA256())))

    # ---- the transparency log ----

    def prove(self, body, before=5, after=7):
        """(index, size, hashes, root) of an entry among others."""
        leaves = [hashlib.sha256(b"\0" + b"%d" % i).digest() for i in range(before)]
        leaves += [hashlib.sha256(b"\0" + body).digest()]
        leaves += [hashlib.sha256(b"\0" + b"-%d" % i).digest() for i in range(after)]

        def walk(nodes, at):
            if len(nodes) == 1:
                return nodes[0], []
            half = 1 << (len(nodes) - 1).bit_length() - 1
            left, right = nodes[:half], nodes[half:]
            if at < half:
                inside, path = walk(left, at)
                other, _ = walk(right, 0)
                return hashlib.sha256(b"\1" + inside + other).digest(), path + [other]
            inside, path = walk(right, at - half)
            other, _ = walk(left, 0)
            return hashlib.sha256(b"\1" + other + inside).digest(), path + [other]

        root, path = walk(leaves, before)
        return before, len(leaves), path, root

    def entry(self, payload, signature, certificate, before=5, after=7):
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        body = json.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(b"lost").hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": b64(signature), "verifier": b64(pem)}]}},
            separators=(",", ":"), sort_keys=True).encode()
        log_id = hashlib.sha256(spki(self.log_key)).digest()
        index, size, path, root = self.prove(body, before, after)
        sign = lambda text: self.log_key.sign(text, ec.ECDSA(hashes.SHA256()))
        promise = json.dumps({"body": b64(body), "integratedTime": int(NOW.timestamp()), "logID": log_id.hex(),
                              "logIndex": 1000 + index}, separators=(",", ":"), sort_keys=True).encode()
        note = f"log.example.org - 1\n{size}\n{b64(root)}\n"
        checkpoint = f"{note}\n\u2014 log.example.org {b64(log_id[:4] + sign(note.encode()))}\n"
        return {"logIndex": str(1000 + index), "logId": {"keyId": b64(log_id)},
                "kindVersion": {"kind": "dsse", "version": "0.0.1"}, "integratedTime": str(int(NOW.timestamp())),
                "inclusionPromise": {"signedEntryTimestamp": b64(sign(promise))},
                "inclusionProof": {"logIndex": str(index), "rootHash": b64(root), "treeSize": str(size),
                                   "hashes": [b64(h) for h in path], "checkpoint": {"envelope": checkpoint}},
                "canonicalizedBody": b64(body)}

    def sign(self, payload, before=5, after=7, **leaf):
        """A bundle over the payload."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.leaf(key, **leaf)
        kind = "application/vnd.in-toto+json"
        signature = key.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload),
                             ec.ECDSA(hashes.SHA256()))
        return {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "verificationMaterial": {
                    "certificate": {"rawBytes": b64(certificate.public_bytes(serialization.Encoding.DER))},
                    "tlogEntries": [self.entry(payload, signature, certificate, before, after)]},
                "dsseEnvelope": {"payload": b64(payload), "payloadType": kind, "signatures": [{"sig": b64(signature)}]}}

    def trusted_root(self):
        def log(key):
            return {"baseUrl": "https://log.example.org", "hashAlgorithm": "SHA2_256",
                    "publicKey": {"rawBytes": b64(spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                                  "validFor": {"start": "2026-01-01T00:00:00Z"}},
                    "logId": {"keyId": b64(hashlib.sha256(spki(key)).digest())}}
        certs = [{"rawBytes": b64(c.public_bytes(serialization.Encoding.DER))} for c in (self.middle, self.root)]
        return {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": [log(self.log_key)],
                "certificateAuthorities": [{"subject": {"organization": "o", "commonName": "c"},
                                            "uri": "https://ca.example.org", "certChain": {"certificates": certs},
                                            "validFor": {"start": "2026-01-01T00:00:00Z"}}],
                "ctlogs": [log(self.ct_key)], "timestampAuthorities": []}
