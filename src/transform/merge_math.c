/* The methods of merging, in blocks of elements. Formulas are those of mergekit 0.1.5
 * (https://github.com/arcee-ai/mergekit) and the papers that it names: task arithmetic arXiv 2212.04089, TIES
 * 2306.01708, DARE 2311.03099, model stock 2403.19522. PyTorch rounds each step to the type of its tensors; so is done
 * here, with sums in f64. */
#include <math.h>
#include <string.h>

#include "base/mix.h"
#include "codecs/codec.h"
#include "kernels/cast/cast.h"
#include "transform/merge.h"

#define BLOCK ((size_t)4096)

/* Rounds x to f16 or bf16 and back; f32 stays. */
static void round_block(tola_dtype dtype, float *x, size_t n) {
    uint16_t narrow[BLOCK];
    const cast_kernels *k = cast_get();
    if (dtype == TOLA_DTYPE_BF16) {
        k->f32_to_bf16(x, narrow, n, false);
        k->bf16_to_f32(narrow, x, n, false);
    } else if (dtype == TOLA_DTYPE_F16) {
        k->f32_to_f16(x, narrow, n, false);
        k->f16_to_f32(narrow, x, n, false);
    }
}

static float rounded(tola_dtype dtype, double value) {
    float x = (float)value;
    round_block(dtype, &x, 1);
    return x;
}

/* Where PyTorch sums over whole tensors, its f32 leaves the last bits open; there f64 is kept until the result. */
static double settled(tola_dtype dtype, double value) {
    return dtype == TOLA_DTYPE_F32 ? value : (double)rounded(dtype, value);
}

static void settle_block(tola_dtype dtype, double *x, size_t n) {
    float narrow[BLOCK];
    if (dtype == TOLA_DTYPE_F32) return;
    for (size_t i = 0; i < n; i++) narrow[i] = (float)x[i];
    round_block(dtype, narrow, n);
    for (size_t i = 0; i < n; i++) x[i] = narrow[i];
}

/* ---- reading ---- */

/* n <= BLOCK elements of an input, in the type that is worked in. */
static tola_status load(const merge_tensor *t, size_t input, uint64_t first, size_t n, float *out, tola_error *err) {
    const merge_input *in = &t->inputs[input];
    const tola_tensor_info *info = tola_checkpoint_tensor(in->in, in->tensor);
    uint8_t raw[BLOCK * 4];
    size_t width = tola_dtype_block_bytes((tola_dtype)info->dtype);
    TRY(tola_checkpoint_read(in->in, in->tensor, first * width, raw, n * width, err));
    TRY(codec_convert((tola_dtype)info->dtype, TOLA_DTYPE_F32, raw, out, n, TOLA_OVERFLOW_IEEE, NULL));
    if (info->dtype != t->work) round_block(t->work, out, n);
    return TOLA_OK;
}

/* ---- what is kept of a difference ---- */

static bool drops_randomly(merge_method m) { return m == MERGE_DARE_LINEAR || m == MERGE_DARE_TIES; }

static bool is_dense(const merge_tensor *t, const merge_input *in) {
    return in->density >= 1 || !(t->method == MERGE_TIES || drops_randomly(t->method));
}

/* Zeros where nothing is kept. */
static void drop(const merge_tensor *t, const merge_input *in, uint64_t first, size_t n, float *delta) {
    if (is_dense(t, in)) return;
    uint64_t bound = in->density > 0 ? (uint64_t)(in->density * 0x1p53) : 0;
    for (size_t i = 0; i < n; i++) {
        float size = fabsf(delta[i]);
        bool kept = drops_randomly(t->method) ? mix_u64(in->seed + first + i) >> 11 < bound
                                              : size > in->cut || (size == in->cut && first + i <= in->last);
        if (!kept) delta[i] = 0;
    }
}

/* x - base, with what is dropped and multiplied. `base` is the block of the base. */
static tola_status load_delta(const merge_tensor *t, size_t input, const float *base, uint64_t first, size_t n,
                              bool sparse, float *out, tola_error *err) {
    TRY(load(t, input, first, n, out, err));
    for (size_t i = 0; i < n; i++) out[i] -= base[i];
    round_block(t->work, out, n);
    if (!sparse) return TOLA_OK;
    const merge_input *in = &t->inputs[input];
    drop(t, in, first, n, out);
    if (in->rescale == 1) return TOLA_OK;
    for (size_t i = 0; i < n; i++) out[i] = (float)(out[i] * in->rescale);
    round_block(t->work, out, n);
    return TOLA_OK;
}

/* ---- preparing ---- */

/* Calls `take` with each block of an input's difference to the base. */
typedef void (*take_fn)(void *user, const float *delta, uint64_t first, size_t n);
static tola_status each_delta(const merge_tensor *t, size_t input, bool sparse, take_fn take, void *user,
                              tola_error *err) {
    float base[BLOCK], delta[BLOCK];
    for (uint64_t at = 0; at < t->elements; at += BLOCK) {
        size_t n = t->elements - at < BLOCK ? (size_t)(t->elements - at) : BLOCK;
        TRY(load(t, t->base, at, n, base, err));
        TRY(load_delta(t, input, base, at, n, sparse, delta, err));
        take(user, delta, at, n);
    }
    return TOLA_OK;
}

/* Magnitudes by their bits, which order as they do: first the upper 16, then the lower ones below one upper half. */
typedef struct ranking {
    uint64_t *counts; /* [65536] */
    uint32_t upper;
    bool lower;
    float cut;
    uint64_t left, last;
} ranking;

static uint32_t magnitude_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits & 0x7fffffff;
}

static void count_magnitudes(void *user, const float *delta, uint64_t first, size_t n) {
    ranking *r = user;
    (void)first;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = magnitude_bits(delta[i]);
        if (!r->lower)
            r->counts[bits >> 16]++;
        else if (bits >> 16 == r->upper)
            r->counts[bits & 0xffff]++;
    }
}

static void find_last(void *user, const float *delta, uint64_t first, size_t n) {
    ranking *r = user;
    for (size_t i = 0; i < n && r->left > 0; i++)
        if (fabsf(delta[i]) == r->cut) {
            r->last = first + i;
            r->left--;
        }
}

/* The bin in which the k-th largest lies; *left of it are wanted. */
static uint32_t find_bin(const uint64_t *counts, uint64_t k, uint64_t *left) {
    uint32_t bin = 65535;
    for (; bin > 0 && counts[bin] < k; bin--) k -= counts[bin];
    *left = k;
    return bin;
}

/* The k largest magnitudes are kept; of equal ones those that come first. */
static tola_status find_cut(const merge_tensor *t, size_t input, merge_input *in, tola_error *err) {
    uint64_t k = (uint64_t)(in->density * (double)t->elements);
    if (k == 0) k = 1;
    ranking r = { .counts = mem_calloc(65536, sizeof *r.counts) };
    if (!r.counts) return err_nomem(err, "merging");
    tola_status status = each_delta(t, input, false, count_magnitudes, &r, err);
    if (status == TOLA_OK) {
        r.upper = find_bin(r.counts, k, &k);
        r.lower = true;
        memset(r.counts, 0, 65536 * sizeof *r.counts);
        status = each_delta(t, input, false, count_magnitudes, &r, err);
    }
    if (status == TOLA_OK) {
        uint32_t bits = r.upper << 16 | find_bin(r.counts, k, &r.left);
        memcpy(&r.cut, &bits, 4);
        status = each_delta(t, input, false, find_last, &r, err);
    }
    mem_free(r.counts);
    in->cut = r.cut;
    in->last = r.last;
    return status;
}

static void sum_magnitudes(void *user, const float *delta, uint64_t first, size_t n) {
    double *sum = user;
    (void)first;
    for (size_t i = 0; i < n; i++) *sum += fabs(delta[i]);
}

/* The factor that gives what is kept the sum of magnitudes that there was before. */
static tola_status find_rescale(const merge_tensor *t, size_t input, merge_input *in, tola_error *err) {
    double before = 0, after = 0;
    TRY(each_delta(t, input, false, sum_magnitudes, &before, err));
    TRY(each_delta(t, input, true, sum_magnitudes, &after, err));
    double b = settled(t->work, before), a = settled(t->work, after);
    if (b >= 1e-7 && a >= 1e-7) in->rescale = settled(t->work, b / a);
    return TOLA_OK;
}

static tola_status prepare_deltas(merge_tensor *t, tola_error *err) {
    for (size_t i = 0; i < t->count; i++) {
        merge_input *in = &t->inputs[i];
        in->rescale = 1;
        if (i == t->base || is_dense(t, in)) continue;
        if (in->density <= 0) {
            in->cut = INFINITY;
            continue;
        }
        if (!drops_randomly(t->method)) TRY(find_cut(t, i, in, err));
        if (t->rescale) TRY(find_rescale(t, i, in, err));
    }
    return TOLA_OK;
}

static tola_status prepare_slerp(merge_tensor *t, tola_error *err) {
    float a[BLOCK], b[BLOCK];
    double aa = 0, bb = 0, ab = 0;
    for (uint64_t at = 0; at < t->elements; at += BLOCK) {
        size_t n = t->elements - at < BLOCK ? (size_t)(t->elements - at) : BLOCK;
        TRY(load(t, t->base, at, n, a, err));
        TRY(load(t, 1 - t->base, at, n, b, err));
        for (size_t i = 0; i < n; i++) {
            aa += (double)a[i] * a[i];
            bb += (double)b[i] * b[i];
            ab += (double)a[i] * b[i];
        }
    }
    double na = sqrt(aa) > 1e-8 ? sqrt(aa) : 1, nb = sqrt(bb) > 1e-8 ? sqrt(bb) : 1, share = t->t;
    double dot = fmax(-1, fmin(1, ab / (na * nb)));
    bool straight = fabs(dot) > 0.9995;
    double angle = straight ? 1 : acos(dot);
    t->shares[0] = straight ? 1 - share : sin((1 - share) * angle) / sin(angle);
    t->shares[1] = straight ? share : sin(share * angle) / sin(angle);
    return TOLA_OK;
}

/* How far to go from the base to the mean of the others: n cos / (1 + (n - 1) cos), cos the mean over their pairs. */
static double stock_step(const merge_tensor *t, const double *products) {
    size_t n = t->count - 1, pairs = 0;
    double sum = 0, norms[MERGE_MAX_MODELS], least = settled(t->work, 1e-6);
    for (size_t i = 0; i < n; i++) norms[i] = settled(t->work, sqrt(products[i * MERGE_MAX_MODELS + i]));
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++, pairs++) {
            double both = settled(t->work, norms[i] * norms[k]);
            double dot = settled(t->work, products[i * MERGE_MAX_MODELS + k]);
            double cosine = settled(t->work, dot / (both > least ? both : least));
            sum += cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
        }
    double mean = settled(t->work, sum / (double)pairs);
    double below = settled(t->work, 1 + settled(t->work, (double)(n - 1) * mean));
    if (fabs(below) < 1e-6) return 0;
    return settled(t->work, settled(t->work, (double)n * mean) / below);
}

/* Adds the products of `others` differences over n elements. `deltas`: [others, BLOCK]. */
static void add_products(const merge_tensor *t, const float *deltas, size_t others, size_t n, double *products) {
    double product[BLOCK];
    for (size_t i = 0; i < others; i++)
        for (size_t k = i; k < others; k++) {
            const float *a = deltas + BLOCK * i, *b = deltas + BLOCK * k;
            double sum = 0;
            for (size_t j = 0; j < n; j++) product[j] = (double)a[j] * b[j];
            if (i != k) settle_block(t->work, product, n); /* squares of a norm are not rounded */
            for (size_t j = 0; j < n; j++) sum += product[j];
            products[i * MERGE_MAX_MODELS + k] += sum;
        }
}

/* Products of elements [first, first + count), n <= BLOCK at a time. */
static tola_status sum_products(const merge_tensor *t, uint64_t first, uint64_t count, float *deltas, double *products,
                                tola_error *err) {
    float base[BLOCK];
    for (uint64_t at = 0; at < count; at += BLOCK) {
        size_t n = count - at < BLOCK ? (size_t)(count - at) : BLOCK, others = 0;
        TRY(load(t, t->base, first + at, n, base, err));
        for (size_t i = 0; i < t->count; i++)
            if (i != t->base) TRY(load_delta(t, i, base, first + at, n, false, deltas + BLOCK * others++, err));
        add_products(t, deltas, others, n, products);
    }
    return TOLA_OK;
}

static tola_status prepare_stock(merge_tensor *t, tola_error *err) {
    uint64_t columns = t->filter_wise ? t->columns : t->elements, rows = columns ? t->elements / columns : 0;
    t->steps = mem_alloc((rows + 1) * sizeof *t->steps);
    float *deltas = mem_alloc(t->count * BLOCK * sizeof *deltas);
    tola_status status = t->steps && deltas ? TOLA_OK : err_nomem(err, "merging");
    for (uint64_t row = 0; row < rows && status == TOLA_OK; row++) {
        double products[MERGE_MAX_MODELS * MERGE_MAX_MODELS] = { 0 };
        status = sum_products(t, row * columns, columns, deltas, products, err);
        t->steps[row] = stock_step(t, products);
    }
    mem_free(deltas);
    return status;
}

tola_status merge_prepare(merge_tensor *t, tola_error *err) {
    if (t->copied || t->elements == 0) return TOLA_OK;
    switch (t->method) {
    case MERGE_SLERP: return t->count == 2 ? prepare_slerp(t, err) : TOLA_OK;
    case MERGE_MODEL_STOCK: return prepare_stock(t, err);
    case MERGE_TASK_ARITHMETIC:
    case MERGE_TIES:
    case MERGE_DARE_LINEAR:
    case MERGE_DARE_TIES: return prepare_deltas(t, err);
    case MERGE_LINEAR:
    case MERGE_PASSTHROUGH: break;
    }
    return TOLA_OK;
}

/* ---- computing ---- */

static tola_status compute_linear(const merge_tensor *t, uint64_t first, size_t n, float *out, tola_error *err) {
    float x[BLOCK], all = 0;
    memset(out, 0, n * sizeof *out);
    for (size_t k = 0; k < t->count; k++) {
        float weight = (float)t->inputs[k].weight;
        all += weight;
        TRY(load(t, k, first, n, x, err));
        for (size_t i = 0; i < n; i++) out[i] = fmaf(x[i], weight, out[i]);
    }
    for (size_t i = 0; t->normalize && i < n; i++) out[i] /= all;
    round_block(t->work, out, n);
    return TOLA_OK;
}

static tola_status compute_slerp(const merge_tensor *t, uint64_t first, size_t n, float *out, tola_error *err) {
    float b[BLOCK];
    TRY(load(t, t->base, first, n, out, err));
    TRY(load(t, 1 - t->base, first, n, b, err));
    for (size_t i = 0; i < n; i++) out[i] = (float)(t->shares[0] * out[i] + t->shares[1] * b[i]);
    round_block(t->work, out, n);
    return TOLA_OK;
}

static tola_status compute_stock(const merge_tensor *t, uint64_t first, size_t n, float *out, tola_error *err) {
    double sum[BLOCK] = { 0 }, rest[BLOCK];
    for (size_t k = 0; k < t->count; k++) {
        if (k == t->base) continue;
        TRY(load(t, k, first, n, out, err));
        for (size_t i = 0; i < n; i++) sum[i] += out[i];
        settle_block(t->work, sum, n);
    }
    TRY(load(t, t->base, first, n, out, err));
    for (size_t i = 0; i < n; i++) sum[i] /= (double)(t->count - 1);
    settle_block(t->work, sum, n);
    for (size_t i = 0; i < n; i++) {
        double step = t->steps[t->filter_wise ? (first + i) / t->columns : 0];
        sum[i] *= step;
        rest[i] = settled(t->work, 1 - step) * out[i];
    }
    settle_block(t->work, sum, n);
    settle_block(t->work, rest, n);
    for (size_t i = 0; i < n; i++) out[i] = (float)(sum[i] + rest[i]);
    round_block(t->work, out, n);
    return TOLA_OK;
}

/* Signs that the sum of the weighted differences has count; others are left out (TIES). `deltas`: [inputs, BLOCK]. */
static void elect(const merge_tensor *t, const float *weights, float *deltas, size_t count, size_t n, float *divisor) {
    float sign[BLOCK] = { 0 };
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < n; i++) sign[i] += deltas[k * BLOCK + i];
    round_block(t->work, sign, n);
    memset(divisor, 0, n * sizeof *divisor);
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < n; i++) {
            float d = deltas[k * BLOCK + i];
            bool agrees = sign[i] >= 0 ? d > 0 : d < 0;
            if (agrees)
                divisor[i] += weights[k];
            else
                deltas[k * BLOCK + i] = 0;
        }
    round_block(t->work, divisor, n);
    for (size_t i = 0; i < n; i++)
        if (divisor[i] == 0) divisor[i] = 1;
}

static tola_status compute_deltas(const merge_tensor *t, float *deltas, uint64_t first, size_t n, float *out,
                                  tola_error *err) {
    float base[BLOCK], divisor[BLOCK], weights[MERGE_MAX_MODELS], all = 0;
    size_t count = 0;
    TRY(load(t, t->base, first, n, base, err));
    for (size_t k = 0; k < t->count; k++) {
        if (k == t->base) continue;
        float *d = deltas + BLOCK * count, w = rounded(t->work, t->inputs[k].weight);
        TRY(load_delta(t, k, base, first, n, true, d, err));
        for (size_t i = 0; i < n; i++) d[i] *= w;
        round_block(t->work, d, n);
        weights[count++] = w;
        all += w;
    }
    all = rounded(t->work, all);
    for (size_t i = 0; i < n; i++) divisor[i] = fabsf(all) < 1e-8f ? 1 : all;
    if (t->method == MERGE_TIES || t->method == MERGE_DARE_TIES) elect(t, weights, deltas, count, n, divisor);
    memset(out, 0, n * sizeof *out);
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < n; i++) out[i] += deltas[k * BLOCK + i];
    round_block(t->work, out, n);
    for (size_t i = 0; t->normalize && i < n; i++) out[i] /= divisor[i];
    round_block(t->work, out, n);
    for (size_t i = 0; t->lambda != 1 && i < n; i++) out[i] *= (float)t->lambda;
    round_block(t->work, out, n);
    for (size_t i = 0; i < n; i++) out[i] += base[i];
    round_block(t->work, out, n);
    return TOLA_OK;
}

static tola_status compute_block(const merge_tensor *t, float *deltas, uint64_t first, size_t n, float *out,
                                 tola_error *err) {
    switch (t->method) {
    case MERGE_LINEAR: return compute_linear(t, first, n, out, err);
    case MERGE_SLERP: return t->count == 2 ? compute_slerp(t, first, n, out, err) : load(t, 0, first, n, out, err);
    case MERGE_MODEL_STOCK: return compute_stock(t, first, n, out, err);
    case MERGE_TASK_ARITHMETIC:
    case MERGE_TIES:
    case MERGE_DARE_LINEAR:
    case MERGE_DARE_TIES: return compute_deltas(t, deltas, first, n, out, err);
    case MERGE_PASSTHROUGH: break;
    }
    TRY(load(t, 0, first, n, out, err));
    for (size_t i = 0; t->scaled && i < n; i++) out[i] *= (float)t->scale;
    round_block(t->work, out, n);
    return TOLA_OK;
}

tola_status merge_compute(const merge_tensor *t, uint64_t first, size_t count, float *out, tola_error *err) {
    float *deltas = mem_alloc_aligned(64, t->count * BLOCK * sizeof *deltas);
    tola_status status = deltas ? TOLA_OK : err_nomem(err, "merging");
    for (size_t done = 0; done < count && status == TOLA_OK; done += BLOCK) {
        size_t n = count - done < BLOCK ? count - done : BLOCK;
        status = compute_block(t, deltas, first + done, n, out + done, err);
    }
    mem_free(deltas);
    return status;
}
