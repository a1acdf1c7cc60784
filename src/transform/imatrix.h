/* Importance matrices: what `llama-imatrix` measured, in its old binary format and as GGUF.
 *
 * For each weight matrix and column, the mean of the squared activations that met the column. Mixture-of-experts
 * tensors have one row of columns for each expert. */
#ifndef TRANSFORM_IMATRIX_H
#define TRANSFORM_IMATRIX_H

#include <tola/base.h>

typedef struct imatrix imatrix;

/* Reads either format, told apart by content. TOLA_E_FORMAT with the offset for what is damaged, negative or NaN. */
tola_status imatrix_open(const char *path, imatrix **out, tola_error *err);
void imatrix_free(imatrix *m); /* NULL is fine */

typedef struct imatrix_entry {
    const char *name;     /* of the tensor in GGUF's words: "blk.0.ffn_up.weight" */
    uint64_t columns;     /* of one matrix */
    uint64_t matrices;    /* experts; 1 otherwise */
    const float *values;  /* matrices x columns means, >= 0 */
} imatrix_entry;
/* The entry of a tensor (a Hugging Face checkpoint's tensor is looked up by the GGUF name that it would get), NULL where
 * there is none. */
const imatrix_entry *imatrix_find(const imatrix *m, const char *name);
size_t imatrix_count(const imatrix *m);
const imatrix_entry *imatrix_at(const imatrix *m, size_t index);

#endif
