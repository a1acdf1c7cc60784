/* tola_gradients: a model trained on one batch, for the oracle test.
 *
 *   tola_gradients MODEL IDS OUT [--sequence N] [--context N] [--threads N] [--recompute 1] [--precision bf16|fp8]
 *              [--steps N] [--rate F] [--decay F]
 *
 * IDS has one id a line, in sequences of N (all are one). The loss of decoders is the mean cross-entropy of each
 * sequence's next ids; of encoders the mean square of all hidden states. OUT becomes a copy of the checkpoint that holds
 * the gradients; where --steps is not 0, the trained weights instead. Prints the loss before each step of AdamW, and the
 * last, one a line, and the bytes that were planned. */
#include "base/err.h"
#include "graph/train.h"
#include "learn/learn.h"
#include "models/models.h"
#include <tola/transform.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 4096 };

typedef struct settings {
    const char *model, *ids, *out, *precision;
    size_t sequence, context, steps;
    unsigned threads;
    bool recompute;
    double rate, decay;
} settings;

typedef struct state {
    tola_checkpoint *ck;
    model_description *d;
    model_weights *w;
    graph *g;
    learn_parameters *parameters;
    graph_plan *plan;
    pool *threads;
    char names[4096][64];
} state;

static bool parse(int argc, char **argv, settings *s) {
    const char **free_words[] = { &s->model, &s->ids, &s->out };
    size_t words = 0;
    *s = (settings){ .threads = 1, .rate = 1e-3, .precision = "f32" };
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (words == 3) return false;
            *free_words[words++] = argv[i];
            continue;
        }
        const char *name = argv[i], *value = ++i < argc ? argv[i] : "";
        if (strcmp(name, "--sequence") == 0) s->sequence = strtoul(value, NULL, 10);
        else if (strcmp(name, "--context") == 0) s->context = strtoul(value, NULL, 10);
        else if (strcmp(name, "--threads") == 0) s->threads = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--recompute") == 0) s->recompute = strcmp(value, "1") == 0;
        else if (strcmp(name, "--precision") == 0) s->precision = value;
        else if (strcmp(name, "--steps") == 0) s->steps = strtoul(value, NULL, 10);
        else if (strcmp(name, "--rate") == 0) s->rate = strtod(value, NULL);
        else if (strcmp(name, "--decay") == 0) s->decay = strtod(value, NULL);
        else return false;
    }
    return words == 3;
}

/* All weights are parameters but the bias of a choice of experts, which no gradient reaches. */
static tola_status add_parameters(state *t, tola_error *err) {
    const size_t count = model_master_count(t->w);
    for (size_t i = 0; i < count; i++) {
        const model_master *m = model_master_at(t->w, i);
        learn_parameter *p;
        if (strncmp(m->word, "exp_probs_b", 11) == 0 || i >= sizeof t->names / sizeof *t->names) continue;
        snprintf(t->names[i], sizeof t->names[i], "%d.%s", (int)m->layer, m->word);
        TRY(learn_parameters_add(t->parameters, t->names[i], m->weight, m->values, &p, err));
        p->decays = true;
    }
    return TOLA_OK;
}

static tola_status make(state *t, const settings *s, size_t n, const learn_optimizer *o, tola_error *err) {
    const graph_precision precision = strcmp(s->precision, "bf16") == 0  ? GRAPH_BF16
                                      : strcmp(s->precision, "fp8") == 0 ? GRAPH_FP8
                                                                         : GRAPH_F32;
    const graph_parameter *list;
    TRY(model_open(s->model, &t->ck, err));
    TRY(model_describe(t->ck, s->context, &t->d, err));
    TRY(model_weights_open(t->ck, t->d, &t->w, err));
    model_weights_learn(t->w, NULL, NULL);
    TRY(graph_create_training(&t->g, err));
    graph_value y = model_append(t->g, t->d, t->w, NULL, 0, false);
    graph_value loss = t->d->encoder ? graph_squared_error(t->g, y) : graph_cross_entropy(t->g, 0, y);
    TRY(learn_parameters_create(&t->parameters, err));
    TRY(add_parameters(t, err));
    TRY(learn_parameters_list(t->parameters, &list, err));
    graph_differentiate(t->g, list, t->parameters->count, &loss, 1,
                        s->recompute ? GRAPH_RECOMPUTE_LAYERS : GRAPH_KEEP_ALL);
    TRY(graph_finish(t->g, &loss, 1, err));
    TRY(learn_parameters_allocate(t->parameters, o, err));
    TRY(pool_create(s->threads, &t->threads, err));
    return plan_create_training(t->g, n, n, s->threads, precision, &t->plan, err);
}

static tola_status step(state *t, const settings *s, const uint32_t *ids, size_t n, tola_error *err) {
    static uint32_t positions[MAX_TOKENS], rows[MAX_TOKENS], first[MAX_TOKENS], targets[MAX_TOKENS];
    static float weights[MAX_TOKENS];
    const size_t length = s->sequence > 0 ? s->sequence : n;
    double all = 0, loss = 0;
    for (size_t i = 0; i < n; i++) {
        const bool last = i % length == length - 1 || i + 1 == n;
        positions[i] = (uint32_t)(i % length);
        first[i] = (uint32_t)(i - i % length);
        rows[i] = (uint32_t)i;
        targets[i] = last ? 0 : ids[i + 1];
        weights[i] = last && !t->d->encoder ? 0 : 1;
        all += (double)weights[i];
    }
    for (size_t i = 0; i < n; i++) weights[i] = (float)((double)weights[i] / all);
    float *wanted = calloc(n * t->d->width, sizeof *wanted);
    if (wanted == NULL) return err_nomem(err, "training");
    const graph_learn_batch learn = {
        .first = first, .targets = targets, .row_weights = weights, .wanted = wanted
    };
    const graph_batch batch = { .tokens = n, .ids = ids, .positions = positions, .outputs = rows, .output_count = n,
                                .learn = &learn };
    learn_scale_gradients(t->parameters, 0, t->threads);
    tola_status status = plan_run(t->plan, t->threads, &batch, err);
    free(wanted);
    TRY(status);
    size_t got, cols;
    const float *losses = plan_output(t->plan, 0, &got, &cols);
    for (size_t i = 0; i < got; i++) loss += (double)losses[i];
    printf("%.9g\n", loss);
    return TOLA_OK;
}

/* The checkpoint with what the masters hold; of `gradients`, those take their place first. */
static tola_status write_out(state *t, const settings *s, bool gradients, tola_error *err) {
    tola_checkpoint *view;
    tola_convert_options options = TOLA_CONVERT_OPTIONS_INIT;
    options.overwrite = true;
    for (size_t i = 0; gradients && i < t->parameters->count; i++) {
        const learn_parameter *p = &t->parameters->items[i];
        for (uint32_t k = 0; k < p->weight->parts; k++)
            memcpy(p->values[k], p->gradients[k], (size_t)(p->weight->rows * p->weight->cols) * sizeof(float));
    }
    TRY(model_weights_view(t->w, TOLA_DTYPE_NONE, &view, err));
    tola_status status = tola_convert(view, s->out, &options, NULL, err);
    tola_checkpoint_close(view);
    return status;
}

static tola_status train(state *t, const settings *s, const uint32_t *ids, size_t n, tola_error *err) {
    learn_optimizer o = LEARN_OPTIMIZER_INIT;
    o.rate = s->rate;
    o.decay = s->decay;
    TRY(make(t, s, n, &o, err));
    for (size_t i = 0; i < s->steps; i++) {
        TRY(step(t, s, ids, n, err));
        learn_update(&o, t->parameters, i, 1, 1, t->threads);
    }
    TRY(step(t, s, ids, n, err));
    printf("%zu bytes\n", plan_bytes(t->plan));
    return write_out(t, s, s->steps == 0, err);
}

static void end(state *t) {
    plan_free(t->plan);
    pool_free(t->threads);
    learn_parameters_free(t->parameters);
    graph_free(t->g);
    model_weights_free(t->w);
    model_description_free(t->d);
    tola_checkpoint_close(t->ck);
}

int main(int argc, char **argv) {
    static uint32_t ids[MAX_TOKENS];
    static state t;
    settings s;
    if (!parse(argc, argv, &s)) {
        fprintf(stderr, "tola_gradients MODEL IDS OUT [--sequence N] [--threads N] [--steps N] ...\n");
        return 1;
    }
    size_t n = 0;
    FILE *in = fopen(s.ids, "r");
    if (in == NULL) return 1;
    while (n < MAX_TOKENS && fscanf(in, "%u", &ids[n]) == 1) n++;
    fclose(in);
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = train(&t, &s, ids, n, &err);
    if (status != TOLA_OK) fprintf(stderr, "%s\n", err.message);
    end(&t);
    return status == TOLA_OK ? 0 : 2;
}
