/* Masters: weights as f32 that may be changed, and the way back into the checkpoint's own tensors.
 *
 * Where a weight lies in a tensor is written down as nested steps (master_origin), once for each tensor that holds a
 * piece of it. The same steps carry values in when the master is made and out when the changed checkpoint is read. A
 * norm's offset (Gemma in Hugging Face's layout), rotary pairs and the like are the graph's: masters are what is
 * stored. */
#include "base/err.h"
#include "formats/overlay.h"
#include "models/weights.h"

#include <string.h>

#define NONE SIZE_MAX
#define LOAD_ELEMENTS ((uint64_t)1 << 20) /* read at a time */

void model_weights_learn(model_weights *w, model_choose_fn choose, void *user) {
    w->learns = true;
    w->choose = choose;
    w->choose_user = user;
}

bool masters_wants(const model_weights *w, const model_want *want) {
    return w->learns && (w->choose == NULL || w->choose(w->choose_user, want));
}

size_t model_master_count(const model_weights *w) { return w->master_count; }

const model_master *model_master_at(const model_weights *w, size_t i) { return &w->masters[i]; }

void masters_free(model_weights *w) {
    for (size_t i = 0; i < w->master_count; i++) mem_free(w->masters[i].values[0]);
    mem_free(w->masters);
    mem_free(w->origins);
    mem_free(w->origin_of);
    mem_free(w->covered);
}

/* ---- steps ---- */

/* Which of n places at + i * along, each followed by `span` elements, touch elements [first, end). */
static void touched(uint64_t at, uint64_t along, uint64_t span, uint64_t n, uint64_t first, uint64_t end, uint64_t *lo,
                    uint64_t *hi) {
    *lo = *hi = 0;
    if (at >= end) return;
    if (n == 1 || along == 0) {
        *hi = at + span >= first ? n : 0;
        return;
    }
    if (at + span < first) *lo = (first - span - at + along - 1) / along;
    *hi = (end - 1 - at) / along + 1;
    if (*hi > n) *hi = n;
}

/* Between elements [first, first + count) of the tensor, at `elements`, and the master. */
static void move(const master_origin *o, uint64_t first, uint64_t count, float *elements, float *master, bool load) {
    const uint64_t *n = o->count, *along = o->along, *step = o->step, end = first + count;
    uint64_t i, i_end, j, j_end, k, k_end, row = (n[2] - 1) * along[2], span = (n[1] - 1) * along[1] + row;
    for (touched(o->at, along[0], span, n[0], first, end, &i, &i_end); i < i_end; i++) {
        uint64_t plane = o->at + i * along[0];
        for (touched(plane, along[1], row, n[1], first, end, &j, &j_end); j < j_end; j++) {
            uint64_t at = plane + j * along[1], from = o->from + i * step[0] + j * step[1];
            touched(at, along[2], 0, n[2], first, end, &k, &k_end);
            for (; k < k_end; k++) {
                float *element = &elements[at + k * along[2] - first], *value = &master[from + k * step[2]];
                if (load)
                    *value = *element;
                else
                    *element = *value;
            }
        }
    }
}

/* Steps of the tensor are made to descend; those that are taken once do not matter and go first. */
static void order(master_origin *o) {
    for (int pass = 0; pass < 2; pass++)
        for (int d = 0; d < 2; d++) {
            uint64_t a = o->count[d] == 1 ? UINT64_MAX : o->along[d];
            uint64_t b = o->count[d + 1] == 1 ? UINT64_MAX : o->along[d + 1];
            if (a >= b) continue;
            uint64_t held[] = { o->count[d], o->along[d], o->step[d] };
            o->count[d] = o->count[d + 1];
            o->along[d] = o->along[d + 1];
            o->step[d] = o->step[d + 1];
            o->count[d + 1] = held[0];
            o->along[d + 1] = held[1];
            o->step[d + 1] = held[2];
        }
}

static tola_status add_origin(model_weights *w, master_origin o, tola_error *err) {
    if (w->origin_of == NULL) {
        w->origin_of = mem_alloc((w->tensor_count + 1) * sizeof *w->origin_of);
        w->covered = mem_calloc(w->tensor_count + 1, sizeof *w->covered);
        if (w->origin_of == NULL || w->covered == NULL) return err_nomem(err, "weights");
        for (size_t i = 0; i < w->tensor_count; i++) w->origin_of[i] = NONE;
    }
    if (!mem_grow(&w->origins, &w->origin_cap, w->origin_count + 1, sizeof *w->origins))
        return err_nomem(err, "weights");
    order(&o);
    o.next = w->origin_of[o.tensor];
    o.master = w->master_count; /* the one that is being made */
    w->origin_of[o.tensor] = w->origin_count;
    w->covered[o.tensor] += o.count[0] * o.count[1] * o.count[2];
    w->used[o.tensor] = true;
    w->origins[w->origin_count++] = o;
    return TOLA_OK;
}

/* ---- where a weight lies ---- */

static tola_status from_exact(model_weights *w, const model_want *want, const found *f, const piece *p,
                              tola_error *err) {
    TRY(weights_check_exact(w, want, f, p, err));
    return add_origin(w,
                      (master_origin){ .tensor = f->tensor,
                                       .count = { 1, want->rows, want->cols },
                                       .at = p->first,
                                       .along = { 0, p->stored, p->step },
                                       .step = { 0, want->cols, 1 } },
                      err);
}

static tola_status from_matrices(model_weights *w, const model_want *want, const found *f, const piece *p,
                                 tola_error *err) {
    TRY(weights_check_matrices(w, want, f, p, err));
    master_origin o = { .tensor = f->tensor,
                        .count = { want->parts, want->rows, want->cols },
                        .at = p->first * want->cols,
                        .along = { p->stored * want->cols, p->step * want->cols, 1 },
                        .step = { want->rows * want->cols, want->cols, 1 } };
    if (f->flags & NAME_TRANSPOSED) {
        o.at = p->first;
        o.along[1] = p->step;
        o.along[2] = p->stored;
    }
    return add_origin(w, o, err);
}

static tola_status from_experts(model_weights *w, const model_want *want, const found *first, tola_error *err) {
    for (uint32_t e = 0; e < want->parts; e++) {
        found f;
        TRY(weights_find_expert(w, want, first, e, &f, err));
        TRY(add_origin(w,
                       (master_origin){ .tensor = f.tensor,
                                        .count = { 1, want->rows, want->cols },
                                        .along = { 0, want->cols, 1 },
                                        .from = e * want->rows * want->cols,
                                        .step = { 0, want->cols, 1 } },
                       err));
    }
    return TOLA_OK;
}

/* DeepSeek's kv_b [heads x (nope + value), rank] in GGUF: k_b [heads, rank, nope] and v_b [heads, value, rank]. */
static tola_status from_halves(model_weights *w, const found *k, const found *v, tola_error *err) {
    const model_description *d = w->d;
    uint64_t rank = d->kv_rank, nope = d->nope_dim, value = d->value_dim, head = (nope + value) * rank;
    TRY(add_origin(w,
                   (master_origin){ .tensor = k->tensor,
                                    .count = { d->heads, nope, rank },
                                    .along = { rank * nope, 1, nope },
                                    .step = { head, rank, 1 } },
                   err));
    return add_origin(w,
                      (master_origin){ .tensor = v->tensor,
                                       .count = { d->heads, value, rank },
                                       .along = { value * rank, rank, 1 },
                                       .from = nope * rank,
                                       .step = { head, rank, 1 } },
                      err);
}

/* A tied output matrix that the file holds nevertheless: it stays the embedding. */
static tola_status follow(model_weights *w, const model_want *want, tola_error *err) {
    found f;
    const uint64_t shape[] = { want->rows, want->cols };
    if (!w->d->tied || strcmp(want->word, "token_embd.weight") != 0) return TOLA_OK;
    weights_find(w, "output.weight", UINT32_MAX, 0, &f);
    if (f.tensor == NONE) return TOLA_OK;
    TRY(weights_check_shape(w, f.tensor, shape, 2, err));
    return add_origin(w,
                      (master_origin){ .tensor = f.tensor,
                                       .count = { 1, want->rows, want->cols },
                                       .along = { 0, want->cols, 1 },
                                       .step = { 0, want->cols, 1 },
                                       .follows = true },
                      err);
}

static tola_status find_origins(model_weights *w, const model_want *want, const char **name, bool *there,
                                tola_error *err) {
    found f, v;
    piece p;
    bool halves = false;
    weights_locate(w, want, &f, &p);
    if (f.tensor == NONE && strcmp(want->word, "attn_kv_b.weight") == 0) {
        found k;
        TRY(weights_find_halves(w, want->layer, &k, &v, &halves, err));
        if (halves) f = k;
    }
    *there = f.tensor != NONE;
    if (!*there) return want->optional ? TOLA_OK : weights_missing(w, &f, err);
    *name = tola_checkpoint_tensor(w->ck, f.tensor)->name;
    if (f.scales != NONE)
        return err_in_tensor(err,
                             err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                                     "mxfp4 in two parts cannot be learned; decode the model first"),
                             *name);
    if (halves) return from_halves(w, &f, &v, err);
    if (want->exact) return from_exact(w, want, &f, &p, err);
    if (f.flags & NAME_EXPERT) return from_experts(w, want, &f, err);
    TRY(from_matrices(w, want, &f, &p, err));
    return follow(w, want, err);
}

/* ---- making ---- */

static tola_status load(const model_weights *w, const master_origin *o, float *master, float *work, tola_error *err) {
    /* from the first element that is the master's to the last */
    uint64_t at = o->at, end = o->at + 1;
    for (int d = 0; d < 3; d++) end += (o->count[d] - 1) * o->along[d];
    while (at < end) {
        uint64_t count = end - at < LOAD_ELEMENTS ? end - at : LOAD_ELEMENTS;
        TRY(model_read_range(w->ck, o->tensor, at, count, work, err));
        move(o, at, count, work, master, true);
        at += count;
    }
    return TOLA_OK;
}

static tola_status fill(model_weights *w, size_t first_origin, float *master, tola_error *err) {
    float *work = mem_alloc_aligned(64, LOAD_ELEMENTS * sizeof *work);
    if (work == NULL) return err_nomem(err, "weights");
    tola_status status = TOLA_OK;
    for (size_t i = first_origin; i < w->origin_count && status == TOLA_OK; i++)
        if (!w->origins[i].follows) status = load(w, &w->origins[i], master, work, err);
    mem_free(work);
    return status;
}

tola_status masters_take(model_weights *w, const model_want *want, graph_weight *g, bool *there, tola_error *err) {
    size_t first = w->origin_count;
    TRY(find_origins(w, want, &g->name, there, err));
    if (!*there) return TOLA_OK;
    uint64_t each = want->rows * want->cols, all = each * want->parts; /* as many as the tensors have */
    const void **data = arena_alloc_array(&w->arena, want->parts, sizeof *data);
    float **values = arena_alloc_array(&w->arena, want->parts, sizeof *values);
    const char *word = arena_strndup(&w->arena, want->word, strlen(want->word));
    if (data == NULL || values == NULL || word == NULL || all > SIZE_MAX / 8 ||
        !mem_grow(&w->masters, &w->master_cap, w->master_count + 1, sizeof *w->masters))
        return err_nomem(err, "weights");
    values[0] = mem_alloc_aligned(64, (size_t)(all + 1) * sizeof(float));
    if (values[0] == NULL) return err_nomem(err, "weights");
    for (uint32_t e = 0; e < want->parts; e++) {
        values[e] = values[0] + e * each;
        data[e] = values[e];
    }
    g->data = data;
    g->dtype = TOLA_DTYPE_F32;
    g->row_bytes = (size_t)want->cols * sizeof(float);
    w->masters[w->master_count++] = (model_master){ word, want->layer, want->exact, g, values };
    w->master_bytes += all * sizeof(float);
    return fill(w, first, values[0], err);
}

tola_status model_weights_reset(model_weights *w, tola_error *err) {
    float *work = mem_alloc_aligned(64, LOAD_ELEMENTS * sizeof *work);
    if (work == NULL) return err_nomem(err, "weights");
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < w->origin_count && status == TOLA_OK; i++)
        if (!w->origins[i].follows)
            status = load(w, &w->origins[i], w->masters[w->origins[i].master].values[0], work, err);
    mem_free(work);
    return status;
}

/* ---- the way back ---- */

static tola_status read_changed(void *user, size_t tensor, uint64_t first, uint64_t count, float *dst,
                                tola_error *err) {
    const model_weights *w = user;
    if (w->covered[tensor] < tola_checkpoint_tensor(w->ck, tensor)->elements)
        TRY(model_read_range(w->ck, tensor, first, count, dst, err));
    for (size_t i = w->origin_of[tensor]; i != NONE; i = w->origins[i].next)
        move(&w->origins[i], first, count, dst, w->masters[w->origins[i].master].values[0], false);
    return TOLA_OK;
}

static tola_dtype own_float(tola_dtype dtype) {
    return dtype == TOLA_DTYPE_F16 || dtype == TOLA_DTYPE_BF16 || dtype == TOLA_DTYPE_F64 ? dtype : TOLA_DTYPE_F32;
}

tola_status model_weights_view(const model_weights *w, tola_dtype dtype, tola_checkpoint **out, tola_error *err) {
    tola_dtype *dtypes = mem_calloc(w->tensor_count + 1, sizeof *dtypes);
    if (dtypes == NULL) return err_nomem(err, "weights");
    for (size_t i = 0; i < w->tensor_count; i++) {
        dtypes[i] = TOLA_DTYPE_NONE;
        if (w->origin_of == NULL || w->origin_of[i] == NONE) continue;
        dtypes[i] = dtype != TOLA_DTYPE_NONE ? dtype : own_float((tola_dtype)tola_checkpoint_tensor(w->ck, i)->dtype);
    }
    tola_status status = overlay_open(w->ck, dtypes, read_changed, (void *)(uintptr_t)w, out, err);
    mem_free(dtypes);
    return status;
}
