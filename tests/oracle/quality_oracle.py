#!/usr/bin/env python3
"""bench/quality/quality.csv is what the encoders give today, and no encoder is worse than ggml's.

Real weights must give the very figures; generated ones may differ by a thousandth, since a logarithm of another libm
moves a weight's last bit. With $LLAMA_QUANTIZE ggml's columns are made again, too."""

import sys

import common

tally = common.Tally("quality")
sys.path.insert(0, str(common.ROOT / "bench" / "quality"))
try:
    import make_quality as quality
except ImportError as missing:
    tally.skip(missing)
    tally.finish()


def same(data, got, expected):
    if got == expected or not got:
        return True
    if data.startswith(quality.REAL):
        return False
    return abs(float(got) - float(expected)) <= 1e-3 * max(abs(float(expected)), 1)


def main():
    committed, now = quality.read_table(), quality.table()
    for data in quality.DATA:
        if not any(key[0] == data for key in now):
            tally.skip(f"{data} is absent")
    for key, row in now.items():
        expected = committed.get(key, [""] * len(row))
        tally.check(f"{key[0]}, {key[1]} as in quality.csv", all(map(same, [key[0]] * len(row), row[2:], expected[2:])),
                    f"{','.join(row)} instead of {','.join(expected)}")
    worst = {}
    for (data, kind), row in committed.items():
        if not row[8]:  # ggml has no such type
            continue
        which = kind, data.endswith(" weighted")
        worst[which] = max(worst.get(which, 0), float(row[8]))
    for which, ratio in worst.items():
        what = f"{which[0]}{' with an importance matrix' if which[1] else ''}"
        tally.check(f"{what}: no worse than ggml's", ratio <= 1.001, f"{ratio} times as much error")
    tally.finish()


main()
