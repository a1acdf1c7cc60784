/* Signatures: bundles, the statements in them, Sigstore's trust roots and log entries, provenance. The first byte says
 * which.
 *
 * Signatures cannot be guessed, so each part is handed what would come behind a good one. A statement that was taken is
 * written again and read again: the same manifest. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "trust/provenance.h"
#include "trust/merkle.h"
#include "trust/sigstore.h"
#include "trust/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

static void check_failed(tola_status status, const tola_error *err) { check(status == TOLA_OK || err->message[0]); }

/* What a manifest that was taken promises: order, names inside the model, no name twice. */
static void check_manifest(const manifest *m) {
    for (size_t i = 0; i < m->count; i++) {
        const char *path = m->items[i].path;
        check(path[0] && path[0] != '/' && strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0);
        check(!strstr(path, "/../") && !strstr(path, "//"));
        if (i > 0) check(manifest_compare(&m->items[i - 1], &m->items[i]) < 0);
        if (m->rules.shard_size) check(m->items[i].start < m->items[i].end);
    }
    for (size_t i = 0; i < m->rules.n_ignore; i++) check(m->rules.ignore[i][0] && m->rules.ignore[i][0] != '/');
}

static void again(const statement *s) {
    buf text;
    uint8_t root[32];
    tola_error err = TOLA_ERROR_INIT;
    buf_init(&text, 1 << 24);
    statement second;
    if (statement_write(&s->m, s->provenance, root, &text, &err) == TOLA_OK) {
        tola_status status = statement_parse((bundle_bytes){ text.data, text.length }, &second, &err);
        check(status == TOLA_OK);
        check(second.m.count == s->m.count && memcmp(second.root, root, 32) == 0);
        for (size_t i = 0; i < s->m.count; i++) check(manifest_compare(&second.m.items[i], &s->m.items[i]) == 0);
        statement_free(&second);
    } else {
        check(err.message[0]);
    }
    buf_free(&text);
}

static void try_statement(bundle_bytes payload) {
    statement s;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = statement_parse(payload, &s, &err);
    check_failed(status, &err);
    if (status != TOLA_OK) return;
    check_manifest(&s.m);
    if (s.provenance) {
        arena a;
        arena_init(&a, 1 << 26);
        provenance_file *files;
        size_t count;
        status = provenance_inputs(s.provenance, &a, &files, &count, &err);
        check_failed(status, &err);
        for (size_t i = 0; status == TOLA_OK && i < count; i++) {
            check(!strchr(files[i].model, '/') && strcmp(files[i].model, "..") != 0);
            (void)provenance_has(&s.m, &files[i]);
        }
        check_failed(provenance_matches(s.provenance, &s.m, &err), &err);
        arena_free(&a);
    }
    again(&s);
    statement_free(&s);
}

static void try_bundle(const char *text, size_t bytes) {
    bundle b;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = bundle_parse(text, bytes, &b, &err);
    check_failed(status, &err);
    if (status != TOLA_OK) return;
    check(b.has_key || b.n_certificates > 0);
    buf bytes_signed;
    buf_init(&bytes_signed, 0);
    dsse_bytes(b.payload, &bytes_signed);
    dsse_bytes_old(b.payload, &bytes_signed);
    check(bytes_signed.length > 2 * b.payload.length);
    buf_free(&bytes_signed);
    certificates chain = { 0 };
    for (size_t i = 0; i < b.n_certificates; i++)
        if (certificates_add_der(&chain, b.certificates[i], &err) != TOLA_OK) break;
    static const sigstore_root empty;
    int64_t when;
    if (chain.count == b.n_certificates && chain.count > 0)
        check(sigstore_check(&empty, &b, &chain, &when, &err) != TOLA_OK && err.message[0]);
    certificates_free(&chain);
    try_statement(b.payload);
    bundle_free(&b);
}

static void try_root(const char *text, size_t bytes) {
    sigstore_root *root;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = sigstore_root_parse(text, bytes, &root, &err);
    check_failed(status, &err);
    if (status == TOLA_OK) sigstore_root_free(root);
}

/* `flags`, leaf, then hashes of a path: any length, any place; never the same root for two leaves. */
static void try_merkle(const uint8_t *data, size_t bytes) {
    if (bytes < 16 + 32) return;
    uint64_t index, size;
    memcpy(&index, data, 8);
    memcpy(&size, data + 8, 8);
    size_t n = (bytes - 48) / 32;
    uint8_t path[64][32], a[32], b[32], other[32];
    if (n > 64) n = 64;
    memcpy(path, data + 48, n * 32);
    memcpy(other, data + 16, 32);
    other[0] ^= 1;
    bool first = merkle_path_root(index, size, data + 16, (const uint8_t(*)[32])path, n, a, NULL);
    bool second = merkle_path_root(index, size, other, (const uint8_t(*)[32])path, n, b, NULL);
    check(first == second && (!first || memcmp(a, b, 32) != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 1 || bytes > 1 << 16) return 0;
    const char *text = (const char *)data + 1;
    switch (data[0] % 4) {
    case 0: try_bundle(text, bytes - 1); break;
    case 1: try_statement((bundle_bytes){ data + 1, bytes - 1 }); break;
    case 2: try_root(text, bytes - 1); break;
    default: try_merkle(data + 1, bytes - 1); break;
    }
    return 0;
}
