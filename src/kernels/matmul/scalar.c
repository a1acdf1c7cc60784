/* The definition of a product, one row with one token, as matmul.h says it. */
#include "kernels/cast/scalar.h"
#include "kernels/matmul/matmul_kernels.h"
#include <math.h>

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

/* Element i of a row of floats, exactly. */
static float element(tola_dtype weights, const uint8_t *row, size_t i) {
    uint16_t h;
    float f;
    switch (weights) {
    case TOLA_DTYPE_F16:
        memcpy(&h, row + 2 * i, sizeof h);
        return cast_f32_from_bits(cast_f16_to_f32(h));
    case TOLA_DTYPE_BF16:
        memcpy(&h, row + 2 * i, sizeof h);
        return cast_f32_from_bits(cast_bf16_to_f32(h));
    case TOLA_DTYPE_F8_E4M3: return cast_f32_from_bits(cast_bf16_to_f32(matmul_bf16_of_e4m3(row[i])));
    case TOLA_DTYPE_F8_E5M2: return cast_f32_from_bits(cast_f16_to_f32((uint16_t)(row[i] << 8)));
    default: memcpy(&f, row + 4 * i, sizeof f); return f;
    }
}

uint16_t matmul_bf16_of_e4m3(uint8_t u) {
    unsigned sign = (u & 0x80u) << 8, magnitude = u & 0x7f;
    if (magnitude == 0x7f) return (uint16_t)(sign | 0x7fc0);
    if (magnitude >= 8) return (uint16_t)(sign | (magnitude + (120 << 3)) << 4); /* bias 7 becomes 127 */
    if (magnitude == 0) return (uint16_t)sign;
    int shift = __builtin_clz(magnitude) - 28; /* brings the leading one to bit 3 */
    return (uint16_t)(sign | (unsigned)(121 - shift) << 7 | (magnitude << shift & 7) << 4);
}

static float floats(tola_dtype weights, const uint8_t *row, const matmul_acts *x, size_t token) {
    bool wide = matmul_type_get(weights)->kind == MATMUL_F32;
    const char *values = (const char *)x->x + token * x->x_stride * (wide ? sizeof(float) : sizeof(uint16_t));
    float acc[16] = { 0 };
    for (size_t i = 0; i < x->k; i++) {
        float value;
        uint16_t h;
        if (wide) {
            memcpy(&value, values + i * sizeof value, sizeof value);
        } else {
            memcpy(&h, values + i * sizeof h, sizeof h);
            value = cast_f32_from_bits(cast_bf16_to_f32(h));
        }
        acc[i % 16] = fmaf(element(weights, row, i), value, acc[i % 16]);
    }
    for (int n = 8; n > 0; n /= 2)
        for (int l = 0; l < n; l++) acc[l] += acc[l + n];
    return acc[0];
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

const matmul_tile matmul_tile_scalar = { no_scratch, rows_scalar };
