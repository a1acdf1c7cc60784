/* Between gemm.c and its instruction sets.
 *
 * A product is cut into blocks of k, each operand's part of a block is packed into panels, and a kernel multiplies a
 * panel of A with a panel of B into a tile of C (Goto, van de Geijn 2008, "Anatomy of high-performance matrix
 * multiplication"). Packed, k runs in units of four bytes: an f32, or two bf16. */
#ifndef KERNELS_GEMM_GEMM_KERNELS_H
#define KERNELS_GEMM_GEMM_KERNELS_H

#include "kernels/gemm/gemm.h"

enum { GEMM_DEPTH = 256 /* units of k in a block */, GEMM_CHUNK = 8 };

/* Packs `width` lines of an operand (rows of A, columns of B), elements [0, k) of each. Along: a line is a row of
 * `src`; else element e of all lines is row e. */
typedef void (*gemm_pack_fn)(bool along, const char *src, size_t row_bytes, size_t width, size_t k, void *panel);

/* Lines of memory that will be wanted soon, asked for while tiles are multiplied: `each` for every GEMM_CHUNK units of
 * a tile, along `rows` rows of `row_lines`, of which `left` are left in this one, at `at`; the next is `skip` bytes
 * off. */
typedef struct gemm_ahead {
    const char *at;
    size_t each, left, row_lines, rows, skip;
} gemm_ahead;

static inline __attribute__((always_inline)) void gemm_ask(gemm_ahead *a) {
    for (size_t i = 0; i < a->each; i++) {
        __builtin_prefetch(a->at, 0, 2);
        a->at += 64;
        if (--a->left != 0) continue;
        a->left = a->row_lines, a->at += a->skip;
        if (--a->rows == 0) a->each = 0;
    }
}

/* c (+)= alpha a b, `rows` x `columns` of c, with k elements. */
typedef struct gemm_tile {
    size_t k;
    const void *a, *b;
    float *c;
    size_t c_stride, rows, columns;
    float alpha;
    bool add;
    const float *next; /* where the next tile begins in C, or c */
    gemm_ahead *ahead; /* two */
} gemm_tile;

typedef struct gemm_kernel {
    size_t rows, columns; /* of the largest tile; a panel has rows or columns * GEMM_DEPTH units */
    size_t row_step;      /* rows of a tile that cost as much as any fewer of them */
    size_t unit;          /* elements in a unit */
    gemm_pack_fn pack_a, pack_b;
    void (*tile)(const gemm_tile *t);
    void (*begin)(void), (*end)(void); /* around the tiles of a task; NULL mostly */
} gemm_kernel;

/* The last five where they exist. */
extern const gemm_kernel gemm_scalar, gemm_avx2, gemm_avx512, gemm_neon, gemm_avx512bf16, gemm_amx;

/* What gemm_tasks and the others use, for tests: `rounds` says whether operands have to be rounded before packing. */
const gemm_kernel *gemm_kernel_get(gemm_precision precision, bool *rounds);

#endif
