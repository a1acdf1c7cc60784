"""Training against PyTorch: every family that runs, on small random checkpoints (tests/fixtures/make_models.py), f32.

The loss of a batch within 1e-5, the gradient of each tensor within 1e-4 (norm of the difference over norm; with a floor
of 1e-6 of all gradients together, as GPT-2's key bias has none), and of a GPT-2 and a Llama shape the losses of ten
steps of AdamW within 1e-4. Layers computed again and two threads give the same bits. Products in bf16 and simulated fp8
are held against the same rounding in PyTorch, on one layer: behind more, last bits decide too many roundings."""

import os
import pathlib
import sys

import common

sys.path.insert(0, str(common.ROOT / "tests" / "fixtures"))
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
tally = common.Tally("gradients")
try:
    import numpy as np
    import safetensors.torch
    import torch
    import transformers
except ImportError as error:
    tally.skip(f"needs numpy, safetensors, torch and transformers ({error})")
    tally.finish()
import make_models

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
CONTEXT = {"llama-dynamic": 72, "phi3-long": 72}  # frequencies of the whole prompt: one sequence
LOSS, GRADIENT, STEPS, FLOOR = 1e-5, 1e-4, 1e-4, 1e-6
TRAINED = ["gpt2", "llama-3.1", "llama", "gpt2-inner"]


def ours(model, ids, *flags):
    """Losses, and the tensors written."""
    out = pathlib.Path(model).parent / "train.safetensors"
    lines = common.run("tola_gradients", model, ids, out, *flags).decode().split("\n")
    return [float(line) for line in lines if line and "bytes" not in line], safetensors.torch.load_file(out)


def loss_of(model, ids):
    out = model(ids)
    if not hasattr(out, "logits"):
        return (out.last_hidden_state ** 2).mean()
    logits = out.logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))


def load(folder, name):
    cls = getattr(transformers, make_models.MODELS[name][0])
    model = cls.from_pretrained(folder / name, attn_implementation="eager").float().eval()
    length = CONTEXT.get(name, make_models.TOKENS // 2)
    ids = torch.tensor([int(line) for line in (folder / f"{name}.ids").read_text().split()]).reshape(-1, length)
    flags = ["--sequence", length] + (["--context", CONTEXT[name]] if name in CONTEXT else [])
    return model, ids, flags


def saved_gradients(model, folder):
    """The gradients as save_pretrained would write them, so under the checkpoint's names; NaN where there are none."""
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.grad if p.grad is not None else torch.full_like(p, torch.nan))
    model.save_pretrained(folder)
    return safetensors.torch.load_file(folder / "model.safetensors")


def gradients(folder, name):
    model, ids, flags = load(folder, name)
    loss = loss_of(model, ids)
    loss.backward()
    losses, got = ours(folder / name, folder / f"{name}.ids", *flags)
    off = abs(losses[-1] - loss.item())
    tally.check(f"{name}: loss", off <= LOSS, f"{losses[-1]:.7f}, PyTorch's is {loss.item():.7f}")
    _, again = ours(folder / name, folder / f"{name}.ids", *flags, "--threads", 2, "--recompute", 1)
    same = all(torch.equal(got[k].view(torch.uint8), again[k].view(torch.uint8)) for k in got)
    tally.check(f"{name}: layers computed again, two threads: the same bits", same and got.keys() == again.keys())
    expected = {k: t.double() for k, t in saved_gradients(model, folder / "gradients").items() if k in got}
    none = [k for k, t in expected.items() if t.isnan().all() or k.endswith("e_score_correction_bias")]
    for key in none:  # parts that are not the language model's, and what chooses experts
        del expected[key]
        known = any(word in key for word in ("vision", "visual", "projector", "pooler", "e_score_correction_bias"))
        tally.check(f"{name}: {key} has no gradient", known)
    whole = sum(t.norm() ** 2 for t in expected.values()).item() ** 0.5
    worst, compared = 0.0, 0
    for key, t in expected.items():
        norm, difference = t.norm().item(), (got[key].double() - t).norm().item()
        if norm > FLOOR * whole:
            worst = max(worst, difference / norm)
        compared += 1
        tally.check(f"{name}: gradient of {key}", difference <= GRADIENT * norm + FLOOR * whole,
                    f"{difference:.2e} of {norm:.2e}")
    tally.check(f"{name}: tensors compared", compared > 10, compared)
    if "-v" in sys.argv:
        print(f"{name}: loss off by {off:.1e}, worst gradient {worst:.1e} of {compared}")


def steps(folder, name):
    """Ten steps of AdamW: the losses before each and behind the last."""
    model, ids, flags = load(folder, name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, foreach=False)
    expected = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = loss_of(model, ids)
        expected.append(loss.item())
        loss.backward()
        optimizer.step()
    expected.append(loss_of(model, ids).item())
    losses, _ = ours(folder / name, folder / f"{name}.ids", *flags, "--steps", 10, "--decay", 0.01)
    worst = np.abs(np.array(losses) - np.array(expected)).max()
    tally.check(f"{name}: losses of ten steps", worst <= STEPS, f"{losses} {expected}")
    tally.check(f"{name}: learns", losses[-1] < losses[0] - 0.1, losses)
    if "-v" in sys.argv:
        print(f"{name}: ten steps {losses[0]:.4f} .. {losses[-1]:.4f}, worst {worst:.1e}")


# ---- narrower products ----

class Product(torch.autograd.Function):
    """x W^T with operands rounded as ours are, and so in the backward."""

    @staticmethod
    def forward(ctx, x, w, rounded):
        ctx.rounded = rounded
        x, w = rounded(x, torch.float8_e4m3fn), rounded(w, torch.float8_e4m3fn)
        ctx.save_for_backward(x, w)
        return x @ w.T

    @staticmethod
    def backward(ctx, d):
        x, w = ctx.saved_tensors
        d = ctx.rounded(d, torch.float8_e5m2)
        return d @ w, d.reshape(-1, w.shape[0]).T @ x.reshape(-1, w.shape[1]), None


def to_bf16(t, _):
    return t.to(torch.bfloat16).float()


def to_fp8(t, kind):
    scale = torch.finfo(kind).max / t.abs().max()
    return (t * scale).to(kind).float() / scale


def precision(folder, name, kind, rounded):
    """Our bf16 and fp8 against the same rounding in PyTorch: what is left is where a last bit decides a rounding."""
    plain, ids, flags = load(folder, name)
    loss_of(plain, ids).backward()
    model, _, _ = load(folder, name)
    linear = torch.nn.functional.linear
    conv = transformers.pytorch_utils.Conv1D.forward
    torch.nn.functional.linear = lambda x, w, b=None: Product.apply(x, w, rounded) + (0 if b is None else b)
    transformers.pytorch_utils.Conv1D.forward = lambda m, x: Product.apply(x, m.weight.T, rounded) + m.bias
    loss = loss_of(model, ids)
    loss.backward()
    torch.nn.functional.linear, transformers.pytorch_utils.Conv1D.forward = linear, conv
    losses, got = ours(folder / name, folder / f"{name}.ids", *flags, "--precision", kind)
    expected = saved_gradients(model, folder / "gradients")
    exact = saved_gradients(plain, folder / "gradients")
    whole = sum(t.double().norm() ** 2 for t in exact.values()).item() ** 0.5
    near = sum((expected[k].double() - got[k].double()).norm() ** 2 for k in got).item() ** 0.5 / whole
    far = sum((exact[k].double() - got[k].double()).norm() ** 2 for k in got).item() ** 0.5 / whole
    off = abs(losses[-1] - loss.item())
    tally.check(f"{name} {kind}: loss", off < 1e-3, f"{losses[-1]} {loss.item()}")
    tally.check(f"{name} {kind}: gradients", near < far / 4 and far > 1e-4, f"{near:.1e} off, {far:.1e} from f32's")
    if "-v" in sys.argv:
        print(f"{name} {kind}: loss off by {off:.1e}, gradients by {near:.1e} ({far:.1e} from those of f32)")


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    with common.folder() as where:
        folder = pathlib.Path(where)
        for name in names or make_models.MODELS:
            try:
                make_models.make(name, folder)
                gradients(folder, name)
                if name in TRAINED:
                    steps(folder, name)
            except common.Refused as error:
                tally.check(name, False, str(error))
        if not names:
            one = dict(make_models.SMALL, num_hidden_layers=1)
            make_models.MODELS["one"] = ("LlamaForCausalLM", "LlamaConfig", one)
            make_models.make("one", folder)
            precision(folder, "one", "bf16", to_bf16)
            precision(folder, "one", "fp8", to_fp8)
    tally.finish()


main()
