/* The one streaming pass: blocks of rows flow through read, permute, add, cast or encode and write on a pool of
 * threads.
 *
 * Resident memory: each worker owns one input and one output block, together never more than STREAM_MEMORY bytes,
 * whatever the model; a row of any length is split by elements. Where tensors are encoded, a block holds at least the
 * rows that are encoded together, of at most ENCODE_MAX_ROW elements each (transform/encode.h), and figures of a
 * scheme take the encoded matrix once more. Input is read in the order in which it lies in its
 * files. Knows nothing of names, options or formats. */
#ifndef TRANSFORM_STREAM_H
#define TRANSFORM_STREAM_H

#include "transform/plan.h"

#define STREAM_BLOCK (4u << 20)       /* bytes of one block, input or output, whichever is larger */
#define STREAM_MIN_BLOCK (256u << 10) /* with very many threads blocks shrink to this */
#define STREAM_MEMORY (128u << 20)    /* bytes of all blocks of all workers, as long as STREAM_MIN_BLOCK allows */

typedef struct stream_options {
    unsigned threads; /* 0 = all */
    tola_overflow overflow;
    tola_progress_fn progress; /* may be NULL */
    void *progress_user;
    const char *phase;
    bool measure; /* fill in the figures of encoded tensors */
} stream_options;

/* Elements [first, first + count) of the concatenated pieces of a tensor, as they lie in the input. */
tola_status stream_read(const plan *p, const plan_tensor *t, uint64_t first, uint64_t count, void *to, tola_error *err);

/* Writes every tensor of `p` (finished with plan_finish) to `writer`, whose tensor i is p->tensors[i].
 * *overflowed grows by the finite numbers that left the range of their new dtype. The writer is neither finished nor
 * aborted here. TOLA_E_CANCELLED where the progress callback says stop. */
tola_status stream_run(const plan *p, tola_writer *writer, const stream_options *options, uint64_t *overflowed,
                       tola_error *err);

#endif
