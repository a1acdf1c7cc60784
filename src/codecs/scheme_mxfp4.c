/* gpt-oss' MXFP4 experts: https://huggingface.co/openai/gpt-oss-20b, transformers/integrations/mxfp4.py.
 *
 *   <name>_blocks u8 [experts, out, in / 32, 16], two e2m1 codes to a byte, low nibble first; <name>_scales u8
 *   [experts, out, in / 32], e8m0
 * The tensor that they stand for, mlp.experts.gate_up_proj or down_proj, is [experts, in, out]: the model multiplies by
 * it from the right. So rows here are inputs, and a row of blocks is a column. Read only. */
#include <string.h>

#include "codecs/scheme_parts.h"
#include "kernels/cast/cast.h"

enum { BLOCKS, SCALES };

#define GROUP 32
#define HALF 16 /* bytes of a group */

static tola_status mx_recognize(const tola_value *config, scheme_params *params, tola_error *err) {
    (void)params;
    (void)err;
    return !config || config_is(config, "quant_method", "mxfp4") ? TOLA_OK : TOLA_E_NOT_FOUND;
}

static tola_status mx_open(scheme_layout *l, tola_error *err) {
    const scheme_part *b = &l->parts[BLOCKS], *s = &l->parts[SCALES];
    if (b->dtype == TOLA_DTYPE_U8 && b->n_dims == 4 && b->shape[3] == HALF && s->dtype == TOLA_DTYPE_NONE)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "blocks of codes without their scales");
    if (b->dtype != TOLA_DTYPE_U8 || s->dtype != TOLA_DTYPE_U8 || b->n_dims != 4 || s->n_dims != 3)
        return TOLA_E_NOT_FOUND;
    uint64_t bytes, in, rows, elements = part_elements(s);
    l->cols = b->shape[1];
    bool same = b->shape[0] == s->shape[0] && b->shape[1] == s->shape[1] && b->shape[2] == s->shape[2];
    if (!same || b->shape[3] != HALF || elements != s->bytes || !mul_u64(elements, HALF, &bytes) || bytes != b->bytes)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "blocks are not 16 bytes of u8 for each of the scales beside them");
    if (!mul_u64(b->shape[2], GROUP, &in) || !mul_u64(b->shape[0], in, &rows)) return matrix_check(UINT64_MAX, 2, err);
    l->matrices = b->shape[0];
    l->rows = rows;
    l->row_unit = GROUP;
    scheme_params *p = &l->params;
    p->code = SCHEME_FLOAT;
    p->bits = 4;
    p->grain = SCHEME_PER_GROUP;
    p->group = GROUP;
    p->symmetric = true;
    p->element = TOLA_DTYPE_F4;
    p->scale = TOLA_DTYPE_F8_E8M0;
    if (p->logical == TOLA_DTYPE_NONE) p->logical = TOLA_DTYPE_BF16;
    return matrix_check(l->rows, l->cols, err);
}

/* Inputs [from, to) of one group of one output, each a row of dst further down. */
static void decode_group(const uint8_t *codes, float scale, const float *values, unsigned from, unsigned to, float *dst,
                         uint64_t stride) {
    for (unsigned i = from; i < to; i++, dst += stride) *dst = values[codes[i / 2] >> (i % 2 * 4) & 15] * scale;
}

static tola_status mx_decode(const scheme_layout *l, const void *const data[SCHEME_MAX_PARTS], uint64_t first,
                             uint64_t count, float *dst, tola_error *err) {
    (void)err;
    uint8_t all[16];
    float values[16];
    for (unsigned k = 0; k < 16; k++) all[k] = (uint8_t)k;
    cast_small_to_f32(&cast_e2m1, all, values, 16);
    uint64_t out = l->cols, groups = l->parts[BLOCKS].shape[2], in = groups * GROUP, end = first + count;
    const uint8_t *blocks = data[BLOCKS], *scales = data[SCALES];
    for (uint64_t row = first; row < end;) { /* to the end of the group of inputs that `row` lies in */
        uint64_t expert = row / in, group = row % in / GROUP;
        unsigned from = (unsigned)(row % GROUP), to = end - row < GROUP - from ? from + (unsigned)(end - row) : GROUP;
        for (uint64_t j = 0; j < out; j++) {
            uint64_t at = (expert * out + j) * groups + group;
            float scale;
            cast_e8m0_to_f32(scales + at, &scale, 1);
            decode_group(blocks + at * HALF, scale, values, from, to, dst + j, out);
        }
        dst += (to - from) * out;
        row += to - from;
    }
    return TOLA_OK;
}

const scheme scheme_mxfp4 = {
    .name = "mxfp4",
    .suffixes = { "blocks", "scales", NULL },
    .bare = true,
    .recognize = mx_recognize,
    .open = mx_open,
    .decode = mx_decode,
};
