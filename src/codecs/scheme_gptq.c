/* GPTQ and AWQ: matrices kept transposed, [in_features, out_features], with a scale and a zero point for each group of
 * inputs and each output.
 *
 * GPTQ (https://github.com/AutoGPTQ/AutoGPTQ, nn_modules/qlinear; https://github.com/ModelCloud/GPTQModel):
 *   qweight i32 [in * bits / 32, out]   codes of one output run down a column, lowest bits first, across words
 *   qzeros  i32 [groups, out * bits / 32]   zero points, packed the same way along the outputs; layout version 1 stores
 *                                           zero - 1, version 2 ("gptq_v2") the zero itself
 *   scales  f16 [groups, out];  g_idx i32 [in]: the group of each input, where they are not in order
 * AWQ, "gemm" (https://github.com/mit-han-lab/llm-awq, https://github.com/casper-hansen/AutoAWQ): 4 bits,
 *   qweight i32 [in, out / 8], qzeros i32 [groups, out / 8]   nibble i of a word is output awq_order[i] of its eight
 *   scales  f16 [groups, out]
 *
 * w[out][in] = (code - zero) * scale. */
#include "codecs/scheme_gptq.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "codecs/codec.h"
#include "codecs/scheme_parts.h"

#define TILE 64 /* outputs decoded together: their rows of the result stay in the first cache */

const uint8_t awq_order[8] = { 0, 2, 4, 6, 1, 3, 5, 7 };
/* Which nibble of a word holds output j of its eight: the inverse. */
static const uint8_t awq_nibble[8] = { 0, 4, 1, 5, 2, 6, 3, 7 };

static uint32_t load_word(const void *data, uint64_t index) {
    uint32_t word;
    memcpy(&word, (const uint8_t *)data + index * sizeof word, sizeof word);
    return word;
}

/* ---- recognizing ---- */

static bool same_word(const char *a, const char *b) { return a && strcasecmp(a, b) == 0; }

/* group_size is -1 where a column of the matrix shares one scale. */
static tola_status read_numbers(const tola_value *config, scheme_params *params, tola_error *err) {
    uint64_t bits = tola_value_u64(tola_value_get(config, "bits"), 0);
    if (bits == 0) bits = tola_value_u64(tola_value_get(config, "w_bit"), 4);
    if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%" PRIu64 "-bit codes are not understood", bits);
    uint64_t group = tola_value_u64(tola_value_get(config, "group_size"), 0);
    if (group == 0) group = tola_value_u64(tola_value_get(config, "q_group_size"), 0);
    if (group > UINT32_MAX) group = 0;
    params->code = SCHEME_INT;
    params->bits = (uint8_t)bits;
    params->group = (uint32_t)group;
    params->grain = group ? SCHEME_PER_GROUP : SCHEME_PER_CHANNEL;
    params->symmetric = tola_value_bool(tola_value_get(config, "sym"), false);
    return TOLA_OK;
}

static tola_status gptq_recognize(const tola_value *config, scheme_params *params, tola_error *err) {
    params->version = 1;
    if (!config) return TOLA_OK;
    const char *method = tola_value_str(tola_value_get(config, "quant_method"), NULL);
    bool old = !method && tola_value_get(config, "bits") && tola_value_get(config, "desc_act");
    if (!old && !same_word(method, "gptq")) return TOLA_E_NOT_FOUND;
    const char *layout = tola_value_str(tola_value_get(config, "checkpoint_format"), "gptq");
    if (same_word(layout, "gptq_v2")) params->version = 2;
    else if (!same_word(layout, "gptq"))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "GPTQ weights in the layout '%.40s' are not understood",
                       layout);
    return read_numbers(config, params, err);
}

static tola_status awq_recognize(const tola_value *config, scheme_params *params, tola_error *err) {
    if (!config) return TOLA_OK;
    if (!same_word(tola_value_str(tola_value_get(config, "quant_method"), NULL), "awq")) return TOLA_E_NOT_FOUND;
    const char *layout = tola_value_str(tola_value_get(config, "version"), "gemm");
    if (!same_word(layout, "gemm"))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "AWQ weights in the layout '%.40s' are not understood",
                       layout);
    TRY(read_numbers(config, params, err));
    if (params->bits == 4) return TOLA_OK;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "AWQ with %u bits is not understood", params->bits);
}

/* ---- shapes ---- */

static bool is_matrix(const scheme_part *p, tola_dtype dtype) { return p->dtype == dtype && p->n_dims == 2; }

static bool is_scale(const scheme_part *p) {
    return p->n_dims == 2 && (p->dtype == TOLA_DTYPE_F16 || p->dtype == TOLA_DTYPE_BF16 || p->dtype == TOLA_DTYPE_F32);
}

static tola_status contradiction(tola_error *err, const char *what, const scheme_part *a, const scheme_part *b) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                   "%s [%" PRIu64 ", %" PRIu64 "] does not go with scales [%" PRIu64 ", %" PRIu64 "]", what, a->shape[0],
                   a->shape[1], b->shape[0], b->shape[1]);
}

/* Groups must cover the inputs: by g_idx, in order by group_size, or evenly where nothing says more. */
static tola_status check_groups(scheme_layout *l, tola_error *err) {
    const scheme_part *scales = &l->parts[GPTQ_SCALES], *order = &l->parts[GPTQ_G_IDX];
    uint64_t groups = scales->shape[0];
    if (order->dtype != TOLA_DTYPE_NONE &&
        (order->dtype != TOLA_DTYPE_I32 || order->n_dims != 1 || order->shape[0] != l->cols))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "g_idx is not one i32 for each of the %" PRIu64 " inputs", l->cols);
    if (l->cols == 0 || groups == 0) return TOLA_OK;
    uint64_t group = l->params.group;
    if (group == 0 || groups == 1) group = l->cols / groups;
    if (group == 0 || group > UINT32_MAX || (l->cols + group - 1) / group != groups)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "%" PRIu64 " groups of %" PRIu64 " do not make %" PRIu64 " inputs", groups, group, l->cols);
    l->params.group = (uint32_t)group;
    return TOLA_OK;
}

static tola_status finish_open(scheme_layout *l, tola_error *err) {
    const scheme_part *scales = &l->parts[GPTQ_SCALES];
    l->params.scale = scales->dtype;
    l->params.logical = scales->dtype;
    l->matrices = 1;
    l->row_unit = 1;
    TRY(check_groups(l, err));
    return matrix_check(l->rows, l->cols, err);
}

static bool has_parts(const scheme_layout *l) {
    return is_matrix(&l->parts[GPTQ_QWEIGHT], TOLA_DTYPE_I32) && is_matrix(&l->parts[GPTQ_QZEROS], TOLA_DTYPE_I32) &&
           is_scale(&l->parts[GPTQ_SCALES]);
}

static tola_status missing_part(const scheme_layout *l, tola_error *err) {
    if (l->parts[GPTQ_QWEIGHT].dtype == TOLA_DTYPE_NONE) return TOLA_E_NOT_FOUND; /* scales of something else */
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                   "qweight needs qzeros (both i32) and scales (floating point) of two dimensions beside it");
}

static tola_status gptq_open(scheme_layout *l, tola_error *err) {
    if (!has_parts(l)) return missing_part(l, err);
    const scheme_part *w = &l->parts[GPTQ_QWEIGHT], *z = &l->parts[GPTQ_QZEROS], *s = &l->parts[GPTQ_SCALES];
    if (l->params.bits == 0 && w->shape[1] != s->shape[1]) return TOLA_E_NOT_FOUND; /* AWQ */
    uint64_t out = s->shape[1], bits = 0, stored = 0, coded = 0;
    /* the configuration may say otherwise for some modules; the zero points' shape is never wrong */
    if (out && mul_u64(z->shape[1], 32, &stored) && stored % out == 0) bits = stored / out;
    if (bits != 2 && bits != 3 && bits != 4 && bits != 8) return contradiction(err, "qzeros", z, s);
    if (w->shape[1] != out || z->shape[0] != s->shape[0]) return contradiction(err, "qweight", w, s);
    if (!mul_u64(w->shape[0], 32, &coded) || coded % bits != 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "qweight of %" PRIu64 " rows does not hold whole %" PRIu64
                       "-bit codes", w->shape[0], bits);
    l->params.bits = (uint8_t)bits;
    l->rows = out;
    l->cols = coded / bits;
    return finish_open(l, err);
}

static tola_status awq_open(scheme_layout *l, tola_error *err) {
    if (!has_parts(l)) return missing_part(l, err);
    const scheme_part *w = &l->parts[GPTQ_QWEIGHT], *z = &l->parts[GPTQ_QZEROS], *s = &l->parts[GPTQ_SCALES];
    uint64_t coded = 0;
    bool fits = mul_u64(w->shape[1], 8, &coded) && coded == s->shape[1];
    if (!fits && l->params.bits == 0) return TOLA_E_NOT_FOUND;
    if (!fits) return contradiction(err, "qweight", w, s);
    if (z->shape[0] != s->shape[0] || z->shape[1] != w->shape[1]) return contradiction(err, "qzeros", z, s);
    l->params.bits = 4;
    l->rows = s->shape[1];
    l->cols = w->shape[0];
    return finish_open(l, err);
}

/* ---- decoding ---- */

/* The code at position `at` of a run of codes whose words lie `stride` words apart. */
static unsigned code_at(const void *words, uint64_t first, uint64_t stride, uint64_t at, unsigned bits) {
    uint64_t bit = at * bits, word = bit / 32;
    unsigned shift = (unsigned)(bit % 32);
    uint32_t code = load_word(words, first + word * stride) >> shift;
    if (shift + bits > 32) code |= load_word(words, first + (word + 1) * stride) << (32 - shift);
    return code & ((1u << bits) - 1);
}

static unsigned gptq_zero(const scheme_layout *l, const void *zeros, uint64_t group, uint64_t output) {
    unsigned bits = l->params.bits;
    unsigned zero = code_at(zeros, group * l->parts[GPTQ_QZEROS].shape[1], 1, output, bits);
    return l->params.version == 2 ? zero : (zero + 1) & ((1u << bits) - 1);
}

static unsigned awq_code(const void *words, uint64_t line, uint64_t words_a_line, uint64_t output) {
    return load_word(words, line * words_a_line + output / 8) >> (4 * awq_nibble[output % 8]) & 0xf;
}

/* Scales and zero points of `count` outputs in one group. */
typedef struct group_tile {
    uint64_t group;
    float scale[TILE], zero[TILE];
} group_tile;

static tola_status load_group(const scheme_layout *l, const void *const *data, bool awq, uint64_t group,
                              uint64_t first, unsigned count, group_tile *t) {
    const scheme_part *scales = &l->parts[GPTQ_SCALES];
    uint64_t at = (group * l->rows + first) * tola_dtype_block_bytes(scales->dtype);
    TRY(codec_convert(scales->dtype, TOLA_DTYPE_F32, (const uint8_t *)data[GPTQ_SCALES] + at, t->scale, count,
                      TOLA_OVERFLOW_IEEE, NULL));
    for (unsigned i = 0; i < count; i++)
        t->zero[i] = (float)(awq ? awq_code(data[GPTQ_QZEROS], group, l->rows / 8, first + i)
                                 : gptq_zero(l, data[GPTQ_QZEROS], group, first + i));
    t->group = group;
    return TOLA_OK;
}

static tola_status group_of(const scheme_layout *l, const void *order, uint64_t input, uint64_t *group,
                            tola_error *err) {
    *group = input / l->params.group;
    if (!order) return TOLA_OK;
    *group = load_word(order, input);
    if (*group < l->parts[GPTQ_SCALES].shape[0]) return TOLA_OK;
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                   "g_idx[%" PRIu64 "] is %" PRId32 ", there are %" PRIu64 " groups", input, (int32_t)*group,
                   l->parts[GPTQ_SCALES].shape[0]);
}

static tola_status decode_tile(const scheme_layout *l, const void *const *data, bool awq, uint64_t first,
                               unsigned count, float *dst, tola_error *err) {
    group_tile t = { .group = UINT64_MAX };
    for (uint64_t c = 0; c < l->cols; c++) {
        uint64_t group;
        TRY(group_of(l, data[GPTQ_G_IDX], c, &group, err));
        if (group != t.group) TRY(load_group(l, data, awq, group, first, count, &t));
        if (awq) {
            for (unsigned i = 0; i < count; i++)
                dst[i * l->cols + c] =
                    ((float)awq_code(data[GPTQ_QWEIGHT], c, l->rows / 8, first + i) - t.zero[i]) * t.scale[i];
            continue;
        }
        unsigned bits = l->params.bits, shift = (unsigned)(c * bits % 32), mask = (1u << bits) - 1;
        uint64_t line = c * bits / 32 * l->rows + first;
        if (shift + bits <= 32)
            for (unsigned i = 0; i < count; i++)
                dst[i * l->cols + c] =
                    ((float)(load_word(data[GPTQ_QWEIGHT], line + i) >> shift & mask) - t.zero[i]) * t.scale[i];
        else
            for (unsigned i = 0; i < count; i++)
                dst[i * l->cols + c] =
                    ((float)code_at(data[GPTQ_QWEIGHT], first + i, l->rows, c, bits) - t.zero[i]) * t.scale[i];
    }
    return TOLA_OK;
}

static tola_status decode(const scheme_layout *l, const void *const *data, bool awq, uint64_t first, uint64_t count,
                          float *dst, tola_error *err) {
    for (uint64_t at = 0; at < count; at += TILE) {
        unsigned n = count - at < TILE ? (unsigned)(count - at) : TILE;
        TRY(decode_tile(l, data, awq, first + at, n, dst + at * l->cols, err));
    }
    return TOLA_OK;
}

static tola_status gptq_decode(const scheme_layout *l, const void *const data[SCHEME_MAX_PARTS], uint64_t first,
                               uint64_t count, float *dst, tola_error *err) {
    return decode(l, data, false, first, count, dst, err);
}

static tola_status awq_decode(const scheme_layout *l, const void *const data[SCHEME_MAX_PARTS], uint64_t first,
                              uint64_t count, float *dst, tola_error *err) {
    return decode(l, data, true, first, count, dst, err);
}

const scheme scheme_gptq = {
    .name = "gptq",
    .suffixes = { "qweight", "qzeros", "scales", "g_idx" },
    .recognize = gptq_recognize,
    .open = gptq_open,
    .decode = gptq_decode,
    .plan = gptq_plan,
    .state_bytes = gptq_state_bytes,
    .encode = gptq_encode,
    .finish = gptq_finish,
    .write_config = gptq_write_config,
};

const scheme scheme_awq = {
    .name = "awq",
    .suffixes = { "qweight", "qzeros", "scales" },
    .recognize = awq_recognize,
    .open = awq_open,
    .decode = awq_decode,
    .plan = awq_plan,
    .state_bytes = gptq_state_bytes,
    .encode = awq_encode,
    .write_config = awq_write_config,
};
