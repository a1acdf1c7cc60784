#!/usr/bin/env python3
"""Notes, proofs, keys, rates and databases of access logs for fuzz_log: make_corpus_log.py [FOLDER]

With one fixed key (its seed is 0, 1, ..., 31), so the bytes are the same each time but for SQLite's version. Needs the
cryptography package."""
import base64
import hashlib
import json
import pathlib
import sqlite3
import sys
import tempfile

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT = pathlib.Path(__file__).resolve().parents[1]
NAME = "example.org/log"
SEED = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
ID = hashlib.sha256(NAME.encode() + b"\n\x01" + PUBLIC).digest()[:4]
DASH = "\u2014 "


def b64(data):
    return base64.b64encode(data).decode()


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
    return d[0] if len(d) == 1 else node(mth(d[:split(len(d))]), mth(d[split(len(d)):]))


def path(m, d):
    if len(d) == 1:
        return []
    k = split(len(d))
    return path(m, d[:k]) + [mth(d[k:])] if m < k else path(m - k, d[k:]) + [mth(d[:k])]


def subproof(m, d, b=True):
    if m == len(d):
        return [] if b else [mth(d)]
    k = split(len(d))
    return subproof(m, d[:k], b) + [mth(d[k:])] if m <= k else subproof(m - k, d[k:], False) + [mth(d[:k])]


def sign(body):
    return body + "\n" + DASH + NAME + " " + b64(ID + KEY.sign(body.encode())) + "\n"


def note(leaves, origin=NAME):
    return sign(f"{origin}\n{len(leaves)}\n{b64(mth(leaves))}\n")


def vkey():
    return f"{NAME}+{ID.hex()}+{b64(bytes([1]) + PUBLIC)}"


def bodies(n):
    when = "2026-11-22T01:02:03.004Z"
    yield json.dumps({"n": 0, "time": when, "event": "log", "origin": NAME, "key": vkey()}, separators=(",", ":"))
    for i in range(1, n):
        more = {"event": "begin", "verb": "inspect", "inputs": []} if i % 2 else {"event": "end", "begin": i - 1, "exit": 0}
        yield json.dumps({"n": i, "time": when, **more}, separators=(",", ":"))


# as src/trust/log_db.c has it
SCHEMA = ["CREATE TABLE digests(file TEXT PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID",
          "CREATE TABLE entries(n INTEGER PRIMARY KEY, body TEXT NOT NULL)",
          "CREATE TABLE heads(size INTEGER PRIMARY KEY, note TEXT NOT NULL)",
          "CREATE TABLE nodes(id INTEGER PRIMARY KEY, hash BLOB NOT NULL)"]
SCHEMA += [f"CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table} "
           "BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"
           for table in ("entries", "heads", "nodes") for event in ("DELETE", "UPDATE")]


def database(n, *changes):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "log"
        db = sqlite3.connect(file)
        db.execute("pragma page_size=512")
        db.execute("pragma application_id=1953459297")
        db.execute("pragma user_version=1")
        for sql in SCHEMA:
            db.execute(sql)
        leaves = []
        for i, text in enumerate(bodies(n)):
            leaves.append(leaf(text.encode()))
            db.execute("insert into entries values(?, ?)", (i, text))
            db.execute("insert into heads values(?, ?)", (i + 1, note(leaves)))
        level, width = 0, leaves
        while width:
            for i, h in enumerate(width):
                db.execute("insert into nodes values(?, ?)", (level << 56 | i, h))
            width = [node(width[i], width[i + 1]) for i in range(0, len(width) - 1, 2)]
            level += 1
        for change in changes:
            db.execute(change)
        db.commit()
        db.close()
        data = file.read_bytes()
    return b"\nFILE log\n" + data + b"\nFILE log.head\n" + note(leaves).encode() + b"\nFILE old\n" + \
        note(leaves[:2]).encode()


def proofs(leaves, texts):
    head = note(leaves)
    inclusion = "".join([f"c2sp.org/tlog-proof@v1\nextra {b64(texts[2].encode())}\nindex 2\n",
                         *[b64(h) + "\n" for h in path(2, leaves)], "\n"])
    old = "".join(["old 3\n", *[b64(h) + "\n" for h in subproof(3, leaves)], "\n"])
    yield "inclusion", inclusion + head
    yield "consistency", old + head
    yield "both", old + inclusion + head
    yield "short", inclusion
    yield "json", json.dumps({"schema": "tola.log.proof/1", "entry": 2, "text": texts[2],
                              "path": [b64(h) for h in path(2, leaves)], "old_size": 3,
                              "steps": [b64(h) for h in subproof(3, leaves)], "checkpoint": head})


def main(folder):
    out = folder / "log"
    out.mkdir(parents=True, exist_ok=True)

    def write(kind, name, data):
        (out / name).write_bytes(bytes([kind]) + (data if isinstance(data, bytes) else data.encode()))

    texts = list(bodies(7))
    leaves = [leaf(t.encode()) for t in texts]
    write(0, "note", note(leaves))
    write(0, "note-empty-tree", note([]))
    write(0, "note-extension", sign(f"{NAME}\n0\n{b64(mth([]))}\nmore\n"))
    write(0, "note-two", note(leaves) + DASH + "other AAAAAAAAAAAA\n")
    write(0, "note-twice", note(leaves).replace("\n\n", "\n\n\n"))
    write(0, "note-forged", note(leaves).replace("\n7\n", "\n8\n"))
    write(0, "note-zero", note(leaves).replace("\n7\n", "\n07\n"))
    for name, text in proofs(leaves, texts):
        write(1, f"proof-{name}", text)
    write(2, "key", vkey())
    write(2, "key-id", vkey().replace(ID.hex(), "00000000"))
    for i, rate in enumerate(("10MB/s", "100Mbit/s", "50GB/month", "200tokens/s", "1Gbps", "1e9MB/s", "5 GiB/week")):
        write(3, f"rate-{i}", rate)
    drop = ["DROP TRIGGER entries_no_DELETE", "DROP TRIGGER entries_no_UPDATE"]
    write(4, "database", database(7))
    write(4, "database-first", database(1))
    write(4, "database-dropped", database(7, *drop, "DELETE FROM entries WHERE n = 3"))
    write(4, "database-edited", database(7, *drop, "UPDATE entries SET body = '{}' WHERE n = 3"))
    write(4, "database-types", database(7, *drop, "UPDATE entries SET body = 1.5 WHERE n = 3"))
    write(4, "database-far", database(3, "INSERT INTO entries VALUES(9223372036854775807, 'x')"))
    write(4, "database-trigger", database(3, "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM nodes; END"))
    write(4, "empty", b"\nFILE log\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "fuzz" / "corpus")
