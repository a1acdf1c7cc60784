/* Changing a checkpoint into another: a plan first (names, shapes, dtypes, sizes), then one streaming pass. */
#ifndef TOLA_TRANSFORM_H
#define TOLA_TRANSFORM_H

#include <tola/checkpoint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tola_overflow {
    TOLA_OVERFLOW_IEEE = 0, /* beyond the range: infinity, NaN where the type has no infinity (as ml_dtypes does) */
    TOLA_OVERFLOW_SATURATE  /* the largest finite number; integers always saturate and take NaN as 0 */
} tola_overflow;

/* Receives one line about something that went well enough but not perfectly. Called by the calling thread only. */
typedef void (*tola_warning_fn)(void *user, const char *message);

typedef struct tola_convert_options {
    size_t size;              /* sizeof(tola_convert_options) */
    const char *format;       /* as tola_write_options.format */
    tola_dtype dtype;         /* NONE keeps; floating-point tensors are cast, integers and booleans only by an override */
    tola_overflow overflow;
    uint64_t max_shard_size;
    const char *const *include; /* globs on source names, NULL-terminated; NULL = all */
    const char *const *exclude;
    const char *const *rename;  /* "FROM=TO", NULL-terminated, applied in order; * in FROM captures, * in TO inserts */
    const char *const *dtype_override; /* "GLOB=DTYPE", NULL-terminated; the first that matches wins */
    bool overwrite;
    bool folder;              /* output is a folder in the Hugging Face layout */
    bool keep_names;          /* between Hugging Face and GGUF: do not map names and values, only the container */
    unsigned threads;
    tola_progress_fn progress;
    void *progress_user;
    tola_warning_fn warning;  /* may be NULL */
    void *warning_user;
    uint64_t reserved[6];
} tola_convert_options;

#define TOLA_CONVERT_OPTIONS_INIT \
    { sizeof(tola_convert_options), NULL, TOLA_DTYPE_NONE, TOLA_OVERFLOW_IEEE, 0, NULL, NULL, NULL, NULL, false, false, \
      false, 0, NULL, NULL, NULL, NULL, { 0 } }

typedef struct tola_convert_summary {
    uint64_t tensors;
    uint64_t bytes_in, bytes_out; /* of tensors: read and written */
    uint64_t files;               /* of weights */
    uint64_t overflowed; /* finite numbers that left the range of their new dtype */
    double seconds;
    uint64_t reserved[4];
} tola_convert_summary;

/* Converts `in` to `path`. Resident memory is bounded by threads * a few MiB, whatever the model.
 * `summary` may be NULL. On failure or cancellation nothing is left at `path`. */
TOLA_API TOLA_MUST_CHECK tola_status tola_convert(const tola_checkpoint *in, const char *path,
                                                  const tola_convert_options *options, tola_convert_summary *summary,
                                                  tola_error *err);

/* Merges the models of a recipe in mergekit's words (YAML, docs/merge.md) into `path`: linear, slerp, task_arithmetic,
 * ties, dare_linear, dare_ties, model_stock, passthrough. `seed` decides what DARE drops. Types are those of the recipe;
 * everything else is as in tola_convert. Memory is blocks of elements, whatever the models. Errors of the recipe name its
 * line and key (TOLA_E_FORMAT), those of models the line that names the model. */
TOLA_API TOLA_MUST_CHECK tola_status tola_merge(const char *recipe, const char *path, uint64_t seed,
                                                const tola_convert_options *options, tola_convert_summary *summary,
                                                tola_error *err);

/* The models that a recipe of tola_merge names, as a list that ends in NULL, freed with tola_free. They are opened. */
TOLA_API TOLA_MUST_CHECK tola_status tola_merge_inputs(const char *recipe, char ***models, tola_error *err);

#ifdef __cplusplus
}
#endif
#endif
