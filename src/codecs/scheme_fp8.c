/* FP8 with scales beside it, as DeepSeek, FBGEMM and NVIDIA's modelopt name the parts, and modelopt's NVFP4.
 *
 *   DeepSeek-V3 (https://huggingface.co/deepseek-ai/DeepSeek-V3, inference/kernel.py; "quant_method": "fp8"):
 *     weight f8_e4m3 [rows, cols], weight_scale_inv f32 [ceil(rows / 128), ceil(cols / 128)], w = code * scale_inv
 *     (a power of two where scale_fmt is ue8m0); the later models' own files call it "scale"
 *   per tensor or row ("fp8", "fbgemm_fp8", modelopt's "FP8"): weight f8_e4m3, weight_scale of one element or one a row
 *   modelopt "NVFP4" (https://github.com/NVIDIA/TensorRT-Model-Optimizer): weight u8 [rows, cols / 2], low nibble
 * first, weight_scale f8_e4m3 [rows, cols / 16], weight_scale_2 f32; w = code * (weight_scale * weight_scale_2)
 * input_scale and the like belong to activations. */
#include <string.h>

#include "codecs/scheme_f8.h"
#include "codecs/scheme_linear.h"

enum { WEIGHT, SCALE_INV, SCALE, SCALE_2, OWN_SCALE, INPUT_SCALE, INPUT_SCALE_UB, ACTIVATION_SCALE, OUTPUT_SCALE };

/* ---- quantization_config ---- */

static bool is_modelopt(const tola_value *config) {
    return strncmp(config_str(config, "quant_method"), "modelopt", 8) == 0 ||
           config_is(tola_value_get(config, "producer"), "name", "modelopt");
}

static tola_status recognize_modelopt(const tola_value *config, tola_error *err) {
    static const char *const known[] = {
        "", "FP8", "NVFP4", "W4A16_NVFP4", "MIXED_PRECISION", "FP8_PER_CHANNEL_PER_TOKEN", "FP8_PB_WO"
    };
    const char *algorithm = config_str(config, "quant_algo");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(algorithm, known[i]) == 0) return TOLA_OK;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "modelopt's '%.40s' is not understood", algorithm);
}

static tola_status fp8_recognize(const tola_value *config, scheme_params *params, tola_error *err) {
    if (!config) return TOLA_OK;
    if (is_modelopt(config)) return recognize_modelopt(config, err);
    if (!config_is(config, "quant_method", "fp8") && !config_is(config, "quant_method", "fbgemm_fp8"))
        return TOLA_E_NOT_FOUND;
    const tola_value *block = tola_value_get(config, "weight_block_size");
    tola_value rows = tola_value_at(block, 0), cols = tola_value_at(block, 1);
    uint64_t r = tola_value_u64(&rows, 0), c = tola_value_u64(&cols, 0);
    if (!block || block->kind == TOLA_VALUE_NULL) return TOLA_OK;
    if (r == 0 || c == 0 || r > UINT32_MAX || c > UINT32_MAX)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "weight_block_size is not two positive whole numbers");
    params->block_rows = (uint32_t)r;
    params->block_cols = (uint32_t)c;
    return TOLA_OK;
}

static void fp8_write_config(const scheme_params *p, const char *const *ignore, size_t ignored, tola_json *out) {
    tola_json_begin_object(out);
    tola_json_key(out, "quant_method");
    tola_json_string(out, "fp8");
    tola_json_key(out, "fmt");
    tola_json_string(out, "e4m3");
    tola_json_key(out, "activation_scheme");
    tola_json_string(out, "dynamic");
    tola_json_key(out, "weight_block_size");
    tola_json_begin_array(out);
    tola_json_u64(out, p->block_rows ? p->block_rows : 128);
    tola_json_u64(out, p->block_cols ? p->block_cols : 128);
    tola_json_end_array(out);
    tola_json_key(out, "modules_to_not_convert");
    tola_json_begin_array(out);
    for (size_t i = 0; i < ignored; i++) tola_json_string(out, ignore[i]);
    tola_json_end_array(out);
    tola_json_end_object(out);
}

/* ---- opening ---- */

static tola_status misfit(const scheme_layout *l, unsigned part, tola_error *err) {
    return part_contradicts(&scheme_fp8, l, part, err);
}

/* Which part holds the scales; WEIGHT where none does. */
static unsigned scale_part(const scheme_layout *l) {
    static const uint8_t names[] = { SCALE_INV, SCALE, OWN_SCALE };
    for (unsigned i = 0; i < sizeof names; i++)
        if (part_here(l, names[i])) return names[i];
    return WEIGHT;
}

static tola_status open_fp4(scheme_layout *l, unsigned scale, tola_error *err) {
    const scheme_part *w = &l->parts[WEIGHT], *s = &l->parts[scale], *global = &l->parts[SCALE_2];
    if (!part_here(l, SCALE_2) || s->dtype != TOLA_DTYPE_F8_E4M3) return TOLA_E_NOT_FOUND;
    TRY(part_check(&scheme_fp8, l, SCALE_2, err));
    if (global->dtype != TOLA_DTYPE_F32 || part_elements(global) != 1) return misfit(l, SCALE_2, err);
    if (!mul_u64(w->shape[w->n_dims - 1], 2, &l->cols)) return misfit(l, WEIGHT, err);
    l->params.element = TOLA_DTYPE_F4;
    l->params.bits = 4;
    return TOLA_OK;
}

static tola_status fp8_open(scheme_layout *l, tola_error *err) {
    const scheme_part *w = &l->parts[WEIGHT];
    unsigned scale = scale_part(l);
    bool f8 = w->dtype == TOLA_DTYPE_F8_E4M3 || w->dtype == TOLA_DTYPE_F8_E5M2 || w->dtype == TOLA_DTYPE_F8_E4M3FNUZ ||
              w->dtype == TOLA_DTYPE_F8_E5M2FNUZ;
    if (w->n_dims != 2 && w->n_dims != 3) return TOLA_E_NOT_FOUND;
    if (f8 && scale == WEIGHT && l->params.block_rows > 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "8-bit floats without the scales of their blocks");
    if (scale == WEIGHT || (!f8 && w->dtype != TOLA_DTYPE_U8)) return TOLA_E_NOT_FOUND;
    TRY(part_check(&scheme_fp8, l, WEIGHT, err));
    TRY(part_check(&scheme_fp8, l, scale, err));
    l->matrices = w->n_dims == 3 ? w->shape[0] : 1;
    if (!mul_u64(w->shape[0], w->n_dims == 3 ? w->shape[1] : 1, &l->rows)) return misfit(l, WEIGHT, err);
    l->cols = w->shape[w->n_dims - 1];
    l->params.code = SCHEME_FLOAT;
    l->params.symmetric = true;
    if (f8) {
        l->params.element = w->dtype;
        l->params.bits = 8;
    } else {
        TRY(open_fp4(l, scale, err));
    }
    TRY(matrix_check(l->rows, l->cols, err));
    tola_dtype dtype = l->parts[scale].dtype;
    if (!is_scale_dtype(dtype)) return misfit(l, scale, err);
    TRY(grid_find(&scheme_fp8, l, scale, err));
    l->params.scale = dtype == TOLA_DTYPE_U8 ? TOLA_DTYPE_F8_E8M0 : dtype;
    if (dtype == TOLA_DTYPE_F16 || dtype == TOLA_DTYPE_BF16) l->params.logical = dtype;
    l->row_unit = 1;
    return TOLA_OK;
}

/* ---- decoding ---- */

static tola_status fp8_decode(const scheme_layout *l, const void *const data[SCHEME_MAX_PARTS], uint64_t first,
                              uint64_t count, float *dst, tola_error *err) {
    if (count == 0 || l->cols == 0) return TOLA_OK;
    const scheme_part *w = &l->parts[WEIGHT];
    unsigned scale = scale_part(l);
    scale_grid g = grid_of(l);
    uint64_t row_bytes = w->shape[w->n_dims - 1];
    float global = 1, *scales = mem_alloc((size_t)g.across * sizeof *scales);
    if (!scales) return err_nomem(err, "decoding a matrix");
    bool fp4 = l->params.element == TOLA_DTYPE_F4;
    if (fp4) memcpy(&global, data[SCALE_2], sizeof global);
    for (uint64_t r = first; r < first + count; r++, dst += l->cols) {
        if (r == first || r % g.block_rows == 0)
            scales_load(l->parts[scale].dtype, data[scale], grid_row(&g, r), (size_t)g.across, scales);
        if (fp4 && (r == first || r % g.block_rows == 0))
            for (uint64_t k = 0; k < g.across; k++) scales[k] *= global;
        floats_unpack(l->params.element, (const uint8_t *)data[WEIGHT] + r * row_bytes, dst, (size_t)l->cols);
        row_scale(dst, 0, (size_t)l->cols, g.block_cols, scales);
    }
    mem_free(scales);
    return TOLA_OK;
}

/* ---- writing: DeepSeek's blocks ---- */

static tola_status fp8_plan(scheme_layout *l, tola_error *err) {
    scheme_params *p = &l->params;
    if ((p->code != SCHEME_CODE_ANY && p->code != SCHEME_FLOAT) ||
        (p->element != TOLA_DTYPE_NONE && p->element != TOLA_DTYPE_F8_E4M3) ||
        (p->grain != SCHEME_GRAIN_ANY && p->grain != SCHEME_PER_BLOCK))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "only blocks of f8_e4m3 are written as fp8");
    p->code = SCHEME_FLOAT;
    p->element = TOLA_DTYPE_F8_E4M3;
    p->bits = 8;
    p->grain = SCHEME_PER_BLOCK;
    p->symmetric = true;
    p->scale = TOLA_DTYPE_F32;
    if (p->logical == TOLA_DTYPE_NONE) p->logical = TOLA_DTYPE_BF16;
    if (p->block_rows == 0 || p->block_cols == 0) p->block_rows = p->block_cols = 128;
    TRY(matrix_check(l->rows, l->cols, err));
    memset(l->parts, 0, sizeof l->parts);
    l->matrices = 1;
    l->row_unit = p->block_rows;
    l->two_passes = false;
    TRY(part_plan(l, WEIGHT, TOLA_DTYPE_F8_E4M3, 2, l->rows, l->cols, err));
    return part_plan(l, SCALE_INV, TOLA_DTYPE_F32, 2, ceil_div(l->rows, p->block_rows),
                     ceil_div(l->cols, p->block_cols), err);
}

static size_t fp8_state_bytes(const scheme_layout *l) {
    (void)l;
    return 0;
}

static tola_status fp8_encode(const scheme_layout *l, void *state, const float *rows, uint64_t first, uint64_t count,
                              const float *importance, scheme_sink sink, void *user, tola_error *err) {
    (void)state;
    (void)importance; /* a float's error is relative: clipping gains nothing */
    if (count == 0 || l->cols == 0) return TOLA_OK;
    scale_grid g = grid_of(l);
    uint64_t blocks = ceil_div(count, g.block_rows) * g.across;
    uint8_t *codes = mem_alloc((size_t)(count * l->cols));
    float *scales = mem_alloc((size_t)blocks * sizeof *scales);
    tola_status status = codes && scales ? TOLA_OK : err_nomem(err, "encoding a matrix");
    if (status == TOLA_OK) {
        f8_encode(rows, count, l->cols, &g, TOLA_DTYPE_F32, NULL, scales, codes);
        status = sink(user, WEIGHT, first * l->cols, codes, (size_t)(count * l->cols), err);
    }
    if (status == TOLA_OK)
        status =
            sink(user, SCALE_INV, grid_row(&g, first) * sizeof *scales, scales, (size_t)blocks * sizeof *scales, err);
    mem_free(codes);
    mem_free(scales);
    return status;
}

const scheme scheme_fp8 = {
    .name = "fp8",
    .suffixes = { "weight", "weight_scale_inv", "weight_scale", "weight_scale_2", "scale", "input_scale",
                  "input_scale_ub", "activation_scale", "output_scale", NULL },
    .recognize = fp8_recognize,
    .open = fp8_open,
    .decode = fp8_decode,
    .plan = fp8_plan,
    .state_bytes = fp8_state_bytes,
    .encode = fp8_encode,
    .write_config = fp8_write_config,
};
