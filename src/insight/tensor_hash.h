/* SHA-256 roots of tensors' bytes: what the digest and the search for renamed tensors share. */
#ifndef INSIGHT_TENSOR_HASH_H
#define INSIGHT_TENSOR_HASH_H

#include "insight/job.h"

#define TENSOR_HASH_CHUNK (1u << 20)

/* roots[32 * i] = SHA-256 over the SHA-256 of each 1 MiB of tensor selected[i] (an empty tensor has no chunks).
 * Bytes as tola_checkpoint_read delivers them. */
tola_status tensor_hash_all(job *j, const tola_checkpoint *ck, const size_t *selected, size_t count, uint8_t *roots,
                            tola_error *err);

#endif
