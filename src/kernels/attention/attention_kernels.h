/* Between attention.c and its instruction sets. */
#ifndef KERNELS_ATTENTION_ATTENTION_KERNELS_H
#define KERNELS_ATTENTION_ATTENTION_KERNELS_H

#include "kernels/attention/attention.h"

static inline size_t up16(size_t n) { return (n + 15) / 16 * 16; }

/* Queries of a state on one page, of which a part is there as floats. */
typedef struct attention_call {
    size_t n;
    const uint8_t *first, *last;
    float softcap;
    float *m, *l; /* of the first query */
    float *o;     /* of the whole state, panels of so many rows, of which `from` is the first here */
    size_t queries, from;
    uint16_t *tiles;      /* the queries as tiles, where there are such, and then nothing of what follows */
    float *p;             /* [n][64]: scores, then weights */
    float *by;            /* n rounded up to 16: what the state is multiplied with; 1 before there are weights */
    const uint8_t *ahead; /* what the next page will read in place of this part, NULL: nobody knows */
    size_t ahead_bytes;
} attention_call;

typedef struct attention_set {
    /* Scores of `count` key dimensions: queries at q, q_stride apart, and keys [count][64]; added to p unless `start`.
     */
    void (*scores)(const attention_call *c, const float *q, size_t q_stride, const float *keys, size_t count,
                   bool start);
    /* Scores to weights, and by. */
    void (*softmax)(const attention_call *c);
    /* Panel `panel` of the state and of values, [64][width], width a multiple of 16 up to 64. */
    void (*sums)(const attention_call *c, const float *values, size_t panel, size_t width);
    /* w(x) of n numbers, n a multiple of 16 */
    void (*weights)(float *x, size_t n);
    /* y = o * by / l of n numbers */
    void (*finish)(const float *o, float by, float l, float *y, size_t n);
    /* A page as attention.c lays it out to floats: keys to [dim][64], dim a multiple of 32; a panel of values to
     * [64][width], width 32 or 64. */
    void (*q8_0_keys)(const uint8_t *page, float *out, size_t dim);
    void (*q4_0_keys)(const uint8_t *page, float *out, size_t dim);
    void (*q8_0_values)(const uint8_t *page, float *out, size_t width);
    void (*q4_0_values)(const uint8_t *page, float *out, size_t width);
    /* By tiles (attention.h, "With AMX"); NULL: not here. The queries to tiles; a page for all queries of a state;
     * bytes of scratch for that. */
    void (*tile_queries)(const attention_queries *q, size_t dim, uint16_t *tiles);
    void (*tile_page)(const attention_call *c, const attention_head *h, const attention_pages *pages, float *scratch);
    size_t (*tile_scratch)(const attention_head *h);
} attention_set;

/* The last four where they exist. */
extern const attention_set attention_scalar, attention_avx2, attention_avx512, attention_amx, attention_neon;

/* `dim` dimensions of a page's keys as floats [dim][64], or of a panel of its values as [64][dim rounded up to 16],
 * filled with zeros: in `room`, or where they lie if they are f32. */
const float *attention_keys_floats(const attention_set *set, tola_dtype type, const void *from, size_t dim,
                                   float *room);
const float *attention_values_floats(const attention_set *set, tola_dtype type, const void *from, size_t dim,
                                     float *room);

/* attention_begin, attention_page and attention_end by a given set, for the checker. */
attention_state attention_begin_by(const attention_set *set, const attention_head *h, const attention_queries *q,
                                   float *room);
void attention_page_by(const attention_set *set, const attention_head *h, const attention_pages *pages,
                       const uint8_t *first, const uint8_t *last, const attention_state *s, float *scratch);
void attention_end_by(const attention_set *set, const attention_head *h, const attention_state *s, size_t from,
                      size_t n, const float *sink, float *y, size_t y_stride);

#endif
