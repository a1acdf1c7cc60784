/* attention_body.h with AVX2. */
#if defined(__x86_64__)
#define LANES_AVX2
#define ATTENTION_TABLE attention_avx2
#include "kernels/attention/attention_body.h"
#else
typedef int attention_avx2_is_empty;
#endif
