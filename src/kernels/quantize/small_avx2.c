/* The small types with AVX2. */
#if defined(__x86_64__)
#define SMALL_TABLE quantize_small_avx2
#include "kernels/quantize/small_body.h"
#else
typedef int quantize_small_avx2_is_for_x86;
#endif
