"""tola finetune against PEFT and PyTorch: the losses of ten AdamW steps and the adapter they end with, over float and
over quantized weights; the adapter loaded by PEFT unchanged; a resumed run with the bits of one that was not
interrupted.

Over stories260K of the data folder, and over random models of other families with its tokenizer: matrices that the file
keeps as one (Phi-3, GPT-2), transposed ones, latent attention, experts that are left alone. Initial values are read
from a run whose rate is too small to change them."""
import json
import os
import pathlib
import shutil
import sys

import common

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
tally = common.Tally("finetune")
try:
    import numpy as np
    import peft
    import safetensors.torch
    import torch
    import transformers
except ImportError as error:
    tally.skip(f"needs numpy, peft, safetensors, torch and transformers ({error})")
    tally.finish()

sys.path.insert(0, str(common.ROOT / "tests" / "fixtures"))
import make_models

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
STORIES = common.DATA / "llm" / "stories260K" / "stories260Ktok512.gguf"
if not STORIES.is_file():
    tally.skip(f"no {STORIES}")
    tally.finish()
EXAMPLES = [("Who was it?", " It was a cat."), ("What did Tom see?", " Tom saw a big red ball in the park."),
            ("Where is Lily?", " Lily is in the house with her mom."), ("Why?", " Because.")]
STEPS, RATE = 10, 5e-3
FAMILIES = [a for a in sys.argv[1:] if not a.startswith("-")] or ["phi3", "gpt2", "gemma2", "deepseek_v3", "mixtral"]


def finetune(model, out, *flags, steps=STEPS, rate=RATE):
    common.run("tola", "finetune", model, "--data", out.parent / "data.jsonl", "--out", out, "--steps", steps, "--lr", rate,
               "--schedule", "constant", "--warmup", 0, "--batch", len(EXAMPLES), "--seed", 3, "-q", "--force", *flags)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "run" not in line]


def examples(tokenizer):
    """Ids and what is to be predicted, as the model was trained: <s> question answer </s>."""
    out = []
    for question, answer in EXAMPLES:
        before = tokenizer.encode(question)
        ids = tokenizer.encode(question + answer) + [tokenizer.eos_token_id]
        same = 0
        while same < len(before) and before[same] == ids[same]:
            same += 1
        out.append((ids, [i >= same for i in range(len(ids))]))
    return out


def loss_of(model, data):
    total, count = 0.0, 0
    for ids, wanted in data:
        logits = model(torch.tensor([ids])).logits[0, :-1].float()
        mask = torch.tensor(wanted[1:])
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
        total, count = total + losses[mask].sum(), count + int(mask.sum())
    return total / count


def train(model, data, ratio=1.0):
    """Losses of PyTorch's steps: vectors do not decay, nor do embeddings, as in tola."""
    groups = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            decays = p.dim() > 1 and not any(w in name for w in ("embed_tokens", "wte", "wpe"))
            groups.setdefault((decays, "lora_B" in name), []).append(p)
    optimizer = torch.optim.AdamW([{"params": ps, "weight_decay": 0.01 if d else 0.0, "lr": RATE * (ratio if b else 1)}
                                   for (d, b), ps in groups.items()], eps=1e-8)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model, data)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for ps in groups.values() for p in ps], 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def open_base(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, attn_implementation="eager")


def near(what, ours, theirs, limit=1e-4):
    worst = max(abs(a - b) for a, b in zip(ours, theirs))
    tally.check(f"{what}: losses of {STEPS} steps", len(ours) == len(theirs) and worst <= limit, f"differ by {worst:.1e}")
    tally.check(f"{what}: it learns", ours[-1] < 0.8 * ours[0], f"{ours[0]} to {ours[-1]}")
    if "-v" in sys.argv:
        print(f"{what}: losses differ by {worst:.1e}; {ours[0]:.4f} to {ours[-1]:.4f}")


def adapters(folder, data, base, model, what, *flags, ratio=1.0):
    """`model` is what tola learns over, `base` the same weights as a folder of floats."""
    start, out = folder / "start", folder / "adapter"
    shutil.rmtree(start, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    finetune(model, start, *flags, steps=1, rate=1e-30)
    log = finetune(model, out, *flags)
    tuned = peft.PeftModel.from_pretrained(open_base(base), start, is_trainable=True)
    losses = train(tuned.eval(), data, ratio)
    near(what, [x["loss"] for x in log if "loss" in x], losses)
    theirs = {k.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector"): v
              for k, v in tuned.named_parameters() if v.requires_grad}
    ours = safetensors.torch.load_file(out / "adapter_model.safetensors")
    if not tally.equal(f"{what}: names", sorted(ours), sorted(theirs)):
        return
    worst = max((ours[k] - theirs[k].detach()).norm().item() / theirs[k].detach().norm().item() for k in ours)
    tally.check(f"{what}: the adapter", worst <= 2e-2, f"differs by {worst:.1e}")
    # PEFT loads it unchanged and sees what tola sees
    loaded = peft.PeftModel.from_pretrained(open_base(base), out).eval()
    with torch.no_grad():
        expected = loaded(torch.tensor([data[1][0]])).logits[0].numpy()
    (folder / "ids").write_text("\n".join(map(str, data[1][0])))
    common.run("tola_logits", base, folder / "ids", folder / "out.bin", "--adapter", out)
    got = np.fromfile(folder / "out.bin", np.float32).reshape(expected.shape)
    tally.check(f"{what}: PEFT's logits", np.abs(got - expected).max() <= 1e-4, np.abs(got - expected).max())


def full(folder, data, base, what="full", limit=1e-4):
    out = folder / "full"
    log = finetune(base, out, "--method", "full")
    model = open_base(base).eval()  # GPT-2 would drop a tenth
    near(what, [x["loss"] for x in log if "loss" in x], train(model, data), limit)
    tuned = open_base(out).eval()
    theirs, worst = dict(model.named_parameters()), 0.0
    for name, p in tuned.named_parameters():
        worst = max(worst, (p - theirs[name]).norm().item() / theirs[name].norm().item())
    tally.check(f"{what}: the model", worst <= 2e-2, f"differs by {worst:.1e}")


def families(folder, data):
    for name in FAMILIES:
        kind, config, arguments = make_models.MODELS[name]
        make_models.MODELS[f"{name}-512"] = (kind, config, dict(arguments, vocab_size=512))
        make_models.make(f"{name}-512", folder)
        model = folder / f"{name}-512"
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(folder / "model" / file, model / file)
        # PEFT takes "down_proj" of a model with experts for those of the experts, whatever stands before it
        targets = ["--targets", "q_b_proj,kv_a_proj_with_mqa,kv_b_proj,o_proj"] if name == "deepseek_v3" else []
        adapters(folder, data, model, model, name, "--rank", 4, "--b-rate", 2, *targets, ratio=2.0)
        if name in ("phi3", "gpt2"):
            adapters(folder, data, model, model, f"{name} dora", "--rank", 4, "--method", "dora")
        # AdamW's first steps are signs of gradients: where experts get next to none, the sign is that of a rounding
        full(folder, data, model, f"{name} full", 1e-3 if name == "deepseek_v3" else 1e-4)


def resumed(folder, base):
    """Killed after five of ten steps and resumed: the same bits, also where the base has to be looked at again."""
    (folder / "anchor.txt").write_text("".join(f"Lily had {i} red balls. She gave one to Tom.\n" for i in range(60)))
    for method, *remedy in (("lora", "--anchor-kl", 1), ("dora", "--replay", 0.25), ("full", "--ewc", 100)):
        whole, part = folder / "whole", folder / "part"
        flags = ("--method", method, "--dropout", 0.1, "--save-every", 5, "--keep", 5, "--anchor", folder / "anchor.txt",
                 "--context", 64, *remedy)
        for out in (whole, part):
            shutil.rmtree(out, ignore_errors=True)
            finetune(base, out, *flags)
        shutil.rmtree(part / "checkpoint-10")
        name = "model.safetensors" if method == "full" else "adapter_model.safetensors"
        (part / name).unlink()
        finetune(base, part, *flags, "--resume")
        tally.check(f"{method}: resumed to the same bits", (part / name).read_bytes() == (whole / name).read_bytes())
        try:
            finetune(base, part, *flags, "--resume", rate=1e-4)
            tally.check(f"{method}: a resume with another rate", False, "was taken")
        except common.Refused as error:
            tally.check(f"{method}: a resume with another rate", "rate" in str(error), str(error))


with common.folder() as temporary:
    base = pathlib.Path(temporary)
    (base / "data.jsonl").write_text("".join(json.dumps({"prompt": q, "completion": a}) + "\n" for q, a in EXAMPLES))
    common.run("tola", "convert", STORIES, f"{base}/model/", "-q", "--dtype", "f32")
    tokens = examples(transformers.AutoTokenizer.from_pretrained(base / "model"))
    try:
        if len(FAMILIES) == 5:
            adapters(base, tokens, base / "model", base / "model", "lora", "--rank", 4)
            adapters(base, tokens, base / "model", STORIES, "lora over GGUF", "--rank", 4)
            adapters(base, tokens, base / "model", base / "model", "lora+, two targets", "--b-rate", 4, "--targets",
                     "q_proj,down_proj", ratio=4.0)
            adapters(base, tokens, base / "model", base / "model", "rslora", "--method", "rslora", "--alpha", 5)
            adapters(base, tokens, base / "model", base / "model", "dora", "--method", "dora", "--rank", 4)
            adapters(base, tokens, base / "model", base / "model", "packed, recomputed", "--pack", "--recompute", "--context", 128)
            for kind in ("q8_0", "q4_0"):
                q, plain = base / f"{kind}.gguf", base / f"{kind}-plain"
                common.run("tola", "quantize", base / "model", q, "--to", kind, "-q")
                common.run("tola", "convert", q, f"{plain}/", "--dtype", "f32", "-q")
                adapters(base, tokens, plain, q, f"lora over {kind}", "--rank", 4)
            full(base, tokens, base / "model")
            resumed(base, base / "model")
        families(base, tokens)
    except common.Refused as error:
        tally.check("finetune", False, str(error))
tally.finish()
