/* Where lines begin, and lines as trees. */
#include "learn/jsonl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/source.h"
#include "base/text.h"
#include "learn/data_file.h"

struct jsonl {
    source *src;
    uint64_t *lines; /* where each record's line begins; [count + 1], the last the end of the file */
    size_t cap;
    uint64_t count;
};

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* Notes the lines that hold something in piece, which begins at `at`. *line: where the current one begins, *blank:
 * nothing has been seen on it. */
static tola_status note_lines(jsonl *j, const char *piece, size_t bytes, uint64_t at, uint64_t *line, bool *blank,
                              tola_error *err) {
    for (size_t i = 0; i < bytes;) {
        while (*blank && i < bytes && is_space(piece[i])) i++;
        if (i == bytes) break;
        if (*blank && piece[i] != '\n') {
            *blank = false;
            if (!mem_grow(&j->lines, &j->cap, j->count + 2, sizeof *j->lines))
                return err_nomem(err, "reading JSON lines");
            j->lines[j->count++] = *line;
        }
        const char *end = memchr(piece + i, '\n', bytes - i);
        if (!end) break;
        i = (size_t)(end - piece) + 1;
        *line = at + i;
        *blank = true;
    }
    return TOLA_OK;
}

static tola_status scan(jsonl *j, char *piece, tola_error *err) {
    uint64_t line = 0;
    bool blank = true;
    for (uint64_t at = 0; at < j->src->size; at += DATA_FILE_PIECE) {
        size_t bytes = j->src->size - at < DATA_FILE_PIECE ? (size_t)(j->src->size - at) : DATA_FILE_PIECE, skip = 0;
        TRY(source_read(j->src, at, piece, bytes, err));
        if (at == 0 && bytes >= 3 && memcmp(piece, "\xef\xbb\xbf", 3) == 0) line = skip = 3; /* a byte order mark */
        TRY(note_lines(j, piece + skip, bytes - skip, at + skip, &line, &blank, err));
    }
    if (j->count == 0) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "there is no line of JSON in it");
    j->lines[j->count] = j->src->size;
    return TOLA_OK;
}

tola_status jsonl_open(const char *path, jsonl **out, tola_error *err) {
    jsonl *j = mem_calloc(1, sizeof *j);
    char *piece = mem_alloc(DATA_FILE_PIECE);
    tola_status status = j && piece ? source_open_file(path, &j->src, err) : err_nomem(err, "reading JSON lines");
    if (status == TOLA_OK) {
        status = scan(j, piece, err);
        if (status != TOLA_OK) err_in_file(err, status, path);
    }
    mem_free(piece);
    if (status == TOLA_OK)
        *out = j;
    else
        jsonl_close(j);
    return status;
}

void jsonl_close(jsonl *j) {
    if (!j) return;
    source_close(j->src);
    mem_free(j->lines);
    mem_free(j);
}

uint64_t jsonl_count(const jsonl *j) { return j->count; }
const char *jsonl_path(const jsonl *j) { return j->src->path; }
source *jsonl_source(const jsonl *j) { return j->src; }

/* Only messages ask for it, so nothing is kept for it. */
uint64_t jsonl_line(const jsonl *j, uint64_t i) {
    char piece[4096];
    uint64_t line = 1;
    for (uint64_t at = 0; at < j->lines[i];) {
        size_t bytes = j->lines[i] - at < sizeof piece ? (size_t)(j->lines[i] - at) : sizeof piece;
        if (source_read(j->src, at, piece, bytes, NULL) != TOLA_OK) break;
        for (size_t k = 0; k < bytes; k++) line += piece[k] == '\n';
        at += bytes;
    }
    return line;
}

tola_status jsonl_error(const jsonl *j, uint64_t i, tola_error *err, const char *format, ...) {
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return data_line_error(err, TOLA_E_FORMAT, j->src->path, jsonl_line(j, i), "%s", text);
}

/* The line's bytes, without what follows its end; freed with mem_free. */
static tola_status read_line(const jsonl *j, uint64_t i, char **text, size_t *length, tola_error *err) {
    uint64_t bytes = j->lines[i + 1] - j->lines[i];
    if (bytes > JSONL_MAX_LINE)
        return data_line_error(err, TOLA_E_LIMIT, j->src->path, jsonl_line(j, i), "%llu bytes are more than %llu",
                               (unsigned long long)bytes, (unsigned long long)JSONL_MAX_LINE);
    char *line = mem_alloc((size_t)bytes);
    if (!line) return err_nomem(err, "reading JSON lines");
    tola_status status = source_read(j->src, j->lines[i], line, (size_t)bytes, err);
    if (status != TOLA_OK) {
        mem_free(line);
        return err_in_file(err, status, j->src->path);
    }
    const char *end = memchr(line, '\n', (size_t)bytes);
    *text = line;
    *length = end ? (size_t)(end - line) : (size_t)bytes;
    return TOLA_OK;
}

tola_status jsonl_read(const jsonl *j, uint64_t i, arena *a, tola_value *out, tola_error *err) {
    char *line;
    size_t length;
    tola_error detail = TOLA_ERROR_INIT;
    if (i >= j->count) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: there is no such record", j->src->path);
    TRY(read_line(j, i, &line, &length, err));
    tola_value value;
    tola_status status = json_parse(line, length, a, &value, &detail);
    mem_free(line);
    if (status == TOLA_E_NOMEM) return err_nomem(err, "reading JSON lines");
    if (status != TOLA_OK)
        return data_line_error(err, status, j->src->path, jsonl_line(j, i), "byte %llu: %s",
                               (unsigned long long)(detail.offset == TOLA_NO_OFFSET ? 0 : detail.offset),
                               detail.message);
    if (value.kind != TOLA_VALUE_MAP) return jsonl_error(j, i, err, "it is no JSON object");
    *out = value;
    return TOLA_OK;
}

tola_status jsonl_text(const jsonl *j, uint64_t i, const tola_value *record, const char *field, tola_string *out,
                       tola_error *err) {
    const tola_value *v = tola_value_get(record, field);
    char name[80];
    text_quote(name, sizeof name, field, strlen(field));
    if (!v) {
        tola_nearest nearest;
        char best[80];
        tola_nearest_init(&nearest, field);
        for (size_t k = 0; k < record->as.map.count; k++)
            tola_nearest_try(&nearest, record->as.map.members[k].key.data);
        if (!nearest.best) return jsonl_error(j, i, err, "there is no field '%s'", name);
        text_quote(best, sizeof best, nearest.best, strlen(nearest.best));
        return jsonl_error(j, i, err, "there is no field '%s'; did you mean '%s'?", name, best);
    }
    if (v->kind != TOLA_VALUE_STRING) return jsonl_error(j, i, err, "the field '%s' is no text", name);
    *out = v->as.string;
    return TOLA_OK;
}
