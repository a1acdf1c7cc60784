/* One row of the table of operations, and what its functions see. Only files of graph/ include this. */
#ifndef GRAPH_OP_H
#define GRAPH_OP_H

#include "graph/graph.h"
#include "graph/plan.h"

typedef enum graph_op {
    OP_EMBED, OP_EMBED_POSITION, OP_EMBED_CONSTANT, OP_PREPARE, OP_LINEAR, OP_RMS_NORM, OP_LAYER_NORM, OP_APPLY,
    OP_GATED, OP_ADD, OP_MULTIPLY, OP_SCALE, OP_SOFTCAP, OP_POSITION_SCALE, OP_COLUMNS, OP_JOIN, OP_OUTPUT_ROWS,
    OP_TURNS, OP_ROTATE, OP_KV_STORE, OP_ATTEND, OP_ROUTE, OP_EXPERT_PREPARE, OP_EXPERT_LINEAR, OP_EXPERT_SUM, OP_COUNT
} graph_op;

/* How many rows a value has in a batch. */
typedef enum graph_rows {
    ROWS_TOKENS,
    ROWS_OUTPUTS, /* batch.output_count */
    ROWS_EXPERTS  /* tokens x used, sorted by expert */
} graph_rows;

typedef struct graph_node {
    uint8_t op;               /* graph_op */
    uint8_t rows;             /* graph_rows of its value */
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
        struct { uint32_t used; bool weigh; } expert;
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
} op_call;

typedef struct graph_op_row {
    const char *name;
    /* Into how many independent tasks the call is cut; called by every thread after all inputs are there, so it must give
     * the same number to all. */
    size_t (*tasks)(const op_call *c);
    void (*run)(const op_call *c, size_t task, void *scratch);
    /* Bytes for batches of up to `rows` rows: of one thread's scratch (NULL: none), of the value where cols is 0. */
    size_t (*scratch)(const graph_node *n, const graph_plan *p);
    size_t (*bytes)(const graph_node *n, const graph_plan *p);
} graph_op_row;

extern const graph_op_row op_table[OP_COUNT];

#endif
