/* Keys and values of the tokens that a sequence has seen, in pages of KV_PAGE positions.
 *
 * A cache serves one graph; its layers are the graph's attention calls in order. Layers are grouped by window: a page
 * of a group holds KV_PAGE positions of all its layers, and pages that have left the window are given back, but for one
 * page more than is seen, so that a few tokens can be taken back. Sequences share the pages of a common prefix
 * (counted); writing to a shared page copies it first. Pages are taken when positions are reserved, so memory follows
 * what is used, up to the cache's limit of positions. Positions given back do not count: where every layer has a
 * window, a sequence may grow for ever.
 *
 * Not safe for several threads at once, but for the reading and writing that attention itself does inside plan_run. */
#ifndef GRAPH_KV_H
#define GRAPH_KV_H

#include "base/err.h"
#include "graph/graph.h"

#define KV_PAGE 64

typedef struct kv_cache kv_cache;
typedef struct kv_sequence kv_sequence;

typedef struct kv_options {
    tola_dtype key, value; /* f32, f16, bf16, q8_0, q4_0 */
    size_t positions;      /* of all sequences together, shared ones once: the limit */
} kv_options;

/* For the attention calls of g. TOLA_E_UNSUPPORTED where a type's blocks do not fit the dimensions. */
tola_status kv_create(const graph *g, const kv_options *options, kv_cache **out, tola_error *err);
void kv_free(kv_cache *kv);                /* after its sequences; NULL is fine */
size_t kv_bytes(const kv_cache *kv);       /* held now */
size_t kv_bytes_limit(const kv_cache *kv); /* when one sequence uses all positions, long batches aside */

tola_status kv_sequence_create(kv_cache *kv, kv_sequence **out, tola_error *err);
void kv_sequence_free(kv_sequence *s); /* NULL is fine */
/* A new sequence that has the first `positions` of s. TOLA_E_ARG where s has fewer, or kv_truncate would say false. */
tola_status kv_sequence_fork(kv_sequence *s, size_t positions, kv_sequence **out, tola_error *err);
size_t kv_length(const kv_sequence *s); /* positions that are there */
/* Makes room for positions [kv_length, kv_length + count) and counts them as there: the next plan_run fills them.
 * TOLA_E_LIMIT with the counts where the cache is full; then nothing changes. */
tola_status kv_reserve(kv_sequence *s, size_t count, tola_error *err);
/* Forgets positions from `length` on. False where windowed layers have already given back what the position
 * length - 1 would have to see: then nothing changes and the caller starts from kv_truncate(s, 0). */
bool kv_truncate(kv_sequence *s, size_t length);

/* ---- saving: the raw pages in a layout that depends on types and shapes only ---- */
/* A fingerprint of layers, dims, windows and types: equal ones can exchange states. */
uint64_t kv_layout(const kv_cache *kv);
size_t kv_save_bytes(const kv_sequence *s);
void kv_save(const kv_sequence *s, void *dst);
/* Replaces the content of s by `bytes` bytes of a state with `length` positions; sizes are checked, values that are not
 * finite refused (TOLA_E_FORMAT), positions counted (TOLA_E_LIMIT). On any error s stays as it is. While it runs both
 * states take memory. */
tola_status kv_load(kv_sequence *s, size_t length, const void *src, size_t bytes, tola_error *err);

#endif
