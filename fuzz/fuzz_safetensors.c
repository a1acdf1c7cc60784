/* safetensors from memory: open, then read every tensor that is not huge. */
#include <stdlib.h>

#include <tola/tola.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open_memory("fuzz.safetensors", data, bytes, &ck, &err) != TOLA_OK) {
        if (!err.message[0]) abort();
        return 0;
    }
    uint8_t piece[4096];
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck); i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
        if (tola_checkpoint_find(ck, t->name) != i) abort();
        size_t n = t->bytes < sizeof piece ? (size_t)t->bytes : sizeof piece;
        if (tola_checkpoint_read(ck, i, t->bytes - n, piece, n, &err) != TOLA_OK && !err.message[0]) abort();
    }
    tola_checkpoint_close(ck);
    return 0;
}
