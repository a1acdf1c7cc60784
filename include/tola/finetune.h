/* Fine-tuning: a model, or an adapter over one of any type, learns from examples; what it forgets meanwhile is measured
 * and may be held. */
#ifndef TOLA_FINETUNE_H
#define TOLA_FINETUNE_H

#include <tola/learn.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tola_finetune_method {
    TOLA_FINETUNE_LORA,   /* arXiv 2106.09685; over quantized weights: QLoRA, arXiv 2305.14314 */
    TOLA_FINETUNE_RSLORA, /* its scale is alpha / sqrt(rank), arXiv 2312.03732 */
    TOLA_FINETUNE_DORA,   /* with magnitudes, arXiv 2402.09353 */
    TOLA_FINETUNE_FULL    /* every weight */
} tola_finetune_method;

/* What becomes of an example of more tokens than the context. */
typedef enum tola_finetune_long { TOLA_LONG_REFUSE, TOLA_LONG_CUT, TOLA_LONG_DROP } tola_finetune_long;

typedef struct tola_finetune_options {
    size_t size;             /* sizeof(tola_finetune_options) */
    const char *const *data; /* files of JSON lines (docs/finetune.md), NULL-terminated */
    const char *validation;  /* such a file; NULL: none */
    const char *out;         /* folder of the run; required but for dry runs */
    tola_finetune_method method;
    uint32_t rank;
    double alpha;   /* 0: twice the rank */
    double dropout; /* of what goes into A */
    double b_rate;  /* multiplies the rate of B (LoRA+, arXiv 2402.12354); 1 */
    const char *const
        *targets; /* as PEFT's target_modules, NULL-terminated; NULL: matrices of attention and feed-forward */
    /* examples */
    uint32_t context; /* most tokens of an example; 0: 512, or the model's where that is less */
    tola_finetune_long too_long;
    bool pack; /* several examples share a row */
    bool all;  /* learn to write questions, too, not only answers */
    /* the run */
    double epochs; /* where steps is 0 */
    uint64_t steps;
    uint32_t batch, accumulate;
    double rate, decay, clip;
    const char *optimizer; /* "adamw", "adamw8", "sgd" */
    const char *schedule;  /* "linear", "cosine", "constant" */
    double warmup;         /* share of all steps */
    const char *precision; /* "f32", "bf16", "fp8" */
    bool recompute;        /* activations are computed again instead of kept */
    uint64_t seed;
    unsigned threads;                    /* 0 = as many as there are processors; changes no bit of the result */
    uint64_t validate_every, save_every; /* steps; 0: at the end */
    uint32_t keep;                       /* checkpoints */
    /* forgetting */
    const char *anchor;     /* text whose perplexity and divergence from the base model are measured; NULL: none */
    uint32_t anchor_tokens; /* at most so many are measured */
    double replay;          /* share of every batch that is anchor text (not the measured part) */
    double anchor_kl;       /* weight of the divergence from the base model on that share, instead of predicting it */
    double ewc;             /* lambda of lambda/2 sum F (w - w0)^2, F the diagonal Fisher information on anchor text */
    double forget_limit;    /* stop once anchor perplexity has risen by this share; 0: never */
    bool resume, other_options, overwrite, dry_run; /* as tola_train_options */
    tola_learn_event_fn event;
    void *event_user;
    uint64_t reserved[8];
} tola_finetune_options;
#define TOLA_FINETUNE_OPTIONS_INIT                                                                                     \
    {                                                                                                                  \
        sizeof(tola_finetune_options), NULL, NULL, NULL, TOLA_FINETUNE_LORA, 8, 0, 0, 1, NULL, 0, TOLA_LONG_REFUSE,    \
            false, false, 1, 0, 4, 1, 0, 0.01, 1, NULL, NULL, 0.03, NULL, false, 0, 0, 0, 0, 2, NULL, 4096, 0, 0, 0,   \
            0, false, false, false, false, NULL, NULL, {                                                               \
            0                                                                                                          \
        }                                                                                                              \
    }

typedef struct tola_finetune_summary {
    char network[32];
    uint64_t parameters, trained;       /* numbers of the model, and that are learned */
    uint64_t examples, tokens, answers; /* answers: tokens that are learned to be predicted, each epoch */
    uint64_t cut, dropped;              /* examples that were too long */
    uint64_t rows, steps;
    uint64_t anchor_tokens; /* that are measured */
    /* anchor text before the run and after it; 0 where there is none */
    double anchor_perplexity_before, anchor_perplexity_after, anchor_kl_after;
} tola_finetune_summary;

/* Writes into options->out: log.jsonl, checkpoints, and at the end an adapter in PEFT's format (adapter_config.json,
 * adapter_model.safetensors), or with TOLA_FINETUNE_FULL a model in MODEL's own format. TOLA_E_ARG for options that
 * make no sense, TOLA_E_FORMAT for examples that do not (file and line); else as tola_train. */
TOLA_API TOLA_MUST_CHECK tola_status tola_finetune(const char *model, const tola_finetune_options *options,
                                                   tola_finetune_summary *summary, tola_learn_result *result,
                                                   tola_error *err);

#ifdef __cplusplus
}
#endif
#endif
