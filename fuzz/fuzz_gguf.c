/* GGUF from memory: open, then read tensors whole where they are small, else both ends, cut in the middle of blocks;
 * what could be read is written again and must come back the same. */
#include <stdlib.h>
#include <string.h>

#include "formats/gguf.h"
#include <tola/tola.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_tensor(const tola_checkpoint *ck, size_t i) {
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
    tola_error err = TOLA_ERROR_INIT;
    uint8_t whole[4096], pieces[4096];
    if (tola_checkpoint_find(ck, t->name) != i) abort();
    if (t->bytes > sizeof whole) {
        if (tola_checkpoint_read(ck, i, t->bytes - 4095, whole, 4095, &err) != TOLA_OK && !err.message[0]) abort();
        return;
    }
    size_t n = (size_t)t->bytes, cut = n / 3 + 1;
    if (tola_checkpoint_read(ck, i, 0, whole, n, &err) != TOLA_OK) {
        if (!err.message[0]) abort();
        return;
    }
    if (cut > n) cut = n;
    if (tola_checkpoint_read(ck, i, 0, pieces, cut, &err) != TOLA_OK) abort();
    if (tola_checkpoint_read(ck, i, cut, pieces + cut, n - cut, &err) != TOLA_OK) abort();
    if (memcmp(whole, pieces, n) != 0) abort();
}

/* Metadata that was read can be written, and what was written can be read and written to the same bytes. */
static void rewrite_metadata(const tola_value *metadata) {
    buf first, second, entries;
    uint64_t count;
    tola_error err = TOLA_ERROR_INIT;
    buf_init(&entries, CK_MAX_HEADER);
    buf_init(&first, CK_MAX_HEADER);
    buf_init(&second, CK_MAX_HEADER);
    if (gguf_write_values(&entries, metadata, &count, &err) != TOLA_OK) abort();
    buf_append(&first, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16);
    buf_u64le(&first, count);
    buf_append(&first, entries.data, entries.length);
    if (first.failed || entries.failed) abort();
    tola_checkpoint *ck;
    if (tola_checkpoint_open_memory("again.gguf", first.data, first.length, &ck, &err) != TOLA_OK) abort();
    if (gguf_write_values(&second, tola_checkpoint_metadata(ck), &count, &err) != TOLA_OK) abort();
    if (second.length != entries.length || (second.length && memcmp(second.data, entries.data, second.length)))
        abort();
    tola_checkpoint_close(ck);
    buf_free(&entries);
    buf_free(&first);
    buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    if (bytes < 4 || memcmp(data, "GGUF", 4) != 0) return 0; /* other formats have targets of their own */
    if (tola_checkpoint_open_memory("fuzz.gguf", data, bytes, &ck, &err) != TOLA_OK) {
        if (!err.message[0]) abort();
        return 0;
    }
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck); i++) read_tensor(ck, i);
    rewrite_metadata(tola_checkpoint_metadata(ck));
    tola_checkpoint_close(ck);
    return 0;
}
