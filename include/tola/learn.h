/* Learning: models trained from recipes. Fine-tuning shares what is said here of a run. */
#ifndef TOLA_LEARN_H
#define TOLA_LEARN_H

#include <tola/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that a run takes, told before it. */
typedef struct tola_learn_memory {
    uint64_t weights; /* f32 masters, and what is not trained */
    uint64_t gradients, optimizer;
    uint64_t activations; /* values kept for the backward, and scratch */
    uint64_t data;
    uint64_t program; /* what the process holds beside all that */
    uint64_t total;
} tola_learn_memory;

/* Numbers of a validation: "loss", "accuracy", ... */
#define TOLA_LEARN_MEASURES 24
typedef struct tola_learn_measures {
    size_t count;
    struct {
        const char *name; /* static storage */
        double value;
    } items[TOLA_LEARN_MEASURES];
} tola_learn_measures;

typedef enum tola_learn_event_kind {
    TOLA_LEARN_BEGIN, /* memory is known; nothing has been read into the graph yet */
    TOLA_LEARN_STEP,
    TOLA_LEARN_VALIDATION, /* measures */
    TOLA_LEARN_CHECKPOINT, /* path */
    TOLA_LEARN_WORKING     /* in the middle of something long: only to ask whether to stop */
} tola_learn_event_kind;

typedef struct tola_learn_event {
    tola_learn_event_kind kind;
    uint64_t step, steps; /* done, of all */
    double loss, rate, gradient_norm;
    double tokens_per_s; /* smoothed; rows, where what is learned has no tokens */
    double seconds, seconds_left;
    const tola_learn_measures *measures; /* NULL but for validations */
    const char *path;                    /* NULL but for checkpoints */
    const tola_learn_memory *memory;     /* NULL but at the beginning */
} tola_learn_event;
/* From the calling thread. Return false to stop: a checkpoint is written and the run ends, result.stopped being set. */
typedef bool (*tola_learn_event_fn)(void *user, const tola_learn_event *event);

typedef struct tola_learn_result {
    uint64_t steps, resumed_from; /* steps done in all; by earlier runs */
    double loss, first_loss;      /* of the last and of the first step of this run */
    double seconds, tokens_per_s; /* of this run */
    bool stopped;                 /* before its last step */
    char why[128];                /* why, where a rule of the run stopped it */
    tola_learn_measures measures; /* of the last validation */
    tola_learn_memory predicted;
    uint64_t peak_bytes; /* of the process, as the system measured it; 0 unknown */
} tola_learn_result;

typedef struct tola_train_options {
    size_t size;       /* sizeof(tola_train_options) */
    const char *out;   /* folder of the run; required but for dry runs */
    unsigned threads;  /* 0 = as many as there are processors; changes no bit of the result */
    bool resume;       /* go on from the last checkpoint in `out`, where there is one */
    bool other_recipe; /* even though the recipe has changed since */
    bool overwrite;    /* begin anew where `out` holds a run */
    bool dry_run;      /* read recipe and data, predict memory, and stop */
    tola_learn_event_fn event;
    void *event_user;
    uint64_t reserved[6];
} tola_train_options;
#define TOLA_TRAIN_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(tola_train_options), NULL, 0, false, false, false, false, NULL, NULL, { 0 }                             \
    }

/* What the result is about, beside the run. */
typedef struct tola_train_summary {
    char network[32];    /* "layers", "llama", ... */
    uint64_t parameters; /* numbers that are trained */
    uint64_t examples;   /* for training: rows, or tokens of text */
    uint64_t validation; /* for validation */
    uint64_t steps;      /* of the whole run */
    bool tokens;         /* examples are tokens */
} tola_train_summary;

/* Trains what the recipe at `path` (YAML, docs/train.md) says. OUT then holds log.jsonl, checkpoint-N/ and, at the end,
 * the model: for language models a folder that tola_model_open and transformers open. Errors of the recipe name its
 * line and key; TOLA_E_FORMAT, too, where loss or gradients are not finite (nothing was updated, checkpoints stay) and
 * where a resume finds another recipe; TOLA_E_EXISTS where `out` holds a run. `summary` may be NULL. */
TOLA_API TOLA_MUST_CHECK tola_status tola_train(const char *path, const tola_train_options *options,
                                                tola_train_summary *summary, tola_learn_result *result,
                                                tola_error *err);
/* What a recipe is trained from: models (weights to go on from, a teacher) and other files (data, a tokenizer, a
 * configuration, the recipe itself), as lists that end in NULL, each freed with tola_free. */
TOLA_API TOLA_MUST_CHECK tola_status tola_train_inputs(const char *path, char ***models, char ***files,
                                                       tola_error *err);

typedef struct tola_distill_options {
    size_t size;         /* sizeof(tola_distill_options) */
    const char *student; /* a recipe (.yaml, .yml), or a model to go on with */
    const char *data;    /* texts or JSONL in the place of the recipe's data.train; NULL: those */
    double temperature, share; /* of the loss that the teacher gives; below 0: the recipe's, or 2 and 0.5 */
    uint32_t top;        /* of the teacher's tokens; 0: the recipe's, or 64 */
    /* For a student that is a model: what a recipe would say; 0: one epoch, 8 rows, its context or 512, 3e-4. */
    uint64_t steps;
    uint32_t batch, context;
    double rate;
    uint64_t reserved[6];
} tola_distill_options;
#define TOLA_DISTILL_OPTIONS_INIT { sizeof(tola_distill_options), NULL, NULL, -1, -1, 0, 0, 0, 0, 0, { 0 } }

/* tola_train with a teacher, any model that runs: the loss is share * temperature^2 KL(teacher || student), both at the
 * temperature and over the teacher's `top` most probable tokens, and 1 - share of cross-entropy (arXiv 1503.02531). A
 * new student takes the teacher's tokenizer. */
TOLA_API TOLA_MUST_CHECK tola_status tola_distill(const char *teacher, const tola_distill_options *distill,
                                                  const tola_train_options *options, tola_train_summary *summary,
                                                  tola_learn_result *result, tola_error *err);
/* Built with MPI and started by mpirun, the processes train one model together: tola_train joins the others, and one
 * process leads: events and files are its own. At the program's end each leaves. tola_train_leads: is this the one to
 * tell how it went? (Also one that failed alone, which ends the others when it leaves.) Without MPI the only process
 * leads. */
TOLA_API bool tola_train_leads(bool failed);
TOLA_API void tola_train_leave(bool failed);

/* ---- the log of a run ---- */

/* What log.jsonl says of one number: its value at steps that ascend. Borrowed from the log. */
typedef struct tola_learn_series {
    const char *name; /* "loss", "lr", "validation.loss", ... */
    const double *steps, *values;
    size_t count;
} tola_learn_series;
typedef struct tola_learn_log tola_learn_log;
/* FOLDER/log.jsonl. A last line that a kill cut short is left out; any other that is no line of a log is
 * TOLA_E_FORMAT. Values that are null (no number) are NaN. */
TOLA_API TOLA_MUST_CHECK tola_status tola_learn_log_open(const char *folder, tola_learn_log **out, tola_error *err);
TOLA_API void tola_learn_log_close(tola_learn_log *log); /* NULL is fine */
TOLA_API size_t tola_learn_log_count(const tola_learn_log *log);
/* Series `i` in the order in which their names came; false beyond the end. */
TOLA_API bool tola_learn_log_get(const tola_learn_log *log, size_t i, tola_learn_series *out);

#ifdef __cplusplus
}
#endif
#endif
