#!/usr/bin/env python3
"""tola eval and tola embed against transformers and torch, and against llama-perplexity where there is one.

Models are small and random, made here with a fixed seed: a Llama with a byte-level BPE (with and without BOS), a second
one near it as the reference, a BERT with WordPiece in a sentence-transformers folder. Perplexity by both protocols,
divergence, multiple choice as lm-evaluation-harness weighs it, embeddings by every pooling. llama-perplexity is looked
for in $LLAMA_PERPLEXITY and PATH, and reads stories260K from the data folder."""

import json
import math
import os
import pathlib
import re
import shutil
import subprocess

import common

TALLY = common.Tally("eval")
TOLA = common.BUILD / "tola"
try:
    import numpy as np
    import tokenizers
    import torch
    import transformers
except ImportError as missing:
    TALLY.skip(f"{missing.name} is not installed: evaluation is compared with nothing")
    TALLY.finish()

torch.manual_seed(11)
torch.set_num_threads(1)
transformers.logging.disable_progress_bar()
transformers.logging.set_verbosity_error()
TEXT = "\n".join(sorted(p.read_text(encoding="utf-8") for p in (common.ROOT / "docs").glob("*.md")))[:24000]


def tola(*arguments, text=None):
    done = subprocess.run([str(TOLA), *map(str, arguments)], capture_output=True, timeout=600,
                          input=None if text is None else text.encode())
    if done.returncode:
        raise common.Refused(done.stderr.decode(errors="replace").strip())
    return json.loads(done.stdout)


def close(what, got, expected, relative=2e-5, absolute=1e-7):
    TALLY.check(what, got is not None and abs(got - expected) <= absolute + relative * abs(expected),
                f"got {got}, expected {expected}")


# ---- models ----

def save_tokenizer(folder, bos):
    t = tokenizers.Tokenizer(tokenizers.models.BPE())
    t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>"], show_progress=False,
                                             initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator([TEXT], trainer)
    if bos:
        t.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B",
                                                                    special_tokens=[("<s>", 0)])
    t.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": bos, "tokenizer_class": "PreTrainedTokenizerFast"}))
    return t


def llama(folder, bos, near=None):
    folder.mkdir()
    config = transformers.LlamaConfig(vocab_size=400, hidden_size=64, intermediate_size=160, num_hidden_layers=2,
                                      num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
                                      bos_token_id=0, eos_token_id=1, torch_dtype="float32")
    model = transformers.LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for i, (name, p) in enumerate(model.named_parameters()):
            if p.dim() > 1:
                p.normal_(0, 0.15)
            if near is not None:
                p.copy_(dict(near.named_parameters())[name] * (1 + 0.05 * torch.randn_like(p)))
    model.save_pretrained(folder)
    return model, save_tokenizer(folder, bos)


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].double().log_softmax(-1)


# ---- perplexity ----

def chunk_scores(model, ids, context, bos):
    """Log-probabilities (all tokens) and targets of llama.cpp's protocol."""
    for at in range(0, len(ids) // context * context, context):
        window = ids[at:at + context]
        if bos:
            window = [0] + window[1:]
        rows = logits(model, window)
        for j in range(context // 2, context - 1):
            yield rows[j], ids[at + j + 1]


def window_scores(model, ids, context, stride):
    """Those of the sliding window, each token once."""
    scored_to = 1
    for begin in range(0, len(ids), stride):
        end = min(begin + context, len(ids))
        rows = logits(model, ids[begin:end])
        for j in range(max(scored_to, begin + 1), end):
            yield rows[j - begin - 1], ids[j]
        scored_to = end
        if end == len(ids):
            break


def statistics(scores):
    nll = np.array([-row[target].item() for row, target in scores])
    return math.exp(nll.mean()), math.exp(nll.mean()) * nll.std(ddof=1) / math.sqrt(len(nll)), len(nll)


def perplexity(folder):
    text = folder / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    models = {}
    for bos in (True, False):
        where = folder / f"llama-{bos}"
        model, tokenizer = llama(where, bos)
        models[bos] = model
        plain = tokenizer.encode(TEXT, add_special_tokens=False).ids
        ids = [0] + plain if bos else plain
        for context in (64, 101):
            got = tola("eval", "perplexity", where, text, "-c", context, "--kv-type", "f32", "--json")
            value, error, count = statistics(chunk_scores(model, ids, context, bos))
            what = f"chunk of {context}, {'with' if bos else 'without'} BOS"
            close(f"{what}: perplexity", got["perplexity"], value)
            close(f"{what}: error", got["perplexity_error"], error, 1e-4)
            TALLY.equal(f"{what}: tokens, protocol, bos", (got["tokens"], got["protocol"], got["bos"]),
                        (count, "chunk", bos))
        for context, stride in ((128, 64), (96, 96), (100, 7)):
            limit = 40 if stride == 7 else 0
            got = tola("eval", "perplexity", where, text, "--protocol", "window", "-c", context, "--stride", stride,
                       "--kv-type", "f32", "--json", "--limit", limit)
            part = ids[:context + (limit - 1) * stride] if limit else ids
            value, error, count = statistics(window_scores(model, part, context, stride))
            what = f"window of {context}, stride {stride}, {'with' if bos else 'without'} BOS"
            close(f"{what}: perplexity", got["perplexity"], value)
            close(f"{what}: error", got["perplexity_error"], error, 1e-4)
            TALLY.equal(f"{what}: tokens, protocol", (got["tokens"], got["protocol"]), (count, "window"))
    digits = {json.dumps({k: v for k, v in tola("eval", "perplexity", folder / "llama-True", text, "-c", 64, "--json",
                                                "--threads", n).items() if k not in ("seconds", "tokens_per_s")})
              for n in (1, 2, 3)}
    TALLY.equal("the same digits at 1, 2 and 3 threads", len(digits), 1)
    return models


def divergence(folder, model):
    near, tokenizer = llama(folder / "near", True, model)
    ids = [0] + tokenizer.encode(TEXT, add_special_tokens=False).ids
    got = tola("eval", "perplexity", folder / "near", folder / "text.txt", "-c", 128, "--kv-type", "f32", "--json",
               "--reference", folder / "llama-True")
    kl, same, apart, ratio = [], 0, [], []
    for (q, target), (p, _) in zip(chunk_scores(near, ids, 128, True), chunk_scores(model, ids, 128, True)):
        kl.append((p.exp() * (p - q)).sum().item())
        same += int(p.argmax() == q.argmax())
        apart.append(q[target].exp().item() - p[target].exp().item())
        ratio.append(p[target].item() - q[target].item())
    kl = np.array(kl)
    close("KL: mean", got["kl"], kl.mean(), 1e-4)
    close("KL: error", got["kl_error"], kl.std(ddof=1) / math.sqrt(len(kl)), 1e-3)
    for key, q in (("kl_median", 50), ("kl_p90", 90), ("kl_p99", 99), ("kl_p999", 99.9), ("kl_max", 100)):
        close(key, got[key], np.percentile(kl, q), 1e-4)
    TALLY.check("top-1 agreement", abs(got["top1_agreement"] * len(kl) - same) < 0.5,
                f"got {got['top1_agreement'] * len(kl)}, expected {same}")
    close("change of probability", got["probability_rms"], np.sqrt(np.mean(np.square(apart))), 1e-4)
    close("ln of the ratio", got["log_ratio"], np.mean(ratio), 1e-4)
    close("its error", got["log_ratio_error"], np.std(ratio, ddof=1) / math.sqrt(len(ratio)), 1e-3)
    close("perplexity of the reference", got["reference_perplexity"],
          statistics(chunk_scores(model, ids, 128, True))[0])


def adapter(folder, model):
    """A LoRA adapter of scale 2 on the queries, against the model it is merged into."""
    from safetensors.torch import save_file
    where = folder / "adapter"
    where.mkdir()
    thin, merged = {}, llama(folder / "merged", True, model)[0]
    merged.load_state_dict(model.state_dict())
    for i, layer in enumerate(merged.model.layers):
        a, b = 0.2 * torch.randn(4, 64), 0.2 * torch.randn(64, 4)
        name = f"base_model.model.model.layers.{i}.self_attn.q_proj"
        thin.update({f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b})
        with torch.no_grad():
            layer.self_attn.q_proj.weight += 2.0 * 0.5 * b @ a
    save_file(thin, where / "adapter_model.safetensors")
    (where / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8,
                                                           "target_modules": ["q_proj"]}))
    ids = [0] + tokenizers.Tokenizer.from_file(str(folder / "llama-True/tokenizer.json")).encode(
        TEXT, add_special_tokens=False).ids
    got = tola("eval", "perplexity", folder / "llama-True", folder / "text.txt", "-c", 128, "--kv-type", "f32",
               "--json", "--adapter", f"{where}:0.5")
    close("with an adapter: perplexity", got["perplexity"], statistics(chunk_scores(merged, ids, 128, True))[0])


def llama_perplexity(folder):
    program = os.environ.get("LLAMA_PERPLEXITY") or shutil.which("llama-perplexity")
    model = common.DATA / "llm/stories260K/stories260Ktok512.gguf"
    if not program or not model.exists():
        TALLY.skip("no llama-perplexity, or no stories260K: the chunk protocol is compared with torch alone")
        return
    for _ in range(5):  # its log is written by a thread, and sometimes the last lines are lost
        done = subprocess.run([program, "-m", model, "-f", folder / "text.txt", "-c", "128", "-b", "128", "-t", "1",
                               "-ctk", "f32", "-ctv", "f32", "--no-repack"], capture_output=True, text=True,
                              timeout=600)
        found = re.search(r"PPL = ([\d.]+) \+/- ([\d.]+)", done.stdout + done.stderr)
        if found:
            break
    else:
        TALLY.skip(f"llama-perplexity ended with {done.returncode} and no result")
        return
    got = tola("eval", "perplexity", model, folder / "text.txt", "-c", "128", "--kv-type", "f32", "--json")
    close("llama-perplexity: perplexity", got["perplexity"], float(found.group(1)), 2e-4)  # its attention rounds
    close("llama-perplexity: error", got["perplexity_error"], float(found.group(2)), 1e-4)


# ---- multiple choice ----

ITEMS = [("The format of the file is", ["a list of tensors", "unknown", "gguf", "it has no header at all"], 2),
         ("Question: what is quantized?\nAnswer:", ["weights", "nothing that anybody would ever see"], "A"),
         ("A space at the end goes to the choice ", ["one", "two", "three"], 1),
         ("", ["the beginning of a text", "Über die Maße", "日本語"], "C"),
         ("line\n", [" begins with a space", "does not"], 0)] + [
    (TEXT[i * 371:i * 371 + 90], [TEXT[k * 93:k * 93 + 5 + 7 * k] for k in range(1, 6)], i % 5) for i in range(20)]


def choice_scores(model, tokenizer, question, choices, bos):
    for choice in choices:
        space = bool(question) and not question[-1].isspace() and not choice[0].isspace()
        whole = question + (" " if space else "") + choice
        ids = tokenizer.encode(whole, add_special_tokens=False).ids
        before = len(tokenizer.encode(question.rstrip(), add_special_tokens=False).ids)
        front = [0] if bos else ([] if before else [1])
        ids, before = front + ids, before + len(front)
        rows = logits(model, ids)
        yield sum(rows[j - 1][ids[j]].item() for j in range(before, len(ids)))


def multiple_choice(folder, models):
    lines = folder / "questions.jsonl"
    keys = ["question", "context", "prompt"]
    lines.write_text("\n".join(json.dumps({keys[i % 3]: q, "choices": c, "answer": a})
                               for i, (q, c, a) in enumerate(ITEMS)) + "\n\n")
    for bos, model in models.items():
        where = folder / f"llama-{bos}"
        tokenizer = tokenizers.Tokenizer.from_file(str(where / "tokenizer.json"))
        got = tola("eval", "choice", where, lines, "--kv-type", "f32", "--json")
        right = [0, 0, 0]
        for item, (question, choices, answer) in zip(got["items"], ITEMS):
            scores = np.array(list(choice_scores(model, tokenizer, question, choices, bos)))
            off = np.abs(scores - item["log_likelihood"]).max()
            TALLY.check(f"choice, line {item['line']}: log-likelihoods", off <= 2e-4, f"off by {off}")
            answer = ord(answer) - 65 if isinstance(answer, str) else answer
            lengths = [np.ones(len(choices)), np.array([len(c) for c in choices]),
                       np.array([len(c.encode()) for c in choices])]
            picked = [int(np.argmax(scores / n)) for n in lengths]
            TALLY.equal(f"choice, line {item['line']}: picked",
                        [item["chosen"], item["chosen_characters"], item["chosen_bytes"]], picked)
            for k in range(3):
                right[k] += picked[k] == answer
        n = len(ITEMS)
        for key, hits in zip(("accuracy", "accuracy_characters", "accuracy_bytes"), right):
            p = hits / n
            close(key, got[key], p, 1e-12)
            close(f"{key}: error", got[key + "_error"], math.sqrt(p * (1 - p) / (n - 1)), 1e-12)


# ---- embeddings ----

def bert(folder, pooling, normalize):
    folder.mkdir()
    t = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    t.normalizer = tokenizers.normalizers.BertNormalizer()
    t.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator([TEXT], tokenizers.trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    ids = {name: t.token_to_id(name) for name in ("[CLS]", "[SEP]")}
    t.post_processor = tokenizers.processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    t.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "cls_token": "[CLS]",
                                                              "sep_token": "[SEP]", "unk_token": "[UNK]"}))
    config = transformers.BertConfig(vocab_size=t.get_vocab_size(), hidden_size=48, num_hidden_layers=3,
                                     num_attention_heads=4, intermediate_size=96, max_position_embeddings=128)
    torch.manual_seed(5)
    model = transformers.BertModel(config, add_pooling_layer=False).float().eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0, 0.2)
    model.save_pretrained(folder)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    if normalize:
        modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"})
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    keys = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    (folder / "1_Pooling/config.json").write_text(json.dumps(
        {"word_embedding_dimension": 48, **{f"pooling_mode_{k}": k == pooling for k in keys}, "include_prompt": True}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64, "do_lower_case": False}))
    return model, t


def pool(states, how):
    return {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[how]


def states_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).last_hidden_state[0].double()


def compare_vectors(what, got, expected):
    off = np.abs(np.array(got) - expected).max()
    TALLY.check(what, off <= 2e-5 * max(1, np.abs(expected).max()), f"off by {off}")


TEXTS = ["a text", "Another text, with several words and a number: 12345.", "the", TEXT[:90].replace("\n", " ")]


def prompts(folder):
    """As sentence-transformers writes folders since 5.4: pooling_mode, prompts, and prompts that are not pooled."""
    where = folder / "bert-prompt"
    model, tokenizer = bert(where, "cls_token", False)
    (where / "config_sentence_transformers.json").write_text(json.dumps(
        {"prompts": {"query": "the query: ", "document": ""}, "default_prompt_name": "query"}))
    for how, word in (("cls", "cls"), ("mean", "mean"), ("last", "lasttoken")):
        for inside in (True, False):
            (where / "1_Pooling/config.json").write_text(json.dumps(
                {"embedding_dimension": 48, "pooling_mode": word, "include_prompt": inside}))
            got = tola("embed", where, *TEXTS, "--json")
            for text, vector in zip(TEXTS, got["embeddings"]):
                states = states_of(model, tokenizer.encode("the query: " + text).ids)
                before = 0 if inside else len(tokenizer.encode("the query: ").ids) - 1
                compare_vectors(f"prompt, {how}, include_prompt {inside}: '{text[:20]}'", vector,
                                pool(states[before:], how).numpy())
    try:
        tola("embed", where, "a", "--json", "--context", 129)
        TALLY.check("a context beyond the positions is refused", False)
    except common.Refused as why:
        TALLY.check("a context beyond the positions is refused", "129" in str(why) and "128" in str(why), str(why))
    got = tola("embed", where, *TEXTS, "--json", "--prompt", "document")
    for text, vector in zip(TEXTS, got["embeddings"]):
        compare_vectors(f"another prompt: '{text[:20]}'", vector,
                        pool(states_of(model, tokenizer.encode(text).ids), "last").numpy())


def embeddings(folder, decoder):
    for kind, how in (("cls_token", "cls"), ("mean_tokens", "mean"), ("lasttoken", "last")):
        normalize = how != "mean"
        where = folder / f"bert-{how}"
        model, tokenizer = bert(where, kind, normalize)
        got = tola("embed", where, *TEXTS, "--json")
        lines = tola("embed", where, "--lines", "--json", text="\n".join(TEXTS))
        TALLY.equal(f"{how}: lines of stdin are the same texts", lines["embeddings"], got["embeddings"])
        TALLY.equal(f"{how}: as the folder says", (got["pooling"], got["normalized"], got["width"]),
                    (how, normalize, 48))
        for text, vector in zip(TEXTS, got["embeddings"]):
            expected = pool(states_of(model, tokenizer.encode(text).ids), how)
            expected = (expected / expected.norm() if normalize else expected).numpy()
            compare_vectors(f"{how}: '{text[:20]}'", vector, expected)
            alone = tola("embed", where, text, "--json", "--threads", 1)
            TALLY.equal(f"{how}: '{text[:20]}' alone", alone["embeddings"][0], vector)
        long = " ".join(["weights"] * 90)
        try:
            tola("embed", where, long, "--json")
            TALLY.check("a text that is too long is refused", False)
        except common.Refused as why:
            TALLY.check("a text that is too long is refused", "64" in str(why), str(why))
        ids = tokenizer.encode(long).ids
        expected = pool(states_of(model, ids[:63] + ids[-1:]), how)
        expected = (expected / expected.norm() if normalize else expected).numpy()
        got = tola("embed", where, long, "--json", "--truncate")
        compare_vectors(f"{how}: cut to the context", got["embeddings"][0], expected)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "llama-True/tokenizer.json"))
    for how in ("mean", "cls", "last"):
        got = tola("embed", folder / "llama-True", *TEXTS, "--json", "--pooling", how, "--normalize", "yes")
        for text, vector in zip(TEXTS, got["embeddings"]):
            expected = pool(states_of(decoder.model, tokenizer.encode(text).ids), how)
            compare_vectors(f"decoder, {how}: '{text[:20]}'", vector, (expected / expected.norm()).numpy())


with common.folder() as name:
    root = pathlib.Path(name)
    made = perplexity(root)
    divergence(root, made[True])
    adapter(root, made[True])
    llama_perplexity(root)
    multiple_choice(root, made)
    embeddings(root, made[True])
    prompts(root)
TALLY.finish()
