/* The functions of rows.h. Compiled once for each instruction set; the file that includes it has chosen the lanes and
 * defines ROWS_TABLE. A row is taken in blocks of 16 elements; what is left over is done in a block of its own, filled
 * up with zeros. */
#include "kernels/rows/functions.h"
#include "kernels/rows/rows_kernels.h"

enum { BLOCK = 16, PARTS = BLOCK / LANES };

/* ---- element by element ---- */

typedef struct constants {
    vf a, b, c;
} constants;
typedef vf (*element_fn)(vf x, vf z, constants k);

/* y[i] = f(x[i], z[i]). A part of a vector goes through a block of zeros. */
INLINE void each(element_fn f, constants k, const float *x, const float *z, float *y, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) v_store(y + i, f(v_load(x + i), v_load(z + i), k));
    if (i == n) return;
    float room[2][LANES] = { { 0 } };
    memcpy(room[0], x + i, (n - i) * sizeof *x);
    memcpy(room[1], z + i, (n - i) * sizeof *z);
    v_store(room[0], f(v_load(room[0]), v_load(room[1]), k));
    memcpy(y + i, room[0], (n - i) * sizeof *y);
}

static const constants none;

INLINE vf silu(vf x, vf z, constants k) {
    (void)z, (void)k;
    return v_div(x, v_add(v_set(1), row_exp(v_sub(v_set(0), x))));
}
INLINE vf gelu(vf x, vf z, constants k) {
    (void)z, (void)k;
    return v_mul(v_mul(v_set(0.5f), x), v_add(v_set(1), row_erf(v_mul(x, v_set(0.70710678f)))));
}
INLINE vf gelu_tanh(vf x, vf z, constants k) {
    (void)z, (void)k;
    vf u = v_fma(v_mul(v_mul(x, x), x), v_set(0.044715f), x);
    return v_mul(v_mul(v_set(0.5f), x), v_add(v_set(1), row_tanh(v_mul(u, v_set(0.79788456f)))));
}
/* NaN stays. */
INLINE vf relu(vf x, vf z, constants k) {
    (void)z, (void)k;
    return v_pick(v_less(x, v_set(0)), v_set(0), x);
}
INLINE vf relu2(vf x, vf z, constants k) {
    x = relu(x, z, k);
    return v_mul(x, x);
}
INLINE vf sigmoid(vf x, vf z, constants k) {
    (void)z, (void)k;
    return row_sigmoid(x);
}
INLINE vf hyperbolic(vf x, vf z, constants k) {
    (void)z, (void)k;
    return row_tanh(x);
}
INLINE vf exponential(vf x, vf z, constants k) {
    (void)z, (void)k;
    return row_exp(x);
}

static void apply(row_function f, const float *x, float *y, size_t n) {
    switch (f) {
    case ROW_SILU: each(silu, none, x, x, y, n); break;
    case ROW_GELU: each(gelu, none, x, x, y, n); break;
    case ROW_GELU_TANH: each(gelu_tanh, none, x, x, y, n); break;
    case ROW_RELU: each(relu, none, x, x, y, n); break;
    case ROW_RELU2: each(relu2, none, x, x, y, n); break;
    case ROW_SIGMOID: each(sigmoid, none, x, x, y, n); break;
    case ROW_TANH: each(hyperbolic, none, x, x, y, n); break;
    case ROW_EXP: each(exponential, none, x, x, y, n); break;
    case ROW_FUNCTIONS: break;
    }
}

INLINE vf sum_of(vf x, vf z, constants k) {
    (void)k;
    return v_add(x, z);
}
static void add(const float *a, const float *b, float *y, size_t n) { each(sum_of, none, a, b, y, n); }

INLINE vf product_of(vf x, vf z, constants k) {
    (void)k;
    return v_mul(x, z);
}
static void multiply(const float *a, const float *b, float *y, size_t n) { each(product_of, none, a, b, y, n); }

INLINE vf scaled(vf x, vf z, constants k) {
    (void)z;
    return v_mul(x, k.a);
}
static void scale(float factor, const float *x, float *y, size_t n) {
    each(scaled, (constants){ .a = v_set(factor) }, x, x, y, n);
}

INLINE vf accumulated(vf x, vf z, constants k) { return v_fma(k.a, x, z); }
static void accumulate(float factor, const float *x, float *y, size_t n) {
    each(accumulated, (constants){ .a = v_set(factor) }, x, y, y, n);
}

INLINE vf capped(vf x, vf z, constants k) {
    (void)z;
    return v_mul(k.a, row_tanh(v_div(x, k.a)));
}
static void softcap(float cap, const float *x, float *y, size_t n) {
    each(capped, (constants){ .a = v_set(cap) }, x, x, y, n);
}

/* By way of a room that stays in the cache: y may be gate or up. */
static void gated(row_function f, const float *gate, const float *up, float *y, size_t n) {
    enum { ROOM = 512 };
    float room[ROOM];
    for (size_t i = 0; i < n; i += ROOM) {
        const size_t m = n - i < ROOM ? n - i : ROOM;
        apply(f, gate + i, room, m);
        multiply(room, up + i, y + i, m);
    }
}

/* Bounds that keep NaN. */
INLINE vf gate_clamped(vf x, vf z, constants k) {
    x = v_min(k.a, x);
    z = v_max(k.b, v_min(k.a, z));
    return v_mul(v_mul(x, row_sigmoid(v_mul(v_set(1.702f), x))), v_add(z, v_set(1)));
}
static void gated_clamped(float limit, const float *gate, const float *up, float *y, size_t n) {
    each(gate_clamped, (constants){ .a = v_set(limit), .b = v_set(-limit) }, gate, up, y, n);
}

/* ---- sums along a row ---- */

typedef vf (*term_fn)(vf sum, vf x, constants k);

/* sum[l] = f(sum[l], x[i], k) for i = l, l + 16, ...; then the lanes are folded. A lane that has no element in the
 * last block keeps what it has. */
INLINE float lanes_sum(term_fn f, constants k, const float *x, size_t n) {
    vf s[PARTS];
#pragma GCC unroll 16
    for (int p = 0; p < PARTS; p++) s[p] = v_set(0);
    size_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK)
#pragma GCC unroll 16
        for (int p = 0; p < PARTS; p++) s[p] = f(s[p], v_load(x + i + p * LANES), k);
    if (i < n) {
        float room[BLOCK] = { 0 }, more[BLOCK];
        memcpy(room, x + i, (n - i) * sizeof *x);
        for (int p = 0; p < PARTS; p++) v_store(more + p * LANES, f(s[p], v_load(room + p * LANES), k));
        for (int p = 0; p < PARTS; p++) v_store(room + p * LANES, s[p]);
        memcpy(room, more, (n - i) * sizeof *x);
        for (int p = 0; p < PARTS; p++) s[p] = v_load(room + p * LANES);
    }
    return v_fold(s);
}

INLINE vf plain_term(vf sum, vf x, constants k) {
    (void)k;
    return v_add(sum, x);
}
INLINE vf square_term(vf sum, vf x, constants k) {
    (void)k;
    return v_fma(x, x, sum);
}
INLINE vf deviation_term(vf sum, vf x, constants k) {
    x = v_sub(x, k.a);
    return v_fma(x, x, sum);
}

INLINE vf normed(vf x, vf z, constants k) { return v_mul(v_mul(x, k.a), v_add(z, k.b)); }
static void rms_norm(const float *x, const float *weights, float offset, float eps, float *y, size_t n) {
    const float r = 1 / sqrtf(lanes_sum(square_term, none, x, n) / (float)n + eps);
    if (weights)
        each(normed, (constants){ .a = v_set(r), .b = v_set(offset) }, x, weights, y, n);
    else
        scale(r, x, y, n);
}

INLINE vf centred(vf x, vf z, constants k) { return v_mul(v_mul(v_sub(x, k.b), k.a), z); }
static void layer_norm(const float *x, const float *weights, const float *bias, float eps, float *y, size_t n) {
    const float mean = lanes_sum(plain_term, none, x, n) / (float)n;
    const constants about = { .a = v_set(mean) };
    const float r = 1 / sqrtf(lanes_sum(deviation_term, about, x, n) / (float)n + eps);
    each(centred, (constants){ .a = v_set(r), .b = v_set(mean) }, x, weights, y, n);
    if (bias) add(y, bias, y, n);
}

/* ---- turning, extremes, softmax ---- */

INLINE void turn(vf c, vf s, vf *a, vf *b) {
    vf x = v_sub(v_mul(*a, c), v_mul(*b, s));
    *b = v_add(v_mul(*b, c), v_mul(*a, s));
    *a = x;
}

static void rotate(const float *cosine, const float *sine, size_t pairs, int interleaved, const float *x, float *y) {
    size_t i = 0;
    vf a, b;
    for (; i + LANES <= pairs; i += LANES) {
        if (interleaved)
            v_load_pairs(x + 2 * i, &a, &b);
        else
            a = v_load(x + i), b = v_load(x + pairs + i);
        turn(v_load(cosine + i), v_load(sine + i), &a, &b);
        if (interleaved)
            v_store_pairs(y + 2 * i, a, b);
        else
            v_store(y + i, a), v_store(y + pairs + i, b);
    }
    for (; i < pairs; i++) {
        const size_t at = interleaved ? 2 * i : i, to = interleaved ? at + 1 : pairs + i;
        const float c = cosine[i], s = sine[i], p = x[at], q = x[to];
        const float pc = p * c, qs = q * s, qc = q * c, ps = p * s;
        y[at] = pc - qs;
        y[to] = qc + ps;
    }
}

static float row_max(const float *x, size_t n) {
    vf most[PARTS];
    bool numbers = true;
    float out[BLOCK];
    for (int p = 0; p < PARTS; p++) most[p] = v_set(-INFINITY);
    for (size_t i = 0; i < n; i += BLOCK) {
        float room[BLOCK];
        const float *from = x + i;
        if (n - i < BLOCK) {
            for (size_t l = 0; l < BLOCK; l++) room[l] = l < n - i ? x[i + l] : -INFINITY;
            from = room;
        }
        for (int p = 0; p < PARTS; p++) {
            vf v = v_load(from + p * LANES);
            numbers = numbers && v_all(v_ordered(v));
            most[p] = v_max(v, most[p]);
        }
    }
    for (int p = 0; p < PARTS; p++) v_store(out + p * LANES, most[p]);
    for (int half = BLOCK / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) out[l] = out[l + half] > out[l] ? out[l + half] : out[l];
    return numbers ? out[0] : NAN;
}

INLINE vf weight_of(vf x, vf z, constants k) {
    (void)z;
    return row_exp(v_sub(x, k.a));
}
static float exp_sum(const float *x, float max, float *y, size_t n) {
    each(weight_of, (constants){ .a = v_set(max) }, x, x, y, n);
    return lanes_sum(plain_term, none, y, n);
}

const rows_kernels ROWS_TABLE = { apply,   gated,    gated_clamped, add,    multiply, scale,  accumulate,
                                  softcap, rms_norm, layer_norm,    rotate, row_max,  exp_sum };
