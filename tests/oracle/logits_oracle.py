"""Logits against transformers: every family that runs, from its folder and from GGUF, on small random checkpoints.

tests/fixtures/make_models.py makes the checkpoints and the logits (f32, eager attention). Ours may differ by 1e-4, from
either layout; a token at a time, a few at a time, all at once and on two threads must give the same bits. Adapters are
PEFT's own (where peft is installed) against PEFT's logits. The real models of the data folder follow."""

import json
import os
import pathlib
import sys

import common

sys.path.insert(0, str(common.ROOT / "tests" / "fixtures"))
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
tally = common.Tally("logits")
try:
    import gguf
    import numpy as np
    import safetensors.torch
    import torch
    import transformers
except ImportError as error:
    tally.skip(f"needs gguf, numpy, safetensors, torch and transformers ({error})")
    tally.finish()
import gguf_models
import make_models

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
LIMIT = 1e-4
# converted by tola itself; those that GGUF cannot say exactly are left out (windows of Qwen2, layers without experts,
# dynamic scaling, yarn without whole steps)
CONVERTED = ["llama", "llama-3.1", "llama-3.1-whole", "llama-biased", "llama-linear", "llama-mscale", "llama-long",
             "mistral", "mistral-full", "mixtral", "qwen2", "qwen2_moe-all", "qwen2_moe-normal", "qwen3", "qwen3_moe",
             "qwen3_moe-raw", "gemma", "gemma2", "gemma2-gguf", "gemma3", "gemma3-capped", "gemma3-wide", "phi3",
             "phi3-long", "phi3-short", "phi3-told"]
WRITTEN = ["gpt2", "olmoe", "deepseek_v2", "deepseek_v2-gguf", "deepseek_v3", "llama4-gguf", "gpt_oss", "bert",
           "roberta", "smollm3"]
# longer than trained: the number of positions decides the frequencies
CONTEXT = {"llama-dynamic": 72, "phi3-long": 72, "llama-long": 72, "phi3-told": 72}


def ours(model, ids, *flags, context=0):
    """Logits [positions, columns], flat."""
    out = pathlib.Path(model).parent / "out.bin"
    common.run("tola_logits", model, ids, out, "--context", context, *flags)
    return np.fromfile(out, np.float32)


def compare(what, expected, got, limit=LIMIT):
    if not tally.check(f"{what}: as many values", got.size == expected.size, f"{got.size} of {expected.size}"):
        return
    worst = np.abs(got.reshape(expected.shape) - expected).max()
    tally.check(f"{what}: logits", worst <= limit, f"differ by {worst:.2e}")
    if "-v" in sys.argv:
        print(f"{what}: {worst:.1e}")


def masters(what, model, out):
    """Weights that are learned: what runs, and the way back into the checkpoint's tensors."""
    count = common.run("tola_masters", model, out)
    tally.check(f"{what}: masters", int(count) > 10, count)


def from_folder(folder, name):
    expected = make_models.make(name, folder)
    ids, context = folder / f"{name}.ids", CONTEXT.get(name, 0)
    got = ours(folder / name, ids, context=context)
    compare(name, expected, got)
    encoder = name in ("bert", "roberta")
    for flags in (["--chunk", 1], ["--chunk", 7], ["--threads", 2]):
        if encoder and flags[0] == "--chunk":
            continue
        again = ours(folder / name, ids, *flags, context=context)
        tally.check(f"{name} {flags}: the same bits", again.tobytes() == got.tobytes())
    if not encoder:
        last = ours(folder / name, ids, "--last", 3, context=context)
        tally.check(f"{name}: the last three alone", last.tobytes() == got[-last.size:].tobytes() and last.size)
    masters(name, folder / name, f"{folder / name}-learned/")
    return expected


def from_gguf(folder, name, expected):
    path, context = folder / f"{name}.gguf", CONTEXT.get(name, 0)
    if name in CONVERTED:
        common.run("tola", "convert", folder / name, path)
    else:
        cls = getattr(transformers, make_models.MODELS[name][0])
        gguf_models.write(cls.from_pretrained(folder / name), path)
    compare(f"{name} (GGUF)", expected, ours(path, folder / f"{name}.ids", context=context))
    masters(f"{name} (GGUF)", path, folder / "learned.gguf")


# ---- other ways to say the same ----

def wrapped(folder):
    """The language model inside of a vision model: nested configuration, longer names, one tensor too many."""
    for name, kind, prefix, head in (
            ("gemma3", "gemma3", "language_model.model.", "language_model.lm_head."),
            ("gemma3", "gemma3", "model.language_model.", "lm_head."),
            ("llama4", "llama4", "language_model.model.", "language_model.lm_head.")):
        where = folder / "wrapped"
        where.mkdir(exist_ok=True)
        state = safetensors.torch.load_file(folder / name / "model.safetensors")
        state = {(prefix + k.removeprefix("model.") if k.startswith("model.") else k.replace("lm_head.", head)): t
                 for k, t in state.items()}
        state["vision_tower.patch.weight"] = torch.zeros(3)
        safetensors.torch.save_file(state, where / "model.safetensors", metadata={"format": "pt"})
        text = json.loads((folder / name / "config.json").read_text())
        (where / "config.json").write_text(json.dumps({"model_type": kind, "text_config": text}))
        got = ours(where, folder / f"{name}.ids")
        compare(f"{name} inside of {prefix}", np.load(folder / f"{name}.npy"), got)
    for name, prefix in (("gpt2", "transformer."), ("bert", ""), ("llama-3.1", "model.")):
        where = folder / "headless"
        where.mkdir(exist_ok=True)
        state = safetensors.torch.load_file(folder / name / "model.safetensors")
        state = {("bert." + k if name == "bert" else k.removeprefix(prefix)): t for k, t in state.items()}
        safetensors.torch.save_file(state, where / "model.safetensors", metadata={"format": "pt"})
        (where / "config.json").write_text((folder / name / "config.json").read_text())
        compare(f"{name} without '{prefix}'", np.load(folder / f"{name}.npy"), ours(where, folder / f"{name}.ids"))


def hidden(folder):
    """Hidden states of decoders, which embedding models are; from what a model without a head saves, too."""
    for name in ("llama-3.1", "gemma2", "qwen3", "gpt2", "deepseek_v3"):
        cls = getattr(transformers, make_models.MODELS[name][0])
        model = cls.from_pretrained(folder / name, attn_implementation="eager")
        ids = torch.tensor([[int(line) for line in (folder / f"{name}.ids").read_text().split()]])
        with torch.no_grad():
            expected = model.base_model(ids).last_hidden_state[0].numpy()
        where = folder / f"{name}-base"
        model.base_model.save_pretrained(where)
        for path in (folder / name, where):
            compare(f"{path.name}: hidden states", expected, ours(path, folder / f"{name}.ids", "--hidden", 1))


def containers(folder):
    """The same model in shards, as a PyTorch file (with a strided tensor), and with tensors at odd offsets."""
    for name in ("llama", "gpt2"):
        ids, expected = folder / f"{name}.ids", np.load(folder / f"{name}.npy")
        state = safetensors.torch.load_file(folder / name / "model.safetensors")
        where = folder / f"{name}-container"
        where.mkdir()
        (where / "config.json").write_text((folder / name / "config.json").read_text())
        key = next(k for k in state if k.endswith(("k_proj.weight", "c_fc.weight")))
        torch.save(dict(state, **{key: state[key].T.contiguous().T}), where / "pytorch_model.bin")
        compare(f"{name} in PyTorch's file", expected, ours(where, ids))
        (where / "pytorch_model.bin").unlink()
        cls = getattr(transformers, make_models.MODELS[name][0])
        cls.from_pretrained(folder / name).save_pretrained(where, max_shard_size="200KB")
        tally.check(f"{name}: has shards", len(list(where.glob("*.safetensors"))) > 1)
        compare(f"{name} in shards", expected, ours(where, ids))
        for path in list(where.glob("*.safetensors")) + list(where.glob("*.index.json")):
            path.unlink()
        odd = where / "model.safetensors"
        safetensors.torch.save_file(dict(state, **{"0": torch.zeros(1, dtype=torch.uint8)}), odd)
        data = odd.read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + size])
        length = len(data) - 8 - size
        header["0"]["data_offsets"] = [0, 1]  # the byte comes first and moves all others to odd places
        body, at = b"\0", 1
        for key in state:
            first, end = header[key]["data_offsets"]
            body += data[8 + size + first:8 + size + end]
            header[key]["data_offsets"], at = [at, at + end - first], at + end - first
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        odd.write_bytes(len(text).to_bytes(8, "little") + text + body)
        tally.check(f"{name}: as long as before", at == length)
        compare(f"{name} at odd places", expected, ours(where, ids))


def unsaid(folder):
    """What configurations leave out is the default of transformers' class: each word of its own that has that value."""
    sizes = dict(vocab_size=make_models.VOCABULARY, hidden_size=64, intermediate_size=48, num_hidden_layers=3,
                 pad_token_id=None)
    experts = dict(qwen2_moe=dict(num_experts=6, moe_intermediate_size=16),
                   qwen3_moe=dict(num_experts=10, moe_intermediate_size=16), olmoe=dict(num_experts=10),
                   llama4=dict(num_local_experts=3, intermediate_size_mlp=40, hidden_size=80),
                   deepseek_v2=dict(n_routed_experts=8, moe_intermediate_size=16, num_experts_per_tok=3),
                   deepseek_v3=dict(n_routed_experts=32, moe_intermediate_size=16, num_hidden_layers=4),
                   gpt_oss=dict(num_local_experts=6), gemma3=dict(num_hidden_layers=7),
                   bert=dict(hidden_size=96), roberta=dict(hidden_size=96))
    needed = ("model_type", "architectures", "num_local_experts", "q_lora_rank", "qk_nope_head_dim",
              "qk_rope_head_dim", "first_k_dense_replace")
    for name in ("llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3",
                 "phi3", "smollm3", "gpt2", "olmoe", "llama4", "deepseek_v2", "deepseek_v3", "gpt_oss", "bert",
                 "roberta"):
        cls, config_class, _ = make_models.MODELS[name]
        few = dict(vocab_size=make_models.VOCABULARY, n_embd=96, n_layer=3) if name == "gpt2" else sizes
        few = dict(few, **experts.get(name, {}))
        if name in ("bert", "roberta"):
            few.pop("pad_token_id")
        make_models.MODELS["unsaid"] = (cls, config_class, few)
        expected = make_models.make("unsaid", folder)
        del make_models.MODELS["unsaid"]
        path = folder / "unsaid" / "config.json"
        whole = json.loads(path.read_text())
        defaults = json.loads(getattr(transformers, config_class)().to_json_string(use_diff=False))
        for word in [w for w in whole if w not in needed and w in defaults and defaults[w] == whole[w]]:
            path.write_text(json.dumps({k: v for k, v in whole.items() if k != word}))
            compare(f"{name} without {word}", expected, ours(folder / "unsaid", folder / "unsaid.ids"))


def otherwise(folder):
    """Layouts and words of other programs: experts as transformers 5 holds them, TensorFlow's words for norms, an
    output matrix that is not what the configuration says, and a family that has Llama's names alone."""
    where = folder / "other"
    for name in ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "deepseek_v2", "deepseek_v3"):
        cls = getattr(transformers, make_models.MODELS[name][0])
        where.mkdir(exist_ok=True)
        cls.from_pretrained(folder / name).save_pretrained(where, save_original_format=False)
        stacked = [k for k in safetensors.torch.load_file(where / "model.safetensors") if k.endswith("gate_up_proj")]
        tally.check(f"{name}: experts are stacked", stacked)
        compare(f"{name} with stacked experts", np.load(folder / f"{name}.npy"), ours(where, folder / f"{name}.ids"))
        masters(f"{name} with stacked experts", where, f"{where}-learned/")
    state = safetensors.torch.load_file(folder / "bert" / "model.safetensors")
    state = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
             for k, t in state.items()}
    safetensors.torch.save_file(state, where / "model.safetensors", metadata={"format": "pt"})
    (where / "config.json").write_text((folder / "bert" / "config.json").read_text())
    compare("bert with gamma and beta", np.load(folder / "bert.npy"), ours(where, folder / "bert.ids"))
    config = json.loads((folder / "llama" / "config.json").read_text())
    for tied, apart in ((True, True), (True, False)):
        state = safetensors.torch.load_file(folder / "llama" / "model.safetensors")
        if not apart:
            state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
        safetensors.torch.save_file(state, where / "model.safetensors", metadata={"format": "pt"})
        (where / "config.json").write_text(json.dumps(dict(config, tie_word_embeddings=tied)))
        model = transformers.LlamaForCausalLM.from_pretrained(where, attn_implementation="eager")
        ids = torch.tensor([[int(line) for line in (folder / "llama.ids").read_text().split()]])
        with torch.no_grad():
            expected = model(ids).logits[0].numpy()
        what = "that differs" if apart else "that is the same"
        compare(f"llama, tied, with an output matrix {what}", expected, ours(where, folder / "llama.ids"))
        common.run("tola", "convert", "--force", where, folder / "tied.gguf")
        compare(f"llama, tied, with an output matrix {what} (GGUF)", expected,
                ours(folder / "tied.gguf", folder / "llama.ids"))
    try:
        common.run("tola", "convert", folder / "qwen2_moe", folder / "mixed.gguf")
        tally.check("experts in some layers are not converted", False)
    except common.Refused as error:
        tally.check("experts in some layers are not converted", "layer 1 has no experts" in str(error) and
                    not (folder / "mixed.gguf").exists(), error)
    (where / "config.json").write_text(json.dumps(dict(config, model_type="xyz", architectures=["XyzForCausalLM"])))
    try:
        ours(where, folder / "llama.ids")
        tally.check("a family with Llama's names is refused", False)
    except common.Refused as error:
        tally.check("a family with Llama's names is refused", "models of type xyz are not known" in str(error), error)


def outside(folder):
    """Words of rotary positions beside their scaling: where both places have one, transformers says which counts."""
    where = folder / "outside"
    where.mkdir()
    for name in ("llama-3.1", "qwen3"):
        cls = getattr(transformers, make_models.MODELS[name][0])
        state = safetensors.torch.load_file(folder / name / "model.safetensors")
        safetensors.torch.save_file(state, where / "model.safetensors", metadata={"format": "pt"})
        config = json.loads((folder / name / "config.json").read_text())
        rope = config.pop("rope_parameters")
        less = {k: v for k, v in rope.items() if k != "original_max_position_embeddings"}
        for what, words in (("no context inside", dict(rope_scaling=less, original_max_position_embeddings=32)),
                            ("another context", dict(rope_scaling=rope, original_max_position_embeddings=16)),
                            ("another base", dict(rope_scaling=rope, rope_theta=777.0))):
            (where / "config.json").write_text(json.dumps(dict(config, **words)))
            model = cls.from_pretrained(where, attn_implementation="eager")
            ids = torch.tensor([[int(line) for line in (folder / f"{name}.ids").read_text().split()]])
            with torch.no_grad():
                expected = model(ids).logits[0].numpy()
            compare(f"{name} with {what}", expected, ours(where, folder / f"{name}.ids"))


def configurations(folder):
    """Published configurations: those of families that run are taken (what is missing then are the tensors)."""
    where = folder / "published"
    where.mkdir(exist_ok=True)
    paths = sorted((common.DATA / "configs").glob("**/*.json"))
    if not paths:
        tally.skip(f"no configurations in {common.DATA}")
    safetensors.torch.save_file({"x": torch.zeros(1)}, where / "model.safetensors")
    (where / "x.ids").write_text("1\n")
    runs = {"llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3",
            "gemma3_text", "phi3", "gpt2", "olmoe", "llama4", "deepseek_v2", "deepseek_v3", "gpt_oss", "bert",
            "roberta", "smollm3", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"}
    for path in paths:
        try:
            config = json.loads(path.read_text())
        except ValueError:
            continue
        if not isinstance(config, dict) or "model_type" not in config:
            continue
        config.pop("quantization_config", None)
        (where / "config.json").write_text(json.dumps(config))
        try:
            ours(where, where / "x.ids")
            message = "runs without tensors"
        except common.Refused as error:
            message = str(error)
        expected = "is missing" if config["model_type"] in runs else ("cannot be run", "is not known")
        tally.check(f"{path.name}: {message}", any(e in message for e in np.atleast_1d(expected)))


# ---- adapters ----

def adapters(folder):
    try:
        import peft
    except ImportError as error:
        tally.skip(f"adapters need peft ({error})")
        return
    cases = [("llama", dict(target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj"], r=4,
                            lora_alpha=6, rank_pattern={"o_proj": 2}, alpha_pattern={"layers.1.self_attn.q_proj": 3})),
             # the first that matches counts; peft writes them in this order, which is that of their letters
             ("llama", dict(target_modules=["q_proj", "v_proj", "up_proj"], r=4, lora_alpha=6,
                            rank_pattern={"^v_proj": 9, "layers.0.self_attn.q_proj": 2, "q_proj": 7},
                            alpha_pattern={r".*\.[1-9]\d*\..*_proj": 2, "^model.layers.0.self_attn.v_proj": 5,
                                           "^q_proj": 1, "q_proj|up_proj": 9})),
             ("phi3", dict(target_modules=["qkv_proj", "gate_up_proj"], r=3, lora_alpha=6, use_rslora=True)),
             ("gpt2", dict(target_modules=["c_attn", "c_fc"], r=4, lora_alpha=8, fan_in_fan_out=True)),
             ("llama-biased", dict(target_modules="all-linear", r=4, lora_alpha=6, use_dora=True)),
             ("phi3", dict(target_modules="all-linear", r=4, lora_alpha=6, use_dora=True, use_rslora=True)),
             ("gpt2", dict(target_modules=["c_attn", "c_proj"], r=4, lora_alpha=8, fan_in_fan_out=True, use_dora=True))]
    for name, arguments in cases:
        cls = getattr(transformers, make_models.MODELS[name][0])
        model = cls.from_pretrained(folder / name, attn_implementation="eager")
        tuned = peft.get_peft_model(model, peft.LoraConfig(**arguments)).eval()
        generator = torch.Generator().manual_seed(5)
        for key, p in tuned.named_parameters():
            if "lora_B" in key or "magnitude" in key:
                with torch.no_grad():
                    p.copy_(torch.randn(p.shape, generator=generator) * 0.3 + (p if "magnitude" in key else 0))
        ids = torch.tensor([[int(line) for line in (folder / f"{name}.ids").read_text().split()]])
        with torch.no_grad():
            expected = tuned(ids).logits[0].numpy()
        where = folder / f"{name}-adapter"
        tuned.save_pretrained(where)
        plain = np.load(folder / f"{name}.npy")
        tally.check(f"{name}: the adapter matters", np.abs(plain - expected).max() > 0.1)
        for model_path in (folder / name, folder / f"{name}.gguf"):
            got = ours(model_path, folder / f"{name}.ids", "--adapter", where)
            compare(f"{model_path.name} with PEFT's adapter", expected, got)
        path = folder / f"{name}-adapter.gguf"
        if "o_proj" in arguments.get("rank_pattern", {}):
            write_adapter(where, path, tuned, arguments)
            # GGUF knows one alpha for all: that of the folder without its patterns
            edit(where / "adapter_config.json", alpha_pattern={}, rank_pattern={"o_proj": 2})
            expected = ours(folder / name, folder / f"{name}.ids", "--adapter", where).reshape(plain.shape)
            for model_path in (folder / name, folder / f"{name}.gguf"):
                got = ours(model_path, folder / f"{name}.ids", "--adapter", path)
                compare(f"{model_path.name} with GGUF's adapter", expected, got)
        if not arguments.get("use_dora"):
            none = ours(folder / name, folder / f"{name}.ids", "--adapter", where, "--scale", 0)
            compare(f"{name}: an adapter of scale 0", plain, none)
    for name, kinds in (("llama-biased", (True, False)), ("llama-biased", (False, True)), ("gpt2", (True, True))):
        several_adapters(peft, folder, name, kinds)


def several_adapters(peft, folder, name, kinds):
    """Two at once, with magnitudes (DoRA) or without: those of the second see what the first added."""
    cls = getattr(transformers, make_models.MODELS[name][0])
    targets = ["c_attn", "c_fc"] if name == "gpt2" else ["q_proj", "v_proj", "up_proj"]
    generator, places, tuned = torch.Generator().manual_seed(6), [], None
    for i, dora in enumerate(kinds):
        config = peft.LoraConfig(target_modules=targets, r=3, lora_alpha=5, use_dora=dora,
                                 fan_in_fan_out=name == "gpt2")
        model = cls.from_pretrained(folder / name, attn_implementation="eager")
        one = peft.get_peft_model(model, config, adapter_name=f"a{i}")
        for key, p in one.named_parameters():
            if "lora_B" in key or "magnitude" in key:
                with torch.no_grad():
                    p.copy_(torch.randn(p.shape, generator=generator) * 0.3 + (p if "magnitude" in key else 0))
        one.save_pretrained(folder / f"{name}-several")
        places.append(folder / f"{name}-several" / f"a{i}")
        if tuned is None:
            tuned = one
        else:
            tuned.load_adapter(places[-1], adapter_name=f"a{i}")
    tuned.base_model.set_adapter(["a0", "a1"])
    ids = torch.tensor([[int(line) for line in (folder / f"{name}.ids").read_text().split()]])
    with torch.no_grad():
        expected = tuned.eval()(ids).logits[0].numpy()
    for model_path in (folder / name, folder / f"{name}.gguf"):
        got = ours(model_path, folder / f"{name}.ids", "--adapter", places[0], "--adapter", places[1])
        compare(f"{model_path.name} with two of PEFT's adapters, magnitudes {kinds}", expected, got)


def edit(path, **changes):
    document = json.loads(path.read_text())
    document.update(changes)
    path.write_text(json.dumps(document))


def write_adapter(folder, path, tuned, arguments):
    """As llama.cpp's convert_lora_to_gguf.py does: Llama's rows of B that turn become neighbours."""
    w = gguf.GGUFWriter(path, "llama")
    w.add_type(gguf.GGUFType.ADAPTER)
    w.add_string(gguf.Keys.Adapter.TYPE, "lora")
    w.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(arguments["lora_alpha"]))
    config = tuned.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, t in safetensors.torch.load_file(folder / "adapter_model.safetensors").items():
        module, half = name.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".lora_", 1)
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(module.split(".")[-1])
        if half == "B" and heads:
            t = t.view(heads, 2, t.shape[0] // heads // 2, t.shape[1]).swapaxes(1, 2).reshape(t.shape)
        mapped = names.get_name(module + ".weight", try_suffixes=(".weight",))
        w.add_tensor(f"{mapped}.lora_{half.lower()}", np.ascontiguousarray(t.numpy()))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---- types that round ----

def narrow(folder):
    """Weights in 16 bits, and quantized by tola: near what transformers computes with the same weights in f32. Products
    round activations (to bf16; for block types to 8 bits), which three layers of random weights make a few percent."""
    name = "llama-wide"
    wide = dict(make_models.SMALL, hidden_size=256, head_dim=64, num_attention_heads=4, intermediate_size=512)
    make_models.MODELS[name] = ("LlamaForCausalLM", "LlamaConfig", wide)
    make_models.make(name, folder)
    ids = torch.tensor([[int(line) for line in (folder / f"{name}.ids").read_text().split()]])
    cases = [("f16.gguf", ["convert", "--dtype", "f16"]), ("bf16.gguf", ["convert", "--dtype", "bf16"]),
             ("bf16-folder", ["convert", "--dtype", "bf16"]), ("q8_0.gguf", ["quantize", "--to", "q8_0"]),
             ("q4_k.gguf", ["quantize", "--to", "q4_k", "--pure"]),
             ("gptq", ["quantize", "--to", "int4", "--format", "gptq"]),
             ("nf4", ["quantize", "--to", "nf4"]), ("fp8", ["quantize", "--to", "fp8"])]
    for kind, (verb, *flags) in cases:
        path = f"{folder}/wide-{kind}" + ("" if kind.endswith(".gguf") else "/")
        back = f"{folder}/wide-{kind}-f32/".replace(".gguf", "")
        source = folder / name if verb == "convert" or not kind.endswith(".gguf") else folder / "wide-f16.gguf"
        try:
            common.run("tola", verb, source, path, *flags)
            common.run("tola", "convert", path, back, "--dtype", "f32")
        except common.Refused as error:
            tally.check(f"llama as {kind}", False, str(error))
            continue
        model = transformers.LlamaForCausalLM.from_pretrained(back, attn_implementation="eager", dtype=torch.float32)
        with torch.no_grad():
            expected = model(ids).logits[0].numpy()
        got = ours(pathlib.Path(path), folder / f"{name}.ids").reshape(expected.shape)
        close(f"llama as {kind}", expected, got, 0.06 if kind.startswith("q") else 0.02)


def rounded(folder):
    """gpt-oss' mxfp4 parts and DeepSeek's fp8 with scales of blocks. Products round activations there (to 8-bit
    integers and bf16), so logits are near transformers', not equal; GGUF with the same blocks gives the same bits."""
    name = "gpt_oss"
    where, generator = folder / "gpt_oss-mxfp4", torch.Generator().manual_seed(7)
    model = transformers.GptOssForCausalLM.from_pretrained(folder / name, attn_implementation="eager")
    state = dict(model.state_dict())
    table = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6])
    w = gguf.GGUFWriter(folder / "gpt_oss-mxfp4.gguf", "gpt-oss")
    repacked = {}
    for key in [k for k in state if k.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
        experts, inputs, outputs = state[key].shape
        groups = inputs // 32
        blocks = torch.randint(0, 256, (experts, outputs, groups, 16), generator=generator, dtype=torch.uint8)
        scales = torch.randint(120, 123, (experts, outputs, groups), generator=generator, dtype=torch.uint8)
        codes = torch.stack([blocks & 15, blocks >> 4], -1).reshape(experts, outputs, groups, 32).long()
        values = table[codes] * torch.exp2(scales.float() - 127)[..., None]
        state[key].copy_(values.reshape(experts, outputs, inputs).transpose(1, 2))
        repacked[key] = (blocks, scales)
        # ggml's block: the scale, then elements i and i + 16 in a byte
        pairs = codes[..., :16] | codes[..., 16:] << 4
        repacked[key + ".ggml"] = torch.cat([scales[..., None], pairs.to(torch.uint8)], -1)
    ids = torch.tensor([[int(line) for line in (folder / f"{name}.ids").read_text().split()]])
    with torch.no_grad():
        expected = model(ids).logits[0].numpy()
    model.save_pretrained(where)
    stored = safetensors.torch.load_file(where / "model.safetensors")
    for key in [k for k in repacked if not k.endswith(".ggml")]:
        del stored[key]
        stored[key + "_blocks"], stored[key + "_scales"] = repacked[key]
    safetensors.torch.save_file(stored, where / "model.safetensors", metadata={"format": "pt"})
    edit(where / "config.json", quantization_config={"quant_method": "mxfp4"})
    got = ours(where, folder / f"{name}.ids").reshape(expected.shape)
    close("gpt-oss with mxfp4 parts", expected, got, 0.03)
    write_mxfp4(w, model, repacked)
    again = ours(folder / "gpt_oss-mxfp4.gguf", folder / f"{name}.ids").reshape(expected.shape)
    tally.check("gpt-oss with mxfp4 parts: GGUF gives the same bits", again.tobytes() == got.tobytes())


def write_mxfp4(w, model, repacked):
    c = model.config
    gguf_models.common_keys(w, c)
    gguf_models.expert_keys(w, c, "gpt_oss")
    gguf_models.rope_keys(w, c, {})
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT_OSS, c.num_hidden_layers)
    for name, t in gguf_models.layouts("gpt_oss", c, model.state_dict()):
        mapped = names.get_name(name, try_suffixes=(".weight", ".bias"))
        stem = name.removesuffix(".weight")
        packed = repacked.get(stem + ".ggml")
        for kind, first in (("gate_proj", 0), ("up_proj", 1)):
            if stem.endswith("experts." + kind):
                packed = repacked[stem.replace(kind, "gate_up_proj") + ".ggml"][:, first::2]
        if packed is None:
            w.add_tensor(mapped, np.ascontiguousarray(t.detach().numpy()))
            continue
        flat = packed.reshape(packed.shape[0], packed.shape[1], -1)
        w.add_tensor(mapped, np.ascontiguousarray(flat.numpy()), raw_dtype=gguf.GGMLQuantizationType.MXFP4)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def close(what, expected, got, share):
    """The difference is a small share of the logits' size."""
    ratio = np.sqrt(((got - expected) ** 2).mean() / (expected ** 2).mean())
    tally.check(f"{what}: near", ratio <= share, f"differs by {ratio:.4f} of the size")
    if "-v" in sys.argv:
        print(f"{what}: {ratio:.4f} of the size")


def fp8(folder):
    """Blocks of 128 x 128 that share a scale, as DeepSeek-V3 is published."""
    name, where = "deepseek_v3", folder / "deepseek_v3-fp8"
    model = transformers.DeepseekV3ForCausalLM.from_pretrained(folder / name, attn_implementation="eager")
    model.save_pretrained(where)
    stored = safetensors.torch.load_file(where / "model.safetensors")
    state = dict(model.state_dict())
    out = {}
    for key, t in stored.items():
        plain = t.dim() != 2 or "embed" in key or "lm_head" in key or key.endswith("mlp.gate.weight")
        if plain:
            out[key] = t
            continue
        rows, cols = -(-t.shape[0] // 128), -(-t.shape[1] // 128)
        scales = torch.zeros(rows, cols)
        values = torch.zeros_like(t)
        packed = torch.zeros(t.shape, dtype=torch.float8_e4m3fn)
        for r in range(rows):
            for c in range(cols):
                at = (slice(128 * r, 128 * r + 128), slice(128 * c, 128 * c + 128))
                scales[r, c] = t[at].abs().max() / 448
                packed[at] = (t[at] / scales[r, c]).to(torch.float8_e4m3fn)
                values[at] = packed[at].float() * scales[r, c]
        out[key], out[key + "_scale_inv"] = packed, scales
        restore(state, key, values)
    safetensors.torch.save_file(out, where / "model.safetensors", metadata={"format": "pt"})
    edit(where / "config.json", quantization_config={"quant_method": "fp8", "fmt": "e4m3",
                                                     "weight_block_size": [128, 128], "activation_scheme": "dynamic"})
    ids = torch.tensor([[int(line) for line in (folder / f"{name}.ids").read_text().split()]])
    with torch.no_grad():
        expected = model(ids).logits[0].numpy()
    got = ours(where, folder / f"{name}.ids").reshape(expected.shape)
    close("DeepSeek-V3 with fp8 blocks", expected, got, 0.03)


def restore(state, key, values):
    """A stored tensor back into the model, which keeps experts in one."""
    if key in state:
        state[key].copy_(values)
        return
    head, expert, kind, _ = key.rsplit(".", 3)
    if kind == "down_proj":
        state[f"{head}.down_proj"][int(expert)].copy_(values)
        return
    half = state[f"{head}.gate_up_proj"][int(expert)].chunk(2, dim=0)[kind == "up_proj"]
    half.copy_(values)


# ---- real models ----

def stories(folder):
    """stories260K.gguf against transformers, which loads GGUF itself, and the story that both tell."""
    path = common.DATA / "llm" / "stories260K" / "stories260Ktok512.gguf"
    if not path.is_file():
        tally.skip(f"no {path}")
        return
    config = transformers.LlamaConfig.from_pretrained(str(path.parent), gguf_file=path.name)
    config.pad_token_id = None  # the file says 0xffffffff
    model = transformers.LlamaForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, config=config,
                                                          attn_implementation="eager", dtype=torch.float32)
    ids = [1, 403, 407, 261, 378]  # "Once upon a time"
    for _ in range(60):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    (folder / "stories.ids").write_text("\n".join(map(str, ids)) + "\n")
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0].numpy()
    got = link(folder, path, "stories.gguf")
    got = ours(got, folder / "stories.ids").reshape(expected.shape)
    compare("stories260K", expected, got)
    tally.equal("stories260K tells the same story", got.argmax(-1)[4:-1].tolist(), ids[5:])
    tokens = gguf.GGUFReader(path).fields["tokenizer.ggml.tokens"]
    pieces = [bytes(tokens.parts[i]).decode() for i in tokens.data]
    text = "".join(pieces[i] for i in ids[1:]).replace("▁", " ")
    tally.check("the story is English", "was a little girl" in text, text)
    if "-v" in sys.argv:
        print(text)


def link(folder, target, name):
    path = folder / name
    if not path.exists():
        path.symlink_to(target)
    return path


def tiny_gpt2(folder):
    path = common.DATA / "llm" / "tiny_gpt2"
    if not path.is_dir():
        tally.skip(f"no {path}")
        return
    model = transformers.GPT2LMHeadModel.from_pretrained(path, attn_implementation="eager").float()
    ids = torch.randint(0, model.config.vocab_size, (1, 20), generator=torch.Generator().manual_seed(1))
    (folder / "tiny.ids").write_text("\n".join(map(str, ids[0].tolist())) + "\n")
    with torch.no_grad():
        expected = model(ids).logits[0].numpy()
    got = ours(link(folder, path, "tiny_gpt2"), folder / "tiny.ids")
    compare("tiny_gpt2", expected, got)


with common.folder() as temporary:
    base = pathlib.Path(temporary)
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")] or list(make_models.MODELS)
    for model_name in wanted:
        try:
            logits = from_folder(base, model_name)
            if model_name in CONVERTED + WRITTEN:
                from_gguf(base, model_name, logits)
        except common.Refused as error:
            tally.check(model_name, False, str(error))
    if len(wanted) == len(make_models.MODELS):
        for part in (wrapped, hidden, containers,
                     unsaid, otherwise, outside, configurations, adapters, rounded, fp8, narrow, stories, tiny_gpt2):
            try:
                part(base)
            except common.Refused as error:
                tally.check(part.__name__, False, str(error))
tally.finish()
