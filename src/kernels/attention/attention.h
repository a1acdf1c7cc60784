/* Attention over pages of keys and values: softmax(q.k) v without ever holding all the scores (arXiv 2205.14135).
 *
 * A page holds ATTENTION_PAGE positions of one kv head. The keys of a page are turned over, so that a score is a sum
 * along rows of 64 floats, not across one: `key_dim` rows of 64. Values are 64 rows of `value_dim`.
 *
 * What is right: for each query, pages in ascending order of position. In a page, score[j] = fma chain over d in
 * ascending order of q[d] * k[d][j] from 0 (q already has the scale in it), then softcap; positions that the query may
 * not see are left out. m' = max(m, scores), c = w(m - m'), p[j] = w(score[j] - m'), where w is exp, and 0 below
 * exp(-87); l = l * c + sum p (16 lanes as in rows.h, absent ones count 0); o[i] = o[i] * c, then an fma chain over j
 * ascending of p[j] * v[j][i] (absent j adds nothing, not even where v is not finite). The end is o / l; with a sink
 * first m' = max(m, sink), o = o * w(m - m'), l = l * w(m - m') + w(sink - m'). Softmax and products are f32 whatever
 * the cache's type; a key or value of the cache is converted to f32 first. So a query's result depends on its own page
 * sequence only: the number of queries in a call, their order, and the thread change nothing, and every instruction
 * set but AMX gives the same bits. A page of which a query sees nothing leaves its state as it is.
 *
 * With AMX, where neither keys nor values are f32: products are TDPBF16PS over 32 dimensions after 32, or 32 slots, in
 * which 16 even and 16 odd places are summed up by themselves. All numbers are two bf16 each: x1, of queries, weights
 * the nearest, of keys, values the upper half of the float, and x2, the rest rounded (exact for f16, nothing for
 * bf16, else within 2^-18 and 2^-17). A step adds a2 b1, a1 b1, a1 b2 and leaves out a2 b2, below 2^-17 of the whole.
 * Absent slots weigh 0. All else is as above, and as independent of what else is in a call.
 *
 * What is not finite shows: a score of NaN or +infinity makes the query's result NaN, and so do scores that are all
 * -infinity. */
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include <stdbool.h>
#include <tola/tensor.h>

#define ATTENTION_PAGE 64

/* Bytes of one kv head's keys, or of its values, in a page, a multiple of 64 where dim is one of 16; 0 where the type
 * cannot hold `dim`. Types f32 f16 bf16 q8_0 q4_0 (the last two with an f16 scale for 32 numbers along dim, which is a
 * multiple of that; with the bits of kernels/quantize). dim is at most 65536. */
size_t attention_bytes(tola_dtype type, size_t dim);
/* Puts positions, `stride` floats apart, into the slots `slot` .. `slot` + count - 1 (below 64) of a page: rounds, to
 * nearest even, as codecs/ does for the type. Slots are written independently of each other, by several threads if need
 * be. A block of q8_0 or q4_0 with a number beyond the range of its scales becomes NaN. */
void attention_put_keys(tola_dtype type, size_t dim, void *page, size_t slot, size_t count, const float *keys,
                        size_t stride);
void attention_put_values(tola_dtype type, size_t dim, void *page, size_t slot, size_t count, const float *values,
                          size_t stride);
/* Is all that the page's keys, or values, hold finite, in every slot? */
bool attention_finite(tola_dtype type, size_t dim, const void *page);

typedef struct attention_head {
    tola_dtype key_type, value_type;
    size_t key_dim, value_dim;
    float softcap; /* 0 none */
} attention_head;

/* n queries that share a kv head: query i is scale times the key_dim floats at
 * x + i / heads * stride + i % heads * key_dim. */
typedef struct attention_queries {
    const float *x;
    size_t n, heads, stride;
    float scale;
} attention_queries;

/* Their running state between pages. */
typedef struct attention_state {
    size_t n, rows;   /* rows: n rounded up to 16 */
    float *q;         /* queries, with the scale in them: [n][key_dim] */
    uint16_t *tiles;  /* or as tiles */
    float *m, *l, *o; /* o in panels of 64 of its columns: [rows][64], the last one narrower */
} attention_state;

/* Floats that n queries take with their state, and that in `room`, aligned to 64, before the first page. */
size_t attention_room(const attention_head *h, size_t n);
attention_state attention_begin(const attention_head *h, const attention_queries *q, float *room);
/* Floats of scratch that one thread needs for up to n queries, whatever the types; aligned to 64. */
size_t attention_scratch(const attention_head *h, size_t n);
/* A kv head's share of a page, aligned to 64, and what the next call will read, which is brought nearer meanwhile
 * (NULL: nobody knows). */
typedef struct attention_pages {
    const void *keys, *values, *next_keys, *next_values;
} attention_pages;

/* A page for all queries: query i sees slots first[i] .. last[i] - 1 (first == last: none). Fastest where neighbours
 * see the same. */
void attention_page(const attention_head *h, const attention_pages *pages, const uint8_t *first, const uint8_t *last,
                    const attention_state *s, float *scratch);
/* The results of queries `from` .. `from` + n - 1 to rows of value_dim floats, the first one at y. sink: a logit for
 * each of them that joins the sum without a value; NULL none. A query that saw nothing gives zeros. */
void attention_end(const attention_head *h, const attention_state *s, size_t from, size_t n, const float *sink,
                   float *y, size_t y_stride);

#endif
