/* Bytes that several tensors hold in common: torch's tied weights and views. */
#ifndef INSIGHT_SHARED_H
#define INSIGHT_SHARED_H

#include <tola/checkpoint.h>

/* own[i] = bytes of tensor i that no earlier tensor (by offset in their storage) holds already; what is its own for all
 * tensors whose storage nobody shares. *shared = tensors whose storage holds another one too. */
tola_status shared_own_bytes(const tola_checkpoint *ck, uint64_t *own, uint64_t *shared, tola_error *err);

#endif
