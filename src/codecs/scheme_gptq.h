/* The parts of a matrix under GPTQ and AWQ; scheme_gptq.c reads them, scheme_gptq_write.c writes them. */
#ifndef CODECS_SCHEME_GPTQ_H
#define CODECS_SCHEME_GPTQ_H

#include "codecs/scheme.h"

enum { GPTQ_QWEIGHT, GPTQ_QZEROS, GPTQ_SCALES, GPTQ_G_IDX };

/* Nibble i of a word of AWQ is output awq_order[i] of its eight. */
extern const uint8_t awq_order[8];

tola_status gptq_plan(scheme_layout *l, tola_error *err);
tola_status awq_plan(scheme_layout *l, tola_error *err);
tola_status gptq_encode(const scheme_layout *l, void *state, const float *rows, uint64_t first, uint64_t count,
                        const float *importance, scheme_sink sink, void *user, tola_error *err);
tola_status awq_encode(const scheme_layout *l, void *state, const float *rows, uint64_t first, uint64_t count,
                       const float *importance, scheme_sink sink, void *user, tola_error *err);
tola_status gptq_finish(const scheme_layout *l, void *state, scheme_sink sink, void *user, tola_error *err);
size_t gptq_state_bytes(const scheme_layout *l);
void gptq_write_config(const scheme_params *p, const char *const *ignore, size_t ignored, tola_json *out);
void awq_write_config(const scheme_params *p, const char *const *ignore, size_t ignored, tola_json *out);

#endif
