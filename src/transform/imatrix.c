/* Importance matrices from both of llama-imatrix's formats; the header says how they look. */
#include "transform/imatrix.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"
#include "base/text.h"
#include <tola/checkpoint.h>

#define MAX_NAME 4096      /* bytes of a name in the old format; GGUF's are at most 64 */
#define MAX_ENTRIES 1000000 /* the largest models have some thousands of matrices */
#define MIN_ENTRY_BYTES 17 /* old format: three numbers, a name of one byte, one value */

struct imatrix {
    arena keep;
    imatrix_entry *entries; /* ordered by name */
    size_t count, cap;
    uint32_t chunks;
    const char *dataset;
};

static imatrix *imatrix_new(void) {
    imatrix *m = mem_calloc(1, sizeof *m);
    if (m) arena_init(&m->keep, 0);
    return m;
}

void imatrix_free(imatrix *m) {
    if (!m) return;
    arena_free(&m->keep);
    mem_free(m->entries);
    mem_free(m);
}

size_t imatrix_count(const imatrix *m) { return m->count; }
const imatrix_entry *imatrix_at(const imatrix *m, size_t index) { return index < m->count ? &m->entries[index] : NULL; }
uint32_t imatrix_chunks(const imatrix *m) { return m->chunks; }
const char *imatrix_dataset(const imatrix *m) { return m->dataset; }

static int by_name(const void *a, const void *b) {
    return strcmp(((const imatrix_entry *)a)->name, ((const imatrix_entry *)b)->name);
}

const imatrix_entry *imatrix_find(const imatrix *m, const char *name) {
    if (m->count == 0) return NULL;
    imatrix_entry wanted = { .name = name };
    return bsearch(&wanted, m->entries, m->count, sizeof *m->entries, by_name);
}

tola_status imatrix_values(const imatrix *m, const char *name, uint64_t matrices, uint64_t columns,
                           const float **values, tola_error *err) {
    *values = NULL;
    const imatrix_entry *e = imatrix_find(m, name);
    if (!e) return TOLA_OK;
    uint64_t total;
    bool fits = mul_u64(matrices, columns, &total) && total == e->columns * e->matrices;
    if (!fits || (e->matrices != 1 && e->matrices != matrices)) {
        err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                "the importance matrix has %" PRIu64 " x %" PRIu64 " values, the tensor %" PRIu64 " x %" PRIu64
                " columns",
                e->matrices, e->columns, matrices, columns);
        return err_in_tensor(err, TOLA_E_FORMAT, name);
    }
    *values = e->values;
    return TOLA_OK;
}

static tola_status add_entry(imatrix *m, imatrix_entry e, tola_error *err) {
    if (m->count == MAX_ENTRIES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d entries", MAX_ENTRIES);
    if (!mem_grow(&m->entries, &m->cap, m->count + 1, sizeof e)) return err_nomem(err, "reading an importance matrix");
    m->entries[m->count++] = e;
    return TOLA_OK;
}

#define SUMS ".in_sum2" /* endings of names in the GGUF format */
#define COUNTS ".counts"

/* Orders entries; two of one name are an error. */
static tola_status finish(imatrix *m, tola_error *err) {
    if (m->count == 0) /* of a GGUF, the old format having at least one */
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "no importance matrix: no tensor's name ends in " SUMS);
    qsort(m->entries, m->count, sizeof *m->entries, by_name);
    for (size_t i = 1; i < m->count; i++)
        if (strcmp(m->entries[i - 1].name, m->entries[i].name) == 0) {
            err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "two entries of one name");
            return err_in_tensor(err, TOLA_E_FORMAT, m->entries[i].name);
        }
    return TOLA_OK;
}

static bool good(float v) { return v >= 0 && isfinite(v); }

/* Below this a weight times the square of a small number is no normal float, and encoders that divide by sums of such
 * products would lose the row: as good as nothing. */
#define LEAST 1e-30f
static float settled(float v) { return v < LEAST ? 0 : v; }

/* ---- the old format ---- */

/* An i32 that must lie in [least, most]. */
static uint32_t read_count(reader *r, const char *what, int32_t least, uint64_t most) {
    uint64_t at = r->pos;
    int32_t n = (int32_t)reader_u32(r);
    if (!reader_ok(r)) return 0;
    if (n < least || (n > 0 && (uint64_t)n > most)) {
        reader_fail(r, TOLA_E_FORMAT, at, "%s is %" PRId32 " where %" PRId32 " to %" PRIu64 " are possible", what, n,
                    least, most);
        return 0;
    }
    return (uint32_t)n;
}

static char *read_name(reader *r, arena *keep, const char *what, int32_t least) {
    uint64_t at = r->pos, left = reader_left(r);
    uint32_t length = read_count(r, what, least, left < MAX_NAME ? left : MAX_NAME);
    if (!reader_ok(r)) return NULL;
    char *name = arena_alloc(keep, length + 1);
    if (!name) {
        reader_fail(r, TOLA_E_NOMEM, at, "out of memory while reading an importance matrix");
        return NULL;
    }
    reader_bytes(r, name, length);
    name[length] = '\0';
    if (reader_ok(r) && (memchr(name, '\0', length) || !utf8_valid(name, length)))
        reader_fail(r, TOLA_E_FORMAT, at, "a name that is no text");
    return reader_ok(r) ? name : NULL;
}

static void old_entry(reader *r, imatrix *m) {
    char *name = read_name(r, &m->keep, "the length of a name", 1);
    int32_t calls = (int32_t)reader_u32(r);
    uint64_t at = r->pos;
    uint32_t count = read_count(r, "the number of values", 1, reader_left(r) / sizeof(float));
    if (!reader_ok(r)) return;
    float *values = arena_alloc_array(&m->keep, count, sizeof *values);
    if (!values) {
        reader_fail(r, TOLA_E_NOMEM, at, "out of memory while reading an importance matrix");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        at = r->pos;
        float sum = reader_f32(r);
        if (reader_ok(r) && !good(sum)) {
            char quoted[100];
            reader_fail(r, TOLA_E_FORMAT, at, "value %" PRIu32 " of '%s' is %g", i,
                        text_quote(quoted, sizeof quoted, name, strlen(name)), (double)sum);
        }
        /* the format's means are times calls; none: as they are */
        values[i] = settled(calls > 0 ? sum / (float)calls : sum);
    }
    if (!reader_ok(r)) return;
    tola_error err = TOLA_ERROR_INIT;
    tola_status added = add_entry(m, (imatrix_entry){ name, count, 1, values }, &err);
    if (added != TOLA_OK) reader_fail(r, added, err.offset, "%s", err.message);
}

static tola_status read_old(imatrix *m, source *src, tola_error *err) {
    reader r;
    reader_init(&r, src, 0, src->size);
    uint64_t most = src->size / MIN_ENTRY_BYTES;
    uint32_t entries = read_count(&r, "the number of entries", 1, most < MAX_ENTRIES ? most : MAX_ENTRIES);
    for (uint32_t i = 0; i < entries && reader_ok(&r); i++) old_entry(&r, m);
    if (reader_left(&r) > 0) m->chunks = read_count(&r, "the number of chunks", 0, INT32_MAX);
    if (reader_left(&r) > 0) {
        m->dataset = read_name(&r, &m->keep, "the length of the text's name", 0);
        if (m->dataset && !*m->dataset) m->dataset = NULL;
    }
    tola_status status = reader_check(&r, err);
    reader_free(&r);
    return status == TOLA_OK ? status : err_in_file(err, status, src->path);
}

/* ---- GGUF ---- */

/* Names tensor and file, as tola_checkpoint_read does. */
static tola_status in_place(tola_error *err, const tola_checkpoint *ck, const tola_tensor_info *t) {
    err_in_tensor(err, TOLA_E_FORMAT, t->name);
    return err_in_file(err, TOLA_E_FORMAT, tola_checkpoint_file(ck, t->file)->path);
}

static tola_status bad_tensor(tola_error *err, const tola_checkpoint *ck, const tola_tensor_info *t, const char *what) {
    err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s", what);
    return in_place(err, ck, t);
}

static tola_status bad_value(tola_error *err, const tola_checkpoint *ck, const tola_tensor_info *t, uint64_t index,
                             float value) {
    err_set(err, TOLA_E_FORMAT, t->offset + index * sizeof value, "value %" PRIu64 " is %g", index, (double)value);
    return in_place(err, ck, t);
}

/* A whole f32 tensor in the arena. */
static tola_status read_floats(imatrix *m, const tola_checkpoint *ck, size_t index, float **out, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, index);
    if (t->dtype != TOLA_DTYPE_F32) return bad_tensor(err, ck, t, "is not f32");
    *out = arena_alloc(&m->keep, (size_t)t->bytes);
    if (!*out) return err_nomem(err, "reading an importance matrix");
    return tola_checkpoint_read(ck, index, 0, *out, (size_t)t->bytes, err);
}

static tola_status gguf_entry(imatrix *m, const tola_checkpoint *ck, size_t index, tola_error *err) {
    const tola_tensor_info *sums = tola_checkpoint_tensor(ck, index);
    size_t length = strlen(sums->name) - strlen(SUMS);
    char *name = arena_alloc(&m->keep, length + sizeof SUMS + sizeof COUNTS);
    if (!name) return err_nomem(err, "reading an importance matrix");
    memcpy(name, sums->name, length);
    strcpy(name + length, COUNTS);
    size_t beside = tola_checkpoint_find(ck, name);
    if (beside == SIZE_MAX) return bad_tensor(err, ck, sums, "has no counts beside it");
    name[length] = '\0';

    const tola_tensor_info *counted = tola_checkpoint_tensor(ck, beside);
    uint64_t matrices = counted->elements;
    if (matrices == 0 || sums->elements % matrices != 0)
        return bad_tensor(err, ck, sums, "has sums that its counts do not divide");
    float *values, *counts;
    TRY(read_floats(m, ck, index, &values, err));
    TRY(read_floats(m, ck, beside, &counts, err));
    uint64_t columns = sums->elements / matrices;
    for (uint64_t k = 0; k < matrices; k++) {
        float count = roundf(counts[k]);
        if (!good(counts[k])) return bad_value(err, ck, counted, k, counts[k]);
        for (uint64_t i = k * columns; i < (k + 1) * columns; i++) {
            if (!good(values[i])) return bad_value(err, ck, sums, i, values[i]);
            /* nothing is known of an expert that met no token */
            values[i] = count > 0 ? settled(values[i] / count) : 1.0f;
        }
    }
    return add_entry(m, (imatrix_entry){ name, columns, matrices, values }, err);
}

static tola_status read_gguf(imatrix *m, const tola_checkpoint *ck, tola_error *err) {
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck); i++) {
        const char *name = tola_checkpoint_tensor(ck, i)->name;
        if (text_ends_with(name, SUMS)) TRY(gguf_entry(m, ck, i, err));
    }
    const tola_value *meta = tola_checkpoint_metadata(ck), *names = tola_value_get(meta, "imatrix.datasets");
    uint64_t chunks = tola_value_u64(tola_value_get(meta, "imatrix.chunk_count"), 0);
    m->chunks = chunks <= UINT32_MAX ? (uint32_t)chunks : 0;
    tola_value first = names ? tola_value_at(names, 0) : (tola_value){ 0 };
    if (first.kind == TOLA_VALUE_STRING) {
        m->dataset = arena_strndup(&m->keep, first.as.string.data, first.as.string.length);
        if (!m->dataset) return err_nomem(err, "reading an importance matrix");
    }
    return TOLA_OK;
}

/* ---- both ---- */

static bool is_gguf(source *src) {
    uint8_t magic[4];
    return src->size >= sizeof magic && source_read(src, 0, magic, sizeof magic, NULL) == TOLA_OK &&
           memcmp(magic, "GGUF", sizeof magic) == 0;
}

/* Reads from `ck` where it is a GGUF, else from `src`. */
static tola_status read_either(const char *path, const tola_checkpoint *ck, source *src, imatrix **out,
                               tola_error *err) {
    imatrix *m = imatrix_new();
    if (!m) return err_nomem(err, "reading an importance matrix");
    tola_status status = ck ? read_gguf(m, ck, err) : read_old(m, src, err);
    if (status == TOLA_OK && (status = finish(m, err)) != TOLA_OK) err_in_file(err, status, path);
    if (status != TOLA_OK) {
        imatrix_free(m);
        return status;
    }
    *out = m;
    return TOLA_OK;
}

static tola_status open_either(const char *path, const void *data, size_t bytes, imatrix **out, tola_error *err) {
    source *src;
    TRY(data ? source_open_memory(path, data, bytes, &src, err) : source_open_file(path, &src, err));
    tola_checkpoint *ck = NULL;
    tola_status status = TOLA_OK;
    if (is_gguf(src))
        status = data ? tola_checkpoint_open_memory(path, data, bytes, &ck, err)
                      : tola_checkpoint_open(path, NULL, &ck, err);
    if (status == TOLA_OK) status = read_either(path, ck, src, out, err);
    tola_checkpoint_close(ck);
    source_close(src);
    return status;
}

tola_status imatrix_open(const char *path, imatrix **out, tola_error *err) {
    return open_either(path, NULL, 0, out, err);
}

tola_status imatrix_open_memory(const char *name, const void *data, size_t bytes, imatrix **out, tola_error *err) {
    return open_either(name, data ? data : "", bytes, out, err);
}
