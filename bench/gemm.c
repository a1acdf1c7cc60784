/* Speed of general products: cmake --build build/release --target bench_gemm
 *
 *   bench_gemm [--threads N] [--rounds N] [--precision f32|bf16] [--type T] [--shape M,N,K[,nn|nt|tn|tt]]...
 *     --cpu-time       the processor's time of one thread, where others keep the processor busy
 *   bench_gemm --serve [--threads N]
 *
 * Without shapes: those of training GPT-2 124M and of small networks. Each round measures the processor's peak (loops
 * of fma, or of products of bf16, on all threads), then each product; printed is the best of the rounds, in GFLOP/s (a
 * multiplication and an addition are two), and the median of its shares of the same round's peak. T is the type of B.
 * --serve answers lines "m n k transposes precision" with the seconds of one such product (bench_gemm.py). */
#include "bench.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/pool.h"
#include "kernels/gemm/gemm.h"
#include "kernels/peak/peak.h"
#include <stdio.h>

enum { MOST_SHAPES = 64, MOST_ROUNDS = 101 };

typedef struct shape {
    size_t m, n, k;
    char transposes[3]; /* of A and B: n or t */
} shape;

static pool *workers;
static unsigned threads = 2;
static clockid_t clock_used = CLOCK_MONOTONIC;

typedef struct job {
    const gemm_problem *p;
    char *scratch;
    size_t scratch_bytes;
} job;

static tola_status one_task(void *context, size_t task, unsigned worker, tola_error *err) {
    const job *j = context;
    (void)err;
    gemm_run(j->p, threads, task, j->scratch + worker * j->scratch_bytes);
    return TOLA_OK;
}

typedef struct product {
    gemm_problem p;
    job j;
} product;

/* As plans have it: on large pages where there are any. */
static void *memory(size_t bytes) {
    void *p = mem_alloc_aligned(64, bytes);
    if (!p) abort();
    return memset(p, 0, bytes);
}

static float *numbers(size_t n) {
    float *x = memory((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)(int64_t)(bench_random() >> 40) * 0x1p-23f - 1;
    return x;
}

static void prepare(product *r, const shape *s, gemm_precision precision, tola_dtype type) {
    const bool ta = s->transposes[0] == 't', tb = s->transposes[1] == 't';
    const size_t b_cols = tb ? s->k : s->n, block = tola_dtype_block_elements(type);
    const size_t b_bytes = (b_cols + block - 1) / block * tola_dtype_block_bytes(type);
    void *b = type == TOLA_DTYPE_F32 ? numbers(s->n * s->k) : memory(b_bytes * (tb ? s->n : s->k));
    r->p = (gemm_problem){
        .m = s->m, .n = s->n, .k = s->k, .precision = precision, .c_stride = s->n, .c = numbers(s->m * s->n),
        .a = { numbers(s->m * s->k), (ta ? s->m : s->k) * sizeof(float), TOLA_DTYPE_F32, ta, TOLA_DTYPE_NONE, 1 },
        .b = { b, b_bytes, type, tb, TOLA_DTYPE_NONE, 1 },
    };
    r->j.p = &r->p;
    r->j.scratch_bytes = (gemm_scratch_bytes(&r->p, threads) + 4095) / 4096 * 4096;
    r->j.scratch = memory(r->j.scratch_bytes * threads + 4096);
}

static void dispose(product *r) {
    mem_free((void *)(uintptr_t)r->p.a.data);
    mem_free((void *)(uintptr_t)r->p.b.data);
    mem_free(r->p.c);
    mem_free(r->j.scratch);
}

/* Seconds of one product, of as many as take a hundredth of a second. */
static double measure(product *r) {
    const size_t tasks = gemm_tasks(&r->p, threads);
    double taken = 0;
    for (size_t times = 1;; times *= 2) {
        const double start = bench_seconds(clock_used);
        for (size_t i = 0; i < times; i++) {
            if (tasks == 1) gemm_run(&r->p, threads, 0, r->j.scratch);
            else if (pool_run(workers, tasks, one_task, &r->j, NULL) != TOLA_OK) abort();
        }
        taken = bench_seconds(clock_used) - start;
        if (taken > 0.01) return taken / (double)times;
    }
}

static tola_status peak_task(void *context, size_t task, unsigned worker, tola_error *err) {
    (void)task, (void)worker, (void)err;
    ((const peak_loop *)context)->run(100000);
    return TOLA_OK;
}

static double peak_speed(gemm_precision precision) {
    const peak_loop *loop = NULL;
    if (precision == GEMM_BF16) loop = peak_loop_get(PEAK_BF16_TILES);
    if (precision == GEMM_BF16 && !loop) loop = peak_loop_get(PEAK_BF16);
    if (!loop) loop = peak_loop_get(PEAK_F32);
    const double start = bench_seconds(clock_used);
    if (pool_run(workers, threads, peak_task, (void *)(uintptr_t)loop, NULL) != TOLA_OK) abort();
    return loop->operations * 100000 * threads / (bench_seconds(clock_used) - start);
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool parse(const char *text, shape *s) {
    memcpy(s->transposes, "nn", 3);
    return sscanf(text, "%zu,%zu,%zu,%2s", &s->m, &s->n, &s->k, s->transposes) >= 3;
}

static int serve(void) {
    char line[200], precision[8], type[16];
    shape s = { 0 };
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%zu %zu %zu %2s %7s %15s", &s.m, &s.n, &s.k, s.transposes, precision, type) != 6) return 2;
        product r;
        prepare(&r, &s, strcmp(precision, "bf16") == 0 ? GEMM_BF16 : GEMM_F32, tola_dtype_parse(type));
        double best = measure(&r);
        for (int i = 0; i < 4; i++) {
            const double again = measure(&r);
            if (again < best) best = again;
        }
        printf("%.9f\n", best);
        fflush(stdout);
        dispose(&r);
    }
    return 0;
}

int main(int argc, char **argv) {
    static const char *const usual[] = {
        "256,768,768,nt",   "256,2304,768,nt",  "256,3072,768,nt", "256,768,3072,nt",  "256,50257,768,nt",
        "256,768,50257,nn", "256,768,3072,nn",  "256,3072,768,nn", "3072,768,256,tn",  "768,3072,256,tn",
        "50257,768,256,tn", "1024,768,768,nt",  "1024,3072,768,nt", "1024,768,3072,nn", "3072,768,1024,tn",
        "1024,50257,768,nt", "64,256,784,nt",   "64,10,256,nt",    "256,784,64,tn",    "64,64,64,nt",
        "64,64,64,nn",      "256,64,256,nn",    "256,256,64,nt",   "1024,1024,64,nt",  "1024,64,1024,nn",
    };
    shape shapes[MOST_SHAPES];
    size_t count = 0;
    int rounds = 5;
    gemm_precision precision = GEMM_F32;
    tola_dtype type = TOLA_DTYPE_F32;
    bool serving = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--serve") == 0) {
            serving = true;
            continue;
        }
        if (strcmp(argv[i], "--cpu-time") == 0) {
            threads = 1, clock_used = CLOCK_THREAD_CPUTIME_ID;
            continue;
        }
        if (strcmp(argv[i], "--threads") == 0) threads = (unsigned)atoi(value);
        else if (strcmp(argv[i], "--rounds") == 0) rounds = atoi(value);
        else if (strcmp(argv[i], "--precision") == 0) precision = strcmp(value, "bf16") == 0 ? GEMM_BF16 : GEMM_F32;
        else if (strcmp(argv[i], "--type") == 0) type = tola_dtype_parse(value);
        else if (strcmp(argv[i], "--shape") != 0 || count == MOST_SHAPES || !parse(value, &shapes[count++])) return 2;
        i++;
    }
    if (rounds < 1 || rounds > MOST_ROUNDS) return 2;
    if (pool_create(threads, &workers, NULL) != TOLA_OK) return 2;
    if (serving) return serve();
    if (count == 0)
        for (; count < sizeof usual / sizeof *usual; count++)
            if (!parse(usual[count], &shapes[count])) return 2;
    double peak = 0, best[MOST_SHAPES] = { 0 }, shares[MOST_SHAPES], share[MOST_ROUNDS];
    for (size_t i = 0; i < count; i++) {
        product r;
        prepare(&r, &shapes[i], precision, type);
        for (int round = 0; round < rounds; round++) {
            const double now = peak_speed(precision), seconds = measure(&r);
            const double speed = 2 * (double)shapes[i].m * (double)shapes[i].n * (double)shapes[i].k / seconds;
            if (now > peak) peak = now;
            if (speed > best[i]) best[i] = speed;
            share[round] = speed / now;
        }
        qsort(share, (size_t)rounds, sizeof *share, by_size);
        shares[i] = share[rounds / 2];
        dispose(&r);
    }
    printf("peak of %u threads: %.1f GFLOP/s\n", threads, peak * 1e-9);
    for (size_t i = 0; i < count; i++)
        printf("%6zu x %6zu x %6zu %s  %8.1f GFLOP/s  %5.1f %%\n", shapes[i].m, shapes[i].n, shapes[i].k,
               shapes[i].transposes, best[i] * 1e-9, 100 * shares[i]);
    pool_free(workers);
    return 0;
}
