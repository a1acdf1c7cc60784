#!/usr/bin/env python3
"""Encrypted models against an independent implementation (encrypt_format.py), in both directions, and attacks on them,
each by name. Every attack must end with exit code 2, one line on stderr, and no output."""
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import common

try:
    import encrypt_format as form
except ImportError as missing:
    print(f"skipped: no {missing.name}")
    print("encrypt_oracle: 0 passed, 0 failed, 1 skipped")
    sys.exit(0)

HERE = pathlib.Path(__file__).resolve().parent
TOLA = common.BUILD / "tola"
tally = common.Tally("encrypt_oracle")
SECRET = form.VECTOR_SECRET
PUBLIC = form.public_of(SECRET)
PHRASE = form.VECTOR_PASSPHRASE
SMALL = ["--argon2-memory", "8MiB", "--argon2-passes", "1"]


def tola(*arguments, **more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TOLA_")}
    return subprocess.run([TOLA, *map(str, arguments)], capture_output=True, text=True, env=environment, **more)


def good(what, done):
    return tally.check(what, done.returncode == 0, done.stderr.strip())


def refused(what, done, output=None):
    """Exit 2, one line, nothing written."""
    line = done.stderr.strip()
    fine = done.returncode == 2 and line.startswith("tola: ") and "\n" not in line and len(line) < 400
    left = output is not None and (output.exists() or list(output.parent.glob(f".{output.name}.tola-*")))
    return tally.check(what, fine and not left, f"exit {done.returncode}, {'output left, ' * bool(left)}{line}")


def safetensors(tensors):
    """Bytes of {name: (dtype, shape, data)} as a safetensors file, in that order."""
    import json
    head, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(d for _, _, d in tensors.values())


def model(r):
    return {"wte.weight": ("F32", [300, 100], r.randbytes(120000)), "same.a": ("BF16", [64, 64], r.randbytes(8192)),
            "same.b": ("BF16", [64, 64], r.randbytes(8192)), "scalar": ("F32", [], r.randbytes(4)),
            "norm": ("F16", [2048], r.randbytes(4096))}


# ---- the same format ----

def check_primitives():
    # draft-irtf-cfrg-xchacha-03, 2.2.1 and A.3.1
    key = bytes(range(32))
    tally.equal("HChaCha20 of the draft", form.hchacha20(key, bytes.fromhex("000000090000004a0000000031415927")).hex(),
                "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc")
    plain = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen "
             b"would be it.")
    aad = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    sealed = form.seal(bytes(range(0x80, 0xa0)), bytes(range(0x40, 0x58)), aad, plain)
    tally.equal("XChaCha20-Poly1305 of the draft", sealed[-16:].hex(), "c0875924c1c7987947deafd8780acf49")


def check_vectors(folder):
    vectors = HERE / "encrypt_vectors"
    made = folder / "vectors"
    form.vectors(made)
    for name in ("file.enc", "folder.enc", "key.pub", "passphrase"):
        same = (made / name).read_bytes() == (vectors / name).read_bytes()
        tally.check(f"vectors are what their script makes: {name}", same)
    one, many = form.vector_files()
    out = folder / "vector"
    if good("vector of a file", tola("decrypt", vectors / "file.enc", out, "--passphrase-file", made / "passphrase")):
        tally.check("its bytes", out.read_bytes() == one[b"model.bin"][0])
    out = folder / "vectors-folder"
    if good("vector of a folder", tola("decrypt", vectors / "folder.enc", out, "--identity", made / "key")):
        found = {str(p.relative_to(out)).encode(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        tally.check("its files", found == {k: v[0] for k, v in many.items()})
    return made


def check_ours(folder, keys, r):
    """What tola writes, the script reads: bytes, and what chunks are bound to."""
    source = folder / "hf"
    (source / "deep" / "er").mkdir(parents=True)
    weights = safetensors(model(r))
    (source / "model.safetensors").write_bytes(weights)
    (source / "config.json").write_text('{"model_type": "gpt2"}')
    (source / "deep" / "er" / "x").write_bytes(r.randbytes(100000))
    (source / "deep" / "empty").write_bytes(b"")
    (source / "deep-er").write_bytes(b"sorts behind deep/")
    (source / "link.json").symlink_to("config.json")
    expected = {os.fsencode(p.relative_to(source)): p.read_bytes() for p in source.rglob("*") if p.is_file()}
    for chunk, more in (("4KiB", []), ("64KiB", ["--pad"]), ("1MiB", ["--threads", "1"])):
        out = folder / "ours.enc"
        done = tola("encrypt", source, out, "--recipient", keys / "key.pub", "--passphrase-file", keys / "passphrase",
                    "--chunk-size", chunk, "--force", *SMALL, *more)
        if not good(f"encrypt a folder, chunks of {chunk}", done):
            continue
        for how, secrets, phrases in (("key", [SECRET], []), ("passphrase", [], [PHRASE])):
            is_folder, files, members = form.decrypt(out.read_bytes(), secrets, phrases)
            tally.check(f"the script decrypts it by {how}, {chunk}", is_folder == 1 and files == expected)
        stretches = next(s for _, name, s in members if name == b"model.safetensors")
        found = {s.name: (s.dtype, list(s.shape), s.size) for s in stretches if s.name is not None}
        tally.equal("chunks are bound to names, dtypes, shapes", found,
                    {k: (d.lower(), s, len(b)) for k, (d, s, b) in model(random.Random(6)).items()})
        padding = [m for m in members if m[0] == 1]
        tally.equal("padding only when asked for", len(padding), int("--pad" in more))
        back = folder / f"back-{chunk}"
        good("decrypt a folder", tola("decrypt", out, back, "--identity", keys / "key"))
        again = {os.fsencode(p.relative_to(back)): p.read_bytes() for p in back.rglob("*") if p.is_file()}
        tally.check("the very bytes", again == expected)
    for name, data in (("empty", b""), ("byte", b"x"), ("text.bin", b"no weights" * 20000), ("w.safetensors", weights),
                       ("broken.safetensors", weights[:500]), ("broken.gguf", b"GGUF\3\0\0\0" + b"\xff" * 3000)):
        (folder / name).write_bytes(data)
        out = folder / f"{name}.enc"
        if good(f"encrypt {name}", tola("encrypt", folder / name, out, "-r", keys / "key.pub")):
            files = form.decrypt(out.read_bytes(), [SECRET])[1]
            tally.check(f"the script decrypts {name}", files == {name.encode(): data})


def check_theirs(folder, keys, r):
    """What the script writes, cut anywhere, tola reads."""
    weights = safetensors(model(r))
    for number in range(12):
        cuts = sorted({0, len(weights), *(r.randrange(len(weights)) for _ in range(r.randrange(40)))})
        stretches = [form.Stretch(b - a, *(("t%d" % a, "f32", (b - a, 1)) if r.random() < .5 else ()))
                     for a, b in zip(cuts, cuts[1:])]
        made = form.encrypt({b"w.safetensors": (weights, stretches)}, False, [PUBLIC], chunk=1 << r.randrange(12, 20),
                            padding=r.choice((0, 1, 70000)), slot_bytes=r.choice((16384, 20480)), slot=r.randrange(2))
        (folder / "theirs.enc").write_bytes(made)
        out = folder / "theirs.out"
        if good(f"tola decrypts what the script wrote ({number})",
                tola("decrypt", folder / "theirs.enc", out, "--identity", keys / "key", "--force")):
            tally.check("the very bytes", out.read_bytes() == weights)
        shown = tola("stats", folder / "theirs.enc", "--identity", keys / "key", "--json")
        (folder / "plain.safetensors").write_bytes(weights)
        plain = tola("stats", folder / "plain.safetensors", "--json")
        same = shown.returncode == 0 and shown.stdout == plain.stdout
        tally.check("stats are those of the plain file", same, shown.stderr)


# ---- attacks ----

class Target:
    """A file to attack, its places known from its key."""

    def __init__(self, folder, keys, made):
        self.folder, self.key, self.data = folder, keys / "key", made
        _, _, (self.chunk, index, tags, self.payload), at = form.read_header(made, [SECRET])
        self.index_at, self.tags_at, self.payload_at = at, at + index, at + index + tags

    def attack(self, what, data):
        path, out = self.folder / "attacked.enc", self.folder / "attacked.out"
        path.write_bytes(data)
        return refused(what, tola("decrypt", path, out, "--identity", self.key), out)

    def swap(self, what, a, b, size=4096, tags=True):
        """Chunks a and b of `size` bytes, with their tags."""
        data, at = bytearray(self.data), self.payload_at
        x, y = at + a * self.chunk, at + b * self.chunk
        data[x:x + size], data[y:y + size] = data[y:y + size], data[x:x + size]
        if tags:
            x, y = self.tags_at + 16 * a, self.tags_at + 16 * b
            data[x:x + 16], data[y:y + 16] = data[y:y + 16], data[x:x + 16]
        return self.attack(what, data)


def even(name="w"):
    """Four tensors of two chunks each, all alike, so that only what they are bound to tells them apart."""
    data = bytes(8192)
    return {name.encode(): (data * 4, [form.Stretch(8192, n, "f32", (2048,)) for n in ("a", "b", "c", "d")])}


def check_payload_attacks(folder, keys):
    made = form.encrypt(even(), False, [PUBLIC], chunk=4096, random=form.Stream("payload"))
    t = Target(folder, keys, made)
    t.swap("reordering: chunks of one tensor", 0, 1)
    t.swap("reordering: chunks of two tensors of the same shape", 0, 2)
    t.swap("reordering: without their tags", 1, 3, tags=False)
    data = bytearray(made)
    data[t.payload_at + 4096:t.payload_at + 8192] = data[t.payload_at:t.payload_at + 4096]
    data[t.tags_at + 16:t.tags_at + 32] = data[t.tags_at:t.tags_at + 16]
    t.attack("replaying: a chunk twice", data)
    t.attack("truncation: one byte", made[:-1])
    t.attack("truncation: the last chunk", made[:-4096])
    t.attack("truncation: the last tensor", made[:-8192])
    t.attack("truncation: all of the payload", made[:t.payload_at])
    t.attack("truncation: inside the tags", made[:t.tags_at + 8])
    t.attack("truncation: inside the index", made[:t.index_at + 100])
    t.attack("truncation: inside the header", made[:5000])
    t.attack("truncation: the magic alone", made[:16])
    t.attack("extension: one byte", made + b"\0")
    t.attack("extension: a chunk", made + made[-4096:])
    other = form.encrypt(even(), False, [PUBLIC], chunk=4096, random=form.Stream("other"))
    t.attack("splicing: a chunk of another file for the same key",
             made[:t.payload_at] + other[t.payload_at:t.payload_at + 4096] + made[t.payload_at + 4096:])
    t.attack("splicing: the payload and tags of another file", made[:t.tags_at] + other[t.tags_at:])
    t.attack("splicing: the index of another file", made[:t.index_at] + other[t.index_at:t.tags_at] + made[t.tags_at:])
    t.attack("splicing: the header of another file", other[:t.index_at] + made[t.index_at:])
    twin = form.encrypt(even("v"), False, [PUBLIC], chunk=4096, random=form.Stream("payload"))
    t.attack("splicing: the same keys, another file name", made[:t.tags_at] + twin[t.tags_at:])
    for what, stretches in (("tensor's name", [form.Stretch(8192, n, "f32", (2048,)) for n in "bacd"]),
                            ("dtype", [form.Stretch(8192, n, "i32", (2048,)) for n in "abcd"]),
                            ("shape", [form.Stretch(8192, n, "f32", (32, 64)) for n in "abcd"]),
                            ("chunk count", [form.Stretch(16384, n, "f32", (2048,)) for n in "ab"])):
        twin = form.encrypt({b"w": (bytes(32768), stretches)}, False, [PUBLIC], chunk=4096,
                            random=form.Stream("payload"))
        t.attack(f"binding: another {what} under the same keys", made[:t.tags_at] + twin[t.tags_at:])


def edit(data, at, new):
    return data[:at] + new + data[at + len(new):]


def check_header_attacks(folder, keys):
    stranger = form.public_of(b"\7" * 32)
    made = form.encrypt(even(), False, [PUBLIC, stranger], [PHRASE], chunk=4096, random=form.Stream("payload"))
    t = Target(folder, keys, made)
    slot, body = 4096, 4096 + 12
    t.attack("header edits: magic", edit(made, 0, b"T"))
    t.attack("header edits: version", edit(made, 16, b"\2"))
    t.attack("header edits: slot size", edit(made, 20, struct.pack("<I", 20480)))
    t.attack("header edits: huge slots", edit(made, 20, struct.pack("<I", 1 << 31)))
    t.attack("header edits: file id", edit(made, 32, bytes([made[32] ^ 1])))
    t.attack("header edits: a byte that should be zero", edit(made, 3000, b"\1"))
    t.attack("header edits: generation", edit(made, slot, struct.pack("<Q", 9)))
    t.attack("header edits: length", edit(made, slot + 8, struct.pack("<I", 0xffffffff)))
    second = body + 2 + 83
    t.attack("header edits: a recipient replaced",
             edit(made, second, form.stanza_for(made[32:48], stranger, bytes(32), b"\1" * 32)))
    n, = struct.unpack("<I", made[slot + 8:slot + 12])
    dropped = made[body:second] + made[second + 83:body + n]
    dropped = struct.pack("<Q", 1) + struct.pack("<I", len(dropped)) + struct.pack("<H", 2) + dropped[2:]
    t.attack("header edits: a recipient dropped",
             edit(made, slot, (dropped + made[body + n:body + n + 32]).ljust(16384, b"\0")))
    phrase = second + 83 + 3
    t.attack("header edits: a passphrase's memory", edit(made, phrase + 16, struct.pack("<I", 16384)))
    t.attack("header edits: bytes behind the header", edit(made, slot + 16000, b"\1"))
    t.attack("header edits: the other slot", edit(made, slot + 16384 + 50, b"\1"))
    t.attack("header edits: an old header beside the new", edit(made, slot + 16384, made[slot:slot + 16384]))
    t.attack("header edits: no header", edit(made, slot, bytes(16384)))
    costs = (("a terabyte", 1 << 30, 1, 1), ("forever", 1 << 20, 60, 1), ("no pass", 8192, 0, 1), ("no memory", 0, 1, 1),
             ("many lanes", 8192, 1, 1 << 20))
    for what, memory, passes, lanes in costs:
        t.attack(f"hostile Argon2id: {what}", edit(made, phrase + 16, struct.pack("<III", memory, passes, lanes)))
    low = bytearray(made)
    low[body + 5:body + 37] = bytes(32)
    t.attack("a point of small order", low)
    names = [(b"../x", "parent"), (b"/x", "absolute"), (b"a/../x", "inner parent"), (b"a//x", "empty part"),
             (b".", "dot")]
    for name, what in names:
        t.attack(f"a name that leads out: {what}", form.encrypt({name: (b"x", [form.Stretch(1)])}, True, [PUBLIC]))
    one = (b"x", [form.Stretch(1)])
    t.attack("a file in a file", form.encrypt({b"a": one, b"a/b": one}, True, [PUBLIC]))


def check_flips(folder, keys, r):
    """One bit anywhere."""
    made = form.encrypt(even(), False, [PUBLIC], chunk=4096, random=form.Stream("payload"))
    t = Target(folder, keys, made)
    places = [r.randrange(64) for _ in range(20)] + [4096 + r.randrange(300) for _ in range(40)]
    places += [r.randrange(4096, t.index_at) for _ in range(20)]
    places += [r.randrange(t.index_at, len(made)) for _ in range(60)]
    failed = 0
    for at in places:
        path, out = folder / "flipped.enc", folder / "flipped.out"
        path.write_bytes(edit(made, at, bytes([made[at] ^ 1 << r.randrange(8)])))
        done = tola("decrypt", path, out, "--identity", keys / "key")
        failed += done.returncode != 2 or out.exists() or done.stderr.count("\n") != 1
    tally.equal("a bit flipped anywhere is told", failed, 0)


def check_lazy(folder, keys, r):
    """A tensor's damaged chunk is in the way of that tensor alone."""
    (folder / "lazy.safetensors").write_bytes(safetensors(model(r)))
    path = folder / "lazy.enc"
    done = tola("encrypt", folder / "lazy.safetensors", path, "-r", keys / "key.pub", "--chunk-size", "4KiB")
    if not good("encrypt", done):
        return
    t = Target(folder, keys, path.read_bytes())
    _, files, members = form.decrypt(t.data, [SECRET])
    at = 0
    for s in members[0][2]:
        if s.name == "same.a":
            break
        at += s.size
    path.write_bytes(edit(t.data, t.payload_at + at + 5000, b"\0\1\2\3"))
    identity = ["--identity", keys / "key"]
    good("inspect reads no tensor", tola("inspect", path, "--tensors", *identity))
    good("stats of others read only theirs", tola("stats", path, "{wte,same.b,norm,scalar}*", *identity))
    done = tola("stats", path, "same.a", *identity)
    refused("the damaged one is told", done)
    tally.check("and named", "same.a" in done.stderr and "changed or damaged" in done.stderr, done.stderr)
    refused("convert stops", tola("convert", path, folder / "lazy.gguf", *identity), folder / "lazy.gguf")


def check_rekey(folder, keys, r):
    bob = folder / "bob"
    good("keygen", tola("keygen", bob))
    (folder / "new").write_text("another\n")
    (folder / "new").chmod(0o600)
    (folder / "w.bin").write_bytes(r.randbytes(300000))
    path, out = folder / "rekeyed.enc", folder / "rekeyed.out"
    good("encrypt", tola("encrypt", folder / "w.bin", path, "-r", keys / "key.pub", "--passphrase-file",
                         keys / "passphrase", *SMALL))
    before = path.read_bytes()
    identity, phrase, new = ["--identity", keys / "key"], ["--passphrase-file", keys / "passphrase"], \
        ["--passphrase-file", folder / "new"]

    def opens(what, how, yes=True):
        done = tola("decrypt", path, out, "--force", *how)
        return good(what, done) if yes else refused(what, done)

    good("add a recipient", tola("rekey", path, "--add-recipient", f"{bob}.pub", *identity))
    tally.check("the payload is not touched", path.read_bytes()[4096 + 2 * 16384:] == before[4096 + 2 * 16384:])
    opens("the new one opens it", ["--identity", bob])
    opens("the old one, too", identity)
    files = form.decrypt(path.read_bytes(), [SECRET])[1]
    tally.check("the script opens it, too", files == {b"w.bin": (folder / "w.bin").read_bytes()})
    good("remove a recipient", tola("rekey", path, "--remove-recipient", keys / "key.pub", "--identity", bob))
    opens("the removed one does not", identity, False)
    opens("the passphrase still does", phrase)
    refused("remove who is not there", tola("rekey", path, "--remove-recipient", keys / "key.pub", "--identity", bob))
    good("change the passphrase", tola("rekey", path, "--remove-passphrases", "--new-passphrase-file", folder / "new",
                                       *phrase, *SMALL))
    opens("the old one does not", phrase, False)
    opens("the new one does", new)
    refused("nobody left", tola("rekey", path, "--remove-passphrases", "--remove-recipient", f"{bob}.pub", *new))
    refused("without a key", tola("rekey", path, "--add-recipient", keys / "key.pub"))
    refused("with a wrong key", tola("rekey", path, "--add-recipient", keys / "key.pub", *identity))
    # what an interruption leaves: the new slot torn, the new slot whole, the old one half gone
    old, now = path.read_bytes(), None
    good("rekey", tola("rekey", path, "--add-recipient", keys / "key.pub", *new))
    now = path.read_bytes()
    a, b = (4096, 4096 + 16384) if any(old[4096:4100]) else (4096 + 16384, 4096)
    whole_old, whole_new = old[a:a + 16384], now[b:b + 16384]
    for what, left, right in (("new slot torn", whole_old, whole_new[:100].ljust(16384, b"\0")),
                              ("both whole", whole_old, whole_new),
                              ("old slot half gone", bytes(100) + whole_old[100:], whole_new)):
        path.write_bytes(edit(edit(now, a, left), b, right))
        refused(f"interrupted ({what}): readers stop", tola("inspect", path, *new))
        good(f"interrupted ({what}): rekey mends", tola("rekey", path, *new))
        opens(f"interrupted ({what}): it opens again", new)


def main():
    r = random.Random(6)
    state = r.getstate()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None) as temporary:
        folder = pathlib.Path(temporary)
        check_primitives()
        keys = check_vectors(folder)
        for path in ("key", "passphrase"):
            (keys / path).chmod(0o600)
        r.setstate(state)
        check_ours(folder, keys, r)
        check_theirs(folder, keys, r)
        check_payload_attacks(folder, keys)
        check_header_attacks(folder, keys)
        check_flips(folder, keys, r)
        check_lazy(folder, keys, r)
        check_rekey(folder, keys, r)
    tally.finish()


if __name__ == "__main__":
    main()
