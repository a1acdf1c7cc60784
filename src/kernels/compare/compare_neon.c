/* The comparison of compare.h with NEON (ARMv8.0). A block that holds a NaN or an infinity goes to the definition. */
#include "kernels/compare/compare_kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <stdbool.h>

typedef struct lanes {
    float64x2_t diff2, a2, b2, ab, max, odd; /* odd: NaN where something was not finite, else 0 */
    uint64x2_t changed;
} lanes;

static inline void add_lanes(lanes *l, float64x2_t x, float64x2_t y, float64x2_t tolerance) {
    float64x2_t d = vabsq_f64(vsubq_f64(x, y));
    l->max = vmaxq_f64(l->max, d);
    l->changed = vsubq_u64(l->changed, vcgtq_f64(d, tolerance)); /* true is -1 */
    l->diff2 = vfmaq_f64(l->diff2, d, d);
    l->a2 = vfmaq_f64(l->a2, x, x);
    l->b2 = vfmaq_f64(l->b2, y, y);
    l->ab = vfmaq_f64(l->ab, x, y);
    /* x - x is 0 for finite x, NaN for the rest. */
    l->odd = vaddq_f64(l->odd, vaddq_f64(vsubq_f64(x, x), vsubq_f64(y, y)));
}

static inline lanes empty(void) {
    float64x2_t zero = vdupq_n_f64(0);
    return (lanes){ zero, zero, zero, zero, zero, zero, vdupq_n_u64(0) };
}

static inline bool all_finite(const lanes *a, const lanes *b) {
    return vaddvq_f64(vaddq_f64(a->odd, b->odd)) == 0;
}

static inline void finish(compare_acc *c, const lanes *a, const lanes *b, size_t n) {
    double max = vmaxvq_f64(vmaxq_f64(a->max, b->max));
    if (max > c->max_abs) c->max_abs = max;
    c->count += n;
    c->changed += vaddvq_u64(vaddq_u64(a->changed, b->changed));
    c->diff2 += vaddvq_f64(vaddq_f64(a->diff2, b->diff2));
    c->a2 += vaddvq_f64(vaddq_f64(a->a2, b->a2));
    c->b2 += vaddvq_f64(vaddq_f64(a->b2, b->b2));
    c->ab += vaddvq_f64(vaddq_f64(a->ab, b->ab));
}

static inline float32x4_t load_f32(const uint8_t *p) {
    return vreinterpretq_f32_u8(vld1q_u8(p));
}

static inline float64x2_t load_f64(const uint8_t *p) {
    return vreinterpretq_f64_u8(vld1q_u8(p));
}

static void block_f32(compare_acc *c, const void *pa, const void *pb, size_t n, double tolerance) {
    const uint8_t *a = pa, *b = pb;
    lanes low = empty(), high = empty();
    const float64x2_t t = vdupq_n_f64(tolerance);
    size_t whole = n / 4 * 4;
    for (size_t i = 0; i < whole; i += 4) {
        float32x4_t x = load_f32(a + 4 * i), y = load_f32(b + 4 * i);
        add_lanes(&low, vcvt_f64_f32(vget_low_f32(x)), vcvt_f64_f32(vget_low_f32(y)), t);
        add_lanes(&high, vcvt_high_f64_f32(x), vcvt_high_f64_f32(y), t);
    }
    if (all_finite(&low, &high)) finish(c, &low, &high, whole);
    else whole = 0;
    if (whole < n) compare_block_f32(c, a + 4 * whole, b + 4 * whole, n - whole, tolerance);
}

static void block_f64(compare_acc *c, const void *pa, const void *pb, size_t n, double tolerance) {
    const uint8_t *a = pa, *b = pb;
    lanes low = empty(), high = empty();
    const float64x2_t t = vdupq_n_f64(tolerance);
    size_t whole = n / 4 * 4;
    for (size_t i = 0; i < whole; i += 4) {
        add_lanes(&low, load_f64(a + 8 * i), load_f64(b + 8 * i), t);
        add_lanes(&high, load_f64(a + 8 * i + 16), load_f64(b + 8 * i + 16), t);
    }
    if (all_finite(&low, &high)) finish(c, &low, &high, whole);
    else whole = 0;
    if (whole < n) compare_block_f64(c, a + 8 * whole, b + 8 * whole, n - whole, tolerance);
}

const compare_kernels compare_neon = { block_f32, block_f64 };
#else
typedef int compare_neon_is_for_arm; /* a translation unit may not be empty */
#endif
