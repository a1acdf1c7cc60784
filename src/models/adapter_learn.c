/* Adapters that are learned: a pair for each weight of the targets, in memory that may be changed.
 *
 * Where the file keeps several weights as rows of one matrix, PEFT sees one module: its weights share A, and each has
 * rows of B of its own. Values are drawn by whoever trains. */
#include "base/err.h"
#include "base/text.h"
#include "codecs/codec.h"
#include "models/adapter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_ARENA (64u << 20)
#define NAME_BYTES 256

tola_status model_adapter_create(const model_description *base, const model_adapter_options *o, model_adapter **out,
                                 tola_error *err) {
    if (o->rank == 0 || o->rank > 65536)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "an adapter of rank %u, expected 1 to 65536", o->rank);
    if (!isfinite(o->scale) || !(o->dropout >= 0 && o->dropout < 1))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "an adapter's scale of %g and dropout of %g", (double)o->scale,
                       (double)o->dropout);
    model_adapter *a = mem_calloc(1, sizeof *a);
    if (a == NULL) return err_nomem(err, "making an adapter");
    arena_init(&a->arena, MAX_ARENA);
    a->base = base;
    a->gguf = base->gguf;
    a->learns = true;
    a->options = *o;
    *out = a;
    return TOLA_OK;
}

size_t model_adapter_learned_count(const model_adapter *a) { return a->learned_count; }

const model_learned *model_adapter_learned_at(const model_adapter *a, size_t i) { return &a->learned[i]; }

/* ---- targets ---- */

/* "model.layers.3.mlp.up_proj" and "ffn_up" of a row. */
static bool names_of(const name_match *m, char *module, char *word, size_t cap) {
    static const char ending[] = ".weight", blk[] = "blk.%d.";
    const char *gguf = strncmp(m->row->gguf, blk, sizeof blk - 1) == 0 ? m->row->gguf + sizeof blk - 1 : m->row->gguf;
    if (!names_format(m->row->hf, m->layer, 0, module, cap) || !text_ends_with(module, ending)) return false;
    module[strlen(module) - (sizeof ending - 1)] = '\0';
    snprintf(word, cap, "%s", gguf);
    if (text_ends_with(word, ending)) word[strlen(word) - (sizeof ending - 1)] = '\0';
    return true;
}

static bool means(const char *target, const char *module, const char *word) {
    size_t n = strlen(target), length = strlen(module);
    if (strcmp(target, word) == 0 || strcmp(target, module) == 0) return true;
    return length > n && module[length - n - 1] == '.' && strcmp(module + length - n, target) == 0;
}

static bool is_target(const model_adapter *a, const char *module, const char *word) {
    if (a->options.targets == NULL) return strcmp(word, "output") != 0;
    for (const char *const *t = a->options.targets; *t != NULL; t++)
        if (means(*t, module, word)) return true;
    return false;
}

static tola_status remember(model_adapter *a, const char *module, const char *word, tola_error *err) {
    if (!mem_grow(&a->modules, &a->module_cap, a->module_count + 2, sizeof *a->modules))
        return err_nomem(err, "making an adapter");
    a->modules[a->module_count] = arena_strndup(&a->arena, module, strlen(module));
    a->modules[a->module_count + 1] = arena_strndup(&a->arena, word, strlen(word));
    if (a->modules[a->module_count] == NULL || a->modules[a->module_count + 1] == NULL)
        return err_nomem(err, "making an adapter");
    a->module_count += 2;
    return TOLA_OK;
}

/* How many letters differ, roughly: those that a common beginning and end leave. */
static size_t distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b), front = 0, back = 0, least = n < m ? n : m;
    while (front < least && a[front] == b[front]) front++;
    while (back < least - front && a[n - 1 - back] == b[m - 1 - back]) back++;
    return n + m - 2 * (front + back);
}

tola_status model_adapter_check(const model_adapter *a, tola_error *err) {
    for (const char *const *t = a->options.targets; t != NULL && *t != NULL; t++) {
        const char *nearest = NULL;
        size_t least = SIZE_MAX;
        bool known = false;
        for (size_t i = 0; i < a->module_count && !known; i += 2) {
            known = means(*t, a->modules[i], a->modules[i + 1]);
            const char *dot = strrchr(a->modules[i], '.'), *last = dot != NULL ? dot + 1 : a->modules[i];
            size_t d = distance(*t, last);
            if (d < least) least = d, nearest = last;
        }
        if (known) continue;
        return nearest != NULL
                   ? err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                             "target '%.80s': the model has no such matrix; the nearest is '%.80s'", *t, nearest)
                   : err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "target '%.80s': the model has no matrices", *t);
    }
    if (a->count == 0) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the model has no matrices to be adapted");
    return TOLA_OK;
}

/* ---- pairs ---- */

static float *take(model_adapter *a, uint64_t count) {
    if (count > SIZE_MAX / 8 || !mem_grow(&a->blocks, &a->block_cap, a->block_count + 1, sizeof *a->blocks))
        return NULL;
    float *values = mem_alloc_aligned(64, (size_t)(count + 1) * sizeof *values);
    if (values == NULL) return NULL;
    memset(values, 0, (size_t)(count + 1) * sizeof *values);
    a->blocks[a->block_count++] = values;
    return values;
}

static tola_status add_learned(model_adapter *a, const char *name, uint64_t first, model_learned_part part,
                               const graph_weight *weight, tola_error *err) {
    static const char *const endings[] = { ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector" };
    char full[NAME_BYTES + 64], rows[32] = "";
    float **values = arena_alloc(&a->arena, sizeof *values);
    if (first != 0) snprintf(rows, sizeof rows, ".rows%llu", (unsigned long long)first);
    int n = snprintf(full, sizeof full, "%s%s%s", name, endings[part], rows);
    const char *kept = arena_strndup(&a->arena, full, (size_t)n);
    if (values == NULL || kept == NULL ||
        !mem_grow(&a->learned, &a->learned_cap, a->learned_count + 1, sizeof *a->learned))
        return err_nomem(err, "making an adapter");
    *values = (float *)(uintptr_t)weight->data[0];
    a->learned[a->learned_count++] = (model_learned){ kept, part, weight, values };
    return TOLA_OK;
}

static tola_status make_pair(model_adapter *a, pair *p, const char *module, uint64_t rows, uint64_t cols,
                             tola_error *err) {
    const uint64_t rank = a->options.rank;
    p->name = arena_strndup(&a->arena, module, strlen(module));
    p->scale = a->options.scale;
    p->data[DOWN] = take(a, rank * cols);
    p->data[UP] = take(a, rows * rank);
    p->data[MAGNITUDE] = a->options.magnitudes ? take(a, rows) : NULL;
    if (p->name == NULL || p->data[DOWN] == NULL || p->data[UP] == NULL ||
        (a->options.magnitudes && p->data[MAGNITUDE] == NULL))
        return err_nomem(err, "making an adapter");
    const uint64_t shapes[PARTS][2] = { { rank, cols }, { rows, rank }, { 1, rows } };
    for (int part = 0; part < PARTS; part++)
        p->weights[part] = (graph_weight){ .name = p->name,
                                           .data = &p->data[part],
                                           .row_bytes = (size_t)shapes[part][1] * sizeof(float),
                                           .rows = shapes[part][0],
                                           .cols = shapes[part][1],
                                           .parts = 1,
                                           .dtype = TOLA_DTYPE_F32 };
    return add_learned(a, p->name, 0, MODEL_LEARNED_DOWN, &p->weights[DOWN], err);
}

/* The magnitudes of some rows as a weight. */
static const graph_weight *magnitudes(model_adapter *a, const pair *p, uint64_t first, uint64_t rows) {
    struct {
        graph_weight weight;
        const void *data;
    } *part = arena_alloc(&a->arena, sizeof *part);
    if (part == NULL) return NULL;
    part->weight = p->weights[MAGNITUDE];
    part->weight.cols = rows;
    part->weight.row_bytes = (size_t)rows * sizeof(float);
    part->data = (const float *)p->data[MAGNITUDE] + first;
    part->weight.data = &part->data;
    return &part->weight;
}

static bool match(const model_adapter *a, const char *word, uint32_t layer, name_match *m) {
    char pattern[NAME_BYTES], name[NAME_BYTES];
    snprintf(pattern, sizeof pattern, "%s%s", layer != UINT32_MAX ? "blk.%d." : "", word);
    return names_format(pattern, layer, 0, name, sizeof name) && names_match_gguf(a->base->family->map, name, m);
}

tola_status adapter_learn(model_adapter *a, const model_want *want, model_pair *out, tola_error *err) {
    char module[NAME_BYTES], word[NAME_BYTES];
    name_match m;
    uint64_t first = 0, rows = want->rows;
    *out = (model_pair){ 0 };
    bool itself = want->fused != NULL && strcmp(want->fused, want->word) == 0;
    if (itself || !match(a, want->word, want->layer, &m)) {
        if (want->fused == NULL || !match(a, want->fused, want->layer, &m)) return TOLA_OK;
        first = want->fused_first;
        rows = want->fused_rows;
    }
    if (!names_of(&m, module, word, sizeof module)) return TOLA_OK;
    TRY(remember(a, module, word, err));
    if (!is_target(a, module, word)) return TOLA_OK;
    pair *p = adapter_pair(a, &m);
    if (p == NULL) return err_nomem(err, "making an adapter");
    if (p->data[DOWN] == NULL) TRY(make_pair(a, p, module, rows, want->cols, err));
    p->used = true;
    *out = (model_pair){ .name = p->name,
                         .word = m.row->gguf,
                         .layer = m.layer,
                         .down = &p->weights[DOWN],
                         .up = rows == want->rows ? &p->weights[UP] : adapter_rows(a, p, first, want->rows),
                         .scale = p->scale,
                         .dropout = a->options.dropout };
    if (out->up == NULL) return err_nomem(err, "making an adapter");
    TRY(add_learned(a, p->name, first, MODEL_LEARNED_UP, out->up, err));
    if (!a->options.magnitudes) return TOLA_OK;
    out->magnitude = (const float *)p->data[MAGNITUDE] + first;
    out->magnitudes = magnitudes(a, p, first, want->rows);
    if (out->magnitudes == NULL) return err_nomem(err, "making an adapter");
    return add_learned(a, p->name, first, MODEL_LEARNED_MAGNITUDE, out->magnitudes, err);
}

tola_status model_adapter_begin(model_adapter *a, const model_pair *p, const graph_weight *w, tola_error *err) {
    if (!a->learns || p->magnitude == NULL) return TOLA_OK;
    float *row = mem_alloc_aligned(64, (size_t)(w->cols + 1) * sizeof *row), *to = (float *)(uintptr_t)p->magnitude;
    if (row == NULL) return err_nomem(err, "making an adapter");
    tola_status status = TOLA_OK;
    for (uint64_t r = 0; r < w->rows && status == TOLA_OK; r++) {
        const uint8_t *stored = (const uint8_t *)w->data[0] + r * w->row_bytes;
        double sum = 0;
        status = codec_convert(w->dtype, TOLA_DTYPE_F32, stored, row, (size_t)w->cols, TOLA_OVERFLOW_IEEE, NULL);
        for (uint64_t c = 0; c < w->cols; c++) sum += (double)row[c] * row[c];
        to[r] = (float)sqrt(sum);
    }
    mem_free(row);
    return status == TOLA_OK ? TOLA_OK : err_set(err, status, TOLA_NO_OFFSET, "%s cannot be read", w->name);
}
