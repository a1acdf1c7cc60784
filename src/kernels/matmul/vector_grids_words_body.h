/* What the instruction sets share of types with codebooks: before their functions of a block. */
#ifndef KERNELS_MATMUL_VECTOR_GRIDS_WORDS_BODY_H
#define KERNELS_MATMUL_VECTOR_GRIDS_WORDS_BODY_H

#include "kernels/matmul/vector_body.h"

/* Dwords whose sum is the S of matmul.h. */
typedef vi (*grid_fn)(const uint8_t *block, const acts *x);

ALWAYS unsigned word_at(const uint8_t *p) {
    uint16_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Two entries of four codes. */
ALWAYS uint64_t two(uint32_t first, uint32_t second) { return first | (uint64_t)second << 32; }

#endif
