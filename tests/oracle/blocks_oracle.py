#!/usr/bin/env python3
"""Block types against the gguf package, bit by bit: random bytes and chosen scales of every type, decoded by Tola.

Types that the package does not decode (q8_1, q8_k, q1_0, q2_0) are held against their formulas, written out here."""

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


def main():
    for name in BLOCKS:
        check_decoding(name)
    tally.finish()


main()
