/* Matrices kept as several tensors: a configuration and a safetensors file, seen through the logical view, every matrix
 * read. Input: u16 length of config.json, its text, the safetensors file. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "formats/logical.h"
#include "formats/open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define LARGEST ((uint64_t)1 << 20) /* bytes of a matrix that is read whole */

static void read_all(const tola_checkpoint *view) {
    tola_error err = TOLA_ERROR_INIT;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(view); i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(view, i);
        uint64_t row = t->n_dims ? t->shape[t->n_dims - 1] * 4 : 4;
        size_t n = (size_t)(t->bytes < LARGEST ? t->bytes : row < LARGEST ? row : 0);
        void *values = malloc(n ? n : 1);
        if (!values) abort();
        if (tola_checkpoint_read(view, i, t->bytes - n, values, n, &err) != TOLA_OK && !err.message[0]) abort();
        free(values);
    }
}

static void look(tola_checkpoint *ck, logical_precision precision) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *view;
    if (logical_open(ck, precision, &view, &err) != TOLA_OK) {
        if (!err.message[0]) abort();
    } else if (view) {
        read_all(view);
        tola_checkpoint_close(view);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 2) return 0;
    size_t length = data[0] | (size_t)data[1] << 8;
    if (length > bytes - 2) return 0;
    const uint8_t *file = data + 2 + length;
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open_memory("fuzz.safetensors", file, bytes - 2 - length, &ck, &err) != TOLA_OK) return 0;
    if (length && json_parse((const char *)data + 2, length, &ck->arena, &ck->config, &err) != TOLA_OK)
        memset(&ck->config, 0, sizeof ck->config);
    look(ck, LOGICAL_EXACT);
    look(ck, LOGICAL_MODEL);
    tola_checkpoint_close(ck);
    return 0;
}
