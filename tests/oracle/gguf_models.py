"""GGUF files of the families that `tola convert` does not write, from transformers' models, by llama.cpp's conventions.

Names come from gguf-py's own tensor maps (gguf.get_tensor_name_map), keys and layouts from what convert_hf_to_gguf.py
does for each architecture: Conv1D transposed, experts stacked and split into gate and up, DeepSeek's kv_b in halves,
gpt-oss' pairs apart, RoBERTa's positions without those of padding."""

import gguf
import numpy as np
import torch

ARCHITECTURES = {
    "gpt2": "GPT2", "olmoe": "OLMOE", "deepseek_v2": "DEEPSEEK2", "deepseek_v3": "DEEPSEEK2", "llama4_text": "LLAMA4",
    "gpt_oss": "GPT_OSS", "bert": "BERT", "roberta": "BERT",
    "smollm3": "SMOLLM3",
}


def common_keys(w, c):
    get = lambda *names: next((getattr(c, n) for n in names if getattr(c, n, None) is not None), None)
    w.add_vocab_size(c.vocab_size)
    w.add_context_length(get("max_position_embeddings", "n_positions"))
    w.add_embedding_length(get("hidden_size", "n_embd"))
    w.add_block_count(get("num_hidden_layers", "n_layer"))
    w.add_head_count(get("num_attention_heads", "n_head"))
    w.add_feed_forward_length(get("intermediate_size_mlp", "intermediate_size") or 4 * c.n_embd)
    if getattr(c, "num_key_value_heads", None):
        w.add_head_count_kv(c.num_key_value_heads)
    if getattr(c, "rms_norm_eps", None):
        w.add_layer_norm_rms_eps(c.rms_norm_eps)
    else:
        w.add_layer_norm_eps(get("layer_norm_eps", "layer_norm_epsilon"))


def rope_keys(w, c, tensors):
    rope = getattr(c, "rope_parameters", None)
    if not rope:
        return
    w.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        w.add_rope_scaling_yarn_beta_fast(rope.get("beta_fast") or 32.0)
        w.add_rope_scaling_yarn_beta_slow(rope.get("beta_slow") or 1.0)
    if rope["rope_type"] == "llama3":
        dim = c.head_dim
        inv = 1.0 / (rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
        import transformers.modeling_rope_utils as utils
        scaled, _ = utils.ROPE_INIT_FUNCTIONS["llama3"](c)
        tensors["rope_freqs.weight"] = inv / scaled


def expert_keys(w, c, kind):
    if kind == "olmoe":
        w.add_expert_count(c.num_experts)
        w.add_expert_used_count(c.num_experts_per_tok)
    elif kind in ("llama4_text", "gpt_oss"):
        w.add_expert_count(c.num_local_experts)
        w.add_expert_used_count(c.num_experts_per_tok)
        w.add_expert_feed_forward_length(c.intermediate_size)
        w.add_key_length(c.head_dim)
        w.add_value_length(c.head_dim)
        if kind == "gpt_oss":
            w.add_sliding_window(c.sliding_window)
        else:
            w.add_interleave_moe_layer_step(c.interleave_moe_layer_step)
            w.add_rope_dimension_count(c.head_dim)


def deepseek_keys(w, c, kind):
    w.add_head_count_kv(1)
    w.add_leading_dense_block_count(c.first_k_dense_replace)
    if c.q_lora_rank:
        w.add_q_lora_rank(c.q_lora_rank)
    w.add_kv_lora_rank(c.kv_lora_rank)
    w.add_key_length(c.kv_lora_rank + c.qk_rope_head_dim)
    w.add_value_length(c.kv_lora_rank)
    w.add_key_length_mla(c.qk_nope_head_dim + c.qk_rope_head_dim)
    w.add_value_length_mla(c.v_head_dim)
    w.add_expert_feed_forward_length(c.moe_intermediate_size)
    w.add_expert_count(c.n_routed_experts)
    w.add_expert_used_count(c.num_experts_per_tok)
    w.add_expert_shared_count(c.n_shared_experts)
    w.add_expert_weights_scale(c.routed_scaling_factor)
    w.add_rope_dimension_count(c.qk_rope_head_dim)
    if kind == "deepseek_v3" and c.norm_topk_prob:
        w.add_expert_weights_norm(True)
    w.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID if kind == "deepseek_v3"
                             else gguf.ExpertGatingFuncType.SOFTMAX)
    if c.n_group > 1:
        w.add_expert_group_count(c.n_group)
        w.add_expert_group_used_count(c.topk_group)
    scale = (c.rope_parameters or {}).get("mscale_all_dim")
    if scale is not None:
        w.add_rope_scaling_yarn_log_mul(0.1 * scale)


def layouts(kind, c, state):
    """(Hugging Face's name as the map knows it, tensor) for every tensor of the file."""
    stacks = {}
    for name, t in state.items():
        if "pooler" in name or name.endswith((".attn.bias", ".attn.masked_bias", "position_ids")):
            continue
        if kind == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            t = t.T
        if kind == "smollm3" and ("q_proj" in name or "k_proj" in name):  # halves of a head become neighbours
            heads = c.num_attention_heads if "q_proj" in name else c.num_key_value_heads
            t = t.reshape(heads, 2, t.shape[0] // heads // 2, *t.shape[1:]).swapaxes(1, 2).reshape(t.shape)
        if kind == "roberta" and "position_embeddings" in name:
            t = t[c.pad_token_id + 1:]
        if ".mlp.experts.gate_up_proj" in name or ".feed_forward.experts.gate_up_proj" in name:
            bias = name.endswith("bias")
            if kind in ("gpt_oss", "llama4_text") and not bias:
                t = t.transpose(-1, -2)
            if bias:
                gate, up = t[:, ::2], t[:, 1::2]
            elif kind == "gpt_oss":
                gate, up = t[:, ::2], t[:, 1::2]
            else:
                gate, up = t.chunk(2, dim=1)
            base = name[:name.index("gate_up_proj")]
            end = ".bias" if bias else ".weight"
            yield f"{base}gate_proj{end}", gate
            yield f"{base}up_proj{end}", up
            continue
        if ".experts.down_proj" in name:
            bias = name.endswith("bias")
            if kind in ("gpt_oss", "llama4_text") and not bias:
                t = t.transpose(-1, -2)
            yield name[:name.index("down_proj")] + "down_proj" + (".bias" if bias else ".weight"), t
            continue
        if name.endswith("e_score_correction_bias"):
            name = name.replace("e_score_correction_bias", "e_score_correction.bias")
        if name.endswith(".sinks"):
            name += ".weight"
        if name.endswith("kv_b_proj.weight"):
            kv = t.view(c.num_attention_heads, c.qk_nope_head_dim + c.v_head_dim, -1)
            k, v = torch.split(kv, [c.qk_nope_head_dim, c.v_head_dim], dim=1)
            yield name.replace("kv_b_proj", "k_b_proj"), k.transpose(1, 2)
            yield name.replace("kv_b_proj", "v_b_proj"), v
            continue
        yield name, t
    assert not stacks


def write(model, path):
    """False where the architecture is not known here."""
    c, kind = model.config, model.config.model_type
    if kind not in ARCHITECTURES:
        return False
    arch = getattr(gguf.MODEL_ARCH, ARCHITECTURES[kind])
    w = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    names = gguf.get_tensor_name_map(arch, getattr(c, "num_hidden_layers", None) or c.n_layer)
    tensors = {}
    if kind == "roberta":
        c.max_position_embeddings -= c.pad_token_id + 1
    if kind.startswith("deepseek"):
        kv, c.num_key_value_heads = c.num_key_value_heads, None
        common_keys(w, c)
        c.num_key_value_heads = kv
        deepseek_keys(w, c, kind)
    else:
        common_keys(w, c)
        expert_keys(w, c, kind)
    rope_keys(w, c, tensors)
    if kind in ("bert", "roberta"):
        w.add_causal_attention(False)
        w.add_token_type_count(c.type_vocab_size)
        c.max_position_embeddings += c.pad_token_id + 1 if kind == "roberta" else 0
    tied = getattr(c, "tie_word_embeddings", False)
    for name, t in layouts(kind, c, model.state_dict()):
        if tied and name == "lm_head.weight":
            continue
        mapped = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if mapped is None:
            raise KeyError(name)
        tensors[mapped] = t
    for name, t in tensors.items():
        w.add_tensor(name, np.ascontiguousarray(t.detach().float().numpy()))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return True
