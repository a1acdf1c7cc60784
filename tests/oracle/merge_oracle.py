#!/usr/bin/env python3
"""tola merge RECIPE against mergekit: every tensor within 1 ulp of its type where the method is deterministic, in f32
and bf16, and what DARE promises where it is not. Also layers renumbered by slices, and the peak of memory."""

import json
import os
import pathlib
import resource
import subprocess
import sys
import time

import common

TALLY = common.Tally("merge")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
try:
    import torch
    import yaml
    from safetensors.torch import load_file, save_file
    import mergekit.config
    import mergekit.merge
    from mergekit.options import MergeOptions
except ImportError as missing:
    print(f"skipped: mergekit and what it needs is not installed ({missing.name})")
    print("merge: 0 passed, 0 failed, 1 skipped")
    sys.exit(0)

LAYERS, WIDTH, HIDDEN, VOCAB = 4, 64, 176, 96
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
          "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCAB,
          "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "torch_dtype": "float32"}


def tensors(generator, base, spread):
    shapes = {"model.embed_tokens.weight": (VOCAB, WIDTH), "model.norm.weight": (WIDTH,),
              "lm_head.weight": (VOCAB, WIDTH)}
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        shapes |= {p + "input_layernorm.weight": (WIDTH,), p + "post_attention_layernorm.weight": (WIDTH,),
                   p + "self_attn.q_proj.weight": (WIDTH, WIDTH), p + "self_attn.k_proj.weight": (WIDTH // 2, WIDTH),
                   p + "self_attn.v_proj.weight": (WIDTH // 2, WIDTH), p + "self_attn.o_proj.weight": (WIDTH, WIDTH),
                   p + "mlp.gate_proj.weight": (HIDDEN, WIDTH), p + "mlp.up_proj.weight": (HIDDEN, WIDTH),
                   p + "mlp.down_proj.weight": (WIDTH, HIDDEN)}
    out = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator) * spread
        out[name] = (base[name] if base else 0) + noise
    return out


def make_models(folder, dtype):
    generator = torch.Generator().manual_seed(1)
    base = tensors(generator, None, 0.05)
    models = {"base": base} | {name: tensors(generator, base, 0.01) for name in ("a", "b", "c")}
    for name, values in models.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        save_file({k: v.to(dtype).contiguous() for k, v in values.items()}, folder / name / "model.safetensors",
                  {"format": "pt"})
        (folder / name / "config.json").write_text(json.dumps(CONFIG, indent=2))


def entry(model, **parameters):
    return {"model": model, "parameters": parameters} if parameters else {"model": model}


FILTERS = [{"filter": "mlp", "value": [0.1, 0.9]}, {"filter": "self_attn", "value": 0.7}, {"value": 0.4}]
RECIPES = {
    "linear": {"merge_method": "linear",
               "models": [entry("a", weight=0.3), entry("b", weight=0.9), entry("c", weight=1)]},
    "linear plain": {"merge_method": "linear",
                     "models": [entry("a", weight=[0.2, 0.8, 0.1]), entry("b", weight=FILTERS)],
                     "parameters": {"normalize": False}},
    "slerp": {"merge_method": "slerp", "models": [entry("base"), entry("a")], "base_model": "base",
              "parameters": {"t": [{"filter": "self_attn", "value": [0, 0.5, 0.3, 0.7, 1]},
                                   {"filter": "mlp", "value": [1, 0.5, 0.7, 0.3, 0]}, {"value": 0.5}]}},
    "task_arithmetic": {"merge_method": "task_arithmetic", "base_model": "base",
                        "models": [entry("a", weight=0.6), entry("b", weight=-0.3), entry("c", weight=[0, 1])],
                        "parameters": {"lambda": 0.9}},
    "task normalized": {"merge_method": "task_arithmetic", "base_model": "base",
                        "models": [entry("base"), entry("a", weight=0.6), entry("b", weight=0.3)],
                        "parameters": {"normalize": True}},
    "ties": {"merge_method": "ties", "base_model": "base", "parameters": {"normalize": True, "int8_mask": True},
             "models": [entry("base"), entry("a", weight=0.5, density=0.5), entry("b", weight=0.3, density=[0.2, 0.9]),
                        entry("c", weight=FILTERS, density=0.33)]},
    "ties rescaled": {"merge_method": "ties", "base_model": "base", "parameters": {"normalize": False, "rescale": True},
                      "models": [entry("a", weight=1.0, density=0.4), entry("b", weight=1.0, density=0.6)]},
    "dense dare": {"merge_method": "dare_ties", "base_model": "base",
                   "models": [entry("a", weight=0.5, density=1.0), entry("b", weight=0.4, density=1.0)]},
    "model_stock": {"merge_method": "model_stock", "base_model": "base",
                    "models": [entry("a"), entry("b"), entry("c")]},
    "stock by row": {"merge_method": "model_stock", "base_model": "base", "models": [entry("a"), entry("b")],
                     "parameters": {"filter_wise": True}},
    "passthrough": {"merge_method": "passthrough",
                    "slices": [{"sources": [{"model": "a", "layer_range": [0, 3]}]},
                               {"sources": [{"model": "b", "layer_range": [1, 4],
                                             "parameters": {"scale": [{"filter": "o_proj", "value": 0.5},
                                                                      {"value": 1.0}]}}]}]},
    "slices": {"merge_method": "slerp", "base_model": "a", "parameters": {"t": [0.1, 0.6]},
               "slices": [{"sources": [{"model": "a", "layer_range": [0, 2]}, {"model": "b", "layer_range": [1, 3]}]},
                          {"sources": [{"model": "a", "layer_range": [3, 4]}, {"model": "b", "layer_range": [3, 4]}],
                           "parameters": {"t": 0.25}}]},
    "types": {"merge_method": "linear", "models": [entry("a", weight=1), entry("b", weight=1)], "dtype": "float32",
              "out_dtype": "float16"},
    "narrow": {"merge_method": "ties", "base_model": "base", "dtype": "bfloat16",
               "models": [entry("a", weight=0.5, density=0.99), entry("b", weight=0.5, density=1)]},
}


def rooted(recipe, folder):
    """mergekit opens paths as they are: names become those of folders."""
    if isinstance(recipe, dict):
        return {k: str(folder / v) if k in ("model", "base_model") else rooted(v, folder) for k, v in recipe.items()}
    return [rooted(v, folder) for v in recipe] if isinstance(recipe, list) else recipe


def theirs(recipe, folder, out, precise):
    if precise:
        recipe = recipe | {"dtype": "float64", "out_dtype": "float32"}
    config = mergekit.config.MergeConfiguration.model_validate(rooted(recipe, folder))
    mergekit.merge.run_merge(config, str(out), MergeOptions(copy_tokenizer=False, random_seed=1, quiet=True))
    return load(out)


def ours(recipe, folder, out, *flags):
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    common.run("tola", "merge", path, str(out) + "/", "--force", "-q", *flags)
    return load(out)


def load(folder):
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        found |= load_file(path)
    return found


# Methods with sums over whole tensors, whose order PyTorch leaves open and which it makes in f32: in f32 they are
# compared with what mergekit computes in f64, at the size of what is added.
SUMS = ("slerp", "slices", "model_stock", "stock by row", "ties rescaled")


def ulps(x, y, inputs=()):
    """How far apart, in steps of y's type at the size of the largest of them and of `inputs`."""
    if x.dtype != y.dtype or x.shape != y.shape:
        return None
    info = torch.finfo(x.dtype)
    a, b = x.double(), y.double()
    size = torch.maximum(a.abs(), b.abs()).clamp(min=info.tiny)
    for tensor in inputs:
        size = torch.maximum(size, tensor.double().abs())
    step = torch.exp2(torch.floor(torch.log2(size))) * info.eps
    return (a - b).abs() / step


def at_the_cut(recipe, folder, name, work):
    """Elements of which TIES keeps some and drops others of the same magnitude: which, PyTorch's sort leaves open."""
    base = load(folder / "base")[name].to(work)
    found = torch.zeros(base.shape, dtype=torch.bool)
    for model in recipe["models"]:
        density = model.get("parameters", {}).get("density")
        if density is None:
            continue
        size = (load(folder / model["model"])[name].to(work) - base).abs().float()
        for share in density_values(density, name):
            k = max(1, int(share * size.numel()))
            found |= size == size.reshape(-1).sort(descending=True).values[k - 1]
    return found


def density_values(density, name):
    if not isinstance(density, list):
        return [density]
    layer = int(name.split(".")[2]) if ".layers." in name else 0
    at = layer / (LAYERS - 1) * (len(density) - 1)
    low = int(at)
    return [(1 - (at - low)) * density[low] + (at - low) * density[min(low + 1, len(density) - 1)]]


def compare(what, got, want, recipe, folder, most=1.0):
    TALLY.equal(f"{what}: names", sorted(got), sorted(want))
    worst, beyond, count = 0.0, 0, 0
    for name in want:
        if name not in got:
            continue
        inputs = []
        if what.rsplit(" ", 1)[0] in SUMS:
            inputs = [m[name] for m in (load(folder / n) for n in ("base", "a", "b", "c")) if name in m]
        far = ulps(got[name], want[name], inputs)
        if not TALLY.check(f"{what}: {name}", far is not None, "dtype or shape differ"):
            return
        if recipe["merge_method"] == "ties":
            work = getattr(torch, recipe.get("dtype", what.rsplit(" ", 1)[1]))
            far = far[~at_the_cut(recipe, folder, name, work)]
        worst, beyond, count = max(worst, far.max().item()), beyond + (far > most).sum().item(), count + far.numel()
    TALLY.check(f"{what}: within {most:g} ulp", beyond == 0, f"{beyond} of {count} elements, worst {worst:g} ulp")
    print(f"{what}: worst {worst:g} ulp")


def dare(folder, dtype):
    """Elements are dropped by chance: as many as said, what is left keeps the sum of magnitudes, and a seed decides."""
    base, a = load(folder / "base"), load(folder / "a")
    recipe = {"merge_method": "dare_linear", "base_model": "base", "models": [entry("a", weight=1.0, density=0.3)],
              "dtype": "float32"}
    got = ours(recipe, folder, folder / "dare")
    name = "model.layers.1.mlp.gate_proj.weight"
    delta, full = got[name] - base[name].float(), a[name].float() - base[name].float()
    kept = delta != 0
    share = kept.float().mean().item()
    TALLY.check("dare: share kept", abs(share - 0.3) < 0.02, share)
    TALLY.check("dare: sum of magnitudes", abs(delta.abs().sum() / full.abs().sum() - 1).item() < 1e-3)
    ratio = (delta[kept] / full[kept])[full[kept].abs() > 1e-3]
    TALLY.check("dare: one factor", (ratio.max() - ratio.min()).item() < 1e-2)
    again, other = ours(recipe, folder, folder / "dare"), ours(recipe, folder, folder / "dare", "--seed", "7")
    single = ours(recipe, folder, folder / "dare", "--threads", "1")
    TALLY.check("dare: the same seed", torch.equal(again[name], got[name]) and torch.equal(single[name], got[name]))
    TALLY.check("dare: another seed", not torch.equal(other[name], got[name]))
    names = [f"model.layers.{i}.mlp.gate_proj.weight" for i in (1, 2)]
    masks = [got[n] != base[n].float() for n in names]
    TALLY.check("dare: tensors differ", not torch.equal(*masks))


def memory(folder):
    """(N + 2) times the largest tensor, and what the program holds anyway."""
    rows, columns = 8192, 4096
    for name in ("big0", "big1", "big2"):
        (folder / name).mkdir()
        save_file({f"model.layers.{i}.w": torch.randn(rows, columns).bfloat16() for i in range(3)},
                  folder / name / "model.safetensors")
    recipe = {"merge_method": "ties", "base_model": "big0", "dtype": "bfloat16",
              "models": [entry("big1", weight=0.5, density=0.5), entry("big2", weight=0.5, density=0.5)]}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = [str(common.BUILD / "tola"), "merge", str(folder / "recipe.yaml"), str(folder / "bigout") + "/", "-q"]
    process, peak, begin = subprocess.Popen(command), 0, time.perf_counter()
    while process.poll() is None:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        peak = max([peak] + [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")])
        time.sleep(0.01)
    largest = rows * columns * 2
    TALLY.equal("memory: runs", process.returncode, 0)
    TALLY.check("memory", 0 < peak * 1024 < 5 * largest, f"{peak >> 10} MiB")
    print(f"memory: {peak >> 10} MiB for tensors of {largest >> 20} MiB; {9 * largest >> 20} MiB read in "
          f"{time.perf_counter() - begin:.1f} s")


def main():
    for dtype in (torch.float32, torch.bfloat16):
        with common.folder() as scratch:
            scratch = pathlib.Path(scratch)
            make_models(scratch, dtype)
            for name, recipe in RECIPES.items():
                what = f"{name} {str(dtype)[6:]}"
                mine = ours(recipe, scratch, scratch / "mine")
                # each of its five steps rounds in f32, where the reference rounds in f64
                most = 2.0 if what == "ties rescaled float32" else 1.0
                precise = name in SUMS and dtype == torch.float32
                compare(what, mine, theirs(recipe, scratch, scratch / "theirs", precise), recipe, scratch, most)
                layers = json.loads((scratch / "mine" / "config.json").read_text())["num_hidden_layers"]
                want = json.loads((scratch / "theirs" / "config.json").read_text())["num_hidden_layers"]
                TALLY.equal(f"{what}: layers", layers, want)
            if dtype == torch.float32:
                dare(scratch, dtype)
                memory(scratch)
    TALLY.finish()


if __name__ == "__main__":
    main()
