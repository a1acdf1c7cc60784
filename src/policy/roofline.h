/* How fast a model runs on a device at best: max(operations / peak, bytes / bandwidth), with the shares of both that
 * are reached in practice (Williams, Waterman, Patterson 2009, https://doi.org/10.1145/1498765.1498785). */
#ifndef POLICY_ROOFLINE_H
#define POLICY_ROOFLINE_H

#include "policy/device.h"
#include "policy/memory.h"

typedef struct roofline_side {
    double rate; /* tokens a second, of all sequences together; examples of a model that is none of language */
    double bytes, operations; /* of a step: one token of every sequence, or the whole prompt */
    double bandwidth;         /* of all devices together, the reached share */
    double peak;              /* likewise */
    double link;              /* seconds that a step spends between devices */
    double wait;              /* and starting layers */
    const char *bound;        /* "bandwidth", "operations", "link", "latency": what takes longest */
} roofline_side;

typedef struct roofline {
    roofline_side decode, prefill;      /* rate 0: unknown (no bandwidth, no layers, no language) */
    double decode_share, prefill_share; /* of bandwidth and peak */
    const char *peak;                   /* the peak that is held against: "bf16", "int8" */
    bool own; /* shares measured with the program's own kernels; else estimates of the class */
} roofline;

/* `count` devices share the matrices of every layer. `prompt`: tokens of the prefill; `behind`: tokens before the one
 * that is decoded. */
tola_status roofline_of(const model_shape *shape, const memory_inference *o, const devices *table, const device *d,
                        uint32_t count, uint64_t prompt, uint64_t behind, roofline *out, tola_error *err);

/* Seconds of a training step over `tokens` tokens in all: 6 N tokens operations (2 forward, 4 backward: Kaplan et al.
 * 2020, https://arxiv.org/abs/2001.08361), 8 N with layers recomputed; of LoRA 4 N and 6 N, as frozen matrices have no
 * gradient of their own. 0: unknown. */
double roofline_training(const model_shape *shape, const memory_training *o, const devices *table, const device *d,
                         uint32_t count, double tokens);

#endif
