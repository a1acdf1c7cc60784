"""GGUF files of a vocabulary under each tokenizer.ggml.pre, for make_gguf_pre.py and tokenize_oracle.py."""

import gguf

BOS = "<|bos|>"
# llama.cpp's (src/llama-vocab.cpp).
NAMES = """default minicpm5 llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano deepseek-llm
deepseek-coder deepseek-v3 spark2_5 youtu falcon mpt starcoder gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de
a.x-4.0 mellum modern-bert jais-2 jina-v1-en jina-v2-code roberta-bpe refact command-r qwen2 deepseek-r1-qwen kormo f2llmv2
qwen35 stablelm2 olmo dbrx smaug-bpe poro-chat chatglm-bpe glm4 glm5 viking jais tekken smollm codeshell bloom gpt3-finnish
exaone exaone4 exaone-moe chameleon minerva-7b megrez gpt-4o llama4 kanana2 talkie granite-embed-multi-97m tiny_aya
cohere2moe superbpe trillion granite-docling bailingmoe bailingmoe2 llada-moe seed-coder hunyuan hunyuan-dense hy_v4
joyai-llm kimi-k2 ufakzeka grok-2 afmoe laguna minimax-m2 solar-open mellum2""".split()


def write_gguf(path, pre, vocab, merges, model="gpt2", types=None, **ids):
    """A file of a tokenizer alone; token 0 goes before a text where the rules say so."""
    w = gguf.GGUFWriter(path, "llama")
    w.add_tokenizer_model(model)
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list(vocab)
    w.add_token_merges(merges)
    w.add_token_types(types or [3 if token == BOS else 1 for token in vocab])
    w.add_bos_token_id(0)
    w.add_eos_token_id(0)
    for name, value in ids.items():
        w.add_uint32(f"tokenizer.ggml.{name}", value)
    for add, value in ((w.add_context_length, 128), (w.add_embedding_length, 64), (w.add_block_count, 1),
                       (w.add_feed_forward_length, 64), (w.add_head_count, 4), (w.add_layer_norm_rms_eps, 1e-5)):
        add(value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
