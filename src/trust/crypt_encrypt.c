/* Encrypting. First what is there: files, and in those that are weights the tensors; from it the index, and the place
 * of everything. Then pieces of all files go through the pool: encrypted out of the mapped file into a buffer, which is
 * written past the system's cache, with their codes beside. What another process changes in the input meanwhile does no
 * harm: the code is made of the ciphertext in the buffer. */
#define _GNU_SOURCE 1 /* explicit_bzero */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/output.h"
#include "base/path.h"
#include "base/secret.h"
#include "formats/open.h"
#include "insight/job.h"
#include "trust/crypt_grant.h"
#include "trust/crypt_index.h"
#include "trust/manifest.h"
#include "trust/sign_name.h"
#include "trust/window.h"
#include <tola/encrypt.h>

#define PIECE ((uint64_t)1 << 20)
#define CHUNK ((uint32_t)64 << 10)
#define DIRECT_LEAST ((uint64_t)64 << 20) /* what is small may well stay in the system's cache */

#define SCRATCH(e) ((size_t)PIECE + (e)->chunk_bytes + OUTPUT_BLOCK)
#define LEAST_WINDOW ((uint64_t)64 << 10) /* of less a copy is cheaper than a mapping */

/* A tensor's bytes in a file. */
typedef struct found_tensor {
    size_t member;
    uint64_t offset, bytes;
    size_t at, length; /* its description, in `descriptions` */
} found_tensor;

/* Of one worker. */
typedef struct scratch {
    uint8_t *data; /* SCRATCH bytes */
    crypt_aead cipher;
    buf aad;
    source *open; /* the file that was read last */
    size_t member;
} scratch;

typedef struct encrypting {
    const tola_encrypt_options *o;
    const char *in, *out;
    uint32_t chunk_bytes;
    manifest_files files; /* sorted as members are */
    found_tensor *tensors;
    size_t tensor_count, tensor_cap;
    buf descriptions;
    buf plain; /* the index */
    crypt_index index;
    uint64_t hidden; /* bytes of padding */
    crypt_grants grants;
    uint8_t id[CRYPT_ID];
    uint8_t *keys; /* file key, payload's key, index's key; secret_alloc */
    crypt_layout layout;
    uint64_t index_at, tags_at, payload_at;
    output_file *file;
    job j;
    scratch *scratch;
} encrypting;

/* ---- what is there ---- */

static const char *member_name(const encrypting *e, size_t i) {
    return e->files.folder ? e->files.items[i].path : path_last(e->in);
}

static int by_member(const void *a, const void *b) {
    return crypt_compare_names(((const manifest_file *)a)->path, ((const manifest_file *)b)->path);
}

static tola_status check_file(const manifest_file *f, tola_error *err) {
    static const char *const why[] = { [MANIFEST_LINK] = "is a link",
                                       [MANIFEST_LINK_FOLDER] = "is a link to a folder or to nothing",
                                       [MANIFEST_OTHER] = "is no regular file" };
    if (f->kind == MANIFEST_FILE) return TOLA_OK;
    err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s, which cannot be encrypted along", why[f->kind]);
    return err_in_file(err, TOLA_E_ARG, f->path);
}

/* The output may lie in the folder that is encrypted: one that it will replace is no part of it. */
static tola_status leave_out(encrypting *e, tola_error *err) {
    struct stat out, in;
    buf path;
    size_t kept = 0;
    if (stat(e->out, &out) != 0) return TOLA_OK;
    buf_init(&path, 0);
    for (size_t i = 0; i < e->files.count; i++) {
        tola_status status = manifest_files_path(&e->files, e->files.items[i].path, &path, err);
        if (status != TOLA_OK) {
            buf_free(&path);
            return status;
        }
        bool same = stat((const char *)path.data, &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino;
        if (!same) e->files.items[kept++] = e->files.items[i];
    }
    buf_free(&path);
    if (kept != e->files.count && !e->files.folder)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: the output would replace the input; choose another name",
                       e->out);
    e->files.count = kept;
    return TOLA_OK;
}

static tola_status list_files(encrypting *e, tola_error *err) {
    const manifest_rules rules = { .allow_symlinks = true };
    if (strstr(e->in, "://"))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: files and folders of this machine are encrypted", e->in);
    TRY(manifest_walk(e->in, &rules, &e->files, err));
    TRY(leave_out(e, err));
    for (size_t i = 0; i < e->files.count; i++) TRY(check_file(&e->files.items[i], err));
    if (e->files.count == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: there is nothing to encrypt in it", e->in);
    if (e->files.count > CRYPT_MOST_FILES - 1)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%s: more than %u files", e->in, CRYPT_MOST_FILES - 1);
    qsort(e->files.items, e->files.count, sizeof *e->files.items, by_member);
    return TOLA_OK;
}

static tola_status add_tensor(encrypting *e, const tola_tensor_info *t, size_t member, tola_error *err) {
    found_tensor f = { member, t->offset, t->bytes, e->descriptions.length, 0 };
    crypt_describe(t->bytes, t->name, tola_dtype_name((tola_dtype)t->dtype), t->shape, t->n_dims, &e->descriptions);
    f.length = e->descriptions.length - f.at;
    if (e->descriptions.full)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%s: too many tensors", e->in);
    if (e->descriptions.failed || !mem_grow(&e->tensors, &e->tensor_cap, e->tensor_count + 1, sizeof *e->tensors))
        return err_nomem(err, "listing tensors");
    e->tensors[e->tensor_count++] = f;
    return TOLA_OK;
}

/* The member that a checkpoint calls `path`; SIZE_MAX where it is none. */
static size_t find_member(const encrypting *e, const char *path) {
    size_t n = strlen(e->in);
    if (!e->files.folder) return strcmp(path, e->in) == 0 ? 0 : SIZE_MAX;
    if (strncmp(path, e->in, n) != 0) return SIZE_MAX;
    for (path += n; *path == '/';) path++;
    manifest_file key = { .path = path };
    const manifest_file *f = bsearch(&key, e->files.items, e->files.count, sizeof key, by_member);
    return f ? (size_t)(f - e->files.items) : SIZE_MAX;
}

/* Tensors that lie in the file as they are. What is no weights, or broken, has none. */
static tola_status list_tensors(encrypting *e, const char *path, tola_error *err) {
    tola_checkpoint *ck;
    TRY(ck_create(NULL, &ck, err));
    tola_error why = TOLA_ERROR_INIT;
    tola_status status = ck_read_path(ck, path, &why);
    if (status == TOLA_E_NOMEM) {
        if (err) *err = why;
    } else {
        const size_t count = status == TOLA_OK ? ck->tensor_count : 0;
        status = TOLA_OK;
        for (size_t i = 0; status == TOLA_OK && i < count; i++) {
            const ck_tensor *t = &ck->tensors[i];
            if (t->layout != CK_PLAIN || t->info.bytes == 0 || (t->info.flags & TOLA_TENSOR_MISSING)) continue;
            size_t member = find_member(e, ck->files[t->info.file].info.path);
            if (member != SIZE_MAX) status = add_tensor(e, &t->info, member, err);
        }
    }
    tola_checkpoint_close(ck);
    return status;
}

static tola_status list_all_tensors(encrypting *e, tola_error *err) {
    buf path;
    tola_status status = TOLA_OK;
    buf_init(&path, 0);
    for (size_t i = 0; status == TOLA_OK && i < e->files.count; i++) {
        status = manifest_files_path(&e->files, e->files.items[i].path, &path, err);
        if (status != TOLA_OK) break;
        if (tola_encrypted((const char *)path.data)) {
            if (e->files.folder) continue;
            status = err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                             "%s: is encrypted already; tola rekey changes who may open it", e->in);
            break;
        }
        status = list_tensors(e, (const char *)path.data, err);
    }
    buf_free(&path);
    return status;
}

/* ---- the index ---- */

static int by_place(const void *a, const void *b) {
    const found_tensor *x = a, *y = b;
    if (x->member != y->member) return x->member < y->member ? -1 : 1;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return (x->bytes < y->bytes) -
           (x->bytes > y->bytes); /* of those that begin together the longest covers the others */
}

/* Member i's stretches: its tensors from number *t on, where they do not overlap, and what lies between. */
static uint32_t add_stretches(encrypting *e, size_t i, size_t *t) {
    const uint64_t bytes = e->files.items[i].bytes;
    uint64_t at = 0;
    uint32_t count = 0;
    for (; *t < e->tensor_count && e->tensors[*t].member == i; ++*t) {
        const found_tensor *f = &e->tensors[*t];
        if (f->offset < at || f->offset > bytes || f->bytes > bytes - f->offset) continue;
        if (f->offset > at) {
            crypt_describe(f->offset - at, NULL, NULL, NULL, 0, &e->plain);
            count++;
        }
        buf_append(&e->plain, e->descriptions.data + f->at, f->length);
        count++;
        at = f->offset + f->bytes;
    }
    if (at < bytes) {
        crypt_describe(bytes - at, NULL, NULL, NULL, 0, &e->plain);
        count++;
    }
    return count;
}

static void add_member(encrypting *e, uint8_t kind, const char *name, uint64_t bytes) {
    buf_u8(&e->plain, kind);
    buf_u16le(&e->plain, (uint16_t)strlen(name));
    buf_append(&e->plain, name, strlen(name));
    buf_u64le(&e->plain, bytes);
}

static void add_padding(encrypting *e) {
    add_member(e, CRYPT_PADDING, "", e->hidden);
    buf_u32le(&e->plain, 1);
    crypt_describe(e->hidden, NULL, NULL, NULL, 0, &e->plain);
}

static tola_status make_index(encrypting *e, tola_error *err) {
    size_t t = 0;
    uint64_t total = 0;
    if (e->tensor_count) qsort(e->tensors, e->tensor_count, sizeof *e->tensors, by_place);
    for (size_t i = 0; i < e->files.count; i++) total += e->files.items[i].bytes;
    if (e->o->pad) e->hidden = crypt_padded(total) - total;
    buf_u32le(&e->plain, 1);
    buf_u8(&e->plain, e->files.folder);
    buf_u32le(&e->plain, (uint32_t)(e->files.count + (e->hidden > 0)));
    for (size_t i = 0; i < e->files.count && !e->plain.failed; i++) {
        add_member(e, CRYPT_FILE, member_name(e, i), e->files.items[i].bytes);
        size_t count_at = e->plain.length;
        buf_u32le(&e->plain, 0);
        uint32_t count = add_stretches(e, i, &t);
        for (int b = 0; b < 4 && !e->plain.failed; b++)
            e->plain.data[count_at + (size_t)b] = (uint8_t)(count >> (8 * b));
    }
    if (e->hidden) add_padding(e);
    if (!e->plain.failed)
        buf_zeros(&e->plain, (size_t)(crypt_padded(e->plain.length + CRYPT_TAG) - CRYPT_TAG) - e->plain.length);
    if (e->plain.failed && !e->plain.full) return err_nomem(err, "listing files");
    if (e->plain.full || e->plain.length > CRYPT_MOST_INDEX - CRYPT_TAG)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%s: too many files and tensors", e->in);
    return crypt_index_parse(e->plain.data, e->plain.length, e->chunk_bytes, &e->index, err);
}

/* ---- head and list ---- */

static tola_status lay_out(encrypting *e, uint64_t *bytes, tola_error *err) {
    const uint32_t slot = crypt_slot_for(e->grants.publics.length / CRYPT_KEY, e->grants.passphrases);
    uint8_t prologue[CRYPT_PROLOGUE], zeros[CRYPT_SLOTS_AT] = { 0 };
    e->layout = (crypt_layout){ e->chunk_bytes, e->plain.length + CRYPT_TAG, crypt_padded(e->index.chunks * CRYPT_TAG),
                                e->index.payload };
    e->index_at = CRYPT_SLOTS_AT + 2 * (uint64_t)slot;
    e->tags_at = e->index_at + e->layout.index_bytes;
    e->payload_at = e->tags_at + e->layout.tags_bytes;
    *bytes = e->payload_at + e->layout.payload_bytes;
    crypt_prologue(prologue, e->id, slot);
    memcpy(zeros, prologue, sizeof prologue);
    buf_append(&e->grants.head, zeros, sizeof zeros);
    buf body;
    buf_init(&body, 0);
    tola_status status = crypt_slot_make(prologue, 1, &e->grants.stanzas, e->grants.count, &e->grants.publics,
                                         &e->layout, e->keys, &body, err);
    buf_append(&e->grants.head, body.data, body.length);
    buf_zeros(&e->grants.head, slot); /* the slot that a rekey will use */
    buf_free(&body);
    if (status == TOLA_OK && e->grants.head.failed) status = err_nomem(err, "making a header");
    return status;
}

static tola_status write_index(encrypting *e, tola_error *err) {
    static const uint8_t nonce[CRYPT_NONCE];
    uint8_t aad[12 + CRYPT_ID];
    const size_t n = e->plain.length;
    uint8_t *sealed = mem_alloc(n + CRYPT_TAG);
    if (!sealed) return err_nomem(err, "listing files");
    memcpy(aad, "tola index 1", 12);
    memcpy(aad + 12, e->id, CRYPT_ID);
    tola_status status = crypt_subkey(e->id, e->keys, "tola encrypt 1 index", e->keys + 2 * CRYPT_KEY, err);
    if (status == TOLA_OK)
        status = crypt_xseal(e->keys + 2 * CRYPT_KEY, nonce, aad, sizeof aad, e->plain.data, sealed, n, err);
    if (status == TOLA_OK) status = output_write(e->file, e->index_at, sealed, n + CRYPT_TAG, err);
    mem_free(sealed);
    return status;
}

static tola_status write_filling(encrypting *e, tola_error *err) {
    const uint64_t at = e->tags_at + e->index.chunks * CRYPT_TAG;
    const size_t bytes = (size_t)(e->payload_at - at);
    uint8_t *filling = mem_alloc(bytes + CRYPT_TAG);
    if (!filling) return err_nomem(err, "encrypting");
    tola_status status = crypt_filling(e->id, e->keys, filling, bytes, err);
    if (status == TOLA_OK) status = output_write(e->file, at, filling, bytes, err);
    mem_free(filling);
    return status;
}

/* ---- the payload ---- */

static tola_status open_member(encrypting *e, scratch *s, size_t member, tola_error *err) {
    if (s->open && s->member == member) return TOLA_OK;
    source_close(s->open);
    s->open = NULL;
    buf path;
    buf_init(&path, 0);
    tola_status status = manifest_files_path(&e->files, e->files.items[member].path, &path, err);
    if (status == TOLA_OK) status = source_open_file((const char *)path.data, &s->open, err);
    if (status == TOLA_OK && s->open->size != e->files.items[member].bytes) {
        status = err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "the file changed its length since it was listed");
        err_in_file(err, status, (const char *)path.data);
    }
    s->member = member;
    buf_free(&path);
    return status;
}

/* The span's plaintext: mapped, or read to `place`. */
static tola_status get_plain(encrypting *e, scratch *s, size_t member, const crypt_span *span, uint8_t *place,
                             window *w, const uint8_t **plain, tola_error *err) {
    *w = (window){ 0 };
    *plain = place;
    if (member == e->files.count) { /* padding */
        memset(place, 0, (size_t)span->bytes);
        return TOLA_OK;
    }
    TRY(open_member(e, s, member, err));
    if (span->bytes >= LEAST_WINDOW && span->bytes <= WINDOW_BYTES &&
        window_open(w, s->open, span->offset, (size_t)span->bytes)) {
        *plain = w->data;
        return TOLA_OK;
    }
    tola_status status = source_read(s->open, span->offset, place, (size_t)span->bytes, err);
    return status == TOLA_OK ? status : err_in_file(err, status, s->open->path);
}

static tola_status seal_span(encrypting *e, scratch *s, const crypt_span *span, const uint8_t *plain, uint8_t *out,
                             uint8_t *tags, tola_error *err) {
    const crypt_stretch *of = NULL;
    size_t fixed;
    crypt_step step;
    crypt_step_first(&e->index, span, e->chunk_bytes, &step);
    for (uint64_t i = 0; i < span->count; i++, tags += CRYPT_TAG) {
        uint8_t tail[8];
        if (i) crypt_step_next(&step, e->chunk_bytes);
        crypt_step_aad(e->id, &e->index, &step, &s->aad, &of, &fixed, tail);
        if (s->aad.failed) return err_nomem(err, "encrypting");
        TRY(crypt_seal(&s->cipher, tail, s->aad.data, s->aad.length, plain, out, step.bytes, tags, err));
        plain += step.bytes;
        out += step.bytes;
    }
    return TOLA_OK;
}

static tola_status seal_member_span(encrypting *e, scratch *s, size_t member, const crypt_span *span, uint8_t *out,
                                    uint8_t *tags, tola_error *err) {
    const uint8_t *plain;
    window w;
    TRY(get_plain(e, s, member, span, out, &w, &plain, err));
    tola_status status = seal_span(e, s, span, plain, out, tags, err);
    if (window_close(&w)) return status;
    err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "the file became shorter while it was read");
    return err_in_file(err, TOLA_E_IO, s->open->path);
}

static tola_status encrypt_piece(void *context, const job_piece *p, tola_error *err) {
    encrypting *e = context;
    scratch *s = &e->scratch[p->worker];
    const crypt_member *m = &e->index.members[p->item];
    crypt_span span;
    if (!crypt_span_find(&e->index, m, e->chunk_bytes, p->offset, p->offset + p->size, &span))
        return job_advance(&e->j, p->size, err);
    uint8_t *tags = mem_alloc((size_t)span.count * CRYPT_TAG);
    if (!tags) return err_nomem(err, "encrypting");
    const uint64_t at = e->payload_at + m->start + span.offset;
    uint8_t *out = s->data + at % OUTPUT_BLOCK; /* as output_direct wants it */
    tola_status status = seal_member_span(e, s, p->item, &span, out, tags, err);
    if (status == TOLA_OK) status = output_write(e->file, at, out, (size_t)span.bytes, err);
    if (status == TOLA_OK)
        status = output_write(e->file, e->tags_at + span.first * CRYPT_TAG, tags, (size_t)span.count * CRYPT_TAG, err);
    mem_free(tags);
    if (status != TOLA_OK) return status;
    output_flush_hint(e->file, at, span.bytes);
    return job_advance(&e->j, p->size, err);
}

static tola_status prepare_workers(encrypting *e, tola_error *err) {
    const unsigned n = job_threads(&e->j);
    e->scratch = mem_calloc(n, sizeof *e->scratch);
    if (!e->scratch) return err_nomem(err, "encrypting");
    for (unsigned i = 0; i < n; i++) {
        buf_init(&e->scratch[i].aad, 0);
        e->scratch[i].data = secret_map(SCRATCH(e));
        if (!e->scratch[i].data) return err_nomem(err, "encrypting");
        TRY(crypt_aead_open(&e->scratch[i].cipher, true, e->keys + CRYPT_KEY, err));
    }
    return TOLA_OK;
}

static void free_workers(encrypting *e) {
    for (unsigned i = 0; e->scratch && i < job_threads(&e->j); i++) {
        source_close(e->scratch[i].open);
        secret_unmap(e->scratch[i].data, SCRATCH(e));
        crypt_aead_close(&e->scratch[i].cipher);
        buf_free(&e->scratch[i].aad);
    }
    mem_free(e->scratch);
}

static tola_status write_payload(encrypting *e, tola_error *err) {
    const size_t count = e->index.member_count;
    job_item *items = mem_alloc((count + 1) * sizeof *items);
    if (!items) return err_nomem(err, "encrypting");
    for (size_t i = 0; i < count; i++) items[i] = (job_item){ i, e->index.members[i].bytes, PIECE };
    tola_status status =
        job_open(&e->j, e->o->threads, e->o->progress, e->o->progress_user, "encrypting", e->index.payload, err);
    if (status == TOLA_OK) {
        status = prepare_workers(e, err);
        window_guard_begin();
        if (status == TOLA_OK) status = job_run(&e->j, items, count, encrypt_piece, e, err);
        window_guard_end();
        free_workers(e);
        job_close(&e->j);
    }
    mem_free(items);
    return status;
}

/* ---- all of it ---- */

static tola_status make_keys(encrypting *e, tola_error *err) {
    uint8_t *payload;
    e->keys = secret_alloc(3 * CRYPT_KEY);
    if (!e->keys)
        return err_set(err, TOLA_E_NOMEM, TOLA_NO_OFFSET,
                       "memory for keys cannot be locked: raise the limit that ulimit -l shows");
    payload = e->keys + CRYPT_KEY;
    TRY(crypt_random(e->id, CRYPT_ID, err));
    TRY(crypt_random(e->keys, CRYPT_KEY, err));
    TRY(crypt_subkey(e->id, e->keys, "tola encrypt 1 payload", payload + CRYPT_KEY, err));
    crypt_hchacha20(payload + CRYPT_KEY, e->id, payload);
    return TOLA_OK;
}

static tola_status write_all(encrypting *e, output_set *set, tola_error *err) {
    uint64_t bytes;
    TRY(lay_out(e, &bytes, err));
    TRY(output_add(set, e->out, bytes, &e->file, err));
    if (e->layout.payload_bytes >= DIRECT_LEAST) output_direct(e->file);
    TRY(output_write(e->file, 0, e->grants.head.data, e->grants.head.length, err));
    TRY(write_index(e, err));
    TRY(write_filling(e, err));
    TRY(write_payload(e, err));
    return output_truncate(e->file, bytes, err);
}

static tola_status encrypt(encrypting *e, tola_error *err) {
    const crypt_kdf kdf = crypt_kdf_of(e->o->kdf_memory, e->o->kdf_passes);
    const uint32_t c = e->chunk_bytes;
    if (c < CRYPT_LEAST_CHUNK || c > CRYPT_MOST_CHUNK || (c & (c - 1)))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "chunks of %u bytes; a power of two from 4096 to 16 MiB is needed", c);
    TRY(list_files(e, err));
    TRY(make_keys(e, err));
    TRY(crypt_grant(e->id, e->keys, e->o->recipients, e->o->passphrase_files, kdf, &e->grants, err));
    if (e->grants.count == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "encrypting needs a recipient or a passphrase");
    TRY(list_all_tensors(e, err));
    TRY(make_index(e, err));
    output_set *set;
    TRY(output_set_open(e->o->overwrite, &set, err));
    tola_status status = write_all(e, set, err);
    if (status == TOLA_OK) return output_commit(set, err);
    output_abort(set);
    return status;
}

static void summarize(const encrypting *e, tola_encrypt_summary *s) {
    *s = (tola_encrypt_summary){ .folder = e->files.folder, .files = e->files.count };
    for (size_t i = 0; i < e->files.count; i++) s->bytes += e->files.items[i].bytes;
    for (size_t i = 0; i < e->index.stretch_count; i++) s->tensors += crypt_is_tensor(&e->index.stretches[i]);
    s->file_bytes = e->payload_at + e->layout.payload_bytes;
    s->recipients = e->grants.publics.length / CRYPT_KEY;
    s->passphrases = e->grants.passphrases;
}

tola_status tola_encrypt(const char *in, const char *out, const tola_encrypt_options *options,
                         tola_encrypt_summary *summary, tola_error *err) {
    tola_encrypt_options o = TOLA_ENCRYPT_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    double start = clock_seconds();
    encrypting e = { .o = &o, .in = in, .chunk_bytes = o.chunk_bytes ? o.chunk_bytes : CHUNK };
    char *target, *name = sign_model_name(in);
    buf named;
    buf_init(&named, 0);
    if (name) buf_printf(&named, "%s.enc", name);
    mem_free(name);
    tola_status status = !name || named.failed ? err_nomem(err, "naming the output")
                                               : crypt_target(out, (const char *)named.data, &target, err);
    buf_free(&named);
    TRY(status);
    e.out = target;
    buf_init(&e.descriptions, CRYPT_MOST_INDEX);
    buf_init(&e.plain, CRYPT_MOST_INDEX);
    crypt_grants_init(&e.grants);
    status = encrypt(&e, err);
    if (status == TOLA_OK && summary) {
        summarize(&e, summary);
        summary->seconds = clock_seconds() - start;
    }
    crypt_grants_free(&e.grants);
    crypt_index_free(&e.index);
    buf_free(&e.descriptions);
    buf_free(&e.plain);
    mem_free(e.tensors);
    secret_free(e.keys);
    manifest_files_free(&e.files);
    mem_free(target);
    return status;
}
