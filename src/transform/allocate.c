/* Choosing one candidate for each tensor: the multiple-choice knapsack problem.
 *
 * The walk along convex hulls is its linear relaxation (Sinha and Zoltners, "The multiple-choice knapsack problem",
 * Operations Research 27, 1979). Its last price of a byte, lambda, bounds every choice from below by
 * sum_i min_c (error + lambda bytes) - lambda max_bytes (Lagrange); how much a candidate lies above its tensor's
 * minimum is its regret. The search takes only candidates whose regrets add up to less than the distance between the
 * best choice so far and that bound (Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", EJOR 83,
 * 1995). */
#include "transform/allocate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define MAX_STEPS (1u << 20) /* of the search: some 20 ms */
#define MAX_EXCHANGES 10000

/* A candidate that is worth taking: none has fewer bytes and no more error. */
typedef struct point {
    uint64_t bytes;
    double error;
    double regret; /* set by the search */
    size_t candidate;
} point;

typedef struct frontier { /* of one tensor */
    point *points;        /* bytes grow, errors fall */
    size_t count, at;     /* at: the one that is taken */
} frontier;

typedef struct step { /* from one point of a tensor to another */
    size_t tensor, from, to;
    uint64_t bytes; /* more */
    double gain;    /* less error */
} step;

typedef struct plan {
    arena memory;
    frontier *tensors;
    size_t count, points;
    uint64_t bytes, max_bytes; /* taken, to be had */
    double price;              /* error saved per byte where the walk ended; 0: everything could be had */
} plan;

static int by_bytes(const void *a, const void *b) {
    const point *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    if (x->error != y->error) return x->error < y->error ? -1 : 1;
    return x->candidate < y->candidate ? -1 : x->candidate > y->candidate;
}

static tola_status make_frontier(plan *p, const allocate_tensor *t, frontier *f, tola_error *err) {
    if (t->count == 0) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a tensor without candidates");
    f->points = arena_alloc_array(&p->memory, t->count, sizeof *f->points);
    if (!f->points) return err_nomem(err, "sharing out bytes");
    for (size_t c = 0; c < t->count; c++) {
        const allocate_candidate *from = &t->candidates[c];
        if (!(from->error >= 0) || !isfinite(from->error))
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the error of %s is %g", tola_dtype_name(from->type),
                           from->error);
        f->points[c] = (point){ from->bytes, from->error, 0, c };
    }
    qsort(f->points, t->count, sizeof *f->points, by_bytes);
    for (size_t c = 0; c < t->count; c++)
        if (c == 0 || f->points[c].error < f->points[f->count - 1].error) f->points[f->count++] = f->points[c];
    p->points += f->count;
    return TOLA_OK;
}

static step step_between(const plan *p, size_t tensor, size_t from, size_t to) {
    const point *a = &p->tensors[tensor].points[from], *b = &p->tensors[tensor].points[to];
    return (step){ tensor, from, to, b->bytes - a->bytes, a->error - b->error };
}

static double slope(step s) { return s.gain / (double)s.bytes; }

static int by_slope(const void *a, const void *b) {
    const step *x = a, *y = b;
    double s = slope(*x), t = slope(*y);
    if (s != t) return s > t ? -1 : 1;
    if (x->tensor != y->tensor) return x->tensor < y->tensor ? -1 : 1;
    return x->from < y->from ? -1 : 1;
}

/* Appends the steps along the lower convex hull of a tensor's points: each saves less per byte than the one before. */
static size_t hull_steps(const plan *p, size_t tensor, step *steps) {
    size_t n = 0;
    for (size_t to = 1; to < p->tensors[tensor].count; to++) {
        step s = step_between(p, tensor, to - 1, to);
        while (n > 0 && slope(steps[n - 1]) <= slope(s)) s = step_between(p, tensor, steps[--n].from, to);
        steps[n++] = s;
    }
    return n;
}

static void take(plan *p, step s) {
    p->tensors[s.tensor].at = s.to;
    p->bytes += s.bytes; /* modulo 2^64 for steps back */
}

/* Takes steps in the order of error saved per byte; a tensor whose step does not fit stays where it is. */
static tola_status walk(plan *p, tola_error *err) {
    step *steps = mem_calloc(p->points, sizeof *steps);
    bool *stays = mem_calloc(p->count, sizeof *stays);
    size_t n = 0;
    if (steps && stays) {
        for (size_t i = 0; i < p->count; i++) n += hull_steps(p, i, steps + n);
        qsort(steps, n, sizeof *steps, by_slope);
        for (size_t k = 0; k < n; k++) {
            if (stays[steps[k].tensor]) continue;
            if (steps[k].bytes <= p->max_bytes - p->bytes) {
                take(p, steps[k]);
            } else {
                if (p->price == 0) p->price = slope(steps[k]);
                stays[steps[k].tensor] = true;
            }
        }
    }
    tola_status status = steps && stays ? TOLA_OK : err_nomem(err, "sharing out bytes");
    mem_free(steps);
    mem_free(stays);
    return status;
}

/* ---- exchanges ---- */

typedef struct upgrade { /* steps to more bytes, by bytes */
    step own;
    size_t best, other; /* which of those up to here gains most, which most of other tensors; SIZE_MAX */
} upgrade;

static int by_need(const void *a, const void *b) {
    const upgrade *x = a, *y = b;
    if (x->own.bytes != y->own.bytes) return x->own.bytes < y->own.bytes ? -1 : 1;
    if (x->own.tensor != y->own.tensor) return x->own.tensor < y->own.tensor ? -1 : 1;
    return x->own.to < y->own.to ? -1 : 1;
}

static size_t list_upgrades(const plan *p, upgrade *list) {
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        for (size_t to = p->tensors[i].at + 1; to < p->tensors[i].count; to++)
            list[n++].own = step_between(p, i, p->tensors[i].at, to);
    qsort(list, n, sizeof *list, by_need);
    size_t best = SIZE_MAX, other = SIZE_MAX;
    for (size_t k = 0; k < n; k++) {
        if (best == SIZE_MAX || list[k].own.gain > list[best].own.gain) {
            if (best != SIZE_MAX && list[best].own.tensor != list[k].own.tensor) other = best;
            best = k;
        } else if (list[k].own.tensor != list[best].own.tensor &&
                   (other == SIZE_MAX || list[k].own.gain > list[other].own.gain)) {
            other = k;
        }
        list[k].best = best;
        list[k].other = other;
    }
    return n;
}

/* What gains most for at most `bytes` on a tensor other than `not`; NULL where nothing does. */
static const step *best_upgrade(const upgrade *list, size_t n, uint64_t bytes, size_t not) {
    size_t low = 0, high = n; /* list[low - 1] needs at most `bytes`, list[high] more */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle].own.bytes <= bytes)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return NULL;
    const upgrade *last = &list[low - 1];
    size_t k = list[last->best].own.tensor != not ? last->best : last->other;
    return k != SIZE_MAX ? &list[k].own : NULL;
}

/* The best way to less error by one step up, or one step down that pays for one up. False where there is none. */
static bool exchange(plan *p, upgrade *list) {
    size_t n = list_upgrades(p, list);
    uint64_t left = p->max_bytes - p->bytes;
    const step *up = best_upgrade(list, n, left, SIZE_MAX);
    double most = up ? up->gain : 0;
    step down = { 0 };
    bool pays = false;
    for (size_t i = 0; i < p->count; i++)
        for (size_t to = 0; to < p->tensors[i].at; to++) {
            step d = step_between(p, i, p->tensors[i].at, to);
            const step *u = best_upgrade(list, n, left - d.bytes, i); /* d.bytes and d.gain are negative */
            if (u && u->gain + d.gain > most) {
                most = u->gain + d.gain;
                up = u;
                down = d;
                pays = true;
            }
        }
    if (!up) return false;
    if (pays) take(p, down);
    take(p, *up);
    return true;
}

static tola_status exchange_all(plan *p, tola_error *err) {
    upgrade *list = mem_calloc(p->points, sizeof *list);
    if (!list) return err_nomem(err, "sharing out bytes");
    for (unsigned n = 0; n < MAX_EXCHANGES && exchange(p, list); n++) {}
    mem_free(list);
    return TOLA_OK;
}

/* ---- search ---- */

static int by_regret(const void *a, const void *b) {
    const point *x = a, *y = b;
    if (x->regret != y->regret) return x->regret < y->regret ? -1 : 1;
    return by_bytes(a, b);
}

typedef struct level {    /* one tensor of the search, the one whose bytes vary most first */
    size_t tensor;
    uint64_t range;       /* between its smallest and largest point */
    uint64_t least_after; /* bytes that the levels below take at least */
    uint64_t bytes;       /* of the choice above this level */
    double regret, error;
    size_t next;          /* point to try */
    point *points;        /* by regret */
} level;

static int by_range(const void *a, const void *b) {
    const level *x = a, *y = b;
    if (x->range != y->range) return x->range > y->range ? -1 : 1;
    return x->tensor < y->tensor ? -1 : 1;
}

static double total_error(const plan *p) {
    double sum = 0;
    for (size_t i = 0; i < p->count; i++) sum += p->tensors[i].points[p->tensors[i].at].error;
    return sum;
}

/* Sets regrets, makes the levels, and returns the bound from below. */
static double make_levels(plan *p, level *levels, point *points) {
    double bound = 0;
    for (size_t i = 0; i < p->count; i++) {
        frontier *f = &p->tensors[i];
        double least = INFINITY;
        for (size_t k = 0; k < f->count; k++) {
            f->points[k].regret = f->points[k].error + p->price * (double)f->points[k].bytes;
            if (f->points[k].regret < least) least = f->points[k].regret;
        }
        bound += least;
        for (size_t k = 0; k < f->count; k++) f->points[k].regret -= least;
        memcpy(points, f->points, f->count * sizeof *points);
        qsort(points, f->count, sizeof *points, by_regret);
        levels[i] = (level){ .tensor = i, .points = points };
        levels[i].range = f->points[f->count - 1].bytes - f->points[0].bytes;
        points += f->count;
    }
    qsort(levels, p->count, sizeof *levels, by_range);
    uint64_t after = 0;
    for (size_t i = p->count; i-- > 0;) {
        levels[i].least_after = after;
        after += p->tensors[levels[i].tensor].points[0].bytes;
    }
    return bound - p->price * (double)p->max_bytes;
}

/* Takes what the levels stand at. */
static void take_levels(plan *p, const level *levels) {
    p->bytes = 0;
    for (size_t i = 0; i < p->count; i++) {
        frontier *f = &p->tensors[levels[i].tensor];
        const point *chosen = &levels[i].points[levels[i].next - 1];
        for (f->at = 0; f->points[f->at].candidate != chosen->candidate;) f->at++;
        p->bytes += chosen->bytes;
    }
}

/* Depth first through every choice that could be better than the one taken. */
static void search_levels(plan *p, level *levels, double bound) {
    double best = total_error(p);
    size_t depth = 0;
    for (unsigned steps = 0; steps < MAX_STEPS; steps++) {
        level *l = &levels[depth];
        const point *c = &l->points[l->next];
        if (l->next == p->tensors[l->tensor].count || bound + l->regret + c->regret >= best) {
            if (depth-- == 0) return;
            continue;
        }
        l->next++;
        if (c->bytes > p->max_bytes - l->bytes || l->least_after > p->max_bytes - l->bytes - c->bytes) continue;
        if (depth + 1 < p->count) {
            level *below = &levels[++depth];
            below->bytes = l->bytes + c->bytes;
            below->regret = l->regret + c->regret;
            below->error = l->error + c->error;
            below->next = 0;
        } else if (l->error + c->error < best) {
            best = l->error + c->error;
            take_levels(p, levels);
        }
    }
}

static tola_status search(plan *p, tola_error *err) {
    if (p->price == 0) return TOLA_OK; /* every tensor has its least error */
    level *levels = mem_calloc(p->count, sizeof *levels);
    point *points = mem_calloc(p->points, sizeof *points);
    if (levels && points) search_levels(p, levels, make_levels(p, levels, points));
    tola_status status = levels && points ? TOLA_OK : err_nomem(err, "sharing out bytes");
    mem_free(levels);
    mem_free(points);
    return status;
}

/* ---- all of it ---- */

static tola_status start(plan *p, const allocate_tensor *tensors, tola_error *err) {
    p->tensors = arena_alloc_array(&p->memory, p->count, sizeof *p->tensors);
    if (!p->tensors) return err_nomem(err, "sharing out bytes");
    uint64_t largest = 0;
    for (size_t i = 0; i < p->count; i++) {
        p->tensors[i] = (frontier){ 0 };
        TRY(make_frontier(p, &tensors[i], &p->tensors[i], err));
        if (!add_u64(p->bytes, p->tensors[i].points[0].bytes, &p->bytes) ||
            !add_u64(largest, p->tensors[i].points[p->tensors[i].count - 1].bytes, &largest))
            return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "candidates of more than 2^64 bytes");
    }
    if (p->bytes > p->max_bytes)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "the smallest types take %" PRIu64 " bytes; no more than %" PRIu64 " were wanted", p->bytes,
                       p->max_bytes);
    return TOLA_OK;
}

tola_status allocate_choose(const allocate_tensor *tensors, size_t count, uint64_t max_bytes, size_t *choice,
                            tola_error *err) {
    if (count == 0) return TOLA_OK;
    plan p = { .count = count, .max_bytes = max_bytes };
    arena_init(&p.memory, 0);
    tola_status status = start(&p, tensors, err);
    if (status == TOLA_OK) status = walk(&p, err);
    if (status == TOLA_OK) status = exchange_all(&p, err);
    if (status == TOLA_OK) status = search(&p, err);
    if (status == TOLA_OK)
        for (size_t i = 0; i < count; i++) choice[i] = p.tensors[i].points[p.tensors[i].at].candidate;
    arena_free(&p.memory);
    return status;
}
