/* rows_body.h with AVX-512. */
#if defined(__x86_64__)
#define LANES_AVX512
#define ROWS_TABLE rows_avx512
#include "kernels/rows/rows_body.h"
#else
typedef int rows_avx512_is_empty;
#endif
