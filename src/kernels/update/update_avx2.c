/* update_body.h with AVX2. */
#if defined(__x86_64__)
#define LANES_AVX2
#define UPDATE_ADAM update_adam_avx2
#include "kernels/update/update_body.h"
#else
typedef int update_avx2_is_empty;
#endif
