/* .npy and .npz from memory: open, then read every array at its end and at its beginning. */
#include <stdlib.h>

#include <tola/tola.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_piece(const tola_checkpoint *ck, size_t i, uint64_t at, size_t n) {
    static uint8_t piece[1024];
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_read(ck, i, at, piece, n, &err) != TOLA_OK && !err.message[0]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open_memory("fuzz.npz", data, bytes, &ck, &err) != TOLA_OK) {
        if (!err.message[0]) abort();
        return 0;
    }
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck) && i < 1000; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
        if (tola_checkpoint_find(ck, t->name) != i) abort();
        size_t n = t->bytes < 1024 ? (size_t)t->bytes : 1024;
        read_piece(ck, i, t->bytes - n, n);
        read_piece(ck, i, 0, n);
    }
    tola_checkpoint_close(ck);
    return 0;
}
