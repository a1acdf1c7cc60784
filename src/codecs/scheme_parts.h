/* What several schemes share: parts held against each other, grids of scales, and rows of codes made into numbers. */
#ifndef CODECS_SCHEME_PARTS_H
#define CODECS_SCHEME_PARTS_H

#include "base/err.h"
#include "codecs/scheme.h"

/* ---- parts ---- */

static inline bool part_here(const scheme_layout *l, unsigned i) { return l->parts[i].dtype != TOLA_DTYPE_NONE; }
uint64_t part_elements(const scheme_part *p); /* UINT64_MAX where the product overflows */
/* Is part i a [a, b] of `dtype`, its bytes as many as that takes? */
bool part_is(const scheme_part *p, tola_dtype dtype, uint64_t a, uint64_t b);
/* Are the part's bytes what its dtype and shape take, in at most three dimensions? */
tola_status part_check(const scheme *s, const scheme_layout *l, unsigned i, tola_error *err);
/* Makes a part that is to be written; n_dims 0 .. 2. TOLA_E_LIMIT where its size overflows. */
tola_status part_plan(scheme_layout *l, unsigned i, tola_dtype dtype, uint16_t n_dims, uint64_t a, uint64_t b,
                      tola_error *err);
/* Is rows x cols of f32 something that can be addressed? */
tola_status matrix_check(uint64_t rows, uint64_t cols, tola_error *err);
/* "weight_scale [2, 3] does not go with a matrix of 4 x 5" */
tola_status part_contradicts(const scheme *s, const scheme_layout *l, unsigned i, tola_error *err);

static inline uint64_t ceil_div(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

/* ---- scales ---- */

/* One scale for each block of rows and columns: tensor, channel, group and block are sizes of the block.
 * scales [ceil(rows / block_rows), across], across = ceil(cols / block_cols). */
typedef struct scale_grid {
    uint64_t block_rows, block_cols; /* at least 1 */
    uint64_t down, across;
} scale_grid;

/* From grain, group and block of params, which are set. */
scale_grid grid_of(const scheme_layout *l);
/* Which grain a part of scales has, given what params say: fills params.grain, group, block_rows, block_cols.
 * TOLA_E_FORMAT where no grain fits. */
tola_status grid_find(const scheme *s, scheme_layout *l, unsigned scales, tola_error *err);
/* The block that holds a row starts at this scale. */
static inline uint64_t grid_row(const scale_grid *g, uint64_t row) { return row / g->block_rows * g->across; }

bool is_scale_dtype(tola_dtype dtype); /* f32 f16 bf16 f8_e4m3 f8_e8m0, and u8 for the last */
/* Elements [first, first + n) of an array of scales as f32; u8 is e8m0, i8 and i32 are whole numbers. */
void scales_load(tola_dtype dtype, const void *data, uint64_t first, size_t n, float *dst);

/* ---- codes ---- */

/* `n` codes of `bits` (1 .. 8) from a run of bits, least significant first, as numbers 0 .. 2^bits - 1. `bytes`: what
 * is there to read. */
void codes_unpack(const uint8_t *src, size_t bytes, unsigned bits, uint8_t *codes, size_t n);
/* The way back: fills `bytes` bytes, with zeros behind the last code. */
void codes_pack(const uint8_t *codes, size_t n, unsigned bits, uint8_t *dst, size_t bytes);
/* Codes of a float type (f8_*, f6_*, f4) as f32. src: whole bytes of packed codes; n: whole bytes' worth of them. */
void floats_unpack(tola_dtype element, const uint8_t *src, float *dst, size_t n);

/* dst[j] *= scale of column first + j. scales: those of the whole row of blocks. */
void row_scale(float *dst, uint64_t first, size_t n, uint64_t block_cols, const float *scales);

/* ---- quantization_config ---- */

const char *config_str(const tola_value *map, const char *key); /* "" where it is absent */
bool config_is(const tola_value *map, const char *key, const char *text);

#endif
