/* k_body.h with NEON. */
#if defined(__aarch64__)
#define LANES_NEON
#define K_TABLE quantize_k_neon
#include "kernels/quantize/k_body.h"
#else
typedef int quantize_k_neon_is_empty;
#endif
