/* The small types with AVX-512. */
#if defined(__x86_64__)
#define SMALL_TABLE quantize_small_avx512
#include "kernels/quantize/small_body.h"
#else
typedef int quantize_small_avx512_is_for_x86;
#endif
