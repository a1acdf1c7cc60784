/* The matrix-vector product of every instruction set that this processor has gives the bits of matmul_scalar_dot, or,
 * of weights that the processor itself multiplies as bf16, those of the product with many tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "kernels/matmul/matmul_kernels.h"
#include "processors.h"
#include "random.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct set {
    const char *name;
    matmul_vector_fn (*get)(tola_dtype);
    const matmul_tile *bf16; /* of many tokens, where activations are kept as bf16 */
} set;

static size_t sets_here(set *out) {
    size_t n = 0;
    const cpu_features *cpu = cpu_get();
    matmul_path paths[MATMUL_PATHS_MOST];
    matmul_paths(paths);
    const matmul_path *best = paths;
    while (!(best->kinds >> MATMUL_BF16 & 1)) best++;
    out[n++] = (set){ "chosen", matmul_vector_get, best->tile };
#if defined(__x86_64__)
    if (cpu->level == CPU_AVX512 && cpu->avx512_vnni) out[n++] = (set){ "avx512vnni", matmul_vector_avx512vnni, NULL };
    if (cpu->level >= CPU_AVX2) out[n++] = (set){ "avx2", matmul_vector_avx2, NULL };
    if (cpu->level >= CPU_AVX2) out[n++] = (set){ "floats avx2", matmul_vector_floats_avx2, NULL };
    if (cpu->level == CPU_AVX512) out[n++] = (set){ "floats avx512", matmul_vector_floats_avx512, NULL };
    if (cpu->avx512_bf16 && !matmul_wide(matmul_type_get(TOLA_DTYPE_BF16)))
        out[n++] = (set){ "floats avx512bf16", matmul_vector_floats_avx512bf16, &matmul_floats_avx512bf16 };
    if (cpu->amx_bf16 && cpu_allow_amx())
        out[n++] = (set){ "floats amx", matmul_vector_floats_amx, &matmul_floats_amx };
#elif defined(__aarch64__)
    if (cpu->level == CPU_NEON) out[n++] = (set){ "neon", matmul_vector_neon, NULL };
    if (cpu->level == CPU_NEON) out[n++] = (set){ "floats neon", matmul_vector_floats_neon, NULL };
    if (cpu->neon_dotprod) out[n++] = (set){ "dotprod", matmul_vector_dotprod, NULL };
#endif
    (void)cpu;
    return n;
}

typedef enum bytes_kind { ORDINARY, ANY, ONES, ZEROS, NIBBLES, BYTES_KINDS } bytes_kind;

/* Blocks of any bytes; ORDINARY ones have scales that are finite, wherever the type keeps them. */
static void fill(tola_dtype type, uint8_t *w, size_t bytes, bytes_kind kind) {
    static const uint8_t same[] = { [ONES] = 0xff, [ZEROS] = 0, [NIBBLES] = 0x88 };
    if (kind > ANY) {
        memset(w, same[kind], bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++) w[i] = (uint8_t)unit_any();
    size_t block = tola_dtype_block_bytes(type);
    if (kind == ANY) return;
    for (size_t b = 0; b + block <= bytes; b += block) {
        uint8_t *p = w + b;
        switch (type) {
        case TOLA_DTYPE_NVFP4: break;
        case TOLA_DTYPE_F8_E4M3:
        case TOLA_DTYPE_F8_E5M2: p[0] &= 0xbb; break;
        case TOLA_DTYPE_F32:
        case TOLA_DTYPE_MXFP4: p[0] = (uint8_t)(unit_any() % 6 == 0 ? unit_any() % 4 : 100 + unit_any() % 50); break;
        case TOLA_DTYPE_Q8_K: p[3] = 0x3c; break;
        case TOLA_DTYPE_IQ1_M: p[55] &= 0xbb; break;
        case TOLA_DTYPE_Q6_K:
        case TOLA_DTYPE_Q3_K:
        case TOLA_DTYPE_TQ1_0:
        case TOLA_DTYPE_TQ2_0: p[block - 1] &= 0xbb; break;
        case TOLA_DTYPE_Q2_K: p[81] &= 0xbb, p[83] &= 0xbb; break;
        case TOLA_DTYPE_Q4_1:
        case TOLA_DTYPE_Q5_1:
        case TOLA_DTYPE_Q4_K:
        case TOLA_DTYPE_Q5_K: p[3] &= 0xbb; /* fall through */
        default: p[1] &= 0xbb; break;
        }
    }
}

/* Types with products of their own on this processor. */
static bool tested(tola_dtype type) {
    return matmul_supports(type) && (!unit_only_bf16() || matmul_type_get(type)->kind == MATMUL_BF16);
}

/* Every set's product of one type with the same weights and tokens. */
static void check(tola_dtype type, size_t k, size_t rows, size_t pad, bytes_kind kind) {
    set sets[8];
    const size_t n = sets_here(sets);
    const bool native = matmul_floats(matmul_type_get(type)) && !matmul_wide(matmul_type_get(type));
    enum { TOKENS = 3, CANARIES = 8 };
    size_t row_bytes = k / tola_dtype_block_elements(type) * tola_dtype_block_bytes(type), stride = row_bytes + pad;
    size_t bytes = stride * (rows - 1) + row_bytes;
    uint8_t *w = malloc(bytes + 1), *here = w + 1; /* nothing is aligned, nothing may be read behind the last row */
    fill(type, here, bytes, kind);
    if (pad)
        for (size_t r = 0; r < rows; r++) fill(type, here + r * stride, row_bytes, kind);

    float *x = malloc(TOKENS * k * sizeof *x);
    for (size_t i = 0; i < TOKENS * k; i++) x[i] = (float)(int32_t)unit_any() * 0x1p-31f;
    for (size_t i = k; i < 2 * k; i++) x[i] = unit_any() & 1 ? 1.0f : -1.0f; /* token 1: codes of 127 and -127 */
    for (size_t i = 0; i < k; i++)
        if (i / 256 % 3 == 1) x[i] = 0;
    void *all = aligned_alloc(64, matmul_prepared_bytes(type, k, TOKENS));
    void *alone = aligned_alloc(64, matmul_prepared_bytes(type, k, 1));
    matmul_prepare(type, x, k, k, TOKENS, 0, TOKENS, all);
    const matmul_acts many = matmul_view(type, k, TOKENS, all);

    float *y = malloc((rows + CANARIES) * sizeof *y), *right = malloc(TOKENS * rows * sizeof *right);
    bool defined = false;
    for (size_t i = 0; i < n; i++) {
        const set *s = &sets[i];
        const matmul_vector_fn product = s->get(type);
        if (!product || (native && !s->bf16)) continue;
        if (native) {
            void *scratch = aligned_alloc(64, s->bf16->scratch(matmul_type_get(type), k, TOKENS) / 64 * 64 + 64);
            s->bf16->rows(type, here, stride, &many, right, rows, rows, scratch);
            free(scratch);
        }
        for (size_t t = 0; t < TOKENS; t++) {
            for (size_t r = 0; r < rows + CANARIES; r++) y[r] = 12345;
            matmul_prepare(type, x + t * k, k, k, 1, 0, 1, alone);
            const matmul_acts acts = matmul_view(type, k, 1, alone);
            for (size_t r = 0; r < rows && !native && !defined; r++)
                right[t * rows + r] = matmul_scalar_dot(type, here + r * stride, &acts, 0);
            product(here, stride, &acts, 0, y, rows);
            for (size_t r = rows; r < rows + CANARIES; r++) assert_true(y[r] == 12345);
            for (size_t r = 0; r < rows; r++) {
                const float want = right[t * rows + r];
                bool same = memcmp(&y[r], &want, sizeof want) == 0 || (isnan(y[r]) && isnan(want));
                if (!same)
                    fail_msg("%s %s: k %zu, row %zu of %zu, token %zu, bytes %d: %.9g instead of %.9g", s->name,
                             tola_dtype_name(type), k, r, rows, t, kind, (double)y[r], (double)want);
            }
        }
        defined = true;
    }
    free(right);
    free(y);
    free(alone);
    free(all);
    free(x);
    free(w);
}

static void each(size_t blocks, size_t rows, size_t pad, bytes_kind kind) {
    for (int type = 1; type < TOLA_DTYPE_COUNT; type++)
        if (tested((tola_dtype)type))
            check((tola_dtype)type, blocks * tola_dtype_block_elements((tola_dtype)type), rows, pad, kind);
}

static void every_number_of_rows(void **unused) {
    (void)unused;
    for (size_t rows = 1; rows <= 35; rows++) each(1 + rows % 3, rows, 0, ORDINARY);
    each(2, 16 * 9, 0, ORDINARY);
    each(2, 16 * 33 + 7, 0, ORDINARY);
}

static void every_number_of_blocks(void **unused) {
    (void)unused;
    for (size_t blocks = 1; blocks <= 19; blocks++) each(blocks, 17, 0, ORDINARY);
    each(65, 18, 0, ORDINARY);
}

static void rows_apart(void **unused) {
    (void)unused;
    each(3, 37, 5, ORDINARY);
    each(3, 64, 4096, ORDINARY);
}

static void any_bytes(void **unused) {
    (void)unused;
    for (int kind = ANY; kind < BYTES_KINDS; kind++) each(18, 21, 0, (bytes_kind)kind);
}

/* Lengths of rows around those of vectors, of lines and of runs of sums, which float types alone may have. */
static void floats_of_any_length(void **unused) {
    (void)unused;
    static const size_t lengths[] = { 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129, 1000, 1024, 1025, 2 * 1024 + 95 };
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int type = 1; type < TOLA_DTYPE_COUNT; type++)
            for (int kind = ORDINARY; kind <= ANY && tested((tola_dtype)type); kind++)
                if (tola_dtype_block_elements((tola_dtype)type) == 1)
                    check((tola_dtype)type, lengths[l], 1 + l * 5, l % 3, (bytes_kind)kind);
}

/* Every float8 of either sign, alone in a row, is what it is said to be. */
static void each_float8(void **unused) {
    (void)unused;
    set sets[8];
    size_t n = sets_here(sets);
    static const tola_dtype types[] = { TOLA_DTYPE_F8_E4M3, TOLA_DTYPE_F8_E5M2 };
    for (size_t i = 0; i < 2 * n; i++) {
        const tola_dtype type = types[i % 2];
        const set *s = &sets[i / 2];
        const bool wide = matmul_wide(matmul_type_get(type));
        matmul_vector_fn product = s->get(type);
        if (!product || (!wide && !s->bf16)) continue;
        enum { K = 64 };
        uint8_t w[256 * K] = { 0 };
        for (int b = 0; b < 256; b++) w[b * K + b % K] = (uint8_t)b;
        float x[K], y[256], right[256];
        for (int k = 0; k < K; k++) x[k] = 1;
        void *prepared = aligned_alloc(64, matmul_prepared_bytes(type, K, 1));
        matmul_prepare(type, x, K, K, 1, 0, 1, prepared);
        matmul_acts acts = matmul_view(type, K, 1, prepared);
        product(w, K, &acts, 0, y, 256);
        uint8_t all[256];
        for (int b = 0; b < 256; b++) all[b] = (uint8_t)b;
        matmul_to_f32(type)(all, right, 256);
        for (int b = 0; b < 256; b++)
            if (!(y[b] == right[b] || (isnan(y[b]) && isnan(right[b]))))
                fail_msg("%s %s: %d is %.9g instead of %.9g", s->name, tola_dtype_name(type), b, (double)y[b],
                         (double)right[b]);
        free(prepared);
    }
}

static void no_rows(void **unused) {
    (void)unused;
    float y = 7;
    matmul_vector_fn product = matmul_vector_get(TOLA_DTYPE_Q4_0);
    _Alignas(64) uint8_t prepared[8192];
    assert_true(matmul_prepared_bytes(TOLA_DTYPE_Q4_0, 32, 1) <= sizeof prepared);
    float x[32] = { 0 };
    matmul_prepare(TOLA_DTYPE_Q4_0, x, 32, 32, 1, 0, 1, prepared);
    matmul_acts acts = matmul_view(TOLA_DTYPE_Q4_0, 32, 1, prepared);
    if (product) product(NULL, 18, &acts, 0, &y, 0);
    assert_true(y == 7);
}

int main(void) {
    const int failed = unit_on_every_processor();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_rows), cmocka_unit_test(every_number_of_blocks),
        cmocka_unit_test(rows_apart),           cmocka_unit_test(any_bytes),
        cmocka_unit_test(no_rows),              cmocka_unit_test(floats_of_any_length),
        cmocka_unit_test(each_float8),
    };
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
