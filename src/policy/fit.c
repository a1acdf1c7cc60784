/* tola_fit_compute: the shape of a model, its bytes, and the devices, put together. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/options.h"
#include "policy/fit_inside.h"

#define CONTEXT_USUAL 4096u
#define CHEAPEST 5
#define CHEAPEST_DEVICES 16u /* more of one kind are a matter of networks */
#define CHEAPEST_RATE 1.0    /* tokens a second */

/* ---- text ---- */

static const char *keep(fit_job *j, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static const char *keep(fit_job *j, const char *format, va_list args) {
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    return arena_strndup(&j->arena, text, strlen(text));
}

const char *fit_text(fit_job *j, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = keep(j, format, args);
    va_end(args);
    return text;
}

static tola_status note(fit_job *j, tola_error *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

static tola_status note(fit_job *j, tola_error *err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = keep(j, format, args);
    va_end(args);
    const char **list = arena_alloc_array(&j->arena, j->n_notes + 1, sizeof *list);
    if (!text || !list) return err_nomem(err, "counting what fits");
    if (j->n_notes) memcpy(list, j->notes, j->n_notes * sizeof *list);
    list[j->n_notes++] = text;
    j->notes = list;
    return TOLA_OK;
}

/* ---- options ---- */

static tola_status word_in(const char *word, const char *const *words, const char *what, uint32_t *out,
                           tola_error *err) {
    tola_nearest near;
    tola_nearest_init(&near, word);
    for (uint32_t i = 0; words[i]; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return TOLA_OK;
        }
        tola_nearest_try(&near, words[i]);
    }
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: no '%.40s'; %s '%s'?", what, word,
                   near.best ? "did you mean" : "perhaps", near.best ? near.best : words[0]);
}

static tola_status take_kv(fit_job *j, tola_error *err) {
    static const tola_dtype known[] = { TOLA_DTYPE_F32,     TOLA_DTYPE_F16,    TOLA_DTYPE_BF16, TOLA_DTYPE_F8_E4M3,
                                        TOLA_DTYPE_F8_E5M2, TOLA_DTYPE_I8,     TOLA_DTYPE_Q8_0, TOLA_DTYPE_Q4_0,
                                        TOLA_DTYPE_Q4_1,    TOLA_DTYPE_IQ4_NL, TOLA_DTYPE_Q5_0, TOLA_DTYPE_Q5_1,
                                        TOLA_DTYPE_I4,      TOLA_DTYPE_NVFP4 };
    if (!j->o.kv_type) return TOLA_OK;
    const char *word = strcmp(j->o.kv_type, "fp8") == 0 ? "f8_e4m3" : j->o.kv_type;
    tola_dtype t = tola_dtype_parse(word);
    tola_nearest near;
    tola_nearest_init(&near, word);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i] == t) {
            j->run.key = j->run.value = t;
            return TOLA_OK;
        }
        tola_nearest_try(&near, tola_dtype_name(known[i]));
    }
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "--kv-type: keys and values are not kept as '%.40s'; %s '%s'?",
                   j->o.kv_type, near.best ? "did you mean" : "perhaps", near.best ? near.best : "q8_0");
}

static tola_status take_training(fit_job *j, tola_error *err) {
    static const char *const methods[] = { "full", "lora", "qlora", NULL };
    static const char *const optimizers[] = { "adamw", "adamw8", "momentum", "sgd", NULL };
    static const char *const recomputes[] = { "none", "attention", "layers", NULL };
    static const char *const precisions[] = { "mixed", "f32", NULL };
    uint32_t method, optimizer = 0, recompute = 0, precision = 0;
    const tola_fit_options *o = &j->o;
    if (!o->train) return TOLA_OK;
    j->training = true;
    TRY(word_in(o->train, methods, "--train", &method, err));
    if (o->optimizer) TRY(word_in(o->optimizer, optimizers, "--optimizer", &optimizer, err));
    if (o->recompute) TRY(word_in(o->recompute, recomputes, "--recompute", &recompute, err));
    if (o->precision) TRY(word_in(o->precision, precisions, "--precision", &precision, err));
    memory_training *t = &j->train;
    if (j->run.engine == MEMORY_TOLA) t->engine = MEMORY_TOLA; /* as tola train lays it out */
    if (o->rank && method != MEMORY_FULL && j->shape.width && o->rank > j->shape.width)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "--rank %u: more than the model's width, %llu", o->rank,
                       (unsigned long long)j->shape.width);
    if (o->rank && method == MEMORY_FULL)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "--rank goes with lora and qlora: all weights are trained");
    t->method = (memory_method)method;
    t->optimizer = (memory_optimizer)optimizer;
    t->recompute = (memory_recompute)recompute;
    t->f32 = precision == 1;
    t->fused = o->flash;
    t->batch = o->batch;
    t->rank = o->rank;
    t->context = o->context ? o->context : j->shape.context && j->shape.context < 2048 ? j->shape.context : 2048;
    if (!o->dtype) return TOLA_OK;
    if (t->method == MEMORY_FULL) { /* --dtype fp32 says as much as --precision f32 */
        tola_dtype d = tola_dtype_parse(o->dtype);
        if (d == TOLA_DTYPE_F32)
            t->f32 = true;
        else if (d != TOLA_DTYPE_BF16 && d != TOLA_DTYPE_F16)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                           "--dtype %.40s: training all weights takes 16 or 32 bits; 'qlora' trains over fewer",
                           o->dtype);
        return TOLA_OK;
    }
    return memory_weights_parse(o->dtype, &t->base, err);
}

static tola_status take_options(fit_job *j, tola_error *err) {
    static const char *const engines[] = { "server", "tola", "llama", NULL };
    tola_fit_options *o = &j->o;
    uint32_t engine = 0;
    if (!(o->ratio > 0)) o->ratio = 3;
    if (!(o->utilisation > 0)) o->utilisation = 0.5;
    if (o->utilisation > 1)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "--utilisation %g: a share from 0 to 1", o->utilisation);
    if (o->api_in < 0 || o->api_out < 0 || o->ratio > 1e6)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a price or ratio that makes no sense");
    if (!o->prompt) o->prompt = 512;
    if (!o->batch) o->batch = 1;
    j->run.batch = o->batch;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    j->run.threads = o->threads ? o->threads : online > 0 ? (unsigned)online : 1;
    j->run.context = o->context;
    if (!o->context)
        j->run.context = j->shape.context && j->shape.context < CONTEXT_USUAL ? j->shape.context : CONTEXT_USUAL;
    if (o->engine) {
        TRY(word_in(o->engine, engines, "--engine", &engine, err));
        j->engine_given = true;
    } else if (o->on && o->on[0] && !o->on[1] && strcmp(o->on[0], "this") == 0) {
        engine = MEMORY_TOLA;
    }
    j->run.engine = (memory_engine)engine;
    TRY(memory_weights_parse(o->dtype, &j->run.weights, err));
    TRY(take_kv(j, err));
    return take_training(j, err);
}

static tola_status take_shape(fit_job *j, tola_error *err) {
    const tola_fit_options *o = &j->o;
    if (!o->model == !o->parameters)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a model, a config.json or a number of parameters is needed");
    if (o->model) {
        TRY(shape_open(o->model, &j->shape, err));
    } else {
        if (o->active > o->parameters)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "more active parameters than there are");
        TRY(shape_of_count(o->parameters, o->active, &j->shape, err));
    }
    j->has_shape = true;
    return TOLA_OK;
}

/* ---- types ---- */

static tola_status append_type(fit_job *j, tola_fit_type *list, size_t *n, const char *name, double bits, bool chosen,
                               const memory_inference *run, const memory_training *train, tola_error *err) {
    memory_bytes b;
    TRY(fit_bytes(j, run, train, &b, err));
    list[*n] = (tola_fit_type){ .name = name, .bits = bits, .bytes = fit_public(&b), .chosen = chosen };
    uint32_t *counts = arena_alloc_array(&j->arena, j->fit->device_count + 1, sizeof *counts);
    if (!counts) return err_nomem(err, "counting what fits");
    list[(*n)++].counts = counts;
    for (size_t i = 0; i < j->fit->device_count; i++) {
        const tola_fit_device *f = &j->fit->devices[i];
        const device d = { .usable = f->usable, .overhead = f->overhead };
        counts[i] = fit_count_of(&d, &b);
    }
    return TOLA_OK;
}

static tola_status training_types(fit_job *j, tola_error *err) {
    static const struct {
        const char *name;
        memory_method method;
        memory_recompute recompute;
    } ways[] = {
        { "full", MEMORY_FULL, MEMORY_KEEP_ALL },   { "full, recomputed", MEMORY_FULL, MEMORY_RECOMPUTE_LAYERS },
        { "lora", MEMORY_LORA, MEMORY_KEEP_ALL },   { "lora, recomputed", MEMORY_LORA, MEMORY_RECOMPUTE_LAYERS },
        { "qlora", MEMORY_QLORA, MEMORY_KEEP_ALL }, { "qlora, recomputed", MEMORY_QLORA, MEMORY_RECOMPUTE_LAYERS }
    };
    const size_t most = sizeof ways / sizeof *ways;
    tola_fit_type *list = arena_alloc_array(&j->arena, most + 1, sizeof *list);
    size_t n = 0;
    if (!list) return err_nomem(err, "counting what fits");
    bool chosen = false;
    for (size_t i = 0; i < most; i++) {
        memory_training t = j->train;
        const bool same = t.method == ways[i].method && t.recompute == ways[i].recompute;
        t.method = ways[i].method;
        t.recompute = ways[i].recompute;
        if (j->train.method != t.method) memset(&t.base, 0, sizeof t.base);
        chosen = chosen || same;
        TRY(append_type(j, list, &n, ways[i].name, 0, same, &j->run, &t, err));
    }
    if (!chosen) TRY(append_type(j, list, &n, "as asked", 0, true, &j->run, &j->train, err));
    j->fit->types = list;
    j->fit->type_count = n;
    return TOLA_OK;
}

static tola_status types(fit_job *j, tola_error *err) {
    static const char *const nominal[] = { "fp32", "fp16", "int8", "int4" };
    size_t words = 0, n = 0;
    while (memory_weights_words[words]) words++;
    if (j->training) return training_types(j, err);
    tola_fit_type *list = arena_alloc_array(&j->arena, words + 8, sizeof *list);
    if (!list) return err_nomem(err, "counting what fits");
    bool chosen = false;
    const bool stored = j->run.weights.stored && j->shape.stored_bits > 0;
    if (stored) {
        TRY(append_type(j, list, &n, "stored", j->shape.stored_bits, true, &j->run, &j->train, err));
        chosen = true;
    }
    for (size_t i = 0; i < 4 + words; i++) {
        const char *word = i < 4 ? nominal[i] : memory_weights_words[i - 4];
        memory_inference run = j->run;
        TRY(memory_weights_parse(word, &run.weights, err));
        if (i >= 4 && run.weights.bits == 16 && strcmp(run.weights.name, j->run.weights.name) != 0) continue;
        bool same =
            !stored && !chosen &&
            (j->run.weights.stored ? strcmp(word, "fp16") == 0 : strcmp(run.weights.name, j->run.weights.name) == 0);
        chosen = chosen || same;
        TRY(append_type(j, list, &n, word, run.weights.bits, same, &run, &j->train, err));
    }
    if (!chosen) TRY(append_type(j, list, &n, j->run.weights.name, j->run.weights.bits, true, &j->run, &j->train, err));
    j->fit->types = list;
    j->fit->type_count = n;
    return TOLA_OK;
}

/* ---- devices ---- */

static tola_status here(fit_job *j, const device **out, tola_error *err) {
    if (!j->has_here) {
        double weights = 0, kv = 0;
        if (j->training || !j->shape.language ||
            memory_decode_bytes(&j->shape, &j->run, j->run.context, &weights, &kv, NULL) != TOLA_OK)
            weights = 0;
        TRY(device_measure(j->table, weights > 0 && weights < 1e18 ? (uint64_t)weights : 1u << 28, j->o.threads,
                           &j->here, err));
        j->has_here = true;
    }
    *out = &j->here;
    return TOLA_OK;
}

static tola_status take_prices(fit_job *j, tola_error *err) {
    size_t n = 0;
    while (j->o.prices && j->o.prices[n]) n++;
    j->prices = arena_alloc_array(&j->arena, n + 1, sizeof *j->prices);
    if (!j->prices) return err_nomem(err, "counting what fits");
    for (size_t i = 0; i < n; i++) {
        const char *text = j->o.prices[i], *equals = strrchr(text, '=');
        char *name = equals ? arena_strndup(&j->arena, text, (size_t)(equals - text)) : NULL;
        double usd = 0;
        const device *d;
        uint32_t count;
        if (!equals || !json_decimal(equals + 1, &usd) || !(usd > 0) || usd > 1e6)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                           "--price: '%.60s' is not DEVICE=USD, dollars an hour above 0", text);
        if (!name) return err_nomem(err, "counting what fits");
        if (strcmp(name, "this") == 0)
            TRY(here(j, &d, err));
        else
            TRY(devices_find(j->table, name, &d, &count, err));
        j->prices[j->n_prices++] = (fit_price){ d, usd };
    }
    return TOLA_OK;
}

static tola_status devices_asked(fit_job *j, tola_error *err) {
    size_t most = 0, n = 0;
    for (size_t i = 0; j->o.on && j->o.on[i]; i++) most += strcmp(j->o.on[i], "all") == 0 ? devices_count(j->table) : 1;
    tola_fit_device *list = arena_alloc_array(&j->arena, most + 1, sizeof *list);
    if (!list) return err_nomem(err, "counting what fits");
    for (size_t i = 0; j->o.on && j->o.on[i]; i++) {
        const char *name = j->o.on[i];
        const device *d;
        uint32_t asked = 0;
        if (strcmp(name, "all") == 0) {
            for (size_t k = 0; k < devices_count(j->table); k++)
                TRY(fit_device(j, devices_at(j->table, k), 1, true, &list[n++], err));
            continue;
        }
        if (strcmp(name, "this") == 0)
            TRY(here(j, &d, err));
        else
            TRY(devices_find(j->table, name, &d, &asked, err));
        TRY(fit_device(j, d, asked, true, &list[n], err));
        j->fit->fits = j->fit->fits || list[n].fits;
        if (d->measured && list[n].fits && list[n].needed > d->available)
            TRY(note(j, err, "this machine has %.2f GB free now, less than the %.2f GB that are needed",
                         (double)d->available / 1e9, (double)list[n].needed / 1e9));
        n++;
    }
    for (size_t i = 0; i < n; i++) j->fit->fits = j->fit->fits || list[i].fits;
    if (!n) j->fit->fits = true;
    j->fit->devices = list;
    j->fit->device_count = n;
    return TOLA_OK;
}

static int by_price(const void *a, const void *b) {
    const tola_fit_device *x = a, *y = b;
    if (x->usd_hour != y->usd_hour) return x->usd_hour < y->usd_hour ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Of every device with a price as many as it takes, by what they cost an hour. */
static tola_status cheapest(fit_job *j, tola_error *err) {
    tola_fit_device *list = arena_alloc_array(&j->arena, devices_count(j->table) + 1, sizeof *list);
    size_t n = 0;
    if (!list) return err_nomem(err, "counting what fits");
    for (size_t i = 0; i < devices_count(j->table); i++) {
        const device *d = devices_at(j->table, i);
        tola_fit_device *f = &list[n];
        TRY(fit_device(j, d, 1, false, f, err));
        const bool alone = strcmp(d->kind, "cpu") == 0 || strcmp(d->kind, "soc") == 0;
        if (!(f->usd_hour > 0) || !f->count || f->count > (alone ? 1 : CHEAPEST_DEVICES)) continue;
        if (!j->training && j->shape.language && f->decode.tokens_per_s < CHEAPEST_RATE) continue;
        f->asked = f->count;
        f->fits = true;
        n++;
    }
    qsort(list, n, sizeof *list, by_price);
    j->fit->cheapest = list;
    j->fit->cheapest_count = n < CHEAPEST ? n : CHEAPEST;
    return TOLA_OK;
}

/* ---- all of it ---- */

static tola_status describe(fit_job *j, tola_error *err) {
    tola_fit *f = j->fit;
    const model_shape *s = &j->shape;
    memory_bytes b;
    TRY(fit_bytes(j, &j->run, &j->train, &b, err));
    f->bytes = fit_public(&b);
    f->name = j->o.model ? s->name : NULL;
    f->family = s->family;
    f->language = s->language;
    f->parameters = s->parameters;
    f->active = s->active;
    f->layers = s->layer_count;
    f->own_context = s->context;
    f->stored = s->stored;
    f->dtype = j->run.weights.name;
    f->bits = j->run.weights.stored ? (s->stored_bits > 0 ? s->stored_bits : 16) : j->run.weights.bits;
    f->context = j->training ? j->train.context : j->run.context;
    f->batch = j->o.batch;
    f->prompt = j->o.prompt;
    f->behind = j->training ? 0 : fit_behind(j);
    f->kv_token = j->training ? 0 : memory_kv_token(s, &j->run);
    f->train = j->o.train;
    f->trained = j->training ? memory_trained(s, &j->train) : 0;
    f->ratio = j->o.ratio;
    f->utilisation = j->o.utilisation;
    f->api_mtok = (j->o.ratio * j->o.api_in + j->o.api_out) / (1 + j->o.ratio);
    f->table = devices_version(j->table);
    for (size_t i = 0; i < s->note_count; i++) TRY(note(j, err, "%s", s->notes[i]));
    if (s->context && j->o.context > s->context)
        TRY(note(j, err, "the model was made for contexts of %llu tokens, not %llu", (unsigned long long)s->context,
                     (unsigned long long)j->o.context));
    return TOLA_OK;
}

static tola_status compute(fit_job *j, tola_error *err) {
    TRY(take_shape(j, err));
    TRY(take_options(j, err));
    TRY(devices_open(j->o.devices, &j->table, err));
    TRY(take_prices(j, err));
    TRY(describe(j, err));
    TRY(devices_asked(j, err));
    TRY(types(j, err));
    TRY(cheapest(j, err));
    TRY(fit_formulas(j, err));
    j->fit->notes = j->notes;
    j->fit->note_count = j->n_notes;
    return TOLA_OK;
}

static void job_free(fit_job *j) {
    if (j->has_shape) shape_dispose(&j->shape);
    devices_free(j->table);
    arena_free(&j->arena);
    mem_free(j->fit);
    mem_free(j);
}

static tola_status job_new(const tola_fit_options *options, fit_job **out, tola_error *err) {
    fit_job *j = mem_calloc(1, sizeof *j);
    if (!j) return err_nomem(err, "counting what fits");
    j->o = (tola_fit_options)TOLA_FIT_OPTIONS_INIT;
    arena_init(&j->arena, 0);
    j->fit = mem_calloc(1, sizeof *j->fit);
    tola_status status = j->fit ? options_take(&j->o, sizeof j->o, options, err) : err_nomem(err, "counting what fits");
    if (status != TOLA_OK) {
        job_free(j);
        return status;
    }
    j->fit->size = sizeof *j->fit;
    j->fit->owner = j;
    *out = j;
    return TOLA_OK;
}

tola_status tola_fit_compute(const tola_fit_options *options, tola_fit **out, tola_error *err) {
    fit_job *j;
    TRY(job_new(options, &j, err));
    tola_status status = compute(j, err);
    if (status == TOLA_OK)
        *out = j->fit;
    else
        job_free(j);
    return status;
}

static tola_status list_devices(fit_job *j, const char *file, tola_error *err) {
    TRY(devices_open(file, &j->table, err));
    const size_t n = devices_count(j->table);
    tola_fit_device *list = arena_alloc_array(&j->arena, n + 1, sizeof *list);
    if (!list) return err_nomem(err, "listing devices");
    for (size_t i = 0; i < n; i++) fit_fill_device(devices_at(j->table, i), &list[i]);
    j->fit->devices = list;
    j->fit->device_count = n;
    j->fit->table = devices_version(j->table);
    return TOLA_OK;
}

tola_status tola_fit_devices(const char *file, tola_fit **out, tola_error *err) {
    fit_job *j;
    TRY(job_new(NULL, &j, err));
    tola_status status = list_devices(j, file, err);
    if (status == TOLA_OK)
        *out = j->fit;
    else
        job_free(j);
    return status;
}

tola_status tola_fit_prompt(const tola_checkpoint *model, uint64_t tokens, double *operations, tola_error *err) {
    model_shape shape;
    if (tokens == 0) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a prompt of no tokens");
    TRY(shape_of_checkpoint(model, &shape, err));
    *operations = memory_prefill_operations(&shape, tokens);
    const bool reads = shape.language && *operations > 0;
    shape_dispose(&shape);
    return reads ? TOLA_OK : err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "the model reads no text");
}

void tola_fit_free(tola_fit *fit) {
    if (fit) job_free(fit->owner);
}
