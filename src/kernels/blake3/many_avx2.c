/* BLAKE3 with 8 lanes. */
#define LANES 8
#define MANY blake3_many_avx2
#define REST blake3_many_vector
#if defined(__x86_64__)
#include "kernels/blake3/many_body.h"
#endif
