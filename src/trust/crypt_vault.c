/* Reading encrypted models. Ciphertext has the plaintext's length and lies in the plaintext's order, so a read is one
 * pread into the caller's memory, where it is decrypted; codes lie apart, 16 bytes a chunk. A chunk that is wanted in
 * part is decrypted whole beside it and kept for the next read: parsers come in small steps.
 *
 * Vaults are shared by all who open the same file, so that its key and index are worked out once. */
#define _GNU_SOURCE 1 /* explicit_bzero */
#include "trust/crypt_vault.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/secret.h"
#include "formats/format.h"
#include "trust/crypt_ring.h"

enum { MOST_CIPHERS = 64, KEPT = 4 };
#define PIECE ((uint64_t)1 << 20)  /* bytes that one task of a large read decrypts */
#define SHARED ((uint64_t)8 << 20) /* reads from here on are shared out over threads */

struct vault {
    vault *next;
    unsigned users; /* under vaults_lock */
    source *outer;
    bool has_file;
    struct stat file; /* which it is */
    crypt_header header;
    crypt_index index;
    uint8_t *plain; /* the index's bytes; secret_map */
    size_t plain_bytes;
    uint8_t *key; /* of the payload; secret_alloc */
    uint64_t tags_at, payload_at;
    pthread_mutex_t lock;             /* over ciphers */
    crypt_aead ciphers[MOST_CIPHERS]; /* that nobody uses now */
    unsigned cipher_count;
    pthread_mutex_t pool_lock; /* held by the one who uses it */
    pool *pool;
};

static pthread_mutex_t vaults_lock = PTHREAD_MUTEX_INITIALIZER;
static vault *vaults;

/* ---- opening ---- */

static tola_status read_index(vault *v, const uint8_t *file_key, tola_error *err) {
    uint8_t key[CRYPT_KEY], aad[CRYPT_ID + 12];
    static const uint8_t nonce[CRYPT_NONCE];
    bool genuine = false;
    const crypt_header *h = &v->header;
    v->plain_bytes = (size_t)h->layout.index_bytes;
    v->plain = secret_map(v->plain_bytes);
    if (!v->plain) return err_nomem(err, "opening an encrypted model");
    TRY(source_read(v->outer, crypt_index_at(h), v->plain, v->plain_bytes, err));
    memcpy(aad, "tola index 1", 12);
    memcpy(aad + 12, crypt_id(h), CRYPT_ID);
    TRY(crypt_subkey(crypt_id(h), file_key, "tola encrypt 1 index", key, err));
    tola_status status =
        crypt_xunseal(key, nonce, aad, sizeof aad, v->plain, v->plain, v->plain_bytes - CRYPT_TAG, &genuine, err);
    explicit_bzero(key, sizeof key);
    TRY(status);
    if (!genuine) return err_set(err, TOLA_E_FORMAT, crypt_index_at(h), "the list of its files was changed or damaged");
    return crypt_index_parse(v->plain, v->plain_bytes - CRYPT_TAG, h->layout.chunk_bytes, &v->index, err);
}

/* Everything has one place and one length; a byte more or less is told here. */
static tola_status check_size(vault *v, tola_error *err) {
    const crypt_layout *l = &v->header.layout;
    uint64_t end, index_at = crypt_index_at(&v->header);
    if (!add_u64(index_at, l->index_bytes, &v->tags_at) || !add_u64(v->tags_at, l->tags_bytes, &v->payload_at) ||
        !add_u64(v->payload_at, l->payload_bytes, &end))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the header is damaged");
    if (end > v->outer->size)
        return err_set(err, TOLA_E_FORMAT, v->outer->size, "truncated: %" PRIu64 " bytes are missing at its end",
                       end - v->outer->size);
    if (end < v->outer->size)
        return err_set(err, TOLA_E_FORMAT, end, "%" PRIu64 " bytes follow its end", v->outer->size - end);
    return TOLA_OK;
}

/* What fills up the tags is read by nobody, but a change of it should be told like any other. */
static tola_status check_filling(vault *v, const uint8_t *file_key, tola_error *err) {
    const uint64_t at = v->tags_at + v->index.chunks * CRYPT_TAG, bytes = v->payload_at - at;
    uint8_t *both = bytes < SIZE_MAX / 2 - CRYPT_TAG ? mem_alloc(2 * (size_t)bytes + CRYPT_TAG) : NULL;
    if (!both) return err_nomem(err, "opening an encrypted model");
    tola_status status = source_read(v->outer, at, both, (size_t)bytes, err);
    if (status == TOLA_OK) status = crypt_filling(crypt_id(&v->header), file_key, both + bytes, (size_t)bytes, err);
    if (status == TOLA_OK && memcmp(both, both + bytes, (size_t)bytes) != 0)
        status = err_set(err, TOLA_E_FORMAT, at, "what fills up its tags was changed or damaged");
    mem_free(both);
    return status;
}

static tola_status unlock(vault *v, uint8_t *file_key, tola_error *err) {
    uint8_t key[CRYPT_KEY];
    TRY(crypt_ring_unlock(&v->header, file_key, err));
    TRY(check_size(v, err));
    TRY(read_index(v, file_key, err));
    const crypt_layout *l = &v->header.layout;
    if (v->index.payload != l->payload_bytes || l->tags_bytes != crypt_padded(v->index.chunks * CRYPT_TAG))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the list of its files does not fit the header");
    TRY(check_filling(v, file_key, err));
    v->key = secret_alloc(CRYPT_KEY);
    if (!v->key) return err_nomem(err, "opening an encrypted model");
    TRY(crypt_subkey(crypt_id(&v->header), file_key, "tola encrypt 1 payload", key, err));
    crypt_hchacha20(key, crypt_id(&v->header), v->key);
    explicit_bzero(key, sizeof key);
    return TOLA_OK;
}

static void vault_free(vault *v) {
    for (unsigned i = 0; i < v->cipher_count; i++) crypt_aead_close(&v->ciphers[i]);
    pool_free(v->pool);
    secret_free(v->key);
    crypt_index_free(&v->index);
    if (v->plain) explicit_bzero(v->plain, v->plain_bytes);
    secret_unmap(v->plain, v->plain_bytes);
    crypt_header_free(&v->header);
    source_close(v->outer);
    pthread_mutex_destroy(&v->lock);
    pthread_mutex_destroy(&v->pool_lock);
    mem_free(v);
}

static tola_status make(source *outer, vault **out, tola_error *err) {
    vault *v = mem_calloc(1, sizeof *v);
    if (!v) {
        source_close(outer);
        return err_nomem(err, "opening an encrypted model");
    }
    v->outer = outer;
    v->users = 1;
    pthread_mutex_init(&v->lock, NULL);
    pthread_mutex_init(&v->pool_lock, NULL);
    int fd = source_descriptor(outer);
    v->has_file = fd >= 0 && fstat(fd, &v->file) == 0;
    uint8_t *file_key = secret_alloc(CRYPT_KEY);
    tola_status status = file_key ? crypt_header_read(outer, 0, &v->header, err)
                                  : err_set(err, TOLA_E_NOMEM, TOLA_NO_OFFSET,
                                            "memory for keys cannot be locked: raise the limit that ulimit -l shows");
    if (status == TOLA_OK) status = unlock(v, file_key, err);
    secret_free(file_key);
    if (status == TOLA_OK)
        *out = v;
    else
        vault_free(v);
    return status;
}

static bool is_same(const vault *v, const struct stat *st) {
    return v->has_file && v->file.st_dev == st->st_dev && v->file.st_ino == st->st_ino &&
           v->file.st_size == st->st_size && v->file.st_mtim.tv_sec == st->st_mtim.tv_sec &&
           v->file.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

tola_status vault_open(source *outer, vault **out, tola_error *err) {
    struct stat st;
    int fd = source_descriptor(outer);
    bool has_file = fd >= 0 && fstat(fd, &st) == 0;
    pthread_mutex_lock(&vaults_lock); /* kept while a key is looked for, so that shards look for it once */
    vault *v = has_file ? vaults : NULL;
    while (v && !is_same(v, &st)) v = v->next;
    tola_status status = TOLA_OK;
    if (v) {
        v->users++;
        source_close(outer);
    } else if ((status = make(outer, &v, err)) == TOLA_OK) {
        v->next = vaults;
        vaults = v;
    }
    pthread_mutex_unlock(&vaults_lock);
    if (status == TOLA_OK) *out = v;
    return status;
}

static void vault_use(vault *v) {
    pthread_mutex_lock(&vaults_lock);
    v->users++;
    pthread_mutex_unlock(&vaults_lock);
}

void vault_close(vault *v) {
    if (!v) return;
    pthread_mutex_lock(&vaults_lock);
    bool last = --v->users == 0;
    for (vault **p = &vaults; last && *p; p = &(*p)->next)
        if (*p == v) {
            *p = v->next;
            break;
        }
    pthread_mutex_unlock(&vaults_lock);
    if (last) vault_free(v);
}

const crypt_index *vault_index(const vault *v) { return &v->index; }
const crypt_header *vault_header(const vault *v) { return &v->header; }
uint64_t vault_file_bytes(const vault *v) { return v->outer->size; }

/* ---- chunks ---- */

static tola_status take_cipher(vault *v, crypt_aead *out, tola_error *err) {
    pthread_mutex_lock(&v->lock);
    bool there = v->cipher_count > 0;
    if (there) *out = v->ciphers[--v->cipher_count];
    pthread_mutex_unlock(&v->lock);
    return there ? TOLA_OK : crypt_aead_open(out, false, v->key, err);
}

static void give_cipher(vault *v, crypt_aead *a) {
    pthread_mutex_lock(&v->lock);
    bool room = v->cipher_count < MOST_CIPHERS;
    if (room) v->ciphers[v->cipher_count++] = *a;
    pthread_mutex_unlock(&v->lock);
    if (!room) crypt_aead_close(a);
}

/* Where a chunk's code and bytes lie. */
static uint64_t tag_at(const vault *v, uint64_t chunk) { return v->tags_at + chunk * CRYPT_TAG; }

static uint64_t bytes_at(const vault *v, const crypt_member *m, uint64_t offset) {
    return v->payload_at + m->start + offset;
}

/* In place. */
static tola_status open_chunks(vault *v, crypt_aead *a, const crypt_span *span, const uint8_t *tags, uint8_t *data,
                               buf *aad, tola_error *err) {
    const uint32_t size = v->header.layout.chunk_bytes;
    const crypt_stretch *of = NULL;
    size_t fixed;
    crypt_step step;
    crypt_step_first(&v->index, span, size, &step);
    for (uint64_t i = 0; i < span->count; i++, tags += CRYPT_TAG) {
        uint8_t tail[8];
        bool genuine;
        if (i) crypt_step_next(&step, size);
        crypt_step_aad(crypt_id(&v->header), &v->index, &step, aad, &of, &fixed, tail);
        if (aad->failed) return err_nomem(err, "decrypting");
        TRY(crypt_unseal(a, tail, aad->data, aad->length, data, data, step.bytes, tags, &genuine, err));
        if (!genuine)
            return err_set(err, TOLA_E_FORMAT,
                           bytes_at(v, &v->index.members[step.s->member], step.s->offset + step.chunk * size),
                           "what is encrypted here was changed or damaged");
        data += step.bytes;
    }
    return TOLA_OK;
}

tola_status vault_read_span(vault *v, const crypt_member *m, const crypt_span *span, uint8_t *dst, tola_error *err) {
    crypt_aead a = { 0 };
    buf aad;
    buf_init(&aad, 0);
    uint8_t *tags = span->count <= SIZE_MAX / CRYPT_TAG ? mem_alloc((size_t)span->count * CRYPT_TAG) : NULL;
    tola_status status = tags ? take_cipher(v, &a, err) : err_nomem(err, "decrypting");
    if (status == TOLA_OK)
        status = source_read(v->outer, tag_at(v, span->first), tags, (size_t)span->count * CRYPT_TAG, err);
    if (status == TOLA_OK) status = source_read(v->outer, bytes_at(v, m, span->offset), dst, (size_t)span->bytes, err);
    if (status == TOLA_OK) status = open_chunks(v, &a, span, tags, dst, &aad, err);
    if (status != TOLA_OK && span->bytes) explicit_bzero(dst, (size_t)span->bytes);
    if (a.ctx) give_cipher(v, &a);
    mem_free(tags);
    buf_free(&aad);
    return status;
}

static uint64_t span_bytes(const vault *v, const crypt_stretch *s, uint64_t chunk, uint64_t count) {
    uint64_t size = v->header.layout.chunk_bytes, left = s->bytes - chunk * size;
    return count * size < left ? count * size : left;
}

/* PIECE bytes at most, or one chunk: what has been read is still in the cache when it is decrypted. */
static tola_status read_piece(vault *v, const crypt_stretch *s, uint64_t chunk, uint64_t count, uint8_t *dst,
                              tola_error *err) {
    const crypt_span span = { (size_t)(s - v->index.stretches),
                              chunk,
                              s->offset + chunk * v->header.layout.chunk_bytes,
                              span_bytes(v, s, chunk, count),
                              s->first_chunk + chunk,
                              count };
    return vault_read_span(v, &v->index.members[s->member], &span, dst, err);
}

static uint64_t piece_chunks(const vault *v) {
    const uint32_t size = v->header.layout.chunk_bytes;
    return size < PIECE ? PIECE / size : 1;
}

typedef struct large_read {
    vault *v;
    const crypt_stretch *s;
    uint64_t chunk, count;
    uint8_t *dst;
} large_read;

static tola_status read_task(void *context, size_t task, unsigned worker, tola_error *err) {
    const large_read *r = context;
    const uint64_t step = piece_chunks(r->v), done = task * step, left = r->count - done;
    (void)worker;
    return read_piece(r->v, r->s, r->chunk + done, left < step ? left : step,
                      r->dst + done * r->v->header.layout.chunk_bytes, err);
}

/* Chunks [chunk, chunk + count) of a stretch; the last may be short. */
static tola_status read_chunks(vault *v, const crypt_stretch *s, uint64_t chunk, uint64_t count, uint8_t *dst,
                               tola_error *err) {
    large_read r = { v, s, chunk, count, dst };
    const uint64_t step = piece_chunks(v);
    const size_t tasks = (size_t)((count + step - 1) / step);
    tola_status status = TOLA_OK;
    if (span_bytes(v, s, chunk, count) >= SHARED && pthread_mutex_trylock(&v->pool_lock) == 0) {
        if (!v->pool) status = pool_create(0, &v->pool, err);
        if (status == TOLA_OK) status = pool_run(v->pool, tasks, read_task, &r, err);
        pthread_mutex_unlock(&v->pool_lock);
        return status;
    }
    for (size_t i = 0; i < tasks && status == TOLA_OK; i++) status = read_task(&r, i, 0, err);
    return status;
}

/* ---- a file of it ---- */

typedef struct kept_chunk {
    uint64_t number; /* counted through all files */
    uint64_t used;
    uint8_t *data; /* NULL: free; `size` bytes of a chunk */
} kept_chunk;

typedef struct vault_file {
    source base;
    vault *v;
    const crypt_member *m;
    pthread_mutex_t lock; /* over kept */
    kept_chunk kept[KEPT];
    uint64_t tick;
    char path[];
} vault_file;

/* The stretch in which `offset` lies. */
static const crypt_stretch *stretch_at(const vault_file *f, uint64_t offset) {
    const crypt_stretch *all = f->v->index.stretches + f->m->first;
    size_t low = 0, high = f->m->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (all[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    return &all[low];
}

/* The chunk in memory; the lock is held. */
static tola_status keep_chunk(vault_file *f, const crypt_stretch *s, uint64_t chunk, const uint8_t **data,
                              tola_error *err) {
    const uint64_t number = s->first_chunk + chunk;
    kept_chunk *oldest = &f->kept[0];
    for (kept_chunk *k = f->kept; k < f->kept + KEPT; k++) {
        if (k->data && k->number == number) {
            k->used = ++f->tick;
            *data = k->data;
            return TOLA_OK;
        }
        if (k->used < oldest->used) oldest = k;
    }
    if (!oldest->data) oldest->data = secret_map(f->v->header.layout.chunk_bytes);
    if (!oldest->data) return err_nomem(err, "decrypting");
    oldest->number = UINT64_MAX;
    TRY(read_piece(f->v, s, chunk, 1, oldest->data, err));
    oldest->number = number;
    oldest->used = ++f->tick;
    *data = oldest->data;
    return TOLA_OK;
}

static tola_status read_part(vault_file *f, const crypt_stretch *s, uint64_t chunk, size_t skip, uint8_t *dst,
                             size_t bytes, tola_error *err) {
    const uint8_t *data;
    pthread_mutex_lock(&f->lock);
    tola_status status = keep_chunk(f, s, chunk, &data, err);
    if (status == TOLA_OK) memcpy(dst, data + skip, bytes);
    pthread_mutex_unlock(&f->lock);
    return status;
}

static tola_status file_read(source *src, uint64_t offset, void *dst, size_t bytes, tola_error *err) {
    vault_file *f = (vault_file *)src;
    const uint64_t size = f->v->header.layout.chunk_bytes;
    uint8_t *p = dst;
    const crypt_stretch *s = stretch_at(f, offset);
    while (bytes) {
        uint64_t at = offset - s->offset, left = s->bytes - at, chunk = at / size, skip = at % size;
        uint64_t here = bytes < left ? bytes : left;
        uint64_t whole = here == left ? crypt_chunks(s->bytes, (uint32_t)size) - chunk : (at + here) / size - chunk;
        if (skip == 0 && whole > 0) {
            here = span_bytes(f->v, s, chunk, whole);
            TRY(read_chunks(f->v, s, chunk, whole, p, err));
        } else {
            uint64_t in_chunk = span_bytes(f->v, s, chunk, 1) - skip;
            if (in_chunk < here) here = in_chunk;
            TRY(read_part(f, s, chunk, (size_t)skip, p, (size_t)here, err));
        }
        p += here;
        offset += here;
        bytes -= (size_t)here;
        if (offset == s->offset + s->bytes) s++;
    }
    return TOLA_OK;
}

static void file_close(source *s) {
    vault_file *f = (vault_file *)s;
    for (int i = 0; i < KEPT; i++) secret_unmap(f->kept[i].data, f->v->header.layout.chunk_bytes);
    pthread_mutex_destroy(&f->lock);
    vault_close(f->v);
    mem_free(f);
}

static const source_ops file_ops = { file_read, NULL, NULL, file_close };

tola_status vault_source(vault *v, const crypt_member *m, const char *path, source **out, tola_error *err) {
    size_t n = strlen(path) + 1;
    vault_file *f = mem_calloc(1, sizeof *f + n);
    if (!f) return err_nomem(err, "opening an encrypted model");
    memcpy(f->path, path, n);
    f->base = (source){ &file_ops, f->path, m->bytes, v->outer->remote, true, v->outer->version };
    f->v = v;
    f->m = m;
    vault_use(v);
    pthread_mutex_init(&f->lock, NULL);
    *out = &f->base;
    return TOLA_OK;
}

/* ---- as formats/ sees it ---- */

static tola_status container_open(source *outer, void **out, tola_error *err) {
    vault *v;
    TRY(vault_open(outer, &v, err));
    *out = v;
    return TOLA_OK;
}

static void container_close(void *opened) { vault_close(opened); }

static bool container_folder(const void *opened) { return vault_index(opened)->folder; }

static const char *container_next(const void *opened, size_t *at) {
    const crypt_index *x = vault_index(opened);
    while (*at < x->member_count) {
        const crypt_member *m = &x->members[(*at)++];
        if (m->kind == CRYPT_FILE) return m->name;
    }
    return NULL;
}

static tola_status container_file(void *opened, const char *name, const char *path, source **out, tola_error *err) {
    vault *v = opened;
    const crypt_member *m = name ? crypt_index_find(&v->index, name) : crypt_index_only(&v->index);
    if (m) return vault_source(v, m, path, out, err);
    if (name) return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "there is no such file in the encrypted folder");
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "is an encrypted folder, not a file");
}

const container container_encrypted = { crypt_probe,      container_open, container_close,
                                        container_folder, container_next, container_file };
