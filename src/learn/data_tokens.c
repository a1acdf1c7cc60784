/* Making and keeping the stream of tokens.
 *
 * The file: "TOLATOK1", SHA-256 of what it was made from, the number of tokens and of documents (u64), the largest
 * token and a zero (u32), then the tokens (u32), little-endian, bit 31 set in the first of each document.
 *
 * Long documents are tokenized in pieces, by all threads. A piece ends behind a line's end, where a look at the text
 * around shows that the tokenizer cuts there anyway; a tokenizer that never does gets whole documents. */
#include "learn/data_tokens.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/output.h"
#include "base/pool.h"
#include "base/source.h"
#include "learn/data_tokens_inside.h"

#define MAGIC "TOLATOK1"
#define HEADER 64
#define PIECE ((size_t)256 << 10)
#define BATCH ((size_t)4 << 20)
#define PROBE ((size_t)64 << 10)
#define AROUND 128    /* bytes before and behind a cut that are looked at */
#define MOST_TRIES 64 /* cuts that are tried in a piece */
#define MOST_DOCUMENT ((size_t)1 << 36)

/* One run of text that is tokenized by itself. */
typedef struct piece {
    size_t begin, length; /* in `text` */
    uint64_t document;
    bool last; /* of its document */
    uint32_t *ids;
    size_t count;
} piece;

typedef struct maker {
    const data_text *text;
    const tola_tokenizer *tokenizer;
    const data_tokens_options *options;
    data_tokens *t;
    unsigned flags;
    uint32_t limit;
    bool never_cut;
    buf batch;
    piece *pieces;
    size_t piece_count, piece_cap;
    uint64_t document, at; /* what comes next */
    uint64_t bytes_done;
    buf out; /* tokens not yet written; where no file is kept, header and all tokens */
    output_file *file;
    uint64_t written;
    bool begun; /* the current document has tokens */
    uint32_t largest;
    tola_error *err;
} maker;

/* ---- where text may be cut ---- */

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_letter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

/* Are the tokens of text[0, length) those of its two parts? */
static tola_status cuts_at(const maker *m, const char *text, size_t length, size_t cut, bool *same) {
    uint32_t *all = NULL, *left = NULL, *right = NULL;
    size_t n = 0, nl = 0, nr = 0;
    tola_status status = tola_tokenize(m->tokenizer, text, length, m->flags, &all, &n, m->err);
    if (status == TOLA_OK) status = tola_tokenize(m->tokenizer, text, cut, m->flags, &left, &nl, m->err);
    if (status == TOLA_OK)
        status = tola_tokenize(m->tokenizer, text + cut, length - cut, m->flags, &right, &nr, m->err);
    *same = status == TOLA_OK && n == nl + nr && (!nl || memcmp(all, left, nl * sizeof *all) == 0) &&
            (!nr || memcmp(all + nl, right, nr * sizeof *all) == 0);
    tola_free(all);
    tola_free(left);
    tola_free(right);
    return status;
}

/* The last good place to cut text[0, length), which goes on; 0 where none is found. */
static tola_status find_cut(maker *m, const char *text, size_t length, size_t *cut) {
    unsigned tries = 0;
    *cut = 0;
    if (m->never_cut || length < 2 * AROUND) return TOLA_OK;
    for (size_t i = length - AROUND; i > AROUND && tries < MOST_TRIES; i--) {
        if (text[i - 1] != '\n' || is_blank(text[i - 2]) || !is_letter(text[i])) continue;
        bool same;
        TRY(cuts_at(m, text + i - AROUND, 2 * AROUND, AROUND, &same));
        tries++;
        if (!same) continue;
        *cut = i;
        return TOLA_OK;
    }
    m->never_cut = tries == MOST_TRIES;
    return TOLA_OK;
}

/* ---- a batch of pieces ---- */

static tola_status add_piece(maker *m) {
    size_t begin = m->batch.length, more = PIECE, cut = 0;
    bool end = false;
    while (!end && cut == 0) {
        TRY(data_text_read(m->text, m->document, m->at + (m->batch.length - begin), more, &m->batch, &end, m->err));
        if (!end) TRY(find_cut(m, (const char *)m->batch.data + begin, m->batch.length - begin, &cut));
        more = m->never_cut ? MOST_DOCUMENT : m->batch.length - begin;
    }
    size_t length = end ? m->batch.length - begin : cut;
    if (!mem_grow(&m->pieces, &m->piece_cap, m->piece_count + 1, sizeof *m->pieces))
        return err_nomem(m->err, "tokenizing");
    m->pieces[m->piece_count++] = (piece){ .begin = begin, .length = length, .document = m->document, .last = end };
    m->batch.length = begin + length;
    m->bytes_done += length;
    m->at = end ? 0 : m->at + length;
    m->document += end;
    return TOLA_OK;
}

static tola_status tokenize_piece(void *context, size_t task, unsigned worker, tola_error *err) {
    maker *m = context;
    piece *p = &m->pieces[task];
    (void)worker;
    if (p->length == 0) return TOLA_OK;
    return tola_tokenize(m->tokenizer, (const char *)m->batch.data + p->begin, p->length, m->flags, &p->ids, &p->count,
                         err);
}

static void put(maker *m, uint32_t id) {
    buf_u32le(&m->out, m->begun ? id : id | DATA_TOKENS_FIRST);
    m->begun = true;
    m->t->count++;
    if (id > m->largest) m->largest = id;
}

static tola_status put_piece(maker *m, const piece *p) {
    const data_tokens_options *o = m->options;
    if (p->count > 0 && !m->begun) {
        m->t->documents++;
        if (o->before != TOLA_NO_TOKEN) put(m, o->before);
    }
    for (size_t i = 0; i < p->count; i++) {
        if (p->ids[i] >= m->limit) {
            char where[400];
            return err_set(m->err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                           "%s: the tokenizer gives token %u, and the model has %u tokens",
                           data_text_where(m->text, p->document, where, sizeof where), p->ids[i], m->limit);
        }
        put(m, p->ids[i]);
    }
    if (!p->last) return TOLA_OK;
    if (m->begun && o->after != TOLA_NO_TOKEN) put(m, o->after);
    m->begun = false;
    return TOLA_OK;
}

static tola_status flush(maker *m) {
    if (m->out.failed)
        return m->out.full
                   ? err_set(m->err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "too many tokens for memory; a file can keep them")
                   : err_nomem(m->err, "tokenizing");
    if (!m->file) return TOLA_OK;
    TRY(output_write(m->file, HEADER + m->written, m->out.data, m->out.length, m->err));
    m->written += m->out.length;
    m->out.length = 0;
    return TOLA_OK;
}

static tola_status run_batch(maker *m, pool *threads) {
    m->batch.length = m->piece_count = 0;
    while (m->document < data_text_count(m->text) && m->batch.length < BATCH && m->piece_count < BATCH / 64)
        TRY(add_piece(m));
    tola_status status = pool_run(threads, m->piece_count, tokenize_piece, m, m->err);
    for (size_t i = 0; i < m->piece_count; i++) {
        if (status == TOLA_OK) status = put_piece(m, &m->pieces[i]);
        tola_free(m->pieces[i].ids);
    }
    return status == TOLA_OK ? flush(m) : status;
}

static bool go_on(const maker *m) {
    tola_progress now = { "tokenizing", m->bytes_done, data_text_bytes(m->text) };
    if (now.done > now.total) now.done = now.total;
    return !m->options->progress || m->options->progress(m->options->progress_user, &now);
}

static tola_status tokenize_all(maker *m) {
    pool *threads;
    TRY(pool_create(m->options->threads, &threads, m->err));
    tola_status status = TOLA_OK;
    while (status == TOLA_OK && m->document < data_text_count(m->text)) {
        status = run_batch(m, threads);
        if (status == TOLA_OK && !go_on(m))
            status = err_set(m->err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "tokenizing was stopped");
    }
    pool_free(threads);
    TRY(status);
    if (m->t->count >= 2) return TOLA_OK;
    char where[400];
    return err_set(m->err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s: %s, and two are the least that can be learned from",
                   data_text_where(m->text, 0, where, sizeof where),
                   m->t->count ? "one token is there" : "no token is there");
}

static void write_header(const maker *m, uint8_t header[HEADER]) {
    memset(header, 0, HEADER);
    memcpy(header, MAGIC, 8);
    memcpy(header + 8, m->t->digest, SHA256_BYTES);
    for (int i = 0; i < 8; i++) {
        header[40 + i] = (uint8_t)(m->t->count >> 8 * i);
        header[48 + i] = (uint8_t)(m->t->documents >> 8 * i);
    }
    for (int i = 0; i < 4; i++) header[56 + i] = (uint8_t)(m->largest >> 8 * i);
}

/* ---- what the stream is made from ---- */

static tola_status hash_tokenizer(const tola_tokenizer *tokenizer, sha256_stream *s, tola_error *err) {
    for (uint32_t i = 0; i < tola_tokenizer_size(tokenizer); i++) {
        size_t length;
        unsigned flags = 0;
        const char *text = tola_token_text(tokenizer, i, &length, &flags);
        if (!text) continue;
        uint32_t head[3] = { htole32(i), htole32((uint32_t)length), htole32(flags) };
        TRY(sha256_update(s, head, sizeof head, err));
        TRY(sha256_update(s, text, length, err));
    }
    return TOLA_OK;
}

/* The vocabulary does not say in what order it is merged, nor how text is cut into words: the ids of the first text do,
 * for all that matters. */
static tola_status hash_probe(const maker *m, sha256_stream *s) {
    buf text;
    bool end;
    buf_init(&text, 0);
    uint32_t *ids = NULL;
    size_t count = 0;
    tola_status status = data_text_read(m->text, 0, 0, PROBE, &text, &end, m->err);
    if (text.length > PROBE) text.length = PROBE;
    if (status == TOLA_OK && text.length)
        status = tola_tokenize(m->tokenizer, (const char *)text.data, text.length, m->flags, &ids, &count, m->err);
    for (size_t i = 0; i < count; i++) ids[i] = htole32(ids[i]);
    if (status == TOLA_OK && count) status = sha256_update(s, ids, count * sizeof *ids, m->err);
    tola_free(ids);
    buf_free(&text);
    return status;
}

static tola_status hash_all(const maker *m, sha256_stream *s) {
    uint8_t text[SHA256_BYTES];
    uint32_t settings[4] = { htole32(m->options->before), htole32(m->options->after), htole32(m->flags),
                             htole32(m->limit) };
    TRY(data_text_digest(m->text, text, m->err));
    TRY(sha256_update(s, MAGIC, 8, m->err));
    TRY(sha256_update(s, text, sizeof text, m->err));
    TRY(sha256_update(s, settings, sizeof settings, m->err));
    TRY(hash_tokenizer(m->tokenizer, s, m->err));
    return hash_probe(m, s);
}

static tola_status make_digest(const maker *m) {
    sha256_stream *s;
    TRY(sha256_open(&s, m->err));
    tola_status status = hash_all(m, s);
    if (status == TOLA_OK) return sha256_finish(s, m->t->digest, m->err);
    sha256_abort(s);
    return status;
}

/* ---- the file ---- */

static uint64_t u64_at(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

/* Is a file there that was made from the same? t->src is set where it is. */
static tola_status use_cache(maker *m, bool *used) {
    const char *path = m->options->cache;
    struct stat st;
    uint8_t header[HEADER];
    source *src;
    *used = false;
    if (stat(path, &st) != 0) return TOLA_OK;
    TRY(source_open_file(path, &src, m->err));
    bool whole = src->size >= HEADER && source_read(src, 0, header, HEADER, NULL) == TOLA_OK;
    bool ours = whole && memcmp(header, MAGIC, 8) == 0;
    uint64_t count = ours ? u64_at(header + 40) : 0;
    bool same = ours && memcmp(header + 8, m->t->digest, SHA256_BYTES) == 0 && count >= 2 &&
                count <= (src->size - HEADER) / 4 && src->size == HEADER + 4 * count;
    if (same) {
        m->t->count = count;
        m->t->documents = u64_at(header + 48);
        m->t->src = src;
        m->t->cached = *used = true;
        return TOLA_OK;
    }
    source_close(src);
    if (ours) return TOLA_OK; /* of something else, or damaged: it is made again */
    return err_set(m->err, TOLA_E_EXISTS, TOLA_NO_OFFSET,
                   "%s: there is a file that keeps no tokens; it is not overwritten", path);
}

static tola_status make_file(maker *m) {
    output_set *set;
    uint8_t header[HEADER];
    TRY(output_set_open(true, &set, m->err));
    tola_status status = output_add(set, m->options->cache, 0, &m->file, m->err);
    if (status == TOLA_OK) status = tokenize_all(m);
    if (status == TOLA_OK) {
        write_header(m, header);
        status = output_write(m->file, 0, header, HEADER, m->err);
    }
    if (status != TOLA_OK) {
        output_abort(set);
        return status;
    }
    TRY(output_commit(set, m->err));
    return source_open_file(m->options->cache, &m->t->src, m->err);
}

static tola_status make_memory(maker *m) {
    uint8_t header[HEADER];
    buf_zeros(&m->out, HEADER);
    TRY(tokenize_all(m));
    write_header(m, header);
    memcpy(m->out.data, header, HEADER);
    TRY(source_open_memory("tokens", m->out.data, m->out.length, &m->t->src, m->err));
    m->t->memory = m->out.data;
    buf_init(&m->out, 0);
    return TOLA_OK;
}

tola_status data_tokens_open(const data_text *text, const tola_tokenizer *tokenizer, const data_tokens_options *options,
                             data_tokens **out, tola_error *err) {
    static const data_tokens_options none = DATA_TOKENS_OPTIONS_INIT;
    maker m = { .text = text, .tokenizer = tokenizer, .options = options ? options : &none, .err = err };
    m.flags = m.options->special ? 0 : TOLA_TOKENIZE_PLAIN;
    m.limit = m.options->vocabulary ? m.options->vocabulary : tola_tokenizer_size(tokenizer);
    buf_init(&m.batch, MOST_DOCUMENT);
    buf_init(&m.out, m.options->cache ? 0 : (size_t)16 << 30);
    for (int i = 0; i < 2; i++) {
        uint32_t id = i ? m.options->after : m.options->before;
        if (id != TOLA_NO_TOKEN && id >= m.limit)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "token %u between documents, where there are %u tokens", id,
                           m.limit);
    }
    m.t = mem_calloc(1, sizeof *m.t);
    if (!m.t) return err_nomem(err, "tokenizing");
    m.t->limit = m.limit;
    bool used = false;
    tola_status status = make_digest(&m);
    if (status == TOLA_OK && m.options->cache) status = use_cache(&m, &used);
    if (status == TOLA_OK && !used) status = m.options->cache ? make_file(&m) : make_memory(&m);
    buf_free(&m.batch);
    buf_free(&m.out);
    mem_free(m.pieces);
    if (status == TOLA_OK)
        *out = m.t;
    else
        data_tokens_close(m.t);
    return status;
}

void data_tokens_close(data_tokens *t) {
    if (!t) return;
    source_close(t->src);
    mem_free(t->memory);
    mem_free(t);
}

uint64_t data_tokens_count(const data_tokens *t) { return t->count; }
uint64_t data_tokens_documents(const data_tokens *t) { return t->documents; }
bool data_tokens_from_cache(const data_tokens *t) { return t->cached; }
const uint8_t *data_tokens_digest(const data_tokens *t) { return t->digest; }

tola_status data_tokens_read(const data_tokens *t, uint64_t at, size_t count, uint32_t *marked, tola_error *err) {
    tola_status status = source_read(t->src, HEADER + 4 * at, marked, count * sizeof *marked, err);
    if (status != TOLA_OK) return err_in_file(err, status, t->src->path);
    for (size_t i = 0; i < count; i++) {
        marked[i] = le32toh(marked[i]);
        if ((marked[i] & ~DATA_TOKENS_FIRST) < t->limit) continue;
        err_set(err, TOLA_E_FORMAT, HEADER + 4 * (at + i), "token %u is beyond the vocabulary: the file is damaged",
                marked[i] & ~DATA_TOKENS_FIRST);
        return err_in_file(err, TOLA_E_FORMAT, t->src->path);
    }
    return TOLA_OK;
}
