/* Keys and values of one sequence as a file. Little-endian:
 *
 *     0  8  "TOLASEQ\n"
 *     8  4  version, 1
 *    12  4  tokens
 *    16  8  layout of the cache: types, shapes, windows (kv_layout)
 *    24  8  fingerprint of the model and its adapters (model_fingerprint)
 *    32  8  bytes of state
 *    40  8  bytes of the caller's note
 *    48 12  zeros
 *    60  4  CRC-32 of the 60 bytes before
 *    64     ids of the tokens, 4 bytes each, zeros up to a multiple of 64
 *           state: raw pages (kv_save)
 *           note
 *           4 bytes: CRC-32 of everything behind the header
 *
 * Nobody vouches for the file: every size is held against the file's length, the context and the cache before memory is
 * taken by it, and the cache refuses numbers that are not finite. */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/output.h"
#include "base/reader.h"
#include "generate/session.h"

#define MAGIC "TOLASEQ\n"
#define VERSION 1
#define HEADER 64
#define HEADER_CRC 60 /* where it lies */

typedef struct header {
    uint32_t tokens;
    uint64_t layout, model, state, note;
} header;

static uint64_t ids_bytes(uint32_t tokens) { return ((uint64_t)tokens * 4 + 63) & ~(uint64_t)63; }

/* ---- writing ---- */

static void put_header(buf *b, const header *h) {
    buf_append(b, MAGIC, 8);
    buf_u32le(b, VERSION);
    buf_u32le(b, h->tokens);
    buf_u64le(b, h->layout);
    buf_u64le(b, h->model);
    buf_u64le(b, h->state);
    buf_u64le(b, h->note);
    buf_zeros(b, HEADER_CRC - b->length);
    buf_u32le(b, crc32_update(0, b->data, b->length));
}

/* What is written behind one another. */
typedef struct part {
    const void *data;
    size_t bytes;
} part;

static tola_status write_parts(output_file *f, const part *parts, size_t count, tola_error *err) {
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].bytes) TRY(output_write(f, at, parts[i].data, parts[i].bytes, err));
        at += parts[i].bytes;
    }
    return TOLA_OK;
}

static tola_status write_file(const char *path, bool overwrite, const part *parts, size_t count, tola_error *err) {
    output_set *set;
    output_file *file;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += parts[i].bytes;
    TRY(output_set_open(overwrite, &set, err));
    tola_status status = output_add(set, path, bytes, &file, err);
    if (status == TOLA_OK) status = write_parts(file, parts, count, err);
    if (status == TOLA_OK) return output_commit(set, err);
    output_abort(set);
    return status;
}

static void put_front(buf *front, const header *h, const session_sequence *q) {
    put_header(front, h);
    for (size_t i = 0; i < q->count; i++) buf_u32le(front, q->ids[i]);
    if (!front->failed) buf_zeros(front, HEADER + ids_bytes(h->tokens) - front->length);
}

tola_status tola_session_save(const tola_session *s, uint32_t sequence, const char *path, bool overwrite,
                              const void *note, size_t note_bytes, tola_error *err) {
    const session_sequence *q = session_at(s, sequence, err);
    if (!q) return TOLA_E_ARG;
    if (note_bytes > TOLA_MAX_NOTE)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a note of %zu bytes, at most %u", note_bytes, TOLA_MAX_NOTE);
    size_t bytes = kv_save_bytes(q->kv);
    header h = { .tokens = (uint32_t)q->count, .layout = kv_layout(s->kv), .state = bytes, .note = note_bytes };
    TRY(model_fingerprint(s->model, &h.model, err));
    buf front, tail;
    buf_init(&front, HEADER + ids_bytes(h.tokens));
    buf_init(&tail, 4);
    put_front(&front, &h, q);
    void *state = mem_alloc(bytes ? bytes : 1);
    tola_status status = front.failed || !state ? err_nomem(err, "saving a session") : TOLA_OK;
    if (status == TOLA_OK) {
        kv_save(q->kv, state);
        uint32_t crc = crc32_update(0, front.data + HEADER, front.length - HEADER);
        crc = crc32_update(crc, state, bytes);
        buf_u32le(&tail, note_bytes ? crc32_update(crc, note, note_bytes) : crc);
        part parts[] = { { front.data, front.length }, { state, bytes }, { note, note_bytes }, { tail.data, 4 } };
        status = tail.failed ? err_nomem(err, "saving a session")
                             : write_file(path, overwrite, parts, sizeof parts / sizeof *parts, err);
    }
    mem_free(state);
    buf_free(&tail);
    buf_free(&front);
    return status;
}

/* ---- reading ---- */

static tola_status refuse(tola_error *err, uint64_t at, const char *what) {
    return err_set(err, TOLA_E_FORMAT, at, "%s", what);
}

static tola_status read_header(source *src, header *h, tola_error *err) {
    uint8_t raw[HEADER];
    if (src->size < HEADER) return refuse(err, 0, "too short for a session file");
    TRY(source_read(src, 0, raw, sizeof raw, err));
    if (memcmp(raw, MAGIC, 8) != 0) return refuse(err, 0, "not a session file of Tola");
    reader r;
    reader_init(&r, src, 8, HEADER);
    uint32_t version = reader_u32(&r);
    h->tokens = reader_u32(&r);
    h->layout = reader_u64(&r);
    h->model = reader_u64(&r);
    h->state = reader_u64(&r);
    h->note = reader_u64(&r);
    reader_skip(&r, HEADER_CRC - 48);
    uint32_t crc = reader_u32(&r);
    tola_status status = reader_check(&r, err);
    reader_free(&r);
    TRY(status);
    if (version != VERSION)
        return err_set(err, TOLA_E_UNSUPPORTED, 8, "a session file of version %" PRIu32 ", known is %d", version,
                       VERSION);
    if (crc != crc32_update(0, raw, HEADER_CRC)) return refuse(err, HEADER_CRC, "the header's checksum is wrong");
    return TOLA_OK;
}

static tola_status check_header(const tola_session *s, const source *src, const header *h, tola_error *err) {
    uint64_t model, fixed = HEADER + ids_bytes(h->tokens) + 4;
    uint64_t left = src->size < fixed ? 0 : src->size - fixed;
    if (src->size < fixed || h->state > left || h->note != left - h->state)
        return err_set(err, TOLA_E_FORMAT, 12, "%" PRIu32 " tokens, %" PRIu64 " bytes of state and %" PRIu64
                       " of notes are not %" PRIu64 " bytes of file", h->tokens, h->state, h->note, src->size);
    if (h->note > TOLA_MAX_NOTE)
        return err_set(err, TOLA_E_LIMIT, 40, "a note of %" PRIu64 " bytes, at most %u", h->note, TOLA_MAX_NOTE);
    TRY(model_fingerprint(s->model, &model, err));
    if (h->model != model)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the session is of another model or other adapters");
    if (h->layout != kv_layout(s->kv))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the session's keys and values are of other types");
    if (h->tokens > s->context)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "the session has %" PRIu32 " tokens, the context %" PRIu32, h->tokens, s->context);
    if (h->state > kv_bytes_limit(s->kv))
        return err_set(err, TOLA_E_FORMAT, 32, "%" PRIu64 " bytes of state, a full cache has %zu", h->state,
                       kv_bytes_limit(s->kv));
    return TOLA_OK;
}

static tola_status take_ids(const tola_session *s, const uint8_t *raw, const header *h, uint32_t *ids,
                            tola_error *err) {
    for (uint32_t i = 0; i < h->tokens; i++) {
        ids[i] = load_le32(raw + (size_t)i * 4);
        if (ids[i] >= s->model->info.vocabulary)
            return err_set(err, TOLA_E_FORMAT, HEADER + (uint64_t)i * 4,
                           "token %" PRIu32 " of a vocabulary of %" PRIu32, ids[i], s->model->info.vocabulary);
    }
    return TOLA_OK;
}

/* `body` is everything behind the header. */
static tola_status check_body(const header *h, const uint8_t *body, size_t bytes, tola_error *err) {
    if (load_le32(body + bytes - 4) != crc32_update(0, body, bytes - 4))
        return refuse(err, HEADER + bytes - 4, "the checksum is wrong");
    for (uint64_t i = (uint64_t)h->tokens * 4; i < ids_bytes(h->tokens); i++)
        if (body[i]) return refuse(err, HEADER + i, "bytes that should be zero are not");
    return TOLA_OK;
}

static tola_status take_state(tola_session *s, session_sequence *q, const header *h, const uint8_t *body,
                              tola_error *err) {
    uint32_t *ids = mem_alloc(((size_t)h->tokens + 1) * sizeof *ids);
    if (!ids) return err_nomem(err, "restoring a session");
    tola_status status = take_ids(s, body, h, ids, err);
    if (status == TOLA_OK) status = session_grow(q, h->tokens, err);
    if (status == TOLA_OK) status = kv_load(q->kv, h->tokens, body + ids_bytes(h->tokens), (size_t)h->state, err);
    if (status == TOLA_OK) {
        if (h->tokens) memcpy(q->ids, ids, (size_t)h->tokens * sizeof *ids);
        q->count = h->tokens;
    }
    mem_free(ids);
    return status;
}

static tola_status take_body(tola_session *s, session_sequence *q, const header *h, const uint8_t *body, size_t bytes,
                             char **note, tola_error *err) {
    TRY(check_body(h, body, bytes, err));
    char *copy = mem_alloc((size_t)h->note + 1);
    if (!copy) return err_nomem(err, "restoring a session");
    memcpy(copy, body + ids_bytes(h->tokens) + h->state, (size_t)h->note);
    copy[h->note] = 0;
    tola_status status = take_state(s, q, h, body, err);
    if (status == TOLA_OK)
        *note = copy;
    else
        mem_free(copy);
    return status;
}

static tola_status load(tola_session *s, session_sequence *q, source *src, char **note, size_t *note_bytes,
                        tola_error *err) {
    header h;
    TRY(read_header(src, &h, err));
    TRY(check_header(s, src, &h, err));
    size_t bytes = (size_t)(src->size - HEADER);
    uint8_t *body = mem_alloc(bytes);
    if (!body) return err_nomem(err, "restoring a session");
    tola_status status = source_read(src, HEADER, body, bytes, err);
    if (status == TOLA_OK) status = take_body(s, q, &h, body, bytes, note, err);
    if (status == TOLA_OK) *note_bytes = (size_t)h.note;
    mem_free(body);
    return status;
}

tola_status session_load_source(tola_session *s, uint32_t sequence, source *src, void **note, size_t *note_bytes,
                                tola_error *err) {
    session_sequence *q = session_at(s, sequence, err);
    char *found = NULL;
    size_t bytes = 0;
    if (!q) return TOLA_E_ARG;
    tola_status status = load(s, q, src, &found, &bytes, err);
    if (status != TOLA_OK) return err_in_file(err, status, src->path);
    if (note_bytes) *note_bytes = bytes;
    if (note)
        *note = found;
    else
        mem_free(found);
    return TOLA_OK;
}

tola_status tola_session_load(tola_session *s, uint32_t sequence, const char *path, void **note, size_t *note_bytes,
                              tola_error *err) {
    source *src;
    TRY(source_open_file(path, &src, err));
    tola_status status = session_load_source(s, sequence, src, note, note_bytes, err);
    source_close(src);
    return status;
}
