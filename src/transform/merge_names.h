/* Layers in names of tensors: the first part of a name that is a number ("model.layers.12.mlp.up_proj.weight"). */
#ifndef TRANSFORM_MERGE_NAMES_H
#define TRANSFORM_MERGE_NAMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MERGE_NO_LAYER UINT32_MAX

/* *before and *behind: the bytes before and behind the number; may be NULL. */
static inline uint32_t merge_layer(const char *name, size_t *before, const char **behind) {
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "."), digits = strspn(p, "0123456789");
        if (n > 0 && digits == n && n < 7) {
            uint32_t layer = 0;
            for (size_t i = 0; i < n; i++) layer = layer * 10 + (uint32_t)(p[i] - '0');
            if (before) *before = (size_t)(p - name);
            if (behind) *behind = p + n;
            return layer;
        }
        p += n + (p[n] == '.');
    }
    return MERGE_NO_LAYER;
}

#endif
