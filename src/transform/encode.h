/* Encoding the rows of one tensor while they stream: decode to f32 a few rows at a time, so that they stay in a near
 * cache, encode, and where figures are wanted decode what was encoded and compare.
 *
 * Figures are sums in f64 over units of rows that the shape alone decides, added in the order of the rows: they do not
 * depend on the number of threads or the size of blocks. Knows nothing of files: bytes in, bytes out. */
#ifndef TRANSFORM_ENCODE_H
#define TRANSFORM_ENCODE_H

#include "transform/plan.h"

#define ENCODE_MAX_ROW (1u << 20) /* elements; a longer row is encoded in pieces of so many */

/* Scratch space of one worker. */
typedef struct encode_scratch {
    float *rows, *back;
    size_t elements; /* of each */
} encode_scratch;

/* How a tensor is cut, in elements. */
typedef struct encode_cut {
    uint64_t columns; /* of one row */
    uint64_t line;    /* what is encoded whole: a row, or a piece of a very long one */
    uint64_t unit;    /* over which figures are summed */
} encode_cut;

/* What the workers on one tensor share. */
typedef struct encoding {
    const plan_tensor *t;
    encode_cut cut;
    bool measure;
    compare_acc *units; /* NULL where nothing is measured */
    size_t unit_count;
    void *state;                        /* of the scheme */
    uint64_t nans, infinities, clamped; /* atomic */
} encoding;

encode_cut encode_cut_of(const plan_tensor *t);
/* Elements of a block (what one worker holds at once): about `wanted`, whole lines, at least one. */
uint64_t encode_block(const plan_tensor *t, uint64_t wanted);
/* Elements of a segment (what goes to one worker), for blocks of `block`. */
uint64_t encode_segment(const plan_tensor *t, uint64_t block, bool measure);
/* Elements of scratch that blocks of `t` need. */
size_t encode_scratch_elements(const plan_tensor *t);

tola_status encoding_open(encoding *e, const plan_tensor *t, bool measure, tola_error *err);
void encoding_free(encoding *e); /* fine after a failed open, and twice */

/* Elements [first, first + count) of the tensor, whole lines, from `src` (dtype t->from) to `dst` (t->dtype). */
tola_status encoding_block(encoding *e, uint64_t first, uint64_t count, const uint8_t *src, uint8_t *dst,
                           encode_scratch *scratch, tola_error *err);
/* The same under a scheme: to its sink. `phase` says what is done with the rows. */
typedef enum encode_phase { ENCODE_MEASURE, ENCODE_WRITE, ENCODE_COMPARE } encode_phase;
tola_status encoding_scheme_block(encoding *e, encode_phase phase, uint64_t first, uint64_t count, const uint8_t *src,
                                  const void *const parts[SCHEME_MAX_PARTS], scheme_sink sink, void *user,
                                  encode_scratch *scratch, tola_error *err);
tola_status encoding_scheme_finish(encoding *e, scheme_sink sink, void *user, tola_error *err);
/* Puts the figures of all units together, in t->encode->figures. */
void encoding_conclude(encoding *e);

#endif
