/* The update of weights by Adam, element by element.
 *
 * The scalar file defines every bit, each instruction set gives the same: an optimizer's state that was kept on one
 * machine goes on the same way on another. */
#ifndef KERNELS_UPDATE_H
#define KERNELS_UPDATE_H

#include <stddef.h>

/* With d = g scale + add x:
 *     m += rest1 (d - m), v = beta2 v + (rest2 d) d, x = x shrink - step m / (sqrt(v) unroot + eps)
 * each operation rounded, in this order (torch/optim/adamw.py with its corrections taken into step and unroot). */
typedef struct update_adam {
    float scale; /* of gradients */
    float rest1, beta2, rest2; /* rest: 1 - beta */
    float add, shrink;         /* decay of the gradient, or of the weight */
    float step;                /* rate / (1 - beta1^t) */
    float unroot, eps;         /* 1 / sqrt(1 - beta2^t) */
} update_adam;

/* x, m, v and g are n floats each, apart from one another, unaligned. */
typedef void (*update_adam_fn)(const update_adam *a, const float *g, float *x, float *m, float *v, size_t n);

update_adam_fn update_adam_get(void);        /* for this processor */
update_adam_fn update_adam_get_scalar(void); /* for the checker */

#endif
