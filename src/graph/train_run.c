/* What operations of training graphs rely on in a batch. */
#include "graph/op.h"
#include "graph/run.h"

#include "base/err.h"

#define REFUSE(...) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, __VA_ARGS__)

static tola_status check_sequences(const graph_batch *b, tola_error *err) {
    const uint32_t *first = b->learn->first;
    if (!b->positions) REFUSE("a batch without positions");
    for (size_t t = 0; t < b->tokens; t++) {
        const bool begins = first ? first[t] == t : t == 0;
        if (first && !begins && (t == 0 || first[t] != first[t - 1]))
            REFUSE("row %zu of a batch begins at row %u, which is not where its sequence does", t, first[t]);
        if (!begins && b->positions[t] != b->positions[t - 1] + 1)
            REFUSE("position %u in row %zu of a batch follows position %u", b->positions[t], t, b->positions[t - 1]);
    }
    return TOLA_OK;
}

static tola_status check_targets(const graph_learn_batch *l, size_t rows, uint32_t classes, tola_error *err) {
    for (size_t r = 0; r < rows; r++)
        if (l->row_weights[r] != 0 && l->targets[r] >= classes)
            REFUSE("target %u of output %zu, but there are %u classes", l->targets[r], r, classes);
    return TOLA_OK;
}

static tola_status check_reference(const graph_learn_batch *l, size_t rows, uint32_t classes, tola_error *err) {
    if (!l->reference_ids) return TOLA_OK;
    if (l->reference_top == 0) REFUSE("a reference of no entries");
    for (size_t i = 0; i < rows * l->reference_top; i++)
        if (l->reference_ids[i] >= classes)
            REFUSE("entry %u of a reference, but there are %u classes", l->reference_ids[i], classes);
    return TOLA_OK;
}

static tola_status check_node(const graph_plan *p, const graph_node *n, const graph_batch *b, tola_error *err) {
    const graph_learn_batch *l = b->learn;
    const size_t rows = node_rows(n, b->tokens, b->output_count);
    const bool loss = n->op == OP_CROSS_ENTROPY || n->op == OP_SQUARED_ERROR || n->op == OP_DIVERGENCE;
    if (loss && !l->row_weights) REFUSE("a batch without weights of its rows");
    switch (n->op) {
    case OP_EMBED:
        if (!b->ids) REFUSE("a batch without tokens");
        return TOLA_OK;
    case OP_EMBED_POSITION:
    case OP_TURNS:
    case OP_POSITION_SCALE:
        if (!b->positions) REFUSE("a batch without positions");
        return TOLA_OK;
    case OP_OUTPUT_ROWS:
        if (b->output_count > 0 && !b->outputs) REFUSE("a batch without outputs");
        return TOLA_OK;
    case OP_INPUT:
        if (!l->features) REFUSE("a batch without features");
        return TOLA_OK;
    case OP_SELF_ATTEND: return check_sequences(b, err);
    case OP_CROSS_ENTROPY:
        if (!l->targets) REFUSE("a batch without targets");
        return check_targets(l, rows, p->g->nodes[n->in[0]].cols, err);
    case OP_SQUARED_ERROR:
        if (!l->wanted) REFUSE("a batch without wanted outputs");
        return TOLA_OK;
    case OP_DIVERGENCE:
        if (!l->reference) REFUSE("a batch without a reference");
        return check_reference(l, rows, p->g->nodes[n->in[0]].cols, err);
    default: return TOLA_OK;
    }
}

tola_status train_check(const graph_plan *p, const graph_batch *b, tola_error *err) {
    bool attends = false; /* one look at the sequences is enough for all layers */
    if (!b->learn) REFUSE("a batch without what training needs");
    for (uint32_t v = 0; v < p->g->forward; v++) {
        const graph_node *n = &p->g->nodes[v];
        if (n->op == OP_SELF_ATTEND && attends) continue;
        attends = attends || n->op == OP_SELF_ATTEND;
        TRY(check_node(p, n, b, err));
    }
    return TOLA_OK;
}
