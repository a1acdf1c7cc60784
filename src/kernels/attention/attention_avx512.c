/* attention_body.h with AVX-512. */
#if defined(__x86_64__)
#define LANES_AVX512
#define ATTENTION_TABLE attention_avx512
#include "kernels/attention/attention_body.h"
#else
typedef int attention_avx512_is_empty;
#endif
