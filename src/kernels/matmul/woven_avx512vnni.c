/* Many tokens with AVX-512 VNNI and super-blocks whose groups' sums fit 16 bits: 16 rows x up to 8 tokens.
 *
 * Two groups lie woven, four elements of the one, four of the other, in weights as in activations, so that neighbouring
 * dwords of a vector are the sums of two groups of one row. Packed to 16 bits they meet both scales in one vpdpwssd:
 * two instructions for two groups of 16 rows where vpmulld and an addition of each are six. Unpacking dwords of two
 * vectors puts rows 0 and 1 of each lane's four into one and the others into another; packing puts them back in order.
 * Where activations are so large that a sum might not fit (matmul_acts.most), the way is a longer one. */
#include "kernels/matmul/tile_avx512vnni.h"

#if defined(__x86_64__)
#include <string.h>

enum { TOKENS = MATMUL_WOVEN, RUN = 64 /* elements that are woven into each other, the second half into the first */ };

/* What kind of weights. */
typedef struct how {
    bool offset, minima;
    size_t size;  /* of a group */
    size_t parts; /* in which a group is summed */
    int largest;  /* code, in magnitude */
} how;

/* ---- weights ---- */

/* The scales of two groups, as pairs of 16 bits; pairs are in the order of their sums. */
static void weave_scales(size_t which, size_t groups, size_t size, matmul_panel *panel) {
    for (size_t pair = 0; pair < groups / 2; pair++) {
        const size_t g = size == 32 ? 2 * pair : pair / 2 * 4 + pair % 2;
        const __m512i a = _mm512_load_si512(panel->sc[g] + 16 * which);
        const __m512i b = _mm512_load_si512(panel->sc[g + RUN / 2 / size] + 16 * which);
        _mm512_store_si512(panel->sc[pair] + 16 * which,
                           _mm512_mask_blend_epi16(0xaaaaaaaa, a, _mm512_slli_epi32(b, 16)));
    }
}

void matmul_weave_strip_avx512vnni(tola_dtype weights, size_t which, size_t n, matmul_panel *panel) {
    const size_t size = matmul_type_get(weights)->group;
    uint8_t(*q)[64] = panel->q[which];
    for (size_t at = 0; at < n; at += RUN, q += 16) {
        __m512i v[16];
        for (int i = 0; i < 16; i++) v[i] = _mm512_load_si512(q[i]);
        for (int i = 0; i < 8; i++) {
            _mm512_store_si512(q[2 * i], _mm512_unpacklo_epi32(v[i], v[8 + i]));
            _mm512_store_si512(q[2 * i + 1], _mm512_unpackhi_epi32(v[i], v[8 + i]));
        }
    }
    weave_scales(which, n / size, size, panel);
}

/* ---- products ---- */

ALWAYS __m512i eight_of(const void *p) {
    int64_t v;
    memcpy(&v, p, 8);
    return _mm512_set1_epi64(v);
}

/* a and b: two rows of each lane's four, both groups; times the scales. `large`: a sum may need over 16 bits. */
ALWAYS __m512i scaled(__m512i sum, __m512i a, __m512i b, __m512i scales, bool large) {
    if (!large) return _mm512_dpwssd_epi32(sum, _mm512_packs_epi32(a, b), scales);
    const __m512i a_scales = _mm512_srai_epi32(_mm512_unpacklo_epi16(scales, scales), 16);
    const __m512i b_scales = _mm512_srai_epi32(_mm512_unpackhi_epi16(scales, scales), 16);
    const __m512 first = _mm512_castsi512_ps(_mm512_mullo_epi32(a, a_scales));
    const __m512 second = _mm512_castsi512_ps(_mm512_mullo_epi32(b, b_scales));
    const __m512i even = _mm512_castps_si512(_mm512_shuffle_ps(first, second, 0x88));
    const __m512i odd = _mm512_castps_si512(_mm512_shuffle_ps(first, second, 0xdd));
    return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
}

/* `large`: a bit for each token whose sums might need more than 16 bits. */
ALWAYS void woven_tile(const place *p, size_t strip, how h, size_t tokens, unsigned large) {
    const size_t steps = h.size / h.parts / 4; /* of four elements */
    const uint8_t *codes = p->panel->q[strip][0];
    const int32_t *scales = p->panel->sc[0] + 16 * strip, *first = p->first;
    const int8_t *q = p->q;
    __m512i sum[TOKENS];
    for (size_t t = 0; t < tokens; t++) sum[t] = _mm512_setzero_si512();
    for (size_t part = 0; part < p->groups / 2 * h.parts; part++) {
        __m512i a[TOKENS], b[TOKENS];
        for (size_t t = 0; t < tokens; t++)
            a[t] = b[t] = h.offset ? eight_of(first + 2 * t) : _mm512_setzero_si512();
#pragma GCC unroll 8
        for (size_t i = 0; i < steps; i++) {
            const __m512i v = _mm512_load_si512(codes + 128 * i), w = _mm512_load_si512(codes + 128 * i + 64);
            for (size_t t = 0; t < tokens; t++) {
                const __m512i x = eight_of(q + 8 * (TOKENS * i + t));
                a[t] = _mm512_dpbusd_epi32(a[t], v, x);
                b[t] = _mm512_dpbusd_epi32(b[t], w, x);
            }
        }
        const __m512i both = _mm512_load_si512(scales);
        for (size_t t = 0; t < tokens; t++) sum[t] = scaled(sum[t], a[t], b[t], both, large >> t & 1);
        codes += steps * 128;
        q += steps * 8 * TOKENS;
        scales += h.parts == 1 || part % 2 ? PANEL_ROWS : 0;
        first += h.offset ? 2 * p->across : 0;
    }
    for (size_t t = 0; t < tokens; t++)
        add_block(p, 16 * strip, t, _mm512_cvtepi32_ps(sum[t]), h.minima ? PANEL_STEP / h.size / 2 : 0);
}

/* In a function of its own, since it is seldom needed. */
static __attribute__((noinline)) void large_tile(const place *p, size_t strip, how h, size_t tokens, unsigned large) {
    woven_tile(p, strip, h, tokens, large);
}

ALWAYS void tile(const place *p, how h, size_t tokens) {
    /* of 16 elements: a part of a group, or half of one */
    const int limit = INT16_MAX / h.largest / (int)(h.size / h.parts / 16);
    const __m256i most = _mm256_loadu_si256((const __m256i *)p->most);
    /* not a mask: gcc 12 stores one as a byte and loads four */
    const __m256i larger = _mm256_cmpgt_epi32(most, _mm256_set1_epi32(limit));
    const unsigned large = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(larger));
    for (size_t strip = 0; 16 * strip < p->rows; strip++) {
        if (p->y) ask_for_y(p, strip, 1, tokens);
        ask_for_weights(p);
        if (large) large_tile(p, strip, h, tokens, large);
        else woven_tile(p, strip, h, tokens, 0);
        if (p->y) store_y(p, strip, 1, tokens);
    }
}

ALWAYS void tiles(place p, size_t tokens, how h) {
    for (; tokens >= TOKENS; tokens -= TOKENS) {
        tile(&p, h, TOKENS);
        p.q += TOKENS * p.stride;
        p.d += TOKENS;
        p.most += TOKENS;
        p.acc += TOKENS * PANEL_ROWS;
        if (h.offset) p.first += 2 * TOKENS;
        if (h.minima) p.pairs += TOKENS;
        if (p.y) p.y += TOKENS * p.y_stride;
    }
    switch (tokens) {
    case 1: tile(&p, h, 1); break;
    case 2: tile(&p, h, 2); break;
    case 3: tile(&p, h, 3); break;
    case 4: tile(&p, h, 4); break;
    case 5: tile(&p, h, 5); break;
    case 6: tile(&p, h, 6); break;
    case 7: tile(&p, h, 7); break;
    default: break;
    }
}

#define TILES(name, offset, minima, size, parts, largest) \
    static void name(place p, size_t tokens) { tiles(p, tokens, (how){ offset, minima, size, parts, largest }); }

TILES(tiles_of_ones, true, false, 32, 1, 2) /* tq1_0, tq2_0, q1_0: 2 is a code that no encoder writes */
TILES(tiles_of_q2_k, false, true, 16, 1, 3)
TILES(tiles_of_q3_k, true, false, 16, 1, 4)
TILES(tiles_of_q4_k, false, true, 32, 1, 15)
TILES(tiles_of_q5_k, false, true, 32, 2, 31)
TILES(tiles_of_q6_k, true, false, 16, 1, 32)
TILES(tiles_of_iq1_s, true, false, 32, 1, 9)
TILES(tiles_of_iq1_m, true, false, 16, 1, 9)
TILES(tiles_of_iq3_s, true, false, 32, 1, 15)

tiles_fn matmul_woven_avx512vnni(tola_dtype weights) {
    switch (weights) {
    case TOLA_DTYPE_Q2_K: return tiles_of_q2_k;
    case TOLA_DTYPE_Q3_K: return tiles_of_q3_k;
    case TOLA_DTYPE_Q4_K: return tiles_of_q4_k;
    case TOLA_DTYPE_Q5_K: return tiles_of_q5_k;
    case TOLA_DTYPE_Q6_K: return tiles_of_q6_k;
    case TOLA_DTYPE_IQ1_S: return tiles_of_iq1_s;
    case TOLA_DTYPE_IQ1_M: return tiles_of_iq1_m;
    case TOLA_DTYPE_IQ3_S: return tiles_of_iq3_s;
    default: return tiles_of_ones;
    }
}

/* ---- activations ---- */

/* Eight rows of eight quadwords, transposed. */
ALWAYS void transpose_eight(__m512i v[8]) {
    __m512i a[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_epi64(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi64(v[i], v[i + 1]);
    }
    for (int c = 0; c < 2; c++) { /* quadword c of each lane of all rows */
        const __m512i even = _mm512_shuffle_i64x2(a[c], a[2 + c], 0x88);
        const __m512i odd = _mm512_shuffle_i64x2(a[c], a[2 + c], 0xdd);
        const __m512i even2 = _mm512_shuffle_i64x2(a[4 + c], a[6 + c], 0x88);
        const __m512i odd2 = _mm512_shuffle_i64x2(a[4 + c], a[6 + c], 0xdd);
        v[c] = _mm512_shuffle_i64x2(even, even2, 0x88);
        v[4 + c] = _mm512_shuffle_i64x2(even, even2, 0xdd);
        v[2 + c] = _mm512_shuffle_i64x2(odd, odd2, 0x88);
        v[6 + c] = _mm512_shuffle_i64x2(odd, odd2, 0xdd);
    }
}

/* Of up to 8 rows of q, `stride` apart: woven into out; the largest sum of magnitudes of 16 elements of each block. */
static void weave(const int8_t *q, size_t stride, size_t rows, size_t k, size_t block, int8_t *out, int32_t *most,
                  size_t across) {
    const __m512i order = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    const __m512i zero = _mm512_setzero_si512();
    for (size_t at = 0; at < k; at += block, most += across) {
        __m512i largest[TOKENS], v[TOKENS];
        for (size_t t = 0; t < TOKENS; t++) largest[t] = zero;
        for (size_t i = at; i < at + block; i += RUN, out += TOKENS * RUN) {
            for (size_t t = 0; t < TOKENS; t++) {
                const __m512i row = _mm512_loadu_si512(q + (t < rows ? t : rows - 1) * stride + i);
                const __m512i sums = _mm512_sad_epu8(_mm512_abs_epi8(row), zero);
                const __m512i both = _mm512_add_epi64(sums, _mm512_shuffle_epi32(sums, 0x4e));
                largest[t] = _mm512_max_epu32(largest[t], both);
                v[t] = _mm512_permutexvar_epi32(order, row);
            }
            transpose_eight(v);
            for (size_t t = 0; t < TOKENS; t++) _mm512_storeu_si512(out + t * RUN, v[t]);
        }
        transpose_eight(largest);
        for (size_t i = 2; i < TOKENS; i += 2) largest[0] = _mm512_max_epu32(largest[0], largest[i]); /* 1 is as 0 */
        _mm256_storeu_si256((__m256i *)most, _mm512_cvtepi64_epi32(largest[0]));
    }
}

/* Of up to 8 rows of sums over 16 elements: what sums of codes with an offset begin with, two groups side by side. */
static void weave_first(const matmul_type *type, const int16_t *sums, size_t stride, size_t rows, size_t k,
                        size_t across, int32_t *first) {
    /* of 16 elements, groups g and g + 2 are pairs; of 32, g and g + 1: in dwords 0 and 2, then */
    const __m512i of_16 = _mm512_setr_epi32(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
    const __m512i of_32 = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14);
    const bool sixteen = type->group == 16;
    for (size_t at = 0; at < k / 16; at += 16) {
        const size_t left = k / 16 - at < 16 ? k / 16 - at : 16, pairs = sixteen ? left / 2 : left / 4;
        __m512i v[TOKENS];
        for (size_t t = 0; t < TOKENS; t++) {
            const int16_t *row = sums + (t < rows ? t : rows - 1) * stride + at;
            v[t] = _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16((__mmask16)((1u << left) - 1), row));
            if (!sixteen) v[t] = _mm512_add_epi32(v[t], _mm512_srli_epi64(v[t], 32));
            v[t] = _mm512_permutexvar_epi32(sixteen ? of_16 : of_32, v[t]);
            v[t] = _mm512_mullo_epi32(v[t], _mm512_set1_epi32(-type->offset));
        }
        transpose_eight(v);
        for (size_t i = 0; i < pairs; i++, first += 2 * across) _mm512_storeu_si512(first, v[i]);
    }
}

void matmul_weave_avx512vnni(const matmul_type *type, const matmul_acts *x, size_t first, size_t count) {
    for (size_t t = first; t < first + count; t += TOKENS) {
        const size_t rows = first + count - t < TOKENS ? first + count - t : TOKENS;
        weave(x->q + t * x->q_stride, x->q_stride, rows, x->k, x->d_block, (int8_t *)x->q_woven + t * x->k,
              (int32_t *)x->most + t, x->across);
        if (type->offset)
            weave_first(type, x->sums + t * x->sums_stride, x->sums_stride, rows, x->k, x->across,
                        (int32_t *)x->first_across + 2 * t);
    }
}
#endif
