/* Float weights with AVX-512: in f32. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))
#define MATMUL_FLOAT_TOKENS 6

typedef float element;
typedef __m512 lanes;
enum { STEP = 16, ROWS = 4, TOKENS = MATMUL_FLOAT_TOKENS };

ALWAYS lanes zero(void) { return _mm512_setzero_ps(); }
ALWAYS lanes load(const element *p) { return _mm512_loadu_ps(p); }
ALWAYS lanes multiply(lanes acc, lanes w, lanes x) { return _mm512_fmadd_ps(w, x, acc); }

#include "kernels/matmul/floats_sums_avx512.h"

static matmul_convert_fn convert_of(tola_dtype weights) { return matmul_to_f32(weights); }

#include "kernels/matmul/floats_body.h"

/* ---- one token ---- */

enum { STREAMS = 8 };

ALWAYS lanes load_f32(const uint8_t *p) { return _mm512_loadu_ps(p); }
ALWAYS lanes load_f16(const uint8_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }

ALWAYS lanes load_bf16(const uint8_t *p) {
    __m512i v = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
}

ALWAYS __m256i high_bytes(const uint8_t *p) { /* of words */
    return _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p)), 8);
}

/* An f16 is an e5m2 with eight more bits. */
ALWAYS lanes load_e5m2(const uint8_t *p) { return _mm512_cvtph_ps(high_bytes(p)); }

/* An e4m3 in the place of an f16's high bits, its exponent in the low four of five, is 2^8 too small; 0x7f is NaN. */
ALWAYS lanes load_e4m3(const uint8_t *p) {
    const __m256i most = _mm256_set1_epi16(0x7f00), v = high_bytes(p);
    __m256i magnitude = _mm256_and_si256(v, most), nan = _mm256_cmpeq_epi16(magnitude, most);
    __m256i sign = _mm256_andnot_si256(_mm256_set1_epi16(0x7fff), v);
    __m256i half = _mm256_or_si256(_mm256_or_si256(sign, nan), _mm256_srli_epi16(magnitude, 1));
    return _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256));
}

#include "kernels/matmul/floats_vector_body.h"

FLOAT_VECTOR(f32, 4)
FLOAT_VECTOR(f16, 2)
FLOAT_VECTOR(bf16, 2)
FLOAT_VECTOR(e4m3, 1)
FLOAT_VECTOR(e5m2, 1)

matmul_vector_fn matmul_vector_floats_avx512(tola_dtype weights) {
    switch (weights) {
    case TOLA_DTYPE_F32: return vector_f32;
    case TOLA_DTYPE_F16: return vector_f16;
    case TOLA_DTYPE_BF16: return vector_bf16;
    case TOLA_DTYPE_F8_E4M3: return vector_e4m3;
    case TOLA_DTYPE_F8_E5M2: return vector_e5m2;
    default: return NULL;
    }
}

const matmul_tile matmul_floats_avx512 = { float_scratch, float_rows, 0 };

#endif
