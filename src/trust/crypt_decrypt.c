/* Decrypting: every file of an encrypted model, piece by piece through the pool. Nothing appears before all of it was
 * found genuine. */
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/output.h"
#include "base/path.h"
#include "base/secret.h"
#include "base/text.h"
#include "insight/job.h"
#include "trust/crypt_grant.h"
#include "trust/crypt_vault.h"
#include <tola/encrypt.h>

#define PIECE ((uint64_t)1 << 20)
#define DIRECT_LEAST ((uint64_t)64 << 20) /* what is small may well stay in the system's cache */

typedef struct decrypting {
    const tola_decrypt_options *o;
    const char *in;
    char *target; /* the file, or the folder */
    vault *v;
    const crypt_index *x;
    uint32_t chunk_bytes;
    output_set *set;
    output_file **files; /* one a member; NULL: padding */
    job j;
    uint8_t **data; /* one a worker */
} decrypting;

/* ---- places ---- */

/* Folders between `from`, which exists, and the file `name` below. */
static tola_status add_folders(decrypting *d, const char *name, const char *before, tola_error *err) {
    for (const char *slash = name; (slash = strchr(slash, '/')); slash++) {
        const size_t n = (size_t)(slash - name) + 1;
        if (before && strncmp(before, name, n) == 0) continue; /* as for the file before */
        char *part = path_join(d->target, name);
        if (!part) return err_nomem(err, "naming a folder");
        part[strlen(part) - strlen(slash)] = 0;
        tola_status status = output_add_folder(d->set, part, err);
        mem_free(part);
        TRY(status);
    }
    return TOLA_OK;
}

static tola_status add_files(decrypting *d, tola_error *err) {
    const char *before = NULL;
    for (size_t i = 0; i < d->x->member_count; i++) {
        const crypt_member *m = &d->x->members[i];
        if (m->kind != CRYPT_FILE) continue;
        if (d->x->folder) TRY(add_folders(d, m->name, before, err));
        char *path = d->x->folder ? path_join(d->target, m->name) : mem_strdup(d->target);
        if (!path) return err_nomem(err, "naming a file");
        tola_status status = output_add(d->set, path, m->bytes, &d->files[i], err);
        mem_free(path);
        TRY(status);
        if (m->bytes >= DIRECT_LEAST) output_direct(d->files[i]);
        before = m->name;
    }
    return TOLA_OK;
}

static tola_status place(decrypting *d, const char *out, tola_error *err) {
    struct stat a, b;
    TRY(crypt_target(out, d->x->folder ? "" : crypt_index_only(d->x)->name, &d->target, err));
    size_t n = strlen(d->target);
    while (d->x->folder && n > 1 && d->target[n - 1] == '/') d->target[--n] = 0;
    if (stat(d->in, &a) == 0 && stat(d->target, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: the output would replace the input; choose another name",
                       d->target);
    TRY(output_set_open(d->o->overwrite, &d->set, err));
    if (d->x->folder) TRY(output_set_folder(d->set, d->target, err));
    return add_files(d, err);
}

/* ---- bytes ---- */

static tola_status decrypt_piece(void *context, const job_piece *p, tola_error *err) {
    decrypting *d = context;
    const crypt_member *m = &d->x->members[p->item];
    crypt_span span;
    if (crypt_span_find(d->x, m, d->chunk_bytes, p->offset, p->offset + p->size, &span)) {
        uint8_t *data = d->data[p->worker] + span.offset % OUTPUT_BLOCK; /* as output_direct wants it */
        tola_status status = vault_read_span(d->v, m, &span, data, err);
        if (status != TOLA_OK) return err_in_file(err, status, d->in);
        if (d->files[p->item]) { /* padding is held against its codes like everything, and goes nowhere */
            TRY(output_write(d->files[p->item], span.offset, data, (size_t)span.bytes, err));
            output_flush_hint(d->files[p->item], span.offset, span.bytes);
        }
    }
    return job_advance(&d->j, p->size, err);
}

static tola_status run_pieces(decrypting *d, tola_error *err) {
    const size_t count = d->x->member_count, bytes = (size_t)PIECE + d->chunk_bytes + OUTPUT_BLOCK;
    const unsigned threads = job_threads(&d->j);
    job_item *items = mem_alloc((count + 1) * sizeof *items);
    d->data = mem_calloc(threads, sizeof *d->data);
    tola_status status = items && d->data ? TOLA_OK : err_nomem(err, "decrypting");
    for (unsigned i = 0; status == TOLA_OK && i < threads; i++)
        if (!(d->data[i] = secret_map(bytes))) status = err_nomem(err, "decrypting");
    for (size_t i = 0; status == TOLA_OK && i < count; i++) items[i] = (job_item){ i, d->x->members[i].bytes, PIECE };
    if (status == TOLA_OK) status = job_run(&d->j, items, count, decrypt_piece, d, err);
    for (unsigned i = 0; d->data && i < threads; i++) secret_unmap(d->data[i], bytes);
    mem_free(d->data);
    mem_free(items);
    return status;
}

/* Once more through what was found genuine, in order. */
static tola_status write_all(decrypting *d, tola_error *err) {
    const size_t bytes = (size_t)PIECE + d->chunk_bytes;
    const crypt_member *m = crypt_index_only(d->x);
    uint8_t *data = secret_map(bytes);
    tola_status status = data ? TOLA_OK : err_nomem(err, "decrypting");
    for (uint64_t at = 0; status == TOLA_OK && at < m->bytes; at += PIECE) {
        crypt_span span;
        const uint64_t left = m->bytes - at;
        if (!crypt_span_find(d->x, m, d->chunk_bytes, at, at + (left < PIECE ? left : PIECE), &span)) continue;
        status = vault_read_span(d->v, m, &span, data, err);
        if (status != TOLA_OK)
            status = err_in_file(err, status, d->in);
        else if (!d->o->write(d->o->write_user, data, (size_t)span.bytes))
            status = err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "stopped by whoever takes the bytes");
    }
    secret_unmap(data, bytes);
    return status;
}

static tola_status decrypt(decrypting *d, const char *out, tola_error *err) {
    source *src;
    TRY(source_open_file(d->in, &src, err));
    tola_status status = vault_open(src, &d->v, err);
    if (status != TOLA_OK) return err_in_file(err, status, d->in);
    d->x = vault_index(d->v);
    d->chunk_bytes = vault_header(d->v)->layout.chunk_bytes;
    d->files = mem_calloc(d->x->member_count + 1, sizeof *d->files);
    if (!d->files) return err_nomem(err, "decrypting");
    if (d->o->write && d->x->folder)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: holds a folder, which cannot be written as one stream",
                       d->in);
    if (!d->o->write) TRY(place(d, out, err));
    TRY(job_open(&d->j, d->o->threads, d->o->progress, d->o->progress_user, "decrypting", d->x->payload, err));
    status = run_pieces(d, err);
    job_close(&d->j);
    TRY(status);
    if (d->o->write) return write_all(d, err);
    output_set *set = d->set;
    d->set = NULL;
    return output_commit(set, err);
}

static void summarize(const decrypting *d, tola_encrypt_summary *s) {
    *s = (tola_encrypt_summary){ .folder = d->x->folder, .file_bytes = vault_file_bytes(d->v) };
    for (size_t i = 0; i < d->x->member_count; i++) {
        if (d->x->members[i].kind != CRYPT_FILE) continue;
        s->files++;
        s->bytes += d->x->members[i].bytes;
    }
    for (size_t i = 0; i < d->x->stretch_count; i++) s->tensors += crypt_is_tensor(&d->x->stretches[i]);
    const crypt_header *h = vault_header(d->v);
    for (size_t i = 0; i < h->count; i++) {
        s->recipients += h->stanzas[i].kind == CRYPT_X25519;
        s->passphrases += h->stanzas[i].kind == CRYPT_PASSPHRASE;
    }
}

tola_status tola_decrypt(const char *in, const char *out, const tola_decrypt_options *options,
                         tola_encrypt_summary *summary, tola_error *err) {
    tola_decrypt_options o = TOLA_DECRYPT_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    double start = clock_seconds();
    decrypting d = { .o = &o, .in = in };
    tola_status status = decrypt(&d, out, err);
    if (status == TOLA_OK && summary) {
        summarize(&d, summary);
        summary->seconds = clock_seconds() - start;
    }
    output_abort(d.set);
    mem_free(d.files);
    mem_free(d.target);
    vault_close(d.v);
    return status;
}
