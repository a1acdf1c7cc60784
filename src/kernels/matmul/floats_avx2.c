/* Float weights with AVX2 and FMA: in f32, sixteen lanes in two vectors. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))
#define MATMUL_FLOAT_TOKENS 3

typedef float element;
typedef struct lanes {
    __m256 low, high;
} lanes;
enum { STEP = 16, ROWS = 2, TOKENS = MATMUL_FLOAT_TOKENS };

ALWAYS lanes zero(void) { return (lanes){ _mm256_setzero_ps(), _mm256_setzero_ps() }; }
ALWAYS lanes load(const element *p) { return (lanes){ _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8) }; }
ALWAYS lanes multiply(lanes acc, lanes w, lanes x) {
    return (lanes){ _mm256_fmadd_ps(w.low, x.low, acc.low), _mm256_fmadd_ps(w.high, x.high, acc.high) };
}

ALWAYS void sums(const lanes a[ROWS], float out[ROWS]) {
    for (int r = 0; r < ROWS; r++) {
        __m256 eight = _mm256_add_ps(a[r].low, a[r].high);
        __m128 v = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        v = _mm_add_ps(v, _mm_movehl_ps(v, v));
        out[r] = _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
    }
}

static matmul_convert_fn convert_of(tola_dtype weights) { return matmul_to_f32(weights); }

#include "kernels/matmul/floats_body.h"

/* ---- one token ---- */

enum { STREAMS = 4 };

ALWAYS lanes load_f32(const uint8_t *p) { return load((const element *)(const void *)p); }

ALWAYS lanes of_f16(__m128i low, __m128i high) { return (lanes){ _mm256_cvtph_ps(low), _mm256_cvtph_ps(high) }; }

ALWAYS lanes load_f16(const uint8_t *p) {
    return of_f16(_mm_loadu_si128((const __m128i *)p), _mm_loadu_si128((const __m128i *)(p + 16)));
}

ALWAYS lanes load_bf16(const uint8_t *p) {
    __m256i low = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    __m256i high = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 16)));
    return (lanes){ _mm256_castsi256_ps(_mm256_slli_epi32(low, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(high, 16)) };
}

/* An f16 is an e5m2 with eight more bits. */
ALWAYS lanes load_e5m2(const uint8_t *p) {
    __m128i v = _mm_loadu_si128((const __m128i *)p), zeros = _mm_setzero_si128();
    return of_f16(_mm_unpacklo_epi8(zeros, v), _mm_unpackhi_epi8(zeros, v));
}

/* An e4m3 in the place of an f16's high bits, its exponent in the low four of five, is 2^8 too small; 0x7f is NaN. */
ALWAYS __m128i f16_of_e4m3(__m128i high_bytes) {
    const __m128i most = _mm_set1_epi16(0x7f00);
    __m128i magnitude = _mm_and_si128(high_bytes, most), nan = _mm_cmpeq_epi16(magnitude, most);
    __m128i sign = _mm_andnot_si128(_mm_set1_epi16(0x7fff), high_bytes);
    return _mm_or_si128(_mm_or_si128(sign, nan), _mm_srli_epi16(magnitude, 1));
}

ALWAYS lanes load_e4m3(const uint8_t *p) {
    const __m256 up = _mm256_set1_ps(256);
    __m128i v = _mm_loadu_si128((const __m128i *)p), zeros = _mm_setzero_si128();
    lanes small = of_f16(f16_of_e4m3(_mm_unpacklo_epi8(zeros, v)), f16_of_e4m3(_mm_unpackhi_epi8(zeros, v)));
    return (lanes){ _mm256_mul_ps(small.low, up), _mm256_mul_ps(small.high, up) };
}

#include "kernels/matmul/floats_vector_body.h"

FLOAT_VECTOR(f32, 4)
FLOAT_VECTOR(f16, 2)
FLOAT_VECTOR(bf16, 2)
FLOAT_VECTOR(e4m3, 1)
FLOAT_VECTOR(e5m2, 1)

matmul_vector_fn matmul_vector_floats_avx2(tola_dtype weights) {
    switch (weights) {
    case TOLA_DTYPE_F32: return vector_f32;
    case TOLA_DTYPE_F16: return vector_f16;
    case TOLA_DTYPE_BF16: return vector_bf16;
    case TOLA_DTYPE_F8_E4M3: return vector_e4m3;
    case TOLA_DTYPE_F8_E5M2: return vector_e5m2;
    default: return NULL;
    }
}

const matmul_tile matmul_floats_avx2 = { float_scratch, float_rows, 0 };

#endif
