/* Float weights to what the paths multiply: all exact. */
#include "kernels/cast/cast.h"
#include "kernels/matmul/matmul_kernels.h"

static void f16_to_f32(const void *src, void *dst, size_t n) {
    cast_get()->f16_to_f32(src, dst, n, false);
}

static void bf16_to_f32(const void *src, void *dst, size_t n) {
    cast_get()->bf16_to_f32(src, dst, n, false);
}

static void e4m3_to_f32(const void *src, void *dst, size_t n) {
    cast_get()->e4m3_to_f32(src, dst, n, false);
}

static void e5m2_to_f32(const void *src, void *dst, size_t n) {
    cast_get()->e5m2_to_f32(src, dst, n, false);
}

static void small_to_bf16(cast_fn to_f32, const uint8_t *src, uint16_t *dst, size_t n) {
    float some[256];
    for (size_t at = 0; at < n; at += 256) {
        size_t m = n - at < 256 ? n - at : 256;
        to_f32(src + at, some, m, false);
        cast_get()->f32_to_bf16(some, dst + at, m, false);
    }
}

static void e4m3_to_bf16(const void *src, void *dst, size_t n) {
    small_to_bf16(cast_get()->e4m3_to_f32, src, dst, n);
}

static void e5m2_to_bf16(const void *src, void *dst, size_t n) {
    small_to_bf16(cast_get()->e5m2_to_f32, src, dst, n);
}

matmul_convert_fn matmul_to_f32(tola_dtype weights) {
    switch (weights) {
    case TOLA_DTYPE_F16: return f16_to_f32;
    case TOLA_DTYPE_BF16: return bf16_to_f32;
    case TOLA_DTYPE_F8_E4M3: return e4m3_to_f32;
    case TOLA_DTYPE_F8_E5M2: return e5m2_to_f32;
    default: return NULL;
    }
}

matmul_convert_fn matmul_to_bf16(tola_dtype weights) {
    switch (weights) {
    case TOLA_DTYPE_F8_E4M3: return e4m3_to_bf16;
    case TOLA_DTYPE_F8_E5M2: return e5m2_to_bf16;
    default: return NULL;
    }
}
