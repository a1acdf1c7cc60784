#!/usr/bin/env python3
"""imatrix_open against llama-imatrix: what it measures on a small model, in both of its formats.

Expected means are computed here, in f32 as llama.cpp's loader computes them; and what was read, written again in the
old format with one call, must make llama-quantize give the same bytes as the file that it was read from. A model with
experts, some of which meet no token, stands for partial data. $LLAMA_QUANTIZE names llama-quantize; llama-imatrix lies
beside it."""

import os
import pathlib
import struct
import subprocess

import common

tally = common.Tally("imatrix")
PEER = os.environ.get("LLAMA_QUANTIZE")
MODEL = common.DATA / "llm" / "stories260K" / "stories260Ktok512.gguf"
TEXT = common.DATA / "text" / "tinyshakespeare_input.txt"
EXPERTS = 16

try:
    import gguf
    import numpy as np
except ImportError as missing:
    tally.skip(missing)
    tally.finish()
if not PEER:
    tally.skip("LLAMA_QUANTIZE is not set")
    tally.finish()
if not MODEL.exists() or not TEXT.exists():
    tally.skip(f"{MODEL} or {TEXT} is absent")
    tally.finish()


def ours(path):
    """(chunks, data set, {name: values [matrices, columns]})"""
    head, *lines = common.run("tola_imatrix", path).decode().splitlines()
    _, chunks, dataset = head.split(" ", 2)
    entries = {}
    for line in lines:
        name, matrices, columns, *values = line.split(" ")
        entries[name] = np.array([float.fromhex(v) for v in values], np.float32).reshape(int(matrices), int(columns))
    return int(chunks), dataset, entries


def from_old(path):
    data, at, found = path.read_bytes(), 0, {}

    def number():
        nonlocal at
        at += 4
        return struct.unpack_from("<i", data, at - 4)[0]

    for _ in range(number()):
        length = number()
        name, at = data[at:at + length].decode(), at + length
        calls, count = number(), number()
        found[name] = np.frombuffer(data, "<f4", count, at).reshape(1, -1) / np.float32(calls)
        at += 4 * count
    chunks, length = number(), number()
    return chunks, data[at:at + length].decode(), found


def from_gguf(path):
    reader = gguf.GGUFReader(path)
    tensors = {t.name: np.array(t.data, np.float32) for t in reader.tensors}
    found = {}
    for name, sums in tensors.items():
        if name.endswith(".in_sum2"):
            counts = tensors[name[:-8] + ".counts"].reshape(-1, 1)
            with np.errstate(all="ignore"):
                found[name[:-8]] = np.where(counts > 0, sums.reshape(len(counts), -1) / counts, np.float32(1))
    field = {key: reader.fields[f"imatrix.{key}"].contents() for key in ("chunk_count", "datasets")}
    return field["chunk_count"], field["datasets"][0], found


def write_old(path, entries):
    with open(path, "wb") as out:
        out.write(struct.pack("<i", len(entries)))
        for name, values in entries.items():
            out.write(struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 1, values.size))
            out.write(values.astype("<f4").tobytes())


def with_experts(path):
    """The small model with every feed-forward layer replaced by experts of random weights."""
    source = gguf.GGUFReader(MODEL)
    writer = gguf.GGUFWriter(path, "llama")
    for name, field in source.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind, *inner = field.types
        writer.add_key_value(name, field.contents(), kind, inner[-1] if inner else None)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(2)
    rng = np.random.default_rng(11)
    for t in source.tensors:
        if ".ffn_norm" in t.name or ".ffn_" not in t.name:
            writer.add_tensor(t.name, np.array(t.data))
            continue
        shape = (EXPERTS, *(int(n) for n in reversed(t.shape)))
        name = t.name.replace(".weight", "_exps.weight")
        writer.add_tensor(name, rng.normal(0, 0.05, shape).astype(np.float32))
        if ".ffn_up" in t.name:
            gate = rng.normal(0, 1, (EXPERTS, shape[2])).astype(np.float32)
            writer.add_tensor(t.name.replace("ffn_up", "ffn_gate_inp"), gate)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def peer(program, *arguments):
    done = subprocess.run([pathlib.Path(PEER).parent / program, *map(str, arguments)], capture_output=True, timeout=300)
    return tally.check(f"{program} ends well", done.returncode == 0, done.stderr[-300:].decode(errors="replace"))


def quantized(model, imatrix, target, mixture="Q4_K_S"):
    if not peer("llama-quantize", "--imatrix", imatrix, model, target, mixture):
        return None
    return {t["name"]: (t["dtype"], t["sha256"]) for t in common.dump(target)["tensors"]}


def check(what, model, text, folder):
    read = {}
    for form, parse in (("gguf", from_gguf), ("dat", from_old)):
        path = folder / f"{what}.{form}"
        if not peer("llama-imatrix", "-m", model, "-f", text, "-o", path, "--output-format", form, "-c", "64",
                    "--chunks", "2"):
            continue
        chunks, dataset, expected = parse(path)
        got_chunks, got_dataset, got = read[form] = ours(path)
        tally.equal(f"{what}.{form}: chunks", got_chunks, chunks)
        tally.equal(f"{what}.{form}: data set", got_dataset, dataset)
        if tally.equal(f"{what}.{form}: names", sorted(got), sorted(expected)):
            for name, values in expected.items():
                tally.check(f"{what}.{form}: {name}", got[name].shape == values.shape and (got[name] == values).all())
        again = folder / "again.dat"
        write_old(again, got)
        tally.equal(f"{what}.{form}: llama-quantize sees the same values", quantized(model, path, folder / "a.gguf"),
                    quantized(model, again, folder / "b.gguf"))
    if len(read) == 2:
        for name, values in read["gguf"][2].items():
            old = read["dat"][2].get(name)
            if old is None:  # the old format leaves out a tensor none of whose experts met a token
                tally.check(f"{what}: nothing is known of {name}", (values == 1).all())
                continue
            tally.check(f"{what}: {name} in both formats", np.allclose(old.reshape(values.shape), values, rtol=1e-6))
        return sum((values == 1).all(axis=1).sum() for values in read["gguf"][2].values())
    return 0


def main():
    with common.folder() as name:
        folder = pathlib.Path(name)
        text = folder / "text"
        text.write_bytes(TEXT.read_bytes()[:4000])
        check("dense", MODEL, text, folder)
        experts = folder / "model-of-experts.gguf"
        with_experts(experts)
        tally.check("some experts met no token", check("experts", experts, text, folder) > 0)
    tally.finish()


main()
