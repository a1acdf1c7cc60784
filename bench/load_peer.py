"""The peer of bench/load.c: loads every tensor with the format's own Python package and touches every byte.

usage: load_peer.py FILE      (safetensors for .safetensors, torch.load for everything else)
The time excludes starting Python and importing, which would flatter us."""
import sys
import time

import numpy as np


def words(flat):
    flat = flat.view(np.uint8).reshape(-1)
    whole = len(flat) // 8 * 8
    total = int(flat[:whole].view(np.uint64).sum(dtype=np.uint64))
    tail = flat[whole:].tobytes()
    return total + int.from_bytes(tail, "little"), len(flat)


def safetensors(path):
    from safetensors import safe_open
    import torch
    start = time.perf_counter()
    total = count = 0
    with safe_open(path, "pt") as f:
        for name in f.keys():
            s, n = words(f.get_tensor(name).view(torch.uint8).numpy())
            total, count = total + s, count + n
    return start, total, count


def pytorch(path):
    import torch
    start = time.perf_counter()
    total = count = 0
    for tensor in torch.load(path, weights_only=True, map_location="cpu").values():
        s, n = words(tensor.contiguous().view(torch.uint8).numpy())
        total, count = total + s, count + n
    return start, total, count


path = sys.argv[1]
start, total, count = (safetensors if path.endswith(".safetensors") else pytorch)(path)
seconds = time.perf_counter() - start
print(f"{count} bytes in {seconds:.4f} s: {count / seconds / 1e9:.2f} GB/s, sum {total % 2**64:016x}")
