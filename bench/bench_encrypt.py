#!/usr/bin/env python3
"""Encrypting and decrypting a model against its floors and its peers, in alternating runs.

    bench/bench_encrypt.py [--size 1GB] [--pairs 9] [--folder /dev/shm] [--threads N]

The model is one safetensors file of random bytes in memory (tmpfs), so that no disk is measured, unless --folder lies
on one. What is compared:

- tola encrypt, decrypt: wall time with one thread and with all, and by the processor time they spent outside of the
  kernel, which is the cipher: reading and writing a file is the kernel's copying. "In all" is with the kernel's.
- cp: that copying, the floor of anything that reads and writes.
- openssl speed: ChaCha20-Poly1305 over one buffer of 64 KiB, the floor of the cipher on one core.
  These two and the next are measured by processor time, so that a busy machine tells the same.
- libsodium in memory, without reading or writing: secretstream (XChaCha20-Poly1305, chunks of 64 KiB) and secretbox
  (XSalsa20-Poly1305, chunks of 2 MiB, what Tensorizer uses), through ctypes.
- age, where it is installed (Debian: age): a file for an X25519 key, on one core."""
import argparse
import ctypes
import ctypes.util
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOLA = pathlib.Path(os.environ.get("TOLA_BUILD") or ROOT / "build/release").resolve() / "tola"
UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 1 << 20, "GiB": 1 << 30}


def run(*command):
    """Seconds of the clock, of the processor outside of the kernel, and of the processor in all."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return time.perf_counter() - begin, user, user + system


def make_model(path, size):
    rows = size // 8 // 4096
    head, at = {}, 0
    for i in range(8):
        head[f"layers.{i}.weight"] = {"dtype": "U8", "shape": [rows, 4096], "data_offsets": [at, at + rows * 4096]}
        at += rows * 4096
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _ in range(8):
            f.write(os.urandom(rows * 4096))
    return path.stat().st_size


def openssl_speed():
    text = subprocess.run(["openssl", "speed", "-seconds", "1", "-bytes", "65536", "-evp", "chacha20-poly1305"],
                          check=True, capture_output=True, text=True).stdout
    return float(re.search(r"([\d.]+)k\s*$", text).group(1)) / 1e6


class Sodium:
    def __init__(self):
        name = ctypes.util.find_library("sodium") or "libsodium.so.23"
        self.lib = ctypes.CDLL(name)
        self.lib.sodium_init()
        self.data = ctypes.create_string_buffer(os.urandom(2 << 20))
        self.out = ctypes.create_string_buffer((2 << 20) + 64)
        self.key = ctypes.create_string_buffer(os.urandom(32))

    def secretstream(self, total=256 << 20, chunk=64 << 10):
        state, head = ctypes.create_string_buffer(256), ctypes.create_string_buffer(24)
        self.lib.crypto_secretstream_xchacha20poly1305_init_push(state, head, self.key)
        push, length = self.lib.crypto_secretstream_xchacha20poly1305_push, ctypes.c_ulonglong(chunk)
        begin = time.process_time()
        for _ in range(total // chunk):
            push(state, self.out, None, self.data, length, None, ctypes.c_ulonglong(0), ctypes.c_ubyte(0))
        return total / (time.process_time() - begin) / 1e9

    def secretbox(self, total=256 << 20, chunk=2 << 20):
        nonce, box, length = ctypes.create_string_buffer(24), self.lib.crypto_secretbox_easy, ctypes.c_ulonglong(chunk)
        begin = time.process_time()
        for _ in range(total // chunk):
            box(self.out, self.data, length, nonce, self.key)
        return total / (time.process_time() - begin) / 1e9


def describe(values):
    return f"{statistics.median(values):6.2f} GB/s ({min(values):.2f}-{max(values):.2f})"


def jobs_of(folder, size, threads):
    """Name -> a function that gives GB/s, or several by name."""
    model, enc, out, key = folder / "w.safetensors", folder / "w.enc", folder / "w.out", folder / "key"
    subprocess.run([TOLA, "keygen", key, "-q"], check=True)

    def rate(kind, *command):
        wall, user, both = run(*command)
        return {kind: size / wall / 1e9, f"{kind}: the cipher, a core": size / max(user, 1e-9) / 1e9,
                f"{kind}: in all, a core": size / max(both, 1e-9) / 1e9}

    def ours(n):
        threads_used = f"{n} threads" if n > 1 else "1 thread"
        made = rate(f"tola encrypt, {threads_used}", TOLA, "encrypt", model, enc, "-r", f"{key}.pub", "--force",
                    "--threads", n)
        made.update(rate(f"tola decrypt, {threads_used}", TOLA, "decrypt", enc, out, "--identity", key, "--force",
                         "--threads", n))
        if n > 1:
            made = {k: v for k, v in made.items() if "a core" not in k}
        return made

    def cp():
        out.unlink(missing_ok=True)
        wall, _, both = run("cp", model, out)
        return {"cp": size / wall / 1e9, "cp: in all, a core": size / max(both, 1e-9) / 1e9}

    jobs = [lambda: ours(1), cp, lambda: {"openssl speed, a core": openssl_speed()}]
    if threads > 1:
        jobs.append(lambda: ours(threads))
    try:
        sodium = Sodium()
        jobs.append(lambda: {"libsodium secretstream in memory": sodium.secretstream(),
                             "libsodium secretbox in memory (Tensorizer)": sodium.secretbox()})
    except OSError:
        print("skipped: libsodium is absent")
    if shutil.which("age"):
        subprocess.run(["age-keygen", "-o", folder / "age.key"], check=True, capture_output=True)
        public = subprocess.run(["age-keygen", "-y", folder / "age.key"], check=True, capture_output=True,
                                text=True).stdout

        def age():
            a = run("age", "-r", public.strip(), "-o", folder / "w.age", model)
            b = run("age", "-d", "-i", folder / "age.key", "-o", out, folder / "w.age")
            return {"age -r": size / a[0] / 1e9, "age -d": size / b[0] / 1e9,
                    "age -r: the cipher, a core": size / a[1] / 1e9, "age -d: the cipher, a core": size / b[1] / 1e9}
        jobs.append(age)
    else:
        print("skipped: age is absent")
    return jobs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="1GB")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--folder", default="/dev/shm")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    match = re.fullmatch(r"([\d.]+)([MG]i?B)", args.size)
    if not match:
        sys.exit("--size: 1GB, 512MiB, ...")
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        folder = pathlib.Path(temporary)
        size = make_model(folder / "w.safetensors", int(float(match.group(1)) * UNITS[match.group(2)]))
        jobs, found = jobs_of(folder, size, args.threads), {}
        for number in range(args.pairs + 1):
            for job in jobs if number % 2 else reversed(jobs):
                for name, value in job().items():
                    if number:
                        found.setdefault(name, []).append(value)
        for name, values in found.items():
            print(f"{name:46} {describe(values)}")
        for what in ("encrypt", "decrypt"):
            ours = found[f"tola {what}, 1 thread: the cipher, a core"]
            for peer in ("libsodium secretstream in memory", "openssl speed, a core"):
                if peer in found:
                    ratio = statistics.median(a / b for a, b in zip(ours, found[peer]))
                    print(f"{what}: the cipher / {peer}: {ratio:.2f}")
            peer = f"age -{'r' if what == 'encrypt' else 'd'}"
            if peer in found:
                ratio = statistics.median(a / b for a, b in zip(found[f"tola {what}, 1 thread"], found[peer]))
                print(f"tola {what} with 1 thread / {peer}: {ratio:.2f}")


if __name__ == "__main__":
    main()
