/* The functions of outside.c, which defines what they do. Included once by each instruction set, whose compiler flags
 * make of the same loops what the processor can do. Everything is static but one table. */
#include "kernels/cast/scalar.h"
#include "kernels/stats/outside.h"
#include <stdbool.h>

#define GROUP 64

static double value_f64(uint64_t u) { return cast_f64_from_bits(u); }
static double value_f32(uint32_t u) { return (double)cast_f32_from_bits(u); }
static double value_f16(uint16_t u) { return (double)cast_f32_from_bits(cast_f16_to_f32(u)); }
static double value_bf16(uint16_t u) { return (double)cast_f32_from_bits(cast_bf16_to_f32(u)); }

/* `largest`: the bits of the largest finite number. */
#define DEFINE(type, word, integer, bits, largest)                                                                     \
    static inline integer key_##type(word u) {                                                                         \
        return (integer)(u ^ (word)((word)((integer)u >> (bits - 1)) & (word)((word)-1 >> 1)));                        \
    }                                                                                                                  \
    /* The smallest key whose value is not below `bound`, or, where `above`, is beyond it. Values ascend with keys. */ \
    static int64_t find_##type(double bound, bool above) {                                                             \
        int64_t low = -(int64_t)(largest) - 1, high = (int64_t)(largest) + 1;                                          \
        while (low < high) {                                                                                           \
            int64_t middle = low + (int64_t)(((uint64_t)high - (uint64_t)low) / 2);                                    \
            double v = value_##type((word)key_##type((word)(integer)middle)); /* key undoes itself */                  \
            if (above ? v > bound : !(v < bound)) high = middle;                                                       \
            else low = middle + 1;                                                                                     \
        }                                                                                                              \
        return low;                                                                                                    \
    }                                                                                                                  \
    static uint64_t collect_##type(const void *data, size_t n, double low, double high, double *out, size_t cap) {     \
        const uint8_t *p = data;                                                                                       \
        int64_t first = find_##type(low, false), end = find_##type(high, true);                                        \
        integer from = (integer)first, to = (integer)(end - 1); /* inside: from <= key <= to */                        \
        uint64_t found = 0;                                                                                            \
        for (size_t at = 0; at < n; at += GROUP) {                                                                     \
            size_t m = n - at < GROUP ? n - at : GROUP;                                                                \
            word any = 0;                                                                                              \
            for (size_t i = 0; i < m; i++) {                                                                           \
                word u;                                                                                                \
                memcpy(&u, p + (at + i) * sizeof u, sizeof u);                                                         \
                integer k = key_##type(u);                                                                             \
                any |= (word)(k < from) | (word)(k > to);                                                              \
            }                                                                                                          \
            for (size_t i = 0; any && i < m; i++) {                                                                    \
                word u;                                                                                                \
                memcpy(&u, p + (at + i) * sizeof u, sizeof u);                                                         \
                int64_t k = key_##type(u);                                                                             \
                bool finite = k <= (int64_t)(largest) && k >= -(int64_t)(largest) - 1;                                 \
                if (!finite || (k >= first && k < end)) continue;                                                      \
                if (found < cap) out[found] = value_##type(u);                                                         \
                found++;                                                                                               \
            }                                                                                                          \
        }                                                                                                              \
        return found;                                                                                                  \
    }

DEFINE(f64, uint64_t, int64_t, 64, 0x7fefffffffffffff)
DEFINE(f32, uint32_t, int32_t, 32, 0x7f7fffff)
DEFINE(f16, uint16_t, int16_t, 16, 0x7bff)
DEFINE(bf16, uint16_t, int16_t, 16, 0x7f7f)

const outside_kernels OUTSIDE_TABLE = { collect_f32, collect_f64, collect_f16, collect_bf16 };
