/* bench_encode LIBGGML_BASE TYPE...: encoders of block types against ggml's, one thread, interleaved.
 *
 * Every round encodes the same gaussian rows with ours and with ggml_quantize_chunk, with and without importance (ones
 * for the types that ggml does not encode without). Millions of elements a second by the thread's own clock, the best
 * of the rounds, and the median of the ratios of the rounds with its spread. */
#include "bench.h"
#include "kernels/quantize/quantize.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 16, COLUMNS = 2048, ROUNDS = 11 };

typedef size_t chunk_fn(int type, const float *src, void *dst, int64_t start, int64_t rows, int64_t columns,
                        const float *importance);

/* enum ggml_type (ggml.h) */
static const struct {
    const char *name;
    int ggml;
    bool insists; /* ggml_quantize_requires_imatrix and what llama-quantize refuses */
} types[] = { { "q4_0", 2, false },     { "q4_1", 3, false },   { "q5_0", 6, false },   { "q5_1", 7, false },
              { "q8_0", 8, false },     { "q2_k", 10, false },  { "q3_k", 11, false },  { "q4_k", 12, false },
              { "q5_k", 13, false },    { "q6_k", 14, false },  { "iq2_xxs", 16, true }, { "iq2_xs", 17, true },
              { "iq3_xxs", 18, false }, { "iq1_s", 19, true },  { "iq4_nl", 20, false }, { "iq3_s", 21, false },
              { "iq2_s", 22, false },   { "iq4_xs", 23, false }, { "iq1_m", 29, true } };

static double uniform(void) { /* xorshift64 (Marsaglia 2003), in (0, 1) */
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return ((double)(seed >> 11) + 0.5) * 0x1p-53;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench(size_t type, chunk_fn *theirs, const float *w, const float *importance, const float *ones,
                  void *out) {
    tola_dtype dtype = tola_dtype_parse(types[type].name);
    quantize_fn ours = quantize_get(dtype);
    size_t bytes = COLUMNS / tola_dtype_block_elements(dtype) * tola_dtype_block_bytes(dtype);
    const float *for_them = !importance && types[type].insists ? ones : importance;
    double ratios[ROUNDS], best[2] = { INFINITY, INFINITY };
    for (int round = -1; round < ROUNDS; round++) { /* the first one makes ggml's tables and is not counted */
        double seconds[2];
        for (int turn = 0; turn < 2; turn++) {
            int side = (turn + round) & 1;
            double begin = bench_seconds(CLOCK_THREAD_CPUTIME_ID);
            if (side) theirs(types[type].ggml, w, out, 0, ROWS, COLUMNS, for_them);
            else
                for (size_t r = 0; r < ROWS; r++) ours(w + r * COLUMNS, (char *)out + r * bytes, COLUMNS, importance);
            seconds[side] = bench_seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
            if (round >= 0 && seconds[side] < best[side]) best[side] = seconds[side];
        }
        if (round >= 0) ratios[round] = seconds[1] / seconds[0];
    }
    qsort(ratios, ROUNDS, sizeof *ratios, ascending);
    double elements = (double)ROWS * COLUMNS / 1e6;
    printf("%-8s %-10s ours %8.2f, ggml %8.2f Melements/s; %.1f times (%.1f to %.1f)\n", types[type].name,
           importance ? "importance" : "plain", elements / best[0], elements / best[1], ratios[ROUNDS / 2], ratios[0],
           ratios[ROUNDS - 1]);
    fflush(stdout);
}

int main(int argc, char **argv) {
    static float w[ROWS * COLUMNS], importance[COLUMNS], ones[COLUMNS];
    static char out[ROWS * COLUMNS * 2];
    void *library = argc > 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    chunk_fn *theirs = NULL;
    void *symbol = library ? dlsym(library, "ggml_quantize_chunk") : NULL;
    if (!symbol) return fprintf(stderr, "usage: bench_encode LIBGGML_BASE TYPE...\n"), 2;
    memcpy(&theirs, &symbol, sizeof theirs);
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        w[i] = 0.02f * (float)(sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()));
    for (size_t i = 0; i < COLUMNS; i++) ones[i] = 1, importance[i] = (float)(-log(uniform()));
    for (int a = 2; a < argc; a++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            if (strcmp(argv[a], types[t].name) != 0 || !quantize_get(tola_dtype_parse(argv[a]))) continue;
            bench(t, theirs, w, NULL, ones, out);
            bench(t, theirs, w, importance, ones, out);
        }
    return 0;
}
