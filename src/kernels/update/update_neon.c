/* update_body.h with NEON. */
#if defined(__aarch64__)
#define LANES_NEON
#define UPDATE_ADAM update_adam_neon
#include "kernels/update/update_body.h"
#else
typedef int update_neon_is_empty;
#endif
