#!/usr/bin/env python3
"""Matrices that GPTQ, AWQ and MLX keep as several tensors, against decoders of their own.

Folders in those layouts are written here with numpy, by what the formats say and not by what tola does; tola decodes
them (convert --dtype f32, stats, diff), and every value must be the same. Where the packages are installed, what is
written here is held against them, too: mlx (mx.quantize, mx.dequantize), and the linear layers of auto_gptq and
autoawq, whose source folders are named in $AUTO_GPTQ and $AUTO_AWQ (both packages no longer install with current
torch; their layers are plain Python)."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types

import common

try:
    import numpy as np
except ImportError:
    print("skipped: numpy is not installed")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)

TALLY = common.Tally("logical")
TOLA = common.BUILD / "tola"
RNG = np.random.default_rng(7)
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def stream(codes, bits, axis):
    """Codes along `axis` as u32 words, lowest bits first, running across words."""
    codes = np.moveaxis(codes.astype(np.uint64), axis, -1)
    flat = codes.reshape(-1, codes.shape[-1])
    as_bits = (flat[:, :, None] >> np.arange(bits, dtype=np.uint64) & np.uint64(1)).astype(np.uint8)
    packed = np.packbits(as_bits.reshape(flat.shape[0], -1), axis=1, bitorder="little")
    words = np.ascontiguousarray(packed).view("<u4")
    return np.moveaxis(words.reshape(codes.shape[:-1] + (-1,)), -1, axis)


def bf16(x):
    """Rounded to bf16; the bits, and the values."""
    bits = np.asarray(x, "<f4").view("<u4")
    bits = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")
    return bits, (bits.astype("<u4") << 16).view("<f4")


def save(folder, tensors, config):
    """A safetensors file written by hand: (dtype name, array) for each tensor; and config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    header, at = {}, 0
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for _, array in tensors.values():
            f.write(np.ascontiguousarray(array).tobytes())
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))


def tola(*args, code=0):
    done = subprocess.run([TOLA, *map(str, args)], capture_output=True, text=True, timeout=120)
    TALLY.equal(f"exit code of tola {' '.join(map(str, args[:2]))}: {done.stderr.strip()}", done.returncode, code)
    return done


def decoded(folder, name="layer.weight"):
    out = folder.parent / (folder.name + ".npz")
    tola("convert", folder, out, "--dtype", "f32", "--force")
    return np.load(out)[name] if out.exists() else None


def check_decoded(what, folder, expected, name="layer.weight"):
    got = decoded(folder, name)
    if got is None:
        return
    good = got.dtype == np.float32 and got.shape == expected.shape and np.array_equal(got, expected.astype(np.float32))
    TALLY.check(what, good, f"{got.dtype} {got.shape}, {np.count_nonzero(got != expected) if got.shape == expected.shape else '?'} differ")


# ---- GPTQ ----

def make_gptq(rows, cols, bits, group, version=1, order=False, scale="F16"):
    groups = -(-cols // group)
    codes = RNG.integers(0, 1 << bits, (rows, cols))
    zeros = RNG.integers(1, 1 << bits, (rows, groups))
    raw = (RNG.standard_normal((groups, rows)) * 0.01).astype(np.float32)
    if scale == "F16":
        stored, scales = raw.astype("<f2"), raw.astype("<f2").astype(np.float32)
    else:
        stored, scales = bf16(raw)
    g_idx = np.arange(cols) // group
    if order:
        g_idx = RNG.permutation(g_idx)
    tensors = {
        "layer.qweight": ("I32", stream(codes.T, bits, 0).astype("<u4")),
        "layer.qzeros": ("I32", stream((zeros.T - (version == 1)) % (1 << bits), bits, 1).astype("<u4")),
        "layer.scales": (scale, stored),
        "layer.g_idx": ("I32", g_idx.astype("<i4")),
        "norm.weight": ("F16", np.ones(cols, "<f2")),
    }
    weights = (codes - zeros[:, g_idx]).astype(np.float32) * scales[g_idx].T
    return tensors, weights


def gptq_config(bits, group, **more):
    return {"model_type": "x", "torch_dtype": "float16",
            "quantization_config": {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False, **more}}


def gptq(root):
    for bits in (2, 3, 4, 8):
        for group in (32, 128):
            for version in (1, 2):
                tensors, weights = make_gptq(64, 256, bits, group, version)
                folder = root / f"gptq-{bits}-{group}-{version}"
                save(folder, tensors, gptq_config(bits, group, checkpoint_format="gptq_v2" if version == 2 else "gptq"))
                check_decoded(folder.name, folder, weights)
    tensors, weights = make_gptq(96, 384, 4, 128, order=True)
    save(root / "gptq-order", tensors, gptq_config(4, 128))
    check_decoded("g_idx out of order", root / "gptq-order", weights)
    tensors, weights = make_gptq(96, 320, 4, 320, scale="BF16")
    del tensors["layer.g_idx"]
    save(root / "gptq-channel", tensors, gptq_config(4, -1))
    check_decoded("one group, no g_idx, bf16 scales", root / "gptq-channel", weights)
    save(root / "gptq-bare", tensors, None)
    check_decoded("no configuration", root / "gptq-bare", weights)
    (root / "gptq-bare" / "quantize_config.json").write_text('{"bits": 4, "group_size": -1, "desc_act": false}')
    check_decoded("quantize_config.json", root / "gptq-bare", weights)

    # what a user sees: the plain model in a folder, values in stats and diff
    out = root / "plain"
    tola("convert", root / "gptq-order", str(out) + "/", "--dtype", "f32")
    config = json.loads((out / "config.json").read_text())
    TALLY.equal("quantization_config is gone", config.get("quantization_config"), None)
    TALLY.equal("torch_dtype", config["torch_dtype"], "float32")
    changed = json.loads(tola("diff", root / "gptq-order", out, "--json", code=1).stdout)["changed"]
    TALLY.equal("only the norm's dtype changed", [(c["name"], c.get("changed_elements")) for c in changed],
                [("norm.weight", 0)])
    stats = json.loads(tola("stats", root / "gptq-order", "layer.weight", "--json").stdout)
    expected = np.load(root / "gptq-order.npz")["layer.weight"].astype(np.float64)
    TALLY.check("stats of decoded values", abs(stats["tensors"][0]["mean"] - expected.mean()) < 1e-12)
    tola("stats", root / "gptq-order", "layer.qweight", "--stored")

    # contradictions: one line, exit 2
    broken = dict(tensors)
    broken["layer.scales"] = ("F16", np.ones((3, 96), "<f2"))
    save(root / "gptq-bad", broken, gptq_config(4, 128))
    done = tola("convert", root / "gptq-bad", root / "bad.npz", "--dtype", "f32", code=2)
    TALLY.check("the tensor is named", "layer.q" in done.stderr and done.stderr.count("\n") == 1, done.stderr)
    tensors, _ = make_gptq(96, 384, 4, 128)
    tensors["layer.g_idx"] = ("I32", np.full(384, 77, "<i4"))
    save(root / "gptq-index", tensors, gptq_config(4, 128))
    done = tola("convert", root / "gptq-index", root / "bad.npz", "--dtype", "f32", code=2)
    TALLY.check("g_idx beyond the groups", "g_idx[0] is 77" in done.stderr, done.stderr)


def load_module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gptq_package(root):
    """What auto_gptq's layer packs, decoded by its forward of the identity and by tola."""
    source = os.environ.get("AUTO_GPTQ")
    if not source:
        TALLY.skip("AUTO_GPTQ names no auto_gptq source: its layer is not compared")
        return
    import torch
    for parent in ("auto_gptq", "auto_gptq.nn_modules", "auto_gptq.nn_modules.qlinear"):
        sys.modules.setdefault(parent, types.ModuleType(parent)).__path__ = []
    path = pathlib.Path(source) / "auto_gptq" / "nn_modules" / "qlinear" / "qlinear_cuda_old.py"
    layer_type = load_module("auto_gptq.nn_modules.qlinear.qlinear_cuda_old", path).QuantLinear
    for bits in (2, 3, 4, 8):
        rows, cols, group = 64, 256, 64
        layer = layer_type(bits, group, cols, rows, bias=False, weight_dtype=torch.float32)
        plain = torch.nn.Linear(cols, rows, bias=False)
        codes = RNG.integers(0, 1 << bits, (rows, cols))
        zeros = RNG.integers(1, 1 << bits, (rows, cols // group))
        scales = (np.abs(RNG.standard_normal((rows, cols // group))) * 0.01 + 1e-3).astype(np.float16).astype(np.float32)
        g_idx = np.arange(cols) // group
        plain.weight.data = torch.tensor((codes - zeros[:, g_idx]) * scales[:, g_idx], dtype=torch.float32)
        layer.pack(plain, torch.tensor(scales), torch.tensor(zeros, dtype=torch.float32), torch.tensor(g_idx))
        tensors = {f"layer.{k}": ("I32" if v.dtype == torch.int32 else "F16",
                                  v.numpy() if v.dtype == torch.int32 else v.half().numpy())
                   for k, v in layer.state_dict().items() if k != "bias"}
        folder = root / f"auto-gptq-{bits}"
        save(folder, tensors, gptq_config(bits, group))
        layer.autogptq_cuda_available = False
        expected = layer(torch.eye(cols)).detach().numpy().T
        check_decoded(f"auto_gptq {bits} bits", folder, expected)


# ---- AWQ ----

def awq_pack(codes):
    """[.., out] codes of four bits as words of eight, in AWQ's order."""
    groups = codes.reshape(codes.shape[0], -1, 8)[:, :, AWQ_ORDER].astype(np.uint64)
    return (groups << (4 * np.arange(8, dtype=np.uint64))).sum(axis=2).astype("<u4")


def awq(root):
    rows, cols, group = 64, 256, 128
    codes, zeros = RNG.integers(0, 16, (cols, rows)), RNG.integers(0, 16, (cols // group, rows))
    scales = (RNG.standard_normal((cols // group, rows)) * 0.01).astype("<f2")
    tensors = {"layer.qweight": ("I32", awq_pack(codes)), "layer.qzeros": ("I32", awq_pack(zeros)),
               "layer.scales": ("F16", scales)}
    g = np.arange(cols) // group
    weights = ((codes - zeros[g]).astype(np.float32) * scales[g].astype(np.float32)).T
    config = {"model_type": "x", "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": group,
                                                         "version": "gemm", "zero_point": True}}
    save(root / "awq", tensors, config)
    check_decoded("awq", root / "awq", weights)
    save(root / "awq-bare", tensors, None)
    check_decoded("awq, no configuration", root / "awq-bare", weights)
    source = os.environ.get("AUTO_AWQ")
    if not source:
        TALLY.skip("AUTO_AWQ names no autoawq source: its unpacking is not compared")
        return
    import torch
    package = load_module("packing_utils", pathlib.Path(source) / "awq" / "utils" / "packing_utils.py")
    word = lambda a: torch.tensor(a.view("<i4"))
    expected = package.dequantize_gemm(word(tensors["layer.qweight"][1]), word(tensors["layer.qzeros"][1]),
                                       torch.tensor(scales.astype(np.float32)), 4, group)
    TALLY.check("numpy's decoding is autoawq's", np.array_equal(expected.numpy().T, weights))


# ---- MLX ----

def mlx(root):
    for bits in (2, 3, 4, 5, 6, 8):
        rows, cols, group = 48, 256, 64
        codes = RNG.integers(0, 1 << bits, (rows, cols))
        scales = (RNG.standard_normal((rows, cols // group)) * 0.01).astype("<f2")
        biases = RNG.standard_normal((rows, cols // group)).astype("<f2")
        tensors = {"layer.weight": ("U32", stream(codes, bits, 1)), "layer.scales": ("F16", scales),
                   "layer.biases": ("F16", biases), "plain.weight": ("F16", np.ones((4, 64), "<f2"))}
        spread = lambda a: np.repeat(a.astype(np.float32), group, axis=1)
        weights = spread(scales) * codes.astype(np.float32) + spread(biases)
        folder = root / f"mlx-{bits}"
        save(folder, tensors, {"model_type": "x", "quantization": {"group_size": group, "bits": bits}})
        check_decoded(folder.name, folder, weights)
    try:
        import mlx.core as mx
    except ImportError:
        TALLY.skip("mlx is not installed")
        return
    for bits in (2, 3, 4, 5, 6, 8):
        for group in (32, 64, 128):
            w = mx.array(RNG.standard_normal((3, 40, 256)).astype(np.float32) * 0.05)
            q, s, b = mx.quantize(w, group_size=group, bits=bits)
            tensors = {"layer.weight": ("U32", np.array(q)), "layer.scales": ("F32", np.array(s)),
                       "layer.biases": ("F32", np.array(b))}
            folder = root / f"mlx-package-{bits}-{group}"
            save(folder, tensors, {"model_type": "x", "quantization": {"group_size": group, "bits": bits}})
            expected = np.array(mx.dequantize(q, s, b, group_size=group, bits=bits))
            got = decoded(folder)
            # mlx fuses the product and the sum where its vectors do; one rounding apart
            TALLY.check(f"mlx's own {bits} bits, groups of {group}", got is not None and got.shape == expected.shape and
                        np.allclose(got, expected, rtol=0, atol=1.2e-7 * np.abs(expected).max()))
    w = mx.array(RNG.standard_normal((40, 256)).astype(np.float32) * 0.05)
    q, s = mx.quantize(w, group_size=32, bits=4, mode="mxfp4")
    save(root / "mlx-mxfp4", {"layer.weight": ("U32", np.array(q)), "layer.scales": ("U8", np.array(s))},
         {"model_type": "x", "quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4"}})
    check_decoded("mlx's own mxfp4", root / "mlx-mxfp4",
                  np.array(mx.dequantize(q, s, group_size=32, bits=4, mode="mxfp4").astype(mx.float32)))


with tempfile.TemporaryDirectory() as scratch:
    ROOT = pathlib.Path(scratch)
    gptq(ROOT)
    gptq_package(ROOT)
    awq(ROOT)
    mlx(ROOT)
TALLY.finish()
