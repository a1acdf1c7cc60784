/* What reading and writing adapters share. */
#ifndef MODELS_ADAPTER_H
#define MODELS_ADAPTER_H

#include "models/models.h"

enum { DOWN, UP, MAGNITUDE, PARTS };

typedef struct pair {
    const char *name; /* for messages: the tensor that came first */
    const name_row *row;
    uint32_t layer;
    size_t tensors[PARTS]; /* SIZE_MAX: none */
    graph_weight weights[PARTS];
    const void *data[PARTS];
    float scale;
    bool used;
} pair;

/* Lengths of rows that were asked for. */
typedef struct lengths {
    struct lengths *next;
    const graph_weight *of;
    graph_weight weight;
    const void *data;
} lengths;

struct model_adapter {
    const tola_checkpoint *ck;
    const model_description *base;
    arena arena;
    pair **pairs; /* in the arena */
    size_t count, cap;
    void **blocks;
    size_t block_count, block_cap;
    lengths *lengths;
    bool gguf;
    /* one that is learned */
    bool learns;
    model_adapter_options options;
    model_learned *learned;
    size_t learned_count, learned_cap;
    const char **modules; /* names of weights that were asked for, targets or not */
    size_t module_count, module_cap;
};

/* The pair for a weight, new where there is none; NULL where memory is out. */
pair *adapter_pair(model_adapter *a, const name_match *m);
/* Rows [first, first + rows) of B; NULL where memory is out. */
const graph_weight *adapter_rows(model_adapter *a, const pair *p, uint64_t first, uint64_t rows);
/* adapter_learn.c: model_adapter_find of an adapter that is learned. */
tola_status adapter_learn(model_adapter *a, const model_want *want, model_pair *out, tola_error *err);

/* Do the rows of this weight stand in another order in GGUF than in Hugging Face's layout? */
bool adapter_turns(const model_description *d, const name_row *row);
/* Rows of each head: halves (i, i + dim / 2), as Hugging Face keeps Llama's, to neighbours (2i, 2i + 1), or back.
 * `spare` holds dim * cols. */
void adapter_reorder(float *rows, uint64_t count, uint64_t dim, uint64_t cols, bool to_neighbours, float *spare);

#endif
