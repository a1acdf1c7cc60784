/* Unpacking of panels with AVX-512. Where a block's codes lie in runs of 16 bytes, those of 16 rows are transposed as
 * dwords and then unpacked, four elements of each row in a vector; else 64 codes of a row are unpacked and then the
 * vectors of 16 rows transposed, twice the work. Layouts of the types: codes.c. Types without a function of their own
 * pass through codes.c, too. */
#include "kernels/matmul/panel.h"
#include "kernels/dequantize/grids.h"

#if defined(__x86_64__)
#include "kernels/matmul/transpose_avx512.h"
#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

/* Sixteen rows, `stride` apart; those that are missing stand for the last one. Passed by value, that it stays in
 * registers (8 to 15 %): what is stored might, for all that a compiler knows, change anything in memory. */
typedef struct strip {
    const uint8_t *row;
    size_t stride;
    size_t n;
    matmul_panel *out;
    int at;   /* which of the panel's strips */
    int less; /* what codes + offset are reduced by */
} strip;

ALWAYS const uint8_t *row_of(strip s, size_t r) {
    return s.row + r * s.stride;
}

/* Codes [64 c, 64 c + 64) of a row, with the offset. */
typedef __m512i (*chunk_fn)(const uint8_t *row, size_t c);

ALWAYS void put_codes(strip s, chunk_fn chunk) {
    const __m512i less = _mm512_set1_epi8((char)s.less);
    uint8_t(*to)[64] = s.out->q[s.at];
    for (size_t c = 0; c < s.n / 64; c++, to += 16) {
        __m512i v[16];
        for (int r = 0; r < 16; r++) v[r] = chunk(row_of(s, (size_t)r), c);
        transpose(v);
        if (s.less)
            for (int i = 0; i < 16; i++) v[i] = _mm512_sub_epi8(v[i], less);
        for (int i = 0; i < 16; i++) _mm512_store_si512(to[i], v[i]);
    }
}

/* ---- codes of all rows ---- */

/* Sixteen values plus the offset, in each lane. */
ALWAYS __m512i table_of(const int8_t *table, int offset) {
    if (!table) return _mm512_setzero_si512();
    const __m128i t = _mm_add_epi8(_mm_loadu_si128((const __m128i *)table), _mm_set1_epi8((char)offset));
    return _mm512_broadcast_i32x4(t);
}

/* Sixteen bytes at an offset of each row: four dwords. */
ALWAYS void four_words(strip s, size_t offset, __m512i out[4]) {
    __m512i v[4]; /* v[i]: rows i, 4 + i, 8 + i, 12 + i */
    for (size_t i = 0; i < 4; i++) {
        v[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(row_of(s, i) + offset)));
        v[i] = _mm512_inserti32x4(v[i], _mm_loadu_si128((const __m128i *)(row_of(s, 4 + i) + offset)), 1);
        v[i] = _mm512_inserti32x4(v[i], _mm_loadu_si128((const __m128i *)(row_of(s, 8 + i) + offset)), 2);
        v[i] = _mm512_inserti32x4(v[i], _mm_loadu_si128((const __m128i *)(row_of(s, 12 + i) + offset)), 3);
    }
    const __m512i low01 = _mm512_unpacklo_epi32(v[0], v[1]), high01 = _mm512_unpackhi_epi32(v[0], v[1]);
    const __m512i low23 = _mm512_unpacklo_epi32(v[2], v[3]), high23 = _mm512_unpackhi_epi32(v[2], v[3]);
    out[0] = _mm512_unpacklo_epi64(low01, low23);
    out[1] = _mm512_unpackhi_epi64(low01, low23);
    out[2] = _mm512_unpacklo_epi64(high01, high23);
    out[3] = _mm512_unpackhi_epi64(high01, high23);
}

/* A dword of each row, with the twelve bytes behind or before it. */
ALWAYS __m512i words_at(strip s, size_t offset) {
    __m512i v[4];
    four_words(s, offset, v);
    return v[0];
}

ALWAYS __m512i words_behind(strip s, size_t offset) {
    __m512i v[4];
    four_words(s, offset - 12, v);
    return v[3];
}

/* Codes of the elements from 4 * vector on; `to` is where those of the strip go (what is stored might, for all that a
 * compiler knows, change the strip). */
ALWAYS void put(uint8_t (*to)[64], size_t vector, __m512i codes) {
    _mm512_store_si512(to[vector], codes);
}

ALWAYS __m512i low_nibbles(__m512i v) {
    return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

ALWAYS __m512i high_nibbles(__m512i v) {
    return low_nibbles(_mm512_srli_epi16(v, 4));
}

/* Blocks of 16 bytes of low and high nibbles, 16 elements each; through a table, plus the offset, where there is
 * one. */
ALWAYS void put_nibbles(strip s, size_t bytes, size_t at, const int8_t *table, int offset) {
    uint8_t(*to)[64] = s.out->q[s.at];
    const __m512i less = _mm512_set1_epi8((char)s.less), values = table_of(table, offset - s.less);
    __m512i v[4];
    for (size_t block = 0; block < s.n / 32; block++) {
        four_words(s, block * bytes + at, v);
        for (size_t i = 0; i < 4; i++) {
            const __m512i low = low_nibbles(v[i]), high = high_nibbles(v[i]);
            put(to, 8 * block + i, table ? _mm512_shuffle_epi8(values, low) : _mm512_sub_epi8(low, less));
            put(to, 8 * block + 4 + i, table ? _mm512_shuffle_epi8(values, high) : _mm512_sub_epi8(high, less));
        }
    }
}

/* Scales of six bits of eight groups of 32, for codes below 32: a scale is low + 8 high, in both halves of a dword for
 * two codes each. Their products with codes stay bytes. */
typedef struct two_scales {
    __m512i low[8], high[8];
} two_scales;

/* Codes of group `group`, or both of their digits where there are scales. */
ALWAYS void put_or_multiply(strip s, size_t vector, __m512i codes, const two_scales *sc, uint8_t (*high)[64],
                            size_t group) {
    if (sc) _mm512_store_si512(high[vector], _mm512_mullo_epi16(codes, sc->high[group]));
    put(s.out->q[s.at], vector, sc ? _mm512_mullo_epi16(codes, sc->low[group]) : codes);
}

/* A bit of each byte, as 16. */
ALWAYS __m512i sixteen_where(__m512i v, unsigned bit) {
    v = bit <= 4 ? _mm512_slli_epi16(v, 4 - bit) : _mm512_srli_epi16(v, bit - 4);
    return _mm512_and_si512(v, _mm512_set1_epi8(16));
}

ALWAYS void put_q4_k(strip s, const two_scales *sc, uint8_t (*high)[64]) {
    __m512i v[4];
    for (size_t half = 0; half < 8; half++) { /* of 32 bytes: low and high nibbles of 32 elements each */
        four_words(s, 16 + 16 * half, v);
        for (size_t i = 0; i < 4; i++) {
            const size_t at = half / 2 * 16 + half % 2 * 4 + i, group = half / 2 * 2;
            put_or_multiply(s, at, low_nibbles(v[i]), sc, high, group);
            put_or_multiply(s, at + 8, high_nibbles(v[i]), sc, high, group + 1);
        }
    }
}

ALWAYS void put_q5_k(strip s, const two_scales *sc, uint8_t (*high)[64]) {
    __m512i v[4], fifth[4];
    for (size_t half = 0; half < 2; half++) {
        four_words(s, 16 + 16 * half, fifth);
#pragma GCC unroll 4
        for (unsigned c = 0; c < 4; c++) {
            four_words(s, 48 + 32 * c + 16 * half, v);
            for (size_t i = 0; i < 4; i++) {
                const size_t at = 16 * c + 4 * half + i, group = 2 * c;
                put_or_multiply(s, at, _mm512_or_si512(low_nibbles(v[i]), sixteen_where(fifth[i], 2 * c)), sc, high,
                                group);
                put_or_multiply(s, at + 8, _mm512_or_si512(high_nibbles(v[i]), sixteen_where(fifth[i], 2 * c + 1)),
                                sc, high, group + 1);
            }
        }
    }
}

ALWAYS void put_codes_of_q6_k(strip s, bool reduced) {
    uint8_t(*to)[64] = s.out->q[s.at];
    const __m512i nibble = _mm512_set1_epi8(15), six = _mm512_set1_epi8(63), less = _mm512_set1_epi8((char)s.less);
    enum { take = 0xca }; /* of the second where the first has ones, else of the third */
    __m512i a[4], b[4], two[4];
    for (size_t half = 0; half < 4; half++) { /* of 64 bytes of nibbles and 32 of upper bits, four runs of 32 */
        const size_t run = half / 2, from = 32 * run + half % 2 * 4;
        four_words(s, 64 * run + half % 2 * 16, a);
        four_words(s, 64 * run + 32 + half % 2 * 16, b);
        four_words(s, 128 + 32 * run + half % 2 * 16, two);
        for (size_t i = 0; i < 4; i++) {
            const __m512i upper[4] = { _mm512_slli_epi16(two[i], 4), _mm512_slli_epi16(two[i], 2), two[i],
                                       _mm512_srli_epi16(two[i], 2) };
            const __m512i lower[4] = { a[i], b[i], _mm512_srli_epi16(a[i], 4), _mm512_srli_epi16(b[i], 4) };
            for (size_t r = 0; r < 4; r++) {
                const __m512i code = _mm512_and_si512(_mm512_ternarylogic_epi64(nibble, lower[r], upper[r], take), six);
                put(to, from + 8 * r + i, reduced ? _mm512_sub_epi8(code, less) : code);
            }
        }
    }
}

static void put_q6_k(strip s) {
    if (s.less) put_codes_of_q6_k(s, true);
    else put_codes_of_q6_k(s, false);
}

/* ---- codes of a row ---- */

/* 32 bytes twice, the second time shifted: with each byte masked, two runs of 32 elements. */
ALWAYS __m512i two_runs(const uint8_t *p, int first, int second) {
    __m512i v = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)p));
    __m512i by = _mm512_inserti64x4(_mm512_set1_epi16((short)first), _mm256_set1_epi16((short)second), 1);
    return _mm512_srlv_epi16(v, by);
}

/* The same with bits: those set of bit `first` and bit `second`. */
ALWAYS __mmask64 two_bits(const uint8_t *p, int first, int second) {
    __m512i v = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)p));
    __m512i bits = _mm512_inserti64x4(_mm512_set1_epi8((char)(1 << first)), _mm256_set1_epi8((char)(1 << second)), 1);
    return _mm512_test_epi8_mask(v, bits);
}

/* Nibbles of two groups of 32, low ones first: 16 bytes at a, 16 at b. */
ALWAYS __m512i four_nibbles(const uint8_t *a, const uint8_t *b) {
    __m512i v = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)a));
    v = _mm512_mask_broadcast_i32x4(v, 0xff00, _mm_loadu_si128((const __m128i *)b));
    v = _mm512_srlv_epi64(v, _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0));
    return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

ALWAYS __m512i look_up(__m512i nibbles, const int8_t *table, int offset) {
    return _mm512_shuffle_epi8(table_of(table, offset), nibbles);
}

ALWAYS __m512i add_where(__m512i v, __mmask64 mask, int what) {
    return _mm512_mask_add_epi8(v, mask, v, _mm512_set1_epi8((char)what));
}

ALWAYS __mmask64 two_words(const uint8_t *a, const uint8_t *b) {
    uint32_t low, high;
    memcpy(&low, a, 4);
    memcpy(&high, b, 4);
    return _cvtu64_mask64(low | (uint64_t)high << 32);
}

/* Two blocks of 32 signed bytes. */
ALWAYS __m512i q8_chunk(const uint8_t *a, const uint8_t *b) {
    __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)a));
    v = _mm512_inserti64x4(v, _mm256_loadu_si256((const __m256i *)b), 1);
    return _mm512_xor_si512(v, _mm512_set1_epi8((char)0x80));
}

ALWAYS __m512i q8_0_chunk(const uint8_t *row, size_t c) {
    return q8_chunk(row + 68 * c + 2, row + 68 * c + 36);
}

ALWAYS __m512i q8_1_chunk(const uint8_t *row, size_t c) {
    return q8_chunk(row + 72 * c + 4, row + 72 * c + 40);
}

ALWAYS __m512i q5_0_chunk(const uint8_t *row, size_t c) {
    const uint8_t *b = row + 44 * c;
    return add_where(four_nibbles(b + 6, b + 28), two_words(b + 2, b + 24), 16);
}

ALWAYS __m512i q5_1_chunk(const uint8_t *row, size_t c) {
    const uint8_t *b = row + 48 * c;
    return add_where(four_nibbles(b + 8, b + 32), two_words(b + 4, b + 28), 16);
}

ALWAYS __m512i nvfp4_chunk(const uint8_t *row, size_t c) {
    __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(row + 36 * c + 4)));
    v = _mm512_permutexvar_epi64(_mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0), v); /* eight bytes are a group of 16 */
    v = _mm512_srlv_epi64(v, _mm512_set_epi64(4, 0, 4, 0, 4, 0, 4, 0));
    return look_up(_mm512_and_si512(v, _mm512_set1_epi8(15)), values_fp4, 12);
}

/* Two bits each, runs of 32 elements: a chunk is two of the four runs in 32 bytes. */
ALWAYS __m512i pairs_of_bits(const uint8_t *qs, size_t c) {
    int run = (int)(c % 2 * 4);
    return _mm512_and_si512(two_runs(qs + 32 * (c / 2), run, run + 2), _mm512_set1_epi8(3));
}

ALWAYS __m512i tq2_0_chunk(const uint8_t *row, size_t c) {
    return pairs_of_bits(row, c);
}

ALWAYS __m512i q2_k_chunk(const uint8_t *row, size_t c) {
    return pairs_of_bits(row + 16, c);
}

ALWAYS __m512i q3_k_chunk(const uint8_t *row, size_t c) {
    int bit = (int)(2 * c);
    return add_where(pairs_of_bits(row + 32, c), two_bits(row, bit, bit + 1), 4);
}

ALWAYS __m512i q8_k_chunk(const uint8_t *row, size_t c) {
    return _mm512_xor_si512(_mm512_loadu_si512(row + 4 + 64 * c), _mm512_set1_epi8((char)0x80));
}

ALWAYS __m512i iq4_xs_chunk(const uint8_t *row, size_t c) {
    return look_up(four_nibbles(row + 8 + 32 * c, row + 24 + 32 * c), values_iq4, 128);
}

/* ---- scales ---- */

/* f16 in dwords, as f32. */
ALWAYS __m512 lower_half(__m512i v) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

ALWAYS __m512 upper_half(__m512i v) {
    return lower_half(_mm512_srli_epi32(v, 16));
}

ALWAYS void put_d(strip s, size_t group, __m512 d) {
    _mm512_store_ps(s.out->d[group] + 16 * s.at, d);
}

ALWAYS void put_min(strip s, size_t group, __m512 min) {
    _mm512_store_ps(s.out->min[group] + 16 * s.at, min);
}

/* d, and m where there is one, at the beginning of every block of 32. */
ALWAYS void put_d_of_blocks(strip s, size_t bytes, bool minima) {
    for (size_t g = 0; g < s.n / 32; g++) {
        const __m512i two = words_at(s, g * bytes);
        put_d(s, g, lower_half(two));
        if (minima) put_min(s, g, upper_half(two));
    }
}

ALWAYS void put_sc(strip s, size_t group, __m512i sc) {
    _mm512_store_si512(s.out->sc[group] + 16 * s.at, sc);
}

/* Signed bytes: scales of groups group .. group + 3. */
ALWAYS void put_four_sc(strip s, size_t group, __m512i bytes) {
    put_sc(s, group, _mm512_srai_epi32(_mm512_slli_epi32(bytes, 24), 24));
    put_sc(s, group + 1, _mm512_srai_epi32(_mm512_slli_epi32(bytes, 16), 24));
    put_sc(s, group + 2, _mm512_srai_epi32(_mm512_slli_epi32(bytes, 8), 24));
    put_sc(s, group + 3, _mm512_srai_epi32(bytes, 24));
}

/* Bytes: minima of groups group .. group + 3. */
ALWAYS void put_four_m(strip s, size_t group, __m512i bytes) {
    const __m128i lower = _mm_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1);
    const __m128i upper = _mm_setr_epi8(2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15, -1);
    _mm512_store_si512(s.out->m[group / 2] + 16 * s.at, _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(lower)));
    _mm512_store_si512(s.out->m[group / 2 + 1] + 16 * s.at,
                       _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(upper)));
}

ALWAYS __m512i bytes_and(__m512i v, int mask) {
    return _mm512_and_si512(v, _mm512_set1_epi8((char)mask));
}

/* Bytes: the scales of groups group .. group + 3. */
ALWAYS void split_four_sc(two_scales *sc, size_t group, __m512i bytes) {
    const __m128i first = _mm_setr_epi8(0, -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128, 12, -128);
    const __m512i low = bytes_and(bytes, 7), high = bytes_and(_mm512_srli_epi32(bytes, 3), 7);
    for (size_t i = 0; i < 4; i++) {
        const __m512i both = _mm512_broadcast_i32x4(_mm_add_epi8(first, _mm_set1_epi8((char)i)));
        sc->low[group + i] = _mm512_shuffle_epi8(low, both);
        sc->high[group + i] = _mm512_shuffle_epi8(high, both);
    }
}

/* Eight scales and minima of six bits, see scales_of_k in codes.c: a dword is four of them. */
ALWAYS void put_scales_of_k(strip s, two_scales *sc) {
    __m512i v[4];
    four_words(s, 0, v);
    const __m512i a = v[1], b = v[2], c = v[3], first = bytes_and(a, 63);
    const __m512i second = _mm512_or_si512(bytes_and(c, 15), bytes_and(_mm512_srli_epi32(a, 2), 48));
    put_d(s, 0, lower_half(v[0]));
    put_min(s, 0, upper_half(v[0]));
    if (sc) {
        split_four_sc(sc, 0, first);
        split_four_sc(sc, 4, second);
    } else {
        put_four_sc(s, 0, first);
        put_four_sc(s, 4, second);
    }
    put_four_m(s, 0, bytes_and(b, 63));
    put_four_m(s, 4, _mm512_or_si512(bytes_and(_mm512_srli_epi32(c, 4), 15), bytes_and(_mm512_srli_epi32(b, 2), 48)));
}

static void put_scales_of_q2_k(strip s) {
    const __m512i two = words_behind(s, 80);
    __m512i v[4];
    put_d(s, 0, lower_half(two));
    put_min(s, 0, upper_half(two));
    four_words(s, 0, v);
    for (size_t g = 0; g < 16; g += 4) {
        put_four_sc(s, g, bytes_and(v[g / 4], 15));
        put_four_m(s, g, bytes_and(_mm512_srli_epi32(v[g / 4], 4), 15));
    }
}

static void put_scales_of_q3_k(strip s) {
    __m512i v[4];
    four_words(s, 94, v); /* the last two bytes of what is before, twelve of scales and d */
    const __m512i a = _mm512_or_si512(_mm512_srli_epi32(v[0], 16), _mm512_slli_epi32(v[1], 16));
    const __m512i b = _mm512_or_si512(_mm512_srli_epi32(v[1], 16), _mm512_slli_epi32(v[2], 16));
    const __m512i c = _mm512_or_si512(_mm512_srli_epi32(v[2], 16), _mm512_slli_epi32(v[3], 16));
    const __m512i less = _mm512_set1_epi8(32);
    put_d(s, 0, upper_half(v[3]));
    const __m512i low[4] = { a, b, _mm512_srli_epi32(a, 4), _mm512_srli_epi32(b, 4) };
    const __m512i high[4] = { _mm512_slli_epi32(c, 4), _mm512_slli_epi32(c, 2), c, _mm512_srli_epi32(c, 2) };
    for (size_t g = 0; g < 4; g++)
        put_four_sc(s, 4 * g,
                    _mm512_sub_epi8(_mm512_or_si512(bytes_and(low[g], 15), bytes_and(high[g], 48)), less));
}

static void put_scales_of_iq4_xs(strip s) {
    __m512i v[4];
    four_words(s, 0, v);
    const __m512i first = v[0], low = v[1];
    put_d(s, 0, lower_half(first));
    for (unsigned g = 0; g < 8; g++) {
        __m512i l = _mm512_and_si512(_mm512_srli_epi32(low, 4 * g), _mm512_set1_epi32(15));
        __m512i h = _mm512_and_si512(_mm512_srli_epi32(first, 16 + 2 * g), _mm512_set1_epi32(3));
        put_sc(s, g, _mm512_sub_epi32(_mm512_or_si512(l, _mm512_slli_epi32(h, 4)), _mm512_set1_epi32(32)));
    }
}

static void put_ones(strip s) {
    for (size_t g = 0; g < s.n / 32; g++) put_sc(s, g, _mm512_set1_epi32(1));
}

/* e8m0 of each block of 32, less one: 2^(e - 128), a denormal where e is 0 or 1 */
static void put_d_of_mxfp4(strip s) {
    for (size_t g = 0; g < s.n / 32; g++) {
        __m512i e = _mm512_and_si512(words_at(s, 17 * g), _mm512_set1_epi32(255));
        __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
        __m512i denormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x200000), e);
        __mmask16 small = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
        put_d(s, g, _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, small, denormal)));
    }
}

/* ue4m3 of four groups of 16, halved; 0x7f is zero, the top bit unused */
static void put_d_of_nvfp4(strip s) {
    for (size_t g = 0; g < s.n / 16; g++) {
        __m512i u = _mm512_srl_epi32(words_at(s, g / 4 * 36), _mm_cvtsi32_si128((int)(8 * (g % 4))));
        __mmask16 zero = _mm512_cmpeq_epi32_mask(_mm512_and_si512(u, _mm512_set1_epi32(255)), _mm512_set1_epi32(0x7f));
        u = _mm512_and_si512(u, _mm512_set1_epi32(0x7f));
        __m512 normal = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_slli_epi32(u, 20), _mm512_set1_epi32(119 << 23)));
        __m512 denormal = _mm512_mul_ps(_mm512_cvtepi32_ps(u), _mm512_set1_ps(0x1p-10f));
        __m512 d = _mm512_mask_mov_ps(normal, _mm512_cmplt_epi32_mask(u, _mm512_set1_epi32(8)), denormal);
        put_d(s, g, _mm512_mask_mov_ps(d, zero, _mm512_setzero_ps()));
    }
}

/* ---- any type ---- */

static void put_codes_of_any(strip s, tola_dtype weights) {
    const matmul_type *type = matmul_type_get(weights);
    const size_t block = tola_dtype_block_elements(weights), bytes = tola_dtype_block_bytes(weights);
    const bool super = type->kind == MATMUL_SUPER;
    uint8_t lines[16][PANEL_STEP];
    memset(lines, 0, sizeof lines);
    for (size_t r = 0; r < 16; r++) {
        size_t at = 16 * (size_t)s.at + r;
        for (size_t i = 0; i < s.n; i += block) {
            matmul_codes c;
            type->codes(row_of(s, r) + i / block * bytes, &c);
            for (size_t j = 0; j < block; j++) lines[r][i + j] = (uint8_t)(c.q[j] + type->offset - s.less);
            for (size_t g = 0; g < block / type->group; g++) {
                if (super) s.out->sc[g][at] = c.sc[g * type->group / 16];
                if (!super) s.out->d[i / type->group + g][at] = c.d[g];
                if (!super && type->minima) s.out->min[i / type->group + g][at] = c.min[g];
            }
            if (super) s.out->d[0][at] = c.d[0];
            if (!super || !type->minima) continue;
            s.out->min[0][at] = c.min[0];
            for (size_t g = 0; g < block / type->group; g++)
                s.out->m[g / 2][at][g % 2] = c.m[g * type->group / 16];
        }
    }
    for (size_t c = 0; c < (s.n + 63) / 64; c++) {
        __m512i v[16];
        for (int r = 0; r < 16; r++) v[r] = _mm512_loadu_si512(lines[r] + 64 * c);
        transpose(v);
        for (int i = 0; i < 16; i++) _mm512_store_si512(s.out->q[s.at][16 * c + (size_t)i], v[i]);
    }
}

static void unpack(strip s, tola_dtype weights) {
    if (s.n % 64 != 0) {
        put_codes_of_any(s, weights);
        return;
    }
    switch (weights) {
    case TOLA_DTYPE_Q4_0: put_nibbles(s, 18, 2, NULL, 0), put_d_of_blocks(s, 18, false); return;
    case TOLA_DTYPE_Q4_1: put_nibbles(s, 20, 4, NULL, 0), put_d_of_blocks(s, 20, true); return;
    case TOLA_DTYPE_Q5_0: put_codes(s, q5_0_chunk), put_d_of_blocks(s, 22, false); return;
    case TOLA_DTYPE_Q5_1: put_codes(s, q5_1_chunk), put_d_of_blocks(s, 24, true); return;
    case TOLA_DTYPE_Q8_0: put_codes(s, q8_0_chunk), put_d_of_blocks(s, 34, false); return;
    case TOLA_DTYPE_Q8_1: put_codes(s, q8_1_chunk), put_d_of_blocks(s, 36, false); return;
    case TOLA_DTYPE_IQ4_NL: put_nibbles(s, 18, 2, values_iq4, 128), put_d_of_blocks(s, 18, false); return;
    case TOLA_DTYPE_NVFP4: put_codes(s, nvfp4_chunk), put_d_of_nvfp4(s); return;
    case TOLA_DTYPE_MXFP4: put_nibbles(s, 17, 1, values_fp4, 12), put_d_of_mxfp4(s); return;
    case TOLA_DTYPE_Q2_K: put_codes(s, q2_k_chunk), put_scales_of_q2_k(s); return;
    case TOLA_DTYPE_Q3_K: put_codes(s, q3_k_chunk), put_scales_of_q3_k(s); return;
    case TOLA_DTYPE_Q4_K: put_q4_k(s, NULL, NULL), put_scales_of_k(s, NULL); return;
    case TOLA_DTYPE_Q5_K: put_q5_k(s, NULL, NULL), put_scales_of_k(s, NULL); return;
    case TOLA_DTYPE_Q6_K:
        put_q6_k(s);
        put_d(s, 0, upper_half(words_behind(s, 206)));
        __m512i v[4];
        four_words(s, 192, v);
        for (size_t g = 0; g < 16; g += 4) put_four_sc(s, g, v[g / 4]);
        return;
    case TOLA_DTYPE_Q8_K:
        put_codes(s, q8_k_chunk), put_ones(s);
        put_d(s, 0, _mm512_castsi512_ps(words_at(s, 0)));
        return;
    case TOLA_DTYPE_TQ2_0: put_codes(s, tq2_0_chunk), put_ones(s), put_d(s, 0, upper_half(words_behind(s, 62))); return;
    case TOLA_DTYPE_IQ4_XS: put_codes(s, iq4_xs_chunk), put_scales_of_iq4_xs(s); return;
    default: put_codes_of_any(s, weights);
    }
}

/* What a row has in a step at most: q8_k 292. */
typedef uint8_t few_rows[16][320];

/* Where rows are missing, those that there are go to `copy`. */
static strip strip_of(tola_dtype weights, const uint8_t *w, size_t row_bytes, size_t count, size_t which, size_t n,
                      matmul_panel *out, few_rows copy) {
    const size_t first = 16 * which, bytes = n / tola_dtype_block_elements(weights) * tola_dtype_block_bytes(weights);
    strip s = { .row = w + first * row_bytes, .stride = row_bytes, .n = n, .out = out, .at = (int)which };
    if (first + 16 <= count) return s;
    for (size_t r = 0; r < 16; r++)
        memcpy(copy[r], w + (first + r < count ? first + r : count - 1) * row_bytes, bytes);
    s.row = copy[0];
    s.stride = sizeof copy[0];
    return s;
}

void matmul_panel_unpack_avx512(tola_dtype weights, const uint8_t *w, size_t row_bytes, size_t count, size_t which,
                                size_t n, int less, matmul_panel *out) {
    few_rows copy;
    strip s = strip_of(weights, w, row_bytes, count, which, n, out, copy);
    s.less = less;
    unpack(s, weights);
}

void matmul_panel_digits_avx512(tola_dtype weights, const uint8_t *w, size_t row_bytes, size_t count, size_t which,
                                matmul_panel *out, uint8_t high[PANEL_STEP / 4][64]) {
    few_rows copy;
    const strip s = strip_of(weights, w, row_bytes, count, which, PANEL_STEP, out, copy);
    two_scales sc;
    put_scales_of_k(s, &sc);
    if (weights == TOLA_DTYPE_Q4_K) put_q4_k(s, &sc, high);
    else put_q5_k(s, &sc, high);
}
#endif
