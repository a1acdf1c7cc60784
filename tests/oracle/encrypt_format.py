#!/usr/bin/env python3
"""Encrypted models as docs/encrypt.md specifies them, written from that page alone: encrypt_format.py encrypt IN OUT
PUB_OR_PASSPHRASE_FILE | decrypt IN OUT KEY_OR_PASSPHRASE_FILE | vectors FOLDER

Nothing of libtola is used: hashlib, hmac and the cryptography package do the work. `vectors` makes the same bytes each
time; they are tests/oracle/encrypt_vectors/. The vectors' keys are no secrets."""
import base64
import hashlib
import hmac
import os
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAGIC = b"tola encrypted\n\x1a"
PUBLIC, SECRET = "tola-public-1:", "tola-secret-1:"
ZEROS = bytes(24)
KEYS = (b"header", b"private", b"index", b"payload", b"filling")


class Damaged(Exception):
    """Not what its writer wrote, or not for this key."""


# ---- primitives ----

def hchacha20(key, nonce):
    x = list(struct.unpack("<4I8I4I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for p, q, r, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] = (x[p] + x[q]) & 0xffffffff
            v = x[r] ^ x[p]
            x[r] = (v << n | v >> (32 - n)) & 0xffffffff

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *x[:4], *x[12:])


def seal(key, nonce, aad, plain):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], plain, aad)


def unseal(key, nonce, aad, sealed):
    try:
        return ChaCha20Poly1305(hchacha20(key, nonce[:16])).decrypt(bytes(4) + nonce[16:], sealed, aad)
    except InvalidTag:
        raise Damaged("a tag is wrong") from None


def hkdf(salt, key, info):
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\1", "sha256")


def argon2id(passphrase, salt, memory, passes):
    return Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory).derive(passphrase)


def padded(n):
    if n <= 4096:
        return 4096
    exponent = n.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (n + mask) & ~mask


# ---- keys ----

def key_line(prefix, key):
    return prefix + base64.b64encode(key + hashlib.sha256(prefix.encode() + key).digest()[:4]).decode()


def parse_key(prefix, line):
    both = base64.b64decode(line[len(prefix):], validate=True)
    if not line.startswith(prefix) or key_line(prefix, both[:32]) != line:
        raise Damaged("no key")
    return both[:32]


def public_of(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def shared(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def key_lines(path, prefix):
    lines = [line.strip() for line in pathlib.Path(path).read_text().split("\n")]
    return [parse_key(prefix, line) for line in lines if line.startswith(prefix)]


# ---- stanzas ----

def stanza(identity, kind, data, key, file_key):
    head = struct.pack("<BH", kind, len(data) + 48) + data
    return head + seal(key, ZEROS, identity + head, file_key)


def stanza_for(identity, public, file_key, ephemeral):
    ours = public_of(ephemeral)
    key = hkdf(ours + public, shared(ephemeral, public), b"tola encrypt 1 x25519")
    return stanza(identity, 2, ours, key, file_key)


def stanza_passphrase(identity, passphrase, file_key, salt, memory, passes):
    key = argon2id(passphrase, salt, memory, passes)
    return stanza(identity, 1, salt + struct.pack("<III", memory, passes, 1), key, file_key)


def open_stanza(identity, kind, data, secrets, passphrases):
    """The file key, or None."""
    aad = identity + struct.pack("<BH", kind, len(data)) + data[:-48]
    keys = []
    if kind == 1:
        memory, passes, lanes = struct.unpack("<III", data[16:28])
        assert lanes == 1
        keys = [argon2id(p, data[:16], memory, passes) for p in passphrases]
    elif kind == 2:
        for secret in secrets:
            try:
                keys.append(hkdf(data[:32] + public_of(secret), shared(secret, data[:32]), b"tola encrypt 1 x25519"))
            except ValueError:
                pass  # all zeros
    for key in keys:
        try:
            return unseal(key, ZEROS, aad, data[-48:])
        except Damaged:
            pass
    return None


# ---- files ----

class Stretch:
    def __init__(self, size, name=None, dtype="", shape=()):
        self.size, self.name, self.dtype, self.shape = size, name, dtype, tuple(shape)

    def pack(self):
        if self.name is None:
            return struct.pack("<QH", self.size, 0xffff)
        name, dtype = self.name.encode(), self.dtype.encode()
        return (struct.pack("<QH", self.size, len(name)) + name + struct.pack("<B", len(dtype)) + dtype +
                struct.pack("<B", len(self.shape)) + struct.pack(f"<{len(self.shape)}Q", *self.shape))


def name_order(name):
    return [0 if b == 0x2f else b + 1 for b in name]


def chunks_of(members, chunk):
    """(offset in the payload, size, aad without "tola chunk 1" and id) of every chunk."""
    start = 0
    for name, stretches in members:
        offset = 0
        for s in stretches:
            count = -(-s.size // chunk)
            for c in range(count):
                at = c * chunk
                yield (start + offset + at, min(chunk, s.size - at),
                       struct.pack("<H", len(name)) + name + struct.pack("<Q", offset) + s.pack() +
                       struct.pack("<QQ", c, count))
            offset += s.size
        start += offset


def encrypt(files, folder, recipients=(), passphrases=(), chunk=65536, padding=0, random=os.urandom, slot_bytes=16384,
            memory=8192, passes=1, generation=1, slot=0):
    """`files`: {name: (bytes, stretches)}; the file as bytes."""
    identity, file_key = random(16), random(32)
    keys = {k: hkdf(identity, file_key, b"tola encrypt 1 " + k) for k in KEYS}
    names = sorted(files, key=name_order)
    members = [(name, files[name][1]) for name in names]
    payload = b"".join(files[name][0] for name in names) + bytes(padding)
    index = struct.pack("<IBI", 1, folder, len(members) + (padding > 0))
    if padding:
        members.append((b"", [Stretch(padding)]))
    for number, (name, stretches) in enumerate(members):
        index += struct.pack("<BH", padding > 0 and number == len(members) - 1, len(name)) + name
        index += struct.pack("<QI", sum(s.size for s in stretches), len(stretches))
        index += b"".join(s.pack() for s in stretches)
    index = index.ljust(padded(len(index) + 16) - 16, b"\0")
    sealed_index = seal(keys[b"index"], ZEROS, b"tola index 1" + identity, index)
    tags, out = b"", b""
    for g, (at, size, aad) in enumerate(chunks_of(members, chunk)):
        sealed = seal(keys[b"payload"], identity + struct.pack("<Q", g), b"tola chunk 1" + identity + aad,
                      payload[at:at + size])
        out, tags = out + sealed[:-16], tags + sealed[-16:]
    tags += seal(keys[b"filling"], ZEROS, b"", bytes(padded(len(tags)) - len(tags)))[:-16]
    stanzas = [stanza_for(identity, p, file_key, random(32)) for p in recipients]
    stanzas += [stanza_passphrase(identity, p, file_key, random(16), memory, passes) for p in passphrases]
    layout = struct.pack("<IQQQ", chunk, len(sealed_index), len(tags), len(out)) + b"".join(recipients)
    nonce = random(24)
    private = nonce + seal(keys[b"private"], nonce, identity, layout)
    prologue = MAGIC + struct.pack("<II8x", 1, slot_bytes) + identity + bytes(16)
    body = struct.pack("<H", len(stanzas)) + b"".join(stanzas) + struct.pack("<I", len(private)) + private
    head = struct.pack("<QI", generation, len(body)) + body
    head += hmac.digest(keys[b"header"], prologue + head, "sha256")
    slots = [bytes(slot_bytes), bytes(slot_bytes)]
    slots[slot] = head.ljust(slot_bytes, b"\0")
    return prologue.ljust(4096, b"\0") + b"".join(slots) + sealed_index + tags + out


def read_header(data, secrets=(), passphrases=()):
    """identity, keys, layout (chunk, index_bytes, tags_bytes, payload_bytes), where the index is."""
    if data[:16] != MAGIC or struct.unpack("<I", data[16:20]) != (1,):
        raise Damaged("not encrypted by tola")
    slot_bytes, = struct.unpack("<I", data[20:24])
    identity = data[32:48]
    if any(data[24:32]) or any(data[48:4096]):
        raise Damaged("prologue")
    slots = [data[4096 + i * slot_bytes:4096 + (i + 1) * slot_bytes] for i in range(2)]
    if any(slots[0]) == any(slots[1]):
        raise Damaged("two slots in use, or none")
    slot = slots[0] if any(slots[0]) else slots[1]
    n, = struct.unpack("<I", slot[8:12])
    body, code = slot[12:12 + n], slot[12 + n:44 + n]
    if any(slot[44 + n:]):
        raise Damaged("slot")
    count, = struct.unpack("<H", body[:2])
    at, file_key, kinds = 2, None, []
    for _ in range(count):
        kind, length = struct.unpack("<BH", body[at:at + 3])
        kinds.append(kind)
        file_key = file_key or open_stanza(identity, kind, body[at + 3:at + 3 + length], secrets, passphrases)
        at += 3 + length
    if not file_key:
        raise Damaged("no key opens it")
    keys = {k: hkdf(identity, file_key, b"tola encrypt 1 " + k) for k in KEYS}
    if not hmac.compare_digest(hmac.digest(keys[b"header"], data[:64] + slot[:12 + n], "sha256"), code):
        raise Damaged("the header's code")
    private = body[at + 4:]
    layout = unseal(keys[b"private"], private[:24], identity, private[24:])
    if len(layout) != 28 + 32 * kinds.count(2):
        raise Damaged("layout")
    return identity, keys, struct.unpack("<IQQQ", layout[:28]), 4096 + 2 * slot_bytes


def read_index(index):
    version, folder, count = struct.unpack("<IBI", index[:9])
    assert version == 1
    at, members = 9, []
    for _ in range(count):
        kind, n = struct.unpack("<BH", index[at:at + 3])
        name = index[at + 3:at + 3 + n]
        at += 3 + n
        size, stretches = struct.unpack("<QI", index[at:at + 12])
        at += 12
        found = []
        for _ in range(stretches):
            length, n = struct.unpack("<QH", index[at:at + 10])
            at += 10
            if n == 0xffff:
                found.append(Stretch(length))
                continue
            tensor, at = index[at:at + n].decode(), at + n
            dtype, at = index[at + 1:at + 1 + index[at]].decode(), at + 1 + index[at]
            dims, at = struct.unpack(f"<{index[at]}Q", index[at + 1:at + 1 + 8 * index[at]]), at + 1 + 8 * index[at]
            found.append(Stretch(length, tensor, dtype, dims))
        assert sum(s.size for s in found) == size
        members.append((kind, name, found))
    if any(index[at:]):
        raise Damaged("index")
    return folder, members


def decrypt(data, secrets=(), passphrases=()):
    """folder, {name: bytes}, members (kind, name, stretches)."""
    identity, keys, (chunk, index_bytes, tags_bytes, payload_bytes), at = read_header(data, secrets, passphrases)
    if len(data) != at + index_bytes + tags_bytes + payload_bytes:
        raise Damaged("its length")
    index = unseal(keys[b"index"], ZEROS, b"tola index 1" + identity, data[at:at + index_bytes])
    folder, members = read_index(index)
    tags_at, payload_at = at + index_bytes, at + index_bytes + tags_bytes
    out, g = bytearray(), -1
    for g, (place, size, aad) in enumerate(chunks_of([m[1:] for m in members], chunk)):
        place += payload_at
        out += unseal(keys[b"payload"], identity + struct.pack("<Q", g), b"tola chunk 1" + identity + aad,
                      data[place:place + size] + data[tags_at + 16 * g:tags_at + 16 * g + 16])
    end = 16 * (g + 1)
    filling = seal(keys[b"filling"], ZEROS, b"", bytes(tags_bytes - end))[:-16]
    if tags_bytes != padded(end) or data[tags_at + end:payload_at] != filling:
        raise Damaged("the filling")
    files, place = {}, 0
    for kind, name, stretches in members:
        size = sum(s.size for s in stretches)
        if kind == 0:
            files[name] = bytes(out[place:place + size])
        place += size
    return folder, files, members


# ---- vectors ----

class Stream:
    """The same "random" bytes each time."""

    def __init__(self, seed):
        self.state, self.count = seed.encode(), 0

    def __call__(self, n):
        out = b""
        while len(out) < n:
            out += hashlib.sha256(self.state + struct.pack("<Q", self.count)).digest()
            self.count += 1
        return out[:n]


VECTOR_SECRET, VECTOR_PASSPHRASE = bytes(range(32)), b"correct horse battery staple"


def vector_files():
    weights = Stream("weights")(10000)
    stretches = [Stretch(100), Stretch(4096, "a", "f32", (1024,)), Stretch(5000, "b", "bf16", (50, 50)), Stretch(804)]
    one = {b"model.bin": (weights, stretches)}
    many = {b"config.json": (b"{}\n", [Stretch(3)]), b"empty": (b"", []), b"a/x": (b"x", [Stretch(1)]),
            b"a-b/x": (b"y", [Stretch(1)]), b"a": None, b"model.bin": one[b"model.bin"]}
    del many[b"a"]
    return one, many


def vectors(folder):
    one, many = vector_files()
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = encrypt(one, False, passphrases=[VECTOR_PASSPHRASE], chunk=4096, random=Stream("file"))
    (folder / "file.enc").write_bytes(made)
    made = encrypt(many, True, [public_of(VECTOR_SECRET), public_of(bytes(32))], chunk=8192, padding=777,
                   random=Stream("folder"), generation=7, slot=1)
    (folder / "folder.enc").write_bytes(made)
    (folder / "key").write_text(key_line(SECRET, VECTOR_SECRET) + "\n")
    (folder / "key").chmod(0o600)
    (folder / "key.pub").write_text(key_line(PUBLIC, public_of(VECTOR_SECRET)) + "\n")
    (folder / "passphrase").write_bytes(VECTOR_PASSPHRASE + b"\n")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "vectors":
        return vectors(sys.argv[2])
    if len(sys.argv) != 5 or sys.argv[1] not in ("encrypt", "decrypt"):
        sys.exit(__doc__)
    source, target = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    passphrase = pathlib.Path(sys.argv[4]).read_bytes().split(b"\n")[0]
    if sys.argv[1] == "encrypt":
        keys = key_lines(sys.argv[4], PUBLIC)
        paths = [p for p in source.rglob("*") if p.is_file()] if source.is_dir() else [source]
        names = [os.fsencode(p.relative_to(source) if source.is_dir() else p.name) for p in paths]
        sizes = [p.stat().st_size for p in paths]
        files = {n: (p.read_bytes(), [Stretch(s)] * bool(s)) for n, p, s in zip(names, paths, sizes)}
        target.write_bytes(encrypt(files, source.is_dir(), keys, [] if keys else [passphrase]))
        return None
    folder, files, _ = decrypt(source.read_bytes(), key_lines(sys.argv[4], SECRET), [passphrase])
    for name, data in files.items():
        path = target / os.fsdecode(name) if folder else target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return None


if __name__ == "__main__":
    main()
