/* From a prompt to text: read it, choose a token, read that, and so on.
 *
 * Guessed tokens are read together with the chosen one; as long as the token that is chosen from the row before a guess
 * is the guess, its own row is there already. A token's logits do not depend on what was read with it and a draw
 * depends on seed, position and logits alone, so guesses cannot change the text. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/options.h"
#include "generate/draft.h"
#include "generate/flow.h"
#include "generate/sample.h"
#include "generate/session.h"

#define DEFAULT_DRAFT 8

const char *tola_ending_name(tola_ending ending) {
    switch (ending) {
    case TOLA_ENDING_MODEL: return "end";
    case TOLA_ENDING_LIMIT: return "limit";
    case TOLA_ENDING_STOP: return "stop";
    case TOLA_ENDING_CONTEXT: return "context";
    case TOLA_ENDING_CANCELLED: return "cancelled";
    }
    return "unknown";
}

typedef struct generation {
    tola_session *s;
    uint32_t sequence;
    const tola_generate_options *o;
    tola_sampling sampling;
    tola_logit_bias *bias; /* the caller's and forbidden end tokens */
    const uint32_t *ends;
    size_t end_count;
    sampler *sampler;
    constraint *constraint; /* the session's; NULL: any text */
    drafter drafter;
    text_flow flow;
    /* prompt, chosen tokens, and behind them the guesses that were read with the last of these */
    uint32_t *ids;
    size_t count, cap, prompt;
    size_t guessed, row; /* guesses; rows of the last step that were used up */
    tola_generated out;
} generation;

/* ---- setting up ---- */

/* End tokens are forbidden by a bias of minus infinity. */
static tola_status forbid_ends(generation *g, tola_error *err) {
    size_t n = g->sampling.bias_count;
    g->bias = mem_calloc(n + g->end_count + 1, sizeof *g->bias);
    if (!g->bias) return err_nomem(err, "generating");
    if (n) memcpy(g->bias, g->sampling.bias, n * sizeof *g->bias);
    for (size_t i = 0; i < g->end_count; i++)
        if (g->ends[i] < g->s->model->info.vocabulary) g->bias[n++] = (tola_logit_bias){ g->ends[i], -INFINITY };
    g->sampling.bias = g->bias;
    g->sampling.bias_count = n;
    return TOLA_OK;
}

static tola_status set_up(generation *g, const uint32_t *prompt, size_t count, tola_error *err) {
    const tola_model *m = g->s->model;
    const tola_tokenizer *t = m->tokenizer;
    g->sampling = (tola_sampling)TOLA_SAMPLING_INIT;
    TRY(options_take(&g->sampling, sizeof g->sampling, g->o->sampling, err));
    if (t) g->end_count = tola_tokenizer_ends(t, &g->ends);
    if (g->o->ignore_end) TRY(forbid_ends(g, err));
    TRY(sampler_create(&g->sampling, m->info.vocabulary, &g->sampler, err));
    if (g->o->grammar || g->o->json_schema) {
        TRY(constraint_begin(&g->s->constraint, m, g->o->grammar, g->o->json_schema, g->o->rules_file,
                             err));
        g->constraint = g->s->constraint;
    }
    TRY(draft_open(&g->drafter, m, g->o, &g->sampling, err));
    TRY(flow_open(&g->flow, t, g->o->keep_special, g->constraint != NULL, g->o->stop, prompt, count, err));
    if (!mem_grow(&g->ids, &g->cap, count + 1, sizeof *g->ids)) return err_nomem(err, "generating");
    memcpy(g->ids, prompt, count * sizeof *g->ids);
    g->count = g->prompt = count;
    return TOLA_OK;
}

static tola_status check(const tola_session *s, uint32_t sequence, size_t count, const tola_generate_options *o,
                         tola_error *err) {
    if (!session_at(s, sequence, err)) return TOLA_E_ARG;
    if (s->model->info.hidden)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the model gives hidden states, no logits to choose from");
    if (count == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "an empty prompt: the model needs a token to follow");
    if (count > s->context)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "the prompt of %zu tokens does not fit into the context of %" PRIu32, count, s->context);
    if (o->grammar && o->json_schema)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a grammar and a schema at once");
    if (o->draft == s) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a session cannot be its own draft");
    return TOLA_OK;
}

static void tear_down(generation *g) {
    flow_close(&g->flow);
    draft_close(&g->drafter);
    sampler_free(g->sampler);
    mem_free(g->bias);
    mem_free(g->ids);
}

/* ---- choosing ---- */

static bool is_end(const generation *g, uint32_t id) {
    for (size_t i = 0; i < g->end_count; i++)
        if (g->ends[i] == id) return true;
    return false;
}

static tola_status choose(generation *g, uint32_t *id, tola_error *err) {
    const uint32_t *mask = NULL;
    if (g->constraint) TRY(constraint_mask(g->constraint, &mask, err));
    sample_input in = { tola_session_output(g->s, g->row), g->ids, g->count, mask, g->count };
    return sampler_draw(g->sampler, &in, id, err);
}

static bool show(generation *g, uint32_t id, const char *text, size_t length) {
    if (!g->o->token || (id == TOLA_NO_TOKEN && length == 0)) return true;
    return g->o->token(g->o->token_user, id, text, length);
}

/* Adds a chosen token to the text; *go_on is false where the generation ends with it. */
static tola_status take(generation *g, uint32_t id, bool *go_on, tola_error *err) {
    const char *text;
    size_t length;
    if (!mem_grow(&g->ids, &g->cap, g->count + 1, sizeof *g->ids)) return err_nomem(err, "generating");
    g->ids[g->count++] = id;
    if (g->constraint) TRY(constraint_accept(g->constraint, id, err));
    TRY(flow_push(&g->flow, id, &text, &length, err));
    *go_on = false;
    if (!show(g, id, text, length))
        g->out.ending = TOLA_ENDING_CANCELLED;
    else if (g->flow.stopped_by != SIZE_MAX)
        g->out.ending = TOLA_ENDING_STOP;
    else if (g->o->max_tokens && g->count - g->prompt >= g->o->max_tokens)
        g->out.ending = TOLA_ENDING_LIMIT;
    else
        *go_on = true;
    return TOLA_OK;
}

/* ---- reading ---- */

static size_t most_guesses(const generation *g) {
    size_t most = g->o->draft_tokens ? g->o->draft_tokens : DEFAULT_DRAFT;
    size_t room = g->s->context - g->count, left = SIZE_MAX; /* the chosen token has its place */
    if (g->o->max_tokens) left = (size_t)(g->o->max_tokens - (g->count - g->prompt)) - 1;
    if (most > room) most = room;
    if (most > left) most = left;
    if (most > g->s->max_outputs - 1) most = g->s->max_outputs - 1;
    return most;
}

static tola_status guess(generation *g, tola_error *err) {
    size_t most = g->o->lookup || g->o->draft ? most_guesses(g) : 0;
    g->guessed = 0;
    if (most == 0) return TOLA_OK;
    if (!mem_grow(&g->ids, &g->cap, g->count + most, sizeof *g->ids)) return err_nomem(err, "generating");
    TRY(draft_guess(&g->drafter, g->ids, g->count, most, g->ids + g->count, &g->guessed, err));
    g->out.drafted += g->guessed;
    return TOLA_OK;
}

/* Makes row g->row the one of the token chosen last. */
static tola_status read_on(generation *g, uint32_t expected, tola_error *err) {
    size_t kept;
    if (g->row < g->guessed && expected == g->ids[g->count - 1]) {
        g->row++;
        g->out.accepted++;
        return TOLA_OK;
    }
    TRY(guess(g, err));
    g->row = 0;
    return session_advance(g->s, g->sequence, g->ids, g->count + g->guessed, g->count - 1, NULL, NULL, &kept, err);
}

static tola_status read_prompt(generation *g, tola_error *err) {
    size_t kept;
    TRY(session_advance(g->s, g->sequence, g->ids, g->count, g->count - 1, g->o->progress, g->o->progress_user, &kept,
                        err));
    g->out.prompt_tokens = g->count;
    g->out.reused = kept;
    return TOLA_OK;
}

/* ---- all of it ---- */

static tola_status loop(generation *g, tola_error *err) {
    for (;;) {
        uint32_t id, expected = g->row < g->guessed ? g->ids[g->count] : TOLA_NO_TOKEN;
        bool go_on;
        if (g->constraint && constraint_complete(g->constraint)) return TOLA_OK; /* nothing can follow */
        TRY(choose(g, &id, err));
        if (is_end(g, id)) {
            g->out.end_id = id;
            return TOLA_OK;
        }
        TRY(take(g, id, &go_on, err));
        if (!go_on) return TOLA_OK;
        if (g->count > g->s->context) {
            g->out.ending = TOLA_ENDING_CONTEXT;
            return TOLA_OK;
        }
        TRY(read_on(g, expected, err));
    }
}

static tola_status hand_over(generation *g, tola_error *err) {
    const char *text;
    size_t length;
    TRY(flow_finish(&g->flow, &text, &length, err));
    if (g->flow.stopped_by != SIZE_MAX && g->out.ending != TOLA_ENDING_CANCELLED) g->out.ending = TOLA_ENDING_STOP;
    if (g->out.ending != TOLA_ENDING_CANCELLED && !show(g, TOLA_NO_TOKEN, text, length))
        g->out.ending = TOLA_ENDING_CANCELLED;
    g->out.count = g->count - g->prompt;
    g->out.ids = mem_alloc((g->out.count + 1) * sizeof *g->out.ids);
    g->out.length = g->flow.text.length;
    g->out.text = mem_alloc(g->out.length + 1);
    if (!g->out.ids || !g->out.text) return err_nomem(err, "generating");
    memcpy(g->out.ids, g->ids + g->prompt, g->out.count * sizeof *g->out.ids);
    if (g->out.length) memcpy(g->out.text, g->flow.text.data, g->out.length);
    g->out.text[g->out.length] = 0;
    g->out.stopped_by = g->flow.stopped_by;
    return TOLA_OK;
}

static tola_status run(generation *g, const uint32_t *prompt, size_t count, tola_error *err) {
    TRY(set_up(g, prompt, count, err));
    double started = clock_seconds();
    TRY(read_prompt(g, err));
    double read = clock_seconds();
    tola_status status = loop(g, err);
    session_keep(&g->s->sequences[g->sequence], g->ids, g->count); /* wrong guesses are forgotten, whatever happened */
    TRY(status);
    TRY(hand_over(g, err));
    g->out.prompt_ms = (read - started) * 1e3;
    g->out.generated_ms = (clock_seconds() - read) * 1e3;
    return TOLA_OK;
}

tola_status tola_generate(tola_session *s, uint32_t sequence, const uint32_t *prompt, size_t count,
                          const tola_generate_options *options, tola_generated *out, tola_error *err) {
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    TRY(check(s, sequence, count, &o, err));
    generation g = { .s = s, .sequence = sequence, .o = &o };
    g.out.end_id = TOLA_NO_TOKEN;
    g.out.stopped_by = SIZE_MAX;
    tola_status status = run(&g, prompt, count, err);
    if (status == TOLA_OK)
        *out = g.out;
    else
        tola_generated_dispose(&g.out);
    tear_down(&g);
    return status;
}

void tola_generated_dispose(tola_generated *g) {
    if (!g) return;
    mem_free(g->ids);
    mem_free(g->text);
    *g = (tola_generated){ .end_id = TOLA_NO_TOKEN, .stopped_by = SIZE_MAX };
}
