/* How long bytes take through a link or a cap: rates as people write them. */
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include <tola/log.h>

typedef struct unit {
    const char *name;
    double factor;
} unit;

/* A rate's time, in seconds. */
static const unit times[] = {
    { "s", 1 },         { "sec", 1 },         { "second", 1 },      { "min", 60 },    { "minute", 60 },
    { "h", 3600 },      { "hour", 3600 },     { "d", 86400 },       { "day", 86400 }, { "w", 604800 },
    { "week", 604800 }, { "month", 2592000 }, { "year", 31536000 },
};

static const unit prefixes[] = {
    { "Ki", 1024.0 }, { "Mi", 1048576.0 }, { "Gi", 1073741824.0 }, { "Ti", 1099511627776.0 },
    { "k", 1e3 },     { "K", 1e3 },        { "M", 1e6 },           { "G", 1e9 },
    { "T", 1e12 },    { "P", 1e15 },
};

static bool is(const char *text, size_t n, const char *word) { return strlen(word) == n && memcmp(text, word, n) == 0; }

/* "MB", "Mbit", "Mb": bytes that one of them is; false where it is none. */
static bool amount(const char *text, size_t n, double per_token, double *out) {
    double factor = 1;
    if (is(text, n, "tokens") || is(text, n, "token") || is(text, n, "tok")) {
        *out = per_token;
        return true;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t m = strlen(prefixes[i].name);
        if (n <= m || memcmp(text, prefixes[i].name, m) != 0) continue;
        factor = prefixes[i].factor;
        text += m;
        n -= m;
        break;
    }
    bool bytes = is(text, n, "B") || is(text, n, "byte") || is(text, n, "bytes");
    bool bits = is(text, n, "bit") || is(text, n, "bits") || is(text, n, "b");
    if (!bytes && !bits) return false;
    *out = bytes ? factor : factor / 8;
    return true;
}

static tola_status refuse(tola_error *err, const char *text) {
    char quoted[100];
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                   "'%s' is no rate: 10MB/s, 100Mbit/s, 1GB/day, 50GB/month or 200tokens/s are",
                   text_quote(quoted, sizeof quoted, text, strlen(text)));
}

tola_status tola_rate_parse(const char *text, double bytes_per_token, double *bytes_per_second, tola_error *err) {
    char number[64];
    double value, bytes, seconds = 0;
    size_t n = strspn(text, "0123456789.");
    if (n == 0 || n >= sizeof number) return refuse(err, text);
    memcpy(number, text, n);
    number[n] = 0;
    if (!json_decimal(number, &value)) return refuse(err, text);
    const char *what = text + n;
    while (*what == ' ') what++;
    size_t length = strcspn(what, "/");
    const char *time = what + length;
    if (*time == '/') {
        time++;
        for (size_t i = 0; i < sizeof times / sizeof *times; i++)
            if (strcmp(time, times[i].name) == 0) seconds = times[i].factor;
    } else if (length > 2 && memcmp(what + length - 2, "ps", 2) == 0) { /* Mbps, MBps */
        length -= 2;
        seconds = 1;
    }
    if (seconds == 0 || !amount(what, length, bytes_per_token, &bytes)) return refuse(err, text);
    value = value * bytes / seconds;
    if (!(value > 0) || !isfinite(value))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a rate is more than nothing");
    *bytes_per_second = value;
    return TOLA_OK;
}

double tola_exposure_seconds(uint64_t bytes, double compression, double bytes_per_second) {
    return (double)bytes / (compression * bytes_per_second);
}
