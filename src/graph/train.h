/* Training: graphs that are differentiated, their losses, and plans that keep what the backward reads.
 *
 * The calls of graph.h build a training graph just as they build one that is only run; docs/design/learn.md tells what
 * they append instead. */
#ifndef GRAPH_TRAIN_H
#define GRAPH_TRAIN_H

#include "graph/plan.h"

tola_status graph_create_training(graph **out, tola_error *err);
bool graph_is_training(const graph *g);

/* ---- inputs and losses, in training graphs only ---- */

/* Rows of features: batch.features, [tokens, cols]. */
graph_value graph_input(graph *g, uint32_t cols);
/* Convolution of images that lie in a row as [channels, height, width]: weight [filters, channels * size * size],
 * stride `stride`, `pad` zeros around -> [filters, height', width'], height' = (height + 2 pad - size) / stride + 1. */
typedef struct graph_image {
    uint32_t channels, height, width;
} graph_image;
graph_value graph_convolve(graph *g, const graph_image *image, uint32_t size, uint32_t stride, uint32_t pad,
                           const graph_weight *w, const graph_weight *bias, graph_value x);
/* The largest of each size x size window, windows side by side. */
graph_value graph_pool_max(graph *g, const graph_image *image, uint32_t size, graph_value x);
/* Elements are 0 with probability p, the others divided by 1 - p; which, a hash of batch.seed, the node, the row's
 * batch.row_ids and the column decides. */
graph_value graph_dropout(graph *g, float p, graph_value x);
/* The product of x with w where each output is scaled to a length that is learned (DoRA, arXiv 2402.09353):
 * y = magnitude / ||w + scale up down|| * (x_product + x_change) + bias, norms along a row of w, taken as constants.
 * x_product is w x without bias, x_change is scale up down x (dropout and all); bias may be NULL. */
graph_value graph_dora(graph *g, const graph_weight *w, const graph_weight *down, const graph_weight *up, float scale,
                       const graph_weight *magnitude, const graph_weight *bias, graph_value x_product,
                       graph_value x_change);

/* A loss has one column; row r is multiplied by batch.row_weights[r] (rows of outputs), by 0 where it is masked.
 * -log softmax(logits)[target]; with smoothing s: (1 - s) of that and s times the mean over all classes (as PyTorch's
 * label_smoothing). Targets: batch.targets. */
graph_value graph_cross_entropy(graph *g, float smoothing, graph_value logits);
/* mean over columns of (x - wanted)^2; batch.wanted, [outputs, cols]. */
graph_value graph_squared_error(graph *g, graph_value x);
/* temperature^2 KL(p || q), q = softmax(logits / temperature); p: batch.reference, which has for each row `reference_top`
 * ids and log-probabilities at this temperature of the teacher, or all columns' (reference_ids NULL). With fewer than
 * all, p is renormalized over them and q, too. */
graph_value graph_divergence(graph *g, float temperature, graph_value logits);

/* What a batch of training has beside ids and positions (graph_batch.learn). Rows are batch rows; outputs as there. */
typedef struct graph_learn_batch {
    const uint32_t *first;     /* of each token: the batch row where its sequence begins; attention sees no row before
                                  it. NULL: all rows are one sequence */
    const float *features;     /* [tokens, cols of graph_input] */
    const uint32_t *targets;   /* of each output row */
    const float *row_weights;  /* of each output row */
    const float *wanted;       /* [outputs, cols] */
    const float *reference;    /* log-probabilities, [outputs, reference_top or cols] */
    const uint32_t *reference_ids;
    uint32_t reference_top;
    uint64_t seed;             /* of dropout: seed and step */
    const uint64_t *row_ids;   /* of each token; NULL: its place in the batch */
    bool evaluate;             /* no dropout */
} graph_learn_batch;

/* ---- the backward ---- */

/* A weight that is learned: f32, `parts` parts of which each lies in one piece. gradient[part] has rows * cols floats, to
 * which each run of the plan adds. */
typedef struct graph_parameter {
    const graph_weight *weight;
    float *const *gradient;
} graph_parameter;

typedef enum graph_recompute {
    GRAPH_KEEP_ALL,
    GRAPH_RECOMPUTE_LAYERS /* of what lies between two graph_layer marks, only the value at the mark is kept */
} graph_recompute;

/* A layer begins with x: a mark for recomputation, nothing else. Does nothing in graphs that are only run. */
void graph_layer(graph *g, graph_value x);

/* Appends the nodes that compute d(sum over rows and losses)/d(parameter) and add it to the gradients. Once, before
 * graph_finish. TOLA_E_UNSUPPORTED (in graph_finish) where an operation on the way has no gradient. */
void graph_differentiate(graph *g, const graph_parameter *parameters, size_t count, const graph_value *losses,
                         size_t loss_count, graph_recompute recompute);

/* ---- plans ---- */

typedef enum graph_precision { GRAPH_F32, GRAPH_BF16, GRAPH_FP8 } graph_precision;

/* As plan_create, for a training graph. plan_run adds gradients up; with batch.learn->evaluate it stops where the
 * backward begins. */
tola_status plan_create_training(const graph *g, size_t max_tokens, size_t max_outputs, unsigned threads,
                                 graph_precision precision, graph_plan **out, tola_error *err);
/* The bytes that such a plan would take, without taking them. */
tola_status plan_predict(const graph *g, size_t max_tokens, size_t max_outputs, unsigned threads,
                         graph_precision precision, uint64_t *bytes, tola_error *err);

#endif
