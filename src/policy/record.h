/* What can be known of a model without being told: what its weights say, and what Tola itself recorded beside them.
 *
 * The weights: files and their SHA-256, fingerprint (docs/digest.md), parameters, dtypes, architecture, tokenizer.
 * Beside them: the model card's front matter, the licence, bases, reports of `tola quantize --report`, results of `tola
 * eval --json`, logs of training, statements of provenance, a signature's presence. Nothing of all that is trusted
 * further than being repeated with its source, and paths are never repeated: only names. */
#ifndef POLICY_RECORD_H
#define POLICY_RECORD_H

#include "base/mem.h"
#include "base/yaml.h"
#include <tola/checkpoint.h>
#include <tola/insight.h>

enum {
    RECORD_MOST_FILES = 100000,
    RECORD_MOST_REPORTS = 1000,     /* JSON files beside the weights that are looked into */
    RECORD_REPORT_BYTES = 64 << 20, /* of one; a report names every tensor */
    RECORD_CARD_BYTES = 16 << 20
};

typedef struct record_file {
    const char *name; /* inside the model; components joined by '/' */
    uint64_t bytes;
    bool hashed;
    uint8_t sha256[32];
} record_file;

typedef struct record_metric {
    const char *task;     /* "perplexity", "choice" */
    const char *name;     /* "perplexity", "accuracy", ... */
    const char *protocol; /* "chunk, context 512"; NULL */
    const char *file;     /* the result's own name */
    double value, error;  /* error NaN: unknown */
} record_metric;

typedef struct record_base {
    const char *name;
    const char *relation; /* finetune, adapter, merge, quantized; NULL: unknown */
    const char *where;    /* "README.md", "adapter_config.json", ... */
} record_base;

typedef struct record_quantization {
    const char *file, *format, *recipe;
    double bits, rmse, snr_db; /* NaN: not measured */
} record_quantization;

typedef struct record_training {
    bool known;
    uint64_t steps, tokens;
    double loss, validation_loss; /* of the last step; NaN */
    double seconds, energy_j;     /* of all runs; NaN where a part is unknown */
} record_training;

typedef struct record {
    arena a;
    const char *name; /* of the file or folder */
    bool remote;      /* a reference: no file is hashed */
    tola_checkpoint *checkpoint;
    tola_summary summary;
    char digest[65]; /* "": not computed */
    record_file *files;
    size_t file_count;
    uint64_t bytes; /* of all files */
    yaml *card;     /* front matter of README.md; NULL */
    const char *card_name;
    const char *licence, *licence_where; /* NULL: none found */
    record_base *bases;
    size_t base_count, base_cap;
    record_metric *metrics;
    size_t metric_count, metric_cap;
    record_quantization *quantizations;
    size_t quantization_count, quantization_cap;
    record_training training;
    const char *made_by; /* "quantize": the verb of a statement of provenance; NULL */
    bool is_signed;      /* a signature lies where it belongs; it was not verified */
    char **warnings;
    size_t warning_count, warning_cap;
} record;

typedef struct record_options {
    bool no_digest;                 /* hash nothing */
    const char *const *evaluations; /* further results; NULL-terminated, or NULL */
    const char *const *ignore;      /* files in the model's folder that are no part of it (outputs); likewise */
    unsigned threads;
    tola_progress_fn progress;
    void *progress_user;
} record_options;

tola_status record_open(const char *model, const record_options *options, record *out, tola_error *err);
void record_dispose(record *r);

/* ---- words for what is known; in r->a, NULL where it is unknown or without memory ---- */

/* "7.2*10^9 parameters (7,241,732,096)": two significant figures, as the Model Documentation Form asks. */
const char *record_parameters(record *r);
/* "5B-15B": the ranges of the same form, 1-500M, 500M-5B, 5B-15B, 15B-50B, 50B-100B, 100B-500B, 500B-1T, >1T. */
const char *record_range(uint64_t parameters);
/* "bf16", "bf16, f32": dtypes of the parameters, those of most bytes first. */
const char *record_dtypes(record *r);
/* "7.2 billion" style: figures >= 1. */
const char *record_figures(arena *a, double value, int figures);
/* arena printf without a limit on length; NULL without memory. */
const char *record_text(arena *a, const char *pattern, ...) __attribute__((format(printf, 2, 3)));
/* The YAML between a first line "---" and the next one; false where there is none. */
bool record_front_matter(const char *text, size_t length, const char **begin, size_t *bytes);
/* Was there no memory for a record_text of this arena? */
bool record_failed(const arena *a);
/* Text of a member of the card's front matter: a list's members joined by ", ". NULL where there is none. */
const char *record_card(record *r, const char *key);

#endif
