/* A model made ready to run: what sessions see of it. */
#ifndef GENERATE_MODEL_H
#define GENERATE_MODEL_H

#include "models/models.h"
#include <tola/run.h>

struct tola_model {
    const tola_checkpoint *checkpoint;
    tola_checkpoint *owned; /* the same where we opened it */
    model_description *description;
    model_weights *weights;
    model_adapter **adapters;
    tola_checkpoint **adapter_files;
    float *adapter_scales;
    size_t adapter_count;
    graph *graph;
    tola_tokenizer *tokenizer; /* NULL: `no_tokenizer` says why */
    tola_error no_tokenizer;
    tola_model_info info;
};

/* Tells models apart whose keys and values differ: names, types and shapes of all tensors, some of their bytes, what
 * the configuration says of the arithmetic, and the adapters. Reads a little of every tensor. */
tola_status model_fingerprint(const tola_model *m, uint64_t *out, tola_error *err);

#endif
