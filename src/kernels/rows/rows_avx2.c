/* rows_body.h with AVX2. */
#if defined(__x86_64__)
#define LANES_AVX2
#define ROWS_TABLE rows_avx2
#include "kernels/rows/rows_body.h"
#else
typedef int rows_avx2_is_empty;
#endif
