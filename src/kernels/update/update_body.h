/* The functions of update.h. Compiled once for each instruction set; the file that includes it has chosen the lanes and
 * defines UPDATE_ADAM. */
#include "kernels/quantize/lanes.h"
#include "kernels/update/update_kernels.h"

typedef struct adam_lanes {
    vf scale, rest1, beta2, rest2, add, shrink, step, unroot, eps;
} adam_lanes;

INLINE void adam_one(const adam_lanes *a, const float *g, float *x, float *m, float *v) {
    const vf w = v_load(x), was = v_load(m);
    const vf d = v_add(v_mul(v_load(g), a->scale), v_mul(a->add, w));
    const vf first = v_add(was, v_mul(a->rest1, v_sub(d, was)));
    const vf second = v_add(v_mul(a->beta2, v_load(v)), v_mul(v_mul(a->rest2, d), d));
    v_store(m, first);
    v_store(v, second);
    const vf root = v_add(v_mul(v_sqrt(second), a->unroot), a->eps);
    v_store(x, v_sub(v_mul(w, a->shrink), v_div(v_mul(a->step, first), root)));
}

void UPDATE_ADAM(const update_adam *u, const float *g, float *x, float *m, float *v, size_t n) {
    const adam_lanes a = { v_set(u->scale), v_set(u->rest1),  v_set(u->beta2), v_set(u->rest2), v_set(u->add),
                           v_set(u->shrink), v_set(u->step), v_set(u->unroot), v_set(u->eps) };
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) adam_one(&a, g + i, x + i, m + i, v + i);
    if (i == n) return;
    float room[4][LANES] = { { 0 } };
    const size_t bytes = (n - i) * sizeof(float);
    memcpy(room[0], g + i, bytes);
    memcpy(room[1], x + i, bytes);
    memcpy(room[2], m + i, bytes);
    memcpy(room[3], v + i, bytes);
    adam_one(&a, room[0], room[1], room[2], room[3]);
    memcpy(x + i, room[1], bytes);
    memcpy(m + i, room[2], bytes);
    memcpy(v + i, room[3], bytes);
}
