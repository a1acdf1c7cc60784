/* legacy_body.h with AVX2. */
#if defined(__x86_64__)
#define LANES_AVX2
#define LEGACY_TABLE quantize_legacy_avx2
#include "kernels/quantize/legacy_body.h"
#else
typedef int quantize_legacy_avx2_is_empty;
#endif
