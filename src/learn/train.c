/* tola_train: a recipe is read, its data opened, its network built, and the task run. */
#include "learn/train.h"

#include "base/err.h"
#include "base/json.h"
#include "base/options.h"
#include "base/text.h"
#include "learn/ranks.h"
#include <tola/json.h>

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

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Every rank takes as many batches of a step: where there are too few, they are cut. */
static tola_status share_batches(recipe *r, tola_error *err) {
    const uint64_t factor = ranks_count() / common_divisor(ranks_count(), r->training.accumulate);
    if (r->training.batch % factor != 0)
        return yaml_error(yaml_get(yaml_root(r->file), "training"), err,
                          "%u batches of %u rows cannot be shared out evenly to %u processes", r->training.accumulate,
                          r->training.batch, ranks_count());
    r->training.batch /= (uint32_t)factor;
    r->training.accumulate *= (uint32_t)factor;
    r->validation_batches *= (uint32_t)factor;
    return TOLA_OK;
}

static tola_status open_task(training *t, tola_error *err) {
    const bool text = t->r->data.format == RECIPE_TEXT || t->r->data.format == RECIPE_JSONL;
    if (t->o->out && !t->o->dry_run && mkdir(t->o->out, 0777) != 0 && errno != EEXIST)
        return err_errno(err, errno, "cannot create folder", t->o->out);
    return text ? train_on_text(t, err) : train_on_table(t, err);
}

static tola_status run(training *t, tola_status status, tola_train_summary *summary, tola_learn_result *result,
                       tola_error *err) {
    learn_options o;
    if (status == TOLA_OK) status = share_batches(t->r, err);
    TRY(ranks_agree(status, err));
    for (unsigned turn = 0; turn < 2; turn++) { /* the first rank writes the tokens that the others read */
        const bool mine = (ranks_own() == 0) == (turn == 0);
        TRY(ranks_agree(mine ? open_task(t, err) : TOLA_OK, err));
    }
    TRY(make_options(t, &o, err));
    TRY(add_facts(t, err));
    if (summary) describe(t, &o, summary);
    if (!t->o->dry_run) return learn_run(&t->task, &o, result, err);
    *result = (tola_learn_result){ .steps = 0 };
    return learn_predict(&t->task, &o, &result->predicted, err);
}

bool tola_train_leads(bool failed) { return ranks_speaks(failed); }
void tola_train_leave(bool failed) { ranks_stop(failed); }

/* Makes the recipe. */
typedef tola_status (*recipe_fn)(const void *user, recipe **out, tola_error *err);

static tola_status train(recipe_fn read, const void *user, const tola_train_options *options,
                         tola_train_summary *summary, tola_learn_result *result, tola_error *err) {
    tola_train_options o = TOLA_TRAIN_OPTIONS_INIT;
    training t = { .o = &o };
    TRY(options_take(&o, sizeof o, options, err));
    if (!o.out && !o.dry_run) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a run wants a folder (out)");
    TRY(ranks_start(err));
    tola_status status = run(&t, read(user, &t.r, err), summary, result, err);
    graph_free(t.graph);
    learn_parameters_free(t.parameters);
    if (t.close) t.close(t.own);
    recipe_free(t.r);
    return status;
}

static tola_status from_file(const void *path, recipe **out, tola_error *err) { return recipe_open(path, out, err); }

tola_status tola_train(const char *path, const tola_train_options *options, tola_train_summary *summary,
                       tola_learn_result *result, tola_error *err) {
    return train(from_file, path, options, summary, result, err);
}

/* ---- a teacher ---- */

typedef struct lesson {
    const char *teacher;
    tola_distill_options o;
} lesson;

static bool is_recipe(const char *path) { return text_ends_with(path, ".yaml") || text_ends_with(path, ".yml"); }

/* A recipe for a model that is there. */
static tola_status recipe_of_model(const tola_distill_options *o, recipe **out, tola_error *err) {
    buf text;
    yaml *file;
    tola_json j;
    if (!o->data) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a student that is a model wants data");
    buf_init(&text, 1u << 16);
    tola_json_init(&j, json_to_buf, &text, 0); /* JSON is YAML */
    tola_json_begin_object(&j);
    tola_json_key(&j, "data");
    tola_json_begin_object(&j);
    tola_json_key(&j, "train"), tola_json_string(&j, o->data);
    tola_json_end_object(&j);
    tola_json_key(&j, "model");
    tola_json_begin_object(&j);
    tola_json_key(&j, "weights"), tola_json_string(&j, o->student);
    if (o->context) tola_json_key(&j, "context"), tola_json_u64(&j, o->context);
    tola_json_end_object(&j);
    tola_json_key(&j, "training");
    tola_json_begin_object(&j);
    tola_json_key(&j, o->steps ? "steps" : "epochs"), tola_json_u64(&j, o->steps ? o->steps : 1);
    tola_json_key(&j, "batch"), tola_json_u64(&j, o->batch ? o->batch : 8);
    tola_json_end_object(&j);
    tola_json_key(&j, "optimizer");
    tola_json_begin_object(&j);
    tola_json_key(&j, "rate"), tola_json_f64(&j, o->rate > 0 ? o->rate : 3e-4);
    tola_json_key(&j, "clip"), tola_json_u64(&j, 1);
    tola_json_end_object(&j);
    tola_json_end_object(&j);
    tola_status status = tola_json_finish(&j) ? yaml_parse("student", text.data, text.length, &file, err)
                                              : err_nomem(err, "a student");
    buf_free(&text);
    return status == TOLA_OK ? recipe_read(file, out, err) : status;
}

static tola_status with_teacher(const void *user, recipe **out, tola_error *err) {
    const lesson *l = user;
    const tola_distill_options *o = &l->o;
    if (!o->student) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a teacher wants a student");
    if (is_recipe(o->student) && (o->steps || o->batch || o->context || o->rate > 0))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: steps, batch, context and rate are the recipe's to say",
                       o->student);
    TRY(is_recipe(o->student) ? recipe_open(o->student, out, err) : recipe_of_model(o, out, err));
    const recipe_lesson said = { l->teacher, is_recipe(o->student) ? o->data : NULL, o->temperature, o->share, o->top };
    return recipe_teach(*out, &said, err);
}

tola_status tola_distill(const char *teacher, const tola_distill_options *distill, const tola_train_options *options,
                         tola_train_summary *summary, tola_learn_result *result, tola_error *err) {
    lesson l = { teacher, TOLA_DISTILL_OPTIONS_INIT };
    TRY(options_take(&l.o, sizeof l.o, distill, err));
    return train(with_teacher, &l, options, summary, result, err);
}
