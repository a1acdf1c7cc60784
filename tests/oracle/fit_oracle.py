#!/usr/bin/env python3
"""tola fit against arithmetic made again here: sizes that everybody knows, every published configuration, counts of
devices, rooflines, money; and over HTTP, where no weights are to be read. The standard library is enough."""
import csv
import functools
import http.server
import json
import math
import os
import pathlib
import struct
import subprocess
import tempfile
import threading

from common import BUILD, DATA, ROOT, Tally

TALLY = Tally("fit")
CONFIGS = DATA / "configs"
GIB = 1 << 30


def fit(*arguments, code=(0, 1), **environment):
    done = subprocess.run([str(BUILD / "tola"), "fit", *map(str, arguments), "--json"], capture_output=True, text=True,
                          timeout=120, env={**os.environ, "XDG_CONFIG_HOME": "/nonexistent", **environment})
    if done.returncode not in code:
        TALLY.check(f"fit {' '.join(map(str, arguments))}", False, f"exit {done.returncode}: {done.stderr.strip()}")
        return None
    return json.loads(done.stdout) if done.stdout else done.stderr


def near(what, got, want, share=1e-6):
    TALLY.check(what, got is not None and abs(got - want) <= share * abs(want), f"got {got}, expected {want}")


def known_sizes():
    for name, bits, giga in (("7B", "fp32", 28), ("7B", "fp16", 14), ("7B", "int8", 7), ("7B", "int4", 3.5),
                             ("70B", "fp32", 280), ("70B", "fp16", 140), ("70B", "int8", 70), ("70B", "int4", 35),
                             ("405B", "fp16", 810)):
        near(f"{name} {bits}", fit("--params", name, "--dtype", bits)["bytes"]["weights"], giga * 1e9)
    cards = fit("--params", "405B", "--dtype", "fp16", "--on", "h100,a100")["devices"]
    for d in cards:
        TALLY.check(f"405B on {d['name']}", d["count"] > 8 and not d["fits"], str(d["count"]))
    TALLY.equal("AdamW, mixed: 16 bytes a parameter", [
        fit("--params", "7B", "--train", "full")["bytes"][k] for k in ("weights", "gradients", "optimizer")],
        [14 * 10**9, 14 * 10**9, 84 * 10**9])


def published(name):
    return next(CONFIGS.glob(f"*/{name}_config.json"), None)


def known_models():
    scout, v3 = published("meta-llama--Llama-4-Scout-17B-16E-Instruct"), published("deepseek-ai--DeepSeek-V3")
    if scout:
        found = fit("--config", scout, "--dtype", "int4", "--on", "h100")
        TALLY.check("Scout at int4 on one 80 GB card", found["devices"][0]["fits"], str(found["bytes"]))
        near("Scout: 109B", found["parameters"]["total"], 109e9, 0.02)
        near("Scout: 17B active", found["parameters"]["active"], 17e9, 0.05)
    if v3:
        found = fit("--config", v3)
        near("DeepSeek-V3: 671B", found["parameters"]["total"], 671e9, 0.005)
        near("DeepSeek-V3: 37B active", found["parameters"]["active"], 37e9, 0.02)
        # arXiv 2405.04434: one row of 512 + 64 elements a layer, 61 layers
        near("DeepSeek-V3: 1152 bytes a token and layer", found["kv_bytes_per_token"], 61 * 576 * 2)
    # https://huggingface.co/blog/llama31: 39.06 GiB; its 123.05 for 405B is twice what 8 heads of keys and values take
    for size, gib in (("70B", 39.0625), ("405B", 61.5234375)):
        path = published(f"meta-llama--Meta-Llama-3.1-{size}")
        if path:
            near(f"Llama 3.1 {size}: 128k tokens", fit("--config", path, "--context", 128000)["bytes"]["kv"], gib * GIB)
    llama = published("meta-llama--Meta-Llama-3.1-70B")
    if llama:
        found = fit("--config", llama, "--context", "128K", "--batch", 2, "--kv-type", "q8_0")
        near("Llama 70B: keys and values", found["bytes"]["kv"], 2 * 131072 * 80 * 2 * 8 * 128 * 34 / 32, 1e-4)


def every_config():
    files = [f for f in sorted(CONFIGS.glob("*/*.json")) if "model_type" in json.loads(f.read_text())]
    for path in files:
        found = fit("--config", path, "--on", "h100", "--context", 2048)
        if not found:
            continue
        b, p = found["bytes"], found["parameters"]
        TALLY.check(path.name, b["weights"] > 0 and b["total"] == sum(v for k, v in b.items() if k != "total") and
                    0 < p["active"] <= p["total"] and found["devices"][0]["prefill_tokens_per_s"] and
                    isinstance(found["notes"], list), str(found)[:300])
    if not files:
        TALLY.skip(f"no configurations in {CONFIGS}")


def least(d, total):
    """The least number of devices, as docs/fit.md says."""
    split = sum(total[k] for k in ("weights", "kv", "gradients", "optimizer", "activations"))
    n = 1
    while split / n + total["compute"] + d["overhead_bytes"] > d["usable_bytes"] and n < 1e5:
        n += 1
    return n


def counts_and_rooflines():
    for arguments in (("--params", "70B"), ("--params", "405B", "--batch", 16), ("--params", "7B", "--dtype", "q4_k_m"),
                      ("--params", "671B", "--active", "37B", "--dtype", "fp8", "--batch", 64),
                      ("--params", "13B", "--train", "full", "--recompute", "layers"),
                      ("--params", "13B", "--train", "lora", "--batch", 4)):
        found = fit(*arguments, "--on", "h100,rtx4090,m3-max-64,mi300x,tpu-v5e,epyc-9654")
        for d in found["devices"]:
            name = f"{' '.join(map(str, arguments))} on {d['name']}"
            n = least(d, found["bytes"])
            TALLY.equal(f"{name}: count", d["count"], n)
            TALLY.equal(f"{name}: fits", d["fits"], n == 1)
            for side, tokens in (("decode", found["batch"]), ("prefill", found["prompt"])):
                if found["train"]:
                    continue
                s = d[side]
                seconds = max(s["bytes"] / s["bandwidth_bytes_per_s"], s["operations"] / s["operations_per_s"])
                near(f"{name}: {side}", d[f"{side}_tokens_per_s"], tokens / (seconds + s["link_s"] + s["wait_s"]))
                share = d["decode_share"] * d["bandwidth_bytes_per_s"]
                TALLY.check(f"{name}: {side}: bandwidth of {n}", share * n * 0.49 <= s["bandwidth_bytes_per_s"] <=
                            share * n * 1.0001, str(s))
    # a dense model in 16 bits on one card: the weights but the embedding's table are read for each token
    found = fit("--params", "7B", "--on", "h100", "--context", 1)
    speed = found["devices"][0]["decode_tokens_per_s"]
    slow, fast = (1 / (giga / (0.85 * 3352) + 33 * 80e-6) for giga in (14, 12.5))
    TALLY.check("7B on an H100, decode", slow <= speed <= fast, str(speed))


def what_fits():
    for on in ("rtx4090", "h100", "m3-max-64"):
        found = fit("--params", "13B", "--dtype", "q4_k_m", "--on", on)["devices"][0]
        most = found["largest_context"]
        again = fit("--params", "13B", "--dtype", "q4_k_m", "--on", on, "--context", most)
        TALLY.check(f"{on}: the largest context fits", again["devices"][0]["fits"], str(most))
        again = fit("--params", "13B", "--dtype", "q4_k_m", "--on", on, "--context", most + 1)
        own = again["context_length"] == most
        TALLY.check(f"{on}: one more does not", own or not again["devices"][0]["fits"], str(most))
        best = fit("--params", "13B", "--on", on, "--dtype", found["best_dtype"])["devices"][0]
        TALLY.check(f"{on}: the best type fits", best["fits"], found["best_dtype"])


def published_rates():
    """What others measured on devices of the table: a roofline is no measurement, but its rates are of that size."""
    with open(pathlib.Path(__file__).with_name("fit_rates.csv"), encoding="utf-8") as f:
        rows = list(csv.DictReader(line for line in f if not line.startswith("#")))
    llama = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 128256,
             "num_key_value_heads": 8, "max_position_embeddings": 131072, "tie_word_embeddings": False}
    shapes = {"8B": {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                     "intermediate_size": 14336},
              "70B": {"hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
                      "intermediate_size": 28672}}
    ratios = {"decode": [], "prefill": []}
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in shapes.items():
            (pathlib.Path(folder) / f"{name}.json").write_text(json.dumps({**llama, **shape}))
        for r in rows:
            config = pathlib.Path(folder) / f"{r['model']}.json"
            found = fit("--config", config, "--dtype", r["type"], "--on", r["device"], "--context", r["tokens"],
                        "--prompt", r["tokens"])["devices"][0]
            for side in ratios:
                ratio = found[f"{side}_tokens_per_s"] / float(r[side])
                ratios[side].append(ratio)
                TALLY.check(f"{r['device']} {r['model']} {r['type']} {side}", 0.6 <= ratio <= 1.7,
                            f"{found[f'{side}_tokens_per_s']:.1f}, measured {r[side]}")
    for side, values in ratios.items():
        values.sort()
        print(f"published rates, {side}: fit over measured {values[len(values) // 2]:.2f} "
              f"({values[0]:.2f}-{values[-1]:.2f}) of {len(values)}")


def order_of_types():
    """The best type that fits is the first of a list: best first, by the errors that bench/quality measured."""
    with open(ROOT / "bench/quality/quality.csv", encoding="utf-8") as f:
        rmse = {r["type"]: float(r["rmse"]) for r in csv.DictReader(f) if r["data"] == "retsim proj1"}
    names = [t["dtype"] for t in fit("--params", "7B")["types"]][4:]
    kinds = [next((k for k in (n, n[:4]) if k in rmse), None) for n in names]
    errors = [rmse[k] for k in kinds if k]
    TALLY.check("types by their errors", len(errors) > 8 and errors == sorted(errors), str(list(zip(names, errors))))


def money():
    found = fit("--params", "8B", "--on", "h100", "--price", "h100=2", "--batch", 16, "--context", 512, "--api-in", 0.5,
                "--api-out", 1.5, "--ratio", 1, "--utilisation", 0.5)
    d = found["devices"][0]
    near("USD for a million written", d["usd_per_mtok_out"], 2 / (3600 * 0.5 * d["decode_tokens_per_s"]) * 1e6)
    near("USD for a million read", d["usd_per_mtok_in"], 2 / (3600 * 0.5 * d["prefill_tokens_per_s"]) * 1e6)
    near("the API's mix", found["api_usd_per_mtok"], 1.0)
    seconds = 1 / d["decode_tokens_per_s"] + 1 / d["prefill_tokens_per_s"]
    near("capacity", d["capacity_tokens_per_month"], 730 * 3600 * 0.5 * 2 / seconds)
    near("break-even", d["break_even_tokens_per_month"], 2 * 730 / 1.0 * 1e6)
    cheap = fit("--params", "8B", "--on", "h100", "--price", "h100=2", "--api-in", 0.0001, "--api-out", 0.0001)
    TALLY.equal("never cheaper", cheap["devices"][0]["break_even_tokens_per_month"], None)
    prices = [d["usd_per_hour"] for d in cheap["cheapest"]]
    TALLY.check("cheapest first", prices and prices == sorted(prices), str(prices))


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files with ranges; counts what was sent."""
    sent = 0

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if self.path.startswith("/api/models/org/name/tree/"):  # the hub's listing
            files = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40}
                     for f in pathlib.Path(self.directory).iterdir()]
            data = json.dumps(files).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return None
        if self.path.startswith("/org/name/resolve/"):
            self.path = "/" + self.path.split("/", 5)[5].split("?")[0]
        path = pathlib.Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        size, first, last = path.stat().st_size, 0, path.stat().st_size - 1
        asked = self.headers.get("Range")
        if asked:
            first, _, end = asked.split("=")[1].partition("-")
            first, last = int(first), min(int(end or last), last)
        with open(path, "rb") as f:
            f.seek(int(first))
            data = f.read(last - int(first) + 1)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{size}"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.end_headers()
        if self.command == "HEAD":
            return None
        try:
            self.wfile.write(data)
            Quiet.sent += len(data)
        except OSError:
            pass
        return None


def remote():
    """Headers and the configuration travel, the 640 MiB of weights do not."""
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 4,
              "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 8192,
              "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "tie_word_embeddings": True}
    w, f, kv = 4096, 8192, 1024
    layer = {"input_layernorm": [w], "post_attention_layernorm": [w], "self_attn.q_proj": [w, w],
             "self_attn.k_proj": [kv, w], "self_attn.v_proj": [kv, w], "self_attn.o_proj": [w, w],
             "mlp.gate_proj": [f, w], "mlp.up_proj": [f, w], "mlp.down_proj": [w, f]}
    tensors = {"model.embed_tokens.weight": [8192, w], "model.norm.weight": [w]}
    tensors.update({f"model.layers.{i}.{k}.weight": s for i in range(4) for k, s in layer.items()})
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with tempfile.TemporaryDirectory() as folder:
        with open(pathlib.Path(folder) / "model.safetensors", "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            out.truncate(8 + len(text) + at)
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(config))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/model.safetensors"
        here = fit(folder)
        there = fit(url, "--on", "rtx4090", HOME=folder)
        hub = fit("hf://org/name", "--on", "rtx4090", HOME=folder,
                  HF_ENDPOINT=f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    if hub and not isinstance(hub, str):
        TALLY.equal("hf://: as the folder", (hub["bytes"], hub["family"]), (here["bytes"], here["family"]))
    if not there or isinstance(there, str):
        return
    TALLY.equal("over HTTP: the same bytes", there["bytes"]["weights"], here["bytes"]["weights"])
    TALLY.equal("over HTTP: all of the file", here["bytes"]["weights"], at)
    near("the folder's cache", here["bytes"]["kv"], 4096 * 4 * 2 * kv * 2, 0.001)
    TALLY.check("over HTTP: only headers", Quiet.sent < 8 << 20, str(Quiet.sent))


def main():
    known_sizes()
    known_models()
    every_config()
    counts_and_rooflines()
    what_fits()
    published_rates()
    order_of_types()
    money()
    remote()
    TALLY.finish()


if __name__ == "__main__":
    main()
