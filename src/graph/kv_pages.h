/* What attention sees of a cache: where the keys and values of a layer's head lie. Only files of graph/ include this.
 */
#ifndef GRAPH_KV_PAGES_H
#define GRAPH_KV_PAGES_H

#include "graph/kv.h"
#include "kernels/attention/attention.h"

_Static_assert(KV_PAGE == ATTENTION_PAGE, "a page of the cache is a page of the kernel");

/* What the cache must know of an attention call. */
typedef struct kv_layer {
    uint32_t kv_heads, key_dim, value_dim;
    uint32_t window, chunk; /* 0: none; a bidirectional call has neither */
} kv_layer;

/* kv_create by layers, which are copied. */
tola_status kv_create_layers(const kv_layer *layers, size_t count, const kv_options *options, kv_cache **out,
                             tola_error *err);
/* The first position that a query at `position` sees. */
size_t kv_visible_from(const kv_layer *layer, size_t position);

/* Types and dimensions of a layer's heads; no soft cap. */
attention_head kv_head(const kv_sequence *s, uint32_t layer);

typedef struct kv_place {
    uint8_t *keys, *values; /* of positions page * KV_PAGE and on; NULL: given back, or beyond the end */
} kv_place;
kv_place kv_at(const kv_sequence *s, uint32_t layer, uint32_t head, size_t page);

#endif
