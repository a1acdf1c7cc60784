/* The loop: batches, backward, norm, clipping, update; log, validation, checkpoints; what ends a run early. */
#include "learn/learn.h"

#include "base/clock.h"
#include "base/energy.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mix.h"
#include "base/path.h"
#include "learn/parameters.h"
#include "learn/ranks.h"
#include "learn/state.h"
#include <tola/json.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct learn_trainer {
    const learn_task *task;
    const learn_options *o;
    learn_result *result;
    graph_plan *plan;
    pool *threads;
    int log; /* file of log.jsonl; -1: none */
    uint64_t log_bytes;
    uint64_t step, tokens; /* done */
    uint64_t saved;        /* step of the last checkpoint of this run or of the one it resumed; UINT64_MAX: none */
    double started, last_event;
    uint64_t tokens_at_start;
    double loss, rate, norm; /* of the last step */
    double speed;            /* tokens a second, smoothed */
    double step_seconds;     /* smoothed */
    bool validation_due;     /* of the step that is done; one that is interrupted is made by the resume */
    bool stop;
    energy_meter energy; /* without zones where there is nothing to read */
    double energy_at;    /* when it was read last */
    uint64_t *row_ids; /* of a batch's rows within the step: what dropout depends on, however a step is cut */
};

graph_plan *learn_trainer_plan(learn_trainer *t) { return t->plan; }
pool *learn_trainer_pool(learn_trainer *t) { return t->threads; }

void learn_measure_add(learn_measures *m, const char *name, double value) {
    if (m->count == TOLA_LEARN_MEASURES) return;
    m->items[m->count].name = name;
    m->items[m->count++].value = value;
}

/* ---- memory ---- */

/* A figure of /proc/self/status in bytes; 0 where there is none. */
static uint64_t process_bytes(const char *key) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kib = 0;
    size_t n = strlen(key);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, n) == 0 && sscanf(line + n, ": %llu", &kib) == 1) break;
    if (f) fclose(f);
    return (uint64_t)kib * 1024;
}

uint64_t learn_resident(void) { return process_bytes("VmRSS"); }

tola_status learn_predict(const learn_task *task, const learn_options *o, learn_memory *out, tola_error *err) {
    const learn_parameters *p = task->parameters;
    learn_memory m = { .data = task->data_bytes, .weights = task->frozen_bytes };
    pool *threads = NULL;
    unsigned count = o->threads;
    if (count == 0) {
        TRY(pool_create(0, &threads, err));
        count = pool_threads(threads);
        pool_free(threads);
    }
    for (size_t i = 0; i < p->count; i++) m.weights += p->items[i].elements * sizeof(float);
    m.gradients = p->elements * sizeof(float);
    m.optimizer = learn_optimizer_bytes(&o->optimizer, p) / ranks_count();
    TRY(plan_predict(task->graph, task->max_tokens, task->max_outputs, count, o->precision, &m.activations, err));
    /* weights that are mapped may not be there yet: subtracting them may take too much */
    uint64_t resident = learn_resident(), known = m.weights + m.data - task->data_later;
    m.program = resident > known ? resident - known : 0;
    if (m.program < task->before_bytes) m.program = task->before_bytes;
    m.total = m.weights + m.gradients + m.optimizer + m.activations + m.data + m.program;
    *out = m;
    return TOLA_OK;
}

/* ---- the log ---- */

static void put_f64(tola_json *j, const char *key, double value) {
    tola_json_key(j, key);
    tola_json_f64(j, value);
}

static tola_status append(learn_trainer *t, const buf *line, tola_error *err) {
    size_t done = 0;
    if (line->failed) return err_nomem(err, "writing the log");
    while (done < line->length) {
        ssize_t n = write(t->log, line->data + done, line->length - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(err, errno, "cannot write", "log.jsonl");
        done += (size_t)n;
    }
    t->log_bytes += line->length;
    return TOLA_OK;
}

static tola_status log_line(learn_trainer *t, const learn_measures *measures, tola_error *err) {
    if (t->log < 0) return TOLA_OK;
    buf line;
    tola_json j;
    buf_init(&line, 1u << 16);
    tola_json_init(&j, json_to_buf, &line, 0);
    tola_json_begin_object(&j);
    tola_json_key(&j, "step");
    tola_json_u64(&j, t->step);
    if (measures) {
        tola_json_key(&j, "validation");
        tola_json_begin_object(&j);
        for (size_t i = 0; i < measures->count; i++) put_f64(&j, measures->items[i].name, measures->items[i].value);
        tola_json_end_object(&j);
    } else {
        put_f64(&j, "loss", t->loss);
        put_f64(&j, "lr", t->rate);
        put_f64(&j, "grad_norm", t->norm);
        tola_json_key(&j, "tokens");
        tola_json_u64(&j, t->tokens);
        put_f64(&j, "tokens_per_s", round(t->speed * 10) / 10);
        tola_json_key(&j, "memory");
        tola_json_u64(&j, process_bytes("VmRSS"));
    }
    tola_json_end_object(&j);
    bool made = tola_json_finish(&j);
    buf_append(&line, "\n", 1);
    tola_status status = made ? append(t, &line, err) : err_nomem(err, "writing the log");
    buf_free(&line);
    return status;
}

/* What this process spent on the run, in a line of its own at its end: "run": seconds, tokens and, where the
 * processors count it, energy. A run that was resumed has several, of which the sum counts. */
static tola_status log_run(learn_trainer *t, double seconds, tola_error *err) {
    if (t->log < 0 || t->step == t->result->resumed_from) return TOLA_OK;
    buf line;
    tola_json j;
    double joules;
    buf_init(&line, 4096);
    tola_json_init(&j, json_to_buf, &line, 0);
    tola_json_begin_object(&j);
    tola_json_key(&j, "step");
    tola_json_u64(&j, t->step);
    tola_json_key(&j, "run");
    tola_json_begin_object(&j);
    put_f64(&j, "seconds", round(seconds * 1000) / 1000);
    tola_json_key(&j, "tokens");
    tola_json_u64(&j, t->tokens - t->tokens_at_start);
    if (energy_joules(&t->energy, &joules)) put_f64(&j, "energy_j", round(joules * 1000) / 1000);
    tola_json_end_object(&j);
    tola_json_end_object(&j);
    bool made = tola_json_finish(&j);
    buf_append(&line, "\n", 1);
    tola_status status = made ? append(t, &line, err) : err_nomem(err, "writing the log");
    buf_free(&line);
    return status;
}

/* ---- what others see ---- */

static void tell(learn_trainer *t, learn_event_kind kind, const learn_measures *measures, const char *path) {
    double now = clock_seconds();
    t->last_event = now;
    if (!t->o->event || ranks_own() != 0) return;
    learn_event e = { .kind = kind,
                      .step = t->step,
                      .steps = t->o->steps,
                      .loss = t->loss,
                      .rate = t->rate,
                      .gradient_norm = t->norm,
                      .tokens_per_s = t->speed,
                      .seconds = now - t->started,
                      .seconds_left = t->step_seconds * (double)(t->o->steps - t->step),
                      .measures = measures,
                      .path = path,
                      .memory = kind == TOLA_LEARN_BEGIN ? &t->result->predicted : NULL };
    if (!t->o->event(t->o->event_user, &e)) t->stop = true;
}

/* ---- batches ---- */

static uint64_t seed_of(const learn_trainer *t, uint64_t step) {
    return mix_u64(t->o->seed + 0x9e3779b97f4a7c15u * (step + 1));
}

/* Losses come multiplied by their rows' weights. */
static double sum_losses(const learn_trainer *t, bool evaluate) {
    const size_t other = evaluate ? t->task->validation_loss : 0;
    double sum = 0;
    for (size_t k = other; k < (other ? other + 1 : t->task->loss_count); k++) {
        size_t rows, cols;
        const float *loss = plan_output(t->plan, k, &rows, &cols);
        for (size_t r = 0; r < rows; r++) sum += (double)loss[r];
    }
    return sum;
}

static tola_status run_batch(learn_trainer *t, learn_batch *b, bool evaluate, uint64_t seed, double *loss,
                             tola_error *err) {
    b->graph.learn = &b->learn;
    b->learn.evaluate = evaluate;
    b->learn.seed = seed;
    TRY(plan_run(t->plan, t->threads, &b->graph, err));
    *loss += sum_losses(t, evaluate);
    return TOLA_OK;
}

tola_status learn_trainer_evaluate(learn_trainer *t, learn_batch *batch, double *loss, tola_error *err) {
    double sum = 0;
    TRY(run_batch(t, batch, true, 0, &sum, err));
    *loss = sum;
    return TOLA_OK;
}

/* ---- a step ---- */

static size_t count_broken(const float *x, uint64_t n) {
    size_t broken = 0;
    for (uint64_t i = 0; i < n; i++) broken += !isfinite(x[i]);
    return broken;
}

/* Where the last checkpoint is, for messages. */
static void tell_last(const learn_trainer *t, buf *b) {
    char *last = NULL;
    uint64_t step;
    if (t->o->out && learn_last_checkpoint(t->o->out, &last, &step, NULL) == TOLA_OK && last)
        buf_printf(b, "the last good checkpoint is %s", last);
    else
        buf_printf(b, "there is no checkpoint yet");
    buf_printf(b, ". A smaller rate, a warm-up or clipping may help");
    mem_free(last);
}

static tola_status give_up(buf *b, tola_error *err) {
    tola_status status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%.*s", (int)b->length, (const char *)b->data);
    buf_free(b);
    return status;
}

/* The tensor nearest to the losses, where what is not finite began, is the last in the order of the parameters. */
static tola_status diagnose(const learn_trainer *t, double loss, tola_error *err) {
    const learn_state *state = t->task->parameters->state;
    const learn_segment *weight = NULL, *gradient = NULL;
    uint64_t of_gradient = 0, gradients = 0;
    buf b;
    for (size_t i = 0; i < state->count; i++) {
        const learn_segment *s = &state->segments[i];
        size_t broken = count_broken(s->gradient, s->count);
        if (broken) gradient = s, of_gradient = broken;
        gradients += broken != 0;
        if (!weight && count_broken(s->values, s->count)) weight = s;
    }
    buf_init(&b, 900);
    buf_printf(&b, "step %" PRIu64 ": the loss is %g", t->step + 1, loss);
    if (gradient)
        buf_printf(&b,
                   ", the gradient of '%.200s' is not finite (%" PRIu64 " of %" PRIu64
                   " elements; so are those of %" PRIu64 " of %zu tensors)",
                   gradient->parameter->name, of_gradient, gradient->count, gradients, state->count);
    else if (isfinite(loss))
        buf_printf(&b, ", the gradients together are too large for a norm");
    if (weight) buf_printf(&b, ", and so is the weight '%.200s'", weight->parameter->name);
    buf_printf(&b, ". Nothing was updated; ");
    tell_last(t, &b);
    return give_up(&b, err);
}

/* A checkpoint holds only weights that can be gone on with. */
static tola_status check_weights(const learn_trainer *t, tola_error *err) {
    const learn_state *state = t->task->parameters->state;
    for (size_t i = 0; i < state->count; i++) {
        const learn_segment *s = &state->segments[i];
        size_t broken = count_broken(s->values, s->count);
        if (!broken) continue;
        buf b;
        buf_init(&b, 900);
        buf_printf(&b,
                   "step %" PRIu64 ": the update made the weight '%.200s' not finite (%zu of %" PRIu64 " elements); ",
                   t->step, s->parameter->name, broken, s->count);
        tell_last(t, &b);
        return give_up(&b, err);
    }
    return TOLA_OK;
}

/* The sums of all ranks: of gradients, those of the own range. */
static tola_status join_ranks(const learn_trainer *t, double *loss, double *weight, uint64_t *tokens, tola_error *err) {
    const learn_parameters *p = t->task->parameters;
    if (ranks_count() == 1) return TOLA_OK;
    double sums[] = { *loss, *weight, (double)*tokens };
    TRY(ranks_sum(sums, 3, err));
    *loss = sums[0], *weight = sums[1], *tokens = (uint64_t)sums[2];
    return ranks_sum_ranges(p->gradients, p->elements, LEARN_CHUNK, err);
}

static tola_status one_step(learn_trainer *t, tola_error *err) {
    const learn_task *task = t->task;
    const learn_options *o = t->o;
    double loss = 0, weight = 0, began = clock_seconds();
    uint64_t tokens = 0;
    learn_scale_gradients(task->parameters, 0, t->threads);
    for (uint32_t part = ranks_own(); part < o->parts; part += ranks_count()) {
        learn_batch b = { .weight = 0 };
        TRY(task->batch(task->user, t->step, part, &b, err));
        for (size_t i = 0; i < b.graph.tokens; i++) t->row_ids[i] = (uint64_t)part * task->max_tokens + i;
        b.learn.row_ids = t->row_ids;
        TRY(run_batch(t, &b, false, seed_of(t, t->step), &loss, err));
        weight += b.weight;
        tokens += b.tokens;
        if (ranks_count() == 1 && part + 1 < o->parts && clock_seconds() - t->last_event > 0.2) {
            tell(t, TOLA_LEARN_WORKING, NULL, NULL);
            if (t->stop) return TOLA_OK; /* the step is not counted: it will be made again */
        }
    }
    TRY(join_ranks(t, &loss, &weight, &tokens, err));
    double scale = weight > 0 ? 1 / weight : 1;
    loss *= scale;
    if (task->adjust) {
        learn_scale_gradients(task->parameters, scale, t->threads);
        scale = 1;
        TRY(task->adjust(task->user, t->step, &loss, err));
    }
    double norm = learn_gradient_norm(task->parameters, scale, t->threads);
    if (ranks_count() > 1) {
        norm *= norm;
        TRY(ranks_sum(&norm, 1, err));
        norm = sqrt(norm);
    }
    if (!isfinite(loss) || !isfinite(norm)) return diagnose(t, loss, err);
    double clip = o->optimizer.clip > 0 ? o->optimizer.clip / (norm + 1e-6) : 1; /* torch's clip_grad_norm_ */
    double factor = learn_schedule_factor(&o->schedule, t->step);
    learn_update(&o->optimizer, task->parameters, t->step, scale * (clip < 1 ? clip : 1), factor, t->threads);
    TRY(learn_share_values(task->parameters, t->threads, err));
    double seconds = clock_seconds() - began;
    double speed = (double)tokens / (seconds > 1e-9 ? seconds : 1e-9);
    t->speed = t->speed > 0 ? 0.9 * t->speed + 0.1 * speed : speed;
    t->step_seconds = t->step_seconds > 0 ? 0.9 * t->step_seconds + 0.1 * seconds : seconds;
    t->loss = loss;
    t->norm = norm;
    t->rate = o->optimizer.rate * factor;
    t->step++;
    t->tokens += tokens;
    return TOLA_OK;
}

/* ---- validation ---- */

/* Rows whose largest logit is the target's, of those that count. */
static void count_right(const learn_trainer *t, const learn_batch *b, double *right, double *all) {
    size_t rows, cols;
    const float *logits = plan_output(t->plan, t->task->logits, &rows, &cols);
    for (size_t r = 0; r < rows; r++) {
        if (b->learn.row_weights && !(b->learn.row_weights[r] > 0)) continue;
        size_t best = 0;
        for (size_t c = 1; c < cols; c++)
            if (logits[r * cols + c] > logits[r * cols + best]) best = c;
        *right += best == b->learn.targets[r];
        *all += 1;
    }
}

static tola_status validate(learn_trainer *t, tola_error *err) {
    const learn_task *task = t->task;
    learn_measures m = { .count = 0 };
    double loss = 0, weight = 0, right = 0, all = 0;
    if (ranks_own() != 0) return TOLA_OK; /* every rank has all weights: the others wait */
    for (uint32_t i = 0; task->validation && i < task->validation_batches; i++) {
        learn_batch b = { .weight = 0 };
        TRY(task->validation(task->user, 0, i, &b, err));
        TRY(run_batch(t, &b, true, 0, &loss, err));
        weight += b.weight;
        if (task->logits) count_right(t, &b, &right, &all);
        if (clock_seconds() - t->last_event > 0.2) {
            tell(t, TOLA_LEARN_WORKING, NULL, NULL);
            if (t->stop) return TOLA_OK;
        }
    }
    if (weight > 0) learn_measure_add(&m, "loss", loss / weight);
    if (all > 0) learn_measure_add(&m, "accuracy", right / all);
    if (task->measure) {
        bool stop = false;
        const char *why = NULL;
        TRY(task->measure(task->user, t, t->step, &m, &stop, &why, err));
        if (stop) {
            t->stop = true;
            snprintf(t->result->why, sizeof t->result->why, "%s", why ? why : "");
        }
    }
    t->validation_due = false;
    if (m.count == 0) return TOLA_OK;
    t->result->measures = m;
    TRY(log_line(t, &m, err));
    tell(t, TOLA_LEARN_VALIDATION, &m, NULL);
    return TOLA_OK;
}

/* ---- checkpoints ---- */

static tola_status save(learn_trainer *t, tola_error *err) {
    char *folder = NULL;
    if (!t->o->out || t->saved == t->step) return TOLA_OK;
    TRY(check_weights(t, err));
    if (t->log >= 0 && fsync(t->log) != 0) return err_errno(err, errno, "cannot sync", "log.jsonl");
    run_place at = {
        .step = t->step, .tokens = t->tokens, .log_bytes = t->log_bytes, .validation_due = t->validation_due
    };
    TRY(state_save(t->task, t->o, &at, &folder, err));
    t->saved = t->step;
    if (ranks_own() != 0) return TOLA_OK;
    state_prune(t->o->out, t->o->keep ? t->o->keep : 1);
    tell(t, TOLA_LEARN_CHECKPOINT, NULL, folder);
    mem_free(folder);
    return TOLA_OK;
}

/* ---- beginning ---- */

/* Is there a run in the folder? */
static bool holds_run(const char *out) {
    struct stat st;
    char *log = path_join(out, "log.jsonl");
    bool there = log && stat(log, &st) == 0;
    mem_free(log);
    return there;
}

/* The log's lock is the folder's: two runs in one would remove each other's checkpoints. */
static tola_status open_log(learn_trainer *t, tola_error *err) {
    char *path = path_join(t->o->out, "log.jsonl");
    if (!path) return err_nomem(err, "opening the log");
    tola_status status = TOLA_OK;
    t->log = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (t->log < 0) {
        status = err_errno(err, errno, "cannot open", path);
    } else if (flock(t->log, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) { /* elsewhere there may be no locks */
        status = err_set(err, TOLA_E_EXISTS, TOLA_NO_OFFSET, "another run is at work in this folder");
        err_in_file(err, status, t->o->out);
    }
    mem_free(path);
    return status;
}

/* What was logged after the checkpoint is made again. */
static tola_status cut_log(learn_trainer *t, uint64_t keep, tola_error *err) {
    struct stat st;
    if (fstat(t->log, &st) != 0) return err_errno(err, errno, "cannot cut", "log.jsonl");
    if ((uint64_t)st.st_size < keep) keep = (uint64_t)st.st_size;
    t->log_bytes = keep;
    if (ftruncate(t->log, (off_t)keep) == 0 && lseek(t->log, (off_t)keep, SEEK_SET) >= 0) return TOLA_OK;
    return err_errno(err, errno, "cannot cut", "log.jsonl");
}

/* A run that begins anew leaves no checkpoint and no model of the one before. */
static void clear_folder(const learn_trainer *t) {
    const char *const models[] = { t->task->model_file ? t->task->model_file : "model.safetensors", "model.gguf" };
    state_prune(t->o->out, 0);
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        char *path = path_join(t->o->out, models[i]);
        if (path) (void)unlink(path);
        mem_free(path);
    }
}

static tola_status check_folder(const learn_options *o, tola_error *err) {
    char *last = NULL;
    uint64_t step;
    if (o->resume || o->overwrite) return TOLA_OK;
    TRY(learn_last_checkpoint(o->out, &last, &step, err));
    if (!last && !holds_run(o->out)) return TOLA_OK;
    mem_free(last);
    err_set(err, TOLA_E_EXISTS, TOLA_NO_OFFSET, "holds a run already: --resume goes on with it, --force begins anew");
    return err_in_file(err, TOLA_E_EXISTS, o->out);
}

static tola_status enter_folder(learn_trainer *t, tola_error *err) {
    const learn_options *o = t->o;
    char *last = NULL;
    run_place at = { .step = 0 };
    if (mkdir(o->out, 0777) != 0 && errno != EEXIST) return err_errno(err, errno, "cannot create folder", o->out);
    const bool anew = o->overwrite && !o->resume;
    bool there = holds_run(o->out);
    TRY(learn_last_checkpoint(o->out, &last, &at.step, err));
    there = there || last;
    mem_free(last);
    last = NULL;
    TRY(open_log(t, err)); /* and with it the folder's lock */
    if (anew && there) clear_folder(t);
    TRY(learn_last_checkpoint(o->out, &last, &at.step, err));
    state_prune(o->out, UINT32_MAX); /* what a killed run left half written */
    if (last) {
        tola_status status = state_load(t->task, o, last, &at, err);
        mem_free(last);
        if (status != TOLA_OK) return status;
        t->step = t->saved = at.step;
        t->tokens = at.tokens;
        t->validation_due = at.validation_due;
    }
    return cut_log(t, at.log_bytes, err);
}

/* The first rank makes the folder what it has to be, the others read what is there. */
static tola_status begin_folder(learn_trainer *t, tola_error *err) {
    char *last = NULL;
    run_place at;
    if (ranks_own() == 0) return ranks_agree(enter_folder(t, err), err);
    TRY(ranks_agree(TOLA_OK, err));
    TRY(learn_last_checkpoint(t->o->out, &last, &at.step, err));
    if (!last) return TOLA_OK;
    tola_status status = state_load(t->task, t->o, last, &at, err);
    mem_free(last);
    t->step = t->saved = at.step;
    t->tokens = at.tokens;
    t->validation_due = at.validation_due;
    return status;
}

static tola_status check_options(const learn_task *task, const learn_options *o, tola_error *err) {
    if (o->parts == 0 || task->parameters->count == 0 || !task->batch || (o->out && !task->write_model))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a run needs parameters, batches and a way to write the model");
    return ranks_check(err);
}

static tola_status begin(learn_trainer *t, tola_error *err) {
    const learn_task *task = t->task;
    const learn_options *o = t->o;
    TRY(check_options(task, o, err));
    if (o->out) TRY(ranks_agree(ranks_own() == 0 ? check_folder(o, err) : TOLA_OK, err));
    TRY(learn_predict(task, o, &t->result->predicted, err));
    TRY(pool_create(o->threads, &t->threads, err));
    tell(t, TOLA_LEARN_BEGIN, NULL, NULL);
    if (!task->parameters->state) TRY(learn_parameters_allocate(task->parameters, &o->optimizer, err));
    TRY(plan_create_training(task->graph, task->max_tokens, task->max_outputs, pool_threads(t->threads), o->precision,
                             &t->plan, err));
    t->row_ids = mem_alloc(task->max_tokens * sizeof *t->row_ids);
    if (!t->row_ids) return err_nomem(err, "training");
    if (o->out) TRY(begin_folder(t, err));
    t->result->resumed_from = t->step;
    t->tokens_at_start = t->tokens;
    return TOLA_OK;
}

/* ---- the run ---- */

static bool due(uint64_t every, uint64_t step) { return every != 0 && step % every == 0; }

static tola_status loop(learn_trainer *t, tola_error *err) {
    const learn_options *o = t->o;
    uint64_t first = t->step;
    if (t->task->begin) TRY(t->task->begin(t->task->user, t, t->step, err));
    if (t->validation_due) TRY(validate(t, err));
    TRY(ranks_any(&t->stop, err));
    while (t->step < o->steps && !t->stop) {
        uint64_t before = t->step;
        TRY(one_step(t, err));
        if (t->step == before) break;
        if (before == first) t->result->first_loss = t->loss;
        bool last = t->step == o->steps;
        if (due(o->log_every ? o->log_every : 1, t->step) || last) TRY(log_line(t, NULL, err));
        tell(t, TOLA_LEARN_STEP, NULL, NULL);
        if (t->last_event - t->energy_at > 10) {
            energy_sample(&t->energy);
            t->energy_at = t->last_event;
        }
        t->validation_due = due(o->validate_every, t->step) || last;
        if (t->validation_due) TRY(validate(t, err));
        TRY(ranks_any(&t->stop, err));
        if (due(o->save_every, t->step) && !last && !t->stop) TRY(save(t, err)); /* else after the line of the run */
    }
    return TOLA_OK;
}

static tola_status run(learn_trainer *t, tola_error *err) {
    TRY(begin(t, err));
    t->started = t->energy_at = clock_seconds();
    if (t->log >= 0) (void)energy_open(NULL, &t->energy);
    TRY(loop(t, err));
    learn_result *r = t->result;
    r->stopped = t->step < t->o->steps;
    r->steps = t->step;
    r->loss = t->loss;
    r->seconds = clock_seconds() - t->started;
    r->tokens_per_s = (double)(t->tokens - t->tokens_at_start) / (r->seconds > 1e-9 ? r->seconds : 1e-9);
    r->peak_bytes = process_bytes("VmHWM");
    if (!t->o->out) return TOLA_OK;
    TRY(log_run(t, r->seconds, err));
    TRY(save(t, err));
    if (ranks_own() != 0 || (r->stopped && !r->why[0])) return TOLA_OK;
    return t->task->write_model(t->task->user, t->o->out, err);
}

tola_status learn_run(const learn_task *task, const learn_options *options, learn_result *result, tola_error *err) {
    learn_trainer t = { .task = task,
                        .o = options,
                        .result = result,
                        .log = -1,
                        .validation_due = true,
                        .saved = UINT64_MAX,
                        .started = clock_seconds() };
    *result = (learn_result){ .steps = 0 };
    tola_status status = run(&t, err);
    if (t.log >= 0 && close(t.log) != 0 && status == TOLA_OK)
        status = err_errno(err, errno, "cannot close", "log.jsonl");
    plan_free(t.plan);
    pool_free(t.threads);
    mem_free(t.row_ids);
    return status;
}
