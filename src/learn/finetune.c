/* tola_finetune: a model opened to be learned, or an adapter over it; examples and anchor as batches; the run. */
#include <tola/finetune.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/options.h"
#include "base/path.h"
#include "base/text.h"
#include "learn/chat_data.h"
#include "learn/decoder.h"
#include "learn/forget.h"
#include "learn/shuffle.h"
#include "learn/train.h"
#include "models/models.h"
#include <tola/transform.h>

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_CONTEXT 512u
#define REMEDY_SHARE 0.25 /* of a batch, for KL to the base where no share is said */
#define FAR (-1e30f)      /* the logarithm of no probability */
#define MAX_FACTS 40
#define FACT_BYTES 128

typedef struct finetuning {
    const tola_finetune_options *o;
    const char *path;
    /* the model */
    tola_checkpoint *checkpoint;
    model_description *description;
    model_weights *weights;
    tola_tokenizer *tokenizer;
    tola_chat_template *chat_template;
    model_adapter *adapter; /* NULL: every weight is learned */
    float **magnitudes;     /* as they were at first, one for each of the adapter's learned weights; NULL: none of it */
    learn_parameters *parameters;
    graph *graph;
    /* data */
    uint32_t context;
    chat_data *train, *validation;
    forget *anchor;
    uint32_t data_rows, remedy_rows; /* of a batch */
    uint8_t digest[32], model_digest[32];
    uint64_t resident; /* bytes of the process before the model was opened */
    double perplexity_before, perplexity_after, kl_after;
    /* one batch */
    size_t max_tokens, max_outputs;
    uint32_t *ids, *positions, *first, *outputs, *targets;
    float *row_weights, *reference;
    uint32_t *remedy_ids, *remedy_targets, *remedy_first;
    float *remedy_weights;
    /* the run */
    learn_task task;
    learn_options run;
    learn_fact facts[MAX_FACTS];
    char values[MAX_FACTS][FACT_BYTES];
    size_t fact_count;
} finetuning;

static bool by_kl(const finetuning *f) { return f->o->anchor_kl > 0; }

static void close_all(finetuning *f) {
    graph_free(f->graph);
    learn_parameters_free(f->parameters);
    for (size_t i = 0; f->magnitudes && i < model_adapter_learned_count(f->adapter); i++) mem_free(f->magnitudes[i]);
    mem_free(f->magnitudes);
    model_adapter_free(f->adapter);
    forget_close(f->anchor);
    chat_data_close(f->train);
    chat_data_close(f->validation);
    tola_chat_template_close(f->chat_template);
    tola_tokenizer_free(f->tokenizer);
    model_weights_free(f->weights);
    model_description_free(f->description);
    tola_checkpoint_close(f->checkpoint);
    void *blocks[] = { f->ids,           f->positions, f->first,      f->outputs,        f->targets,
                       f->row_weights,   f->reference, f->remedy_ids, f->remedy_targets, f->remedy_first,
                       f->remedy_weights };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) mem_free(blocks[i]);
}

/* ---- options ---- */

static tola_status refuse(tola_error *err, const char *what) {
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s", what);
}

static tola_status check_options(const tola_finetune_options *o, tola_error *err) {
    bool remedy = o->replay > 0 || o->anchor_kl > 0 || o->ewc > 0;
    if (!o->data || !o->data[0]) return refuse(err, "there are no examples to learn from (data)");
    if (!o->out && !o->dry_run) return refuse(err, "a run wants a folder (out)");
    if (o->method > TOLA_FINETUNE_FULL) return refuse(err, "no such method");
    if (o->batch == 0 || o->accumulate == 0) return refuse(err, "a batch of no examples");
    if (o->steps == 0 && !(o->epochs > 0 && o->epochs <= 1e6))
        return refuse(err, "epochs are above 0, up to a million");
    if (!(o->rate >= 0) || !(o->decay >= 0) || !(o->clip >= 0) || !(o->warmup >= 0 && o->warmup <= 1))
        return refuse(err, "rate, decay and clip are not below 0, warmup is a share between 0 and 1");
    if (!isfinite(o->alpha) || o->alpha < 0 || !(o->b_rate > 0))
        return refuse(err, "alpha and the rate of B are above 0");
    if (!(o->replay >= 0 && o->replay < 1)) return refuse(err, "replay is a share of the batch, from 0 to below 1");
    if (!(o->anchor_kl >= 0) || !(o->ewc >= 0) || !(o->forget_limit >= 0))
        return refuse(err, "anchor_kl, ewc and forget_limit are not below 0");
    if (!o->anchor && (remedy || o->forget_limit > 0))
        return refuse(err, "replay, KL to the base, EWC and a limit to forgetting want an anchor text");
    if (o->anchor_kl > 0 && o->ewc > 0) return refuse(err, "EWC and KL to the base exclude each other");
    if (o->method == TOLA_FINETUNE_FULL && o->targets) return refuse(err, "targets are an adapter's; full learns all");
    return TOLA_OK;
}

static tola_status word_of(const char *said, const char *const *words, const char *what, unsigned *out,
                           tola_error *err) {
    *out = 0;
    if (!said) return TOLA_OK;
    for (; words[*out]; ++*out)
        if (strcmp(words[*out], said) == 0) return TOLA_OK;
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "no %s is called '%.60s'", what, said);
}

/* ---- the model ---- */

static tola_status open_model(finetuning *f, tola_error *err) {
    const tola_finetune_options *o = f->o;
    TRY(model_open(f->path, &f->checkpoint, err));
    TRY(model_describe(f->checkpoint, o->context, &f->description, err));
    const model_description *d = f->description;
    if (d->encoder)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s does not predict tokens: it cannot be fine-tuned",
                       d->family->name);
    TRY(model_weights_open(f->checkpoint, d, &f->weights, err));
    TRY(tola_tokenizer_from_checkpoint(f->checkpoint, &f->tokenizer, err));
    tola_status status = tola_chat_template_of(f->checkpoint, NULL, &f->chat_template, err);
    if (status != TOLA_OK && status != TOLA_E_NOT_FOUND) return status;
    f->context = o->context ? o->context : d->context < DEFAULT_CONTEXT ? d->context : DEFAULT_CONTEXT;
    if (f->context < 2 || f->context > d->context)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a context of %u tokens: the model was made for 2 to %u",
                       f->context, d->context);
    if (o->method == TOLA_FINETUNE_FULL) {
        model_weights_learn(f->weights, NULL, NULL);
        return TOLA_OK;
    }
    double alpha = o->alpha > 0 ? o->alpha : 2.0 * o->rank, rank = o->rank;
    double scale = alpha / (o->method == TOLA_FINETUNE_RSLORA ? sqrt(rank) : rank);
    const model_adapter_options a = { .rank = o->rank,
                                      .scale = (float)scale,
                                      .dropout = (float)o->dropout,
                                      .magnitudes = o->method == TOLA_FINETUNE_DORA,
                                      .targets = o->targets };
    return model_adapter_create(d, &a, &f->adapter, err);
}

/* A from uniform(-1/sqrt(inputs), 1/sqrt(inputs)), which is what PEFT's kaiming_uniform_(a = sqrt 5) draws; B 0. */
static void draw_adapter(finetuning *f) {
    for (size_t i = 0; i < model_adapter_learned_count(f->adapter); i++) {
        const model_learned *l = model_adapter_learned_at(f->adapter, i);
        uint64_t count = l->weight->rows * l->weight->cols;
        if (l->part == MODEL_LEARNED_DOWN)
            learn_draw(LEARN_UNIFORM, (float)(1 / sqrt((double)l->weight->cols)), f->o->seed, l->name, 0, (size_t)count,
                       l->values[0]);
        else if (l->part == MODEL_LEARNED_UP)
            memset(l->values[0], 0, (size_t)count * sizeof(float));
        else if (f->magnitudes)
            memcpy(l->values[0], f->magnitudes[i], (size_t)count * sizeof(float));
    }
}

static tola_status begin_adapter(finetuning *f, tola_error *err) {
    size_t count = model_adapter_learned_count(f->adapter);
    TRY(model_adapter_check(f->adapter, err));
    for (size_t i = 0; i < count; i++) {
        const model_learned *l = model_adapter_learned_at(f->adapter, i);
        learn_parameter *added;
        TRY(learn_parameters_add(f->parameters, l->name, l->weight, l->values, &added, err));
        if (l->part == MODEL_LEARNED_UP) added->rate = (float)f->o->b_rate;
    }
    if (f->o->method == TOLA_FINETUNE_DORA) {
        f->magnitudes = mem_calloc(count + 1, sizeof(float *));
        for (size_t i = 0; f->magnitudes && i < count; i++) {
            const model_learned *l = model_adapter_learned_at(f->adapter, i);
            if (l->part != MODEL_LEARNED_MAGNITUDE) continue;
            f->magnitudes[i] = mem_alloc((size_t)(l->weight->cols + 1) * sizeof(float));
            if (!f->magnitudes[i]) return err_nomem(err, "an adapter");
            memcpy(f->magnitudes[i], l->values[0], (size_t)l->weight->cols * sizeof(float));
        }
        if (!f->magnitudes) return err_nomem(err, "an adapter");
    }
    draw_adapter(f);
    return TOLA_OK;
}

/* The base model's weights, or no adapter's change. */
static tola_status reset(void *user, tola_error *err) {
    finetuning *f = user;
    if (!f->adapter) return model_weights_reset(f->weights, err);
    draw_adapter(f);
    return TOLA_OK;
}

static tola_status append_all(finetuning *f, graph *g, tola_error *err) {
    const graph_parameter *list = NULL;
    model_adapter *const *adapters = f->adapter ? &f->adapter : NULL;
    graph_value logits = model_append(g, f->description, f->weights, adapters, f->adapter != NULL, false);
    graph_value loss = by_kl(f) ? graph_divergence(g, 1, logits) : graph_cross_entropy(g, 0, logits);
    const graph_value outputs[] = { loss, logits };
    if (!graph_failed(g)) {
        if (f->adapter) TRY(begin_adapter(f, err));
        for (size_t i = 0; !f->adapter && i < model_master_count(f->weights); i++)
            TRY(decoder_add_master(model_master_at(f->weights, i), false, f->parameters, err));
        TRY(learn_parameters_list(f->parameters, &list, err));
        graph_differentiate(g, list, f->parameters->count, &loss, 1,
                            f->o->recompute ? GRAPH_RECOMPUTE_LAYERS : GRAPH_KEEP_ALL);
    }
    return graph_finish(g, outputs, 2, err);
}

static tola_status build_graph(finetuning *f, tola_error *err) {
    TRY(learn_parameters_create(&f->parameters, err));
    TRY(graph_create_training(&f->graph, err));
    return append_all(f, f->graph, err);
}

/* ---- data ---- */

static tola_status open_examples(finetuning *f, tola_error *err) {
    const tola_finetune_options *o = f->o;
    size_t count = 0;
    while (o->data[count]) count++;
    const chat_data_options c = { .tokenizer = f->tokenizer,
                                  .chat_template = f->chat_template,
                                  .context = f->context,
                                  .vocabulary = f->description->vocabulary,
                                  .too_long = (chat_long)o->too_long,
                                  .pack = o->pack,
                                  .all = o->all };
    TRY(chat_data_open(o->data, count, &c, &f->train, err));
    if (o->validation) TRY(chat_data_open(&o->validation, 1, &c, &f->validation, err));
    return chat_data_digest(f->train, f->digest, err);
}

static tola_status open_anchor(finetuning *f, tola_error *err) {
    const tola_finetune_options *o = f->o;
    if (!o->anchor) return TOLA_OK;
    bool mixes = o->replay > 0 || by_kl(f);
    char *cache = o->out && !o->dry_run ? path_join(o->out, "anchor.tokens") : NULL;
    const forget_options a = { .path = o->anchor,
                               .cache = cache,
                               .tokenizer = f->tokenizer,
                               .context = f->context,
                               .vocabulary = f->description->vocabulary,
                               .tokens = o->anchor_tokens,
                               .kl = by_kl(f),
                               .ewc = o->ewc,
                               .remedies = mixes || o->ewc > 0,
                               .seed = o->seed,
                               .threads = o->threads,
                               .parameters = f->parameters,
                               .logits = 1,
                               .reset = reset,
                               .user = f };
    tola_status status = forget_open(&a, &f->anchor, err);
    mem_free(cache);
    if (status != TOLA_OK || !mixes) return status;
    double share = o->replay > 0 ? o->replay : REMEDY_SHARE, rows = round(share * o->batch);
    f->remedy_rows = rows < 1 ? 1 : (uint32_t)rows;
    if (f->remedy_rows >= o->batch)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a batch of %u has no place for examples beside the anchor",
                       o->batch);
    return TOLA_OK;
}

static tola_status take_batch(finetuning *f, tola_error *err) {
    const chat_data_counts *c = chat_data_counted(f->train), *v = f->validation ? chat_data_counted(f->validation) : c;
    f->data_rows = f->o->batch - f->remedy_rows;
    uint64_t tokens = (uint64_t)f->data_rows * c->row_tokens + (uint64_t)f->remedy_rows * f->context;
    uint64_t outputs = (uint64_t)f->data_rows * c->row_answers + (uint64_t)f->remedy_rows * f->context;
    if (f->anchor && tokens < f->context) tokens = f->context;
    if (f->anchor && outputs < f->context) outputs = f->context;
    if (tokens < v->row_tokens) tokens = v->row_tokens;
    if (outputs < v->row_answers) outputs = v->row_answers;
    if (tokens > UINT32_MAX / 4)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a batch of %llu tokens is too large",
                       (unsigned long long)tokens);
    f->max_tokens = (size_t)tokens;
    f->max_outputs = (size_t)outputs;
    struct {
        void **block;
        size_t bytes;
    } blocks[] = { { (void **)&f->ids, f->max_tokens * sizeof *f->ids },
                   { (void **)&f->positions, f->max_tokens * sizeof *f->positions },
                   { (void **)&f->first, f->max_tokens * sizeof *f->first },
                   { (void **)&f->outputs, f->max_outputs * sizeof *f->outputs },
                   { (void **)&f->targets, f->max_outputs * sizeof *f->targets },
                   { (void **)&f->row_weights, f->max_outputs * sizeof *f->row_weights },
                   { (void **)&f->remedy_ids, f->context * sizeof *f->remedy_ids },
                   { (void **)&f->remedy_targets, f->context * sizeof *f->remedy_targets },
                   { (void **)&f->remedy_first, f->context * sizeof *f->remedy_first },
                   { (void **)&f->remedy_weights, f->context * sizeof *f->remedy_weights },
                   { (void **)&f->reference,
                     by_kl(f) ? f->max_outputs * f->description->vocabulary * sizeof *f->reference : 1 } };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        *blocks[i].block = mem_alloc_aligned(64, blocks[i].bytes);
        if (!*blocks[i].block) return err_nomem(err, "a batch");
    }
    return TOLA_OK;
}

/* A batch on its way: how many tokens and outputs it has by now. */
typedef struct filling {
    size_t tokens, outputs;
    double weight;
} filling;

static void add_output(finetuning *f, filling *b, size_t token, uint32_t target, float weight, const float *reference) {
    f->outputs[b->outputs] = (uint32_t)token;
    f->targets[b->outputs] = target;
    f->row_weights[b->outputs] = weight;
    if (by_kl(f)) {
        const size_t n = f->description->vocabulary;
        float *to = f->reference + b->outputs * n;
        if (reference) memcpy(to, reference, n * sizeof *to);
        for (size_t k = 0; !reference && k < n; k++) to[k] = FAR;
        if (!reference) to[target] = 0; /* divergence from a certain answer is cross-entropy */
    }
    b->weight += (double)weight;
    b->outputs++;
}

static void add_example(finetuning *f, filling *b, const chat_data *data, uint64_t example) {
    const uint32_t *ids;
    const uint8_t *wanted;
    size_t n = chat_data_example(data, example, &ids, &wanted), base = b->tokens;
    for (size_t i = 0; i < n; i++) {
        f->ids[base + i] = ids[i];
        f->positions[base + i] = (uint32_t)i;
        f->first[base + i] = (uint32_t)base;
        if (i + 1 < n && wanted[i + 1]) add_output(f, b, base + i, ids[i + 1], 1, NULL);
    }
    b->tokens += n;
}

static tola_status add_remedy(finetuning *f, filling *b, uint64_t draw, tola_error *err) {
    uint32_t targets;
    const float *reference;
    const size_t base = b->tokens, n = f->description->vocabulary;
    const float weight = by_kl(f) ? (float)f->o->anchor_kl : 1;
    TRY(forget_row(f->anchor, draw, f->remedy_ids, f->remedy_targets, f->remedy_weights, f->remedy_first, &targets,
                   &reference, err));
    for (uint32_t i = 0; i < f->context; i++) {
        f->ids[base + i] = f->remedy_ids[i];
        f->positions[base + i] = i - f->remedy_first[i];
        f->first[base + i] = (uint32_t)base + f->remedy_first[i];
        if (f->remedy_weights[i] > 0)
            add_output(f, b, base + i, f->remedy_targets[i], weight, reference ? reference + i * n : NULL);
    }
    b->tokens += f->context;
    return TOLA_OK;
}

static void add_row(finetuning *f, filling *b, const chat_data *data, uint64_t row) {
    uint64_t first, end;
    chat_data_row(data, row, &first, &end);
    for (uint64_t e = first; e < end; e++) add_example(f, b, data, e);
}

static void hand_out(const finetuning *f, const filling *b, learn_batch *out) {
    out->graph = (graph_batch){
        .tokens = b->tokens, .ids = f->ids, .positions = f->positions, .outputs = f->outputs, .output_count = b->outputs
    };
    out->learn = (graph_learn_batch){ .first = f->first,
                                      .targets = f->targets,
                                      .row_weights = f->row_weights,
                                      .reference = by_kl(f) ? f->reference : NULL };
    out->weight = b->weight;
    out->tokens = b->tokens;
}

static tola_status next_batch(void *user, uint64_t step, uint32_t part, learn_batch *out, tola_error *err) {
    finetuning *f = user;
    filling b = { 0 };
    const uint64_t rows = chat_data_counted(f->train)->rows, batch = step * f->o->accumulate + part;
    for (uint32_t i = 0; i < f->data_rows; i++)
        add_row(f, &b, f->train, shuffle_draw(rows, f->o->seed, batch * f->data_rows + i));
    for (uint32_t i = 0; i < f->remedy_rows; i++) TRY(add_remedy(f, &b, batch * f->remedy_rows + i, err));
    hand_out(f, &b, out);
    return TOLA_OK;
}

static tola_status validation_batch(void *user, uint64_t step, uint32_t part, learn_batch *out, tola_error *err) {
    finetuning *f = user;
    filling b = { 0 };
    (void)step;
    (void)err;
    add_row(f, &b, f->validation, part);
    hand_out(f, &b, out);
    return TOLA_OK;
}

/* ---- around the steps ---- */

static tola_status begin(void *user, learn_trainer *t, uint64_t step, tola_error *err) {
    finetuning *f = user;
    (void)step;
    if (!f->anchor) return TOLA_OK;
    TRY(forget_begin(f->anchor, t, err));
    f->perplexity_before = forget_base_perplexity(f->anchor);
    return TOLA_OK;
}

static tola_status measure(void *user, learn_trainer *t, uint64_t step, learn_measures *m, bool *stop, const char **why,
                           tola_error *err) {
    finetuning *f = user;
    (void)step;
    if (!f->anchor) return TOLA_OK;
    TRY(forget_measure(f->anchor, t, &f->perplexity_after, &f->kl_after, err));
    learn_measure_add(m, "anchor_perplexity", f->perplexity_after);
    learn_measure_add(m, "anchor_kl", f->kl_after);
    if (f->o->forget_limit > 0 && f->perplexity_after > f->perplexity_before * (1 + f->o->forget_limit)) {
        *stop = true;
        *why = "the anchor's perplexity has risen beyond the limit";
    }
    return TOLA_OK;
}

static tola_status adjust(void *user, uint64_t step, double *loss, tola_error *err) {
    finetuning *f = user;
    (void)step;
    return f->o->ewc > 0 ? forget_adjust(f->anchor, loss, err) : TOLA_OK;
}

/* "hf://org/name" is org/name; of a path, its last word: adapters tell no one's folders. */
static const char *base_name(const char *path, char *text, size_t cap) {
    if (strncmp(path, "hf://", 5) == 0) return path + 5;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    snprintf(text, cap, "%.*s", (int)(n < cap ? n : cap - 1), path);
    return path_last(text);
}

static tola_status write_adapter(const finetuning *f, const char *folder, tola_error *err) {
    const tola_finetune_options *o = f->o;
    char name[512];
    size_t count = model_adapter_count(f->adapter);
    model_pair *pairs = mem_calloc(count + 1, sizeof *pairs);
    if (!pairs) return err_nomem(err, "writing an adapter");
    for (size_t i = 0; i < count; i++) pairs[i] = model_adapter_at(f->adapter, i);
    const model_adapter_facts facts = { .rank = o->rank,
                                        .alpha = o->alpha > 0 ? o->alpha : 2.0 * o->rank,
                                        .rooted = o->method == TOLA_FINETUNE_RSLORA,
                                        .dropout = o->dropout,
                                        .base = base_name(f->path, name, sizeof name) };
    tola_status status = model_adapter_write(f->description, pairs, count, &facts, folder, true, err);
    mem_free(pairs);
    return status;
}

static tola_status write_full(const finetuning *f, const char *folder, tola_error *err) {
    tola_checkpoint *view;
    tola_convert_options c = TOLA_CONVERT_OPTIONS_INIT;
    bool gguf = f->description->gguf;
    char *path = gguf ? path_join(folder, "model.gguf") : mem_strdup(folder);
    if (!path) return err_nomem(err, "writing the model");
    c.folder = !gguf;
    c.overwrite = true;
    c.format = gguf ? "gguf" : "safetensors";
    c.threads = f->o->threads;
    tola_status status = model_weights_view(f->weights, TOLA_DTYPE_NONE, &view, err);
    if (status == TOLA_OK) {
        status = tola_convert(view, path, &c, NULL, err);
        tola_checkpoint_close(view);
    }
    mem_free(path);
    return status;
}

static tola_status write_model(void *user, const char *folder, tola_error *err) {
    const finetuning *f = user;
    return f->adapter ? write_adapter(f, folder, err) : write_full(f, folder, err);
}

/* ---- the run ---- */

static void fact(finetuning *f, const char *name, bool harmless, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void fact(finetuning *f, const char *name, bool harmless, const char *format, ...) {
    va_list args;
    if (f->fact_count == MAX_FACTS) return;
    va_start(args, format);
    vsnprintf(f->values[f->fact_count], FACT_BYTES, format, args);
    va_end(args);
    f->facts[f->fact_count] = (learn_fact){ name, f->values[f->fact_count], harmless };
    f->fact_count++;
}

#define SAMPLE 4096 /* bytes of a tensor that tell whether the model is another one */

/* Names, types and beginnings of all tensors: an adapter does not go on over other weights. */
static tola_status digest_model(finetuning *f, tola_error *err) {
    uint8_t sample[SAMPLE];
    sha256_stream *s;
    TRY(sha256_open(&s, err));
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(f->checkpoint) && status == TOLA_OK; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(f->checkpoint, i);
        const uint64_t about[2] = { (uint64_t)t->dtype, t->bytes };
        const size_t n = t->bytes < SAMPLE ? (size_t)t->bytes : SAMPLE;
        status = tola_checkpoint_read(f->checkpoint, i, 0, sample, n, err);
        if (status == TOLA_OK) status = sha256_update(s, t->name, strlen(t->name) + 1, err);
        if (status == TOLA_OK) status = sha256_update(s, about, sizeof about, err);
        if (status == TOLA_OK) status = sha256_update(s, sample, n, err);
    }
    if (status == TOLA_OK) return sha256_finish(s, f->model_digest, err);
    sha256_abort(s);
    return status;
}

/* A run that is stopped would leave neither the model nor a run, and the end of a full one would be refused. */
static tola_status check_apart(const finetuning *f, tola_error *err) {
    struct stat a, b;
    if (!f->o->out || stat(f->o->out, &b) != 0 || stat(f->path, &a) != 0) return TOLA_OK;
    if (!S_ISDIR(a.st_mode)) {
        const size_t n = (size_t)(path_last(f->path) - f->path);
        char *folder = mem_alloc(n + 2);
        if (!folder) return err_nomem(err, "the folder of the run");
        memcpy(folder, f->path, n);
        memcpy(folder + n, ".", 2);
        const int failed = stat(folder, &a);
        mem_free(folder);
        if (failed) return TOLA_OK;
    }
    if (a.st_dev != b.st_dev || a.st_ino != b.st_ino) return TOLA_OK;
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: is the folder of the model; say another with --out",
                   f->o->out);
}

/* What a resume is held to. */
static void state_facts(finetuning *f) {
    static const char *const methods[] = { "lora", "rslora", "dora", "full" };
    const tola_finetune_options *o = f->o;
    const learn_options *r = &f->run;
    char digest[TRAIN_DIGEST + 1];
    train_digest_text(f->digest, digest);
    fact(f, "method", false, "%s", methods[o->method]);
    if (f->adapter) {
        fact(f, "rank", false, "%u", o->rank);
        fact(f, "alpha", false, "%g", o->alpha > 0 ? o->alpha : 2.0 * o->rank);
        fact(f, "dropout", false, "%g", o->dropout);
        fact(f, "b_rate", false, "%g", o->b_rate);
    }
    fact(f, "data", false, "%s", digest);
    train_digest_text(f->model_digest, digest);
    fact(f, "model", false, "%s", digest);
    fact(f, "context", false, "%u", f->context);
    fact(f, "batch", false, "%u", o->batch);
    fact(f, "accumulate", false, "%u", o->accumulate);
    fact(f, "steps", false, "%llu", (unsigned long long)r->steps);
    fact(f, "seed", false, "%llu", (unsigned long long)o->seed);
    fact(f, "optimizer", false, "%s", o->optimizer ? o->optimizer : "adamw");
    fact(f, "rate", false, "%.17g", r->optimizer.rate);
    fact(f, "decay", false, "%.17g", o->decay);
    fact(f, "clip", false, "%.17g", o->clip);
    fact(f, "schedule", false, "%s", o->schedule ? o->schedule : "linear");
    fact(f, "warmup", false, "%.17g", o->warmup);
    fact(f, "precision", false, "%s", o->precision ? o->precision : "f32");
    fact(f, "replay", false, "%g", o->replay);
    fact(f, "anchor_kl", false, "%g", o->anchor_kl);
    fact(f, "ewc", false, "%g", o->ewc);
}

static tola_status make_run(finetuning *f, tola_error *err) {
    static const char *const optimizers[] = { "adamw", "adamw8", "sgd", NULL };
    static const learn_method methods[] = { LEARN_ADAMW, LEARN_ADAMW8, LEARN_SGD };
    static const char *const schedules[] = { "linear", "cosine", "constant", NULL };
    static const learn_schedule_kind kinds[] = { LEARN_LINEAR, LEARN_COSINE, LEARN_CONSTANT };
    static const char *const precisions[] = { "f32", "bf16", "fp8", NULL };
    const tola_finetune_options *o = f->o;
    unsigned optimizer, schedule, precision;
    TRY(word_of(o->optimizer, optimizers, "optimizer", &optimizer, err));
    TRY(word_of(o->schedule, schedules, "schedule", &schedule, err));
    TRY(word_of(o->precision, precisions, "precision", &precision, err));
    learn_options *r = &f->run;
    *r = (learn_options)LEARN_OPTIONS_INIT;
    r->optimizer.method = methods[optimizer];
    r->optimizer.rate = o->rate > 0 ? o->rate : o->method == TOLA_FINETUNE_FULL ? 2e-5 : 2e-4;
    r->optimizer.decay = o->decay;
    r->optimizer.clip = o->clip;
    double each = (double)f->data_rows * o->accumulate;
    double steps = ceil(o->epochs * (double)chat_data_counted(f->train)->rows / each - 1e-9);
    r->steps = o->steps ? o->steps : steps < 1 ? 1 : (uint64_t)steps;
    r->schedule = (learn_schedule){ .kind = kinds[schedule],
                                    .steps = r->steps,
                                    .warmup = (uint64_t)ceil(o->warmup * (double)r->steps) };
    r->parts = o->accumulate;
    r->seed = o->seed;
    r->precision = precision == 1 ? GRAPH_BF16 : precision == 2 ? GRAPH_FP8 : GRAPH_F32;
    r->threads = o->threads;
    r->validate_every = o->validate_every;
    r->save_every = o->save_every;
    r->keep = o->keep ? o->keep : 1;
    r->out = o->dry_run ? NULL : o->out;
    r->resume = o->resume;
    r->other_facts = o->other_options;
    r->overwrite = o->overwrite;
    r->event = o->event;
    r->event_user = o->event_user;
    return TOLA_OK;
}

static void make_task(finetuning *f) {
    uint64_t trained = 0;
    for (size_t i = 0; !f->adapter && i < f->parameters->count; i++) {
        const graph_weight *w = f->parameters->items[i].weight;
        trained += w->rows * w->cols * w->parts * sizeof(float);
    }
    uint64_t weights = model_weights_bytes(f->weights),
             batch = by_kl(f) ? f->max_outputs * f->description->vocabulary : 0;
    f->task = (learn_task){ .graph = f->graph,
                            .parameters = f->parameters,
                            .loss_count = 1,
                            .logits = by_kl(f) ? 0 : 1,
                            .max_tokens = f->max_tokens,
                            .max_outputs = f->max_outputs,
                            .user = f,
                            .batch = next_batch,
                            .validation = f->validation ? validation_batch : NULL,
                            .validation_batches = f->validation ? (uint32_t)chat_data_counted(f->validation)->rows : 0,
                            .data_bytes = chat_data_bytes(f->train) + batch * sizeof(float) +
                                          (f->anchor ? forget_bytes(f->anchor) : 0),
                            .data_later = f->anchor ? forget_bytes(f->anchor) : 0,
                            .before_bytes = f->resident,
                            .frozen_bytes = weights > trained ? weights - trained : 0,
                            .facts = f->facts,
                            .fact_count = f->fact_count,
                            .write_model = write_model,
                            .adjust = f->o->ewc > 0 ? adjust : NULL,
                            .begin = begin,
                            .measure = f->anchor ? measure : NULL };
}

static void describe(const finetuning *f, tola_finetune_summary *out) {
    const chat_data_counts *c = chat_data_counted(f->train);
    *out = (tola_finetune_summary){ .examples = c->examples,
                                    .tokens = c->tokens,
                                    .answers = c->answers,
                                    .cut = c->cut,
                                    .dropped = c->dropped,
                                    .rows = c->rows,
                                    .steps = f->run.steps,
                                    .anchor_tokens = f->anchor ? forget_measured(f->anchor) : 0,
                                    .anchor_perplexity_before = f->perplexity_before,
                                    .anchor_perplexity_after = f->perplexity_after,
                                    .anchor_kl_after = f->kl_after };
    snprintf(out->network, sizeof out->network, "%.31s", f->description->family->name);
    for (size_t i = 0; i < tola_checkpoint_tensor_count(f->checkpoint); i++)
        out->parameters += tola_checkpoint_tensor(f->checkpoint, i)->elements;
    for (size_t i = 0; i < f->parameters->count; i++) {
        const graph_weight *w = f->parameters->items[i].weight;
        out->trained += w->rows * w->cols * w->parts;
    }
}

static tola_status prepare(finetuning *f, tola_error *err) {
    const char *out = f->o->out;
    TRY(check_options(f->o, err));
    TRY(check_apart(f, err));
    TRY(open_model(f, err));
    TRY(digest_model(f, err));
    TRY(open_examples(f, err));
    TRY(build_graph(f, err));
    if (out && !f->o->dry_run && mkdir(out, 0777) != 0 && errno != EEXIST)
        return err_errno(err, errno, "cannot create folder", out);
    TRY(open_anchor(f, err));
    TRY(take_batch(f, err));
    TRY(make_run(f, err));
    state_facts(f);
    make_task(f);
    return TOLA_OK;
}

tola_status tola_finetune(const char *model, const tola_finetune_options *options, tola_finetune_summary *summary,
                          tola_learn_result *result, tola_error *err) {
    tola_finetune_options o = TOLA_FINETUNE_OPTIONS_INIT;
    TRY(options_take(&o, sizeof o, options, err));
    finetuning f = { .o = &o, .path = model, .resident = learn_resident() };
    tola_learn_result done = { .steps = 0 };
    tola_status status = prepare(&f, err);
    if (status == TOLA_OK && summary) describe(&f, summary); /* before the first event */
    if (status == TOLA_OK && o.dry_run)
        status = learn_predict(&f.task, &f.run, &done.predicted, err);
    else if (status == TOLA_OK)
        status = learn_run(&f.task, &f.run, &done, err);
    if (status == TOLA_OK && summary) describe(&f, summary);
    if (status == TOLA_OK && result) *result = done;
    close_all(&f);
    return status;
}
