#!/usr/bin/env python3
"""codec_convert against numpy, ml_dtypes and torch: every pair of number types, both ways of overflowing.

f32 sources: a million random bit patterns, ties and neighbours of ties; 16-bit and smaller ones: every pattern; f64 and
integers: random patterns, near ties of the narrow types, limits. Two references: the packages' own casts from f32 and
narrower, and for every source the nearest value found by bisection in extended precision, which holds every f64 and
64-bit integer, so that rounding twice would show."""

import subprocess

import common

tally = common.Tally("cast")

try:
    import ml_dtypes
    import numpy as np
except ImportError as missing:
    tally.skip(missing)
    tally.finish()
try:
    import torch
except ImportError:
    torch = None

WIDE = np.longdouble
assert np.finfo(WIDE).nmant >= 63, "this test needs the x87 extended type"

FLOATS = {
    "f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16,
    "f8_e4m3": ml_dtypes.float8_e4m3fn, "f8_e5m2": ml_dtypes.float8_e5m2, "f8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "f8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz, "f8_e8m0": ml_dtypes.float8_e8m0fnu,
    "f6_e2m3": ml_dtypes.float6_e2m3fn, "f6_e3m2": ml_dtypes.float6_e3m2fn, "f4": ml_dtypes.float4_e2m1fn,
}
INTEGERS = {
    "u8": (0, 2**8 - 1), "i8": (-2**7, 2**7 - 1), "u16": (0, 2**16 - 1), "i16": (-2**15, 2**15 - 1),
    "u32": (0, 2**32 - 1), "i32": (-2**31, 2**31 - 1), "u64": (0, 2**64 - 1), "i64": (-2**63, 2**63 - 1),
    "u4": (0, 15), "i4": (-8, 7), "u2": (0, 3), "i2": (-2, 1),
}
BITS = {"f64": 64, "f32": 32, "f16": 16, "bf16": 16, "f6_e2m3": 6, "f6_e3m2": 6, "f4": 4, "bool": 8}
BITS.update({name: int("".join(c for c in name if c.isdigit())) for name in INTEGERS})
BITS.update({name: 8 for name in FLOATS if name.startswith("f8")})
TORCH = {} if torch is None else {
    name: getattr(torch, t) for name, t in [("f16", "float16"), ("bf16", "bfloat16"), ("f8_e4m3", "float8_e4m3fn"),
                                            ("f8_e5m2", "float8_e5m2"), ("f8_e4m3fnuz", "float8_e4m3fnuz"),
                                            ("f8_e5m2fnuz", "float8_e5m2fnuz")] if hasattr(torch, t)}

rng = np.random.default_rng(7)


def pack(codes, bits):
    """One code a byte to `bits` bits each, least significant first."""
    planes = (codes[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(planes.astype(np.uint8).ravel(), bitorder="little").tobytes()


def unpack(data, bits):
    planes = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").reshape(-1, bits)
    return (planes << np.arange(bits, dtype=np.uint8)).sum(axis=1).astype(np.uint8)


def codes_of(name):
    """All patterns of a type of at most 16 bits."""
    return np.arange(2 ** BITS[name]).astype(np.uint16 if BITS[name] == 16 else np.uint8)


def decode(name, codes):
    """Bit patterns to extended precision, by the packages."""
    if name in FLOATS:
        return codes.view(FLOATS[name]).astype(np.float64).astype(WIDE)
    if name == "bool":
        return (codes != 0).astype(WIDE)
    if BITS[name] < 8 and name[0] == "i":
        return np.where(codes >> (BITS[name] - 1), codes.astype(int) - 2 ** BITS[name], codes).astype(WIDE)
    return codes.astype(WIDE)


def sources(name):
    """Bit patterns to convert; a multiple of 4 of them."""
    if BITS[name] <= 16 and name not in INTEGERS:
        return codes_of(name)
    if name == "bool" or BITS.get(name, 99) < 8:
        return np.tile(codes_of(name), 4)
    if name == "f32":
        u = rng.integers(0, 2**32, 1_000_000, dtype=np.uint32)
        near = rng.integers(-2, 3, 400_000)
        ties = []
        for keep in (7, 10, 3, 2, 1):
            t = u[:80_000] & np.uint32(0xFFFFFFFF << (23 - keep) & 0xFFFFFFFF)
            ties.append(t | np.uint32(1 << (22 - keep)))
        ties = (np.concatenate(ties).astype(np.int64) + near).astype(np.uint32)
        modest = np.float32(rng.standard_normal(200_000) * 2.0 ** rng.integers(-30, 30, 200_000)).view(np.uint32)
        return np.concatenate([u, ties, modest])
    if name == "f64":
        u = rng.integers(0, 2**64, 100_000, dtype=np.uint64)
        f = rng.standard_normal(200_000) * 2.0 ** rng.integers(-150, 140, 200_000)
        ties = []
        for keep in (7, 10, 3, 2, 1, 23):
            t = f[:60_000].view(np.uint64) >> np.uint64(52 - keep) << np.uint64(52 - keep) | np.uint64(1 << (51 - keep))
            ties.append((t.astype(np.int64) + rng.integers(-1, 2, t.size)).view(np.uint64))
        return np.concatenate([u, f.view(np.uint64), *ties])
    low, high = INTEGERS[name]
    size = f"{'i' if low else 'u'}{BITS[name] // 8}"
    spread = rng.integers(low, high, 40_000, dtype=size, endpoint=True)
    small = (spread >> rng.integers(0, BITS[name], spread.size).astype(size)).astype(size)
    edges = np.array([v for v in (low, low + 1, -1, 0, 1, high - 1, high, 2**24 + 1, 2**53 + 1) if low <= v <= high])
    edges = np.resize(edges, 12).astype(size)
    return np.concatenate([spread, small, edges])


def nearest(values, table):
    """Indices of the nearest entries of an ascending table, ties to the even index."""
    middles = (table[:-1] + table[1:]) / 2
    left = np.searchsorted(middles, values, "left")
    right = np.searchsorted(middles, values, "right")
    return np.where(left % 2 == 0, left, right)


def expect_float(name, x, saturate):
    """Patterns of the nearest values (NaN as -1) and how many finite inputs overflowed; x in extended precision."""
    if name == "f64":
        with np.errstate(over="ignore"):
            return x.astype(np.float64), 0
    bits = BITS[name]
    magnitudes = codes_of(name)[: 2 ** (bits - 1)]
    table = decode(name, magnitudes)
    usable = np.isfinite(table)
    top = int(np.flatnonzero(usable)[-1])
    table = np.concatenate([table[: top + 1], [2 * table[top] - table[top - 1]]])  # the next, were there one
    a = np.abs(x)
    code = nearest(np.where(np.isnan(a), 0, a), table)
    over = code > top
    count = int((over & np.isfinite(x)).sum())
    clamps = bits < 8 or saturate
    infinite = {"f16": 0x7C00, "bf16": 0x7F80, "f8_e5m2": 0x7C}.get(name, -1)
    code = np.where(over, top if clamps else infinite, code)
    sign = np.signbit(x)
    zero = (code == 0) & ("fnuz" in name)
    code = np.where(sign & (code >= 0) & ~zero, code | 1 << (bits - 1), code)
    return np.where(np.isnan(x), -1, code), count


def expect_f32(x, saturate):
    with np.errstate(over="ignore"):
        y = x.astype(np.float32)
    over = np.isinf(y)
    if saturate:
        y = np.where(over, np.copysign(np.finfo(np.float32).max, y), y)
    return y, int((over & np.isfinite(x)).sum())


def expect_e8m0(x, saturate):
    wrong = ~(x > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mantissa, exponent = np.frexp(np.where(wrong | ~np.isfinite(x), 1, x))  # [0.5, 1)
    code = exponent - 1 + 127 + (mantissa >= 0.75)
    code = np.maximum(code, 0)
    above = ((code > 254) | np.isposinf(x)) & ~wrong
    count = int(((above | wrong) & np.isfinite(x)).sum())
    code = np.where(above, 254 if saturate else -1, code)
    code = np.where(wrong, 0 if saturate else -1, code)
    return np.where(np.isnan(x), -1, code), count


def expect_integer(name, x):
    low, high = (WIDE(v) for v in INTEGERS[name])
    r = np.rint(np.where(np.isnan(x), 0, x))
    count = int((((r < low) | (r > high)) & np.isfinite(x)).sum())
    r = np.clip(r, low, high)
    return np.where(r < 0, r + (WIDE(2) ** 64), r).astype(np.uint64) & np.uint64(2 ** BITS[name] - 1), count


def patterns(name, data):
    """What tola wrote, one unsigned number an element."""
    if BITS[name] < 8:
        return unpack(data, BITS[name])
    return np.frombuffer(data, f"u{BITS[name] // 8}")


def convert(source, target, codes, saturate):
    data = pack(codes, BITS[source]) if BITS[source] < 8 else codes.tobytes()
    mode = "saturate" if saturate else "ieee"
    done = subprocess.run([str(common.BUILD / "tola_cast"), source, target, mode, str(codes.size)], input=data,
                          capture_output=True)
    if done.returncode:
        raise common.Refused(done.stderr.decode())
    return patterns(target, done.stdout), int(done.stderr)


def as_wide(source, codes):
    if source in ("f64", "f32"):
        return codes.view(FLOATS[source]).astype(WIDE)
    return decode(source, codes)


def same_floats(name, got, want):
    """Values where NaN stays NaN; bits otherwise."""
    if name in ("f64", "f32"):
        y = got.view(FLOATS[name])
        return (np.isnan(y) & np.isnan(want)) | (got == want.view(got.dtype))
    nan = got & 2 ** (BITS[name] - 1) - 1 == 0 if BITS[name] < 8 else np.isnan(decode(name, got))  # no NaN: a zero
    return np.where(want < 0, nan, got == want)


def report(what, good, codes, got):
    bad = np.flatnonzero(~good)
    tally.check(what, bad.size == 0, f"{bad.size} differ, first {hex(codes[bad[0]]) if bad.size else ''} gave "
                f"{hex(got[bad[0]]) if bad.size else ''}")


def check_pair(source, target, codes, x, saturate):
    got, overflowed = convert(source, target, codes, saturate)
    what = f"{source} -> {target}{' saturated' if saturate else ''}"
    if target == "bool":
        want, count = (x != 0).astype(np.uint8), 0
        good = got == want
    elif target in INTEGERS:
        want, count = expect_integer(target, x)
        good = got == want
    elif target == "f8_e8m0":
        want, count = expect_e8m0(x, saturate)
        good = same_floats(target, got, want)
    elif target == "f32":
        want, count = expect_f32(x, saturate and source == "f64")  # nothing narrower is beyond its range
        good = same_floats(target, got, want)
    else:
        want, count = expect_float(target, x, saturate)
        good = same_floats(target, got, want)
    report(what, good, codes, got)
    tally.equal(f"{what}: overflowed", overflowed, count)
    return got


def check_packages(source, target, codes, got):
    """The packages' own casts, from sources that f32 holds."""
    with np.errstate(all="ignore"):
        x = codes.view(FLOATS[source]).astype(np.float32)
        mine = got.view(FLOATS[target]).astype(np.float32)
        theirs = x.astype(FLOATS[target]).astype(np.float32)
    nans = np.isnan(mine) & np.isnan(theirs)
    if BITS[target] < 8:
        nans |= np.isnan(x) & (mine == 0)
    if target == "f8_e8m0":
        nans |= np.abs(x) < 2.0**-126  # ml_dtypes 0.6 rounds numbers just above 2^-127 up to 2^-126
    report(f"{source} -> {target} as ml_dtypes and numpy", nans | (mine.view(np.uint32) == theirs.view(np.uint32)),
           codes, got)
    if target in TORCH:
        theirs = torch.from_numpy(x.copy()).to(TORCH[target]).to(torch.float32).numpy()
        good = (np.isnan(mine) & np.isnan(theirs)) | (mine.view(np.uint32) == theirs.view(np.uint32))
        if target == "f8_e4m3":  # beyond the range older torch gives NaN, newer 448
            good |= np.isnan(mine) & (np.abs(theirs) == 448) & (np.abs(x) > 464)
        report(f"{source} -> {target} as torch", good, codes, got)


def main():
    names = [*FLOATS, *INTEGERS, "bool"]
    for source in names:
        codes = sources(source)
        x = as_wide(source, codes)
        for target in names:
            if source == target:
                continue
            got = check_pair(source, target, codes, x, False)
            if target in FLOATS:
                check_pair(source, target, codes, x, True)
            if source in FLOATS and source != "f64" and target in FLOATS and BITS[target] <= 16:
                check_packages(source, target, codes, got)
    if not TORCH:
        tally.skip("torch is absent")
    tally.finish()


main()
