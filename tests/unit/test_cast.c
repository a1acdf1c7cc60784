/* Casts: every instruction set the processor has against the definition, bit by bit, and the rules of codec.h. */
#include "base/cpu.h"
#include "codecs/codec.h"
#include "kernels/cast/cast.h"
#include "kernels/cast/scalar.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- instruction sets against the definition ---- */

static const struct {
    cpu_level needs;
    const cast_kernels *kernels;
} sets[] = {
#if defined(__x86_64__)
    { CPU_AVX2, &cast_avx2 },
    { CPU_AVX512, &cast_avx512 },
#elif defined(__aarch64__)
    { CPU_NEON, &cast_neon },
#else
    { CPU_SCALAR, &cast_scalar },
#endif
};

static bool runs(cpu_level level) {
    cpu_level have = cpu_get()->level;
    return level == CPU_SCALAR || level == have || (level == CPU_AVX2 && have == CPU_AVX512);
}

typedef struct pair {
    const char *name;
    size_t at; /* offset of the function in cast_kernels */
    size_t in, out;
} pair;

#define PAIR(name, in, out) { #name, offsetof(cast_kernels, name), in, out }
static const pair pairs[] = {
    PAIR(bf16_to_f32, 2, 4),
    PAIR(f16_to_f32, 2, 4),
    PAIR(f64_to_f32, 8, 4),
    PAIR(e4m3_to_f32, 1, 4),
    PAIR(e5m2_to_f32, 1, 4),
    PAIR(f32_to_bf16, 4, 2),
    PAIR(f32_to_f16, 4, 2),
    PAIR(f32_to_f64, 4, 8),
};

static const struct {
    const char *name;
    const cast_small *type;
} smalls[] = {
    { "e4m3", &cast_e4m3 },         { "e5m2", &cast_e5m2 }, { "e4m3fnuz", &cast_e4m3fnuz },
    { "e5m2fnuz", &cast_e5m2fnuz }, { "e2m3", &cast_e2m3 }, { "e3m2", &cast_e3m2 },
    { "e2m1", &cast_e2m1 },
};

static uint64_t run(const cast_kernels *k, const pair *p, const cast_small *small, const void *src, void *dst, size_t n,
                    bool saturate) {
    if (small) return k->f32_to_small(small, src, dst, n, saturate);
    cast_fn f;
    memcpy(&f, (const char *)k + p->at, sizeof f);
    return f(src, dst, n, saturate);
}

#define CANARY 0xa5

/* Unaligned, at exact size for the sanitizer on the input side, with canaries around the output. */
static void check_run(const pair *p, const cast_small *small, const uint8_t *data, size_t n, bool saturate) {
    size_t in = small ? 4 : p->in, out = small ? 1 : p->out;
    uint8_t *src = malloc(n * in + 1), *got = malloc(n * out + 33), *want = malloc(n * out + 33);
    assert_true(src && got && want);
    if (n > 0) memcpy(src + 1, data, n * in);
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        if (!runs(sets[s].needs)) continue;
        memset(got, CANARY, n * out + 33);
        memset(want, CANARY, n * out + 33);
        uint64_t a = run(sets[s].kernels, p, small, src + 1, got + 17, n, saturate);
        uint64_t b = run(&cast_scalar, p, small, src + 1, want + 17, n, saturate);
        if (a == b && memcmp(got, want, n * out + 33) == 0) continue;
        size_t at = 0;
        while (got[at] == want[at]) at++;
        fail_msg("%s %s n=%zu saturate %d: overflowed %llu/%llu, first difference in element %zd",
                 cpu_level_name(sets[s].needs), small ? "f32_to_small" : p->name, n, saturate, (unsigned long long)a,
                 (unsigned long long)b, ((ptrdiff_t)at - 17) / (ptrdiff_t)out);
    }
    free(src);
    free(got);
    free(want);
}

/* f32 patterns: anything, near ties and limits of the narrow types, ordinary weights. */
static uint32_t f32_pattern(size_t i) {
    uint32_t r = (uint32_t)unit_random();
    switch (i % 8) {
    case 0: return r;
    case 1: return (r & 0xffff0000) | 0x8000;              /* ties of bf16 */
    case 2: return (r & 0xffffe000) | 0x1000;              /* of f16 */
    case 3: return ((r & 0xfff80000) | 0x80000) + (r >> 3 & 1) - (r >> 4 & 1); /* of the small types, and beside */
    case 4: return (r & 0x80000000) | (0x33000000 + (r & 0x0fffffff));
    case 5: return (r & 0x80000000) | (r & 1 ? 0x477fe000 + (r >> 1 & 0x3fff) : 0x7f7f0000 + (r >> 1 & 0x1ffff));
    case 6: return (r & 0x80000000) | (0x43600000 + (r & 0x1fffff));
    default: return cast_f32_bits((float)((double)(int32_t)r * 0x1p-36));
    }
}

static uint64_t f64_pattern(size_t i) {
    uint64_t r = unit_random();
    float f = cast_f32_from_bits(f32_pattern(i));
    switch (i % 4) {
    case 0: return r;
    case 1: return (cast_f64_bits((double)f) & ~UINT64_C(0x1fffffff)) + 0x10000000 + (r & 3) - 1;
    case 2: return (r & UINT64_C(0x801fffffffffffff)) + UINT64_C(0x47e0000000000000);
    default: return cast_f64_bits((double)f);
    }
}

static void fill(uint8_t *data, size_t width, size_t n, bool tame) {
    for (size_t i = 0; i < n; i++) {
        uint64_t r = unit_random();
        uint32_t u = tame ? cast_f32_bits((float)((double)(int32_t)r * 0x1p-33)) : f32_pattern(i);
        uint64_t w = tame ? cast_f64_bits((double)cast_f32_from_bits(u)) : f64_pattern(i);
        if (width == 8) memcpy(data + 8 * i, &w, 8);
        else if (width == 4) memcpy(data + 4 * i, &u, 4);
        else memcpy(data + width * i, &r, width);
    }
}

static void test_sizes(void **state) {
    (void)state;
    static uint8_t data[8 * 700];
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs + sizeof smalls / sizeof *smalls; p++) {
        bool is_pair = p < sizeof pairs / sizeof *pairs;
        const pair *q = is_pair ? &pairs[p] : NULL;
        const cast_small *small = is_pair ? NULL : smalls[p - sizeof pairs / sizeof *pairs].type;
        for (size_t n = 0; n <= 700; n += n < 300 ? 1 : 37) {
            fill(data, q ? q->in : 4, n, n % 2);
            check_run(q, small, data, n, n % 3 == 0);
        }
    }
}

enum { MANY = 1 << 18 };
static uint8_t many[8 * MANY];

static void test_patterns(void **state) {
    (void)state;
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        if (pairs[p].in == 2) {
            for (uint32_t i = 0; i < 65536; i++) memcpy(many + 2 * i, &(uint16_t){ (uint16_t)i }, 2);
            check_run(&pairs[p], NULL, many, 65536, false);
        } else if (pairs[p].in == 1) {
            for (uint32_t i = 0; i < 256; i++) many[i] = (uint8_t)i;
            check_run(&pairs[p], NULL, many, 256, false);
        } else {
            fill(many, pairs[p].in, MANY, false);
            check_run(&pairs[p], NULL, many, MANY, false);
            check_run(&pairs[p], NULL, many, MANY, true);
        }
    }
    for (size_t t = 0; t < sizeof smalls / sizeof *smalls; t++) {
        fill(many, 4, MANY, false);
        check_run(NULL, smalls[t].type, many, MANY, false);
        check_run(NULL, smalls[t].type, many, MANY, true);
    }
}

/* ---- the definition itself ---- */

/* What is exact must survive the way back, NaN aside, in every 8-bit and 16-bit pattern. */
static void test_there_and_back(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t h = (uint16_t)i;
        if ((h & 0x7fff) <= 0x7c00) assert_int_equal(cast_f32_to_f16(cast_f16_to_f32(h)), h);
        else assert_int_equal(cast_f32_to_f16(cast_f16_to_f32(h)), h | 0x200);
        if ((h & 0x7fff) <= 0x7f80) assert_int_equal(cast_f32_to_bf16(cast_bf16_to_f32(h)), h);
        else assert_int_equal(cast_f32_to_bf16(cast_bf16_to_f32(h)), h | 0x40);
    }
    for (size_t t = 0; t < sizeof smalls / sizeof *smalls; t++) {
        for (unsigned code = 0; code < 1u << smalls[t].type->bits; code++) {
            uint8_t in = (uint8_t)code, out;
            float x;
            cast_small_to_f32(smalls[t].type, &in, &x, 1);
            uint64_t overflowed = cast_scalar.f32_to_small(smalls[t].type, &x, &out, 1, false);
            assert_int_equal(overflowed, 0);
            if (!isnan(x)) assert_int_equal(out, in);
        }
    }
    for (unsigned code = 0; code < 256; code++) {
        uint8_t in = (uint8_t)code, out;
        float x;
        cast_e8m0_to_f32(&in, &x, 1);
        assert_true(code == 255 ? isnan(x) : x == ldexpf(1, (int)code - 127));
        assert_int_equal(cast_f32_to_e8m0(&x, &out, 1, false), 0);
        assert_int_equal(out, in);
    }
}

/* The nearest of all finite values, the even code where two are as near. */
static void test_nearest(void **state) {
    (void)state;
    for (size_t t = 0; t < sizeof smalls / sizeof *smalls; t++) {
        const cast_small *type = smalls[t].type;
        for (unsigned code = 0; code < type->max; code++) {
            uint8_t pair_in[2] = { (uint8_t)code, (uint8_t)(code + 1) };
            float v[2];
            cast_small_to_f32(type, pair_in, v, 2);
            float middle = (v[0] + v[1]) / 2; /* exact: one more bit of mantissa */
            float x[3] = { nextafterf(middle, 0), middle, nextafterf(middle, INFINITY) };
            uint8_t got[3];
            cast_scalar.f32_to_small(type, x, got, 3, false);
            assert_int_equal(got[0], code);
            assert_int_equal(got[1], code % 2 ? code + 1 : code);
            assert_int_equal(got[2], code + 1);
        }
    }
}

/* ---- codec.h ---- */

static uint64_t convert(tola_dtype from, tola_dtype to, const void *src, void *dst, size_t n, tola_overflow mode) {
    uint64_t overflowed = 0;
    assert_int_equal(codec_convert(from, to, src, dst, n, mode, &overflowed), TOLA_OK);
    return overflowed;
}

/* Rounding twice, by way of f32 or f64, would give the other neighbour in each of these. */
static void test_one_rounding(void **state) {
    (void)state;
    double x[2] = { 1 + 0x1p-8 + 0x1p-40, -(1 + 0x1p-8 + 0x1p-40) };
    uint16_t h[2];
    convert(TOLA_DTYPE_F64, TOLA_DTYPE_BF16, x, h, 2, TOLA_OVERFLOW_IEEE);
    assert_int_equal(h[0], 0x3f81);
    assert_int_equal(h[1], 0xbf81);
    x[0] = 1 + 0x1p-11 + 0x1p-45, x[1] = 65520 - 0x1p-30; /* the second stays below the tie with infinity */
    assert_int_equal(convert(TOLA_DTYPE_F64, TOLA_DTYPE_F16, x, h, 2, TOLA_OVERFLOW_IEEE), 0);
    assert_int_equal(h[0], 0x3c01);
    assert_int_equal(h[1], 0x7bff);
    x[0] = 0x1p-25 + 0x1p-70, x[1] = 0x1p-150; /* above the tie with zero; far below f32 */
    convert(TOLA_DTYPE_F64, TOLA_DTYPE_F16, x, h, 2, TOLA_OVERFLOW_IEEE);
    assert_int_equal(h[0], 1);
    assert_int_equal(h[1], 0);
    uint8_t e[2];
    x[0] = 1 + 0x1p-4 + 0x1p-50, x[1] = 464 + 0x1p-40;
    assert_int_equal(convert(TOLA_DTYPE_F64, TOLA_DTYPE_F8_E4M3, x, e, 2, TOLA_OVERFLOW_IEEE), 1);
    assert_int_equal(e[0], 0x39);
    assert_int_equal(e[1], 0x7f);
    int64_t i[2] = { (INT64_C(1) << 60) + (INT64_C(1) << 52) + 1, -((INT64_C(1) << 60) + (INT64_C(1) << 52) + 1) };
    convert(TOLA_DTYPE_I64, TOLA_DTYPE_BF16, i, h, 2, TOLA_OVERFLOW_IEEE);
    assert_int_equal(h[0], 0x5d81);
    assert_int_equal(h[1], 0xdd81);
    float f[2];
    i[0] = (INT64_C(1) << 60) + (INT64_C(1) << 36) + 1, i[1] = INT64_MIN;
    convert(TOLA_DTYPE_I64, TOLA_DTYPE_F32, i, f, 2, TOLA_OVERFLOW_IEEE);
    assert_true(f[0] == 0x1p60f + 0x1p37f && f[1] == -0x1p63f);
    uint64_t u[1] = { UINT64_MAX };
    convert(TOLA_DTYPE_U64, TOLA_DTYPE_BF16, u, h, 1, TOLA_OVERFLOW_IEEE);
    assert_int_equal(h[0], 0x5f80);
}

static void test_overflow(void **state) {
    (void)state;
    float x[8] = { 1e9f, -1e9f, INFINITY, -INFINITY, NAN, 448, 3e38f, 1 };
    uint16_t h[8];
    assert_int_equal(convert(TOLA_DTYPE_F32, TOLA_DTYPE_F16, x, h, 8, TOLA_OVERFLOW_IEEE), 3);
    static const uint16_t ieee[] = { 0x7c00, 0xfc00, 0x7c00, 0xfc00 };
    assert_memory_equal(h, ieee, sizeof ieee);
    assert_int_equal(convert(TOLA_DTYPE_F32, TOLA_DTYPE_F16, x, h, 8, TOLA_OVERFLOW_SATURATE), 3);
    static const uint16_t saturated[] = { 0x7bff, 0xfbff, 0x7bff, 0xfbff };
    assert_memory_equal(h, saturated, sizeof saturated);
    uint8_t e[8];
    assert_int_equal(convert(TOLA_DTYPE_F32, TOLA_DTYPE_F8_E4M3, x, e, 8, TOLA_OVERFLOW_IEEE), 3);
    static const uint8_t e4m3[] = { 0x7f, 0xff, 0x7f, 0xff, 0x7f, 0x7e, 0x7f, 0x38 };
    assert_memory_equal(e, e4m3, sizeof e4m3);
    assert_int_equal(convert(TOLA_DTYPE_F32, TOLA_DTYPE_F8_E4M3, x, e, 8, TOLA_OVERFLOW_SATURATE), 3);
    static const uint8_t e4m3_saturated[] = { 0x7e, 0xfe, 0x7e, 0xfe, 0x7f, 0x7e, 0x7e, 0x38 };
    assert_memory_equal(e, e4m3_saturated, sizeof e4m3_saturated);
    double d[2] = { 1e300, -1e300 };
    float f[2];
    assert_int_equal(convert(TOLA_DTYPE_F64, TOLA_DTYPE_F32, d, f, 2, TOLA_OVERFLOW_IEEE), 2);
    assert_true(f[0] == INFINITY && f[1] == -INFINITY);
    assert_int_equal(convert(TOLA_DTYPE_F64, TOLA_DTYPE_F32, d, f, 2, TOLA_OVERFLOW_SATURATE), 2);
    assert_true(f[0] == 0x1.fffffep127f && f[1] == -0x1.fffffep127f);
    int32_t i[2] = { 70000, 1 };
    assert_int_equal(convert(TOLA_DTYPE_I32, TOLA_DTYPE_F16, i, h, 2, TOLA_OVERFLOW_IEEE), 1);
    assert_int_equal(h[0], 0x7c00);
    float powers[6] = { 0, -1, 3, 0x1p-140f, 3e38f, 1 };
    assert_int_equal(convert(TOLA_DTYPE_F32, TOLA_DTYPE_F8_E8M0, powers, e, 6, TOLA_OVERFLOW_IEEE), 3);
    static const uint8_t e8m0[] = { 0xff, 0xff, 129, 0, 0xff, 127 };
    assert_memory_equal(e, e8m0, sizeof e8m0);
}

static void test_to_integers(void **state) {
    (void)state;
    double x[8] = { 0.5, 1.5, -2.5, 1e30, -1e30, NAN, INFINITY, 127.49 };
    int8_t b[8];
    assert_int_equal(convert(TOLA_DTYPE_F64, TOLA_DTYPE_I8, x, b, 8, TOLA_OVERFLOW_IEEE), 2);
    static const int8_t i8[] = { 0, 2, -2, 127, -128, 0, 127, 127 };
    assert_memory_equal(b, i8, sizeof i8);
    uint64_t u[8];
    assert_int_equal(convert(TOLA_DTYPE_F64, TOLA_DTYPE_U64, x, u, 8, TOLA_OVERFLOW_IEEE), 3);
    assert_true(u[2] == 0 && u[3] == UINT64_MAX && u[4] == 0 && u[6] == UINT64_MAX);
    double edge[4] = { 0x1p63, -0x1p63, 0x1.fffffffffffffp62, 0x1.fffffffffffffp63 };
    int64_t i[4];
    assert_int_equal(convert(TOLA_DTYPE_F64, TOLA_DTYPE_I64, edge, i, 4, TOLA_OVERFLOW_IEEE), 2);
    assert_true(i[0] == INT64_MAX && i[1] == INT64_MIN && i[2] == INT64_C(0x7ffffffffffffc00) && i[3] == INT64_MAX);
    assert_int_equal(convert(TOLA_DTYPE_F64, TOLA_DTYPE_U64, edge, u, 4, TOLA_OVERFLOW_IEEE), 1);
    assert_true(u[0] == UINT64_C(1) << 63 && u[1] == 0 && u[3] == UINT64_C(0xfffffffffffff800));
    int64_t wide[4] = { INT64_MIN, -1, 300, INT64_MAX };
    uint8_t narrow[4];
    assert_int_equal(convert(TOLA_DTYPE_I64, TOLA_DTYPE_U8, wide, narrow, 4, TOLA_OVERFLOW_IEEE), 4);
    assert_true(narrow[0] == 0 && narrow[1] == 0 && narrow[2] == 255 && narrow[3] == 255);
    uint64_t large[1] = { UINT64_MAX };
    assert_int_equal(convert(TOLA_DTYPE_U64, TOLA_DTYPE_I64, large, i, 1, TOLA_OVERFLOW_IEEE), 1);
    assert_true(i[0] == INT64_MAX);
    bool truth[8];
    double odd[8] = { 0, -0.0, NAN, 1e-320, INFINITY, -1, 0, 2 };
    assert_int_equal(convert(TOLA_DTYPE_F64, TOLA_DTYPE_BOOL, odd, truth, 8, TOLA_OVERFLOW_IEEE), 0);
    static const bool want[] = { false, false, true, true, true, true, false, true };
    assert_memory_equal(truth, want, sizeof want);
}

static void test_packing(void **state) {
    (void)state;
    int8_t in[8] = { 0, 1, 7, -8, -1, 8, -9, 3 }, back[8];
    uint8_t packed[6];
    assert_int_equal(convert(TOLA_DTYPE_I8, TOLA_DTYPE_I4, in, packed, 8, TOLA_OVERFLOW_IEEE), 2);
    static const uint8_t i4[] = { 0x10, 0x87, 0x7f, 0x38 };
    assert_memory_equal(packed, i4, sizeof i4);
    convert(TOLA_DTYPE_I4, TOLA_DTYPE_I8, packed, back, 8, TOLA_OVERFLOW_IEEE);
    static const int8_t clamped[] = { 0, 1, 7, -8, -1, 7, -8, 3 };
    assert_memory_equal(back, clamped, sizeof clamped);
    convert(TOLA_DTYPE_I8, TOLA_DTYPE_U2, in, packed, 8, TOLA_OVERFLOW_IEEE);
    assert_true(packed[0] == 0x34 && packed[1] == 0xcc);
    float x[4] = { 1, -7.5f, 0.125f, 2 }, y[4];
    convert(TOLA_DTYPE_F32, TOLA_DTYPE_F6_E2M3, x, packed, 4, TOLA_OVERFLOW_IEEE);
    uint32_t six = packed[0] | (uint32_t)packed[1] << 8 | (uint32_t)packed[2] << 16;
    assert_int_equal(six, 0x08 | 0x3f << 6 | 0x01 << 12 | 0x10 << 18);
    convert(TOLA_DTYPE_F6_E2M3, TOLA_DTYPE_F32, packed, y, 4, TOLA_OVERFLOW_IEEE);
    assert_memory_equal(x, y, sizeof x);
    convert(TOLA_DTYPE_F32, TOLA_DTYPE_F4, x, packed, 4, TOLA_OVERFLOW_IEEE);
    assert_true(packed[0] == 0xf2 && packed[1] == 0x40);
    uint64_t none;
    assert_int_equal(codec_convert(TOLA_DTYPE_F32, TOLA_DTYPE_F4, x, packed, 3, TOLA_OVERFLOW_IEEE, &none), TOLA_E_ARG);
}

static void test_pairs(void **state) {
    (void)state;
    static uint8_t src[16 * 256], dst[16 * 256]; /* whole blocks of every type */
    for (int from = 0; from < TOLA_DTYPE_COUNT; from++) {
        for (int to = 0; to < TOLA_DTYPE_COUNT; to++) {
            bool complex = tola_dtype_get_kind((tola_dtype)from) == TOLA_KIND_COMPLEX;
            bool able = codec_decodes((tola_dtype)from) && codec_encodes((tola_dtype)to) &&
                        complex == (tola_dtype_get_kind((tola_dtype)to) == TOLA_KIND_COMPLEX);
            if (from == to) continue;
            tola_status s = codec_convert((tola_dtype)from, (tola_dtype)to, src, dst, 256, TOLA_OVERFLOW_IEEE, NULL);
            if (able) assert_int_equal(s, TOLA_OK);
            else assert_int_not_equal(s, TOLA_OK);
        }
    }
    assert_int_equal(codec_exact(TOLA_DTYPE_BF16), TOLA_DTYPE_F32);
    assert_int_equal(codec_exact(TOLA_DTYPE_U32), TOLA_DTYPE_F64);
    assert_int_equal(codec_exact(TOLA_DTYPE_C64), TOLA_DTYPE_NONE);
    float c64[4] = { 1.5f, -2, INFINITY, 0 };
    uint16_t c32[4];
    convert(TOLA_DTYPE_C64, TOLA_DTYPE_C32, c64, c32, 2, TOLA_OVERFLOW_IEEE);
    static const uint16_t want[] = { 0x3e00, 0xc000, 0x7c00, 0 };
    assert_memory_equal(c32, want, sizeof want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_patterns), cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_nearest),      cmocka_unit_test(test_one_rounding), cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_to_integers),  cmocka_unit_test(test_packing),  cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
