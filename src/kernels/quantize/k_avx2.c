/* k_body.h with AVX2. */
#if defined(__x86_64__)
#define LANES_AVX2
#define K_TABLE quantize_k_avx2
#include "kernels/quantize/k_body.h"
#else
typedef int quantize_k_avx2_is_empty;
#endif
