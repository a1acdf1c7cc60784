/* Many tokens with NEON, with the 8-bit products of ARMv8.2 where the file is compiled for them. Parts of products are
 * dwords and codes have their signs: a part takes a whole group. */
#ifndef KERNELS_MATMUL_TILE_NEON_BODY_H
#define KERNELS_MATMUL_TILE_NEON_BODY_H

#include "kernels/matmul/vector_neon.h"
#include "kernels/matmul/tile_body.h"

static void small_16(place p, size_t tokens) { tiles(p, tokens, (how){ .size = 16, .run = 4 }); }
static void small_32(place p, size_t tokens) { tiles(p, tokens, (how){ .size = 32, .run = 8 }); }
static void small_minima(place p, size_t tokens) { tiles(p, tokens, (how){ .size = 32, .run = 8, .minima = true }); }
static void super_16(place p, size_t tokens) { tiles(p, tokens, (how){ .super = true, .size = 16, .run = 4 }); }
static void super_32(place p, size_t tokens) { tiles(p, tokens, (how){ .super = true, .size = 32, .run = 8 }); }
static void super_16_minima(place p, size_t tokens) {
    tiles(p, tokens, (how){ .super = true, .size = 16, .run = 4, .minima = true });
}
static void super_32_minima(place p, size_t tokens) {
    tiles(p, tokens, (how){ .super = true, .size = 32, .run = 8, .minima = true });
}

static tiles_fn tiles_of(const matmul_type *type) {
    const bool sixteen = type->group == 16;
    if (type->kind == MATMUL_SMALL) return type->minima ? small_minima : sixteen ? small_16 : small_32;
    if (sixteen) return type->minima ? super_16_minima : super_16;
    return type->minima ? super_32_minima : super_32;
}

static void rows_neon(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                      size_t y_stride, size_t count, void *scratch) {
    tile_rows(weights, w, row_bytes, x, y, y_stride, count, scratch, tiles_of(matmul_type_get(weights)), false);
}

#endif
