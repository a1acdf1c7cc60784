/* Mixtures of llama.cpp's llama-quantize as a table of rules: the first rule whose mixture, role and circumstances fit
 * says the type, and where none does the tensor gets the mixture's base.
 *
 * Source: github.com/ggml-org/llama.cpp, src/llama-quant.cpp and tools/quantize/quantize.cpp, as of ggml 0.25;
 * tests/oracle/mixture_oracle.py compares every choice with the program's. Names are matched as the program matches
 * them: most by a part that they contain. */
#include "transform/mixture.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the mixtures ---- */

enum {
    M_Q1_0, M_Q2_0, M_Q4_0, M_Q4_1, M_Q5_0, M_Q5_1, M_Q8_0, M_MXFP4_MOE,
    M_TQ1_0, M_TQ2_0,
    M_IQ1_S, M_IQ1_M, M_IQ2_XXS, M_IQ2_XS, M_IQ2_S, M_IQ2_M, M_IQ3_XXS, M_IQ3_XS, M_IQ3_S, M_IQ3_M, M_IQ4_XS, M_IQ4_NL,
    M_Q2_K, M_Q2_K_S, M_Q3_K_S, M_Q3_K_M, M_Q3_K_L, M_Q4_K_S, M_Q4_K_M, M_Q5_K_S, M_Q5_K_M, M_Q6_K,
    M_F16, M_BF16, M_F32,
    M_COUNT
};

struct mixture {
    const char *name;
    uint32_t file_type; /* enum llama_ftype of llama.h */
    tola_dtype base;
};

static const mixture mixtures[M_COUNT] = {
    [M_Q1_0] = { "Q1_0", 40, TOLA_DTYPE_Q1_0 },
    [M_Q2_0] = { "Q2_0", 41, TOLA_DTYPE_Q2_0 },
    [M_Q4_0] = { "Q4_0", 2, TOLA_DTYPE_Q4_0 },
    [M_Q4_1] = { "Q4_1", 3, TOLA_DTYPE_Q4_1 },
    [M_Q5_0] = { "Q5_0", 8, TOLA_DTYPE_Q5_0 },
    [M_Q5_1] = { "Q5_1", 9, TOLA_DTYPE_Q5_1 },
    [M_Q8_0] = { "Q8_0", 7, TOLA_DTYPE_Q8_0 },
    [M_MXFP4_MOE] = { "MXFP4_MOE", 38, TOLA_DTYPE_MXFP4 },
    [M_TQ1_0] = { "TQ1_0", 36, TOLA_DTYPE_TQ1_0 },
    [M_TQ2_0] = { "TQ2_0", 37, TOLA_DTYPE_TQ2_0 },
    [M_IQ1_S] = { "IQ1_S", 24, TOLA_DTYPE_IQ1_S },
    [M_IQ1_M] = { "IQ1_M", 31, TOLA_DTYPE_IQ1_M },
    [M_IQ2_XXS] = { "IQ2_XXS", 19, TOLA_DTYPE_IQ2_XXS },
    [M_IQ2_XS] = { "IQ2_XS", 20, TOLA_DTYPE_IQ2_XS },
    [M_IQ2_S] = { "IQ2_S", 28, TOLA_DTYPE_IQ2_XS },
    [M_IQ2_M] = { "IQ2_M", 29, TOLA_DTYPE_IQ2_S },
    [M_IQ3_XXS] = { "IQ3_XXS", 23, TOLA_DTYPE_IQ3_XXS },
    [M_IQ3_XS] = { "IQ3_XS", 22, TOLA_DTYPE_IQ3_S },
    [M_IQ3_S] = { "IQ3_S", 26, TOLA_DTYPE_IQ3_S },
    [M_IQ3_M] = { "IQ3_M", 27, TOLA_DTYPE_IQ3_S },
    [M_IQ4_XS] = { "IQ4_XS", 30, TOLA_DTYPE_IQ4_XS },
    [M_IQ4_NL] = { "IQ4_NL", 25, TOLA_DTYPE_IQ4_NL },
    [M_Q2_K] = { "Q2_K", 10, TOLA_DTYPE_Q2_K },
    [M_Q2_K_S] = { "Q2_K_S", 21, TOLA_DTYPE_Q2_K },
    [M_Q3_K_S] = { "Q3_K_S", 11, TOLA_DTYPE_Q3_K },
    [M_Q3_K_M] = { "Q3_K_M", 12, TOLA_DTYPE_Q3_K },
    [M_Q3_K_L] = { "Q3_K_L", 13, TOLA_DTYPE_Q3_K },
    [M_Q4_K_S] = { "Q4_K_S", 14, TOLA_DTYPE_Q4_K },
    [M_Q4_K_M] = { "Q4_K_M", 15, TOLA_DTYPE_Q4_K },
    [M_Q5_K_S] = { "Q5_K_S", 16, TOLA_DTYPE_Q5_K },
    [M_Q5_K_M] = { "Q5_K_M", 17, TOLA_DTYPE_Q5_K },
    [M_Q6_K] = { "Q6_K", 18, TOLA_DTYPE_Q6_K },
    [M_F16] = { "F16", 1, TOLA_DTYPE_F16 },
    [M_BF16] = { "BF16", 32, TOLA_DTYPE_BF16 },
    [M_F32] = { "F32", 0, TOLA_DTYPE_F32 },
};

static const struct {
    const char *name;
    uint8_t mixture;
} aliases[] = { { "Q3_K", M_Q3_K_M }, { "Q4_K", M_Q4_K_M }, { "Q5_K", M_Q5_K_M } };

const mixture *mixture_find(const char *name) {
    for (size_t i = 0; i < M_COUNT; i++)
        if (strcasecmp(mixtures[i].name, name) == 0) return &mixtures[i];
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcasecmp(aliases[i].name, name) == 0) return &mixtures[aliases[i].mixture];
    return NULL;
}

const char *mixture_name(const mixture *m) { return m->name; }

tola_dtype mixture_base(const mixture *m) { return m->base; }

uint32_t mixture_file_type(const mixture *m) { return m->file_type; }

const mixture *mixture_at(size_t index) { return index < M_COUNT ? &mixtures[index] : NULL; }

/* ---- what a tensor is ---- */

enum {
    R_HEAD = 1 << 0, /* what makes logits: output.weight, or the embeddings where they serve as it */
    R_EMBED = 1 << 1,
    R_V = 1 << 2, /* values, alone or fused with others */
    R_K = 1 << 3,
    R_Q = 1 << 4,
    R_ATTN_OUT = 1 << 5,
    R_UP = 1 << 6,
    R_GATE = 1 << 7,
    R_DOWN = 1 << 8,
    R_OTHER = 1 << 9,
    R_ANY = (1 << 10) - 1
};

static unsigned role_of(const char *name, bool tied) {
    static const struct {
        const char *part;
        unsigned role;
    } parts[] = {
        { "attn_qkv.weight", R_V },           { "attn_kv_b.weight", R_V }, { "attn_v.weight", R_V },
        { "attn_k.weight", R_K },             { "attn_q.weight", R_Q },    { "attn_output.weight", R_ATTN_OUT },
        { "ffn_up", R_UP },                   { "ffn_gate", R_GATE },      { "ffn_down", R_DOWN },
    };
    if (strcmp(name, "output.weight") == 0) return R_HEAD;
    if (strcmp(name, "token_embd.weight") == 0 || strcmp(name, "per_layer_token_embd.weight") == 0)
        return tied ? R_HEAD : R_EMBED;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i].part)) return parts[i].role;
    return R_OTHER;
}

/* Extents after leading ones: ggml drops them, so that a matrix of one row counts as a vector. */
static unsigned true_dims(const mixture_tensor *t) {
    unsigned n = t->n_dims;
    while (n > 1 && t->shape[t->n_dims - n] == 1) n--;
    return n;
}

bool mixture_keeps(const mixture_tensor *t, const mixture_model *model) {
    static const char *const anywhere[] = {
        "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj",
        "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight",
        /* RWKV's small matrices */
        "time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight", "time_mix_v0.weight",
        "time_mix_v1.weight", "time_mix_v2.weight", "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight",
        "time_mix_g1.weight", "time_mix_g2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight",
        "time_mix_lerp_fused.weight",
        /* positions, pictures, sound */
        "attn_rel_b.weight", ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd",
        ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
    };
    static const char *const glm5_next[] = {
        "hc_", "indexer.attn_q_b", "indexer.attn_k", "indexer.proj", "indexer_compressor_gate",
        "indexer_compressor_ape", "ssm_f_a.weight", "ssm_f_b.weight", "ssm_g_a.weight", "ssm_g_b.weight",
        "ssm_beta.weight", "attn_kv_a_mqa.weight", "attn_k_b.weight", "attn_v_b.weight",
    };
    if (true_dims(t) < 2 || !text_ends_with(t->name, "weight")) return true;
    if (strcmp(t->name, "position_embd.weight") == 0 || strcmp(t->name, "token_types.weight") == 0) return true;
    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++)
        if (strstr(t->name, anywhere[i])) return true;
    if (strcmp(model->architecture, "glm5-next") == 0)
        for (size_t i = 0; i < sizeof glm5_next / sizeof *glm5_next; i++)
            if (strstr(t->name, glm5_next[i])) return true;
    return false;
}

tola_dtype mixture_fallback(tola_dtype wanted, uint64_t columns) {
    static const struct {
        tola_dtype from, to;
    } smaller[] = {
        { TOLA_DTYPE_IQ1_S, TOLA_DTYPE_IQ4_NL },  { TOLA_DTYPE_IQ1_M, TOLA_DTYPE_IQ4_NL },
        { TOLA_DTYPE_IQ2_XXS, TOLA_DTYPE_IQ4_NL }, { TOLA_DTYPE_IQ2_XS, TOLA_DTYPE_IQ4_NL },
        { TOLA_DTYPE_IQ2_S, TOLA_DTYPE_IQ4_NL },  { TOLA_DTYPE_IQ3_XXS, TOLA_DTYPE_IQ4_NL },
        { TOLA_DTYPE_IQ3_S, TOLA_DTYPE_IQ4_NL },  { TOLA_DTYPE_IQ4_XS, TOLA_DTYPE_IQ4_NL },
        { TOLA_DTYPE_Q2_0, TOLA_DTYPE_Q4_0 },     { TOLA_DTYPE_Q2_K, TOLA_DTYPE_Q4_0 },
        { TOLA_DTYPE_Q3_K, TOLA_DTYPE_Q4_0 },     { TOLA_DTYPE_TQ1_0, TOLA_DTYPE_Q4_0 },
        { TOLA_DTYPE_TQ2_0, TOLA_DTYPE_Q4_0 },    { TOLA_DTYPE_Q4_K, TOLA_DTYPE_Q5_0 },
        { TOLA_DTYPE_Q5_K, TOLA_DTYPE_Q5_1 },     { TOLA_DTYPE_Q6_K, TOLA_DTYPE_Q8_0 },
        /* llama-quantize refuses these two; the nearest of its own steps is taken */
        { TOLA_DTYPE_Q1_0, TOLA_DTYPE_Q4_0 },     { TOLA_DTYPE_NVFP4, TOLA_DTYPE_Q4_0 },
    };
    if (columns % tola_dtype_block_elements(wanted) == 0) return wanted;
    tola_dtype to = TOLA_DTYPE_F16;
    for (size_t i = 0; i < sizeof smaller / sizeof *smaller; i++)
        if (smaller[i].from == wanted) to = smaller[i].to;
    return columns % tola_dtype_block_elements(to) == 0 ? to : TOLA_DTYPE_F16;
}

/* ---- the rules ---- */

enum {                        /* circumstances */
    C_FALCON = 1 << 0,        /* the architecture */
    C_BAILINGMOE3 = 1 << 1,
    C_PINNED = 1 << 2,        /* one of glm5-next's delicate projections */
    C_SHARED4 = 1 << 3,       /* at least four heads of queries share one of values */
    C_EXPERTS4 = 1 << 4,      /* at least four experts */
    C_EXPERTS8 = 1 << 5,      /* exactly eight: Mixtral */
    C_SEVENTY = 1 << 6,       /* a Llama of 70B or what counts as one */
    C_IMPORTANCE = 1 << 7,    /* an importance matrix is given */
    C_MISFIT = 1 << 8,        /* rows do not fill blocks of the mixture's base */
    C_STACKED = 1 << 9,       /* several matrices: experts */
    C_EIGHTH = 1 << 10,       /* in the first eighth of the layers */
    C_SIXTEENTH = 1 << 11,    /* in the first sixteenth */
    C_LAST_EIGHTH = 1 << 12,
    C_MORE = 1 << 13,         /* first eighth, last eighth, and every third between */
    C_FIRST2 = 1 << 14,       /* the first two, first four of its kind in the model */
    C_FIRST4 = 1 << 15,
    C_KIND_EIGHTH = 1 << 16   /* fewer of its kind before it than an eighth of the layers (differs with experts) */
};

#define M(name) (UINT64_C(1) << M_##name)
#define M_ANY UINT64_MAX
#define M_LOW (M(IQ1_S) | M(IQ1_M) | M(IQ2_XXS) | M(IQ2_XS) | M(IQ2_S) | M(IQ2_M))
#define M_2_5 (M(IQ2_S) | M(IQ2_M))
#define M_IQ4 (M(IQ4_NL) | M(IQ4_XS))

typedef struct rule {
    uint64_t of;      /* mixtures */
    unsigned roles;
    unsigned yes, no; /* circumstances that must hold, that must not */
    tola_dtype type;  /* NONE: the base */
} rule;

static const rule rules[] = {
    { M_ANY, R_ANY, C_PINNED, 0, TOLA_DTYPE_Q8_0 },
    /* logits */
    { M(MXFP4_MOE) | M(Q8_0), R_HEAD, 0, 0, TOLA_DTYPE_Q8_0 },
    { M_ANY, R_HEAD, C_FALCON, 0, TOLA_DTYPE_Q8_0 },
    { M_ANY, R_HEAD, C_MISFIT, 0, TOLA_DTYPE_Q8_0 },
    { M_LOW | M(IQ3_XXS), R_HEAD, 0, 0, TOLA_DTYPE_Q5_K },
    { M_ANY, R_HEAD, 0, 0, TOLA_DTYPE_Q6_K },
    /* experts in MXFP4, everything else in eight bits */
    { M(MXFP4_MOE), R_UP | R_GATE | R_DOWN, C_STACKED, 0, TOLA_DTYPE_MXFP4 },
    { M(MXFP4_MOE), R_ANY, C_STACKED, C_BAILINGMOE3, TOLA_DTYPE_MXFP4 },
    { M(MXFP4_MOE), R_ANY, 0, 0, TOLA_DTYPE_Q8_0 },
    /* embeddings of their own */
    { M(IQ1_S) | M(IQ1_M) | M(IQ2_XXS) | M(IQ2_XS), R_EMBED, 0, 0, TOLA_DTYPE_Q2_K },
    { M_2_5 | M(IQ3_XXS), R_EMBED, 0, 0, TOLA_DTYPE_IQ3_S },
    { M(TQ1_0) | M(TQ2_0) | M(Q2_0), R_EMBED, 0, 0, TOLA_DTYPE_Q4_K },
    /* below three bits */
    { M_LOW, R_V, C_SHARED4, 0, TOLA_DTYPE_Q4_K },
    { M_LOW, R_V, C_EXPERTS4, 0, TOLA_DTYPE_Q4_K },
    { M_2_5, R_V, 0, 0, TOLA_DTYPE_IQ3_S },
    { M_LOW, R_V, 0, 0, TOLA_DTYPE_Q2_K },
    { M_LOW, R_K, C_EXPERTS8, 0, TOLA_DTYPE_Q4_K },
    { M_2_5, R_DOWN, C_KIND_EIGHTH, 0, TOLA_DTYPE_IQ3_S },
    { M_LOW, R_DOWN, C_KIND_EIGHTH, 0, TOLA_DTYPE_Q2_K },
    { M_LOW, R_ATTN_OUT, C_EXPERTS8, 0, TOLA_DTYPE_Q5_K },
    { M(IQ1_S) | M(IQ1_M), R_ATTN_OUT, 0, 0, TOLA_DTYPE_IQ2_XXS },
    { M_2_5, R_ATTN_OUT, 0, 0, TOLA_DTYPE_IQ3_S },
    { M_LOW, R_ANY, 0, 0, TOLA_DTYPE_NONE },
    /* values */
    { M_ANY, R_V, C_EXPERTS8, 0, TOLA_DTYPE_Q8_0 },
    { M(Q4_K_M) | M(Q5_K_M), R_V, C_MORE, 0, TOLA_DTYPE_Q6_K },
    { M(Q2_K) | M(Q3_K_S) | M(Q3_K_M) | M(Q3_K_L) | M(IQ3_M) | M(Q4_K_S) | M(Q4_K_M), R_V, C_SEVENTY, 0,
      TOLA_DTYPE_Q5_K },
    { M(Q2_K_S) | M(IQ3_XXS) | M(IQ3_XS) | M(IQ3_S), R_V, C_SEVENTY | C_SHARED4, 0, TOLA_DTYPE_Q5_K },
    { M(Q2_K) | M(Q2_K_S) | M(IQ3_XXS) | M(IQ3_XS) | M(IQ3_S), R_V, C_SHARED4, 0, TOLA_DTYPE_Q4_K },
    { M(Q2_K), R_V, 0, 0, TOLA_DTYPE_Q3_K },
    { M(IQ3_XXS), R_V, 0, C_IMPORTANCE, TOLA_DTYPE_IQ3_S },
    { M(Q3_K_M), R_V, C_FIRST2, 0, TOLA_DTYPE_Q5_K },
    { M(Q3_K_M) | M(IQ3_M), R_V, 0, 0, TOLA_DTYPE_Q4_K },
    { M(Q3_K_L), R_V, 0, 0, TOLA_DTYPE_Q5_K },
    { M_IQ4, R_V, C_SHARED4, 0, TOLA_DTYPE_Q5_K },
    { M(Q4_K_S), R_V, C_FIRST4, 0, TOLA_DTYPE_Q5_K },
    /* keys and queries */
    { M_ANY, R_K, C_EXPERTS8, 0, TOLA_DTYPE_Q8_0 },
    { M(IQ3_XS), R_K | R_Q, 0, 0, TOLA_DTYPE_IQ3_XXS },
    { M(IQ3_XXS), R_K | R_Q, 0, 0, TOLA_DTYPE_IQ2_S },
    /* the way back from the wide layer */
    { M(Q2_K), R_DOWN, 0, 0, TOLA_DTYPE_Q3_K },
    { M(Q2_K_S), R_DOWN, C_EIGHTH, 0, TOLA_DTYPE_Q4_K },
    { M(IQ3_XXS), R_DOWN, C_EIGHTH, C_IMPORTANCE, TOLA_DTYPE_Q4_K },
    { M(IQ3_XXS), R_DOWN, 0, C_IMPORTANCE, TOLA_DTYPE_Q3_K },
    { M(Q3_K_M), R_DOWN, C_SIXTEENTH, 0, TOLA_DTYPE_Q5_K },
    { M(Q3_K_M), R_DOWN, 0, C_FALCON, TOLA_DTYPE_Q4_K },
    { M(Q3_K_M), R_DOWN, C_MORE, 0, TOLA_DTYPE_Q4_K },
    { M(IQ3_M), R_DOWN, C_EIGHTH, 0, TOLA_DTYPE_Q4_K },
    { M(IQ3_M), R_DOWN, C_MORE | C_EXPERTS8, 0, TOLA_DTYPE_Q4_K },
    { M(Q3_K_L), R_DOWN, C_FALCON, 0, TOLA_DTYPE_Q4_K },
    { M(Q3_K_L), R_DOWN, 0, 0, TOLA_DTYPE_Q5_K },
    { M(Q4_K_M), R_DOWN, C_FALCON | C_SIXTEENTH, 0, TOLA_DTYPE_Q6_K },
    { M(Q4_K_M), R_DOWN, C_FALCON | C_MORE, 0, TOLA_DTYPE_Q5_K },
    { M(Q4_K_M), R_DOWN, C_MORE, C_FALCON, TOLA_DTYPE_Q6_K },
    { M(Q5_K_M), R_DOWN, C_MORE, 0, TOLA_DTYPE_Q6_K },
    { M_IQ4, R_DOWN, C_EIGHTH, C_IMPORTANCE, TOLA_DTYPE_Q5_K },
    { M(Q4_K_S), R_DOWN, C_EIGHTH, C_FALCON, TOLA_DTYPE_Q5_K },
    { M(Q4_0), R_DOWN, C_EIGHTH | C_IMPORTANCE, 0, TOLA_DTYPE_Q4_1 },
    { M(Q5_0), R_DOWN, C_EIGHTH | C_IMPORTANCE, 0, TOLA_DTYPE_Q5_1 },
    /* attention's output */
    { M(Q2_K) | M(Q3_K_S) | M(Q3_K_M) | M(Q4_K_S) | M(Q4_K_M) | M(IQ3_XXS) | M(IQ3_XS) | M(IQ3_S) | M(IQ3_M) | M_IQ4,
      R_ATTN_OUT, C_EXPERTS8, C_FALCON, TOLA_DTYPE_Q5_K },
    { M(Q2_K), R_ATTN_OUT, 0, C_FALCON | C_EXPERTS8, TOLA_DTYPE_Q3_K },
    { M(IQ3_XXS), R_ATTN_OUT, 0, C_FALCON | C_EXPERTS8, TOLA_DTYPE_IQ3_S },
    { M(Q3_K_M) | M(IQ3_M), R_ATTN_OUT, 0, C_FALCON | C_EXPERTS8, TOLA_DTYPE_Q4_K },
    { M(Q3_K_L), R_ATTN_OUT, 0, C_FALCON | C_EXPERTS8, TOLA_DTYPE_Q5_K },
    { M(Q3_K_L), R_ATTN_OUT, C_FALCON, 0, TOLA_DTYPE_Q4_K },
    /* the way into the wide layer */
    { M(IQ3_XS), R_UP | R_GATE, 0, C_EIGHTH | C_LAST_EIGHTH, TOLA_DTYPE_IQ3_XXS },
};

static tola_dtype type_by_rules(const mixture *m, unsigned role, unsigned circumstances) {
    uint64_t own = UINT64_C(1) << (m - mixtures);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const rule *r = &rules[i];
        if ((r->of & own) && (r->roles & role) && (circumstances & r->yes) == r->yes && !(circumstances & r->no))
            return r->type != TOLA_DTYPE_NONE ? r->type : m->base;
    }
    return m->base;
}

/* ---- circumstances ---- */

/* What counts as "70B": by architecture and layers alone, as llama.cpp names model sizes (src/models). */
static bool is_seventy(const mixture_model *model) {
    static const struct {
        const char *architecture;
        uint32_t layers;
    } known[] = { { "qwen2", 80 }, { "deci", 80 }, { "olmo", 80 }, { "jais2", 68 } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(model->architecture, known[i].architecture) == 0) return model->layers == known[i].layers;
    bool llama = strcmp(model->architecture, "llama") == 0 || strcmp(model->architecture, "llama-embed") == 0;
    return llama && model->layers == 80 && model->experts != 8 && model->heads != model->heads_kv;
}

static unsigned of_model(const mixture_model *model) {
    unsigned c = 0;
    if (strcmp(model->architecture, "falcon") == 0) c |= C_FALCON;
    if (strcmp(model->architecture, "bailingmoe3") == 0) c |= C_BAILINGMOE3;
    if (model->heads_kv != 0 && model->heads / model->heads_kv >= 4) c |= C_SHARED4;
    if (model->experts >= 4) c |= C_EXPERTS4;
    if (model->experts == 8) c |= C_EXPERTS8;
    if (is_seventy(model)) c |= C_SEVENTY;
    if (model->has_importance) c |= C_IMPORTANCE;
    return c;
}

/* Where position `i` of `n` lies. */
static unsigned of_position(uint64_t i, uint64_t n) {
    unsigned c = 0;
    if (i < n / 8) c |= C_EIGHTH;
    if (i < n / 16) c |= C_SIXTEENTH;
    if (i >= 7 * n / 8) c |= C_LAST_EIGHTH;
    if (c & (C_EIGHTH | C_LAST_EIGHTH) || (i - n / 8) % 3 == 2) c |= C_MORE;
    return c;
}

static bool is_pinned(const char *architecture, const char *name) {
    return strcmp(architecture, "glm5-next") == 0 &&
           (strstr(name, "attn_q_a") || strstr(name, "attn_q_b") || strstr(name, "nextn.eh_proj"));
}

/* N of "blk.N..."; -1 for other names. */
static int64_t layer_of(const char *name) {
    if (strncmp(name, "blk.", 4) != 0 || name[4] < '0' || name[4] > '9') return -1;
    int64_t layer = 0;
    for (const char *c = name + 4; *c >= '0' && *c <= '9' && layer < INT32_MAX; c++) layer = layer * 10 + (*c - '0');
    return layer;
}

/* ---- the choice ---- */

typedef struct place { /* the order in which llama-quantize meets tensors: by layer, then by name */
    int64_t layer;
    const char *name;
    size_t index;
} place;

static int by_place(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return strcmp(x->name, y->name);
}

typedef struct counts { /* of tensors met so far, of those roles that are told apart by position */
    uint64_t values, down, gate, up;
} counts;

/* Circumstances of one tensor by its place among its kind; counts it. */
static unsigned of_place(const mixture_model *model, const place *p, unsigned role, uint64_t all_values,
                         counts *seen) {
    if (role == R_V) {
        uint64_t i = seen->values++;
        return of_position(i, all_values) | (i < 2 ? C_FIRST2 : 0u) | (i < 4 ? C_FIRST4 : 0u);
    }
    uint64_t *kind = role == R_DOWN ? &seen->down : role == R_GATE ? &seen->gate : role == R_UP ? &seen->up : NULL;
    if (!kind) return 0;
    uint64_t i = (*kind)++;
    unsigned by_kind = i < model->layers / 8 ? C_KIND_EIGHTH : 0;
    if (model->experts > 1 && p->layer >= 0) i = (uint64_t)p->layer; /* a layer may have several of a kind */
    return of_position(i, model->layers) | by_kind;
}

tola_status mixture_choose(const mixture *m, const mixture_model *model, const mixture_tensor *tensors, size_t count,
                           tola_dtype *types, size_t *fallbacks, tola_error *err) {
    if (fallbacks) *fallbacks = 0;
    if (count == 0) return TOLA_OK;
    place *order = mem_calloc(count, sizeof *order);
    if (!order) return err_nomem(err, "choosing types");
    uint64_t all_values = 0;
    for (size_t i = 0; i < count; i++) {
        order[i] = (place){ layer_of(tensors[i].name), tensors[i].name, i };
        all_values += role_of(tensors[i].name, model->tied) == R_V;
    }
    qsort(order, count, sizeof *order, by_place);

    counts seen = { 0 };
    unsigned common = of_model(model);
    bool blocks = tola_dtype_get_kind(m->base) == TOLA_KIND_BLOCK;
    for (size_t i = 0; i < count; i++) {
        const mixture_tensor *t = &tensors[order[i].index];
        tola_dtype *type = &types[order[i].index];
        *type = TOLA_DTYPE_NONE;
        if (mixture_keeps(t, model)) continue;
        *type = m->base;
        if (!blocks) continue;
        unsigned role = role_of(t->name, model->tied);
        uint64_t columns = t->shape[t->n_dims - 1];
        unsigned c = common | of_place(model, &order[i], role, all_values, &seen);
        if (columns % tola_dtype_block_elements(m->base) != 0) c |= C_MISFIT;
        if (t->n_dims > 2 && t->shape[t->n_dims - 3] > 1) c |= C_STACKED;
        if (is_pinned(model->architecture, t->name)) c |= C_PINNED;
        tola_dtype wanted = type_by_rules(m, role, c);
        *type = mixture_fallback(wanted, columns);
        if (fallbacks && *type != wanted) ++*fallbacks;
    }
    mem_free(order);
    return TOLA_OK;
}
