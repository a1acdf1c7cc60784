/* attention_body.h with NEON. */
#if defined(__aarch64__)
#define LANES_NEON
#define ATTENTION_TABLE attention_neon
#include "kernels/attention/attention_body.h"
#else
typedef int attention_neon_is_empty;
#endif
