/* tola fit --json: tola.fit/1. */
#include <string.h>

#include "fit.h"

/* null where it is unknown */
static void number(tola_json *j, const char *key, double value) {
    tola_json_key(j, key);
    if (value > 0)
        tola_json_f64(j, value);
    else
        tola_json_null(j);
}

static void bytes(tola_json *j, const tola_fit_bytes *b) {
    tola_json_key(j, "bytes");
    tola_json_begin_object(j);
    out_json_u64(j, "weights", b->weights);
    out_json_u64(j, "kv", b->kv);
    out_json_u64(j, "compute", b->compute);
    out_json_u64(j, "gradients", b->gradients);
    out_json_u64(j, "optimizer", b->optimizer);
    out_json_u64(j, "activations", b->activations);
    out_json_u64(j, "total", b->total);
    tola_json_end_object(j);
}

static void rate(tola_json *j, const char *key, const tola_fit_rate *r) {
    tola_json_key(j, key);
    tola_json_begin_object(j);
    out_json_f64(j, "bytes", r->bytes);
    out_json_f64(j, "operations", r->operations);
    out_json_f64(j, "bandwidth_bytes_per_s", r->bandwidth);
    out_json_f64(j, "operations_per_s", r->peak);
    out_json_f64(j, "link_s", r->link_s);
    out_json_f64(j, "wait_s", r->wait_s);
    out_json_string(j, "bound", r->bound);
    tola_json_end_object(j);
}

static void device_facts(tola_json *j, const tola_fit_device *d) {
    out_json_string(j, "title", d->title);
    out_json_string(j, "kind", d->kind);
    out_json_u64(j, "memory_bytes", d->memory);
    out_json_u64(j, "usable_bytes", d->usable);
    out_json_u64(j, "overhead_bytes", d->overhead);
    if (d->measured) out_json_u64(j, "available_bytes", d->available);
    out_json_f64(j, "bandwidth_bytes_per_s", d->bandwidth);
    number(j, "watts", d->watts);
    number(j, "usd_per_hour", d->usd_hour);
    out_json_bool(j, "from_purchase_price", d->bought);
    out_json_string(j, "price_date", d->price_date);
    out_json_string(j, "price_source", d->price_source);
    out_json_string(j, "source", d->source);
}

static void device(tola_json *j, const tola_fit *f, const tola_fit_device *d) {
    tola_json_begin_object(j);
    out_json_string(j, "name", d->name);
    out_json_bool(j, "fits", d->fits);
    tola_json_key(j, "count");
    if (d->count)
        tola_json_u64(j, d->count);
    else
        tola_json_null(j);
    number(j, "decode_tokens_per_s", d->decode.tokens_per_s);
    number(j, "prefill_tokens_per_s", d->prefill.tokens_per_s);
    out_json_u64(j, "asked", d->asked);
    out_json_count(j, "tensor_parallel", d->parallel);
    out_json_u64(j, "needed_bytes", d->needed);
    if (f->train) {
        number(j, "step_s", d->step_s);
    } else {
        out_json_count(j, "largest_context", d->largest_context);
        out_json_string(j, "best_dtype", d->best_type);
        number(j, "best_dtype_bits", d->best_bits);
        out_json_bool(j, "estimate", !d->own);
        out_json_f64(j, "decode_share", d->decode_share);
        out_json_f64(j, "prefill_share", d->prefill_share);
        out_json_string(j, "peak", d->peak);
        rate(j, "decode", &d->decode);
        rate(j, "prefill", &d->prefill);
        number(j, "usd_per_mtok_in", d->usd_mtok_in);
        number(j, "usd_per_mtok_out", d->usd_mtok_out);
        number(j, "usd_per_mtok", d->usd_mtok);
        number(j, "capacity_tokens_per_month", d->capacity);
        if (f->api_mtok > 0) number(j, "break_even_tokens_per_month", d->break_even);
    }
    device_facts(j, d);
    tola_json_end_object(j);
}

static void devices(tola_json *j, const tola_fit *f, const char *key, const tola_fit_device *list, size_t n) {
    tola_json_key(j, key);
    tola_json_begin_array(j);
    for (size_t i = 0; i < n; i++) device(j, f, &list[i]);
    tola_json_end_array(j);
}

/* h100 and 8xh100: the number that is needed is the same. */
static bool named_before(const tola_fit *f, size_t k) {
    for (size_t i = 0; i < k; i++)
        if (strcmp(f->devices[i].name, f->devices[k].name) == 0) return true;
    return false;
}

static void types(tola_json *j, const tola_fit *f) {
    tola_json_key(j, "types");
    tola_json_begin_array(j);
    for (size_t i = 0; i < f->type_count; i++) {
        const tola_fit_type *t = &f->types[i];
        tola_json_begin_object(j);
        out_json_string(j, f->train ? "method" : "dtype", t->name);
        number(j, "bits_per_weight", t->bits);
        out_json_bool(j, "chosen", t->chosen);
        bytes(j, &t->bytes);
        tola_json_key(j, "counts");
        tola_json_begin_object(j);
        for (size_t k = 0; k < f->device_count; k++)
            if (!named_before(f, k)) out_json_count(j, f->devices[k].name, t->counts[k]);
        tola_json_end_object(j);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
}

static void formulas(tola_json *j, const tola_fit *f) {
    tola_json_key(j, "formulas");
    tola_json_begin_array(j);
    for (size_t i = 0; i < f->formula_count; i++) {
        tola_json_begin_object(j);
        out_json_string(j, "what", f->formulas[i].what);
        out_json_string(j, "formula", f->formulas[i].formula);
        out_json_string(j, "source", f->formulas[i].source);
        out_json_bool(j, "estimate", f->formulas[i].estimate);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
}

void fit_write_json(const tola_fit *f) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.fit/1");
    out_json_string(&j, "name", f->name ? fit_shown(f) : NULL);
    out_json_string(&j, "family", f->family);
    out_json_bool(&j, "fits", f->fits);
    tola_json_key(&j, "parameters");
    tola_json_begin_object(&j);
    out_json_u64(&j, "total", f->parameters);
    out_json_u64(&j, "active", f->active);
    if (f->train) out_json_u64(&j, "trained", f->trained);
    tola_json_end_object(&j);
    out_json_count(&j, "layers", f->layers);
    out_json_string(&j, "dtype", f->dtype);
    out_json_string(&j, "stored", f->stored);
    out_json_f64(&j, "bits_per_weight", f->bits);
    out_json_string(&j, "train", f->train);
    out_json_u64(&j, "context", f->context);
    out_json_count(&j, "context_length", f->own_context);
    out_json_u64(&j, "batch", f->batch);
    out_json_u64(&j, "prompt", f->prompt);
    out_json_u64(&j, "decode_behind", f->behind);
    out_json_string(&j, "rates_of", f->language ? "tokens" : "examples");
    out_json_f64(&j, "kv_bytes_per_token", f->kv_token);
    bytes(&j, &f->bytes);
    devices(&j, f, "devices", f->devices, f->device_count);
    devices(&j, f, "cheapest", f->cheapest, f->cheapest_count);
    types(&j, f);
    number(&j, "api_usd_per_mtok", f->api_mtok);
    out_json_f64(&j, "tokens_in_per_out", f->ratio);
    out_json_f64(&j, "utilisation", f->utilisation);
    formulas(&j, f);
    out_json_string(&j, "device_table", f->table);
    tola_json_key(&j, "notes");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < f->note_count; i++) tola_json_string(&j, f->notes[i]);
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

void fit_write_devices(const tola_fit *f) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.devices/1");
    out_json_string(&j, "version", f->table);
    tola_json_key(&j, "devices");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < f->device_count; i++) {
        tola_json_begin_object(&j);
        out_json_string(&j, "name", f->devices[i].name);
        device_facts(&j, &f->devices[i]);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}
