/* BLAKE3 with 16 lanes. */
#define LANES 16
#define MANY blake3_many_avx512
#define REST blake3_many_avx2
#if defined(__x86_64__)
#include "kernels/blake3/many_body.h"
#endif
