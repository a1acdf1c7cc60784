/* iq4_body.h with AVX2. */
#if defined(__x86_64__)
#define LANES_AVX2
#define IQ4_TABLE quantize_iq4_avx2
#include "kernels/quantize/iq4_body.h"
#else
typedef int quantize_iq4_avx2_is_empty;
#endif
