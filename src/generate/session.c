/* A session: sequences of tokens with their keys and values, read in batches.
 *
 * A step is cut into batches of at most `batch` tokens; that never changes a result (graph/graph.h says why). A step
 * that fails leaves every sequence as it was. */
#include "generate/session.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/options.h"

#define DEFAULT_CONTEXT 4096
#define DEFAULT_BATCH 512
#define DEFAULT_OUTPUTS 32
#define ASK_AFTER 0.2     /* seconds */
#define MAX_BATCH 65536   /* scratch memory of a large model reaches gigabytes long before */
#define MAX_SEQUENCES 4096
#define MAX_CONTEXT (1u << 28) /* positions are 32-bit numbers, and none has been trained for near that many */

/* ---- life ---- */

static tola_status check_options(const tola_session_options *o, tola_error *err) {
    if (o->context > MAX_CONTEXT)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a context of %" PRIu32 " tokens, at most %u", o->context,
                       MAX_CONTEXT);
    if (o->sequences > MAX_SEQUENCES)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%" PRIu32 " sequences, at most %d", o->sequences,
                       MAX_SEQUENCES);
    if (o->batch > MAX_BATCH || o->outputs > MAX_BATCH)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a batch of %" PRIu32 " tokens and %" PRIu32
                       " outputs, at most %d", o->batch, o->outputs, MAX_BATCH);
    return TOLA_OK;
}

static uint32_t first_set(uint32_t a, uint32_t b) { return a ? a : b; }

static void fill_defaults(tola_session_options *o, const tola_model_info *info) {
    o->context = first_set(o->context, info->context < MAX_CONTEXT ? info->context : MAX_CONTEXT);
    o->context = first_set(o->context, DEFAULT_CONTEXT);
    o->sequences = first_set(o->sequences, 1);
    /* An encoder reads a text at once. */
    uint32_t whole = o->context < MAX_BATCH ? o->context : MAX_BATCH;
    o->batch = first_set(o->batch, info->encoder ? whole : DEFAULT_BATCH);
    o->outputs = first_set(o->outputs, o->sequences > DEFAULT_OUTPUTS ? o->sequences : DEFAULT_OUTPUTS);
    if (o->positions == 0) o->positions = (uint64_t)o->context * o->sequences;
    if (o->key_type == TOLA_DTYPE_NONE) o->key_type = TOLA_DTYPE_F16;
    if (o->value_type == TOLA_DTYPE_NONE) o->value_type = TOLA_DTYPE_F16;
}

static tola_status take_memory(tola_session *s, tola_error *err) {
    s->ids = mem_calloc(s->batch, sizeof *s->ids);
    s->positions = mem_calloc(s->batch, sizeof *s->positions);
    s->rows = mem_calloc(s->batch, sizeof *s->rows);
    s->of = mem_calloc(s->batch, sizeof(kv_sequence *));
    s->outputs = mem_calloc(s->max_outputs, s->columns * sizeof *s->outputs);
    s->sequences = mem_calloc(s->sequence_count, sizeof *s->sequences);
    if (!s->ids || !s->positions || !s->rows || !s->of || !s->outputs || !s->sequences)
        return err_nomem(err, "making a session");
    return TOLA_OK;
}

static tola_status fill(tola_session *s, const tola_session_options *o, tola_error *err) {
    const tola_model_info *info = &s->model->info;
    s->context = o->context;
    s->batch = o->batch;
    s->max_outputs = o->outputs;
    s->sequence_count = o->sequences;
    s->columns = info->hidden ? info->width : info->vocabulary;
    TRY(take_memory(s, err));
    TRY(pool_create(o->threads, &s->threads, err));
    size_t rows = s->max_outputs < s->batch ? s->max_outputs : s->batch;
    TRY(plan_create(s->model->graph, s->batch, rows, pool_threads(s->threads), &s->plan, err));
    kv_options kv = { .key = o->key_type, .value = o->value_type, .positions = o->positions };
    TRY(kv_create(s->model->graph, &kv, &s->kv, err));
    for (uint32_t i = 0; i < s->sequence_count; i++) TRY(kv_sequence_create(s->kv, &s->sequences[i].kv, err));
    return TOLA_OK;
}

tola_status tola_session_create(const tola_model *model, const tola_session_options *options, tola_session **out,
                                tola_error *err) {
    tola_session_options o = TOLA_SESSION_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    TRY(check_options(&o, err));
    fill_defaults(&o, &model->info);
    tola_session *s = mem_calloc(1, sizeof *s);
    if (!s) return err_nomem(err, "making a session");
    s->model = model;
    tola_status status = fill(s, &o, err);
    if (status != TOLA_OK) {
        tola_session_free(s);
        return status;
    }
    *out = s;
    return TOLA_OK;
}

void tola_session_free(tola_session *s) {
    if (!s) return;
    for (uint32_t i = 0; s->sequences && i < s->sequence_count; i++) {
        kv_sequence_free(s->sequences[i].kv);
        mem_free(s->sequences[i].ids);
    }
    kv_free(s->kv);
    plan_free(s->plan);
    pool_free(s->threads);
    mem_free(s->sequences);
    mem_free(s->ids);
    mem_free(s->positions);
    mem_free(s->rows);
    mem_free(s->of);
    mem_free(s->outputs);
    mem_free(s->tokens);
    constraint_free(s->constraint);
    mem_free(s);
}

const tola_model *tola_session_model(const tola_session *s) { return s->model; }

uint32_t tola_session_context(const tola_session *s) { return s->context; }

static uint64_t scratch_bytes(const tola_session *s) {
    return plan_bytes(s->plan) + (uint64_t)s->max_outputs * s->columns * sizeof *s->outputs;
}

uint64_t tola_session_bytes(const tola_session *s) { return scratch_bytes(s) + kv_bytes(s->kv); }

uint64_t tola_session_bytes_limit(const tola_session *s) { return scratch_bytes(s) + kv_bytes_limit(s->kv); }

/* ---- sequences ---- */

session_sequence *session_at(const tola_session *s, uint32_t sequence, tola_error *err) {
    if (sequence < s->sequence_count) return &s->sequences[sequence];
    err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "sequence %" PRIu32 " of a session that has %" PRIu32, sequence,
            s->sequence_count);
    return NULL;
}

tola_status session_grow(session_sequence *q, size_t count, tola_error *err) {
    return mem_grow(&q->ids, &q->cap, count, sizeof *q->ids) ? TOLA_OK : err_nomem(err, "keeping a sequence");
}

size_t tola_session_length(const tola_session *s, uint32_t sequence) {
    return sequence < s->sequence_count ? s->sequences[sequence].count : 0;
}

const uint32_t *tola_session_ids(const tola_session *s, uint32_t sequence) {
    return sequence < s->sequence_count ? s->sequences[sequence].ids : NULL;
}

tola_status tola_session_truncate(tola_session *s, uint32_t sequence, size_t length, tola_error *err) {
    session_sequence *q = session_at(s, sequence, err);
    if (!q) return TOLA_E_ARG;
    if (length >= q->count) return TOLA_OK;
    if (!kv_truncate(q->kv, length))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "the window of the model has moved on: of %zu tokens the first %zu cannot be gone back to",
                       q->count, length);
    q->count = length;
    return TOLA_OK;
}

tola_status tola_session_copy(tola_session *s, uint32_t from, uint32_t to, size_t length, tola_error *err) {
    session_sequence *a = session_at(s, from, err), *b = session_at(s, to, err);
    kv_sequence *fork;
    if (!a || !b) return TOLA_E_ARG;
    if (length > a->count)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%zu tokens of a sequence that has %zu", length, a->count);
    if (a == b) return tola_session_truncate(s, from, length, err);
    TRY(session_grow(b, length, err));
    TRY(kv_sequence_fork(a->kv, length, &fork, err));
    kv_sequence_free(b->kv);
    b->kv = fork;
    if (length) memcpy(b->ids, a->ids, length * sizeof *b->ids);
    b->count = length;
    return TOLA_OK;
}

/* ---- steps ---- */

typedef struct step {
    tola_session *s;
    const tola_step_token *tokens;
    size_t count;
} step;

/* The tokens from `at` on that are of one sequence. */
static size_t run_length(const step *p, size_t at) {
    size_t n = 1;
    while (at + n < p->count && p->tokens[at + n].sequence == p->tokens[at].sequence) n++;
    return n;
}

static tola_status check_tokens(const step *p, tola_error *err) {
    const tola_session *s = p->s;
    size_t outputs = 0;
    for (size_t i = 0; i < p->count; i++) {
        const tola_step_token *t = &p->tokens[i];
        if (!session_at(s, t->sequence, err)) return TOLA_E_ARG;
        if (t->id >= s->model->info.vocabulary)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "token %" PRIu32 " of a vocabulary of %" PRIu32, t->id,
                           s->model->info.vocabulary);
        outputs += t->output;
    }
    if (outputs > s->max_outputs)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%zu rows asked for, the session has room for %" PRIu32,
                       outputs, s->max_outputs);
    return TOLA_OK;
}

static tola_status check_run(const step *p, size_t at, size_t n, tola_error *err) {
    tola_session *s = p->s;
    session_sequence *q = &s->sequences[p->tokens[at].sequence];
    if (q->stamp == s->stamp)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the tokens of sequence %" PRIu32 " do not follow one another",
                       p->tokens[at].sequence);
    if (n > s->context - q->count)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "the context of %" PRIu32 " tokens is full: it holds %zu and %zu more were to be read",
                       s->context, q->count, n);
    if (s->model->info.encoder && (q->count || n > s->batch))
        return err_set(err, q->count ? TOLA_E_ARG : TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "a model that sees both ways reads a text at once: %zu tokens after %zu, at most %" PRIu32, n,
                       q->count, s->batch);
    q->stamp = s->stamp;
    q->before = q->count;
    return session_grow(q, q->count + n, err);
}

static tola_status check_runs(const step *p, tola_error *err) {
    p->s->stamp++;
    for (size_t at = 0, n; at < p->count; at += n) {
        n = run_length(p, at);
        TRY(check_run(p, at, n, err));
    }
    return TOLA_OK;
}

/* How many tokens from `at` on make the next batch; of an encoder whole texts. */
static size_t batch_length(const step *p, size_t at) {
    size_t left = p->count - at, room = p->s->batch;
    if (left <= room) return left;
    if (!p->s->model->info.encoder) return room;
    size_t n = 0;
    for (size_t run; n < left && n + (run = run_length(p, at + n)) <= room;) n += run;
    return n;
}

/* Who wants to be asked while a step is read. */
typedef struct asker {
    tola_step_fn progress;
    void *user;
    size_t at, n, total; /* the batch is tokens [at, at + n) of so many */
    double asked;        /* when */
} asker;

static bool may_go_on(void *user, double share) {
    asker *a = user;
    const double now = clock_seconds();
    if (now - a->asked < ASK_AFTER) return true;
    a->asked = now;
    return a->progress(a->user, a->at + (size_t)(share * (double)a->n), a->total);
}

static tola_status fill_batch(const step *p, size_t at, size_t n, graph_batch *b, tola_error *err) {
    tola_session *s = p->s;
    *b = (graph_batch){ .tokens = n, .ids = s->ids, .positions = s->positions, .sequences = s->of, .outputs = s->rows };
    for (size_t i = 0; i < n; i++) {
        const tola_step_token *t = &p->tokens[at + i];
        session_sequence *q = &s->sequences[t->sequence];
        s->ids[i] = t->id;
        s->positions[i] = (uint32_t)q->count;
        s->of[i] = q->kv;
        q->ids[q->count++] = t->id;
        if (t->output) s->rows[b->output_count++] = (uint32_t)i;
    }
    for (size_t i = 0; i < n;) {
        kv_sequence *kv = s->of[i];
        size_t first = i;
        while (i < n && s->of[i] == kv) i++;
        TRY(kv_reserve(kv, i - first, err));
    }
    return TOLA_OK;
}

/* Copies a row; false where a number in it is not finite. */
static bool copy_row(float *dst, const float *src, size_t count) {
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &src[i], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
        dst[i] = src[i];
    }
    return !bad;
}

static tola_status keep_outputs(const step *p, size_t at, const graph_batch *b, tola_error *err) {
    tola_session *s = p->s;
    size_t rows, columns;
    const float *out = plan_output(s->plan, 0, &rows, &columns);
    for (size_t i = 0; i < b->output_count; i++) {
        size_t row = s->model->info.hidden ? b->outputs[i] : i; /* hidden states are there for all tokens */
        float *dst = s->outputs + s->output_count++ * s->columns;
        if (!copy_row(dst, out + row * columns, s->columns))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                           "the model's output is not a number after token %" PRIu32 " at position %" PRIu32,
                           p->tokens[at + b->outputs[i]].id, s->positions[b->outputs[i]]);
    }
    return TOLA_OK;
}

static tola_status run_batches(const step *p, tola_step_fn progress, void *user, tola_error *err) {
    tola_session *s = p->s;
    asker a = { progress, user, .total = p->count, .asked = clock_seconds() };
    for (size_t n; a.at < p->count; a.at += n) {
        graph_batch b;
        n = a.n = batch_length(p, a.at);
        TRY(fill_batch(p, a.at, n, &b, err));
        if (progress) b.go_on = may_go_on, b.go_on_user = &a;
        TRY(plan_run(s->plan, s->threads, &b, err));
        TRY(keep_outputs(p, a.at, &b, err));
        a.asked = clock_seconds();
        if (progress && !progress(user, a.at + n, p->count) && a.at + n < p->count)
            return err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "stopped after %zu of %zu tokens", a.at + n,
                           p->count);
    }
    return TOLA_OK;
}

static void roll_back(const step *p) {
    for (size_t at = 0; at < p->count; at += run_length(p, at)) {
        session_sequence *q = &p->s->sequences[p->tokens[at].sequence];
        q->count = q->before;
        if (kv_truncate(q->kv, q->count)) continue;
        kv_truncate(q->kv, 0);
        q->count = 0;
    }
    p->s->output_count = 0;
}

tola_status tola_session_step(tola_session *s, const tola_step_token *tokens, size_t count, tola_step_fn progress,
                              void *user, tola_error *err) {
    step p = { s, tokens, count };
    s->output_count = 0;
    TRY(check_tokens(&p, err));
    TRY(check_runs(&p, err));
    tola_status status = run_batches(&p, progress, user, err);
    if (status != TOLA_OK) roll_back(&p);
    return status;
}

const float *tola_session_output(const tola_session *s, size_t index) {
    return index < s->output_count ? s->outputs + index * s->columns : NULL;
}

/* ---- going on from whatever is held ---- */

size_t session_keep(session_sequence *q, const uint32_t *ids, size_t count) {
    size_t same = 0;
    while (same < q->count && same < count && q->ids[same] == ids[same]) same++;
    if (same == q->count) return same;
    if (!kv_truncate(q->kv, same)) {
        kv_truncate(q->kv, 0);
        same = 0;
    }
    q->count = same;
    return same;
}

tola_status session_advance(tola_session *s, uint32_t sequence, const uint32_t *ids, size_t count, size_t first_output,
                            tola_step_fn progress, void *user, size_t *kept, tola_error *err) {
    session_sequence *q = session_at(s, sequence, err);
    if (!q) return TOLA_E_ARG;
    if (!mem_grow(&s->tokens, &s->token_cap, count, sizeof *s->tokens)) return err_nomem(err, "reading tokens");
    *kept = session_keep(q, ids, first_output);
    for (size_t i = *kept; i < count; i++)
        s->tokens[i - *kept] = (tola_step_token){ ids[i], sequence, i >= first_output };
    return tola_session_step(s, s->tokens, count - *kept, progress, user, err);
}
