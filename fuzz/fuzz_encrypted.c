/* Encrypted models: slots of a header, indexes, key files, and whole files behind a key that is known. The first byte
 * says which.
 *
 * Codes cannot be guessed, so each part is handed what would come behind a good one; for whole files a header is made
 * around an index and a layout that the input chose, with codes that hold. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "trust/crypt_key.h"
#include "trust/crypt_vault.h"
#include <tola/encrypt.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

static void check_failed(tola_status status, const tola_error *err) { check(status == TOLA_OK || err->message[0]); }

/* ---- headers ---- */

static void try_slot(const uint8_t *data, size_t bytes) {
    crypt_header h = { .slot_bytes = (uint32_t)bytes };
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = crypt_header_parse(&h, data, bytes, &err);
    check_failed(status, &err);
    if (status == TOLA_OK) {
        const uint8_t *start = h.body.data, *end = start + h.body.length;
        for (size_t i = 0; i < h.count; i++)
            check(h.stanzas[i].data >= start && h.stanzas[i].data + h.stanzas[i].bytes <= end);
        check(h.private_at + h.private_bytes == h.covered && h.covered + 32 <= h.body.length);
        static const uint8_t key[CRYPT_KEY];
        check(!crypt_header_fits(&h, key));
    }
    crypt_header_free(&h);
}

/* ---- indexes ---- */

/* Pieces of any size hold every chunk of a file once, in order. */
static void check_spans(const crypt_index *x, const crypt_member *m, uint32_t chunk, uint64_t piece) {
    uint64_t next = 0, first = m->count ? x->stretches[m->first].first_chunk : 0, pieces = 0;
    for (uint64_t at = 0; at < m->bytes && pieces < 64; at += piece, pieces++) {
        crypt_span s;
        uint64_t to = piece < m->bytes - at ? at + piece : m->bytes;
        if (!crypt_span_find(x, m, chunk, at, to, &s)) continue;
        check(s.offset == next && s.first == first && s.count > 0 && s.bytes > 0 && s.bytes <= m->bytes - s.offset);
        next += s.bytes;
        first += s.count;
        if (piece > m->bytes - at) break;
    }
    check(pieces >= 64 || next == m->bytes);
}

static void try_index(const uint8_t *data, size_t bytes) {
    if (bytes < 3) return;
    const uint32_t chunk = 1u << (12 + data[0] % 13);
    const uint64_t piece = (uint64_t)1 << (data[1] % 40);
    crypt_index x;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = crypt_index_parse(data + 2, bytes - 2, chunk, &x, &err);
    check_failed(status, &err);
    if (status != TOLA_OK) return;
    for (size_t i = 0; i < x.member_count; i++) {
        const crypt_member *m = &x.members[i];
        check_spans(&x, m, chunk, piece < chunk ? chunk : piece);
        if (m->kind == CRYPT_PADDING) continue;
        check(m->name[0] && m->name[0] != '/' && strcmp(m->name, "..") != 0 && strncmp(m->name, "../", 3) != 0);
        check(!strstr(m->name, "/../") && !strstr(m->name, "//"));
        check(crypt_index_find(&x, m->name) == m);
        if (i) check(crypt_compare_names(x.members[i - 1].name, m->name) < 0);
    }
    check(x.folder || crypt_index_only(&x));
    crypt_index_free(&x);
}

/* ---- keys ---- */

static void try_keys(const uint8_t *data, size_t bytes) {
    static crypt_pair pairs[CRYPT_MOST_KEYS];
    size_t count;
    tola_error err = TOLA_ERROR_INIT;
    check_failed(crypt_parse_pairs((const char *)data, bytes, pairs, &count, &err), &err);
    buf keys;
    buf_init(&keys, 0);
    check_failed(crypt_parse_recipients((const char *)data, bytes, &keys, &err), &err);
    for (size_t i = 0; i < keys.length; i += CRYPT_KEY) {
        char text[CRYPT_KEY_TEXT];
        buf again;
        buf_init(&again, 0);
        check(crypt_public_text(keys.data + i, text, &err) == TOLA_OK);
        check(crypt_parse_recipients(text, strlen(text), &again, &err) == TOLA_OK);
        check(again.length == CRYPT_KEY && memcmp(again.data, keys.data + i, CRYPT_KEY) == 0);
        buf_free(&again);
    }
    buf_free(&keys);
}

/* ---- whole files ---- */

static const uint8_t file_key[CRYPT_KEY] = { 1, 2, 3 }, id[CRYPT_ID] = { 4, 5, 6 };
static uint8_t stanza_kept[256];
static size_t stanza_bytes;

/* The ring gets a passphrase that opens everything made here; Argon2id runs once, with the least memory. */
static void prepare(void) {
    static bool done;
    buf out;
    if (done) return;
    done = true;
    buf_init(&out, 0);
    check(tola_keys_add_passphrase("fuzz", 4, NULL) == TOLA_OK);
    check(crypt_wrap_passphrase(id, "fuzz", 4, (crypt_kdf){ 8, 1 }, file_key, &out, NULL) == TOLA_OK);
    memcpy(stanza_kept, out.data, out.length);
    stanza_bytes = out.length;
    buf_free(&out);
}

static tola_status make_file(const uint8_t *data, size_t bytes, buf *file) {
    static const uint8_t nonce[CRYPT_NONCE];
    uint8_t prologue[CRYPT_PROLOGUE], key[CRYPT_KEY], aad[12 + CRYPT_ID];
    const size_t index = data[0] | (size_t)data[1] << 8, used = index < bytes - 8 ? index : bytes - 8;
    crypt_layout layout = { 1u << (11 + data[2] % 15), used + CRYPT_TAG, crypt_padded(data[3] * CRYPT_TAG),
                            data[4] | (uint64_t)data[5] << 8 };
    buf stanzas, publics, slot;
    buf_init(&stanzas, 0);
    buf_init(&publics, 0);
    buf_init(&slot, 0);
    buf_append(&stanzas, stanza_kept, stanza_bytes);
    crypt_prologue(prologue, id, CRYPT_LEAST_SLOT);
    TRY(crypt_slot_make(prologue, 1, &stanzas, 1, &publics, &layout, file_key, &slot, NULL));
    buf_append(file, prologue, sizeof prologue);
    buf_zeros(file, CRYPT_SLOTS_AT - sizeof prologue);
    buf_append(file, slot.data, slot.length);
    buf_zeros(file, CRYPT_LEAST_SLOT);
    size_t at = file->length;
    buf_zeros(file, used + CRYPT_TAG);
    memcpy(aad, "tola index 1", 12);
    memcpy(aad + 12, id, CRYPT_ID);
    TRY(crypt_subkey(id, file_key, "tola encrypt 1 index", key, NULL));
    TRY(crypt_xseal(key, nonce, aad, sizeof aad, data + 8, file->data + at, used, NULL));
    at = file->length;
    buf_zeros(file, (size_t)layout.tags_bytes + CRYPT_TAG);
    size_t tags = data[3] * (size_t)CRYPT_TAG;
    TRY(crypt_filling(id, file_key, file->data + at + tags, (size_t)layout.tags_bytes - tags, NULL));
    file->length -= CRYPT_TAG;
    buf_zeros(file, (size_t)layout.payload_bytes);
    buf_free(&stanzas);
    buf_free(&publics);
    buf_free(&slot);
    return file->failed ? TOLA_E_NOMEM : TOLA_OK;
}

static void read_member(vault *v, const crypt_member *m) {
    source *s;
    tola_error err = TOLA_ERROR_INIT;
    uint8_t some[64];
    if (m->kind != CRYPT_FILE || vault_source(v, m, m->name, &s, &err) != TOLA_OK) return;
    check(s->size == m->bytes && s->secret);
    const size_t n = m->bytes < sizeof some ? (size_t)m->bytes : sizeof some;
    if (n) check(source_read(s, m->bytes - n, some, n, &err) == TOLA_E_FORMAT); /* no code of the payload holds */
    source_close(s);
}

static void try_file(const uint8_t *data, size_t bytes) {
    if (bytes < 8) return;
    prepare();
    buf file;
    source *s;
    vault *v;
    tola_error err = TOLA_ERROR_INIT;
    buf_init(&file, 0);
    if (make_file(data, bytes, &file) == TOLA_OK &&
        source_open_memory("fuzz", file.data, file.length, &s, &err) == TOLA_OK) {
        tola_status status = vault_open(s, &v, &err);
        check_failed(status, &err);
        for (size_t i = 0; status == TOLA_OK && i < vault_index(v)->member_count && i < 16; i++)
            read_member(v, &vault_index(v)->members[i]);
        if (status == TOLA_OK) vault_close(v);
    }
    buf_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 1 || bytes > 1 << 16) return 0;
    switch (data[0] % 4) {
    case 0: try_slot(data + 1, bytes - 1); break;
    case 1: try_index(data + 1, bytes - 1); break;
    case 2: try_keys(data + 1, bytes - 1); break;
    default: try_file(data + 1, bytes - 1); break;
    }
    return 0;
}
