#!/usr/bin/env python3
"""Makes fuzz/corpus/dequantize: blocks of every type, and rows of weights for every encoder."""
import pathlib
import random
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "dequantize"
TYPES = range(32, 59)  # the block types of tola_dtype

rng = random.Random(1)
OUT.mkdir(parents=True, exist_ok=True)
weights = struct.pack("<256f", *(rng.gauss(0, 0.02) for _ in range(256)))
odd = struct.pack("<8f", float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 1e-45, -0.0, 65520.0)
for t in TYPES:
    (OUT / f"blocks-{t}").write_bytes(bytes([t, 0]) + rng.randbytes(300))
    (OUT / f"ones-{t}").write_bytes(bytes([t, 0]) + b"\xff" * 300)
    (OUT / f"row-{t}").write_bytes(bytes([t, 2]) + weights)
    (OUT / f"nans-{t}").write_bytes(bytes([t, 2]) + b"\xff" * 300)  # which become zeros
    (OUT / f"odd-{t}").write_bytes(bytes([t, 3]) + odd + weights[:512])
