/* How the learning rate goes over a run: learn.h says which formula is whose. */
#include "learn/learn.h"

#include <math.h>

double learn_schedule_factor(const learn_schedule *s, uint64_t step) {
    if (step < s->warmup) return (double)(step + 1) / (double)s->warmup;
    const double floor_share = s->floor, span = (double)(s->steps > s->warmup ? s->steps - s->warmup : 1);
    double progress = (double)(step - s->warmup) / span;
    if (progress > 1) progress = 1;
    switch (s->kind) {
    case LEARN_LINEAR: return 1 - (1 - floor_share) * progress;
    case LEARN_COSINE: return floor_share + (1 - floor_share) * 0.5 * (1 + cos(progress * 3.14159265358979323846));
    case LEARN_WSD: {
        const uint64_t begin = s->steps > s->decay_steps ? s->steps - s->decay_steps : 0;
        if (step < begin || s->decay_steps == 0) return 1;
        double way = (double)(step - begin) / (double)s->decay_steps;
        return floor_share + (1 - floor_share) * (1 - sqrt(way < 1 ? way : 1));
    }
    default: return 1;
    }
}
