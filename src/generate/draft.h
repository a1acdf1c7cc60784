/* Guessing the next tokens, so that a model may read several at once and keep those that it would have chosen. */
#ifndef GENERATE_DRAFT_H
#define GENERATE_DRAFT_H

#include "generate/sample.h"
#include "generate/session.h"

typedef struct drafter {
    uint32_t lookup;       /* tokens that must have occurred before; 0: no look-up */
    tola_session *session; /* of the smaller model, NULL: none */
    sampler *sampler;      /* draws from its logits as from the model's own, so that both agree where these do */
    uint32_t limit;        /* ids below it are the model's */
} drafter;

/* TOLA_E_ARG where the draft's vocabulary is not the model's. */
tola_status draft_open(drafter *d, const tola_model *model, const tola_generate_options *o,
                       const tola_sampling *sampling, tola_error *err);
void draft_close(drafter *d);
/* Up to `most` guesses of what follows ids[0 .. count-1] into guesses; *got of them. */
tola_status draft_guess(drafter *d, const uint32_t *ids, size_t count, size_t most, uint32_t *guesses, size_t *got,
                        tola_error *err);
/* The look-up alone: what followed the latest earlier occurrence of the last `n` ids. */
size_t draft_lookup(const uint32_t *ids, size_t count, size_t n, size_t most, uint32_t *guesses);

#endif
