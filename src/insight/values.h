/* Tensors as numbers, a block at a time. */
#ifndef INSIGHT_VALUES_H
#define INSIGHT_VALUES_H

#include <tola/checkpoint.h>

/* Elements of a block: small enough that a block of two tensors stays in a core's second-level cache, a multiple of
 * every block type's length and of the kernels' own blocks. */
#define VALUES_BLOCK (1u << 17)

/* What a worker needs: raw bytes of one block, and numbers made from them. */
typedef struct values_scratch {
    void *raw, *numbers; /* VALUES_BLOCK * 16 and VALUES_BLOCK * 8 bytes */
} values_scratch;

/* One for each worker; NULL without memory. values_scratch_free takes NULL. */
values_scratch *values_scratch_new(unsigned workers);
void values_scratch_free(values_scratch *scratch, unsigned workers);

/* Elements [first, first + n) of tensor `index`, n <= VALUES_BLOCK and first a multiple of VALUES_BLOCK, as numbers of
 * type `to`; *out points into the scratch. `to` equal to the tensor's own type gives its bytes as they are. */
tola_status values_read(const tola_checkpoint *ck, size_t index, uint64_t first, size_t n, tola_dtype to,
                        values_scratch *scratch, const void **out, tola_error *err);

#endif
