/* tola_train: a recipe is read, its data opened, its network built, and the task run. */
#include "learn/train.h"

#include "base/err.h"
#include "base/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void train_digest_text(const uint8_t digest[32], char text[TRAIN_DIGEST + 1]) {
    for (int i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

uint32_t train_batches(uint64_t rows, uint32_t batch, uint32_t limit) {
    uint64_t n = rows / batch + (rows % batch != 0);
    if (limit != 0 && n > limit) n = limit;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* Of the whole run. */
static tola_status count_steps(const training *t, uint64_t *steps, tola_error *err) {
    const recipe *r = t->r;
    *steps = r->training.steps;
    if (*steps) return TOLA_OK;
    double each = (double)r->training.batch * r->training.accumulate,
           wanted = r->training.epochs * (double)t->rows / each;
    if (!(wanted < 1e15))
        return yaml_error(yaml_get(r->file ? yaml_root(r->file) : NULL, "training"), err, "too many steps");
    *steps = wanted > 1 ? (uint64_t)ceil(wanted - 1e-9) : 1;
    return TOLA_OK;
}

static tola_status make_options(const training *t, learn_options *out, tola_error *err) {
    const recipe *r = t->r;
    const tola_train_options *o = t->o;
    *out = (learn_options)LEARN_OPTIONS_INIT;
    TRY(count_steps(t, &out->steps, err));
    out->optimizer = r->optimizer;
    out->schedule = r->schedule;
    out->schedule.steps = out->steps;
    out->parts = r->training.accumulate;
    out->seed = r->seed;
    out->precision = (graph_precision)r->training.precision;
    out->threads = o->threads;
    out->validate_every = r->validate_every;
    out->save_every = r->save_every;
    out->log_every = r->log_every;
    out->keep = r->keep;
    out->out = o->dry_run ? NULL : o->out;
    out->resume = o->resume;
    out->other_facts = o->other_recipe;
    out->overwrite = o->overwrite;
    out->event = o->event;
    out->event_user = o->event_user;
    return TOLA_OK;
}

/* The recipe's lines and the data's digest. */
static tola_status add_facts(training *t, tola_error *err) {
    recipe *r = t->r;
    learn_fact *facts = mem_realloc_array(r->facts, r->fact_count + 1, sizeof *facts);
    if (!facts) return err_nomem(err, "training");
    r->facts = facts;
    facts[r->fact_count++] = (learn_fact){ "data", t->digest, false };
    t->task.facts = facts;
    t->task.fact_count = r->fact_count;
    return TOLA_OK;
}

static void describe(const training *t, const learn_options *o, tola_train_summary *out) {
    *out = (tola_train_summary){ .examples = t->examples,
                                 .validation = t->validation,
                                 .steps = o->steps,
                                 .tokens = t->r->data.format == RECIPE_TEXT || t->r->data.format == RECIPE_JSONL };
    for (size_t i = 0; i < t->parameters->count; i++) out->parameters += t->parameters->items[i].elements;
    snprintf(out->network, sizeof out->network, "%s", t->network);
}

static tola_status run(training *t, const char *path, tola_train_summary *summary, tola_learn_result *result,
                       tola_error *err) {
    learn_options o;
    TRY(recipe_open(path, &t->r, err));
    bool text = t->r->data.format == RECIPE_TEXT || t->r->data.format == RECIPE_JSONL;
    if (t->o->out && !t->o->dry_run && mkdir(t->o->out, 0777) != 0 && errno != EEXIST)
        return err_errno(err, errno, "cannot create folder", t->o->out);
    TRY(text ? train_on_text(t, err) : train_on_table(t, err));
    TRY(make_options(t, &o, err));
    TRY(add_facts(t, err));
    if (summary) describe(t, &o, summary);
    if (!t->o->dry_run) return learn_run(&t->task, &o, result, err);
    *result = (tola_learn_result){ .steps = 0 };
    return learn_predict(&t->task, &o, &result->predicted, err);
}

tola_status tola_train(const char *path, const tola_train_options *options, tola_train_summary *summary,
                       tola_learn_result *result, tola_error *err) {
    tola_train_options o = TOLA_TRAIN_OPTIONS_INIT;
    training t = { .o = &o };
    TRY(options_take(&o, sizeof o, options, err));
    if (!o.out && !o.dry_run) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a run wants a folder (out)");
    tola_status status = run(&t, path, summary, result, err);
    graph_free(t.graph);
    learn_parameters_free(t.parameters);
    if (t.close) t.close(t.own);
    recipe_free(t.r);
    return status;
}
