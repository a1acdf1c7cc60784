/* ONNX from memory: open, then read tensors whole where they are small, and again in two pieces, backwards. */
#include <stdlib.h>
#include <string.h>

#include <tola/tola.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_tensor(const tola_checkpoint *ck, size_t i) {
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
    tola_error err = TOLA_ERROR_INIT;
    static uint8_t whole[4096], pieces[4096];
    if (tola_checkpoint_find(ck, t->name) != i) abort();
    size_t n = t->bytes < sizeof whole ? (size_t)t->bytes : sizeof whole, cut = n / 3;
    if (tola_checkpoint_read(ck, i, t->bytes - n, whole, n, &err) != TOLA_OK) {
        if (!err.message[0]) abort();
        return;
    }
    /* values that cannot be decoded may lie before the end: only a whole read says that all are good */
    bool good = tola_checkpoint_read(ck, i, t->bytes - n + cut, pieces + cut, n - cut, &err) == TOLA_OK &&
                tola_checkpoint_read(ck, i, t->bytes - n, pieces, cut, &err) == TOLA_OK;
    if (!good || memcmp(whole, pieces, n) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    if (bytes < 2 || data[0] != 8) return 0; /* other formats have targets of their own */
    if (tola_checkpoint_open_memory("fuzz.onnx", data, bytes, &ck, &err) != TOLA_OK) {
        if (!err.message[0]) abort();
        return 0;
    }
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck); i++) read_tensor(ck, i);
    tola_checkpoint_close(ck);
    return 0;
}
