/* Mixtures: llama.cpp's names (Q4_K_M, Q3_K_L, IQ2_M, ...) for giving each tensor of a model a type of its own, by what
 * the tensor does, in which layer, and how the heads are shared; and the types that stand in where a row does not fill
 * whole blocks. Public behaviour of llama.cpp's llama-quantize (src/llama-quant.cpp), checked against the program. */
#ifndef TRANSFORM_MIXTURE_H
#define TRANSFORM_MIXTURE_H

#include <tola/tensor.h>

typedef struct mixture mixture; /* a row of a table */

const mixture *mixture_find(const char *name); /* any case; NULL where it is none. Q4_0 ... F16 are mixtures, too */
const char *mixture_name(const mixture *m);
uint32_t mixture_file_type(const mixture *m);  /* general.file_type */
tola_dtype mixture_base(const mixture *m);       /* its main type: what a tensor gets for which no rule speaks */
const mixture *mixture_at(size_t index);       /* NULL at the end; for help and completions */

/* What the choice depends on, in GGUF's words. */
typedef struct mixture_model {
    const char *architecture; /* "llama" */
    uint32_t layers, heads, heads_kv, experts;
    bool has_importance;
    bool tied; /* no output.weight: token_embd serves */
} mixture_model;

typedef struct mixture_tensor {
    const char *name; /* "blk.0.attn_v.weight" */
    const uint64_t *shape; /* outermost first */
    uint16_t n_dims;
} mixture_tensor;

/* types[i]: the dtype of tensor i, TOLA_DTYPE_NONE where it keeps its own (1-D tensors, routers, ...). The fall-back
 * for rows that do not fill blocks is applied; *fallbacks (may be NULL) counts those. */
tola_status mixture_choose(const mixture *m, const mixture_model *model, const mixture_tensor *tensors, size_t count,
                           tola_dtype *types, size_t *fallbacks, tola_error *err);
/* The type that a row of `columns` elements gets where `wanted` does not fit: itself where it does. */
tola_dtype mixture_fallback(tola_dtype wanted, uint64_t columns);
/* Does a mixture leave this tensor unquantized, whatever the type (llama.cpp's rules)? */
bool mixture_keeps(const mixture_tensor *t, const mixture_model *model);

#endif
