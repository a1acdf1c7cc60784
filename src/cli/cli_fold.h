/* Lists of tensors for people: what repeats in every layer becomes one line. */
#ifndef CLI_FOLD_H
#define CLI_FOLD_H

#include "cli.h"

/* Tensors whose names differ only in components that are numbers, with one dtype and shape. */
typedef struct fold_row {
    char *name;                    /* "model.layers.{0-31}.mlp.up_proj.weight" */
    const tola_tensor_info *first; /* dtype, shape and flags are those of all */
    size_t count;
    uint64_t bytes; /* of all */
} fold_row;

typedef struct fold_list {
    fold_row *rows; /* in the order in which their first tensors appear */
    size_t count;
    size_t tensors;
} fold_list;

/* All tensors that match `glob` (NULL: all). */
fold_list fold_tensors(const tola_checkpoint *checkpoint, const char *glob);
/* Those whose index is in indices[0 .. count). */
fold_list fold_chosen(const tola_checkpoint *checkpoint, const size_t *indices, size_t count);
void fold_free(fold_list *list);

/* "[4096, 14336]", "scalar" */
const char *fold_shape(char *buf, size_t n, const tola_tensor_info *t);

#endif
