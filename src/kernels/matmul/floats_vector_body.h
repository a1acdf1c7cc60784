/* The matrix-vector product of float weights, behind floats_body.h and in its words (zero, load for activations,
 * multiply, sums), with the same order of sums. The including file defines besides
 *
 *   STREAMS        rows at a time, a multiple of ROWS
 *   load_TYPE(p)   STEP weights of a type at p, which need not be aligned, as lanes
 *
 * Rows are multiplied as they lie in memory, without a copy; those of a step are far apart (vector_body.h says why). */
#ifndef KERNELS_MATMUL_FLOATS_VECTOR_BODY_H
#define KERNELS_MATMUL_FLOATS_VECTOR_BODY_H

/* Bytes from what is read to what is asked for, in each run of rows; APART: floats_amx.c says why. */
enum { LINE = 64, AHEAD = 768, APART = 192 };

typedef lanes (*load_fn)(const uint8_t *p);

/* The sums of n elements, added to out. */
ALWAYS void some_of_rows(load_fn weights, size_t size, const uint8_t *const row[STREAMS], const element *x, size_t n,
                         float out[STREAMS]) {
    const size_t line = LINE / size; /* elements; STEP or a multiple */
    lanes acc[STREAMS];
    size_t k = 0;
#pragma GCC unroll 8
    for (size_t r = 0; r < STREAMS; r++) acc[r] = zero();
    for (; k + line <= n; k += line) {
#pragma GCC unroll 8
        for (size_t r = 0; r < STREAMS; r++) __builtin_prefetch(row[r] + k * size + AHEAD + r * APART, 0, 2);
#pragma GCC unroll 4
        for (size_t step = 0; step < line; step += STEP) {
            const lanes v = load(x + k + step);
#pragma GCC unroll 8
            for (size_t r = 0; r < STREAMS; r++)
                acc[r] = multiply(acc[r], weights(row[r] + (k + step) * size), v);
        }
    }
    for (; k < n; k += STEP) {
        const lanes v = load(x + k);
        const size_t left = n - k < STEP ? n - k : STEP;
#pragma GCC unroll 8
        for (size_t r = 0; r < STREAMS; r++) {
            uint8_t last[STEP * 4] = { 0 };
            memcpy(last, row[r] + k * size, left * size);
            acc[r] = multiply(acc[r], weights(last), v);
        }
    }
    float sum[STREAMS];
#pragma GCC unroll 8
    for (size_t r = 0; r < STREAMS; r += ROWS) sums(acc + r, sum + r);
    for (size_t r = 0; r < STREAMS; r++) out[r] += sum[r];
}

ALWAYS void all_rows(load_fn weights, size_t size, const uint8_t *w, size_t row_bytes, const matmul_acts *acts,
                     size_t token, float *y, size_t count) {
    const element *x = (const element *)acts->x + token * acts->x_stride;
    for (size_t first = 0; first < count;) {
        const size_t left = count - first, apart = matmul_apart(left, STREAMS);
        for (size_t n = 0; n < apart; n++) {
            float out[STREAMS] = { 0 };
            for (size_t at = 0; at < acts->k; at += MATMUL_FLOAT_BLOCK) {
                const uint8_t *row[STREAMS];
                for (size_t r = 0; r < STREAMS; r++) { /* where too few are left, the last one several times */
                    const size_t index = n + r * apart < left ? n + r * apart : left - 1;
                    row[r] = w + (first + index) * row_bytes + at * size;
                }
                some_of_rows(weights, size, row, x + at,
                             acts->k - at < MATMUL_FLOAT_BLOCK ? acts->k - at : MATMUL_FLOAT_BLOCK, out);
            }
            for (size_t r = 0; r < STREAMS && n + r * apart < left; r++) y[first + n + r * apart] = out[r];
        }
        first += left < STREAMS ? left : STREAMS * apart;
    }
}

/* vector_NAME for a type of so many bytes. */
#define FLOAT_VECTOR(name, size)                                                                                      \
    static void vector_##name(const void *w, size_t row_bytes, const matmul_acts *x, size_t token, float *y,          \
                              size_t count) {                                                                         \
        all_rows(load_##name, size, w, row_bytes, x, token, y, count);                                                \
    }

#endif
