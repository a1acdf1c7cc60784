/* k_body.h with AVX-512: sixteen sub-blocks a lane each. */
#if defined(__x86_64__)
#define LANES_AVX512
#define K_TABLE quantize_k_avx512
#include "kernels/quantize/k_body.h"
#else
typedef int quantize_k_avx512_is_empty;
#endif
