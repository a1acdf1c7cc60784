/* What the machine gives: loops of kernels/peak on all threads at once, timed. */
#define _GNU_SOURCE 1
#include <tola/machine.h>

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/pool.h"
#include "kernels/peak/peak.h"

#define READ_STEP ((size_t)16 * PEAK_LINE)
#define READ_LEAST ((uint64_t)1 << 20)
#define LOOP_SECONDS 0.01 /* of one loop: long against starting threads, short against a round */
#define PAST_THE_END 8192 /* prefetching reaches beyond what is read */

struct tola_machine {
    char *memory;
    size_t bytes, reserved;
    size_t rounds[PEAK_KINDS]; /* that take about LOOP_SECONDS */
    uint64_t sum;              /* of everything read, so that nothing is left out */
};

const char *tola_limit_name(tola_limit limit) {
    static const char *const names[TOLA_LIMIT_COUNT] = { "read",       "f32",        "bf16",      "int8",
                                                         "bf16_tiles", "int8_tiles", "read_plain" };
    return (unsigned)limit < TOLA_LIMIT_COUNT ? names[limit] : "?";
}

tola_status tola_machine_open(uint64_t read_bytes, tola_machine **out, tola_error *err) {
    if (read_bytes < READ_LEAST) read_bytes = READ_LEAST;
    if (read_bytes > SIZE_MAX / 2) return err_nomem(err, "measuring the machine");
    tola_machine *m = mem_calloc(1, sizeof *m);
    if (!m) return err_nomem(err, "measuring the machine");
    m->bytes = (size_t)read_bytes / READ_STEP * READ_STEP;
    m->reserved = m->bytes + PAST_THE_END;
    void *memory = mmap(NULL, m->reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        mem_free(m);
        return err_nomem(err, "measuring the machine");
    }
    madvise(memory, m->reserved, MADV_HUGEPAGE); /* a limit should not be one of page tables */
    m->memory = memory;
    memset(m->memory, 1, m->reserved); /* or all pages would be the same one of zeros */
    *out = m;
    return TOLA_OK;
}

void tola_machine_close(tola_machine *m) {
    if (!m) return;
    munmap(m->memory, m->reserved);
    mem_free(m);
}

/* One loop on every thread. */
typedef struct sprint {
    const tola_machine *machine;
    const peak_loop *loop; /* NULL: reading */
    size_t rounds;
    unsigned pattern, threads;
    pthread_barrier_t gate; /* holds every thread until all are here, so that each takes one task */
    double *seconds;        /* of each task */
    uint64_t *sums;
} sprint;

static tola_status run_task(void *context, size_t task, unsigned worker, tola_error *err) {
    sprint *s = context;
    (void)worker, (void)err;
    const size_t steps = s->machine->bytes / READ_STEP;
    const size_t from = steps * task / s->threads * READ_STEP, to = steps * (task + 1) / s->threads * READ_STEP;
    pthread_barrier_wait(&s->gate);
    double start = clock_seconds();
    if (s->loop) s->loop->run(s->rounds);
    else s->sums[task] = peak_read(s->pattern, s->machine->memory + from, to - from);
    s->seconds[task] = clock_seconds() - start;
    return TOLA_OK;
}

/* Seconds of the slowest thread. */
static tola_status run_all(sprint *s, pool *p, double *seconds, tola_error *err) {
    TRY(pool_run(p, s->threads, run_task, s, err));
    *seconds = 1e-9;
    for (unsigned i = 0; i < s->threads; i++)
        if (s->seconds[i] > *seconds) *seconds = s->seconds[i];
    return TOLA_OK;
}

static tola_status measure_reading(tola_machine *m, sprint *s, pool *p, double out[TOLA_LIMIT_COUNT], tola_error *err) {
    double seconds;
    s->loop = NULL;
    for (s->pattern = 0; s->pattern < PEAK_PATTERNS; s->pattern++) {
        TRY(run_all(s, p, &seconds, err));
        for (unsigned i = 0; i < s->threads; i++) m->sum += s->sums[i];
        const double speed = (double)m->bytes / seconds;
        if (s->pattern == PEAK_PLAIN) out[TOLA_LIMIT_READ_PLAIN] = speed;
        if (speed > out[TOLA_LIMIT_READ]) out[TOLA_LIMIT_READ] = speed;
    }
    return TOLA_OK;
}

static tola_status measure_loop(tola_machine *m, sprint *s, pool *p, peak_kind kind, double *out, tola_error *err) {
    double seconds;
    s->loop = peak_loop_get(kind);
    if (!s->loop) return TOLA_OK;
    if (m->rounds[kind] == 0) m->rounds[kind] = 64;
    for (;;) {
        s->rounds = m->rounds[kind];
        TRY(run_all(s, p, &seconds, err));
        if (seconds >= LOOP_SECONDS / 2 || m->rounds[kind] > SIZE_MAX / 4) break;
        m->rounds[kind] *= 2;
    }
    *out = s->loop->operations * (double)s->rounds * s->threads / seconds;
    return TOLA_OK;
}

tola_status tola_machine_measure(tola_machine *m, unsigned threads, double out[TOLA_LIMIT_COUNT], tola_error *err) {
    static const struct {
        tola_limit limit;
        peak_kind kind;
    } loops[] = { { TOLA_LIMIT_F32, PEAK_F32 },
                  { TOLA_LIMIT_BF16, PEAK_BF16 },
                  { TOLA_LIMIT_INT8, PEAK_INT8 },
                  { TOLA_LIMIT_BF16_TILES, PEAK_BF16_TILES },
                  { TOLA_LIMIT_INT8_TILES, PEAK_INT8_TILES } };
    double found[TOLA_LIMIT_COUNT] = { 0 };
    pool *p;
    TRY(pool_create(threads, &p, err));
    sprint s = { .machine = m, .threads = pool_threads(p) };
    s.seconds = mem_calloc(s.threads, sizeof *s.seconds);
    s.sums = mem_calloc(s.threads, sizeof *s.sums);
    tola_status status = TOLA_OK;
    if (!s.seconds || !s.sums || pthread_barrier_init(&s.gate, NULL, s.threads) != 0) {
        status = err_nomem(err, "measuring the machine");
    } else {
        status = measure_reading(m, &s, p, found, err);
        for (size_t i = 0; status == TOLA_OK && i < sizeof loops / sizeof *loops; i++)
            status = measure_loop(m, &s, p, loops[i].kind, &found[loops[i].limit], err);
        pthread_barrier_destroy(&s.gate);
    }
    mem_free(s.seconds);
    mem_free(s.sums);
    pool_free(p);
    if (status == TOLA_OK) memcpy(out, found, sizeof found);
    return status;
}
