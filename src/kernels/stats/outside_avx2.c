/* outside.c with AVX2. */
#if defined(__x86_64__)
#define OUTSIDE_TABLE outside_avx2
#include "kernels/stats/outside_body.h"
#else
typedef int outside_avx2_is_empty;
#endif
