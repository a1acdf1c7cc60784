/* Multiple choice by likelihood.
 *
 * What all choices of a question begin with is read once; the others take it over (a sequence each, sharing its pages)
 * and the rest of all of them is read in one step. The engine promises that this changes no logit. */
#include "insight/choice.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/options.h"
#include "insight/eval_model.h"

#define SEQUENCES 16u /* choices read at once */

typedef struct prompt {
    uint32_t *ids;
    size_t count, score; /* ids [score, count) are the choice's */
} prompt;

typedef struct run {
    const tola_model *model;
    const tola_tokenizer *tokenizer;
    tola_session *session;
    pool *pool;
    const char *delimiter;
    uint32_t bos, vocabulary, rows_most, context;
    prompt prompts[CHOICE_MOST];
    tola_step_token *tokens;
    size_t tokens_cap;
    /* of the step's rows: what they predict, where their logarithm is added */
    const float **rows;
    uint32_t *targets;
    double *scores;
    uint64_t scored;
    eval_progress progress;
    arena kept; /* items' numbers */
    tola_choice_item *items;
    size_t items_cap;
    uint64_t done, total;
} run;

/* ---- prompts ---- */

static tola_status ids_of(const run *r, const char *text, size_t length, uint32_t **ids, size_t *count,
                          tola_error *err) {
    uint32_t *found;
    size_t n;
    TRY(tola_tokenize(r->tokenizer, text, length, 0, &found, &n, err));
    uint32_t *more = mem_realloc_array(found, n + 1, sizeof *found);
    if (!more) {
        tola_free(found);
        return err_nomem(err, "reading a question");
    }
    const size_t before = r->bos != TOLA_NO_TOKEN;
    memmove(more + before, more, n * sizeof *more);
    if (before) more[0] = r->bos;
    *ids = more;
    *count = n + before;
    return TOLA_OK;
}

static tola_status make_prompt(run *r, const choice_question *q, uint32_t index, prompt *out, tola_error *err) {
    buf text;
    buf_init(&text, 0);
    size_t question = choice_text(q, index, r->delimiter, &text), before = 0;
    uint32_t *ids = NULL;
    tola_status status = text.failed ? err_nomem(err, "reading a question") : TOLA_OK;
    if (status == TOLA_OK) status = ids_of(r, (const char *)text.data, question, &ids, &before, err);
    tola_free(ids);
    if (status == TOLA_OK) status = ids_of(r, (const char *)text.data, text.length, &out->ids, &out->count, err);
    buf_free(&text);
    TRY(status);
    /* an empty question leaves nothing to predict the first token from: what ends a text stands before it */
    if (before == 0) {
        uint32_t end = tola_tokenizer_special(r->tokenizer, TOLA_SPECIAL_EOS);
        if (end == TOLA_NO_TOKEN)
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                           "there is no token to put before an empty question");
        memmove(out->ids + 1, out->ids, out->count * sizeof *out->ids); /* ids_of left room */
        out->ids[0] = end;
        out->count++;
        before = 1;
    }
    out->score = before;
    if (out->count <= before)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "choice %u adds no token to its question", index);
    if (out->count > r->context)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "question and choice %u have %zu tokens, the context %u",
                       index, out->count, r->context);
    return TOLA_OK;
}

static void drop_prompts(run *r) {
    for (size_t i = 0; i < CHOICE_MOST; i++) {
        tola_free(r->prompts[i].ids);
        r->prompts[i] = (prompt){ NULL, 0, 0 };
    }
}

/* Tokens that all prompts begin with and whose rows score nothing. */
static size_t common_beginning(const prompt *p, uint32_t count) {
    size_t n = p[0].score - 1;
    for (uint32_t i = 1; i < count; i++) {
        size_t same = 0, most = p[i].score - 1 < n ? p[i].score - 1 : n;
        while (same < most && p[i].ids[same] == p[0].ids[same]) same++;
        n = same;
    }
    return n;
}

/* ---- reading and scoring ---- */

static tola_status score_row(void *context, size_t row, unsigned worker, tola_error *err) {
    run *r = context;
    (void)worker, (void)err;
    eval_row e = eval_row_of(r->rows[row], r->vocabulary, NULL);
    r->scores[row] = eval_row_log(&e, r->rows[row], r->targets[row]);
    return TOLA_OK;
}

/* Reads tokens that are gathered, adds their rows' scores to sums (row i to sums[owner[i]]). */
typedef struct gathered {
    size_t tokens, rows;
    uint32_t *owner;
    double *sums;
} gathered;

static tola_status flush(run *r, gathered *g, tola_error *err) {
    if (g->tokens == 0) return TOLA_OK;
    TRY(tola_session_step(r->session, r->tokens, g->tokens, eval_between_steps, &r->progress, err));
    for (size_t i = 0; i < g->rows; i++) r->rows[i] = tola_session_output(r->session, i);
    TRY(pool_run(r->pool, g->rows, score_row, r, err));
    for (size_t i = 0; i < g->rows; i++) g->sums[g->owner[i]] += r->scores[i];
    r->scored += g->rows;
    g->tokens = g->rows = 0;
    return TOLA_OK;
}

static tola_status read_rest(run *r, const prompt *p, size_t from, uint32_t choice, uint32_t sequence, gathered *g,
                             tola_error *err) {
    for (size_t i = from; i + 1 < p->count; i++) { /* the last token predicts nothing that is wanted */
        const bool row = i + 1 >= p->score;
        if (g->rows == r->rows_most && row) TRY(flush(r, g, err));
        if (!mem_grow(&r->tokens, &r->tokens_cap, g->tokens + 1, sizeof *r->tokens))
            return err_nomem(err, "reading a question");
        r->tokens[g->tokens++] = (tola_step_token){ p->ids[i], sequence, row };
        if (!row) continue;
        r->targets[g->rows] = p->ids[i + 1];
        g->owner[g->rows++] = choice;
    }
    return TOLA_OK;
}

/* Up to SEQUENCES choices, from `first` on. */
static tola_status read_choices(run *r, const choice_question *q, uint32_t first, uint32_t count, gathered *g,
                                tola_error *err) {
    const size_t common = common_beginning(r->prompts, q->count);
    for (uint32_t i = 0; i < count; i++) TRY(tola_session_truncate(r->session, i, 0, err));
    for (size_t i = 0; i < common; i++) {
        if (!mem_grow(&r->tokens, &r->tokens_cap, i + 1, sizeof *r->tokens))
            return err_nomem(err, "reading a question");
        r->tokens[i] = (tola_step_token){ r->prompts[0].ids[i], 0, false };
    }
    if (common) {
        TRY(tola_session_step(r->session, r->tokens, common, eval_between_steps, &r->progress, err));
        for (uint32_t i = 1; i < count; i++) TRY(tola_session_copy(r->session, 0, i, common, err));
    }
    for (uint32_t i = 0; i < count; i++) TRY(read_rest(r, &r->prompts[first + i], common, first + i, i, g, err));
    return flush(r, g, err);
}

static tola_status answer(run *r, const choice_question *q, uint64_t line, tola_error *err) {
    double *sums = arena_alloc_array(&r->kept, q->count, sizeof *sums);
    uint32_t *owner = mem_calloc(r->rows_most, sizeof *owner);
    gathered g = { 0, 0, owner, sums };
    tola_status status = sums && owner ? TOLA_OK : err_nomem(err, "reading a question");
    for (uint32_t i = 0; sums && i < q->count; i++) sums[i] = 0;
    for (uint32_t i = 0; status == TOLA_OK && i < q->count; i++) status = make_prompt(r, q, i, &r->prompts[i], err);
    for (uint32_t i = 0; status == TOLA_OK && i < q->count; i += SEQUENCES)
        status = read_choices(r, q, i, q->count - i < SEQUENCES ? q->count - i : SEQUENCES, &g, err);
    mem_free(owner);
    drop_prompts(r);
    TRY(status);
    if (!mem_grow(&r->items, &r->items_cap, (size_t)r->done + 1, sizeof *r->items))
        return err_nomem(err, "reading a question");
    tola_choice_item *item = &r->items[r->done++];
    *item = (tola_choice_item){ .line = line, .log_likelihood = sums };
    choice_pick(q, sums, item);
    return TOLA_OK;
}

/* ---- lines ---- */

static tola_status in_line(tola_error *err, tola_status status, uint64_t line) {
    if (!err || status == TOLA_E_CANCELLED || status == TOLA_E_NOMEM) return status;
    tola_error detail = *err;
    return err_set(err, status, TOLA_NO_OFFSET, "line %llu: %s", (unsigned long long)line, detail.message);
}

/* Every line, or the first `limit`: each is parsed, and answered where there is a session. */
static tola_status go_through(run *r, const char *lines, size_t length, uint64_t limit, uint64_t *count,
                              tola_error *err) {
    size_t at = 0, bytes;
    uint64_t number = 0, n = 0;
    const char *line;
    while ((limit == 0 || n < limit) && choice_next_line(lines, length, &at, &number, &line, &bytes)) {
        arena a;
        choice_question q;
        arena_init(&a, 0);
        tola_error detail = TOLA_ERROR_INIT;
        tola_status status = choice_parse(line, bytes, &a, &q, &detail);
        if (status == TOLA_OK && r) {
            if (eval_advance(&r->progress, at - bytes))
                status = answer(r, &q, number, &detail);
            else
                status = err_set(&detail, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "cancelled");
        }
        arena_free(&a);
        if (status != TOLA_OK) {
            in_line(&detail, status, number);
            if (err) *err = detail;
            return status;
        }
        n++;
    }
    *count = n;
    return TOLA_OK;
}

static tola_status prepare(run *r, const tola_choice_options *o, size_t length, tola_error *err) {
    TRY(eval_model_check(r->model, err));
    r->tokenizer = tola_model_tokenizer(r->model);
    r->vocabulary = tola_model_about(r->model)->vocabulary;
    TRY(eval_bos(r->tokenizer, &r->bos, err));
    r->delimiter = o->delimiter ? o->delimiter : " ";
    r->rows_most = eval_rows_at_once(r->model, 256);
    eval_session_options s = { .context = o->context,
                               .sequences = SEQUENCES,
                               .outputs = r->rows_most,
                               .key_type = o->key_type,
                               .value_type = o->value_type,
                               .threads = o->threads };
    TRY(eval_session(r->model, &s, &r->session, err));
    r->context = tola_session_context(r->session);
    TRY(pool_create(o->threads, &r->pool, err));
    r->rows = mem_calloc(r->rows_most, sizeof *r->rows);
    r->targets = mem_calloc(r->rows_most, sizeof *r->targets);
    r->scores = mem_calloc(r->rows_most, sizeof *r->scores);
    r->progress = (eval_progress){ o->progress, o->progress_user, { "evaluating", 0, length }, false };
    return r->rows && r->targets && r->scores ? TOLA_OK : err_nomem(err, "evaluating");
}

static void clear(run *r) {
    tola_session_free(r->session);
    pool_free(r->pool);
    mem_free(r->tokens);
    mem_free(r->rows);
    mem_free(r->targets);
    mem_free(r->scores);
}

/* ---- the result ---- */

typedef struct choice_owner {
    arena kept;
    tola_choice_item *items;
} choice_owner;

static tola_status conclude(run *r, double seconds, tola_choice_result *out, tola_error *err) {
    choice_owner *owner = mem_calloc(1, sizeof *owner);
    if (!owner) return err_nomem(err, "evaluating");
    tola_choice_result x = { .size = sizeof x,
                             .questions = r->done,
                             .questions_total = r->total,
                             .complete = r->done == r->total,
                             .items = r->items,
                             .tokens = r->scored,
                             .seconds = seconds,
                             .owner = owner };
    uint64_t right[3] = { 0 };
    for (uint64_t i = 0; i < r->done; i++) {
        const tola_choice_item *item = &r->items[i];
        right[0] += item->by_sum == item->answer;
        right[1] += item->by_characters == item->answer;
        right[2] += item->by_bytes == item->answer;
    }
    x.accuracy = eval_share(right[0], r->done);
    x.accuracy_characters = eval_share(right[1], r->done);
    x.accuracy_bytes = eval_share(right[2], r->done);
    *owner = (choice_owner){ r->kept, r->items };
    *out = x;
    return TOLA_OK;
}

tola_status tola_choice(const tola_model *model, const char *name, const char *lines, size_t length,
                        const tola_choice_options *options, tola_choice_result *out, tola_error *err) {
    tola_choice_options o = TOLA_CHOICE_OPTIONS_INIT;
    tola_error detail = TOLA_ERROR_INIT;
    uint64_t total = 0;
    TRY(options_take(&o, sizeof o, options, err));
    run *r = mem_calloc(1, sizeof *r);
    if (!r) return err_nomem(err, "evaluating");
    r->model = model;
    arena_init(&r->kept, 0);
    tola_status status = go_through(NULL, lines, length, o.limit, &total, &detail); /* faults before any work */
    bool of_lines = status != TOLA_OK;
    if (status == TOLA_OK && total == 0) {
        of_lines = true;
        status = err_set(&detail, TOLA_E_FORMAT, TOLA_NO_OFFSET, "there is no question");
    }
    r->total = total;
    if (status == TOLA_OK) status = prepare(r, &o, length, &detail);
    if (status == TOLA_OK) {
        double start = clock_seconds();
        status = go_through(r, lines, length, o.limit, &total, &detail);
        of_lines = status != TOLA_OK && status != TOLA_E_CANCELLED && status != TOLA_E_NOMEM;
        if (status == TOLA_E_CANCELLED && r->done > 0) status = TOLA_OK;
        if (status == TOLA_OK) status = conclude(r, clock_seconds() - start, out, &detail);
    }
    if (status != TOLA_OK) {
        if (of_lines) err_in_file(&detail, status, name);
        if (err) *err = detail;
        arena_free(&r->kept);
        mem_free(r->items);
    }
    clear(r);
    mem_free(r);
    return status;
}

void tola_choice_dispose(tola_choice_result *result) {
    choice_owner *owner = result->owner;
    if (!owner) return;
    arena_free(&owner->kept);
    mem_free(owner->items);
    mem_free(owner);
    *result = (tola_choice_result){ .size = sizeof *result };
}
