/* Between iq.c and its instruction sets. */
#ifndef KERNELS_QUANTIZE_IQ_KERNELS_H
#define KERNELS_QUANTIZE_IQ_KERNELS_H

#include "kernels/quantize/quantize.h"

#include <stdint.h>

#define IQ_HALVES 81 /* of a cell of eight ternary values: 3^4; a cell of four values of eight has 8^2 = 64 */

#define IQ_OFFSET 32

/* A codebook in the order in which it is searched: every entry is a first half and a second half, each numbered by the
 * levels in it (base 3 or 8, the first value lowest). Entries with the same first half stand together.
 * `first` and `second` are IQ_OFFSET times the numbers: places in tables of costs. */
typedef struct iq_grid {
    uint32_t firsts;                       /* first halves that occur */
    uint16_t first[IQ_HALVES];             /* their numbers */
    uint16_t end[IQ_HALVES];               /* of the run of `second` that goes with each of them; of even length */
    uint8_t code[IQ_HALVES];               /* and their levels, two or three bits each, the first one lowest */
    uint8_t number[256];                   /* of a half by its code */
    uint16_t second[2048 + IQ_HALVES];
    uint16_t index[IQ_HALVES * IQ_HALVES]; /* of (first, second) in the format's table */
} iq_grid;

typedef enum iq_type { IQ1_S = 0, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ_TYPES } iq_type;

/* The codebook of a type; made at the first call. */
const iq_grid *iq_grid_get(iq_type type);

/* ---- what the types have in common ----
 * w = D (2 s + 1) sign q: D = unit d of the super-block, s of the group, q of the codebook. */
typedef struct iq_kind {
    iq_type type;
    int group; /* elements under one s */
    int dims;  /* of a cell, an entry of the codebook: 8 values of 3, or 4 of 8 */
    int steps; /* s < steps */
    float unit;
    bool parity;  /* the number of minuses among eight is even */
    bool shifted; /* q is an entry of -1, 0, 1 plus or minus 1/8, and the entry has the signs */
} iq_kind;

enum { SUPER = 256, CHUNK = 2 * SUPER };

/* Two super-blocks: groups side by side, (elements of a group, groups). */
typedef struct iq_chunk {
    _Alignas(64) float x[CHUNK], h[CHUNK]; /* magnitudes or values over the largest of the super-block; importance */
    int32_t code[CHUNK / 4];               /* (cells of a group, groups): halves a | b << 8, shift << 16 */
    float scale[CHUNK / 16], num[CHUNK / 16], den[CHUNK / 16]; /* of each group: sum h x q and sum h q^2 */
    int32_t step[CHUNK / 16];
    int32_t minus[CHUNK / 8]; /* (eights of a group, groups) */
    float top[2], unit[2];    /* of each super-block: what x was divided by; D */
    uint16_t d[2];            /* f16 */
} iq_chunk;

/* One super-block of a chunk as the type's layout has it. */
typedef void iq_pack(const iq_grid *g, const iq_chunk *c, size_t super, uint8_t *out);
iq_pack iq_pack_iq1_s, iq_pack_iq1_m, iq_pack_iq2_xxs, iq_pack_iq2_xs, iq_pack_iq2_s, iq_pack_iq3_xxs, iq_pack_iq3_s;

typedef struct iq_set {
    quantize_fn of[IQ_TYPES];
} iq_set;

extern const iq_set iq_scalar, iq_avx2, iq_avx512; /* the last two on x86-64 */

#endif
