/* rows_body.h with NEON. */
#if defined(__aarch64__)
#define LANES_NEON
#define ROWS_TABLE rows_neon
#include "kernels/rows/rows_body.h"
#else
typedef int rows_neon_is_empty;
#endif
