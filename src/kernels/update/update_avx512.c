/* update_body.h with AVX-512. */
#if defined(__x86_64__)
#define LANES_AVX512
#define UPDATE_ADAM update_adam_avx512
#include "kernels/update/update_body.h"
#else
typedef int update_avx512_is_empty;
#endif
