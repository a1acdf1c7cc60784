/* What the files of tola_fit_compute share. */
#ifndef POLICY_FIT_INSIDE_H
#define POLICY_FIT_INSIDE_H

#include <tola/fit.h>

#include "policy/roofline.h"

#define FIT_MOST_DEVICES 100000u /* of one kind; more are no answer */

typedef struct fit_price {
    const device *device;
    double usd_hour;
} fit_price;

typedef struct fit_job {
    tola_fit_options o;
    model_shape shape;
    bool has_shape;
    devices *table;
    arena arena;
    memory_inference run; /* engine: of the answer as a whole */
    memory_training train;
    bool training, engine_given;
    device here; /* "this", measured once */
    bool has_here;
    fit_price *prices;
    size_t n_prices;
    const char **notes;
    size_t n_notes;
    tola_fit *fit;
} fit_job;

/* Bytes by part with these weights (training: `run` is not looked at). */
tola_status fit_bytes(const fit_job *j, const memory_inference *run, const memory_training *train, memory_bytes *out,
                      tola_error *err);
tola_fit_bytes fit_public(const memory_bytes *b);
/* How many of them are needed; 0: no number will do. */
uint32_t fit_count_of(const device *d, const memory_bytes *b);
/* The figures of `asked` (0: one) of the device. `deep`: what fits on them, too. */
tola_status fit_device(const fit_job *j, const device *d, uint32_t asked, bool deep, tola_fit_device *out,
                       tola_error *err);
/* The tokens before the one whose rate is told: the whole context where one was asked for, else the prompt. */
uint64_t fit_behind(const fit_job *j);
void fit_fill_device(const device *d, tola_fit_device *out);
tola_status fit_formulas(fit_job *j, tola_error *err);
const char *fit_text(fit_job *j, const char *format, ...) __attribute__((format(printf, 2, 3))); /* NULL: no memory */

#endif
