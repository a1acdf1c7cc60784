/* Activations as the products want them: integers with scales and sums, or bf16. The rules are in matmul.h. */
#include "kernels/cast/scalar.h"
#include "kernels/matmul/matmul_kernels.h"
#include <math.h>

void matmul_quantize_scalar(const float *x, size_t n, unsigned block, int8_t *q, float *d, int16_t *sums) {
    for (size_t at = 0; at < n; at += block) {
        uint32_t most = 0; /* magnitudes compare as their bits do, infinity and NaN above all others */
        for (size_t i = at; i < at + block; i++) {
            uint32_t bits = cast_f32_bits(x[i]) & 0x7fffffff;
            if (bits > most) most = bits;
        }
        float scale = cast_f32_from_bits(most) / 127.0f, inverse = 1.0f / scale;
        bool zero = most < MATMUL_LEAST_BITS, broken = most >= 0x7f800000;
        d[at / block] = zero ? 0 : broken ? cast_f32_from_bits(0x7fc00000) : scale;
        for (size_t i = at; i < at + block; i++) q[i] = zero || broken ? 0 : (int8_t)rintf(x[i] * inverse);
        for (size_t i = at; i < at + block; i += 16) {
            int sum = 0;
            for (size_t j = i; j < i + 16; j++) sum += q[j];
            sums[i / 16] = (int16_t)sum;
        }
    }
}
