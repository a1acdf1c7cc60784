/* Texts to vectors: ids, hidden states, pooling.
 *
 * Texts are read a batch at a time, each in a sequence of its own. An encoder's text is read in one step; a decoder's
 * may take several, and what is pooled is gathered over them. Sums are of doubles in the order of the tokens. */
#include "generate/embed_modules.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/options.h"

enum { SEQUENCES = 16, BATCH = 512 };

struct tola_embedder {
    const tola_model *model;
    const tola_tokenizer *tokenizer;
    tola_session *session;
    tola_embedder_info info;
    bool truncate;
    uint32_t batch;   /* tokens of a step; at least one text of an encoder */
    uint32_t *behind; /* what the tokenizer puts around nothing: its end is what it puts behind a text */
    size_t behind_count;
    embed_modules modules;
    size_t unpooled; /* tokens at the beginning that are the prompt's, where it is left out of the pooling */
    tola_step_token *tokens;
    uint32_t *owner; /* of each row of the step: index of its text */
    double *sums;    /* of a text of each sequence: SEQUENCES x width */
};

const char *tola_pooling_name(tola_pooling pooling) {
    static const char *const names[] = { "model", "mean", "cls", "last" };
    return (unsigned)pooling < sizeof names / sizeof *names ? names[pooling] : "?";
}

const tola_embedder_info *tola_embedder_about(const tola_embedder *e) { return &e->info; }

/* ---- setting up ---- */

/* Does a tokenizer that is given "A" know it from "a"? */
static tola_status has_case(const tola_embedder *e, bool *out, tola_error *err) {
    uint32_t *large = NULL, *small = NULL;
    size_t n_large = 0, n_small = 0;
    TRY(tola_tokenize(e->tokenizer, "A", 1, 0, &large, &n_large, err));
    tola_status status = tola_tokenize(e->tokenizer, "a", 1, 0, &small, &n_small, err);
    *out = status == TOLA_OK && (n_large != n_small || memcmp(large, small, n_large * sizeof *large) != 0);
    tola_free(large);
    tola_free(small);
    return status;
}

static tola_status choose(tola_embedder *e, const tola_embed_options *o, tola_error *err) {
    const tola_model_info *info = tola_model_about(e->model);
    const embed_modules *m = &e->modules;
    bool cased = false;
    if (m->lowercase) TRY(has_case(e, &cased, err));
    if (cased)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "do_lower_case is set, but the tokenizer keeps capitals: that is not supported");
    if (m->width && m->width != info->width)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "the pooling is of vectors of %u numbers, the model's have %u", m->width, info->width);
    const bool own = o->pooling != TOLA_POOLING_MODEL && o->normalize != TOLA_NORMALIZE_MODEL;
    if (m->refused[0] && !own) return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s", m->refused);
    if (info->encoder && info->context && o->context > info->context)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a context of %u tokens; the model has positions for %u",
                       o->context, info->context);
    e->info.width = info->width;
    e->info.pooling = o->pooling != TOLA_POOLING_MODEL   ? o->pooling
                      : m->pooling != TOLA_POOLING_MODEL ? m->pooling
                      : info->encoder                    ? TOLA_POOLING_MEAN
                                                         : TOLA_POOLING_LAST;
    e->info.normalize = o->normalize == TOLA_NORMALIZE_MODEL ? m->normalize : o->normalize == TOLA_NORMALIZE_YES;
    uint32_t context = o->context ? o->context : m->context;
    if (info->context && (context == 0 || (!o->context && context > info->context))) context = info->context;
    e->info.context = context;
    return TOLA_OK;
}

static tola_status start(tola_embedder *e, const tola_embed_options *o, tola_error *err) {
    tola_session_options s = TOLA_SESSION_OPTIONS_INIT;
    const bool encoder = tola_model_about(e->model)->encoder;
    e->batch = o->batch ? o->batch : BATCH;
    /* sequences and rows are ours to choose, the context may be the session's */
    s.context = e->info.context;
    s.sequences = SEQUENCES;
    if (encoder && e->batch < e->info.context) e->batch = e->info.context;
    s.batch = s.outputs = e->batch;
    s.key_type = s.value_type = TOLA_DTYPE_F32; /* a text at a time: exactness costs no memory worth naming */
    s.threads = o->threads;
    TRY(tola_session_create(e->model, &s, &e->session, err));
    e->info.context = tola_session_context(e->session);
    if (encoder && e->batch < e->info.context)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "the model does not say how long a text may be; give a context");
    e->tokens = mem_calloc(e->batch, sizeof *e->tokens);
    e->owner = mem_calloc(e->batch, sizeof *e->owner);
    e->sums = mem_calloc((size_t)SEQUENCES * e->info.width, sizeof *e->sums);
    return e->tokens && e->owner && e->sums ? TOLA_OK : err_nomem(err, "embedding");
}

/* How many tokens of a text are its prompt's: those of the prompt alone, without what stands behind every text. */
static tola_status take_prompt(tola_embedder *e, tola_error *err) {
    uint32_t *ids;
    size_t count;
    e->info.prompt = e->modules.prompt;
    if (!e->modules.prompt || !e->modules.without_prompt) return TOLA_OK;
    TRY(tola_tokenize(e->tokenizer, e->modules.prompt, strlen(e->modules.prompt), TOLA_TOKENIZE_SPECIAL, &ids, &count,
                      err));
    const bool ended = e->behind_count && count && ids[count - 1] == e->behind[e->behind_count - 1];
    e->unpooled = count - ended;
    tola_free(ids);
    return TOLA_OK;
}

tola_status tola_embedder_create(const tola_model *model, const tola_embed_options *options, tola_embedder **out,
                                 tola_error *err) {
    tola_embed_options o = TOLA_EMBED_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    if (!tola_model_about(model)->hidden)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the model was not opened for hidden states");
    const char *why = tola_model_no_tokenizer(model);
    if (!tola_model_tokenizer(model))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s", why ? why : "there is no tokenizer");
    tola_embedder *e = mem_calloc(1, sizeof *e);
    if (!e) return err_nomem(err, "embedding");
    e->model = model;
    e->tokenizer = tola_model_tokenizer(model);
    e->truncate = o.truncate;
    tola_status status = embed_modules_read(tola_model_checkpoint(model), o.prompt, &e->modules, err);
    if (status == TOLA_OK) status = choose(e, &o, err);
    if (status == TOLA_OK)
        status = tola_tokenize(e->tokenizer, "", 0, TOLA_TOKENIZE_SPECIAL, &e->behind, &e->behind_count, err);
    if (status == TOLA_OK) status = take_prompt(e, err);
    if (status == TOLA_OK) status = start(e, &o, err);
    if (status == TOLA_OK)
        *out = e;
    else
        tola_embedder_free(e);
    return status;
}

void tola_embedder_free(tola_embedder *e) {
    if (!e) return;
    tola_session_free(e->session);
    embed_modules_clear(&e->modules);
    tola_free(e->behind);
    mem_free(e->tokens);
    mem_free(e->owner);
    mem_free(e->sums);
    mem_free(e);
}

/* ---- ids ---- */

/* Cuts ids to the context, keeping what stands behind every text ([SEP], </s>). */
static void cut(const tola_embedder *e, uint32_t *ids, size_t *count) {
    const size_t most = e->info.context;
    size_t kept = 0;
    while (kept < e->behind_count && kept < most && ids[*count - 1 - kept] == e->behind[e->behind_count - 1 - kept])
        kept++;
    memmove(ids + most - kept, ids + *count - kept, kept * sizeof *ids);
    *count = most;
}

static tola_status text_ids(const tola_embedder *e, const tola_text *text, size_t number, uint32_t **ids, size_t *count,
                            tola_error *err) {
    tola_status status;
    if (e->modules.prompt) {
        buf whole;
        buf_init(&whole, 0);
        buf_append(&whole, e->modules.prompt, strlen(e->modules.prompt));
        buf_append(&whole, text->data, text->length);
        status = whole.failed ? err_nomem(err, "embedding")
                              : tola_tokenize(e->tokenizer, (const char *)whole.data, whole.length,
                                              TOLA_TOKENIZE_SPECIAL, ids, count, err);
        buf_free(&whole);
    } else {
        status = tola_tokenize(e->tokenizer, text->data, text->length, TOLA_TOKENIZE_SPECIAL, ids, count, err);
    }
    TRY(status);
    if (*count == 0)
        status = err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "text %zu has no token", number);
    else if (*count > e->info.context && e->truncate)
        cut(e, *ids, count);
    else if (*count > e->info.context)
        status = err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "text %zu has %zu tokens, the context %u", number, *count,
                         e->info.context);
    if (status != TOLA_OK) tola_free(*ids);
    return status;
}

/* ---- pooling ---- */

static void finish(const tola_embedder *e, const double *sum, size_t tokens, float *out) {
    const size_t pooled = tokens > e->unpooled ? tokens - e->unpooled : 1;
    const double n = e->info.pooling == TOLA_POOLING_MEAN ? (double)pooled : 1;
    double squares = 0, factor;
    for (uint32_t i = 0; i < e->info.width; i++) squares += sum[i] / n * (sum[i] / n);
    factor = e->info.normalize ? 1 / fmax(sqrt(squares), 1e-12) : 1; /* torch.nn.functional.normalize */
    for (uint32_t i = 0; i < e->info.width; i++) out[i] = (float)(sum[i] / n * factor);
}

/* Is the row of token `at` of `count` wanted? */
static bool pooled(const tola_embedder *e, size_t at, size_t count) {
    switch (e->info.pooling) {
    case TOLA_POOLING_CLS: return at == (e->unpooled < count ? e->unpooled : 0);
    case TOLA_POOLING_LAST: return at + 1 == count;
    default: return at >= e->unpooled;
    }
}

/* The step's tokens; rows are added to the sums of their sequences. */
static tola_status step(tola_embedder *e, size_t tokens, size_t rows, tola_error *err) {
    TRY(tola_session_step(e->session, e->tokens, tokens, NULL, NULL, err));
    for (size_t r = 0; r < rows; r++) {
        const float *row = tola_session_output(e->session, r);
        double *sum = e->sums + (size_t)e->owner[r] * e->info.width;
        for (uint32_t i = 0; i < e->info.width; i++) sum[i] += row[i];
    }
    return TOLA_OK;
}

/* A few texts, each in its sequence: as many whole ones in a step as fit, longer ones in several. */
typedef struct pack {
    uint32_t *ids[SEQUENCES];
    size_t counts[SEQUENCES];
    size_t count, total;
} pack;

static tola_status read_pack(tola_embedder *e, const pack *p, tola_error *err) {
    size_t tokens = 0, rows = 0;
    memset(e->sums, 0, (size_t)SEQUENCES * e->info.width * sizeof *e->sums);
    for (uint32_t s = 0; s < p->count; s++) {
        TRY(tola_session_truncate(e->session, s, 0, err));
        for (size_t i = 0; i < p->counts[s]; i++) {
            const bool row = pooled(e, i, p->counts[s]);
            if (tokens == e->batch) {
                TRY(step(e, tokens, rows, err));
                tokens = rows = 0;
            }
            e->tokens[tokens++] = (tola_step_token){ p->ids[s][i], s, row };
            if (row) e->owner[rows++] = s;
        }
    }
    return step(e, tokens, rows, err);
}

tola_status tola_embed(tola_embedder *e, const tola_text *texts, size_t count, float *out, uint32_t *tokens,
                       tola_progress_fn progress, void *user, tola_error *err) {
    tola_progress state = { "embedding", 0, 0 };
    for (size_t i = 0; i < count; i++) state.total += texts[i].length;
    tola_status status = TOLA_OK;
    for (size_t at = 0; at < count && status == TOLA_OK;) {
        pack p = { .count = 0 };
        uint64_t bytes = 0;
        if (progress && !progress(user, &state)) return err_set(err, TOLA_E_CANCELLED, TOLA_NO_OFFSET, "cancelled");
        while (p.count < SEQUENCES && at + p.count < count && status == TOLA_OK) {
            uint32_t *ids;
            size_t n;
            status = text_ids(e, &texts[at + p.count], at + p.count + 1, &ids, &n, err);
            if (status != TOLA_OK) break;
            if (p.count > 0 && p.total + n > e->batch) { /* begins the next pack */
                tola_free(ids);
                break;
            }
            bytes += texts[at + p.count].length;
            p.ids[p.count] = ids;
            p.counts[p.count++] = n;
            p.total += n;
        }
        if (status == TOLA_OK) status = read_pack(e, &p, err);
        for (size_t i = 0; i < p.count; i++) {
            if (status == TOLA_OK) {
                finish(e, e->sums + i * e->info.width, p.counts[i], out + (at + i) * e->info.width);
                if (tokens) tokens[at + i] = (uint32_t)p.counts[i];
            }
            tola_free(p.ids[i]);
        }
        at += p.count;
        state.done += bytes;
    }
    if (status == TOLA_OK && progress) progress(user, &state);
    return status;
}
