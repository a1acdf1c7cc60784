/* What parameters.c, optimizer.c and state.c share: where the numbers of a parameter lie. */
#ifndef LEARN_PARAMETERS_H
#define LEARN_PARAMETERS_H

#include "learn/learn.h"

/* Each part of a parameter begins at a multiple of this in the common order of all elements: blocks of 8-bit state and
 * of sums never reach over a border. */
#define LEARN_BLOCK 256u
/* Smaller tensors (norms, biases) keep their moments in f32 under LEARN_ADAMW8, as bitsandbytes does. */
#define LEARN_SMALL 4096u

/* One part of one parameter. */
typedef struct learn_segment {
    const learn_parameter *parameter;
    uint32_t part;
    bool eight;            /* moments are codes of 8 bits with a scale a block */
    uint64_t place, count; /* elements */
    float *values, *gradient;
    void *moment[2]; /* f32 or u8, `count`; momentum of SGD or Adam's first, Adam's second; NULL: none */
    float *scale[2]; /* `eight`: one a block */
} learn_segment;

typedef struct learn_state {
    learn_segment *segments; /* ascending places */
    size_t count;
    double *sums;    /* one a chunk of learn_gradient_norm */
    uint8_t *memory; /* of the moments */
} learn_state;

/* How many moments a method keeps. */
static inline unsigned learn_moments(const learn_optimizer *o) {
    if (o->method == LEARN_SGD) return o->momentum != 0;
    return 2;
}
static inline bool learn_eight(const learn_optimizer *o, const learn_parameter *p) {
    return o->method == LEARN_ADAMW8 && p->elements >= LEARN_SMALL;
}
/* Elements of one part. */
static inline uint64_t learn_part(const learn_parameter *p) { return p->weight->rows * p->weight->cols; }
static inline uint64_t learn_blocks(uint64_t elements) { return (elements + LEARN_BLOCK - 1) / LEARN_BLOCK; }

/* Each rank keeps the moments of its own range of elements (ranks.h). Rank 0 gets those of all, for a checkpoint; and
 * gives the memory of others' back. */
tola_status learn_state_collect(const learn_parameters *p, tola_error *err);
void learn_state_drop_others(const learn_parameters *p);

/* The chunks into which work over all elements is cut, whatever the threads. */
#define LEARN_CHUNK 65536u

#endif
