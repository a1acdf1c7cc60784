/* Bars and small histograms made of characters. */
#ifndef CLI_CHART_H
#define CLI_CHART_H

#include "cli.h"

/* Block characters where the environment's locale (LC_ALL, LC_CTYPE, LANG) is UTF-8, otherwise ASCII. */
bool chart_unicode(void);
/* A bar of share * width cells, in eighths of a cell; something is visible for any share above 0. */
const char *chart_bar(char *buf, size_t n, double share, int width);
/* `count` columns, each one character high: the counts relative to the largest, on a logarithmic scale. */
const char *chart_spark(char *buf, size_t n, const uint64_t *counts, size_t count);

#endif
