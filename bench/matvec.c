/* bench_matvec [options] [type ...]: the matrix-vector product against what the machine can read, and against ggml.
 *
 *   -t N     threads (default 1)
 *   -k N     columns (default 4096)
 *   -s MiB   of all matrices together (default 2100: several times any last-level cache)
 *   -p MiB   of one matrix (default 32)
 *   -r N     rounds (default 60)
 *   -g PATH  libggml-cpu.so: its vec_dot of the same type, row by row, activations quantized beforehand
 *
 * Matrices are parts of one buffer and are visited in turn, so that each comes from memory. A round reads one part
 * (every pattern of reading in turn), multiplies with the next, and lets the peer multiply with a third, all with the
 * same threads. A line tells medians in GB/s of weights, and of each round's ratio of the product to the best pattern
 * of reading the median and the quartiles. Without types, all that matmul_supports.
 * Patterns: 0 plain, 1 and 2 with prefetch 1 KiB and 4 KiB ahead, 3 and 4 of 4 and 16 streams with prefetch. */
#define _DEFAULT_SOURCE 1
#include "bench.h"
#include "base/cpu.h"
#include "kernels/matmul/matmul_kernels.h"
#include "tensor/dtype.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
enum { ROUNDS_MOST = 1000, THREADS_MOST = 64, PATTERNS = 5, PRODUCT = PATTERNS, PEER, MEASURED };

/* ---- reading: the sum of all words, with the widest vectors ---- */

#if defined(__x86_64__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST __attribute__((noinline))
#endif

typedef uint64_t wide __attribute__((vector_size(64), aligned(8), may_alias));

static volatile uint64_t sink; /* so that nothing is left out */

/* `streams` equal shares of p, line by line in turn; `ahead` bytes before what is read are asked for, if any. */
WIDEST static void read_all(const char *p, size_t bytes, size_t streams, size_t ahead) {
    size_t share = bytes / streams / 256 * 256;
    wide a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
    if (streams == 1) {
        for (size_t i = 0; i < share; i += 256) {
            if (ahead)
                for (size_t l = 0; l < 256; l += 64) __builtin_prefetch(p + i + ahead + l, 0, 2);
            a += *(const wide *)(p + i);
            b += *(const wide *)(p + i + 64);
            c += *(const wide *)(p + i + 128);
            d += *(const wide *)(p + i + 192);
        }
    } else {
        for (size_t i = 0; i < share; i += 64)
            for (size_t s = 0; s < streams; s += 4) {
                const char *at = p + s * share + i;
                for (size_t n = 0; n < 4; n++) __builtin_prefetch(at + n * share + ahead, 0, 2);
                a += *(const wide *)at;
                b += *(const wide *)(at + share);
                c += *(const wide *)(at + 2 * share);
                d += *(const wide *)(at + 3 * share);
            }
    }
    a += b + c + d;
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++) sum += a[i];
    sink = sum;
}

static void read_pattern(int pattern, const char *p, size_t bytes) {
    static const struct { size_t streams, ahead; } how[PATTERNS] = { { 1, 0 }, { 1, 1024 }, { 1, 4096 }, { 4, 1024 },
                                                                     { 16, 1024 } };
    read_all(p, bytes, how[pattern].streams, how[pattern].ahead);
}

/* ---- the peer: what ggml-cpu.h declares ---- */

typedef struct ggml_traits {
    void (*from_float)(const float *x, void *y, int64_t k);
    void (*vec_dot)(int n, float *s, size_t bs, const void *x, size_t bx, const void *y, size_t by, int nrc);
    int vec_dot_type;
    int64_t rows;
} ggml_traits;

static struct {
    const ggml_traits *(*traits)(int type);
    size_t (*row_size)(int type, int64_t n);
} ggml;

static void load_peer(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    void (*init)(void) = NULL;
    if (library) {
        *(void **)&init = dlsym(library, "ggml_cpu_init");
        *(void **)&ggml.traits = dlsym(library, "ggml_get_type_traits_cpu");
        *(void **)&ggml.row_size = dlsym(library, "ggml_row_size");
    }
    if (!init || !ggml.traits || !ggml.row_size) {
        fprintf(stderr, "bench_matvec: %s: %s\n", path, library ? "no ggml in it" : dlerror());
        exit(2);
    }
    init();
}

/* ---- one type ---- */

typedef struct work {
    tola_dtype type;
    size_t k, row_bytes, rows;
    const char *w;        /* the matrix of this turn */
    const void *prepared; /* activations, for us and for the peer */
    const void *peer_x;
    const ggml_traits *peer;
    float *y;
    int what;
} work;

static void do_share(const work *job, size_t thread, size_t threads, void *scratch) {
    size_t tiles = (job->rows + MATMUL_ROWS - 1) / MATMUL_ROWS;
    size_t from = tiles * thread / threads * MATMUL_ROWS, to = tiles * (thread + 1) / threads * MATMUL_ROWS;
    if (to > job->rows) to = job->rows;
    const char *w = job->w + from * job->row_bytes;
    if (job->what < PATTERNS) {
        read_pattern(job->what, w, (to - from) * job->row_bytes);
    } else if (job->what == PRODUCT) {
        matmul_rows(job->type, job->w, job->row_bytes, job->k, job->prepared, 1, job->y, 0, from, to - from, scratch);
    } else {
        for (size_t r = from; r < to; r++, w += job->row_bytes)
            job->peer->vec_dot((int)job->k, &job->y[r], 0, w, 0, job->peer_x, 0, 1);
    }
}

static struct {
    size_t threads;
    pthread_barrier_t begin, end;
    work job;
    bool stop;
    void *scratch[THREADS_MOST];
} team;

static void *member(void *index) {
    size_t thread = (size_t)(uintptr_t)index;
    for (;;) {
        pthread_barrier_wait(&team.begin);
        if (team.stop) return NULL;
        do_share(&team.job, thread, team.threads, team.scratch[thread]);
        pthread_barrier_wait(&team.end);
    }
}

static double timed(const work *job) {
    team.job = *job;
    if (team.threads > 1) pthread_barrier_wait(&team.begin);
    double begin = bench_seconds(CLOCK_MONOTONIC);
    do_share(job, 0, team.threads, team.scratch[0]);
    if (team.threads > 1) pthread_barrier_wait(&team.end);
    return bench_seconds(CLOCK_MONOTONIC) - begin;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double share_of(const double *values, size_t n, double share) {
    double sorted[ROUNDS_MOST];
    memcpy(sorted, values, n * sizeof *values);
    qsort(sorted, n, sizeof *sorted, ascending);
    return sorted[(size_t)((double)(n - 1) * share + 0.5)];
}

static void *some(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (!p) abort();
    return p;
}

static void measure(tola_dtype type, size_t k, const char *buffer, size_t bytes, size_t part, size_t rounds) {
    const dtype_row *row = dtype_get(type);
    static double seconds[MEASURED][ROUNDS_MOST], ratio[ROUNDS_MOST];
    work job = { .type = type, .k = k, .row_bytes = k / row->block_elements * row->block_bytes };
    job.rows = part / job.row_bytes;
    float *x = some(k * sizeof *x);
    for (size_t i = 0; i < k; i++) x[i] = (float)((i * 7919) % 2001) / 1000 - 1;
    void *prepared = some(matmul_prepared_bytes(type, k, 1)), *peer_x = NULL;
    matmul_prepare(type, x, k, k, 1, 0, 1, prepared);
    job.prepared = prepared;
    job.y = some(job.rows * sizeof(float));
    if (ggml.traits && row->ggml >= 0) {
        job.peer = ggml.traits(row->ggml);
        const ggml_traits *of_x = job.peer->vec_dot ? ggml.traits(job.peer->vec_dot_type) : NULL;
        if (of_x && job.peer->vec_dot_type == 0) {
            peer_x = some(k * sizeof *x);
            memcpy(peer_x, x, k * sizeof *x);
        } else if (of_x && of_x->from_float) {
            peer_x = some(ggml.row_size(job.peer->vec_dot_type, (int64_t)k));
            of_x->from_float(x, peer_x, (int64_t)k);
        }
        job.peer_x = peer_x;
    }
    for (size_t t = 0; t < team.threads; t++) team.scratch[t] = some(matmul_scratch_bytes(type, k, 1));

    size_t parts = bytes / part, next = 0;
    for (size_t r = 0; r < rounds; r++)
        for (int what = 0; what < MEASURED; what++) {
            if (what == PEER && !job.peer_x) continue;
            job.w = buffer + next++ % parts * part;
            job.what = what;
            seconds[what][r] = timed(&job);
        }
    int best = 0;
    for (int p = 1; p < PATTERNS; p++)
        if (share_of(seconds[p], rounds, 0.5) < share_of(seconds[best], rounds, 0.5)) best = p;
    for (size_t r = 0; r < rounds; r++) ratio[r] = seconds[best][r] / seconds[PRODUCT][r];
    double gb = (double)(job.rows * job.row_bytes) * 1e-9;
    printf("%-8s %6zu x %-6zu %zu threads  read %6.2f (pattern %d)  product %6.2f GB/s  ratio %.3f [%.3f .. %.3f]",
           row->name, job.rows, k, team.threads, gb / share_of(seconds[best], rounds, 0.5), best,
           gb / share_of(seconds[PRODUCT], rounds, 0.5), share_of(ratio, rounds, 0.5), share_of(ratio, rounds, 0.25),
           share_of(ratio, rounds, 0.75));
    if (job.peer_x) {
        for (size_t r = 0; r < rounds; r++) ratio[r] = seconds[PEER][r] / seconds[PRODUCT][r];
        printf("  ggml %6.2f GB/s  %.2f times", gb / share_of(seconds[PEER], rounds, 0.5),
               share_of(ratio, rounds, 0.5));
    }
    printf("\n");
    fflush(stdout);
    for (size_t t = 0; t < team.threads; t++) free(team.scratch[t]);
    free(job.y);
    free(peer_x);
    free(prepared);
    free(x);
}

int main(int count, char **words) {
    size_t k = 4096, bytes = 2100 * MIB, part = 32 * MIB, rounds = 60;
    team.threads = 1;
    for (int c; (c = getopt(count, words, "t:k:s:p:r:g:")) != -1;) {
        size_t n = optarg ? strtoul(optarg, NULL, 10) : 0;
        if (c == 't') team.threads = n;
        else if (c == 'k') k = n;
        else if (c == 's') bytes = n * MIB;
        else if (c == 'p') part = n * MIB;
        else if (c == 'r') rounds = n;
        else if (c == 'g') load_peer(optarg);
        else return 2;
    }
    if (team.threads < 1 || team.threads > THREADS_MOST || rounds < 1 || rounds > ROUNDS_MOST || part < MIB ||
        bytes < part || k < 256 || k % 256 != 0 || k > part / 4) {
        fprintf(stderr, "bench_matvec: a number is out of range\n");
        return 2;
    }
    char *buffer = mmap(NULL, bytes + MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED) return 2;
    madvise(buffer, bytes + MIB, MADV_HUGEPAGE); /* as mapped weights have them, where they can */
    uint64_t state = 1; /* bytes that make ordinary scales of every type: exponents in the middle */
    for (size_t i = 0; i < bytes + MIB; i += 8) {
        state = state * 6364136223846793005 + 1442695040888963407;
        uint64_t eight = ((state ^ state >> 29) & 0x3b3b3b3b3b3b3b3b) | 0x2020202020202020;
        memcpy(buffer + i, &eight, 8);
    }
    pthread_t threads[THREADS_MOST];
    pthread_barrier_init(&team.begin, NULL, (unsigned)team.threads);
    pthread_barrier_init(&team.end, NULL, (unsigned)team.threads);
    for (size_t t = 1; t < team.threads; t++) pthread_create(&threads[t], NULL, member, (void *)(uintptr_t)t);

    printf("%zu MiB in matrices of %zu MiB, %zu rounds, %s\n", bytes / MIB, part / MIB, rounds,
           cpu_level_name(cpu_get()->level));
    for (int type = 1; type < TOLA_DTYPE_COUNT; type++) {
        bool wanted = optind == count;
        for (int i = optind; i < count; i++) wanted |= tola_dtype_parse(words[i]) == (tola_dtype)type;
        if (wanted && matmul_supports((tola_dtype)type)) measure((tola_dtype)type, k, buffer, bytes, part, rounds);
    }
    team.stop = true;
    if (team.threads > 1) pthread_barrier_wait(&team.begin);
    for (size_t t = 1; t < team.threads; t++) pthread_join(threads[t], NULL);
    munmap(buffer, bytes + MIB);
    return 0;
}
