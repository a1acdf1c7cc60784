/* Numbers as people write them, and the units that they mix up. */
#include <string.h>

#include <tola/fit.h>

#include "base/err.h"
#include "base/json.h"

static tola_status refuse(tola_error *err, const char *text, const char *what, const char *why) {
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: '%.40s' %s", what, text, why);
}

static bool is_bytes(const char *unit) {
    static const char *const units[] = { "KB",  "MB",  "GB", "TB", "kB", "KiB", "MiB",
                                         "GiB", "TiB", "kb", "mb", "gb", "tb" };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i]) == 0) return true;
    return false;
}

tola_status tola_fit_count(const char *text, const char *what, uint64_t kilo, uint64_t most, uint64_t *out,
                           tola_error *err) {
    if (text[0] == '-') return refuse(err, text, what, "is negative");
    if (!(text[0] >= '0' && text[0] <= '9')) return refuse(err, text, what, "is not a number like 7B, 512 or 1.5e9");
    if (strpbrk(text, "xXpP")) return refuse(err, text, what, "is not a decimal number");
    const char *unit;
    double value, k = (double)kilo;
    if (!json_decimal_prefix(text, &value, &unit)) return refuse(err, text, what, "is not a decimal number");
    while (*unit == ' ') unit++;
    if (is_bytes(unit))
        return refuse(err, text, what, "is a size in bytes; a count is needed: 7B is 7e9, 8K 8 thousand");
    if (strcmp(unit, "G") == 0 || strcmp(unit, "g") == 0)
        return refuse(err, text, what, "mixes units: G is said of bytes, billions are B");
    if (*unit && !unit[1] && strchr("kKmMbBtT", *unit)) {
        const int power = *unit == 'k' || *unit == 'K'   ? 1
                          : *unit == 'm' || *unit == 'M' ? 2
                          : *unit == 'b' || *unit == 'B' ? 3
                                                         : 4;
        for (int i = 0; i < power; i++) value *= k;
    } else if (*unit) {
        return refuse(err, text, what, "ends in no unit that is known: K, M, B, T");
    }
    if (!(value >= 1)) return refuse(err, text, what, "is less than 1");
    if (value > (double)most) return refuse(err, text, what, "is absurdly large");
    if (!*unit && value != (double)(uint64_t)value) return refuse(err, text, what, "is not a whole number");
    *out = (uint64_t)(value + 0.5);
    return TOLA_OK;
}
