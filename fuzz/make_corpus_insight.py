"""Makes fuzz/corpus/insight: small folders with packed weights and the files that lie beside models."""

import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))
import make_shape  # noqa: E402

CORPUS = ROOT / "fuzz" / "corpus" / "insight"
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 128, "num_attention_heads": 2,
         "num_key_value_heads": 1, "intermediate_size": 128, "num_hidden_layers": 1, "vocab_size": 8}
DEEPSEEK = {"model_type": "deepseek_v3", "hidden_size": 16, "num_attention_heads": 2, "q_lora_rank": 8,
            "kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4, "intermediate_size": 16,
            "moe_intermediate_size": 8, "num_hidden_layers": 2, "first_k_dense_replace": 1, "n_routed_experts": 2,
            "n_shared_experts": 1, "num_experts_per_tok": 1, "vocab_size": 8, "num_nextn_predict_layers": 1}


def safetensors(tensors):
    header, at = {}, 0
    for name, dtype, shape in tensors:
        size = make_shape.count(shape) * make_shape.SIZES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    # short weights compress well and keep the corpus small
    return struct.pack("<Q", len(text)) + text + bytes(i * 7 % 251 for i in range(at))


def save(name, config, tensors, files):
    parts = {"model.safetensors": safetensors(tensors), "config.json": json.dumps(config).encode()}
    parts.update((k, v if isinstance(v, bytes) else json.dumps(v).encode()) for k, v in files.items())
    CORPUS.mkdir(parents=True, exist_ok=True)
    (CORPUS / name).write_bytes(b"".join(b"\nFILE " + k.encode() + b"\n" + v for k, v in parts.items()))


def small(tensors):
    """A few rows of everything, whatever the configuration says."""
    return [(name, dtype, [min(n, 4) for n in shape]) for name, dtype, shape in tensors]


tokenizer = {"added_tokens": [{"id": 1}], "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
unigram = {"model": {"type": "Unigram", "vocab": [["a", -1.0], ["b", -2.0]]}}
quantization = {"gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128}, "awq": {"w_bit": 4},
                "compressed": {"quant_method": "compressed-tensors",
                               "config_groups": {"group_0": {"weights": {"num_bits": 4}}}},
                "bnb4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "nvfp4": {"quant_algo": "NVFP4"},
                "fp8": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
for kind, words in quantization.items():
    save(kind, {**LLAMA, "quantization_config": words}, small(make_shape.make(LLAMA, kind)), {"tokenizer.json": tokenizer})
save("mlx", {**LLAMA, "quantization": {"bits": 4, "group_size": 64}}, small(make_shape.make(LLAMA, "mlx")),
     {"README.md": b"---\nlicense: other\nlicense_name: acme\n---\n"})
save("experts", DEEPSEEK, make_shape.make(DEEPSEEK, extra=True), {"tokenizer.json": unigram})
save("beside", {**LLAMA, "peft_type": "LORA"}, [("x.lora_A.weight", "F32", [2, 4]), ("x.lora_B.weight", "F32", [4, 2])],
     {"adapter_config.json": {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "a/b"},
      "LICENSE": b"Apache License", "vocab.txt": b"a\nb\n", "tokenizer_config.json": {"tokenizer_class": "T", "chat_template": "x"}})
save("vocabulary", LLAMA, [("model.embed_tokens.weight", "BF16", [8, 4])],
     {"vocab.json": {"a": 0}, "merges.txt": b"a b\n", "chat_template.jinja": b"{{ x }}"})
save("missing", LLAMA, [("a", "F32", [1])],
     {"model.safetensors.index.json": {"metadata": {"total_size": 10, "total_parameters": 5},
                                       "weight_map": {"a": "model.safetensors", "b": "other.safetensors"}}})
