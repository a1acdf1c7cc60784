/* What the files that append nodes share: checks that record the graph's first error, and the node itself. */
#ifndef GRAPH_BUILD_H
#define GRAPH_BUILD_H

#include "graph/op.h"

extern const graph_node node_dead;

void build_no_memory(graph *g);
/* The node of a new value that has in's rows (a value of tokens where in is GRAPH_NONE). */
graph_node build_over(const graph *g, graph_op op, uint32_t cols, graph_value in);
graph_value build_add(graph *g, const graph_node *n);

/* Each records what is wrong and says whether all is well. `op` is the operation's name, for messages. */
bool build_given(graph *g, const char *op, graph_value v);  /* a matrix of floats that was built */
bool build_tokens(graph *g, const char *op, graph_value v); /* with a row for each token of the batch */
bool build_same_rows(graph *g, const char *op, graph_value a, graph_value b);
bool build_expect(graph *g, bool holds, const char *op, const char *what, uint64_t found, uint64_t wanted);
bool build_fits(graph *g, const char *op, const graph_weight *w);
bool build_vector(graph *g, const char *op, const graph_weight *w, uint64_t cols);
bool build_product(graph *g, const char *op, const graph_weight *w, uint32_t cols);

/* Cosines and sines of the batch's positions, one value for all calls alike. */
graph_value build_turns(graph *g, const graph_rope *rope);

/* ---- what training graphs append instead (train_build.c); arguments have been checked ---- */

graph_value train_linear(graph *g, const graph_weight *w, const graph_weight *bias, graph_value x);
graph_value train_attend(graph *g, const graph_attention *a, graph_value q, graph_value k, graph_value v);
graph_value train_expert_linear(graph *g, const graph_weight *w, const graph_weight *bias, bool weigh_input,
                                graph_value route, graph_value x);
/* The largest magnitude of each row of x (GRAPH_NONE: of w), for simulated fp8. */
graph_value train_largest(graph *g, const graph_weight *w, graph_value x);
/* Part `part` of a value that is several matrices. */
graph_value train_part(graph *g, graph_value whole, uint32_t part);

/* Once the graph is whole: what nothing reads is no longer computed. */
void train_remove_unused(graph *g);

/* ---- gradients (train.c, gradients.c) ---- */

typedef struct graph_backward graph_backward;

/* What the backward reads in place of the forward's v: itself, or its copy where it is computed again. */
graph_value back_value(const graph_backward *b, graph_value v);
/* Does a parameter come into v, so that its gradient is of use? */
bool back_wanted(const graph_backward *b, graph_value v);
/* d is (a part of) v's gradient; what there is already is added. Nothing else may hold d. */
void back_to(graph_backward *b, graph_value v, graph_value d);
/* The same; does d go to others, too? */
void back_to_shared(graph_backward *b, graph_value v, graph_value d, bool others);
/* The gradient of `from` is (a part of) v's as it is; does it go to others, too? */
void back_pass(graph_backward *b, graph_value from, graph_value v, bool others);
/* What has been gathered of v's gradient so far, if an operation may add its share in place: it then gives the sum to
 * back_to. GRAPH_NONE: nothing there. */
graph_value back_take(graph_backward *b, graph_value v);
/* Where w's gradient goes; NULL: w is not learned. */
float *const *back_parameter(const graph_backward *b, const graph_weight *w);
graph *back_graph(const graph_backward *b);

/* Appends the gradients of v's inputs and weights, given v's own, d. */
typedef void (*graph_gradient)(graph_backward *b, graph_value v, graph_value d);
extern const graph_gradient gradient_table[OP_COUNT]; /* NULL: has none */

#endif
