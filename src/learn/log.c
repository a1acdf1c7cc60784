/* Reading the log of a run: every number of every line, by name. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "learn/jsonl.h"
#include <tola/learn.h>

#define MOST_SERIES 256

typedef struct series {
    char *name;
    double *steps, *values;
    size_t count, step_cap, value_cap;
} series;

struct tola_learn_log {
    series items[MOST_SERIES];
    size_t count;
};

static tola_status find_series(tola_learn_log *log, const char *name, series **out, tola_error *err) {
    for (size_t i = 0; i < log->count; i++) {
        *out = &log->items[i];
        if (strcmp(log->items[i].name, name) == 0) return TOLA_OK;
    }
    if (log->count == MOST_SERIES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a log of more than %d numbers", MOST_SERIES);
    *out = &log->items[log->count];
    (*out)->name = mem_strdup(name);
    if (!(*out)->name) return err_nomem(err, "reading a log");
    log->count++;
    return TOLA_OK;
}

static tola_status add_value(tola_learn_log *log, const char *group, const char *name, double step,
                             const tola_value *value, tola_error *err) {
    bool number = value->kind == TOLA_VALUE_INT || value->kind == TOLA_VALUE_UINT || value->kind == TOLA_VALUE_FLOAT;
    if (!number && value->kind != TOLA_VALUE_NULL) return TOLA_OK;
    char full[200];
    series *s;
    snprintf(full, sizeof full, "%s%s%s", group, group[0] ? "." : "", name);
    TRY(find_series(log, full, &s, err));
    if (s->count && s->steps[s->count - 1] > step) return TOLA_OK; /* steps ascend */
    if (!mem_grow(&s->steps, &s->step_cap, s->count + 1, sizeof *s->steps) ||
        !mem_grow(&s->values, &s->value_cap, s->count + 1, sizeof *s->values))
        return err_nomem(err, "reading a log");
    s->steps[s->count] = step;
    s->values[s->count++] = number ? tola_value_f64(value, NAN) : NAN;
    return TOLA_OK;
}

static tola_status add_line(tola_learn_log *log, const jsonl *lines, uint64_t i, arena *a, tola_error *err) {
    tola_value record;
    TRY(jsonl_read(lines, i, a, &record, err));
    double step = tola_value_f64(tola_value_get(&record, "step"), NAN);
    if (isnan(step)) return jsonl_error(lines, i, err, "there is no step");
    for (size_t k = 0; k < record.as.map.count; k++) {
        const tola_member *m = &record.as.map.members[k];
        if (strcmp(m->key.data, "step") == 0) continue;
        if (m->value.kind != TOLA_VALUE_MAP) {
            TRY(add_value(log, "", m->key.data, step, &m->value, err));
            continue;
        }
        for (size_t n = 0; n < m->value.as.map.count; n++) {
            const tola_member *inner = &m->value.as.map.members[n];
            TRY(add_value(log, m->key.data, inner->key.data, step, &inner->value, err));
        }
    }
    return TOLA_OK;
}

tola_status tola_learn_log_open(const char *folder, tola_learn_log **out, tola_error *err) {
    char *path = path_join(folder, "log.jsonl");
    jsonl *lines = NULL;
    tola_learn_log *log = mem_calloc(1, sizeof *log);
    tola_status status = path && log ? jsonl_open(path, &lines, err) : err_nomem(err, "reading a log");
    for (uint64_t i = 0; status == TOLA_OK && i < jsonl_count(lines); i++) {
        arena a;
        arena_init(&a, 0);
        tola_error detail = TOLA_ERROR_INIT;
        status = add_line(log, lines, i, &a, &detail);
        arena_free(&a);
        bool cut_short = status == TOLA_E_FORMAT && i + 1 == jsonl_count(lines);
        if (cut_short) status = TOLA_OK;
        if (status != TOLA_OK && err) *err = detail;
    }
    jsonl_close(lines);
    mem_free(path);
    if (status == TOLA_OK)
        *out = log;
    else
        tola_learn_log_close(log);
    return status;
}

void tola_learn_log_close(tola_learn_log *log) {
    if (!log) return;
    for (size_t i = 0; i < log->count; i++) {
        mem_free(log->items[i].name);
        mem_free(log->items[i].steps);
        mem_free(log->items[i].values);
    }
    mem_free(log);
}

size_t tola_learn_log_count(const tola_learn_log *log) { return log->count; }

bool tola_learn_log_get(const tola_learn_log *log, size_t i, tola_learn_series *out) {
    if (i >= log->count) return false;
    const series *s = &log->items[i];
    *out = (tola_learn_series){ s->name, s->steps, s->values, s->count };
    return true;
}
