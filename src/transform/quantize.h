/* What the files of tola_quantize share: names of types, the choice of a type for each tensor, the choice under a
 * bound. The order of the work stands in quantize.c. */
#ifndef TRANSFORM_QUANTIZE_H
#define TRANSFORM_QUANTIZE_H

#include "codecs/scheme.h"
#include "transform/imatrix.h"
#include "transform/encode.h"
#include "transform/mixture.h"
#include "transform/writing.h"
#include <tola/quantize.h>

/* What a TYPE means for one output format. */
typedef struct quantize_type {
    const char *name;       /* static: "q4_k", "Q4_K_M", "int4" */
    const mixture *mixture; /* NULL: one type for all */
    tola_dtype dtype;       /* a mixture's main type; NONE where a scheme keeps the matrices */
    const scheme *scheme;
    scheme_params params;
} quantize_type;

/* "gptq" -> container "safetensors", scheme gptq. */
typedef struct quantize_format {
    const char *name, *container;
    const scheme *scheme; /* NULL: the type's own */
} quantize_format;

/* The format of options->format, or of the path's extension where that is NULL. */
tola_status quantize_format_find(const tola_quantize_options *options, const char *path, bool folder,
                                 quantize_format *out, tola_error *err);
/* TOLA_E_ARG for a name that is none (with the nearest that is), TOLA_E_UNSUPPORTED for one that the format cannot
 * hold. */
tola_status quantize_type_find(const char *name, const tola_quantize_options *options, const quantize_format *format,
                               quantize_type *out, tola_error *err);

/* What is to become of one tensor of the plan. */
typedef struct quantize_target {
    const char *type;   /* its name; NULL where the tensor keeps its dtype */
    const char *wanted; /* see tola_quantize_tensor */
    bool free;          /* the type was chosen by recipe: a bound may choose another */
    bool quantizable;   /* not for a mixture's rules to keep */
    bool overridden, important;
} quantize_target;

typedef struct quantize_job {
    tola_quantize_options options;
    quantize_format format;
    quantize_type to; /* name NULL where only a bound was given */
    writing w;
    imatrix *importance;
    size_t important; /* tensors that it had */
    mixture_model model;
    bool has_model;           /* names are GGUF's: a mixture's rules apply */
    quantize_target *targets; /* one a tensor of the plan */
    plan_encode *encodes;
    const quantize_type *kept; /* the scheme that matrices are kept under; NULL where none is */
    size_t fallbacks;
    const tola_quantize_candidate *candidates;
    size_t candidate_count;
} quantize_job;

/* Sets dtype and encode of every tensor of the plan by options->to, overrides and the rules. */
tola_status quantize_choose(quantize_job *j, tola_error *err);
/* Gives tensor `i` a type, or what stands in for it where its rows do not fill blocks. */
tola_status quantize_assign(quantize_job *j, size_t i, const quantize_type *type, tola_error *err);
/* Finishes the plan for the types that were assigned, metadata included, and measures the files. May be called again
 * when types have changed. */
tola_status quantize_plan(quantize_job *j, uint64_t *file_bytes, uint64_t *files, tola_error *err);
/* Chooses again under options->max_bytes or ->bits, by errors measured on samples of rows; and where
 * options->candidates asks for it measures all types. After quantize_choose, before the plan is finished. */
tola_status quantize_bound(quantize_job *j, tola_error *err);

#endif
