/* Charts in text. */
#include "cli_chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool chart_unicode(void) {
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    for (size_t i = 0; i < 3; i++) {
        const char *v = getenv(names[i]);
        if (v && *v) return strstr(v, "UTF-8") || strstr(v, "utf8") || strstr(v, "UTF8") || strstr(v, "utf-8");
    }
    return false;
}

const char *chart_bar(char *buf, size_t n, double share, int width) {
    static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
    if (!(share > 0)) share = 0;
    if (share > 1) share = 1;
    bool unicode = chart_unicode();
    int cells = (int)lround(share * width * (unicode ? 8 : 1));
    if (cells == 0 && share > 0) cells = unicode;
    size_t at = 0;
    buf[0] = 0;
    for (int full = unicode ? cells / 8 : cells; full > 0 && at + 4 < n; full--)
        at += (size_t)snprintf(buf + at, n - at, "%s", unicode ? "█" : "#");
    if (unicode && at + 4 < n) snprintf(buf + at, n - at, "%s", eighths[cells % 8]);
    return buf;
}

const char *chart_spark(char *buf, size_t n, const uint64_t *counts, size_t count) {
    static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    static const char ascii[] = " .,:-=+*#";
    bool unicode = chart_unicode();
    uint64_t most = 0;
    for (size_t i = 0; i < count; i++)
        if (counts[i] > most) most = counts[i];
    size_t at = 0;
    buf[0] = 0;
    for (size_t i = 0; i < count && at + 4 < n; i++) {
        double height = most && counts[i] ? log1p((double)counts[i]) / log1p((double)most) : 0;
        int level = (int)lround(height * 8);
        if (counts[i] && level == 0) level = 1;
        if (unicode)
            at += (size_t)snprintf(buf + at, n - at, "%s", blocks[level]);
        else
            at += (size_t)snprintf(buf + at, n - at, "%c", ascii[level]);
    }
    return buf;
}
