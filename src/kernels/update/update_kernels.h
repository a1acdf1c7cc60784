/* Between update.c and its instruction sets. */
#ifndef KERNELS_UPDATE_UPDATE_KERNELS_H
#define KERNELS_UPDATE_UPDATE_KERNELS_H

#include "kernels/update/update.h"

void update_adam_scalar(const update_adam *a, const float *g, float *x, float *m, float *v, size_t n);
void update_adam_avx2(const update_adam *a, const float *g, float *x, float *m, float *v, size_t n);
void update_adam_avx512(const update_adam *a, const float *g, float *x, float *m, float *v, size_t n);
void update_adam_neon(const update_adam *a, const float *g, float *x, float *m, float *v, size_t n);

#endif
