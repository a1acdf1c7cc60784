/* A step of a panel: up to 256 elements of 64 rows, unpacked for the tile paths of AVX-512 and AMX.
 *
 * A vector of codes holds 4 consecutive elements of each of 16 rows, as vpdpbusd and a tile of TDPBUSD's second operand
 * want; those of a step of 16 rows, a strip, lie behind one another. */
#ifndef KERNELS_MATMUL_PANEL_H
#define KERNELS_MATMUL_PANEL_H

#include "kernels/matmul/matmul_kernels.h"

enum { PANEL_ROWS = 64, PANEL_STRIPS = 4, PANEL_STEP = 256 };

typedef struct matmul_panel {
    _Alignas(64) uint8_t q[PANEL_STRIPS][PANEL_STEP / 4][64]; /* codes + offset - less */
    _Alignas(64) int32_t sc[16][PANEL_ROWS];                  /* super-blocks: scale of each group */
    _Alignas(64) float d[16][PANEL_ROWS];                     /* small blocks: of each group; super-blocks: d[0] */
    _Alignas(64) float min[8][PANEL_ROWS];                    /* the same of the minima */
    _Alignas(64) int16_t m[8][PANEL_ROWS][2];                 /* super-blocks: minima of two groups */
} matmul_panel;

/* Elements of a step: the block of super-blocks, else 256. */
static inline size_t panel_step(tola_dtype weights) {
    return matmul_type_get(weights)->kind == MATMUL_SUPER ? tola_dtype_block_elements(weights) : PANEL_STEP;
}

/* Unpacks strip `which` of n elements (at most a step, whole blocks) of `count` rows, the first at w; codes less
 * `less`. What lies in rows beyond count is undefined. */
void matmul_panel_unpack_avx512(tola_dtype weights, const uint8_t *w, size_t row_bytes, size_t count, size_t which,
                                size_t n, int less, matmul_panel *out);
/* The same of a block of q4_k or q5_k, with code x scale in two bytes instead of codes and scales: out->q is the lower
 * one, `high` the one that counts eight times as much. Fewer instructions than code x scale = low + 256 high takes, but
 * tile products take longer (fewer of their bits are zero). */
void matmul_panel_digits_avx512(tola_dtype weights, const uint8_t *w, size_t row_bytes, size_t count, size_t which,
                                matmul_panel *out, uint8_t high[PANEL_STEP / 4][64]);

/* Weights that are asked for before they are unpacked: so many bytes of each of so many rows, a share of the rows
 * before each piece of work, as memory takes no more at once. In the order of memory, whole panels, it is faster: AMX,
 * q4_k and q6_k with 32 tokens by 8 to 20 %. */
typedef struct panel_ahead {
    const uint8_t *at;
    size_t rows, bytes, stride, share;
} panel_ahead;

static inline panel_ahead panel_in_shares(const uint8_t *at, size_t rows, size_t bytes, size_t stride, size_t shares) {
    return (panel_ahead){ at, rows, bytes, stride, (rows + shares - 1) / shares };
}

static inline void panel_ask(panel_ahead *a) {
    const size_t rows = a->share < a->rows ? a->share : a->rows, bytes = a->bytes + 63, stride = a->stride;
    const uint8_t *at = a->at;
    for (size_t r = 0; r < rows; r++, at += stride)
        for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(at + i, 0, 2);
    a->at = at;
    a->rows -= rows;
}

#endif
