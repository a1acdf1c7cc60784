#!/usr/bin/env python3
"""Quantized GGUF files through stats, diff and convert, against the same files as the gguf package decodes them.

One Llama layer is written three times by the package: with f32 weights, with quantized ones, with those decoded."""

import json
import pathlib

import common

tally = common.Tally("block files")
try:
    import gguf
    import numpy as np
    from gguf import quants
    from safetensors.numpy import load_file
except ImportError as error:
    tally.skip(f"a package is missing ({error})")
    tally.finish()

WIDTH, INNER, ROWS = 512, 1024, 64
MATRICES = {"token_embd": (ROWS, WIDTH), "output": (ROWS, WIDTH), "blk.0.attn_q": (WIDTH, WIDTH),
            "blk.0.attn_k": (WIDTH // 2, WIDTH), "blk.0.attn_v": (WIDTH // 2, WIDTH),
            "blk.0.attn_output": (WIDTH, WIDTH), "blk.0.ffn_gate": (INNER, WIDTH), "blk.0.ffn_up": (INNER, WIDTH),
            "blk.0.ffn_down": (WIDTH, INNER)}
SCALES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ2_XXS": (0,),
          "IQ3_S": (0,), "IQ4_XS": (0,), "IQ4_NL": (0,)}  # types that the package only decodes: random bytes

rng = np.random.default_rng(5)


def quantized(x, name):
    kind = gguf.GGMLQuantizationType[name]
    if name not in SCALES:
        return quants.quantize(x, kind)
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (x.size // elements, size), dtype=np.uint8)
    for at in SCALES[name]:
        scales = (rng.uniform(0.5, 2, (len(blocks), 1)) * 1e-4).astype(np.float16)
        blocks[:, at:at + 2] = scales.view(np.uint8)
    return blocks.reshape(x.shape[0], -1)


def write(path, matrices):
    w = gguf.GGUFWriter(path, "llama")
    w.add_block_count(1)
    w.add_context_length(64)
    w.add_embedding_length(WIDTH)
    w.add_feed_forward_length(INNER)
    w.add_head_count(8)
    w.add_head_count_kv(4)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(10000.0)
    w.add_vocab_size(ROWS)
    for name, (data, kind) in matrices.items():
        w.add_tensor(f"{name}.weight", data, raw_dtype=kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        w.add_tensor(f"{name}.weight", np.linspace(0.5, 1.5, WIDTH, dtype=np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def same_arrays(what, got, want):
    good = got.keys() == want.keys() and all(
        got[n].dtype == want[n].dtype and got[n].tobytes() == want[n].tobytes() for n in want)
    tally.check(what, good, f"{sorted(got)[:3]} {sorted(want)[:3]}")


def check_containers(q, plain, decoded):
    for name, kind in (("f32", np.float32), ("f16", np.float16)):
        out = q.with_suffix(f".{name}.safetensors")
        common.run("tola", "convert", "-q", q, out, "--dtype", name)
        arrays = load_file(out)
        with np.errstate(over="ignore"):
            want = {f"{n}.weight": x.astype(kind) for n, x in decoded.items()}
        same_arrays(f"{name}: the package's values", {n: arrays[n] for n in want}, want)
    out = q.with_suffix(".f32.gguf")
    common.run("tola", "convert", "-q", q, out, "--dtype", "f32")
    common.run("tola", "diff", "-q", out, plain)  # fails where they differ
    tally.check("as f32 in GGUF", True)


def check_folders(q, plain):
    """Heads back in their order, names, shards: as from the decoded file."""
    for flags in ([], ["--dtype", "bf16"], ["--dtype", "f32"]):
        folders = [p.with_suffix("." + (flags[-1] if flags else "default")) for p in (q, plain)]
        common.run("tola", "convert", "-q", q, f"{folders[0]}/", *flags)
        override = flags or ["--dtype-override", "*proj.weight=f16", "--dtype-override", "*embed*=f16",
                             "--dtype-override", "lm_head*=f16"]
        common.run("tola", "convert", "-q", plain, f"{folders[1]}/", *override)
        what = f"a folder, {flags[-1] if flags else 'as f16'}"
        try:
            common.run("tola", "diff", "-q", *folders)
            tally.check(what, True)
        except common.Refused as error:
            tally.check(what, False, error)


def check_stats(q, plain):
    mine, want = (json.loads(common.run("tola", "stats", "--json", p))["tensors"] for p in (q, plain))
    for a, b in zip(mine, want, strict=True):
        a.pop("dtype")
        b.pop("dtype")
        tally.equal(f"stats of {a['name']}", a, b)


def check_diff(full, q, weights, decoded):
    try:
        common.run("tola", "diff", "-q", full, q)
        tally.check("they differ", False)
    except common.Refused:
        tally.check("they differ", True)
    done = common.subprocess.run([common.BUILD / "tola", "diff", "--json", full, q], capture_output=True)
    for t in json.loads(done.stdout)["changed"]:
        x, y = (a[t["name"].removesuffix(".weight")].astype(np.float64) for a in (weights, decoded))
        relative = float(np.linalg.norm(x - y) / np.linalg.norm(x))
        tally.check(f"diff of {t['name']}", abs(t["rel"] - relative) <= 1e-9 * relative, (t["rel"], relative))
        tally.equal(f"diff of {t['name']}: largest", t["max_abs"], float(np.abs(x - y).max()))


def main():
    kinds = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "TQ1_0", "TQ2_0", "MXFP4", *SCALES]
    weights = {n: (rng.standard_normal(shape) * 0.02).astype(np.float32) for n, shape in MATRICES.items()}
    for first in (0, len(MATRICES)):
        chosen = dict(zip(MATRICES, (kinds + kinds)[first:]))
        blocks = {n: quantized(weights[n], kind) for n, kind in chosen.items()}
        types = {n: gguf.GGMLQuantizationType[kind] for n, kind in chosen.items()}
        decoded = {n: quants.dequantize(blocks[n], types[n]) for n in blocks}
        with common.folder() as folder:
            full, q, plain = (pathlib.Path(folder) / f"{n}.gguf" for n in ("full", "q", "plain"))
            write(full, {n: (x, gguf.GGMLQuantizationType.F32) for n, x in weights.items()})
            write(q, {n: (blocks[n], types[n]) for n in blocks})
            write(plain, {n: (x, gguf.GGMLQuantizationType.F32) for n, x in decoded.items()})
            check_containers(q, plain, decoded)
            check_folders(q, plain)
            check_stats(q, plain)
            check_diff(full, q, weights, decoded)
    tally.finish()


main()
