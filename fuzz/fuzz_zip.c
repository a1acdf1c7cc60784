/* Zip archives: open, look up and unpack every member, read from the middle, backwards. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "formats/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define LARGEST (1u << 20)

static void use(zip_archive *z, arena *a) {
    tola_error err = TOLA_ERROR_INIT;
    uint8_t piece[512];
    for (size_t i = 0; i < z->count; i++) {
        zip_member *m = &z->members[i];
        const uint8_t *all;
        if (zip_find(z, m->name) != m) abort();
        bool whole = zip_load(z, m, LARGEST, a, &all, &err) == TOLA_OK;
        for (uint64_t at = m->size < LARGEST ? m->size : LARGEST;; at /= 2) {
            size_t n = m->size - at < sizeof piece ? (size_t)(m->size - at) : sizeof piece;
            if (zip_read(z, m, at, piece, n, &err) == TOLA_OK && whole && memcmp(piece, all + at, n) != 0) abort();
            if (at == 0) break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_error err = TOLA_ERROR_INIT;
    source *src;
    zip_archive *z;
    arena a;
    arena_init(&a, (size_t)256 << 20);
    if (source_open_memory("fuzz.zip", data, bytes, &src, &err) != TOLA_OK) return 0;
    src->remote = bytes && data[bytes - 1] & 1; /* both ways of finding payloads */
    if (zip_open(src, 0, bytes, &a, &z, &err) == TOLA_OK)
        use(z, &a);
    else if (!err.message[0])
        abort();
    source_close(src);
    arena_free(&a);
    return 0;
}
