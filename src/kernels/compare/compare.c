/* The readable definition of the comparison, and the choice of instruction set. Rules: see compare.h. */
#include "kernels/compare/compare.h"
#include "base/cpu.h"
#include "kernels/compare/compare_kernels.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

void compare_init(compare_acc *c) {
    memset(c, 0, sizeof *c);
}

void compare_merge(compare_acc *into, const compare_acc *from) {
    into->count += from->count;
    into->changed += from->changed;
    into->infinite += from->infinite;
    if (from->max_abs > into->max_abs) into->max_abs = from->max_abs;
    into->diff2 += from->diff2;
    into->a2 += from->a2;
    into->b2 += from->b2;
    into->ab += from->ab;
}

static void pair(compare_acc *c, double a, double b, double tolerance) {
    if (!(fabs(a) < INFINITY && fabs(b) < INFINITY)) {
        bool same = (a != a && b != b) || a == b;
        if (same) return;
        c->infinite++;
        c->changed++;
        c->max_abs = INFINITY;
        return;
    }
    double d = fabs(a - b);
    if (d > c->max_abs) c->max_abs = d;
    c->changed += d > tolerance;
    c->diff2 += d * d;
    c->a2 += a * a;
    c->b2 += b * b;
    c->ab += a * b;
}

void compare_block_f32(compare_acc *c, const void *a, const void *b, size_t n, double tolerance) {
    compare_acc block = { .count = n };
    for (size_t i = 0; i < n; i++) {
        float x, y;
        memcpy(&x, (const char *)a + i * sizeof x, sizeof x);
        memcpy(&y, (const char *)b + i * sizeof y, sizeof y);
        pair(&block, (double)x, (double)y, tolerance);
    }
    compare_merge(c, &block);
}

void compare_block_f64(compare_acc *c, const void *a, const void *b, size_t n, double tolerance) {
    compare_acc block = { .count = n };
    for (size_t i = 0; i < n; i++) {
        double x, y;
        memcpy(&x, (const char *)a + i * sizeof x, sizeof x);
        memcpy(&y, (const char *)b + i * sizeof y, sizeof y);
        pair(&block, x, y, tolerance);
    }
    compare_merge(c, &block);
}

const compare_kernels compare_scalar = { compare_block_f32, compare_block_f64 };

static const compare_kernels *kernels(void) {
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return &compare_avx512;
    case CPU_AVX2: return &compare_avx2;
#elif defined(__aarch64__)
    case CPU_NEON: return &compare_neon;
#endif
    default: return &compare_scalar;
    }
}

void compare_add_f32(compare_acc *c, const void *a, const void *b, size_t n, double tolerance) {
    const compare_kernels *k = kernels();
    for (size_t at = 0; at < n; at += COMPARE_BLOCK) {
        size_t m = n - at < COMPARE_BLOCK ? n - at : COMPARE_BLOCK;
        k->f32(c, (const char *)a + at * sizeof(float), (const char *)b + at * sizeof(float), m, tolerance);
    }
}

void compare_add_f64(compare_acc *c, const void *a, const void *b, size_t n, double tolerance) {
    const compare_kernels *k = kernels();
    for (size_t at = 0; at < n; at += COMPARE_BLOCK) {
        size_t m = n - at < COMPARE_BLOCK ? n - at : COMPARE_BLOCK;
        k->f64(c, (const char *)a + at * sizeof(double), (const char *)b + at * sizeof(double), m, tolerance);
    }
}
