/* Products of float weights, written once in the words that the including file defines before:
 *
 *   element        what w and x are read as: float, or uint16_t for bf16
 *   STEP           elements that one multiplication takes along k
 *   ROWS, TOKENS   of the register tile
 *   lanes          the 16 sums of one row with one token
 *   zero(), load(p), multiply(acc, w, x), sums(lanes acc[ROWS], float out[ROWS])
 *   convert        from a file's type to `element`, NULL where it is that already
 *
 * Vectors run along k, so that rows are multiplied as they lie in memory; a panel of rows is converted, or completed
 * with zeros at the end of k, where that is needed. */
#ifndef KERNELS_MATMUL_FLOATS_BODY_H
#define KERNELS_MATMUL_FLOATS_BODY_H

enum { PANEL = 128 /* rows */, ROOM = MATMUL_FLOAT_BLOCK };

ALWAYS void tile(const element *const w[ROWS], const element *x, size_t x_stride, size_t n, float *y, size_t y_stride,
                 size_t rows, size_t tokens) {
    lanes acc[TOKENS][ROWS];
#pragma GCC unroll 8
    for (size_t t = 0; t < tokens; t++)
#pragma GCC unroll 8
        for (size_t r = 0; r < ROWS; r++) acc[t][r] = zero();
    for (size_t k = 0; k < n; k += STEP) {
        lanes v[ROWS];
#pragma GCC unroll 8
        for (size_t r = 0; r < ROWS; r++) v[r] = load(w[r] + k);
#pragma GCC unroll 8
        for (size_t t = 0; t < tokens; t++) {
            lanes u = load(x + t * x_stride + k);
#pragma GCC unroll 8
            for (size_t r = 0; r < ROWS; r++) acc[t][r] = multiply(acc[t][r], v[r], u);
        }
    }
#pragma GCC unroll 8
    for (size_t t = 0; t < tokens; t++) {
        float sum[ROWS];
        sums(acc[t], sum);
        for (size_t r = 0; r < rows; r++) y[t * y_stride + r] += sum[r];
    }
}

static void all_tokens(const element *const w[ROWS], const element *x, size_t x_stride, size_t n, float *y,
                       size_t y_stride, size_t rows, size_t tokens) {
    switch (tokens) {
    case 1: tile(w, x, x_stride, n, y, y_stride, rows, 1); break;
    case 2: tile(w, x, x_stride, n, y, y_stride, rows, 2); break;
#if MATMUL_FLOAT_TOKENS > 3
    case 3: tile(w, x, x_stride, n, y, y_stride, rows, 3); break;
    case 4: tile(w, x, x_stride, n, y, y_stride, rows, 4); break;
    case 5: tile(w, x, x_stride, n, y, y_stride, rows, 5); break;
#endif
    default: tile(w, x, x_stride, n, y, y_stride, rows, TOKENS); break;
    }
}

static size_t float_scratch(const matmul_type *type, size_t k, size_t tokens) {
    (void)type, (void)k, (void)tokens;
    return (PANEL + 1) * ROOM * sizeof(element);
}

static void float_rows(tola_dtype weights, const uint8_t *w, size_t row_bytes, const matmul_acts *x, float *y,
                       size_t y_stride, size_t count, void *scratch) {
    const size_t size = tola_dtype_block_bytes(weights);
    const matmul_convert_fn convert = convert_of(weights);
    element *room = scratch; /* [PANEL][ROOM] */
    for (size_t t = 0; t < x->tokens; t++) memset(y + t * y_stride, 0, count * sizeof *y);
    for (size_t first = 0; first < count; first += PANEL) {
        const size_t panel = count - first < PANEL ? count - first : PANEL;
        for (size_t at = 0; at < x->k; at += MATMUL_FLOAT_BLOCK) {
            const size_t n = x->k - at < MATMUL_FLOAT_BLOCK ? x->k - at : MATMUL_FLOAT_BLOCK;
            const element *row[PANEL + ROWS];
            for (size_t r = 0; r < panel; r++) {
                const uint8_t *from = w + (first + r) * row_bytes + at * size;
                element *to = room + r * ROOM;
                row[r] = to;
                if (convert) convert(from, to, n);
                else if (n % STEP || (uintptr_t)from % sizeof(element)) memcpy(to, from, n * size);
                else row[r] = (const element *)(const void *)from;
                if (row[r] == to) memset(to + n, 0, (STEP - n % STEP) % STEP * sizeof *to);
            }
            for (size_t r = panel; r < panel + ROWS; r++) row[r] = row[panel - 1];
            for (size_t t = 0; t < x->tokens; t += TOKENS) {
                const size_t some = x->tokens - t < TOKENS ? x->tokens - t : TOKENS;
                const element *v = (const element *)x->x + t * x->x_stride + at;
                for (size_t r = 0; r < panel; r += ROWS)
                    all_tokens(row + r, v, x->x_stride, n, y + t * y_stride + first + r, y_stride,
                               panel - r < ROWS ? panel - r : ROWS, some);
            }
        }
    }
}

#endif
