"""Counting parameters: checkpoints with the shapes of published models against what is known about those, and packed
ones against the unpacked; real files against a walk over their tensors in numpy."""

import json
import pathlib
import struct

import common
import make_shape

tally = common.Tally("inspect")


def inspect(path, *flags):
    return json.loads(common.run("tola", "inspect", "--json", *flags, path))


# ---- published models ----

MLA = {"hidden_size": 7168, "num_attention_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512,
       "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128}
CONFIGS = {
    "llama-3.1-8b": {"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
                     "intermediate_size": 14336, "num_hidden_layers": 32, "vocab_size": 128256},
    "llama-3.1-405b": {"model_type": "llama", "hidden_size": 16384, "num_attention_heads": 128,
                       "num_key_value_heads": 8, "intermediate_size": 53248, "num_hidden_layers": 126,
                       "vocab_size": 128256},
    "qwen2.5-0.5b": {"model_type": "qwen2", "hidden_size": 896, "num_attention_heads": 14, "num_key_value_heads": 2,
                     "intermediate_size": 4864, "num_hidden_layers": 24, "vocab_size": 151936,
                     "tie_word_embeddings": True},
    "mixtral-8x7b": {"model_type": "mixtral", "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
                     "intermediate_size": 14336, "num_hidden_layers": 32, "vocab_size": 32000, "num_local_experts": 8,
                     "num_experts_per_tok": 2},
    "qwen3-30b-a3b": {"model_type": "qwen3_moe", "hidden_size": 2048, "num_attention_heads": 32,
                      "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144,
                      "moe_intermediate_size": 768, "num_hidden_layers": 48, "vocab_size": 151936, "num_experts": 128,
                      "num_experts_per_tok": 8},
    "deepseek-v3": {"model_type": "deepseek_v3", **MLA, "intermediate_size": 18432, "moe_intermediate_size": 2048,
                    "num_hidden_layers": 61, "first_k_dense_replace": 3, "n_routed_experts": 256, "n_shared_experts": 1,
                    "num_experts_per_tok": 8, "vocab_size": 129280, "num_nextn_predict_layers": 1},
}
# Parameters as the models' cards and `total_size` of their indexes give them (bytes / 2 for bf16).
TOTALS = {"llama-3.1-8b": 8030261248, "llama-3.1-405b": 405853388800, "qwen2.5-0.5b": 494032768,
          "mixtral-8x7b": 46702792704, "qwen3-30b-a3b": 30532122624}
ABOUT = {"deepseek-v3": (671.03e9, 37.55e9), "mixtral-8x7b": (46.70e9, 12.88e9), "qwen3-30b-a3b": (30.53e9, 3.35e9)}


def weights(tensors):
    return sum(make_shape.count(shape) for _, _, shape in tensors)


def check_published(folder):
    for name, config in CONFIGS.items():
        tensors = make_shape.make(config)
        make_shape.write(tensors, folder / name, 3, config)
        got = inspect(folder / name)
        total = got["parameters"]["total"]
        tally.equal(f"{name}: parameters", total, weights(tensors))
        tally.equal(f"{name}: sum of roles", sum(got["parameters"]["by_role"].values()), total)
        tally.equal(f"{name}: nothing unknown", got["parameters"]["by_role"]["other"], 0)
        if name in TOTALS:
            tally.equal(f"{name}: published parameters", total, TOTALS[name])
        if name in ABOUT:
            published, active = ABOUT[name]
            tally.check(f"{name}: total", abs(total - published) < 0.01e9, total)
            tally.check(f"{name}: active", abs(got["parameters"]["active"] - active) < 0.01e9,
                        got["parameters"]["active"])
        else:
            tally.equal(f"{name}: active", got["parameters"]["active"], total)
        tally.equal(f"{name}: layers", got["layers"], config["num_hidden_layers"])
        tally.equal(f"{name}: vocabulary", got["vocabulary"], config["vocab_size"])
        tally.equal(f"{name}: no warnings", got["warnings"], [])


def check_further_tokens(folder):
    """Layers that predict further tokens are parameters, but not active ones."""
    config = CONFIGS["deepseek-v3"]
    make_shape.write(make_shape.make(config), folder / "v3", 2, config)
    make_shape.write(make_shape.make(config, extra=True), folder / "v3-extra", 2, config)
    less, more = inspect(folder / "v3")["parameters"], inspect(folder / "v3-extra")["parameters"]
    tally.equal("deepseek-v3 with its further layer: active", more["active"], less["active"])
    tally.check("deepseek-v3 with its further layer: total", more["total"] == 684489845504, more["total"])


# ---- packed ----

QUANTIZATION = {
    "fp8": {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}},
    "gptq": {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}},
    "awq": {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}},
    "compressed": {"quantization_config": {
        "quant_method": "compressed-tensors", "format": "pack-quantized",
        "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 128}}}}},
    "bnb4": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True,
                                     "bnb_4bit_quant_type": "nf4"}},
    "mlx": {"quantization": {"bits": 4, "group_size": 64}},
    "nvfp4": {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}},
}


def check_packed(folder):
    """A packed model has the parameters, by role, of the one it was made from; with and without a configuration."""
    for model in ("llama-3.1-8b", "mixtral-8x7b"):
        plain = CONFIGS[model]
        make_shape.write(make_shape.make(plain), folder / "plain", 1, plain)
        want = inspect(folder / "plain")["parameters"]
        for kind, extra in QUANTIZATION.items():
            for config in ({**plain, **extra}, plain):
                what = f"{model} {kind}{'' if config is not plain else ' without a word in the configuration'}"
                make_shape.write(make_shape.make(plain, kind), folder / "packed", 1, config)
                got = inspect(folder / "packed")
                tally.equal(f"{what}: parameters", got["parameters"], want)
                bits = got["bytes"]["tensors"] * 8 / want["total"]  # scales and zero points included
                tally.check(f"{what}: bits per weight", abs(got["bits_per_weight"] - bits) < 1e-9, got["bits_per_weight"])
                tally.equal(f"{what}: buffers", got["buffers"], 0)
                if config is not plain:
                    tally.check(f"{what}: named", got["quantization"], got["quantization"])


# ---- real files ----

KEYS = ["schema", "format", "architecture", "parameters", "buffers", "bytes", "bits_per_weight", "dtypes",
        "context_length", "tokenizer", "licence", "tensors", "metadata", "digest", "warnings"]


def check_real():
    """Every safetensors file: sizes, offsets and shapes as its header says; every file: the keys that are promised."""
    if not common.DATA.exists():
        return tally.skip(f"no data at {common.DATA}")
    for path in sorted((common.DATA / "safetensors").rglob("*.safetensors")):
        name = str(path.relative_to(common.DATA))
        raw = path.read_bytes()
        length = struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        got = inspect(path)
        seen = {t["name"]: (t["shape"], t["offset"] - 8 - length, t["bytes"]) for t in got["tensors"]}
        want = {k: (v["shape"], v["data_offsets"][0], v["data_offsets"][1] - v["data_offsets"][0])
                for k, v in header.items()}
        tally.equal(f"{name}: tensors", seen, want)
        tally.equal(f"{name}: bytes", got["bytes"], {"file": len(raw), "tensors": sum(v[2] for v in want.values())})
        tally.equal(f"{name}: metadata", inspect(path, "--metadata")["metadata"], metadata)
    for path in sorted(common.DATA.rglob("*")):
        if path.suffix not in (".gguf", ".safetensors", ".npy", ".npz"):
            continue
        try:
            got = inspect(path)
        except common.Refused as refused:
            tally.check(str(path), False, str(refused))
            continue
        lacking = [key for key in KEYS if key not in got]
        tally.equal(f"{path.name}: promised keys", lacking, [])
    for path in sorted((common.DATA / "index").iterdir()):
        if not (path / "model.safetensors.index.json").exists():
            continue
        got = inspect(path)
        index = json.loads((path / "model.safetensors.index.json").read_text())
        tally.equal(f"{path.name}: tensors named by the index", got["missing_tensors"], len(index["weight_map"]))
        tally.check(f"{path.name}: says that shards are missing", any("missing" in w for w in got["warnings"]))
        config = json.loads((path / "config.json").read_text())
        tally.equal(f"{path.name}: layers", got["layers"], config["num_hidden_layers"])


with common.folder() as temporary:
    where = pathlib.Path(temporary)
    check_published(where)
    check_further_tokens(where)
    check_packed(where)
check_real()
tally.finish()
