/* outside.c with AVX-512. */
#if defined(__x86_64__)
#define OUTSIDE_TABLE outside_avx512
#include "kernels/stats/outside_body.h"
#else
typedef int outside_avx512_is_empty;
#endif
