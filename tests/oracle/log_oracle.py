#!/usr/bin/env python3
"""The access log against its published rules: log_oracle.py

A second reading of them in Python (hashlib, sqlite3, and cryptography's Ed25519): RFC 6962 trees, C2SP notes, proofs.
Then attacks by name, appending from several processes, and processes killed while they append. The vectors of
transparency-dev's merkle repository (its folder testdata, https://github.com/transparency-dev/merkle) are gone through
where $TOLA_MERKLE_DATA names them."""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import tempfile
import threading
import time

from common import BUILD, Tally

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None

TOLA, HELPER = BUILD / "tola", BUILD / "tola_log"
DASH = "\u2014 "
t = Tally("log")


# ---- RFC 6962, 2.1, word for word (recursive; slow) ----

def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def node(a, b):
    return hashlib.sha256(b"\1" + a + b).digest()


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d):
    if not d:
        return hashlib.sha256(b"").digest()
    if len(d) == 1:
        return d[0]
    k = split(len(d))
    return node(mth(d[:k]), mth(d[k:]))


def path(m, d):
    if len(d) == 1:
        return []
    k = split(len(d))
    return path(m, d[:k]) + [mth(d[k:])] if m < k else path(m - k, d[k:]) + [mth(d[:k])]


def subproof(m, d, b):
    if m == len(d):
        return [] if b else [mth(d)]
    k = split(len(d))
    return subproof(m, d[:k], b) + [mth(d[k:])] if m <= k else subproof(m - k, d[k:], False) + [mth(d[:k])]


# ---- C2SP ----

def key_of(text):
    name, key_id, raw = text.strip().split("+", 2)
    raw = base64.b64decode(raw, validate=True)
    assert raw[0] == 1 and len(raw) == 33
    assert hashlib.sha256(name.encode() + b"\n\x01" + raw[1:]).digest()[:4].hex() == key_id
    return name, bytes.fromhex(key_id), raw[1:]


def open_note(text, key):
    """The text of a note that the key signed."""
    name, key_id, raw = key
    body, lines = text.rsplit("\n\n", 1)
    body += "\n"
    good = False
    for line in lines.splitlines():
        assert line.startswith(DASH)
        who, signature = line[len(DASH):].split(" ")
        signature = base64.b64decode(signature, validate=True)
        if who == name and signature[:4] == key_id:
            Ed25519PublicKey.from_public_bytes(raw).verify(signature[4:], body.encode())
            good = True
    assert good, "not signed"
    return body


def checkpoint(text, key):
    origin, size, root = open_note(text, key).split("\n")[:3]
    return origin, int(size), base64.b64decode(root, validate=True)


def sign_note(body, name, private):
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    return body + "\n" + DASH + name + " " + base64.b64encode(key_id + private.sign(body.encode())).decode() + "\n"


def private_of(log):
    kind, word, name, _, raw = open(f"{log}.key").read().strip().split("+", 4)
    assert (kind, word) == ("PRIVATE", "KEY")
    return name, Ed25519PrivateKey.from_private_bytes(base64.b64decode(raw)[1:])


# ---- running ----

def run(*args, log=None, code=0, env=None):
    """stdout; the exit code must be `code`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TOLA_LOG")}
    environment.update(env or {})
    if log:
        environment["TOLA_LOG"] = str(log)
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, env=environment, check=False)
    t.check(f"{' '.join(map(str, args[1:4]))} exits with {code}", done.returncode == code,
            f"{done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}")
    return done.stdout if code != 2 else done.stderr


def verify(log, *args, code=0):
    return json.loads(run(TOLA, "log", "verify", "--json", *args, log=log, code=code))


def make_model(path, rows):
    header = json.dumps({"w": {"dtype": "F32", "shape": [rows, 4], "data_offsets": [0, 16 * rows]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + random.Random(rows).randbytes(16 * rows))


def entries_of(log):
    db = sqlite3.connect(f"file:{log}?mode=ro", uri=True)
    rows = db.execute("select n, body from entries order by n").fetchall()
    db.close()
    return rows


# ---- vectors of others ----

def b64hex(text):
    return base64.b64decode(text).hex() if text else "."


def root_hex(text):
    """A root that nothing looks into may be any text there; here it has 32 bytes."""
    raw = base64.b64decode(text)
    return (raw if len(raw) == 32 else hashlib.sha256(raw).digest()).hex()


def vectors(folder):
    lines, expected, names = [], [], []
    for file in sorted(folder.rglob("*.json")):
        v = json.loads(file.read_text())
        hashes = ",".join(b64hex(h) for h in v["proof"] or []) or "-"
        kind = file.relative_to(folder).parts[0]
        wrong_subtree = False
        if kind == "inclusion":
            words = ["inclusion", v["leafIdx"], v["treeSize"], b64hex(v["leafHash"]), b64hex(v["root"])]
        elif kind == "subtreeinclusion":  # an inclusion in the tree that the part is, if it is one
            first, size, at = v["start"], v["end"] - v["start"], v["leafIdx"] - v["start"]
            power = 1 << max(size - 1, 0).bit_length()
            wrong_subtree = size <= 0 or first % power != 0 or at < 0
            words = ["inclusion", max(at, 0), max(size, 0), b64hex(v["leafHash"]), b64hex(v["root"])]
        elif kind == "consistency":
            words = ["consistency", v["size1"], v["size2"], root_hex(v["root1"]), root_hex(v["root2"])]
        else:
            words = ["subtree", v["start"], v["end"], v["size"], root_hex(v["root1"]), root_hex(v["root2"])]
        if wrong_subtree:
            t.check(f"{file.relative_to(folder)} is no part of a tree", v["wantErr"])
            continue
        lines.append(" ".join(map(str, [*words, hashes])))
        expected.append("no" if v["wantErr"] else "yes")
        names.append(str(file.relative_to(folder)))
    got = subprocess.run([HELPER, "merkle"], input="\n".join(lines) + "\n", capture_output=True, text=True,
                         check=True).stdout.split()
    for name, want, have, line in zip(names, expected, got, lines):
        # an empty part of a tree is consistent with every tree there; a log has no use for it and refuses it
        empty = line.startswith("subtree") and line.split()[1] == line.split()[2]
        t.check(name, have == want or (empty and have == "no"), f"{have} for {line[:200]}")
    t.check("vectors were found", len(lines) > 100, str(len(lines)))


def own_vectors():
    """Every path and proof of small trees by the definition, and what is not one."""
    lines, expected = [], []
    for n in range(1, 18):
        d = [leaf(bytes([i] * i)) for i in range(n)]
        root = mth(d).hex()
        for m in range(n):
            p = [h.hex() for h in path(m, d)]
            lines.append(f"inclusion {m} {n} {d[m].hex()} {root} {','.join(p) or '-'}")
            expected.append("yes")
            for bad in (p + [root], p[:-1], p[1:] + p[:1], [h[::-1] for h in p]):
                if bad != p:
                    lines.append(f"inclusion {m} {n} {d[m].hex()} {root} {','.join(bad) or '-'}")
                    expected.append("no")
        for m in range(1, n + 1):
            p = [h.hex() for h in subproof(m, d, True)]
            first = f"consistency {m} {n} {mth(d[:m]).hex()} {root}"
            lines.append(f"{first} {','.join(p) or '-'}")
            expected.append("yes")
            for bad in (p + [root], p[:-1], p[1:] + p[:1], [h[::-1] for h in p]):
                if bad != p:
                    lines.append(f"{first} {','.join(bad) or '-'}")
                    expected.append("no")
    got = subprocess.run([HELPER, "merkle"], input="\n".join(lines) + "\n", capture_output=True, text=True,
                         check=True).stdout.split()
    t.equal("own vectors", [i for i, (a, b) in enumerate(zip(got, expected)) if a != b], [])
    t.equal("own vectors, count", len(got), len(expected))


# ---- an ordinary log, read by somebody else ----

def ordinary(folder):
    log = folder / "a.log"
    make_model(folder / "m.safetensors", 100)
    (folder / "hf").mkdir()
    make_model(folder / "hf" / "model.safetensors", 50)
    (folder / "hf" / "config.json").write_text("{}")
    run(TOLA, "inspect", folder / "m.safetensors", log=log)
    run(TOLA, "convert", folder / "m.safetensors", folder / "m.gguf", log=log)
    old = run(TOLA, "log", "checkpoint", log=log)
    (folder / "old").write_text(old)
    run(TOLA, "inspect", folder / "hf", log=log)
    run(TOLA, "stats", folder / "missing.gguf", log=log, code=2)

    key = key_of(open(f"{log}.pub").read())
    rows = entries_of(log)
    bodies = [body.encode() for _, body in rows]
    leaves = [leaf(b) for b in bodies]
    t.equal("numbers", [n for n, _ in rows], list(range(len(rows))))
    t.equal("numbers inside", [json.loads(b)["n"] for b in bodies], list(range(len(rows))))
    db = sqlite3.connect(log)
    for size, note in db.execute("select size, note from heads order by size"):
        t.equal(f"head of {size}", checkpoint(note, key), (key[0], size, mth(leaves[:size])))
    for number, value in db.execute("select id, hash from nodes"):
        level, index = number >> 56, number & (1 << 56) - 1
        t.equal(f"node {level}/{index}", value, mth(leaves[index << level:(index + 1) << level]))
    db.close()
    t.equal("head beside", checkpoint(open(f"{log}.head").read(), key)[1], len(rows))

    begin = json.loads(bodies[3])
    t.equal("digest of a file", begin["inputs"][0]["digest"],
            "sha256:" + hashlib.sha256((folder / "m.safetensors").read_bytes()).hexdigest())
    end = json.loads(bodies[4])
    t.equal("digest of the output", end["outputs"][0]["digest"],
            "sha256:" + hashlib.sha256((folder / "m.gguf").read_bytes()).hexdigest())
    names = ["config.json", "model.safetensors"]
    digests = [hashlib.sha256((folder / "hf" / n).read_bytes()).digest() for n in names]
    root = hashlib.sha256(b"".join(digests)).hexdigest()
    t.equal("digest of a folder", json.loads(bodies[5])["inputs"][0]["digest"], "sha256:" + root)
    t.equal("a failure's end", json.loads(bodies[8])["exit"], 2)
    t.equal("modes", [oct(os.stat(f"{log}{e}").st_mode & 0o777) for e in ("", ".key", ".head")], ["0o600"] * 3)

    for n in range(len(rows)):
        text = run(TOLA, "log", "prove", n, log=log)
        head, note = text.split("\n\n", 1)
        lines = head.split("\n")
        t.equal("first line", lines[0], "c2sp.org/tlog-proof@v1")
        t.equal("extra", base64.b64decode(lines[1].removeprefix("extra ")), bodies[n])
        t.equal("index", lines[2], f"index {n}")
        t.equal(f"path of {n}", [base64.b64decode(x) for x in lines[3:]], path(n, leaves))
        t.equal("its checkpoint", checkpoint(note, key)[2], mth(leaves))
        (folder / "p").write_text(text)
        (folder / "c").write_text(note)
        got = json.loads(run(TOLA, "log", "verify", "--proof", folder / "p", "--checkpoint", folder / "c", "--json",
                             "--public-key", f"{log}.pub"))
        t.equal("proved", (got["entry"], got["text"]), (n, bodies[n].decode()))
    text = run(TOLA, "log", "prove", "--from", folder / "old", log=log)
    head, note = text.split("\n\n", 1)
    lines = head.split("\n")
    size = checkpoint(old, key)[1]
    t.equal("old size", lines[0], f"old {size}")
    t.equal("consistency", [base64.b64decode(x) for x in lines[1:]], subproof(size, leaves, True))
    for extra in ([], ["--json"]):
        (folder / "p").write_text(run(TOLA, "log", "prove", 2, "--from", folder / "old", *extra, log=log))
        run(TOLA, "log", "verify", "--proof", folder / "p", "--checkpoint", folder / "old", "--public-key",
            f"{log}.pub")
    text = (folder / "p").read_text().replace('"n\\":2', '"n\\":3')
    (folder / "p").write_text(text)
    run(TOLA, "log", "verify", "--proof", folder / "p", "--checkpoint", folder / "old", "--public-key", f"{log}.pub",
        code=1)
    t.check("valid", verify(log)["valid"])
    t.check("valid with a checkpoint", verify(log, "--checkpoint", folder / "old")["valid"])
    return log


# ---- attacks ----

TRIGGERS = [f"{table}_no_{event}" for table in ("entries", "heads", "nodes") for event in ("UPDATE", "DELETE")]


class Attack:
    """A copy of the log whose database is changed with the triggers taken away and put back."""

    def __init__(self, name, log, folder):
        self.name, self.log = name, folder / f"{name.replace(' ', '-')}.log"
        for ending in ("", ".key", ".pub", ".head"):
            shutil.copy(f"{log}{ending}", f"{self.log}{ending}")

    def sql(self, *statements):
        db = sqlite3.connect(self.log)
        kept = [r[0] for r in db.execute("select sql from sqlite_master where type = 'trigger'")]
        for trigger in TRIGGERS:
            db.execute(f"drop trigger {trigger}")
        for s in statements:
            db.execute(*s) if isinstance(s, tuple) else db.execute(s)
        for s in kept:
            db.execute(s)
        db.commit()
        db.close()
        return self

    def told(self, kind, entry, *args, appends=None):
        r = verify(self.log, *args, code=1)
        problems = [(p["kind"], p["entry"]) for p in r["problems"]]
        t.check(f"{self.name}: {kind} {entry}", (kind, entry) in problems, str(r["problems"])[:500])
        if appends is not None:
            done = subprocess.run([HELPER, "append", self.log, "1"], capture_output=True, text=True, check=False)
            t.check(f"{self.name}: {'goes on' if appends else 'refuses to go on'}", (done.returncode == 0) == appends,
                    done.stderr)
        return problems


def sign_all(db, name, private):
    """What somebody who has the key can do: write a whole history anew."""
    leaves = [leaf(b.encode()) for (b,) in db.execute("select body from entries order by n")]
    db.execute("delete from heads")
    db.execute("delete from nodes")
    for size in range(1, len(leaves) + 1):
        body = f"{name}\n{size}\n{base64.b64encode(mth(leaves[:size])).decode()}\n"
        db.execute("insert into heads values(?, ?)", (size, sign_note(body, name, private)))
    level, width = 0, leaves
    while width:
        for i, h in enumerate(width):
            db.execute("insert into nodes values(?, ?)", (level << 56 | i, h))
        width = [node(width[i], width[i + 1]) for i in range(0, len(width) - 1, 2)]
        level += 1
    return sign_note(f"{name}\n{len(leaves)}\n{base64.b64encode(mth(leaves)).decode()}\n", name, private)


def attacks(log, folder):
    rows = entries_of(log)
    last = len(rows) - 1
    edited = rows[3][1].replace('"convert"', '"inspect"')
    (folder / "saved").write_text(run(TOLA, "log", "checkpoint", log=log))

    a = Attack("edited entry", log, folder).sql(("update entries set body = ? where n = 3", (edited,)))
    t.equal("edited entry alone is named", a.told("edited", 3), [("edited", 3)])
    both = Attack("two edited entries", log, folder)
    both.sql(("update entries set body = ? where n = 3", (edited,)), "update entries set body = '{}' where n = 6")
    t.equal("both are named", both.told("edited", 3), [("edited", 3), ("edited", 6)])
    Attack("edited entry and its node", log, folder).sql(
        ("update entries set body = ? where n = 3", (edited,)),
        ("update nodes set hash = ? where id = 3", (leaf(edited.encode()),))).told("edited", 3)
    raw = Attack("edited bytes of the file", log, folder)
    data = raw.log.read_bytes()
    raw.log.write_bytes(data.replace(b'"verb":"convert"', b'"verb":"inspect"'))
    t.equal("edited bytes", raw.told("edited", 3), [("edited", 3)])

    a = Attack("dropped middle", log, folder).sql("delete from entries where n = 4")
    t.equal("dropped middle alone is named", a.told("dropped", 4), [("dropped", 4)])
    a = Attack("dropped middle, the rest moved up", log, folder).sql(
        "delete from entries where n = 4",
        *[f"update entries set n = {i - 1} where n = {i}" for i in range(5, last + 1)])
    t.check("the rest is reordered", ("reordered", 5) in a.told("dropped", 4), "")
    Attack("dropped middle with its head and node", log, folder).sql(
        "delete from entries where n = 4", "delete from heads where size = 5",
        "delete from nodes where id = 4").told("dropped", 4)

    a = Attack("dropped tail", log, folder).sql(f"delete from entries where n = {last}")
    a.told("dropped", last, appends=False)
    nodes = [i for (i,) in sqlite3.connect(log).execute("select id from nodes")]
    cut = [f"delete from nodes where id = {i}" for i in nodes if ((i & (1 << 56) - 1) + 1 << (i >> 56)) > last]
    gone = [f"delete from entries where n >= {last}", f"delete from heads where size > {last}", *cut]
    Attack("dropped tail with its heads and nodes", log, folder).sql(*gone).told("dropped", last, appends=False)
    a = Attack("dropped tail with its heads, nodes and the head beside", log, folder).sql(*gone)
    os.unlink(f"{a.log}.head")
    a.told("head", None, appends=False)
    a.told("checkpoint", last, "--checkpoint", folder / "saved")

    a = Attack("reordered", log, folder).sql(
        "update entries set n = 1000 where n = 3", "update entries set n = 3 where n = 5",
        "update entries set n = 5 where n = 1000")
    t.equal("both are reordered", a.told("reordered", 3), [("reordered", 3), ("reordered", 5)])

    other = folder / "other.log"
    subprocess.run([HELPER, "append", other, "20"], capture_output=True, check=True)
    a = Attack("replaced whole database", log, folder)
    shutil.copy(other, a.log)
    a.told("key", 0, appends=False)
    for ending in (".pub", ".key", ".head"):
        shutil.copy(f"{other}{ending}", f"{a.log}{ending}")
    t.check("replaced with all beside it: nothing inside tells", verify(a.log)["valid"])
    a.told("checkpoint", None, "--checkpoint", folder / "saved")
    r = verify(a.log, "--public-key", f"{log}.pub", code=1)
    t.check("replaced with all beside it: the known public key tells", any(p["kind"] == "key" for p in r["problems"]))

    a = Attack("swapped key", log, folder)
    for ending in (".pub", ".key"):
        shutil.copy(f"{other}{ending}", f"{a.log}{ending}")
    a.told("key", 0, appends=False)

    a = Attack("rolled-back copy", log, folder)
    subprocess.run([HELPER, "append", log, "3"], capture_output=True, check=True)
    (folder / "later").write_text(run(TOLA, "log", "checkpoint", log=log))
    t.check("rolled-back copy: nothing inside tells", verify(a.log)["valid"])
    a.told("checkpoint", last + 1, "--checkpoint", folder / "later")
    shutil.copy(f"{log}.head", f"{a.log}.head")
    a.told("dropped", last + 1, appends=False)

    name, private = private_of(log)
    origin, size, root = checkpoint((folder / "saved").read_text(), key_of(open(f"{log}.pub").read()))
    forged = sign_note(f"{name}\n{size}\n{base64.b64encode(root).decode()}\n", name, Ed25519PrivateKey.generate())
    a = Attack("forged checkpoint", log, folder)
    (folder / "forged").write_text(forged)
    a.told("checkpoint", None, "--checkpoint", folder / "forged")
    (folder / "forged").write_text((folder / "saved").read_text().replace(f"\n{size}\n", f"\n{size - 1}\n", 1))
    a.told("checkpoint", None, "--checkpoint", folder / "forged")
    a.sql(("update heads set note = ? where size = 5", (forged,))).told("head", 4)

    a = Attack("wrong origin", log, folder)
    body = f"example.org/other\n{size}\n{base64.b64encode(root).decode()}\n"
    (folder / "wrong").write_text(sign_note(body, name, private))
    a.told("checkpoint", None, "--checkpoint", folder / "wrong")
    a = Attack("same size different root", log, folder)
    (folder / "wrong").write_text(sign_note(f"{name}\n{size}\n{base64.b64encode(bytes(32)).decode()}\n", name, private))
    a.told("checkpoint", size - 1, "--checkpoint", folder / "wrong")

    a = Attack("history written anew with the key", log, folder)
    db = sqlite3.connect(a.log)
    for trigger in TRIGGERS:
        db.execute(f"drop trigger {trigger}")
    db.execute("update entries set body = ? where n = 3", (edited,))
    pathlib.Path(f"{a.log}.head").write_text(sign_all(db, name, private))
    db.commit()
    db.close()
    a.told("schema", None)
    r = a.told("checkpoint", size - 1, "--checkpoint", folder / "saved")
    t.check("history written anew: no entry is named", not any(k == "edited" for k, _ in r))

    a = Attack("added entry", log, folder).sql(("insert into entries values(500, ?)", (rows[1][1],)))
    a.told("added", 500, appends=False)
    Attack("negative number", log, folder).sql(("insert into entries values(-1, ?)", (rows[1][1],))).told("added", None)
    Attack("heads gone", log, folder).sql("delete from heads").told("head", 0, appends=False)
    Attack("broken node", log, folder).sql("update nodes set hash = zeroblob(32) where id = 2").told("damaged", None)
    a = Attack("trigger added", log, folder)
    db = sqlite3.connect(a.log)
    db.execute("create trigger t after insert on entries begin delete from entries where n = new.n; end")
    db.commit()
    db.close()
    a.told("schema", None, appends=False)
    a = Attack("types", log, folder).sql("update entries set body = 7.5 where n = 3")
    verify(a.log, code=1)

    # no log, no key, no checkpoint: one clear line each
    (folder / "text").write_text("no log\n" * 100)
    (folder / "empty").write_text("")
    foreign = folder / "foreign.db"
    db = sqlite3.connect(foreign)
    db.execute("create table entries(n, body)")
    db.commit()
    db.close()
    for what in ("text", "empty", "foreign.db", "absent", "."):
        message = run(TOLA, "log", "verify", log=folder / what, code=2)
        t.check(f"{what}: one line", message.count("\n") == 1, message)
        run(TOLA, "log", "show", log=folder / what, code=2)
        if what not in ("absent", "empty"):
            message = run(TOLA, "inspect", folder / "m.safetensors", log=folder / what, code=2)
            t.check(f"{what}: the verb is not run", "was not run" in message, message)
    for bad in ("", "a\n", "a\n1\n\n", "a\n01\nAAAA\n\n" + DASH + "x AAAAAAAA\n", "\xff\xfe", "a\n" * 5000):
        (folder / "bad").write_text(bad)
        message = run(TOLA, "log", "verify", "--checkpoint", folder / "bad", log=log, code=2)
        t.check("a bad checkpoint: one line", message.count("\n") == 1, message)
        message = run(TOLA, "log", "verify", "--proof", folder / "bad", log=log, code=2)
        t.check("a bad proof: one line", message.count("\n") == 1, message)
        a = Attack("bad keys", log, folder)
        pathlib.Path(f"{a.log}.pub").write_text(bad)
        run(TOLA, "log", "verify", log=a.log, code=2)
        pathlib.Path(f"{a.log}.key").write_text(bad)
        run(TOLA, "inspect", folder / "m.safetensors", log=a.log, code=2)
    a = Attack("open key", log, folder)
    os.chmod(f"{a.log}.key", 0o644)
    run(TOLA, "inspect", folder / "m.safetensors", log=a.log)  # with a warning: tests/cli/log.t
    a = Attack("lost key", log, folder)
    os.unlink(f"{a.log}.key")
    run(TOLA, "inspect", folder / "m.safetensors", log=a.log, code=2)
    t.check("a lost key is not made anew", not os.path.exists(f"{a.log}.key"))


# ---- references ----

def remote(folder):
    """A model on a server is named by its address without secrets, and by what the server calls its bytes."""
    data, log = (folder / "m.safetensors").read_bytes(), folder / "remote.log"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("ETag", '"version-7"')
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = f"127.0.0.1:{server.server_address[1]}/m.safetensors"
    run(TOLA, "inspect", f"http://user:secret@{where}?token=secret", log=log)
    server.shutdown()
    entries = [json.loads(b) for _, b in entries_of(log)]
    t.equal("events", [e["event"] for e in entries], ["log", "begin", "open", "end"])
    t.equal("the address", [e["inputs"][0]["path"] for e in entries[1:3]], [f"http://{where}"] * 2)
    t.equal("the version", entries[2]["inputs"][0].get("version"), "version-7")
    t.check("no secret", b"secret" not in log.read_bytes())


# ---- several at once, and killed ----

def together(folder):
    log, processes, each = folder / "together.log", 8, int(os.environ.get("TOLA_LOG_EACH", "200"))
    running = [subprocess.Popen([HELPER, "append", log, str(each)], stdout=subprocess.PIPE, text=True)
               for _ in range(processes)]
    numbers = sorted(int(n) for p in running for n in p.communicate()[0].split())
    t.equal("all ended well", [p.returncode for p in running], [0] * processes)
    t.equal("every entry once", numbers, list(range(1, processes * each + 1)))
    r = verify(log)
    t.equal("and the log is valid", (r["valid"], r["size"]), (True, processes * each + 1))


def killed(folder):
    log, rng, acknowledged = folder / "killed.log", random.Random(1), set()
    least = int(os.environ.get("TOLA_LOG_KILLS", "40"))
    for i in range(10 * least):
        if i >= least and len(acknowledged) > 20:  # a slow machine gets no further between two kills
            break
        running = [subprocess.Popen([HELPER, "append", log, "1000000"], stdout=subprocess.PIPE, text=True)
                   for _ in range(3)]
        time.sleep(rng.uniform(0, 0.2 + 0.005 * max(0, i - least)))
        for p in running:
            p.send_signal(signal.SIGKILL)
        for p in running:
            lines = p.communicate()[0].split("\n")[:-1]  # what is behind the last newline was not told whole
            acknowledged.update(map(int, lines))
    r = verify(log)
    t.check("valid after kills", r["valid"], str(r["problems"])[:500])
    have = {n for n, _ in entries_of(log)}
    t.check(f"nothing acknowledged is lost ({len(acknowledged)})", acknowledged <= have and len(acknowledged) > 20,
            str(sorted(acknowledged - have)[:10]))
    t.equal("numbers have no gap", have, set(range(len(have))))


def killed_verb(folder):
    """A verb that is killed half way has a beginning and no end."""
    log = folder / "verb.log"
    fifo = folder / "stuck.gguf"
    os.mkfifo(fifo)
    p = subprocess.Popen([TOLA, "run", folder / "m.safetensors", "-p", "x"], env={**os.environ, "TOLA_LOG": str(log)},
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    p.wait()
    p = subprocess.Popen([TOLA, "tokenize", folder / "m.safetensors"], env={**os.environ, "TOLA_LOG": str(log)},
                         stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        if log.exists() and len([b for _, b in entries_of(log) if '"tokenize"' in b]):
            break
        time.sleep(0.02)
    p.kill()
    p.wait()
    events = [json.loads(b)["event"] for _, b in entries_of(log)]
    t.check("the beginning is there", events[3:] in (["begin"], ["begin", "end"]), str(events))


def main():
    if Ed25519PublicKey is None:
        t.skip("cryptography is absent")
        t.finish()
    own_vectors()
    data = os.environ.get("TOLA_MERKLE_DATA")
    if data and pathlib.Path(data).is_dir():
        vectors(pathlib.Path(data))
    else:
        t.skip("TOLA_MERKLE_DATA names no folder testdata of transparency-dev/merkle")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        log = ordinary(folder)
        attacks(log, folder)
        remote(folder)
        together(folder)
        killed(folder)
        killed_verb(folder)
    t.finish()


main()
