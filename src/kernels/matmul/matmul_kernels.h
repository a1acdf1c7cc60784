/* Between matmul.c and its paths: how prepared activations lie in memory, and what an instruction set provides. */
#ifndef KERNELS_MATMUL_KERNELS_H
#define KERNELS_MATMUL_KERNELS_H

#include "kernels/matmul/matmul.h"
#include <stdint.h>

/* Prepared activations of block types, each array row-major by token, each token's part aligned to 64 bytes:
 *   q    int8, k of them a token, zero-padded to q_stride
 *   d    f32, one for each d_block elements (32, 128 or 256, see matmul.h)
 *   sums int16, sums of q over each 16 elements (over 32: add two neighbours; |sum| <= 2032)
 * Of float types: x, f32 or bf16 (rounded to bf16 and kept as f32 where the processor has no fast product of bf16),
 * row-major, zero-padded to x_stride; q, d and sums are NULL. For f16 with AMX two bf16 an element, the number rounded
 * and what that leaves: [k / 32][rounded, left][32 elements in the order 0, 16, 1, 17, and so on].
 * The tile path may keep more behind them. */
typedef struct matmul_acts {
    size_t k, tokens;
    const int8_t *q;
    const float *d;
    const int16_t *sums;
    size_t q_stride, d_stride, sums_stride; /* elements from token to token */
    unsigned d_block;
    const void *x;
    size_t x_stride;
    bool wide;  /* x is f32 */
    bool split; /* x is two bf16 an element */
    /* bf16 and split f16 with AMX: tiles of 32 numbers x 16 tokens, [numbers of a token / MATMUL_X_STEP][tokens / 16]
     * [numbers of the step / 32][16 pairs of numbers][16 tokens]; missing tokens are anything, missing elements zero */
    const uint32_t *x_tiles;
    /* Block types with AMX: q as tiles of 64 elements x 16 tokens, [k / 64][tokens / 16][16 tokens][64 elements];
     * missing tokens and elements are anything */
    const int8_t *q_tiles;
    /* Block types with ARM's i8mm: q of two tokens side by side, [tokens / 2][k / 8][2 tokens][8 elements], 2 *
     * q_stride from pair to pair; a missing token is anything */
    const int8_t *q_pairs;
    /* Block types with AVX-512 VNNI and no AMX: q of the tokens of a tile (matmul_fours_begin) side by side, [tiles]
     * [k / 4][16 tokens][4 elements]; missing tokens are anything */
    const int32_t *q_fours;
    /* -offset times the sum of q of each group: where sums of codes with an offset begin. NULL where the type has no
     * use and where tokens go through the tile path. */
    const int32_t *first;
    size_t first_stride;
    /* For the tile paths: element [group][token] is at group * across + token. NULL where the type has no use,
     * and as the tiles and pairs above where tokens are taken one after the other (matmul_vector_for). */
    size_t across; /* a multiple of 16 */
    const float *d_across;       /* d */
    const int32_t *first_across; /* first */
    const int32_t *most;         /* super-blocks with an offset up to 32, beside q_fours: of the sums of
                                  * 16 magnitudes in each d_block the largest */
    const float *d_sums;         /* small blocks with minima: d_x * (float)sum_x of each 32 */
    const int32_t *pairs;        /* super-blocks with minima: sums of q of groups 2 i and 2 i + 1 as two int16 */
} matmul_acts;

/* One block of weights as integers and scales: its code of element i is q[i]. */
typedef struct matmul_codes {
    int8_t q[256];
    int16_t sc[16], m[16]; /* super-blocks: integer scales and minima of each 16 elements */
    float d[4], min[4];    /* small blocks: of each group; super-blocks: d_w and dmin_w, the first of each */
} matmul_codes;

typedef enum matmul_kind { MATMUL_NONE, MATMUL_SMALL, MATMUL_SUPER, MATMUL_F32, MATMUL_F16, MATMUL_BF16 } matmul_kind;

/* What the paths need to know of a weight type. */
typedef struct matmul_type {
    uint8_t kind;   /* matmul_kind: how it multiplies; f8 as bf16 */
    uint8_t group;  /* elements with a scale of their own: 16 or 32; small blocks: that of d, too */
    bool minima;    /* uses min (and m) */
    uint8_t offset; /* codes + offset are >= 0; with an offset up to 16 at most 32, of 32 at most 64, of 64 below 128 */
    void (*codes)(const uint8_t *block, matmul_codes *out);
} matmul_type;

const matmul_type *matmul_type_get(tola_dtype weights); /* codes.c; kind MATMUL_NONE where it is not supported */

matmul_acts matmul_view(tola_dtype weights, size_t k, size_t tokens, const void *prepared);

/* One token, rows [0, count) of w: y[r]. The matrix-vector product, at the speed of memory; NULL where a type has none
 * for this processor (the tile path then serves, with the same bits). */
typedef void (*matmul_vector_fn)(const void *w, size_t row_bytes, const matmul_acts *x, size_t token, float *y,
                                 size_t count);
matmul_vector_fn matmul_vector_get(tola_dtype weights);        /* vector.c chooses */
/* The product that so many tokens take one after the other; NULL: they go through the tile path, all at once. What that
 * takes along is there only then. */
matmul_vector_fn matmul_vector_for(tola_dtype weights, size_t tokens);
matmul_vector_fn matmul_vector_avx512vnni(tola_dtype weights); /* vector_avx512vnni.c; and so on */
matmul_vector_fn matmul_vector_avx2(tola_dtype weights);
matmul_vector_fn matmul_vector_neon(tola_dtype weights);
matmul_vector_fn matmul_vector_dotprod(tola_dtype weights);
/* Of float weights: floats_NAME.c. The last two take activations in bf16 (AMX: or split), the others in f32. */
matmul_vector_fn matmul_vector_floats_neon(tola_dtype weights);
matmul_vector_fn matmul_vector_floats_avx2(tola_dtype weights);
matmul_vector_fn matmul_vector_floats_avx512(tola_dtype weights);
matmul_vector_fn matmul_vector_floats_avx512bf16(tola_dtype weights);
matmul_vector_fn matmul_vector_floats_amx(tola_dtype weights);

/* How many rows apart a vector path takes its rows, `rows` at a time: a share of `count` each, made odd, so that the
 * runs do not meet in the same sets of a cache where a row is a multiple of a large power of two. */
static inline size_t matmul_apart(size_t count, size_t rows) {
    const size_t share = count / rows;
    return share == 0 ? 1 : share - (share % 2 == 0);
}

/* The definition: one row with one token. */
float matmul_scalar_dot(tola_dtype weights, const void *row, const matmul_acts *x, size_t token);

/* Activations of one row, n a multiple of block (32, 128, 256). */
typedef void (*matmul_quantize_fn)(const float *x, size_t n, unsigned block, int8_t *q, float *d, int16_t *sums);
void matmul_quantize_scalar(const float *x, size_t n, unsigned block, int8_t *q, float *d, int16_t *sums);
void matmul_quantize_avx512(const float *x, size_t n, unsigned block, int8_t *q, float *d, int16_t *sums);
void matmul_quantize_avx2(const float *x, size_t n, unsigned block, int8_t *q, float *d, int16_t *sums);
void matmul_quantize_neon(const float *x, size_t n, unsigned block, int8_t *q, float *d, int16_t *sums);
#define MATMUL_LEAST_BITS 0x0d800000u /* 2^-100: smaller magnitudes alone give d = 0 */

#define MATMUL_X_STEP 256       /* numbers of a token in bf16 whose tiles lie behind one another */
#define MATMUL_FLOAT_BLOCK 1024 /* elements whose sums are added up before they join the others */
typedef void (*matmul_convert_fn)(const void *src, void *dst, size_t n); /* exact */
matmul_convert_fn matmul_to_f32(tola_dtype weights);  /* floats.c; NULL for f32 */
matmul_convert_fn matmul_to_bf16(tola_dtype weights); /* of f8; NULL for bf16 */
bool matmul_floats(const matmul_type *type);          /* a type of floats? */
bool matmul_wide(const matmul_type *type);            /* are its activations kept as f32? */
bool matmul_split(const matmul_type *type);           /* as two bf16? */
/* q_fours, most and first_across of tokens [first, first + count), at most 16 from a multiple of 16 on. */
void matmul_fours_avx512(const matmul_type *type, const matmul_acts *x, size_t first, size_t count);

#define MATMUL_FOURS 14 /* tokens of a tile of q_fours, at most */

static inline size_t matmul_fours_tiles(size_t tokens) {
    return (tokens + MATMUL_FOURS - 1) / MATMUL_FOURS;
}

/* The first token of tile i; all have as many, or one more. */
static inline size_t matmul_fours_begin(size_t tokens, size_t i) {
    return i * tokens / matmul_fours_tiles(tokens);
}

/* Elements as two bf16 each, as matmul_acts lays them out; (n + 31) / 32 * 64 numbers. */
void matmul_split_amx(const float *x, size_t n, uint16_t *out);

/* Rows [0, count) of w with all tokens. */
typedef struct matmul_tile {
    size_t (*scratch)(const matmul_type *type, size_t k, size_t tokens);
    void (*rows)(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                 size_t y_stride, size_t count, void *scratch);
    size_t least; /* with fewer tokens one after the other is faster, where the type has a product for one */
} matmul_tile;
extern const matmul_tile matmul_floats_avx2, matmul_floats_avx512, matmul_floats_avx512bf16, matmul_floats_amx;
extern const matmul_tile matmul_floats_neon;
extern const matmul_tile matmul_tile_scalar, matmul_tile_avx2, matmul_tile_avx512vnni, matmul_tile_amx;
extern const matmul_tile matmul_tile_neon, matmul_tile_dotprod, matmul_tile_i8mm;

/* The paths of this processor, best first; each serves the kinds whose bit (1 << matmul_kind) is set. The last one,
 * scalar, serves all. */
typedef struct matmul_path {
    const char *name;
    unsigned kinds;
    const matmul_tile *tile;
} matmul_path;
enum { MATMUL_PATHS_MOST = 8 };
size_t matmul_paths(matmul_path *out); /* room for MATMUL_PATHS_MOST */

#endif
