/* Products of bf16 with AMX: TDPBF16PS, tiles of 32 x 32.
 *
 * A panel of A is [16 units of k][32 rows][16 units], so that each 16 x 16 units are a tile as they lie; one of B is
 * [units of k][32 columns], of which a tile takes half the columns. */
#if defined(__x86_64__)
#include "kernels/gemm/gemm_kernels.h"
#include "kernels/gemm/units_bf16_avx512.h"
#include "kernels/tiles_amx.h"
#include <string.h>

enum { ROWS = 32, COLUMNS = 32 };

static void pack_a(bool along, const char *src, size_t row_bytes, size_t width, size_t k, void *panel) {
    for (size_t first = 0; first < width; first += 16) {
        const size_t lines = width - first < 16 ? width - first : 16;
        uint32_t *to = (uint32_t *)panel + first * 16;
        for (size_t e = 0; e < k; e += 32, to += ROWS * 16) {
            if (along) {
                for (size_t i = 0; i < 16; i++)
                    _mm512_store_si512(to + 16 * i,
                                       i < lines ? units_along(src + (first + i) * row_bytes + 4 * e, k - e)
                                                 : _mm512_setzero_si512());
                continue;
            }
            _Alignas(64) uint32_t some[16][16];
            const char *line[16];
            __m512 v[16];
            for (size_t u = 0; u < 16; u++) {
                const char *from = src + (e + 2 * u) * row_bytes + 4 * first;
                const size_t left = e + 2 * u < k ? k - e - 2 * u : 0;
                _mm512_store_si512(some[u], left ? units_across(from, left > 1 ? from + row_bytes : NULL, lines)
                                                 : _mm512_setzero_si512());
                line[u] = (const char *)some[u];
            }
            transpose_16x16(line, v);
            for (int i = 0; i < 16; i++) _mm512_store_ps(to + 16 * i, v[i]);
        }
    }
}

static void pack_b(bool along, const char *src, size_t row_bytes, size_t width, size_t k, void *panel) {
    pack_units(along, src, row_bytes, width, k, panel, COLUMNS);
}

static void begin(void) { tiles_configure_whole(); }

static void end(void) { _tile_release(); }

/* Tiles 0 .. 3: sums, the second two of rows 16 and up; 4, 5: A; 6, 7: B. Sums begin with what lies at c, or zeros, and
 * go there. Meanwhile the next tile of C is fetched. */
ALWAYS void multiply(const gemm_tile *t, bool lower, bool right, float *c, size_t stride, bool add) {
    const uint32_t *a = t->a, *b = t->b;
    const float *next = t->next, *const end = next == t->c ? next : next + 32 * t->c_stride;
    const size_t rows_each = (ROWS * 32 + t->k - 1) / t->k;
    const size_t bytes = 4 * stride;
    if (add) {
        _tile_loadd(0, c, bytes);
        if (right) _tile_loadd(1, c + 16, bytes);
        if (lower) _tile_loadd(2, c + 16 * stride, bytes);
        if (lower && right) _tile_loadd(3, c + 16 * stride + 16, bytes);
    } else {
        _tile_zero(0);
        if (right) _tile_zero(1);
        if (lower) _tile_zero(2);
        if (lower && right) _tile_zero(3);
    }
    for (size_t e = 0; e < t->k; e += 32, a += 16 * ROWS, b += 16 * COLUMNS) {
        for (size_t i = 0; i < rows_each && next != end; i++, next += t->c_stride) {
            __builtin_prefetch(next, 0, 3);
            __builtin_prefetch(next + 16, 0, 3);
            __builtin_prefetch(next + 31, 0, 3);
        }
        for (int i = 0; i < 16 / GEMM_CHUNK; i++) gemm_ask(&t->ahead[0]), gemm_ask(&t->ahead[1]);
        _tile_loadd(6, b, 4 * COLUMNS);
        _tile_loadd(4, a, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (lower) {
            _tile_loadd(5, a + 256, 64);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (right) {
            _tile_loadd(7, b + 16, 4 * COLUMNS);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (lower && right) _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, bytes);
    if (right) _tile_stored(1, c + 16, bytes);
    if (lower) _tile_stored(2, c + 16 * stride, bytes);
    if (lower && right) _tile_stored(3, c + 16 * stride + 16, bytes);
}

/* Part of a tile, or sums with a factor, by way of a room. */
static void tile_in_room(const gemm_tile *t) {
    _Alignas(64) float room[ROWS][COLUMNS] = { { 0 } };
    const bool lower = t->rows > 16, right = t->columns > 16, plain = t->alpha == 1, add = t->add && plain;
    for (size_t r = 0; r < t->rows && add; r++) memcpy(room[r], t->c + r * t->c_stride, t->columns * sizeof *t->c);
    settle();
    if (lower && right) multiply(t, true, true, room[0], COLUMNS, add);
    else if (lower) multiply(t, true, false, room[0], COLUMNS, add);
    else if (right) multiply(t, false, true, room[0], COLUMNS, add);
    else multiply(t, false, false, room[0], COLUMNS, add);
    settle();
    const __m512 alpha = _mm512_set1_ps(t->alpha);
    for (size_t r = 0; r < t->rows; r++) {
        float *c = t->c + r * t->c_stride;
        for (size_t i = 0; i < t->columns; i += 16) {
            const __mmask16 mask = first_lanes(t->columns - i);
            __m512 sum = _mm512_load_ps(room[r] + i);
            if (!plain && t->add) sum = _mm512_fmadd_ps(sum, alpha, _mm512_maskz_loadu_ps(mask, c + i));
            else if (!plain) sum = _mm512_mul_ps(sum, alpha);
            _mm512_mask_storeu_ps(c + i, mask, sum);
        }
    }
}

static void tile(const gemm_tile *t) {
    settle();
    if (t->rows < ROWS || t->columns < COLUMNS || t->alpha != 1) tile_in_room(t);
    else if (t->add) multiply(t, true, true, t->c, t->c_stride, true);
    else multiply(t, true, true, t->c, t->c_stride, false);
    settle();
}

const gemm_kernel gemm_amx = { ROWS, COLUMNS, 16, 2, pack_a, pack_b, tile, begin, end };
#else
typedef int gemm_amx_is_empty;
#endif
