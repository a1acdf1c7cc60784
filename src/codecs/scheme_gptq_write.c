/* Writing GPTQ (version 1, inputs in order) and AWQ ("gemm"). Both are transposed: rows of the matrix are columns of the
 * file, so that a call of encode writes a strip of every line. Layouts: scheme_gptq.c. */
#include "codecs/scheme_gptq.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codecs/codec.h"
#include "codecs/scheme_linear.h"
#include "codecs/scheme_parts.h"

/* Inputs and outputs come in words of whole codes: 32 of them are whole words for every number of bits. */
#define UNIT 32

static tola_status check_code(const scheme_params *p, const char *name, tola_error *err) {
    if (p->code != SCHEME_CODE_ANY && p->code != SCHEME_INT)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s keeps integers alone", name);
    if (p->grain != SCHEME_PER_TENSOR && p->grain != SCHEME_PER_BLOCK) return TOLA_OK;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s has a scale for each channel or group", name);
}

static tola_status check_shape(scheme_layout *l, tola_error *err) {
    uint64_t group = l->params.group ? l->params.group : l->cols;
    if (l->rows == 0 || l->cols == 0 || l->rows % UNIT || l->cols % UNIT || l->cols % group || group > UINT32_MAX)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "%" PRIu64 " x %" PRIu64 " is not made of words of %d codes and groups of %" PRIu64 " inputs",
                       l->rows, l->cols, UNIT, group);
    TRY(matrix_check(l->rows, l->cols, err));
    l->params.group = (uint32_t)group;
    l->matrices = 1;
    l->row_unit = UNIT;
    if (l->params.scale == TOLA_DTYPE_NONE) l->params.scale = TOLA_DTYPE_F16;
    return part_plan(l, GPTQ_SCALES, l->params.scale, 2, l->cols / group, l->rows, err);
}

tola_status gptq_plan(scheme_layout *l, tola_error *err) {
    unsigned bits = l->params.bits;
    TRY(check_code(&l->params, "GPTQ", err));
    if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "GPTQ has 2, 3, 4 or 8 bits, not %u", bits);
    TRY(check_shape(l, err));
    l->params.version = 1;
    TRY(part_plan(l, GPTQ_QWEIGHT, TOLA_DTYPE_I32, 2, l->cols / 32 * bits, l->rows, err));
    TRY(part_plan(l, GPTQ_QZEROS, TOLA_DTYPE_I32, 2, l->cols / l->params.group, l->rows / 32 * bits, err));
    return part_plan(l, GPTQ_G_IDX, TOLA_DTYPE_I32, 1, l->cols, 0, err);
}

tola_status awq_plan(scheme_layout *l, tola_error *err) {
    TRY(check_code(&l->params, "AWQ", err));
    if (l->params.bits != 4)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "AWQ has 4 bits, not %u", l->params.bits);
    TRY(check_shape(l, err));
    TRY(part_plan(l, GPTQ_QWEIGHT, TOLA_DTYPE_I32, 2, l->cols, l->rows / 8, err));
    return part_plan(l, GPTQ_QZEROS, TOLA_DTYPE_I32, 2, l->cols / l->params.group, l->rows / 8, err);
}

size_t gptq_state_bytes(const scheme_layout *l) {
    (void)l;
    return 0;
}

/* ---- codes of a strip ---- */

/* Codes [cols][count], zero points [groups][count] and scales [groups][count] of `count` rows of the matrix. */
typedef struct strip {
    uint64_t count;
    uint8_t *codes, *zeros;
    float *scales;
} strip;

/* A zero point of version 1 is stored less one, which 0 does not survive everywhere: such a group, all of one sign,
 * starts its codes at 1. */
static linear_grid avoid_zero(const float *x, size_t n, unsigned bits, linear_grid grid, tola_dtype scale) {
    int low = -(1 << (bits - 1));
    if (grid.zero != low) return grid;
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        float size = x[i] < 0 ? -x[i] : x[i];
        most = size > most ? size : most;
    }
    float fitted = scale_round(most / (float)((1 << bits) - 2), scale);
    return (linear_grid){ grid.scale < 0 ? -fitted : fitted, (int8_t)(low + 1) };
}

static void make_row(const scheme_layout *l, const float *row, const float *importance, bool version1, uint64_t at,
                     uint8_t *codes, strip *s) {
    unsigned bits = l->params.bits;
    size_t group = l->params.group;
    for (uint64_t g = 0; g < l->cols / group; g++) {
        const float *x = row + g * group;
        const float *weights = importance ? importance + g * group : NULL;
        linear_grid grid = linear_choose(x, weights, group, bits, l->params.symmetric, l->params.scale);
        if (version1) grid = avoid_zero(x, group, bits, grid, l->params.scale);
        linear_codes(x, group, bits, grid, codes);
        for (size_t i = 0; i < group; i++) s->codes[(g * group + i) * s->count + at] = codes[i];
        s->zeros[g * s->count + at] = (uint8_t)(grid.zero + (1 << (bits - 1)));
        s->scales[g * s->count + at] = grid.scale;
    }
}

static void strip_free(strip *s) {
    mem_free(s->codes);
    mem_free(s->zeros);
    mem_free(s->scales);
}

static tola_status make_strip(const scheme_layout *l, const float *rows, uint64_t count, const float *importance,
                              bool version1, strip *s, tola_error *err) {
    uint64_t groups = l->cols / l->params.group;
    *s = (strip){ .count = count,
                  .codes = mem_alloc((size_t)(l->cols * count)),
                  .zeros = mem_alloc((size_t)(groups * count)),
                  .scales = mem_alloc((size_t)(groups * count) * sizeof(float)) };
    uint8_t *codes = mem_alloc(l->params.group);
    if (!s->codes || !s->zeros || !s->scales || !codes) {
        mem_free(codes);
        strip_free(s);
        return err_nomem(err, "encoding a matrix");
    }
    for (uint64_t r = 0; r < count; r++) make_row(l, rows + r * l->cols, importance, version1, r, codes, s);
    mem_free(codes);
    return TOLA_OK;
}

/* ---- lines of a strip ---- */

typedef struct out_line {
    scheme_sink sink;
    void *user;
    uint8_t *bytes; /* room for a line of the strip */
} out_line;

static tola_status put_line(const scheme_layout *l, const out_line *o, unsigned part, uint64_t line,
                            uint64_t first_word, size_t words, tola_error *err) {
    uint64_t at = (line * l->parts[part].shape[1] + first_word) * 4;
    return o->sink(o->user, part, at, o->bytes, words * 4, err);
}

static void store_word(uint8_t *at, uint32_t word) { memcpy(at, &word, sizeof word); }

/* Codes that lie `step` apart, as a run of words. */
static void pack_run(const uint8_t *codes, size_t step, size_t n, unsigned bits, uint8_t *out) {
    uint64_t window = 0;
    unsigned held = 0;
    for (size_t i = 0; i < n; i++) {
        window |= (uint64_t)codes[i * step] << held;
        held += bits;
        if (held < 32) continue;
        store_word(out, (uint32_t)window);
        out += 4;
        window >>= 32;
        held -= 32;
    }
}

/* GPTQ: codes of 32 inputs make `bits` words down each column. */
static tola_status put_gptq_codes(const scheme_layout *l, const strip *s, uint64_t first, const out_line *o,
                                  tola_error *err) {
    unsigned bits = l->params.bits;
    uint8_t words[8 * 4];
    for (uint64_t c = 0; c < l->cols; c += 32) {
        for (uint64_t r = 0; r < s->count; r++) {
            pack_run(s->codes + c * s->count + r, (size_t)s->count, 32, bits, words);
            for (unsigned b = 0; b < bits; b++) memcpy(o->bytes + (b * s->count + r) * 4, words + 4 * b, 4);
        }
        for (unsigned b = 0; b < bits; b++) {
            out_line line = *o;
            line.bytes = o->bytes + b * s->count * 4;
            TRY(put_line(l, &line, GPTQ_QWEIGHT, c / 32 * bits + b, first, (size_t)s->count, err));
        }
    }
    return TOLA_OK;
}

static void pack_awq(const uint8_t *codes, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n; i += 8) {
        uint32_t word = 0;
        for (unsigned k = 0; k < 8; k++) word |= (uint32_t)codes[i + awq_order[k]] << (4 * k);
        store_word(out + i / 2, word);
    }
}

static tola_status put_scales(const scheme_layout *l, const strip *s, uint64_t group, uint64_t first, const out_line *o,
                              tola_error *err) {
    size_t unit = tola_dtype_block_bytes(l->params.scale);
    scale_store(s->scales + group * s->count, (size_t)s->count, l->params.scale, o->bytes);
    return o->sink(o->user, GPTQ_SCALES, (group * l->rows + first) * unit, o->bytes, (size_t)s->count * unit, err);
}

static tola_status put_gptq(const scheme_layout *l, strip *s, uint64_t first, const out_line *o, tola_error *err) {
    unsigned bits = l->params.bits, mask = (1u << bits) - 1;
    TRY(put_gptq_codes(l, s, first, o, err));
    for (uint64_t g = 0; g < l->cols / l->params.group; g++) {
        uint8_t *zeros = s->zeros + g * s->count;
        for (uint64_t r = 0; r < s->count; r++) zeros[r] = (uint8_t)((zeros[r] - 1u) & mask);
        pack_run(zeros, 1, (size_t)s->count, bits, o->bytes);
        TRY(put_line(l, o, GPTQ_QZEROS, g, first / 32 * bits, (size_t)s->count / 32 * bits, err));
        TRY(put_scales(l, s, g, first, o, err));
    }
    return TOLA_OK;
}

static tola_status put_awq(const scheme_layout *l, const strip *s, uint64_t first, const out_line *o, tola_error *err) {
    size_t words = (size_t)s->count / 8;
    for (uint64_t c = 0; c < l->cols; c++) {
        pack_awq(s->codes + c * s->count, (size_t)s->count, o->bytes);
        TRY(put_line(l, o, GPTQ_QWEIGHT, c, first / 8, words, err));
    }
    for (uint64_t g = 0; g < l->cols / l->params.group; g++) {
        pack_awq(s->zeros + g * s->count, (size_t)s->count, o->bytes);
        TRY(put_line(l, o, GPTQ_QZEROS, g, first / 8, words, err));
        TRY(put_scales(l, s, g, first, o, err));
    }
    return TOLA_OK;
}

static tola_status encode(const scheme_layout *l, bool awq, const float *rows, uint64_t first, uint64_t count,
                          const float *importance, scheme_sink sink, void *user, tola_error *err) {
    strip s;
    TRY(make_strip(l, rows, count, importance, !awq, &s, err));
    out_line o = { sink, user, mem_alloc((size_t)count * 4 * 8) };
    tola_status status = o.bytes ? TOLA_OK : err_nomem(err, "encoding a matrix");
    if (status == TOLA_OK) status = awq ? put_awq(l, &s, first, &o, err) : put_gptq(l, &s, first, &o, err);
    mem_free(o.bytes);
    strip_free(&s);
    return status;
}

tola_status gptq_encode(const scheme_layout *l, void *state, const float *rows, uint64_t first, uint64_t count,
                        const float *importance, scheme_sink sink, void *user, tola_error *err) {
    (void)state;
    return encode(l, false, rows, first, count, importance, sink, user, err);
}

tola_status awq_encode(const scheme_layout *l, void *state, const float *rows, uint64_t first, uint64_t count,
                       const float *importance, scheme_sink sink, void *user, tola_error *err) {
    (void)state;
    return encode(l, true, rows, first, count, importance, sink, user, err);
}

/* g_idx, in order. */
tola_status gptq_finish(const scheme_layout *l, void *state, scheme_sink sink, void *user, tola_error *err) {
    (void)state;
    uint8_t words[256 * 4];
    for (uint64_t at = 0; at < l->cols; at += 256) {
        size_t n = l->cols - at < 256 ? (size_t)(l->cols - at) : 256;
        for (size_t i = 0; i < n; i++) store_word(words + 4 * i, (uint32_t)((at + i) / l->params.group));
        TRY(sink(user, GPTQ_G_IDX, at * 4, words, n * 4, err));
    }
    return TOLA_OK;
}

/* ---- configurations ---- */

static void put_common(const scheme_params *p, const char *method, tola_json *out) {
    tola_json_begin_object(out);
    tola_json_key(out, "quant_method");
    tola_json_string(out, method);
    tola_json_key(out, "bits");
    tola_json_u64(out, p->bits);
    tola_json_key(out, "group_size");
    if (p->grain == SCHEME_PER_CHANNEL) tola_json_i64(out, -1);
    else tola_json_u64(out, p->group);
}

/* A module's name as a pattern that matches it alone: GPTQModel's "dynamic" takes "-:" and a regular expression. */
static void put_excluded(const char *module, tola_json *out) {
    char pattern[1024] = "-:^";
    size_t n = strlen(pattern);
    for (const char *c = module; *c && n + 4 < sizeof pattern; c++) {
        if (*c == '.') pattern[n++] = '\\';
        pattern[n++] = *c;
    }
    memcpy(pattern + n, "$", 2);
    tola_json_key(out, pattern);
    tola_json_begin_object(out);
    tola_json_end_object(out);
}

void gptq_write_config(const scheme_params *p, const char *const *ignore, size_t ignored, tola_json *out) {
    put_common(p, "gptq", out);
    tola_json_key(out, "sym");
    tola_json_bool(out, p->symmetric);
    tola_json_key(out, "desc_act");
    tola_json_bool(out, false);
    tola_json_key(out, "checkpoint_format");
    tola_json_string(out, "gptq");
    if (ignored) {
        tola_json_key(out, "dynamic");
        tola_json_begin_object(out);
        for (size_t i = 0; i < ignored; i++) put_excluded(ignore[i], out);
        tola_json_end_object(out);
    }
    tola_json_end_object(out);
}

void awq_write_config(const scheme_params *p, const char *const *ignore, size_t ignored, tola_json *out) {
    put_common(p, "awq", out);
    tola_json_key(out, "version");
    tola_json_string(out, "gemm");
    tola_json_key(out, "zero_point");
    tola_json_bool(out, !p->symmetric);
    tola_json_key(out, "modules_to_not_convert");
    if (ignored) {
        tola_json_begin_array(out);
        for (size_t i = 0; i < ignored; i++) tola_json_string(out, ignore[i]);
        tola_json_end_array(out);
    } else {
        tola_json_null(out);
    }
    tola_json_end_object(out);
}
