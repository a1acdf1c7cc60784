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

const matmul_tile matmul_floats_avx2 = { float_scratch, float_rows };

#endif
