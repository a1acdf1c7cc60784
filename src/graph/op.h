/* One row of the table of operations, and what its functions see. Only files of graph/ include this. */
#ifndef GRAPH_OP_H
#define GRAPH_OP_H

#include "graph/graph.h"
#include "graph/plan.h"
#include "graph/train.h"

typedef enum graph_op {
    OP_DEAD, /* became part of another; has no value */
    OP_EMBED, OP_EMBED_POSITION, OP_EMBED_CONSTANT,
    OP_PREPARE, OP_LINEAR,
    OP_RMS_NORM, OP_LAYER_NORM, OP_APPLY, OP_GATED, OP_ADD, OP_MULTIPLY, OP_SCALE, OP_SOFTCAP, OP_POSITION_SCALE,
    OP_COLUMNS, OP_JOIN, OP_OUTPUT_ROWS,
    OP_TURNS, OP_ROTATE, OP_KV_STORE, OP_ATTEND,
    OP_ROUTE, OP_EXPERT_SORT, OP_EXPERT_PREPARE, OP_EXPERT_LINEAR, OP_EXPERT_SUM,
    /* of training graphs only: forward */
    OP_PART, OP_INPUT, OP_ONES, OP_BIAS_ROWS, OP_LARGEST, OP_LARGEST_WEIGHT, OP_MATMUL, OP_DROPOUT, OP_SELF_ATTEND,
    OP_EXPERT_GATHER, OP_EXPERT_BIAS_ROWS, OP_EXPERT_MATMUL, OP_CONVOLVE, OP_POOL_MAX, OP_DORA_LENGTHS, OP_DORA,
    OP_CROSS_ENTROPY, OP_SQUARED_ERROR, OP_DIVERGENCE,
    /* gradients of values */
    OP_MATMUL_BACK, OP_RMS_NORM_BACK, OP_LAYER_NORM_BACK, OP_APPLY_BACK, OP_GATED_BACK, OP_SOFTCAP_BACK, OP_DOT,
    OP_COLUMNS_BACK, OP_JOIN_BACK, OP_OUTPUT_ROWS_BACK, OP_SELF_ATTEND_BACK, OP_ROUTE_BACK, OP_EXPERT_MATMUL_BACK,
    OP_EXPERT_SCORES, OP_CONVOLVE_BACK, OP_POOL_MAX_BACK, OP_DORA_BACK, OP_CROSS_ENTROPY_BACK, OP_SQUARED_ERROR_BACK,
    OP_DIVERGENCE_BACK,
    /* gradients of weights, added to the buffers of graph_node.gradient */
    OP_MATMUL_WEIGHT, OP_SUM_ROWS, OP_NORM_STATISTICS, OP_NORM_WEIGHT, OP_EMBED_WEIGHT, OP_SINKS_WEIGHT,
    OP_EXPERT_MATMUL_WEIGHT, OP_EXPERT_BIAS_WEIGHT, OP_CONVOLVE_WEIGHT, OP_CONVOLVE_BIAS, OP_DORA_MAGNITUDE,
    OP_COUNT
} graph_op;

/* What a value has rows for in a batch. */
typedef enum graph_rows {
    ROWS_TOKENS,
    ROWS_OUTPUTS /* batch.outputs */
} graph_rows;

enum { NODE_INPUTS = 5 };

typedef struct graph_node {
    uint8_t op;               /* graph_op */
    uint8_t rows;             /* graph_rows of its value */
    bool by_expert;           /* sorted by expert, with a row for each of a token's experts */
    uint32_t per_token;       /* by_expert: how many those are; else 1 */
    uint32_t cols;            /* floats a row of its value; 0: the value is bytes of its own making (prepared rows) */
    graph_value in[NODE_INPUTS]; /* GRAPH_NONE where it has fewer */
    const graph_weight *w[2]; /* NULL where it has fewer */
    union {
        struct { float factor; uint32_t row; } embed;   /* also scale, softcap: factor; row: offset */
        struct { float offset, eps; uint32_t group; } norm;
        struct { uint8_t function; float clamp; uint32_t cols; } apply; /* cols: of the gradients' parts */
        struct { float beta, span; } position;
        struct { uint32_t group, first, count; } columns;
        struct { uint32_t heads, b_shared; } join;
        struct { uint32_t rotated, first, head_dim; float magnitude; bool interleaved; const float *frequency; } rope;
        struct { graph_attention a; uint32_t layer; } attend;
        graph_routing route;
        struct { bool weigh; } expert;
        /* of training graphs */
        uint32_t part;
        struct { float p; uint32_t id; } dropout;
        struct { graph_image image; uint32_t size, stride, pad; } image;
        struct { float factor; } loss; /* smoothing, temperature */
        struct { const graph_weight *down, *up; float scale; } dora;
    } u;
    float *const *gradient; /* of nodes that are gradients of weights */
    uint8_t of;             /* the forward's operation, where several share one for their gradients */
} graph_node;

/* A node while a batch runs. */
typedef struct op_call {
    const graph_plan *plan;
    const graph_node *node;
    const graph_batch *batch;
    void *out;           /* its value */
    const void *in[NODE_INPUTS]; /* values of its inputs */
    size_t rows;         /* of its value in this batch */
    size_t cols, in_cols[NODE_INPUTS];
    const struct op_call *inlined; /* in[0] is not in memory: its rows are made where they are needed; NULL mostly */
} op_call;

typedef struct graph_op_row {
    const char *name;
    /* Bytes of the value where cols is 0, for the largest batch. */
    size_t (*bytes)(const graph_node *n, const graph_plan *p);
    /* Bytes of scratch of one thread for the largest batch; NULL: none. */
    size_t (*scratch)(const graph_node *n, const graph_plan *p);
    /* An operation on one row at a time: row r of the value, `cols` floats, into y. It may be made where it is needed,
     * without ever being in memory as a whole. Then there is no tasks and no run. */
    void (*row)(const op_call *c, size_t r, float *y);
    /* Into how many independent tasks the call is cut; called by every thread after all inputs are there, so it must
     * give the same number to all. */
    size_t (*tasks)(const op_call *c);
    void (*run)(const op_call *c, size_t task, void *scratch);
    /* Asks for the beginning of what a task will read and what no operation writes, `step` 0, 1, ... in turn; false:
     * there is no more to ask for. NULL: never is. */
    bool (*ask)(const op_call *c, size_t task, size_t step);
    /* Columns of part `part` of a value that is several matrices, one after the other (OP_PART); 0: no such part. */
    uint32_t (*part_cols)(const graph_node *n, unsigned part);
    uint8_t in_place; /* bit i: row r of the value may be written over row r of input i */
    bool kept;        /* does something beside making its value */
} graph_op_row;

extern const graph_op_row *const op_table[OP_COUNT];
extern const graph_op_row op_dead, op_embed, op_embed_position, op_embed_constant, op_prepare, op_linear, op_rms_norm,
    op_layer_norm, op_apply, op_gated, op_add, op_multiply, op_scale, op_softcap, op_position_scale, op_columns,
    op_join, op_output_rows, op_turns, op_rotate, op_kv_store, op_attend, op_route, op_expert_sort, op_expert_prepare,
    op_expert_linear, op_expert_sum;
extern const graph_op_row op_part, op_input, op_ones, op_bias_rows, op_largest, op_largest_weight, op_matmul,
    op_dropout, op_self_attend, op_expert_gather, op_expert_bias_rows, op_expert_matmul, op_convolve, op_pool_max,
    op_dora_lengths, op_dora, op_cross_entropy, op_squared_error, op_divergence, op_matmul_back, op_rms_norm_back,
    op_layer_norm_back, op_apply_back, op_gated_back, op_softcap_back, op_dot, op_columns_back, op_join_back,
    op_output_rows_back, op_self_attend_back, op_route_back, op_expert_matmul_back, op_expert_scores,
    op_convolve_back, op_pool_max_back, op_dora_back, op_cross_entropy_back, op_squared_error_back,
    op_divergence_back, op_matmul_weight, op_sum_rows, op_norm_statistics, op_norm_weight, op_embed_weight,
    op_sinks_weight, op_expert_matmul_weight, op_expert_bias_weight, op_convolve_weight, op_convolve_bias,
    op_dora_magnitude;

typedef struct train_mark {
    graph_value value; /* where a layer begins */
    uint32_t at;       /* nodes before it */
} train_mark;

struct graph {
    arena arena;
    graph_node *nodes; /* in order of dependency; a value is the index of its node */
    uint32_t count;
    size_t cap;
    uint32_t attention_calls;
    graph_value *outputs;
    size_t output_count;
    uint32_t *uses; /* of each value, by operations and outputs; once finished */
    bool finished;
    tola_error error; /* the first, where status is not TOLA_OK */
    /* of training graphs */
    bool training, differentiated;
    train_mark *marks;
    size_t mark_count, mark_cap;
    uint32_t forward; /* nodes before the backward; all where there is none */
};

struct graph_plan {
    const graph *g;
    size_t max_tokens, max_outputs;
    unsigned threads;
    uint64_t active_bytes; /* of weights that one token reads */
    uint32_t *order;      /* nodes by wave */
    uint32_t *wave_start; /* wave w is order[wave_start[w]] .. order[wave_start[w + 1] - 1] */
    uint32_t waves;
    uint8_t *inlined;     /* of each value: is it made row by row by what needs it? */
    size_t *offset;       /* of each value in `memory` */
    uint8_t *memory, *scratch;
    size_t memory_bytes, scratch_bytes; /* the latter of one thread */
    struct plan_run_state *state;
    size_t ran_tokens, ran_outputs; /* of the last batch */
    graph_precision precision;      /* of training */
    uint32_t forward_waves;         /* of training: those before the backward */
};

/* Rows of a node's value in a batch of so many tokens and outputs. */
static inline size_t node_rows(const graph_node *n, size_t tokens, size_t outputs) {
    return (n->rows == ROWS_OUTPUTS ? outputs : tokens) * n->per_token;
}
/* The token of the batch that row r of a value with one row a token is of. */
static inline size_t row_token(const op_call *c, size_t r) {
    return c->node->rows == ROWS_OUTPUTS ? c->batch->outputs[r] : r;
}
/* Row `row` of an input that is in memory. */
static inline const float *in_row(const op_call *c, int input, size_t row) {
    return (const float *)c->in[input] + row * c->in_cols[input];
}
/* Of the largest batch. */
static inline size_t node_rows_most(const graph_node *n, const graph_plan *p) {
    return node_rows(n, p->max_tokens, p->max_outputs);
}

/* Part `part` of a node's value at `value` (graph_op_row.part_cols): each begins at a multiple of 64 bytes. */
static inline float *part_of(const graph_plan *p, const graph_node *n, const void *value, unsigned part) {
    uintptr_t at = (uintptr_t)value;
    for (unsigned i = 0; i < part; i++)
        at += (node_rows_most(n, p) * op_table[n->op]->part_cols(n, i) * sizeof(float) + 63) / 64 * 64;
    return (float *)at;
}

/* Scratch of a product with w[0], of one row or of as many as there may be: op_linear.c. */
size_t op_product_scratch(const graph_node *n, const graph_plan *p);

#endif
