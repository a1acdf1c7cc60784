/* Products: the codes against the decoders, every path against the definition, one token against many, ranges against
 * the whole, bytes that no encoder wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cast/scalar.h"
#include "kernels/dequantize/dequantize.h"
#include "kernels/matmul/matmul_kernels.h"
#include "processors.h"
#include "random.h"

static void *aligned(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (!p) abort();
    return p;
}

static bool same(float a, float b) {
    return (isnan(a) && isnan(b)) || cast_f32_bits(a) == cast_f32_bits(b);
}

/* Scales near one where the type keeps them in f16. */
static void tame_scales(tola_dtype type, uint8_t *w, size_t bytes) {
    size_t block = tola_dtype_block_bytes(type);
    if (matmul_floats(matmul_type_get(type))) {
        for (size_t i = 0; i < bytes; i += block) {
            uint32_t u = cast_f32_bits(unit_between(-1, 1));
            uint16_t h = type == TOLA_DTYPE_F16 ? cast_f32_to_f16(u) : (uint16_t)(u >> 16);
            if (block == 4) memcpy(w + i, &u, 4);
            else if (block == 2) memcpy(w + i, &h, 2);
            else w[i] &= 0xbb; /* no NaN, no infinity */
        }
        return;
    }
    for (size_t i = 0; i + block <= bytes; i += block) {
        matmul_codes c;
        size_t scales[3] = { 0, block, block };
        switch (type) {
        case TOLA_DTYPE_Q4_1:
        case TOLA_DTYPE_Q5_1:
        case TOLA_DTYPE_Q8_1:
        case TOLA_DTYPE_Q4_K:
        case TOLA_DTYPE_Q5_K: scales[1] = 2; break;
        case TOLA_DTYPE_Q2_K: scales[0] = 80, scales[1] = 82; break;
        case TOLA_DTYPE_Q3_K: scales[0] = 108; break;
        case TOLA_DTYPE_Q6_K: scales[0] = 208; break;
        case TOLA_DTYPE_TQ1_0: scales[0] = 52; break;
        case TOLA_DTYPE_TQ2_0: scales[0] = 64; break;
        case TOLA_DTYPE_IQ1_M: w[i + 55] = 0x20 | (w[i + 55] & 0x0f); continue;
        case TOLA_DTYPE_MXFP4: w[i] = (uint8_t)(120 + w[i] % 16); continue;
        case TOLA_DTYPE_NVFP4: continue;
        case TOLA_DTYPE_Q8_K: {
            float d = unit_between(-1, 1) / 100;
            memcpy(w + i, &d, 4);
            continue;
        }
        default: break;
        }
        for (int s = 0; s < 3; s++) {
            if (scales[s] == block) continue;
            uint16_t h = cast_f32_to_f16(cast_f32_bits(unit_between(-1, 1) / 10));
            memcpy(w + i + scales[s], &h, 2);
        }
        matmul_type_get(type)->codes(w + i, &c);
        assert_true(isfinite(c.d[0]));
    }
}

static void random_rows(tola_dtype type, uint8_t *w, size_t bytes, bool tame) {
    for (size_t i = 0; i < bytes; i++) w[i] = (uint8_t)(unit_random() >> 24);
    if (tame) tame_scales(type, w, bytes);
}

/* What the codes say a weight is, against the decoder of the format. */
static void test_codes(void **state) {
    (void)state;
    for (unsigned type = 0; type < TOLA_DTYPE_COUNT; type++) {
        const matmul_type *t = matmul_type_get(type);
        assert_int_equal(t->kind != MATMUL_NONE, matmul_supports(type));
        if (tola_dtype_get_kind(type) == TOLA_KIND_BLOCK) assert_true(matmul_supports(type));
        if (t->kind != MATMUL_SMALL && t->kind != MATMUL_SUPER) continue;
        size_t n = tola_dtype_block_elements(type), bytes = tola_dtype_block_bytes(type);
        for (int round = 0; round < 200; round++) {
            uint8_t block[300];
            float value[256];
            matmul_codes c;
            random_rows(type, block, bytes, round % 2);
            dequantize_get_scalar(type)(block, value, n);
            t->codes(block, &c);
            for (size_t i = 0; i < n; i++) {
                size_t g = t->kind == MATMUL_SUPER ? 0 : i / t->group;
                double scale = (double)c.d[g] * (t->kind == MATMUL_SUPER ? c.sc[i / 16] : 1);
                double min = t->kind == MATMUL_SUPER ? -(double)c.min[0] * c.m[i / 16] : (double)c.min[g];
                if (!t->minima) min = 0;
                double want = scale * c.q[i] + min, room = 1e-6 * (fabs(scale * c.q[i]) + fabs(min));
                if (!isfinite(value[i]) || !isfinite(want)) continue;
                if (!(fabs((double)value[i] - want) <= room)) fail_msg("%s: element %zu is %g, not %g",
                    tola_dtype_name(type), i, want, (double)value[i]);
                size_t most = t->offset <= 16 ? 32 : t->offset <= 32 ? 64 : 127;
                if (t->offset != 128) assert_in_range(c.q[i] + t->offset, 0, most);
            }
        }
    }
}

/* Types with products of their own on this processor. */
static bool tested(tola_dtype type) {
    return matmul_supports(type) && (!unit_only_bf16() || matmul_type_get(type)->kind == MATMUL_BF16);
}

typedef struct job {
    tola_dtype type;
    size_t k, rows, tokens, row_bytes;
    uint8_t *w;
    float *x;
    void *prepared;
    float *want; /* tokens x rows, by the definition; NULL where nothing is held against it */
} job;

static job new_job(tola_dtype type, size_t k, size_t rows, size_t tokens, bool tame) {
    job j = { type, k, rows, tokens, k / tola_dtype_block_elements(type) * tola_dtype_block_bytes(type), 0, 0, 0, 0 };
    j.row_bytes += 3; /* rows may lie anywhere */
    j.w = malloc(rows * j.row_bytes + 1);
    j.x = malloc(tokens * k * sizeof(float) + 1);
    size_t bytes = matmul_prepared_bytes(type, k, tokens);
    j.prepared = aligned(bytes);
    if (!j.w || !j.x) abort();
    for (size_t r = 0; r < rows; r++) random_rows(type, j.w + r * j.row_bytes, j.row_bytes - 3, tame);
    for (size_t i = 0; i < tokens * k; i++) j.x[i] = unit_between(-1, 1) * (tame ? 1 : 1e3f);
    memset(j.prepared, 0xa5, bytes);
    matmul_prepare(type, j.x, k, k, tokens, 0, tokens, j.prepared);
    return j;
}

/* Of tokens that are the same every `period` of them. */
static void define(job *j, size_t period) {
    const matmul_acts acts = matmul_view(j->type, j->k, j->tokens, j->prepared);
    j->want = malloc(j->rows * j->tokens * sizeof(float) + 1);
    if (!j->want) abort();
    for (size_t t = 0; t < j->tokens; t++)
        for (size_t r = 0; r < j->rows; r++)
            j->want[t * j->rows + r] = t < period ? matmul_scalar_dot(j->type, j->w + r * j->row_bytes, &acts, t)
                                                  : j->want[(t - period) * j->rows + r];
}

static void free_job(job *j) {
    free(j->w);
    free(j->x);
    free(j->prepared);
    free(j->want);
}

static void decode(tola_dtype type, const uint8_t *row, size_t k, float *w) {
    const matmul_convert_fn convert = matmul_to_f32(type);
    if (tola_dtype_get_kind(type) == TOLA_KIND_BLOCK) dequantize_get(type)(row, w, k);
    else if (convert) convert(row, w, k);
    else memcpy(w, row, k * sizeof *w);
}

/* How far a product may be from the definition where the processor adds up in an order of its own, 0: not a bit. */
static float room_of(const job *j, size_t row, size_t token, float want) {
    const matmul_type *type = matmul_type_get(j->type);
    if (type->kind == MATMUL_BF16) return 1e-3f * ((float)sqrt((double)j->k) + fabsf(want));
    if (!matmul_split(type)) return 0;
    static float w[2560];
    double terms = 0;
    decode(j->type, j->w + row * j->row_bytes, j->k, w);
    for (size_t i = 0; i < j->k; i++) terms += fabs((double)w[i] * (double)j->x[token * j->k + i]);
    return 0x1p-14f * (float)terms;
}

/* Every path over rows [first, first + count), with canaries around each row of y; the definition, which says what all
 * rows are, over a part of them alone. Where tokens are taken one after the other, nothing is prepared for tiles: then
 * that product alone. */
static void check_paths(job *j, size_t first, size_t count) {
    matmul_path paths[MATMUL_PATHS_MOST];
    size_t n = matmul_paths(paths);
    matmul_acts acts = matmul_view(j->type, j->k, j->tokens, j->prepared);
    size_t stride = j->rows + 5;
    float *y = malloc((j->tokens * stride + 5) * sizeof *y), canary = 12345.0f;
    if (!y) abort();
    const matmul_vector_fn vector = matmul_vector_for(j->type, j->tokens);
    if (vector) n = 1, paths[0] = (matmul_path){ "one token", ~0u, &matmul_tile_scalar };
    for (size_t p = 0; p < n; p++) {
        const matmul_type *type = matmul_type_get(j->type);
        if (!(paths[p].kinds >> type->kind & 1)) continue;
        if (paths[p].tile == &matmul_tile_scalar && !vector && count == j->rows) continue;
        void *scratch = aligned(paths[p].tile->scratch(type, j->k, j->tokens));
        for (size_t i = 0; i < j->tokens * stride + 5; i++) y[i] = canary;
        for (size_t t = 0; vector && t < j->tokens; t++)
            vector(j->w + first * j->row_bytes, j->row_bytes, &acts, t, y + 5 + first + t * stride, count);
        if (!vector)
            paths[p].tile->rows(j->type, j->w + first * j->row_bytes, j->row_bytes, &acts, y + 5 + first, stride, count,
                                scratch);
        for (size_t i = 0; i < j->tokens * stride + 5; i++) {
            size_t t = i < 5 ? 0 : (i - 5) / stride, r = i < 5 ? SIZE_MAX : (i - 5) % stride;
            bool inside = r >= first && r < first + count;
            float want = inside ? j->want[t * j->rows + r] : canary;
            if (inside && (type->kind == MATMUL_BF16 || matmul_split(type))) {
                if (isfinite(want) ? !(fabsf(y[i] - want) <= room_of(j, r, t, want))
                                   : matmul_split(type) && isfinite(y[i]))
                    fail_msg("%s %s k %zu: row %zu token %zu: %g, not %g", paths[p].name, tola_dtype_name(j->type),
                             j->k, r, t, (double)y[i], (double)want);
            } else if (!same(y[i], want)) {
                fail_msg("%s %s k %zu rows %zu tokens %zu: row %zu token %zu: %a, not %a", paths[p].name,
                         tola_dtype_name(j->type), j->k, j->rows, j->tokens, r, t, (double)y[i], (double)want);
            }
        }
        free(scratch);
    }
    free(y);
}

static const size_t token_counts[] = { 1, 2, 4, 5, 6, 7, 14, 16, 31, 33 };

static void test_paths(void **state) {
    (void)state;
    for (unsigned type = 0; type < TOLA_DTYPE_COUNT; type++) {
        if (!tested(type)) continue;
        size_t block = tola_dtype_block_elements(type);
        for (size_t c = 0; c < sizeof token_counts / sizeof *token_counts; c++) {
            size_t blocks = 1 + unit_random() % (block == 256 ? 3 : block == 1 ? 2500 : 640 / block);
            size_t rows = 1 + unit_random() % 40;
            job j = new_job(type, blocks * block, rows, token_counts[c], true);
            define(&j, j.tokens);
            check_paths(&j, 0, rows);
            check_paths(&j, rows / 3, rows - rows / 3 - rows / 5);
            free_job(&j);
        }
        job j = new_job(type, 2 * block, 131, 3, true);
        define(&j, j.tokens);
        check_paths(&j, 0, 131);
        free_job(&j);
        job wild = new_job(type, 3 * block, 37, 9, false); /* any bytes: infinite scales, NaN */
        define(&wild, wild.tokens);
        check_paths(&wild, 0, 37);
        free_job(&wild);
    }
}

/* The largest sums that the types allow: codes and scales at their ends, each in parts of a block of their own, and
 * activations whose magnitudes add up, over 16, to all that is possible or to where sums of products stop fitting 16
 * bits. */
static void test_extremes(void **state) {
    (void)state;
    enum { ROWS = 35, TOKENS = 9 };
    static const uint8_t bytes[] = { 0xff, 0x00, 0x80, 0x7f, 0x0f, 0xf0 };
    static const size_t parts[] = { 0, 16, 96, 192 }; /* where codes and scales of super-blocks begin */
    static const int sums[] = { 16 * 127, 1023, 1024, 1057, 1058, 1092, 1093 };
    for (unsigned type = 0; type < TOLA_DTYPE_COUNT; type++) {
        if (!tested(type) || tola_dtype_get_kind(type) != TOLA_KIND_BLOCK) continue;
        const size_t block = tola_dtype_block_bytes(type), k = 2 * (size_t)tola_dtype_block_elements(type);
        for (int round = 0; round < 50; round++) {
            job j = new_job(type, k, ROWS, TOKENS, true);
            const uint8_t first = bytes[unit_random() % 6], second = bytes[unit_random() % 6];
            const size_t part = parts[unit_random() % 4];
            const int sum = sums[unit_random() % 7];
            for (size_t i = 0; i < ROWS * j.row_bytes; i++)
                j.w[i] = i % j.row_bytes % block < part ? first : second;
            for (size_t r = 0; round % 4 && r < ROWS; r++) tame_scales(type, j.w + r * j.row_bytes, j.row_bytes - 3);
            for (size_t i = 0; i < TOKENS * k; i++) {
                const int left = sum - 127 * (int)(i % 16);
                const float x = (float)(left < 0 ? 0 : left < 127 ? left : 127) / 127;
                j.x[i] = i / k % 2 ? x : -x;
            }
            matmul_prepare(type, j.x, k, k, TOKENS, 0, TOKENS, j.prepared);
            define(&j, 2);
            check_paths(&j, 0, ROWS);
            free_job(&j);
        }
    }
}

/* Through the interface: all tokens at once, each alone, rows in ranges: the same bits. */
static void test_one_and_many(void **state) {
    (void)state;
    enum { ROWS = 70, TOKENS = 37 };
    for (unsigned type = 0; type < TOLA_DTYPE_COUNT; type++) {
        if (!tested(type)) continue;
        size_t block = tola_dtype_block_elements(type), k = block == 1 ? 333 : block * (512 / block);
        job j = new_job(type, k, ROWS, TOKENS, true);
        float *all = malloc(ROWS * TOKENS * sizeof *all), *alone = malloc(ROWS * sizeof *alone);
        void *scratch = aligned(matmul_scratch_bytes(type, k, TOKENS));
        void *one = aligned(matmul_prepared_bytes(type, k, 1));
        if (!all || !alone) abort();
        for (size_t at = 0; at < ROWS; at += 29)
            matmul_rows(type, j.w, j.row_bytes, k, j.prepared, TOKENS, all, ROWS, at, at + 29 < ROWS ? 29 : ROWS - at,
                        scratch);
        for (size_t t = 0; t < TOKENS; t++) {
            matmul_prepare(type, j.x + t * k, k, k, 1, 0, 1, one);
            void *little = aligned(matmul_scratch_bytes(type, k, 1));
            matmul_rows(type, j.w, j.row_bytes, k, one, 1, alone, ROWS, 0, ROWS, little);
            free(little);
            for (size_t r = 0; r < ROWS; r++)
                if (!same(alone[r], all[t * ROWS + r]))
                    fail_msg("%s: row %zu token %zu: %a alone, %a among others", tola_dtype_name(type), r, t,
                             (double)alone[r], (double)all[t * ROWS + r]);
        }
        free(all);
        free(alone);
        free(scratch);
        free(one);
        free_job(&j);
    }
}

/* Rows that are prepared, taken again in another order and number. */
static void test_prepare_again(void **state) {
    (void)state;
    enum { ROWS = 19, FROM = 9, TOKENS = 37 };
    uint32_t which[TOKENS];
    for (uint32_t t = 0; t < TOKENS; t++) which[t] = t * 7 % FROM;
    for (unsigned type = 0; type < TOLA_DTYPE_COUNT; type++) {
        if (!tested(type)) continue;
        size_t block = tola_dtype_block_elements(type), k = block == 1 ? 333 : block * (512 / block);
        job j = new_job(type, k, ROWS, FROM, true);
        float *first = malloc(ROWS * FROM * sizeof *first), *again = malloc(ROWS * TOKENS * sizeof *again);
        void *scratch = aligned(matmul_scratch_bytes(type, k, TOKENS));
        void *prepared = aligned(matmul_prepared_bytes(type, k, TOKENS));
        if (!first || !again) abort();
        matmul_prepare_again(type, j.prepared, FROM, which + 32, k, TOKENS, 32, TOKENS - 32, prepared);
        matmul_prepare_again(type, j.prepared, FROM, which, k, TOKENS, 0, 32, prepared);
        matmul_rows(type, j.w, j.row_bytes, k, j.prepared, FROM, first, ROWS, 0, ROWS, scratch);
        matmul_rows(type, j.w, j.row_bytes, k, prepared, TOKENS, again, ROWS, 0, ROWS, scratch);
        for (size_t t = 0; t < TOKENS; t++)
            for (size_t r = 0; r < ROWS; r++) assert_true(same(again[t * ROWS + r], first[which[t] * ROWS + r]));
        free(first);
        free(again);
        free(scratch);
        free(prepared);
        free_job(&j);
    }
}

/* Activations: the rule of matmul.h, and the same bits from every instruction set, in ranges or at once. */
static void test_prepare(void **state) {
    (void)state;
    enum { K = 768, TOKENS = 40 };
    static float x[K * TOKENS];
    for (size_t i = 0; i < K * TOKENS; i++) x[i] = unit_between(-1, 1) * (float)exp((double)unit_between(-1, 1) * 30);
    x[5] = NAN;
    x[K + 300] = -INFINITY;
    for (size_t i = 0; i < K; i++) x[2 * K + i] = 1e-35f * unit_between(-1, 1);
    for (size_t i = 0; i < K; i++) x[3 * K + i] = 3e38f * unit_between(-1, 1);
    for (unsigned type = 0; type < TOLA_DTYPE_COUNT; type++) {
        if (!tested(type)) continue;
        size_t bytes = matmul_prepared_bytes(type, K, TOKENS);
        void *whole = aligned(bytes), *parts = aligned(bytes);
        memset(whole, 1, bytes);
        memset(parts, 2, bytes);
        matmul_prepare(type, x, K, K, TOKENS, 0, TOKENS, whole);
        matmul_prepare(type, x, K, K, TOKENS, 32, 8, parts);
        matmul_prepare(type, x, K, K, TOKENS, 0, 32, parts);
        matmul_acts a = matmul_view(type, K, TOKENS, whole), b = matmul_view(type, K, TOKENS, parts);
        for (size_t t = 0; t < TOKENS; t++) {
            if (!a.q) {
                size_t size = a.wide ? 4 : 2;
                const char *in_a = (const char *)a.x + t * a.x_stride * size;
                assert_memory_equal(in_a, (const char *)b.x + t * b.x_stride * size, a.x_stride * size);
                continue;
            }
            int8_t q[K];
            float d[K / 32];
            int16_t sums[K / 16];
            matmul_quantize_scalar(x + t * K, K, a.d_block, q, d, sums);
            assert_memory_equal(a.q + t * a.q_stride, q, K);
            assert_memory_equal(b.q + t * b.q_stride, q, K);
            assert_memory_equal(a.d + t * a.d_stride, d, K / a.d_block * sizeof *d);
            assert_memory_equal(b.d + t * b.d_stride, d, K / a.d_block * sizeof *d);
            assert_memory_equal(a.sums + t * a.sums_stride, sums, sizeof sums);
            for (size_t i = 0; i < K; i++) {
                float scale = d[i / a.d_block], value = x[t * K + i];
                if (t < 2 && isnan(scale)) assert_int_equal(q[i], 0);
                else assert_true(fabsf(value - scale * (float)q[i]) <= scale * 0.5001f + 0x1p-100f);
            }
        }
        assert_true(!a.q || isnan(a.d[0]));
        free(whole);
        free(parts);
    }
}

/* Against the exact product of the decoded weights with the activations as they were. Rounding uniform numbers up to 1
 * to multiples of 1 / 127 leaves an error of sqrt(1/12) / 127 beside their own sqrt(1/3): 0.0039 of the sum's terms;
 * to bf16 less, 2^-8 / sqrt(12) at most. f32 and f16 leave that of sums; two bf16 for each number leave up to 2^-17 of
 * the activation and 2^-18 of a term, over numbers of all sizes about half of the two. */
static void test_accuracy(void **state) {
    (void)state;
    enum { K = 1024, ROWS = 20, TOKENS = 12 };
    static float w[ROWS][K];
    for (unsigned type = 0; type < TOLA_DTYPE_COUNT; type++) {
        if (!tested(type)) continue;
        const double most = matmul_split(matmul_type_get(type)) ? 0x1p-17 * 0.75 :
                            type == TOLA_DTYPE_F32 || type == TOLA_DTYPE_F16 ? 1e-6 : 0.0048;
        job j = new_job(type, K, ROWS, TOKENS, true);
        float *y = malloc(ROWS * TOKENS * sizeof *y);
        void *scratch = aligned(matmul_scratch_bytes(type, K, TOKENS));
        double error = 0, norm = 0;
        if (!y) abort();
        for (size_t r = 0; r < ROWS; r++) decode(type, j.w + r * j.row_bytes, K, w[r]);
        matmul_rows(type, j.w, j.row_bytes, K, j.prepared, TOKENS, y, ROWS, 0, ROWS, scratch);
        for (size_t t = 0; t < TOKENS; t++)
            for (size_t r = 0; r < ROWS; r++) {
                double exact = 0, terms = 0;
                for (size_t i = 0; i < K; i++) {
                    double term = (double)w[r][i] * (double)j.x[t * K + i];
                    exact += term;
                    terms += term * term;
                }
                error += (y[t * ROWS + r] - exact) * (y[t * ROWS + r] - exact);
                norm += terms;
            }
        if (!(sqrt(error / norm) < most)) fail_msg("%s: %g", tola_dtype_name(type), sqrt(error / norm));
        free(y);
        free(scratch);
        free_job(&j);
    }
}

/* Activations that are not finite show in their token's results, and in no other's; the largest finite ones do not. */
static void test_not_finite(void **state) {
    (void)state;
    enum { K = 70, ROWS = 20, TOKENS = 5 };
    for (unsigned type = 0; type < TOLA_DTYPE_COUNT; type++) {
        if (!tested(type) || tola_dtype_get_kind(type) == TOLA_KIND_BLOCK) continue;
        const bool bf16 = matmul_type_get(type)->kind == MATMUL_BF16; /* FLT_MAX rounds to infinity */
        job j = new_job(type, K, ROWS, TOKENS, true);
        const float odd[TOKENS] = { INFINITY, 1, -INFINITY, NAN, -FLT_MAX };
        for (size_t t = 0; t < TOKENS; t++) j.x[t * K + 13 * t] = odd[t];
        for (size_t r = 0; r < ROWS; r++)
            for (size_t i = 0; i < K; i++) { /* small ones, none zero, that the largest sum stays finite */
                uint8_t *p = j.w + r * j.row_bytes + i * tola_dtype_block_bytes(type);
                const uint32_t small = cast_f32_bits(0.25f);
                const uint16_t half = type == TOLA_DTYPE_F16 ? cast_f32_to_f16(small) : (uint16_t)(small >> 16);
                if (tola_dtype_block_bytes(type) == 4) memcpy(p, &small, 4);
                else if (tola_dtype_block_bytes(type) == 2) memcpy(p, &half, 2);
                else *p = 0x30;
            }
        float *y = malloc(ROWS * TOKENS * sizeof *y);
        void *scratch = aligned(matmul_scratch_bytes(type, K, TOKENS));
        if (!y) abort();
        matmul_prepare(type, j.x, K, K, TOKENS, 0, TOKENS, j.prepared);
        matmul_rows(type, j.w, j.row_bytes, K, j.prepared, TOKENS, y, ROWS, 0, ROWS, scratch);
        for (size_t i = 0; i < ROWS * TOKENS; i++) {
            const size_t t = i / ROWS;
            if (t == 4 && bf16) continue;
            if ((t == 1 || t == 4) != (bool)isfinite(y[i]))
                fail_msg("%s: token %zu: %g", tola_dtype_name(type), t, (double)y[i]);
        }
        free(y);
        free(scratch);
        free_job(&j);
    }
}

/* No elements: zeros. */
static void test_empty(void **state) {
    (void)state;
    float y[6] = { 1, 1, 1, 1, 1, 1 };
    matmul_rows(TOLA_DTYPE_Q4_K, y, 0, 0, y, 2, y, 3, 1, 2, y);
    for (int i = 0; i < 6; i++) assert_true(y[i] == (i % 3 == 0 ? 1 : 0));
}

/* Asking ends, stays within the rows, and does so for few of them as well. */
static void test_ask(void **state) {
    (void)state;
    enum { ROW_BYTES = 4096, ROWS = 200 };
    static const uint8_t w[ROWS * ROW_BYTES];
    for (unsigned type = 0; type < TOLA_DTYPE_COUNT; type++) {
        if (!tested(type)) continue;
        for (size_t count = 0; count < ROWS - 3; count += 7) {
            size_t steps = 0;
            while (matmul_ask(type, w, ROW_BYTES, 3, count, steps)) steps++;
            assert_true(steps * 64 <= count * ROW_BYTES);
            assert_false(matmul_ask(type, w, ROW_BYTES, 3, count, steps + 1));
        }
    }
}

static void test_sizes(void **state) {
    (void)state;
    /* what is prepared for one type, and serves another, is all that the other's product reads */
    for (unsigned a = 0; a < TOLA_DTYPE_COUNT; a++)
        for (unsigned b = 0; b < TOLA_DTYPE_COUNT; b++)
            for (size_t tokens = 1; matmul_supports(a) && matmul_supports(b) && tokens < 40; tokens++)
                if (matmul_same_preparation(a, b)) {
                    const matmul_acts x = matmul_view(a, 512, tokens, NULL), y = matmul_view(b, 512, tokens, NULL);
                    assert_int_equal(!matmul_vector_for(a, tokens), !matmul_vector_for(b, tokens));
                    assert_int_equal(matmul_prepared_bytes(a, 512, tokens), matmul_prepared_bytes(b, 512, tokens));
                    assert_true(x.wide == y.wide && x.split == y.split && x.x_stride == y.x_stride &&
                                x.q_stride == y.q_stride && x.d_block == y.d_block);
                }
    assert_int_equal(matmul_prepared_bytes(TOLA_DTYPE_Q4_0, 31, 1), 0);
    assert_int_equal(matmul_prepared_bytes(TOLA_DTYPE_Q4_0, SIZE_MAX / 64 * 32, 4), 0);
    assert_int_equal(matmul_prepared_bytes(TOLA_DTYPE_F32, 1000, SIZE_MAX / 1000), 0);
    assert_int_equal(matmul_prepared_bytes(TOLA_DTYPE_I32, 64, 1), 0);
    assert_true(matmul_prepared_bytes(TOLA_DTYPE_Q4_0, 32, 1) >= 32);
    assert_false(matmul_supports(TOLA_DTYPE_COUNT));
}

int main(void) {
    const int failed = unit_on_every_processor();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),        cmocka_unit_test(test_paths), cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_one_and_many), cmocka_unit_test(test_prepare), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_accuracy),     cmocka_unit_test(test_empty), cmocka_unit_test(test_ask),
        cmocka_unit_test(test_not_finite),   cmocka_unit_test(test_prepare_again),
    };
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
