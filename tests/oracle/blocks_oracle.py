#!/usr/bin/env python3
"""Block types against the gguf package, bit by bit: random bytes and chosen scales of every type, decoded by Tola.

Types that the package does not decode (q8_1, q8_k, q1_0, q2_0) are held against their formulas, written out here.

Encoders: bit by bit where the package (or, for types it does not encode, libggml-base named by TOLA_GGML, a shared
library of llama.cpp) defines them, else their error against that of ggml's."""

import ctypes
import os
import subprocess

import common

tally = common.Tally("blocks")

try:
    import gguf
    import numpy as np
    from gguf import quants
except ImportError as missing:
    tally.skip(missing)
    tally.finish()

BLOCKS = {  # elements, bytes, offsets of f16 scales
    "q4_0": (32, 18, [0]), "q4_1": (32, 20, [0, 2]), "q5_0": (32, 22, [0]), "q5_1": (32, 24, [0, 2]),
    "q8_0": (32, 34, [0]), "q8_1": (32, 36, [0]), "q2_k": (256, 84, [80, 82]), "q3_k": (256, 110, [108]),
    "q4_k": (256, 144, [0, 2]), "q5_k": (256, 176, [0, 2]), "q6_k": (256, 210, [208]), "q8_k": (256, 292, []),
    "iq2_xxs": (256, 66, [0]), "iq2_xs": (256, 74, [0]), "iq2_s": (256, 82, [0]), "iq3_xxs": (256, 98, [0]),
    "iq3_s": (256, 110, [0]), "iq1_s": (256, 50, [0]), "iq1_m": (256, 56, []), "iq4_nl": (32, 18, [0]),
    "iq4_xs": (256, 136, [0]), "tq1_0": (256, 54, [52]), "tq2_0": (256, 66, [64]), "mxfp4": (32, 17, []),
    "nvfp4": (64, 36, []), "q1_0": (128, 18, [0]), "q2_0": (64, 18, [0]),
}
COUNT = 2000  # blocks a type

rng = np.random.default_rng(11)


def half(blocks, offset=0):
    return blocks[:, offset:offset + 2].copy().view(np.float16).astype(np.float32)


def bits(blocks, offset, width):
    """Fields of `width` bits from `offset` on, the lowest first."""
    per_byte = 8 // width
    fields = blocks[:, offset:, None] >> (width * np.arange(per_byte, dtype=np.uint8)) & (2**width - 1)
    return fields.reshape(len(blocks), -1)


FORMULAS = {
    "q8_1": lambda b: half(b) * b[:, 4:].view(np.int8).astype(np.float32),
    "q8_k": lambda b: b[:, :4].copy().view(np.float32) * b[:, 4:260].copy().view(np.int8).astype(np.float32),
    "q1_0": lambda b: np.where(bits(b, 2, 1), half(b), -half(b)),
    "q2_0": lambda b: half(b) * (bits(b, 2, 2).astype(np.float32) - 1),
}


def reference(name, blocks):
    with np.errstate(all="ignore"):
        if name in FORMULAS:
            return FORMULAS[name](blocks).ravel()
        return quants.dequantize(blocks, gguf.GGMLQuantizationType[name.upper()]).ravel()


def cast(source, target, data, elements):
    done = subprocess.run([str(common.BUILD / "tola_cast"), source, target, "ieee", str(elements)], input=data,
                          capture_output=True)
    if done.returncode:
        raise common.Refused(done.stderr.decode())
    return done.stdout, int(done.stderr)


def samples(name):
    """Random blocks with finite scales, with any scales, and of equal bytes."""
    elements, size, scales = BLOCKS[name]
    blocks = rng.integers(0, 256, (COUNT, size), dtype=np.uint8)
    modest = blocks.copy()
    for offset in scales:
        values = (rng.standard_normal(COUNT) * 2.0 ** rng.integers(-14, 4, COUNT)).astype(np.float16)
        modest[:, offset:offset + 2] = values[:, None].view(np.uint8)
    same = np.repeat(np.array([0, 0xFF, 0x7F, 0x80, 0x7C, 0x55], np.uint8)[:, None], size, axis=1)
    return np.concatenate([modest, blocks, same])


def check_decoding(name):
    blocks = samples(name)
    elements = len(blocks) * BLOCKS[name][0]
    want = reference(name, blocks)
    data, _ = cast(name, "f32", blocks.tobytes(), elements)
    got = np.frombuffer(data, np.float32)
    good = (got.view(np.uint32) == want.view(np.uint32)) | (np.isnan(got) & np.isnan(want))
    bad = np.flatnonzero(~good)
    tally.check(f"{name} -> f32", bad.size == 0, f"{bad.size} of {good.size} differ" +
                (f", element {bad[0]}: {got[bad[0]]!r}, expected {want[bad[0]]!r}" if bad.size else ""))
    with np.errstate(all="ignore"):
        want = want.astype(np.float16)
    data, overflowed = cast(name, "f16", blocks.tobytes(), elements)
    got16 = np.frombuffer(data, np.float16)
    good = (got16.view(np.uint16) == want.view(np.uint16)) | (np.isnan(got16) & np.isnan(want))
    tally.check(f"{name} -> f16", good.all())
    tally.equal(f"{name} -> f16: overflowed", overflowed, int((np.isinf(got16) & np.isfinite(got)).sum()))


# ---- encoding ----

DEFINED = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "tq1_0", "tq2_0", "mxfp4"]  # the package's bits are the type's
LIKE_GGML = ["q1_0", "q2_0", "nvfp4"]  # the error is no larger than that of ggml's quantize_row_*_ref


def rows():
    """Weights of many kinds, a multiple of 256 each."""
    shapes = {
        "gaussian": rng.standard_normal(256 * 400) * 0.02,
        "heavy": rng.standard_t(3, 256 * 100) * 0.01,
        "uniform": rng.uniform(-1, 1, 256 * 40),
        "positive": np.abs(rng.standard_normal(256 * 20)),
        "spread": rng.standard_normal(256 * 100) * 2.0 ** rng.integers(-16, 8, 256 * 100),
        "ternary": rng.integers(-1, 2, 256 * 20) * 0.37,
        "halves": rng.integers(-12, 13, 256 * 20) / 2,
        "below powers": np.nextafter(np.float32(2) ** rng.integers(-20, 10, 256 * 40).astype(np.float32), np.float32(0)),
        "zeros": np.concatenate([np.zeros(512), -np.zeros(256), np.eye(256)[7], -np.eye(256)[255]]),
        "tiny": rng.standard_normal(256 * 20) * 1e-9,
        "large": rng.standard_normal(256 * 20) * 500,
    }
    return {name: values.astype(np.float32) for name, values in shapes.items()}


def encodes(name):
    try:
        cast("f32", name, bytes(1024), 256)
    except common.Refused:
        return False
    return True


def check_defined(name, kind, x):
    with np.errstate(all="ignore"):
        want = quants.quantize(x, gguf.GGMLQuantizationType[name.upper()]).reshape(-1, BLOCKS[name][1])
    data, overflowed = cast("f32", name, x.tobytes(), x.size)
    got = np.frombuffer(data, np.uint8).reshape(want.shape)
    bad = np.flatnonzero((got != want).any(axis=1))
    at = bad[0] if bad.size else 0
    tally.check(f"f32 -> {name}, {kind}", bad.size == 0, f"{bad.size} of {len(want)} blocks differ, block {at}: "
                f"{bytes(got[at]).hex()}, expected {bytes(want[at]).hex()}")
    tally.equal(f"f32 -> {name}, {kind}: clamped", overflowed, 0)


def ggml_of(name, x):
    """ggml's own encoding, by its formulas."""
    if name == "q1_0":
        blocks = x.reshape(-1, 128)
        d = np.abs(blocks).astype(np.float64).mean(axis=1, keepdims=True).astype(np.float16).astype(np.float32)
        return np.where(blocks >= 0, d, -d).ravel()
    if name == "q2_0":
        blocks = x.reshape(-1, 64)
        d = np.abs(blocks).max(axis=1, keepdims=True)
        q = np.clip(quants.np_roundf(np.where(d > 0, blocks / np.where(d > 0, d, 1), 0)), -1, 2)
        return (q * d.astype(np.float16).astype(np.float32)).ravel()
    blocks = x.reshape(-1, 16)
    scale = quants.NVFP4.fp32_to_ue4m3(np.abs(blocks).max(axis=1, keepdims=True) / np.float32(6))
    d = quants.NVFP4.ue4m3_to_fp32(scale).astype(np.float32)
    values = d[:, :, None] * np.array(quants.NVFP4.kvalues, np.float32)
    best = np.abs(values - blocks[:, :, None]).argmin(axis=2)
    return np.take_along_axis(np.broadcast_to(values, (len(blocks), 16, 16)), best[:, :, None], 2).ravel()


def decoded(name, data, n):
    return np.frombuffer(cast(name, "f32", data, n)[0], np.float32)


def rmse(a, b):
    return float(np.sqrt(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)))


def check_error(name, kind, x):
    with np.errstate(all="ignore"):
        x = np.clip(x, -2688, 2688)  # what nvfp4 holds
        theirs = rmse(ggml_of(name, x), x)
    data, _ = cast("f32", name, x.tobytes(), x.size)
    mine = rmse(decoded(name, data, x.size), x)
    tally.check(f"f32 -> {name}, {kind}: error", mine <= theirs * (1 + 1e-6), f"{mine:.8g}, ggml's {theirs:.8g}")
    return mine, theirs


def check_ggml(library, name, kind, x):
    """The same with ggml itself, zeros without a sign: the scale of nothing but -0 has another there."""
    x = x + np.float32(0)
    quantize = getattr(library, f"quantize_row_{name}_ref")
    quantize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    elements, size = BLOCKS[name][:2]
    out = np.zeros(x.size // elements * size, np.uint8)
    quantize(x.ctypes.data, out.ctypes.data, x.size)
    data, _ = cast("f32", name, x.tobytes(), x.size)
    if name in DEFINED or name in ("q8_1", "q8_k"):
        tally.check(f"f32 -> {name}, {kind}: ggml's bits", data == out.tobytes())
    else:
        mine, theirs = (rmse(decoded(name, d, x.size), x) for d in (data, out.tobytes()))
        tally.check(f"f32 -> {name}, {kind}: error beside libggml's", mine <= theirs * (1 + 1e-6), f"{mine}, {theirs}")


def main():
    for name in BLOCKS:
        check_decoding(name)
    library = None
    if os.environ.get("TOLA_GGML"):
        library = ctypes.CDLL(os.environ["TOLA_GGML"])
    else:
        tally.skip("TOLA_GGML names no libggml-base: encoders are held against the gguf package and formulas only")
    for name in filter(encodes, BLOCKS):
        for kind, x in rows().items():
            if name in DEFINED:
                check_defined(name, kind, x)
            elif name in LIKE_GGML:
                check_error(name, kind, x)
            if library and name in DEFINED + LIKE_GGML:
                check_ggml(library, name, kind, x)
    tally.finish()


main()
