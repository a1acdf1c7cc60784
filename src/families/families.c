/* The table of architecture families and how a checkpoint is recognised as one of them.
 *
 * One row a family; see docs/families.md for what adding one costs. Words are those of the models' own config.json
 * (model_type, architectures), of huggingface/transformers and of gguf-py/gguf/constants.py in ggml-org/llama.cpp.
 * Recognition trusts config.json first, then general.architecture, then names of tensors. */
#include "families/families.h"

#include <string.h>

static const family families_table[] = {
    /* name, model_types, classes, gguf, hints, map. Where two rows share a word, the first one wins; rows that are
     * recognised by names come with the special ones before the general ones. */
    { "mixtral", "mixtral", "MixtralForCausalLM", NULL, "layers.0.block_sparse_moe.experts.0.w1.weight",
      FAMILY_MAP_LLAMA },
    { "phi3", "phi3", "Phi3ForCausalLM", "phi3", "layers.0.self_attn.qkv_proj.weight layers.0.mlp.gate_up_proj.weight",
      FAMILY_MAP_PHI3 },
    { "gemma3", "gemma3_text gemma3", "Gemma3ForCausalLM Gemma3ForConditionalGeneration", "gemma3",
      "layers.0.pre_feedforward_layernorm.weight layers.0.self_attn.q_norm.weight", FAMILY_MAP_GEMMA3 },
    { "gemma2", "gemma2", "Gemma2ForCausalLM", "gemma2", "layers.0.pre_feedforward_layernorm.weight",
      FAMILY_MAP_GEMMA2 },
    { "gemma", "gemma", "GemmaForCausalLM", "gemma", NULL, FAMILY_MAP_GEMMA },
    { "gemma3n", "gemma3n gemma3n_text", "Gemma3n*", "gemma3n", "layers.0.altup.correction_coefs.weight",
      FAMILY_MAP_NONE },
    { "gemma4", "gemma4 gemma4_text", "Gemma4*", "gemma4", NULL, FAMILY_MAP_NONE },
    { "deepseek_v4", "deepseek_v4", "DeepseekV4*", "deepseek4", NULL, FAMILY_MAP_NONE },
    { "deepseek_v3", "deepseek_v3 deepseek_v32", "DeepseekV3* DeepseekV32*", NULL,
      "layers.3.mlp.gate.e_score_correction_bias layers.0.self_attn.kv_a_proj_with_mqa.weight", FAMILY_MAP_DEEPSEEK2 },
    { "deepseek_v2", "deepseek_v2", "DeepseekV2*", "deepseek2", "layers.0.self_attn.kv_a_proj_with_mqa.weight",
      FAMILY_MAP_DEEPSEEK2 },
    { "deepseek", "deepseek", "DeepseekForCausalLM", "deepseek", NULL, FAMILY_MAP_NONE },
    { "kimi_k2", "kimi_k2 kimi_k25", "KimiK2* KimiK25*", NULL, NULL, FAMILY_MAP_NONE },
    { "kimi_linear", "kimi_linear kimi_k3", "KimiLinear* KimiK3*", "kimi-linear", NULL, FAMILY_MAP_NONE },
    { "qwen3_next", "qwen3_next", "Qwen3Next*", "qwen3next", NULL, FAMILY_MAP_NONE },
    { "qwen3_5_moe", "qwen3_5_moe qwen3_5_moe_text", "Qwen3_5Moe*", "qwen35moe", NULL, FAMILY_MAP_NONE },
    { "qwen3_5", "qwen3_5 qwen3_5_text", "Qwen3_5For*", "qwen35", NULL, FAMILY_MAP_NONE },
    { "qwen3_vl_moe", "qwen3_vl_moe qwen3_vl_moe_text", "Qwen3VLMoe*", "qwen3vlmoe", NULL, FAMILY_MAP_NONE },
    { "qwen3_vl", "qwen3_vl qwen3_vl_text", "Qwen3VLFor*", "qwen3vl", NULL, FAMILY_MAP_READ_QWEN3 },
    { "qwen3_moe", "qwen3_moe", "Qwen3Moe*", "qwen3moe",
      "layers.0.self_attn.q_norm.weight layers.0.mlp.experts.0.gate_proj.weight layers.0.mlp.gate.weight",
      FAMILY_MAP_QWEN3 },
    { "qwen2_moe", "qwen2_moe", "Qwen2Moe*", "qwen2moe",
      "layers.0.mlp.shared_expert_gate.weight layers.0.mlp.experts.0.gate_proj.weight", FAMILY_MAP_QWEN2 },
    { "qwen3", "qwen3", "Qwen3ForCausalLM Qwen3Model Qwen3ForSequenceClassification", "qwen3",
      "layers.0.self_attn.q_norm.weight layers.0.input_layernorm.weight layers.0.mlp.gate_proj.weight",
      FAMILY_MAP_QWEN3 },
    { "qwen2_vl", "qwen2_vl qwen2_5_vl qwen2_5_vl_text", "Qwen2VL* Qwen2_5_VL*", "qwen2vl", NULL, FAMILY_MAP_READ_QWEN2 },
    { "qwen2", "qwen2", "Qwen2ForCausalLM Qwen2Model Qwen2ForSequenceClassification", "qwen2",
      "layers.0.self_attn.q_proj.bias layers.0.mlp.gate_proj.weight layers.0.input_layernorm.weight",
      FAMILY_MAP_QWEN2 },
    { "qwen", "qwen", "QWenLMHeadModel", "qwen", NULL, FAMILY_MAP_NONE },
    { "olmoe", "olmoe", "Olmoe*", "olmoe", NULL, FAMILY_MAP_OLMOE },
    { "olmo2", "olmo2 olmo3", "Olmo2* Olmo3*", "olmo2", "layers.0.post_feedforward_layernorm.weight",
      FAMILY_MAP_NONE },
    { "olmo", "olmo", "OlmoForCausalLM", "olmo", NULL, FAMILY_MAP_NONE },
    { "llama4", "llama4 llama4_text", "Llama4*", "llama4", "layers.0.feed_forward.shared_expert.gate_proj.weight",
      FAMILY_MAP_LLAMA4 },
    { "gpt_oss", "gpt_oss", "GptOss*", "gpt-oss", "layers.0.self_attn.sinks layers.0.mlp.router.weight",
      FAMILY_MAP_GPT_OSS },
    { "minimax_m2", "minimax_m2 minimax_m3 minimax", "MiniMax*", "minimax-m2", NULL, FAMILY_MAP_NONE },
    { "glm4_moe", "glm4_moe glm_moe_dsa glm4_moe_lite", "Glm4Moe* GlmMoeDsa*", "glm4moe", NULL, FAMILY_MAP_NONE },
    { "glm4", "glm4 glm", "Glm4ForCausalLM GlmForCausalLM", "glm4", NULL, FAMILY_MAP_NONE },
    { "chatglm", "chatglm", "ChatGLM*", "chatglm", NULL, FAMILY_MAP_NONE },
    { "nemotron_h", "nemotron_h", "NemotronH*", "nemotron_h nemotron_h_moe", NULL, FAMILY_MAP_NONE },
    { "nemotron", "nemotron", "NemotronForCausalLM", "nemotron", NULL, FAMILY_MAP_NONE },
    { "deci", "nemotron-nas deci", "DeciLM*", "deci", NULL, FAMILY_MAP_NONE },
    { "step3", "step3p5 step3p7 step3", "Step3*", "step35", NULL, FAMILY_MAP_NONE },
    { "command-r", "cohere cohere2", "Cohere*", "command-r cohere2", NULL, FAMILY_MAP_NONE },
    { "granite_moe", "granitemoe granitemoeshared", "GraniteMoe*", "granitemoe", NULL, FAMILY_MAP_NONE },
    { "granite_hybrid", "granitemoehybrid", "GraniteMoeHybrid*", "granitehybrid", NULL, FAMILY_MAP_NONE },
    { "granite", "granite", "GraniteForCausalLM", "granite", NULL, FAMILY_MAP_NONE },
    { "phimoe", "phimoe", "PhiMoE* PhimoeForCausalLM", "phimoe", NULL, FAMILY_MAP_NONE },
    { "phi", "phi mixformer-sequential phi-msft", "PhiForCausalLM MixFormerSequential*", "phi2",
      "layers.0.self_attn.dense.weight layers.0.mlp.fc1.weight", FAMILY_MAP_NONE },
    { "stablelm", "stablelm stablelm_epoch", "StableLm* StableLM*", "stablelm", NULL, FAMILY_MAP_NONE },
    { "starcoder2", "starcoder2", "Starcoder2*", "starcoder2",
      "layers.0.self_attn.q_proj.bias layers.0.mlp.c_fc.weight", FAMILY_MAP_NONE },
    { "gpt_bigcode", "gpt_bigcode", "GPTBigCode*", "starcoder", NULL, FAMILY_MAP_NONE },
    { "smollm3", "smollm3", "SmolLM3*", "smollm3", NULL, FAMILY_MAP_READ_LLAMA },
    { "internlm2", "internlm2", "InternLM2*", "internlm2", "layers.0.attention.wqkv.weight", FAMILY_MAP_NONE },
    { "minicpm", "minicpm minicpm3", "MiniCPM*", "minicpm minicpm3", NULL, FAMILY_MAP_NONE },
    { "exaone", "exaone exaone4", "Exaone*", "exaone exaone4", NULL, FAMILY_MAP_NONE },
    { "ernie4_5", "ernie4_5 ernie4_5_moe", "Ernie4_5*", "ernie4_5 ernie4_5-moe", NULL, FAMILY_MAP_NONE },
    { "hunyuan", "hunyuan hunyuan_v1_dense hunyuan_v1_moe", "HunYuan*", "hunyuan-moe hunyuan-dense", NULL,
      FAMILY_MAP_NONE },
    { "dbrx", "dbrx", "Dbrx*", "dbrx", "blocks.0.ffn.experts.mlp.w1", FAMILY_MAP_NONE },
    { "grok", "grok-1 grok", "Grok*", "grok", NULL, FAMILY_MAP_NONE },
    { "arctic", "arctic", "Arctic*", "arctic", NULL, FAMILY_MAP_NONE },
    { "baichuan", "baichuan", "Baichuan* BaiChuan*", "baichuan", "layers.0.self_attn.W_pack.weight", FAMILY_MAP_NONE },
    { "seed_oss", "seed_oss", "SeedOss*", "seed_oss", NULL, FAMILY_MAP_NONE },
    { "lfm2", "lfm2 lfm2_moe", "Lfm2*", "lfm2 lfm2moe", NULL, FAMILY_MAP_NONE },
    { "bitnet", "bitnet", "BitNet* BitnetForCausalLM", "bitnet", NULL, FAMILY_MAP_NONE },
    { "jamba", "jamba", "Jamba*", "jamba", NULL, FAMILY_MAP_NONE },
    { "falcon_h1", "falcon_h1", "FalconH1*", "falcon-h1", NULL, FAMILY_MAP_NONE },
    { "mistral3", "mistral3 ministral3", "Mistral3* Ministral3*", "mistral3", NULL, FAMILY_MAP_READ_LLAMA },
    { "mistral", "mistral", "MistralForCausalLM", NULL, NULL, FAMILY_MAP_LLAMA },
    { "llama", "llama", "LlamaForCausalLM LlamaModel LLaMAForCausalLM LlamaForSequenceClassification", "llama",
      "layers.0.self_attn.q_proj.weight layers.0.mlp.gate_proj.weight layers.0.input_layernorm.weight",
      FAMILY_MAP_LLAMA },
    { "llama", NULL, NULL, NULL, "layers.0.attention.wq.weight layers.0.feed_forward.w1.weight", FAMILY_MAP_NONE },
    { "llama", NULL, NULL, NULL, "blk.0.attn_q.weight blk.0.ffn_gate.weight", FAMILY_MAP_NONE },
    { "gpt2", "gpt2", "GPT2*", "gpt2", "h.0.attn.c_attn.weight h.0.mlp.c_fc.weight wpe.weight", FAMILY_MAP_GPT2 },
    { "gptj", "gptj", "GPTJ*", "gptj", "h.0.attn.q_proj.weight h.0.mlp.fc_in.weight", FAMILY_MAP_NONE },
    { "gpt_neo", "gpt_neo", "GPTNeoForCausalLM", NULL, "h.0.attn.attention.q_proj.weight", FAMILY_MAP_NONE },
    { "gpt_neox", "gpt_neox", "GPTNeoX*", "gptneox",
      "layers.0.attention.query_key_value.weight layers.0.mlp.dense_h_to_4h.weight", FAMILY_MAP_NONE },
    { "bloom", "bloom", "Bloom*", "bloom", "h.0.self_attention.query_key_value.weight word_embeddings_layernorm.weight",
      FAMILY_MAP_NONE },
    { "falcon", "falcon RefinedWeb RefinedWebModel", "Falcon* RWForCausalLM", "falcon",
      "h.0.self_attention.query_key_value.weight", FAMILY_MAP_NONE },
    { "mpt", "mpt", "MPT* MptForCausalLM", "mpt", "blocks.0.attn.Wqkv.weight", FAMILY_MAP_NONE },
    { "opt", "opt", "OPT*", "opt", "decoder.layers.0.fc1.weight decoder.embed_positions.weight", FAMILY_MAP_NONE },
    { "whisper", "whisper", "Whisper*", "whisper",
      "encoder.conv1.weight decoder.layers.0.encoder_attn.q_proj.weight", FAMILY_MAP_NONE },
    { "whisper", NULL, NULL, NULL, "encoder.conv1.weight decoder.blocks.0.cross_attn.query.weight", FAMILY_MAP_NONE },
    { "bart", "bart mbart", "Bart* MBart*", NULL, "decoder.layers.0.encoder_attn.q_proj.weight", FAMILY_MAP_NONE },
    { "t5", "t5 mt5 umt5", "T5* MT5* UMT5*", "t5 t5encoder", "encoder.block.0.layer.0.SelfAttention.q.weight",
      FAMILY_MAP_NONE },
    { "mamba2", "mamba2", "Mamba2*", "mamba2", "layers.0.mixer.A_log layers.0.mixer.norm.weight", FAMILY_MAP_NONE },
    { "mamba", "mamba falcon_mamba", "Mamba* FalconMamba*", "mamba", "layers.0.mixer.A_log", FAMILY_MAP_NONE },
    { "rwkv", "rwkv rwkv5 rwkv6 rwkv7", "Rwkv* RWKV*", "rwkv6 rwkv7 rwkv6qwen2 arwkv7", "blocks.0.att.time_decay",
      FAMILY_MAP_NONE },
    { "roberta", "roberta xlm-roberta camembert", "Roberta* XLMRoberta* Camembert*", NULL, NULL, FAMILY_MAP_BERT },
    { "distilbert", "distilbert", "DistilBert*", NULL, "transformer.layer.0.attention.q_lin.weight", FAMILY_MAP_NONE },
    { "albert", "albert", "Albert*", NULL, NULL, FAMILY_MAP_NONE },
    { "electra", "electra", "Electra*", NULL, NULL, FAMILY_MAP_NONE },
    { "deberta", "deberta deberta-v2", "Deberta*", NULL, NULL, FAMILY_MAP_NONE },
    { "modernbert", "modernbert", "ModernBert*", "modern-bert", NULL, FAMILY_MAP_NONE },
    { "nomic_bert", "nomic_bert", "NomicBert*", "nomic-bert nomic-bert-moe", NULL, FAMILY_MAP_NONE },
    { "bert", "bert", "Bert*", "bert",
      "encoder.layer.0.attention.self.query.weight embeddings.token_type_embeddings.weight", FAMILY_MAP_BERT },
    { "siglip", "siglip siglip2", "Siglip*", NULL, NULL, FAMILY_MAP_NONE },
    { "clip", "clip", "CLIP*", "clip",
      "vision_model.embeddings.patch_embedding.weight text_model.final_layer_norm.weight", FAMILY_MAP_NONE },
    { "vit", "vit deit dinov2", "ViT* Deit* Dinov2*", NULL, "embeddings.patch_embeddings.projection.weight",
      FAMILY_MAP_NONE },
    { "sam", "sam", "SamModel", NULL, "image_encoder.patch_embed.proj.weight mask_decoder.mask_tokens.weight",
      FAMILY_MAP_NONE },
    { "wav2vec2", "wav2vec2 hubert", "Wav2Vec2* Hubert*", NULL, "feature_extractor.conv_layers.0.conv.weight",
      FAMILY_MAP_NONE },
    { "resnet", "resnet", "ResNet*", NULL, "layer1.0.conv1.weight layer4.0.conv1.weight fc.weight", FAMILY_MAP_NONE },
    { "convnext", "convnext convnextv2", "ConvNext*", NULL, NULL, FAMILY_MAP_NONE },
    { "vgg", NULL, NULL, NULL, "features.28.weight classifier.6.weight", FAMILY_MAP_NONE },
    { "unet2d", NULL, "UNet2DConditionModel UNet2DModel", NULL,
      "down_blocks.0.resnets.0.conv1.weight mid_block.resnets.0.conv1.weight time_embedding.linear_1.weight",
      FAMILY_MAP_NONE },
    { "autoencoder_kl", NULL, "AutoencoderKL", NULL,
      "encoder.down_blocks.0.resnets.0.conv1.weight decoder.up_blocks.0.resnets.0.conv1.weight", FAMILY_MAP_NONE },
};

#define FAMILIES_COUNT (sizeof families_table / sizeof families_table[0])

const family *families_row(size_t index) { return index < FAMILIES_COUNT ? &families_table[index] : NULL; }

/* Is `word` one of the space-separated words of `list`? A word of the list that ends in * matches any ending. */
static bool word_in_list(const char *list, const char *word) {
    if (list == NULL || word == NULL) return false;
    size_t length = strlen(word);
    for (const char *p = list; *p != '\0';) {
        size_t n = strcspn(p, " ");
        bool open = n > 0 && p[n - 1] == '*';
        size_t fixed = open ? n - 1 : n;
        if ((open ? length >= fixed : length == fixed) && memcmp(p, word, fixed) == 0) return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

const family *families_by_model_type(const char *model_type) {
    for (size_t i = 0; i < FAMILIES_COUNT; i++)
        if (word_in_list(families_table[i].model_types, model_type)) return &families_table[i];
    return NULL;
}

const family *families_by_class(const char *class_name) {
    for (size_t i = 0; i < FAMILIES_COUNT; i++)
        if (word_in_list(families_table[i].classes, class_name)) return &families_table[i];
    return NULL;
}

const family *families_by_gguf(const char *architecture) {
    for (size_t i = 0; i < FAMILIES_COUNT; i++)
        if (word_in_list(families_table[i].gguf, architecture)) return &families_table[i];
    return NULL;
}

const family *families_by_config(const tola_value *config) {
    const family *f = families_by_model_type(tola_value_str(tola_value_get(config, "model_type"), NULL));
    if (f != NULL) return f;
    const tola_value *classes = tola_value_get(config, "architectures");
    if (classes != NULL) {
        tola_value first = tola_value_at(classes, 0);
        f = families_by_class(tola_value_str(&first, NULL));
    }
    if (f == NULL) f = families_by_class(tola_value_str(tola_value_get(config, "_class_name"), NULL));
    if (f == NULL) {
        const tola_value *text = families_text_config(config);
        if (text != config) f = families_by_model_type(tola_value_str(tola_value_get(text, "model_type"), NULL));
    }
    return f;
}

/* GGUF calls Mixtral "llama"; its experts tell. */
static const family *by_gguf_metadata(const tola_value *metadata) {
    const char *architecture = tola_value_str(tola_value_get(metadata, "general.architecture"), NULL);
    const family *f = families_by_gguf(architecture);
    if (f != NULL && strcmp(f->name, "llama") == 0 &&
        tola_value_u64(tola_value_get(metadata, "llama.expert_count"), 0) > 0)
        return families_by_model_type("mixtral");
    return f;
}

/* Does `name` end with the `length` bytes of `hint`, at a dot or at its beginning? */
static bool ends_with_hint(const char *name, size_t name_length, const char *hint, size_t length) {
    if (name_length < length || memcmp(name + name_length - length, hint, length) != 0) return false;
    return name_length == length || name[name_length - length - 1] == '.';
}

/* Names of a first layer come early in every checkpoint; looking further would only cost time. */
#define FAMILIES_NAMES_LOOKED_AT 4096

static const family *by_names(const tola_checkpoint *ck) {
    enum { MAX_HINTS = 4 };
    uint8_t found[FAMILIES_COUNT] = { 0 };
    size_t count = tola_checkpoint_tensor_count(ck);
    if (count > FAMILIES_NAMES_LOOKED_AT) count = FAMILIES_NAMES_LOOKED_AT;
    for (size_t t = 0; t < count; t++) {
        const char *name = tola_checkpoint_tensor(ck, t)->name;
        size_t name_length = strlen(name);
        for (size_t i = 0; i < FAMILIES_COUNT; i++) {
            const char *p = families_table[i].hints;
            for (int bit = 0; p != NULL && *p != '\0' && bit < MAX_HINTS; bit++) {
                size_t n = strcspn(p, " ");
                if (ends_with_hint(name, name_length, p, n)) found[i] |= (uint8_t)(1u << bit);
                p += n;
                p += strspn(p, " ");
            }
        }
    }
    for (size_t i = 0; i < FAMILIES_COUNT; i++) {
        if (families_table[i].hints == NULL) continue;
        unsigned words = 1;
        for (const char *p = families_table[i].hints; *p != '\0'; p++) words += *p == ' ';
        if (found[i] == (1u << words) - 1) return &families_table[i];
    }
    return NULL;
}

const family *families_detect(const tola_checkpoint *ck) {
    const family *f = NULL;
    const tola_value *config = tola_checkpoint_config(ck);
    const tola_value *metadata = tola_checkpoint_metadata(ck);
    if (tola_value_get(metadata, "general.architecture") != NULL) {
        f = by_gguf_metadata(metadata);
        if (f != NULL) return f;
    }
    if (config != NULL) f = families_by_config(config);
    if (f == NULL) f = by_names(ck);
    return f;
}
