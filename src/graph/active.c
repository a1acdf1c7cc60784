/* How much of a model one token reads: what decides the speed of generating. */
#include "graph/op.h"

static uint64_t rows_read(const graph_node *n, const graph_weight *w, unsigned which) {
    switch (n->op) {
    case OP_EMBED:
    case OP_EMBED_POSITION:
    case OP_EMBED_CONSTANT: return 1;
    case OP_PREPARE:
    case OP_EXPERT_PREPARE: return 0; /* they name the weight whose products they prepare */
    case OP_EXPERT_LINEAR: return which ? n->per_token : w->rows * n->per_token; /* a bias is a row for each expert */
    default: return w->rows * w->parts;
    }
}

uint64_t graph_active_bytes(const graph *g) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < g->count; i++)
        for (unsigned k = 0; k < 2; k++) {
            const graph_weight *w = g->nodes[i].w[k];
            if (w) bytes += rows_read(&g->nodes[i], w, k) * w->row_bytes;
        }
    return bytes;
}
