/* Models merged by a recipe: what the parts of it share. docs/merge.md says what is computed. */
#ifndef TRANSFORM_MERGE_H
#define TRANSFORM_MERGE_H

#include "base/yaml.h"
#include <tola/checkpoint.h>

#define MERGE_MAX_MODELS 32
#define MERGE_MAX_SLICES 1024

typedef enum merge_method {
    MERGE_LINEAR,
    MERGE_SLERP,
    MERGE_TASK_ARITHMETIC,
    MERGE_TIES,
    MERGE_DARE_LINEAR,
    MERGE_DARE_TIES,
    MERGE_MODEL_STOCK,
    MERGE_PASSTHROUGH
} merge_method;

typedef struct merge_model {
    const char *path;          /* as opened */
    const yaml_node *node;     /* where it is first named */
    const tola_checkpoint *in; /* `file`, or a view of it in which matrices are decoded */
    tola_checkpoint *file;
    uint32_t layers;
} merge_model;

typedef struct merge_source {
    size_t model;
    const yaml_node *node, *parameters; /* NULL: none */
    uint32_t first;                     /* layer */
} merge_source;

/* Layers of the output that come from one set of sources. */
typedef struct merge_slice {
    merge_source sources[MERGE_MAX_MODELS];
    size_t count, base; /* base: its place in sources, SIZE_MAX: none */
    uint32_t layers;
    const yaml_node *parameters;
} merge_slice;

typedef struct merge_recipe {
    yaml *file;
    merge_method method;
    merge_model models[MERGE_MAX_MODELS];
    size_t model_count, base; /* base: SIZE_MAX: none */
    merge_slice *slices;
    size_t slice_count;
    const yaml_node *parameters;
    tola_dtype dtype, out_dtype; /* NONE: not said */
    const char *tokenizer_source;
    bool whole; /* `models`: one slice of all layers */
    arena arena;
} merge_recipe;

/* ---- merge_recipe.c ---- */

/* Reads the recipe, and opens the models. merge_recipe_free is fine afterwards in any case. */
tola_status merge_recipe_open(merge_recipe *r, const char *path, tola_error *err);
void merge_recipe_free(merge_recipe *r);

/* A parameter for a tensor: the first of the maps that says one (NULLs are passed over). `at`: how far the layer is
 * through its slice, for gradients. *found is false where nothing is said. */
tola_status merge_number(const yaml_node *const *maps, size_t count, const char *name, const char *tensor, double at,
                         double *value, bool *found, tola_error *err);
tola_status merge_flag(const yaml_node *const *maps, size_t count, const char *name, const char *tensor, double at,
                       bool *value, tola_error *err);

/* ---- merge_math.c ---- */

typedef struct merge_input {
    const tola_checkpoint *in;
    size_t tensor;
    double weight, density;
    /* found by merge_prepare */
    float cut;      /* magnitude from which on elements are kept (TIES) */
    uint64_t last;  /* of those that have this very magnitude the last that is kept */
    double rescale; /* what kept elements are multiplied by */
    uint64_t seed;  /* of what DARE drops */
} merge_input;

/* One tensor of the output. */
typedef struct merge_tensor {
    const char *name;
    const tola_tensor_info *like; /* shape */
    merge_method method;
    tola_dtype work; /* every step is rounded to it, as PyTorch does */
    merge_input *inputs;
    size_t count, base; /* base: SIZE_MAX: none */
    bool copied;        /* no numbers to be merged: bytes of the first input */
    bool normalize, rescale, filter_wise;
    double lambda, t;
    bool scaled;
    double scale;     /* MERGE_PASSTHROUGH, where scaled */
    double shares[2]; /* MERGE_SLERP */
    double *steps;    /* MERGE_MODEL_STOCK: of each row, or of all; mem_free */
    uint64_t elements, columns;
} merge_tensor;

/* What must be known of the whole tensor before its first element: lengths, angles, magnitudes. In blocks; threads may
 * prepare different tensors. */
tola_status merge_prepare(merge_tensor *t, tola_error *err);
/* Elements [first, first + count) of a prepared tensor. Any thread. */
tola_status merge_compute(const merge_tensor *t, uint64_t first, size_t count, float *out, tola_error *err);

#endif
