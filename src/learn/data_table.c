/* What tables of all kinds have in common. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "learn/data_file.h"
#include "learn/data_table_inside.h"

/* ---- scaling ---- */

void data_range_add(data_range *r, double x) {
    if (r->count == 0 || x < r->low) r->low = x;
    if (r->count == 0 || x > r->high) r->high = x;
    double away = x - r->mean;
    r->mean += away / (double)++r->count;
    r->squares += away * (x - r->mean);
}

void data_range_scale(const data_range *r, data_scale scale, double *offset, double *factor) {
    double width = scale == DATA_SCALE_UNIT ? r->high - r->low : sqrt(r->squares / (double)r->count);
    *offset = scale == DATA_SCALE_UNIT ? r->low : r->mean;
    *factor = width > 0 && isfinite(1 / width) ? 1 / width : 0;
}

/* ---- making ---- */

tola_status data_table_create(data_table **out, tola_error *err) {
    data_table *t = mem_calloc(1, sizeof *t);
    if (!t) return err_nomem(err, "opening a table");
    arena_init(&t->arena, 0);
    *out = t;
    return TOLA_OK;
}

void data_table_close(data_table *t) {
    if (!t) return;
    if (t->close) t->close(t);
    source_close(t->sources[0]);
    source_close(t->sources[1]);
    arena_free(&t->arena);
    mem_free(t);
}

tola_status data_table_like(data_table *t, const data_table *like, const char *path, tola_error *err) {
    if (like->info.columns != t->info.columns) {
        err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%u features, where the data to train on have %u", t->info.columns,
                like->info.columns);
        return err_in_file(err, TOLA_E_FORMAT, path);
    }
    if (like->offset) {
        size_t n = t->info.columns;
        t->offset = arena_alloc_array(&t->arena, n, sizeof *t->offset);
        t->factor = arena_alloc_array(&t->arena, n, sizeof *t->factor);
        if (!t->offset || !t->factor) return err_nomem(err, "opening a table");
        memcpy(t->offset, like->offset, n * sizeof *t->offset);
        memcpy(t->factor, like->factor, n * sizeof *t->factor);
    }
    return TOLA_OK;
}

tola_status data_table_number_names(data_table *t, tola_error *err) {
    t->names = arena_alloc_array(&t->arena, t->info.classes, sizeof *t->names);
    if (!t->names) return err_nomem(err, "opening a table");
    t->numbered = true;
    for (uint32_t i = 0; i < t->info.classes; i++) {
        char name[16];
        int length = snprintf(name, sizeof name, "%u", i);
        t->names[i] = arena_strndup(&t->arena, name, (size_t)length);
        if (!t->names[i]) return err_nomem(err, "opening a table");
    }
    return TOLA_OK;
}

/* ---- reading ---- */

const data_table_info *data_table_about(const data_table *t) { return &t->info; }

const char *data_table_class(const data_table *t, uint32_t label) {
    return label < t->info.classes ? t->names[label] : NULL;
}

void data_table_scaling(const data_table *t, const double **offset, const double **factor) {
    *offset = t->offset;
    *factor = t->factor;
}

tola_status data_table_read(const data_table *t, uint64_t example, float *features, uint32_t *label, float *number,
                            tola_error *err) {
    if (example >= t->info.count)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: example %llu of %llu", t->sources[0]->path,
                       (unsigned long long)example, (unsigned long long)t->info.count);
    TRY(t->read(t, example, features, err));
    for (uint32_t c = 0; t->offset && c < t->info.columns; c++)
        features[c] = (float)((features[c] - t->offset[c]) * t->factor[c]);
    if (label && t->labels) *label = t->labels[example];
    if (number && t->numbers) *number = t->numbers[example];
    return TOLA_OK;
}

tola_status data_table_digest(const data_table *t, uint8_t digest[32], tola_error *err) {
    sha256_stream *s;
    TRY(sha256_open(&s, err));
    tola_status status = data_file_hash(t->sources[0], s, err);
    if (status == TOLA_OK && t->sources[1]) status = data_file_hash(t->sources[1], s, err);
    if (status == TOLA_OK) return sha256_finish(s, digest, err);
    sha256_abort(s);
    return status;
}
