#!/usr/bin/env python3
"""mixture_choose against llama-quantize: the type of every tensor under every mixture, for many architectures.

$LLAMA_QUANTIZE names the program (its --dry-run says types without reading weights; one model is quantized for good, so
that general.file_type is compared, too). Where it is absent, its answers are taken from mixture_choices.csv beside this
script, which `mixture_oracle.py --write` makes with it: model, mixture, importance matrix, fall-backs and, in the order
of the model's tensors, types with how often they repeat. The models are made from the list below either way."""

import concurrent.futures
import csv
import os
import random
import re
import struct
import subprocess
import sys

import common

tally = common.Tally("mixture")
CHOICES = common.ROOT / "tests" / "oracle" / "mixture_choices.csv"
PEER = os.environ.get("LLAMA_QUANTIZE")


def llama(layers, experts=0, bias=False, columns=256, wide=512, tied=False):
    """(name, shape) of each tensor, shapes outermost first; kinds together, so that types repeat."""
    each = {"attn_norm.weight": (columns,), "attn_q.weight": (4, columns), "attn_k.weight": (2, columns),
            "attn_v.weight": (2, columns), "attn_output.weight": (2, columns), "ffn_norm.weight": (columns,)}
    if bias:
        each |= {"attn_q.bias": (4,), "attn_q_norm.weight": (64,)}
    if experts:
        each |= {"ffn_gate_inp.weight": (experts, columns), "ffn_gate_exps.weight": (experts, 2, columns),
                 "ffn_up_exps.weight": (experts, 2, columns), "ffn_down_exps.weight": (experts, 2, wide)}
    else:
        each |= {"ffn_gate.weight": (2, columns), "ffn_up.weight": (2, columns), "ffn_down.weight": (2, wide)}
    return model(layers, each, columns, tied)


def model(layers, each, columns, tied, extra=()):
    tensors = [("token_embd.weight", (3, columns)), ("output_norm.weight", (columns,)), *extra]
    if not tied:
        tensors.append(("output.weight", (3, columns)))
    return tensors + [(f"blk.{i}.{name}", shape) for name, shape in each.items() for i in range(layers)]


def shared_experts(layers, experts, columns=256, wide=256):
    """qwen2moe and deepseek: shared experts beside the others, so two tensors of a kind in a layer."""
    return llama(layers, experts, columns=columns, wide=wide) + [
        (f"blk.{i}.ffn_{kind}_shexp.weight", (2, columns)) for kind in ("gate", "up", "down") for i in range(layers)
    ] + [(f"blk.{i}.ffn_gate_inp_shexp.weight", (columns,)) for i in range(layers)]


def fused(layers, columns=256, wide=512, gate_up=False, tied=False, extra=()):
    """falcon, gpt2, phi3: q, k and v in one matrix."""
    return model(layers, {"attn_norm.weight": (columns,), "attn_qkv.weight": (6, columns), "attn_qkv.bias": (6,),
                          "attn_output.weight": (2, columns), "ffn_up.weight": (4 if gate_up else 2, columns),
                          "ffn_down.weight": (2, wide)}, columns, tied, extra)


def mla(layers, experts, columns=256):
    """deepseek2: low-rank attention, the first layer without experts."""
    each = {"attn_q_a.weight": (2, columns), "attn_q_b.weight": (2, 256), "attn_kv_a_mqa.weight": (2, columns),
            "attn_kv_b.weight": (2, 512), "attn_k_b.weight": (2, 2, 128), "attn_v_b.weight": (2, 2, 512),
            "attn_output.weight": (2, columns)}
    tensors = model(layers, each, columns, False)
    for i in range(layers):
        for kind in ("gate", "up", "down"):
            if i == 0:
                tensors.append((f"blk.{i}.ffn_{kind}.weight", (2, columns)))
            else:
                tensors.append((f"blk.{i}.ffn_{kind}_exps.weight", (experts, 2, columns)))
                tensors.append((f"blk.{i}.ffn_{kind}_shexp.weight", (2, columns)))
    return tensors


ODD = [(name, (4, 256)) for name in (
    "token_types.weight", "position_embd.weight", "per_layer_token_embd.weight", "per_layer_model_proj.weight",
    "blk.0.altup_router.weight", "blk.0.laurel_l.weight", "blk.0.time_mix_w1.weight", "blk.0.time_mix_key.weight",
    "blk.0.attn_rel_b.weight", "blk.0.indexer.k_proj.weight", "v.patch_embd.weight", "blk.0.ffn_up.scale",
    "blk.1.ffn_gate_tid2eid.weight", "cls.weight", "blk.1.hc_attn_fn.weight", "blk.1.indexer.attn_q_b.weight",
    "blk.1.nextn.eh_proj.weight", "blk.1.more.attn_q_a.weight")] + [
    ("blk.0.ssm_conv1d.weight", (8, 4)), ("blk.0.one_row.weight", (1, 256)), ("blk.0.one_matrix.weight", (1, 4, 256)),
    ("blk.1.four.weight", (2, 2, 2, 256))]

T5 = [(f"{side}.blk.{i}.{name}", (2, 256)) for side in ("dec", "enc") for i in range(12)
      for name in ("attn_v.weight", "ffn_down.weight")] + [("token_embd.weight", (3, 256))]

GLM5 = {"attention.key_length_mla": 64, "attention.value_length_mla": 64, "attention.q_lora_rank": 64,
        "attention.kv_lora_rank": 64, "ssm.conv_kernel": 4, "kda.head_dim": 64, "expert_shared_count": 1,
        "expert_feed_forward_length": 64, "attention.indexer.head_count": 4, "attention.indexer.key_length": 64,
        "attention.indexer.top_k": 4, "attention.indexer.kpool": 4, "hyper_connection.count": 4,
        "hyper_connection.sinkhorn_iterations": 2, "hyper_connection.epsilon": 1e-6}
BAILING = {"attention.key_length_mla": 64, "attention.value_length_mla": 64, "attention.kv_lora_rank": 64,
           "ssm.conv_kernel": 4, "kda.head_dim": 64, "kda.gate_lower_bound": -5.0, "expert_feed_forward_length": 64,
           "expert_shared_count": 1, "leading_dense_block_count": 1, "expert_gating_func": 2}
DEEPSEEK = {"attention.q_lora_rank": 64, "attention.kv_lora_rank": 64, "expert_feed_forward_length": 64,
            "expert_shared_count": 1, "leading_dense_block_count": 1}

# name: architecture, layers, heads, heads of keys, experts, tensors, keys beyond the common ones
MODELS = {
    "llama": ("llama", 32, 32, 32, 0, llama(32), {}),
    "llama-tied": ("llama", 16, 32, 8, 0, llama(16, tied=True), {}),
    "mistral": ("llama", 24, 32, 8, 0, llama(24), {}),
    "llama-70b": ("llama", 80, 64, 8, 0, llama(80), {}),
    "llama-65b": ("llama", 80, 64, 64, 0, llama(80), {}),
    "llama-80-shared-by-2": ("llama", 80, 64, 32, 0, llama(80), {}),
    "llama-80-experts": ("llama", 80, 64, 8, 8, llama(80, 8), {}),
    "mixtral": ("llama", 32, 32, 8, 8, llama(32, 8), {}),
    "mixtral-split": ("llama", 8, 32, 8, 8, [t for t in llama(8) if "ffn_" not in t[0]] + [
        (f"blk.{i}.ffn_{kind}.{e}.weight", (2, 256)) for kind in ("down", "gate", "up") for i in range(8)
        for e in range(8)], {}),
    "four-experts": ("llama", 16, 32, 16, 4, llama(16, 4), {}),
    "qwen2": ("qwen2", 28, 28, 4, 0, llama(28, bias=True), {}),
    "qwen2-72b": ("qwen2", 80, 64, 64, 0, llama(80, bias=True), {}),
    "qwen3": ("qwen3", 36, 32, 8, 0, llama(36, bias=True), {}),
    "qwen3moe": ("qwen3moe", 20, 32, 4, 128, llama(20, 128, bias=True), {}),
    "qwen2moe": ("qwen2moe", 24, 16, 16, 60, shared_experts(24, 60), {"expert_shared_feed_forward_length": 64}),
    "gemma": ("gemma", 18, 8, 1, 0, llama(18, tied=True), {}),
    "gemma2": ("gemma2", 26, 8, 4, 0, llama(26, tied=True), {"attention.sliding_window": 128}),
    "gemma3": ("gemma3", 34, 8, 4, 0, llama(34, tied=True, bias=True), {"attention.sliding_window": 128}),
    "phi3": ("phi3", 32, 32, 32, 0, fused(32, gate_up=True), {}),
    "falcon": ("falcon", 32, 71, 1, 0, fused(32, columns=512), {}),
    "falcon-odd": ("falcon", 60, 71, 71, 0, fused(60, columns=128, wide=160), {}),
    "falcon-experts": ("falcon", 32, 71, 1, 8, fused(32), {}),
    "gpt2": ("gpt2", 12, 12, 12, 0, fused(12, tied=True, extra=[("position_embd.weight", (8, 256))]), {}),
    "deci": ("deci", 80, 64, 8, 0, llama(80), {}),
    "olmo": ("olmo", 80, 64, 64, 0, llama(80), {}),
    "jais2": ("jais2", 68, 64, 16, 0, llama(68), {}),
    "deepseek2": ("deepseek2", 27, 16, 16, 64, mla(27, 64), DEEPSEEK),
    "deepseek2-8": ("deepseek2", 9, 16, 16, 8, mla(9, 8), DEEPSEEK),
    "glm5-next": ("glm5-next", 4, 16, 16, 8, mla(4, 8) + ODD, GLM5),
    "bailingmoe3": ("bailingmoe3", 4, 16, 16, 8, mla(4, 8), BAILING),
    "t5": ("t5", 12, 8, 8, 0, T5, {"attention.relative_buckets_count": 32}),
    "odd-names": ("llama", 2, 8, 8, 0, llama(2) + ODD, {}),
    "rows-of-288": ("llama", 9, 8, 2, 0, llama(9, columns=288, wide=768), {}),
    "rows-of-64": ("llama", 5, 8, 4, 0, llama(5, columns=64, wide=172), {}),
    "rows-of-96-tied": ("llama", 5, 8, 4, 0, llama(5, columns=96, wide=256, tied=True), {}),
    "rows-of-100": ("qwen2", 3, 8, 4, 0, llama(3, columns=100, wide=33), {}),
    "rows-of-128": ("llama", 3, 8, 4, 4, llama(3, 4, columns=128, wide=1664), {}),
}

draw = random.Random(20261121)
for number in range(12):
    layers, heads = draw.randint(1, 40), draw.choice([1, 4, 8, 12, 32])
    heads_kv = draw.choice([h for h in (1, 2, 3, 4, 8, 12, 32) if heads % h == 0 and h <= heads])
    experts = draw.choice([0, 0, 0, 2, 4, 8, 16])
    MODELS[f"random-{number}"] = (
        draw.choice(["llama", "qwen2", "qwen3", "gemma3"]), layers, heads, heads_kv, experts,
        llama(layers, experts, draw.random() < 0.5, draw.choice([256, 512, 320, 128, 48]),
              draw.choice([256, 1024, 544, 192, 72]), draw.random() < 0.5), {})


def write_gguf(path, name, sparse=True):
    """A GGUF of zeros; by hand, so that it needs no package and its weights are a hole."""
    architecture, layers, heads, heads_kv, experts, tensors, extra = MODELS[name]
    keys = {"context_length": 128, "embedding_length": heads * 64, "block_count": layers, "feed_forward_length": 512,
            "attention.head_count": heads, "attention.head_count_kv": heads_kv, "attention.layer_norm_epsilon": 1e-5,
            "attention.layer_norm_rms_epsilon": 1e-5}
    if experts:
        keys |= {"expert_count": experts, "expert_used_count": 2}
    keys |= extra

    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()

    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys) + 1)
    head += text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    for key, value in keys.items():
        head += text(f"{architecture}.{key}")
        head += struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)
    offset = 0
    for tensor, shape in tensors:
        head += text(tensor) + struct.pack("<I", len(shape))
        head += b"".join(struct.pack("<Q", extent) for extent in reversed(shape)) + struct.pack("<IQ", 0, offset)
        elements = 1
        for extent in shape:
            elements *= extent
        offset += -(-elements * 4 // 32) * 32
    head += bytes(-len(head) % 32)
    with open(path, "wb") as out:
        out.write(head)
        if sparse:
            out.truncate(len(head) + offset)
        else:  # weights for encoders: a small spread, no two alike
            spread = random.Random(7)
            out.write(struct.pack(f"<{offset // 4}f", *(spread.gauss(0, 0.02) for _ in range(offset // 4))))


def write_imatrix(path, names):
    """llama-imatrix's old format; names: {tensor: values}."""
    with open(path, "wb") as out:
        out.write(struct.pack("<i", len(names)))
        for name, count in names.items():
            out.write(struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 1, count))
            out.write(struct.pack(f"<{count}f", *[1.0] * count))


def ours(name):
    """{(mixture, importance): (file type, fall-backs, types)}"""
    architecture, layers, heads, heads_kv, experts, tensors, _ = MODELS[name]
    tied = not any(tensor == "output.weight" for tensor, _ in tensors)
    lines = [f"model {architecture} {layers} {heads} {heads_kv} {experts} {int(tied)}"]
    lines += [f"tensor {tensor} {' '.join(map(str, shape))}" for tensor, shape in tensors]
    done = subprocess.run([common.BUILD / "tola_mixture"], input="\n".join(lines) + "\n", text=True,
                          capture_output=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        mixture, importance, file_type, fallbacks, *types = line.split()
        found[mixture, int(importance)] = (int(file_type), int(fallbacks), types)
    return found


LINE = re.compile(r"\[ *\d+/ *\d+\] +(\S+) +- \[.*?\], type = +(\S+), size = .*?(?:-> .* \((\S+)\))?$")


def theirs(path, name, mixture, imatrix):
    """What llama-quantize would do: (fall-backs, types)."""
    command = [PEER, "--dry-run", *(["--imatrix", str(imatrix)] if imatrix else []), str(path), mixture]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    types = {}
    for line in said.splitlines():
        found = LINE.match(line.strip())
        if found:
            types[found[1]] = (found[3] or found[2]).lower()
    fallbacks = re.search(r"(\d+) of \d+ tensor\(s\) required fallback", said)
    if done.returncode or len(types) != len(MODELS[name][5]):
        return None
    return int(fallbacks[1]) if fallbacks else 0, [types[tensor] for tensor, _ in MODELS[name][5]]


def fold(types):
    """a a a b -> "a*3 b" """
    out = []
    for t in types:
        if out and out[-1][0] == t:
            out[-1][1] += 1
        else:
            out.append([t, 1])
    return " ".join(t if n == 1 else f"{t}*{n}" for t, n in out)


def ask_peer(mixtures):
    """{(model, mixture, importance): (fall-backs, folded types)}; fall-backs -1: it refuses."""
    answers = {}
    with common.folder() as folder:
        imatrix = f"{folder}/any.dat"
        write_imatrix(imatrix, {"none": 1})
        for name in MODELS:
            write_gguf(f"{folder}/m.gguf", name)
            asked = [(mixture, importance) for mixture in mixtures for importance in (0, 1)]
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                for (mixture, importance), answer in zip(asked, pool.map(
                        lambda a: theirs(f"{folder}/m.gguf", name, a[0], imatrix if a[1] else None), asked)):
                    answers[name, mixture, importance] = (answer[0], fold(answer[1])) if answer else (-1, "")
    return answers


def read_choices():
    with open(CHOICES, newline="") as file:
        rows = [row for row in csv.reader(file) if not row[0].startswith("#")]
    return {(model, mixture, int(i)): (int(fallbacks), types)
            for model, mixture, importance, fallbacks, types in rows for i in importance}


def write_choices(answers):
    with open(CHOICES, "w", newline="") as file:
        file.write("# llama-quantize's choices, made by mixture_oracle.py --write; fall-backs -1: it refuses\n")
        out = csv.writer(file, lineterminator="\n")
        for (name, mixture, importance), answer in answers.items():
            if importance == 0:
                same = answers[name, mixture, 1] == answer
                out.writerow([name, mixture, "01" if same else "0", *answer])
            elif answers[name, mixture, 0] != answer:
                out.writerow([name, mixture, "1", *answer])


def compare(answers):
    for name in MODELS:
        mine = ours(name)
        for (mixture, importance), (_, fallbacks, types) in mine.items():
            expected = answers[name, mixture, importance]
            what = f"{name} {mixture}{' with an importance matrix' if importance else ''}"
            if expected[0] < 0:  # rows that q1_0's blocks do not divide, which it refuses; we fall back
                tally.check(f"{what}: only q1_0 is refused", mixture == "Q1_0" and fallbacks > 0)
                continue
            types = ["f32" if t == "keep" else t for t in types]
            good = tally.equal(f"{what}: fall-backs", fallbacks, expected[0])
            if not tally.check(f"{what}: types", fold(types) == expected[1]) and good:
                print(f"  ours   {fold(types)}\n  theirs {expected[1]}")


def compare_files():
    """One model for good: types and general.file_type as they end up in a file."""
    with common.folder() as folder:
        name, target = "rows-of-128", f"{folder}/q.gguf"
        write_gguf(f"{folder}/m.gguf", name, sparse=False)
        tensors = MODELS[name][5]
        write_imatrix(f"{folder}/i.dat", {t: s[-1] * (s[0] if len(s) > 2 else 1) for t, s in tensors if len(s) > 1})
        for (mixture, importance), (file_type, _, types) in ours(name).items():
            if not importance:
                continue
            done = subprocess.run([PEER, "--imatrix", f"{folder}/i.dat", f"{folder}/m.gguf", target, mixture],
                                  capture_output=True, text=True, timeout=120)
            if not tally.check(f"{mixture}: llama-quantize ends well", done.returncode == 0, done.stdout[-300:]):
                continue
            written = common.dump(target)
            found = {t["name"]: t["dtype"] for t in written["tensors"]}
            tally.equal(f"{mixture}: types in the file", [found[t] for t, _ in tensors],
                        ["f32" if t == "keep" else t for t in types])
            said = written["metadata"]["value"]["general.file_type"]["value"]
            tally.equal(f"{mixture}: general.file_type", said, file_type)


def main():
    mixtures = sorted({mixture for mixture, _ in ours("odd-names")})
    if "--write" in sys.argv and not PEER:
        sys.exit("--write needs LLAMA_QUANTIZE")
    committed = read_choices() if CHOICES.exists() else {}
    if PEER:
        answers = ask_peer(mixtures)
        if "--write" in sys.argv:
            write_choices(answers)
            committed = answers
        tally.check("mixture_choices.csv is what this llama-quantize says", committed == answers)
        compare(answers)
        compare_files()
    else:
        compare(committed)
        tally.skip("LLAMA_QUANTIZE is not set: its committed answers were taken")
    tally.finish()


main()
