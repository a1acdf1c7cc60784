/* Sharing out bytes: which type for which tensor makes the sum of errors least while the bytes stay under a bound.
 *
 * Errors add up over tensors (they are weighted sums of squares). The choice is the lower convex hull of each tensor's
 * candidates walked by error saved per byte, improved by exchanges of two, and then by a search through what the hull's
 * price of a byte leaves open. The search ends with the least error there is, or when its steps are used up: then, with
 * hundreds of tensors, the choice misses it by less than the smallest step of one of them. The same candidates give the
 * same choice on every machine. */
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
 * bytes that takes); TOLA_E_ARG where a tensor has no candidate or an error is negative or not finite. */
tola_status allocate_choose(const allocate_tensor *tensors, size_t count, uint64_t max_bytes, size_t *choice,
                            tola_error *err);

#endif
