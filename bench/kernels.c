/* bench_kernels [--bench]: checks every instruction set that this processor has against the plain C definition on
 * random runs of edge sizes with canaries around the outputs, and with --bench prints GB/s of each, the best of many
 * runs, bytes read, and written by casts, from the caches. Decoders of block types count what they write, into the
 * caches and, the best set, into memory, beside memset.
 *
 * The checks here are short; tests/unit/test_cast.c, test_stats.c and test_dequantize.c go through all patterns. */
#include "bench.h"
#include "base/cpu.h"
#include "kernels/cast/cast.h"
#include "kernels/cast/scalar.h"
#include "kernels/compare/compare_kernels.h"
#include "kernels/dequantize/dequantize_kernels.h"
#include "kernels/stats/stats_kernels.h"
#if !defined(BENCH_WITHOUT_ZLIB)
#include "base/hash.h"
#endif

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 131072 }; /* elements a run */

typedef struct set {
    const char *name;
    cpu_level needs;
    const cast_kernels *cast;
    const stats_kernels *stats;
    const compare_kernels *compare;
    const dequantize_set *dequantize; /* NULL: dequantize_get_scalar */
} set;

static const set sets[] = {
    { "scalar", CPU_SCALAR, &cast_scalar, &stats_scalar, &compare_scalar, NULL },
#if defined(__x86_64__)
    { "avx2", CPU_AVX2, &cast_avx2, &stats_avx2, &compare_avx2, &dequantize_avx2 },
    { "avx512", CPU_AVX512, &cast_avx512, &stats_avx512, &compare_avx512, &dequantize_avx512 },
#elif defined(__aarch64__)
    { "neon", CPU_NEON, &cast_neon, &stats_neon, &compare_neon, &dequantize_neon },
#endif
};
enum { SETS = sizeof sets / sizeof *sets };

static bool runs(const set *s) {
    cpu_level have = cpu_get()->level;
    return s->needs == CPU_SCALAR || s->needs == have || (s->needs == CPU_AVX2 && have == CPU_AVX512);
}

/* ---- what is measured: one operation on n elements of `in`, into `out` ---- */

typedef struct operation {
    const char *name;
    size_t in, out;  /* bytes an element */
    bool weights;    /* the input must look like weights; otherwise any bits will do */
    void (*run)(const set *s, const void *in, void *out, size_t n);
} operation;

#define CAST(type)                                                                     \
    static void run_##type(const set *s, const void *in, void *out, size_t n) {        \
        s->cast->type(in, out, n, false);                                              \
    }
CAST(bf16_to_f32)
CAST(f16_to_f32)
CAST(f64_to_f32)
CAST(e4m3_to_f32)
CAST(e5m2_to_f32)
CAST(f32_to_bf16)
CAST(f32_to_f16)
CAST(f32_to_f64)

static void run_f32_to_e4m3(const set *s, const void *in, void *out, size_t n) {
    s->cast->f32_to_small(&cast_e4m3, in, out, n, false);
}

static void run_f32_to_e5m2(const set *s, const void *in, void *out, size_t n) {
    s->cast->f32_to_small(&cast_e5m2, in, out, n, false);
}

static const operation casts[] = {
    { "bf16 -> f32", 2, 4, false, run_bf16_to_f32 }, { "f32 -> bf16", 4, 2, true, run_f32_to_bf16 },
    { "f16 -> f32", 2, 4, false, run_f16_to_f32 },   { "f32 -> f16", 4, 2, true, run_f32_to_f16 },
    { "f64 -> f32", 8, 4, true, run_f64_to_f32 },    { "f32 -> f64", 4, 8, false, run_f32_to_f64 },
    { "f32 -> e4m3", 4, 1, true, run_f32_to_e4m3 },  { "e4m3 -> f32", 1, 4, false, run_e4m3_to_f32 },
    { "f32 -> e5m2", 4, 1, true, run_f32_to_e5m2 },  { "e5m2 -> f32", 1, 4, false, run_e5m2_to_f32 },
};

#define STATS(type)                                                                    \
    static void run_stats_##type(const set *s, const void *in, void *out, size_t n) {  \
        stats_init(out);                                                               \
        s->stats->type(out, in, n);                                                    \
    }
STATS(f32)
STATS(f64)
STATS(f16)
STATS(bf16)

static const operation statistics[] = {
    { "stats bf16", 2, 0, true, run_stats_bf16 }, { "stats f16", 2, 0, true, run_stats_f16 },
    { "stats f32", 4, 0, true, run_stats_f32 },   { "stats f64", 8, 0, true, run_stats_f64 },
};

/* Against itself moved by one element. */
#define COMPARE(type, size)                                                                                     \
    static void run_compare_##type(const set *s, const void *in, void *out, size_t n) {                         \
        compare_init(out);                                                                                      \
        for (size_t at = 0; at + 1 < n; at += COMPARE_BLOCK) {                                                  \
            size_t m = n - 1 - at < COMPARE_BLOCK ? n - 1 - at : COMPARE_BLOCK;                                 \
            s->compare->type(out, (const char *)in + at * (size), (const char *)in + (at + 1) * (size), m, 0); \
        }                                                                                                       \
    }
COMPARE(f32, 4)
COMPARE(f64, 8)

static const operation comparisons[] = {
    { "compare f32", 4, 0, true, run_compare_f32 },
    { "compare f64", 8, 0, true, run_compare_f64 },
};

/* ---- inputs ---- */

static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static float weight(void) {
    double sum = 0; /* of twelve uniform numbers: nearly Gaussian */
    for (int i = 0; i < 12; i++) sum += (double)(next_random() >> 11) * 0x1p-53;
    return (float)((sum - 6) * 0.02);
}

static void fill(uint8_t *p, const operation *o, size_t n, bool weights) {
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = next_random();
        float f = weight();
        double d = (double)f;
        uint16_t h = cast_f32_to_bf16(cast_f32_bits(f));
        if (o->run == run_stats_f16) h = cast_f32_to_f16(cast_f32_bits(f));
        const void *from = !weights ? (void *)&bits : o->in == 2 ? (void *)&h : o->in == 4 ? (void *)&f : (void *)&d;
        memcpy(p + i * o->in, from, o->in);
    }
}

/* ---- checking ---- */

static uint8_t in[MOST * 8 + 64], out[MOST * 8 + 64], want[MOST * 8 + 64];

static bool close_enough(double a, double b, double scale) {
    return a == b || fabs(a - b) <= 1e-12 * scale;
}

static bool same_stats(const void *got, const void *expected) {
    const stats_acc *a = got, *b = expected;
    return a->count == b->count && a->zeros == b->zeros && a->nans == b->nans && a->infinities == b->infinities &&
           a->finite == b->finite && a->min == b->min && a->max == b->max &&
           memcmp(a->histogram, b->histogram, sizeof a->histogram) == 0 && close_enough(a->m2, b->m2, b->m2) &&
           close_enough(a->m4, b->m4, b->m4);
}

static bool same_compare(const void *got, const void *expected) {
    const compare_acc *a = got, *b = expected;
    return a->count == b->count && a->changed == b->changed && a->infinite == b->infinite &&
           a->max_abs == b->max_abs && close_enough(a->diff2, b->diff2, b->diff2) && close_enough(a->a2, b->a2, b->a2);
}

static int check(const operation *o, bool (*same)(const void *, const void *)) {
    static const size_t counts[] = { 0, 1, 7, 16, 31, 63, 64, 65, 127, 129, 1000, 4095, 4096, 4097, 10000 };
    int failures = 0;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        size_t n = counts[c];
        fill(in + 1, o, n, same != NULL); /* unaligned; casts get any bits, NaNs and overflow among them */
        memset(want, 0xa5, sizeof want);
        o->run(&sets[0], in + 1, want + 16, n);
        for (int s = 1; s < SETS; s++) {
            if (!runs(&sets[s])) continue;
            memset(out, 0xa5, sizeof out);
            o->run(&sets[s], in + 1, out + 16, n);
            bool good = same ? same(out + 16, want + 16) : memcmp(out, want, sizeof out) == 0;
            if (good) continue;
            printf("FAILED %s %s, %zu elements\n", o->name, sets[s].name, n);
            failures++;
        }
    }
    return failures;
}

/* ---- timing ---- */

static double best_seconds(const operation *o, const set *s, size_t n) {
    double best = 1e9, until = bench_seconds(CLOCK_MONOTONIC) + 0.25;
    while (bench_seconds(CLOCK_MONOTONIC) < until) {
        double start = bench_seconds(CLOCK_MONOTONIC);
        for (int k = 0; k < 8; k++) o->run(s, in, out, n);
        double each = (bench_seconds(CLOCK_MONOTONIC) - start) / 8;
        if (each < best) best = each;
    }
    return best;
}

static void bench(const operation *o, size_t n) {
    fill(in, o, n, o->weights);
    printf("%-12s", o->name);
    for (int s = 0; s < SETS; s++)
        if (runs(&sets[s]))
            printf("  %s %.1f", sets[s].name, (double)(n * (o->in + o->out)) / best_seconds(o, &sets[s], n) / 1e9);
    printf("  GB/s\n");
    fflush(stdout);
}

/* ---- block types ---- */

static dequantize_fn decoder(const set *s, tola_dtype dtype) {
    return s->dequantize ? s->dequantize->of[dtype] : dequantize_get_scalar(dtype);
}

static void fill_blocks(tola_dtype dtype, size_t n) {
    size_t bytes = n / tola_dtype_block_elements(dtype) * tola_dtype_block_bytes(dtype);
    for (size_t i = 0; i < bytes; i++) in[i + 1] = (uint8_t)next_random();
}

/* Equal bits, or both NaN. */
static bool same_floats(const uint8_t *a, const uint8_t *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float x, y;
        memcpy(&x, a + 4 * i, 4);
        memcpy(&y, b + 4 * i, 4);
        if (memcmp(&x, &y, 4) != 0 && (x == x || y == y)) return false;
    }
    return true;
}

static int check_blocks(tola_dtype dtype) {
    int failures = 0;
    for (size_t blocks = 0; blocks < 40; blocks = blocks * 2 + 1) {
        size_t n = blocks * tola_dtype_block_elements(dtype);
        fill_blocks(dtype, n);
        dequantize_get_scalar(dtype)(in + 1, (void *)(want + 17), n);
        for (int s = 1; s < SETS; s++) {
            if (!runs(&sets[s]) || !decoder(&sets[s], dtype)) continue;
            memset(out, 0xa5, sizeof out);
            decoder(&sets[s], dtype)(in + 1, (void *)(out + 17), n);
            bool good = same_floats(out + 17, want + 17, n) && out[16] == 0xa5 && out[17 + 4 * n] == 0xa5;
            if (good) continue;
            printf("FAILED %s %s, %zu elements\n", tola_dtype_name(dtype), sets[s].name, n);
            failures++;
        }
    }
    return failures;
}

static double best_decoding(dequantize_fn decode, void *dst, size_t n) {
    double best = 1e9, until = bench_seconds(CLOCK_MONOTONIC) + 0.15;
    while (bench_seconds(CLOCK_MONOTONIC) < until) {
        double start = bench_seconds(CLOCK_MONOTONIC);
        decode(in + 1, dst, n);
        double each = bench_seconds(CLOCK_MONOTONIC) - start;
        if (each < best) best = each;
    }
    return best;
}

enum { RUN = 32768, LARGE = 1 << 24 }; /* elements whose f32 fit the second-level cache, or no cache */

static void bench_blocks(tola_dtype dtype, float *large) {
    dequantize_fn best = NULL;
    fill_blocks(dtype, RUN);
    printf("%-12s", tola_dtype_name(dtype));
    for (int s = 0; s < SETS; s++) {
        if (!runs(&sets[s]) || !decoder(&sets[s], dtype)) continue;
        best = decoder(&sets[s], dtype);
        printf("  %s %.1f", sets[s].name, 4.0 * RUN / best_decoding(best, out, RUN) / 1e9);
    }
    double least = 1e9;
    for (int round = 0; round < 4; round++) {
        double start = bench_seconds(CLOCK_MONOTONIC);
        for (size_t at = 0; at < LARGE; at += RUN) best(in + 1, large + at, RUN);
        double each = bench_seconds(CLOCK_MONOTONIC) - start;
        least = each < least ? each : least;
    }
    printf("  to memory %.1f GB/s\n", 4.0 * LARGE / least / 1e9);
    fflush(stdout);
}

static void bench_memset(float *large) {
    double least = 1e9;
    for (int round = 0; round < 9; round++) {
        double start = bench_seconds(CLOCK_MONOTONIC);
        memset(large, round + 1, 4 * (size_t)LARGE);
        double each = bench_seconds(CLOCK_MONOTONIC) - start;
        least = each < least ? each : least;
    }
    printf("%-12s  to memory %.1f GB/s\n", "memset", 4.0 * LARGE / least / 1e9);
}

static int all_blocks(bool timing, int *checked) {
    float *large = timing ? malloc(4 * (size_t)LARGE) : NULL;
    int failures = 0;
    if (timing && !large) return 1;
    if (large) bench_memset(large);
    for (int t = 0; t < TOLA_DTYPE_COUNT; t++) {
        if (!dequantize_get_scalar((tola_dtype)t)) continue;
        failures += check_blocks((tola_dtype)t);
        if (large) bench_blocks((tola_dtype)t, large);
        ++*checked;
    }
    free(large);
    return failures;
}

static void bench_crc32(void) {
#if !defined(BENCH_WITHOUT_ZLIB)
    double best = 1e9, until = bench_seconds(CLOCK_MONOTONIC) + 0.25;
    volatile uint32_t kept = 0;
    while (bench_seconds(CLOCK_MONOTONIC) < until) {
        double start = bench_seconds(CLOCK_MONOTONIC);
        kept = crc32_update(kept, in, sizeof in);
        double each = bench_seconds(CLOCK_MONOTONIC) - start;
        if (each < best) best = each;
    }
    printf("%-12s  %.1f GB/s\n", "crc32", (double)sizeof in / best / 1e9);
#endif
}

int main(int argc, char **argv) {
    bool timing = argc == 2 && strcmp(argv[1], "--bench") == 0;
    if (argc > 2 || (argc == 2 && !timing)) {
        fprintf(stderr, "usage: bench_kernels [--bench]\n");
        return 2;
    }
    static const struct {
        const operation *operations;
        size_t count;
        size_t elements; /* a run when timed: casts stay in the second-level cache, the rest runs as insight/ does it */
        bool (*same)(const void *, const void *);
    } groups[] = {
        { casts, sizeof casts / sizeof *casts, 32768, NULL },
        { statistics, sizeof statistics / sizeof *statistics, MOST, same_stats },
        { comparisons, sizeof comparisons / sizeof *comparisons, MOST, same_compare },
    };
    int failures = 0, checked = 0;
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (size_t i = 0; i < groups[g].count; i++, checked++) {
            failures += check(&groups[g].operations[i], groups[g].same);
            if (timing) bench(&groups[g].operations[i], groups[g].elements);
        }
    failures += all_blocks(timing, &checked);
    if (timing) bench_crc32();
    printf("%d operations checked on %s, %d failed\n", checked, cpu_level_name(cpu_get()->level), failures);
    return failures ? 1 : 0;
}
