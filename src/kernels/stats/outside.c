/* Elements outside an interval: counted, or collected.
 *
 * Floats are compared as integers: the bits below the sign turned over where the sign is set, they are in the order
 * of their values (-0 right below 0), so that a run that lies inside is passed over with two comparisons an element,
 * which every compiler turns into vector instructions. Only groups with something outside are looked at one by one. */
#define OUTSIDE_TABLE outside_scalar
#include "kernels/stats/outside_body.h"

#include "base/cpu.h"

static const outside_kernels *kernels(void) {
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return &outside_avx512;
    case CPU_AVX2: return &outside_avx2;
#endif
    default: return &outside_scalar;
    }
}

#define EXPORT(type)                                                                                                \
    uint64_t stats_collect_##type(const void *data, size_t n, double low, double high, double *out, size_t cap) {   \
        return kernels()->type(data, n, low, high, out, cap);                                                       \
    }                                                                                                               \
    uint64_t stats_outside_##type(const void *data, size_t n, double low, double high) {                            \
        return kernels()->type(data, n, low, high, NULL, 0);                                                        \
    }

EXPORT(f32)
EXPORT(f64)
EXPORT(f16)
EXPORT(bf16)
