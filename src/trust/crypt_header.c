/* See crypt_header.h. Everything is little-endian.
 *
 *   prologue  magic[16] version u32 slot_bytes u32 zero[8] id[16] zero[16]
 *   slot      generation u64, bytes of the body u32, body, code[32], zeros
 *   body      count u16, stanzas, private part
 *   stanza    kind u8, bytes u16, data
 *   private   bytes u32, nonce[24], sealed: chunk u32, index u64, tags u64, payload u64, public keys[32] */
#define _GNU_SOURCE 1 /* explicit_bzero */
#include "trust/crypt_header.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/reader.h"
#include "trust/crypto.h"
#include "trust/libsodium.h"

#define VERSION 1u
enum {
    SLOT_HEAD = 12,
    CODE = 32,
    STANZA_HEAD = 3,
    PASSPHRASE_BYTES = 16 + 12 + CRYPT_WRAPPED,
    X25519_BYTES = CRYPT_KEY + CRYPT_WRAPPED,
    LAYOUT = 4 + 3 * 8,
};

static const uint8_t magic[CRYPT_MAGIC + 1] = "tola encrypted\n\x1a";
static const uint8_t zero_nonce[CRYPT_NONCE];

bool crypt_probe(const uint8_t *head, size_t bytes) {
    return bytes >= CRYPT_MAGIC && memcmp(head, magic, CRYPT_MAGIC) == 0;
}

/* Padmé: numbers with as many bits of mantissa as their exponent has digits,
 * https://arxiv.org/abs/1806.03160 section 4 */
uint64_t crypt_padded(uint64_t bytes) {
    if (bytes <= 4096) return 4096;
    unsigned exponent = 63 - (unsigned)__builtin_clzll(bytes), digits = 32 - (unsigned)__builtin_clz(exponent);
    uint64_t mask = ((uint64_t)1 << (exponent - digits)) - 1;
    return bytes > UINT64_MAX - mask ? bytes : (bytes + mask) & ~mask;
}

tola_status crypt_subkey(const uint8_t id[CRYPT_ID], const uint8_t file_key[CRYPT_KEY], const char *purpose,
                         uint8_t out[CRYPT_KEY], tola_error *err) {
    return crypt_hkdf(id, CRYPT_ID, file_key, purpose, out, err);
}

tola_status crypt_filling(const uint8_t id[CRYPT_ID], const uint8_t file_key[CRYPT_KEY], uint8_t *out, size_t bytes,
                          tola_error *err) {
    uint8_t key[CRYPT_KEY];
    TRY(crypt_subkey(id, file_key, "tola encrypt 1 filling", key, err));
    if (bytes) memset(out, 0, bytes);
    tola_status status = crypt_xseal(key, zero_nonce, NULL, 0, out, out, bytes, err);
    explicit_bzero(key, sizeof key);
    return status;
}

/* ---- reading ---- */

static bool all_zero(const uint8_t *p, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (p[i]) return false;
    return true;
}

static tola_status read_prologue(source *s, crypt_header *h, tola_error *err) {
    uint8_t head[CRYPT_SLOTS_AT];
    const size_t there = s->size < sizeof head ? (size_t)s->size : sizeof head;
    TRY(source_read(s, 0, head, there, err));
    if (!crypt_probe(head, there)) return err_set(err, TOLA_E_FORMAT, 0, "is not encrypted by tola");
    if (there < sizeof head) return err_set(err, TOLA_E_FORMAT, there, "truncated: it ends inside the header");
    uint32_t version = load_le32(head + 16);
    if (version != VERSION)
        return err_set(err, TOLA_E_UNSUPPORTED, 16,
                       "is encrypted in version %u of the format; this tola knows version %u", version, VERSION);
    memcpy(h->prologue, head, CRYPT_PROLOGUE);
    h->slot_bytes = load_le32(head + 20);
    if (h->slot_bytes < CRYPT_LEAST_SLOT || h->slot_bytes > CRYPT_MOST_SLOT || h->slot_bytes % 4096)
        return err_set(err, TOLA_E_FORMAT, 20, "the header is damaged: slots of %u bytes", h->slot_bytes);
    if (!all_zero(head + 24, 8) || !all_zero(head + 48, sizeof head - 48))
        return err_set(err, TOLA_E_FORMAT, 24, "the header is damaged: what should be zero is not");
    return TOLA_OK;
}

static tola_status check_passphrase(const uint8_t *data, uint64_t *work, unsigned *count, tola_error *err) {
    uint32_t memory = load_le32(data + 16), passes = load_le32(data + 20), lanes = load_le32(data + 24);
    if (lanes != 1)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "Argon2id with %u lanes; one is known", lanes);
    if (memory < 8 || passes < 1)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the header is damaged: Argon2id with %u KiB and %u passes",
                       memory, passes);
    *work += (uint64_t)memory * passes;
    if (memory > CRYPT_MOST_MEMORY || passes > CRYPT_MOST_PASSES || *work > CRYPT_MOST_WORK ||
        ++*count > CRYPT_MOST_PASSPHRASES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "the header asks for more of Argon2id than is done for a stranger (%u KiB, %u passes)", memory,
                       passes);
    return TOLA_OK;
}

static tola_status parse_stanzas(crypt_header *h, reader *r, tola_error *err) {
    unsigned count = reader_u16(r), passphrases = 0;
    uint64_t work = 0;
    for (unsigned i = 0; i < count && reader_ok(r); i++) {
        crypt_stanza s = { .kind = reader_u8(r) };
        s.bytes = reader_u16(r);
        if (s.bytes > reader_left(r)) reader_fail(r, TOLA_E_FORMAT, r->pos, "a way to the key is cut off");
        if (!reader_ok(r)) break;
        s.data = h->body.data + r->pos;
        if ((s.kind == CRYPT_PASSPHRASE && s.bytes != PASSPHRASE_BYTES) ||
            (s.kind == CRYPT_X25519 && s.bytes != X25519_BYTES))
            return err_set(err, TOLA_E_FORMAT, r->pos, "the header is damaged: a way to the key of %u bytes", s.bytes);
        if (s.kind == CRYPT_PASSPHRASE) TRY(check_passphrase(s.data, &work, &passphrases, err));
        if (!mem_grow(&h->stanzas, &h->cap, h->count + 1, sizeof *h->stanzas))
            return err_nomem(err, "opening a header");
        h->stanzas[h->count++] = s;
        reader_skip(r, s.bytes);
    }
    return reader_check(r, err);
}

static tola_status parse_body(crypt_header *h, reader *r, tola_error *err) {
    uint64_t generation = reader_u64(r);
    uint32_t bytes = reader_u32(r);
    TRY(reader_check(r, err));
    if (generation == 0 || bytes > h->body.length - SLOT_HEAD - CODE)
        return err_set(err, TOLA_E_FORMAT, CRYPT_SLOTS_AT, "the header is damaged");
    h->generation = generation;
    h->covered = SLOT_HEAD + bytes;
    TRY(parse_stanzas(h, r, err));
    h->private_bytes = reader_u32(r);
    h->private_at = (size_t)r->pos;
    reader_skip(r, h->private_bytes);
    TRY(reader_check(r, err));
    if (r->pos != h->covered || h->private_bytes < CRYPT_NONCE + LAYOUT + CRYPT_TAG ||
        !all_zero(h->body.data + h->covered + CODE, h->body.length - h->covered - CODE))
        return err_set(err, TOLA_E_FORMAT, CRYPT_SLOTS_AT, "the header is damaged");
    return TOLA_OK;
}

tola_status crypt_header_parse(crypt_header *h, const uint8_t *slot, size_t bytes, tola_error *err) {
    source *s;
    reader r;
    buf_init(&h->body, 0);
    buf_append(&h->body, slot, bytes);
    if (h->body.failed) return err_nomem(err, "opening a header");
    if (bytes < SLOT_HEAD + CODE) return err_set(err, TOLA_E_FORMAT, 0, "the header is damaged");
    TRY(source_open_memory("header", h->body.data, bytes, &s, err));
    reader_init(&r, s, 0, bytes);
    tola_status status = parse_body(h, &r, err);
    reader_free(&r);
    source_close(s);
    if (status != TOLA_OK && err) err->offset = TOLA_NO_OFFSET;
    return status;
}

static tola_status read_slots(source *s, unsigned either, crypt_header *h, uint8_t *both, tola_error *err) {
    const size_t n = h->slot_bytes;
    TRY(source_read(s, CRYPT_SLOTS_AT, both, 2 * n, err));
    bool used[2] = { !all_zero(both, n), !all_zero(both + n, n) };
    if (either) used[2 - either] = false;
    if (used[0] && used[1])
        return err_set(err, TOLA_E_FORMAT, CRYPT_SLOTS_AT,
                       "has two headers: a rekey was interrupted, or somebody changed it; tola rekey without further "
                       "options mends it");
    if (!used[0] && !used[1]) return err_set(err, TOLA_E_FORMAT, CRYPT_SLOTS_AT, "the header is empty");
    h->slot = used[1];
    return crypt_header_parse(h, both + h->slot * n, n, err);
}

tola_status crypt_header_read(source *s, unsigned either, crypt_header *out, tola_error *err) {
    crypt_header h = { 0 };
    TRY(read_prologue(s, &h, err));
    if (s->size < CRYPT_SLOTS_AT + 2 * (uint64_t)h.slot_bytes)
        return err_set(err, TOLA_E_FORMAT, s->size, "truncated: it ends inside the header");
    uint8_t *both = mem_alloc(2 * (size_t)h.slot_bytes);
    if (!both) return err_nomem(err, "opening a header");
    tola_status status = read_slots(s, either, &h, both, err);
    mem_free(both);
    if (status != TOLA_OK) {
        crypt_header_free(&h);
        return status;
    }
    *out = h;
    return TOLA_OK;
}

void crypt_header_free(crypt_header *h) {
    buf_free(&h->body);
    mem_free(h->stanzas);
    *h = (crypt_header){ 0 };
}

/* ---- with the key ---- */

/* HMAC over prologue and slot. Unlike a tag of Poly1305 it commits to the key: no header opens under two. */
static tola_status make_code(const uint8_t *prologue, const uint8_t *slot, size_t covered, const uint8_t *file_key,
                             uint8_t code[CODE], tola_error *err) {
    uint8_t key[CRYPT_KEY];
    buf all;
    buf_init(&all, 0);
    buf_append(&all, prologue, CRYPT_PROLOGUE);
    buf_append(&all, slot, covered);
    tola_status status = all.failed ? err_nomem(err, "checking a header") : TOLA_OK;
    if (status == TOLA_OK) status = crypt_subkey(prologue + 32, file_key, "tola encrypt 1 header", key, err);
    if (status == TOLA_OK) status = crypt_hmac(key, all.data, all.length, code, err);
    explicit_bzero(key, sizeof key);
    buf_free(&all);
    return status;
}

bool crypt_header_fits(const crypt_header *h, const uint8_t file_key[CRYPT_KEY]) {
    uint8_t code[CODE];
    return make_code(h->prologue, h->body.data, h->covered, file_key, code, NULL) == TOLA_OK &&
           crypto_same(code, h->body.data + h->covered, CODE);
}

static tola_status read_private(crypt_header *h, const uint8_t *plain, size_t bytes, tola_error *err) {
    size_t at = LAYOUT;
    h->layout = (crypt_layout){ load_le32(plain), load_le64(plain + 4), load_le64(plain + 12), load_le64(plain + 20) };
    for (size_t i = 0; i < h->count; i++) {
        if (h->stanzas[i].kind != CRYPT_X25519) continue;
        if (bytes - at < CRYPT_KEY) return err_set(err, TOLA_E_FORMAT, CRYPT_SLOTS_AT, "the header is damaged");
        memcpy(h->stanzas[i].public, plain + at, CRYPT_KEY);
        at += CRYPT_KEY;
    }
    uint32_t chunk = h->layout.chunk_bytes;
    if (at != bytes || chunk < CRYPT_LEAST_CHUNK || chunk > CRYPT_MOST_CHUNK || (chunk & (chunk - 1)) ||
        h->layout.index_bytes > CRYPT_MOST_INDEX || h->layout.index_bytes < CRYPT_TAG)
        return err_set(err, TOLA_E_FORMAT, CRYPT_SLOTS_AT, "the header is damaged");
    return TOLA_OK;
}

tola_status crypt_header_open(crypt_header *h, const uint8_t file_key[CRYPT_KEY], tola_error *err) {
    uint8_t key[CRYPT_KEY];
    bool genuine = false;
    if (!crypt_header_fits(h, file_key))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "the header is not what was written with this key: it was "
                       "changed or damaged");
    const uint8_t *p = h->body.data + h->private_at;
    const size_t bytes = h->private_bytes - CRYPT_NONCE - CRYPT_TAG;
    uint8_t *plain = mem_alloc(bytes);
    if (!plain) return err_nomem(err, "opening a header");
    tola_status status = crypt_subkey(crypt_id(h), file_key, "tola encrypt 1 private", key, err);
    if (status == TOLA_OK)
        status = crypt_xunseal(key, p, crypt_id(h), CRYPT_ID, p + CRYPT_NONCE, plain, bytes, &genuine, err);
    if (status == TOLA_OK && !genuine) status = err_set(err, TOLA_E_FORMAT, CRYPT_SLOTS_AT, "the header is damaged");
    if (status == TOLA_OK) status = read_private(h, plain, bytes, err);
    explicit_bzero(key, sizeof key);
    mem_free(plain);
    return status;
}

/* ---- wrapping ---- */

/* What the wrapped key is bound to: the file, and the stanza before it. */
static size_t stanza_aad(const uint8_t *id, uint8_t kind, const uint8_t *data, uint16_t bytes, uint8_t *aad) {
    memcpy(aad, id, CRYPT_ID);
    aad[CRYPT_ID] = kind;
    aad[CRYPT_ID + 1] = (uint8_t)bytes;
    aad[CRYPT_ID + 2] = (uint8_t)(bytes >> 8);
    memcpy(aad + CRYPT_ID + STANZA_HEAD, data, bytes - CRYPT_WRAPPED);
    return CRYPT_ID + STANZA_HEAD + bytes - CRYPT_WRAPPED;
}

static tola_status shared_key(const uint8_t *secret, const uint8_t *theirs, const uint8_t *ephemeral,
                              const uint8_t *public, uint8_t *out, tola_error *err) {
    uint8_t shared[CRYPT_KEY], salt[2 * CRYPT_KEY];
    memcpy(salt, ephemeral, CRYPT_KEY);
    memcpy(salt + CRYPT_KEY, public, CRYPT_KEY);
    TRY(crypt_x25519(secret, theirs, shared, err));
    tola_status status = crypt_hkdf(salt, sizeof salt, shared, "tola encrypt 1 x25519", out, err);
    explicit_bzero(shared, sizeof shared);
    return status;
}

static tola_status unwrap(const crypt_header *h, const crypt_stanza *s, const uint8_t key[CRYPT_KEY], uint8_t *file_key,
                          bool *opened, tola_error *err) {
    uint8_t aad[CRYPT_ID + STANZA_HEAD + CRYPT_KEY];
    size_t n = stanza_aad(crypt_id(h), s->kind, s->data, s->bytes, aad);
    return crypt_xunseal(key, zero_nonce, aad, n, s->data + s->bytes - CRYPT_WRAPPED, file_key, CRYPT_KEY, opened, err);
}

tola_status crypt_unwrap_x25519(const crypt_header *h, const crypt_stanza *s, const uint8_t secret[CRYPT_KEY],
                                const uint8_t public[CRYPT_KEY], uint8_t file_key[CRYPT_KEY], bool *opened,
                                tola_error *err) {
    uint8_t key[CRYPT_KEY];
    *opened = false;
    tola_status status = shared_key(secret, s->data, s->data, public, key, err);
    if (status == TOLA_E_ARG) return TOLA_OK; /* a point of small order: nobody's */
    if (status == TOLA_OK) status = unwrap(h, s, key, file_key, opened, err);
    explicit_bzero(key, sizeof key);
    return status;
}

tola_status crypt_unwrap_passphrase(const crypt_header *h, const crypt_stanza *s, const void *text, size_t bytes,
                                    uint8_t file_key[CRYPT_KEY], bool *opened, tola_error *err) {
    uint8_t key[CRYPT_KEY];
    *opened = false;
    TRY(argon2id(text, bytes, s->data, load_le32(s->data + 16), load_le32(s->data + 20), key, err));
    tola_status status = unwrap(h, s, key, file_key, opened, err);
    explicit_bzero(key, sizeof key);
    return status;
}

/* ---- writing ---- */

void crypt_prologue(uint8_t prologue[CRYPT_PROLOGUE], const uint8_t id[CRYPT_ID], uint32_t slot_bytes) {
    memset(prologue, 0, CRYPT_PROLOGUE);
    memcpy(prologue, magic, CRYPT_MAGIC);
    store_le32(prologue + 16, VERSION);
    store_le32(prologue + 20, slot_bytes);
    memcpy(prologue + 32, id, CRYPT_ID);
}

static tola_status wrap(const uint8_t *id, uint8_t kind, uint8_t *data, uint16_t bytes, const uint8_t key[CRYPT_KEY],
                        const uint8_t *file_key, buf *out, tola_error *err) {
    uint8_t aad[CRYPT_ID + STANZA_HEAD + CRYPT_KEY];
    size_t n = stanza_aad(id, kind, data, bytes, aad);
    TRY(crypt_xseal(key, zero_nonce, aad, n, file_key, data + bytes - CRYPT_WRAPPED, CRYPT_KEY, err));
    buf_u8(out, kind);
    buf_u16le(out, bytes);
    buf_append(out, data, bytes);
    return out->failed ? err_nomem(err, "making a header") : TOLA_OK;
}

tola_status crypt_wrap_x25519(const uint8_t id[CRYPT_ID], const uint8_t public[CRYPT_KEY],
                              const uint8_t file_key[CRYPT_KEY], buf *out, tola_error *err) {
    uint8_t secret[CRYPT_KEY], key[CRYPT_KEY], data[X25519_BYTES];
    TRY(crypt_random(secret, sizeof secret, err));
    tola_status status = crypt_x25519_public(secret, data, err);
    if (status == TOLA_OK) status = shared_key(secret, public, data, public, key, err);
    if (status == TOLA_OK) status = wrap(id, CRYPT_X25519, data, sizeof data, key, file_key, out, err);
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(key, sizeof key);
    return status;
}

tola_status crypt_wrap_passphrase(const uint8_t id[CRYPT_ID], const void *text, size_t bytes, crypt_kdf kdf,
                                  const uint8_t file_key[CRYPT_KEY], buf *out, tola_error *err) {
    uint8_t key[CRYPT_KEY], data[PASSPHRASE_BYTES];
    TRY(crypt_random(data, 16, err));
    store_le32(data + 16, kdf.memory_kib);
    store_le32(data + 20, kdf.passes);
    store_le32(data + 24, 1);
    TRY(argon2id(text, bytes, data, kdf.memory_kib, kdf.passes, key, err));
    tola_status status = wrap(id, CRYPT_PASSPHRASE, data, sizeof data, key, file_key, out, err);
    explicit_bzero(key, sizeof key);
    return status;
}

static size_t slot_needs(size_t recipients, size_t passphrases) {
    return SLOT_HEAD + 2 + recipients * (STANZA_HEAD + X25519_BYTES + CRYPT_KEY) +
           passphrases * (STANZA_HEAD + PASSPHRASE_BYTES) + 4 + CRYPT_NONCE + LAYOUT + CRYPT_TAG + CODE;
}

uint32_t crypt_slot_for(size_t recipients, size_t passphrases) {
    size_t want = (2 * slot_needs(recipients, passphrases) + 4095) / 4096 * 4096;
    return want < CRYPT_LEAST_SLOT ? CRYPT_LEAST_SLOT : want > CRYPT_MOST_SLOT ? CRYPT_MOST_SLOT : (uint32_t)want;
}

static tola_status seal_private(const uint8_t *prologue, const buf *publics, const crypt_layout *layout,
                                const uint8_t *file_key, buf *slot, tola_error *err) {
    buf plain;
    uint8_t key[CRYPT_KEY], *sealed;
    buf_init(&plain, 0);
    buf_u32le(&plain, layout->chunk_bytes);
    buf_u64le(&plain, layout->index_bytes);
    buf_u64le(&plain, layout->tags_bytes);
    buf_u64le(&plain, layout->payload_bytes);
    buf_append(&plain, publics->data, publics->length);
    buf_u32le(slot, (uint32_t)(CRYPT_NONCE + plain.length + CRYPT_TAG));
    size_t at = slot->length;
    buf_zeros(slot, CRYPT_NONCE + plain.length + CRYPT_TAG);
    tola_status status = plain.failed || slot->failed ? err_nomem(err, "making a header") : TOLA_OK;
    sealed = status == TOLA_OK ? slot->data + at : NULL;
    if (status == TOLA_OK) status = crypt_random(sealed, CRYPT_NONCE, err);
    if (status == TOLA_OK) status = crypt_subkey(prologue + 32, file_key, "tola encrypt 1 private", key, err);
    if (status == TOLA_OK)
        status = crypt_xseal(key, sealed, prologue + 32, CRYPT_ID, plain.data, sealed + CRYPT_NONCE, plain.length, err);
    explicit_bzero(key, sizeof key);
    buf_free(&plain);
    return status;
}

tola_status crypt_slot_make(const uint8_t prologue[CRYPT_PROLOGUE], uint64_t generation, const buf *stanzas,
                            size_t count, const buf *publics, const crypt_layout *layout,
                            const uint8_t file_key[CRYPT_KEY], buf *slot, tola_error *err) {
    const uint32_t slot_bytes = load_le32(prologue + 20);
    const size_t need = SLOT_HEAD + 2 + stanzas->length + 4 + CRYPT_NONCE + LAYOUT + publics->length + CRYPT_TAG + CODE;
    if (need > slot_bytes || count > UINT16_MAX)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "the header has no room for so many recipients (%zu bytes are needed, %u are there): decrypt "
                       "and encrypt again",
                       need, slot_bytes);
    buf_u64le(slot, generation);
    buf_u32le(slot, (uint32_t)(need - SLOT_HEAD - CODE));
    buf_u16le(slot, (uint16_t)count);
    buf_append(slot, stanzas->data, stanzas->length);
    TRY(seal_private(prologue, publics, layout, file_key, slot, err));
    uint8_t code[CODE];
    TRY(make_code(prologue, slot->data, slot->length, file_key, code, err));
    buf_append(slot, code, CODE);
    buf_zeros(slot, slot_bytes - slot->length);
    return slot->failed ? err_nomem(err, "making a header") : TOLA_OK;
}
