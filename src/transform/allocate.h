/* Sharing out bytes: which type for which tensor makes the sum of errors least while the bytes stay under a bound.
 *
 * Errors add up over tensors (they are weighted sums of squares). The choice is the lower convex hull of each tensor's
 * candidates walked by error saved per byte, then improved by exchanges; it is optimal but for the last step. */
#ifndef TRANSFORM_ALLOCATE_H
#define TRANSFORM_ALLOCATE_H

#include <tola/tensor.h>

typedef struct allocate_candidate {
    tola_dtype type;
    uint64_t bytes;
    double error; /* >= 0, in the same unit for all tensors */
} allocate_candidate;

typedef struct allocate_tensor {
    const allocate_candidate *candidates; /* at least one, any order */
    size_t count;
} allocate_tensor;

/* choice[i]: index of tensor i's candidate. TOLA_E_LIMIT where even the smallest do not fit (the message says how many
 * bytes that takes). */
tola_status allocate_choose(const allocate_tensor *tensors, size_t count, uint64_t max_bytes, size_t *choice,
                            tola_error *err);

#endif
