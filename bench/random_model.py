#!/usr/bin/env python3
"""Language models of published shapes with Gaussian weights, as f16 GGUF files: random_model.py SHAPE FILE [--layers N]
[--type q4_k]

With --type q4_k matrices are random blocks of that type at once, which takes seconds where quantizing takes minutes.
Shapes: tinyllama (1.1B; 22 layers of width 2048), llama-7b (32 layers of width 4096), moe (layers of Qwen3-30B-A3B:
128 experts of 768, 8 used; 4 of its 48 layers unless told otherwise, so that every type fits into memory beside others).
A vocabulary of 32000 comes with all, so that every program can read text. Speeds do not depend on what the weights are.
The standard library is enough."""
import argparse
import array
import math
import random
import struct

F32, F16, Q4_K = 0, 1, 12  # ggml_type
Q4_K_BYTES = 144  # of 256 numbers
U32, I32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # GGUF's kinds of values
SHAPES = {
    "tinyllama": {"architecture": "llama", "layers": 22, "width": 2048, "feed_forward": 5632, "heads": 32,
                  "kv_heads": 4, "head_dim": 64},
    "llama-7b": {"architecture": "llama", "layers": 32, "width": 4096, "feed_forward": 11008, "heads": 32,
                 "kv_heads": 32, "head_dim": 128},
    "moe": {"architecture": "qwen3moe", "layers": 4, "width": 2048, "feed_forward": 6144, "heads": 32, "kv_heads": 4,
            "head_dim": 128, "experts": 128, "used": 8, "expert_feed_forward": 768},
}
VOCABULARY, CONTEXT = 32000, 16384


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, kind, value):
    if kind == STRING:
        return text(key) + struct.pack("<I", STRING) + text(value)
    return text(key) + struct.pack("<I" + {U32: "I", FLOAT: "f", BOOL: "?"}[kind], kind, value)


def words():
    """<unk>, <s>, </s>, the bytes, and made words with a space before them: name, score, kind."""
    yield "<unk>", 0.0, 2
    yield "<s>", 0.0, 3
    yield "</s>", 0.0, 3
    for byte in range(256):
        yield f"<0x{byte:02X}>", 0.0, 6
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    made = ["\u2581"] + list(letters) + ["\u2581" + a for a in letters]
    made += [a + b for a in letters for b in letters]
    made += ["\u2581" + a + b for a in letters for b in letters]
    made += [a + b + c for a in letters for b in letters for c in letters]
    made += ["\u2581" + a + b + c for a in letters for b in letters for c in letters]
    for rank, word in enumerate(made[:VOCABULARY - 259]):
        yield word, -float(rank), 1


def vocabulary():
    names, scores, kinds = zip(*words())
    assert len(names) == VOCABULARY
    out = entry("tokenizer.ggml.model", STRING, "llama")
    out += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", ARRAY, STRING, len(names)) + b"".join(map(text, names))
    out += text("tokenizer.ggml.scores") + struct.pack("<IIQ", ARRAY, FLOAT, len(scores))
    out += struct.pack(f"<{len(scores)}f", *scores)
    out += text("tokenizer.ggml.token_type") + struct.pack("<IIQ", ARRAY, I32, len(kinds))
    out += struct.pack(f"<{len(kinds)}i", *kinds)
    for key, value in (("bos", 1), ("eos", 2), ("unknown", 0)):
        out += entry(f"tokenizer.ggml.{key}_token_id", U32, value)
    return out + entry("tokenizer.ggml.add_bos_token", BOOL, True), 8


def metadata(s):
    a = s["architecture"]
    values = [("general.architecture", STRING, a), ("general.file_type", U32, 1),
              (f"{a}.block_count", U32, s["layers"]),
              (f"{a}.context_length", U32, CONTEXT), (f"{a}.embedding_length", U32, s["width"]),
              (f"{a}.feed_forward_length", U32, s["feed_forward"]),
              (f"{a}.attention.head_count", U32, s["heads"]), (f"{a}.attention.head_count_kv", U32, s["kv_heads"]),
              (f"{a}.attention.key_length", U32, s["head_dim"]), (f"{a}.attention.value_length", U32, s["head_dim"]),
              (f"{a}.rope.dimension_count", U32, s["head_dim"]), (f"{a}.vocab_size", U32, VOCABULARY),
              (f"{a}.attention.layer_norm_rms_epsilon", FLOAT, 1e-5), (f"{a}.rope.freq_base", FLOAT, 10000.0)]
    if "experts" in s:
        values += [(f"{a}.expert_count", U32, s["experts"]), (f"{a}.expert_used_count", U32, s["used"]),
                   (f"{a}.expert_feed_forward_length", U32, s["expert_feed_forward"])]
    return b"".join(entry(*v) for v in values), len(values)


def tensors(s):
    """Names and shapes, outermost first."""
    width, kv = s["width"], s["kv_heads"] * s["head_dim"]
    yield "token_embd.weight", [VOCABULARY, width]
    for i in range(s["layers"]):
        p = f"blk.{i}."
        yield p + "attn_norm.weight", [width]
        for name, rows in (("attn_q", s["heads"] * s["head_dim"]), ("attn_k", kv), ("attn_v", kv)):
            yield f"{p}{name}.weight", [rows, width]
        yield p + "attn_output.weight", [width, s["heads"] * s["head_dim"]]
        yield p + "ffn_norm.weight", [width]
        if "experts" in s:
            experts, inner = s["experts"], s["expert_feed_forward"]
            yield p + "attn_q_norm.weight", [s["head_dim"]]
            yield p + "attn_k_norm.weight", [s["head_dim"]]
            yield p + "ffn_gate_inp.weight", [experts, width]
            yield p + "ffn_gate_exps.weight", [experts, inner, width]
            yield p + "ffn_up_exps.weight", [experts, inner, width]
            yield p + "ffn_down_exps.weight", [experts, width, inner]
        else:
            yield p + "ffn_gate.weight", [s["feed_forward"], width]
            yield p + "ffn_up.weight", [s["feed_forward"], width]
            yield p + "ffn_down.weight", [width, s["feed_forward"]]
    yield "output_norm.weight", [width]
    yield "output.weight", [VOCABULARY, width]


def is_f32(name, shape):
    return len(shape) == 1 or name.endswith("ffn_gate_inp.weight")  # as converters keep routers


def random_q4_k(blocks):
    """Blocks whose numbers are about as large as the Gaussian ones: two scales in f16, then codes."""
    head = struct.pack("<2e", 7e-5, 7.5 * 7e-5)
    return b"".join(head + random.randbytes(Q4_K_BYTES - len(head)) for _ in range(blocks))


def make(path, shape, layers=None, seed=11, kind=F16):
    """Writes the file; the bytes of all tensors."""
    s = dict(SHAPES[shape])
    s["layers"] = layers or s["layers"]
    laid, at = [], 0
    for name, extents in tensors(s):
        size = math.prod(extents) * (4 if is_f32(name, extents) else 2)
        if kind == Q4_K and not is_f32(name, extents):
            size = math.prod(extents) // 256 * Q4_K_BYTES
        laid.append((name, extents, size, at))
        at += (size + 31) // 32 * 32
    parts = [metadata(s), vocabulary()]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(laid), sum(n for _, n in parts)) + b"".join(p for p, _ in parts)
    for name, extents, _, offset in laid:
        head += text(name) + struct.pack(f"<I{len(extents)}Q", len(extents), *reversed(extents))
        head += struct.pack("<IQ", F32 if is_f32(name, extents) else kind, offset)
    random.seed(seed)
    count = 1 << 21
    numbers = [random.gauss(0, 0.02) for _ in range(count)]
    pools = {F16: struct.pack(f"<{count}e", *numbers), F32: struct.pack(f"<{count}f", *numbers),
             Q4_K: random_q4_k(1 << 15) if kind == Q4_K else b""}
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32))
        for name, extents, size, _ in laid:
            if len(extents) == 1:
                f.write(array.array("f", [1.0] * extents[0]).tobytes())
                size = 0
            pool = pools[F32 if is_f32(name, extents) else kind]
            while size:
                unit = Q4_K_BYTES if pool is pools[Q4_K] else 4
                begin = random.randrange(len(pool) // 2 // unit) * unit
                part = pool[begin:begin + min(size, len(pool) - begin)]
                f.write(part)
                size -= len(part)
            f.write(b"\0" * (-f.tell() % 32))
    return sum(t[2] for t in laid)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("file")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--type", choices=["f16", "q4_k"], default="f16")
    arguments = parser.parse_args()
    kind = Q4_K if arguments.type == "q4_k" else F16
    print(make(arguments.file, arguments.shape, arguments.layers, kind=kind), "bytes of tensors")
