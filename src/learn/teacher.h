/* What a teacher makes of rows of tokens: its most probable next tokens at a temperature, kept in a file so that each
 * row is computed once, whatever the epochs and resumes (arXiv 1503.02531). */
#ifndef LEARN_TEACHER_H
#define LEARN_TEACHER_H

#include <tola/run.h>

typedef struct teacher teacher;

typedef struct teacher_options {
    const char *path;        /* any model that runs, of any type */
    uint32_t context;        /* tokens of a row */
    uint32_t top;            /* tokens kept for each place */
    float temperature;
    const uint8_t *digest;   /* of what is in the rows: data_tokens_digest */
    const char *cache;       /* file; NULL: nothing is kept */
    unsigned threads;
} teacher_options;

/* TOLA_E_ARG where the model has fewer tokens than `vocabulary`, or no room for a row. */
tola_status teacher_open(const teacher_options *o, uint32_t vocabulary, teacher **out, tola_error *err);
void teacher_close(teacher *t); /* NULL is fine */
const tola_model *teacher_model(const teacher *t);
uint64_t teacher_bytes(const teacher *t); /* that it holds in memory */

/* Of row `row`, whose tokens and borders are given: for each of `context` places `top` ids and log-probabilities at the
 * temperature, the most probable first (of two alike the lower id); places whose weight is 0 have zeros. */
tola_status teacher_row(teacher *t, uint64_t row, const uint32_t *ids, const uint32_t *first, const float *weights,
                        float *reference, uint32_t *reference_ids, tola_error *err);

#endif
