/* tola stats for people: a line for each tensor, or one tensor with its histogram. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli_chart.h"
#include "cli_fold.h"
#include "frame.h"
#include "stats.h"

#define WIDE 110   /* columns from which on the further figures have room */
#define SPARK 17   /* bins of the small histogram: eight powers of two to each side of zero */

double stats_edge(int i) {
    /* 0 .. 128: -2^64 .. -2^-64; 129 .. 257: 2^-64 .. 2^64 */
    return i <= STATS_ZERO_BIN ? -ldexp(1, 64 - i) : ldexp(1, i - 193);
}

bool stats_range(const tola_tensor_stats *s, int *first, int *end) {
    int low = 0, high = TOLA_HISTOGRAM_BINS;
    while (low < high && !s->histogram[low]) low++;
    while (high > low && !s->histogram[high - 1]) high--;
    *first = low;
    *end = high;
    return low < high;
}

static int exponent_of_negative(int bin) { return 63 - bin; }
static int exponent_of_positive(int bin) { return bin - 193; }

/* The largest exponent that is in use on either side; false where there are only zeros. */
static bool top_exponent(const tola_tensor_stats *s, int *top) {
    int first, end;
    if (!stats_range(s, &first, &end)) return false;
    int best = -65;
    if (first < STATS_ZERO_BIN) best = exponent_of_negative(first);
    if (end - 1 > STATS_ZERO_BIN && exponent_of_positive(end - 1) > best) best = exponent_of_positive(end - 1);
    *top = best;
    return best >= -64;
}

static uint64_t count_at(const tola_tensor_stats *s, bool negative, int exponent) {
    if (exponent < -64 || exponent > 63) return 0;
    return s->histogram[negative ? 63 - exponent : 193 + exponent];
}

/* Eight powers of two below the largest on each side, zeros in the middle; smaller elements are in the inner bins. */
static const char *spark_of(char *buf, size_t n, const tola_tensor_stats *s) {
    uint64_t bins[SPARK] = { 0 };
    int top = 0, side = SPARK / 2;
    bool any = top_exponent(s, &top);
    for (int e = -64; any && e <= top; e++) {
        int place = top - e < side ? top - e : side - 1;
        bins[place] += count_at(s, true, e);
        bins[SPARK - 1 - place] += count_at(s, false, e);
    }
    bins[side] = s->histogram[STATS_ZERO_BIN];
    return chart_spark(buf, n, bins, SPARK);
}

/* "1.234e-05" in at most nine characters, "-" where undefined. */
static const char *short_number(char *buf, size_t n, double v) {
    if (isnan(v))
        snprintf(buf, n, "-");
    else if (v == 0)
        snprintf(buf, n, "0");
    else if (fabs(v) >= 1e-3 && fabs(v) < 1e5)
        snprintf(buf, n, "%.4g", v);
    else
        snprintf(buf, n, "%.2e", v);
    return buf;
}

static void number_cell(out_table *t, double v) {
    char text[64];
    out_table_cell(t, OUT_PLAIN, "%s", short_number(text, sizeof text, v));
}

static void count_cell(out_table *t, out_style style, uint64_t v) {
    char text[32];
    out_table_cell(t, v ? style : OUT_DIM, "%s", text_grouped(text, sizeof text, v));
}

/* Long names are shortened as shells shorten paths: "m.l.11.self_attn.q_proj.weight", the outer words first, numbers
 * never; then the last word: "m.l.11.s.q_proj.w". What is still too long loses its middle. */
static const char *short_name(char *buf, size_t n, const char *name, size_t most) {
    snprintf(buf, n, "%s", name);
    size_t length = strlen(buf);
    for (char *p = buf; length > most;) {
        size_t word = strcspn(p, "./");
        if (!p[word] || !p[word + 1 + strcspn(p + word + 1, "./")]) break; /* the last two words stay */
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        if (letter && word > 1) {
            memmove(p + 1, p + word, length - (size_t)(p + word - buf) + 1);
            length -= word - 1;
            word = 1;
        }
        p += word + 1;
    }
    char *last = strrchr(buf, '.');
    if (length > most && last && (strcmp(last, ".weight") == 0 || strcmp(last, ".bias") == 0)) {
        last[2] = 0;
        length = strlen(buf);
    }
    if (length <= most || most < 8) return buf;
    size_t head = (most - 2) / 2, tail = most - 2 - head;
    while (head > 0 && ((unsigned char)buf[head] & 0xc0) == 0x80) head--;
    while (tail > 0 && ((unsigned char)buf[length - tail] & 0xc0) == 0x80) tail--;
    memmove(buf + head + 2, buf + length - tail, tail + 1);
    memcpy(buf + head, "..", 2);
    return buf;
}

/* Columns that remain for names. */
static size_t room_for_names(const stats_view *v, bool wide, bool bad) {
    size_t widths[5] = { 3, 3, 4, 3, 8 };
    for (size_t i = 0; i < v->stats->count; i++) {
        const tola_tensor_stats *s = &v->stats->tensors[i];
        const double numbers[5] = { s->min, s->max, s->mean, s->std, s->kurtosis };
        for (int k = 0; k < 5; k++) {
            char text[64];
            size_t length = strlen(short_number(text, sizeof text, numbers[k]));
            if (length > widths[k]) widths[k] = length;
        }
    }
    size_t used = SPARK + 2;
    for (int k = 0; k < (wide ? 5 : 4); k++) used += widths[k] + 2;
    used += (wide ? 24 : 0) + (bad ? 12 : 0);
    return (size_t)cli.columns > used + 16 ? (size_t)cli.columns - used : 16;
}

static void print_footer(const stats_view *v, size_t bad) {
    char bytes[32], rate[32];
    double seconds = v->stats->seconds > 0 ? v->stats->seconds : 1e-9;
    out_printf("\n  %zu tensor%s, %s", v->stats->count, v->stats->count == 1 ? "" : "s",
               text_bytes(bytes, sizeof bytes, v->stats->bytes));
    if (v->stats->bytes >= 100000000)
        out_printf(" in %.2f s (%s/s)", seconds, text_bytes(rate, sizeof rate, (uint64_t)((double)v->stats->bytes / seconds)));
    if (v->stats->skipped) out_printf("; %" PRIu64 " without numbers left out", v->stats->skipped);
    out_printf("\n");
    if (bad) out_styled(OUT_RED, "  %zu tensor%s NaN or infinity\n", bad, bad == 1 ? " holds" : "s hold");
}

void stats_print(const stats_view *v) {
    bool wide = cli.columns >= WIDE || cli.verbose;
    size_t bad = 0;
    for (size_t i = 0; i < v->stats->count; i++)
        bad += v->stats->tensors[i].nans || v->stats->tensors[i].infinities;
    const char *headings[16] = { "tensor", "min", "max", "mean", "std" };
    char alignment[16] = "lrrrr";
    int n = 5;
    if (wide) {
        headings[n] = "kurtosis";
        headings[n + 1] = "zeros";
        headings[n + 2] = "outliers";
        memcpy(alignment + n, "rrr", 4);
        n += 3;
    }
    if (bad) {
        headings[n] = "NaN";
        headings[n + 1] = "inf";
        memcpy(alignment + n, "rr", 3);
        n += 2;
    }
    headings[n++] = "-2^n  0  +2^n";
    strcat(alignment, "l");
    size_t most = cli.verbose ? 255 : room_for_names(v, wide, bad);
    out_table *t = out_table_new(n, alignment, headings);
    for (size_t i = 0; i < v->stats->count; i++) {
        const tola_tensor_stats *s = &v->stats->tensors[i];
        char name[256], spark[128];
        out_table_cell(t, OUT_PLAIN, "%s",
                       short_name(name, sizeof name, tola_checkpoint_tensor(v->checkpoint, s->tensor)->name, most));
        number_cell(t, s->min);
        number_cell(t, s->max);
        number_cell(t, s->mean);
        number_cell(t, s->std);
        if (wide) {
            number_cell(t, s->kurtosis);
            count_cell(t, OUT_PLAIN, s->zeros);
            count_cell(t, OUT_YELLOW, s->outliers);
        }
        if (bad) {
            count_cell(t, OUT_RED, s->nans);
            count_cell(t, OUT_RED, s->infinities);
        }
        out_table_cell(t, OUT_BLUE, "%s", spark_of(spark, sizeof spark, s));
    }
    out_table_print(t);
    print_footer(v, bad);
}

/* ---- one tensor ---- */

#define LABEL_COLUMN 12

static void line(const char *name, const char *text) {
    out_styled(OUT_CYAN, "  %-*s", LABEL_COLUMN, name);
    out_printf("%s\n", text);
}

static void number_line(const char *name, double v) {
    char text[64];
    if (isnan(v))
        snprintf(text, sizeof text, "undefined");
    else
        snprintf(text, sizeof text, "%.9g", v);
    line(name, text);
}

static void count_line(const char *name, uint64_t value, uint64_t of) {
    char grouped[32], text[96];
    text_grouped(grouped, sizeof grouped, value);
    if (value && of)
        snprintf(text, sizeof text, "%s (%.3g %%)", grouped, 100.0 * (double)value / (double)of);
    else
        snprintf(text, sizeof text, "%s", grouped);
    line(name, text);
}

/* A bar that grows to the left. */
static void left_bar(double share, int width) {
    int cells = (int)lround(share * width);
    if (share > 0 && cells == 0) cells = 1;
    out_printf("%*s", width - cells, "");
    for (int i = 0; i < cells; i++) out_styled(OUT_MAGENTA, "%s", chart_unicode() ? "█" : "#");
}

static void right_bar(double share, int width) {
    int cells = (int)lround(share * width);
    if (share > 0 && cells == 0) cells = 1;
    for (int i = 0; i < cells; i++) out_styled(OUT_BLUE, "%s", chart_unicode() ? "█" : "#");
    out_printf("%*s", width - cells, "");
}

static void histogram_row(const char *label, uint64_t negative, uint64_t positive, uint64_t most, int width) {
    char left[32] = "", right[32] = "";
    if (negative) text_grouped(left, sizeof left, negative);
    if (positive) text_grouped(right, sizeof right, positive);
    out_printf("  %14s ", left);
    left_bar((double)negative / (double)most, width);
    out_styled(OUT_BOLD, " %-6s ", label);
    right_bar((double)positive / (double)most, width);
    out_printf(" %s\n", right);
}

static void print_histogram(const tola_tensor_stats *s) {
    uint64_t most = 1;
    int top = 0, bottom = 63;
    bool any = top_exponent(s, &top);
    for (int e = -64; e <= 63; e++) {
        uint64_t n = count_at(s, true, e), p = count_at(s, false, e);
        if (n > most) most = n;
        if (p > most) most = p;
        if ((n || p) && e < bottom) bottom = e;
    }
    int width = (cli.columns < 120 ? cli.columns : 120) - 2 - 15 - 8 - 16;
    width = width / 2 < 8 ? 8 : width / 2;
    out_styled(OUT_DIM, "\n  %14s %*s %-6s %s\n", "negative", width, "", "2^n", "positive");
    for (int e = top; any && e >= bottom; e--) {
        char label[16];
        snprintf(label, sizeof label, "%d", e);
        histogram_row(label, count_at(s, true, e), count_at(s, false, e), most, width);
    }
}

void stats_print_one(const stats_view *v) {
    const tola_tensor_stats *s = &v->stats->tensors[0];
    const tola_tensor_info *t = tola_checkpoint_tensor(v->checkpoint, s->tensor);
    char shape[1400], text[1500];
    uint64_t finite = s->count - s->nans - s->infinities;
    out_styled(OUT_BOLD, "%s", t->name);
    out_printf("  %s %s\n", tola_dtype_name((tola_dtype)t->dtype), fold_shape(shape, sizeof shape, t));
    count_line("elements", s->count, 0);
    snprintf(text, sizeof text, "%.9g .. %.9g", s->min, s->max);
    line("range", finite ? text : "nothing finite");
    number_line("mean", s->mean);
    number_line("std", s->std);
    number_line("norm", s->norm);
    number_line("kurtosis", s->kurtosis);
    count_line("zeros", s->zeros, s->count);
    count_line("outliers", s->outliers, s->count);
    if (s->nans) count_line("NaN", s->nans, s->count);
    if (s->infinities) count_line("infinities", s->infinities, s->count);
    print_histogram(s);
}
