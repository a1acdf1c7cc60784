/* What reading and writing adapters share. */
#ifndef MODELS_ADAPTER_H
#define MODELS_ADAPTER_H

#include "models/models.h"

/* Do the rows of this weight stand in another order in GGUF than in Hugging Face's layout? */
bool adapter_turns(const model_description *d, const name_row *row);
/* Rows of each head: halves (i, i + dim / 2), as Hugging Face keeps Llama's, to neighbours (2i, 2i + 1), or back. `spare`
 * holds dim * cols. */
void adapter_reorder(float *rows, uint64_t count, uint64_t dim, uint64_t cols, bool to_neighbours, float *spare);

#endif
