/* Float weights with AVX512_BF16: vdpbf16ps, two elements to a lane. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))
#define MATMUL_FLOAT_TOKENS 6

typedef uint16_t element;
typedef __m512 lanes;
enum { STEP = 32, ROWS = 4, TOKENS = MATMUL_FLOAT_TOKENS };

ALWAYS lanes zero(void) { return _mm512_setzero_ps(); }
ALWAYS lanes load(const element *p) { return _mm512_loadu_ps(p); }
ALWAYS lanes multiply(lanes acc, lanes w, lanes x) {
    return _mm512_dpbf16_ps(acc, (__m512bh)w, (__m512bh)x);
}

#include "kernels/matmul/floats_f8_avx512.h"
#include "kernels/matmul/floats_sums_avx512.h"

static matmul_convert_fn convert_of(tola_dtype weights) { return matmul_to_bf16(weights); }

#include "kernels/matmul/floats_body.h"

/* ---- one token ---- */

enum { STREAMS = 8 };

ALWAYS lanes load_bf16(const uint8_t *p) { return _mm512_loadu_ps(p); }
ALWAYS lanes load_e4m3(const uint8_t *p) { return _mm512_castsi512_ps(bf16_of_e4m3(p)); }
ALWAYS lanes load_e5m2(const uint8_t *p) { return _mm512_castsi512_ps(bf16_of_e5m2(p)); }

#include "kernels/matmul/floats_vector_body.h"

FLOAT_VECTOR(bf16, 2)
FLOAT_VECTOR(e4m3, 1)
FLOAT_VECTOR(e5m2, 1)

matmul_vector_fn matmul_vector_floats_avx512bf16(tola_dtype weights) {
    switch (weights) {
    case TOLA_DTYPE_BF16: return vector_bf16;
    case TOLA_DTYPE_F8_E4M3: return vector_e4m3;
    case TOLA_DTYPE_F8_E5M2: return vector_e5m2;
    default: return NULL;
    }
}

const matmul_tile matmul_floats_avx512bf16 = { float_scratch, float_rows, 0 };

#endif
