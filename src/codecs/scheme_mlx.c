/* MLX (https://ml-explore.github.io/mlx, mlx.core.quantize): rows of codes in u32 words, lowest bits first, with a
 * scale and an offset for each group of 32, 64 or 128 columns.
 *
 *   weight u32 [..., rows, cols * bits / 32]   2, 3, 4, 5, 6 or 8 bits; codes run across words
 *   scales, biases f16, bf16 or f32 [..., rows, cols / group];  w = scale * code + bias
 * Without biases the mode is "mxfp4": 4-bit e2m1 codes, u8 e8m0 scales for 32 columns each. Experts are stacked in
 * front. */
#include <inttypes.h>
#include <string.h>

#include "codecs/codec.h"
#include "codecs/scheme_parts.h"

enum { WEIGHT, SCALES, BIASES };

static tola_status mlx_recognize(const tola_value *config, scheme_params *params, tola_error *err) {
    if (!config) return TOLA_OK;
    const tola_value *bits = tola_value_get(config, "bits"), *group = tola_value_get(config, "group_size");
    if (tola_value_get(config, "quant_method") || !bits || !group) return TOLA_E_NOT_FOUND;
    if (tola_value_get(config, "desc_act")) return TOLA_E_NOT_FOUND; /* AutoGPTQ's quantize_config.json */
    const char *mode = tola_value_str(tola_value_get(config, "mode"), "affine");
    if (strcmp(mode, "affine") != 0 && strcmp(mode, "mxfp4") != 0)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "MLX's mode '%.40s' is not understood", mode);
    params->bits = (uint8_t)tola_value_u64(bits, 0);
    uint64_t size = tola_value_u64(group, 0);
    params->group = size <= UINT32_MAX ? (uint32_t)size : 0;
    params->grain = SCHEME_PER_GROUP;
    return TOLA_OK;
}

/* Layers may have bits and a group of their own: {"model.layers.0.mlp": {"group_size": 64, "bits": 8}}. */
static tola_status mlx_module(const tola_value *config, const char *module, scheme_params *params, tola_error *err) {
    (void)err;
    const tola_value *own = tola_value_get(config, module);
    if (!own) return TOLA_OK;
    if (own->kind == TOLA_VALUE_BOOL && !own->as.boolean) return TOLA_E_NOT_FOUND;
    params->bits = (uint8_t)tola_value_u64(tola_value_get(own, "bits"), params->bits);
    params->group = (uint32_t)tola_value_u64(tola_value_get(own, "group_size"), params->group);
    return TOLA_OK;
}

static bool is_real(tola_dtype dtype) {
    return dtype == TOLA_DTYPE_F16 || dtype == TOLA_DTYPE_BF16 || dtype == TOLA_DTYPE_F32;
}

/* Columns by the group's size; then the bits follow from the words of a row. */
static tola_status find_columns(scheme_layout *l, uint64_t words, uint64_t groups, tola_error *err) {
    uint64_t group = l->params.group ? l->params.group : 64, stored;
    if (!mul_u64(groups, group, &l->cols) || !mul_u64(words, 32, &stored))
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "rows of %" PRIu64 " words are too long", words);
    uint64_t bits = l->cols ? stored / l->cols : 0;
    bool known = bits == 2 || bits == 3 || bits == 4 || bits == 5 || bits == 6 || bits == 8;
    if (!known || group % 8 || bits * l->cols != stored || (l->params.bits && bits != l->params.bits))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "rows of %" PRIu64 " words and %" PRIu64 " groups of %" PRIu64 " columns do not go together",
                       words, groups, group);
    l->params.bits = (uint8_t)bits;
    l->params.group = (uint32_t)group;
    return TOLA_OK;
}

static tola_status mlx_open(scheme_layout *l, tola_error *err) {
    const scheme_part *w = &l->parts[WEIGHT], *s = &l->parts[SCALES], *b = &l->parts[BIASES];
    if (w->dtype != TOLA_DTYPE_U32 || s->dtype == TOLA_DTYPE_NONE) return TOLA_E_NOT_FOUND; /* not quantized */
    bool mxfp4 = s->dtype == TOLA_DTYPE_U8 && b->dtype == TOLA_DTYPE_NONE;
    bool typed = mxfp4 || (is_real(s->dtype) && b->dtype == s->dtype);
    if (w->n_dims < 2 || w->n_dims > 3 || s->n_dims != w->n_dims || !typed)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "packed weights need scales and biases of one type beside them");
    unsigned last = w->n_dims - 1u;
    bool same = mxfp4 || (b->n_dims == s->n_dims && memcmp(b->shape, s->shape, s->n_dims * sizeof *s->shape) == 0);
    for (unsigned d = 0; d < last; d++) same = same && s->shape[d] == w->shape[d];
    if (!same)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "scales or biases have another shape than the weights");
    l->params.code = mxfp4 ? SCHEME_FLOAT : SCHEME_INT;
    if (mxfp4) {
        l->params.element = TOLA_DTYPE_F4;
        l->params.group = 32;
        l->params.bits = 4;
    } else {
        l->params.logical = s->dtype;
    }
    l->params.scale = s->dtype;
    TRY(find_columns(l, w->shape[last], s->shape[last], err));
    l->matrices = last == 2 ? w->shape[0] : 1;
    l->row_unit = 1;
    if (!mul_u64(l->matrices, w->shape[last - 1], &l->rows)) l->rows = UINT64_MAX;
    return matrix_check(l->rows, l->cols, err);
}

/* One group: code k lies at bit k * bits of `codes`, which has `group * bits / 8` bytes. */
static void decode_group(const uint8_t *codes, unsigned bits, unsigned n, float scale, float bias, float *dst) {
    unsigned mask = (1u << bits) - 1, held = 0;
    uint32_t window = 0;
    for (unsigned i = 0; i < n; i++) {
        if (held < bits) {
            window |= (uint32_t)*codes++ << held;
            held += 8;
        }
        dst[i] = scale * (float)(window & mask) + bias;
        window >>= bits;
        held -= bits;
    }
}

static void scale_group(const float *codes, unsigned n, float scale, float *dst) {
    for (unsigned i = 0; i < n; i++) dst[i] = scale * codes[i];
}

static tola_status mlx_decode(const scheme_layout *l, const void *const data[SCHEME_MAX_PARTS], uint64_t first,
                              uint64_t count, float *dst, tola_error *err) {
    (void)err;
    unsigned group = l->params.group, bits = l->params.bits;
    size_t unit = tola_dtype_block_bytes(l->params.scale), code_bytes = (size_t)group * bits / 8;
    tola_dtype scale_type = l->params.code == SCHEME_FLOAT ? TOLA_DTYPE_F8_E8M0 : l->params.scale;
    uint64_t groups = l->cols / group, g = first * groups;
    const uint8_t *codes = (const uint8_t *)data[WEIGHT] + g * code_bytes;
    for (uint64_t end = g + count * groups; g < end; g++, codes += code_bytes, dst += group) {
        float scale, bias = 0;
        TRY(codec_convert(scale_type, TOLA_DTYPE_F32, (const uint8_t *)data[SCALES] + g * unit, &scale, 1,
                          TOLA_OVERFLOW_IEEE, NULL));
        if (l->params.code == SCHEME_FLOAT) {
            TRY(codec_convert(TOLA_DTYPE_F4, TOLA_DTYPE_F32, codes, dst, group, TOLA_OVERFLOW_IEEE, NULL));
            scale_group(dst, group, scale, dst);
            continue;
        }
        TRY(codec_convert(scale_type, TOLA_DTYPE_F32, (const uint8_t *)data[BIASES] + g * unit, &bias, 1,
                          TOLA_OVERFLOW_IEEE, NULL));
        decode_group(codes, bits, group, scale, bias, dst);
    }
    return TOLA_OK;
}

const scheme scheme_mlx = {
    .name = "mlx",
    .suffixes = { "weight", "scales", "biases" },
    .recognize = mlx_recognize,
    .module = mlx_module,
    .open = mlx_open,
    .decode = mlx_decode,
};
