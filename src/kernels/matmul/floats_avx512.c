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

const matmul_tile matmul_floats_avx512 = { float_scratch, float_rows };

#endif
