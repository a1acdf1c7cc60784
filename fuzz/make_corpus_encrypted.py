#!/usr/bin/env python3
"""Slots, indexes, key files and whole files for fuzz_encrypted: make_corpus_encrypted.py [FOLDER]

Made by tests/oracle/encrypt_format.py (needs the cryptography package); the same bytes each time."""
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))
import encrypt_format as form  # noqa: E402


def member(kind, name, *stretches):
    size = sum(s.size for s in stretches)
    return (struct.pack("<BH", kind, len(name)) + name + struct.pack("<QI", size, len(stretches)) +
            b"".join(s.pack() for s in stretches))


def indexes():
    """Name, whether it is good, and an index."""
    one, many = form.vector_files()
    weights = one[b"model.bin"][1]

    def index(folder, *members, count=None):
        return struct.pack("<IBI", 1, folder, len(members) if count is None else count) + b"".join(members)

    yield "file", index(0, member(0, b"model.bin", *weights))
    yield "folder", index(1, *(member(0, n, *many[n][1]) for n in sorted(many, key=form.name_order)),
                          member(1, b"", form.Stretch(777)))
    yield "nothing", index(1)
    yield "zeros", index(0, member(0, b"x", form.Stretch(1))) + bytes(100)
    yield "huge", index(0, member(0, b"x", form.Stretch(1 << 62), form.Stretch(1 << 62, "a", "f32", (1 << 60,))))
    yield "overflow", index(0, member(0, b"x", form.Stretch((1 << 64) - 1)))
    for name in (b"..", b"../x", b"/x", b"a//b", b"a/", b".", b"a\0b", b"x" * 256, b""):
        yield f"name-{name[:8].hex()}", index(1, member(0, name))
    yield "twice", index(1, member(0, b"a"), member(0, b"a"))
    yield "inside", index(1, member(0, b"a"), member(0, b"a/b"))
    yield "order", index(1, member(0, b"b"), member(0, b"a"))
    yield "after-padding", index(1, member(1, b"", form.Stretch(1)), member(0, b"a"))
    yield "two-in-file", index(0, member(0, b"a"), member(0, b"b"))
    yield "count", index(1, member(0, b"a"), count=1 << 20)
    yield "empty-stretch", index(0, member(0, b"x", form.Stretch(0)))


def slots():
    one, _ = form.vector_files()
    public = form.public_of(form.VECTOR_SECRET)
    made = form.encrypt(one, False, [public], [b"x"], chunk=4096, random=form.Stream("corpus"))
    n, = struct.unpack("<I", made[4104:4108])
    slot = made[4096:4096 + 12 + n + 32]
    yield "slot", slot.ljust(600, b"\0")
    yield "slot-exact", slot
    yield "slot-cut", slot[:200]
    phrase = 12 + 2 + 83 + 3 + 16
    for name, memory, passes, lanes in (("memory", 1 << 30, 1, 1), ("passes", 8192, 1 << 31, 1), ("lanes", 8192, 1, 4)):
        yield f"slot-{name}", slot[:phrase] + struct.pack("<III", memory, passes, lanes) + slot[phrase + 12:]


def keys():
    line = form.key_line(form.SECRET, form.VECTOR_SECRET)
    public = form.key_line(form.PUBLIC, form.public_of(form.VECTOR_SECRET))
    yield "secret", f"# a comment\n\n  {line}\t\r\n{line}\n"
    yield "public", f"{public}\n{public}\n# end"
    yield "typo", public[:-1] + "x"
    yield "short", public[:30]
    yield "none", "# nothing\n"


def main(folder):
    folder = folder / "encrypted"
    folder.mkdir(parents=True, exist_ok=True)
    for name, slot in slots():
        (folder / name).write_bytes(b"\0" + slot)
    for name, index in indexes():
        (folder / f"index-{name}").write_bytes(b"\1\0\x14" + index)
        chunks = sum(-(-s.size // 4096) for s in form.vector_files()[0][b"model.bin"][1])
        head = struct.pack("<HBBHxx", len(index), 1, chunks if name == "file" else 3, 10000 if name == "file" else 1)
        (folder / f"file-{name}").write_bytes(b"\3" + head + index)
    for name, text in keys():
        (folder / f"keys-{name}").write_bytes(b"\2" + text.encode())


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "fuzz" / "corpus")
