/* Which tensor of A belongs to which of B. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "insight/diff.h"
#include "insight/tensor_hash.h"

static bool same_shape(const tola_tensor_info *x, const tola_tensor_info *y) {
    return x->n_dims == y->n_dims && (x->n_dims == 0 || memcmp(x->shape, y->shape, x->n_dims * sizeof *x->shape) == 0);
}

static void init_pair(const diffing *d, tola_diff_tensor *pair, size_t a, size_t b) {
    *pair = (tola_diff_tensor){ .a = a, .b = b, .max_abs = NAN, .rel = NAN, .cosine = NAN };
    if (a == SIZE_MAX || b == SIZE_MAX) return;
    const tola_tensor_info *x = tola_checkpoint_tensor(d->a, a), *y = tola_checkpoint_tensor(d->b, b);
    pair->shape_changed = !same_shape(x, y);
    pair->dtype_changed = x->dtype != y->dtype;
}

tola_status diff_match_names(diffing *d, tola_error *err) {
    size_t n_a = tola_checkpoint_tensor_count(d->a), n_b = tola_checkpoint_tensor_count(d->b);
    tola_diff_tensor *pairs = mem_calloc(n_a + n_b + 1, sizeof *pairs);
    if (!pairs) return err_nomem(err, "comparing names");
    size_t n = 0;
    for (size_t i = 0; i < n_a; i++)
        init_pair(d, &pairs[n++], i, tola_checkpoint_find(d->b, tola_checkpoint_tensor(d->a, i)->name));
    for (size_t i = 0; i < n_b; i++)
        if (tola_checkpoint_find(d->a, tola_checkpoint_tensor(d->b, i)->name) == SIZE_MAX)
            init_pair(d, &pairs[n++], SIZE_MAX, i);
    d->out->tensors = pairs;
    d->out->count = n;
    return TOLA_OK;
}

/* ---- renamed ---- */

/* A tensor without a partner. */
typedef struct lone {
    size_t pair;
    const tola_tensor_info *info;
    size_t tensor;
    bool of_b;
    bool candidate; /* the other side has one of its dtype and shape */
    uint8_t root[SHA256_BYTES];
} lone;

static int by_type(const lone *x, const lone *y) {
    const tola_tensor_info *a = x->info, *b = y->info;
    if (a->dtype != b->dtype) return a->dtype < b->dtype ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
    if (a->n_dims != b->n_dims) return a->n_dims < b->n_dims ? -1 : 1;
    for (unsigned i = 0; i < a->n_dims; i++)
        if (a->shape[i] != b->shape[i]) return a->shape[i] < b->shape[i] ? -1 : 1;
    return 0;
}

/* Groups of one dtype and shape, then of one content; inside A's before B's, both in the order of their files. */
static int by_type_and_root(const void *a, const void *b) {
    const lone *x = a, *y = b;
    int order = by_type(x, y);
    if (!order) order = memcmp(x->root, y->root, sizeof x->root);
    if (!order) order = (x->of_b > y->of_b) - (x->of_b < y->of_b);
    if (!order) order = (x->pair > y->pair) - (x->pair < y->pair);
    return order;
}

/* Marks those for which the other side has any of the same dtype and shape. Sorts. */
static void find_candidates(lone *list, size_t count) {
    if (count) qsort(list, count, sizeof *list, by_type_and_root);
    for (size_t i = 0, end; i < count; i = end) {
        bool a = false, b = false;
        for (end = i; end < count && by_type(&list[i], &list[end]) == 0; end++) {
            a |= !list[end].of_b;
            b |= list[end].of_b;
        }
        for (size_t k = i; k < end; k++) list[k].candidate = a && b;
    }
}

/* Hashes the candidates of one side. */
static tola_status hash_side(diffing *d, lone *list, size_t count, bool of_b, tola_error *err) {
    const tola_checkpoint *ck = of_b ? d->b : d->a;
    size_t *selected = mem_alloc((count + 1) * sizeof *selected), n = 0;
    uint8_t *roots = mem_alloc((count + 1) * SHA256_BYTES);
    tola_status status = selected && roots ? TOLA_OK : err_nomem(err, "looking for renamed tensors");
    uint64_t bytes = 0;
    for (size_t i = 0; status == TOLA_OK && i < count; i++) {
        if (!list[i].candidate || list[i].of_b != of_b) continue;
        selected[n++] = list[i].tensor;
        bytes += list[i].info->bytes;
    }
    if (status == TOLA_OK && n) {
        job_phase(&d->job, "looking for renamed tensors", bytes);
        status = tensor_hash_all(&d->job, ck, selected, n, roots, err);
        d->read += bytes;
    }
    n = 0;
    for (size_t i = 0; status == TOLA_OK && i < count; i++)
        if (list[i].candidate && list[i].of_b == of_b) memcpy(list[i].root, roots + n++ * SHA256_BYTES, SHA256_BYTES);
    mem_free(roots);
    mem_free(selected);
    return status;
}

/* Pairs what has one dtype, shape and content, in order. B's entry is emptied and dropped by the caller. */
static void join(diffing *d, lone *list, size_t count) {
    if (count) qsort(list, count, sizeof *list, by_type_and_root);
    for (size_t i = 0, end; i < count; i = end) {
        size_t first_b = count;
        for (end = i; end < count && by_type(&list[i], &list[end]) == 0 &&
                      memcmp(list[i].root, list[end].root, SHA256_BYTES) == 0;
             end++)
            if (list[end].of_b && first_b == count) first_b = end;
        if (!list[i].candidate) continue;
        for (size_t a = i, b = first_b; a < first_b && b < end; a++, b++) {
            tola_diff_tensor *pair = &d->out->tensors[list[a].pair];
            pair->b = list[b].tensor;
            pair->renamed = true;
            pair->compared = true;
            pair->max_abs = pair->rel = 0;
            pair->cosine = 1;
            d->out->tensors[list[b].pair].b = SIZE_MAX;
        }
    }
}

static tola_status match_lone(diffing *d, lone *list, size_t count, tola_error *err) {
    find_candidates(list, count);
    TRY(hash_side(d, list, count, false, err));
    TRY(hash_side(d, list, count, true, err));
    join(d, list, count);
    size_t kept = 0;
    for (size_t i = 0; i < d->out->count; i++) {
        tola_diff_tensor *t = &d->out->tensors[i];
        if (t->a != SIZE_MAX || t->b != SIZE_MAX) d->out->tensors[kept++] = *t;
    }
    d->out->count = kept;
    return TOLA_OK;
}

tola_status diff_match_renamed(diffing *d, tola_error *err) {
    size_t count = 0, of_b = 0, cap = d->out->count;
    lone *list = mem_calloc(cap + 1, sizeof *list);
    if (!list) return err_nomem(err, "looking for renamed tensors");
    for (size_t i = 0; i < cap; i++) {
        const tola_diff_tensor *t = &d->out->tensors[i];
        if (t->a != SIZE_MAX && t->b != SIZE_MAX) continue;
        bool b = t->a == SIZE_MAX;
        const tola_tensor_info *info = tola_checkpoint_tensor(b ? d->b : d->a, b ? t->b : t->a);
        list[count++] = (lone){ .pair = i, .info = info, .tensor = b ? t->b : t->a, .of_b = b };
        of_b += b;
    }
    tola_status status = of_b && of_b < count ? match_lone(d, list, count, err) : TOLA_OK;
    mem_free(list);
    return status;
}
