/* Importance matrices: what `llama-imatrix` measured, in its old binary format and as GGUF.
 *
 * For each weight matrix and column, the mean of the squared activations that met the column. Mixture-of-experts
 * tensors have one row of columns for each expert; an expert that met no token (count 0) has ones.
 *
 * The old format (.dat), little-endian: i32 entries; each: i32 length, name, i32 calls, i32 values, f32 values that are
 * means times calls; then, in newer files, i32 chunks, i32 length, name of the text. The GGUF format: for each tensor
 * "<name>.in_sum2", f32 [matrices, columns], sums of squares, and "<name>.counts", f32 [matrices, 1], how many tokens
 * they are over; imatrix.chunk_count, imatrix.datasets.
 * Source: github.com/ggml-org/llama.cpp, tools/imatrix/imatrix.cpp and common/imatrix-loader.cpp. */
#ifndef TRANSFORM_IMATRIX_H
#define TRANSFORM_IMATRIX_H

#include <tola/base.h>

typedef struct imatrix imatrix;

/* Reads either format, told apart by content. TOLA_E_FORMAT with the offset for what is damaged, negative or NaN. */
tola_status imatrix_open(const char *path, imatrix **out, tola_error *err);
/* The same from bytes in memory, which need not outlive the call; `name` is for messages. */
tola_status imatrix_open_memory(const char *name, const void *data, size_t bytes, imatrix **out, tola_error *err);
void imatrix_free(imatrix *m); /* NULL is fine */

typedef struct imatrix_entry {
    const char *name;     /* of the tensor in GGUF's words: "blk.0.ffn_up.weight" */
    uint64_t columns;     /* of one matrix */
    uint64_t matrices;    /* experts; 1 otherwise. The old format does not tell experts apart: there it is always 1 */
    const float *values;  /* matrices x columns means, >= 0 */
} imatrix_entry;
/* The entry of a tensor, NULL where there is none. A Hugging Face checkpoint's tensor is looked up by the GGUF name
 * that it would get. */
const imatrix_entry *imatrix_find(const imatrix *m, const char *name);
/* The matrices x columns means for a tensor of that shape; *values is NULL where there is no entry. TOLA_E_FORMAT where
 * there is one of another size. */
tola_status imatrix_values(const imatrix *m, const char *name, uint64_t matrices, uint64_t columns,
                           const float **values, tola_error *err);
size_t imatrix_count(const imatrix *m);
const imatrix_entry *imatrix_at(const imatrix *m, size_t index); /* ordered by name; NULL beyond the end */

uint32_t imatrix_chunks(const imatrix *m);      /* of text that it was measured on; 0 where the file does not say */
const char *imatrix_dataset(const imatrix *m);  /* the text's name as the file says it, the first of several; NULL */

#endif
