/* Float weights with AMX: TDPBF16PS, 32 rows x 32 tokens at a time.
 *
 * Rows of weights are a tile's rows, those of bf16 as they are; activations lie ready as the second operand wants them
 * (x_tiles, see matmul_kernels.h). A step of k is multiplied with all tokens before the next one; sums wait in scratch
 * as tiles. Every sum meets the same 32 elements after the same 32, whatever lies beside it.
 *
 * An f16 is two bf16 exactly, its upper bits and the others, and an activation two to within 2^-17. Of their four
 * products three are added up; that of the second numbers is below 2^-15 of the whole. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include "kernels/matmul/floats_f8_avx512.h"
#include "kernels/matmul/transpose_avx512.h"
#include "kernels/tiles_amx.h"
#include "kernels/two_bf16_avx512.h"
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

enum { PANEL = 256, STRIPS = PANEL / 16, CHUNKS = MATMUL_X_STEP / 32 };

typedef struct space {
    _Alignas(64) uint16_t w[STRIPS][CHUNKS][16][32]; /* split: [elements / 32][first, second] */
    float sums[][2][16][16]; /* [strip / 2][tokens / 16][strip][row][token] */
} space;

/* 32 floats as two bf16 each, in the order of bf16_pairs. */
typedef struct halves {
    __m512i first, second;
} halves;

ALWAYS halves split_f16(const uint8_t *p) {
    const __m512 low = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
    const __m512 high = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p + 32)));
    return (halves){ bf16_pairs(low, high),
                     bf16_pairs(_mm512_sub_ps(low, bf16_cut(low)), _mm512_sub_ps(high, bf16_cut(high))) };
}

void matmul_split_amx(const float *x, size_t n, uint16_t *out) {
    for (size_t at = 0; at < n; at += 32, out += 64) {
        const __mmask32 some = n - at < 32 ? (__mmask32)((1u << (n - at)) - 1) : 0xffffffff;
        const __m512 low = _mm512_maskz_loadu_ps((__mmask16)some, x + at);
        const __m512 high = _mm512_maskz_loadu_ps((__mmask16)(some >> 16), x + at + 16);
        /* of what is not finite the second number is NaN */
        const __m512 low1 = bf16_rounded(low), high1 = bf16_rounded(high);
        const __m512 low2 = bf16_rounded(_mm512_sub_ps(low, low1)), high2 = bf16_rounded(_mm512_sub_ps(high, high1));
        _mm512_storeu_si512(out, bf16_pairs(low1, high1));
        _mm512_storeu_si512(out + 32, bf16_pairs(low2, high2));
    }
}

typedef uint16_t tile_of_32[16][32]; /* 32 numbers of each of 16 rows */

/* 32 weights of a row: their first numbers into a tile, their second into the next one. */
ALWAYS void put_f16(const uint8_t *p, size_t row, tile_of_32 *to) {
    const halves v = split_f16(p);
    _mm512_store_si512(to[0][row], v.first);
    _mm512_store_si512(to[1][row], v.second);
}

/* Elements [at, at + n) of `rows` rows as tiles. Missing rows stand for the last one, missing elements are zero. Asks
 * for what comes after: the next step's, or at the end of a row the next panel's. */
static void pack(space *s, tola_dtype weights, const uint8_t *w, size_t row_bytes, size_t rows, size_t at, size_t n) {
    const size_t size = tola_dtype_block_bytes(weights);
    const matmul_convert_fn convert = matmul_to_bf16(weights);
    for (size_t r = 0; r < (rows + 31) / 32 * 32; r++) {
        _Alignas(64) uint16_t some[MATMUL_X_STEP];
        const uint8_t *from = w + (r < rows ? r : rows - 1) * row_bytes + at * size;
        const uint8_t *next = (at + n) * size < row_bytes ? from + n * size : from + PANEL * row_bytes - at * size;
        if (convert || n % 32) {
            memset(some, 0, sizeof some);
            if (convert) convert(from, some, n);
            else memcpy(some, from, n * size);
            from = (const uint8_t *)some;
        }
        tile_of_32 *to = s->w[r / 16];
        if (weights == TOLA_DTYPE_F16)
            for (size_t c = 0; 32 * c < n; c++) {
                __builtin_prefetch(next + 64 * c, 0, 2);
                put_f16(from + 64 * c, r % 16, to + 2 * c);
            }
        else
            for (size_t c = 0; 32 * c < n; c++) _mm512_store_si512(to[c][r % 16], _mm512_loadu_si512(from + 64 * c));
    }
}

/* Product `turn` of a step takes these tiles of weights and activations. Split: second x first, first x first, first x
 * second of 32 elements after 32. */
ALWAYS size_t tile_of_w(size_t turn, bool split) { return split ? turn / 3 * 2 + (turn % 3 == 0) : turn; }
ALWAYS size_t tile_of_x(size_t turn, bool split) { return split ? turn / 3 * 2 + (turn % 3 == 2) : turn; }

/* 32 rows x 16 or 32 tokens. A tile is stored two products after its last one, or the store would wait for it and
 * everything else for the store; so the sums of the second 16 tokens stay in their tiles, and those that the call
 * before left there are stored to `late`. */
ALWAYS void multiply(const uint16_t (*w)[CHUNKS][16][32], size_t turns, bool split, const uint32_t *tiles,
                     float (*sums)[2][16][16], bool first, bool second, float (*late)[16][16]) {
    for (size_t c = 0; c < turns; c++) {
        const size_t at = tile_of_w(c, split);
        const uint32_t *x = tiles + 256 * tile_of_x(c, split);
        if (c == 0 && first) _tile_zero(0);
        else if (c == 0) _tile_loadd(0, sums[0][0], 64);
        _tile_loadd(6, x, 64);
        _tile_loadd(4, w[0][at], 64);
        _tile_dpbf16ps(0, 4, 6);
        if (c == 0 && late) _tile_stored(1, late[0], 64);
        if (c == 0 && first) _tile_zero(2);
        else if (c == 0) _tile_loadd(2, sums[0][1], 64);
        _tile_loadd(5, w[1][at], 64);
        _tile_dpbf16ps(2, 5, 6);
        if (c == 0 && late) _tile_stored(3, late[1], 64);
        if (second) {
            if (c == 0 && first) _tile_zero(1);
            else if (c == 0) _tile_loadd(1, sums[1][0], 64);
            _tile_loadd(7, x + 256 * CHUNKS, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (c + 1 == turns) _tile_stored(0, sums[0][0], 64);
        if (second) {
            if (c == 0 && first) _tile_zero(3);
            else if (c == 0) _tile_loadd(3, sums[1][1], 64);
            _tile_dpbf16ps(3, 5, 7);
        }
        if (c + 1 == turns) _tile_stored(2, sums[0][1], 64);
    }
}

/* All tokens with a step of a panel. */
ALWAYS void multiply_step(space *s, size_t rows, size_t turns, bool split, const uint32_t *x, size_t tokens16,
                          bool first) {
    float (*late)[16][16] = NULL;
    for (size_t strip = 0; 16 * strip < rows; strip += 2)
        for (size_t t = 0; t < tokens16; t += 2) {
            float (*sums)[2][16][16] = s->sums + strip / 2 * tokens16 + t;
            const uint32_t *tiles = x + t * CHUNKS * 256;
            const bool second = t + 1 < tokens16;
            if (first) multiply(s->w + strip, turns, split, tiles, sums, true, second, late);
            else multiply(s->w + strip, turns, split, tiles, sums, false, second, late);
            late = second ? sums[1] : NULL;
        }
    if (!late) return;
    _tile_stored(1, late[0], 64);
    _tile_stored(3, late[1], 64);
}

static void store(const space *s, float *y, size_t y_stride, size_t rows, size_t tokens) {
    for (size_t t = 0; t < tokens; t += 16)
        for (size_t strip = 0; 16 * strip < rows; strip++) {
            float (*const sums)[2][16][16] = (float (*)[2][16][16])s->sums + strip / 2 * ((tokens + 15) / 16);
            const size_t left = rows - 16 * strip, some = tokens - t < 16 ? tokens - t : 16;
            const __mmask16 mask = left < 16 ? (__mmask16)((1u << left) - 1) : 0xffff;
            __m512i v[16];
            for (int r = 0; r < 16; r++) v[r] = _mm512_load_si512(sums[t / 16][strip % 2][r]);
            transpose(v);
            for (size_t i = 0; i < 16 && i < some; i++)
                _mm512_mask_storeu_epi32(y + (t + i) * y_stride + 16 * strip, mask, v[i]);
        }
}

static size_t scratch_bytes(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k;
    return sizeof(space) + (tokens + 15) / 16 * sizeof(float[STRIPS][16][16]);
}

static void rows_of(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                    size_t y_stride, size_t count, void *scratch) {
    space *s = scratch;
    const size_t step = x->split ? MATMUL_X_STEP / 2 : MATMUL_X_STEP; /* elements */
    const size_t tokens16 = (x->tokens + 15) / 16;
    tiles_configure_whole();
    for (size_t first = 0; first < count; first += PANEL) {
        const size_t rows = count - first < PANEL ? count - first : PANEL;
        for (size_t at = 0; at < x->k; at += step) {
            const size_t n = x->k - at < step ? x->k - at : step, chunks = (n + 31) / 32;
            const uint32_t *tiles = x->x_tiles + at / step * (MATMUL_X_STEP / 2) * tokens16 * 16;
            pack(s, weights, w + first * row_bytes, row_bytes, rows, at, n);
            settle();
            if (x->split) multiply_step(s, rows, 3 * chunks, true, tiles, tokens16, at == 0);
            else multiply_step(s, rows, chunks, false, tiles, tokens16, at == 0);
        }
        store(s, y + first, y_stride, rows, x->tokens);
    }
    _tile_release();
}

/* ---- one token ----
 *
 * The same instruction, with tiles of rows as they lie in memory, far apart (vector_body.h says why), and a second
 * operand one column wide. */

/* Bytes from what is read to what is asked for, in each run of rows: into the second cache, further by APART in each
 * run than in the one before, as runs of rows of whole pages would otherwise all ask in the same sets of caches (a
 * tenth of the speed); from there into the first, since loads of tiles wait for few lines at a time (a twentieth). */
enum { LINE = 64, AHEAD = 768, APART = 192, SOON = 256 };

typedef __m512i (*load_fn)(const uint8_t *p); /* 32 weights as bf16 */

ALWAYS __m512i load_bf16(const uint8_t *p) { return _mm512_loadu_si512(p); }
ALWAYS __m512i load_e4m3(const uint8_t *p) { return bf16_of_e4m3(p); }
ALWAYS __m512i load_e5m2(const uint8_t *p) { return bf16_of_e5m2(p); }

/* Tile 0: sums, 1: weights, 2: their second numbers, all of so many rows; 3, 4: activations. */
static void configure_one(size_t rows) {
    tiles_palette p = { 0 };
    for (int i = 0; i < 5; i++) {
        p.rows[i] = i > 2 ? 16 : (uint8_t)rows;
        p.bytes[i] = i == 1 || i == 2 ? 64 : 4;
    }
    tiles_configure(&p);
}

/* Sums of so many rows, the first at w, `step` bytes apart. */
typedef void (*one_fn)(const uint8_t *w, size_t step, size_t rows, const uint16_t *x, size_t k, float out[16]);

ALWAYS void one_tile(load_fn weights, size_t size, const uint8_t *w, size_t step, size_t rows, const uint16_t *x,
                     size_t k, float out[16]) {
    _Alignas(64) uint16_t some[16][32];
    size_t at = 0;
    _tile_zero(0);
    for (; at + 32 <= k; at += 32) {
        const uint8_t *here = w + at * size;
        if (at * size % LINE == 0)
            for (size_t r = 0; r < rows; r++) {
                __builtin_prefetch(here + r * step + AHEAD + r * APART, 0, 2);
                __builtin_prefetch(here + r * step + SOON, 0, 3);
            }
        if (size == 2) {
            _tile_loadd(1, here, step);
        } else {
            for (size_t r = 0; r < rows; r++) _mm512_store_si512(some[r], weights(here + r * step));
            settle();
            _tile_loadd(1, some, 64);
            settle();
        }
        _tile_loadd(3, x + at, 4);
        _tile_dpbf16ps(0, 1, 3);
    }
    if (at < k) {
        for (size_t r = 0; r < rows; r++) {
            uint8_t last[64] = { 0 };
            memcpy(last, w + r * step + at * size, (k - at) * size);
            _mm512_store_si512(some[r], weights(last));
        }
        settle();
        _tile_loadd(1, some, 64);
        _tile_loadd(3, x + at, 4);
        _tile_dpbf16ps(0, 1, 3);
    }
    _tile_stored(0, out, 4);
    settle();
}

ALWAYS void all_rows(one_fn tile, const uint8_t *w, size_t row_bytes, const matmul_acts *acts, size_t token, float *y,
                     size_t count) {
    const uint16_t *x = (const uint16_t *)acts->x + token * acts->x_stride;
    for (size_t first = 0; first < count;) {
        const size_t left = count - first, rows = left < 16 ? left : 16, apart = matmul_apart(left, 16);
        configure_one(rows);
        for (size_t n = 0; n < apart; n++, first++) {
            float out[16];
            tile(w + first * row_bytes, apart * row_bytes, rows, x, acts->k, out);
            for (size_t r = 0; r < rows; r++) y[first + r * apart] = out[r];
        }
        first += (rows - 1) * apart;
    }
    _tile_release();
}

/* 32 weights of each row. */
ALWAYS void multiply_f16(const tile_of_32 *w, const uint16_t *x) {
    settle();
    _tile_loadd(3, x, 4);
    _tile_loadd(2, w[1], 64);
    _tile_dpbf16ps(0, 2, 3);
    _tile_loadd(1, w[0], 64);
    _tile_dpbf16ps(0, 1, 3);
    _tile_loadd(4, x + 32, 4);
    _tile_dpbf16ps(0, 1, 4);
    settle();
}

/* Weights are split one product before they are multiplied, as tiles are loaded only when what was stored there has
 * left the processor (a twentieth). */
ALWAYS void tile_f16(const uint8_t *w, size_t step, size_t rows, const uint16_t *x, size_t k, float out[16]) {
    _Alignas(64) tile_of_32 some[2][2];
    _tile_zero(0);
    for (size_t at = 0, n = 0; at < k; at += 32, n++) {
        const uint8_t *here = w + at * 2;
        for (size_t r = 0; r < rows; r++, here += step) {
            __builtin_prefetch(here + AHEAD + r * APART, 0, 2);
            __builtin_prefetch(here + SOON, 0, 3);
            if (k - at >= 32) {
                put_f16(here, r, some[n % 2]);
            } else {
                uint8_t last[64] = { 0 };
                memcpy(last, here, (k - at) * 2);
                put_f16(last, r, some[n % 2]);
            }
        }
        if (at > 0) multiply_f16(some[1 - n % 2], x + 2 * at - 64);
    }
    const size_t last = (k - 1) / 32;
    multiply_f16(some[last % 2], x + 64 * last);
    _tile_stored(0, out, 4);
    settle();
}

#define FLOAT_TILE(name, size)                                                                                        \
    ALWAYS void tile_##name(const uint8_t *w, size_t step, size_t rows, const uint16_t *x, size_t k, float out[16]) { \
        one_tile(load_##name, size, w, step, rows, x, k, out);                                                        \
    }

FLOAT_TILE(bf16, 2)
FLOAT_TILE(e4m3, 1)
FLOAT_TILE(e5m2, 1)

#define FLOAT_VECTOR(name)                                                                                            \
    static void vector_##name(const void *w, size_t row_bytes, const matmul_acts *x, size_t token, float *y,          \
                              size_t count) {                                                                         \
        all_rows(tile_##name, w, row_bytes, x, token, y, count);                                                      \
    }

FLOAT_VECTOR(f16)
FLOAT_VECTOR(bf16)
FLOAT_VECTOR(e4m3)
FLOAT_VECTOR(e5m2)

matmul_vector_fn matmul_vector_floats_amx(tola_dtype weights) {
    switch (weights) {
    case TOLA_DTYPE_F16: return vector_f16;
    case TOLA_DTYPE_BF16: return vector_bf16;
    case TOLA_DTYPE_F8_E4M3: return vector_e4m3;
    case TOLA_DTYPE_F8_E5M2: return vector_e5m2;
    default: return NULL;
    }
}

const matmul_tile matmul_floats_amx = { scratch_bytes, rows_of, 0 };

#endif
