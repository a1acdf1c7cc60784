#!/usr/bin/env python3
"""Shapes of models (policy/shape.h) against transformers, which builds the same models on the meta device.

1. Every config.json of the shared data: the same number of parameters, and the figures in the models' names.
2. The default configuration of every causal language model that transformers knows: the same number, or a note that
   says what was assumed.
3. What inference is counted to take against what a session takes: within max(100 MiB, 3 %).

Needs transformers and torch; --list prints a table."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from common import BUILD, DATA, Tally

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
warnings.filterwarnings("ignore")
PROBE = BUILD / "tola_shape_probe"
LIST = "--list" in sys.argv
tally = Tally("shape")


def probe(*arguments):
    run = subprocess.run([PROBE, *map(str, arguments)], capture_output=True, text=True)
    if run.stderr:
        tally.check("probe", False, run.stderr[:500])
    return [json.loads(line) for line in run.stdout.splitlines()]


def build(config):
    for auto in (AutoModelForImageTextToText, AutoModelForCausalLM, AutoModel):
        if type(config) in auto._model_mapping.keys():
            with torch.device("meta"):
                return auto.from_config(config)
    raise ValueError("no model class")


def count(model):
    return sum(p.numel() for _, p in model.named_parameters())


def without(data, *keys):
    return {k: without(v, *keys) if isinstance(v, dict) else v for k, v in data.items() if k not in keys}


def show(*words):
    if LIST:
        print(*words, flush=True)


# In files of these, what is special to transformers' class is in a part that the file does not have.
FLAT = {"step3p7"}
# Classes of transformers for files that name their authors' own.
SAME = {"minimax_m3": "minimax_m3_vl_text"}
# "30B-A3B": all and active parameters in billions, as their makers round them.
NAME = re.compile(r"(?:^|[-_])(\d+(?:\.\d+)?)B(?:-A(\d+(?:\.\d+)?)B)?")


def published():
    files = sorted(f for f in (DATA / "configs/aiconfigurator").glob("*_config.json") if "hf_quant" not in f.name)
    files += sorted((DATA / "index").glob("*/config.json"))
    if not files:
        tally.skip("no shared data: configurations of published models")
        return
    for file, ours in zip(files, probe(*files)):
        name = file.parent.name if file.name == "config.json" else file.name[:-12]
        if not tally.check(f"{name} is understood", "error" not in ours, ours.get("error", "")):
            continue
        data = without(json.loads(file.read_text()), "quantization_config", "auto_map")
        expected = None
        data["model_type"] = SAME.get(data["model_type"], data["model_type"])
        if data["model_type"] in CONFIG_MAPPING and data["model_type"] not in FLAT:
            expected = count(build(CONFIG_MAPPING[data["model_type"]].from_dict(data)))
            tally.equal(f"parameters of {name}", ours["parameters"], expected)
        said = NAME.search(name)
        if said and "8x" not in name and "1.5-2_ft" not in name and "14B-arch" not in name:
            total, active = float(said[1]), float(said[2] or 0)
            if "17B-16E" in name:
                total, active = 109, 17
            near = 0.12 if total < 30 else 0.06  # towers are not in the small ones' names
            tally.check(f"{name}'s figure", abs(ours["parameters"] / 1e9 / total - 1) < near or total < 1,
                        f"{ours['parameters'] / 1e9:.2f}")
            if active:
                parts = ours["active"] / 1e9, (ours["active"] - ours["embedding"] - ours["output"]) / 1e9
                tally.check(f"{name}'s active figure", parts[1] * 0.85 < active < parts[0] * 1.1, str(parts))
        show(f"{name:52} {ours['parameters']:>15} {expected or '':>15} active {ours['active'] / 1e9:7.2f}B "
             f"kv {ours['kv_token']:9.0f} {ours['stored_bits']:7.3f} bits")


# Defaults that no model has, or that contradict each other.
NEEDED = {"deepseek_v2": {"num_experts_per_tok": 6}, "glm4_moe": {"head_dim": 128, "use_qk_norm": True}}


def defaults():
    known = fallen = 0
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name in sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - set(OTHERS)):
            try:
                config = CONFIG_MAPPING[name](**NEEDED.get(name, {}))
                model = build(config)
                config.architectures = [type(model).__name__]
                expected = count(model)
            except Exception:  # classes whose defaults do not build
                continue
            path = pathlib.Path(folder) / f"{name}.json"
            path.write_text(json.dumps(without(config.to_dict(), "auto_map")))
            rows.append((name, path, expected))
        for (name, _, expected), ours in zip(rows, probe(*[path for _, path, _ in rows])):
            if ours.get("recognised"):
                known += 1
                tally.equal(f"parameters of a default {name}", ours["parameters"], expected)
            else:
                fallen += 1
                tally.check(f"{name} is counted with a note", ours.get("notes") or "error" in ours)
                show("falls back:", name, ours.get("parameters", ours.get("error")), "transformers", expected)
    print(f"shape: {known} default configurations known, {fallen} fall back")


OTHERS = {"t5": {}, "mt5": {}, "umt5": {}, "bart": {}, "mbart": {}, "whisper": {}, "bert": {}, "roberta": {},
          "electra": {}, "vit": {"num_labels": 1000}, "deit": {"num_labels": 10}, "resnet": {"num_labels": 1000}}


def others():
    """Encoders, pairs of encoder and decoder, networks over images: default configurations."""
    classes = [AutoModelForSeq2SeqLM, AutoModelForSpeechSeq2Seq, AutoModelForMaskedLM, AutoModelForImageClassification]
    with tempfile.TemporaryDirectory() as folder:
        for name, more in OTHERS.items():
            config = CONFIG_MAPPING[name](**more)
            if name == "deit":  # there are two
                config.architectures = ["DeiTForImageClassification"]
            chosen = next(c for c in classes if type(config) in c._model_mapping.keys())
            with torch.device("meta"):
                model = chosen.from_config(config)
            config.architectures = [type(model).__name__]
            path = pathlib.Path(folder) / f"{name}.json"
            path.write_text(json.dumps(config.to_dict()))
            tally.equal(f"parameters of a default {name}", probe(path)[0].get("parameters"), count(model))


BASE = {"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "torch_dtype": "bfloat16", "max_position_embeddings": 32768,
        "tie_word_embeddings": False, "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 3,
        "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 32000, "hidden_act": "silu"}
RUN = {
    "llama": {"model_type": "llama"},
    "window": {"model_type": "mistral", "sliding_window": 1024},
    "tied": {"model_type": "qwen2", "tie_word_embeddings": True, "vocab_size": 151936},
    "mixtral": {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2},
    "experts": {"model_type": "qwen3_moe", "num_experts": 64, "num_experts_per_tok": 8, "moe_intermediate_size": 384,
                "head_dim": 64, "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": []},
    "latent": {"model_type": "deepseek_v3", "moe_intermediate_size": 352, "n_routed_experts": 16, "n_group": 4,
               "num_experts_per_tok": 4, "n_shared_experts": 1, "topk_group": 2, "first_k_dense_replace": 1,
               "kv_lora_rank": 256, "q_lora_rank": 384, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
               "v_head_dim": 128, "num_key_value_heads": 16, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
               "topk_method": "noaux_tc", "norm_topk_prob": True, "moe_layer_freq": 1},
}


def sessions():
    script = pathlib.Path(__file__).parent / "make_shape.py"
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, more in RUN.items():
            config = pathlib.Path(folder) / f"{name}.json"
            config.write_text(json.dumps({**BASE, **more}))
            subprocess.run([sys.executable, script, config, config.with_suffix("")], check=True, capture_output=True)
            paths.append(config.with_suffix(""))
        for context, dtype, step in ((4096, "f16", 512), (32768, "q8_0", 512), (8192, "f32", 2048), (2048, "q4_0", 64)):
            for ours in probe("--session", context, dtype, step, 2, *paths):
                what = f"{pathlib.Path(ours['path']).name}, {context} tokens of {dtype}, {step} at once"
                if not tally.check(what, "error" not in ours, ours.get("error", "")):
                    continue
                apart = abs(ours["total"] - ours["run_total"])
                tally.check(what, apart <= max(100 << 20, 0.03 * ours["run_total"]), f"{ours}")
                tally.check(f"{what}: cache", abs(ours["kv"] - ours["run_kv"]) <= 0.001 * ours["run_kv"] + 4096,
                            f"{ours}")
                show(f"{what:48} {ours['total'] / 1e6:9.1f} MB, session {ours['run_total'] / 1e6:9.1f} MB, "
                     f"{100 * apart / ours['run_total']:.2f} % apart")


def trainings():
    """What `tola train --dry-run` says before it starts."""
    rows = [("llama", 256, 4, 8, 8, 1024, 256, 4), ("llama", 512, 6, 8, 4, 1536, 512, 2),
            ("gpt2", 256, 4, 8, 8, 1024, 256, 4), ("llama", 256, 12, 4, 4, 512, 128, 8)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "text.txt").write_text("".join(f"{i} and {i * i}, a line of text.\n" for i in range(4000)))
        for kind, width, layers, heads, kv, inside, context, batch in rows:
            for recompute in ("false", "true"):
                recipe = folder / "recipe.yaml"
                recipe.write_text(
                    f"data: {{train: text.txt}}\ntokenizer: {{vocabulary: 512}}\nmodel: {{architecture: {kind}, "
                    f"width: {width}, layers: {layers}, heads: {heads}, kv_heads: {kv}, feed_forward: {inside}, "
                    f"context: {context}}}\ntraining: {{steps: 1, batch: {batch}, recompute: {recompute}}}\n")
                run = subprocess.run([BUILD / "tola", "train", recipe, "--dry-run", "--json", "--threads", "2"],
                                     capture_output=True, text=True)
                what = f"training {kind} {width}x{layers}, recompute {recompute}"
                if not tally.check(what, run.returncode == 0, run.stderr[:200]):
                    continue
                said = json.loads(run.stdout)
                config = folder / "config.json"
                config.write_text(json.dumps(
                    {"model_type": kind, "hidden_size": width, "n_embd": width, "num_hidden_layers": layers,
                     "n_layer": layers, "num_attention_heads": heads, "n_head": heads, "num_key_value_heads": kv,
                     "intermediate_size": inside, "n_inner": inside, "vocab_size": 512, "n_positions": context,
                     "max_position_embeddings": context, "tie_word_embeddings": True, "dtype": "float32"}))
                ours = probe("--train", batch, context, recompute, config)[0]
                memory = said["memory"]
                tally.equal(f"{what}: parameters", ours["parameters"], said["parameters"])
                for part in ("weights", "gradients"):
                    tally.equal(f"{what}: {part}", ours[part], memory[part])
                tally.check(f"{what}: optimizer", abs(ours["optimizer"] - memory["optimizer"]) < 4096)
                total = sum(memory[k] for k in ("weights", "gradients", "optimizer", "activations"))
                apart = ours["activations"] - memory["activations"]
                tally.check(f"{what}: activations", abs(apart) <= 0.12 * total, f"{ours} {memory}")
                show(f"{what:48} {ours['activations'] / 1e6:8.1f} MB, tola train {memory['activations'] / 1e6:8.1f} MB")


TINY = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "num_hidden_layers": 4, "vocab_size": 128, "max_position_embeddings": 256, "pad_token_id": 0, "bos_token_id": 1,
        "eos_token_id": 2}
TURNS = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"] * 2}
CACHES = {
    "llama": {}, "qwen3": {}, "gemma3_text": TURNS,
    "gpt_oss": {**TURNS, "num_local_experts": 4, "num_experts_per_tok": 2},
    "gemma3n_text": {**TURNS, "num_kv_shared_layers": 2, "hidden_size_per_layer_input": 8, "laurel_rank": 8,
                     "vocab_size_per_layer_input": 128, "intermediate_size": [96] * 4,
                     "activation_sparsity_pattern": [0.0] * 4},
    "qwen3_5_text": {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16,
                     "linear_value_head_dim": 16, "layer_types": ["linear_attention", "full_attention"] * 2},
    "mamba2": {"num_heads": 8, "state_size": 16, "n_groups": 1, "expand": 2},
    "nemotron_h": {"layers_block_type": ["mamba", "attention", "mlp", "mamba"], "mamba_num_heads": 8,
                   "mamba_head_dim": 16, "n_groups": 1, "ssm_state_size": 16},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2, "block_multiple_of": 8},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 16},
    "jamba": {"num_experts": 4, "num_experts_per_tok": 2, "attn_layer_period": 4, "attn_layer_offset": 1,
              "use_mamba_kernels": False},
    "minimax_m2": {"num_local_experts": 4, "num_experts_per_tok": 2},
}


def numbers(thing, seen, depth=0):
    """All tensors of floats below an object, once each."""
    if torch.is_tensor(thing):
        if thing.is_floating_point():
            seen[id(thing)] = thing
    elif depth < 7 and isinstance(thing, (dict, list, tuple)):
        for value in thing.values() if isinstance(thing, dict) else thing:
            numbers(value, seen, depth + 1)
    elif depth < 7 and hasattr(thing, "__dict__"):
        numbers({k: v for k, v in vars(thing).items() if "config" not in k}, seen, depth + 1)
    return seen


def caches():
    """What 40 tokens leave in transformers' caches, element for element; it keeps one token less than the window."""
    length = 40
    with tempfile.TemporaryDirectory() as folder:
        for name, more in CACHES.items():
            config = CONFIG_MAPPING[name](**{**TINY, **more})
            model = AutoModelForCausalLM.from_config(config).eval()
            with torch.no_grad():
                out = model(torch.randint(3, 100, (1, length)), use_cache=True)
            cache = getattr(out, "past_key_values", None) or getattr(out, "cache_params", None)
            expected = sum(t.numel() for t in numbers(cache, {}).values())
            path = pathlib.Path(folder) / f"{name}.json"
            path.write_text(json.dumps(config.to_dict()))
            got = sum(count * (state + (min(length, window - 1) if memory == 2 else length) * (key + value))
                      for count, memory, window, key, value, state, _, _ in probe(path)[0]["rows"])
            tally.equal(f"cache of {name}", got, expected)


trainings()
sessions()
try:
    import torch
    from transformers import (AutoModel, AutoModelForCausalLM, AutoModelForImageClassification,
                              AutoModelForImageTextToText, AutoModelForMaskedLM, AutoModelForSeq2SeqLM,
                              AutoModelForSpeechSeq2Seq)
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
except ImportError:
    tally.skip("no transformers: parameters of whole models")
else:
    others()
    caches()
    published()
    defaults()
tally.finish()
