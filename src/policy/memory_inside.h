/* What the files that count memory share. */
#ifndef POLICY_MEMORY_INSIDE_H
#define POLICY_MEMORY_INSIDE_H

#include "policy/memory.h"

double memory_bits(const model_shape *s, const memory_weights *w); /* a weight, on average */
/* Whole bytes; TOLA_E_LIMIT where that is no number of them. Sums are made in doubles, whose 53 bits count single bytes
 * up to 9 PB. */
tola_status memory_take(double value, uint64_t *out, const char *what, tola_error *err);

/* In a mixture of llama.cpp's; `usual` bits for what no tensor of the recipe stands for. */
tola_status memory_mixture_bytes(const model_shape *s, const char *name, double usual, double *bytes, tola_error *err);

#endif
