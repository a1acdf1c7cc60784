/* bitsandbytes: 4-bit codebooks (NF4, FP4) with a scale for each block of the flattened matrix, and 8-bit rows.
 *
 * https://github.com/bitsandbytes-foundation/bitsandbytes, functional.py (QuantState), backends/default/ops.py:
 *   weight        u8 [ceil(n / 2), 1] (or those bytes as another dtype): two codes to a byte, the first one high
 *   weight.absmax f32 [blocks], the largest magnitude of each block of `blocksize` elements, row after row
 *   weight.quant_map f32 [16], the codebook
 *   weight.quant_state.bitsandbytes__nf4 (or fp4)   u8: JSON with quant_type, blocksize, dtype, shape
 * Double quantization: absmax is u8, codes of nested_quant_map f32 [256] times nested_absmax f32 (of each 256 blocks),
 * plus nested_offset, which the JSON holds.
 * LLM.int8 (arXiv 2208.07339): weight i8 [rows, cols], SCB f32 [rows], w = code * SCB / 127; weight_format u8, 0 =
 * rows. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "codecs/scheme_bnb_maps.h"
#include "codecs/scheme_parts.h"
#include "kernels/fit/fit.h"

enum { WEIGHT, ABSMAX, MAP, NESTED_ABSMAX, NESTED_MAP, STATE_NF4, STATE_FP4, SCB, FORMAT };

#define MAX_BLOCK 65536 /* the package takes 32 .. 4096 */
#define NESTED_BLOCK 256
/* FP4's codes by ascending value; of the two zeros the negative one serves small positive numbers, as in the package.
 */
static const uint8_t fp4_order[16] = { 11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3 };

/* ---- quantization_config ---- */

static tola_status bnb_recognize(const tola_value *config, scheme_params *params, tola_error *err) {
    (void)err;
    if (!config) return TOLA_OK;
    if (!config_is(config, "quant_method", "bitsandbytes") && !tola_value_get(config, "load_in_4bit"))
        return TOLA_E_NOT_FOUND;
    params->double_quant = tola_value_bool(tola_value_get(config, "bnb_4bit_use_double_quant"), false);
    return TOLA_OK; /* the rest stands beside each matrix */
}

static void write_string(tola_json *out, const char *key, const char *value) {
    tola_json_key(out, key);
    tola_json_string(out, value);
}

static void write_bool(tola_json *out, const char *key, bool value) {
    tola_json_key(out, key);
    tola_json_bool(out, value);
}

static const char *torch_name(tola_dtype dtype) {
    return dtype == TOLA_DTYPE_F32 ? "float32" : dtype == TOLA_DTYPE_F16 ? "float16" : "bfloat16";
}

static void bnb_write_config(const scheme_params *p, const char *const *ignore, size_t ignored, tola_json *out) {
    tola_json_begin_object(out);
    write_string(out, "quant_method", "bitsandbytes");
    write_bool(out, "load_in_4bit", true);
    write_bool(out, "load_in_8bit", false);
    write_string(out, "bnb_4bit_quant_type", p->code == SCHEME_FP4 ? "fp4" : "nf4");
    write_bool(out, "bnb_4bit_use_double_quant", p->double_quant);
    write_string(out, "bnb_4bit_compute_dtype", torch_name(p->logical));
    write_string(out, "bnb_4bit_quant_storage", "uint8");
    tola_json_key(out, "llm_int8_skip_modules");
    tola_json_begin_array(out);
    for (size_t i = 0; i < ignored; i++) tola_json_string(out, ignore[i]);
    tola_json_end_array(out);
    tola_json_end_object(out);
}

/* ---- the state beside a matrix ---- */

typedef struct quant_state {
    uint64_t block, nested_block, rows, cols;
    tola_dtype dtype;
    float offset;
} quant_state;

static tola_status bad_state(tola_error *err, const char *what) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "quant_state has no usable %s", what);
}

static tola_status read_fields(const tola_value *v, const char *type, quant_state *q, tola_error *err) {
    const tola_value *shape = tola_value_get(v, "shape");
    size_t n = shape && shape->kind == TOLA_VALUE_ARRAY ? shape->as.array.count : 0;
    if (!config_is(v, "quant_type", type)) return bad_state(err, "quant_type");
    q->block = tola_value_u64(tola_value_get(v, "blocksize"), 0);
    if (q->block < 2 || q->block > MAX_BLOCK || q->block % 2 != 0) return bad_state(err, "blocksize");
    if (n < 1 || n > 3) return bad_state(err, "shape");
    q->rows = 1;
    for (size_t i = 0; i < n; i++) {
        tola_value extent = tola_value_at(shape, i);
        uint64_t e = tola_value_u64(&extent, UINT64_MAX);
        if (e > INT64_MAX) return bad_state(err, "shape");
        if (i + 1 == n)
            q->cols = e;
        else if (!mul_u64(q->rows, e, &q->rows))
            return bad_state(err, "shape");
    }
    q->dtype = tola_dtype_parse(config_str(v, "dtype"));
    q->nested_block = tola_value_u64(tola_value_get(v, "nested_blocksize"), NESTED_BLOCK);
    if (q->nested_block < 1 || q->nested_block > MAX_BLOCK) return bad_state(err, "nested_blocksize");
    q->offset = (float)tola_value_f64(tola_value_get(v, "nested_offset"), 0);
    const char *nested = config_str(v, "nested_dtype");
    if (!nested[0] || strcmp(nested, "float32") == 0) return TOLA_OK;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "nested scales of %.20s are not understood", nested);
}

static tola_status read_state(const scheme_layout *l, const void *text, quant_state *q, tola_error *err) {
    bool fp4 = part_here(l, STATE_FP4);
    const scheme_part *p = &l->parts[fp4 ? STATE_FP4 : STATE_NF4];
    if (p->bytes > SCHEME_MAX_SMALL) return bad_state(err, "size");
    if (!text) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "quant_state was not read");
    arena a;
    tola_value root;
    arena_init(&a, 1 << 20);
    tola_status status = json_parse(text, (size_t)p->bytes, &a, &root, err);
    if (status == TOLA_OK) status = read_fields(&root, fp4 ? "fp4" : "nf4", q, err);
    arena_free(&a);
    return status;
}

/* ---- opening ---- */

static tola_status misfit(const scheme_layout *l, unsigned part, tola_error *err) {
    return part_contradicts(&scheme_bnb, l, part, err);
}

static bool floats_of(const scheme_layout *l, unsigned part, uint64_t count) {
    const scheme_part *p = &l->parts[part];
    return p->dtype == TOLA_DTYPE_F32 && part_elements(p) == count;
}

static tola_status open_int8(scheme_layout *l, tola_error *err) {
    const scheme_part *w = &l->parts[WEIGHT], *format = &l->parts[FORMAT];
    if (w->dtype != TOLA_DTYPE_I8 || w->n_dims != 2) return TOLA_E_NOT_FOUND;
    TRY(part_check(&scheme_bnb, l, WEIGHT, err));
    TRY(part_check(&scheme_bnb, l, SCB, err));
    l->rows = w->shape[0];
    l->cols = w->shape[1];
    if (!floats_of(l, SCB, l->rows)) return misfit(l, SCB, err);
    uint8_t order = 0;
    if (part_here(l, FORMAT) && format->bytes > 0 && l->small[FORMAT]) memcpy(&order, l->small[FORMAT], 1);
    if (order != 0)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "weight_format %u is not understood, only rows (0)",
                       order);
    l->params.code = SCHEME_INT;
    l->params.bits = 8;
    l->params.grain = SCHEME_PER_CHANNEL;
    l->params.symmetric = true;
    l->params.scale = TOLA_DTYPE_F32;
    l->row_unit = 1;
    return matrix_check(l->rows, l->cols, err);
}

static tola_status open_scales(scheme_layout *l, uint64_t blocks, uint64_t nested_block, tola_error *err) {
    TRY(part_check(&scheme_bnb, l, ABSMAX, err));
    if (part_elements(&l->parts[ABSMAX]) != blocks) return misfit(l, ABSMAX, err);
    l->params.double_quant = l->parts[ABSMAX].dtype == TOLA_DTYPE_U8;
    if (!l->params.double_quant) return l->parts[ABSMAX].dtype == TOLA_DTYPE_F32 ? TOLA_OK : misfit(l, ABSMAX, err);
    if (!part_here(l, NESTED_ABSMAX) || !part_here(l, NESTED_MAP))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "weight.absmax of u8 needs nested_absmax and nested_quant_map beside it");
    TRY(part_check(&scheme_bnb, l, NESTED_ABSMAX, err));
    TRY(part_check(&scheme_bnb, l, NESTED_MAP, err));
    if (!floats_of(l, NESTED_ABSMAX, ceil_div(blocks, nested_block))) return misfit(l, NESTED_ABSMAX, err);
    if (!floats_of(l, NESTED_MAP, 256)) return misfit(l, NESTED_MAP, err);
    return TOLA_OK;
}

/* Rows that make whole blocks. */
static uint64_t rows_of_blocks(uint64_t block, uint64_t cols) {
    uint64_t a = block, b = cols % block;
    while (b != 0) {
        uint64_t r = a % b;
        a = b;
        b = r;
    }
    return block / a;
}

static tola_status bnb_open(scheme_layout *l, tola_error *err) {
    bool nf4 = part_here(l, STATE_NF4), fp4 = part_here(l, STATE_FP4);
    if (!part_here(l, WEIGHT)) return TOLA_E_NOT_FOUND;
    l->matrices = 1;
    if (!nf4 && !fp4) {
        if (part_here(l, SCB)) return open_int8(l, err);
        if (!part_here(l, ABSMAX)) return TOLA_E_NOT_FOUND;
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "weight.absmax has no quant_state beside it");
    }
    if (nf4 && fp4) return bad_state(err, "quant_type: there is one of nf4 and one of fp4");
    quant_state q = { 0 };
    TRY(read_state(l, l->small[fp4 ? STATE_FP4 : STATE_NF4], &q, err));
    TRY(matrix_check(q.rows, q.cols, err));
    l->rows = q.rows;
    l->cols = q.cols;
    uint64_t n = q.rows * q.cols; /* checked */
    TRY(part_check(&scheme_bnb, l, WEIGHT, err));
    if (l->parts[WEIGHT].bytes != ceil_div(n, 2)) return misfit(l, WEIGHT, err);
    if (!part_here(l, ABSMAX))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "quant_state has no weight.absmax beside it");
    TRY(open_scales(l, ceil_div(n, q.block), q.nested_block, err));
    l->params.code = fp4 ? SCHEME_FP4 : SCHEME_NF4;
    l->params.bits = 4;
    l->params.group = (uint32_t)q.block;
    l->params.scale = TOLA_DTYPE_F32;
    bool wide = q.dtype == TOLA_DTYPE_F16 || q.dtype == TOLA_DTYPE_BF16 || q.dtype == TOLA_DTYPE_F32;
    l->params.logical = wide ? q.dtype : TOLA_DTYPE_NONE;
    l->row_unit = 1; /* of decoding: blocks are found wherever a row begins */
    return TOLA_OK;
}

/* ---- decoding ---- */

static void load_f32(const void *data, uint64_t index, float *out) {
    memcpy(out, (const uint8_t *)data + index * sizeof *out, sizeof *out);
}

typedef struct scales {
    const void *const *data;
    const quant_state *q;
    bool nested;
} scales;

static float scale_of(const scales *s, uint64_t block) {
    float scale, nested;
    if (!s->nested) {
        load_f32(s->data[ABSMAX], block, &scale);
        return scale;
    }
    load_f32(s->data[NESTED_MAP], ((const uint8_t *)s->data[ABSMAX])[block], &scale);
    load_f32(s->data[NESTED_ABSMAX], block / s->q->nested_block, &nested);
    scale *= nested; /* rounded, then added to */
    return scale + s->q->offset;
}

/* Elements [at, end) of one block. */
static void decode_block(const uint8_t *codes, const float *book, float scale, uint64_t at, uint64_t end, float *dst) {
    if (at < end && at % 2 != 0) *dst++ = book[codes[at++ / 2] & 15] * scale;
    float scaled[16];
    for (unsigned k = 0; k < 16; k++) scaled[k] = book[k] * scale;
    for (; at + 2 <= end; at += 2, dst += 2) {
        uint8_t byte = codes[at / 2];
        dst[0] = scaled[byte >> 4];
        dst[1] = scaled[byte & 15];
    }
    if (at < end) *dst = scaled[codes[at / 2] >> 4];
}

static void decode_int8(const scheme_layout *l, const void *const *data, uint64_t first, uint64_t count, float *dst) {
    const int8_t *codes = (const int8_t *)data[WEIGHT] + first * l->cols;
    for (uint64_t r = first; r < first + count; r++) {
        float scale;
        load_f32(data[SCB], r, &scale);
        for (uint64_t j = 0; j < l->cols; j++) { /* in the package's order: 1 / 127 comes last */
            float product = (float)*codes++ * scale;
            *dst++ = product * 7.874015718698502e-3f;
        }
    }
}

static tola_status bnb_decode(const scheme_layout *l, const void *const data[SCHEME_MAX_PARTS], uint64_t first,
                              uint64_t count, float *dst, tola_error *err) {
    if (count == 0 || l->cols == 0) return TOLA_OK;
    if (l->params.code == SCHEME_INT) {
        decode_int8(l, data, first, count, dst);
        return TOLA_OK;
    }
    bool fp4 = l->params.code == SCHEME_FP4;
    quant_state q = { 0 };
    TRY(read_state(l, data[fp4 ? STATE_FP4 : STATE_NF4], &q, err));
    if (q.block != l->params.group || q.rows != l->rows || q.cols != l->cols)
        return bad_state(err, "shape: it is another than before");
    uint64_t blocks = ceil_div(q.rows * q.cols, q.block);
    if (l->params.double_quant && part_elements(&l->parts[NESTED_ABSMAX]) != ceil_div(blocks, q.nested_block))
        return bad_state(err, "nested_blocksize: it is another than before");
    scales s = { data, &q, l->params.double_quant };
    uint64_t at = first * l->cols, end = at + count * l->cols;
    while (at < end) {
        uint64_t block = at / q.block, stop = (block + 1) * q.block < end ? (block + 1) * q.block : end;
        decode_block(data[WEIGHT], fp4 ? bnb_fp4 : bnb_nf4, scale_of(&s, block), at, stop, dst);
        dst += stop - at;
        at = stop;
    }
    return TOLA_OK;
}

/* ---- writing ---- */

#define LONGEST_NUMBER (-1.2345678901234567e-300) /* what the offset's text is given room for */

static void write_state(const scheme_layout *l, double offset, buf *text) {
    const scheme_params *p = &l->params;
    tola_json json;
    buf_init(text, SCHEME_MAX_SMALL);
    tola_json_init(&json, json_to_buf, text, 0);
    tola_json_begin_object(&json);
    write_string(&json, "quant_type", p->code == SCHEME_FP4 ? "fp4" : "nf4");
    tola_json_key(&json, "blocksize");
    tola_json_u64(&json, p->group);
    write_string(&json, "dtype", torch_name(p->logical));
    tola_json_key(&json, "shape");
    tola_json_begin_array(&json);
    tola_json_u64(&json, l->rows);
    tola_json_u64(&json, l->cols);
    tola_json_end_array(&json);
    if (p->double_quant) {
        tola_json_key(&json, "nested_blocksize");
        tola_json_u64(&json, NESTED_BLOCK);
        write_string(&json, "nested_dtype", "float32");
        tola_json_key(&json, "nested_offset");
        tola_json_f64(&json, offset);
    }
    tola_json_end_object(&json);
    if (!tola_json_finish(&json)) text->failed = true;
}

static uint64_t blocks_of(const scheme_layout *l) { return ceil_div(l->rows * l->cols, l->params.group); }

static tola_status bnb_plan(scheme_layout *l, tola_error *err) {
    scheme_params *p = &l->params;
    if (p->code == SCHEME_CODE_ANY) p->code = SCHEME_NF4;
    if (p->code != SCHEME_NF4 && p->code != SCHEME_FP4)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "only nf4 and fp4 are written for bitsandbytes");
    if (p->group == 0) p->group = 64;
    if (p->group < 32 || p->group > 4096 || (p->group & (p->group - 1)) != 0)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "bitsandbytes has no blocks of %u, but 32, 64, .. 4096",
                       p->group);
    p->bits = 4;
    p->grain = SCHEME_PER_GROUP;
    p->symmetric = true;
    p->scale = TOLA_DTYPE_F32;
    if (p->logical != TOLA_DTYPE_F16 && p->logical != TOLA_DTYPE_F32) p->logical = TOLA_DTYPE_BF16;
    TRY(matrix_check(l->rows, l->cols, err));
    memset(l->parts, 0, sizeof l->parts);
    l->matrices = 1;
    l->two_passes = false;
    l->row_unit = rows_of_blocks(p->group, l->cols);
    uint64_t blocks = blocks_of(l);
    buf state;
    write_state(l, LONGEST_NUMBER, &state);
    size_t length = state.length;
    bool failed = state.failed;
    buf_free(&state);
    if (failed) return err_nomem(err, "planning a matrix");
    TRY(part_plan(l, WEIGHT, TOLA_DTYPE_U8, 2, ceil_div(l->rows * l->cols, 2), 1, err));
    TRY(part_plan(l, ABSMAX, p->double_quant ? TOLA_DTYPE_U8 : TOLA_DTYPE_F32, 1, blocks, 0, err));
    TRY(part_plan(l, MAP, TOLA_DTYPE_F32, 1, 16, 0, err));
    if (p->double_quant) {
        TRY(part_plan(l, NESTED_ABSMAX, TOLA_DTYPE_F32, 1, ceil_div(blocks, NESTED_BLOCK), 0, err));
        TRY(part_plan(l, NESTED_MAP, TOLA_DTYPE_F32, 1, 256, 0, err));
    }
    return part_plan(l, p->code == SCHEME_FP4 ? STATE_FP4 : STATE_NF4, TOLA_DTYPE_U8, 1, length, 0, err);
}

/* Of doubly quantized scales: all of them, until `finish` has seen the last. */
static size_t bnb_state_bytes(const scheme_layout *l) {
    return l->params.double_quant ? (size_t)blocks_of(l) * sizeof(float) : 0;
}

#define STRIP 64

/* Values in -1 .. 1 to the number of thresholds below them. */
static void count_below(const float *x, size_t n, const float thresholds[15], uint8_t *rank) {
    for (size_t i = 0; i < n; i += STRIP) {
        int32_t count[STRIP] = { 0 };
        float v[STRIP] = { 0 };
        size_t m = n - i < STRIP ? n - i : STRIP;
        memcpy(v, x + i, m * sizeof *v);
        for (unsigned t = 0; t < 15; t++)
            for (unsigned k = 0; k < STRIP; k++) count[k] += v[k] > thresholds[t];
        for (size_t k = 0; k < m; k++) rank[i + k] = (uint8_t)count[k];
    }
}

typedef struct codebook {
    float thresholds[15];
    uint8_t code[16]; /* by rank */
} codebook;

static codebook make_book(bool fp4) {
    codebook b;
    for (unsigned k = 0; k < 16; k++) b.code[k] = fp4 ? fp4_order[k] : (uint8_t)k;
    const float *values = fp4 ? bnb_fp4 : bnb_nf4;
    for (unsigned k = 0; k < 15; k++) b.thresholds[k] = (values[b.code[k]] + values[b.code[k + 1]]) / 2;
    return b;
}

/* One block of n elements: its scale, and codes two to a byte. `whole`: not the short one at the end, which the package
 * treats a little differently. */
static float encode_block(const codebook *b, const float *x, size_t n, bool whole, uint8_t *dst) {
    float least, most, scaled[STRIP];
    uint8_t rank[STRIP];
    fit_get()->range(x, n, &least, &most);
    float largest = -least > most ? -least : most, bounded = largest > 1e-38f ? largest : 1e-38f;
    float inverse = 1 / bounded;
    for (size_t i = 0; i < n; i += STRIP) {
        size_t m = n - i < STRIP ? n - i : STRIP;
        for (size_t k = 0; k < m; k++) {
            float v = whole ? x[i + k] * inverse : x[i + k] / bounded;
            scaled[k] = v < -1 ? -1 : v > 1 ? 1 : v;
        }
        if (m % 2 != 0) scaled[m] = 0; /* the code of zero fills the last byte */
        size_t even = m + m % 2;
        count_below(scaled, even, b->thresholds, rank);
        for (size_t k = 0; k < even; k += 2) *dst++ = (uint8_t)(b->code[rank[k]] << 4 | b->code[rank[k + 1]]);
    }
    return whole ? largest : bounded;
}

static tola_status bnb_encode(const scheme_layout *l, void *state, const float *rows, uint64_t first, uint64_t count,
                              const float *importance, scheme_sink sink, void *user, tola_error *err) {
    (void)importance; /* the format fixes the scales */
    uint64_t block = l->params.group, at = first * l->cols, n = count * l->cols;
    if (n == 0) return TOLA_OK;
    codebook book = make_book(l->params.code == SCHEME_FP4);
    uint64_t blocks = ceil_div(n, block);
    uint8_t *codes = mem_alloc((size_t)ceil_div(n, 2));
    float *absmax = mem_alloc((size_t)blocks * sizeof *absmax);
    tola_status status = codes && absmax ? TOLA_OK : err_nomem(err, "encoding a matrix");
    for (uint64_t k = 0; k < blocks && status == TOLA_OK; k++) {
        uint64_t left = n - k * block;
        absmax[k] = encode_block(&book, rows + k * block, (size_t)(left < block ? left : block), left >= block,
                                 codes + k * block / 2);
    }
    if (status == TOLA_OK) status = sink(user, WEIGHT, at / 2, codes, (size_t)ceil_div(n, 2), err);
    if (status == TOLA_OK && !l->params.double_quant)
        status = sink(user, ABSMAX, at / block * sizeof *absmax, absmax, (size_t)blocks * sizeof *absmax, err);
    else if (status == TOLA_OK)
        memcpy((float *)state + at / block, absmax, (size_t)blocks * sizeof *absmax);
    mem_free(codes);
    mem_free(absmax);
    return status;
}

/* The code of the dynamic map that is nearest. */
static uint8_t dynamic_code(float v) {
    unsigned low = 0, high = 255;
    while (low < high) { /* the number of thresholds below v */
        unsigned middle = (low + high) / 2;
        if (v > (bnb_dynamic[middle] + bnb_dynamic[middle + 1]) / 2)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint8_t)low;
}

static tola_status finish_nested(const scheme_layout *l, const float *absmax, float offset, scheme_sink sink,
                                 void *user, tola_error *err) {
    uint64_t blocks = blocks_of(l);
    for (uint64_t at = 0; at < blocks; at += NESTED_BLOCK) {
        uint8_t codes[NESTED_BLOCK];
        float x[NESTED_BLOCK], largest = 0;
        size_t n = blocks - at < NESTED_BLOCK ? (size_t)(blocks - at) : NESTED_BLOCK;
        for (size_t i = 0; i < n; i++) {
            x[i] = absmax[at + i] - offset;
            largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
        }
        for (size_t i = 0; i < n; i++) codes[i] = dynamic_code(largest > 0 ? x[i] / largest : 0);
        TRY(sink(user, ABSMAX, at, codes, n, err));
        TRY(sink(user, NESTED_ABSMAX, at / NESTED_BLOCK * sizeof largest, &largest, sizeof largest, err));
    }
    return sink(user, NESTED_MAP, 0, bnb_dynamic, sizeof bnb_dynamic, err);
}

static tola_status bnb_finish(const scheme_layout *l, void *state, scheme_sink sink, void *user, tola_error *err) {
    bool fp4 = l->params.code == SCHEME_FP4;
    const float *absmax = state;
    float offset = 0;
    if (l->params.double_quant) {
        uint64_t blocks = blocks_of(l);
        double sum = 0;
        for (uint64_t i = 0; i < blocks; i++) sum += (double)absmax[i];
        offset = blocks ? (float)(sum / (double)blocks) : 0;
        TRY(finish_nested(l, absmax, offset, sink, user, err));
    }
    TRY(sink(user, MAP, 0, fp4 ? bnb_fp4 : bnb_nf4, sizeof bnb_nf4, err));
    unsigned part = fp4 ? STATE_FP4 : STATE_NF4;
    size_t room = (size_t)l->parts[part].bytes;
    buf text;
    write_state(l, (double)offset, &text);
    for (size_t i = text.length; i < room; i++) buf_u8(&text, ' '); /* JSON ends in any white space */
    tola_status status = text.failed || text.length != room ? err_nomem(err, "encoding a matrix")
                                                            : sink(user, part, 0, text.data, room, err);
    buf_free(&text);
    return status;
}

const scheme scheme_bnb = {
    .name = "bitsandbytes",
    .suffixes = { "weight", "weight.absmax", "weight.quant_map", "weight.nested_absmax", "weight.nested_quant_map",
                  "weight.quant_state.bitsandbytes__nf4", "weight.quant_state.bitsandbytes__fp4", "SCB",
                  "weight_format", NULL },
    .small_parts = 1u << STATE_NF4 | 1u << STATE_FP4 | 1u << FORMAT,
    .recognize = bnb_recognize,
    .open = bnb_open,
    .decode = bnb_decode,
    .plan = bnb_plan,
    .state_bytes = bnb_state_bytes,
    .encode = bnb_encode,
    .finish = bnb_finish,
    .write_config = bnb_write_config,
};
