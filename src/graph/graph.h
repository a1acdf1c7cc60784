/* A model as a list of operations on matrices of floats, [rows, columns], one row for each token.
 *
 * A graph is built once from a family's description (models/), planned for a largest batch (plan.h) and run many times.
 * Operations see neither files nor families. Each is one row of a table (op.h): a forward, and its backward beside it
 * in the same file when something trains through it; both work on the same graph.
 *
 * Every value is f32. The result of an operation for a row depends on that row and, in attention, on the earlier rows
 * of the same sequence, never on how many rows are computed together, on their order in the batch or on the threads: no
 * sum runs over rows, and along columns each operation has one fixed order. Prefix reuse, batches of several sequences
 * and speculative decoding rest on this.
 *
 * Building fails late: a call with values that do not fit records the first error in the graph, returns GRAPH_NONE, and
 * later calls do nothing; graph_finish says what it was. So builders read as the formulas do. */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "base/mem.h"
#include <tola/tensor.h>

typedef struct graph graph;
typedef uint32_t graph_value;
#define GRAPH_NONE UINT32_MAX

/* A matrix of weights (a vector has rows = 1), or `parts` of the same shape (experts). Borrowed by the graph. */
typedef struct graph_weight {
    const char *name;        /* for messages */
    const void *const *data; /* `parts` pointers; row r of a part at data + r * row_bytes */
    size_t row_bytes;
    uint64_t rows, cols;     /* of one part: a product with it turns `cols` columns into `rows` */
    uint32_t parts;
    tola_dtype dtype;        /* what matmul_supports for products and embeddings; vectors are f32 */
} graph_weight;

tola_status graph_create(graph **out, tola_error *err);
void graph_free(graph *g); /* NULL is fine */
/* Ends building: the first error of any call, or TOLA_OK. `outputs` are the values whose rows are wanted. */
tola_status graph_finish(graph *g, const graph_value *outputs, size_t count, tola_error *err);
/* Records an error of the builder's own (a weight that is not there); the first one counts. */
void graph_fail(graph *g, tola_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool graph_failed(const graph *g);
uint32_t graph_cols(const graph *g, graph_value v); /* 0 for GRAPH_NONE */
/* Bytes of weights that one token reads: of experts those that are chosen, of tables a row. */
uint64_t graph_active_bytes(const graph *g);

/* ---- inputs ---- */

/* Row of `table` for each token's id, times `scale`. [tokens, table.cols] */
graph_value graph_embed(graph *g, const graph_weight *table, float scale);
/* Row of `table` for each token's position plus `offset` (learned positions of GPT-2, BERT). */
graph_value graph_embed_position(graph *g, const graph_weight *table, uint32_t offset);
/* The same row of `table` for every token (BERT's segment 0). */
graph_value graph_embed_constant(graph *g, const graph_weight *table, uint32_t row);

/* ---- linear maps ---- */

/* y[t][r] = sum_k w[r][k] x[t][k] (+ bias[r]), rounded as kernels/matmul says. bias may be NULL. */
graph_value graph_linear(graph *g, const graph_weight *w, const graph_weight *bias, graph_value x);

/* ---- one row at a time ---- */

/* Each group of `group` columns (0: all) on its own: x / sqrt(mean(x^2) + eps) * (scale[i] + offset). scale (NULL: 1)
 * has `group` or all columns. arXiv 1910.07467. */
graph_value graph_rms_norm(graph *g, const graph_weight *scale, float offset, uint32_t group, float eps, graph_value x);
/* (x - mean) / sqrt(variance + eps) * scale + bias; bias may be NULL. arXiv 1607.06450. */
graph_value graph_layer_norm(graph *g, const graph_weight *scale, const graph_weight *bias, float eps, graph_value x);

typedef enum graph_function {
    GRAPH_SILU,      /* x / (1 + e^-x) */
    GRAPH_GELU,      /* x/2 (1 + erf(x / sqrt 2)) */
    GRAPH_GELU_TANH, /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    GRAPH_RELU,
    GRAPH_RELU2,     /* relu(x)^2 */
    GRAPH_SIGMOID,
    GRAPH_TANH
} graph_function;
graph_value graph_apply(graph *g, graph_function f, graph_value x);
/* f(gate) * up, where clamp > 0 the way of gpt-oss: gate = min(gate, clamp), up = clamp(up, -clamp, clamp),
 * gate sigmoid(1.702 gate) (up + 1). */
graph_value graph_gated(graph *g, graph_function f, float clamp, graph_value gate, graph_value up);
graph_value graph_add(graph *g, graph_value a, graph_value b);
/* a * b; where b has one column it multiplies the whole row. */
graph_value graph_multiply(graph *g, graph_value a, graph_value b);
graph_value graph_scale(graph *g, float factor, graph_value x);
/* cap * tanh(x / cap) (Gemma 2, arXiv 2408.00118) */
graph_value graph_softcap(graph *g, float cap, graph_value x);
/* x times 1 + beta log(1 + floor((position + 1) / span)) for each token (Llama 4's attention temperature). */
graph_value graph_position_scale(graph *g, float beta, float span, graph_value x);

/* Columns [first, first + count) of every group of `group` columns (0: all are one group). */
graph_value graph_columns(graph *g, graph_value x, uint32_t group, uint32_t first, uint32_t count);
/* For each of `heads` groups: a's columns of the group, then b's; where b has only one group's worth of columns, all
 * groups share it. */
graph_value graph_join(graph *g, uint32_t heads, graph_value a, graph_value b, bool b_shared);
/* The rows that the batch asks outputs for (graph_batch.outputs), in that order. */
graph_value graph_output_rows(graph *g, graph_value x);
/* Has v no other rows than those? */
bool graph_has_output_rows(const graph *g, graph_value v);

/* ---- attention ---- */

/* Rotary position embedding, arXiv 2104.09864. Pair i of a head turns by position * frequency[i]. */
typedef struct graph_rope {
    const float *frequency; /* rotated / 2 of them, as the configuration's scaling leaves them; copied */
    uint32_t rotated;       /* leading columns of each head that turn */
    uint32_t first;         /* columns of each head before those (DeepSeek turns the end of a head) */
    bool interleaved;       /* pairs are (2i, 2i+1), as in GGUF's Llama; else (i, i + rotated/2) */
    float magnitude;        /* multiplies sine and cosine (YaRN's attention factor); 1 */
} graph_rope;
graph_value graph_rotate(graph *g, const graph_rope *rope, uint32_t head_dim, graph_value x);

typedef struct graph_attention {
    uint32_t heads, kv_heads; /* heads is a multiple of kv_heads */
    uint32_t key_dim, value_dim;
    float scale;       /* of q.k */
    float softcap;     /* of scaled scores; 0 none */
    uint32_t window;   /* sees itself and window - 1 before; 0: all */
    uint32_t chunk;    /* sees only positions of its own chunk (Llama 4); 0: all */
    bool bidirectional; /* sees the whole sequence, which is then in one batch */
    const graph_weight *sinks; /* a logit for each head that takes its share and gives nothing (gpt-oss); NULL */
} graph_attention;
/* q [heads * key_dim], k [kv_heads * key_dim], v [kv_heads * value_dim] -> [heads * value_dim]. Keys and values of the
 * batch go into the sequences' cache first (kv.h); the layers of the cache are the calls in order. Queries may be of
 * graph_output_rows alone, unless they are bidirectional or learned. */
graph_value graph_attend(graph *g, const graph_attention *a, graph_value q, graph_value k, graph_value v);

/* ---- mixture of experts ---- */

typedef struct graph_routing {
    uint32_t used;          /* experts for each token */
    bool sigmoid;           /* scores are sigmoid(logits), else softmax over all experts */
    bool softmax_chosen;    /* scores are softmax over the chosen experts' logits (Mixtral, gpt-oss) */
    bool normalize;         /* the chosen scores are divided by their sum */
    float scale;            /* of the final scores; 1 */
    uint32_t groups, groups_used; /* DeepSeek: only the best groups' experts compete; 0, 0: all */
    bool group_by_top2;     /* a group is as good as its best two together (V3), else as its best one (V2) */
    const graph_weight *bias; /* added to the scores for choosing only (V3); NULL */
} graph_routing;
/* logits [tokens or output rows, experts], fewer than 2^24 experts -> the choice, to be used by the two calls below.
 * Ties go to the lower expert. */
graph_value graph_route(graph *g, const graph_routing *routing, graph_value logits);
/* The experts' own rows (a token has `used` of them): x is a value of tokens or of experts' rows. w has a part for each
 * expert, bias (NULL: none) a row for each expert. With weigh_input each row is first multiplied by its score
 * (Llama 4). */
graph_value graph_expert_linear(graph *g, const graph_weight *w, const graph_weight *bias, bool weigh_input,
                                graph_value route, graph_value x);
/* Back to tokens: the sum of the token's experts' rows, each times its score (weigh false: as they are). */
graph_value graph_expert_sum(graph *g, bool weigh, graph_value route, graph_value x);

#endif
