/* The update. Elements are independent of one another, and the norm is summed by chunks of one size in their order, so
 * threads change no bit.
 *
 * Formulas as torch.optim computes them (torch/optim/{sgd,adam,adamw}.py, the single-tensor paths): coefficients in
 * double, elements in f32. */
#include "kernels/update/update.h"
#include "learn/parameters.h"
#include "learn/ranks.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

/* ---- all elements, chunk by chunk ---- */

typedef struct work {
    const learn_optimizer *o;
    learn_parameters *p;
    float scale;               /* of gradients */
    double factor;             /* of the rate */
    double correct1, correct2; /* 1 - beta^t */
    uint64_t first;            /* chunk */
    void (*piece)(const struct work *w, const learn_segment *s, uint64_t first, uint64_t count, uint64_t chunk);
} work;

static tola_status one_chunk(void *context, size_t task, unsigned worker, tola_error *err) {
    const work *w = context;
    const learn_state *state = w->p->state;
    (void)worker, (void)err;
    const uint64_t chunk = w->first + task, begin = chunk * LEARN_CHUNK, end = begin + LEARN_CHUNK;
    size_t low = 0, high = state->count; /* the last segment that begins at or before `begin` */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (state->segments[middle].place <= begin)
            low = middle;
        else
            high = middle;
    }
    for (size_t i = low; i < state->count && state->segments[i].place < end; i++) {
        const learn_segment *s = &state->segments[i];
        uint64_t first = begin > s->place ? begin - s->place : 0;
        uint64_t last = end - s->place < s->count ? end - s->place : s->count;
        if (first < last) w->piece(w, s, first, last - first, chunk);
    }
    return TOLA_OK;
}

typedef enum extent { EVERYTHING, OWN_RANGE /* of this rank: ranks.h */ } extent;

/* Little work is done here: waking threads costs more. */
static void over_chunks(work *w, extent what, pool *threads) {
    uint64_t first = 0, end = w->p->elements;
    if (what == OWN_RANGE) ranks_range(ranks_own(), w->p->elements, LEARN_CHUNK, &first, &end);
    w->first = first / LEARN_CHUNK;
    const size_t chunks = (size_t)((end - first + LEARN_CHUNK - 1) / LEARN_CHUNK);
    if (threads && chunks > 1) {
        if (pool_run(threads, chunks, one_chunk, w, NULL) == TOLA_OK) return;
    }
    for (size_t i = 0; i < chunks; i++) (void)one_chunk(w, i, 0, NULL);
}

static void scale_piece(const work *w, const learn_segment *s, uint64_t first, uint64_t count, uint64_t chunk) {
    (void)chunk;
    float *g = s->gradient + first;
    if (w->scale == 0)
        memset(g, 0, (size_t)count * sizeof *g); /* NaN, too */
    else
        for (uint64_t i = 0; i < count; i++) g[i] *= w->scale;
}

void learn_scale_gradients(learn_parameters *p, double scale, pool *threads) {
    work w = { .p = p, .scale = (float)scale, .piece = scale_piece };
    over_chunks(&w, EVERYTHING, threads);
}

static void sum_piece(const work *w, const learn_segment *s, uint64_t first, uint64_t count, uint64_t chunk) {
    enum { LANES = 8 };
    const float *g = s->gradient + first;
    double lanes[LANES] = { 0 }, sum = 0;
    uint64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int k = 0; k < LANES; k++) {
            double v = (double)(g[i + (uint64_t)k] * w->scale);
            lanes[k] += v * v;
        }
    for (; i < count; i++) {
        double v = (double)(g[i] * w->scale);
        sum += v * v;
    }
    for (int k = 0; k < LANES; k++) sum += lanes[k];
    ((learn_state *)w->p->state)->sums[chunk] += sum; /* one thread a chunk, its pieces in order */
}

double learn_gradient_norm(const learn_parameters *p, double scale, pool *threads) {
    work w = { .p = (learn_parameters *)(uintptr_t)p, .scale = (float)scale, .piece = sum_piece };
    learn_state *state = p->state;
    size_t chunks = (size_t)((p->elements + LEARN_CHUNK - 1) / LEARN_CHUNK);
    for (size_t i = 0; i < chunks; i++) state->sums[i] = 0;
    over_chunks(&w, OWN_RANGE, threads);
    double sum = 0;
    for (size_t i = 0; i < chunks; i++) sum += state->sums[i];
    return sqrt(sum);
}

/* ---- 8-bit moments: arXiv 2110.02861, section 2 ---- */

/* The dynamic map: of a range of 7 decades, the decade 10^(e-6) .. 10^(e-7) has 2^e values with a sign, 2^(e+1)
 * without, which are the middles of even steps; 0 and 1 beside them: 256. */
typedef struct dynamic_map {
    float value[256];
    float middle[255];   /* between neighbours */
    uint8_t start[8192]; /* of the upper 13 bits of a float: a code that is not too large */
} dynamic_map;

static dynamic_map maps[2]; /* with sign, without */
static pthread_once_t maps_once = PTHREAD_ONCE_INIT;

static void fill_map(dynamic_map *m, bool sign) {
    unsigned n = 0;
    double values[256];
    for (int e = 0; e < 7; e++) {
        int items = 1 << (sign ? e : e + 1);
        double decade = pow(10, e - 6), step = 0.9 / items;
        for (int i = 0; i < items; i++) {
            double v = decade * (0.1 + step * (i + 0.5));
            values[n++] = v;
            if (sign) values[n++] = -v;
        }
    }
    values[n++] = 0;
    values[n++] = 1;
    for (unsigned i = 1; i < n; i++) { /* insertion: once a process */
        double v = values[i];
        unsigned k = i;
        for (; k > 0 && values[k - 1] > v; k--) values[k] = values[k - 1];
        values[k] = v;
    }
    for (unsigned i = 0; i < 256; i++) m->value[i] = (float)values[i];
    for (unsigned i = 0; i < 255; i++) m->middle[i] = (float)((values[i] + values[i + 1]) / 2);
    for (uint32_t k = 0; k < 8192; k++) {
        /* the least float with these upper bits */
        uint32_t bits = k >= 4096 ? k << 19 | 0x7ffff : k << 19;
        float least;
        memcpy(&least, &bits, sizeof least);
        unsigned code = 0;
        if (least == least) /* NaN: from the beginning */
            while (code < 255 && least > m->middle[code]) code++;
        m->start[k] = (uint8_t)code;
    }
}

static void fill_maps(void) {
    fill_map(&maps[0], true);
    fill_map(&maps[1], false);
}

static uint8_t nearest(const dynamic_map *m, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    unsigned code = m->start[bits >> 19];
    while (code < 255 && x > m->middle[code]) code++;
    return (uint8_t)code;
}

static void unpack_block(const dynamic_map *m, const uint8_t *codes, float scale, size_t n, float *x) {
    for (size_t i = 0; i < n; i++) x[i] = m->value[codes[i]] * scale;
}

/* A second moment that is not 0 never becomes 0, however small beside its block's largest: it stands below a fraction.
 */
static void pack_block(const dynamic_map *m, const float *x, size_t n, uint8_t *codes, float *scale) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > most) most = fabsf(x[i]);
    *scale = most;
    const float inverse = most > 0 ? 1 / most : 0;
    const bool keep = m == &maps[1];
    for (size_t i = 0; i < n; i++) {
        codes[i] = nearest(m, x[i] * inverse);
        if (keep && codes[i] == 0 && x[i] > 0) codes[i] = 1;
    }
}

/* ---- the rules ---- */

static void sgd(const work *w, const learn_segment *s, uint64_t first, uint64_t count, uint64_t chunk) {
    (void)chunk;
    const learn_optimizer *o = w->o;
    float *x = s->values + first, *b = s->moment[0] ? (float *)s->moment[0] + first : NULL;
    const float *g = s->gradient + first;
    const float decay = s->parameter->decays ? (float)o->decay : 0, mu = (float)o->momentum;
    const float rate = (float)(o->rate * w->factor * (double)s->parameter->rate);
    for (uint64_t i = 0; i < count; i++) {
        float d = g[i] * w->scale + decay * x[i];
        if (b) {
            b[i] = mu * b[i] + d;
            d = o->nesterov ? d + mu * b[i] : b[i];
        }
        x[i] -= rate * d;
    }
}

static void adam(const work *w, const learn_segment *s, uint64_t first, uint64_t count, uint64_t chunk) {
    (void)chunk;
    const learn_optimizer *o = w->o;
    const double rate = o->rate * w->factor * (double)s->parameter->rate;
    const double decay = s->parameter->decays ? o->decay : 0;
    const bool coupled = o->method == LEARN_ADAM;
    const update_adam a = { .scale = w->scale,
                            .rest1 = (float)(1 - o->beta1),
                            .beta2 = (float)o->beta2,
                            .rest2 = (float)(1 - o->beta2),
                            .add = coupled ? (float)decay : 0,
                            .shrink = coupled ? 1 : (float)(1 - rate * decay),
                            .step = (float)(rate / w->correct1),
                            .unroot = (float)(1 / sqrt(w->correct2)),
                            .eps = (float)o->eps };
    const update_adam_fn update = update_adam_get();
    if (!s->eight) {
        update(&a, s->gradient + first, s->values + first, (float *)s->moment[0] + first,
               (float *)s->moment[1] + first, (size_t)count);
        return;
    }
    float m[LEARN_BLOCK], v[LEARN_BLOCK];
    for (uint64_t i = first; i < first + count; i += LEARN_BLOCK) { /* first is a multiple of it */
        size_t n = first + count - i < LEARN_BLOCK ? (size_t)(first + count - i) : LEARN_BLOCK;
        uint8_t *mc = (uint8_t *)s->moment[0] + i, *vc = (uint8_t *)s->moment[1] + i;
        uint64_t block = i / LEARN_BLOCK;
        unpack_block(&maps[0], mc, s->scale[0][block], n, m);
        unpack_block(&maps[1], vc, s->scale[1][block], n, v);
        update(&a, s->gradient + i, s->values + i, m, v, n);
        pack_block(&maps[0], m, n, mc, &s->scale[0][block]);
        pack_block(&maps[1], v, n, vc, &s->scale[1][block]);
    }
}

void learn_update(const learn_optimizer *o, learn_parameters *p, uint64_t step, double scale, double factor,
                  pool *threads) {
    if (o->method == LEARN_ADAMW8) pthread_once(&maps_once, fill_maps);
    work w = { .o = o,
               .p = p,
               .scale = (float)scale,
               .factor = factor,
               .correct1 = 1 - pow(o->beta1, (double)step + 1),
               .correct2 = 1 - pow(o->beta2, (double)step + 1),
               .piece = o->method == LEARN_SGD ? sgd : adam };
    over_chunks(&w, OWN_RANGE, threads);
}

/* ---- several ranks ---- */

static void give_piece(const work *w, const learn_segment *s, uint64_t first, uint64_t count, uint64_t chunk) {
    (void)w, (void)chunk;
    memcpy(s->gradient + first, s->values + first, (size_t)count * sizeof(float));
}

static void take_piece(const work *w, const learn_segment *s, uint64_t first, uint64_t count, uint64_t chunk) {
    (void)w, (void)chunk;
    memcpy(s->values + first, s->gradient + first, (size_t)count * sizeof(float));
}

tola_status learn_share_values(learn_parameters *p, pool *threads, tola_error *err) {
    work give = { .p = p, .piece = give_piece }, take = { .p = p, .piece = take_piece };
    if (ranks_count() == 1) return TOLA_OK;
    over_chunks(&give, OWN_RANGE, threads);
    TRY(ranks_share_ranges(p->gradients, p->elements, LEARN_CHUNK, err));
    over_chunks(&take, EVERYTHING, threads);
    return TOLA_OK;
}
