/* Between the two files of many tokens with AVX-512 VNNI: where a tile finds its parts. */
#ifndef KERNELS_MATMUL_TILE_AVX512VNNI_H
#define KERNELS_MATMUL_TILE_AVX512VNNI_H

#include "kernels/matmul/panel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

/* The tiles of some tokens: where the parts of the first token, strip and element are. */
typedef struct place {
    const matmul_panel *panel;
    size_t rows, groups; /* of the panel; of the step */
    const int8_t *q;
    size_t stride, across; /* from token to token of q; from group to group of the following */
    const float *d, *d_sums;
    const int32_t *first, *pairs, *most;
    float *acc;     /* [token][PANEL_ROWS] */
    __mmask16 kept; /* 0 at the first step: acc is anything */
    float *y;       /* NULL until the last step */
    size_t y_stride;
    panel_ahead *next_step, *next_panel; /* the panel where it is not large, and for the first one the steps, too */
} place;

/* All strips of a panel with so many tokens. */
typedef void (*tiles_fn)(place p, size_t tokens);
tiles_fn matmul_woven_avx512vnni(tola_dtype weights); /* woven_avx512vnni.c; for types that matmul_woven is true of */
/* Makes of an unpacked strip of n elements what those take. */
void matmul_weave_strip_avx512vnni(tola_dtype weights, size_t which, size_t n, matmul_panel *panel);

/* Not inlined: the loops of tiles lose their registers to it. */
static __attribute__((noinline, unused)) void ask_for_weights(const place *p) {
    panel_ask(p->next_step);
    panel_ask(p->next_panel);
}

/* Which of the 16 rows from `at` on there are. */
static inline __mmask16 rows_left(size_t count, size_t at) {
    size_t n = count > at ? count - at : 0;
    return n < 16 ? (__mmask16)((1u << n) - 1) : 0xffff;
}

/* Asks for the lines of y that a tile will store, long before it does: each lies in a page of its own. */
ALWAYS void ask_for_y(const place *p, size_t strip, size_t strips, size_t tokens) {
    for (size_t t = 0; t < tokens; t++)
        for (size_t s = strip; s < strip + strips; s++) __builtin_prefetch(p->y + t * p->y_stride + 16 * s, 1);
}

ALWAYS void store_y(const place *p, size_t strip, size_t strips, size_t tokens) {
    for (size_t s = strip; s < strip + strips; s++) {
        const __mmask16 some = rows_left(p->rows, 16 * s);
        for (size_t t = 0; t < tokens; t++)
            _mm512_mask_storeu_ps(p->y + t * p->y_stride + 16 * s, some,
                                  _mm512_load_ps(p->acc + t * PANEL_ROWS + 16 * s));
    }
}

/* To acc of 16 rows of a token: sum, an exact integer, times the scales of a super-block; and its minima. */
ALWAYS void add_block(const place *p, size_t row, size_t t, __m512 sum, size_t minima) {
    float *to = p->acc + PANEL_ROWS * t + row;
    const __m512 dx = _mm512_set1_ps(p->d[t]);
    const __m512 d = _mm512_mul_ps(_mm512_load_ps(p->panel->d[0] + row), dx);
    __m512 acc = _mm512_fmadd_ps(sum, d, _mm512_maskz_load_ps(p->kept, to));
    if (minima) {
        __m512i all = _mm512_setzero_si512();
        for (size_t j = 0; j < minima; j++)
            all = _mm512_dpwssd_epi32(all, _mm512_load_si512(p->panel->m[j] + row),
                                      _mm512_set1_epi32(p->pairs[j * p->across + t]));
        const __m512 min = _mm512_load_ps(p->panel->min[0] + row);
        acc = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(all), _mm512_mul_ps(min, dx), acc);
    }
    _mm512_store_ps(to, acc);
}

#endif
#endif
