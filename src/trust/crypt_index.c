/* See crypt_index.h. Everything is little-endian.
 *
 *   index    version u32, folder u8, members u32, then each member; zeros to the end
 *   member   kind u8, name (u16, bytes), bytes u64, stretches u32, then each stretch
 *   stretch  bytes u64, name of the tensor (u16, bytes; 0xffff: none); dtype (u8, bytes), dims u8, each u64 */
#include "trust/crypt_index.h"

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/reader.h"

#define VERSION 1u

void crypt_index_free(crypt_index *x) {
    mem_free(x->members);
    mem_free(x->stretches);
    arena_free(&x->names);
    *x = (crypt_index){ 0 };
}

static bool good_name(const char *name, size_t bytes) {
    if (bytes == 0 || bytes > CRYPT_MOST_NAME || memchr(name, 0, bytes)) return false;
    for (size_t at = 0; at <= bytes;) {
        const char *slash = memchr(name + at, '/', bytes - at);
        size_t n = slash ? (size_t)(slash - name) - at : bytes - at;
        if (n == 0 || n > 255 || (n == 1 && name[at] == '.') || (n == 2 && name[at] == '.' && name[at + 1] == '.'))
            return false;
        at += n + 1;
    }
    return true;
}

int crypt_compare_names(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    int x = *a == '/' ? 1 : *a ? (unsigned char)*a + 1 : 0, y = *b == '/' ? 1 : *b ? (unsigned char)*b + 1 : 0;
    return (x > y) - (x < y);
}

static tola_status damaged(const char *what, tola_error *err) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the list of its files is damaged: %s", what);
}

/* Passes over one, which begins at data + r->pos. */
static tola_status read_stretch(reader *r, crypt_index *x, const uint8_t *data, uint32_t chunk_bytes, uint64_t *offset,
                                tola_error *err) {
    crypt_stretch s = { .offset = *offset, .first_chunk = x->chunks, .description = data + r->pos };
    uint64_t start = r->pos;
    s.member = (uint32_t)x->member_count - 1;
    s.bytes = reader_u64(r);
    uint32_t name = reader_u16(r);
    if (name != CRYPT_NO_TENSOR) {
        reader_skip(r, name);
        reader_skip(r, reader_u8(r));
        reader_skip(r, 8 * (uint64_t)reader_u8(r));
    }
    TRY(reader_check(r, err));
    s.description_bytes = (uint32_t)(r->pos - start);
    if (s.bytes == 0 || !add_u64(*offset, s.bytes, offset)) return damaged("a stretch of no or too many bytes", err);
    if (x->stretch_count >= CRYPT_MOST_STRETCHES) return damaged("too many stretches", err);
    x->chunks += crypt_chunks(s.bytes, chunk_bytes);
    if (!mem_grow(&x->stretches, &x->stretch_cap, x->stretch_count + 1, sizeof *x->stretches))
        return err_nomem(err, "listing files");
    x->stretches[x->stretch_count++] = s;
    return TOLA_OK;
}

static tola_status check_order(const crypt_index *x, const crypt_member *m, tola_error *err) {
    if (x->member_count < 2) return TOLA_OK;
    const crypt_member *before = m - 1;
    size_t n = strlen(before->name);
    if (before->kind == CRYPT_PADDING) return damaged("something follows its padding", err);
    if (m->kind == CRYPT_PADDING) return TOLA_OK;
    if (crypt_compare_names(before->name, m->name) >= 0) return damaged("its names are out of order", err);
    if (strncmp(before->name, m->name, n) == 0 && m->name[n] == '/') return damaged("a file with files in it", err);
    return TOLA_OK;
}

static tola_status read_member(reader *r, crypt_index *x, const uint8_t *data, uint32_t chunk_bytes, tola_error *err) {
    if (!mem_grow(&x->members, &x->member_cap, x->member_count + 1, sizeof *x->members))
        return err_nomem(err, "listing files");
    crypt_member *m = &x->members[x->member_count];
    *m = (crypt_member){ .kind = reader_u8(r), .first = x->stretch_count, .start = x->payload };
    size_t name_bytes = reader_u16(r);
    const char *name = (const char *)data + r->pos;
    reader_skip(r, name_bytes);
    m->bytes = reader_u64(r);
    uint32_t stretches = reader_u32(r);
    TRY(reader_check(r, err));
    if (m->kind > CRYPT_PADDING)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "holds what this tola does not know");
    if (m->kind == CRYPT_PADDING ? name_bytes != 0 : !good_name(name, name_bytes))
        return damaged("a name that leads out of its folder", err);
    m->name = arena_strndup(&x->names, name, name_bytes);
    if (!m->name) return err_nomem(err, "listing files");
    x->member_count++;
    TRY(check_order(x, m, err));
    uint64_t offset = 0;
    for (uint32_t i = 0; i < stretches; i++) TRY(read_stretch(r, x, data, chunk_bytes, &offset, err));
    m->count = stretches;
    if (offset != m->bytes) return damaged("a file of another length", err);
    if (!add_u64(x->payload, m->bytes, &x->payload)) return damaged("too many bytes", err);
    return TOLA_OK;
}

static tola_status parse(reader *r, const uint8_t *data, size_t bytes, uint32_t chunk_bytes, crypt_index *x,
                         tola_error *err) {
    uint32_t version = reader_u32(r), folder = reader_u8(r), members = reader_u32(r);
    TRY(reader_check(r, err));
    if (version != VERSION)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "its list of files has version %u, not %u", version,
                       VERSION);
    if (folder > 1 || members > CRYPT_MOST_FILES) return damaged("too many files", err);
    x->folder = folder;
    for (uint32_t i = 0; i < members; i++) TRY(read_member(r, x, data, chunk_bytes, err));
    for (uint64_t at = r->pos; at < bytes; at++)
        if (data[at]) return damaged("something follows its end", err);
    const crypt_member *only = crypt_index_only(x);
    if (!folder && (!only || only->kind != CRYPT_FILE || strchr(only->name, '/'))) return damaged("no file", err);
    return TOLA_OK;
}

tola_status crypt_index_parse(const uint8_t *data, size_t bytes, uint32_t chunk_bytes, crypt_index *out,
                              tola_error *err) {
    crypt_index x = { 0 };
    source *s;
    reader r;
    arena_init(&x.names, 0);
    TRY(source_open_memory("index", data, bytes, &s, err));
    reader_init(&r, s, 0, bytes);
    tola_status status = parse(&r, data, bytes, chunk_bytes, &x, err);
    reader_free(&r);
    source_close(s);
    if (status != TOLA_OK) {
        if (err) err->offset = TOLA_NO_OFFSET;
        crypt_index_free(&x);
        return status;
    }
    *out = x;
    return TOLA_OK;
}

const crypt_member *crypt_index_find(const crypt_index *x, const char *name) {
    size_t low = 0, high = x->member_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const crypt_member *m = &x->members[middle];
        int order = m->kind == CRYPT_PADDING ? 1 : crypt_compare_names(m->name, name);
        if (order == 0) return m->kind == CRYPT_FILE ? m : NULL;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const crypt_member *crypt_index_only(const crypt_index *x) {
    size_t real = x->member_count;
    if (real && x->members[real - 1].kind == CRYPT_PADDING) real--;
    return !x->folder && real == 1 ? &x->members[0] : NULL;
}

/* ---- writing ---- */

void crypt_describe(uint64_t bytes, const char *name, const char *dtype, const uint64_t *shape, unsigned n_dims,
                    buf *out) {
    buf_u64le(out, bytes);
    if (!name) {
        buf_u16le(out, CRYPT_NO_TENSOR);
        return;
    }
    buf_u16le(out, (uint16_t)strlen(name));
    buf_append(out, name, strlen(name));
    buf_u8(out, (uint8_t)strlen(dtype));
    buf_append(out, dtype, strlen(dtype));
    buf_u8(out, (uint8_t)n_dims);
    for (unsigned i = 0; i < n_dims; i++) buf_u64le(out, shape[i]);
}

/* ---- chunks ---- */

bool crypt_span_find(const crypt_index *x, const crypt_member *m, uint32_t chunk_bytes, uint64_t from, uint64_t to,
                     crypt_span *out) {
    size_t low = m->first, high = m->first + m->count, end = high;
    if (m->count == 0) return false;
    while (high - low > 1) { /* the last stretch that begins at `from` or before */
        size_t middle = low + (high - low) / 2;
        if (x->stretches[middle].offset <= from)
            low = middle;
        else
            high = middle;
    }
    const crypt_stretch *s = &x->stretches[low];
    uint64_t chunk = crypt_chunks(from - s->offset, chunk_bytes);
    if (chunk == crypt_chunks(s->bytes, chunk_bytes)) {
        if (++low == end) return false;
        s++;
        chunk = 0;
    }
    *out = (crypt_span){ low, chunk, s->offset + chunk * chunk_bytes, 0, s->first_chunk + chunk, 0 };
    if (out->offset >= to) return false;
    for (; low < end && s->offset < to; low++, s++) { /* `s` counts from its own start from the second on */
        uint64_t skip = s == &x->stretches[out->stretch] ? chunk * chunk_bytes : 0;
        uint64_t room = crypt_chunks(to - s->offset, chunk_bytes), all = crypt_chunks(s->bytes, chunk_bytes);
        uint64_t last = room < all ? room : all; /* chunks of it that begin before `to` */
        uint64_t stop = last == all ? s->bytes : last * chunk_bytes;
        out->bytes += stop - skip;
        out->count += last - skip / chunk_bytes;
    }
    return true;
}

static void measure(crypt_step *step, uint32_t chunk_bytes) {
    uint64_t left = step->s->bytes - step->chunk * chunk_bytes;
    step->bytes = left < chunk_bytes ? (uint32_t)left : chunk_bytes;
    step->chunks = crypt_chunks(step->s->bytes, chunk_bytes);
}

void crypt_step_first(const crypt_index *x, const crypt_span *span, uint32_t chunk_bytes, crypt_step *step) {
    *step = (crypt_step){ &x->stretches[span->stretch], span->chunk, 0, 0 };
    measure(step, chunk_bytes);
}

void crypt_step_next(crypt_step *step, uint32_t chunk_bytes) {
    if (++step->chunk == step->chunks) {
        step->s++;
        step->chunk = 0;
    }
    measure(step, chunk_bytes);
}

void crypt_step_aad(const uint8_t id[CRYPT_ID], const crypt_index *x, const crypt_step *step, buf *aad,
                    const crypt_stretch **of, size_t *fixed, uint8_t tail[8]) {
    const crypt_stretch *s = step->s;
    const char *name = x->members[s->member].name;
    if (*of != s) {
        aad->length = 0;
        buf_append(aad, "tola chunk 1", 12);
        buf_append(aad, id, CRYPT_ID);
        buf_u16le(aad, (uint16_t)strlen(name));
        buf_append(aad, name, strlen(name));
        buf_u64le(aad, s->offset);
        buf_append(aad, s->description, s->description_bytes);
        *of = s;
        *fixed = aad->length;
    }
    aad->length = *fixed;
    buf_u64le(aad, step->chunk);
    buf_u64le(aad, step->chunks);
    store_le64(tail, s->first_chunk + step->chunk);
}
