/* Fewer bits a weight: a checkpoint written again in block types, mixtures of them, or quantized layouts of several
 * tensors a matrix, in one streaming pass. */
#ifndef TOLA_QUANTIZE_H
#define TOLA_QUANTIZE_H

#include <tola/transform.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tola_quantize_options {
    size_t size;              /* sizeof(tola_quantize_options) */
    const char *to;           /* a type ("q4_k", "int4", "nf4", "f16") or one of llama.cpp's mixtures ("Q4_K_M"); NULL
                                 only with max_bytes or bits, which then choose for each tensor */
    const char *format;       /* "gguf", "safetensors", "gptq", "awq", "compressed-tensors", "bnb", ...; NULL: by the
                                 path and the type */
    const char *per;          /* of int and fp8 types: scales per "tensor", "channel" or "group"; NULL: the type's */
    uint32_t group;           /* elements that share a scale; 0: the type's */
    bool asymmetric;          /* int types: zero points */
    bool double_quant;        /* nf4 and fp4: scales are kept in 8 bits themselves */
    bool pure;                /* a mixture's name stands for its main type alone */
    const char *const *override; /* "GLOB=TYPE", NULL-terminated; the first that matches a name wins over the rest */
    const char *imatrix;      /* path of an importance matrix (llama-imatrix, either format), or NULL */
    uint64_t max_bytes;       /* of all files; 0 = no bound */
    double bits;              /* per weight, over all tensors; 0 = no bound */
    uint64_t max_shard_size;
    const char *const *include; /* as in tola_convert_options */
    const char *const *exclude;
    bool overwrite;
    bool folder;
    bool keep_names;
    bool dry_run;             /* sizes only: reads headers, writes nothing */
    bool measure;             /* figures of error; decodes what is written while it is written */
    bool candidates;          /* figures of every type that the output could have had, on a sample of rows; of GGUF
                                 alone */
    unsigned threads;
    tola_progress_fn progress;
    void *progress_user;
    tola_warning_fn warning;
    void *warning_user;
    uint64_t reserved[8];
} tola_quantize_options;

#define TOLA_QUANTIZE_OPTIONS_INIT \
    { sizeof(tola_quantize_options), NULL, NULL, NULL, 0, false, false, false, NULL, NULL, 0, 0, 0, NULL, NULL, false, \
      false, false, false, false, false, 0, NULL, NULL, NULL, NULL, { 0 } }

/* How far decoded numbers are from those that were read, over finite ones. */
typedef struct tola_quantize_error {
    double rmse;    /* root of the mean square of the difference */
    double snr_db;  /* 10 log10(sum of squares of what was read / sum of squares of the difference); infinity where
                       there is no difference */
    double max_abs; /* largest difference */
    double cosine;  /* 1 where there is no difference */
    double signal, noise; /* the two sums */
} tola_quantize_error;

typedef struct tola_quantize_tensor {
    const char *name;   /* in the output; of a matrix kept as several tensors, what they stand for */
    const char *source; /* in the input */
    const char *type;   /* "q4_k", "int4", "f32" */
    const char *wanted; /* what it would have been, had its rows filled whole blocks (of a layout: had it been a
                           matrix of a shape that fits); NULL where it is that */
    uint64_t elements, bytes;
    double bits_per_weight;
    bool weight;     /* counts in bits and errors of the whole: of two and more dimensions, or quantized */
    bool quantized;  /* `type` is a block type or a layout with scales */
    bool overridden; /* by options.override */
    bool important;  /* an importance matrix had its columns */
    bool measured;   /* `error` is there: asked for, and numbers; what is copied has none */
    tola_quantize_error error;
    uint64_t nans, infinities, clamped; /* numbers that the type has no place for */
} tola_quantize_tensor;

/* All tensors of one type. */
typedef struct tola_quantize_type {
    const char *type;
    uint64_t tensors, elements, bytes;
} tola_quantize_type;

/* What a type costs and gives on a sample of the rows of all tensors that were up for quantizing. */
typedef struct tola_quantize_candidate {
    const char *type;
    double bits_per_weight;
    tola_quantize_error error;
} tola_quantize_candidate;

typedef struct tola_quantize_result {
    tola_quantize_tensor *tensors; /* in the order of the output */
    size_t count;
    tola_quantize_type *types; /* by bytes, largest first */
    size_t type_count;
    tola_quantize_candidate *candidates; /* by bits */
    size_t candidate_count;
    const char *recipe;      /* the mixture or type that was asked for, NULL where a bound chose */
    const char *format;      /* "gguf", "gptq", ... */
    uint64_t elements;       /* of all tensors */
    uint64_t bytes_in, bytes; /* of tensors: read, written */
    uint64_t file_bytes;     /* of all files of weights with headers and padding */
    uint64_t files;
    double bits_per_weight;  /* bytes * 8 / elements */
    bool measured;
    tola_quantize_error error; /* over all tensors, copied ones as exact */
    uint64_t nans, infinities, clamped, fallbacks;
    double seconds;
    void *owner;             /* private */
    uint64_t reserved[4];
} tola_quantize_result;

/* Quantizes `in` to `path`. Resident memory is bounded by threads * some MiB, whatever the model, but for `measure` in
 * a layout of several tensors, which takes a matrix's bytes more a thread. *result (may be
 * NULL) is freed with tola_quantize_result_dispose. On failure or cancellation nothing is left at `path`.
 * TOLA_E_ARG for types, formats and options that do not go together; TOLA_E_LIMIT where a bound cannot be met. */
TOLA_API TOLA_MUST_CHECK tola_status tola_quantize(const tola_checkpoint *in, const char *path,
                                                   const tola_quantize_options *options, tola_quantize_result *result,
                                                   tola_error *err);
TOLA_API void tola_quantize_result_dispose(tola_quantize_result *result); /* NULL is fine */

/* Names that `to` understands, one after the other; NULL at the end. For help and completions. */
TOLA_API const char *tola_quantize_type_name(size_t index);

#ifdef __cplusplus
}
#endif
#endif
