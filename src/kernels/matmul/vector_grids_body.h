/* The matrix-vector product of types with codebooks, behind an instruction set's grid_block_NAME and its grid_rows, the
 * sums of rows (., j). */
#ifndef KERNELS_MATMUL_VECTOR_GRIDS_BODY_H
#define KERNELS_MATMUL_VECTOR_GRIDS_BODY_H

/* The f16 scales of a block: at the beginning, or of iq1_m four times four bits. */
ALWAYS void grid_scales(const rows *r, bool in_parts, uint16_t d[ROWS]) {
    if (!in_parts) {
        collect16(r, 0, d);
        return;
    }
    for (size_t i = 0; i < LANES; i++)
        for (size_t j = 0; j < 4; j++) {
            uint64_t all;
            memcpy(&all, row_at(r, i, j) + 48, sizeof all);
            d[4 * i + j] = (uint16_t)((all >> 12 & 0xf) | (all >> 24 & 0xf0) | (all >> 36 & 0xf00) |
                                      (all >> 48 & 0xf000));
        }
}

ALWAYS vf grid_step(grid_fn block, size_t bytes, float factor, bool in_parts, rows r, acts x, size_t blocks) {
    vf acc = set_f(0);
    for (size_t b = 0; b < blocks; b++) {
        uint16_t d[ROWS];
        vi sums[4];
        grid_scales(&r, in_parts, d);
        for (size_t j = 0; j < 4; j++) sums[j] = grid_rows(block, &r, j, &x);
        acc = super_add(acc, sums, mul_f(load_f16(d), set_f(factor)), &x);
        super_next(&r, &x, bytes);
    }
    return acc;
}

#define GRID(name, bytes, factor, in_parts)                                                                           \
    VECTOR(name, 256, grid_step(grid_block_##name, bytes, factor, in_parts, r, x, blocks))

GRID(iq1_s, 50, 0.125f, false)
GRID(iq1_m, 56, 0.125f, true)
GRID(iq2_xxs, 66, 0.125f, false)
GRID(iq2_xs, 74, 0.125f, false)
GRID(iq2_s, 82, 0.125f, false)
GRID(iq3_xxs, 98, 0.25f, false)
GRID(iq3_s, 110, 1.0f, false)

static matmul_vector_fn grid_vector_of(tola_dtype weights) {
    switch (weights) {
    case TOLA_DTYPE_IQ1_S: return vector_iq1_s;
    case TOLA_DTYPE_IQ1_M: return vector_iq1_m;
    case TOLA_DTYPE_IQ2_XXS: return vector_iq2_xxs;
    case TOLA_DTYPE_IQ2_XS: return vector_iq2_xs;
    case TOLA_DTYPE_IQ2_S: return vector_iq2_s;
    case TOLA_DTYPE_IQ3_XXS: return vector_iq3_xxs;
    case TOLA_DTYPE_IQ3_S: return vector_iq3_s;
    default: return NULL;
    }
}

#endif
