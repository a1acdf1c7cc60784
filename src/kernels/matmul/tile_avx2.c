/* Many tokens with AVX2. Parts of products are words: sums of two products, or of so many that no word overflows with
 * activations up to 127. Where no code with its offset is above 32 (matmul_kernels.h), four sums of two are at most
 * 4 * 2 * 32 * 127 = 32512; up to 64, two of them. Other codes are taken with their signs, one sum at a time. */
#if defined(__x86_64__)
#include "kernels/matmul/vector_avx2.h"
#include "kernels/matmul/tile_body.h"

#define SMALL .super = false
#define SUPER .super = true
#define FOUR .offset = true, .run = 4
#define TWO .offset = true, .run = 2
#define SIGNED .sign = true, .run = 1
#define MINIMA .minima = true, .run = 4
#define TILES(name, ...) \
    static void name(place p, size_t tokens) { tiles(p, tokens, (how){ __VA_ARGS__ }); }

TILES(small_16, SMALL, .size = 16, FOUR)
TILES(small_32, SMALL, .size = 32, FOUR)
TILES(small_signed, SMALL, .size = 32, SIGNED)
TILES(small_minima, SMALL, .size = 32, MINIMA)
TILES(super_16, SUPER, .size = 16, FOUR)
TILES(super_32, SUPER, .size = 32, FOUR)
TILES(super_16_of_six, SUPER, .size = 16, TWO)
TILES(super_16_signed, SUPER, .size = 16, SIGNED)
TILES(super_32_signed, SUPER, .size = 32, SIGNED)
TILES(super_16_minima, SUPER, .size = 16, MINIMA)
TILES(super_32_minima, SUPER, .size = 32, MINIMA)

static bool with_sign(const matmul_type *type) {
    return type->offset > 32 || (type->offset > 16 && type->group == 32);
}

static tiles_fn tiles_of(const matmul_type *type) {
    const bool sign = with_sign(type), sixteen = type->group == 16;
    if (type->kind == MATMUL_SMALL)
        return type->minima ? small_minima : sign ? small_signed : sixteen ? small_16 : small_32;
    if (type->minima) return sixteen ? super_16_minima : super_32_minima;
    if (sign) return sixteen ? super_16_signed : super_32_signed;
    return !sixteen ? super_32 : type->offset > 16 ? super_16_of_six : super_16;
}

static void rows_avx2(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                      size_t y_stride, size_t count, void *scratch) {
    const matmul_type *type = matmul_type_get(weights);
    tile_rows(weights, w, row_bytes, x, y, y_stride, count, scratch, tiles_of(type), !with_sign(type));
}

const matmul_tile matmul_tile_avx2 = { tile_scratch, rows_avx2, 32 };
#endif
