/* Float weights with AMX: TDPBF16PS, 32 rows x 32 tokens at a time.
 *
 * Rows of weights are a tile's rows as they are; activations lie ready as the second operand wants them (x_tiles, see
 * matmul_kernels.h). A step of k is multiplied with all tokens before the next one; sums wait in scratch as tiles.
 * Every sum meets the same 32 elements after the same 32, whatever lies beside it. */
#include "kernels/matmul/matmul_kernels.h"

#if defined(__x86_64__)
#include "kernels/matmul/floats_f8_avx512.h"
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

enum { PANEL = 256, STRIPS = PANEL / 16, STEP = MATMUL_X_STEP, CHUNKS = STEP / 32 };

typedef struct space {
    _Alignas(64) uint16_t w[STRIPS][CHUNKS][16][32];
    float sums[][2][16][16]; /* [strip / 2][tokens / 16][strip][row][token] */
} space;

static void configure(void) {
    _Alignas(64) uint8_t palette[64] = { 1 };
    for (int i = 0; i < 8; i++) {
        palette[16 + 2 * i] = 64; /* bytes of a row */
        palette[48 + i] = 16;     /* rows */
    }
    __asm__ volatile("" : : "r"(palette) : "memory"); /* gcc's tile intrinsics do not say that they read memory */
    _tile_loadconfig(palette);
}

/* Elements [at, at + n) of `rows` rows as tiles. Missing rows stand for the last one, missing elements are zero. */
static void pack(space *s, tola_dtype weights, const uint8_t *w, size_t row_bytes, size_t rows, size_t at, size_t n) {
    const size_t size = tola_dtype_block_bytes(weights);
    const matmul_convert_fn convert = matmul_to_bf16(weights);
    for (size_t r = 0; r < (rows + 31) / 32 * 32; r++) {
        _Alignas(64) uint16_t some[STEP];
        const void *from = w + (r < rows ? r : rows - 1) * row_bytes + at * size;
        if (convert || n < STEP) {
            memset(some, 0, sizeof some);
            if (convert) convert(from, some, n);
            else memcpy(some, from, n * size);
            from = some;
        }
        for (size_t c = 0; c < CHUNKS; c++)
            _mm512_store_si512(s->w[r / 16][c][r % 16], _mm512_loadu_si512((const uint8_t *)from + 64 * c));
    }
}

/* 32 rows x 16 or 32 tokens. A tile is stored two products after its last one, or the store would wait for it and
 * everything else for the store; so the sums of the second 16 tokens stay in their tiles, and those that the call
 * before left there are stored to `late`. */
ALWAYS void multiply(const uint16_t (*w)[CHUNKS][16][32], size_t chunks, const uint32_t *x, float (*sums)[2][16][16],
                     bool first, bool second, float (*late)[16][16]) {
    for (size_t c = 0; c < chunks; c++, x += 256) {
        if (c == 0 && first) _tile_zero(0);
        else if (c == 0) _tile_loadd(0, sums[0][0], 64);
        _tile_loadd(6, x, 64);
        _tile_loadd(4, w[0][c], 64);
        _tile_dpbf16ps(0, 4, 6);
        if (c == 0 && late) _tile_stored(1, late[0], 64);
        if (c == 0 && first) _tile_zero(2);
        else if (c == 0) _tile_loadd(2, sums[0][1], 64);
        _tile_loadd(5, w[1][c], 64);
        _tile_dpbf16ps(2, 5, 6);
        if (c == 0 && late) _tile_stored(3, late[1], 64);
        if (second) {
            if (c == 0 && first) _tile_zero(1);
            else if (c == 0) _tile_loadd(1, sums[1][0], 64);
            _tile_loadd(7, x + 256 * CHUNKS, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (c + 1 == chunks) _tile_stored(0, sums[0][0], 64);
        if (second) {
            if (c == 0 && first) _tile_zero(3);
            else if (c == 0) _tile_loadd(3, sums[1][1], 64);
            _tile_dpbf16ps(3, 5, 7);
        }
        if (c + 1 == chunks) _tile_stored(2, sums[0][1], 64);
    }
}

/* All tokens with a step of a panel. */
static void multiply_step(space *s, size_t rows, size_t chunks, const uint32_t *x, size_t tokens16, bool first) {
    float (*late)[16][16] = NULL;
    for (size_t strip = 0; 16 * strip < rows; strip += 2)
        for (size_t t = 0; t < tokens16; t += 2) {
            float (*sums)[2][16][16] = s->sums + strip / 2 * tokens16 + t;
            const uint32_t *tiles = x + t * CHUNKS * 256;
            const bool second = t + 1 < tokens16;
            if (first) multiply(s->w + strip, chunks, tiles, sums, true, second, late);
            else multiply(s->w + strip, chunks, tiles, sums, false, second, late);
            late = second ? sums[1] : NULL;
        }
    if (!late) return;
    _tile_stored(1, late[0], 64);
    _tile_stored(3, late[1], 64);
}

ALWAYS void transpose(__m512 v[16]) {
    __m512 a[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) { /* v[i + c]: element c of each lane of rows i .. i + 3 */
        v[i] = _mm512_shuffle_ps(a[i], a[i + 2], 0x44);
        v[i + 1] = _mm512_shuffle_ps(a[i], a[i + 2], 0xee);
        v[i + 2] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        v[i + 3] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    for (int c = 0; c < 4; c++) {
        __m512 even = _mm512_shuffle_f32x4(v[c], v[4 + c], 0x88), odd = _mm512_shuffle_f32x4(v[c], v[4 + c], 0xdd);
        __m512 even2 = _mm512_shuffle_f32x4(v[8 + c], v[12 + c], 0x88);
        __m512 odd2 = _mm512_shuffle_f32x4(v[8 + c], v[12 + c], 0xdd);
        a[c] = _mm512_shuffle_f32x4(even, even2, 0x88);
        a[8 + c] = _mm512_shuffle_f32x4(even, even2, 0xdd);
        a[4 + c] = _mm512_shuffle_f32x4(odd, odd2, 0x88);
        a[12 + c] = _mm512_shuffle_f32x4(odd, odd2, 0xdd);
    }
    memcpy(v, a, sizeof a);
}

static void store(const space *s, float *y, size_t y_stride, size_t rows, size_t tokens) {
    for (size_t t = 0; t < tokens; t += 16)
        for (size_t strip = 0; 16 * strip < rows; strip++) {
            float (*const sums)[2][16][16] = (float (*)[2][16][16])s->sums + strip / 2 * ((tokens + 15) / 16);
            const size_t left = rows - 16 * strip, some = tokens - t < 16 ? tokens - t : 16;
            const __mmask16 mask = left < 16 ? (__mmask16)((1u << left) - 1) : 0xffff;
            __m512 v[16];
            for (int r = 0; r < 16; r++) v[r] = _mm512_load_ps(sums[t / 16][strip % 2][r]);
            transpose(v);
            for (size_t i = 0; i < 16 && i < some; i++)
                _mm512_mask_storeu_ps(y + (t + i) * y_stride + 16 * strip, mask, v[i]);
        }
}

static size_t scratch_bytes(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k;
    return sizeof(space) + (tokens + 15) / 16 * sizeof(float[STRIPS][16][16]);
}

static void rows_of(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                    size_t y_stride, size_t count, void *scratch) {
    space *s = scratch;
    const size_t tokens16 = (x->tokens + 15) / 16;
    configure();
    for (size_t first = 0; first < count; first += PANEL) {
        const size_t rows = count - first < PANEL ? count - first : PANEL;
        for (size_t at = 0; at < x->k; at += STEP) {
            const size_t n = x->k - at < STEP ? x->k - at : STEP;
            const uint32_t *tiles = x->x_tiles + at / 2 * tokens16 * 16;
            pack(s, weights, w + first * row_bytes, row_bytes, rows, at, n);
            __asm__ volatile("" ::: "memory"); /* as in configure() */
            multiply_step(s, rows, (n + 31) / 32, tiles, tokens16, at == 0);
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
 * run than in the one before, as runs of rows of whole pages would otherwise all ask in the same sets of caches (a tenth
 * of the speed); from there into the first, since loads of tiles wait for few lines at a time (a twentieth). */
enum { LINE = 64, AHEAD = 768, APART = 192, SOON = 256 };

typedef __m512i (*load_fn)(const uint8_t *p); /* 32 weights as bf16 */

ALWAYS __m512i load_bf16(const uint8_t *p) { return _mm512_loadu_si512(p); }
ALWAYS __m512i load_e4m3(const uint8_t *p) { return bf16_of_e4m3(p); }
ALWAYS __m512i load_e5m2(const uint8_t *p) { return bf16_of_e5m2(p); }

/* Tile 0: sums, 1: weights, both of so many rows; 2: activations. */
static void configure_one(size_t rows) {
    _Alignas(64) uint8_t palette[64] = { 1 };
    palette[16] = palette[20] = 4;
    palette[18] = 64;
    palette[48] = palette[49] = (uint8_t)rows;
    palette[50] = 16;
    __asm__ volatile("" : : "r"(palette) : "memory"); /* as in configure() */
    _tile_loadconfig(palette);
}

/* So many rows, the first at w, `step` bytes apart. */
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
            __asm__ volatile("" ::: "memory");
            _tile_loadd(1, some, 64);
        }
        _tile_loadd(2, x + at, 4);
        _tile_dpbf16ps(0, 1, 2);
    }
    if (at < k) {
        for (size_t r = 0; r < rows; r++) {
            uint8_t last[64] = { 0 };
            memcpy(last, w + r * step + at * size, (k - at) * size);
            _mm512_store_si512(some[r], weights(last));
        }
        __asm__ volatile("" ::: "memory");
        _tile_loadd(1, some, 64);
        _tile_loadd(2, x + at, 4);
        _tile_dpbf16ps(0, 1, 2);
    }
    _tile_stored(0, out, 4);
    __asm__ volatile("" ::: "memory");
}

ALWAYS void all_rows(load_fn weights, size_t size, const uint8_t *w, size_t row_bytes, const matmul_acts *acts,
                     size_t token, float *y, size_t count) {
    const uint16_t *x = (const uint16_t *)acts->x + token * acts->x_stride;
    for (size_t first = 0; first < count;) {
        const size_t left = count - first, rows = left < 16 ? left : 16, apart = matmul_apart(left, 16);
        configure_one(rows);
        for (size_t n = 0; n < apart; n++, first++) {
            float out[16];
            one_tile(weights, size, w + first * row_bytes, apart * row_bytes, rows, x, acts->k, out);
            for (size_t r = 0; r < rows; r++) y[first + r * apart] = out[r];
        }
        first += (rows - 1) * apart;
    }
    _tile_release();
}

#define FLOAT_VECTOR(name, size)                                                                                      \
    static void vector_##name(const void *w, size_t row_bytes, const matmul_acts *x, size_t token, float *y,          \
                              size_t count) {                                                                         \
        all_rows(load_##name, size, w, row_bytes, x, token, y, count);                                                \
    }

FLOAT_VECTOR(bf16, 2)
FLOAT_VECTOR(e4m3, 1)
FLOAT_VECTOR(e5m2, 1)

matmul_vector_fn matmul_vector_floats_amx(tola_dtype weights) {
    switch (weights) {
    case TOLA_DTYPE_BF16: return vector_bf16;
    case TOLA_DTYPE_F8_E4M3: return vector_e4m3;
    case TOLA_DTYPE_F8_E5M2: return vector_e5m2;
    default: return NULL;
    }
}

const matmul_tile matmul_floats_amx = { scratch_bytes, rows_of, 0 };

#endif
