#!/usr/bin/env python3
"""Makes fuzz/corpus/recipe: recipes of every kind, and what is refused."""
import pathlib

OUT = pathlib.Path(__file__).parent / "corpus" / "recipe"

END = "training: {steps: 3}\n"
FILES = {
    "table": "seed: 7\ndata: {train: a.csv, target: -1, validation: 0.2, header: no, scale: unit, predict: numbers}\n"
             "model: {layers: [dense 3, tanh, dropout 0.5, norm], smoothing: 0.1}\n"
             "training: {epochs: 1.5, batch: 8, accumulate: 2, precision: bf16, recompute: true}\n"
             "optimizer: {method: sgd, rate: 1e-2, momentum: 0.9, nesterov: true, decay: 0, clip: 1}\n"
             "schedule: {kind: linear, warmup: 5, floor: 0.1}\n",
    "images": "data: {train: i-idx3-ubyte.gz, labels: l, validation: v, validation_labels: w}\n"
              "model:\n  layers:\n    - conv 4 3x3 pad 1 stride 2\n    - relu\n    - pool 2\n    - flatten\n" + END,
    "text": "data: {train: [a.txt, b.jsonl], field: body, separator: x, rows: packed}\ntokenizer: {vocabulary: 300}\n"
            "model: {architecture: mixtral, layers: 2, width: 64, heads: 4, kv_heads: 2, experts: 4, experts_used: 2}\n"
            "training: {steps: 10}\noptimizer: {method: adamw8, betas: [0.9, 0.95], eps: 1e-6, decay_embeddings: no}\n"
            "schedule: {kind: wsd, decay_steps: 3}\nvalidation: {every: 5, batches: 2}\nsave: {every: 1, keep: 3}\n"
            "log: {every: 2}\n",
    "given": "data: {train: a.txt, validation: 10}\ntokenizer: {file: /t}\nmodel: {weights: m, context: 8}\n" + END,
    "config": "data: {train: a.txt, format: jsonl}\nmodel: {config: c.json}\n" + END,
    "ways": "data: {train: a}\nmodel: {config: c, weights: w}\n" + END,
    "keys": "data: {train: a.csv}\nmodel: {layer: []}\n" + END,
    "layers": "data: {train: a.csv}\nmodel: {layers: [conv 1 1024, dense 16777216, pool 0, conv, dropout, x, '', 3]}\n"
              + END,
    "wide": "data: {train: a.csv}\nmodel: {layers: [dense 16777216, dense 16777216, norm, conv 65536 1]}\n" + END,
    "long": "data: {train: a.csv}\nmodel: {}\ntraining: {epochs: 1e9, batch: 1}\n",
    "numbers": "seed: 18446744073709551615\ndata: {train: a.csv, validation: -1}\nmodel: {}\n" + END,
    "list": "- a\n",
    "empty": "",
}

OUT.mkdir(parents=True, exist_ok=True)
for name, content in FILES.items():
    (OUT / name).write_text(content)
