/* Files of sessions: whatever is in one, it is refused, or the session goes on from it.
 *
 * What a hostile file can know is mended (magic, version, layout, fingerprint, checksums) where its first byte is odd,
 * so that everything behind those is reached. The model is the unit tests' small one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tola/tola.h>

#include "base/hash.h"
#include "generate/session.h"

#define fail_msg(...) abort()
#include "../tests/unit/tiny_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define HEADER 64

static tola_session *session;
static uint64_t layout, fingerprint;

static void must(tola_status status) {
    if (status != TOLA_OK) abort();
}

static void make_session(void) {
    char path[300];
    const char *base = getenv("TMPDIR");
    tola_session_options o = TOLA_SESSION_OPTIONS_INIT;
    tola_model *model;
    snprintf(path, sizeof path, "%s/tola-fuzz-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path)) abort();
    size_t folder = strlen(path);
    strcat(path, "/tiny.gguf");
    tiny_gguf(path, 1);
    must(tola_model_open(path, NULL, &model, NULL));
    o.context = 200;
    o.threads = 1;
    o.key_type = o.value_type = TOLA_DTYPE_Q4_0;
    must(tola_session_create(model, &o, &session, NULL));
    must(model_fingerprint(model, &fingerprint, NULL));
    layout = kv_layout(session->kv);
    unlink(path);
    path[folder] = 0;
    rmdir(path);
}

static void put(uint8_t *at, uint64_t v, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) at[i] = (uint8_t)(v >> (8 * i));
}

static void mend(uint8_t *data, size_t bytes) {
    if (bytes < HEADER + 4) return;
    memcpy(data, "TOLASEQ\n", 8);
    put(data + 8, 1, 4);
    put(data + 16, layout, 8);
    put(data + 24, fingerprint, 8);
    put(data + 60, crc32_update(0, data, 60), 4);
    put(data + bytes - 4, crc32_update(0, data + HEADER, bytes - HEADER - 4), 4);
}

static void go_on(void) {
    size_t length = tola_session_length(session, 0);
    if (length > 200 || length != kv_length(session->sequences[0].kv)) abort();
    for (size_t i = 0; i < length; i++)
        if (tola_session_ids(session, 0)[i] >= TINY_VOCABULARY) abort();
    tola_step_token next = { 5, 0, true };
    tola_status status = tola_session_step(session, &next, 1, NULL, NULL, NULL);
    if (status != TOLA_OK && status != TOLA_E_FORMAT && status != TOLA_E_LIMIT) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    source *src;
    void *note = NULL;
    size_t note_bytes = 0;
    tola_error err = TOLA_ERROR_INIT;
    if (!session) make_session();
    uint8_t *copy = malloc(bytes + 1);
    if (!copy) return 0;
    if (bytes) memcpy(copy, data, bytes);
    if (bytes && (data[0] & 1)) mend(copy, bytes);
    must(source_open_memory("fuzz", copy, bytes, &src, NULL));
    if (session_load_source(session, 0, src, &note, &note_bytes, &err) == TOLA_OK) {
        if (!note || ((char *)note)[note_bytes] != 0) abort();
        go_on();
    } else if (!err.message[0] || tola_session_length(session, 0) != 0) {
        abort();
    }
    tola_free(note);
    source_close(src);
    free(copy);
    must(tola_session_truncate(session, 0, 0, NULL));
    return 0;
}
