/* Float weights with NEON: in f32, sixteen lanes in four vectors. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))
#define MATMUL_FLOAT_TOKENS 2

typedef float element;
typedef struct lanes {
    float32x4_t v[4];
} lanes;
/* Of 32 registers a tile takes 16 for sums, 8 for weights and 4 for a token: as many loads as products. */
enum { STEP = 16, ROWS = 2, TOKENS = MATMUL_FLOAT_TOKENS };

ALWAYS lanes zero(void) {
    const float32x4_t zeros = vdupq_n_f32(0);
    return (lanes){ { zeros, zeros, zeros, zeros } };
}
ALWAYS lanes load(const element *p) {
    return (lanes){ { vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12) } };
}
ALWAYS lanes multiply(lanes acc, lanes w, lanes x) {
    return (lanes){ { vfmaq_f32(acc.v[0], w.v[0], x.v[0]), vfmaq_f32(acc.v[1], w.v[1], x.v[1]),
                      vfmaq_f32(acc.v[2], w.v[2], x.v[2]), vfmaq_f32(acc.v[3], w.v[3], x.v[3]) } };
}

ALWAYS void sums(const lanes a[ROWS], float out[ROWS]) {
    for (int r = 0; r < ROWS; r++) {
        const float32x4_t four = vaddq_f32(vaddq_f32(a[r].v[0], a[r].v[2]), vaddq_f32(a[r].v[1], a[r].v[3]));
        out[r] = vaddv_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
    }
}

static matmul_convert_fn convert_of(tola_dtype weights) { return matmul_to_f32(weights); }

#include "kernels/matmul/floats_body.h"

/* ---- one token ---- */

enum { STREAMS = 4 };

ALWAYS lanes load_f32(const uint8_t *p) { return load((const element *)(const void *)p); }

ALWAYS lanes of_f16(uint16x8_t low, uint16x8_t high) {
    const float16x8_t a = vreinterpretq_f16_u16(low), b = vreinterpretq_f16_u16(high);
    return (lanes){ { vcvt_f32_f16(vget_low_f16(a)), vcvt_high_f32_f16(a), vcvt_f32_f16(vget_low_f16(b)),
                      vcvt_high_f32_f16(b) } };
}

/* Eight little-endian words, wherever they lie. */
ALWAYS uint16x8_t words(const uint8_t *p) { return vreinterpretq_u16_u8(vld1q_u8(p)); }

ALWAYS lanes load_f16(const uint8_t *p) { return of_f16(words(p), words(p + 16)); }

ALWAYS float32x4_t of_bf16(uint16x4_t v) { return vreinterpretq_f32_u32(vshll_n_u16(v, 16)); }

ALWAYS lanes load_bf16(const uint8_t *p) {
    const uint16x8_t low = words(p), high = words(p + 16);
    return (lanes){ { of_bf16(vget_low_u16(low)), of_bf16(vget_high_u16(low)), of_bf16(vget_low_u16(high)),
                      of_bf16(vget_high_u16(high)) } };
}

/* An f16 is an e5m2 with eight more bits. */
ALWAYS lanes load_e5m2(const uint8_t *p) {
    const uint8x16_t v = vld1q_u8(p);
    return of_f16(vshll_n_u8(vget_low_u8(v), 8), vshll_n_u8(vget_high_u8(v), 8));
}

/* An e4m3 with its exponent as the low four bits of an f16's five is 2^8 too small; 0x7f is NaN. Shifted by seven with
 * its sign, it has that twice: once too often. */
ALWAYS uint16x8_t f16_of_e4m3(int8x8_t v, uint8x8_t nan) {
    const uint16x8_t bits = vreinterpretq_u16_s16(vshll_n_s8(v, 7));
    return vorrq_u16(vbicq_u16(bits, vdupq_n_u16(0x4000)), vshll_n_u8(nan, 8));
}

ALWAYS lanes load_e4m3(const uint8_t *p) {
    const uint8x16_t v = vld1q_u8(p), most = vdupq_n_u8(0x7f), nan = vceqq_u8(vandq_u8(v, most), most);
    const int8x16_t with_sign = vreinterpretq_s8_u8(v);
    lanes out = of_f16(f16_of_e4m3(vget_low_s8(with_sign), vget_low_u8(nan)),
                       f16_of_e4m3(vget_high_s8(with_sign), vget_high_u8(nan)));
    for (int i = 0; i < 4; i++) out.v[i] = vmulq_n_f32(out.v[i], 256);
    return out;
}

#include "kernels/matmul/floats_vector_body.h"

FLOAT_VECTOR(f32, 4)
FLOAT_VECTOR(f16, 2)
FLOAT_VECTOR(bf16, 2)
FLOAT_VECTOR(e4m3, 1)
FLOAT_VECTOR(e5m2, 1)

matmul_vector_fn matmul_vector_floats_neon(tola_dtype weights) {
    switch (weights) {
    case TOLA_DTYPE_F32: return vector_f32;
    case TOLA_DTYPE_F16: return vector_f16;
    case TOLA_DTYPE_BF16: return vector_bf16;
    case TOLA_DTYPE_F8_E4M3: return vector_e4m3;
    case TOLA_DTYPE_F8_E5M2: return vector_e5m2;
    default: return NULL;
    }
}

const matmul_tile matmul_floats_neon = { float_scratch, float_rows, 0 };

#endif
