/* The speed of attention over pages: cmake --build build/release --target bench_attention
 *
 *   bench_attention [--types KEY,VALUE] [--dims KEY,VALUE] [--positions N] [--rounds N] [--group N] [--prompt N]
 *                   [--cpu-time]: the processor's time, where others keep the processor busy
 *
 * Many queries (prefill): a call on one page, in GFLOP/s, a multiplication and an addition being two, the softmax none,
 * beside the processor's peak of f32 (a loop of independent instructions, nothing but registers). Few queries (decode):
 * all pages of a long sequence, in GB/s of the cache, beside reading as many bytes and doing nothing with them. Each
 * round measures everything once, one thread; printed are the best of all rounds, because others may use the processor,
 * and the share of the limit, the best of all rounds, too.
 *
 * With --prompt the operation itself, over a prompt of N tokens at once and one kv head with --group query heads: the
 * arithmetic that is seen, half of a full square, beside the peak, and the writing of the cache. */
#include "bench.h"
#include "base/cpu.h"
#include "graph/kv_pages.h"
#include "graph/op.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_QUERIES = 384 };

static float uniform(void) { return (float)((double)(bench_random() >> 11) * 0x1p-52 - 1); }

static clockid_t clock_used = CLOCK_MONOTONIC;

/* ---- limits ---- */

#if defined(__x86_64__)
#define TWELVE(r)                                                                                                      \
    "vfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm4\n\tvfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm5\n\t"             \
    "vfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm6\n\tvfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm7\n\t"             \
    "vfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm8\n\tvfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm9\n\t"             \
    "vfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm10\n\tvfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm11\n\t"           \
    "vfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm12\n\tvfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm13\n\t"           \
    "vfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm14\n\tvfmadd231ps %%" r "mm0, %%" r "mm1, %%" r "mm15\n\t"
#define LOOP_OF_TWELVE(name, r)                                                                                        \
    static void name(size_t rounds) {                                                                                  \
        __asm__ volatile("vxorps %%xmm0, %%xmm0, %%xmm0\n\tvxorps %%xmm1, %%xmm1, %%xmm1\n\t"                          \
                         "1:\n\t" TWELVE(r) TWELVE(r) "dec %0\n\tjnz 1b\n\tvzeroupper"                                 \
                         : "+r"(rounds)                                                                                \
                         :                                                                                             \
                         : "xmm0", "xmm1", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",  \
                           "xmm13", "xmm14", "xmm15", "cc");                                                           \
    }
LOOP_OF_TWELVE(loop_zmm, "z")
LOOP_OF_TWELVE(loop_ymm, "y")
#endif

/* GFLOP/s of f32; 0 where nobody knows. */
static double peak_f32(void) {
#if defined(__x86_64__)
    const cpu_level level = cpu_get()->level;
    if (level != CPU_AVX512 && level != CPU_AVX2) return 0;
    const size_t rounds = 40000;
    const double start = bench_seconds(clock_used);
    if (level == CPU_AVX512)
        loop_zmm(rounds);
    else
        loop_ymm(rounds);
    return 24 * (level == CPU_AVX512 ? 16 : 8) * 2 * (double)rounds / (bench_seconds(clock_used) - start) * 1e-9;
#else
    return 0;
#endif
}

static uint64_t sink;

static double read_speed(const uint8_t *p, size_t bytes) {
    const double start = bench_seconds(clock_used);
    uint64_t sum[8] = { 0 }, x[8];
    for (size_t i = 0; i + 64 <= bytes; i += 64) {
        memcpy(x, p + i, 64);
        for (int j = 0; j < 8; j++) sum[j] += x[j];
    }
    for (int j = 0; j < 8; j++) sink += sum[j];
    return (double)bytes / (bench_seconds(clock_used) - start) * 1e-9;
}

/* ---- what is measured ---- */

typedef struct subject {
    attention_head h;
    size_t pages, key_bytes, value_bytes;
    uint8_t *cache; /* keys and values of page after page */
    float *q, *room, *scratch;
    uint8_t first[MOST_QUERIES], last[MOST_QUERIES];
} subject;

static void set_up(subject *s) {
    float *row = bench_memory((s->h.key_dim + s->h.value_dim) * sizeof *row);
    s->key_bytes = attention_bytes(s->h.key_type, s->h.key_dim);
    s->value_bytes = attention_bytes(s->h.value_type, s->h.value_dim);
    if (s->key_bytes == 0 || s->value_bytes == 0) {
        fprintf(stderr, "these types do not hold these dimensions\n");
        exit(2);
    }
    const size_t page = s->key_bytes + s->value_bytes;
    s->cache = bench_memory(s->pages * page);
    for (size_t i = 0; i < ATTENTION_PAGE; i++) {
        for (size_t d = 0; d < s->h.key_dim + s->h.value_dim; d++) row[d] = uniform();
        attention_put_keys(s->h.key_type, s->h.key_dim, s->cache, i, 1, row, 0);
        attention_put_values(s->h.value_type, s->h.value_dim, s->cache + s->key_bytes, i, 1, row, 0);
    }
    for (size_t i = 1; i < s->pages; i++) memcpy(s->cache + i * page, s->cache, page);
    s->q = bench_memory(MOST_QUERIES * s->h.key_dim * sizeof *s->q);
    for (size_t i = 0; i < MOST_QUERIES * s->h.key_dim; i++) s->q[i] = uniform() * 0.1f;
    s->room = bench_memory(attention_room(&s->h, MOST_QUERIES) * sizeof(float));
    s->scratch = bench_memory(attention_scratch(&s->h, MOST_QUERIES) * sizeof(float));
    memset(s->last, ATTENTION_PAGE, sizeof s->last);
    free(row);
}

/* Seconds of n queries over `pages` pages, or over one page as often. */
static double time_of(const subject *s, size_t n, size_t pages, bool same_page) {
    const attention_queries q = { .x = s->q, .n = n, .heads = 1, .stride = s->h.key_dim, .scale = 1 };
    const attention_state state = attention_begin(&s->h, &q, s->room);
    const double start = bench_seconds(clock_used);
    for (size_t i = 0; i < pages; i++) {
        const size_t page = s->key_bytes + s->value_bytes;
        const uint8_t *p = s->cache + (same_page ? 0 : i) * page, *next_page = same_page ? p : p + page;
        const attention_pages of = { p, p + s->key_bytes, next_page, next_page + s->key_bytes };
        attention_page(&s->h, &of, s->first, s->last, &state, s->scratch);
    }
    return bench_seconds(clock_used) - start;
}

static void keep_best(double *best, double x) {
    if (x > *best) *best = x;
}

static const size_t many[] = { 8, 16, 24, 32, 64, 96, 192, 384 }, few[] = { 1, 2, 4, 7, 8 };
enum { MANY = sizeof many / sizeof *many, FEW = sizeof few / sizeof *few };

static void measure(subject *s, size_t rounds) {
    const size_t page = s->key_bytes + s->value_bytes;
    const double flops = 2.0 * ATTENTION_PAGE * (double)(s->h.key_dim + s->h.value_dim);
    double peak = 0, bandwidth = 0, prefill[MANY] = { 0 }, decode[FEW] = { 0 };
    for (size_t r = 0; r < rounds; r++) {
        keep_best(&peak, peak_f32());
        keep_best(&bandwidth, read_speed(s->cache, s->pages * page));
        for (size_t i = 0; i < MANY; i++) {
            const size_t calls = 1 + 20000000 / (size_t)(flops * (double)many[i]);
            keep_best(&prefill[i], flops * (double)(many[i] * calls) / time_of(s, many[i], calls, true) * 1e-9);
        }
        for (size_t i = 0; i < FEW; i++)
            keep_best(&decode[i], (double)(s->pages * page) / time_of(s, few[i], s->pages, false) * 1e-9);
    }
    printf("%s keys of %zu, %s values of %zu; f32 peak %.1f GFLOP/s, reading %.2f GB/s of %zu pages\n",
           tola_dtype_name(s->h.key_type), s->h.key_dim, tola_dtype_name(s->h.value_type), s->h.value_dim, peak,
           bandwidth, s->pages);
    for (size_t i = 0; i < MANY; i++)
        printf("  one page, %2zu queries: %7.1f GFLOP/s, %3.0f %% of the peak\n", many[i], prefill[i],
               peak > 0 ? 100 * prefill[i] / peak : 0);
    for (size_t i = 0; i < FEW; i++)
        printf("  all pages, %zu queries: %7.2f GB/s, %3.0f %% of reading; %.1f GFLOP/s\n", few[i], decode[i],
               100 * decode[i] / bandwidth, decode[i] / (double)page * flops * (double)few[i]);
}

/* ---- a whole prompt ---- */

static float *random_floats(size_t n) {
    float *x = bench_memory(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = uniform();
    return x;
}

static void measure_prompt(const attention_head *h, uint32_t group, size_t tokens, size_t rounds) {
    const kv_layer layer = { 1, (uint32_t)h->key_dim, (uint32_t)h->value_dim, 0, 0 };
    const kv_options options = { h->key_type, h->value_type, tokens };
    kv_cache *kv;
    kv_sequence *one, **sequences = bench_memory(tokens * sizeof *sequences);
    uint32_t *positions = bench_memory(tokens * sizeof *positions);
    if (kv_create_layers(&layer, 1, &options, &kv, NULL) != TOLA_OK || kv_sequence_create(kv, &one, NULL) != TOLA_OK ||
        kv_reserve(one, tokens, NULL) != TOLA_OK)
        abort();
    for (size_t i = 0; i < tokens; i++) sequences[i] = one, positions[i] = (uint32_t)i;
    float *q = random_floats(tokens * group * h->key_dim), *k = random_floats(tokens * h->key_dim),
          *v = random_floats(tokens * h->value_dim), *y = random_floats(tokens * group * h->value_dim);
    const graph_batch batch = { .tokens = tokens, .positions = positions, .sequences = sequences };
    graph_node store = { .op = OP_KV_STORE };
    store.u.attend.a = (graph_attention){
        .heads = group, .kv_heads = 1, .key_dim = layer.key_dim, .value_dim = layer.value_dim, .scale = 0.1f
    };
    graph_node attend = store;
    attend.op = OP_ATTEND;
    const graph_plan plan = { .threads = 1 };
    const op_call puts = {
        .node = &store, .batch = &batch, .in = { k, v }, .rows = tokens, .in_cols = { h->key_dim, h->value_dim }
    };
    const op_call attends = { .plan = &plan,
                              .node = &attend,
                              .batch = &batch,
                              .out = y,
                              .in = { q },
                              .rows = tokens,
                              .cols = group * h->value_dim,
                              .in_cols = { group * h->key_dim } };
    void *scratch = bench_memory(op_attend.scratch(&attend, NULL));
    const double flops = (double)group * (double)tokens * (double)(tokens + 1) * (double)(h->key_dim + h->value_dim);
    double peak = 0, speed = 0, putting = 1e9;
    for (size_t r = 0; r < rounds; r++) {
        keep_best(&peak, peak_f32());
        double start = bench_seconds(clock_used);
        for (size_t t = 0; t < op_kv_store.tasks(&puts); t++) op_kv_store.run(&puts, t, NULL);
        if (bench_seconds(clock_used) - start < putting) putting = bench_seconds(clock_used) - start;
        start = bench_seconds(clock_used);
        for (size_t t = 0; t < op_attend.tasks(&attends); t++) op_attend.run(&attends, t, scratch);
        keep_best(&speed, flops / (bench_seconds(clock_used) - start) * 1e-9);
    }
    printf("a prompt of %zu, %u heads, %s keys of %zu, %s values of %zu: %.1f GFLOP/s, %.0f %% of the peak of %.1f; "
           "%.1f ms, writing the cache %.2f ms\n",
           tokens, group, tola_dtype_name(h->key_type), h->key_dim, tola_dtype_name(h->value_type), h->value_dim, speed,
           peak > 0 ? 100 * speed / peak : 0, peak, flops / speed * 1e-6, putting * 1e3);
    kv_sequence_free(one);
    kv_free(kv);
    free(sequences), free(positions), free(q), free(k), free(v), free(y), free(scratch);
}

int main(int argc, char **argv) {
    subject s = { .h = { TOLA_DTYPE_F16, TOLA_DTYPE_F16, 64, 64, 0 } };
    size_t positions = 262144, rounds = 15, group = 8, prompt = 0;
    for (int i = 1; i < argc; i++) {
        char *comma = i + 1 < argc ? strchr(argv[i + 1], ',') : NULL;
        if (strcmp(argv[i], "--types") == 0 && comma) {
            *comma = 0;
            s.h.key_type = tola_dtype_parse(argv[++i]);
            s.h.value_type = tola_dtype_parse(comma + 1);
        } else if (strcmp(argv[i], "--dims") == 0 && comma) {
            s.h.key_dim = strtoul(argv[++i], NULL, 10);
            s.h.value_dim = strtoul(comma + 1, NULL, 10);
        } else if (strcmp(argv[i], "--positions") == 0 && i + 1 < argc) {
            positions = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--cpu-time") == 0) {
            clock_used = CLOCK_THREAD_CPUTIME_ID;
        } else if (strcmp(argv[i], "--group") == 0 && i + 1 < argc) {
            group = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--prompt") == 0 && i + 1 < argc) {
            prompt = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            rounds = strtoul(argv[++i], NULL, 10);
        } else {
            fprintf(stderr,
                    "bench_attention [--types KEY,VALUE] [--dims KEY,VALUE] [--positions N] [--rounds N] [--group N] "
                    "[--prompt N] [--cpu-time]\n");
            return 2;
        }
    }
    if (prompt > 0) {
        measure_prompt(&s.h, (uint32_t)group, prompt, rounds);
        return 0;
    }
    s.pages = positions / ATTENTION_PAGE + 1;
    set_up(&s);
    measure(&s, rounds);
    free(s.cache), free(s.q), free(s.room), free(s.scratch);
    return sink == 1; /* never, but the compiler cannot know */
}
