/* Plain loops; what is transcendental goes through rows.h a room of floats at a time. */
#include "kernels/rows/backward.h"

#include <math.h>
#include <stdbool.h>

enum { LANES = 16, ROOM = 256 };

static float fold(float s[LANES]) {
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) s[l] += s[l + half];
    return s[0];
}

static size_t at_most(size_t n, size_t most) { return n < most ? n : most; }

/* ---- functions ---- */

/* f'(x), n at most ROOM. */
static void slope(row_function f, const float *x, float *y, size_t n) {
    const rows_kernels *k = rows_get();
    float t[ROOM];
    switch (f) {
    case ROW_SILU: /* s + x s (1 - s), s = sigmoid(x) */
        k->apply(ROW_SIGMOID, x, t, n);
        for (size_t i = 0; i < n; i++) y[i] = t[i] + x[i] * t[i] * (1 - t[i]);
        break;
    case ROW_GELU: /* F + x F', F the normal distribution, gelu = x F */
        for (size_t i = 0; i < n; i++) t[i] = -0.5f * x[i] * x[i];
        k->apply(ROW_EXP, t, t, n);
        k->apply(ROW_GELU, x, y, n);
        for (size_t i = 0; i < n; i++) {
            const float distribution = fabsf(x[i]) > 1e-30f ? y[i] / x[i] : 0.5f;
            y[i] = distribution + 0.3989423f * x[i] * t[i];
        }
        break;
    case ROW_GELU_TANH: /* (1 + t) / 2 + x/2 (1 - t^2) u', t = tanh(u) */
        for (size_t i = 0; i < n; i++) t[i] = 0.79788456f * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
        k->apply(ROW_TANH, t, t, n);
        for (size_t i = 0; i < n; i++) {
            const float du = 0.79788456f * (1 + 0.134145f * x[i] * x[i]);
            y[i] = 0.5f * (1 + t[i]) + 0.5f * x[i] * (1 - t[i] * t[i]) * du;
        }
        break;
    case ROW_RELU:
        for (size_t i = 0; i < n; i++) y[i] = x[i] > 0 ? 1 : 0;
        break;
    case ROW_RELU2:
        for (size_t i = 0; i < n; i++) y[i] = x[i] > 0 ? 2 * x[i] : 0;
        break;
    case ROW_SIGMOID:
        k->apply(ROW_SIGMOID, x, t, n);
        for (size_t i = 0; i < n; i++) y[i] = t[i] * (1 - t[i]);
        break;
    case ROW_TANH:
        k->apply(ROW_TANH, x, t, n);
        for (size_t i = 0; i < n; i++) y[i] = 1 - t[i] * t[i];
        break;
    case ROW_EXP:
    case ROW_FUNCTIONS: break;
    }
}

void rows_apply_back(row_function f, const float *x, const float *d, float *out, size_t n) {
    float y[ROOM];
    for (size_t i = 0; i < n; i += ROOM) {
        const size_t m = at_most(n - i, ROOM);
        slope(f, x + i, y, m);
        for (size_t j = 0; j < m; j++) out[i + j] = y[j] * d[i + j];
    }
}

void rows_gated_back(row_function f, const float *gate, const float *up, const float *d, float *d_gate, float *d_up,
                     size_t n) {
    float y[ROOM];
    for (size_t i = 0; i < n; i += ROOM) {
        const size_t m = at_most(n - i, ROOM);
        slope(f, gate + i, y, m);
        for (size_t j = 0; j < m; j++) d_gate[i + j] = y[j] * up[i + j] * d[i + j];
        rows_get()->apply(f, gate + i, y, m);
        for (size_t j = 0; j < m; j++) d_up[i + j] = y[j] * d[i + j];
    }
}

/* y = g s (u + 1), s = sigmoid(a g): y / g' = (s + a g s (1 - s)) (u + 1), y / u' = g s */
void rows_gated_clamped_back(float limit, const float *gate, const float *up, const float *d, float *d_gate,
                             float *d_up, size_t n) {
    float s[ROOM];
    for (size_t i = 0; i < n; i += ROOM) {
        const size_t m = at_most(n - i, ROOM);
        for (size_t j = 0; j < m; j++) s[j] = 1.702f * fminf(gate[i + j], limit);
        rows_get()->apply(ROW_SIGMOID, s, s, m);
        for (size_t j = 0; j < m; j++) {
            const float g = fminf(gate[i + j], limit), u = fmaxf(-limit, fminf(up[i + j], limit));
            const float by_gate = (s[j] + 1.702f * g * s[j] * (1 - s[j])) * (u + 1), by_up = g * s[j];
            d_gate[i + j] = gate[i + j] > limit ? 0 : by_gate * d[i + j];
            d_up[i + j] = up[i + j] > limit || up[i + j] < -limit ? 0 : by_up * d[i + j];
        }
    }
}

void rows_softcap_back(float cap, const float *y, const float *d, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float t = y[i] / cap;
        out[i] = (1 - t * t) * d[i];
    }
}

/* ---- norms ---- */

void rows_norm_statistics(const float *x, int centred, float eps, float statistics[2], size_t n) {
    float mean = 0, s[LANES] = { 0 };
    size_t i = 0;
    if (centred) {
        for (; i + LANES <= n; i += LANES)
            for (int l = 0; l < LANES; l++) s[l] += x[i + (size_t)l];
        for (; i < n; i++) s[i % LANES] += x[i];
        mean = fold(s) / (float)n;
        for (int l = 0; l < LANES; l++) s[l] = 0;
    }
    i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) s[l] += (x[i + (size_t)l] - mean) * (x[i + (size_t)l] - mean);
    for (; i < n; i++) s[i % LANES] += (x[i] - mean) * (x[i] - mean);
    statistics[0] = mean;
    statistics[1] = 1 / sqrtf(fold(s) / (float)n + eps);
}

/* g = d (scale + offset); sums of g and of g (x - mean) */
static void norm_sums(const float *x, const float *scale, float offset, float mean, const float *d, float sums[2],
                      size_t n) {
    float s[LANES] = { 0 }, p[LANES] = { 0 };
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const size_t j = i + (size_t)l;
            const float g = scale ? d[j] * (scale[j] + offset) : d[j];
            s[l] += g;
            p[l] += g * (x[j] - mean);
        }
    for (; i < n; i++) {
        const float g = scale ? d[i] * (scale[i] + offset) : d[i];
        s[i % LANES] += g;
        p[i % LANES] += g * (x[i] - mean);
    }
    sums[0] = fold(s);
    sums[1] = fold(p);
}

static void norm_back(const float *x, const float *scale, float offset, bool centred, float eps, const float *d,
                      float *out, size_t n) {
    float statistics[2], sums[2];
    rows_norm_statistics(x, centred, eps, statistics, n);
    const float mean = statistics[0], r = statistics[1];
    norm_sums(x, scale, offset, mean, d, sums, n);
    const float share = centred ? sums[0] / (float)n : 0, slant = sums[1] * r / (float)n * r;
    if (scale)
        for (size_t i = 0; i < n; i++) out[i] = r * (d[i] * (scale[i] + offset) - share - (x[i] - mean) * slant);
    else
        for (size_t i = 0; i < n; i++) out[i] = r * (d[i] - share - (x[i] - mean) * slant);
}

void rows_rms_norm_back(const float *x, const float *scale, float offset, float eps, const float *d, float *out,
                        size_t n) {
    norm_back(x, scale, offset, false, eps, d, out, n);
}

void rows_layer_norm_back(const float *x, const float *scale, float eps, const float *d, float *out, size_t n) {
    norm_back(x, scale, 0, true, eps, d, out, n);
}

void rows_norm_weight(const float *x, const float *d, const float statistics[2], float *out, size_t n) {
    const float mean = statistics[0], r = statistics[1];
    for (size_t i = 0; i < n; i++) out[i] += d[i] * ((x[i] - mean) * r);
}

/* ---- sums ---- */

float rows_dot(const float *a, const float *b, size_t n) {
    float s[LANES] = { 0 };
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) s[l] += a[i + (size_t)l] * b[i + (size_t)l];
    for (; i < n; i++) s[i % LANES] += a[i] * b[i];
    return fold(s);
}

float rows_largest(const float *x, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= most)) most = fabsf(x[i]);
    return most;
}
