/* Folding adapters into weights: the model seen with its changed tensors (formats/overlay), written by tola_convert.
 *
 * A tensor that is stored transposed (GPT-2) takes the transposed change. Lengths of rows for DoRA need the whole
 * tensor before its first element is written: they are summed in a pass of their own. What PEFT's merge_and_unload
 * gives, but that several adapters are rounded once (huggingface/peft: tuners/lora/layer.py, dora.py). */
#include "base/err.h"
#include "base/options.h"
#include "base/pool.h"
#include "codecs/codec.h"
#include "formats/logical.h"
#include "formats/overlay.h"
#include "models/models.h"
#include <tola/adapter.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_ADAPTERS 64
#define RUN 1024 /* columns summed at once: they stay in the nearest cache */
#define LENGTH_ELEMENTS ((uint64_t)1 << 16)

/* One adapter's change of one tensor, [rows, cols] as stored: += scale * left right. */
typedef struct change {
    size_t tensor;
    const char *name; /* of the adapter's tensor */
    uint64_t rows, cols, rank;
    const float *left, *right;   /* [rows, rank], [rank, cols] */
    float *own_left, *own_right; /* where they had to be transposed */
    const float *magnitude;      /* of each row of the weight; NULL: no DoRA */
    double *lengths;             /* magnitude / length, of each row of the weight */
    bool turned;                 /* the weight's rows are the tensor's columns */
    float scale;
    unsigned adapter;
    struct change *next; /* of the same tensor, of a later adapter */
} change;

typedef struct merging {
    const tola_checkpoint *in; /* decoded where it has to be */
    tola_checkpoint *view;     /* the same where it is ours */
    model_description *d;
    tola_checkpoint *files[MAX_ADAPTERS];
    model_adapter *adapters[MAX_ADAPTERS];
    size_t adapter_count;
    change *changes;
    size_t count, cap;
    change **of; /* one a tensor: its first change */
} merging;

/* ---- arithmetic ---- */

/* Columns [from, to) of row r. In f64: what is rounded is the result alone, also where products cancel. */
static void add_row(const change *c, uint64_t r, uint64_t from, uint64_t to, float *dst) {
    double sums[RUN];
    const float *left = c->left + r * c->rank;
    for (uint64_t at = from; at < to; at += RUN) {
        size_t n = to - at < RUN ? (size_t)(to - at) : RUN;
        memset(sums, 0, n * sizeof *sums);
        for (uint64_t k = 0; k < c->rank; k++) {
            const double by = left[k];
            const float *right = c->right + k * c->cols + at;
            for (size_t i = 0; i < n; i++) sums[i] += by * right[i];
        }
        for (size_t i = 0; i < n; i++) sums[i] = dst[at - from + i] + c->scale * sums[i];
        if (c->lengths != NULL)
            for (size_t i = 0; i < n; i++) sums[i] *= c->lengths[c->turned ? at + i : r];
        for (size_t i = 0; i < n; i++) dst[at - from + i] = (float)sums[i];
    }
}

static void apply(const change *c, uint64_t first, uint64_t count, float *dst) {
    while (count != 0) {
        uint64_t r = first / c->cols, from = first % c->cols;
        uint64_t n = c->cols - from < count ? c->cols - from : count;
        add_row(c, r, from, from + n, dst);
        dst += n;
        first += n;
        count -= n;
    }
}

/* The tensor with its changes up to and without `end`. */
static tola_status read_until(const merging *m, size_t tensor, const change *end, uint64_t first, uint64_t count,
                              float *dst, tola_error *err) {
    TRY(model_read_range(m->in, tensor, first, count, dst, err));
    for (const change *c = m->of[tensor]; c != end; c = c->next) apply(c, first, count, dst);
    return TOLA_OK;
}

static tola_status read_merged(void *user, size_t tensor, uint64_t first, uint64_t count, float *dst, tola_error *err) {
    return read_until(user, tensor, NULL, first, count, dst, err);
}

/* ---- lengths ---- */

static tola_status sum_squares(const merging *m, const change *c, float *values, double *sums, tola_error *err) {
    for (uint64_t at = 0, all = c->rows * c->cols; at < all;) {
        uint64_t n = all - at < LENGTH_ELEMENTS ? all - at : LENGTH_ELEMENTS;
        TRY(read_until(m, c->tensor, c, at, n, values, err));
        apply(c, at, n, values);
        for (uint64_t i = 0; i < n; i++)
            sums[c->turned ? (at + i) % c->cols : (at + i) / c->cols] += (double)values[i] * values[i];
        at += n;
    }
    return TOLA_OK;
}

/* Changes of earlier adapters have their lengths already. */
static tola_status find_lengths(const merging *m, change *c, tola_error *err) {
    size_t rows = (size_t)(c->turned ? c->cols : c->rows);
    float *values = mem_alloc_aligned(64, LENGTH_ELEMENTS * sizeof *values);
    double *lengths = mem_alloc_aligned(64, (rows + 1) * sizeof *lengths);
    double *sums = mem_calloc(rows + 1, sizeof *sums);
    tola_status status = values && lengths && sums ? TOLA_OK : err_nomem(err, "folding an adapter");
    if (status == TOLA_OK) status = sum_squares(m, c, values, sums, err);
    for (size_t r = 0; status == TOLA_OK && r < rows; r++) lengths[r] = c->magnitude[r] / sqrt(sums[r]);
    mem_free(values);
    mem_free(sums);
    if (status == TOLA_OK)
        c->lengths = lengths;
    else
        mem_free(lengths);
    return status;
}

typedef struct lengths_job {
    const merging *m;
    unsigned adapter;
} lengths_job;

static tola_status lengths_task(void *context, size_t task, unsigned worker, tola_error *err) {
    (void)worker;
    const lengths_job *job = context;
    change *c = &job->m->changes[task];
    return c->adapter == job->adapter && c->magnitude != NULL ? find_lengths(job->m, c, err) : TOLA_OK;
}

static tola_status all_lengths(const merging *m, unsigned threads, tola_error *err) {
    bool any = false;
    pool *p;
    for (size_t i = 0; i < m->count; i++) any |= m->changes[i].magnitude != NULL;
    if (!any) return TOLA_OK;
    TRY(pool_create(threads, &p, err));
    tola_status status = TOLA_OK;
    for (unsigned a = 0; a < m->adapter_count && status == TOLA_OK; a++) {
        lengths_job job = { m, a };
        status = pool_run(p, m->count, lengths_task, &job, err);
    }
    pool_free(p);
    return status;
}

/* ---- which tensor ---- */

static float *transposed(const float *src, uint64_t rows, uint64_t cols) {
    float *out = mem_alloc_aligned(64, (size_t)(rows * cols + 1) * sizeof *out);
    for (uint64_t r = 0; out != NULL && r < rows; r++)
        for (uint64_t c = 0; c < cols; c++) out[c * rows + r] = src[r * cols + c];
    return out;
}

static tola_status refuse(const merging *m, const model_pair *p, unsigned adapter, tola_status status, const char *why,
                          tola_error *err) {
    const tola_checkpoint *file = m->files[adapter];
    err_in_tensor(err, err_set(err, status, TOLA_NO_OFFSET, "%s", why), p->name);
    return tola_checkpoint_file_count(file) != 0 ? err_in_file(err, status, tola_checkpoint_file(file, 0)->path)
                                                 : status;
}

/* The tensor that a pair changes, and whether it is stored transposed; SIZE_MAX. */
static size_t find_tensor(const merging *m, const model_pair *p, bool *turned) {
    const name_row *row;
    char name[256];
    size_t tensor = names_find(m->in, m->d->family->map, m->d->gguf, p->word, p->layer, 0, &row, name, sizeof name);
    *turned = tensor != SIZE_MAX && row != NULL && (row->flags & NAME_TRANSPOSED);
    return tensor;
}

static tola_status add_change(merging *m, const model_pair *p, unsigned adapter, tola_error *err) {
    change c = {
        .name = p->name, .rank = p->down->rows, .magnitude = p->magnitude, .scale = p->scale, .adapter = adapter
    };
    char why[200];
    c.tensor = find_tensor(m, p, &c.turned);
    if (c.tensor == SIZE_MAX) {
        bool tied = strcmp(p->word, "output.weight") == 0 && m->d->tied;
        return refuse(m, p, adapter, tied ? TOLA_E_UNSUPPORTED : TOLA_E_FORMAT,
                      tied ? "changes the output matrix, but the model's is its embedding, which would change, too"
                           : "the model has no such weight",
                      err);
    }
    const tola_tensor_info *t = tola_checkpoint_tensor(m->in, c.tensor);
    uint64_t rows = p->up->rows, cols = p->down->cols;
    c.rows = c.turned ? cols : rows;
    c.cols = c.turned ? rows : cols;
    if (t->n_dims != 2 || t->shape[0] != c.rows || t->shape[1] != c.cols) {
        snprintf(why, sizeof why, "a pair from %llu to %llu columns does not fit the weight %.60s",
                 (unsigned long long)cols, (unsigned long long)rows, t->name);
        return refuse(m, p, adapter, TOLA_E_FORMAT, why, err);
    }
    if (!codec_encodes((tola_dtype)t->dtype) || !codec_decodes((tola_dtype)t->dtype)) {
        snprintf(why, sizeof why, "%s cannot be changed: nothing makes %s", t->name,
                 tola_dtype_name((tola_dtype)t->dtype));
        return refuse(m, p, adapter, TOLA_E_UNSUPPORTED, why, err);
    }
    c.left = p->up->data[0];
    c.right = p->down->data[0];
    if (c.turned) {
        c.own_left = transposed(c.right, c.rank, cols);
        c.own_right = transposed(c.left, rows, c.rank);
        c.left = c.own_left;
        c.right = c.own_right;
    }
    if ((c.turned && (c.own_left == NULL || c.own_right == NULL)) ||
        !mem_grow(&m->changes, &m->cap, m->count + 1, sizeof *m->changes)) {
        mem_free(c.own_left);
        mem_free(c.own_right);
        return err_nomem(err, "folding an adapter");
    }
    m->changes[m->count++] = c;
    return TOLA_OK;
}

/* Each tensor's changes in the order of the adapters. */
static tola_status link_changes(merging *m, tola_error *err) {
    m->of = mem_calloc(tola_checkpoint_tensor_count(m->in) + 1, sizeof(change *));
    if (m->of == NULL) return err_nomem(err, "folding an adapter");
    for (size_t i = m->count; i-- > 0;) { /* the list grows no more */
        change *c = &m->changes[i];
        c->next = m->of[c->tensor];
        m->of[c->tensor] = c;
    }
    return TOLA_OK;
}

/* ---- the whole ---- */

/* Weights under a scheme are seen decoded, but for gpt-oss' mxfp4: experts have no adapters. */
static tola_status take_model(merging *m, const tola_checkpoint *model, const tola_convert_options *o,
                              tola_error *err) {
    const tola_value *quantized = logical_config(tola_checkpoint_config(model));
    m->in = model;
    if (tola_checkpoint_encrypted(model) && o->warning)
        o->warning(o->warning_user, "the input is encrypted, the output is not");
    if (strcmp(tola_value_str(tola_value_get(quantized, "quant_method"), ""), "mxfp4") != 0)
        TRY(logical_open(model, LOGICAL_MODEL, &m->view, err));
    if (m->view != NULL) {
        m->in = m->view;
        if (o->warning)
            o->warning(o->warning_user, "the model's matrices are quantized in parts; they are written decoded");
    }
    return model_describe(m->in, 0, &m->d, err);
}

static tola_status take_adapters(merging *m, const tola_adapter *adapters, size_t count, tola_error *err) {
    if (count == 0 || count > MAX_ADAPTERS)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%zu adapters, expected 1 to %d", count, MAX_ADAPTERS);
    for (size_t i = 0; i < count; i++) {
        const tola_adapter *a = &adapters[i];
        if (!(a->scale >= -1e6f && a->scale <= 1e6f))
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: an adapter's scale of %g", a->path, (double)a->scale);
        m->adapter_count = i + 1;
        TRY(tola_checkpoint_open(a->path, NULL, &m->files[i], err));
        TRY(model_adapter_open(m->files[i], m->d, a->scale, &m->adapters[i], err));
        for (size_t k = 0; k < model_adapter_count(m->adapters[i]); k++) {
            model_pair p = model_adapter_at(m->adapters[i], k);
            TRY(add_change(m, &p, (unsigned)i, err));
        }
    }
    return link_changes(m, err);
}

static tola_status write_merged(merging *m, const char *path, const tola_convert_options *o,
                                tola_convert_summary *summary, tola_error *err) {
    size_t count = tola_checkpoint_tensor_count(m->in);
    tola_dtype *dtypes = mem_calloc(count + 1, sizeof *dtypes);
    tola_checkpoint *merged;
    if (dtypes == NULL) return err_nomem(err, "folding an adapter");
    for (size_t i = 0; i < count; i++)
        dtypes[i] = m->of[i] != NULL ? (tola_dtype)tola_checkpoint_tensor(m->in, i)->dtype : TOLA_DTYPE_NONE;
    tola_status status = overlay_open(m->in, dtypes, read_merged, m, &merged, err);
    mem_free(dtypes);
    TRY(status);
    status = tola_convert(merged, path, o, summary, err);
    tola_checkpoint_close(merged);
    return status;
}

static void dispose(merging *m) {
    for (size_t i = 0; i < m->count; i++) {
        mem_free(m->changes[i].own_left);
        mem_free(m->changes[i].own_right);
        mem_free(m->changes[i].lengths);
    }
    for (size_t i = 0; i < m->adapter_count; i++) {
        model_adapter_free(m->adapters[i]);
        tola_checkpoint_close(m->files[i]);
    }
    mem_free(m->changes);
    mem_free(m->of);
    model_description_free(m->d);
    tola_checkpoint_close(m->view);
}

tola_status tola_merge_adapters(const tola_checkpoint *model, const tola_adapter *adapters, size_t count,
                                const char *path, const tola_convert_options *options, tola_convert_summary *summary,
                                tola_error *err) {
    tola_convert_options all = TOLA_CONVERT_OPTIONS_INIT;
    TRY(options_take(&all, sizeof all, options, err));
    merging m = { 0 };
    tola_status status = take_model(&m, model, &all, err);
    if (status == TOLA_OK) status = take_adapters(&m, adapters, count, err);
    if (status == TOLA_OK) status = all_lengths(&m, all.threads, err);
    if (status == TOLA_OK) status = write_merged(&m, path, &all, summary, err);
    dispose(&m);
    return status;
}
