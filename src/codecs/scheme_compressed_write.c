/* compressed-tensors, written. Layouts: see scheme_compressed.c.
 *
 * Integers: scale and zero point of each group are searched for by weighted least squares (scheme_linear.h); for a
 * whole tensor over a histogram that the first pass makes. A scale may be negative: the code that lies furthest out,
 * -2^(bits-1), then serves the side on which the largest weight is. Floats: the largest magnitude over the largest
 * code; e8m0 and nvfp4's f8 scales are tried a few steps up and down. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "codecs/scheme_compressed.h"
#include "codecs/scheme_f8.h"
#include "codecs/scheme_linear.h"
#include "kernels/cast/cast.h"
#include "kernels/cast/scalar.h"
#include "kernels/fit/fit.h"

#define HISTOGRAM 65536 /* bins: the upper half of an f32 */

/* What encoding a whole matrix has to know of all its rows. */
typedef struct ct_state {
    atomic_uint_fast64_t grid; /* of integers with one scale: KNOWN, zero + 128, scale's bits; found once */
    float largest;             /* magnitude */
    uint64_t histogram[];      /* HISTOGRAM bins where integers have one scale */
} ct_state;

#define KNOWN (UINT64_C(1) << 63)

/* ---- planning ---- */

static tola_status refuse(tola_error *err, const char *what) {
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "compressed-tensors keeps no %s", what);
}

static bool is_mx(const scheme_params *p) { return p->code == SCHEME_FLOAT && p->scale == TOLA_DTYPE_F8_E8M0; }
static bool is_nv(const scheme_params *p) { return p->code == SCHEME_FLOAT && p->scale == TOLA_DTYPE_F8_E4M3; }
static bool is_packed(const scheme_params *p) { return p->code == SCHEME_INT || p->element != TOLA_DTYPE_F8_E4M3; }

static bool is_wide(tola_dtype t) { return t == TOLA_DTYPE_F32 || t == TOLA_DTYPE_F16 || t == TOLA_DTYPE_BF16; }

static tola_status default_params(scheme_params *p, tola_error *err) {
    if (p->code == SCHEME_CODE_ANY) p->code = SCHEME_INT;
    if (p->code != SCHEME_INT && p->code != SCHEME_FLOAT) return refuse(err, "codebooks");
    if (p->scale == TOLA_DTYPE_NONE) p->scale = is_wide(p->logical) ? p->logical : TOLA_DTYPE_BF16;
    if (p->logical == TOLA_DTYPE_NONE) p->logical = is_wide(p->scale) ? p->scale : TOLA_DTYPE_BF16;
    if (p->code == SCHEME_INT) {
        if (p->bits < 1 || p->bits > 8) return refuse(err, "integers but those of 1 to 8 bits");
        if (!is_wide(p->scale)) return refuse(err, "integers with scales narrower than 16 bits");
        if (p->grain == SCHEME_GRAIN_ANY) p->grain = SCHEME_PER_GROUP;
        if (p->grain == SCHEME_PER_BLOCK) return refuse(err, "integers with a scale for a block of rows and columns");
        if (p->grain == SCHEME_PER_GROUP && p->group == 0) p->group = 128;
        return TOLA_OK;
    }
    p->symmetric = true;
    if (p->element == TOLA_DTYPE_NONE) p->element = TOLA_DTYPE_F8_E4M3;
    p->bits = (uint8_t)tola_dtype_bits(p->element);
    bool f8 = p->element == TOLA_DTYPE_F8_E4M3, f6 = p->element == TOLA_DTYPE_F6_E2M3, f4 = p->element == TOLA_DTYPE_F4;
    if (is_mx(p) ? !f8 && !f6 && !f4 : is_nv(p) ? !f4 : !f8) return refuse(err, "such pair of element and scale types");
    if (is_mx(p) || is_nv(p)) {
        uint32_t group = is_mx(p) ? CT_FORMAT_GROUP_MX : CT_FORMAT_GROUP_NV;
        if (p->group && p->group != group) return refuse(err, "groups of that size with these floats");
        p->grain = SCHEME_PER_GROUP;
        p->group = group;
    }
    if (p->grain == SCHEME_GRAIN_ANY) p->grain = SCHEME_PER_CHANNEL;
    if (p->grain == SCHEME_PER_GROUP && p->group == 0) p->group = 128;
    if (p->grain == SCHEME_PER_BLOCK && (p->block_rows == 0 || p->block_cols == 0)) p->block_rows = p->block_cols = 128;
    return TOLA_OK;
}

static tola_status plan_ints(scheme_layout *l, uint64_t across, tola_error *err) {
    const scheme_params *p = &l->params;
    uint64_t row_bits, down_bits;
    if (!mul_u64(l->cols, p->bits, &row_bits) || !mul_u64(l->rows, p->bits, &down_bits))
        return matrix_check(UINT64_MAX, UINT64_MAX, err);
    TRY(part_plan(l, CT_PACKED, TOLA_DTYPE_I32, 2, l->rows, ceil_div(row_bits, 32), err));
    TRY(part_plan(l, CT_SHAPE, TOLA_DTYPE_I64, 1, 2, 0, err));
    if (p->symmetric) return TOLA_OK;
    if (p->grain == SCHEME_PER_TENSOR) return part_plan(l, CT_ZERO, TOLA_DTYPE_I8, 1, 1, 0, err);
    l->row_unit = 32; /* rows that fill whole words of zero points */
    return part_plan(l, CT_ZERO, TOLA_DTYPE_I32, 2, ceil_div(down_bits, 32), across, err);
}

static tola_status plan_floats(scheme_layout *l, tola_error *err) {
    const scheme_params *p = &l->params;
    if (is_nv(p)) TRY(part_plan(l, CT_GLOBAL, TOLA_DTYPE_F32, 1, 1, 0, err));
    if (is_packed(p)) return part_plan(l, CT_PACKED, TOLA_DTYPE_U8, 2, l->rows, l->cols / 8 * p->bits, err);
    if (p->grain == SCHEME_PER_BLOCK) l->row_unit = p->block_rows;
    return part_plan(l, CT_WEIGHT, p->element, 2, l->rows, l->cols, err);
}

tola_status ct_plan(scheme_layout *l, tola_error *err) {
    scheme_params *p = &l->params;
    TRY(default_params(p, err));
    TRY(matrix_check(l->rows, l->cols, err));
    memset(l->parts, 0, sizeof l->parts);
    l->matrices = 1;
    l->row_unit = 1;
    if (p->grain == SCHEME_PER_GROUP && l->cols % p->group != 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%llu columns are not whole groups of %u",
                       (unsigned long long)l->cols, p->group);
    scale_grid g = grid_of(l);
    uint64_t down = l->rows == 0 ? 0 : g.down, across = l->cols == 0 ? 0 : g.across;
    l->two_passes = p->grain == SCHEME_PER_TENSOR || is_nv(p);
    if (p->grain == SCHEME_PER_TENSOR)
        TRY(part_plan(l, CT_SCALE, p->scale, 1, 1, 0, err));
    else if (p->grain == SCHEME_PER_CHANNEL)
        TRY(part_plan(l, CT_SCALE, p->scale, 2, l->rows, across, err));
    else
        TRY(part_plan(l, CT_SCALE, is_mx(p) ? TOLA_DTYPE_U8 : p->scale, 2, down, across, err));
    return p->code == SCHEME_INT ? plan_ints(l, across, err) : plan_floats(l, err);
}

static bool wants_histogram(const scheme_layout *l) { return l->two_passes && l->params.code == SCHEME_INT; }

size_t ct_state_bytes(const scheme_layout *l) {
    if (!l->two_passes) return 0;
    return sizeof(ct_state) + (wants_histogram(l) ? HISTOGRAM * sizeof(uint64_t) : 0);
}

/* ---- the first pass ---- */

tola_status ct_measure(const scheme_layout *l, void *state, const float *rows, uint64_t first, uint64_t count,
                       tola_error *err) {
    (void)first;
    (void)err;
    ct_state *s = state;
    size_t n = (size_t)(count * l->cols);
    float least, most;
    if (!l->two_passes) return TOLA_OK;
    fit_get()->range(rows, n, &least, &most);
    if (-least > s->largest) s->largest = -least;
    if (most > s->largest) s->largest = most;
    if (!wants_histogram(l)) return TOLA_OK;
    for (size_t i = 0; i < n; i++) s->histogram[cast_f32_bits(rows[i]) >> 16]++;
    return TOLA_OK;
}

/* One grid for everything: the bins' middles, weighted by their counts, take the place of the weights. */
static tola_status tensor_grid(const scheme_layout *l, ct_state *s, linear_grid *out, tola_error *err) {
    uint_fast64_t known = atomic_load(&s->grid);
    if (!(known & KNOWN)) {
        float *x = mem_alloc(2 * HISTOGRAM * sizeof *x), *w = x + HISTOGRAM;
        if (!x) return err_nomem(err, "encoding a matrix");
        size_t n = 0;
        for (uint32_t bin = 0; bin < HISTOGRAM; bin++) {
            if (s->histogram[bin] == 0) continue;
            bool zero = (bin & 0x7fff) == 0;
            x[n] = cast_f32_from_bits(zero ? 0 : bin << 16 | 0x8000);
            w[n++] = (float)s->histogram[bin];
        }
        linear_grid g = linear_choose(x, w, n, l->params.bits, l->params.symmetric, l->params.scale);
        mem_free(x);
        /* whoever comes here finds the same */
        known = KNOWN | (uint_fast64_t)(uint8_t)(g.zero + 128) << 32 | cast_f32_bits(g.scale);
        atomic_store(&s->grid, known);
    }
    *out = (linear_grid){ cast_f32_from_bits((uint32_t)known), (int8_t)((int)(known >> 32 & 0xff) - 128) };
    return TOLA_OK;
}

/* ---- integers ---- */

typedef struct batch {
    const scheme_layout *l;
    scale_grid grid;
    const float *rows, *importance;
    uint64_t first, count;
    uint8_t *codes;  /* of one row, one a byte */
    float *scaled;   /* one row over its scales; NULL but for mx and nvfp4 */
    uint8_t *packed; /* count rows */
    float *scales;   /* [count / block_rows, across] */
    uint8_t *stored; /* the same as they are kept */
    uint32_t *zeros; /* words packed down the rows, [words, across]; NULL where there are none */
} batch;

static void put_zero(batch *b, uint64_t row, size_t group, int8_t zero) {
    unsigned bits = b->l->params.bits;
    uint64_t bit = row * bits, at = bit / 32 * b->grid.across + group;
    uint64_t code = (uint64_t)(uint32_t)(zero + (1 << (bits - 1))) << bit % 32;
    b->zeros[at] |= (uint32_t)code;
    if (code >> 32) b->zeros[at + b->grid.across] |= (uint32_t)(code >> 32);
}

static void encode_int_row(batch *b, uint64_t row, const linear_grid *whole) {
    const scheme_params *p = &b->l->params;
    const float *x = b->rows + row * b->l->cols;
    size_t step = (size_t)b->grid.block_cols;
    for (size_t g = 0; g < b->grid.across; g++) {
        const float *w = b->importance ? b->importance + g * step : NULL;
        linear_grid grid = whole ? *whole : linear_choose(x + g * step, w, step, p->bits, p->symmetric, p->scale);
        linear_codes(x + g * step, step, p->bits, grid, b->codes + g * step);
        b->scales[row * b->grid.across + g] = grid.scale;
        if (b->zeros) put_zero(b, row, g, grid.zero);
    }
    size_t bytes = (size_t)b->l->parts[CT_PACKED].shape[1] * 4;
    codes_pack(b->codes, (size_t)b->l->cols, p->bits, b->packed + row * bytes, bytes);
}

/* ---- floats ---- */

static const cast_small *small_of(tola_dtype element) {
    return element == TOLA_DTYPE_F4 ? &cast_e2m1 : element == TOLA_DTYPE_F6_E2M3 ? &cast_e2m3 : &cast_e4m3;
}

#define MAX_TRIED 8

/* What the codes of scales stand for in one matrix, and their inverses. */
typedef struct scale_codes {
    float value[256], inverse[256];
} scale_codes;

static void make_scale_codes(const scheme_params *p, float global, scale_codes *s) {
    uint8_t all[256];
    for (unsigned c = 0; c < 256; c++) all[c] = (uint8_t)c;
    scales_load(p->scale, all, 0, 256, s->value);
    for (unsigned c = 0; c < 256; c++) {
        if (is_nv(p)) s->value[c] /= global;
        s->inverse[c] = 1 / s->value[c];
    }
}

/* The best of a few codes for the scale of a group. */
static uint8_t choose_scale(const cast_small *type, const float *x, const float *w, size_t n, const scale_codes *s,
                            const uint8_t *codes, size_t count) {
    float inverses[MAX_TRIED];
    fit_sums sums[MAX_TRIED];
    for (size_t c = 0; c < count; c++) inverses[c] = s->inverse[codes[c]];
    fit_get()->small_sums(type, x, w, n, inverses, count, sums);
    uint8_t best = codes[0];
    float least = 0;
    for (size_t c = 0; c < count; c++) { /* the error, less sum(w x x) */
        float scale = s->value[codes[c]], error = scale * (scale * sums[c].qq - 2 * sums[c].xq);
        if (c == 0 || error < least) {
            least = error;
            best = codes[c];
        }
    }
    return best;
}

static uint8_t clamp_code(int code, int low, int high) {
    return (uint8_t)(code < low ? low : code > high ? high : code);
}

/* e8m0: the power of two under which the largest value has the element's largest exponent (OCP MX 1.0, 6.3), or twice
 * that where clipping costs more than coarser steps. */
static uint8_t mx_scale(const cast_small *type, const float *x, const float *w, size_t n, const scale_codes *s) {
    float largest = largest_of(x, n);
    if (largest == 0) return 127;
    int exponent, emax = (type->max >> type->mantissa) - type->bias;
    frexpf(largest, &exponent); /* largest = [0.5, 1) * 2^exponent */
    uint8_t first = clamp_code(127 + exponent - 1 - emax, 1, 253), codes[2] = { first, (uint8_t)(first + 1) };
    return choose_scale(type, x, w, n, s, codes, 2);
}

/* f8_e4m3 under the tensor's global scale. The largest value may stand at 6 or at 4, or a little beyond. */
static uint8_t nv_scale(const float *x, const float *w, size_t n, float global, const scale_codes *s) {
    static const int8_t steps[] = { 0, -2, -1, 1, 3, 4, 5 };
    enum { COUNT = sizeof steps };
    float largest = largest_of(x, n), wanted = largest / 6 * global;
    uint8_t middle, codes[COUNT];
    if (largest == 0) return 1;
    cast_get()->f32_to_small(&cast_e4m3, &wanted, &middle, 1, true);
    for (size_t c = 0; c < COUNT; c++) codes[c] = clamp_code((middle & 0x7f) + steps[c], 1, cast_e4m3.max);
    return choose_scale(&cast_e2m1, x, w, n, s, codes, COUNT);
}

static float global_scale(const ct_state *s) {
    float g = 448.0f * 6.0f / s->largest;
    return isfinite(g) && g > 0 ? g : 1;
}

/* Rows of mx or nvfp4: stored[g] and codes of each group. */
static void encode_small_rows(batch *b, float global) {
    const scheme_params *p = &b->l->params;
    const cast_small *type = small_of(p->element);
    size_t step = p->group, cols = (size_t)b->l->cols, groups = cols / step, bytes = cols / 8 * p->bits;
    scale_codes scales;
    make_scale_codes(p, global, &scales);
    for (uint64_t row = 0; row < b->count; row++) {
        uint8_t *stored = b->stored + row * groups;
        for (size_t g = 0; g < groups; g++) {
            const float *x = b->rows + row * cols + g * step, *w = b->importance ? b->importance + g * step : NULL;
            stored[g] = is_mx(p) ? mx_scale(type, x, w, step, &scales) : nv_scale(x, w, step, global, &scales);
            float inverse = scales.inverse[stored[g]];
            for (size_t i = 0; i < step; i++) b->scaled[g * step + i] = x[i] * inverse;
        }
        cast_get()->f32_to_small(type, b->scaled, b->codes, cols, true);
        codes_pack(b->codes, cols, p->bits, b->packed + row * bytes, bytes);
    }
}

/* ---- a batch of rows ---- */

static tola_status batch_open(batch *b, tola_error *err) {
    const scheme_layout *l = b->l;
    const scheme_part *w = &l->parts[part_here(l, CT_PACKED) ? CT_PACKED : CT_WEIGHT];
    size_t rows = (size_t)b->count, row_bytes = (size_t)w->shape[1] * tola_dtype_block_bytes(w->dtype);
    size_t scales = rows * (size_t)b->grid.across;
    b->codes = mem_alloc((size_t)l->cols + 64);
    bool small = is_mx(&l->params) || is_nv(&l->params);
    if (small) b->scaled = mem_alloc((size_t)l->cols * sizeof *b->scaled);
    b->packed = mem_alloc(rows * row_bytes + 1);
    b->scales = mem_alloc(scales * sizeof *b->scales);
    b->stored = mem_alloc(scales * sizeof *b->scales);
    bool zeros = part_here(l, CT_ZERO) && l->params.grain != SCHEME_PER_TENSOR;
    if (zeros) b->zeros = mem_calloc((rows * l->params.bits + 31) / 32 * (size_t)b->grid.across, sizeof *b->zeros);
    if (b->codes && (!small || b->scaled) && b->packed && b->scales && b->stored && (!zeros || b->zeros))
        return TOLA_OK;
    return err_nomem(err, "encoding a matrix");
}

static void batch_close(batch *b) {
    mem_free(b->codes);
    mem_free(b->scaled);
    mem_free(b->packed);
    mem_free(b->scales);
    mem_free(b->stored);
    mem_free(b->zeros);
}

static tola_status encode_rows(batch *b, ct_state *s, tola_error *err) {
    const scheme_params *p = &b->l->params;
    bool whole = p->grain == SCHEME_PER_TENSOR;
    if (p->code == SCHEME_INT) {
        linear_grid grid;
        if (whole) TRY(tensor_grid(b->l, s, &grid, err));
        for (uint64_t row = 0; row < b->count; row++) encode_int_row(b, row, whole ? &grid : NULL);
    } else if (is_mx(p) || is_nv(p)) {
        float global = is_nv(p) ? global_scale(s) : 1;
        encode_small_rows(b, global);
    } else {
        f8_encode(b->rows, b->count, b->l->cols, &b->grid, p->scale, whole ? &s->largest : NULL, b->scales, b->packed);
    }
    return TOLA_OK;
}

static tola_status send(const batch *b, scheme_sink sink, void *user, tola_error *err) {
    const scheme_layout *l = b->l;
    const scheme_params *p = &l->params;
    unsigned which = part_here(l, CT_PACKED) ? CT_PACKED : CT_WEIGHT;
    const scheme_part *w = &l->parts[which];
    size_t row_bytes = (size_t)w->shape[1] * tola_dtype_block_bytes(w->dtype), unit = tola_dtype_block_bytes(p->scale);
    TRY(sink(user, which, b->first * row_bytes, b->packed, (size_t)b->count * row_bytes, err));
    if (p->grain == SCHEME_PER_TENSOR) return TOLA_OK;
    uint64_t block = b->grid.block_rows, across = b->grid.across;
    size_t n = (size_t)(ceil_div(b->count, block) * across);
    if (!is_mx(p) && !is_nv(p)) scale_store(b->scales, n, p->scale, b->stored);
    TRY(sink(user, CT_SCALE, b->first / block * across * unit, b->stored, n * unit, err));
    if (!b->zeros) return TOLA_OK;
    uint64_t row_words = across * 4;
    return sink(user, CT_ZERO, b->first / 32 * p->bits * row_words, b->zeros,
                (size_t)(ceil_div(b->count * p->bits, 32) * row_words), err);
}

tola_status ct_encode(const scheme_layout *l, void *state, const float *rows, uint64_t first, uint64_t count,
                      const float *importance, scheme_sink sink, void *user, tola_error *err) {
    if (count == 0 || l->cols == 0) return TOLA_OK;
    batch b = { .l = l, .grid = grid_of(l), .rows = rows, .importance = importance, .first = first, .count = count };
    tola_status status = batch_open(&b, err);
    if (status == TOLA_OK) status = encode_rows(&b, state, err);
    if (status == TOLA_OK) status = send(&b, sink, user, err);
    batch_close(&b);
    return status;
}

tola_status ct_finish(const scheme_layout *l, void *state, scheme_sink sink, void *user, tola_error *err) {
    const scheme_params *p = &l->params;
    ct_state *s = state;
    if (part_here(l, CT_SHAPE)) {
        int64_t shape[2] = { (int64_t)l->rows, (int64_t)l->cols };
        TRY(sink(user, CT_SHAPE, 0, shape, sizeof shape, err));
    }
    if (is_nv(p)) {
        float global = global_scale(s);
        TRY(sink(user, CT_GLOBAL, 0, &global, sizeof global, err));
    }
    if (p->grain != SCHEME_PER_TENSOR) return TOLA_OK;
    uint8_t stored[4];
    linear_grid grid = { f8_scale(s->largest, p->scale), 0 };
    if (p->code == SCHEME_INT) TRY(tensor_grid(l, s, &grid, err));
    scale_store(&grid.scale, 1, p->scale, stored);
    TRY(sink(user, CT_SCALE, 0, stored, tola_dtype_block_bytes(p->scale), err));
    return part_here(l, CT_ZERO) ? sink(user, CT_ZERO, 0, &grid.zero, 1, err) : TOLA_OK;
}

/* ---- config.json ---- */

static const char *format_name(const scheme_params *p) {
    if (p->code == SCHEME_INT) return "pack-quantized";
    if (is_nv(p)) return "nvfp4-pack-quantized";
    if (!is_mx(p)) return "float-quantized";
    return p->bits == 8 ? "mxfp8-quantized" : p->bits == 6 ? "mxfp6-pack-quantized" : "mxfp4-pack-quantized";
}

static void write_grain(const scheme_params *p, tola_json *out) {
    static const char *const names[] = { "group", "tensor", "channel", "group", "block" };
    tola_json_key(out, "strategy");
    tola_json_string(out, is_nv(p) ? "tensor_group" : names[p->grain]);
    tola_json_key(out, "group_size");
    if (p->grain == SCHEME_PER_GROUP)
        tola_json_u64(out, p->group);
    else
        tola_json_null(out);
    if (p->grain != SCHEME_PER_BLOCK) return;
    tola_json_key(out, "block_structure");
    tola_json_begin_array(out);
    tola_json_u64(out, p->block_rows);
    tola_json_u64(out, p->block_cols);
    tola_json_end_array(out);
}

static void write_weights(const scheme_params *p, tola_json *out) {
    tola_json_begin_object(out);
    tola_json_key(out, "num_bits");
    tola_json_u64(out, p->bits);
    tola_json_key(out, "type");
    tola_json_string(out, p->code == SCHEME_INT ? "int" : "float");
    tola_json_key(out, "symmetric");
    tola_json_bool(out, p->symmetric);
    write_grain(p, out);
    if (is_mx(p) || is_nv(p)) {
        tola_json_key(out, "scale_dtype");
        tola_json_string(out, is_mx(p) ? "torch.uint8" : "torch.float8_e4m3fn");
    }
    tola_json_key(out, "dynamic");
    tola_json_bool(out, false);
    tola_json_end_object(out);
}

void ct_write_config(const scheme_params *given, const char *const *ignore, size_t ignored, tola_json *out) {
    scheme_params p = *given;
    if (default_params(&p, NULL) != TOLA_OK) p = *given; /* plan has refused it */
    tola_json_begin_object(out);
    tola_json_key(out, "quant_method");
    tola_json_string(out, "compressed-tensors");
    tola_json_key(out, "format");
    tola_json_string(out, format_name(&p));
    tola_json_key(out, "quantization_status");
    tola_json_string(out, "compressed");
    tola_json_key(out, "config_groups");
    tola_json_begin_object(out);
    tola_json_key(out, "group_0");
    tola_json_begin_object(out);
    tola_json_key(out, "targets");
    tola_json_begin_array(out);
    tola_json_string(out, "Linear");
    tola_json_end_array(out);
    tola_json_key(out, "weights");
    write_weights(&p, out);
    tola_json_key(out, "input_activations");
    tola_json_null(out);
    tola_json_key(out, "output_activations");
    tola_json_null(out);
    tola_json_end_object(out);
    tola_json_end_object(out);
    tola_json_key(out, "ignore");
    tola_json_begin_array(out);
    for (size_t i = 0; i < ignored; i++) tola_json_string(out, ignore[i]);
    tola_json_end_array(out);
    tola_json_key(out, "kv_cache_scheme");
    tola_json_null(out);
    tola_json_end_object(out);
}
