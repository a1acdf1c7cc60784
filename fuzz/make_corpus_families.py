"""Makes fuzz/corpus/{sentencepiece,gguf_hf,hf_folder}: small inputs that between them reach every branch."""

import json
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus"


def save(kind, name, data):
    folder = OUT / kind
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


# ---- SentencePiece ----

def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def message(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def piece(text, score, kind=None):
    body = message(1, text.encode()) + b"\x15" + struct.pack("<f", score)
    return message(1, body + (b"\x18" + varint(kind) if kind else b""))


def model(model_type=2):
    pieces = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("<0x0A>", 0, 6)
    pieces += piece("▁", -1) + piece("a", -2) + piece("b", -3) + piece("▁a", -4) + piece("ab", -5)
    pieces += piece("x y", -6, 4)
    trainer = b"\x18" + varint(model_type) + varint(35 << 3) + b"\x01" + varint(40 << 3) + b"\x00"
    trainer += varint(43 << 3) + varint((1 << 64) - 1)
    return pieces + message(2, trainer) + message(3, message(1, b"identity") + b"\x18\x00")


def sentencepiece():
    save("sentencepiece", "bpe", model())
    save("sentencepiece", "unigram", model(1))
    save("sentencepiece", "one", piece("x", 1.5))
    save("sentencepiece", "unknown-fields", model() + message(9, b"later") + varint(10 << 3 | 1) + bytes(8))


# ---- GGUF ----

class File:
    """Key-values and tensors of one GGUF file, little-endian, version 3."""

    def __init__(self):
        self.values, self.tensors, self.data = [], [], b""

    def pack(self, form, *numbers):
        return struct.pack("<" + form, *numbers)

    def string(self, text):
        return self.pack("Q", len(text.encode())) + text.encode()

    def value(self, key, kind, payload):
        self.values.append(self.string(key) + self.pack("I", kind) + payload)

    def tensor(self, name, dims):
        size = 4
        for n in dims:
            size *= n
        self.tensors.append(self.string(name) + self.pack("I", len(dims)) + self.pack(f"{len(dims)}Q", *dims)
                            + self.pack("IQ", 0, len(self.data)))
        self.data += bytes(i * 37 % 256 for i in range(size)) + bytes(-size % 32)

    def bytes(self):
        head = b"GGUF" + self.pack("IQQ", 3, len(self.tensors), len(self.values))
        head += b"".join(self.values) + b"".join(self.tensors)
        return head + bytes(-len(head) % 32) + self.data


def gguf_model(name, arch, layers=1, experts=0, tola=False, spm=False, scaling=None, vectors=(("rope_freqs", 2),)):
    f = File()

    def u32(key, n):
        f.value(key, 4, f.pack("I", n))

    def text(key, words):
        f.value(key, 8, f.string(words))

    def strings(key, items):
        f.value(key, 9, f.pack("IQ", 8, len(items)) + b"".join(map(f.string, items)))

    def numbers(key, kind, form, items):
        f.value(key, 9, f.pack("IQ", kind, len(items)) + f.pack(f"{len(items)}{form}", *items))

    text("general.architecture", arch)
    for key, n in (("block_count", layers), ("embedding_length", 8), ("context_length", 64),
                   ("rope.dimension_count", 4), ("attention.head_count", 2), ("attention.head_count_kv", 1),
                   ("feed_forward_length", 8)):
        u32(f"{arch}.{key}", n)
    f.value(f"{arch}.attention.layer_norm_rms_epsilon", 6, f.pack("f", 1e-5))
    f.value(f"{arch}.rope.freq_base", 6, f.pack("f", 1e6))
    if scaling:
        text(f"{arch}.rope.scaling.type", scaling)
        f.value(f"{arch}.rope.scaling.factor", 6, f.pack("f", 4.0))
        u32(f"{arch}.rope.scaling.original_context_length", 16)
        u32(f"{arch}.attention.sliding_window", 16)
    if experts:
        u32(f"{arch}.expert_count", experts)
        u32(f"{arch}.expert_used_count", 1)
    text("tokenizer.ggml.model", "llama" if spm else "gpt2")
    text("tokenizer.ggml.pre", "default" if spm else "llama-bpe")
    tokens = ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "ab"]
    strings("tokenizer.ggml.tokens", tokens)
    numbers("tokenizer.ggml.token_type", 5, "i", [2, 3, 3, 6, 1, 1, 1, 1])
    if spm:
        numbers("tokenizer.ggml.scores", 6, "f", [0, 0, 0, 0, -1, -2, -3, -4])
    else:
        strings("tokenizer.ggml.merges", ["a b"])
    u32("tokenizer.ggml.bos_token_id", 1)
    u32("tokenizer.ggml.eos_token_id", 2)
    text("tokenizer.chat_template", "{{ messages }}")
    text("tokenizer.chat_template.tool", "{{ tools }}")
    if tola:
        text("tola.source.dtype", "bf16")
        strings("tola.source.dtypes", ["lm_head.weight=f32", "model.norm.weight=f16"])
        text("tola.source.config", json.dumps({"model_type": arch, "num_hidden_layers": layers}))
        tokenizer = {"added_tokens": [{"id": 1, "content": "<s>"}], "model": {"type": "BPE"}}
        text("tola.tokenizer.json", json.dumps(tokenizer))
        text("tola.tokenizer_config.json", json.dumps({"bos_token": "<s>", "tokenizer_class": "X"}))
        u32("tola.tokenizer.vocab", 8)
        numbers("tola.exact.model.norm.weight.at", 4, "I", [0, 3])
        numbers("tola.exact.model.norm.weight.bits", 4, "I", [0, 1])
    f.tensor("token_embd.weight", (8, 8))
    f.tensor("output_norm.weight", (8,))
    for layer in range(layers):
        for tensor, dims in (("attn_norm", (8,)), ("attn_q", (8, 8)), ("attn_k", (8, 4)), ("ffn_norm", (8,))):
            f.tensor(f"blk.{layer}.{tensor}.weight", dims)
        if experts:
            f.tensor(f"blk.{layer}.ffn_up_exps.weight", (8, 8, experts))
    for vector, size in vectors:
        f.tensor(vector + ".weight", (size,))
    save("gguf_hf", name, f.bytes())


def gguf():
    gguf_model("llama", "llama")
    gguf_model("mixtral", "llama", experts=2)
    gguf_model("llama-spm", "llama", spm=True)
    gguf_model("gemma-tola", "gemma", tola=True, spm=True)
    gguf_model("qwen3", "qwen3", tola=True)
    gguf_model("qwen2moe-yarn", "qwen2moe", experts=2, scaling="yarn", vectors=())
    gguf_model("qwen3moe-linear", "qwen3moe", experts=2, scaling="linear", vectors=())
    gguf_model("gemma2", "gemma2", spm=True, scaling="none", vectors=())
    gguf_model("gemma3", "gemma3", spm=True, vectors=())
    gguf_model("phi3-long", "phi3", spm=True, vectors=(("rope_factors_long", 2), ("rope_factors_short", 2)))


# ---- folders ----

def safetensors(tensors):
    header, at = {}, 0
    for name, shape in tensors:
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(i * 7 % 256 for i in range(at))


def layer(prefix, experts):
    names = [(prefix + "input_layernorm.weight", [4]), (prefix + "self_attn.q_proj.weight", [4, 4]),
             (prefix + "self_attn.k_proj.weight", [2, 4])]
    names += [(f"{prefix}block_sparse_moe.experts.{e}.w1.weight", [4, 4]) for e in range(experts)]
    return names


def folder(name, config, files, experts=0):
    weights = safetensors([("model.embed_tokens.weight", [8, 4]), ("model.norm.weight", [4])] +
                          layer("model.layers.0.", experts))
    common = {"hidden_size": 4, "num_attention_heads": 2, "num_key_value_heads": 1, "num_hidden_layers": 1,
              "intermediate_size": 4, "vocab_size": 8, "max_position_embeddings": 16, "rms_norm_eps": 1e-5,
              "tie_word_embeddings": True}
    out = b"\nFILE model.safetensors\n" + weights
    for file, content in [("config.json", {**common, **config})] + list(files.items()):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        out += b"\nFILE " + file.encode() + b"\n" + data
    save("hf_folder", name, out)


def folders():
    vocab = {"a": 0, "b": 1, "ab": 2, "<s>": 3, "</s>": 4}
    added = [{"id": 3, "content": "<s>", "special": True}, {"id": 4, "content": "</s>", "special": True}]
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]}
    byte_level = {"added_tokens": added, "pre_tokenizer": {"type": "ByteLevel"}, "post_processor": template,
                  "model": {"type": "BPE", "vocab": vocab, "merges": [["a", "b"]]}}
    metaspace = {"added_tokens": added, "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend"}]},
                 "model": {"type": "BPE", "vocab": vocab, "merges": ["a b"], "unk_token": "a", "byte_fallback": True}}
    config = {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template": "{{ x }}"}
    rope = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8}
    folder("llama", {"model_type": "llama", "rope_scaling": rope},
           {"tokenizer.json": byte_level, "tokenizer_config.json": config,
            "generation_config.json": {"eos_token_id": [4]}})
    folder("llama-spm", {"model_type": "llama"}, {"tokenizer.json": metaspace, "chat_template.jinja": b"{{ y }}"})
    folder("gemma", {"model_type": "gemma", "head_dim": 2}, {"tokenizer.model": model()})
    folder("mixtral", {"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 1},
           {"tokenizer.model": model(), "added_tokens.json": {"<x>": 7},
            "tokenizer_config.json": {"added_tokens_decoder": {"1": {"content": "<s>", "special": True}},
                                      "chat_template": [{"name": "default", "template": "t"},
                                                        {"name": "b", "template": "u"}]}},
           experts=2)
    folder("yarn", {"model_type": "llama", "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 32,
                                                            "beta_slow": 1, "attention_factor": 1.0,
                                                            "original_max_position_embeddings": 8}}, {})
    folder("linear", {"model_type": "mistral", "sliding_window": 4, "rope_parameters": {"rope_type": "linear",
                                                                                       "factor": 2.0}}, {})
    folder("dynamic", {"model_type": "llama", "rope_scaling": {"type": "dynamic", "factor": 2.0}},
           {"README.md": b"---\nlicense: mit\n---\n"})
    folder("files", {"model_type": "llama"}, {"vocab.json": vocab, "merges.txt": b"#version\na b\n",
                                              "special_tokens_map.json": {"bos_token": "<s>"}})


sentencepiece()
gguf()
folders()
