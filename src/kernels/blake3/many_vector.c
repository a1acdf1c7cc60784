/* BLAKE3 with 4 lanes, which every processor here has: SSE2, NEON. */
#define LANES 4
#define MANY blake3_many_vector
#define REST blake3_many_scalar
#include "kernels/blake3/many_body.h"
