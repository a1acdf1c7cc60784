"""tola convert when it is stopped: by SIGINT and SIGTERM at any moment, by SIGKILL, by a full disk, by a file size limit.

Outputs appear whole or not at all: after a signal that can be caught nothing is left; after SIGKILL at most hidden
temporary files, which the next run removes. Needs no packages."""

import hashlib
import json
import os
import pathlib
import random
import resource
import signal
import struct
import subprocess
import time

import common

tally = common.Tally("convert, interrupted")
TOLA = str(common.BUILD / "tola")
MIB = 1 << 20
# Where this runs in the background SIGINT is ignored, and so it would be in what is started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


def make_model(path, mib, tensors=8):
    """A sparse file: real sizes, no data on the disk."""
    each = mib * MIB // tensors // 2 * 2
    header = {f"t{i}": {"dtype": "BF16", "shape": [each // 2], "data_offsets": [i * each, (i + 1) * each]}
              for i in range(tensors)}
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.truncate(8 + len(text) + each * tensors)


def start(*arguments, **more):
    return subprocess.Popen([TOLA, "convert", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **more)


def check_caught(folder, out, whole, seconds):
    """Signals at random moments of a run that takes about `seconds`. `whole` is what is there when it was too late.
    Twelve times, and more where a busy machine let every signal come too late."""
    stopped = i = 0
    while i < 12 or stopped == 0 and i < 60:
        number = signal.SIGTERM if i % 4 == 3 else signal.SIGINT
        process = start(folder / "in.safetensors", f"{folder}/{out}", "--dtype=f32", "--max-shard-size=100MB")
        time.sleep(random.uniform(0.02, seconds if i < 12 else 0.05))
        i += 1
        process.send_signal(number)
        _, errors = process.communicate()
        left = sorted(p.name for p in folder.iterdir() if p.name != "in.safetensors")
        if process.returncode == 0:
            tally.check(f"finished before the signal: {out} is whole", left == whole, str(left))
        else:
            stopped += 1
            tally.equal(f"{number.name}: ended by the signal", process.returncode, -number)
            tally.equal(f"{number.name}: nothing is left", left, [])
            # a signal may come before the handler is there: then the process says nothing, and had begun nothing
            tally.check(f"{number.name}: one message", errors == "" or errors.count("\n") == 1 and "interrupted" in errors,
                        errors)
        subprocess.run(["rm", "-rf", *(str(folder / n) for n in left)], check=True)
    tally.check("some runs were interrupted", stopped > 0)


def digest(path):
    """Of a file, or of the one weights file in a folder."""
    file = next(path.glob("*.safetensors")) if path.is_dir() else path
    return hashlib.sha256(file.read_bytes()).hexdigest()


def check_killed(folder, seconds, whole):
    """`whole`: the digest of an output that is done, which a late signal finds in place: the last thing that a run
    waits for, its folder's way to the disk, comes after."""
    (folder / "small").mkdir()
    make_model(folder / "small/in.safetensors", 1)
    for out in ("out.safetensors", "out/"):
        for _ in range(4):
            process = start(folder / "in.safetensors", f"{folder}/{out}", "--dtype=f32")
            time.sleep(random.uniform(0.05, seconds * 0.8))
            process.kill()
            process.communicate()
            left = [p.name for p in folder.iterdir() if p.name not in ("in.safetensors", "small")]
            if (folder / out).exists():
                tally.equal(f"killed late, or too late: {out} is whole", digest(folder / out), whole)
                left.remove(out.rstrip("/"))
                subprocess.run(["rm", "-rf", str(folder / out)], check=True)
            else:
                tally.check("no end without an output", process.returncode != 0)
            if process.returncode != 0:
                tally.check("killed: at most a hidden temporary is left", all(n.startswith(".out") for n in left), str(left))
        done = start(folder / "small/in.safetensors", f"{folder}/{out}")
        done.communicate()
        left = sorted(p.name for p in folder.iterdir() if p.name not in ("in.safetensors", "small"))
        tally.equal("the next run removes what killed ones left", left, [out.rstrip("/")])
        subprocess.run(["rm", "-rf", str(folder / out)], check=True)


def check_full_disk(folder):
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True).returncode:
        tally.skip("a full disk: mounting a tmpfs is not allowed here")
        return
    try:
        for out in ("out.safetensors", "out/", "out.gguf", "out.pt", "out.npz"):
            options = ["--dtype=f32"] if out == "out.npz" else ["--max-shard-size=4MB"] if out == "out/" else []
            process = start(folder / "in.safetensors", f"{disk}/{out}", *options)
            _, errors = process.communicate()
            tally.equal(f"full disk, {out}: exit code", process.returncode, 2)
            tally.check(f"full disk, {out}: one message with the cause", errors.count("\n") == 1 and
                        "No space left on device" in errors and "out" in errors, errors)
            tally.equal(f"full disk, {out}: nothing is left", [p.name for p in disk.iterdir()], [])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def check_size_limit(folder):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MIB, 4 * MIB))

    for out in ("out.safetensors", "out/", "out.gguf"):
        process = start(folder / "in.safetensors", f"{folder}/{out}", preexec_fn=limit)
        _, errors = process.communicate()
        tally.equal(f"size limit, {out}: exit code", process.returncode, 2)
        tally.check(f"size limit, {out}: one message with the cause", errors.count("\n") == 1 and "File too large" in errors,
                    errors)
        left = [p.name for p in folder.iterdir() if p.name.startswith((".", "out"))]
        tally.equal(f"size limit, {out}: nothing is left", left, [])


with common.folder() as name:
    here = pathlib.Path(name)
    make_model(here / "in.safetensors", 128)
    began = time.monotonic()
    tally.equal("undisturbed", start(here / "in.safetensors", here / "out.safetensors", "--dtype=f32").wait(), 0)
    duration = time.monotonic() - began
    undisturbed = digest(here / "out.safetensors")
    os.unlink(here / "out.safetensors")
    random.seed(os.environ.get("TOLA_SEED", "7"))
    shards = [f"out-{i + 1:05d}-of-00004.safetensors" for i in range(4)] + ["out.safetensors.index.json"]
    check_caught(here, "out.safetensors", shards, duration)
    check_caught(here, "out/", ["out"], duration)
    check_killed(here, duration, undisturbed)
with common.folder() as name:
    here = pathlib.Path(name)
    make_model(here / "in.safetensors", 32)
    check_full_disk(here)
    check_size_limit(here)
tally.finish()
