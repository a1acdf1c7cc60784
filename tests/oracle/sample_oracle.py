#!/usr/bin/env python3
"""Sampling beside transformers' logits processors: which tokens each filter keeps and with what probability, the stages
together, and the draws by a chi-square test."""
import struct
import subprocess

from common import BUILD, Tally

t = Tally("sample_oracle")
try:
    import numpy as np
    import torch
    from transformers import (MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper,
                              TopKLogitsWarper, TopPLogitsWarper, TypicalLogitsWarper)
except ImportError as missing:
    t.skip(f"sampling beside transformers: {missing}")
    t.finish()

rng = np.random.default_rng(20261121)
OFF = dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, typical_p=1.0, repetition=1.0, frequency=0.0, presence=0.0,
           window=0xffffffff, seed=0, draws=0, history=(), bias=(), mask=None)


def pack(logits, o):
    head = struct.pack("=8IQ7d", len(logits), len(o["history"]), len(o["bias"]), o["mask"] is not None, o["top_k"],
                       o["window"], o["draws"], 0, o["seed"], o["temperature"], o["top_p"], o["min_p"], o["typical_p"],
                       o["repetition"], o["frequency"], o["presence"])
    body = logits.astype(np.float32).tobytes() + np.array(o["history"], np.uint32).tobytes()
    body += b"".join(struct.pack("=If", i, b) for i, b in o["bias"])
    if o["mask"] is not None:
        body += np.packbits(np.pad(o["mask"], (0, -len(o["mask"]) % 32)), bitorder="little").tobytes()
    return head + body


def tola(cases):
    """[(logits, options)] -> [(status, {id: probability}, draws)]"""
    done = subprocess.run([BUILD / "tola_sample"], input=b"".join(pack(x, o) for x, o in cases), capture_output=True,
                          check=True)
    at, out = 0, []
    for _, o in cases:
        status, count = struct.unpack_from("=2I", done.stdout, at)
        at += 8
        pairs = np.frombuffer(done.stdout, np.dtype([("id", "u4"), ("pad", "u4"), ("p", "f8")]), count, at)
        at += 16 * count
        n = 0 if status else o["draws"]
        out.append((status, dict(zip(pairs["id"].tolist(), pairs["p"].tolist())),
                    np.frombuffer(done.stdout, np.uint32, n, at)))
        at += 4 * n
    return out


def reference(logits, o):
    """The stages in our order by transformers' classes, in doubles: {id: probability}."""
    x = torch.tensor(logits.astype(np.float32).astype(np.float64))[None]
    ids = torch.tensor([list(o["history"])], dtype=torch.long)
    for i, b in o["bias"]:
        x[0, i] += b
    if o["mask"] is not None:
        x[0, ~torch.tensor(o["mask"])] = -torch.inf
    if o["repetition"] != 1.0 and o["history"]:
        x = RepetitionPenaltyLogitsProcessor(o["repetition"])(ids, x)
    for i in set(o["history"]):
        x[0, i] -= o["history"].count(i) * o["frequency"] + o["presence"]
    stages = [TopKLogitsWarper(min(o["top_k"], len(logits)))] if o["top_k"] else []
    stages += [TypicalLogitsWarper(o["typical_p"])] if o["typical_p"] < 1 else []
    stages += [TopPLogitsWarper(o["top_p"])] if o["top_p"] < 1 else []
    stages += [MinPLogitsWarper(o["min_p"])] if o["min_p"] > 0 else []
    stages += [TemperatureLogitsWarper(o["temperature"])] if o["temperature"] != 1 else []
    for stage in stages:
        x = stage(ids, x)
    p = torch.softmax(x[0], -1).numpy()
    return {int(i): float(p[i]) for i in np.flatnonzero(np.isfinite(x[0].numpy()))}


def same(what, got, want):
    if not t.check(f"{what}: the kept set", set(got) == set(want),
                   f"{len(got)} kept, {len(want)} expected, differ {sorted(set(got) ^ set(want))[:5]}"):
        return
    worst = max(abs(got[i] - want[i]) / want[i] for i in want if want[i] > 1e-300)
    t.check(f"{what}: probabilities", worst < 1e-5, f"relative error {worst:g}")


def random_options(vocab):
    pick = lambda *values: values[rng.integers(len(values))]
    history = tuple(int(i) for i in rng.integers(0, vocab, pick(0, 5, 60)))
    return dict(OFF, temperature=pick(0.3, 1.0, 1.7), top_k=int(pick(0, 1, 7, 40, 300)),
                top_p=pick(1.0, 0.95, 0.5, 0.1), min_p=pick(0.0, 0.05, 0.3), typical_p=pick(1.0, 0.9, 0.4),
                repetition=pick(1.0, 1.3), frequency=pick(0.0, 0.25), presence=pick(0.0, 0.5), history=history,
                bias=tuple((int(i), float(np.float32(b))) for i, b in zip(rng.choice(vocab, pick(0, 4), False),
                                                                         rng.normal(0, 3, 4))),
                mask=pick(None, rng.random(vocab) < 0.7))


# each stage alone, then all together
cases = []
for vocab in (3, 100, 5000, 32000):
    logits = rng.normal(0, 3, vocab)
    for k in (1, 5, 40, 129, 1000):
        cases.append((f"top_k {k} of {vocab}", logits, dict(OFF, top_k=k)))
    for p in (0.01, 0.3, 0.5, 0.9, 0.95, 0.999):
        cases.append((f"top_p {p} of {vocab}", logits, dict(OFF, top_p=p)))
        cases.append((f"typical_p {p} of {vocab}", logits, dict(OFF, typical_p=p)))
        cases.append((f"min_p {p} of {vocab}", logits, dict(OFF, min_p=p)))
    cases.append((f"top_p 0 of {vocab}", logits, dict(OFF, top_p=0.0)))  # the likeliest alone
    cases.append((f"min_p 1 of {vocab}", logits, dict(OFF, min_p=1.0)))
    cases.append((f"a huge temperature of {vocab}", logits, dict(OFF, temperature=1e6)))
    cases.append((f"negative penalties of {vocab}", logits, dict(OFF, frequency=-1.5, presence=-2.0,
                                                                 history=(1, 2, 1))))
    cases.append((f"a token forbidden of {vocab}", logits, dict(OFF, bias=((1, -np.inf),), top_k=2)))
    cases.append((f"temperature of {vocab}", logits, dict(OFF, temperature=0.35)))
    history = tuple(int(i) for i in rng.integers(0, vocab, 50))
    cases.append((f"repetition of {vocab}", logits, dict(OFF, repetition=1.4, history=history)))
    cases.append((f"frequency of {vocab}", logits, dict(OFF, frequency=0.4, presence=0.2, history=history)))
for i in range(400):
    vocab = int(rng.choice([5, 64, 1000, 8000]))
    cases.append((f"stages {i}", rng.normal(0, rng.choice([0.5, 2, 6]), vocab), random_options(vocab)))
for (what, logits, o), (status, got, _) in zip(cases, tola([c[1:] for c in cases])):
    if t.equal(f"{what}: status", status, 0):
        same(what, got, reference(logits, o))

# ties: exactly k, the lowest ids first, where transformers keeps all that tie with the last
for i in range(60):
    vocab = int(rng.choice([10, 200, 3000]))
    logits = rng.integers(0, 4, vocab).astype(float)
    order = np.lexsort((np.arange(vocab), -logits))
    k, p = int(rng.integers(1, vocab)), float(rng.choice([0.2, 0.6, 0.9]))
    w = np.exp(logits[order] - logits.max())
    n = int(np.searchsorted(np.cumsum(w), p * w.sum() * (1 - 1e-12))) + 1
    (_, by_k, _), (_, by_p, _) = tola([(logits, dict(OFF, top_k=k)), (logits, dict(OFF, top_p=p))])
    t.check(f"ties {i}: top_k", set(by_k) == set(order[:k].tolist()) <= set(reference(logits, dict(OFF, top_k=k))))
    t.check(f"ties {i}: top_p", set(by_p) == set(order[:n].tolist()), f"{len(by_p)} kept, {n} expected")

# greedy, and what is refused
logits = rng.normal(0, 1, 1000)
logits[[17, 400]] = 9
(_, one, _), = tola([(logits, dict(OFF, temperature=0.0))])
t.equal("greedy takes the lowest id of the likeliest", one, {17: 1.0})
for bad in (np.nan, np.inf, -np.inf):
    broken = logits.copy()
    broken[3] = bad
    t.check(f"a logit of {bad} is refused", tola([(broken, OFF)])[0][0] != 0)

# draws: chi-square against the distribution; another seed, other draws; the same seed, the same
try:
    from scipy.stats import chi2
    quantile = lambda df: chi2.ppf(1 - 1e-4, df)
except ImportError:
    quantile = lambda df: df * (1 - 2 / (9 * df) + 3.719 * (2 / (9 * df)) ** 0.5) ** 3  # Wilson and Hilferty 1931
for seed in (0, 1, 2, 12345):
    logits = rng.normal(0, 1, 50)
    (_, p, draws), (_, _, again) = tola([(logits, dict(OFF, seed=seed, draws=200000))] * 2)
    t.check(f"seed {seed}: the same draws again", (draws == again).all())
    counts = np.bincount(draws, minlength=50)
    expected = np.array([p[i] for i in range(50)]) * len(draws)
    chi = ((counts - expected) ** 2 / expected).sum()
    t.check(f"seed {seed}: chi-square", chi < quantile(49), f"{chi:.1f}, bound {quantile(49):.1f}")
    pairs = np.corrcoef(draws[:-1], draws[1:])[0, 1]
    t.check(f"seed {seed}: neighbours are independent", abs(pairs) < 0.012, f"correlation {pairs:.4f}")
t.finish()
