/* sha256 (FIPS 180-4) and blake2b of 64 bytes (RFC 7693) are libcrypto's, blake3 is kernels/blake3's. */
#include "trust/digest.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "kernels/blake3/blake3.h"
#include "trust/crypto.h"

static const digest_info infos[DIGEST_KINDS] = {
    [DIGEST_SHA256] = { "sha256", NULL, 32, 0 },
    [DIGEST_BLAKE2B] = { "blake2b", "blake2", 64, 0 },
    [DIGEST_BLAKE3] = { "blake3", NULL, BLAKE3_BYTES, 16u << 20 },
};

const digest_info *digest_get(digest_kind kind) { return &infos[kind]; }

bool digest_find(const char *name, digest_kind *out) {
    for (int i = 0; i < DIGEST_KINDS; i++)
        if (strcmp(infos[i].name, name) == 0 || (infos[i].other && strcmp(infos[i].other, name) == 0)) {
            *out = (digest_kind)i;
            return true;
        }
    return false;
}

void digest_to_hex(const uint8_t *digest, unsigned bytes, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < bytes; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[2 * bytes] = 0;
}

static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool digest_from_hex(const char *text, size_t length, uint8_t *out, unsigned bytes) {
    if (length != 2 * (size_t)bytes) return false;
    for (unsigned i = 0; i < bytes; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

struct digest_stream {
    digest_kind kind;
    bool whole;
    const crypto *c;
    void *ctx;
    blake3_state tree;
};

static tola_status open_evp(digest_stream *s, tola_error *err) {
    TRY(crypto_get(&s->c, err));
    s->ctx = s->c->EVP_MD_CTX_new();
    if (!s->ctx) return err_nomem(err, "hashing");
    const void *md = s->kind == DIGEST_SHA256 ? s->c->EVP_sha256() : s->c->EVP_blake2b512();
    if (s->c->EVP_DigestInit_ex(s->ctx, md, NULL) != 1)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s: libcrypto: %s", infos[s->kind].name,
                       crypto_reason(s->c, "refuses it"));
    return TOLA_OK;
}

tola_status digest_open(digest_kind kind, uint64_t branch, bool whole, digest_stream **out, tola_error *err) {
    digest_stream *s = mem_alloc(sizeof *s);
    if (!s) return err_nomem(err, "hashing");
    s->kind = kind;
    s->whole = whole;
    s->ctx = NULL;
    if (kind == DIGEST_BLAKE3) {
        blake3_begin(&s->tree, branch * (infos[kind].branch / BLAKE3_CHUNK));
    } else {
        tola_status status = open_evp(s, err);
        if (status != TOLA_OK) {
            digest_abort(s);
            return status;
        }
    }
    *out = s;
    return TOLA_OK;
}

tola_status digest_update(digest_stream *s, const void *data, size_t bytes, tola_error *err) {
    if (s->kind == DIGEST_BLAKE3)
        blake3_update(&s->tree, data, bytes);
    else if (s->c->EVP_DigestUpdate(s->ctx, data, bytes) != 1)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s: libcrypto failed", infos[s->kind].name);
    return TOLA_OK;
}

tola_status digest_finish(digest_stream *s, uint8_t out[DIGEST_MOST_BYTES], tola_error *err) {
    unsigned bytes = infos[s->kind].bytes;
    digest_kind kind = s->kind;
    bool good = true;
    if (kind == DIGEST_BLAKE3)
        blake3_finish(&s->tree, s->whole, out);
    else
        good = s->c->EVP_DigestFinal_ex(s->ctx, out, &bytes) == 1 && bytes == infos[kind].bytes;
    digest_abort(s);
    return good ? TOLA_OK : err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s: libcrypto failed", infos[kind].name);
}

void digest_abort(digest_stream *s) {
    if (!s) return;
    if (s->ctx) s->c->EVP_MD_CTX_free(s->ctx);
    mem_free(s);
}

void digest_join(digest_kind kind, const uint8_t (*branches)[DIGEST_MOST_BYTES], size_t count,
                 uint8_t out[DIGEST_MOST_BYTES]) {
    (void)kind; /* blake3 is the only tree */
    blake3_state s;
    blake3_begin(&s, 0);
    for (size_t i = 0; i + 1 < count; i++) blake3_push(&s, branches[i], i + 1);
    blake3_fold(&s, branches[count - 1], out);
}
