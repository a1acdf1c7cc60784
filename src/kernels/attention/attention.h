/* Attention over pages of keys and values: softmax(q.k) v without ever holding all the scores (arXiv 2205.14135).
 *
 * A page holds ATTENTION_PAGE positions of one kv head. The keys of a page are turned over, so that a score is a sum
 * along rows of 64 floats, not across one: `key_dim` rows of 64. Values are 64 rows of `value_dim`.
 *
 * What is right: for each query, pages in ascending order of position. In a page, score[j] = fma chain over d in
 * ascending order of q[d] * k[d][j] (q already has the scale in it), then softcap; positions that the query may not see
 * are left out. m' = max(m, scores), c = exp(m - m'), p[j] = exp(score[j] - m'); l = l * c + sum p (16 lanes as in
 * rows.h, absent ones count 0); o[i] = o[i] * c, then an fma chain over j ascending of p[j] * v[j][i] (absent j adds
 * nothing, not even where v is not finite). The end is o / l. Softmax and products are f32 whatever the cache's type;
 * a key or value of the cache is converted to f32 first. So a query's result depends on its own page sequence only: the
 * number of queries in a call, their order, and the thread change nothing, and every instruction set gives the same
 * bits. */
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include <stdbool.h>
#include <tola/tensor.h>

#define ATTENTION_PAGE 64

/* Bytes of one kv head's keys / values in a page; 0 where the type cannot hold `dim`. Types f32 f16 bf16 q8_0 q4_0 (the
 * last two with a scale for 32 values: along dim for keys of one position, too, but laid out as suits the kernel). */
size_t attention_key_bytes(tola_dtype type, size_t dim);
size_t attention_value_bytes(tola_dtype type, size_t dim);
/* Puts one position into its slot (0 .. 63) of a page: rounds, to nearest even, as codecs/ does for the type. */
void attention_put_key(tola_dtype type, size_t dim, void *page, size_t slot, const float *key);
void attention_put_value(tola_dtype type, size_t dim, void *page, size_t slot, const float *value);

/* Queries that share one kv head: query i at q + i * q_stride, seeing slots first[i] .. last[i] - 1 of this page
 * (first == last: none). Their running state is between pages here: */
typedef struct attention_state {
    float *m, *l;     /* n each; attention_begin sets -inf and 0 */
    float *o;         /* n rows of value_dim, o_stride floats apart */
    size_t o_stride;
} attention_state;

typedef struct attention_head {
    tola_dtype key_type, value_type;
    size_t key_dim, value_dim;
    float softcap; /* 0 none */
} attention_head;

void attention_begin(const attention_head *h, attention_state *s, size_t n);
/* Floats of scratch that one thread needs for up to n queries; aligned to 64. */
size_t attention_scratch(const attention_head *h, size_t n);
void attention_page(const attention_head *h, const float *q, size_t q_stride, size_t n, const void *keys,
                    const void *values, const uint8_t *first, const uint8_t *last, attention_state *s, float *scratch);
/* sink: a logit for each query that joins the sum without a value; NULL none. A query that saw nothing gives zeros. */
void attention_end(const attention_head *h, attention_state *s, size_t n, const float *sink);

#endif
