/* Understanding a checkpoint: what it is, its fingerprint, its statistics, how it differs from another. */
#ifndef TOLA_INSIGHT_H
#define TOLA_INSIGHT_H

#include <tola/checkpoint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Shell glob over a whole name, as every option called glob takes it: * ? [a-z] [!a-z] {a,b} and backslash;
 * * crosses dots and slashes. */
TOLA_API bool tola_glob_match(const char *pattern, const char *name);

/* ---- summary (headers only) ---- */

typedef enum tola_role {
    TOLA_ROLE_OTHER = 0,
    TOLA_ROLE_EMBEDDING,
    TOLA_ROLE_ATTENTION,
    TOLA_ROLE_FEED_FORWARD,
    TOLA_ROLE_EXPERTS,   /* routed experts */
    TOLA_ROLE_ROUTER,
    TOLA_ROLE_NORM,
    TOLA_ROLE_BIAS,
    TOLA_ROLE_OUTPUT,    /* the head */
    TOLA_ROLE_CONVOLUTION,
    TOLA_ROLE_RECURRENT, /* LSTM, GRU, state space */
    TOLA_ROLE_ADAPTER,   /* LoRA and its kin */
    TOLA_ROLE_BUFFER,    /* integers, booleans, running statistics: not parameters */
    TOLA_ROLE_QUANT,     /* scales, zero points, group indices of quantized weights: not parameters */
    TOLA_ROLE_STATE,     /* optimizer state and other bookkeeping: not parameters */
    TOLA_ROLE_COUNT
} tola_role;
TOLA_API const char *tola_role_name(tola_role role); /* "embedding", "attention", "feed_forward", ... */

/* Of the arrays below: more than there are, so that new roles and dtypes do not move what follows. */
#define TOLA_SUMMARY_ROLES 32
#define TOLA_SUMMARY_DTYPES 128

/* `size` of this and the other results is filled in. Later versions take new members out of `reserved`, so that what
 * they write never exceeds what the caller has. */
typedef struct tola_summary {
    size_t size;
    const char *architecture;  /* family ("llama", "mixtral", "gpt2"); NULL where unknown. Static or the checkpoint's */
    const char *model_class;   /* as the configuration says ("LlamaForCausalLM"); may be NULL */
    uint64_t parameters;       /* weights, each stored one once: shared tensors count once, packed quantized ones as the
                                  weights they stand for; buffers and quantization scales apart */
    uint64_t active;           /* used for one token: all but the experts that are not routed to */
    uint64_t by_role[TOLA_SUMMARY_ROLES]; /* by tola_role */
    uint64_t buffers;          /* elements of buffers */
    uint64_t bytes_files;      /* on disk, all weight files */
    uint64_t bytes_tensors;    /* of the tensors, shared storage once */
    double bits_per_weight;    /* bytes of parameters and their quantization data * 8 / parameters */
    struct { uint64_t tensors, elements, bytes; } dtypes[TOLA_SUMMARY_DTYPES]; /* by tola_dtype */
    uint64_t layers, heads, kv_heads, width, feed_forward, context, vocabulary; /* 0 where unknown */
    uint64_t experts, experts_used, head_dim;
    const char *tokenizer;     /* "BPE, 32000 tokens" kind of line; NULL where there is none */
    const char *licence;
    const char *quantization;  /* "gptq 4-bit group 128", "Q4_K - Medium"; NULL where none */
    const char *adapter;       /* "LoRA r=16 alpha=32 on meta-llama/..."; NULL where none */
    const char *name;          /* as the metadata says */
    bool chat_template;
    uint64_t shared_tensors;   /* tensors whose storage holds another tensor too */
    size_t warning_count;
    const char *const *warnings; /* the checkpoint's and those found here */
    void *owner;               /* private */
    uint64_t states, state_elements; /* tensors that are optimizer state or other bookkeeping: in no other count but
                                        bytes_files, bytes_tensors and dtypes */
    uint64_t missing_tensors;  /* named by the index, but their shard is not there */
    uint64_t expected_bytes;   /* of all tensors, as the index says; 0 where it does not */
    uint64_t expected_parameters;
    uint64_t reserved[3];
} tola_summary;

/* Fills `out` (tola_summary_dispose afterwards). `roles`, if not NULL, receives a tola_role for each tensor. */
TOLA_API TOLA_MUST_CHECK tola_status tola_summarize(const tola_checkpoint *checkpoint, tola_summary *out,
                                                    uint8_t *roles, tola_error *err);
TOLA_API void tola_summary_dispose(tola_summary *summary);

/* ---- fingerprint ---- */

typedef struct tola_job_options {
    size_t size;      /* sizeof(tola_job_options) */
    unsigned threads; /* 0 = all */
    const char *glob; /* tensors to look at; NULL = all */
    tola_progress_fn progress;
    void *progress_user;
    uint64_t reserved[4];
} tola_job_options;
#define TOLA_JOB_OPTIONS_INIT { sizeof(tola_job_options), 0, NULL, NULL, NULL, { 0 } }

/* 64 hex digits + NUL over names, dtypes, shapes and bytes of all tensors; the same in any container, in any order and
 * any sharding. docs/digest.md defines it byte for byte. */
TOLA_API TOLA_MUST_CHECK tola_status tola_digest(const tola_checkpoint *checkpoint, const tola_job_options *options,
                                                 char out[65], tola_error *err);

/* ---- statistics ---- */

/* Histogram over sign and power of two: for value v != 0 with 2^e <= |v| < 2^(e+1), e clamped to [-64, 63]. */
#define TOLA_HISTOGRAM_BINS 257 /* [0..127] negative, e = 63 .. -64; [128] zero; [129..256] positive, e = -64 .. 63 */

typedef struct tola_tensor_stats {
    size_t tensor;        /* index in the checkpoint */
    uint64_t count;       /* elements */
    uint64_t zeros, nans, infinities; /* -0 counts as zero */
    uint64_t outliers;    /* finite elements further than 6 standard deviations from the mean, counted exactly */
    double min, max, mean, std, norm, kurtosis; /* over finite elements; std with n in the denominator; kurtosis is
                                                   m4/m2^2, 3 for a Gaussian; NaN where undefined */
    uint64_t histogram[TOLA_HISTOGRAM_BINS];
} tola_tensor_stats;

typedef struct tola_stats {
    size_t size;
    size_t count;
    tola_tensor_stats *tensors; /* those that match and hold numbers, in checkpoint order */
    uint64_t skipped;           /* matched, but opaque or in a type nothing here decodes */
    uint64_t bytes;             /* read */
    double seconds;
    uint64_t reserved[4];
} tola_stats;
TOLA_API TOLA_MUST_CHECK tola_status tola_stats_compute(const tola_checkpoint *checkpoint,
                                                        const tola_job_options *options, tola_stats *out,
                                                        tola_error *err);
TOLA_API void tola_stats_dispose(tola_stats *stats);

/* ---- differences ---- */

/* A Hugging Face checkpoint seen as the GGUF file that it would become (names, shapes, order of rows), so that the two
 * can be compared. `checkpoint` is borrowed until *out is closed; nothing is copied, tensors are gathered as they are
 * read. TOLA_E_UNSUPPORTED where its family, a tensor or its tokenizer has no counterpart in GGUF. */
TOLA_API TOLA_MUST_CHECK tola_status tola_checkpoint_as_gguf(const tola_checkpoint *checkpoint, tola_checkpoint **out,
                                                             tola_error *err);

typedef struct tola_diff_tensor {
    size_t a, b;           /* indices in A and B; SIZE_MAX: not there */
    bool renamed;          /* the same bytes under another name */
    bool shape_changed, dtype_changed, values_changed;
    bool compared;         /* values were compared: same element count, both decodable (or both opaque, bytewise) */
    double max_abs;        /* largest |a - b|; NaN against a number counts as infinity */
    double rel;            /* ||a - b|| / ||a|| (Frobenius) */
    double cosine;
    uint64_t changed_elements; /* further apart than the tolerance */
} tola_diff_tensor;

typedef struct tola_diff {
    size_t size;
    bool same;             /* no difference beyond the tolerance */
    size_t count;
    tola_diff_tensor *tensors; /* every tensor of either, A's order then those only in B */
    uint64_t bytes;        /* read, both sides */
    double seconds;
    uint64_t reserved[2];
} tola_diff;

typedef struct tola_diff_options {
    size_t size;
    unsigned threads;
    double tolerance;      /* |a - b| <= tolerance counts as unchanged; 0 = every value equal (0 and -0 are, NaN and NaN
                              are) */
    tola_progress_fn progress;
    void *progress_user;
    uint64_t reserved[4];
} tola_diff_options;
#define TOLA_DIFF_OPTIONS_INIT { sizeof(tola_diff_options), 0, 0.0, NULL, NULL, { 0 } }

TOLA_API TOLA_MUST_CHECK tola_status tola_diff_compute(const tola_checkpoint *a, const tola_checkpoint *b,
                                                       const tola_diff_options *options, tola_diff *out,
                                                       tola_error *err);
TOLA_API void tola_diff_dispose(tola_diff *diff);

#ifdef __cplusplus
}
#endif
#endif
