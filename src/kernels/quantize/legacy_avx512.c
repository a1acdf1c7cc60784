/* legacy_body.h with AVX-512. */
#if defined(__x86_64__)
#define LANES_AVX512
#define LEGACY_TABLE quantize_legacy_avx512
#include "kernels/quantize/legacy_body.h"
#else
typedef int quantize_legacy_avx512_is_empty;
#endif
