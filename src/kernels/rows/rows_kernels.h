/* Between rows.c and its instruction sets. */
#ifndef KERNELS_ROWS_ROWS_KERNELS_H
#define KERNELS_ROWS_ROWS_KERNELS_H

#include "kernels/rows/rows.h"

extern const rows_kernels rows_scalar, rows_avx2, rows_avx512, rows_neon; /* the last three where they exist */

#endif
