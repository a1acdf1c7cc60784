#include "policy/roofline.h"

#include <string.h>
#include <strings.h>

#define LINK_UNKNOWN 32e9 /* PCIe 4.0 x8, both directions */

static bool begins(const char *text, const char *with) { return strncasecmp(text, with, strlen(with)) == 0; }

/* How weights are written and how many bits they take. */
typedef struct kept {
    const char *type;
    double bits;
} kept;

static kept how_kept(const model_shape *shape, const memory_weights *w) {
    if (w->name[0] && !w->stored) return (kept){ w->name, w->bits };
    if (shape->stored_bits > 0) return (kept){ shape->stored ? shape->stored : "", shape->stored_bits };
    return (kept){ shape->stored ? shape->stored : "bf16", 16 };
}

/* The peaks that products in that type can reach, best first. Types below 8 bits but those of floats are unpacked to 16
 * bits before they are multiplied, so that they take less memory and no fewer operations. */
static const device_peak *order_of(kept k) {
    static const device_peak wide[] = { DEVICE_F32, DEVICE_TF32, DEVICE_BF16, DEVICE_F16, DEVICE_PEAKS };
    static const device_peak half[] = { DEVICE_F16, DEVICE_BF16, DEVICE_TF32, DEVICE_F32, DEVICE_PEAKS };
    static const device_peak brain[] = { DEVICE_BF16, DEVICE_F16, DEVICE_TF32, DEVICE_F32, DEVICE_PEAKS };
    static const device_peak f8[] = { DEVICE_F8, DEVICE_BF16, DEVICE_F16, DEVICE_TF32, DEVICE_F32, DEVICE_PEAKS };
    static const device_peak i8[] = { DEVICE_I8, DEVICE_BF16, DEVICE_F16, DEVICE_TF32, DEVICE_F32, DEVICE_PEAKS };
    static const device_peak f4[] = { DEVICE_F4,   DEVICE_F8,  DEVICE_BF16, DEVICE_F16,
                                      DEVICE_TF32, DEVICE_F32, DEVICE_PEAKS };
    if (begins(k.type, "nvfp4") || begins(k.type, "mxfp4") || begins(k.type, "fp4")) return f4;
    if (begins(k.type, "fp8") || begins(k.type, "f8")) return f8;
    if (begins(k.type, "f16") || begins(k.type, "fp16")) return half;
    if (k.bits > 17) return wide;
    if (k.bits > 7 && k.bits < 10) return i8;
    return brain;
}

static device_peak peak_for(const device *d, kept k) {
    const device_peak *p = order_of(k);
    while (*p != DEVICE_PEAKS && !(d->peaks[*p] > 0)) p++;
    return *p;
}

#define LINK_START 1e-5 /* seconds until devices have heard of each other */

/* After attention and after the feed-forward, the parts of a row that devices have summed go round: 2 (n-1)/n rows of
 * 16 bits each (ring all-reduce), over the link one way. */
static double between(const model_shape *shape, const device *d, uint32_t n, double rows) {
    if (n < 2) return 0;
    double link = d->link > 0 ? d->link : LINK_UNKNOWN;
    const double bytes = 2 * (double)(n - 1) / n * (double)shape->width * 2 * rows;
    return 2 * (double)shape->layer_count * (bytes / (link / 2) + LINK_START);
}

static void finish(roofline_side *s, double tokens) {
    double moving = s->bandwidth > 0 ? s->bytes / s->bandwidth : 0;
    double computing = s->peak > 0 ? s->operations / s->peak : 0;
    double seconds = moving > computing ? moving : computing;
    s->bound = moving >= computing ? "bandwidth" : "operations";
    if (s->link > seconds) s->bound = "link";
    if (s->wait > seconds && s->wait > s->link) s->bound = "latency";
    seconds += s->link + s->wait;
    s->rate = seconds > 0 && s->bandwidth > 0 ? tokens / seconds : 0;
}

tola_status roofline_of(const model_shape *shape, const memory_inference *o, const devices *table, const device *d,
                        uint32_t count, uint64_t prompt, uint64_t behind, roofline *out, tola_error *err) {
    roofline r = { .decode_share = d->decode, .prefill_share = d->prefill };
    const kept k = how_kept(shape, &o->weights);
    const double batch = o->batch ? (double)o->batch : 1, n = count ? count : 1;
    const double together = n > 1 ? n * d->parallel : 1;
    device_kernel own;
    double peak;
    if (d->measured && devices_kernel(table, d, k.type, k.bits, &own)) {
        r.own = true;
        r.decode_share = own.decode;
        r.prefill_share = own.prefill;
        r.peak = own.peak;
        peak = own.limit;
    } else {
        device_peak p = peak_for(d, k);
        r.peak = p == DEVICE_PEAKS ? "unknown" : device_peak_name(p);
        peak = p == DEVICE_PEAKS ? 0 : d->peaks[p];
    }
    r.decode.bandwidth = r.prefill.bandwidth = d->bandwidth * r.decode_share * together;
    r.decode.peak = r.prefill.peak = peak * r.prefill_share * together;
    if (shape->language) {
        double weights, kv;
        TRY(memory_decode_bytes(shape, o, behind, &weights, &kv, err));
        r.decode.bytes = weights + kv;
        r.decode.operations = batch * memory_decode_operations(shape, behind);
        r.decode.link = between(shape, d, count, batch);
        r.decode.wait = (double)shape->layer_count * d->layer_s;
        finish(&r.decode, batch);
    }
    if (!shape->language || prompt == 0) prompt = shape->language ? 512 : (uint64_t)batch;
    /* an encoder of texts sees as many tokens at once as its context has; they are one example */
    const bool texts = !shape->language && shape->vocabulary > 0 && shape->example_operations == 0;
    const uint64_t each = texts ? memory_context(shape, o) : 1;
    const uint64_t rows = prompt > UINT64_MAX / each ? UINT64_MAX : each * prompt;
    TRY(memory_prefill_bytes(shape, o, rows, &r.prefill.bytes, err));
    r.prefill.operations = texts ? (double)prompt * memory_prefill_operations(shape, each)
                                 : memory_prefill_operations(shape, prompt);
    r.prefill.link = shape->language ? between(shape, d, count, (double)prompt) : 0;
    r.prefill.wait = (double)shape->layer_count * d->layer_s;
    finish(&r.prefill, (double)prompt);
    *out = r;
    return TOLA_OK;
}

double roofline_training(const model_shape *shape, const memory_training *o, const devices *table, const device *d,
                         uint32_t count, double tokens) {
    const char *type = o->f32 ? "f32" : "bf16";
    const double bits = o->f32 ? 32 : 16, n = count ? count : 1;
    const device_peak p = peak_for(d, (kept){ type, bits });
    device_kernel own;
    double peak = p == DEVICE_PEAKS ? 0 : d->peaks[p] * d->prefill;
    if (d->measured && devices_kernel(table, d, type, bits, &own)) peak = own.limit * own.prefill;
    if (!(peak > 0) || !shape->language) return 0;
    const double factor = (o->method == MEMORY_FULL ? 6 : 4) + (o->recompute == MEMORY_RECOMPUTE_LAYERS ? 2 : 0);
    const double matrices = (double)shape->active - (double)(shape->tied ? 0 : shape->embedding);
    return factor * matrices * tokens / (peak * (n > 1 ? n * d->parallel : 1));
}
