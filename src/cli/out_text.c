/* Numbers as people read them. */
#include "frame.h"
#include <inttypes.h>
#include <string.h>

/* Two decimals and a unit; the next unit where rounding would show 1000.00. */
static const char *scaled(char *buf, size_t n, uint64_t value, const char *const *units, size_t count) {
    if (value < 1000) {
        snprintf(buf, n, "%" PRIu64 "%s", value, units[0]);
        return buf;
    }
    double v = (double)value;
    size_t unit = 0;
    while (v >= 999.995 && unit + 1 < count) {
        v /= 1000;
        unit++;
    }
    snprintf(buf, n, "%.2f%s", v, units[unit]);
    return buf;
}

const char *text_count(char *buf, size_t n, uint64_t value) {
    static const char *const units[] = { "", " K", " M", " B", " T", " Q" };
    return scaled(buf, n, value, units, sizeof units / sizeof *units);
}

const char *text_bytes(char *buf, size_t n, uint64_t bytes) {
    static const char *const units[] = { " B", " kB", " MB", " GB", " TB", " PB", " EB" };
    return scaled(buf, n, bytes, units, sizeof units / sizeof *units);
}

const char *text_grouped(char *buf, size_t n, uint64_t value) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, value);
    size_t at = 0;
    for (int i = 0; i < length && at + 1 < n; i++) {
        if (i && (length - i) % 3 == 0) buf[at++] = ',';
        if (at + 1 < n) buf[at++] = digits[i];
    }
    if (n) buf[at] = 0;
    return buf;
}
