"""Makes fuzz/corpus/models: a small model of each shape that src/models/ knows, folders and GGUF files, an adapter."""

import json
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "models"
W, H, K, D, F, V, C = 8, 2, 1, 4, 12, 10, 16  # width, heads, key heads, head, feed-forward, vocabulary, context


def values(shape, first):
    n = 1
    for extent in shape:
        n *= extent
    return struct.pack(f"<{n}f", *(((first + 7 * i) % 13 - 6) / 8 for i in range(n)))


def save(name, **files):
    OUT.mkdir(parents=True, exist_ok=True)
    data = b"".join(b"\nFILE " + key.encode() + b"\n" + content for key, content in files.items())
    (OUT / name).write_bytes(data)


def safetensors(tensors):
    header, payload = {}, b""
    for i, (name, shape) in enumerate(tensors):
        dtype = "U8" if name.endswith(("_blocks", "_scales")) else "F32"
        data = values(shape, i)
        if dtype == "U8":
            data = bytes(120 + i % 8 for i in range(len(data) // 4))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(payload), len(payload) + len(data)]}
        payload += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + payload


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def gguf(keys, tensors):
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, value in keys.items():
        out += text(key)
        if isinstance(value, str):
            out += struct.pack("<I", 8) + text(value)
        elif isinstance(value, float):
            out += struct.pack("<If", 6, value)
        elif isinstance(value, bool):
            out += struct.pack("<IB", 7, value)
        else:
            out += struct.pack("<II", 4, value)
    at, payload = 0, b""
    for i, (name, shape) in enumerate(tensors):
        out += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in reversed(shape))
        out += struct.pack("<IQ", 0, len(payload))
        payload += values(shape, i) if not name.startswith("rope") else struct.pack(f"<{shape[0]}f", *[2.0] * shape[0])
        payload += b"\0" * (-len(payload) % 32)
    return out + b"\0" * (-len(out) % 32) + payload


def config(**more):
    base = {"hidden_size": W, "num_hidden_layers": 1, "num_attention_heads": H, "num_key_value_heads": K, "head_dim": D,
            "intermediate_size": F, "vocab_size": V, "max_position_embeddings": C, "rms_norm_eps": 1e-6,
            "tie_word_embeddings": True}
    base.update(more)
    return json.dumps({k: v for k, v in base.items() if v is not None}, separators=(",", ":")).encode()


L = "model.layers.0."
BASE = [("model.embed_tokens.weight", [V, W]), ("model.norm.weight", [W]), (L + "input_layernorm.weight", [W]),
        (L + "post_attention_layernorm.weight", [W])]
QKVO = [(L + f"self_attn.{n}_proj.weight", s)
        for n, s in (("q", [H * D, W]), ("k", [K * D, W]), ("v", [K * D, W]), ("o", [W, H * D]))]
BIASES = [(L + f"self_attn.{n}_proj.bias", [s]) for n, s in (("q", H * D), ("k", K * D), ("v", K * D), ("o", W))]
MLP = [(L + f"mlp.{n}_proj.weight", s) for n, s in (("gate", [F, W]), ("up", [F, W]), ("down", [W, F]))]
HEADS = [(L + "self_attn.q_norm.weight", [D]), (L + "self_attn.k_norm.weight", [D])]
FOUR = [(L + "pre_feedforward_layernorm.weight", [W]), (L + "post_feedforward_layernorm.weight", [W])]


def stack(prefix, names, experts=2):
    shapes = {"w1": [F, W], "w3": [F, W], "w2": [W, F], "gate_proj": [F, W], "up_proj": [F, W], "down_proj": [W, F]}
    return [(f"{prefix}experts.{e}.{n}.weight", shapes[n]) for e in range(experts) for n in names]


def folders():
    def folder(name, tensors, **more):
        save(name, **{"config.json": config(**more), "model.safetensors": safetensors(tensors)})

    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 8}
    folder("llama", BASE + QKVO + MLP, model_type="llama", rope_scaling=llama3)
    folder("llama-dynamic", BASE + QKVO + MLP, model_type="llama", rope_scaling={"type": "dynamic", "factor": 2.0})
    folder("smollm3", BASE + QKVO + MLP, model_type="smollm3", no_rope_layers=[0])
    folder("mistral", BASE + QKVO + MLP, model_type="mistral", sliding_window=1)
    folder("qwen2", BASE + QKVO + BIASES[:3] + MLP, model_type="qwen2", layer_types=["sliding_attention"],
           sliding_window=2, rope_scaling={"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 8})
    moe = L + "block_sparse_moe."
    folder("mixtral", BASE + QKVO + [(moe + "gate.weight", [2, W])] + stack(moe, ("w1", "w2", "w3")),
           model_type="mixtral", num_local_experts=2, num_experts_per_tok=1)
    mlp = L + "mlp."
    routed = [(mlp + "gate.weight", [2, W])] + stack(mlp, ("gate_proj", "up_proj", "down_proj"))
    shared = [(mlp + f"shared_expert.{n}_proj.weight", s)
              for n, s in (("gate", [F, W]), ("up", [F, W]), ("down", [W, F]))]
    folder("qwen2_moe", BASE + QKVO + BIASES[:3] + routed + shared + [(mlp + "shared_expert_gate.weight", [1, W])],
           model_type="qwen2_moe", num_experts=2, num_experts_per_tok=2, moe_intermediate_size=F,
           shared_expert_intermediate_size=F)
    folder("qwen3_moe", BASE + QKVO + HEADS + routed, model_type="qwen3_moe", num_experts=2, num_experts_per_tok=1,
           moe_intermediate_size=F, norm_topk_prob=True)
    folder("gemma2", BASE + QKVO + MLP + FOUR, model_type="gemma2", sliding_window=1)
    folder("gemma3", BASE + QKVO + HEADS + MLP + FOUR, model_type="gemma3_text", sliding_window=1)
    fused = [(L + "self_attn.qkv_proj.weight", [(H + 2 * K) * D, W]), QKVO[3],
             (mlp + "gate_up_proj.weight", [2 * F, W]), MLP[2]]
    folder("phi3", BASE + fused, model_type="phi3", partial_rotary_factor=0.5,
           rope_scaling={"type": "longrope", "short_factor": [1.0], "long_factor": [2.0]})
    g = "transformer.h.0."
    gpt2 = [("transformer.wte.weight", [V, W]), ("transformer.wpe.weight", [C, W])]
    gpt2 += [(n + e, [W]) for n in (g + "ln_1", g + "ln_2", "transformer.ln_f") for e in (".weight", ".bias")]
    for name, i, o in (("attn.c_attn", W, 3 * W), ("attn.c_proj", W, W), ("mlp.c_fc", W, F), ("mlp.c_proj", F, W)):
        gpt2 += [(g + name + ".weight", [i, o]), (g + name + ".bias", [o])]
    words = {"model_type": "gpt2", "n_embd": W, "n_layer": 1, "n_head": H, "n_inner": F, "n_positions": C,
             "vocab_size": V}
    save("gpt2", **{"config.json": json.dumps(words).encode(), "model.safetensors": safetensors(gpt2)})
    folder("olmoe", BASE + QKVO + [(L + "self_attn.q_norm.weight", [H * D]), (L + "self_attn.k_norm.weight", [K * D])]
           + routed, model_type="olmoe", num_experts=2, num_experts_per_tok=1, moe_intermediate_size=F)
    ff = L + "feed_forward."
    folder("llama4", BASE + QKVO + [(ff + "router.weight", [2, W]), (ff + "experts.gate_up_proj", [2, W, 2 * F]),
                                    (ff + "experts.down_proj", [2, F, W])]
           + [(ff + f"shared_expert.{n}_proj.weight", s)
              for n, s in (("gate", [F, W]), ("up", [F, W]), ("down", [W, F]))],
           model_type="llama4_text", num_local_experts=2, num_experts_per_tok=1, attention_chunk_size=1)
    a = L + "self_attn."
    latent = [(a + "q_a_proj.weight", [6, W]), (a + "q_a_layernorm.weight", [6]), (a + "q_b_proj.weight", [H * 6, 6]),
              (a + "kv_a_proj_with_mqa.weight", [7, W]), (a + "kv_a_layernorm.weight", [5]),
              (a + "kv_b_proj.weight", [H * 7, 5]), (a + "o_proj.weight", [W, H * 3])]
    kinds = dict(q_lora_rank=6, kv_lora_rank=5, qk_rope_head_dim=2, qk_nope_head_dim=4, v_head_dim=3, head_dim=None,
                 num_key_value_heads=H, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=F,
                 n_shared_experts=1)
    both = [(mlp + f"shared_experts.{n}_proj.weight", s)
            for n, s in (("gate", [F, W]), ("up", [F, W]), ("down", [W, F]))]
    four = [(mlp + "gate.weight", [4, W])] + stack(mlp, ("gate_proj", "up_proj", "down_proj"), 4)
    folder("deepseek_v3", BASE + latent + four + both + [(mlp + "gate.e_score_correction_bias", [4])],
           model_type="deepseek_v3", n_group=2, topk_group=1, **kinds)
    folder("deepseek_v2", BASE + latent + four + both, model_type="deepseek_v2", topk_method="group_limited_greedy",
           n_group=2, topk_group=1, **kinds)
    oss = BASE + QKVO + BIASES + [(a + "sinks", [H]), (mlp + "router.weight", [2, W]), (mlp + "router.bias", [2]),
                                  (mlp + "experts.gate_up_proj_bias", [2, 2 * F]),
                                  (mlp + "experts.down_proj_bias", [2, W])]
    folder("gpt_oss", oss + [(mlp + "experts.gate_up_proj", [2, W, 2 * F]), (mlp + "experts.down_proj", [2, F, W])],
           model_type="gpt_oss", num_local_experts=2, num_experts_per_tok=1, sliding_window=1)
    oss = [("model.embed_tokens.weight", [V, 32]), ("model.norm.weight", [32]), (L + "input_layernorm.weight", [32]),
           (L + "post_attention_layernorm.weight", [32]), (a + "sinks", [2]), (mlp + "router.weight", [2, 32]),
           (mlp + "router.bias", [2]), (mlp + "experts.gate_up_proj_bias", [2, 64]),
           (mlp + "experts.down_proj_bias", [2, 32])]
    for n, rows in (("q", 32), ("k", 16), ("v", 16), ("o", 32)):
        oss += [(a + n + "_proj.weight", [rows, 32]), (a + n + "_proj.bias", [rows])]
    packed = [(mlp + "experts.gate_up_proj_blocks", [2, 64, 1, 16]), (mlp + "experts.gate_up_proj_scales", [2, 64, 1]),
              (mlp + "experts.down_proj_blocks", [2, 32, 1, 16]), (mlp + "experts.down_proj_scales", [2, 32, 1])]
    folder("gpt_oss-mxfp4", oss + packed, model_type="gpt_oss", num_local_experts=2, num_experts_per_tok=1,
           sliding_window=1, hidden_size=32, intermediate_size=32, head_dim=16,
           quantization_config={"quant_method": "mxfp4"})
    e = "bert.encoder.layer.0."
    bert = [("bert.embeddings.word_embeddings.weight", [V, W]), ("bert.embeddings.position_embeddings.weight", [C, W]),
            ("bert.embeddings.token_type_embeddings.weight", [2, W])]
    norms = ("bert.embeddings.LayerNorm", e + "attention.output.LayerNorm", e + "output.LayerNorm")
    bert += [(n + x, [W]) for n in norms for x in (".weight", ".bias")]
    for name, i, o in (("attention.self.query", W, W), ("attention.self.key", W, W), ("attention.self.value", W, W),
                       ("attention.output.dense", W, W), ("intermediate.dense", W, F), ("output.dense", F, W)):
        bert += [(e + name + ".weight", [o, i]), (e + name + ".bias", [o])]
    folder("bert", bert, model_type="bert", head_dim=None, num_key_value_heads=None)
    folder("roberta", bert, model_type="roberta", head_dim=None, num_key_value_heads=None, pad_token_id=1)


def keys(arch, **more):
    out = {"general.architecture": arch, f"{arch}.block_count": 1, f"{arch}.embedding_length": W,
           f"{arch}.attention.head_count": H, f"{arch}.attention.head_count_kv": K, f"{arch}.feed_forward_length": F,
           f"{arch}.context_length": C, f"{arch}.vocab_size": V, f"{arch}.attention.layer_norm_rms_epsilon": 1e-6,
           f"{arch}.rope.freq_base": 10000.0, f"{arch}.attention.key_length": D, f"{arch}.attention.value_length": D}
    out.update({f"{arch}.{k.replace('__', '.')}": v for k, v in more.items()})
    return out


def ggufs():
    base = [("token_embd.weight", [V, W]), ("output_norm.weight", [W]), ("output.weight", [V, W]),
            ("blk.0.attn_norm.weight", [W]), ("blk.0.ffn_norm.weight", [W])]
    qkvo = [("blk.0.attn_q.weight", [H * D, W]), ("blk.0.attn_k.weight", [K * D, W]),
            ("blk.0.attn_v.weight", [K * D, W]), ("blk.0.attn_output.weight", [W, H * D])]
    mlp = [("blk.0.ffn_gate.weight", [F, W]), ("blk.0.ffn_up.weight", [F, W]), ("blk.0.ffn_down.weight", [W, F])]
    stacked = [("blk.0.ffn_gate_inp.weight", [2, W]), ("blk.0.ffn_gate_exps.weight", [2, F, W]),
               ("blk.0.ffn_up_exps.weight", [2, F, W]), ("blk.0.ffn_down_exps.weight", [2, W, F])]
    llama = gguf(keys("llama"), base + qkvo + mlp + [("rope_freqs.weight", [D // 2])])
    save("gguf-llama", **{"m.gguf": llama})
    adapter = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora",
               "adapter.lora.alpha": 4.0}
    pair = [("blk.0.attn_q.weight.lora_a", [2, W]), ("blk.0.attn_q.weight.lora_b", [H * D, 2])]
    save("gguf-adapter", **{"m.gguf": llama, "a.gguf": gguf(adapter, pair)})
    save("gguf-mixtral", **{"m.gguf": gguf(keys("llama", expert_count=2, expert_used_count=1), base + qkvo + stacked)})
    fused = [("blk.0.attn_qkv.weight", [(H + 2 * K) * D, W]), qkvo[3], ("blk.0.ffn_up.weight", [2 * F, W]), mlp[2]]
    save("gguf-phi3", **{"m.gguf": gguf(keys("phi3", rope__scaling__original_context_length=8), base + fused + [
        ("rope_factors_long.weight", [D // 2]), ("rope_factors_short.weight", [D // 2])])})
    latent = [("blk.0.attn_q.weight", [H * 6, W]), ("blk.0.attn_kv_a_mqa.weight", [7, W]),
              ("blk.0.attn_kv_a_norm.weight", [5]), ("blk.0.attn_k_b.weight", [H, 5, 4]),
              ("blk.0.attn_v_b.weight", [H, 3, 5]), ("blk.0.attn_output.weight", [W, H * 3])]
    save("gguf-deepseek2", **{"m.gguf": gguf(
        keys("deepseek2", attention__kv_lora_rank=5, attention__key_length_mla=6, attention__value_length_mla=3,
             rope__dimension_count=2, expert_count=2, expert_used_count=1, expert_feed_forward_length=F,
             expert_gating_func=2, rope__scaling__type="yarn", rope__scaling__factor=2.0,
             rope__scaling__original_context_length=8, rope__scaling__yarn_log_multiplier=0.1),
        base + latent + stacked + [("blk.0.exp_probs_b.bias", [2])])})


if __name__ == "__main__":
    folders()
    ggufs()
