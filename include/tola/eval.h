/* Measuring a language model: how well it predicts a text, how far it is from a reference, how often it picks the right
 * answer.
 *
 * Sums are of doubles in a fixed order: the same digits at any number of threads. */
#ifndef TOLA_EVAL_H
#define TOLA_EVAL_H

#include <tola/run.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tola_estimate {
    double value;
    double error; /* standard error; NaN where fewer than two values leave it open */
} tola_estimate;

/* ---- perplexity ------------------------------------------------------------------------------------------------- */

/* The two are not comparable with each other; neither are different contexts of one. */
typedef enum tola_protocol {
    /* llama.cpp's (tools/perplexity): disjoint chunks of `context` tokens, the first of each replaced by BOS where the
     * tokenizer puts one before a text; of each chunk the tokens after the first half are scored, what is left over at
     * the end is not. Special tokens that the text spells are ordinary text. */
    TOLA_PROTOCOL_CHUNK,
    /* Hugging Face's sliding window (https://huggingface.co/docs/transformers/perplexity): windows of `context` tokens,
     * each `stride` further on, read anew; scored are the tokens that no window before held, so that each but the first
     * of the text is scored once. The text has special tokens as the tokenizer adds and finds them. */
    TOLA_PROTOCOL_WINDOW
} tola_protocol;
TOLA_API const char *tola_protocol_name(tola_protocol protocol); /* "chunk", "window" */

typedef struct tola_perplexity_options {
    size_t size; /* sizeof(tola_perplexity_options) */
    tola_protocol protocol;
    uint32_t context; /* tokens of a chunk or window; 0: 512 and what the model was made for (at most 2048) */
    uint32_t stride;  /* of windows; 0: half of the context */
    uint64_t limit;   /* chunks or windows at most; 0: all */
    const tola_model *reference;     /* of the same vocabulary; NULL: none */
    tola_dtype key_type, value_type; /* of the caches, as in tola_session_options */
    unsigned threads;                /* 0 = as many as there are processors */
    tola_progress_fn progress;       /* in bytes of the text */
    void *progress_user;
    uint64_t reserved[8];
} tola_perplexity_options;
#define TOLA_PERPLEXITY_OPTIONS_INIT                                                                                   \
    {                                                                                                                  \
        sizeof(tola_perplexity_options), TOLA_PROTOCOL_CHUNK, 0, 0, 0, NULL, TOLA_DTYPE_NONE, TOLA_DTYPE_NONE, 0,      \
            NULL, NULL, {                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }

/* How the model's distributions over the next token differ from the reference's, over the scored tokens. */
typedef struct tola_divergence {
    tola_estimate perplexity; /* of the reference */
    tola_estimate log_ratio;  /* ln(perplexity / reference's perplexity) */
    tola_estimate kl;         /* sum of p_ref ln(p_ref / p), nats, mean over tokens */
    double kl_median, kl_90, kl_99, kl_999, kl_max;
    tola_estimate top1;     /* share of tokens where both find the same one likeliest */
    double probability_rms; /* root mean square of p - p_ref of the token that came */
    uint64_t reserved[4];
} tola_divergence;

typedef struct tola_perplexity_result {
    size_t size;
    tola_protocol protocol;
    uint32_t context, stride;        /* stride 0 for chunks */
    bool bos;                        /* the first token of each chunk is BOS */
    bool complete;                   /* false: stopped by `progress` */
    bool compared;                   /* there was a reference */
    uint64_t tokens;                 /* of the text */
    uint64_t windows, windows_total; /* chunks or windows: done, and in all */
    uint64_t read;                   /* tokens computed, by one model */
    uint64_t scored;
    tola_estimate nll;        /* mean negative log-likelihood of a token, nats */
    tola_estimate perplexity; /* exp of it */
    tola_divergence divergence;
    double seconds;
    uint64_t reserved[8];
} tola_perplexity_result;

/* TOLA_E_LIMIT where the text has fewer tokens than the protocol needs (two chunks; two tokens), with the counts;
 * TOLA_E_ARG for a reference with another vocabulary, a stride beyond the context. Stopped by `progress`: the result of
 * what was scored until then; TOLA_E_CANCELLED where that is nothing. */
TOLA_API TOLA_MUST_CHECK tola_status tola_perplexity(const tola_model *model, const char *text, size_t length,
                                                     const tola_perplexity_options *options,
                                                     tola_perplexity_result *out, tola_error *err);

/* ---- multiple choice -------------------------------------------------------------------------------------------- */

typedef struct tola_choice_options {
    size_t size;           /* sizeof(tola_choice_options) */
    uint32_t context;      /* as in tola_session_options */
    uint64_t limit;        /* questions at most; 0: all */
    const char *delimiter; /* between question and choice; NULL: a space */
    tola_dtype key_type, value_type;
    unsigned threads;
    tola_progress_fn progress; /* in bytes of the lines */
    void *progress_user;
    uint64_t reserved[8];
} tola_choice_options;
#define TOLA_CHOICE_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(tola_choice_options), 0, 0, NULL, TOLA_DTYPE_NONE, TOLA_DTYPE_NONE, 0, NULL, NULL, { 0 }                \
    }

typedef struct tola_choice_item {
    uint64_t line; /* of the file, from 1 */
    uint32_t choices;
    uint32_t answer;                          /* the right one, from 0 */
    uint32_t by_sum, by_characters, by_bytes; /* the likeliest by log-likelihood, and divided by the choice's length */
    const double *log_likelihood;             /* of each choice given the question, nats; summed over its tokens */
} tola_choice_item;

typedef struct tola_choice_result {
    size_t size;
    uint64_t questions, questions_total; /* answered, and in all */
    bool complete;
    tola_choice_item *items;           /* `questions` of them */
    tola_estimate accuracy;            /* by sum: lm-evaluation-harness' acc */
    tola_estimate accuracy_characters; /* its acc_norm */
    tola_estimate accuracy_bytes;      /* its acc_bytes */
    uint64_t tokens;                   /* scored */
    double seconds;
    void *owner; /* private */
    uint64_t reserved[8];
} tola_choice_result;

/* `lines`: JSON objects, one a line, with the text before the choices ("question", "context" or "prompt"), "choices"
 * (two or more texts, not empty) and "answer": the index of the right one from 0, its letter (A is the first), or its
 * text. `name` is that of the file, for messages. A choice's tokens are what question, delimiter and choice have beyond
 * those of the question alone; spaces at the question's end belong to the choice, and there is no delimiter after a
 * question that is empty or ends in white space, or before a choice that begins with it. BOS comes first where the
 * tokenizer puts one before a text. TOLA_E_FORMAT for a line that is none of that, TOLA_E_LIMIT with the counts for one
 * that does not fit into the context, both with the line. tola_choice_dispose afterwards. */
TOLA_API TOLA_MUST_CHECK tola_status tola_choice(const tola_model *model, const char *name, const char *lines,
                                                 size_t length, const tola_choice_options *options,
                                                 tola_choice_result *out, tola_error *err);
TOLA_API void tola_choice_dispose(tola_choice_result *result);

#ifdef __cplusplus
}
#endif
#endif
