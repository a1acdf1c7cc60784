"""tola merge --adapter against PEFT's merge_and_unload, and adapters between PEFT's and llama.cpp's layout.

Float outputs: every number within 1 ulp of the output dtype, taken at the largest of the result, the weight it was made
of and, since PyTorch sums B A in f32 in an order of its own, the sum of its products' sizes. Block types: the same
bytes as decoding, folding into f32 and quantizing anew. A merged model gives the logits of the model with its adapter.
Needs peft."""
import os
import pathlib
import subprocess
import sys

import common

sys.path.insert(0, str(common.ROOT / "tests" / "fixtures"))
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
tally = common.Tally("merge adapters")
try:
    import gguf
    import numpy as np
    import peft
    import safetensors.torch
    import torch
    import transformers
except ImportError as error:
    tally.skip(f"needs gguf, numpy, peft, safetensors, torch and transformers ({error})")
    tally.finish()
import make_models

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
CASES = [
    ("llama", torch.float32, dict(target_modules="all-linear", r=4, lora_alpha=6, rank_pattern={"o_proj": 2},
                                  alpha_pattern={"layers.1.self_attn.q_proj": 3})),
    ("llama", torch.bfloat16, dict(target_modules=["q_proj", "v_proj"], r=8, lora_alpha=16)),
    ("llama", torch.float16, dict(target_modules="all-linear", r=3, lora_alpha=16, use_rslora=True)),
    ("llama-biased", torch.bfloat16, dict(target_modules="all-linear", r=4, lora_alpha=6, use_dora=True)),
    ("phi3", torch.float32, dict(target_modules="all-linear", r=4, lora_alpha=6, use_dora=True, use_rslora=True)),
    ("gpt2", torch.float32, dict(target_modules=["c_attn", "c_fc", "c_proj"], r=4, lora_alpha=8, fan_in_fan_out=True)),
    ("gpt2", torch.bfloat16, dict(target_modules=["c_attn", "c_proj"], r=4, lora_alpha=8, fan_in_fan_out=True,
                                  use_dora=True)),
    ("gemma2", torch.bfloat16, dict(target_modules="all-linear", r=4, lora_alpha=8)),
    ("mixtral", torch.float32, dict(target_modules=["q_proj", "o_proj"], r=4, lora_alpha=8)),
    ("deepseek_v3", torch.float32, dict(target_modules=["q_b_proj", "kv_b_proj", "o_proj", "kv_a_proj_with_mqa"], r=4,
                                        lora_alpha=8)),
]
MANTISSA = {torch.float32: 23, torch.float16: 10, torch.bfloat16: 7}


def randomize(tuned, seed=5):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, p in tuned.named_parameters():
            if "lora_B" in key:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.3)
            elif "magnitude" in key:
                p.copy_(p + torch.randn(p.shape, generator=generator).to(p.dtype) * 0.3)


def make(folder, name, dtype, arguments):
    """The base, its adapter, and what PEFT makes of both."""
    if not (folder / name).exists():
        make_models.make(name, folder)
    cls = getattr(transformers, make_models.MODELS[name][0])
    base = folder / f"{name}-base"
    model = cls.from_pretrained(folder / name, torch_dtype=dtype, attn_implementation="eager")
    model.save_pretrained(base)
    tuned = peft.get_peft_model(model, peft.LoraConfig(**arguments)).eval()
    randomize(tuned)
    tuned.save_pretrained(folder / "adapter")
    exact = {}
    for key, module in tuned.base_model.model.named_modules():
        if hasattr(module, "lora_A") and module.lora_A:
            a, b = module.lora_A["default"].weight.detach(), module.lora_B["default"].weight.detach()
            w = module.get_base_layer().weight.detach().double()
            w = w.T if module.fan_in_fan_out else w
            w = w + b.double() @ a.double() * float(np.float32(module.scaling["default"]))
            if "default" in module.lora_magnitude_vector:
                m = module.lora_magnitude_vector["default"].weight.detach().double()
                w = w * (m / w.norm(dim=1))[:, None]
            exact[key + ".weight"] = w.T if module.fan_in_fan_out else w
    tuned.merge_and_unload().save_pretrained(folder / "expected")
    return base, exact


def load(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def floats(folder, name, dtype, arguments):
    what = f"{name} {str(dtype)[6:]}{' dora' if arguments.get('use_dora') else ''}"
    base, exact = make(folder, name, dtype, arguments)
    common.run("tola", "merge", base, "--adapter", folder / "adapter", f"{folder}/merged/", "--force", "-q")
    ours, expected, before = load(folder / "merged"), load(folder / "expected"), load(base)
    tally.equal(f"{what}: names", sorted(ours), sorted(before))
    worst, apart, changed = 0.0, 0.0, 0
    for key, e in expected.items():
        if key not in ours:
            continue
        o = ours[key]
        if not tally.check(f"{what}: {key}: dtype and shape", o.dtype == e.dtype and o.shape == e.shape):
            continue
        true = exact.get(key, before[key].double())
        ulp = torch.exp2(torch.floor(torch.log2(true.abs().clamp(min=2.0 ** -14))) - MANTISSA[dtype])
        error, error_e = (o.double() - true).abs() / ulp, (e.double() - true).abs() / ulp
        worst = max(worst, error.max().item())
        apart = max(apart, torch.where(error_e > 1, 0, (o.double() - e.double()).abs() / ulp).max().item())
        changed += not torch.equal(o, before[key])
    tally.check(f"{what}: the exact numbers, rounded", worst <= (0.75 if arguments.get("use_dora") else 0.501), f"{worst} ulp")
    tally.check(f"{what}: PEFT's numbers", apart <= 1, f"{apart} ulp")
    tally.check(f"{what}: weights have changed", changed > 5, changed)
    if "-v" in sys.argv:
        print(f"{what}: {worst:.3f} ulp from the exact, {apart:.2f} from PEFT, {changed} tensors")


def logits(model, ids, out, *flags):
    common.run("tola_logits", model, ids, out, *flags)
    return np.fromfile(out, np.float32)


def gguf_merged(folder):
    """Into GGUF from both sides, and a GGUF model with a PEFT adapter."""
    base, _ = make(folder, "llama", torch.float32, CASES[0][2])
    ids, out = folder / "llama.ids", folder / "out.bin"
    common.run("tola", "convert", base, folder / "base.gguf", "-q", "--force")
    expected = logits(base, ids, out, "--adapter", folder / "adapter")
    for source in (base, folder / "base.gguf"):
        common.run("tola", "merge", source, "-a", folder / "adapter", folder / "merged.gguf", "-q", "--force")
        got = logits(folder / "merged.gguf", ids, out)
        tally.check(f"{source.name} merged to GGUF", np.abs(got - expected).max() <= 1e-4, np.abs(got - expected).max())
    half = logits(base, ids, out, "--adapter", folder / "adapter", "--scale", 0.5)
    common.run("tola", "merge", base, "-a", f"{folder}/adapter:0.5", folder / "merged.gguf", "-q", "--force")
    got = logits(folder / "merged.gguf", ids, out)
    tally.check("at half its strength", np.abs(got - half).max() <= 1e-4, np.abs(got - half).max())


def tensors(path):
    return {t.name: t for t in gguf.GGUFReader(path).tensors}


def blocks(folder):
    """Block types: decode, fold into f32, quantize anew: the same bytes."""
    wide = dict(make_models.SMALL, hidden_size=256, head_dim=64, num_attention_heads=4, intermediate_size=512)
    make_models.MODELS["llama-wide"] = ("LlamaForCausalLM", "LlamaConfig", dict(wide, rope_parameters=make_models.PLAIN))
    base, _ = make(folder, "llama-wide", torch.float32, CASES[0][2])
    for kind in ("q4_0", "q8_0", "q4_k", "q5_k", "q6_k", "q2_k", "iq4_xs"):
        q, plain = folder / "q.gguf", folder / "plain.gguf"
        common.run("tola", "quantize", base, q, "--to", kind, "--force", "-q")
        common.run("tola", "merge", q, "-a", folder / "adapter", folder / "q-merged.gguf", "--force", "-q")
        common.run("tola", "convert", q, plain, "--dtype", "f32", "--force", "-q")
        common.run("tola", "merge", plain, "-a", folder / "adapter", folder / "plain-merged.gguf", "--force", "-q")
        common.run("tola", "quantize", folder / "plain-merged.gguf", folder / "again.gguf", "--to", kind, "--force", "-q",
                   *(f"--override={t.name}={t.tensor_type.name.lower()}" for t in tensors(q).values()
                     if len(t.shape) == 2 and t.tensor_type.name.lower() != kind))
        a, b, before = tensors(folder / "q-merged.gguf"), tensors(folder / "again.gguf"), tensors(q)
        tally.equal(f"{kind}: types", {n: t.tensor_type for n, t in a.items()},
                    {n: t.tensor_type for n, t in before.items()})
        changed = [n for n in a if a[n].data.tobytes() != before[n].data.tobytes()]
        tally.check(f"{kind}: weights have changed", len(changed) == 21, changed)
        different = [n for n in changed if a[n].data.tobytes() != b[n].data.tobytes()]
        tally.equal(f"{kind}: as quantized anew", different, [])


def schemes(folder):
    """A model in NF4: written decoded, and no longer said to be quantized."""
    base, _ = make(folder, "llama-wide", torch.bfloat16, CASES[1][2])
    common.run("tola", "quantize", base, f"{folder}/nf4/", "--to", "nf4", "--format", "bnb", "--force", "-q")
    common.run("tola", "merge", folder / "nf4", "-a", folder / "adapter", f"{folder}/nf4-merged/", "--force", "-q")
    ids, out = folder / "llama-wide.ids", folder / "out.bin"
    expected = logits(folder / "nf4", ids, out, "--adapter", folder / "adapter")
    got = logits(folder / "nf4-merged", ids, out)
    tally.check("nf4: merged logits", np.abs(got - expected).max() <= 0.05 * np.abs(expected).max(),
                np.abs(got - expected).max())
    tally.check("nf4: config.json", "quantization_config" not in (folder / "nf4-merged" / "config.json").read_text())


def converted(folder):
    """PEFT -> GGUF -> PEFT: the same logits on models of either layout; GGUF's layout is llama.cpp's."""
    for name, arguments in (("llama", CASES[0][2]), ("llama", CASES[2][2]), ("gpt2", CASES[5][2]),
                            ("gemma2", dict(target_modules=["q_proj", "down_proj"], r=2, lora_alpha=3))):
        base, _ = make(folder, name, torch.float32, arguments)
        back, file = folder / "back", folder / "adapter.gguf"
        common.run("tola", "convert", folder / "adapter", file, "--model", base, "--force")
        common.run("tola", "convert", file, back, "--model", base, "--force")
        ids, out = folder / f"{name}.ids", folder / "out.bin"
        expected = logits(base, ids, out, "--adapter", folder / "adapter")
        for what in (file, back):
            got = logits(base, ids, out, "--adapter", what)
            tally.check(f"{name}: {what.name}: logits", np.abs(got - expected).max() <= 2e-5,
                        np.abs(got - expected).max())
        cls = getattr(transformers, make_models.MODELS[name][0])
        tuned = peft.PeftModel.from_pretrained(cls.from_pretrained(base, attn_implementation="eager"), back).eval()
        with torch.no_grad():
            got = tuned(torch.tensor([[int(x) for x in ids.read_text().split()]])).logits[0].numpy()
        tally.check(f"{name}: PEFT takes what came back", np.abs(got.ravel() - expected).max() <= 1e-4,
                    np.abs(got.ravel() - expected).max())
        plain = logits(base, ids, out)
        tally.check(f"{name}: the adapter matters", np.abs(plain - expected).max() > 0.05)
        if name == "llama":
            field = gguf.GGUFReader(file).fields
            words = {k: bytes(field[k].parts[-1]).decode() for k in ("general.type", "adapter.type",
                                                                     "general.architecture")}
            tally.equal("llama: keys", words, {"general.type": "adapter", "adapter.type": "lora",
                                               "general.architecture": "llama"})
            names = sorted(t.name for t in gguf.GGUFReader(file).tensors if t.name.startswith("blk.0."))
            wanted = ["attn_k", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate", "ffn_up"]
            tally.equal("llama: names", names, [f"blk.0.{n}.weight.lora_{h}" for n in wanted for h in "ab"])


def refused(folder):
    tied, _ = make(folder, "llama-3.1", torch.float32, dict(target_modules=["lm_head"], r=4, lora_alpha=6))
    refuse("an output matrix that is tied", folder, tied, "its embedding")
    make(folder, "llama", torch.float32, dict(target_modules=["q_proj"], r=4, lora_alpha=6))
    refuse("an adapter of another model", folder, folder / "llama-wide",
           "q_proj.lora_A.weight': a pair from 96 to 96 columns does not fit the weight")


def refuse(what, folder, model, message):
    done = subprocess.run([common.BUILD / "tola", "merge", model, "-a", folder / "adapter", folder / "no.gguf"],
                          capture_output=True, text=True)
    tally.check(f"{what}: refused", done.returncode == 2 and message in done.stderr, done.stderr)
    tally.check(f"{what}: nothing is left", not (folder / "no.gguf").exists())


with common.folder() as temporary:
    base = pathlib.Path(temporary)
    for case in CASES:
        try:
            floats(base, *case)
        except common.Refused as error:
            tally.check(case[0], False, str(error))
    for part in (gguf_merged, blocks, schemes, converted, refused):
        try:
            part(base)
        except common.Refused as error:
            tally.check(part.__name__, False, str(error))
tally.finish()
