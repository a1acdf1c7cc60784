/* The matrix-vector product of every instruction set that this processor has gives the bits of matmul_scalar_dot. */
#include "base/cpu.h"
#include "kernels/matmul/matmul_kernels.h"
#include "unit.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 0x9e3779b97f4a7c15;

static uint32_t any(void) { /* xorshift64*, Marsaglia 2003 and Vigna 2016 */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)(state * 0x2545f4914f6cdd1d >> 32);
}

typedef struct set {
    const char *name;
    matmul_vector_fn (*get)(tola_dtype);
} set;

static size_t sets_here(set *out) {
    size_t n = 0;
    const cpu_features *cpu = cpu_get();
    out[n++] = (set){ "chosen", matmul_vector_get };
#if defined(__x86_64__)
    if (cpu->level == CPU_AVX512 && cpu->avx512_vnni) out[n++] = (set){ "avx512vnni", matmul_vector_avx512vnni };
    if (cpu->level >= CPU_AVX2) out[n++] = (set){ "avx2", matmul_vector_avx2 };
#elif defined(__aarch64__)
    if (cpu->level == CPU_NEON) out[n++] = (set){ "neon", matmul_vector_neon };
    if (cpu->neon_dotprod) out[n++] = (set){ "dotprod", matmul_vector_dotprod };
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
    for (size_t i = 0; i < bytes; i++) w[i] = (uint8_t)any();
    size_t block = tola_dtype_block_bytes(type);
    if (kind == ANY) return;
    for (size_t b = 0; b + block <= bytes; b += block) {
        uint8_t *p = w + b;
        switch (type) {
        case TOLA_DTYPE_NVFP4: break;
        case TOLA_DTYPE_MXFP4: p[0] = (uint8_t)(any() % 6 == 0 ? any() % 4 : 100 + any() % 50); break;
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

static void check(tola_dtype type, const set *s, size_t k, size_t rows, size_t pad, bytes_kind kind) {
    matmul_vector_fn product = s->get(type);
    if (!product) return;
    enum { TOKENS = 3, CANARIES = 8 };
    size_t row_bytes = k / tola_dtype_block_elements(type) * tola_dtype_block_bytes(type), stride = row_bytes + pad;
    size_t bytes = stride * (rows - 1) + row_bytes;
    uint8_t *w = malloc(bytes + 1), *here = w + 1; /* nothing is aligned, nothing may be read behind the last row */
    fill(type, here, bytes, kind);
    if (pad)
        for (size_t r = 0; r < rows; r++) fill(type, here + r * stride, row_bytes, kind);

    float *x = malloc(TOKENS * k * sizeof *x);
    for (size_t i = 0; i < TOKENS * k; i++) x[i] = (float)(int32_t)any() * 0x1p-31f;
    for (size_t i = k; i < 2 * k; i++) x[i] = any() & 1 ? 1.0f : -1.0f; /* token 1: codes of 127 and -127 */
    for (size_t i = 0; i < k; i++)
        if (i / 256 % 3 == 1) x[i] = 0;
    void *prepared = aligned_alloc(64, matmul_prepared_bytes(type, k, TOKENS));
    matmul_prepare(type, x, k, k, TOKENS, 0, TOKENS, prepared);
    matmul_acts acts = matmul_view(type, k, TOKENS, prepared);

    float *y = malloc((rows + CANARIES) * sizeof *y);
    for (size_t t = 0; t < TOKENS; t++) {
        for (size_t i = 0; i < rows + CANARIES; i++) y[i] = 12345;
        product(here, stride, &acts, t, y, rows);
        for (size_t i = rows; i < rows + CANARIES; i++) assert_true(y[i] == 12345);
        for (size_t r = 0; r < rows; r++) {
            float right = matmul_scalar_dot(type, here + r * stride, &acts, t);
            bool same = memcmp(&y[r], &right, sizeof right) == 0 || (isnan(y[r]) && isnan(right));
            if (!same)
                fail_msg("%s %s: k %zu, row %zu of %zu, token %zu, bytes %d: %.9g instead of %.9g", s->name,
                         tola_dtype_name(type), k, r, rows, t, kind, (double)y[r], (double)right);
        }
    }
    free(y);
    free(prepared);
    free(x);
    free(w);
}

static void each(size_t blocks, size_t rows, size_t pad, bytes_kind kind) {
    set sets[8];
    size_t n = sets_here(sets);
    for (int type = 1; type < TOLA_DTYPE_COUNT; type++)
        for (size_t i = 0; i < n && matmul_supports((tola_dtype)type); i++)
            check((tola_dtype)type, &sets[i], blocks * tola_dtype_block_elements((tola_dtype)type), rows, pad, kind);
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

static void no_rows(void **unused) {
    (void)unused;
    float y = 7;
    matmul_vector_fn product = matmul_vector_get(TOLA_DTYPE_Q4_0);
    _Alignas(64) uint8_t prepared[1024];
    assert_true(matmul_prepared_bytes(TOLA_DTYPE_Q4_0, 32, 1) <= sizeof prepared);
    float x[32] = { 0 };
    matmul_prepare(TOLA_DTYPE_Q4_0, x, 32, 32, 1, 0, 1, prepared);
    matmul_acts acts = matmul_view(TOLA_DTYPE_Q4_0, 32, 1, prepared);
    if (product) product(NULL, 18, &acts, 0, &y, 0);
    assert_true(y == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_rows), cmocka_unit_test(every_number_of_blocks),
        cmocka_unit_test(rows_apart),           cmocka_unit_test(any_bytes),
        cmocka_unit_test(no_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
