/* The order in which experts' rows lie: by expert, then by slot (op_experts.c). */
#ifndef GRAPH_EXPERTS_H
#define GRAPH_EXPERTS_H

#include <stddef.h>
#include <stdint.h>

typedef struct expert_order {
    uint32_t active;   /* experts that have rows */
    uint32_t *experts; /* which */
    uint32_t *start;   /* where their rows begin; start[active] = slots */
    uint32_t *slot;    /* of each row */
    uint32_t *row;     /* of each slot */
} expert_order;

/* As it lies in the value: active, then the arrays for the largest batch. */
static inline expert_order order_view(const void *value, size_t experts, size_t slots) {
    uint32_t *p = (uint32_t *)(uintptr_t)value;
    expert_order o = { .active = p[0], .experts = p + 16 };
    o.start = o.experts + experts;
    o.slot = o.start + experts + 1;
    o.row = o.slot + slots;
    return o;
}

#endif
