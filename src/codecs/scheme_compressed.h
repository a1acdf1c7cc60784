/* The parts of a matrix in the compressed-tensors layout; scheme_compressed.c reads them, scheme_compressed_write.c
 * writes them. */
#ifndef CODECS_SCHEME_COMPRESSED_H
#define CODECS_SCHEME_COMPRESSED_H

#include "codecs/scheme_parts.h"

enum {
    CT_WEIGHT,
    CT_PACKED,
    CT_SCALE,
    CT_ZERO,
    CT_SHAPE,
    CT_G_IDX,
    CT_GLOBAL,
    CT_INPUT_SCALE, /* of activations, from here on */
    CT_INPUT_ZERO,
    CT_INPUT_GLOBAL,
    CT_OUTPUT_SCALE,
    CT_OUTPUT_ZERO
};

#define CT_FORMAT_GROUP_MX 32 /* weights that share an e8m0 scale: OCP Microscaling Formats 1.0, 5.1 */
#define CT_FORMAT_GROUP_NV 16

/* Zero points of `n` groups as they lie packed down the rows: code `row` of each column, least significant bit first,
 * across the words of the column. Plus 2^(bits-1). */
void ct_unpack_zeros(const void *data, unsigned bits, uint64_t row, size_t n, float *zeros);

tola_status ct_plan(scheme_layout *l, tola_error *err);
size_t ct_state_bytes(const scheme_layout *l);
tola_status ct_measure(const scheme_layout *l, void *state, const float *rows, uint64_t first, uint64_t count,
                       tola_error *err);
tola_status ct_encode(const scheme_layout *l, void *state, const float *rows, uint64_t first, uint64_t count,
                      const float *importance, scheme_sink sink, void *user, tola_error *err);
tola_status ct_finish(const scheme_layout *l, void *state, scheme_sink sink, void *user, tola_error *err);
void ct_write_config(const scheme_params *p, const char *const *ignore, size_t ignored, tola_json *out);

#endif
