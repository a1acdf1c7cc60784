#!/usr/bin/env python3
"""Signatures beside the model_signing package: what one signs the other verifies, what one refuses the other refuses.

Files, shards, hashes, curves, certificates, ignored paths, links, odd names; bundles of 0.2, made here as that version
made them; Sigstore's bundles, made by sigstore_maker.py and judged by sigstore-python, too. Real bundles of every
version are verified where TOLA_MODEL_TRANSPARENCY names a clone of https://github.com/sigstore/model-transparency."""
import base64
import copy
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

from common import BUILD, Tally, folder

try:
    import model_signing
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from model_signing._signing import sign_certificate, sign_ec_key  # noqa: F401 (the package is whole)
    import sigstore_maker
except ImportError as error:
    model_signing, missing = None, error

TOLA = BUILD / "tola"


def tola(*arguments):
    """(exit code, stdout and stderr)"""
    done = subprocess.run([str(TOLA), *map(str, arguments)], capture_output=True)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def write_key(path, key):
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))
    path.chmod(0o600)
    path.with_suffix(".pub").write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


CURVES = {"P-256": "SECP256R1", "P-384": "SECP384R1", "P-521": "SECP521R1"}


def make_model(where):
    """A folder with names whose order is easily got wrong."""
    files = {"a/x": b"1", "a-b/x": b"2", "a.b": b"3", "a/b/c/d": b"4", "A": b"5", "empty": b"", "with space": b"6",
             "\u00fcber/\u65e5\u672c": b"7", ".hidden": b"8", ".git/HEAD": b"9", ".gitignore": b"10",
             "big": bytes(250000), "zz": b"\0" * 65536, "a/x.y": b"11", "a'b\"c": b"12"}
    for name, data in files.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return where


def hashing(method="files", algorithm="sha256", **more):
    config = model_signing.hashing.Config()
    if method == "shards":
        return config.use_shard_serialization(hashing_algorithm=algorithm, shard_size=65536, **more)
    return config.use_file_serialization(hashing_algorithm=algorithm, **more)


def theirs_verify(model, signature, config, **how):
    verifying = model_signing.verifying.Config()
    if "public_key" in how:
        verifying.use_elliptic_key_verifier(public_key=how["public_key"])
    else:
        verifying.use_certificate_verifier(certificate_chain=[how["root"]])
    if config:
        verifying.set_hashing_config(config)
    try:
        verifying.verify(model, signature)
        return True, ""
    except Exception as error:  # the package lets errors of every library through
        return False, f"{type(error).__name__}: {error}"


def theirs_sign(model, signature, config, **how):
    signing = model_signing.signing.Config()
    if "certificate" in how:
        signing.use_certificate_signer(private_key=how["key"], signing_certificate=how["certificate"],
                                       certificate_chain=how["chain"])
    else:
        signing.use_elliptic_key_signer(private_key=how["key"])
    signing.set_hashing_config(config).sign(model, signature)


def payload_of(signature):
    bundle = json.loads(pathlib.Path(signature).read_text())
    return json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))


def root_of(signature):
    return payload_of(signature)["subject"][0]["digest"]["sha256"]


# ---- keys, methods, hashes ----


def check_keys(t, here):
    model = make_model(here / "model")
    for name, curve in CURVES.items():
        write_key(here / f"{name}.pem", ec.generate_private_key(getattr(ec, curve)()))
    cases = [(name, "files", "sha256") for name in CURVES]
    cases += [("P-256", "shards", "sha256"), ("P-256", "files", "blake2"), ("P-384", "shards", "blake2"),
              ("P-256", "files", "blake3")]
    for name, method, algorithm in cases:
        what = f"{name} {method} {algorithm}"
        key, public = here / f"{name}.pem", here / f"{name}.pub"
        config = lambda: hashing(method, algorithm).set_ignored_paths(paths=["model.sig"])
        ours, other = model / "model.sig", here / "theirs.sig"
        flags = ["--hash", {"blake2": "blake2b"}.get(algorithm, algorithm)]
        if method == "shards":
            flags += ["--shard-size", "65536"]
        code, text = tola("sign", model, "--key", key, "--force", *flags)
        t.equal(f"{what}: tola signs", code, 0)
        good, why = theirs_verify(model, ours, config(), public_key=public)
        t.check(f"{what}: model_signing verifies what tola signed", good, why)
        theirs_sign(model, other, config(), key=key)
        code, text = tola("verify", model, "--signature", other, "--public-key", public, "--ignore-paths", "model.sig")
        t.check(f"{what}: tola verifies what model_signing signed", code == 0, text)
        t.equal(f"{what}: the same root digest", root_of(ours), root_of(other))
        a, b = payload_of(ours)["predicate"], payload_of(other)["predicate"]
        t.equal(f"{what}: the same resources", a["resources"], b["resources"])
        for p in (a, b):
            p["serialization"]["ignore_paths"] = sorted(p["serialization"]["ignore_paths"])
        t.equal(f"{what}: the same serialization", a["serialization"], b["serialization"])
        code, text = tola("verify", model, "--public-key", here / ("P-384.pub" if name != "P-384" else "P-256.pub"))
        t.equal(f"{what}: another key is refused", code, 1)
        ours.unlink()


def check_one_file(t, here):
    path = here / "one.gguf"
    path.write_bytes(bytes(range(256)) * 1000)
    for method in ("files", "shards"):
        flags = ["--shard-size", "65536"] if method == "shards" else []
        tola("sign", path, "--key", here / "P-256.pem", "--force", *flags)
        good, why = theirs_verify(path, f"{path}.sig", hashing(method), public_key=here / "P-256.pub")
        t.check(f"one file, {method}: model_signing verifies", good, why)
        theirs_sign(path, here / "one.sig", hashing(method), key=here / "P-256.pem")
        code, text = tola("verify", path, "-s", here / "one.sig", "-k", here / "P-256.pub")
        t.check(f"one file, {method}: tola verifies", code == 0, text)


# ---- what is there ----


def check_tampering(t, here):
    key, public = here / "P-256.pem", here / "P-256.pub"
    changes = {
        "nothing": lambda m: None,
        "changed": lambda m: (m / "a/x").write_bytes(b"other"),
        "missing": lambda m: (m / "a/x").unlink(),
        "added": lambda m: (m / "new").write_bytes(b"new"),
        "added in git's folder": lambda m: (m / ".git/new").write_bytes(b"new"),
        "renamed": lambda m: (m / "a/x").rename(m / "a/z"),
        "swapped": lambda m: ((m / "a/x").rename(m / "t"), (m / "a-b/x").rename(m / "a/x"),
                              (m / "t").rename(m / "a-b/x")),
        "an empty folder": lambda m: (m / "nothing").mkdir(),
        "longer": lambda m: (m / "big").write_bytes(bytes(250001)),
        "shorter": lambda m: (m / "big").write_bytes(bytes(249999)),
        "emptied": lambda m: (m / "big").write_bytes(b""),
        "a link in place of a file": lambda m: ((m / "a/x").rename(here / "away"),
                                                (m / "a/x").symlink_to(here / "away")),
    }
    for method in ("files", "shards"):
        for what, change in changes.items():
            model = make_model(here / "tampered")
            signature = here / "tampered.sig"
            theirs_sign(model, signature, hashing(method), key=key)
            change(model)
            good, why = theirs_verify(model, signature, hashing(method), public_key=public)
            code, text = tola("verify", model, "-s", signature, "-k", public)
            t.check(f"{method}, {what}: the same verdict", code == (0 if good else 1),
                    f"model_signing: {why}, tola: {text}")
            shutil.rmtree(model)


def check_ignored(t, here):
    key, public = here / "P-256.pem", here / "P-256.pub"
    model = make_model(here / "ignoring")
    signature = here / "ignoring.sig"
    theirs_sign(model, signature, hashing().set_ignored_paths(paths=["a", "a-b/x", "../outside"]), key=key)
    (model / "a/new").write_bytes(b"")
    code, text = tola("verify", model, "-s", signature, "-k", public)
    t.check("paths that model_signing ignored", code == 0, text)
    (model / "a-b/new").write_bytes(b"")
    code, text = tola("verify", model, "-s", signature, "-k", public)
    t.check("a neighbour of an ignored path", code == 1 and "a-b/new" in text, text)
    tola("sign", model, "-s", signature, "-k", key, "--force", "--ignore-paths", "a/", "--ignore-paths", model / "a-b")
    good, why = theirs_verify(model, signature, None, public_key=public)
    t.check("paths that tola ignored", good, why)
    tola("sign", model, "-s", signature, "-k", key, "--force", "--with-git")
    t.check("git's files are signed where asked for",
            any(r["name"] == ".gitignore" for r in payload_of(signature)["predicate"]["resources"]))
    theirs_sign(model, signature, hashing(), key=key)
    (model / "unsigned").write_bytes(b"x")
    code, _ = tola("verify", model, "-s", signature, "-k", public, "--ignore-unsigned-files")
    t.equal("unsigned files are ignored where asked for", code, 0)


def check_links(t, here):
    key, public = here / "P-256.pem", here / "P-256.pub"
    model = make_model(here / "linking")
    signature = here / "linking.sig"
    (here / "outside").write_bytes(b"blob")
    (model / "link").symlink_to("../outside")
    code, text = tola("sign", model, "-s", signature, "-k", key)
    t.check("a link is an error", code == 2 and "symbolic link" in text, text)
    theirs_sign(model, signature, hashing().set_allow_symlinks(True), key=key)
    code, text = tola("verify", model, "-s", signature, "-k", public)
    t.check("links that model_signing followed", code == 0, text)
    tola("sign", model, "-s", signature, "-k", key, "--force", "--allow-symlinks")
    good, why = theirs_verify(model, signature, hashing().set_allow_symlinks(True), public_key=public)
    t.check("links that tola followed", good, why)
    (here / "outside").write_bytes(b"other")
    code, text = tola("verify", model, "-s", signature, "-k", public)
    t.check("what a link leads to changed", code == 1 and "link" in text, text)
    (model / "dangling").symlink_to("nowhere")
    code, _ = tola("verify", model, "-s", signature, "-k", public)
    t.equal("a link to nothing", code, 1)


# ---- certificates ----


def check_certificates(t, here):
    made = sigstore_maker.Sigstore()
    for curve in CURVES.values():
        key = ec.generate_private_key(getattr(ec, curve)())
        write_key(here / "leaf.pem", key)
        leaf = made.builder("signer", "middle", key.public_key(), made.middle_key, sigstore_maker.datetime.timedelta(0),
                            sigstore_maker.datetime.timedelta(days=1))
        leaf = leaf.add_extension(sigstore_maker.key_usage(True), True).sign(made.middle_key, hashes.SHA256())
        for name, certificate in (("leaf", leaf), ("middle", made.middle), ("root", made.root)):
            (here / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (here / "chain.crt").write_bytes((here / "leaf.crt").read_bytes() + (here / "middle.crt").read_bytes())
        model = here / "ignoring"
        ours, other = here / "ours.sig", here / "theirs.sig"
        code, text = tola("sign", model, "-s", ours, "-k", here / "leaf.pem", "-c", here / "chain.crt", "--force")
        t.check(f"{curve}: tola signs with a certificate", code == 0, text)
        good, why = theirs_verify(model, ours, None, root=here / "root.crt")
        t.check(f"{curve}: model_signing verifies the chain", good, why)
        theirs_sign(model, other, hashing(), key=here / "leaf.pem", certificate=here / "leaf.crt",
                    chain=[here / "middle.crt"])
        code, text = tola("verify", model, "-s", other, "--trust-root", here / "root.crt")
        t.check(f"{curve}: tola verifies the chain", code == 0, text)


# ---- 0.2 ----


def check_old(t, here):
    """As model_signing 0.2 signed: all files as subjects, the payload shown as Python shows bytes, SHA-256 always."""
    model = here / "old"
    model.mkdir()
    for name in ("one", "it's", "two\"s", "\u00fc"):
        (model / name).write_bytes(name.encode())
    for curve in ("SECP256R1", "SECP384R1"):
        key = ec.generate_private_key(getattr(ec, curve)())
        write_key(here / "old.pem", key)
        for escape in (True, False):
            subjects = [{"name": p.name, "digest": {"sha256": hashlib.sha256(p.read_bytes()).hexdigest()},
                         "annotations": {"actual_hash_algorithm": "file-sha256"}} for p in sorted(model.iterdir())]
            payload = json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": subjects,
                                  "predicateType": "https://model_signing/Digests/v0.1", "predicate": {"unused": "\t"}},
                                 indent=2, ensure_ascii=escape).encode()
            kind = "application/vnd.in-toto+json"
            signed = f"DSSEV1 {len(kind)} {kind} {len(payload)} {payload}".encode()
            signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
            bundle = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                      "verificationMaterial": {"publicKey": {"rawBytes": "", "keyDetails": "PKIX_ECDSA_P256_SHA_256"}},
                      "dsseEnvelope": {"payload": base64.b64encode(payload).decode(), "payloadType": kind,
                                       "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": None}]}}
            (here / "old.sig").write_text(json.dumps(bundle))
            code, text = tola("verify", model, "-s", here / "old.sig", "-k", here / "old.pub")
            t.check(f"0.2, {curve}, escapes {escape}", code == 0, text)
            (model / "added").write_bytes(b"")
            code, text = tola("verify", model, "-s", here / "old.sig", "-k", here / "old.pub")
            t.check(f"0.2, {curve}, escapes {escape}: added", code == 1, text)
            (model / "added").unlink()


# ---- Sigstore ----


def sigstore_verdict(trusted, bundle):
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier, policy
    try:
        verifier = Verifier(trusted_root=TrustedRoot.from_file(str(trusted)))
        verifier.verify_dsse(Bundle.from_json(json.dumps(bundle)),
                             policy.Identity(identity=sigstore_maker.IDENTITY, issuer=sigstore_maker.ISSUER))
        return True, ""
    except Exception as error:
        return False, f"{type(error).__name__}: {error}"


def flip(text, at=10):
    data = bytearray(base64.b64decode(text))
    data[at % len(data)] ^= 1
    return base64.b64encode(bytes(data)).decode()


def edit(bundle, path, change):
    bundle = copy.deepcopy(bundle)
    place = bundle
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = change(place[path[-1]])
    return bundle


def check_sigstore(t, here):
    made = sigstore_maker.Sigstore()
    stranger = sigstore_maker.Sigstore()
    model = here / "ignoring"
    tola("sign", model, "-s", here / "plain.sig", "-k", here / "P-256.pem", "--force")
    plain = json.loads((here / "plain.sig").read_text())
    payload = base64.b64decode(plain["dsseEnvelope"]["payload"])
    trusted = here / "trusted_root.json"
    trusted.write_text(json.dumps(made.trusted_root()))
    bundle, other = made.sign(payload), made.sign(payload)
    entry = ["verificationMaterial", "tlogEntries", 0]
    proof = entry + ["inclusionProof"]
    cases = {"as it should be": (bundle, True)}
    for before in (0, 1, 3, 4, 6):
        for after in (0, 1, 2, 5):
            cases[f"leaf {before} of {before + 1 + after}"] = (made.sign(payload, before, after), True)
    cases |= {
        "another authority": (stranger.sign(payload), False),
        "no code signing": (made.sign(payload, code_signing=False), False),
        "an SCT of nobody": (made.sign(payload, sct_key=stranger.ct_key), False),
        "payload": (edit(bundle, ["dsseEnvelope", "payload"], lambda x: flip(x, 500)), False),
        "signature": (edit(bundle, ["dsseEnvelope", "signatures", 0, "sig"], lambda x: flip(x, 20)), False),
        "certificate": (edit(bundle, ["verificationMaterial", "certificate", "rawBytes"], lambda x: flip(x, -5)),
                        False),
        "promise": (edit(bundle, entry + ["inclusionPromise", "signedEntryTimestamp"], lambda x: flip(x, 20)), False),
        "time": (edit(bundle, entry + ["integratedTime"], lambda x: str(int(x) + 1)), False),
        "index": (edit(bundle, entry + ["logIndex"], lambda x: str(int(x) + 1)), False),
        "log": (edit(bundle, entry + ["logId", "keyId"], flip), False),
        "body": (edit(bundle, entry + ["canonicalizedBody"], lambda x: flip(x, 200)), False),
        "path": (edit(bundle, proof + ["hashes", 1], flip), False),
        "path too long": (edit(bundle, proof + ["hashes"], lambda x: x + x[:1]), False),
        "path too short": (edit(bundle, proof + ["hashes"], lambda x: x[:-1]), False),
        "leaf": (edit(bundle, proof + ["logIndex"], lambda x: str(int(x) ^ 1)), False),
        "checkpoint": (edit(bundle, proof + ["checkpoint", "envelope"], lambda x: x.replace("\n13\n", "\n14\n")),
                       False),
        "no proof": (edit(bundle, entry, lambda x: {k: v for k, v in x.items() if k != "inclusionProof"}), False),
        "no promise": (edit(bundle, entry, lambda x: {k: v for k, v in x.items() if k != "inclusionPromise"}), False),
        "no entry": (edit(bundle, ["verificationMaterial", "tlogEntries"], lambda x: []), False),
        "entry of another signature": (edit(bundle, entry, lambda x: other["verificationMaterial"]["tlogEntries"][0]),
                                       False),
        "another kind": (edit(bundle, entry + ["kindVersion", "kind"], lambda x: "intoto"), False),
    }
    for what, (case, expected) in cases.items():
        (here / "sigstore.sig").write_text(json.dumps(case))
        good, why = sigstore_verdict(trusted, case)
        t.check(f"sigstore, {what}: sigstore-python's verdict is what this test expects", good == expected, why)
        code, text = tola("verify", model, "-s", here / "sigstore.sig", "--trust-root", trusted, "--cert-identity",
                          sigstore_maker.IDENTITY, "--cert-issuer", sigstore_maker.ISSUER)
        t.check(f"sigstore, {what}: tola's verdict", code == (0 if expected else 1), text)
    (here / "sigstore.sig").write_text(json.dumps(bundle))
    # sigstore-python does not hold the size of the proof's tree against that of the checkpoint
    (here / "tree.sig").write_text(json.dumps(edit(bundle, proof + ["treeSize"], lambda x: str(int(x) + 1))))
    code, text = tola("verify", model, "-s", here / "tree.sig", "--trust-root", trusted)
    t.check("sigstore, a proof in another tree than the checkpoint's", code == 1, text)
    for flags in (["--cert-identity", "else@example.org"], ["--cert-issuer", "https://else.example.org"]):
        code, text = tola("verify", model, "-s", here / "sigstore.sig", "--trust-root", trusted, *flags)
        t.check(f"sigstore, {flags[0]} of another", code == 1, text)
    root = made.trusted_root()
    for what, key in (("log", "tlogs"), ("certificate log", "ctlogs"), ("authority", "certificateAuthorities")):
        late = copy.deepcopy(root)
        place = late[key][0] if key == "certificateAuthorities" else late[key][0]["publicKey"]
        place["validFor"] = {"start": "2026-06-01T00:00:00Z"}
        trusted.write_text(json.dumps(late))
        code, text = tola("verify", model, "-s", here / "sigstore.sig", "--trust-root", trusted)
        t.check(f"sigstore, a {what} that was not yet valid", code == 1, text)


# ---- real bundles ----


def check_real(t, here):
    clone = os.environ.get("TOLA_MODEL_TRANSPARENCY")
    if not clone:
        t.skip("TOLA_MODEL_TRANSPARENCY names no clone of sigstore/model-transparency: its bundles are not verified")
        return
    tests = pathlib.Path(clone) / "scripts" / "tests"
    import sigstore
    store = pathlib.Path(sigstore.__file__).parent / "_store"
    root = store / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev" / "trusted_root.json"
    keys = tests / "keys" / "certificate"
    for model in sorted(tests.glob("v*-*")):
        signature = model / "model.sig"
        target = model
        if model.name.endswith("elliptic-key"):
            how = ["--public-key", keys / "signing-key-pub.pem"]
            if model.name.startswith(("v0", "v1.0.0")):
                target = model / "signme-1"
        elif model.name.endswith("sigstore"):
            how = ["--trust-root", root, "--cert-identity", "stefanb@us.ibm.com", "--cert-issuer",
                   "https://sigstore.verify.ibm.com/oauth2"]
        else:
            how = ["--trust-root", keys / "ca-cert.pem"]
        code, text = tola("verify", target, "-s", signature, "--ignore-paths", "ignore-me", *how)
        t.check(f"{model.name} of model-transparency", code == 0, text)


def main():
    t = Tally("sign")
    if not model_signing:
        t.skip(f"model_signing is not there ({missing}): signatures are not compared")
        t.finish()
    with folder() as name:
        here = pathlib.Path(name)
        for check in (check_keys, check_one_file, check_tampering, check_ignored, check_links, check_certificates,
                      check_old, check_sigstore, check_real):
            check(t, here)
    t.finish()


if __name__ == "__main__":
    main()
