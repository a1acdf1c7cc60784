/* Documents in plain files and in JSONL. */
#define _GNU_SOURCE 1 /* memmem */
#include "learn/data_text.h"

#include <stdio.h>
#include <string.h>

#include "base/source.h"
#include "base/text.h"
#include "learn/data_file.h"
#include "learn/jsonl.h"

#define MOST_SEPARATOR 256

/* Documents [first, first + count) come from it. */
typedef struct text_file {
    source *src; /* plain text, else NULL */
    jsonl *lines;
    uint64_t first, count;
} text_file;

/* A document of plain text. */
typedef struct span {
    uint64_t begin, end;
} span;

struct data_text {
    text_file *files;
    size_t file_count;
    span *spans; /* of plain documents in the order of the files; JSONL has empty ones so that numbers fit */
    size_t cap;
    uint64_t count, bytes;
    char *field, *separator;
};

static const text_file *file_of(const data_text *t, uint64_t i) {
    size_t low = 0, high = t->file_count - 1;
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        if (t->files[middle].first <= i)
            low = middle;
        else
            high = middle - 1;
    }
    return &t->files[low];
}

/* ---- opening ---- */

static tola_status add_span(data_text *t, text_file *f, uint64_t begin, uint64_t end, tola_error *err) {
    if (begin == end) return TOLA_OK;
    if (!mem_grow(&t->spans, &t->cap, t->count + 1, sizeof *t->spans)) return err_nomem(err, "finding documents");
    t->spans[t->count++] = (span){ begin, end };
    f->count++;
    return TOLA_OK;
}

/* Cuts the file at each separator, leftmost first. `piece` has room for DATA_FILE_PIECE bytes. */
static tola_status cut_file(data_text *t, text_file *f, char *piece, tola_error *err) {
    uint64_t begin = 0, at = 0, size = f->src->size;
    size_t n = t->separator ? strlen(t->separator) : 0;
    while (n && at < size) {
        size_t bytes = size - at < DATA_FILE_PIECE ? (size_t)(size - at) : DATA_FILE_PIECE;
        tola_status status = source_read(f->src, at, piece, bytes, err);
        if (status != TOLA_OK) return err_in_file(err, status, f->src->path);
        size_t from = 0;
        for (const char *hit; (hit = memmem(piece + from, bytes - from, t->separator, n)) != NULL;) {
            size_t place = (size_t)(hit - piece);
            TRY(add_span(t, f, begin, at + place, err));
            from = place + n;
            begin = at + from;
        }
        if (at + bytes == size) break;
        /* one may begin in what is left; what belongs to the last one must not be looked at again */
        size_t keep = bytes - from < n - 1 ? bytes - from : n - 1;
        at += bytes - keep;
    }
    return add_span(t, f, begin, size, err);
}

static bool is_jsonl(const char *path) { return text_ends_with(path, ".jsonl") || text_ends_with(path, ".ndjson"); }

static tola_status open_file(data_text *t, text_file *f, const char *path, char *piece, tola_error *err) {
    f->first = t->count;
    if (!is_jsonl(path)) {
        TRY(source_open_file(path, &f->src, err));
        t->bytes += f->src->size;
        TRY(cut_file(t, f, piece, err));
        if (f->count > 0) return TOLA_OK;
        err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                f->src->size ? "there is nothing between separators" : "it is empty");
        return err_in_file(err, TOLA_E_FORMAT, path);
    }
    TRY(jsonl_open(path, &f->lines, err));
    f->count = jsonl_count(f->lines);
    t->bytes += jsonl_source(f->lines)->size;
    if (!mem_grow(&t->spans, &t->cap, t->count + f->count, sizeof *t->spans))
        return err_nomem(err, "finding documents");
    memset(t->spans + t->count, 0, f->count * sizeof *t->spans);
    t->count += f->count;
    return TOLA_OK;
}

static tola_status open_all(data_text *t, const char *const *paths, const data_text_options *options, tola_error *err) {
    char *piece = mem_alloc(DATA_FILE_PIECE);
    t->field = mem_strdup(options->field ? options->field : "text");
    t->separator = options->separator && options->separator[0] ? mem_strdup(options->separator) : NULL;
    bool good = piece && t->field && (t->separator || !options->separator || !options->separator[0]);
    tola_status status = good ? TOLA_OK : err_nomem(err, "opening texts");
    if (good && t->separator && strlen(t->separator) > MOST_SEPARATOR)
        status = err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a separator of more than %d bytes", MOST_SEPARATOR);
    for (size_t i = 0; i < t->file_count && status == TOLA_OK; i++)
        status = open_file(t, &t->files[i], paths[i], piece, err);
    mem_free(piece);
    return status;
}

tola_status data_text_open(const char *const *paths, size_t count, const data_text_options *options, data_text **out,
                           tola_error *err) {
    static const data_text_options none = { 0 };
    if (count == 0) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "no file of text is given");
    data_text *t = mem_calloc(1, sizeof *t);
    if (t) t->files = mem_calloc(count, sizeof *t->files);
    if (!t || !t->files) {
        mem_free(t);
        return err_nomem(err, "opening texts");
    }
    t->file_count = count;
    tola_status status = open_all(t, paths, options ? options : &none, err);
    if (status == TOLA_OK)
        *out = t;
    else
        data_text_close(t);
    return status;
}

void data_text_close(data_text *t) {
    if (!t) return;
    for (size_t i = 0; i < t->file_count; i++) {
        source_close(t->files[i].src);
        jsonl_close(t->files[i].lines);
    }
    mem_free(t->files);
    mem_free(t->spans);
    mem_free(t->field);
    mem_free(t->separator);
    mem_free(t);
}

/* ---- reading ---- */

uint64_t data_text_count(const data_text *t) { return t->count; }
uint64_t data_text_bytes(const data_text *t) { return t->bytes; }

static tola_status read_record(const data_text *t, const text_file *f, uint64_t i, uint64_t at, buf *out, bool *end,
                               tola_error *err) {
    arena a;
    tola_value record;
    tola_string text;
    arena_init(&a, 0);
    tola_status status = jsonl_read(f->lines, i - f->first, &a, &record, err);
    if (status == TOLA_OK) status = jsonl_text(f->lines, i - f->first, &record, t->field, &text, err);
    if (status == TOLA_OK && at < text.length) buf_append(out, text.data + at, text.length - (size_t)at);
    arena_free(&a);
    TRY(status);
    if (out->failed) return err_nomem(err, "reading a document");
    *end = true;
    return TOLA_OK;
}

tola_status data_text_read(const data_text *t, uint64_t i, uint64_t at, uint64_t most, buf *out, bool *end,
                           tola_error *err) {
    if (i >= t->count)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "there is no document %llu", (unsigned long long)i);
    const text_file *f = file_of(t, i);
    if (f->lines) return read_record(t, f, i, at, out, end, err);
    uint64_t length = t->spans[i].end - t->spans[i].begin, left = at < length ? length - at : 0;
    uint64_t wanted = left < most ? left : most;
    for (uint64_t done = 0; done < wanted;) {
        char piece[16384];
        size_t bytes = wanted - done < sizeof piece ? (size_t)(wanted - done) : sizeof piece;
        tola_status status = source_read(f->src, t->spans[i].begin + at + done, piece, bytes, err);
        if (status != TOLA_OK) return err_in_file(err, status, f->src->path);
        buf_append(out, piece, bytes);
        done += bytes;
    }
    if (out->failed) return err_nomem(err, "reading a document");
    *end = wanted == left;
    return TOLA_OK;
}

const char *data_text_where(const data_text *t, uint64_t i, char *text, size_t cap) {
    const text_file *f = file_of(t, i);
    char quoted[300];
    const char *path = f->lines ? jsonl_path(f->lines) : f->src->path;
    text_quote(quoted, sizeof quoted, path, strlen(path));
    if (f->lines)
        snprintf(text, cap, "%s: line %llu", quoted, (unsigned long long)jsonl_line(f->lines, i - f->first));
    else if (f->count > 1)
        snprintf(text, cap, "%s: the document at byte %llu", quoted, (unsigned long long)t->spans[i].begin);
    else
        snprintf(text, cap, "%s", quoted);
    return text;
}

static tola_status hash_all(const data_text *t, sha256_stream *s, tola_error *err) {
    TRY(sha256_update(s, t->field, strlen(t->field) + 1, err));
    if (t->separator) TRY(sha256_update(s, t->separator, strlen(t->separator) + 1, err));
    for (size_t i = 0; i < t->file_count; i++) {
        const text_file *f = &t->files[i];
        TRY(sha256_update(s, f->lines ? "J" : t->separator ? "S" : "T", 1, err));
        TRY(data_file_hash(f->lines ? jsonl_source(f->lines) : f->src, s, err));
    }
    return TOLA_OK;
}

tola_status data_text_digest(const data_text *t, uint8_t digest[32], tola_error *err) {
    sha256_stream *s;
    TRY(sha256_open(&s, err));
    tola_status status = hash_all(t, s, err);
    if (status == TOLA_OK) return sha256_finish(s, digest, err);
    sha256_abort(s);
    return status;
}
