/* What sets families of language models apart, a row each. Facts of huggingface/transformers' modelling files (v5), and
 * checked against them: tests/oracle/shape_oracle.py builds each on the meta device and counts. */
#include "policy/shape_build.h"

#include <string.h>

#define RMS NORM_WEIGHT
#define LN NORM_BIAS

static const recipe recipes[] = {
    /* types, norms, norm, qk, qkv bias, output bias, feed-forward bias, positions, flags, more positions */
    { "llama granite smollm3 helium", 2, RMS, QK_NONE, "attention_bias", "attention_bias", "mlp_bias", NULL, 0, 0 },
    { "mistral mixtral ministral ministral3 phi3 minimax jetmoe nanochat exaone mistral4", 2, RMS, QK_NONE, NULL, NULL,
      NULL, NULL, 0, 0 },
    { "granitemoe granitemoeshared gemma", 2, RMS, QK_NONE, "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "arcee", 2, RMS, QK_NONE, "attention_bias", "attention_bias", "mlp_bias", NULL, FFN_PLAIN, 0 },
    { "apertus", 2, RMS, QK_HEAD, "attention_bias", "attention_bias", "mlp_bias", NULL, FFN_PLAIN, 0 },
    { "seed_oss", 2, RMS, QK_NONE, "attention_bias", "attention_out_bias", "mlp_bias", NULL, 0, 0 },
    { "qwen2 dots_ocr qwen2_vl_text qwen2_5_vl_text", 2, RMS, QK_NONE, "1", NULL, NULL, NULL, 0, 0 },
    { "qwen", 2, RMS, QK_NONE, "1", NULL, NULL, NULL, 0, 0 },
    { "qwen3 qwen3_moe qwen3_vl_text qwen3_vl_moe_text", 2, RMS, QK_HEAD, "attention_bias", "attention_bias", NULL,
      NULL, 0, 0 },
    { "qwen2_moe", 2, RMS, QK_NONE, "qkv_bias", NULL, NULL, NULL, SHARED_GATE, 0 },
    { "qwen3_next qwen3_5 qwen3_5_text qwen3_5_moe qwen3_5_moe_text", 2, RMS, QK_HEAD, "attention_bias",
      "attention_bias", NULL, NULL, SHARED_GATE | GATED_QUERY, 0 },
    { "exaone4", 2, RMS, QK_HEAD, NULL, NULL, NULL, NULL, 0, 0 },
    { "olmo", 2, NORM_NONE, QK_NONE, "attention_bias", "attention_bias", NULL, NULL, NO_FINAL_NORM, 0 },
    { "olmo2 olmo3 olmoe flex_olmo", 2, RMS, QK_WIDE, "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "gemma2 vaultgemma", 4, RMS, QK_NONE, "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "gemma3 gemma3_text gemma4 gemma4_text gemma3n gemma3n_text", 4, RMS, QK_HEAD, "attention_bias", "attention_bias",
      NULL, NULL, 0, 0 },
    { "glm ernie4_5 ernie4_5_moe", 2, RMS, QK_NONE, "attention_bias use_bias", NULL, NULL, NULL, 0, 0 },
    { "glm4", 4, RMS, QK_NONE, "attention_bias", NULL, NULL, NULL, 0, 0 },
    { "glm4_moe", 2, RMS, QK_NONE, "attention_bias", NULL, NULL, NULL, 0, 0 },
    { "deepseek_v2 deepseek_v3 deepseek_v32 kimi_k2 glm_moe_dsa glm4_moe_lite longcat_flash youtu", 2, RMS, QK_NONE,
      "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "deepseek", 2, RMS, QK_NONE, NULL, NULL, NULL, NULL, 0, 0 },
    { "dots1", 2, RMS, QK_HEAD, "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "hunyuan_v1_dense hunyuan_v1_moe hunyuan", 2, RMS, QK_HEAD, "attention_bias", "attention_bias", NULL, NULL, 0,
      0 },
    { "gpt_oss", 2, RMS, QK_NONE, "attention_bias", "attention_bias", NULL, NULL, ROUTER_BIAS | EXPERT_BIAS | SINKS,
      0 },
    { "minimax_m2", 2, RMS, QK_WIDE, NULL, NULL, NULL, NULL, 0, 0 },
    { "minimax_m3", 2, RMS, QK_HEAD, NULL, NULL, NULL, NULL, 0, 0 },
    { "llama4 llama4_text", 2, RMS, QK_NONE, "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "step3p5 step3p7 step3p7_text step3p5_text step3", 2, RMS, QK_HEAD, NULL, NULL, NULL, NULL, 0, 0 },
    { "nemotron", 2, LN, QK_NONE, "attention_bias", "attention_bias", "mlp_bias", NULL, FFN_PLAIN, 0 },
    { "nemotron-nas deci", 2, RMS, QK_NONE, "attention_bias", "attention_bias", "mlp_bias", NULL, 0, 0 },
    { "phi mixformer-sequential phi-msft", 1, LN, QK_NONE, "1", "1", "1", NULL, FFN_PLAIN | OUTPUT_BIAS, 0 },
    { "phimoe", 2, LN, QK_NONE, "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "stablelm", 2, LN, QK_NONE, "use_qkv_bias", NULL, NULL, NULL, 0, 0 },
    { "starcoder2", 2, LN, QK_NONE, "use_bias", "use_bias", "use_bias", NULL, FFN_PLAIN, 0 },
    { "cohere", 1, RMS, QK_NONE, "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "cohere2", 1, RMS, QK_NONE, "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "persimmon", 2, LN, QK_NONE, "1", "1", "1", NULL, FFN_PLAIN, 0 },
    { "falcon RefinedWeb RefinedWebModel", 2, LN, QK_NONE, "bias", "bias", "bias", NULL, FFN_PLAIN, 0 },
    { "mpt", 2, RMS, QK_NONE, NULL, NULL, NULL, NULL, FFN_PLAIN, 0 },
    { "gpt2", 2, LN, QK_NONE, "1", "1", "1", "n_positions max_position_embeddings", FFN_PLAIN, 0 },
    { "gpt_bigcode", 2, LN, QK_NONE, "1", "1", "1", "n_positions max_position_embeddings", FFN_PLAIN, 0 },
    { "gpt_neo", 2, LN, QK_NONE, NULL, "1", "1", "max_position_embeddings", FFN_PLAIN, 0 },
    { "gptj codegen", 1, LN, QK_NONE, NULL, NULL, "1", NULL, FFN_PLAIN | OUTPUT_BIAS, 0 },
    { "gpt_neox", 2, LN, QK_NONE, "attention_bias", "attention_bias", "1", NULL, FFN_PLAIN, 0 },
    { "bloom", 2, LN, QK_NONE, "1", "1", "1", NULL, FFN_PLAIN | EMBEDDING_NORM, 0 },
    { "opt", 2, LN, QK_NONE, "enable_bias", "enable_bias", "enable_bias", "max_position_embeddings", FFN_PLAIN, 2 },
    { "biogpt", 2, LN, QK_NONE, "1", "1", "1", "max_position_embeddings", FFN_PLAIN, 2 },
    { "xglm", 2, LN, QK_NONE, "1", "1", "1", NULL, FFN_PLAIN, 0 },
    { "bitnet", 2, RMS, QK_NONE, "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "diffllama", 2, RMS, QK_NONE, "attention_bias", "attention_bias", "mlp_bias", NULL, 0, 0 },
    { "internlm2 baichuan", 2, RMS, QK_NONE, "bias", "bias", NULL, NULL, 0, 0 },
    { "minicpm minicpm3", 2, RMS, QK_NONE, "attention_bias", "attention_bias", NULL, NULL, 0, 0 },
    { "dbrx", 2, RMS, QK_NONE, NULL, NULL, NULL, NULL, 0, 0 },
    { "lfm2 lfm2_moe", 2, RMS, QK_HEAD, NULL, NULL, NULL, NULL, 0, 0 },
    { "nemotron_h", 1, RMS, QK_NONE, "attention_bias", "attention_bias", "mlp_bias", NULL, FFN_PLAIN, 0 },
    { "kimi_linear", 2, RMS, QK_NONE, NULL, NULL, NULL, NULL, 0, 0 },
    { "deepseek_v4", 2, RMS, QK_NONE, NULL, NULL, NULL, NULL, 0, 0 },
    { "mamba falcon_mamba", 1, RMS, QK_NONE, NULL, NULL, NULL, NULL, 0, 0 },
    { "mamba2", 1, RMS, QK_NONE, NULL, NULL, NULL, NULL, 0, 0 },
    { "jamba", 2, RMS, QK_NONE, NULL, NULL, NULL, NULL, 0, 0 },
    { "bamba granitemoehybrid falcon_h1 zamba2", 2, RMS, QK_NONE, "attention_bias", "attention_bias", "mlp_bias", NULL,
      0, 0 },
    /* encoders: two norms behind their parts, one behind the embedding */
    { "bert", 2, LN, QK_NONE, "1", "1", "1", "max_position_embeddings",
      FFN_PLAIN | EMBEDDING_NORM | NO_FINAL_NORM | ENCODER, 0 },
    { "roberta xlm-roberta camembert", 2, LN, QK_NONE, "1", "1", "1", "max_position_embeddings",
      FFN_PLAIN | EMBEDDING_NORM | NO_FINAL_NORM | ENCODER, 0 },
    { "distilbert electra", 2, LN, QK_NONE, "1", "1", "1", "max_position_embeddings",
      FFN_PLAIN | EMBEDDING_NORM | NO_FINAL_NORM | ENCODER, 0 },
    { "modernbert", 2, RMS, QK_NONE, "attention_bias", "attention_bias", "mlp_bias", NULL, EMBEDDING_NORM | ENCODER,
      0 },
};

const recipe *recipe_of(const char *model_type) {
    for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++)
        if (word_in(recipes[i].types, model_type)) return &recipes[i];
    return NULL;
}
