/* One row of the table of operations, and what its functions see. Only files of graph/ include this. */
#ifndef GRAPH_OP_H
#define GRAPH_OP_H

#include "graph/graph.h"
#include "graph/plan.h"

typedef enum graph_op {
    OP_DEAD, /* became part of another; has no value */
    OP_EMBED, OP_EMBED_POSITION, OP_EMBED_CONSTANT,
    OP_PREPARE, OP_LINEAR,
    OP_RMS_NORM, OP_LAYER_NORM, OP_APPLY, OP_GATED, OP_ADD, OP_MULTIPLY, OP_SCALE, OP_SOFTCAP, OP_POSITION_SCALE,
    OP_COLUMNS, OP_JOIN, OP_OUTPUT_ROWS,
    OP_TURNS, OP_ROTATE, OP_KV_STORE, OP_ATTEND,
    OP_ROUTE, OP_EXPERT_SORT, OP_EXPERT_PREPARE, OP_EXPERT_LINEAR, OP_EXPERT_SUM,
    OP_COUNT
} graph_op;

/* What a value has rows for in a batch. */
typedef enum graph_rows {
    ROWS_TOKENS,
    ROWS_OUTPUTS /* batch.outputs */
} graph_rows;

typedef struct graph_node {
    uint8_t op;               /* graph_op */
    uint8_t rows;             /* graph_rows of its value */
    bool by_expert;           /* sorted by expert, with a row for each of a token's experts */
    uint32_t per_token;       /* by_expert: how many those are; else 1 */
    uint32_t cols;            /* floats a row of its value; 0: the value is bytes of its own making (prepared rows) */
    graph_value in[3];        /* GRAPH_NONE where it has fewer */
    const graph_weight *w[2]; /* NULL where it has fewer */
    union {
        struct { float factor; uint32_t row; } embed;   /* also scale, softcap: factor; row: offset */
        struct { float offset, eps; uint32_t group; } norm;
        struct { uint8_t function; float clamp; } apply;
        struct { float beta, span; } position;
        struct { uint32_t group, first, count; } columns;
        struct { uint32_t heads, b_shared; } join;
        struct { uint32_t rotated, first, head_dim; float magnitude; bool interleaved; const float *frequency; } rope;
        struct { graph_attention a; uint32_t layer; } attend;
        graph_routing route;
        struct { bool weigh; } expert;
    } u;
} graph_node;

/* A node while a batch runs. */
typedef struct op_call {
    const graph_plan *plan;
    const graph_node *node;
    const graph_batch *batch;
    void *out;           /* its value */
    const void *in[3];   /* values of its inputs */
    size_t rows;         /* of its value in this batch */
    size_t cols, in_cols[3];
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
} graph_op_row;

extern const graph_op_row *const op_table[OP_COUNT];
extern const graph_op_row op_dead, op_embed, op_embed_position, op_embed_constant, op_prepare, op_linear, op_rms_norm,
    op_layer_norm, op_apply, op_gated, op_add, op_multiply, op_scale, op_softcap, op_position_scale, op_columns,
    op_join, op_output_rows, op_turns, op_rotate, op_kv_store, op_attend, op_route, op_expert_sort, op_expert_prepare,
    op_expert_linear, op_expert_sum;

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
};

/* Rows of a node's value in a batch of so many tokens and outputs. */
static inline size_t node_rows(const graph_node *n, size_t tokens, size_t outputs) {
    return (n->rows == ROWS_OUTPUTS ? outputs : tokens) * n->per_token;
}
/* Row `row` of an input that is in memory. */
static inline const float *in_row(const op_call *c, int input, size_t row) {
    return (const float *)c->in[input] + row * c->in_cols[input];
}
/* Of the largest batch. */
static inline size_t node_rows_most(const graph_node *n, const graph_plan *p) {
    return node_rows(n, p->max_tokens, p->max_outputs);
}

/* Scratch of a product with w[0], of one row or of as many as there may be: op_linear.c. */
size_t op_product_scratch(const graph_node *n, const graph_plan *p);

#endif
