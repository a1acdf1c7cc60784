/* What is trained: masters that others own, gradients and optimizer state in blocks of our own. */
#include "learn/parameters.h"

#include "base/err.h"
#include "base/mix.h"
#include "learn/ranks.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_ELEMENTS ((uint64_t)1 << 40) /* 16 TiB of state */

tola_status learn_parameters_create(learn_parameters **out, tola_error *err) {
    learn_parameters *p = mem_calloc(1, sizeof *p);
    if (!p) return err_nomem(err, "parameters");
    arena_init(&p->arena, 0);
    *out = p;
    return TOLA_OK;
}

void learn_parameters_free(learn_parameters *p) {
    if (!p) return;
    learn_state *s = p->state;
    if (s) mem_free(s->memory);
    mem_free(p->gradients);
    mem_free(p->items);
    arena_free(&p->arena);
    mem_free(p);
}

static uint64_t padded(uint64_t n) { return learn_blocks(n) * LEARN_BLOCK; }

tola_status learn_parameters_add(learn_parameters *p, const char *name, const graph_weight *weight,
                                 float *const *values, learn_parameter **out, tola_error *err) {
    uint64_t part, elements;
    if (weight->dtype != TOLA_DTYPE_F32 || weight->parts == 0 || !mul_u64(weight->rows, weight->cols, &part) ||
        !mul_u64(part, weight->parts, &elements) || elements > MAX_ELEMENTS)
        return err_in_tensor(err, err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "cannot be trained: not f32, or too large"),
                             name);
    if (p->state) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "parameters were added too late");
    if (!mem_grow(&p->items, &p->cap, p->count + 1, sizeof *p->items)) return err_nomem(err, "parameters");
    float **gradients = arena_alloc_array(&p->arena, weight->parts, sizeof *gradients);
    if (!gradients) return err_nomem(err, "parameters");
    memset(gradients, 0, weight->parts * sizeof *gradients);
    learn_parameter *added = &p->items[p->count++];
    *added = (learn_parameter){ .name = name,
                                .weight = weight,
                                .values = values,
                                .gradients = gradients,
                                .rate = 1,
                                .decays = weight->rows > 1,
                                .elements = elements,
                                .place = p->elements };
    p->elements += padded(part) * weight->parts;
    if (out) *out = added;
    return TOLA_OK;
}

tola_status learn_parameters_list(learn_parameters *p, const graph_parameter **list, tola_error *err) {
    graph_parameter *made = arena_alloc_array(&p->arena, p->count + 1, sizeof *made);
    if (!made) return err_nomem(err, "parameters");
    for (size_t i = 0; i < p->count; i++)
        made[i] = (graph_parameter){ .weight = p->items[i].weight, .gradient = p->items[i].gradients };
    *list = made;
    return TOLA_OK;
}

/* ---- memory ---- */

/* Bytes of the moments of one part, in multiples of 64. */
static uint64_t moment_bytes(bool eight, uint64_t count) {
    uint64_t bytes = eight ? count + learn_blocks(count) * sizeof(float) + 64 : count * sizeof(float);
    return (bytes + 63) / 64 * 64;
}

uint64_t learn_optimizer_bytes(const learn_optimizer *o, const learn_parameters *p) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->count; i++)
        bytes += p->items[i].weight->parts * moment_bytes(learn_eight(o, &p->items[i]), learn_part(&p->items[i]));
    return bytes * learn_moments(o);
}

static void place_moments(learn_segment *s, unsigned moments, uint8_t **at) {
    for (unsigned m = 0; m < moments; m++) {
        s->moment[m] = *at;
        if (s->eight) s->scale[m] = (float *)(void *)(*at + (s->count + 63) / 64 * 64);
        *at += moment_bytes(s->eight, s->count);
    }
}

tola_status learn_parameters_allocate(learn_parameters *p, const learn_optimizer *o, tola_error *err) {
    if (p->state) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "parameters have their memory already");
    learn_state *s = arena_alloc(&p->arena, sizeof *s);
    if (!s) return err_nomem(err, "optimizer state");
    *s = (learn_state){ .count = 0 };
    p->state = s;
    size_t parts = 0;
    for (size_t i = 0; i < p->count; i++) parts += p->items[i].weight->parts;
    s->segments = arena_alloc_array(&p->arena, parts + 1, sizeof *s->segments);
    s->sums = arena_alloc_array(&p->arena, (size_t)(p->elements / LEARN_CHUNK + 1), sizeof *s->sums);
    uint64_t bytes = learn_optimizer_bytes(o, p);
    if (!s->segments || !s->sums || p->elements > SIZE_MAX / 8 || bytes > SIZE_MAX / 2)
        return err_nomem(err, "optimizer state");
    p->gradients = mem_alloc_aligned(64, (size_t)p->elements * sizeof(float) + 64);
    s->memory = mem_calloc(1, (size_t)bytes + 64); /* zeroed by the system: what is another rank's is never there */
    if (!p->gradients || !s->memory) return err_nomem(err, "gradients and optimizer state");
    memset(p->gradients, 0, (size_t)p->elements * sizeof(float));
    uint8_t *at = s->memory + (64 - (uintptr_t)s->memory % 64) % 64;
    for (size_t i = 0; i < p->count; i++) {
        learn_parameter *q = &p->items[i];
        uint64_t part = learn_part(q);
        for (uint32_t k = 0; k < q->weight->parts; k++) {
            learn_segment *g = &s->segments[s->count++];
            *g = (learn_segment){ .parameter = q,
                                  .part = k,
                                  .eight = learn_eight(o, q),
                                  .place = q->place + k * padded(part),
                                  .count = part,
                                  .values = q->values[k] };
            g->gradient = q->gradients[k] = p->gradients + g->place;
            place_moments(g, learn_moments(o), &at);
        }
    }
    return TOLA_OK;
}

/* ---- several ranks ---- */

typedef tola_status (*moments_fn)(unsigned rank, void *data, uint64_t bytes, tola_error *err);

/* The moments of rank r's range, run by run. */
static tola_status over_moments(const learn_parameters *p, unsigned r, moments_fn run, tola_error *err) {
    const learn_state *state = p->state;
    uint64_t first, end;
    ranks_range(r, p->elements, LEARN_CHUNK, &first, &end);
    for (size_t i = 0; i < state->count; i++) {
        const learn_segment *s = &state->segments[i];
        const uint64_t from = first > s->place ? first - s->place : 0;
        const uint64_t to = end > s->place ? (end - s->place < s->count ? end - s->place : s->count) : 0;
        for (unsigned m = 0; m < 2 && from < to && s->moment[m]; m++) {
            const uint64_t size = s->eight ? 1 : sizeof(float);
            TRY(run(r, (uint8_t *)s->moment[m] + from * size, (to - from) * size, err));
            if (s->eight) /* ranges begin at blocks */
                TRY(run(r, s->scale[m] + from / LEARN_BLOCK, learn_blocks(to - from) * sizeof(float), err));
        }
    }
    return TOLA_OK;
}

/* Gives whole pages back to the system. */
static tola_status drop(unsigned rank, void *data, uint64_t bytes, tola_error *err) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)data + page - 1) / page * page,
                    end = ((uintptr_t)data + bytes) / page * page;
    (void)rank, (void)err;
    if (first < end) (void)madvise((void *)first, end - first, MADV_DONTNEED); /* an advice */
    return TOLA_OK;
}

tola_status learn_state_collect(const learn_parameters *p, tola_error *err) {
    for (unsigned r = 1; r < ranks_count(); r++) TRY(over_moments(p, r, ranks_collect, err));
    return TOLA_OK;
}

void learn_state_drop_others(const learn_parameters *p) {
    for (unsigned r = 0; r < ranks_count(); r++)
        if (r != ranks_own()) (void)over_moments(p, r, drop, NULL);
}

/* ---- initial values ---- */

void learn_draw(learn_initial how, float scale, uint64_t seed, const char *name, uint64_t first, size_t count,
                float *values) {
    const uint64_t key = mix_u64(seed + 0x9e3779b97f4a7c15u) ^ mix_name(name, MIX_NAME);
    for (size_t i = 0; i < count; i++) {
        uint64_t bits =
            how == LEARN_NORMAL || how == LEARN_UNIFORM ? mix_u64(key + (first + i + 1) * 0x9e3779b97f4a7c15u) : 0;
        switch (how) {
        case LEARN_ZEROS: values[i] = 0; break;
        case LEARN_ONES: values[i] = 1; break;
        case LEARN_UNIFORM: values[i] = (float)(scale * ((double)(bits >> 11) * 0x1p-52 - 1)); break;
        case LEARN_NORMAL: { /* Box and Muller 1958; u in (0, 1] */
            double u = ((double)(bits >> 32) + 1) * 0x1p-32, turn = (double)(uint32_t)bits * 0x1p-32;
            values[i] = (float)(scale * sqrt(-2 * log(u)) * cos(6.28318530717958647692 * turn));
            break;
        }
        case LEARN_GIVEN: break;
        }
    }
}
