/* compressed-tensors: what llm-compressor writes and vLLM reads. This file reads it.
 *
 * Parts by format (https://github.com/vllm-project/compressed-tensors, compressors/, package 0.20):
 *   pack-quantized        weight_packed i32 [rows, ceil(cols * bits / 32)]: codes + 2^(bits-1), least significant bit
 *                         first, without gaps; weight_shape i64 [2]; weight_scale; weight_zero_point i32
 *                         [ceil(rows * bits / 32), groups], packed down the rows (i8 [1] per tensor); weight_g_idx
 *   int-, naive-quantized weight i8, weight_scale, weight_zero_point i8
 *   float-quantized       weight f8_e4m3, weight_scale
 *   mxfp8-quantized       weight f8_e4m3, weight_scale u8 [rows, cols / 32], e8m0
 *   mxfp6-pack-quantized  weight_packed u8 [rows, cols * 3 / 4] of e2m3, least significant bit first; scales as above
 *   mxfp4-pack-quantized  weight_packed u8 [rows, cols / 2], low nibble first; scales as above
 *   nvfp4-pack-quantized  the same codes; weight_scale f8_e4m3 [rows, cols / 16], weight_global_scale f32 [1], which
 *                         scales are divided by
 * weight_scale is [1], [rows, 1], [rows, cols / group] or [ceil(rows / block), ceil(cols / block)].
 * The parts say nearly all of it: bits, grain, element. A configuration that says more is held against them. */
#include "codecs/scheme_compressed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cast/cast.h"

#define CHUNK 1024 /* columns decoded at a time; fills whole words of codes of any width */

/* ---- quantization_config ---- */

static bool parse_block(const tola_value *v, scheme_params *p) {
    uint64_t r = 0, c = 0;
    if (v && v->kind == TOLA_VALUE_STRING) { /* "128x128", before lists */
        char *end = NULL;
        r = strtoull(tola_value_str(v, ""), &end, 10);
        if (*end == 'x') c = strtoull(end + 1, NULL, 10);
    } else {
        tola_value a = tola_value_at(v, 0), b = tola_value_at(v, 1);
        r = tola_value_u64(&a, 0);
        c = tola_value_u64(&b, 0);
    }
    if (r == 0 || c == 0 || r > UINT32_MAX || c > UINT32_MAX) return false;
    p->block_rows = (uint32_t)r;
    p->block_cols = (uint32_t)c;
    return true;
}

static tola_status unknown(tola_error *err, const char *what, const char *value) {
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "compressed-tensors with %s '%.40s' is not understood",
                   what, value);
}

static tola_status parse_grain(const tola_value *weights, scheme_params *p, tola_error *err) {
    const char *strategy = config_str(weights, "strategy");
    uint64_t group = tola_value_u64(tola_value_get(weights, "group_size"), 0); /* -1 stands for channels */
    if (strcmp(strategy, "tensor") == 0)
        p->grain = SCHEME_PER_TENSOR;
    else if (strcmp(strategy, "channel") == 0)
        p->grain = SCHEME_PER_CHANNEL;
    else if (strcmp(strategy, "block") == 0)
        p->grain = SCHEME_PER_BLOCK;
    else if (strcmp(strategy, "group") == 0 || strcmp(strategy, "tensor_group") == 0)
        p->grain = SCHEME_PER_GROUP;
    else if (strategy[0])
        return unknown(err, "strategy", strategy);
    if (p->grain == SCHEME_PER_BLOCK && !parse_block(tola_value_get(weights, "block_structure"), p))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "strategy 'block' has no block_structure [rows, cols]");
    if (group <= UINT32_MAX) p->group = (uint32_t)group;
    return TOLA_OK;
}

static tola_status parse_weights(const tola_value *weights, scheme_params *p, tola_error *err) {
    uint64_t bits = tola_value_u64(tola_value_get(weights, "num_bits"), 8);
    bool is_float = config_is(weights, "type", "float");
    if (!is_float && config_str(weights, "type")[0] && !config_is(weights, "type", "int"))
        return unknown(err, "type", config_str(weights, "type"));
    if (is_float ? bits != 4 && bits != 6 && bits != 8 : bits < 1 || bits > 8)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "compressed-tensors with %" PRIu64 "-bit %s weights is not understood", bits,
                       is_float ? "float" : "int");
    p->code = is_float ? SCHEME_FLOAT : SCHEME_INT;
    p->bits = (uint8_t)bits;
    p->symmetric = tola_value_bool(tola_value_get(weights, "symmetric"), true);
    return parse_grain(weights, p, err);
}

/* What one group of modules and another disagree about is left to the parts. */
static void merge(scheme_params *p, const scheme_params *other) {
    if (p->code != other->code) p->code = SCHEME_CODE_ANY;
    if (p->bits != other->bits) p->bits = 0;
    if (p->grain != other->grain) p->grain = SCHEME_GRAIN_ANY;
    if (p->group != other->group) p->group = 0;
    if (p->block_rows == 0 || p->block_cols == 0) {
        p->block_rows = other->block_rows;
        p->block_cols = other->block_cols;
    }
}

static tola_status check_format(const tola_value *config, tola_error *err) {
    static const char *const known[] = { "",
                                         "pack-quantized",
                                         "int-quantized",
                                         "naive-quantized",
                                         "float-quantized",
                                         "mxfp4-pack-quantized",
                                         "mxfp6-pack-quantized",
                                         "mxfp8-quantized",
                                         "nvfp4-pack-quantized",
                                         "mixed-precision",
                                         "dense",
                                         "fakequant" };
    const char *format = config_str(config, "format");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(format, known[i]) == 0) return TOLA_OK;
    return unknown(err, "format", format);
}

static tola_status ct_recognize(const tola_value *config, scheme_params *params, tola_error *err) {
    scheme_params p = { 0 };
    if (!config) return TOLA_OK;
    const tola_value *inner = tola_value_get(config, "quantization_config"); /* beside a sparsity_config, before 0.6 */
    if (inner && inner->kind == TOLA_VALUE_MAP) config = inner;
    if (!config_is(config, "quant_method", "compressed-tensors") && config != inner) return TOLA_E_NOT_FOUND;
    const char *sparse = config_str(tola_value_get(config, "sparsity_config"), "format");
    if (sparse[0] && strcmp(sparse, "dense") != 0) return unknown(err, "sparse format", sparse);
    TRY(check_format(config, err));
    const tola_value *groups = tola_value_get(config, "config_groups");
    bool any = false;
    for (size_t i = 0; groups && groups->kind == TOLA_VALUE_MAP && i < groups->as.map.count; i++) {
        const tola_value *group = &groups->as.map.members[i].value, *weights = tola_value_get(group, "weights");
        if (group->kind == TOLA_VALUE_MAP && (!weights || weights->kind != TOLA_VALUE_MAP)) continue; /* activations */
        scheme_params one = { 0 };
        if (weights) TRY(parse_weights(weights, &one, err)); /* else a preset's name: ["Linear"] */
        if (any)
            merge(&p, &one);
        else
            p = one;
        any = true;
    }
    *params = p;
    return TOLA_OK;
}

/* ---- opening ---- */

static tola_status misfit(const scheme_layout *l, unsigned part, tola_error *err) {
    return part_contradicts(&scheme_compressed, l, part, err);
}

/* weight_shape, where it is there: the only place that says how many columns a row of packed integers has. */
static tola_status read_shape(scheme_layout *l, bool *found, tola_error *err) {
    const scheme_part *p = &l->parts[CT_SHAPE];
    uint64_t shape[3] = { 0 }, n = part_elements(p);
    *found = false;
    if (!part_here(l, CT_SHAPE)) return TOLA_OK;
    bool wide = p->dtype == TOLA_DTYPE_I64;
    if ((!wide && p->dtype != TOLA_DTYPE_I32) || (n != 2 && n != 3) || p->bytes != n * (wide ? 8 : 4))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "weight_shape is not two or three whole numbers");
    if (!l->small[CT_SHAPE]) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "weight_shape was not read");
    for (unsigned i = 0; i < n; i++) {
        if (wide)
            memcpy(&shape[i], (const uint8_t *)l->small[CT_SHAPE] + 8 * i, 8);
        else {
            int32_t v;
            memcpy(&v, (const uint8_t *)l->small[CT_SHAPE] + 4 * i, 4);
            shape[i] = v < 0 ? UINT64_MAX : (uint64_t)v;
        }
        if (shape[i] > INT64_MAX)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "weight_shape has a negative number in it");
    }
    if (n == 3 && !mul_u64(shape[0], shape[1], &shape[1])) shape[1] = UINT64_MAX;
    uint64_t rows = shape[n - 2], stacked = l->rows / (l->matrices ? l->matrices : 1);
    if (rows != l->rows && rows != stacked)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "weight_shape says %" PRIu64 " rows, weight_packed has %" PRIu64, rows, l->rows);
    l->cols = shape[n - 1];
    *found = true;
    return TOLA_OK;
}

/* Codes of how many bits fill `words` words with `cols` of them? 0 where none do, or several, as for few columns. */
static unsigned bits_of(uint64_t words, uint64_t cols) {
    uint64_t total;
    unsigned found = 0;
    for (unsigned bits = 1; bits <= 8; bits++) {
        if (!mul_u64(cols, bits, &total) || ceil_div(total, 32) != words) continue;
        if (found) return 0;
        found = bits;
    }
    return found;
}

static tola_status open_packed_ints(scheme_layout *l, uint64_t words, tola_error *err) {
    scheme_params *p = &l->params;
    const scheme_part *s = &l->parts[CT_SCALE];
    uint64_t groups = s->n_dims >= 2 ? s->shape[s->n_dims - 1] : 1, total;
    bool found;
    TRY(read_shape(l, &found, err));
    if (!found && p->group && groups > 1 && mul_u64(groups, p->group, &l->cols)) found = true;
    if (!found && p->bits && mul_u64(words, 32, &total)) {
        l->cols = total / p->bits;
        found = true;
    }
    if (!found) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "weight_packed has no weight_shape beside it");
    unsigned bits = p->bits;
    if (bits == 0) bits = l->cols ? bits_of(words, l->cols) : 8;
    if (bits == 0 || !mul_u64(l->cols, bits, &total) || ceil_div(total, 32) != words) return misfit(l, CT_PACKED, err);
    p->bits = (uint8_t)bits;
    p->code = SCHEME_INT;
    return TOLA_OK;
}

/* f4 or f6: two codes to a byte or four to three. Both have 32 codes to an e8m0 scale, which tells them apart. */
static tola_status open_packed_floats(scheme_layout *l, uint64_t bytes, tola_error *err) {
    const scheme_part *s = &l->parts[CT_SCALE];
    bool e8m0 = s->dtype == TOLA_DTYPE_U8 || s->dtype == TOLA_DTYPE_F8_E8M0;
    uint64_t groups = s->n_dims >= 2 ? s->shape[s->n_dims - 1] : 1, cols;
    if (!mul_u64(bytes, 2, &cols)) return misfit(l, CT_PACKED, err);
    l->params.element = TOLA_DTYPE_F4;
    if (e8m0 && cols != 0 && bytes % 3 == 0 && groups == bytes / 3 / 8 && bytes / 3 % 8 == 0) {
        l->params.element = TOLA_DTYPE_F6_E2M3;
        cols = bytes / 3 * 4;
    }
    l->cols = cols;
    l->params.code = SCHEME_FLOAT;
    l->params.bits = l->params.element == TOLA_DTYPE_F4 ? 4 : 6;
    return TOLA_OK;
}

static tola_status open_plain(scheme_layout *l, tola_error *err) {
    const scheme_part *w = &l->parts[CT_WEIGHT];
    l->cols = w->shape[w->n_dims - 1];
    if (w->dtype == TOLA_DTYPE_I8) {
        l->params.code = SCHEME_INT;
        l->params.bits = 8; /* the codes of fewer bits take a byte each, too */
        return TOLA_OK;
    }
    if (l->params.code == SCHEME_INT) return misfit(l, CT_WEIGHT, err);
    l->params.code = SCHEME_FLOAT;
    l->params.element = w->dtype;
    l->params.bits = 8;
    return TOLA_OK;
}

static tola_status open_zeros(scheme_layout *l, tola_error *err) {
    const scheme_part *z = &l->parts[CT_ZERO], *s = &l->parts[CT_SCALE];
    l->params.symmetric = !part_here(l, CT_ZERO);
    if (l->params.symmetric) return TOLA_OK;
    TRY(part_check(&scheme_compressed, l, CT_ZERO, err));
    scale_grid g = grid_of(l);
    uint64_t bits;
    if (part_here(l, CT_PACKED) && z->dtype == TOLA_DTYPE_I32 && l->params.code == SCHEME_INT) {
        if (l->matrices != 1)
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "packed zero points of stacked matrices");
        if (g.block_rows == 1 && mul_u64(l->rows, l->params.bits, &bits) &&
            part_is(z, TOLA_DTYPE_I32, ceil_div(bits, 32), g.across))
            return TOLA_OK;
        return misfit(l, CT_ZERO, err);
    }
    bool number = z->dtype == TOLA_DTYPE_I8 || (is_scale_dtype(z->dtype) && z->dtype != TOLA_DTYPE_U8);
    if (number && part_elements(z) == part_elements(s)) return TOLA_OK;
    return misfit(l, CT_ZERO, err);
}

static tola_status open_scales(scheme_layout *l, tola_error *err) {
    const scheme_part *s = &l->parts[CT_SCALE], *order = &l->parts[CT_G_IDX], *global = &l->parts[CT_GLOBAL];
    TRY(part_check(&scheme_compressed, l, CT_SCALE, err));
    if (!is_scale_dtype(s->dtype)) return misfit(l, CT_SCALE, err);
    if (part_here(l, CT_PACKED) && l->params.code == SCHEME_FLOAT && l->params.grain != SCHEME_PER_BLOCK)
        l->params.group = 0; /* of floats the shapes tell it */
    TRY(grid_find(&scheme_compressed, l, CT_SCALE, err));
    TRY(open_zeros(l, err));
    if (part_here(l, CT_G_IDX)) {
        TRY(part_check(&scheme_compressed, l, CT_G_IDX, err));
        if (order->dtype != TOLA_DTYPE_I32 || part_elements(order) != l->cols) return misfit(l, CT_G_IDX, err);
        if (l->params.grain == SCHEME_PER_BLOCK) return misfit(l, CT_G_IDX, err);
    }
    if (part_here(l, CT_GLOBAL)) {
        TRY(part_check(&scheme_compressed, l, CT_GLOBAL, err));
        if (global->dtype != TOLA_DTYPE_F32 || part_elements(global) != 1) return misfit(l, CT_GLOBAL, err);
    }
    return TOLA_OK;
}

static bool is_float8(tola_dtype t) { return t == TOLA_DTYPE_F8_E4M3 || t == TOLA_DTYPE_F8_E5M2; }

static tola_status ct_open(scheme_layout *l, tola_error *err) {
    unsigned which = part_here(l, CT_PACKED) ? CT_PACKED : CT_WEIGHT;
    const scheme_part *w = &l->parts[which];
    if (w->n_dims != 2 && w->n_dims != 3) return TOLA_E_NOT_FOUND;
    if (which == CT_WEIGHT && w->dtype != TOLA_DTYPE_I8 && !is_float8(w->dtype)) return TOLA_E_NOT_FOUND;
    if (which == CT_PACKED && w->dtype != TOLA_DTYPE_I32 && w->dtype != TOLA_DTYPE_U8) return TOLA_E_NOT_FOUND;
    if (!part_here(l, CT_SCALE)) {
        if (which == CT_WEIGHT) return TOLA_E_NOT_FOUND;
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "weight_packed has no weight_scale beside it");
    }
    TRY(part_check(&scheme_compressed, l, which, err));
    l->matrices = w->n_dims == 3 ? w->shape[0] : 1;
    if (!mul_u64(w->shape[0], w->n_dims == 3 ? w->shape[1] : 1, &l->rows)) return misfit(l, which, err);
    uint64_t across = w->shape[w->n_dims - 1];
    if (which == CT_WEIGHT)
        TRY(open_plain(l, err));
    else if (w->dtype == TOLA_DTYPE_I32)
        TRY(open_packed_ints(l, across, err));
    else
        TRY(open_packed_floats(l, across, err));
    TRY(matrix_check(l->rows, l->cols, err));
    TRY(open_scales(l, err));
    tola_dtype scale = l->parts[CT_SCALE].dtype;
    l->params.scale = scale == TOLA_DTYPE_U8 ? TOLA_DTYPE_F8_E8M0 : scale;
    if (scale == TOLA_DTYPE_F16 || scale == TOLA_DTYPE_BF16) l->params.logical = scale;
    l->row_unit = 1;
    return TOLA_OK;
}

/* ---- decoding ---- */

typedef struct decoder {
    const scheme_layout *l;
    const void *const *data;
    scale_grid grid;
    float *scales, *zeros; /* of the row at hand; zeros NULL where there are none, else with the codes' offset */
    float offset;          /* of stored codes: 2^(bits-1) */
    const void *order;     /* g_idx, or NULL */
} decoder;

void ct_unpack_zeros(const void *data, unsigned bits, uint64_t row, size_t n, float *zeros) {
    uint64_t bit = row * bits, word = bit / 32;
    unsigned shift = (unsigned)(bit % 32), mask = (1u << bits) - 1;
    const uint8_t *low = (const uint8_t *)data + word * n * 4, *high = low + n * 4;
    for (size_t i = 0; i < n; i++) {
        uint32_t a, b = 0;
        memcpy(&a, low + 4 * i, 4);
        if (shift + bits > 32) memcpy(&b, high + 4 * i, 4);
        zeros[i] = (float)((uint32_t)((((uint64_t)b << 32) | a) >> shift) & mask);
    }
}

static int32_t group_of(const void *order, uint64_t column) {
    int32_t g;
    memcpy(&g, (const uint8_t *)order + column * sizeof g, sizeof g);
    return g;
}

/* -1 anywhere stands for columns in order, as the package before 0.15 has it. */
static tola_status check_order(decoder *d, tola_error *err) {
    const void *order = d->data[CT_G_IDX];
    if (!part_here(d->l, CT_G_IDX) || !order || d->l->params.grain != SCHEME_PER_GROUP) return TOLA_OK;
    for (uint64_t j = 0; j < d->l->cols; j++)
        if (group_of(order, j) == -1) return TOLA_OK;
    for (uint64_t j = 0; j < d->l->cols; j++) {
        int32_t g = group_of(order, j);
        if (g < 0 || (uint64_t)g >= d->grid.across)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                           "weight_g_idx puts column %" PRIu64 " into group %" PRId32 " of %" PRIu64, j, g,
                           d->grid.across);
    }
    d->order = order;
    return TOLA_OK;
}

static void load_row_scales(decoder *d, uint64_t row) {
    const scheme_layout *l = d->l;
    size_t n = (size_t)d->grid.across;
    uint64_t at = grid_row(&d->grid, row);
    tola_dtype zero = l->parts[CT_ZERO].dtype;
    scales_load(l->parts[CT_SCALE].dtype, d->data[CT_SCALE], at, n, d->scales);
    if (part_here(l, CT_GLOBAL)) {
        float global;
        memcpy(&global, d->data[CT_GLOBAL], sizeof global);
        for (size_t i = 0; i < n; i++) d->scales[i] /= global;
    }
    if (!d->zeros) return;
    if (zero == TOLA_DTYPE_I32 && part_here(l, CT_PACKED)) {
        ct_unpack_zeros(d->data[CT_ZERO], l->params.bits, row, n, d->zeros);
        return;
    }
    scales_load(zero, d->data[CT_ZERO], at, n, d->zeros);
    for (size_t i = 0; i < n; i++) d->zeros[i] += d->offset;
}

/* dst[j] = (codes[j] - zero) * scale for columns [first, first + n). */
static void apply_ints(const decoder *d, const uint8_t *codes, uint64_t first, size_t n, float *dst) {
    if (d->order) {
        for (size_t j = 0; j < n; j++) {
            size_t g = (size_t)group_of(d->order, first + j);
            dst[j] = ((float)codes[j] - (d->zeros ? d->zeros[g] : d->offset)) * d->scales[g];
        }
        return;
    }
    for (size_t j = 0; j < n;) {
        uint64_t block = (first + j) / d->grid.block_cols, end = (block + 1) * d->grid.block_cols - first;
        size_t stop = end < n ? (size_t)end : n;
        float scale = d->scales[block], zero = d->zeros ? d->zeros[block] : d->offset;
        for (; j < stop; j++) dst[j] = ((float)codes[j] - zero) * scale;
    }
}

static void decode_ints(const decoder *d, uint64_t row, float *dst) {
    const scheme_layout *l = d->l;
    uint8_t codes[CHUNK];
    bool packed = part_here(l, CT_PACKED);
    const scheme_part *part = &l->parts[packed ? CT_PACKED : CT_WEIGHT];
    size_t row_bytes = (size_t)part->shape[part->n_dims - 1] * (packed ? 4 : 1);
    const uint8_t *src = (const uint8_t *)d->data[packed ? CT_PACKED : CT_WEIGHT] + row * row_bytes;
    for (uint64_t first = 0; first < l->cols; first += CHUNK) {
        size_t n = l->cols - first < CHUNK ? (size_t)(l->cols - first) : CHUNK;
        size_t at = (size_t)first / 8 * (packed ? l->params.bits : 8);
        if (packed) {
            codes_unpack(src + at, row_bytes - at, l->params.bits, codes, n);
        } else {
            for (size_t j = 0; j < n; j++) codes[j] = src[at + j] ^ 0x80;
        }
        apply_ints(d, codes, first, n, dst + first);
    }
}

/* The row of codes becomes f32 in place of the result, then is scaled there. */
static void decode_floats(const decoder *d, uint64_t row, float *dst) {
    const scheme_layout *l = d->l;
    unsigned which = part_here(l, CT_PACKED) ? CT_PACKED : CT_WEIGHT;
    const scheme_part *part = &l->parts[which];
    const uint8_t *src = (const uint8_t *)d->data[which] + row * part->shape[part->n_dims - 1];
    size_t n = (size_t)l->cols;
    floats_unpack(l->params.element, src, dst, n);
    if (d->zeros)
        for (size_t j = 0; j < n; j++) dst[j] -= d->zeros[j / d->grid.block_cols];
    row_scale(dst, 0, n, d->grid.block_cols, d->scales);
}

static tola_status ct_decode(const scheme_layout *l, const void *const data[SCHEME_MAX_PARTS], uint64_t first,
                             uint64_t count, float *dst, tola_error *err) {
    if (count == 0 || l->cols == 0) return TOLA_OK;
    bool ints = l->params.code == SCHEME_INT;
    decoder d = { .l = l, .data = data, .grid = grid_of(l), .offset = 0 };
    if (ints) d.offset = (float)(1 << ((part_here(l, CT_PACKED) ? l->params.bits : 8) - 1));
    TRY(check_order(&d, err));
    size_t n = (size_t)d.grid.across;
    d.scales = mem_calloc(n, 2 * sizeof *d.scales);
    if (!d.scales) return err_nomem(err, "decoding a matrix");
    if (part_here(l, CT_ZERO)) d.zeros = d.scales + n;
    for (uint64_t r = first; r < first + count; r++, dst += l->cols) {
        load_row_scales(&d, r);
        if (ints)
            decode_ints(&d, r, dst);
        else
            decode_floats(&d, r, dst);
    }
    mem_free(d.scales);
    return TOLA_OK;
}

const scheme scheme_compressed = {
    .name = "compressed-tensors",
    .suffixes = { "weight", "weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx",
                  "weight_global_scale", "input_scale", "input_zero_point", "input_global_scale", "output_scale",
                  "output_zero_point", NULL },
    .small_parts = 1u << CT_SHAPE,
    .recognize = ct_recognize,
    .open = ct_open,
    .decode = ct_decode,
    .plan = ct_plan,
    .state_bytes = ct_state_bytes,
    .measure = ct_measure,
    .encode = ct_encode,
    .finish = ct_finish,
    .write_config = ct_write_config,
};
