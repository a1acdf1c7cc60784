/* What a model costs and where it runs: bytes by part for inference and training, how many devices, how fast, for how
 * much money (docs/fit.md). Nothing is allocated of what is counted: headers are read, and no weights. */
#ifndef TOLA_FIT_H
#define TOLA_FIT_H

#include <tola/checkpoint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "7B", "405e9", "1.5T", "16K", "131072": a count of things. K, M, B, T are powers of `kilo`: 1000, or 1024 as contexts
 * are counted. TOLA_E_ARG for what is none: negative, of bytes ("8GB"), above `most`; messages call it `what`. */
TOLA_API TOLA_MUST_CHECK tola_status tola_fit_count(const char *text, const char *what, uint64_t kilo, uint64_t most,
                                                    uint64_t *out, tola_error *err);
#define TOLA_FIT_MOST_PARAMETERS 100000000000000u /* fifty times the largest there are */
#define TOLA_FIT_MOST_CONTEXT 1073741824u

typedef struct tola_fit_options {
    size_t size;              /* sizeof(tola_fit_options) */
    const char *model;        /* MODEL or a config.json; NULL: `parameters` */
    uint64_t parameters;      /* such a model of usual shape, where model is NULL */
    uint64_t active;          /* parameters for one token; 0: all */
    const char *dtype;        /* "fp16", "int4", "q4_k_m", "awq", ...; NULL: as stored, 16 bits where that is unknown */
    uint64_t context;         /* tokens of a sequence; 0: the model's own, but 4096 at most */
    uint64_t batch;           /* sequences or examples at once; 0: 1 */
    uint64_t prompt;          /* tokens of the prompt whose rate is told; 0: 512 */
    const char *kv_type;      /* "f16" (NULL), "q8_0", "f8_e4m3", ... */
    const char *engine;       /* of whose buffers: "server", "tola", "llama"; NULL: tola's here, else a server's */
    const char *train;        /* NULL: inference; "full", "lora", "qlora" */
    const char *optimizer;    /* "adamw" (NULL), "adamw8", "momentum", "sgd" */
    const char *recompute;    /* "none" (NULL), "attention", "layers" */
    const char *precision;    /* of training: "mixed" (NULL), "f32" */
    bool flash;               /* attention that keeps no scores */
    uint32_t rank;            /* of adapters; 0: 16 */
    const char *const *on;    /* devices, "h100", "8xh100", "this", "all"; NULL-terminated; NULL: none */
    const char *devices;      /* a file with further devices; NULL */
    const char *const *prices; /* "h100=2.1": USD an hour, replacing the table's; NULL-terminated; NULL */
    double api_in, api_out;   /* USD per million tokens; both 0: no comparison */
    double ratio;             /* tokens in for one out; 0: 3 */
    double utilisation;       /* share of the time that devices are busy; 0: 0.5 */
    unsigned threads;         /* of this machine; 0: all */
    uint64_t reserved[8];
} tola_fit_options;
#define TOLA_FIT_OPTIONS_INIT { .size = sizeof(tola_fit_options) }

typedef struct tola_fit_bytes {
    uint64_t weights, kv, compute, gradients, optimizer, activations, total;
} tola_fit_bytes;

/* One way of keeping the weights, or of training them. */
typedef struct tola_fit_type {
    const char *name;     /* "fp16", "q4_k_m"; of training "full", "full, layers recomputed", "lora", ... */
    double bits;          /* a weight, scales included */
    tola_fit_bytes bytes;
    bool chosen;          /* the one that the rest is about */
    const uint32_t *counts; /* devices needed, one for each of tola_fit.devices; 0: no number will do */
} tola_fit_type;

typedef struct tola_fit_rate {
    double tokens_per_s;  /* of all sequences together; 0: unknown */
    double bytes, operations; /* of a step: one token of every sequence, or the prompt */
    double bandwidth, peak;   /* of the devices together, as far as it is reached */
    double link_s;        /* seconds of a step between devices */
    double wait_s;        /* and starting layers */
    const char *bound;    /* "bandwidth", "operations", "link", "latency" */
} tola_fit_rate;

typedef struct tola_fit_device {
    const char *name, *title, *kind, *source;
    uint32_t asked;       /* how many of them: 1, or as many as the name said */
    bool fits;            /* on those */
    uint32_t count;       /* needed at least; 0: no number will do */
    uint32_t parallel;    /* the next number that divides the heads, for tensor parallelism; 0: unknown */
    uint64_t memory, usable, overhead; /* of one */
    uint64_t available;   /* of this machine: free now; else 0 */
    uint64_t needed;      /* bytes on each of max(asked, count) of them, overhead included */
    bool measured;        /* this machine; else the figures of the table */
    bool own;             /* shares measured with this program's kernels; else estimates */
    double bandwidth, decode_share, prefill_share;
    const char *peak;     /* "bf16": the peak that counts */
    double watts;
    tola_fit_rate decode, prefill; /* on max(asked, count) of them */
    double step_s;        /* of training: seconds of a step; 0 */
    uint64_t largest_context; /* on those asked for; 0: none, or not a matter of context */
    const char *best_type;    /* the best type that fits on those asked for; NULL: none */
    double best_bits;
    double usd_hour;      /* of max(asked, count) of them; 0: unknown */
    bool bought;          /* from a purchase price */
    const char *price_date, *price_source; /* NULL: unknown */
    double usd_mtok_in, usd_mtok_out;      /* at the utilisation; 0: unknown */
    double usd_mtok;      /* of the mix: `ratio` in for one out */
    double break_even;    /* tokens a month, in and out, from which on owning them is cheaper than the API; 0: never */
    double capacity;      /* tokens a month that they manage at the utilisation */
} tola_fit_device;

typedef struct tola_fit_formula {
    const char *what;     /* "weights" */
    const char *formula;  /* with the numbers in it */
    const char *source;   /* NULL: a definition */
    bool estimate;
} tola_fit_formula;

/* All text and lists live until tola_fit_free. */
typedef struct tola_fit {
    size_t size;
    bool fits;            /* on one of the devices at least; true where none was named */
    const char *name, *family; /* NULL: unknown; name: of a number of parameters, too */
    bool language;
    uint64_t parameters, active, layers, own_context; /* 0: unknown */
    const char *dtype;    /* what the weights are counted in; "stored" */
    const char *stored;   /* how the file keeps them; NULL: unknown */
    double bits;
    uint64_t context, batch, prompt;
    uint64_t behind;      /* tokens before the one whose rate is told: the context that was asked for, else the prompt */
    double kv_token;      /* bytes that a further token takes, of one sequence */
    const char *train;    /* NULL: inference */
    uint64_t trained;     /* parameters that training changes */
    tola_fit_bytes bytes;
    size_t type_count;
    const tola_fit_type *types;
    size_t device_count;
    const tola_fit_device *devices;
    size_t cheapest_count;
    const tola_fit_device *cheapest; /* of the table, as many as it takes, by USD an hour */
    double api_mtok;      /* USD per million tokens of the mix; 0: not asked */
    double ratio, utilisation;
    size_t formula_count;
    const tola_fit_formula *formulas;
    size_t note_count;
    const char *const *notes;
    const char *table;    /* version of the table of devices */
    void *owner;          /* private */
    uint64_t reserved[8];
} tola_fit;

TOLA_API TOLA_MUST_CHECK tola_status tola_fit_compute(const tola_fit_options *options, tola_fit **out, tola_error *err);
TOLA_API void tola_fit_free(tola_fit *fit); /* NULL is fine */

/* The table of devices alone: devices with name, title, kind, source, memory, usable, overhead, bandwidth, watts and
 * prices. `file` as options.devices. */
TOLA_API TOLA_MUST_CHECK tola_status tola_fit_devices(const char *file, tola_fit **out, tola_error *err);
/* Operations (a multiplication and an addition are two) of reading a prompt of `tokens` tokens, at least 1; in the last
 * layer of all but the last token those of keys and values alone. TOLA_E_UNSUPPORTED where the model reads no text. */
TOLA_API TOLA_MUST_CHECK tola_status tola_fit_prompt(const tola_checkpoint *model, uint64_t tokens, double *operations,
                                                     tola_error *err);

#ifdef __cplusplus
}
#endif
#endif
