"""Counting parameters: checkpoints with the shapes of published models against what is known about those, and packed
ones against the unpacked; real files against a walk over their tensors in numpy."""

import json
import pathlib
import struct

import common
import make_shape

tally = common.Tally("inspect")


def inspect(path, *flags):
    return json.loads(common.run("tola", "inspect", "--json", *flags, path))


# ---- published models ----

MLA = {"hidden_size": 7168, "num_attention_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512,
       "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128}
CONFIGS = {
    "llama-3.1-8b": {"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
                     "intermediate_size": 14336, "num_hidden_layers": 32, "vocab_size": 128256},
    "llama-3.1-405b": {"model_type": "llama", "hidden_size": 16384, "num_attention_heads": 128,
                       "num_key_value_heads": 8, "intermediate_size": 53248, "num_hidden_layers": 126,
                       "vocab_size": 128256},
    "qwen2.5-0.5b": {"model_type": "qwen2", "hidden_size": 896, "num_attention_heads": 14, "num_key_value_heads": 2,
                     "intermediate_size": 4864, "num_hidden_layers": 24, "vocab_size": 151936,
                     "tie_word_embeddings": True},
    "mixtral-8x7b": {"model_type": "mixtral", "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
                     "intermediate_size": 14336, "num_hidden_layers": 32, "vocab_size": 32000, "num_local_experts": 8,
                     "num_experts_per_tok": 2},
    "qwen3-30b-a3b": {"model_type": "qwen3_moe", "hidden_size": 2048, "num_attention_heads": 32,
                      "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144,
                      "moe_intermediate_size": 768, "num_hidden_layers": 48, "vocab_size": 151936, "num_experts": 128,
                      "num_experts_per_tok": 8},
    "deepseek-v3": {"model_type": "deepseek_v3", **MLA, "intermediate_size": 18432, "moe_intermediate_size": 2048,
                    "num_hidden_layers": 61, "first_k_dense_replace": 3, "n_routed_experts": 256, "n_shared_experts": 1,
                    "num_experts_per_tok": 8, "vocab_size": 129280, "num_nextn_predict_layers": 1},
}
# Parameters as the models' cards and `total_size` of their indexes give them (bytes / 2 for bf16).
TOTALS = {"llama-3.1-8b": 8030261248, "llama-3.1-405b": 405853388800, "qwen2.5-0.5b": 494032768,
          "mixtral-8x7b": 46702792704, "qwen3-30b-a3b": 30532122624}
ABOUT = {"deepseek-v3": (671.03e9, 37.55e9), "mixtral-8x7b": (46.70e9, 12.88e9), "qwen3-30b-a3b": (30.53e9, 3.35e9)}


def weights(tensors):
    return sum(make_shape.count(shape) for _, _, shape in tensors)


def check_published(folder):
    for name, config in CONFIGS.items():
        tensors = make_shape.make(config)
        make_shape.write(tensors, folder / name, 3, config)
        got = inspect(folder / name)
        total = got["parameters"]["total"]
        tally.equal(f"{name}: parameters", total, weights(tensors))
        tally.equal(f"{name}: sum of roles", sum(got["parameters"]["by_role"].values()), total)
        tally.equal(f"{name}: nothing unknown", got["parameters"]["by_role"]["other"], 0)
        if name in TOTALS:
            tally.equal(f"{name}: published parameters", total, TOTALS[name])
        if name in ABOUT:
            published, active = ABOUT[name]
            tally.check(f"{name}: total", abs(total - published) < 0.01e9, total)
            tally.check(f"{name}: active", abs(got["parameters"]["active"] - active) < 0.01e9,
                        got["parameters"]["active"])
        else:
            tally.equal(f"{name}: active", got["parameters"]["active"], total)
        tally.equal(f"{name}: layers", got["layers"], config["num_hidden_layers"])
        tally.equal(f"{name}: vocabulary", got["vocabulary"], config["vocab_size"])
        tally.equal(f"{name}: no warnings", got["warnings"], [])


def check_further_tokens(folder):
    """Layers that predict further tokens are parameters, but not active ones."""
    config = CONFIGS["deepseek-v3"]
    make_shape.write(make_shape.make(config), folder / "v3", 2, config)
    make_shape.write(make_shape.make(config, extra=True), folder / "v3-extra", 2, config)
    less, more = inspect(folder / "v3")["parameters"], inspect(folder / "v3-extra")["parameters"]
    tally.equal("deepseek-v3 with its further layer: active", more["active"], less["active"])
    tally.check("deepseek-v3 with its further layer: total", more["total"] == 684489845504, more["total"])


# ---- packed ----

QUANTIZATION = {
    "fp8": {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}},
    "gptq": {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}},
    "awq": {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}},
    "compressed": {"quantization_config": {
        "quant_method": "compressed-tensors", "format": "pack-quantized",
        "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 128}}}}},
    "bnb4": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True,
                                     "bnb_4bit_quant_type": "nf4"}},
    "mlx": {"quantization": {"bits": 4, "group_size": 64}},
    "nvfp4": {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}},
}


def check_packed(folder):
    """A packed model has the parameters, by role, of the one it was made from; with and without a configuration."""
    for model in ("llama-3.1-8b", "mixtral-8x7b"):
        plain = CONFIGS[model]
        make_shape.write(make_shape.make(plain), folder / "plain", 1, plain)
        want = inspect(folder / "plain")["parameters"]
        for kind, extra in QUANTIZATION.items():
            for config in ({**plain, **extra}, plain):
                what = f"{model} {kind}{'' if config is not plain else ' without a word in the configuration'}"
                make_shape.write(make_shape.make(plain, kind), folder / "packed", 1, config)
                got = inspect(folder / "packed")
                tally.equal(f"{what}: parameters", got["parameters"], want)
                bits = got["bytes"]["tensors"] * 8 / want["total"]  # scales and zero points included
                tally.check(f"{what}: bits per weight", abs(got["bits_per_weight"] - bits) < 1e-9, got["bits_per_weight"])
                tally.equal(f"{what}: buffers", got["buffers"], 0)
                if config is not plain:
                    tally.check(f"{what}: named", got["quantization"], got["quantization"])


# ---- torch: shared storages, buffers, optimizers, quantized tensors ----


def check_torch(folder):
    try:
        import torch
    except ImportError as error:
        return tally.skip(f"no torch ({error})")

    def parameters(what, content, **kinds):
        path = folder / "x.pt"
        torch.save(content, path)
        got = inspect(path)
        for key, want in kinds.items():
            place = got["parameters"] if key in ("total", "active") else got
            place = got["states"] if key == "elements" else place
            tally.equal(f"torch, {what}: {key}", place[key], want)
        return got

    embedding = torch.randn(50, 8)
    parameters("tied weights", {"embed_tokens.weight": embedding, "lm_head.weight": embedding}, total=400,
               shared_tensors=2)
    parameters("a transposed view", {"a.weight": embedding, "b.weight": embedding.t()}, total=400)
    parameters("disjoint slices", {"q": embedding[:20], "k": embedding[20:]}, total=400)
    parameters("overlapping slices", {"q": embedding[:30], "k": embedding[20:]}, total=400)
    parameters("one inside the other", {"all": embedding, "row": embedding[3]}, total=400)
    parameters("an expanded row", {"w": torch.randn(8).expand(4, 8), "v": torch.randn(3)}, total=35)
    norm = torch.nn.BatchNorm2d(6)
    parameters("buffers", norm.state_dict(), total=12, buffers=13)
    model = torch.nn.Sequential(torch.nn.Linear(10, 5), torch.nn.LSTM(5, 3))
    count = sum(p.numel() for p in model.parameters())
    parameters("a model", model.state_dict(), total=count)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(2, 10))[0].sum().backward()
    optimizer.step()
    parameters("a training checkpoint", {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, total=count)
    values = torch.quantize_per_tensor(torch.randn(16, 4), 0.1, 0, torch.qint8)
    parameters("a quantized tensor", {"fc.weight": values}, total=64)


# ---- GGUF: experts, quantized blocks ----


def check_gguf(folder):
    try:
        import gguf
        import numpy as np
    except ImportError as error:
        return tally.skip(f"no gguf package ({error})")
    writer = gguf.GGUFWriter(folder / "x.gguf", "llama")
    for add, value in ((writer.add_block_count, 2), (writer.add_embedding_length, 256), (writer.add_context_length, 4096),
                       (writer.add_head_count, 4), (writer.add_head_count_kv, 2), (writer.add_feed_forward_length, 512),
                       (writer.add_expert_count, 4), (writer.add_expert_used_count, 1), (writer.add_vocab_size, 100),
                       (writer.add_file_type, 15), (writer.add_license, "mit"), (writer.add_name, "Tiny"),
                       (writer.add_tokenizer_model, "gpt2"), (writer.add_chat_template, "{{ x }}")):
        add(value)
    writer.add_token_list([f"t{i}" for i in range(100)])
    q4 = gguf.GGMLQuantizationType.Q4_K

    def blocks(*shape):
        return np.zeros((*shape[:-1], shape[-1] // 256 * 144), np.uint8)

    writer.add_tensor("token_embd.weight", np.zeros((100, 256), "f4"))
    for i in range(2):
        writer.add_tensor(f"blk.{i}.attn_q.weight", blocks(256, 256), raw_dtype=q4)
        writer.add_tensor(f"blk.{i}.ffn_gate_inp.weight", np.zeros((4, 256), "f4"))
        for kind in ("gate", "up", "down"):
            writer.add_tensor(f"blk.{i}.ffn_{kind}_exps.weight", blocks(4, 512, 256), raw_dtype=q4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    got = inspect(folder / "x.gguf")
    experts, rest = 2 * 3 * 4 * 512 * 256, 100 * 256 + 2 * (256 * 256 + 4 * 256)
    tally.equal("gguf: parameters", got["parameters"]["total"], experts + rest)
    tally.equal("gguf: active parameters", got["parameters"]["active"], experts // 4 + rest)
    tally.equal("gguf: experts", got["parameters"]["by_role"]["experts"], experts)
    tally.equal("gguf: attention", got["parameters"]["by_role"]["attention"], 2 * 256 * 256)
    want = dict(format="gguf", architecture="llama", layers=2, heads=4, kv_heads=2, head_dim=64, width=256, feed_forward=512,
                vocabulary=100, context_length=4096, experts=4, experts_used=1, quantization="Q4_K - Medium", licence="mit",
                name="Tiny", tokenizer="BPE, 100 tokens", chat_template=True)
    for key, value in want.items():
        if key != "architecture":  # several families write "llama"; which one is the business of families/
            tally.equal(f"gguf: {key}", got[key], value)
    bits = (100 * 256 * 32 + 2 * 4 * 256 * 32 + (experts + 2 * 256 * 256) * 4.5) / (experts + rest)
    tally.check("gguf: bits per weight", abs(got["bits_per_weight"] - bits) < 1e-9, got["bits_per_weight"])
    tally.equal("gguf: long arrays are summarised", got["metadata"]["tokenizer.ggml.tokens"], {"array": 100})
    tally.equal("gguf: or listed", len(inspect(folder / "x.gguf", "--metadata")["metadata"]["tokenizer.ggml.tokens"]), 100)


# ---- what lies beside the weights ----


def check_companions(folder):
    def of(files):
        shape = dict(CONFIGS["llama-3.1-8b"], num_hidden_layers=1)
        home = folder / "model"
        make_shape.write(make_shape.make(shape), home, 1, shape)
        for name, text in files.items():
            (home / name).write_text(text)
        got = inspect(home)
        for name in files:
            (home / name).unlink()
        return got

    card = "---\nlanguage: en\nlicense: {}\nlicense_name: {}\n---\n# x\nlicense: wrong\n"
    tally.equal("licence of a card", of({"README.md": "---\nlicense: apache-2.0\ntags: [x]\n---\n"})["licence"], "apache-2.0")
    tally.equal("a licence with a name of its own", of({"README.md": card.format("other", "acme-1.0")})["licence"], "acme-1.0")
    tally.equal("a card without licence", of({"README.md": "---\ntags: [x]\n---\nlicense: mit\n"})["licence"], None)
    tally.equal("a licence file", of({"LICENSE": "                 Apache License\n Version 2.0"})["licence"], "apache-2.0 (LICENSE)")
    model = {"type": "BPE", "vocab": {f"t{i}": i for i in range(321)}, "merges": []}
    got = of({"tokenizer.json": json.dumps({"version": "1.0", "added_tokens": [{"id": 1, "content": "x"}], "model": model}),
              "tokenizer_config.json": json.dumps({"tokenizer_class": "LlamaTokenizerFast", "chat_template": "{{ x }}"})})
    tally.equal("tokenizer", got["tokenizer"], "BPE, 321 tokens (LlamaTokenizerFast)")
    tally.equal("chat template", got["chat_template"], True)
    unigram = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.5], ["b", -2.5]]}
    got = of({"tokenizer.json": json.dumps({"model": unigram})})
    tally.equal("a Unigram tokenizer", got["tokenizer"], "Unigram, 3 tokens")
    big = {"type": "BPE", "vocab": {f"token number {i}": i for i in range(300000)}, "merges": []}
    tally.equal("a large tokenizer is not counted", of({"tokenizer.json": json.dumps({"model": big})})["tokenizer"],
                "BPE, 128256 tokens")
    tally.equal("half a tokenizer.json", of({"tokenizer.json": '{"model": {"type": "BP'})["tokenizer"], None)
    tally.equal("a vocab.txt", of({"vocab.txt": "a\nb\nc\n"})["tokenizer"], "WordPiece, 3 tokens")
    tally.equal("a template of its own", of({"chat_template.jinja": "x"})["chat_template"], True)
    got = of({"adapter_config.json": json.dumps({"peft_type": "LORA", "r": 16, "lora_alpha": 32,
                                                 "base_model_name_or_path": "meta/base"})})
    tally.equal("adapter", got["adapter"], "LoRA r=16 alpha=32 on meta/base")
    tally.equal("no adapter", of({})["adapter"], None)
    short = dict(CONFIGS["llama-3.1-8b"], num_hidden_layers=4)
    make_shape.write(make_shape.make(dict(short, num_hidden_layers=3)), folder / "short", 1, short)
    tally.equal("layers that the configuration promises", inspect(folder / "short")["warnings"],
                ["the configuration has 4 layers, the tensors 3"])


# ---- real files ----

KEYS = ["schema", "format", "architecture", "parameters", "buffers", "bytes", "bits_per_weight", "dtypes",
        "context_length", "tokenizer", "licence", "tensors", "metadata", "digest", "warnings"]


def check_real():
    """Every safetensors file: sizes, offsets and shapes as its header says; every file: the keys that are promised."""
    if not common.DATA.exists():
        return tally.skip(f"no data at {common.DATA}")
    for path in sorted((common.DATA / "safetensors").rglob("*.safetensors")):
        name = str(path.relative_to(common.DATA))
        raw = path.read_bytes()
        length = struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        got = inspect(path)
        seen = {t["name"]: (t["shape"], t["offset"] - 8 - length, t["bytes"]) for t in got["tensors"]}
        want = {k: (v["shape"], v["data_offsets"][0], v["data_offsets"][1] - v["data_offsets"][0])
                for k, v in header.items()}
        tally.equal(f"{name}: tensors", seen, want)
        tally.equal(f"{name}: bytes", got["bytes"], {"file": len(raw), "tensors": sum(v[2] for v in want.values())})
        tally.equal(f"{name}: metadata", inspect(path, "--metadata")["metadata"], metadata)
    for path in sorted(common.DATA.rglob("*")):
        if path.suffix not in (".gguf", ".safetensors", ".npy", ".npz"):
            continue
        try:
            got = inspect(path)
        except common.Refused as refused:
            tally.check(str(path), False, str(refused))
            continue
        lacking = [key for key in KEYS if key not in got]
        tally.equal(f"{path.name}: promised keys", lacking, [])
    for path in sorted((common.DATA / "index").iterdir()):
        if not (path / "model.safetensors.index.json").exists():
            continue
        got = inspect(path)
        index = json.loads((path / "model.safetensors.index.json").read_text())
        tally.equal(f"{path.name}: tensors named by the index", got["missing_tensors"], len(index["weight_map"]))
        tally.check(f"{path.name}: says that shards are missing", any("missing" in w for w in got["warnings"]))
        config = json.loads((path / "config.json").read_text())
        tally.equal(f"{path.name}: layers", got["layers"], config["num_hidden_layers"])


with common.folder() as temporary:
    where = pathlib.Path(temporary)
    check_published(where)
    check_further_tokens(where)
    check_packed(where)
    check_torch(where)
    check_gguf(where)
    check_companions(where)
check_real()
tally.finish()
