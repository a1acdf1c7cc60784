/* iq4_body.h with NEON. */
#if defined(__aarch64__)
#define LANES_NEON
#define IQ4_TABLE quantize_iq4_neon
#include "kernels/quantize/iq4_body.h"
#else
typedef int quantize_iq4_neon_is_empty;
#endif
