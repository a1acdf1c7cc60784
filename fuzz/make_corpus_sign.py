#!/usr/bin/env python3
"""Bundles, statements, trust roots and certificates for fuzz_sign and fuzz_certificate: make_corpus_sign.py [FOLDER]

Signed by keys made on the spot (tests/oracle/sigstore_maker.py; needs the cryptography package), so every run gives other
bytes of the same shapes."""
import hashlib
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

import sigstore_maker  # noqa: E402

HEX = hashlib.sha256(b"x").hexdigest()


def statement(names, digest=HEX, method="files", hash_type="sha256", algorithm="sha256", **more):
    root = hashlib.sha256(bytes.fromhex(digest) * len(names)).hexdigest()
    predicate = {"serialization": {"method": method, "hash_type": hash_type, "allow_symlinks": False, **more},
                 "resources": [{"name": n, "algorithm": algorithm, "digest": digest} for n in names]}
    return {"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "m", "digest": {"sha256": root}}],
            "predicateType": "https://model_signing/signature/v1.0", "predicate": predicate}


def statements():
    yield "files", statement(["a/x", "a-b/x", "b"], ignore_paths=[".git", "model.sig", "../x", "/y", "a/./b/"])
    yield "shards", statement(["a:0:1000", "a:1000:1500"], method="shards", shard_size=1000, algorithm="sha256-sharded-1000")
    yield "float", statement(["a:0:7"], method="shards", shard_size=1000.0, algorithm="sha256-sharded-1000")
    yield "blake2", statement(["."], HEX * 2, hash_type="blake2b", algorithm="blake2b")
    yield "blake3", statement(["."], hash_type="blake3", algorithm="blake3")
    for name in ("../a", "/a", "a/../b", "", "a/", "a\0b", "./a", "a//b"):
        yield f"name-{name.encode().hex()}", statement([name])
    yield "twice", statement(["a", "a"])
    yield "everything", statement(["a"], ignore_paths=["."])
    yield "old", {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://model_signing/Digests/v0.1",
                  "subject": [{"name": "a", "digest": {"sha256": HEX}}], "predicate": {"unused": "x"}}
    made = statement(["."])
    file = {"name": "q.gguf", "digest": {"sha256": HEX}, "annotations": {"model": "q.gguf"}}
    made["predicate"]["provenance"] = {
        "_type": "https://in-toto.io/Statement/v1", "subject": [file], "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {"buildType": "urn:tola:quantize:1", "externalParameters": {"to": "q4_k"},
                                          "resolvedDependencies": [file]}, "runDetails": {"builder": {"id": "x"}}}}
    yield "provenance", made


def main(folder):
    sign, certificate = folder / "sign", folder / "certificate"
    sign.mkdir(parents=True, exist_ok=True)
    certificate.mkdir(parents=True, exist_ok=True)
    made = sigstore_maker.Sigstore()
    for name, document in statements():
        (sign / f"statement-{name}").write_bytes(b"\1" + json.dumps(document).encode())
    payload = json.dumps(statement(["a"])).encode()
    bundle = made.sign(payload)
    (sign / "bundle-sigstore").write_bytes(b"\0" + json.dumps(bundle).encode())
    material = bundle["verificationMaterial"]
    bundle["verificationMaterial"] = {"publicKey": {"hint": HEX}, "tlogEntries": []}
    (sign / "bundle-key").write_bytes(b"\0" + json.dumps(bundle).encode())
    bundle["verificationMaterial"] = {"x509CertificateChain": {"certificates": [material["certificate"]] * 2}}
    (sign / "bundle-chain").write_bytes(b"\0" + json.dumps(bundle).encode())
    (sign / "root").write_bytes(b"\2" + json.dumps(made.trusted_root()).encode())
    (sign / "root-client").write_bytes(b"\2" + json.dumps({"trustedRoot": made.trusted_root()}).encode())
    for index, size, count in ((0, 1, 0), (5, 13, 4), (12, 13, 2), (2**63, 2**64 - 1, 64)):
        head = index.to_bytes(8, "little") + size.to_bytes(8, "little")
        (sign / f"merkle-{count}").write_bytes(b"\3" + head + bytes(32 * (1 + count)))
    leaf = made.leaf(ec.generate_private_key(ec.SECP256R1()))
    ders = [c.public_bytes(serialization.Encoding.DER) for c in (leaf, made.middle, made.root)]
    (certificate / "leaf").write_bytes(ders[0])
    (certificate / "root").write_bytes(ders[2])
    (certificate / "chain").write_bytes(b"".join(ders))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "fuzz" / "corpus")
