/* Between attention.c and its instruction sets. */
#ifndef KERNELS_ATTENTION_ATTENTION_KERNELS_H
#define KERNELS_ATTENTION_ATTENTION_KERNELS_H

#include "kernels/attention/attention.h"

typedef struct attention_call {
    const float *q; /* n rows, q_stride apart */
    size_t q_stride, n, key_dim, columns;
    const float *keys;   /* [key_dim][64]; scores reads only these, sums only values */
    const float *values; /* [64][columns], columns a multiple of 16 */
    const uint8_t *first, *last;
    float softcap;
    const uint8_t *next_keys, *next_values; /* of the next page as the cache has them, of so many bytes; NULL and 0 */
    size_t key_bytes, value_bytes;
    attention_state s;
    float *p;  /* [n][64]: scores, then weights */
    float *by; /* n rounded up to 16: what the state is multiplied with */
} attention_call;

typedef struct attention_set {
    void (*scores)(const attention_call *c); /* of c->keys, and their weights */
    void (*sums)(const attention_call *c);   /* of c->values with the weights */
    /* w(m - m') of n differences, n a multiple of 16 */
    void (*weights)(float *x, size_t n);
    /* Keys of a page as attention.c lays them out to [dim][64] floats. */
    void (*q8_0_keys)(const uint8_t *page, float *out, size_t dim);
    void (*q4_0_keys)(const uint8_t *page, float *out, size_t dim);
} attention_set;

/* The last three where they exist. */
extern const attention_set attention_scalar, attention_avx2, attention_avx512, attention_neon;

/* attention_page and attention_end by a given set, for the checker. */
void attention_page_by(const attention_set *set, const attention_head *h, const float *q, size_t q_stride, size_t n,
                       const attention_pages *pages, const uint8_t *first, const uint8_t *last,
                       const attention_state *s, float *scratch);
void attention_end_by(const attention_set *set, const attention_head *h, const attention_state *s, size_t n,
                      const float *sink, float *y, size_t y_stride);

#endif
