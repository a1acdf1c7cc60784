/* iq4_body.h with AVX-512. */
#if defined(__x86_64__)
#define LANES_AVX512
#define IQ4_TABLE quantize_iq4_avx512
#include "kernels/quantize/iq4_body.h"
#else
typedef int quantize_iq4_avx512_is_empty;
#endif
