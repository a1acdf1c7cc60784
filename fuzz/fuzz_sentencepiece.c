/* SentencePiece models from memory. */
#include <stdlib.h>

#include "families/sentencepiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    arena a;
    sentencepiece_model model;
    tola_error err = TOLA_ERROR_INIT;
    arena_init(&a, 64u << 20);
    if (sentencepiece_parse(data, bytes, &a, &model, &err) == TOLA_OK) {
        if (model.count == 0) abort();
        for (size_t i = 0; i < model.count; i++)
            if (model.pieces[i].data[model.pieces[i].length] != '\0' || model.types[i] < PIECE_NORMAL ||
                model.types[i] > PIECE_BYTE)
                abort();
    } else if (!err.message[0]) {
        abort();
    }
    arena_free(&a);
    return 0;
}
