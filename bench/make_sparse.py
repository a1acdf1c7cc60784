"""Makes a model folder of any size out of sparse files: real headers, an index, a configuration, no data on disk.

usage: make_sparse.py FOLDER [--shape llama405b|deepseek-v3] [--shards N]

llama405b: 1,138 tensors in bf16, 812 GB.  deepseek-v3: 45,866 tensors (61 layers, 256 experts, f8 with f32 block
scales where the published model has them), 688 GB."""
import argparse
import json
import os
import struct

SIZES = {"BF16": 2, "F8_E4M3": 1, "F32": 4}


def llama405b():
    width, ff, kv, layers, vocabulary = 16384, 53248, 1024, 126, 128256
    yield "model.embed_tokens.weight", "BF16", [vocabulary, width]
    for i in range(layers):
        p = f"model.layers.{i}."
        for name, rows, cols in (("q", width, width), ("k", kv, width), ("v", kv, width), ("o", width, width)):
            yield f"{p}self_attn.{name}_proj.weight", "BF16", [rows, cols]
        for name, rows, cols in (("gate", ff, width), ("up", ff, width), ("down", width, ff)):
            yield f"{p}mlp.{name}_proj.weight", "BF16", [rows, cols]
        yield f"{p}input_layernorm.weight", "BF16", [width]
        yield f"{p}post_attention_layernorm.weight", "BF16", [width]
    yield "model.norm.weight", "BF16", [width]
    yield "lm_head.weight", "BF16", [vocabulary, width]


LLAMA_CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16384, "intermediate_size": 53248,
    "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8, "vocab_size": 128256,
    "max_position_embeddings": 131072, "rope_theta": 500000.0, "torch_dtype": "bfloat16",
}


def fp8(name, rows, cols):
    yield name + ".weight", "F8_E4M3", [rows, cols]
    yield name + ".weight_scale_inv", "F32", [-(-rows // 128), -(-cols // 128)]


def deepseek_v3():
    width, vocabulary = 7168, 129280
    yield "model.embed_tokens.weight", "BF16", [vocabulary, width]
    for i in range(61):
        p = f"model.layers.{i}."
        yield p + "input_layernorm.weight", "BF16", [width]
        yield p + "post_attention_layernorm.weight", "BF16", [width]
        yield p + "self_attn.q_a_layernorm.weight", "BF16", [1536]
        yield p + "self_attn.kv_a_layernorm.weight", "BF16", [512]
        for name, rows, cols in (("q_a_proj", 1536, width), ("q_b_proj", 24576, 1536),
                                 ("kv_a_proj_with_mqa", 576, width), ("kv_b_proj", 32768, 512),
                                 ("o_proj", width, 16384)):
            yield from fp8(f"{p}self_attn.{name}", rows, cols)
        blocks = [("mlp", 18432)] if i < 3 else [(f"mlp.experts.{e}", 2048) for e in range(256)]
        if i >= 3:
            blocks.append(("mlp.shared_experts", 2048))
            yield p + "mlp.gate.weight", "BF16", [256, width]
            yield p + "mlp.gate.e_score_correction_bias", "F32", [256]
        for block, ff in blocks:
            yield from fp8(f"{p}{block}.gate_proj", ff, width)
            yield from fp8(f"{p}{block}.up_proj", ff, width)
            yield from fp8(f"{p}{block}.down_proj", width, ff)
    yield "model.norm.weight", "BF16", [width]
    yield "lm_head.weight", "BF16", [vocabulary, width]


DEEPSEEK_CONFIG = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "hidden_size": 7168,
    "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 61, "num_attention_heads": 128,
    "num_key_value_heads": 128, "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
    "first_k_dense_replace": 3, "vocab_size": 129280, "max_position_embeddings": 163840, "q_lora_rank": 1536,
    "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "torch_dtype": "bfloat16", "quantization_config": {"quant_method": "fp8", "fmt": "e4m3",
                                                       "weight_block_size": [128, 128]},
}


def size(dtype, shape):
    n = SIZES[dtype]
    for extent in shape:
        n *= extent
    return n


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--shape", default="llama405b", choices=["llama405b", "deepseek-v3"])
    parser.add_argument("--shards", type=int, default=150)
    args = parser.parse_args()
    tensors, config = ((list(llama405b()), LLAMA_CONFIG) if args.shape == "llama405b"
                       else (list(deepseek_v3()), DEEPSEEK_CONFIG))
    total = sum(size(d, s) for _, d, s in tensors)
    os.makedirs(args.folder, exist_ok=True)
    shards, filled = [[]], 0
    for index, tensor in enumerate(tensors):
        if shards[-1] and len(shards) < args.shards and (
                filled >= total / args.shards * len(shards) or len(tensors) - index <= args.shards - len(shards)):
            shards.append([])
        shards[-1].append(tensor)
        filled += size(tensor[1], tensor[2])
    weight_map = {}
    for number, shard in enumerate(shards):
        name = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        header, at = {"__metadata__": {"format": "pt"}}, 0
        for tensor, dtype, shape in shard:
            end = at + size(dtype, shape)
            header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
            weight_map[tensor] = name
            at = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(os.path.join(args.folder, name), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            f.truncate(8 + len(text) + at)
    with open(os.path.join(args.folder, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}, f, indent=2)
    with open(os.path.join(args.folder, "config.json"), "w") as f:
        json.dump(config, f, indent=2)
    print(f"{args.folder}: {len(tensors)} tensors, {len(shards)} shards, {total / 1e9:.0f} GB")


main()
