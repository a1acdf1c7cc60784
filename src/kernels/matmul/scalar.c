/* The definition of a product, one row with one token, as matmul.h says it. */
#include "kernels/cast/scalar.h"
#include "kernels/matmul/matmul_kernels.h"
#include <math.h>
#include <string.h>

static float small_blocks(tola_dtype weights, const uint8_t *row, const matmul_acts *x, size_t token) {
    const matmul_type *type = matmul_type_get(weights);
    const size_t block = tola_dtype_block_elements(weights), bytes = tola_dtype_block_bytes(weights);
    const int8_t *q = x->q + token * x->q_stride;
    const float *d = x->d + token * x->d_stride;
    const int16_t *sums = x->sums + token * x->sums_stride;
    float acc = 0;
    for (size_t at = 0; at < x->k; at += block, row += bytes) {
        matmul_codes c;
        type->codes(row, &c);
        for (size_t i = 0; i < block; i += type->group) {
            size_t g = i / type->group;
            int isum = 0;
            for (size_t j = i; j < i + type->group; j++) isum += c.q[j] * q[at + j];
            float dx = d[(at + i) / 32];
            acc = fmaf((float)isum, c.d[g] * dx, acc);
            if (!type->minima) continue;
            const int16_t *s = sums + (at + i) / 16;
            acc = fmaf(c.min[g], dx * (float)(s[0] + s[1]), acc);
        }
    }
    return acc;
}

static float super_blocks(tola_dtype weights, const uint8_t *row, const matmul_acts *x, size_t token) {
    const matmul_type *type = matmul_type_get(weights);
    const size_t block = tola_dtype_block_elements(weights), bytes = tola_dtype_block_bytes(weights);
    const int8_t *q = x->q + token * x->q_stride;
    const float *d = x->d + token * x->d_stride;
    const int16_t *sums = x->sums + token * x->sums_stride;
    float acc = 0;
    for (size_t at = 0; at < x->k; at += block, row += bytes) {
        matmul_codes c;
        type->codes(row, &c);
        int sum = 0, minima = 0;
        for (size_t i = 0; i < block; i++) sum += c.q[i] * q[at + i] * c.sc[i / 16];
        float dx = d[at / block];
        acc = fmaf((float)sum, c.d[0] * dx, acc);
        if (!type->minima) continue;
        for (size_t j = 0; j < block / 16; j++) minima += c.m[j] * sums[at / 16 + j];
        acc = fmaf((float)minima, -(c.min[0] * dx), acc);
    }
    return acc;
}

/* Elements [at, at + n) of a row of floats, n <= 16, and zeros up to 16. */
static void sixteen(tola_dtype weights, const uint8_t *row, size_t at, size_t n, float out[16]) {
    matmul_convert_fn convert = matmul_to_f32(weights);
    const uint8_t *from = row + at * tola_dtype_block_bytes(weights);
    memset(out, 0, 16 * sizeof *out);
    if (convert) convert(from, out, n);
    else memcpy(out, from, n * sizeof *out);
}

/* The same of an activation that is kept as two bf16; `at` is a multiple of 16. */
static void sixteen_split(const uint16_t *values, size_t at, float out[16]) {
    const uint16_t *first = values + at / 32 * 64 + at % 32 / 16;
    for (int l = 0; l < 16; l++)
        out[l] = cast_f32_from_bits((uint32_t)first[2 * l] << 16) +
                 cast_f32_from_bits((uint32_t)first[2 * l + 32] << 16);
}

static float floats(tola_dtype weights, const uint8_t *row, const matmul_acts *x, size_t token) {
    const tola_dtype kept = x->wide ? TOLA_DTYPE_F32 : TOLA_DTYPE_BF16;
    const uint8_t *values = (const uint8_t *)x->x + token * x->x_stride * tola_dtype_block_bytes(kept);
    float acc = 0;
    for (size_t first = 0; first < x->k; first += MATMUL_FLOAT_BLOCK) {
        size_t end = x->k - first < MATMUL_FLOAT_BLOCK ? x->k : first + MATMUL_FLOAT_BLOCK;
        float s[16] = { 0 };
        for (size_t at = first; at < end; at += 16) {
            float w[16], v[16];
            size_t n = end - at < 16 ? end - at : 16;
            sixteen(weights, row, at, n, w);
            if (x->split) sixteen_split((const uint16_t *)values, at, v);
            else sixteen(kept, values, at, n, v);
            for (int l = 0; l < 16; l++) s[l] = fmaf(w[l], v[l], s[l]);
        }
        for (int n = 8; n > 0; n /= 2)
            for (int l = 0; l < n; l++) s[l] += s[l + n];
        acc += s[0];
    }
    return acc;
}

float matmul_scalar_dot(tola_dtype weights, const void *row, const matmul_acts *x, size_t token) {
    switch (matmul_type_get(weights)->kind) {
    case MATMUL_SMALL: return small_blocks(weights, row, x, token);
    case MATMUL_SUPER: return super_blocks(weights, row, x, token);
    default: return floats(weights, row, x, token);
    }
}

static size_t no_scratch(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k, (void)tokens;
    return 0;
}

static void rows_scalar(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                        size_t y_stride, size_t count, void *scratch) {
    (void)scratch;
    for (size_t r = 0; r < count; r++)
        for (size_t t = 0; t < x->tokens; t++)
            y[t * y_stride + r] = matmul_scalar_dot(weights, w + r * row_bytes, x, t);
}

const matmul_tile matmul_tile_scalar = { no_scratch, rows_scalar, SIZE_MAX };
