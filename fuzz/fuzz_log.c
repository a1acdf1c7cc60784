/* The access log: notes and checkpoints, proofs, keys, rates, and databases that somebody made up. The first byte says
 * which.
 *
 * What was taken is written again and read again: the same. A database is verified, read, proved from and appended to,
 * with the key that made the corpus, so that signatures in it are good until they are changed. */
#define _GNU_SOURCE 1 /* memmem */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tola/log.h>

#include "trust/log_append.h"
#include "trust/log_proof.h"

static const char *const names[] = {
    "log", "log.key", "log.pub", "log.head", "log-journal", "log-wal", "log-shm", "old"
};
#define NAMES (sizeof names / sizeof *names)
#include "folder.h"

/* As fuzz/make_corpus_log.py has it: a key for tests, known to everybody. */
#define NAME "example.org/log"
static const char private_key[] = "PRIVATE+KEY+" NAME "+98af023b+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n";
static const char public_key[] = NAME "+98af023b+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

static void check_failed(tola_status status, const tola_error *err) {
    check(status == TOLA_OK || (err->message[0] && !strchr(err->message, '\n')));
}

static const char *path_of(const char *name) {
    static char paths[4][400];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t bytes, mode_t mode) {
    FILE *f = fopen(path_of(name), "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f) != 0 || chmod(path_of(name), mode) != 0) abort();
}

/* ---- text ---- */

static const note_key *own_key(void) {
    static note_key key;
    if (!key.pkey) {
        write_file("log.key", private_key, sizeof private_key - 1, 0600);
        check(note_key_read(path_of("log.key"), true, "", &key, NULL) == TOLA_OK);
    }
    return &key;
}

static void try_note(const char *text, size_t bytes) {
    signed_note n;
    tree_head head, again;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = note_parse(text, bytes, &n, &err);
    check_failed(status, &err);
    if (status != TOLA_OK) return;
    (void)note_verify(&n, own_key(), &err);
    status = checkpoint_parse(&n, &head, &err);
    check_failed(status, &err);
    if (status != TOLA_OK) return;
    buf b;
    buf_init(&b, 0);
    check(checkpoint_sign(&head, own_key(), &b, &err) == TOLA_OK);
    check(log_checkpoint_read(b.data, b.length, own_key(), &again, &err) == TOLA_OK);
    check(again.size == head.size && strcmp(again.origin, head.origin) == 0 && memcmp(again.root, head.root, 32) == 0);
    buf_free(&b);
}

static void try_proof(const char *text, size_t bytes) {
    static log_proof p;
    arena a;
    tola_error err = TOLA_ERROR_INIT;
    char *copy = malloc(bytes + 1); /* files are read with a NUL behind them */
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    arena_init(&a, 64 << 20);
    tola_status status = log_proof_parse(copy, bytes, &a, &p, &err);
    check_failed(status, &err);
    if (status == TOLA_OK) check((p.entry || p.old) && p.n_path <= MERKLE_PATH && p.n_steps <= MERKLE_PATH);
    arena_free(&a);
    own_key();
    write_file("log.pub", public_key, sizeof public_key - 1, 0644);
    write_file("log", text, bytes, 0600);
    tola_log_verify_options o = TOLA_LOG_VERIFY_OPTIONS_INIT;
    tola_log_report *r;
    o.public_key = path_of("log.pub");
    status = tola_log_verify_proof(path_of("log"), &o, &r, &err);
    check_failed(status, &err);
    if (status == TOLA_OK) tola_log_report_free(r);
    free(copy);
}

static void try_key(const char *text, size_t bytes) {
    note_key key;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = note_key_parse(text, bytes, &key, &err);
    check_failed(status, &err);
    if (status != TOLA_OK) return;
    buf b;
    buf_init(&b, 0);
    note_key_text(&key, &b);
    /* digits of the id may be of either case */
    check(b.length == bytes && strncasecmp((const char *)b.data, text, bytes) == 0);
    buf_free(&b);
    note_key_free(&key);
}

static void try_rate(const char *text, size_t bytes) {
    char copy[256];
    double rate = 0;
    tola_error err = TOLA_ERROR_INIT;
    if (bytes >= sizeof copy) return;
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    tola_status status = tola_rate_parse(copy, 2, &rate, &err);
    check_failed(status, &err);
    check(status != TOLA_OK || (rate > 0 && isfinite(rate)));
}

/* ---- databases ---- */

static tola_status count(void *user, const tola_log_entry *e, tola_error *err) {
    (void)err;
    check(e->text[e->length] == 0 || e->length > 0);
    ++*(uint64_t *)user;
    return TOLA_OK;
}

static void body(void *user, tola_json *j) {
    (void)user;
    tola_json_key(j, "event");
    tola_json_string(j, "fuzz");
}

static bool verify(const char *log, bool outside) {
    tola_log_verify_options o = TOLA_LOG_VERIFY_OPTIONS_INIT;
    tola_log_report *r;
    tola_error err = TOLA_ERROR_INIT;
    if (outside) o.checkpoint = path_of("old");
    tola_status status = tola_log_verify(log, &o, &r, &err);
    check_failed(status, &err);
    if (status != TOLA_OK) return false;
    bool valid = r->valid;
    check(valid == (r->n_problems == 0));
    tola_log_report_free(r);
    return valid;
}

static void try_database(const uint8_t *data, size_t bytes) {
    char log[400];
    uint64_t entries = 0, number = 0;
    tola_error err = TOLA_ERROR_INIT;
    tola_log_proof *proof;
    write_files(data, bytes);
    write_file("log.key", private_key, sizeof private_key - 1, 0600);
    write_file("log.pub", public_key, sizeof public_key - 1, 0644);
    snprintf(log, sizeof log, "%s", path_of("log"));
    bool valid = verify(log, false);
    verify(log, true);
    check_failed(tola_log_read(log, count, &entries, &err), &err);
    for (uint64_t i = 0; i < 4; i++) {
        tola_status status = tola_log_prove(log, i, i & 1 ? path_of("old") : NULL, &proof, &err);
        check_failed(status, &err);
        if (status == TOLA_OK) tola_log_proof_free(proof);
    }
    tola_status status = log_append(log, NULL, body, NULL, NULL, 0, &number, &err);
    check_failed(status, &err);
    if (valid && status == TOLA_OK) check(verify(log, false)); /* a good log stays one */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 1 || bytes > 1 << 17) return 0;
    const char *text = (const char *)data + 1;
    if (!*folder) make_folder();
    switch (data[0] % 5) {
    case 0: try_note(text, bytes - 1); break;
    case 1: try_proof(text, bytes - 1); break;
    case 2: try_key(text, bytes - 1); break;
    case 3: try_rate(text, bytes - 1); break;
    default: try_database(data + 1, bytes - 1); break;
    }
    return 0;
}
