/* Words for how weights are kept, and how many bytes that makes of a shape. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "policy/memory_inside.h"

/* What llama.cpp's mixtures come to, bits a weight over all of Llama 3.1 8B:
 * https://github.com/ggml-org/llama.cpp/blob/master/tools/quantize/README.md. Models with larger tables (small ones)
 * are above that by a few tenths. */
static const struct {
    const char *name;
    double bits;
} mixtures[] = {
    { "iq1_s", 2.0042 },  { "iq1_m", 2.1460 },   { "iq2_xxs", 2.3824 }, { "iq2_xs", 2.5882 }, { "iq2_s", 2.7403 },
    { "iq2_m", 2.9294 },  { "iq3_xxs", 3.2548 }, { "iq3_xs", 3.4977 },  { "iq3_s", 3.6606 },  { "iq3_m", 3.7628 },
    { "iq4_xs", 4.4597 }, { "iq4_nl", 4.6818 },  { "q2_k_s", 2.9697 },  { "q2_k", 3.1593 },   { "q3_k_s", 3.6429 },
    { "q3_k_m", 3.9960 }, { "q3_k_l", 4.2979 },  { "q4_k_s", 4.6672 },  { "q4_k_m", 4.8944 }, { "q5_k_s", 5.5704 },
    { "q5_k_m", 5.7036 }, { "q3_k", 3.9960 },
};

/* Layouts of quantizers that leave tables and heads at 16 bits: bits of a matrix with its scales.
 * GPTQ and AWQ in groups of 128: 4 + (16 + 4) / 128; bitsandbytes: a scale of 32 bits for 64 (NF4), of 8 bits and one
 * of 32 for 256 of those with double quantization. */
static const struct {
    const char *name;
    double bits;
} layouts[] = {
    { "gptq", 4 + 20.0 / 128 }, { "awq", 4 + 20.0 / 128 }, { "nf4", 4 + 32.0 / 64 },
    { "fp4", 4 + 32.0 / 64 },   { "bnb4", 4 + 32.0 / 64 }, { "nf4_double", 4 + 8.0 / 64 + 32.0 / (64 * 256) },
};

const char *const memory_weights_words[] = { "bf16",    "q8_0", "q6_k",   "q5_k_m",  "q4_k_m", "iq4_xs", "q3_k_m",
                                             "iq3_xxs", "q2_k", "iq2_xs", "iq2_xxs", "iq1_s",  NULL };

static bool nominal(const char *word, double *bits) {
    static const char *const prefixes[] = { "int", "uint", "fp", "w" };
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        const size_t n = strlen(prefixes[i]);
        if (strncmp(word, prefixes[i], n) != 0 || word[n] < '1' || word[n] > '8' || word[n + 1] != '\0') continue;
        if (i == 2 && word[n] != '8' && word[n] != '6') return false; /* fp4 is a layout */
        *bits = word[n] - '0';
        return true;
    }
    return false;
}

static void offer(tola_nearest *near) {
    static const char *const others[] = { "stored", "fp32", "f32",  "fp16", "f16",  "bf16", "fp8",   "int8",
                                          "int6",   "int5", "int4", "int3", "int2", "int1", "nvfp4", "mxfp4" };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) tola_nearest_try(near, others[i]);
    for (size_t i = 0; i < sizeof mixtures / sizeof mixtures[0]; i++) tola_nearest_try(near, mixtures[i].name);
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) tola_nearest_try(near, layouts[i].name);
    for (int i = 1; i < TOLA_DTYPE_COUNT; i++) tola_nearest_try(near, tola_dtype_name((tola_dtype)i));
}

static bool of_dtype(memory_weights *w) {
    const tola_dtype dtype = tola_dtype_parse(w->name);
    const tola_dtype_kind kind = tola_dtype_get_kind(dtype);
    if (dtype == TOLA_DTYPE_NONE || kind == TOLA_KIND_OPAQUE || kind == TOLA_KIND_BOOL || kind == TOLA_KIND_COMPLEX ||
        dtype == TOLA_DTYPE_Q8_K || dtype == TOLA_DTYPE_Q8_1)
        return false;
    w->dtype = dtype;
    w->bits = tola_dtype_bits(dtype);
    if (kind == TOLA_KIND_BLOCK) w->rest_bits = 32;
    return true;
}

tola_status memory_weights_parse(const char *word, memory_weights *out, tola_error *err) {
    memory_weights w = { .stored = word == NULL || strcmp(word, "stored") == 0 };
    snprintf(w.name, sizeof w.name, "%s", w.stored ? "stored" : word);
    for (char *p = w.name; *p != '\0'; p++) *p = *p == '-' ? '_' : (char)tolower((unsigned char)*p);
    if (!w.stored && strlen(word) < sizeof w.name) {
        for (size_t i = 0; i < sizeof mixtures / sizeof mixtures[0] && w.bits == 0; i++)
            if (strcmp(w.name, mixtures[i].name) == 0) w.bits = mixtures[i].bits, w.mixture = true;
        for (size_t i = 0; i < sizeof layouts / sizeof layouts[0] && w.bits == 0; i++)
            if (strcmp(w.name, layouts[i].name) == 0) w.bits = layouts[i].bits, w.rest_bits = 16, w.keep_tables = true;
        if (w.bits == 0 && !nominal(w.name, &w.bits)) of_dtype(&w);
    }
    if (!w.stored && w.bits == 0) {
        tola_nearest near;
        tola_nearest_init(&near, w.name);
        offer(&near);
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "'%.40s' is no type of weights%s%s%s", word,
                       near.best ? "; did you mean '" : "", near.best ? near.best : "", near.best ? "'?" : "");
    }
    *out = w;
    return TOLA_OK;
}

double memory_bits(const model_shape *s, const memory_weights *w) {
    if (!w->stored && w->bits > 0) return w->bits;
    if (s->stored_bytes > 0 && s->parameters > 0) return (double)s->stored_bytes * 8 / (double)s->parameters;
    return s->stored_bits > 0 ? s->stored_bits : 16;
}

/* Parameters that no type of blocks packs: norms and biases. */
static uint64_t vectors(const model_shape *s) {
    uint64_t n = 0;
    for (size_t i = 0; i < s->layer_rows; i++) n += s->layers[i].count * s->layers[i].norms;
    return n < s->parameters ? n : s->parameters;
}

tola_status memory_weights_bytes(const model_shape *s, const memory_weights *w, uint64_t *bytes, tola_error *err) {
    const bool stored = w->stored || w->bits == 0;
    double all;
    if (stored && s->stored_bytes > 0) {
        *bytes = s->stored_bytes;
        return TOLA_OK;
    }
    if (!stored && w->mixture)
        TRY(memory_mixture_bytes(s, w->name, w->bits, &all, err));
    else if (stored || w->rest_bits == 0)
        all = (double)s->parameters * memory_bits(s, w) / 8;
    else {
        double rest = (double)vectors(s);
        if (w->keep_tables) rest += (double)s->embedding + (double)s->output;
        if (rest > (double)s->parameters) rest = (double)s->parameters;
        all = (((double)s->parameters - rest) * w->bits + rest * w->rest_bits) / 8;
    }
    return memory_take(all, bytes, "weights", err);
}

tola_status memory_take(double value, uint64_t *out, const char *what, tola_error *err) {
    if (!(value >= 0) || value > 9e18)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%s of %g bytes are more than can be counted", what, value);
    *out = (uint64_t)(value + 0.5);
    return TOLA_OK;
}
