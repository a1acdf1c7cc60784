/* What operations that call kernels/gemm share. */
#ifndef GRAPH_PRODUCTS_H
#define GRAPH_PRODUCTS_H

#include "graph/op.h"
#include "kernels/gemm/gemm.h"

/* Rows of an input of the call as an operand (c NULL: its type alone); part `part` of a weight as one. */
gemm_operand product_rows(const op_call *c, int input, bool transposed);
gemm_operand product_weight(const graph_weight *w, size_t part, bool transposed);
gemm_precision product_precision(const graph_plan *p);
/* Simulated fp8, where the plan asks for it: the operand's largest elements are the call's input `largest`. */
void product_round(const op_call *c, gemm_operand *o, int largest, bool gradient);
/* Scratch of a product of this size, and of one of fewer rows. */
size_t product_scratch(const gemm_problem *p, unsigned threads);

#endif
