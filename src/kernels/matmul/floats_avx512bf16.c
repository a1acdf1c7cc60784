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

#include "kernels/matmul/floats_sums_avx512.h"

static matmul_convert_fn convert_of(tola_dtype weights) { return matmul_to_bf16(weights); }

#include "kernels/matmul/floats_body.h"

const matmul_tile matmul_floats_avx512bf16 = { float_scratch, float_rows };

#endif
