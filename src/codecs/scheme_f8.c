/* See scheme_f8.h. The largest magnitude of a block becomes the largest number of f8_e4m3, 448; codes are x / scale
 * rounded to nearest even, as DeepSeek-V3's and compressed-tensors' own kernels have it. */
#include "codecs/scheme_f8.h"

#include "codecs/scheme_linear.h"
#include "kernels/cast/cast.h"
#include "kernels/fit/fit.h"

#define STRIP 256

float largest_of(const float *x, size_t n) {
    float least, most;
    fit_get()->range(x, n, &least, &most);
    return -least > most ? -least : most;
}

float f8_scale(float largest, tola_dtype dtype) { return largest == 0 ? 1 : scale_round(largest / 448, dtype); }

static void encode_run(const float *x, size_t n, float scale, uint8_t *codes) {
    for (size_t i = 0; i < n; i += STRIP) {
        float scaled[STRIP];
        size_t m = n - i < STRIP ? n - i : STRIP;
        for (size_t k = 0; k < m; k++) scaled[k] = x[i + k] / scale;
        cast_get()->f32_to_small(&cast_e4m3, scaled, codes + i, m, true);
    }
}

/* The scales of the block of `rows` rows that begins at x. */
static void block_scales(const float *x, uint64_t rows, uint64_t cols, const scale_grid *grid, tola_dtype dtype,
                         float *scales) {
    for (uint64_t g = 0; g < grid->across; g++) {
        uint64_t from = g * grid->block_cols, n = cols - from < grid->block_cols ? cols - from : grid->block_cols;
        float largest = 0;
        for (uint64_t r = 0; r < rows; r++) {
            float a = largest_of(x + r * cols + from, (size_t)n);
            largest = a > largest ? a : largest;
        }
        scales[g] = f8_scale(largest, dtype);
    }
}

void f8_encode(const float *rows, uint64_t count, uint64_t cols, const scale_grid *grid, tola_dtype dtype,
               const float *whole, float *scales, uint8_t *codes) {
    if (whole) scales[0] = f8_scale(*whole, dtype);
    for (uint64_t r = 0; r < count; r++) {
        uint64_t within = whole ? 0 : r % grid->block_rows, left = count - r;
        float *of_row = whole ? scales : scales + r / grid->block_rows * grid->across;
        if (!whole && within == 0)
            block_scales(rows + r * cols, left < grid->block_rows ? left : grid->block_rows, cols, grid, dtype, of_row);
        for (uint64_t g = 0; g < grid->across; g++) {
            uint64_t from = g * grid->block_cols, n = cols - from < grid->block_cols ? cols - from : grid->block_cols;
            encode_run(rows + r * cols + from, (size_t)n, of_row[g], codes + r * cols + from);
        }
    }
}
