/* See scheme_parts.h. */
#include "codecs/scheme_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codecs/codec.h"
#include "kernels/cast/cast.h"

/* ---- parts ---- */

uint64_t part_elements(const scheme_part *p) {
    uint64_t n = 1;
    for (unsigned d = 0; d < p->n_dims; d++)
        if (!mul_u64(n, p->shape[d], &n)) return UINT64_MAX;
    return n;
}

bool part_is(const scheme_part *p, tola_dtype dtype, uint64_t a, uint64_t b) {
    return p->dtype == dtype && p->n_dims == 2 && p->shape[0] == a && p->shape[1] == b;
}

static void shape_text(const scheme_part *p, char *text, size_t cap) {
    size_t at = 0;
    text[0] = '\0';
    for (unsigned d = 0; d < p->n_dims && at + 24 < cap; d++)
        at += (size_t)snprintf(text + at, cap - at, "%s%" PRIu64, d ? ", " : "", p->shape[d]);
}

tola_status part_check(const scheme *s, const scheme_layout *l, unsigned i, tola_error *err) {
    const scheme_part *p = &l->parts[i];
    uint64_t elements = p->n_dims <= 3 ? part_elements(p) : UINT64_MAX, bytes = 0;
    if (elements != UINT64_MAX && tola_dtype_size(p->dtype, elements, &bytes) == TOLA_OK && bytes == p->bytes)
        return TOLA_OK;
    char shape[128];
    shape_text(p, shape, sizeof shape);
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s [%s] of %s does not fit its %" PRIu64 " bytes",
                   s->suffixes[i], shape, tola_dtype_name(p->dtype), p->bytes);
}

tola_status part_plan(scheme_layout *l, unsigned i, tola_dtype dtype, uint16_t n_dims, uint64_t a, uint64_t b,
                      tola_error *err) {
    scheme_part *p = &l->parts[i];
    *p = (scheme_part){ .dtype = dtype, .n_dims = n_dims, .shape = { a, b } };
    uint64_t elements = part_elements(p);
    if (elements != UINT64_MAX && tola_dtype_size(dtype, elements, &p->bytes) == TOLA_OK) return TOLA_OK;
    return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a matrix of %" PRIu64 " x %" PRIu64 " is too large", l->rows,
                   l->cols);
}

tola_status matrix_check(uint64_t rows, uint64_t cols, tola_error *err) {
    uint64_t elements, bytes;
    if (mul_u64(rows, cols, &elements) && mul_u64(elements, sizeof(float), &bytes) && bytes <= INT64_MAX)
        return TOLA_OK;
    return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a matrix of %" PRIu64 " x %" PRIu64 " is too large", rows, cols);
}

tola_status part_contradicts(const scheme *s, const scheme_layout *l, unsigned i, tola_error *err) {
    char shape[128];
    shape_text(&l->parts[i], shape, sizeof shape);
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                   "%s [%s] of %s does not go with a matrix of %" PRIu64 " x %" PRIu64, s->suffixes[i], shape,
                   tola_dtype_name(l->parts[i].dtype), l->rows, l->cols);
}

/* ---- scales ---- */

scale_grid grid_of(const scheme_layout *l) {
    const scheme_params *p = &l->params;
    uint64_t rows = l->rows ? l->rows : 1, cols = l->cols ? l->cols : 1;
    scale_grid g = { rows, cols, 1, 1 };
    if (p->grain != SCHEME_PER_TENSOR) g.block_rows = p->grain == SCHEME_PER_BLOCK ? p->block_rows : 1;
    if (p->grain == SCHEME_PER_BLOCK) g.block_cols = p->block_cols;
    if (p->grain == SCHEME_PER_GROUP) g.block_cols = p->group;
    g.down = ceil_div(rows, g.block_rows);
    g.across = ceil_div(cols, g.block_cols);
    return g;
}

static bool grid_fits(const scheme_layout *l, uint64_t down, uint64_t across) {
    scale_grid g = grid_of(l);
    return g.down == down && g.across == across;
}

/* [rows, across], more than one across: groups, of the configuration's size or evenly. */
static bool find_groups(scheme_layout *l, uint64_t across) {
    scheme_params *p = &l->params;
    p->grain = SCHEME_PER_GROUP;
    if (p->group && grid_fits(l, l->rows, across)) return true;
    if (p->group || across == 0 || l->cols % across != 0 || l->cols / across > UINT32_MAX) return false;
    p->group = (uint32_t)(l->cols / across);
    return p->group > 0;
}

static bool find_blocks(scheme_layout *l, uint64_t down, uint64_t across) {
    scheme_params *p = &l->params;
    p->grain = SCHEME_PER_BLOCK;
    if (p->block_rows == 0 || p->block_cols == 0)
        p->block_rows = p->block_cols = 128; /* DeepSeek's, in use everywhere */
    return grid_fits(l, down, across);
}

tola_status grid_find(const scheme *s, scheme_layout *l, unsigned scales, tola_error *err) {
    scheme_params *p = &l->params;
    const scheme_part *part = &l->parts[scales];
    uint64_t n = part_elements(part), down = part->n_dims ? part->shape[0] : 1,
             across = part->n_dims == 2 ? part->shape[1] : 1;
    uint64_t rows = l->rows ? l->rows : 1;
    if (l->rows == 0 || l->cols == 0) { /* nothing to scale, whatever is there */
        p->grain = SCHEME_PER_TENSOR;
        return TOLA_OK;
    }
    if (part->n_dims == 3) { /* stacked matrices; their rows are counted together */
        if (!mul_u64(down, part->shape[1], &down)) return part_contradicts(s, l, scales, err);
        across = part->shape[2];
    }
    if (p->grain == SCHEME_PER_BLOCK && part->n_dims == 2 && find_blocks(l, down, across)) return TOLA_OK;
    if (n == 1)
        p->grain = SCHEME_PER_TENSOR;
    else if (down == rows && across == 1)
        p->grain = SCHEME_PER_CHANNEL;
    else if (part->n_dims >= 2 && down == rows && find_groups(l, across))
        return TOLA_OK;
    else if (part->n_dims == 2 && find_blocks(l, down, across))
        return TOLA_OK;
    else
        return part_contradicts(s, l, scales, err);
    return TOLA_OK;
}

bool is_scale_dtype(tola_dtype dtype) {
    return dtype == TOLA_DTYPE_F32 || dtype == TOLA_DTYPE_F16 || dtype == TOLA_DTYPE_BF16 ||
           dtype == TOLA_DTYPE_F8_E4M3 || dtype == TOLA_DTYPE_F8_E8M0 || dtype == TOLA_DTYPE_U8;
}

void scales_load(tola_dtype dtype, const void *data, uint64_t first, size_t n, float *dst) {
    const uint8_t *src = (const uint8_t *)data + first * tola_dtype_block_bytes(dtype);
    const cast_kernels *k = cast_get();
    switch (dtype) {
    case TOLA_DTYPE_F32: memcpy(dst, src, n * sizeof *dst); break;
    case TOLA_DTYPE_F16: k->f16_to_f32(src, dst, n, false); break;
    case TOLA_DTYPE_BF16: k->bf16_to_f32(src, dst, n, false); break;
    case TOLA_DTYPE_F8_E4M3: k->e4m3_to_f32(src, dst, n, false); break;
    case TOLA_DTYPE_U8:
    case TOLA_DTYPE_F8_E8M0: cast_e8m0_to_f32(src, dst, n); break;
    case TOLA_DTYPE_I8:
        for (size_t i = 0; i < n; i++) dst[i] = (float)(int8_t)src[i];
        break;
    default: /* i32 */
        for (size_t i = 0; i < n; i++) {
            int32_t v;
            memcpy(&v, src + i * sizeof v, sizeof v);
            dst[i] = (float)v;
        }
        break;
    }
}

/* ---- codes ---- */

/* Eight codes from `bits` bytes. */
static void unpack_eight(uint64_t v, unsigned bits, uint8_t *codes) {
    uint8_t mask = (uint8_t)((1u << bits) - 1);
    for (unsigned k = 0; k < 8; k++) codes[k] = (uint8_t)(v >> (bits * k)) & mask;
}

void codes_unpack(const uint8_t *src, size_t bytes, unsigned bits, uint8_t *codes, size_t n) {
    size_t i = 0;
    if (bits == 8) {
        memcpy(codes, src, n);
        return;
    }
    if (bits == 4) {
        for (; i + 2 <= n; i += 2) {
            codes[i] = src[i / 2] & 15;
            codes[i + 1] = src[i / 2] >> 4;
        }
        if (i < n) codes[i] = src[i / 2] & 15;
        return;
    }
    for (; i + 8 <= n && i / 8 * bits + 8 <= bytes; i += 8) {
        uint64_t v;
        memcpy(&v, src + i / 8 * bits, sizeof v);
        unpack_eight(v, bits, codes + i);
    }
    for (; i < n; i += 8) {
        uint64_t v = 0;
        size_t at = i / 8 * bits, left = bytes - at < bits ? bytes - at : bits;
        uint8_t last[8];
        memcpy(&v, src + at, left);
        unpack_eight(v, bits, last);
        memcpy(codes + i, last, n - i < 8 ? n - i : 8);
    }
}

void codes_pack(const uint8_t *codes, size_t n, unsigned bits, uint8_t *dst, size_t bytes) {
    size_t at = 0;
    for (size_t i = 0; i < n; i += 8) {
        uint8_t eight[8] = { 0 };
        memcpy(eight, codes + i, n - i < 8 ? n - i : 8);
        uint64_t v = 0;
        for (unsigned k = 0; k < 8; k++) v |= (uint64_t)eight[k] << (bits * k);
        size_t room = bytes - at < bits ? bytes - at : bits;
        memcpy(dst + at, &v, room);
        at += room;
    }
    memset(dst + at, 0, bytes - at);
}

void floats_unpack(tola_dtype element, const uint8_t *src, float *dst, size_t n) {
    /* both types are codec's own; only unknown pairs fail */
    tola_status status = codec_convert(element, TOLA_DTYPE_F32, src, dst, n, TOLA_OVERFLOW_IEEE, NULL);
    (void)status;
}

void row_scale(float *dst, uint64_t first, size_t n, uint64_t block_cols, const float *scales) {
    for (size_t j = 0; j < n;) {
        uint64_t column = first + j, block = column / block_cols, end = (block + 1) * block_cols - first;
        size_t stop = end < n ? (size_t)end : n;
        float scale = scales[block];
        for (; j < stop; j++) dst[j] *= scale;
    }
}

/* ---- quantization_config ---- */

const char *config_str(const tola_value *map, const char *key) { return tola_value_str(tola_value_get(map, key), ""); }

bool config_is(const tola_value *map, const char *key, const char *text) {
    return strcmp(config_str(map, key), text) == 0;
}
