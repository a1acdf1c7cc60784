/* The checker and the benchmark of matrix products: cmake --build build/release --target bench_matmul
 *
 *   bench_matmul                     every path against the definition on odd shapes
 *   bench_matmul --bench [options]   speed of products of many tokens beside the processor's peaks
 *     --type T[,T...]  --tokens N  --shape K,ROWS  --threads N  --rounds N  --path NAME
 *     --cpu-time       the processor's time of each thread, where others keep the processor busy
 *
 * A round measures the peaks (loops of independent instructions, nothing but registers), then one product of each type;
 * printed are medians over the rounds, of GOP/s (a multiplication and an addition are two) and of the share of each
 * peak of the same round, with the unpacking of weights but without the preparation of activations, which is shown
 * beside. Threads share the rows. */
#include "bench.h"
#include "base/cpu.h"
#include "kernels/cast/scalar.h"
#include "kernels/matmul/matmul_kernels.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 64, MOST_ROUNDS = 201 };

static clockid_t clock_used = CLOCK_MONOTONIC;

/* ---- the processor's peaks ---- */

#if defined(__x86_64__)
/* Twelve chains, four instructions of each a round; the clobbers name what the assembler text uses. */
#define TWELVE(op)                                                                                                 \
    op " %%zmm0, %%zmm1, %%zmm4\n\t" op " %%zmm0, %%zmm1, %%zmm5\n\t" op " %%zmm0, %%zmm1, %%zmm6\n\t"            \
    op " %%zmm0, %%zmm1, %%zmm7\n\t" op " %%zmm0, %%zmm1, %%zmm8\n\t" op " %%zmm0, %%zmm1, %%zmm9\n\t"            \
    op " %%zmm0, %%zmm1, %%zmm10\n\t" op " %%zmm0, %%zmm1, %%zmm11\n\t" op " %%zmm0, %%zmm1, %%zmm12\n\t"         \
    op " %%zmm0, %%zmm1, %%zmm13\n\t" op " %%zmm0, %%zmm1, %%zmm14\n\t" op " %%zmm0, %%zmm1, %%zmm15\n\t"
#define LOOP_OF_TWELVE(name, op)                                                                                   \
    static void name(size_t rounds) {                                                                              \
        __asm__ volatile("vpxord %%zmm0, %%zmm0, %%zmm0\n\tvpxord %%zmm1, %%zmm1, %%zmm1\n\t"                      \
                         "1:\n\t" TWELVE(op) TWELVE(op) TWELVE(op) TWELVE(op) "dec %0\n\tjnz 1b\n\tvzeroupper"     \
                         : "+r"(rounds)                                                                            \
                         :                                                                                         \
                         : "xmm0", "xmm1", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",       \
                           "xmm12", "xmm13", "xmm14", "xmm15", "cc");                                              \
    }
LOOP_OF_TWELVE(loop_vnni, "vpdpbusd")
LOOP_OF_TWELVE(loop_bf16, "vdpbf16ps")
LOOP_OF_TWELVE(loop_fma, "vfmadd231ps")

/* Four sums of 16 x 16 by tiles of 16 rows of 64 bytes. */
#define FOUR(op)                                                                                  \
    op " %%tmm6, %%tmm4, %%tmm0\n\t" op " %%tmm6, %%tmm5, %%tmm1\n\t" op " %%tmm7, %%tmm4, %%tmm2\n\t" \
    op " %%tmm7, %%tmm5, %%tmm3\n\t"
#define LOOP_OF_TILES(name, op)                                                                   \
    static void name(size_t rounds) {                                                             \
        uint8_t palette[64] = { 1 };                                                              \
        for (int i = 0; i < 8; i++) palette[16 + 2 * i] = 64, palette[48 + i] = 16;               \
        __asm__ volatile("ldtilecfg (%1)\n\t1:\n\t" FOUR(op) FOUR(op) FOUR(op) FOUR(op)           \
                         "dec %0\n\tjnz 1b\n\ttilerelease"                                        \
                         : "+r"(rounds)                                                           \
                         : "r"(palette)                                                           \
                         : "memory", "cc");                                                       \
    }
LOOP_OF_TILES(loop_amx_int8, "tdpbusd")
LOOP_OF_TILES(loop_amx_bf16, "tdpbf16ps")
#endif

typedef struct peak {
    const char *name;
    void (*loop)(size_t rounds);
    double ops; /* a round */
} peak;

static size_t peaks_of(peak *out) {
    size_t n = 0;
#if defined(__x86_64__)
    const cpu_features *cpu = cpu_get();
    if (cpu->level >= CPU_AVX512) out[n++] = (peak){ "f32", loop_fma, 48 * 16 * 2 };
    if (cpu->avx512_bf16) out[n++] = (peak){ "bf16", loop_bf16, 48 * 32 * 2 };
    if (cpu->avx512_vnni) out[n++] = (peak){ "int8", loop_vnni, 48 * 64 * 2 };
    if (cpu->amx_bf16 && cpu_allow_amx()) out[n++] = (peak){ "bf16amx", loop_amx_bf16, 16 * 16 * 16 * 32 * 2 };
    if (cpu->amx_int8 && cpu_allow_amx()) out[n++] = (peak){ "int8amx", loop_amx_int8, 16 * 16 * 16 * 64 * 2 };
#else
    (void)out;
#endif
    return n;
}

/* ---- threads ---- */

typedef struct work {
    void (*loop)(size_t rounds); /* a peak, or else a product */
    size_t rounds;
    const matmul_tile *tile;
    tola_dtype type;
    const uint8_t *w;
    size_t row_bytes, k, tokens, y_stride, count;
    const void *prepared;
    float *y;
    void *scratch;
    pthread_barrier_t *gate;
    double seconds;
} work;

static void *run(void *context) {
    work *j = context;
    pthread_barrier_wait(j->gate);
    double start = bench_seconds(clock_used);
    if (j->loop) {
        j->loop(j->rounds);
    } else {
        matmul_acts x = matmul_view(j->type, j->k, j->tokens, j->prepared);
        for (size_t i = 0; i < j->rounds; i++)
            j->tile->rows(j->type, j->w, j->row_bytes, &x, j->y, j->y_stride, j->count, j->scratch);
    }
    j->seconds = bench_seconds(clock_used) - start;
    return NULL;
}

/* The longest time of all threads. */
static double run_all(work *jobs, size_t threads) {
    pthread_t ids[MOST_THREADS];
    pthread_barrier_t gate;
    double most = 0;
    pthread_barrier_init(&gate, NULL, (unsigned)threads);
    for (size_t i = 0; i < threads; i++) {
        jobs[i].gate = &gate;
        if (i + 1 < threads && pthread_create(&ids[i], NULL, run, &jobs[i]) != 0) abort();
    }
    run(&jobs[threads - 1]);
    for (size_t i = 0; i + 1 < threads; i++) pthread_join(ids[i], NULL);
    for (size_t i = 0; i < threads; i++)
        if (jobs[i].seconds > most) most = jobs[i].seconds;
    pthread_barrier_destroy(&gate);
    return most;
}

static double peak_of(const peak *p, size_t threads) {
    work jobs[MOST_THREADS];
    memset(jobs, 0, sizeof jobs);
    size_t rounds = p->ops > 1e5 ? 20000 : 200000;
    for (size_t i = 0; i < threads; i++) jobs[i].loop = p->loop, jobs[i].rounds = rounds;
    return p->ops * (double)rounds * (double)threads / run_all(jobs, threads) * 1e-9;
}

/* ---- products ---- */

static const matmul_tile *tile_named(tola_dtype type, const char *name) {
    matmul_path paths[MATMUL_PATHS_MOST];
    size_t n = matmul_paths(paths);
    for (size_t i = 0; i < n; i++)
        if (paths[i].kinds >> matmul_type_get(type)->kind & 1 && (!name || strcmp(paths[i].name, name) == 0))
            return paths[i].tile;
    return NULL;
}

/* Near enough to a normal distribution. Real activations are no flatter; flat ones take a longer way in some types. */
static float bench_normal(void) {
    double sum = 0;
    for (int i = 0; i < 6; i++) sum += (double)(bench_random() >> 11) * 0x1p-52 - 1;
    return (float)sum;
}

/* Bytes that decode to small finite numbers. */
static void fill(tola_dtype type, uint8_t *w, size_t bytes) {
    size_t block = tola_dtype_block_bytes(type);
    for (size_t i = 0; i < bytes; i++) w[i] = (uint8_t)(bench_random() >> 20);
    if (tola_dtype_get_kind(type) == TOLA_KIND_FLOAT) {
        for (size_t i = 0; i < bytes; i += block) /* no denormals in f32, which would be slow */
            w[i + block - 1] = (uint8_t)((w[i + block - 1] & 0x81) | (block == 1 ? 0x30 : 0x3c));
        return;
    }
    for (size_t i = 0; i + block <= bytes; i += block) { /* halves at both ends of the block */
        w[i + 1] = w[i + 3] = w[i + block - 1] = w[i + block - 3] = 0x20;
        if (type == TOLA_DTYPE_Q8_K) w[i + 3] = 0x3a;
        if (type == TOLA_DTYPE_MXFP4) w[i] = 120;
    }
}

typedef struct bench {
    size_t k, rows, tokens, threads, rounds;
    const char *path;
} bench;

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n) {
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

typedef struct subject {
    tola_dtype type;
    const matmul_tile *tile;
    uint8_t *w;
    void *prepared;
    size_t row_bytes;
    double prepare_us, gops[MOST_ROUNDS], share[8][MOST_ROUNDS];
} subject;

static void set_up(subject *s, const bench *b, const float *x) {
    s->row_bytes = b->k / tola_dtype_block_elements(s->type) * tola_dtype_block_bytes(s->type);
    s->w = bench_memory(s->row_bytes * b->rows);
    fill(s->type, s->w, s->row_bytes * b->rows);
    s->prepared = bench_memory(matmul_prepared_bytes(s->type, b->k, b->tokens));
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        double start = bench_seconds(clock_used);
        matmul_prepare(s->type, x, b->k, b->k, b->tokens, 0, b->tokens, s->prepared);
        if (bench_seconds(clock_used) - start < best) best = bench_seconds(clock_used) - start;
    }
    s->prepare_us = best * 1e6;
}

static double product(const subject *s, const bench *b, float *y, void **scratch) {
    work jobs[MOST_THREADS];
    memset(jobs, 0, sizeof jobs);
    size_t share = (b->rows / b->threads + MATMUL_ROWS - 1) / MATMUL_ROWS * MATMUL_ROWS, at = 0;
    for (size_t i = 0; i < b->threads; i++, at += share) {
        size_t begin = at < b->rows ? at : b->rows, end = begin + share < b->rows ? begin + share : b->rows;
        if (i + 1 == b->threads) end = b->rows;
        jobs[i] = (work){ .rounds = 1, .tile = s->tile, .type = s->type, .w = s->w + begin * s->row_bytes,
                          .row_bytes = s->row_bytes, .k = b->k, .tokens = b->tokens, .prepared = s->prepared,
                          .y = y + begin, .y_stride = b->rows, .count = end - begin, .scratch = scratch[i] };
    }
    return 2e-9 * (double)b->k * (double)b->rows * (double)b->tokens / run_all(jobs, b->threads);
}

static void measure(const bench *b, const tola_dtype *types, size_t n_types) {
    float *x = bench_memory(b->k * b->tokens * sizeof *x), *y = bench_memory(b->rows * b->tokens * sizeof *y);
    subject *subjects = bench_memory(n_types * sizeof *subjects);
    void *scratch[MOST_THREADS];
    size_t bytes = 0, n = 0;
    peak peaks[8];
    double height[8][MOST_ROUNDS];
    size_t n_peaks = peaks_of(peaks);
    for (size_t i = 0; i < b->k * b->tokens; i++) x[i] = bench_normal();
    for (size_t i = 0; i < n_types; i++) {
        subject *s = &subjects[n];
        s->type = types[i];
        s->tile = tile_named(types[i], b->path);
        if (!s->tile || b->k % tola_dtype_block_elements(types[i]) != 0) continue;
        set_up(s, b, x);
        size_t need = s->tile->scratch(matmul_type_get(types[i]), b->k, b->tokens);
        if (need > bytes) bytes = need;
        n++;
    }
    for (size_t i = 0; i < b->threads; i++) scratch[i] = bench_memory(bytes);
    for (size_t r = 0; r < b->rounds; r++) {
        for (size_t p = 0; p < n_peaks; p++) height[p][r] = peak_of(&peaks[p], b->threads);
        for (size_t i = 0; i < n; i++) {
            subjects[i].gops[r] = product(&subjects[i], b, y, scratch);
            for (size_t p = 0; p < n_peaks; p++) subjects[i].share[p][r] = subjects[i].gops[r] / height[p][r];
        }
    }
    printf("%zu tokens, k %zu, %zu rows, %zu thread%s, median of %zu rounds\npeaks:", b->tokens, b->k, b->rows,
           b->threads, b->threads > 1 ? "s" : "", b->rounds);
    for (size_t p = 0; p < n_peaks; p++) printf("  %s %.0f GOP/s", peaks[p].name, median(height[p], b->rounds));
    printf("\n%-8s %9s", "type", "GOP/s");
    for (size_t p = 0; p < n_peaks; p++) printf("  %% of %-7s", peaks[p].name);
    printf("  prepare us\n");
    for (size_t i = 0; i < n; i++) {
        printf("%-8s %9.0f", tola_dtype_name(subjects[i].type), median(subjects[i].gops, b->rounds));
        for (size_t p = 0; p < n_peaks; p++) printf("  %12.1f", 100 * median(subjects[i].share[p], b->rounds));
        printf("  %10.0f\n", subjects[i].prepare_us);
        free(subjects[i].w);
        free(subjects[i].prepared);
    }
    for (size_t i = 0; i < b->threads; i++) free(scratch[i]);
    free(subjects);
    free(x);
    free(y);
}

/* ---- the checker ---- */

static bool agrees(tola_dtype type, size_t k, float got, float want) {
    if (isnan(got) || isnan(want)) return isnan(got) && isnan(want);
    const bool split = matmul_split(matmul_type_get(type));
    if (matmul_type_get(type)->kind != MATMUL_BF16 && !split) return cast_f32_bits(got) == cast_f32_bits(want);
    return fabsf(got - want) <= (split ? 3e-5f : 1e-3f) * (sqrtf((float)k) + fabsf(want));
}

/* One type and shape through every path, or where tokens are taken one after the other through that product; the number
 * of wrong results. */
static size_t check(tola_dtype type, size_t k, size_t rows, size_t tokens) {
    matmul_path paths[MATMUL_PATHS_MOST];
    const matmul_vector_fn vector = matmul_vector_for(type, tokens);
    const size_t n = vector ? 1 : matmul_paths(paths);
    if (vector) paths[0] = (matmul_path){ .name = "one token", .kinds = ~0u };
    const size_t row_bytes = k / tola_dtype_block_elements(type) * tola_dtype_block_bytes(type);
    uint8_t *w = bench_memory(row_bytes * rows);
    float *x = bench_memory(k * tokens * sizeof *x), *y = bench_memory(rows * tokens * sizeof *y);
    void *prepared = bench_memory(matmul_prepared_bytes(type, k, tokens));
    size_t wrong = 0;
    fill(type, w, row_bytes * rows);
    for (size_t i = 0; i < k * tokens; i++) x[i] = (float)((double)(bench_random() >> 11) * 0x1p-52 - 1);
    matmul_prepare(type, x, k, k, tokens, 0, tokens, prepared);
    matmul_acts acts = matmul_view(type, k, tokens, prepared);
    for (size_t p = 0; p < n; p++) {
        if (!(paths[p].kinds >> matmul_type_get(type)->kind & 1) || paths[p].tile == &matmul_tile_scalar) continue;
        void *scratch = bench_memory(vector ? 0 : paths[p].tile->scratch(matmul_type_get(type), k, tokens));
        size_t before = wrong;
        if (!vector) paths[p].tile->rows(type, w, row_bytes, &acts, y, rows, rows, scratch);
        for (size_t t = 0; vector && t < tokens; t++) vector(w, row_bytes, &acts, t, y + t * rows, rows);
        for (size_t t = 0; t < tokens; t++)
            for (size_t r = 0; r < rows; r++)
                wrong += !agrees(type, k, y[t * rows + r], matmul_scalar_dot(type, w + r * row_bytes, &acts, t));
        if (wrong > before)
            printf("%s %s k %zu rows %zu tokens %zu: %zu wrong\n", paths[p].name, tola_dtype_name(type), k, rows,
                   tokens, wrong - before);
        free(scratch);
    }
    free(w);
    free(x);
    free(y);
    free(prepared);
    return wrong;
}

static int check_all(void) {
    static const size_t row_counts[] = { 1, 63, 65 }, token_counts[] = { 1, 2, 5, 31, 33, 513 };
    size_t shapes = 0, wrong = 0;
    for (unsigned type = 0; type < TOLA_DTYPE_COUNT; type++) {
        if (!matmul_supports(type)) continue;
        size_t block = tola_dtype_block_elements(type);
        for (size_t r = 0; r < 3; r++)
            for (size_t t = 0; t < 6; t++, shapes++) {
                size_t k = block == 1 ? 301 : block * (1 + bench_random() % (800 / block));
                wrong += check(type, k, row_counts[r], token_counts[t]);
            }
    }
    printf("%zu shapes, %zu wrong\n", shapes, wrong);
    return wrong != 0;
}

static size_t parse_types(char *list, tola_dtype *types) {
    size_t n = 0;
    for (char *name = strtok(list, ","); name && n < TOLA_DTYPE_COUNT; name = strtok(NULL, ",")) {
        types[n] = tola_dtype_parse(name);
        if (!matmul_supports(types[n])) {
            fprintf(stderr, "bench_matmul: no products of type %s\n", name);
            exit(2);
        }
        n++;
    }
    return n;
}

int main(int argc, char **argv) {
    tola_dtype types[TOLA_DTYPE_COUNT];
    char all[] = "q8_0,q4_0,q4_k,q5_k,q6_k,bf16,f32";
    size_t n = parse_types(all, types), shapes[2][2] = { { 2048, 5632 }, { 4096, 14336 } }, n_shapes = 2;
    bench b = { .tokens = 512, .threads = 1, .rounds = 9 };
    bool measured = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        if (strcmp(argv[i], "--bench") == 0) {
            measured = true;
            continue;
        }
        if (strcmp(argv[i], "--cpu-time") == 0) {
            clock_used = CLOCK_THREAD_CPUTIME_ID;
            continue;
        }
        if (strcmp(argv[i], "--type") == 0 && i + 1 < argc) n = parse_types(argv[i + 1], types);
        else if (strcmp(argv[i], "--tokens") == 0) b.tokens = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--threads") == 0) b.threads = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0) b.rounds = strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--path") == 0 && i + 1 < argc) b.path = value;
        else if (strcmp(argv[i], "--shape") != 0 || sscanf(value, "%zu,%zu", &shapes[0][0], &shapes[0][1]) != 2) {
            fprintf(stderr, "bench_matmul: what is %s? See bench/matmul.c\n", argv[i]);
            return 2;
        } else n_shapes = 1;
        i++;
    }
    if (!measured) return check_all();
    if (b.threads < 1 || b.threads > MOST_THREADS || b.rounds < 1 || b.rounds > MOST_ROUNDS || b.tokens < 1) return 2;
    for (size_t i = 0; i < n_shapes; i++) {
        b.k = shapes[i][0], b.rows = shapes[i][1];
        measure(&b, types, n);
    }
    return 0;
}
