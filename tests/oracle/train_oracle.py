#!/usr/bin/env python3
"""tola train against PyTorch and transformers, over data that this script makes.

1. A network of convolutions and dense layers, trained on the whole table in each step: torch, from the same checkpoint,
   has the same losses and gradient norms for the steps that follow, with SGD and AdamW, and loads the weights by name.
2. Language models of each architecture of a recipe: transformers opens the folder without a weight too many or too few,
   and its loss on a text is that of tola eval.
   Architectures that only a config.json names, too.
3. The memory of a run is predicted to within 10 % of what the system measured; digits are learned."""
import json
import math
import pathlib
import random
import struct
import sys

import numpy as np
import torch

import common

N, SIDE, CLASSES = 48, 10, 3


def make_images(folder, rng):
    images, labels = bytearray(), bytearray()
    for i in range(N):
        kind = i % CLASSES
        for y in range(SIDE):
            for x in range(SIDE):
                value = (x if kind == 0 else y if kind == 1 else abs(x - y)) * 20 + rng.randint(0, 60)
                images.append(min(value, 255))
        labels.append(kind)
    (folder / "images").write_bytes(struct.pack(">IIII", 0x803, N, SIDE, SIDE) + images)
    (folder / "labels").write_bytes(struct.pack(">II", 0x801, N) + labels)
    return (torch.tensor(list(images), dtype=torch.float32).reshape(N, 1, SIDE, SIDE) / 255,
            torch.tensor(list(labels), dtype=torch.long))


IMAGES = """
data: {train: images, labels: labels, format: idx, scale: unit}
model: {layers: [conv 4 3 pad 1, relu, pool 2, conv 6 3 stride 2, gelu, flatten, dense 12, norm, tanh]}
training: {steps: %d, batch: 48}
optimizer: {method: %s}
save: {every: 1, keep: 100}
"""


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                    nn.Conv2d(4, 6, 3, stride=2), nn.GELU(), nn.Flatten(), nn.Linear(24, 12),
                                    nn.LayerNorm(12), nn.Tanh(), nn.Linear(12, CLASSES))

    def forward(self, x):
        return self.layers(x)


def train(folder, recipe, name):
    (folder / f"{name}.yaml").write_text(recipe)
    return json.loads(common.run("tola", "train", folder / f"{name}.yaml", "--out", folder / name, "--json"))


def log_of(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def compare_network(tally, folder, name, method, make):
    """torch goes on from the weights and the moments of checkpoint-1."""
    from safetensors.torch import load_file
    images, labels = make_images(folder, random.Random(5))
    steps = 12
    train(folder, IMAGES % (steps, method), name)
    net = Net()
    at = folder / name / "checkpoint-1"
    net.load_state_dict(load_file(at / "model.safetensors"))
    optimizer = make([{"params": [p for p in net.parameters() if p.dim() > 1]},
                      {"params": [p for p in net.parameters() if p.dim() == 1], "weight_decay": 0.0}])
    state = load_file(at / "state.safetensors")
    for key, p in net.named_parameters():
        kept = {k: state[f"{w}.{key}"].reshape(p.shape) for k, w in
                (("exp_avg", "moment1"), ("exp_avg_sq", "moment2")) if f"{w}.{key}" in state}
        if isinstance(optimizer, torch.optim.SGD):
            if kept:
                optimizer.state[p]["momentum_buffer"] = kept["exp_avg"]
        else:
            optimizer.state[p] = {"step": torch.tensor(1.0), **kept}
    worst = worst_norm = 0
    for line in log_of(folder / name)[1:]:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 1e30)
        optimizer.step()
        worst = max(worst, abs(loss.item() - line["loss"]))
        worst_norm = max(worst_norm, abs(norm.item() - line["grad_norm"]) / norm.item())
    tally.check(f"{name}: losses", worst < 2e-5, f"differ by {worst:.2e}")
    tally.check(f"{name}: norms of the gradient", worst_norm < 2e-4, f"differ by {worst_norm:.2e} of them")
    last = load_file(folder / name / "model.safetensors")
    difference = max((last[k] - v).abs().max().item() for k, v in net.state_dict().items())
    tally.check(f"{name}: weights after {steps} steps", difference < 2e-5, f"differ by {difference:.2e}")


TEXT = """
data: {train: text.txt, rows: packed}
tokenizer: {vocabulary: 300}
model: {architecture: %s, width: 48, layers: 2, heads: 4, kv_heads: %d, context: 32, tied: %s}
training: {steps: 25, batch: 4}
optimizer: {rate: 0.003, clip: 1}
"""


def write_texts(folder):
    rng = random.Random(7)
    words = ["".join(rng.choice("abcdefghij") for _ in range(rng.randint(2, 7))) for _ in range(60)]
    text = " ".join(rng.choice(words) for _ in range(4000))
    (folder / "text.txt").write_text(text)
    (folder / "part.txt").write_text(text[:1500])


def compare_models(tally, folder):
    try:
        import transformers
        from tokenizers import Tokenizer
    except ImportError as missing:
        tally.skip(f"models in transformers: {missing}")
        return
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for architecture, kv, tied in (("llama", 2, "false"), ("gpt2", 4, "true"), ("mistral", 2, "true"),
                                   ("mixtral, experts: 4", 2, "false"), ("qwen2", 2, "true"), ("qwen3", 2, "false")):
        train(folder, TEXT % (architecture, kv, tied), architecture.split(",")[0])
    for name, more in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps({"model_type": name, **SIZES, **more}))
        train(folder, ANY % name, name + "-any")
    for name in ["llama", "gpt2", "mistral", "mixtral", "qwen2", "qwen3", *(name + "-any" for name in CONFIGS)]:
        model, info = transformers.AutoModelForCausalLM.from_pretrained(folder / name, output_loading_info=True)
        odd = {k: v for k, v in info.items() if v}
        tally.check(f"{name}: transformers loads it whole", not odd, str(odd))
        ids = Tokenizer.from_file(str(folder / name / "tokenizer.json")).encode((folder / "part.txt").read_text()).ids
        total = count = 0
        for i in range(0, len(ids), 32):
            window = torch.tensor([ids[i:i + 32]])
            if window.shape[1] < 2:
                break
            with torch.no_grad():
                logits = model.eval()(window).logits[0, :-1].double()
            total += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
            count += window.shape[1] - 1
        got = json.loads(common.run("tola", "eval", "perplexity", folder / name, folder / "part.txt", "--protocol",
                                    "window", "--context", "32", "--stride", "32", "--json"))["perplexity"]
        expected = math.exp(total / count)
        tally.check(f"{name}: perplexity", abs(got - expected) < 1e-4 * expected, f"{got}, expected {expected}")


ANY = """
data: {train: text.txt}
tokenizer: {vocabulary: 300}
model: {config: %s.json, context: 32}
training: {steps: 25, batch: 4}
optimizer: {rate: 0.003, clip: 1}
"""
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "vocab_size": 300, "intermediate_size": 64, "max_position_embeddings": 64, "head_dim": 8}
CONFIGS = {
    "gemma2": {"architectures": ["Gemma2ForCausalLM"], "sliding_window": 16, "query_pre_attn_scalar": 8},
    "phi3": {"architectures": ["Phi3ForCausalLM"], "pad_token_id": 0, "tie_word_embeddings": False},
    "olmoe": {"architectures": ["OlmoeForCausalLM"], "num_experts": 4, "num_experts_per_tok": 2,
              "tie_word_embeddings": False},
    "mixtral": {"architectures": ["MixtralForCausalLM"], "num_local_experts": 4, "num_experts_per_tok": 2,
                "tie_word_embeddings": False},
    "smollm3": {"architectures": ["SmolLM3ForCausalLM"], "pad_token_id": 0},
}


WIDE = """
data: {train: wide.csv, scale: none}
model: {layers: [dense 1500, relu, dense 1500, relu, dense 1500, relu]}
training: {steps: 3, batch: 512}
optimizer: {method: %s}
"""
LONG = """
data: {train: text.txt}
tokenizer: {vocabulary: 300}
model: {architecture: llama, width: 192, layers: 6, heads: 6, context: 128}
training: {steps: 2, batch: 16, recompute: %s}
"""


def compare_memory(tally, folder):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(600, 20))
    with open(folder / "wide.csv", "w") as f:
        for row in rows:
            f.write(",".join("%.3f" % v for v in row) + ",%d\n" % (row.sum() > 0))
    for name, recipe in (("wide-adamw", WIDE % "adamw"), ("wide-adamw8", WIDE % "adamw8"), ("wide-sgd", WIDE % "sgd"),
                         ("long", LONG % "false"), ("long-recompute", LONG % "true")):
        memory = train(folder, recipe, name)["memory"]
        ratio = memory["total"] / memory["measured"]
        tally.check(f"{name}: memory", 0.9 < ratio < 1.1,
                    f"{memory['total']} predicted, {memory['measured']} measured ({ratio:.3f})")


MNIST = """
data:
  train: %(at)s/t10k-images-idx3-ubyte.gz
  labels: %(at)s/t10k-labels-idx1-ubyte.gz
  validation: 2000
  scale: unit
model:
  layers: [conv 16 5, relu, pool 2, conv 32 5, relu, pool 2, flatten, dense 128, relu]
training: {epochs: 3, batch: 32}
optimizer: {rate: 0.002}
schedule: {kind: cosine}
"""


def check_digits(tally, folder):
    at = common.DATA / "mnist" / "mnist"
    if not at.is_dir():
        tally.skip(f"the digits of MNIST are not in {at}")
        return
    accuracy = train(folder, MNIST % {"at": at}, "mnist")["validation"]["accuracy"]
    tally.check("MNIST, 8,000 to train and 2,000 to test: accuracy", accuracy >= 0.975, str(accuracy))


def main():
    tally = common.Tally("train_oracle")
    torch.manual_seed(0)
    with common.folder() as name:
        folder = pathlib.Path(name)
        compare_network(tally, folder, "sgd", "sgd, rate: 0.1, momentum: 0.9, decay: 0.01",
                        lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.01))
        compare_network(tally, folder, "adamw", "adamw, rate: 0.01, decay: 0.1",
                        lambda groups: torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1))
        write_texts(folder)
        compare_models(tally, folder)
        compare_memory(tally, folder)
        check_digits(tally, folder)
    tally.finish()


if __name__ == "__main__":
    sys.exit(main())
