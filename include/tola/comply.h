/* Which rules a release of a model falls under, as far as its weights and its provider's facts tell: training compute,
 * the Union's AI Act, California's SB 53, New York's RAISE Act, openness, licences. No legal advice. */
#ifndef TOLA_COMPLY_H
#define TOLA_COMPLY_H

#include <tola/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tola_answer { TOLA_ANSWER_NO, TOLA_ANSWER_YES, TOLA_ANSWER_UNKNOWN, TOLA_ANSWER_NOT_ASKED } tola_answer;
TOLA_API const char *tola_answer_name(tola_answer answer); /* "no", "yes", "unknown", "not asked" */

/* Something that a conclusion rests on. */
typedef struct tola_comply_input {
    const char *name;   /* "compute.flop", "licence.monetised" */
    const char *value;  /* "3.80e25 FLOP"; NULL: unknown */
    const char *source; /* "facts.yaml line 7", "6 N D", "the weights"; NULL: unknown */
    bool estimate;
} tola_comply_input;

/* A rule and its answer. */
typedef struct tola_conclusion {
    const char *id;           /* "eu.systemic-risk" */
    const char *jurisdiction; /* "European Union" */
    const char *title;
    const char *kind;         /* "status", "condition", "duty", "question", "note" */
    tola_answer verdict;      /* of a duty: does it apply? */
    tola_answer met;          /* of a duty that applies: do the facts show it met? else TOLA_ANSWER_NOT_ASKED */
    bool in_force;            /* on the day asked about */
    const char *from, *until; /* "2025-08-02"; NULL: no such day */
    const char *text;         /* what follows, with its figures */
    const char *article, *url;
    bool estimate; /* it rests on an estimate */
    const tola_comply_input *inputs;
    size_t n_inputs;
    const char *const *missing; /* keys of facts.yaml that would decide what is unknown */
    size_t n_missing;
} tola_conclusion;

typedef struct tola_rule_file {
    const char *name, *title, *version, *as_of;
} tola_rule_file;

/* One way to know the training compute, the fine-tuning compute, or the cost. */
typedef struct tola_comply_estimate {
    const char *of;      /* "training", "modification" */
    const char *method;  /* "declared", "6ND", "hardware", "hardware limit" */
    double flop;         /* NaN where inputs lack */
    const char *formula; /* with its figures */
    const char *source;
    const char *lacks; /* keys; NULL: nothing */
    bool estimate;
} tola_comply_estimate;

typedef struct tola_comply_base {
    const char *name, *relation, *licence; /* NULL: unknown */
    const char *source;
} tola_comply_base;

/* A contradiction, something that lacks, or something odd, outside of the rules. */
typedef struct tola_comply_finding {
    const char *kind; /* "contradiction", "missing", "note" */
    const char *what, *where, *article;
} tola_comply_finding;

typedef struct tola_comply_component {
    const char *name, *title, *type; /* "parameters", "Model parameters (final)", "data" */
    const char *licence;             /* NULL: none is known */
    int mof_class;                   /* that wants it first: 3, 2, 1 */
    bool required;
    const char *state; /* "included", "missing", "unlicensed", "invalid", "unknown" */
    bool appropriate;  /* the licence is of the kind that suits it */
} tola_comply_component;

typedef struct tola_compliance {
    size_t size;
    const char *name; /* of the model */
    const char *on_date;
    uint64_t parameters, active_parameters; /* 0: unknown */
    const char *parameters_source;
    double flop_low, flop_high; /* cumulative training compute; NaN: unknown; apart where estimates contradict */
    bool flop_estimate;
    const char *flop_source;
    double cost_usd; /* NaN: unknown */
    const char *cost_formula;
    const tola_rule_file *files;
    size_t n_files;
    const tola_comply_estimate *estimates;
    size_t n_estimates;
    const tola_conclusion *conclusions;
    size_t n_conclusions;
    const tola_comply_base *bases;
    size_t n_bases;
    const char *licence;
    const tola_comply_finding *findings;
    size_t n_findings;
    const tola_comply_component *components;
    size_t n_components;
    int mof_class;          /* 3, 2, 1; 0: unclassified */
    double mof_progress[4]; /* [class], percent, as the Model Openness Tool counts: 0 while a lower class is not met */
    const char *const *missing; /* keys of facts.yaml, each once */
    size_t n_missing;
    bool clean; /* nothing missing, nothing contradictory, no duty in force that is not met */
    const char *disclaimer;
    void *owner;
    double flop_apart; /* the ways to know the compute are a factor of that apart; 0: nothing is known */
    uint64_t reserved[7];
} tola_compliance;

typedef struct tola_comply_options {
    size_t size;
    const char *facts;        /* path of facts.yaml; NULL: none */
    const char *const *rules; /* paths, NULL-terminated, instead of those carried; NULL: those */
    const char *on_date;      /* "2027-08-03"; NULL: today */
    const char *provenance;   /* a statement as tola_provenance_write makes it; NULL: none */
    uint64_t reserved[5];
} tola_comply_options;
#define TOLA_COMPLY_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(tola_comply_options), NULL, NULL, NULL, NULL, { 0 }                                                     \
    }

/* `model`: as for tola_checkpoint_open, or a config.json; NULL: the facts alone. */
TOLA_API TOLA_MUST_CHECK tola_status tola_comply(const char *model, const tola_comply_options *options,
                                                 tola_compliance **out, tola_error *err);
TOLA_API void tola_compliance_free(tola_compliance *compliance); /* NULL is fine */

/* A model file of the Model Openness Tool (https://github.com/lfai/model_openness_tool): its components and class
 * alone. */
TOLA_API TOLA_MUST_CHECK tola_status tola_comply_mof(const char *path, tola_compliance **out, tola_error *err);

/* Papers in Markdown, filled from facts and conclusions, what is unknown marked; freed with tola_free.
 * "notification" (Art. 52), "evaluation" (Art. 55(1)(a)), "facts" (a facts.yaml to fill in; needs no compliance). */
TOLA_API TOLA_MUST_CHECK tola_status tola_comply_paper(const tola_compliance *compliance, const char *kind, char **out,
                                                       tola_error *err);
/* The same into a file that appears whole or not at all. */
TOLA_API TOLA_MUST_CHECK tola_status tola_comply_paper_write(const tola_compliance *compliance, const char *kind,
                                                             const char *path, bool overwrite, tola_error *err);

#ifdef __cplusplus
}
#endif
#endif
