"""Header-only checkpoints with the shapes of published models: sparse safetensors files, made from config.json.

usage: make_shape.py CONFIG.json FOLDER [--shards N] [--pack KIND] [--extra]

Understands model_type llama, mistral, qwen2, qwen3, mixtral, qwen3_moe and deepseek_v3. KIND packs the matrices of the
layers as quantizers do: fp8, gptq, awq, compressed, bnb4, mlx, nvfp4. --extra adds the layers that predict further
tokens (num_nextn_predict_layers)."""

import argparse
import json
import os
import pathlib
import struct

SIZES = {"BF16": 2, "F16": 2, "F32": 4, "F8_E4M3": 1, "U8": 1, "I32": 4, "U32": 4, "I64": 8}


class Shape:
    """Collects (name, dtype, shape); matrices go through the packing."""

    def __init__(self, pack):
        self.tensors, self.pack = [], pack

    def plain(self, name, *shape, dtype="BF16"):
        self.tensors.append((name, dtype, list(shape)))

    def matrix(self, base, rows, columns):
        add, g = self.plain, 128
        groups = -(-columns // g)
        if self.pack == "fp8":
            add(base + ".weight", rows, columns, dtype="F8_E4M3")
            add(base + ".weight_scale_inv", -(-rows // 128), -(-columns // 128), dtype="F32")
        elif self.pack == "gptq":
            add(base + ".qweight", columns // 8, rows, dtype="I32")
            add(base + ".qzeros", groups, rows // 8, dtype="I32")
            add(base + ".scales", groups, rows, dtype="F16")
            add(base + ".g_idx", columns, dtype="I32")
        elif self.pack == "awq":
            add(base + ".qweight", columns, rows // 8, dtype="I32")
            add(base + ".qzeros", groups, rows // 8, dtype="I32")
            add(base + ".scales", groups, rows, dtype="F16")
        elif self.pack == "compressed":
            add(base + ".weight_packed", rows, columns // 8, dtype="I32")
            add(base + ".weight_scale", rows, groups)
            add(base + ".weight_shape", 2, dtype="I64")
        elif self.pack == "bnb4":
            add(base + ".weight", rows * columns // 2, 1, dtype="U8")
            add(base + ".weight.absmax", rows * columns // 64, dtype="U8")
            add(base + ".weight.quant_map", 16, dtype="F32")
            add(base + ".weight.nested_absmax", rows * columns // 64 // 256, dtype="F32")
            add(base + ".weight.nested_quant_map", 256, dtype="F32")
            add(base + ".weight.quant_state.bitsandbytes__nf4", 100, dtype="U8")
        elif self.pack == "mlx":
            add(base + ".weight", rows, columns // 8, dtype="U32")
            add(base + ".scales", rows, columns // 64)
            add(base + ".biases", rows, columns // 64)
        elif self.pack == "nvfp4":
            add(base + ".weight", rows, columns // 2, dtype="U8")
            add(base + ".weight_scale", rows, columns // 16, dtype="F8_E4M3")
            add(base + ".weight_scale_2", dtype="F32")
            add(base + ".input_scale", dtype="F32")
        else:
            add(base + ".weight", rows, columns)


def attention(s, p, c):
    width, heads = c["hidden_size"], c["num_attention_heads"]
    if c["model_type"] == "deepseek_v3":
        nope, rope, v = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
        q, kv = c["q_lora_rank"], c["kv_lora_rank"]
        s.matrix(p + "self_attn.q_a_proj", q, width)
        s.plain(p + "self_attn.q_a_layernorm.weight", q)
        s.matrix(p + "self_attn.q_b_proj", heads * (nope + rope), q)
        s.matrix(p + "self_attn.kv_a_proj_with_mqa", kv + rope, width)
        s.plain(p + "self_attn.kv_a_layernorm.weight", kv)
        s.matrix(p + "self_attn.kv_b_proj", heads * (nope + v), kv)
        s.matrix(p + "self_attn.o_proj", width, heads * v)
        return
    dim = c.get("head_dim") or width // heads
    kv = c.get("num_key_value_heads", heads) * dim
    for name, rows in (("q_proj", heads * dim), ("k_proj", kv), ("v_proj", kv)):
        s.matrix(f"{p}self_attn.{name}", rows, width)
        if c["model_type"] == "qwen2":
            s.plain(f"{p}self_attn.{name}.bias", rows)
    s.matrix(p + "self_attn.o_proj", width, heads * dim)
    if c["model_type"].startswith("qwen3"):
        s.plain(p + "self_attn.q_norm.weight", dim)
        s.plain(p + "self_attn.k_norm.weight", dim)


def dense(s, p, width, ff):
    s.matrix(p + "gate_proj", ff, width)
    s.matrix(p + "up_proj", ff, width)
    s.matrix(p + "down_proj", width, ff)


def feed_forward(s, p, c, layer):
    width, kind = c["hidden_size"], c["model_type"]
    if kind == "mixtral":
        s.plain(p + "block_sparse_moe.gate.weight", c["num_local_experts"], width)
        for e in range(c["num_local_experts"]):
            for name in ("w1", "w2", "w3"):
                rows, columns = c["intermediate_size"], width
                if name == "w2":
                    rows, columns = columns, rows
                s.matrix(f"{p}block_sparse_moe.experts.{e}.{name}", rows, columns)
    elif kind == "deepseek_v3" and layer >= c["first_k_dense_replace"]:
        s.plain(p + "mlp.gate.weight", c["n_routed_experts"], width)
        s.plain(p + "mlp.gate.e_score_correction_bias", c["n_routed_experts"], dtype="F32")
        for e in range(c["n_routed_experts"]):
            dense(s, f"{p}mlp.experts.{e}.", width, c["moe_intermediate_size"])
        dense(s, p + "mlp.shared_experts.", width, c["moe_intermediate_size"] * c["n_shared_experts"])
    elif kind == "qwen3_moe":
        s.plain(p + "mlp.gate.weight", c["num_experts"], width)
        for e in range(c["num_experts"]):
            dense(s, f"{p}mlp.experts.{e}.", width, c["moe_intermediate_size"])
    else:
        dense(s, p + "mlp.", width, c["intermediate_size"])


def make(config, pack=None, extra=False):
    s, width = Shape(pack), config["hidden_size"]
    s.plain("model.embed_tokens.weight", config["vocab_size"], width)
    layers = config["num_hidden_layers"]
    more = config.get("num_nextn_predict_layers", 0) if extra else 0
    for i in range(layers + more):
        p = f"model.layers.{i}."
        s.plain(p + "input_layernorm.weight", width)
        s.plain(p + "post_attention_layernorm.weight", width)
        attention(s, p, config)
        feed_forward(s, p, config, i)
        if i >= layers:
            s.plain(p + "embed_tokens.weight", config["vocab_size"], width)
            s.plain(p + "shared_head.head.weight", config["vocab_size"], width)
            s.plain(p + "shared_head.norm.weight", width)
            s.plain(p + "enorm.weight", width)
            s.plain(p + "hnorm.weight", width)
            s.plain(p + "eh_proj.weight", width, 2 * width)
    s.plain("model.norm.weight", width)
    if not config.get("tie_word_embeddings"):
        s.plain("lm_head.weight", config["vocab_size"], width)
    return s.tensors


def count(shape):
    n = 1
    for extent in shape:
        n *= extent
    return n


def write(tensors, folder, shards, config):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(count(shape) * SIZES[dtype] for _, dtype, shape in tensors)
    parts, size = [[]], 0
    for tensor in tensors:
        if size > total / shards and len(parts) < shards:
            parts.append([])
            size = 0
        parts[-1].append(tensor)
        size += count(tensor[2]) * SIZES[tensor[1]]
    weight_map = {}
    for i, part in enumerate(parts):
        name = f"model-{i + 1:05}-of-{len(parts):05}.safetensors" if len(parts) > 1 else "model.safetensors"
        header, at = {}, 0
        for tensor, dtype, shape in part:
            end = at + count(shape) * SIZES[dtype]
            header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
            weight_map[tensor] = name
            at = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(folder / name, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            f.truncate(8 + len(text) + at)
    if len(parts) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("folder")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--pack")
    parser.add_argument("--extra", action="store_true")
    arguments = parser.parse_args()
    with open(arguments.config) as f:
        chosen = json.load(f)
    write(make(chosen, arguments.pack, arguments.extra), arguments.folder, arguments.shards, chosen)
    print(arguments.folder, os.listdir(arguments.folder))
