#!/usr/bin/env python3
"""Writes fuzz/corpus/shape: small configurations of every kind that policy/shape*.c knows.
usage: make_corpus_shape.py [FOLDER]"""
import json
import pathlib
import sys

BASE = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2,
        "num_hidden_layers": 4, "vocab_size": 100, "max_position_embeddings": 512}
MOE = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_shared_experts": 1,
       "first_k_dense_replace": 1}
MLA = {"kv_lora_rank": 16, "q_lora_rank": 24, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
SSM = {"mamba_num_heads": 4, "mamba_head_dim": 16, "n_groups": 1, "ssm_state_size": 8, "conv_kernel": 4}
WINDOWS = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"] * 2}
CASES = {
    "llama": {}, "qwen2": {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2},
    "qwen3_moe": MOE, "gpt_oss": {**MOE, **WINDOWS, "quantization_config": {"quant_method": "mxfp4"}},
    "deepseek_v3": {**MOE, **MLA, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}},
    "deepseek_v32": {**MOE, **MLA, "index_n_heads": 2, "index_head_dim": 8},
    "deepseek_v4": {**MOE, "q_lora_rank": 24, "head_dim": 16, "o_groups": 2, "o_lora_rank": 8, "index_n_heads": 2,
                    "index_head_dim": 8, "hc_mult": 4, "compress_ratios": [128, 4, 0, 4], "sliding_window": 16},
    "nemotron_h": {**SSM, **MOE, "hybrid_override_pattern": "M*-E", "moe_latent_size": 16},
    "qwen3_5": {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
                "linear_value_head_dim": 8, "full_attention_interval": 4},
    "kimi_linear": {**MOE, **MLA, "linear_attn_config": {"kda_layers": [1, 2], "num_heads": 4, "head_dim": 8}},
    "gemma4_text": {**WINDOWS, "global_head_dim": 32, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 2},
    "gemma3n_text": {**WINDOWS, "intermediate_size": [128] * 4, "hidden_size_per_layer_input": 8},
    "mamba": {"state_size": 8}, "mamba2": {"num_heads": 8, "head_dim": 16, "state_size": 8},
    "jamba": {"num_experts": 4, "num_experts_per_tok": 2, "attn_layer_period": 4, "attn_layer_offset": 1},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 4}, "granitemoehybrid": {**MOE, "mamba_n_heads": 8},
    "lfm2": {"full_attn_idxs": [1], "block_multiple_of": 8}, "bert": {"type_vocab_size": 2},
    "nemotron-nas": {"block_configs": [{"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 2.5}},
                                       {"attention": {"no_op": True}, "ffn": {"no_op": True}}] * 2},
    "nonesuch": {"quantization_config": {"config_groups": {"group_0": {"weights": {
        "num_bits": 4, "type": "int", "group_size": 32, "strategy": "group"}}},
        "ignore": ["re:.*lm_head.*", "layers.1.self_attn", "*.mlp.*"]}},
    "phi": {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": -1}},
    "opt": {"quantization_config": {"quant_method": "bitsandbytes", "bnb_4bit_use_double_quant": True}},
    "glm4_moe": {**MOE, "quantization_config": {"quant_algo": "MIXED_PRECISION", "quantized_layers": {
        "model.layers.0.mlp": {"quant_algo": "NVFP4", "group_size": 16}}}},
}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "corpus/shape")
    folder.mkdir(parents=True, exist_ok=True)
    for name, more in CASES.items():
        (folder / f"{name}.json").write_text(json.dumps({"model_type": name, "dtype": "bfloat16", **BASE, **more}))
    vision = {"depth": 2, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "patch_size": 4,
              "image_size": 16}
    for outer, inner in (("qwen3_vl", "qwen3_vl_text"), ("gemma3", "gemma3_text"), ("llama4", "llama4_text"),
                         ("kimi_k25", "deepseek_v3"), ("strange", "llama")):
        (folder / f"{outer}.json").write_text(json.dumps(
            {"model_type": outer, "text_config": {"model_type": inner, **BASE, **(MLA if "seek" in inner else {})},
             "vision_config": vision}))
    for name in ("t5", "bart", "whisper"):
        (folder / f"{name}.json").write_text(json.dumps(
            {"model_type": name, "d_model": 64, "num_heads": 4, "d_kv": 16, "d_ff": 128, "num_layers": 2,
             "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "vocab_size": 100}))
    (folder / "vit.json").write_text(json.dumps(
        {"model_type": "vit", **BASE, "image_size": 32, "patch_size": 8, "num_labels": 10}))
    (folder / "resnet.json").write_text(json.dumps(
        {"model_type": "resnet", "depths": [1, 2], "hidden_sizes": [16, 32], "embedding_size": 8, "num_labels": 10}))


if __name__ == "__main__":
    main()
