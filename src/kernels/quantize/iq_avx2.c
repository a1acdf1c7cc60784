/* iq.c with AVX2. */
#if defined(__x86_64__)
#define IQ_TABLE iq_avx2
#include "kernels/quantize/iq_body.h"
#else
typedef int iq_avx2_is_empty;
#endif
