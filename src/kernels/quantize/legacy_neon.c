/* legacy_body.h with NEON. */
#if defined(__aarch64__)
#define LANES_NEON
#define LEGACY_TABLE quantize_legacy_neon
#include "kernels/quantize/legacy_body.h"
#else
typedef int quantize_legacy_neon_is_empty;
#endif
