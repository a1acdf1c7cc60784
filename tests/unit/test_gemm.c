/* General products against sums in f64: transposes, dtypes, sizes, strides, precisions, tasks; each instruction set in
 * a process of its own, since a process chooses once. */
#include "base/cpu.h"
#include "kernels/cast/cast.h"
#include "kernels/cast/scalar.h"
#include "kernels/dequantize/dequantize.h"
#include "kernels/gemm/gemm.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GUARD = 64 };
static const uint8_t canary = 0xa5;
static uint64_t digest = 14695981039346656037u; /* of every f32 product: FNV-1a */

/* Everything runs in a process of its own; see in_process. */
__attribute__((noreturn, format(printf, 1, 2))) static void wrong(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    _exit(1);
}

static void *memory(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes + 64) != 0) abort();
    return memset(p, canary, bytes + 64);
}

/* A matrix of numbers near 1 in size, with `more` bytes between rows; `values` gets them as they are meant. */
static void *matrix(tola_dtype dtype, size_t rows, size_t cols, size_t more, size_t *row_bytes, double *values) {
    const size_t block = tola_dtype_block_elements(dtype), wide = (cols + block - 1) / block * block;
    const size_t bytes = wide / block * tola_dtype_block_bytes(dtype);
    *row_bytes = bytes + more;
    uint8_t *data = memory(rows * *row_bytes);
    float *x = memory((wide + 1) * sizeof *x);
    for (size_t r = 0; r < rows; r++) {
        uint8_t *row = data + r * *row_bytes;
        for (size_t i = 0; i < wide; i++) x[i] = unit_between(-1, 1);
        if (dtype == TOLA_DTYPE_F32) memcpy(row, x, bytes);
        else if (dtype == TOLA_DTYPE_BF16) cast_scalar.f32_to_bf16(x, row, wide, false);
        else if (dtype == TOLA_DTYPE_F16) cast_scalar.f32_to_f16(x, row, wide, false);
        else if (dtype == TOLA_DTYPE_F64) cast_scalar.f32_to_f64(x, row, wide, false);
        else if (dtype == TOLA_DTYPE_F8_E5M2FNUZ) cast_scalar.f32_to_small(&cast_e5m2fnuz, x, row, wide, false);
        else if (dtype == TOLA_DTYPE_F8_E4M3) cast_scalar.f32_to_small(&cast_e4m3, x, row, wide, false);
        else
            for (size_t i = 0; i < bytes; i++) row[i] = (uint8_t)unit_any();
        if (dtype == TOLA_DTYPE_Q4_K || dtype == TOLA_DTYPE_Q8_0) /* their scales in f16, small numbers */
            for (size_t b = 0; b < bytes; b += tola_dtype_block_bytes(dtype)) {
                const uint16_t scales[2] = { cast_f32_to_f16(cast_f32_bits(unit_between(0.001f, 0.01f))),
                                             cast_f32_to_f16(cast_f32_bits(unit_between(0.001f, 0.01f))) };
                memcpy(row + b, scales, dtype == TOLA_DTYPE_Q4_K ? 4 : 2);
            }
        if (dtype == TOLA_DTYPE_F8_E5M2FNUZ) cast_small_to_f32(&cast_e5m2fnuz, row, x, wide);
        else if (dtype == TOLA_DTYPE_F8_E4M3) cast_scalar.e4m3_to_f32(row, x, wide, false);
        else if (dtype == TOLA_DTYPE_F16) cast_scalar.f16_to_f32(row, x, wide, false);
        else if (dtype == TOLA_DTYPE_BF16) cast_scalar.bf16_to_f32(row, x, wide, false);
        else if (dequantize_get_scalar(dtype)) dequantize_get_scalar(dtype)(row, x, wide);
        for (size_t i = 0; i < cols; i++) values[r * cols + i] = x[i];
    }
    free(x);
    return data;
}

/* What an operand's number stands for in the product. */
static double meant(const gemm_operand *o, gemm_precision precision, double x) {
    float y = (float)x;
    uint8_t code;
    uint16_t half;
    double scale = o->scale;
    if (o->round != TOLA_DTYPE_NONE) {
        y *= o->scale;
        const cast_small *type = o->round == TOLA_DTYPE_F8_E4M3 ? &cast_e4m3 : &cast_e5m2;
        cast_scalar.f32_to_small(type, &y, &code, 1, true);
        cast_small_to_f32(type, &code, &y, 1);
        scale = 1 / scale;
    }
    if (precision == GEMM_BF16) {
        cast_scalar.f32_to_bf16(&y, &half, 1, false);
        cast_scalar.bf16_to_f32(&half, &y, 1, false);
    }
    return y * scale;
}

/* All tasks, each with scratch full of what is no number. */
static void run(const gemm_problem *p, unsigned threads, bool backwards) {
    const size_t bytes = gemm_scratch_bytes(p, threads), tasks = gemm_tasks(p, threads);
    uint8_t *scratch = memory(bytes + GUARD);
    for (size_t i = 0; i < tasks; i++) {
        memset(scratch, 0xff, bytes);
        gemm_run(p, threads, backwards ? tasks - 1 - i : i, scratch);
    }
    for (size_t i = 0; i < GUARD; i++)
        if (scratch[bytes + i] != canary) wrong("scratch of %zu bytes is overrun", bytes);
    free(scratch);
}

/* The product as `p` says, on matrices made for it, by several numbers of threads. */
static void check(gemm_problem p, size_t more, size_t apart) {
    double *va = memory(p.m * p.k * sizeof *va), *vb = memory(p.n * p.k * sizeof *vb);
    void *a = p.a.transposed ? matrix(p.a.dtype, p.k, p.m, more, &p.a.row_bytes, va)
                             : matrix(p.a.dtype, p.m, p.k, more, &p.a.row_bytes, va);
    void *b = p.b.transposed ? matrix(p.b.dtype, p.n, p.k, more, &p.b.row_bytes, vb)
                             : matrix(p.b.dtype, p.k, p.n, more, &p.b.row_bytes, vb);
    p.a.data = a, p.b.data = b;
    p.c_stride = p.n + apart;
    for (size_t i = 0; i < p.m * p.k; i++) va[i] = meant(&p.a, p.precision, va[i]);
    for (size_t i = 0; i < p.n * p.k; i++) vb[i] = meant(&p.b, p.precision, vb[i]);
    const size_t size = p.m * p.c_stride;
    float *before = memory(size * sizeof *before), *c = memory(size * sizeof *c), *first = memory(size * sizeof *c);
    if (p.accumulate)
        for (size_t i = 0; i < size; i++) before[i] = unit_between(-1, 1);
    static const unsigned threads[] = { 1, 2, 4, 7 };
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        memcpy(c, before, size * sizeof *c);
        p.c = c;
        run(&p, threads[t], t % 2);
        if (t == 0) memcpy(first, c, size * sizeof *c);
        if (memcmp(first, c, size * sizeof *c) != 0)
            wrong("%zu x %zu x %zu: %u threads give other bits", p.m, p.n, p.k, threads[t]);
    }
    for (size_t i = 0; i < p.m; i++)
        for (size_t j = 0; j < p.c_stride; j++) {
            const float got = first[i * p.c_stride + j], was = before[i * p.c_stride + j];
            if (j >= p.n) {
                if (memcmp(&got, &was, sizeof got) != 0) wrong("written beside the product");
                continue;
            }
            double sum = p.accumulate ? was : 0, size_of_sum = fabs(sum);
            for (size_t e = 0; e < p.k; e++) {
                const double x = va[p.a.transposed ? e * p.m + i : i * p.k + e];
                const double y = vb[p.b.transposed ? j * p.k + e : e * p.n + j];
                sum += x * y, size_of_sum += fabs(x * y);
            }
            /* half an ulp for each sum within a block of at most 1024, and between blocks, and for scales */
            const double bound = size_of_sum * 0x1p-24 * (double)((p.k < 1024 ? p.k : 1024) + p.k / 256 + 8) + 1e-37;
            if (!(fabs(got - sum) <= bound))
                wrong("%zu x %zu x %zu at %zu, %zu (transposed %d %d, dtypes %s %s): %.9g, not %.9g", p.m, p.n, p.k,
                         i, j, p.a.transposed, p.b.transposed, tola_dtype_name(p.a.dtype), tola_dtype_name(p.b.dtype),
                         (double)got, sum);
        }
    if (p.precision == GEMM_F32)
        for (size_t i = 0; i < size * sizeof *first; i++)
            digest = (digest ^ ((const uint8_t *)first)[i]) * 1099511628211u;
    free(va), free(vb), free(a), free(b), free(before), free(c), free(first);
}

static gemm_problem problem(size_t m, size_t n, size_t k, int transposes, gemm_precision precision) {
    const gemm_operand plain = { .dtype = TOLA_DTYPE_F32, .scale = 1 };
    gemm_problem p = { .m = m, .n = n, .k = k, .a = plain, .b = plain, .precision = precision };
    p.a.transposed = transposes & 1, p.b.transposed = transposes & 2;
    return p;
}

static void sizes(void) {
    static const size_t some[][3] = {
        { 1, 1, 1 },    { 3, 5, 2 },     { 14, 32, 16 },  { 15, 33, 17 },  { 28, 16, 31 },
        { 13, 17, 64 }, { 64, 10, 256 }, { 31, 97, 257 }, { 16, 48, 514 }, { 2, 200, 33 },
        { 70, 65, 96 }, { 33, 66, 1 },   { 200, 1, 40 },  { 6, 6, 1100 },  { 80, 90, 140 },
    };
    for (size_t s = 0; s < sizeof some / sizeof *some; s++)
        for (int t = 0; t < 4; t++)
            for (int precision = GEMM_F32; precision <= GEMM_BF16; precision++) {
                gemm_problem p = problem(some[s][0], some[s][1], some[s][2], t, (gemm_precision)precision);
                check(p, 0, 0);
                p.accumulate = true;
                check(p, 12, 3);
            }
    for (int precision = GEMM_F32; precision <= GEMM_BF16; precision++) { /* cut into many tasks */
        check(problem(530, 150, 37, 2, (gemm_precision)precision), 4, 1);
        check(problem(1030, 20, 100, 1, (gemm_precision)precision), 0, 0);
        check(problem(15, 1100, 260, 0, (gemm_precision)precision), 0, 0);
    }
}

static void dtypes(void) {
    static const tola_dtype some[] = { TOLA_DTYPE_F16,         TOLA_DTYPE_BF16, TOLA_DTYPE_F64, TOLA_DTYPE_F8_E4M3,
                                       TOLA_DTYPE_F8_E5M2FNUZ, TOLA_DTYPE_Q8_0, TOLA_DTYPE_Q4_K };
    for (size_t d = 0; d < sizeof some / sizeof *some; d++)
        for (int t = 0; t < 4; t++)
            for (int precision = GEMM_F32; precision <= GEMM_BF16; precision++) {
                const size_t block = tola_dtype_block_elements(some[d]);
                gemm_problem p = problem(7, 256 + 64, 300, t, (gemm_precision)precision);
                p.b.dtype = some[d];
                if (p.b.transposed && block > 1) p.k = 512;
                if (!p.b.transposed && block == 256) p.n = 512;
                check(p, 0, 0);
                p = problem(block > 1 ? 512 : 75, 3, block > 1 ? 512 : 101, t, (gemm_precision)precision);
                p.a.dtype = some[d];
                p.accumulate = true;
                check(p, 0, 0);
            }
}

static void simulated_fp8(void) {
    for (int t = 0; t < 4; t++)
        for (int precision = GEMM_F32; precision <= GEMM_BF16; precision++) {
            gemm_problem p = problem(33, 70, 300, t, (gemm_precision)precision);
            p.a.round = TOLA_DTYPE_F8_E4M3, p.a.scale = 300;
            p.b.round = TOLA_DTYPE_F8_E5M2, p.b.scale = 1000.5f;
            check(p, 0, 0);
            p.a.scale = 1000; /* many beyond the range */
            p.b.round = TOLA_DTYPE_NONE, p.b.scale = 0.25f;
            p.accumulate = true;
            check(p, 0, 0);
        }
}

static void nothing_to_sum(void) {
    float c[6] = { 1, 2, 3, 4, 5, 6 };
    gemm_problem p = problem(2, 2, 0, 0, GEMM_F32);
    p.c = c, p.c_stride = 3, p.accumulate = true;
    run(&p, 2, false);
    if (c[0] != 1 || c[4] != 5) wrong("adding nothing changes");
    p.accumulate = false;
    run(&p, 2, false);
    if (c[0] != 0 || c[1] != 0 || c[2] != 3 || c[3] != 0 || c[4] != 0 || c[5] != 6) wrong("no sum is not zero");
    p.m = 0;
    if (gemm_tasks(&p, 3) != 0) wrong("tasks of no rows");
}

/* Scratch serves smaller batches: a plan takes it once, for the largest. What runs in it keeps inside (run). */
static void smaller_batches(void) {
    enum { M = 700, N = 64, K = 600 };
    float *a = memory(M * K * sizeof *a), *b = memory(N * K * sizeof *b), *c = memory(M * N * sizeof *c);
    for (size_t i = 0; i < M * K; i++) a[i] = 1;
    for (size_t i = 0; i < N * K; i++) b[i] = 1;
    for (int precision = GEMM_F32; precision <= GEMM_BF16; precision++)
        for (int t = 0; t < 4; t++)
            for (unsigned threads = 1; threads <= 3; threads++) {
                for (size_t m = 20; m <= M; m += 170)
                    for (size_t k = 40; k <= K; k += 280) {
                        gemm_problem p = problem(m, N, k, t, (gemm_precision)precision);
                        p.a.data = a, p.a.row_bytes = (p.a.transposed ? M : K) * sizeof *a;
                        p.b.data = b, p.b.row_bytes = (p.b.transposed ? K : N) * sizeof *b;
                        p.c = c, p.c_stride = N;
                        const size_t bytes = gemm_scratch_bytes(&p, threads);
                        /* each number of threads with each m and each k */
                        if ((m / 170 + k / 280) % 3 == threads - 1) run(&p, threads, false);
                        gemm_problem all = p;
                        all.m = M, all.k = K;
                        if (bytes > gemm_scratch_bytes(&all, threads)) wrong("%zu rows want more scratch than %d", m, M);
                    }
            }
    free(a);
    free(b);
    free(c);
}

/* NaN and infinity reach the elements that they should, and no others. */
static void not_finite(void) {
    for (int precision = GEMM_F32; precision <= GEMM_BF16; precision++)
        for (int t = 0; t < 4; t++) {
            enum { M = 19, N = 45, K = 41 };
            gemm_problem p = problem(M, N, K, t, (gemm_precision)precision);
            float a[M * K], b[N * K], c[M * N];
            for (size_t i = 0; i < M * K; i++) a[i] = 1;
            for (size_t i = 0; i < N * K; i++) b[i] = 2;
            a[p.a.transposed ? 40 * M + 18 : 18 * K + 40] = NAN;
            b[p.b.transposed ? 44 * K + 40 : 40 * N + 44] = INFINITY;
            p.a.data = a, p.a.row_bytes = (p.a.transposed ? M : K) * sizeof *a;
            p.b.data = b, p.b.row_bytes = (p.b.transposed ? K : N) * sizeof *b;
            p.c = c, p.c_stride = N;
            run(&p, 2, false);
            for (size_t i = 0; i < M; i++)
                for (size_t j = 0; j < N; j++) {
                    const float x = c[i * N + j];
                    if (i == 18 ? !isnan(x) : j == 44 ? x != INFINITY : x != 2 * K)
                        wrong("%zu, %zu is %g", i, j, (double)x);
                }
        }
}

/* Everything, in a process whose processor is so called; its digest. */
static uint64_t in_process(const char *cpu) {
    int ends[2];
    uint64_t got = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        if (cpu) setenv("TOLA_CPU", cpu, 1);
        sizes();
        dtypes();
        simulated_fp8();
        nothing_to_sum();
        not_finite();
        smaller_batches();
        const bool sent = write(ends[1], &digest, sizeof digest) == (ssize_t)sizeof digest;
        _exit(sent ? 0 : 1);
    }
    close(ends[1]);
    int status = -1;
    const bool came = read(ends[0], &got, sizeof got) == (ssize_t)sizeof got;
    close(ends[0]);
    assert_true(waitpid(child, &status, 0) == child);
    if (!came || !WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("with TOLA_CPU=%s", cpu ? cpu : "");
    return got;
}

static uint64_t expected;

static void test_scalar(void **state) {
    (void)state;
    expected = in_process("scalar");
}
#if defined(__x86_64__)
static void test_avx2(void **state) {
    (void)state;
    assert_true(in_process("avx2") == expected);
}
static void test_avx512(void **state) {
    (void)state;
    assert_true(in_process("avx512") == expected);
}
static void test_avx512vnni(void **state) {
    (void)state;
    assert_true(in_process("avx512vnni") == expected);
}
static void test_avx512bf16(void **state) {
    (void)state;
    assert_true(in_process("avx512bf16") == expected);
}
#endif
static void test_this_processor(void **state) {
    (void)state;
    assert_true(in_process(NULL) == expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar),
#if defined(__x86_64__)
        cmocka_unit_test(test_avx2),
        cmocka_unit_test(test_avx512),
        cmocka_unit_test(test_avx512vnni),
        cmocka_unit_test(test_avx512bf16),
#endif
        cmocka_unit_test(test_this_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
