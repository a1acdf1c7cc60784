/* One device: how many, how fast, what else fits on it, what it costs. */
#include <math.h>
#include <string.h>

#include "policy/fit_inside.h"

#define HOURS_A_MONTH 730.0

tola_fit_bytes fit_public(const memory_bytes *b) {
    return (tola_fit_bytes){ b->weights, b->kv, b->compute, b->gradients, b->optimizer, b->activations, b->total };
}

tola_status fit_bytes(const fit_job *j, const memory_inference *run, const memory_training *train, memory_bytes *out,
                      tola_error *err) {
    return j->training ? memory_of_training(&j->shape, train, out, err) : memory_of_inference(&j->shape, run, out, err);
}

/* Weights, cache and what belongs to weights are split (ZeRO stage 3, https://arxiv.org/abs/1910.02054), and the
 * activations of training by examples, then within them (tensor and sequence parallelism,
 * https://arxiv.org/abs/2205.05198); scratch is needed on each. */
static uint64_t bytes_each(const device *d, const memory_bytes *b, uint32_t n) {
    const uint64_t split = b->weights / n + b->kv / n + b->gradients / n + b->optimizer / n + b->activations / n;
    return split + (n > 1 ? 4 : 0) + b->compute + d->overhead;
}

uint32_t fit_count_of(const device *d, const memory_bytes *b) {
    uint32_t low = 1, high = 1;
    while (bytes_each(d, b, high) > d->usable) {
        if (high >= FIT_MOST_DEVICES) return 0;
        low = high + 1;
        high *= 2;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_each(d, b, middle) > d->usable)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t fit_behind(const fit_job *j) {
    return j->o.context || j->o.prompt > j->run.context ? j->run.context : j->o.prompt;
}

/* The next number that all heads can be shared out to evenly. */
static uint32_t parallel_of(const model_shape *s, uint32_t count) {
    uint64_t heads = 0;
    for (size_t i = 0; i < s->layer_rows; i++)
        if (s->layers[i].heads > 0 && (heads == 0 || s->layers[i].heads < heads)) heads = s->layers[i].heads;
    for (uint64_t n = count; count && n <= heads; n++)
        if (heads % n == 0) return (uint32_t)n;
    return 0;
}

/* ---- what else fits ---- */

typedef struct asking {
    const fit_job *job;
    const device *device;
    uint32_t n;
    memory_inference run;
} asking;

static bool fits(const asking *a) {
    memory_bytes b;
    if (memory_of_inference(&a->job->shape, &a->run, &b, NULL) != TOLA_OK) return false;
    return bytes_each(a->device, &b, a->n) <= a->device->usable;
}

static uint64_t largest_context(asking a) {
    const uint64_t own = a.job->shape.context;
    uint64_t low = 0, high = own ? own : TOLA_FIT_MOST_CONTEXT;
    while (low < high) { /* low fits, or is 0 */
        a.run.context = low + (high - low + 1) / 2;
        if (fits(&a))
            low = a.run.context;
        else
            high = a.run.context - 1;
    }
    return low;
}

static void best_type(asking a, tola_fit_device *out) {
    for (const char *const *word = memory_weights_words; *word; word++) {
        if (memory_weights_parse(*word, &a.run.weights, NULL) != TOLA_OK || !fits(&a)) continue;
        out->best_type = *word;
        out->best_bits = a.run.weights.bits;
        return;
    }
}

/* ---- money ---- */

static void economics(const fit_job *j, const device *d, uint32_t n, tola_fit_device *out) {
    double hour = d->usd_hour;
    for (size_t i = 0; i < j->n_prices; i++) {
        if (j->prices[i].device != d) continue;
        hour = j->prices[i].usd_hour;
        out->bought = false;
        out->price_date = NULL;
        out->price_source = "--price";
    }
    out->usd_hour = hour * n;
    if (!(hour > 0) || j->training) return;
    const double busy = 3600 * j->o.utilisation, in = out->prefill.tokens_per_s, each = out->decode.tokens_per_s;
    if (!(in > 0 && each > 0)) return;
    out->usd_mtok_in = out->usd_hour / (busy * in) * 1e6;
    out->usd_mtok_out = out->usd_hour / (busy * each) * 1e6;
    out->usd_mtok = (j->o.ratio * out->usd_mtok_in + out->usd_mtok_out) / (1 + j->o.ratio);
    out->capacity = HOURS_A_MONTH * busy * (1 + j->o.ratio) / (j->o.ratio / in + 1 / each);
    const double api = (j->o.ratio * j->o.api_in + j->o.api_out) / (1 + j->o.ratio);
    if (!(api > 0)) return;
    double tokens = out->usd_hour * HOURS_A_MONTH / api * 1e6;
    if (tokens <= out->capacity) out->break_even = tokens;
}

/* ---- the figures ---- */

void fit_fill_device(const device *d, tola_fit_device *out) {
    *out = (tola_fit_device){ .name = d->name,
                              .title = d->title,
                              .kind = d->kind,
                              .source = d->source,
                              .memory = d->memory,
                              .usable = d->usable,
                              .overhead = d->overhead,
                              .available = d->measured ? d->available : 0,
                              .measured = d->measured,
                              .bandwidth = d->bandwidth,
                              .watts = d->watts,
                              .decode_share = d->decode,
                              .prefill_share = d->prefill,
                              .usd_hour = d->usd_hour,
                              .bought = d->bought,
                              .price_date = d->price_date,
                              .price_source = d->price_source };
}

static tola_fit_rate rate_of(const roofline_side *s) {
    return (tola_fit_rate){ s->rate, s->bytes, s->operations, s->bandwidth, s->peak, s->link, s->wait, s->bound };
}

tola_status fit_device(const fit_job *j, const device *d, uint32_t asked, bool deep, tola_fit_device *out,
                       tola_error *err) {
    tola_fit_device r;
    memory_bytes b;
    memory_inference run = j->run;
    roofline roof;
    if (d->measured && !j->engine_given) run.engine = MEMORY_TOLA;
    TRY(fit_bytes(j, &run, &j->train, &b, err));
    fit_fill_device(d, &r);
    r.asked = asked ? asked : 1;
    r.count = fit_count_of(d, &b);
    r.fits = r.count > 0 && r.count <= r.asked;
    r.parallel = d->measured || j->shape.from == SHAPE_FROM_COUNT ? 0 : parallel_of(&j->shape, r.count);
    const uint32_t n = r.count > r.asked ? r.count : r.asked;
    r.needed = bytes_each(d, &b, n);
    if (j->training) {
        const uint64_t batch = j->train.batch ? j->train.batch : 1;
        r.step_s =
            r.count ? roofline_training(&j->shape, &j->train, j->table, d, n, (double)batch * (double)j->train.context)
                    : 0;
    } else {
        TRY(roofline_of(&j->shape, &run, j->table, d, n, j->o.prompt, fit_behind(j), &roof, err));
        r.decode_share = roof.decode_share;
        r.prefill_share = roof.prefill_share;
        r.peak = roof.peak;
        r.own = roof.own;
        if (r.count) {
            r.decode = rate_of(&roof.decode);
            r.prefill = rate_of(&roof.prefill);
        }
        asking a = { j, d, r.asked, run };
        if (deep && j->shape.language) r.largest_context = largest_context(a);
        if (deep) best_type(a, &r);
    }
    economics(j, d, n, &r);
    *out = r;
    return TOLA_OK;
}
