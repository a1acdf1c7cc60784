/* Changing who may open an encrypted model. A header has two slots, one of which is zero: the new header goes into
 * that, is synced, and then the old one is overwritten. Whatever an interruption leaves, the old or the new one is
 * whole. */
#define _GNU_SOURCE 1 /* explicit_bzero */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/output.h"
#include "base/secret.h"
#include "trust/crypt_grant.h"
#include "trust/crypt_key.h"
#include "trust/crypt_ring.h"
#include <tola/encrypt.h>

typedef struct rekeying {
    const tola_rekey_options *o;
    const char *path;
    int fd;
    source *src;
    crypt_header h;
    bool both; /* two slots are in use: somebody was interrupted */
    uint8_t *file_key;
    buf remove; /* public keys */
    crypt_grants grants;
} rekeying;

/* ---- reading ---- */

static tola_status open_locked(rekeying *r, tola_error *err) {
    TRY(source_open_file(r->path, &r->src, err));
    r->fd = open(r->path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (r->fd < 0) return err_errno(err, errno, "cannot open for writing", r->path);
    if (flock(r->fd, LOCK_EX | LOCK_NB) == 0) return TOLA_OK;
    return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "%s: another rekey is at work on it", r->path);
}

/* The newer of two headers that open. A slot that was being written when the power went does not. */
static tola_status take_either(rekeying *r, tola_error *err) {
    tola_status status = TOLA_E_FORMAT;
    for (unsigned slot = 0; slot < 2; slot++) {
        crypt_header h;
        uint8_t *key = secret_alloc(CRYPT_KEY);
        if (!key) return err_nomem(err, "reading a header");
        tola_status here = crypt_header_read(r->src, slot + 1, &h, err);
        if (here == TOLA_OK) {
            here = crypt_ring_unlock(&h, key, err);
            bool newer = here == TOLA_OK && (status != TOLA_OK || h.generation > r->h.generation);
            if (newer) {
                crypt_header_free(&r->h);
                r->h = h;
                memcpy(r->file_key, key, CRYPT_KEY);
                status = TOLA_OK;
            } else {
                crypt_header_free(&h);
            }
        }
        secret_free(key);
        if (status != TOLA_OK && here != TOLA_OK) status = here;
    }
    r->both = true;
    return status;
}

static tola_status read_header(rekeying *r, tola_error *err) {
    r->file_key = secret_alloc(CRYPT_KEY);
    if (!r->file_key)
        return err_set(err, TOLA_E_NOMEM, TOLA_NO_OFFSET,
                       "memory for keys cannot be locked: raise the limit that ulimit -l shows");
    uint8_t head[CRYPT_MAGIC];
    if (r->src->size < sizeof head || source_read(r->src, 0, head, sizeof head, NULL) != TOLA_OK ||
        !crypt_probe(head, sizeof head))
        return err_set(err, TOLA_E_FORMAT, 0, "is not encrypted by tola");
    tola_error why = TOLA_ERROR_INIT;
    if (crypt_header_read(r->src, 0, &r->h, &why) == TOLA_OK) return crypt_ring_unlock(&r->h, r->file_key, err);
    if (take_either(r, err) == TOLA_OK) return TOLA_OK;
    if (err && err->status != TOLA_E_ARG) *err = why; /* of no key: that says it better */
    return err ? err->status : why.status;
}

/* ---- who ---- */

static bool is_removed(rekeying *r, const uint8_t *public) {
    for (size_t i = 0; i < r->remove.length; i += CRYPT_KEY)
        if (memcmp(r->remove.data + i, public, CRYPT_KEY) == 0) {
            r->remove.length -= CRYPT_KEY; /* found: out of the list */
            memmove(r->remove.data + i, r->remove.data + i + CRYPT_KEY, r->remove.length - i);
            return true;
        }
    return false;
}

/* Those that stay, as they are. */
static tola_status keep_stanzas(rekeying *r, tola_error *err) {
    for (size_t i = 0; i < r->h.count; i++) {
        const crypt_stanza *s = &r->h.stanzas[i];
        if (s->kind == CRYPT_PASSPHRASE && r->o->remove_passphrases) continue;
        if (s->kind == CRYPT_X25519 && is_removed(r, s->public)) continue;
        buf_u8(&r->grants.stanzas, s->kind);
        buf_u16le(&r->grants.stanzas, s->bytes);
        buf_append(&r->grants.stanzas, s->data, s->bytes);
        if (s->kind == CRYPT_X25519) buf_append(&r->grants.publics, s->public, CRYPT_KEY);
        r->grants.passphrases += s->kind == CRYPT_PASSPHRASE;
        r->grants.count++;
    }
    return r->grants.stanzas.failed || r->grants.publics.failed ? err_nomem(err, "making a header") : TOLA_OK;
}

static tola_status change(rekeying *r, tola_error *err) {
    const tola_rekey_options *o = r->o;
    const crypt_kdf kdf = crypt_kdf_of(o->kdf_memory, o->kdf_passes);
    for (size_t i = 0; o->remove_recipients && o->remove_recipients[i]; i++)
        TRY(crypt_add_recipients(o->remove_recipients[i], &r->remove, err));
    TRY(keep_stanzas(r, err));
    if (r->remove.length) {
        char text[CRYPT_KEY_TEXT];
        TRY(crypt_public_text(r->remove.data, text, err));
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "%s: %s is none of its recipients", r->path, text);
    }
    TRY(crypt_grant(crypt_id(&r->h), r->file_key, o->add_recipients, o->add_passphrase_files, kdf, &r->grants, err));
    if (r->grants.count > 0) return TOLA_OK;
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: nobody could open it any more", r->path);
}

/* ---- writing ---- */

static tola_status write_slot(rekeying *r, unsigned slot, const uint8_t *data, tola_error *err) {
    uint64_t at = CRYPT_SLOTS_AT + (uint64_t)slot * r->h.slot_bytes;
    for (size_t left = r->h.slot_bytes; left;) {
        ssize_t n = fault_hit(FAULT_WRITE) ? (errno = EIO, -1) : pwrite(r->fd, data, left, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(err, errno, "cannot write", r->path);
        data += n;
        at += (uint64_t)n;
        left -= (size_t)n;
    }
    if (fault_hit(FAULT_WRITE))
        errno = EIO;
    else if (fdatasync(r->fd) == 0)
        return TOLA_OK;
    return err_errno(err, errno, "cannot sync", r->path);
}

static tola_status write_header(rekeying *r, tola_error *err) {
    buf slot;
    buf_init(&slot, 0);
    tola_status status = crypt_slot_make(r->h.prologue, r->h.generation + 1, &r->grants.stanzas, r->grants.count,
                                         &r->grants.publics, &r->h.layout, r->file_key, &slot, err);
    if (status == TOLA_OK) status = write_slot(r, 1 - r->h.slot, slot.data, err);
    if (status == TOLA_OK) {
        memset(slot.data, 0, slot.length);
        status = write_slot(r, r->h.slot, slot.data, err);
    }
    buf_free(&slot);
    return status;
}

static tola_status rekey(rekeying *r, tola_error *err) {
    TRY(open_locked(r, err));
    tola_status status = read_header(r, err);
    if (status != TOLA_OK) return err_in_file(err, status, r->path);
    TRY(change(r, err));
    return write_header(r, err);
}

tola_status tola_rekey(const char *path, const tola_rekey_options *options, tola_encrypt_summary *summary,
                       tola_error *err) {
    tola_rekey_options o = TOLA_REKEY_OPTIONS_INIT;
    tola_error detail = TOLA_ERROR_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    double start = clock_seconds();
    rekeying r = { .o = &o, .path = path, .fd = -1 };
    buf_init(&r.remove, 0);
    crypt_grants_init(&r.grants);
    tola_status status = rekey(&r, &detail);
    if (status != TOLA_OK && err) *err = detail;
    if (status == TOLA_OK) output_changed(path);
    if (status == TOLA_OK && summary)
        *summary = (tola_encrypt_summary){ .file_bytes = r.src->size,
                                           .recipients = r.grants.publics.length / CRYPT_KEY,
                                           .passphrases = r.grants.passphrases,
                                           .seconds = clock_seconds() - start };
    crypt_grants_free(&r.grants);
    crypt_header_free(&r.h);
    buf_free(&r.remove);
    secret_free(r.file_key);
    source_close(r.src);
    if (r.fd >= 0) close(r.fd);
    return status;
}

bool tola_encrypted(const char *path) {
    source *src;
    uint8_t head[CRYPT_MAGIC];
    if (source_open_file(path, &src, NULL) != TOLA_OK) return false;
    bool is = src->size >= sizeof head && source_read(src, 0, head, sizeof head, NULL) == TOLA_OK &&
              crypt_probe(head, sizeof head);
    source_close(src);
    return is;
}
