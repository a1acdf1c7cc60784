"""Hugging Face folders to GGUF and back, against transformers and llama.cpp.

For every family that converts: a small random model is made with transformers, converted, loaded by llama.cpp, and
both must cut the same texts into the same tokens and continue prompts greedily with the same ids (f32). Converted back,
every tensor must be equal bit for bit, and transformers must load the folder with equal logits, ids and chat template.
Without the tola.* keys (as files from other converters are) everything but dtypes must still come back."""

import json
import os
import pathlib
import shutil
import sys

import common

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
tally = common.Tally("hf_gguf")
try:
    import gguf
    import llama_cpp
    import numpy as np
    import safetensors.torch
    import tokenizers
    import torch
    import transformers
except ImportError as error:
    tally.skip(f"needs gguf, llama_cpp, safetensors, tokenizers, torch and transformers ({error})")
    tally.finish()

@llama_cpp.llama_log_callback
def silent(level, text, user):
    pass


llama_cpp.llama_log_set(silent, None)
torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
VOCABULARY = 400
CORPUS = common.DATA / "text" / "tinyshakespeare_input.txt"
PIECES = common.DATA / "llm" / "stories260K" / "tok512.model"
STORIES = common.DATA / "llm" / "stories260K" / "stories260Ktok512.gguf"
VOCABULARIES = common.DATA / "gguf_vocab" / "llama.cpp"
if not CORPUS.is_file() or not PIECES.is_file():
    tally.skip(f"no data folder at {common.DATA}")
    tally.finish()

TEXTS = [
    "Once upon a time, there was a little girl.",
    "  First Citizen:\nBefore we proceed any further, hear me speak.\n\n\n",
    "I've 12345 apples, 3.14 pies; she'LL take 1,000,000!",
    "naïve café — “quotes” … 你好，世界 🦙🦙 привет",
    "\ttabs\tand   spaces   \r\nCRLF  ",
    "def f(x):\n    return x**2  # comment_with_under_scores",
    "",
    "a",
]
SPECIAL = ["x<tool> y <|end|></s> z", "<|user|>\nHi there<|end|>\n<|assistant|>\n", "<|turn|> a<|turn|>\nb<s>c"]
PROMPTS = ["Once upon a time", "First Citizen:\nBefore we", "The 42 little kings and queens of the old town went to"]

# name, class, configuration class, arguments, tokenizer
SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, initializer_range=0.15)
LLAMA3_ROPE = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=64)
LONGROPE = dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0 + 0.05 * i for i in range(8)],
                long_factor=[1.0 + 0.5 * i for i in range(8)])
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=256, rope_theta=10000.0)
TWO_ROPES = dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                 sliding_attention=dict(rope_type="default", rope_theta=10000.0))
FAMILIES = [
    ("llama", "Llama", dict(), "spm"),
    ("llama-3.1", "Llama", dict(rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True), "llama-bpe"),
    ("llama-biased", "Llama", dict(attention_bias=True, mlp_bias=True, head_dim=32), "gpt-2"),
    ("llama-linear", "Llama", dict(rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=10000.0)), "spm"),
    ("smollm", "Llama", dict(), "smollm"),
    ("mistral", "Mistral", dict(sliding_window=None), "spm-file"),
    ("mistral-nemo", "Mistral", dict(sliding_window=None, head_dim=32), "tekken"),
    ("mixtral", "Mixtral", dict(num_local_experts=4, num_experts_per_tok=2), "spm"),
    ("qwen2", "Qwen2", dict(tie_word_embeddings=True), "qwen2"),
    ("qwen2-yarn", "Qwen2", dict(rope_parameters=YARN, max_position_embeddings=1024), "qwen2"),
    ("qwen2-files", "Qwen2", dict(), "qwen2-files"),
    ("qwen2_moe", "Qwen2Moe", dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32,
                                   shared_expert_intermediate_size=48, norm_topk_prob=False), "qwen2"),
    ("qwen3", "Qwen3", dict(head_dim=32), "qwen2"),
    ("qwen3_moe", "Qwen3Moe", dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, head_dim=32,
                                   norm_topk_prob=True), "qwen2"),
    ("gemma", "Gemma", dict(head_dim=32), "spm-gemma"),
    ("gemma2", "Gemma2", dict(head_dim=32, query_pre_attn_scalar=32, sliding_window=16), "spm-gemma"),
    ("gemma3", "Gemma3", dict(head_dim=32, query_pre_attn_scalar=32, sliding_window=16, num_hidden_layers=7),
     "spm-gemma"),
    ("gemma3-linear", "Gemma3", dict(head_dim=32, query_pre_attn_scalar=32, sliding_window=16, num_hidden_layers=7,
                                     rope_parameters=TWO_ROPES), "spm-gemma"),
    ("phi3", "Phi3", dict(num_key_value_heads=4, original_max_position_embeddings=256, sliding_window=None), "spm-phi"),
    # llama.cpp rounds a context up to 256 positions: below that it takes the short factors, as transformers does
    ("phi3-long", "Phi3", dict(rope_parameters=LONGROPE, original_max_position_embeddings=256, sliding_window=None,
                               max_position_embeddings=1024), "spm"),
    ("phi4", "Phi3", dict(original_max_position_embeddings=256, sliding_window=None, tie_word_embeddings=True,
                          rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5)),
     "dbrx"),
]
CONFIGS = {"Gemma3": "Gemma3TextConfig"}

CHAT = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}{% endfor %}"
CASELESS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
LOWER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
SPLITS = {
    "dbrx": CASELESS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL,
    "llama-bpe": CASELESS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL,
    "qwen2": CASELESS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL,
    "tekken": UPPER + "|" + LOWER + r"|\p{N}" + TAIL.replace(r"[\r\n]*", r"[\r\n/]*"),
}


# ---- making ----

def byte_level(kind):
    """A byte-level BPE tokenizer, trained on Shakespeare, that cuts text as the models of this kind do."""
    pre = tokenizers.pre_tokenizers
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE(ignore_merges=kind in ("llama-bpe", "tekken")))
    if kind in SPLITS:
        bpe.pre_tokenizer = pre.Sequence([pre.Split(tokenizers.Regex(SPLITS[kind]), "isolated"),
                                          pre.ByteLevel(add_prefix_space=False, use_regex=False)])
    elif kind == "smollm":
        bpe.pre_tokenizer = pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)])
    else:
        bpe.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
    if kind == "qwen2":
        bpe.normalizer = tokenizers.normalizers.NFC()
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=VOCABULARY - 24, show_progress=False,
                                             initial_alphabet=pre.ByteLevel.alphabet())
    bpe.train_from_iterator([CORPUS.read_text()[:200000]], trainer)
    bpe.add_special_tokens(["<|begin|>", "<|end|>", "<|pad|>"])
    bpe.add_tokens(["<tool>"])
    if kind in ("llama-bpe", "tekken"):
        bpe.post_processor = tokenizers.processors.TemplateProcessing(
            single="<|begin|> $A", pair="<|begin|> $A <|begin|> $B",
            special_tokens=[("<|begin|>", bpe.token_to_id("<|begin|>"))])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<|begin|>", eos_token="<|end|>",
                                                pad_token="<|pad|>", chat_template=CHAT)


def sentencepiece(folder, kind):
    """tok512.model, which stories260K was trained with, as the files that models ship."""
    import sentencepiece as spm
    model = spm.SentencePieceProcessor(model_file=str(PIECES))
    pieces = [model.id_to_piece(i) for i in range(model.vocab_size())]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    merges = []
    for piece, i in vocab.items():
        parts = [(piece[:n], piece[n:]) for n in range(1, len(piece))]
        merges += [(model.get_score(i), len(a), len(b), a, b) for a, b in parts if a in vocab and b in vocab]
    merges = [(a, b) for _, _, _, a, b in sorted(merges, key=lambda m: m[:3], reverse=True)]
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True,
                                                     byte_fallback=True))
    space = tokenizers.normalizers.Replace(" ", "▁")
    decoders = [tokenizers.decoders.Replace("▁", " "), tokenizers.decoders.ByteFallback(), tokenizers.decoders.Fuse()]
    if kind == "spm-gemma":
        bpe.normalizer = space
    else:
        bpe.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.Prepend("▁"), space])
        decoders.append(tokenizers.decoders.Strip(" ", 1, 0))
    bpe.decoder = tokenizers.decoders.Sequence(decoders)
    bpe.add_special_tokens(["<unk>", "<s>", "</s>"] + (["<|turn|>"] if kind != "spm-phi" else []))
    if kind == "spm-phi":  # special tokens that swallow the white space behind them
        bpe.add_special_tokens(["<|endoftext|>"])
        strips = [tokenizers.AddedToken(word, rstrip=True, normalized=False, special=True)
                  for word in ("<|turn|>", "<|user|>", "<|assistant|>", "<|end|>", "</s>")]
        bpe.add_special_tokens(strips)
    bpe.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", bpe.token_to_id("<s>"))])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>",
                                                unk_token="<unk>", chat_template=CHAT)


def save_tokenizer(folder, kind):
    """Writes the tokenizer's files; returns it as transformers loads it."""
    if kind.startswith("spm"):
        tokenizer = sentencepiece(folder, kind)
        tokenizer.save_pretrained(folder)
        if kind == "spm-file":
            shutil.copy(PIECES, folder / "tokenizer.model")
    else:
        tokenizer = byte_level(kind.removesuffix("-files"))
        tokenizer.save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    if kind == "qwen2-files":  # the older layout
        tokenizer.backend_tokenizer.model.save(str(folder))
        (folder / "tokenizer.json").unlink()
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text())
        config["added_tokens_decoder"] = {
            str(i): {"content": t.content, "special": t.special} for i, t in tokenizer.added_tokens_decoder.items()}
        path.write_text(json.dumps(config))
    return tokenizer


def make_model(folder, name, kind, arguments, tokenizer, dtype):
    torch.manual_seed(sum(name.encode()))
    rows = max(VOCABULARY, len(tokenizer) + 4)
    config = getattr(transformers, CONFIGS.get(kind, kind + "Config"))(
        vocab_size=rows, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, **{**SMALL, **arguments})
    model = getattr(transformers, kind + "ForCausalLM")(config)
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            if "norm" in key:
                tensor.uniform_(-0.5, 0.5) if kind.startswith("Gemma") else tensor.uniform_(0.5, 1.5)
                if kind.startswith("Gemma"):  # values whose bits do not survive plus and minus one
                    tensor[0:4] = torch.tensor([0.0, 1e-6, -3.1e-7, 1e-20])
            elif key.endswith("bias"):
                tensor.normal_(0, 0.2)
    model = model.to(dtype).eval()
    model.save_pretrained(folder, max_shard_size="150KB" if name in ("llama", "mixtral") else "5GB")
    return model


# ---- looking ----

def tensors_of(folder):
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        found.update(safetensors.torch.load_file(path))
    return found


def bits(tensor):
    return (tensor.dtype, tuple(tensor.shape), tensor.contiguous().view(torch.uint8).numpy().tobytes())


def check_same_tensors(what, source, back):
    a, b = tensors_of(source), tensors_of(back)
    wrong = sorted(key for key in a.keys() | b.keys() if key not in a or key not in b or bits(a[key]) != bits(b[key]))
    tally.check(f"{what}: tensors come back bit for bit ({len(a)})", not wrong, f"{len(wrong)} differ: {wrong[:3]}")


@torch.no_grad()
def greedy_transformers(model, ids, count):
    ids = list(ids)
    for _ in range(count):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids


def greedy_llama(llama, ids, count):
    ids = list(ids)
    llama.reset()
    llama.eval(ids)
    for _ in range(count):
        ids.append(int(np.argmax(llama.scores[llama.n_tokens - 1])))
        llama.eval(ids[-1:])
    return ids


def open_llama(path, context=64):
    return llama_cpp.Llama(model_path=str(path), n_ctx=context, n_threads=1, n_threads_batch=1, n_batch=64,
                           verbose=False, logits_all=True, type_k=0, type_v=0, flash_attn=False, seed=1)


def check_llama(what, path, tokenizer, model):
    try:
        llama = open_llama(path)
    except ValueError as error:
        return tally.check(f"{what}: llama.cpp loads it", False, str(error))
    for text in TEXTS + SPECIAL:
        expected = tokenizer(text)["input_ids"]
        got = llama.tokenize(text.encode(), add_bos=True, special=True)
        tally.equal(f"{what}: llama.cpp's tokens of {text!r}", got, expected)
    for prompt in PROMPTS:
        ids = tokenizer(prompt)["input_ids"][:32]
        if not ids:
            continue
        tally.equal(f"{what}: llama.cpp continues {prompt!r}", greedy_llama(llama, ids, 24),
                    greedy_transformers(model, ids, 24))
    llama.close()


@torch.no_grad()
def check_folder(what, folder, tokenizer, model, exact):
    """transformers loads the folder: equal logits, ids, chat template."""
    again = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=model.dtype).eval()
    if type(model).__name__ != "MistralForCausalLM" or exact:  # GGUF alone does not tell it from Llama
        tally.equal(f"{what}: class", type(again).__name__, type(model).__name__)
    ids = torch.tensor([tokenizer(PROMPTS[2])["input_ids"]])
    a, b = model(ids).logits, again(ids).logits
    tally.check(f"{what}: equal logits", torch.equal(a, b) if exact else torch.allclose(a, b, rtol=1e-5, atol=1e-5),
                f"largest difference {float((a - b).abs().max())}")
    other = transformers.AutoTokenizer.from_pretrained(folder)
    for text in TEXTS + SPECIAL:
        tally.equal(f"{what}: ids of {text!r}", other(text)["input_ids"], tokenizer(text)["input_ids"])
        tally.equal(f"{what}: text of them", other.decode(other(text)["input_ids"]),
                    tokenizer.decode(tokenizer(text)["input_ids"]))
    messages = [{"role": "user", "content": "Hi"}]
    tally.equal(f"{what}: chat template", other.apply_chat_template(messages, tokenize=False),
                tokenizer.apply_chat_template(messages, tokenize=False))
    for word in ("bos_token_id", "eos_token_id", "pad_token_id"):
        tally.equal(f"{what}: tokenizer's {word}", getattr(other, word), getattr(tokenizer, word))
        tally.equal(f"{what}: {word}", getattr(again.config, word), getattr(model.config, word))


def without_tola(source, target):
    """The same file without tola.* keys, written by gguf-py."""
    reader = gguf.GGUFReader(source)
    arch = reader.get_field("general.architecture").contents()
    writer = gguf.GGUFWriter(target, arch)
    for field in reader.fields.values():
        if field.name.startswith(("GGUF.", "tola.")) or field.name == "general.architecture":
            continue
        sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- checks ----

def convert(source, target, *flags):
    common.run("tola", "convert", source, target, *flags)


def check_family(base, name, kind, arguments, tokens):
    folder, back = base / name, base / (name + "-back")
    folder.mkdir()
    tokenizer = save_tokenizer(folder, tokens)
    model = make_model(folder, name, kind, arguments, tokenizer, torch.float32)
    path = base / (name + ".gguf")
    try:
        convert(folder, path)
        check_llama(name, path, tokenizer, model)
        convert(path, f"{back}/")
        check_same_tensors(name, folder, back)
        check_folder(name + " back", back, tokenizer, model, True)
        plain, made = base / (name + "-plain.gguf"), base / (name + "-made")
        without_tola(path, plain)
        convert(plain, f"{made}/")
        check_folder(name + " without tola.* keys", made, tokenizer, model, False)
        for dtype in (torch.bfloat16, torch.float16):
            half = base / f"{name}-{dtype}"
            half.mkdir()
            make_model(half, name, kind, arguments, tokenizer, dtype)
            convert(half, base / "half.gguf", "--force")
            check_runs(f"{name} {dtype}", base / "half.gguf")
            shutil.rmtree(base / "half-back", ignore_errors=True)
            convert(base / "half.gguf", f"{base}/half-back/")
            check_same_tensors(f"{name} {dtype}", half, base / "half-back")
    except common.Refused as error:
        tally.check(name, False, str(error))


def check_runs(what, path):
    """llama.cpp loads the file and yields tokens; which ones, the f32 models tell."""
    try:
        llama = open_llama(path)
    except ValueError as error:
        return tally.check(f"{what}: llama.cpp loads it", False, str(error))
    tally.check(f"{what}: llama.cpp runs it", len(greedy_llama(llama, [1, 2, 3], 4)) == 7
                and np.isfinite(llama.scores[: llama.n_tokens]).all())
    llama.close()


def check_casts(base):
    """--dtype reaches the matrices, norms stay f32, and llama.cpp loads the result."""
    for dtype, number in (("f16", 1), ("bf16", 32), ("f32", 0)):
        path = base / f"cast-{dtype}.gguf"
        try:
            convert(base / "qwen3", path, "--dtype", dtype)
        except common.Refused as error:
            tally.check(f"--dtype {dtype}", False, str(error))
            continue
        reader = gguf.GGUFReader(path)
        kinds = {t.name: t.tensor_type.name for t in reader.tensors}
        matrices = {k for n, k in kinds.items() if n.endswith(("_q.weight", "embd.weight"))}
        tally.equal(f"--dtype {dtype}: matrices", matrices, {dtype.upper()})
        tally.equal(f"--dtype {dtype}: norms", {k for n, k in kinds.items() if n.endswith("norm.weight")}, {"F32"})
        tally.equal(f"--dtype {dtype}: file type", reader.get_field("general.file_type").contents(), number)
        check_runs(f"--dtype {dtype}", path)


def check_stories(base):
    """A really trained model that another converter wrote: GGUF to Hugging Face, and from there to GGUF again."""
    if not STORIES.is_file():
        return tally.skip(f"no {STORIES}")
    try:
        convert(STORIES, f"{base}/stories/")
        convert(base / "stories", base / "stories.gguf")
    except common.Refused as error:
        return tally.check("stories260K", False, str(error))
    model = transformers.AutoModelForCausalLM.from_pretrained(base / "stories", dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(base / "stories")
    for path in (STORIES, base / "stories.gguf"):
        llama = open_llama(path, 128)
        for text in TEXTS:
            # llama.cpp puts no space before an empty text, transformers none either
            tally.equal(f"{path.name}: tokens of {text!r}", llama.tokenize(text.encode(), add_bos=True),
                        tokenizer(text)["input_ids"])
        for prompt in PROMPTS:
            ids = tokenizer(prompt)["input_ids"]
            tally.equal(f"{path.name}: continues {prompt!r}", greedy_llama(llama, ids, 64),
                        greedy_transformers(model, ids, 64))
        llama.close()


def vectors(name):
    """llama.cpp's own tokenization vectors: texts, and their ids without special tokens."""
    inputs = (VOCABULARIES / f"ggml-vocab-{name}.gguf.inp").read_bytes().decode()
    outputs = (VOCABULARIES / f"ggml-vocab-{name}.gguf.out").read_text().splitlines()
    texts = inputs.split("\n__ggml_vocab_test__\n")
    return list(zip(texts, [[int(i) for i in line.split()] for line in outputs]))


def with_weights(name, path):
    """A Llama of one layer with the vocabulary of one of llama.cpp's vocabulary files."""
    reader = gguf.GGUFReader(VOCABULARIES / f"ggml-vocab-{name}.gguf")
    writer = gguf.GGUFWriter(path, "llama")
    for field in reader.fields.values():
        if field.name.startswith("tokenizer."):
            sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub)
    rows = len(reader.get_field("tokenizer.ggml.tokens").contents())
    for add, number in ((writer.add_block_count, 1), (writer.add_context_length, 64), (writer.add_embedding_length, 32),
                        (writer.add_feed_forward_length, 32), (writer.add_head_count, 2),
                        (writer.add_rope_dimension_count, 16), (writer.add_vocab_size, rows)):
        add(number)
    writer.add_layer_norm_rms_eps(1e-5)
    random = np.random.default_rng(1)
    shapes = {"token_embd": (rows, 32), "output_norm": (32,), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,)}
    for tensor in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        shapes[f"blk.0.{tensor}"] = (32, 32)
    for tensor, shape in shapes.items():
        writer.add_tensor(tensor + ".weight", random.standard_normal(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_vocabularies(base):
    """Vocabularies of real models, from GGUF to tokenizer.json and back, against llama.cpp's own vectors."""
    for name in ("phi-3", "gpt-2", "falcon", "mpt"):
        if not (VOCABULARIES / f"ggml-vocab-{name}.gguf").is_file():
            tally.skip(f"no vocabulary {name}")
            continue
        source, folder, again = base / f"v-{name}.gguf", base / f"v-{name}", base / f"v-{name}-again.gguf"
        with_weights(name, source)
        try:
            convert(source, f"{folder}/")
            convert(folder, again)
        except common.Refused as error:
            tally.check(f"vocabulary {name}", False, str(error))
            continue
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        llama = open_llama(again)
        for text, ids in vectors(name):
            tally.equal(f"{name}: transformers' ids of {text!r}",
                        tokenizer(text, add_special_tokens=False)["input_ids"], ids)
            tally.equal(f"{name}: llama.cpp's ids of {text!r}, after both ways",
                        llama.tokenize(text.encode(), add_bos=False, special=False), ids)
        llama.close()
        check_merges(name, source, folder)


def check_merges(name, source, folder):
    """Byte-level merges are what they were."""
    field = gguf.GGUFReader(source).get_field("tokenizer.ggml.merges")
    if field is None:
        return
    merges = json.loads((folder / "tokenizer.json").read_text())["model"]["merges"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in merges]
    tally.check(f"{name}: merges", merges == field.contents())


def check_tokenizers(base):
    """Tokenizers of real models as their folders have them, on a long text: llama.cpp's ids and transformers'."""
    text = (common.DATA / "text" / "wikitext-2-raw" / "wiki.test.raw")
    lines = text.read_text().splitlines(keepends=True)[:2000] if text.is_file() else []
    folders = {"qwen2": ("Qwen2", common.DATA / "tokenizers" / "qwen2"),
               "gpt2": ("Llama", common.DATA / "tokenizers" / "gpt2")}
    for name, (kind, files) in folders.items():
        if not files.is_dir() or not lines:
            tally.skip(f"no tokenizer {name}, or no text")
            continue
        folder = base / f"t-{name}"
        folder.mkdir()
        for file in files.iterdir():
            if file.name != "config.json":
                shutil.copy(file, folder / file.name)
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, **({} if name == "qwen2" else {"tokenizer_type": "gpt2"}))
        config = getattr(transformers, kind + "Config")(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, bos_token_id=None, eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=True)
        getattr(transformers, kind + "ForCausalLM")(config).save_pretrained(folder)
        path, back = base / f"t-{name}.gguf", base / f"t-{name}-back"
        try:
            convert(folder, path)
            convert(path, f"{back}/")
        except common.Refused as error:
            tally.check(f"tokenizer {name}", False, str(error))
            continue
        other, llama = transformers.AutoTokenizer.from_pretrained(back), open_llama(path)
        ids = [tokenizer(line)["input_ids"] for line in lines]
        wrong = [line for line, want in zip(lines, ids)
                 if llama.tokenize(line.encode(), add_bos=True, special=True) != want]
        tally.check(f"{name}: llama.cpp's ids of {len(lines)} lines", not wrong,
                    f"{len(wrong)} differ, first {wrong[:1]}")
        wrong = [line for line, want in zip(lines, ids) if other(line)["input_ids"] != want]
        tally.check(f"{name}: ids of {len(lines)} lines, back", not wrong, f"{len(wrong)} differ, first {wrong[:1]}")
        llama.close()


def main():
    wanted = sys.argv[1:]
    with common.folder() as temporary:
        base = pathlib.Path(temporary)
        for name, kind, arguments, tokens in FAMILIES:
            if not wanted or name in wanted:
                check_family(base, name, kind, arguments, tokens)
        if not wanted or "casts" in wanted and "qwen3" in wanted:
            check_casts(base)
        if not wanted or "vocabularies" in wanted:
            check_vocabularies(base)
        if not wanted or "tokenizers" in wanted:
            check_tokenizers(base)
        if not wanted or "stories" in wanted:
            check_stories(base)
    tally.finish()


main()
