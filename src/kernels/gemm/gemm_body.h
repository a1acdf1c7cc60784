/* Tiles in registers, compiled once for each instruction set. The file that includes this has chosen the lanes and
 * defines GEMM_TABLE, TILE_ROWS and TILE_VECTORS, the largest tile that its registers hold, and perhaps GEMM_ALONG, a
 * way of its own to pack lines along k; or, for units that are not f32, GEMM_UNIT elements with packers and
 * unit_product, a sum plus the products of two vectors of units.
 *
 * Of f32 an element of C is a chain of fma over a block of k, and the sum of such blocks: the same bits everywhere. */
#include "kernels/gemm/gemm_kernels.h"
#include "kernels/quantize/lanes.h"

enum { ROWS = TILE_ROWS, VECTORS = TILE_VECTORS, COLUMNS = VECTORS * LANES };

#if !defined(GEMM_UNIT)
#define GEMM_UNIT 1

INLINE vf unit_product(vf x, vf y, vf sum) { return v_fma(x, y, sum); }

/* ---- packing: unit e of line i at panel[e * lines + i] ---- */

#if !defined(GEMM_ALONG)
#define GEMM_ALONG pack_along
/* Lines that are missing stand for the last one. */
static void pack_along(const char *src, size_t row_bytes, size_t width, size_t k, float *panel, size_t lines) {
    for (size_t i = 0; i < lines; i++) {
        const char *line = src + (i < width ? i : width - 1) * row_bytes;
        for (size_t e = 0; e < k; e++) memcpy(panel + e * lines + i, line + e * sizeof *panel, sizeof *panel);
    }
}
#endif

INLINE void pack(bool along, const char *src, size_t row_bytes, size_t width, size_t k, float *panel, size_t lines) {
    if (along) {
        GEMM_ALONG(src, row_bytes, width, k, panel, lines);
    } else if (width == lines) {
        for (size_t e = 0; e < k; e++) memcpy(panel + e * lines, src + e * row_bytes, lines * sizeof *panel);
    } else {
        for (size_t e = 0; e < k; e++, panel += lines) {
            memcpy(panel, src + e * row_bytes, width * sizeof *panel);
            memset(panel + width, 0, (lines - width) * sizeof *panel);
        }
    }
}

static void pack_a(bool along, const char *src, size_t row_bytes, size_t width, size_t k, void *panel) {
    pack(along, src, row_bytes, width, k, panel, ROWS);
}

static void pack_b(bool along, const char *src, size_t row_bytes, size_t width, size_t k, void *panel) {
    pack(along, src, row_bytes, width, k, panel, COLUMNS);
}

#endif

/* ---- tiles ---- */

/* A unit of k: s[r][v] += a[r] b[v]. */
INLINE void add_products(vf (*s)[VECTORS], const float *a, const float *b, int rows, int vectors) {
    vf y[VECTORS];
#pragma GCC unroll 16
    for (int v = 0; v < vectors; v++) y[v] = v_load(b + v * LANES);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        vf x = v_set(a[r]);
#pragma GCC unroll 16
        for (int v = 0; v < vectors; v++) s[r][v] = unit_product(x, y[v], s[r][v]);
    }
}

INLINE void multiply(const gemm_tile *t, int rows, int vectors) {
    const float *a = t->a, *b = t->b;
    vf s[ROWS][VECTORS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (int v = 0; v < vectors; v++) s[r][v] = v_set(0);
    /* The tile of C is fetched row by row meanwhile, and what comes after. */
    const size_t units = (t->k + GEMM_UNIT - 1) / GEMM_UNIT;
    const float *c_row = t->c;
    size_t e = 0;
    for (; e + GEMM_CHUNK <= units; e += GEMM_CHUNK, a += GEMM_CHUNK * ROWS, b += GEMM_CHUNK * COLUMNS) {
        if (e < (size_t)rows * GEMM_CHUNK) {
#pragma GCC unroll 16
            for (int v = 0; v < vectors * LANES; v += 16) __builtin_prefetch(c_row + v, 0, 3);
            __builtin_prefetch(c_row + t->columns - 1, 0, 3);
            c_row += t->c_stride;
        }
        gemm_ask(&t->ahead[0]);
        gemm_ask(&t->ahead[1]);
#pragma GCC unroll 8
        for (int i = 0; i < GEMM_CHUNK; i++) add_products(s, a + i * ROWS, b + i * COLUMNS, rows, vectors);
    }
    for (; e < units; e++, a += ROWS, b += COLUMNS) add_products(s, a, b, rows, vectors);
    const vf alpha = v_set(t->alpha);
    if (t->columns == (size_t)(vectors * LANES)) {
        float *c = t->c;
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++, c += t->c_stride)
#pragma GCC unroll 16
            for (int v = 0; v < vectors; v++)
                v_store(c + v * LANES, t->add ? v_fma(s[r][v], alpha, v_load(c + v * LANES)) : v_mul(s[r][v], alpha));
        return;
    }
    float room[ROWS][COLUMNS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (int v = 0; v < vectors; v++) v_store(room[r] + v * LANES, s[r][v]);
    for (int r = 0; r < rows; r++) {
        float *c = t->c + (size_t)r * t->c_stride;
        for (size_t i = 0; i < t->columns; i++)
            c[i] = t->add ? fmaf(room[r][i], t->alpha, c[i]) : room[r][i] * t->alpha;
    }
}

#define TILES(rows) \
    case rows: t->columns > LANES ? multiply(t, rows, VECTORS) : multiply(t, rows, 1); break;

static void tile(const gemm_tile *t) {
    switch (t->rows) {
        TILES(1)
        TILES(2)
        TILES(3)
        TILES(4)
#if TILE_ROWS > 4
        TILES(5)
        TILES(6)
#endif
#if TILE_ROWS > 6
        TILES(7)
        TILES(8)
        TILES(9)
        TILES(10)
        TILES(11)
        TILES(12)
        TILES(13)
        TILES(14)
#endif
    default: break;
    }
}

const gemm_kernel GEMM_TABLE = { ROWS, COLUMNS, 1, GEMM_UNIT, pack_a, pack_b, tile, NULL, NULL };
