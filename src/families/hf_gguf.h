/* Between a Hugging Face folder and a GGUF file: which tensor becomes which, and the words around them.
 *
 * This builds a plan as plain data; it moves no tensor itself (transform/ does that). Layouts follow the public
 * converter of llama.cpp (convert_hf_to_gguf.py, gguf-py/gguf/constants.py) and the GGUF specification
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 *
 * A tensor is seen as consecutive rows of `row_elements` elements, in row-major order. An output tensor is the
 * concatenation of its pieces (row ranges of source tensors), then permuted, then cast, as its item says. */
#ifndef FAMILIES_HF_GGUF_H
#define FAMILIES_HF_GGUF_H

#include "base/mem.h"
#include "families/families.h"
#include <tola/checkpoint.h>

typedef enum hf_gguf_order {
    HF_GGUF_IN_ORDER = 0,
    /* Each of `heads` groups of d = rows/heads rows: output row 2j+s of a group is input row s*(d/2)+j
     * (rotary halves become rotary neighbours: Hugging Face -> GGUF for Llama's Q and K). d is even. */
    HF_GGUF_INTERLEAVE,
    /* The inverse: output row s*(d/2)+j of a group is input row 2j+s. */
    HF_GGUF_DEINTERLEAVE
} hf_gguf_order;

/* Rows [first_row, first_row + rows) of tensor `tensor` of the source checkpoint. */
typedef struct hf_gguf_piece {
    size_t tensor;
    uint64_t first_row, rows;
} hf_gguf_piece;

typedef struct hf_gguf_item {
    const char *name;
    uint64_t shape[4]; /* outermost first */
    uint16_t n_dims;
    uint16_t dtype;    /* tola_dtype: what to write */
    bool fixed_dtype;  /* readers insist on this dtype (norms, 1-D tensors, routers in GGUF): --dtype does not apply */
    uint64_t row_elements;
    const hf_gguf_piece *pieces;
    size_t piece_count; /* 0: the bytes are inline_data */
    hf_gguf_order order;
    uint32_t heads;     /* groups of the permutation; 0 where order is HF_GGUF_IN_ORDER */
    double add;         /* added to every element in f32 before the final cast (Gemma's norms: 1 or -1); else 0 */
    const void *inline_data; /* row-major, little-endian, of `dtype` */
    size_t inline_bytes;
} hf_gguf_item;

/* A small file of the output folder. */
typedef struct hf_gguf_companion {
    const char *name;
    const void *data;
    size_t bytes;
} hf_gguf_companion;

typedef struct hf_gguf_plan {
    arena arena; /* everything below lives here */
    const family *family;
    hf_gguf_item *items;
    size_t count;
    tola_value metadata; /* a map: key-values of the GGUF, __metadata__ of the safetensors */
    hf_gguf_companion *companions; /* Hugging Face folders only */
    size_t companion_count;
    const char **warnings; /* one line each: what could not be carried over exactly */
    size_t warning_count;
} hf_gguf_plan;

typedef struct hf_gguf_options {
    tola_dtype dtype; /* of matrices; NONE keeps each one's (GGUF) or restores each one's (Hugging Face) */
} hf_gguf_options;

/* Does this conversion need mapping: is `ck` a Hugging Face checkpoint of a family with a name map and a config.json
 * (to_gguf), or a GGUF file of such a family (to Hugging Face)? */
bool hf_gguf_applies(const tola_checkpoint *ck, bool to_gguf);

/* Builds the plan; *out is freed with hf_gguf_plan_free. Reads configuration, tokenizer files and norms of a few KiB,
 * no matrices. TOLA_E_UNSUPPORTED where the family, a tensor or the tokenizer has no counterpart (the message names
 * it), TOLA_E_FORMAT where shapes contradict the configuration. */
tola_status hf_gguf_plan_to_gguf(const tola_checkpoint *ck, const hf_gguf_options *options, hf_gguf_plan **out,
                                 tola_error *err);
tola_status hf_gguf_plan_to_hf(const tola_checkpoint *ck, const hf_gguf_options *options, hf_gguf_plan **out,
                               tola_error *err);
void hf_gguf_plan_free(hf_gguf_plan *plan); /* NULL is fine */

#endif
