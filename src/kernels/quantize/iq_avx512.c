/* iq.c with AVX-512. */
#if defined(__x86_64__)
#define IQ_TABLE iq_avx512
#include "kernels/quantize/iq_body.h"
#else
typedef int iq_avx512_is_empty;
#endif
