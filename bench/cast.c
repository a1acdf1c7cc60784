/* bench_cast [THREADS] [ROUNDS]: casts over buffers far larger than the caches, against copying in the same rounds.
 *
 * Each thread has its own buffers of 256 MiB. Every round runs each cast and two copies, one with ordinary stores
 * (which fetch the line they overwrite, as a cast's do) and memcpy (which at this size writes past the caches); a
 * cast's bytes read and written per second are held against the copies' of the same round. Medians and spread. */
#include "bench.h"
#include "kernels/cast/cast.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST ((size_t)256 << 20) /* bytes of the longer buffer */
enum { MAX_THREADS = 64, MAX_ROUNDS = 101 };

typedef struct operation {
    const char *name;
    size_t in, out; /* bytes an element */
    void (*run)(const void *in, void *out, size_t n);
} operation;

#define CAST(type)                                                     \
    static void run_##type(const void *in, void *out, size_t n) {      \
        cast_get()->type(in, out, n, false);                           \
    }
CAST(bf16_to_f32)
CAST(f16_to_f32)
CAST(e4m3_to_f32)
CAST(f32_to_bf16)
CAST(f32_to_f16)
CAST(f64_to_f32)

static void run_f32_to_e4m3(const void *in, void *out, size_t n) {
    cast_get()->f32_to_small(&cast_e4m3, in, out, n, false);
}

static void run_copy(const void *in, void *out, size_t n) {
    const uint64_t *from = in;
    uint64_t *to = out;
    for (size_t i = 0; i + 8 <= n / 8; i += 8) {
        uint64_t line[8];
        memcpy(line, from + i, sizeof line);
        __asm__ volatile("" ::: "memory"); /* keeps the compiler from calling memcpy for the whole */
        memcpy(to + i, line, sizeof line);
    }
}

static void run_memcpy(const void *in, void *out, size_t n) {
    memcpy(out, in, n);
}

static const operation operations[] = {
    { "copy", 1, 1, run_copy },
    { "memcpy", 1, 1, run_memcpy },
    { "bf16 -> f32", 2, 4, run_bf16_to_f32 },
    { "f16 -> f32", 2, 4, run_f16_to_f32 },
    { "e4m3 -> f32", 1, 4, run_e4m3_to_f32 },
    { "f32 -> bf16", 4, 2, run_f32_to_bf16 },
    { "f32 -> f16", 4, 2, run_f32_to_f16 },
    { "f32 -> e4m3", 4, 1, run_f32_to_e4m3 },
    { "f64 -> f32", 8, 4, run_f64_to_f32 },
};
enum { COUNT = sizeof operations / sizeof *operations };

typedef struct worker {
    pthread_t thread;
    uint8_t *in, *out;
    const operation *o;
} worker;

static size_t elements(const operation *o) { return MOST / (o->in > o->out ? o->in : o->out); }

static void *work(void *argument) {
    worker *w = argument;
    w->o->run(w->in, w->out, elements(w->o));
    return NULL;
}

/* GB/s read and written, all threads together. */
static double measure(worker *workers, int threads, const operation *o) {
    double start = bench_seconds(CLOCK_MONOTONIC);
    for (int i = 0; i < threads; i++) {
        workers[i].o = o;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) abort();
    }
    for (int i = 0; i < threads; i++) pthread_join(workers[i].thread, NULL);
    return (double)threads * (double)(elements(o) * (o->in + o->out)) / (bench_seconds(CLOCK_MONOTONIC) - start) / 1e9;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_ratio(const char *against, const double *rate, const double *base, int rounds) {
    double ratio[MAX_ROUNDS];
    for (int r = 0; r < rounds; r++) ratio[r] = rate[r] / base[r];
    qsort(ratio, (size_t)rounds, sizeof *ratio, ascending);
    printf("  %s %.2f (%.2f-%.2f)", against, ratio[rounds / 2], ratio[0], ratio[rounds - 1]);
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1, rounds = argc > 2 ? atoi(argv[2]) : 9;
    if (threads < 1 || threads > MAX_THREADS || rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: bench_cast [THREADS] [ROUNDS]\n");
        return 2;
    }
    static worker workers[MAX_THREADS];
    static double rates[COUNT][MAX_ROUNDS];
    for (int i = 0; i < threads; i++) {
        workers[i].in = aligned_alloc(4096, MOST);
        workers[i].out = aligned_alloc(4096, MOST);
        if (!workers[i].in || !workers[i].out) abort();
        memset(workers[i].in, 0x3c, MOST); /* finite in every type */
        memset(workers[i].out, 0, MOST);
    }
    for (int r = -1; r < rounds; r++) /* the first is not counted */
        for (int o = 0; o < COUNT; o++) {
            double rate = measure(workers, threads, &operations[o]);
            if (r >= 0) rates[o][r] = rate;
        }
    for (int o = 0; o < COUNT; o++) {
        double sorted[MAX_ROUNDS];
        memcpy(sorted, rates[o], sizeof sorted);
        qsort(sorted, (size_t)rounds, sizeof *sorted, ascending);
        printf("%-12s %6.1f GB/s", operations[o].name, sorted[rounds / 2]);
        print_ratio("of copy", rates[o], rates[0], rounds);
        print_ratio("of memcpy", rates[o], rates[1], rounds);
        printf("\n");
    }
    return 0;
}
