"""What families/ reads from configurations, against two other readings of them.

Real config.json files of the data folder: every field must be what this script finds in the JSON by rules written per
model, not per field. Where transformers is installed: for every model type in the table, transformers' default
configuration must be read as transformers itself understands it (its attribute_map)."""

import json
import os
import pathlib

import common

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
tally = common.Tally("families")


def read(paths):
    if not paths:
        return {}
    lines = common.run("tola_hyper", *paths).decode().splitlines()
    return {line["path"]: line for line in map(json.loads, lines)}


# ---- real files ----

def first(config, *names, default=0):
    for name in names:
        if config.get(name) is not None:
            return config[name]
    return default


TIED = {"smollm3"}  # what transformers' class takes where the configuration leaves it out; others here say it or untie


def expect(config):
    """The values of one config.json, worked out model by model."""
    text = config.get("text_config") or config
    kind = text.get("model_type") or config["model_type"]
    want = {
        "width": text.get("hidden_size", text.get("n_embd")),
        "heads": text.get("num_attention_heads", text.get("n_head")),
        "vocabulary": text["vocab_size"],
        "layers": text.get("num_hidden_layers", text.get("n_layer")),
        "context": text.get("max_position_embeddings", text.get("n_positions")),
        "norm_eps": first(text, "rms_norm_eps", "layer_norm_epsilon", "norm_eps"),
        "tie_embeddings": first(text, "tie_word_embeddings", default=config.get("tie_word_embeddings", kind in TIED)),
    }
    want["kv_heads"] = text.get("num_key_value_heads") or want["heads"]
    want["head_dim"] = text.get("head_dim") or want["width"] // want["heads"]
    want["feed_forward"] = text.get("intermediate_size") or 0
    scaling = text.get("rope_parameters") or text.get("rope_scaling") or {}
    scaling = scaling.get("full_attention", scaling)
    want["rope_theta"] = first(text, "rope_theta", default=scaling.get("rope_theta", 0))
    want["rope_factor"] = scaling.get("factor", 0)
    window = text.get("sliding_window") or 0
    want["sliding_window"] = window if text.get("use_sliding_window", True) else 0
    experts = {"experts": 0, "experts_used": 0, "shared_experts": 0, "expert_feed_forward": 0}
    if kind == "mixtral":
        experts = {"experts": text["num_local_experts"], "experts_used": text["num_experts_per_tok"],
                   "shared_experts": 0, "expert_feed_forward": text["intermediate_size"]}
    elif kind == "gpt_oss":
        experts = {"experts": text["num_local_experts"], "experts_used": text["num_experts_per_tok"],
                   "expert_feed_forward": text["intermediate_size"]}
    elif kind in ("qwen3_moe", "qwen3_vl_moe_text"):
        experts = {"experts": text["num_experts"], "experts_used": text["num_experts_per_tok"],
                   "expert_feed_forward": text["moe_intermediate_size"]}
    elif kind == "qwen3_5_moe_text":
        experts = {"experts": text["num_experts"], "experts_used": text["num_experts_per_tok"],
                   "expert_feed_forward": text["moe_intermediate_size"],
                   "shared_feed_forward": text["shared_expert_intermediate_size"]}
    elif kind in ("deepseek_v3", "deepseek_v32", "glm_moe_dsa"):
        experts = {"experts": text["n_routed_experts"], "experts_used": text["num_experts_per_tok"],
                   "shared_experts": text["n_shared_experts"], "expert_feed_forward": text["moe_intermediate_size"],
                   "first_dense": text["first_k_dense_replace"]}
        want["head_dim"] = text["qk_nope_head_dim"] + text["qk_rope_head_dim"]
    elif kind == "deepseek_v4":
        experts = {"experts": text["n_routed_experts"], "experts_used": text["num_experts_per_tok"],
                   "shared_experts": text["n_shared_experts"], "expert_feed_forward": text["moe_intermediate_size"]}
        want["feed_forward"] = text.get("intermediate_size", 0)
    elif kind == "kimi_linear":
        experts = {"experts": text["num_experts"], "experts_used": text["num_experts_per_token"],
                   "shared_experts": text["num_shared_experts"], "expert_feed_forward": text["moe_intermediate_size"],
                   "first_dense": text["first_k_dense_replace"]}
        want["head_dim"] = text["qk_nope_head_dim"] + text["qk_rope_head_dim"]
    elif kind == "llama4_text":
        experts = {"experts": text["num_local_experts"], "experts_used": text["num_experts_per_tok"],
                   "expert_feed_forward": text["intermediate_size"]}
        want["feed_forward"] = text["intermediate_size_mlp"]
    elif kind == "minimax_m2":
        experts = {"experts": text["num_local_experts"], "experts_used": text["num_experts_per_tok"],
                   "expert_feed_forward": text["intermediate_size"], "shared_feed_forward":
                       text.get("shared_intermediate_size", 0)}
    elif kind == "minimax_m3":
        experts = {"experts": text["num_local_experts"], "experts_used": text["num_experts_per_tok"],
                   "shared_experts": text["n_shared_experts"], "expert_feed_forward": text["intermediate_size"],
                   "shared_feed_forward": text["shared_intermediate_size"]}
        want["feed_forward"] = text["dense_intermediate_size"]
    elif kind == "nemotron_h":
        experts = {"experts": text["n_routed_experts"], "experts_used": text["num_experts_per_tok"],
                   "shared_experts": text["n_shared_experts"], "expert_feed_forward": text["moe_intermediate_size"],
                   "shared_feed_forward": text["moe_shared_expert_intermediate_size"]}
        want["layers"] = text.get("num_hidden_layers") or len(text["layers_block_type"])
    elif kind == "nemotron-nas":
        want["kv_heads"] = max(want["heads"] // block["attention"]["n_heads_in_group"]
                               for block in text["block_configs"] if block["attention"]["n_heads_in_group"])
        want["feed_forward"] = 0
    elif kind == "step3p7":
        experts = {"experts": text["num_experts"], "experts_used": text["num_experts_per_tok"],
                   "expert_feed_forward": text["moe_intermediate_size"],
                   "shared_feed_forward": text["share_expert_dim"]}
    elif kind == "mixformer-sequential":
        want["feed_forward"] = 4 * want["width"]
    return {**want, **experts}


FAMILY = {"nemotron-nas": "deci", "mixformer-sequential": "phi", "deepseek_v32": "deepseek_v3", "kimi_k25": "kimi_k2",
          "kimi_k3": "kimi_linear", "glm_moe_dsa": "glm4_moe", "minimax_m3": "minimax_m2", "step3p7": "step3"}


def check_real():
    paths = sorted(common.DATA.glob("configs/**/*_config.json")) + sorted(common.DATA.glob("index/*/config.json"))
    paths = [p for p in paths if not p.name.endswith("hf_quant_config.json")]
    if not paths:
        return tally.skip(f"no configurations under {common.DATA}")
    got = read(paths)
    for path in paths:
        config = json.loads(path.read_text())
        line = got[str(path)]
        name = path.name if path.name != "config.json" else path.parent.name
        tally.equal(f"{name}: family", line["family"], FAMILY.get(config["model_type"], config["model_type"]))
        for key, value in expect(config).items():
            tally.equal(f"{name}: {key}", line[key], value)
    print(f"{len(paths)} real configurations")


# ---- transformers' defaults ----

PAIRS = [("width", "hidden_size"), ("layers", "num_hidden_layers"), ("heads", "num_attention_heads"),
         ("vocabulary", "vocab_size"), ("kv_heads", "num_key_value_heads"), ("feed_forward", "intermediate_size")]


def check_defaults():
    try:
        import transformers
    except ImportError as error:
        return tally.skip(f"no transformers ({error})")
    transformers.logging.set_verbosity_error()
    rows = [json.loads(line) for line in common.run("tola_hyper", "--families").decode().splitlines()]
    with common.folder() as base:
        configs, families = {}, {}
        for row in rows:
            for kind in (row["model_types"] or "").split():
                try:
                    config = transformers.AutoConfig.for_model(kind)
                except (ValueError, KeyError, ImportError, AttributeError, TypeError):
                    continue  # not one of transformers' own
                path = pathlib.Path(base) / f"{kind}.json"
                path.write_text(json.dumps(json.loads(config.to_json_string(use_diff=False)), allow_nan=False))
                configs[str(path)], families[str(path)] = config, row["name"]
        got = read(list(configs))
        for path, config in configs.items():
            kind, line, text = pathlib.Path(path).stem, got[path], config.get_text_config()
            tally.equal(f"{kind}: family", line["family"], families[path])
            if kind in DIFFERENT:
                continue
            for ours, theirs in PAIRS:
                value = getattr(text, theirs, None)
                if (kind, ours) in EXPERTS_ONLY:
                    continue
                if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                    tally.equal(f"{kind}: {ours}", line[ours], value)
        print(f"{len(configs)} of transformers' own configurations")


# intermediate_size is that of experts there, not of dense layers.
EXPERTS_ONLY = {("llama4", "feed_forward"), ("llama4_text", "feed_forward"), ("deepseek_v4", "feed_forward")}
# Encoders and decoders of several towers or stages: no single width, or another reading of the same words.
DIFFERENT = {"clip", "siglip", "siglip2", "sam", "resnet", "convnext", "convnextv2"}

check_real()
check_defaults()
tally.finish()
