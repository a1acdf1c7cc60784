/* tola stats --plot: tensors down, sign and power of two across, the share of elements as colour. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "canvas.h"
#include "frame.h"
#include "stats.h"

#define CELL 12.0     /* width of a bin */
#define ROW 12.0      /* height of a tensor */
#define MOST_ROWS 1200 /* with more tensors only every n-th is drawn */
#define DEEPEST 40    /* powers of two shown below the largest; smaller elements go into the innermost bin */
#define TOP 54.0
#define MARGIN 16.0
#define LEGEND 44.0

/* The bins that are drawn: exponents from `low` to `high` on both sides of zero. */
typedef struct range {
    int low, high;
} range;

static range range_of(const tola_stats *stats) {
    range r = { 64, -65 };
    for (size_t i = 0; i < stats->count; i++) {
        for (int e = -64; e <= 63; e++) {
            uint64_t n = stats->tensors[i].histogram[63 - e] + stats->tensors[i].histogram[193 + e];
            if (!n) continue;
            if (e < r.low) r.low = e;
            if (e > r.high) r.high = e;
        }
    }
    if (r.high < r.low) r = (range){ -1, 0 }; /* nothing but zeros */
    if (r.high - r.low >= DEEPEST) r.low = r.high - DEEPEST + 1;
    return r;
}

static int columns_of(range r) { return 2 * (r.high - r.low + 1) + 1; }

/* Elements of one column: negative ones from the largest to the smallest, zeros, positive ones. */
static uint64_t count_in(const tola_tensor_stats *s, range r, int column) {
    int side = r.high - r.low + 1;
    if (column == side) return s->histogram[STATS_ZERO_BIN];
    bool negative = column < side;
    int e = negative ? r.high - column : r.low + (column - side - 1);
    uint64_t n = 0;
    for (int x = e == r.low ? -64 : e; x <= e; x++) n += s->histogram[negative ? 63 - x : 193 + x];
    return n;
}

/* Dark for many: a scale from white over blue to nearly black, linear in the logarithm down to one in 10^7. */
static unsigned colour_of(double share) {
    if (share <= 0) return 0xffffff;
    static const unsigned char stops[][3] = { { 222, 235, 247 }, { 158, 202, 225 }, { 66, 146, 198 }, { 8, 81, 156 }, { 8, 29, 74 } };
    double x = 1 + log10(share) / 7;
    x = x < 0 ? 0 : x > 1 ? 1 : x;
    double at = x * 4;
    int i = at >= 4 ? 3 : (int)at;
    double f = at - i;
    unsigned colour = 0;
    for (int k = 0; k < 3; k++)
        colour = colour << 8 | (unsigned)lround(stops[i][k] * (1 - f) + stops[i + 1][k] * f);
    return colour;
}

/* A guess that holds for sans-serif faces; names that are wider only reach into the margin. */
static double text_width(const char *text, double size) { return (double)frame_width(text, strlen(text)) * size * 0.55; }

static void draw_axis(canvas *c, range r, double x, double y) {
    int side = r.high - r.low + 1;
    for (int column = 0; column < columns_of(r); column++) {
        int e = column < side ? r.high - column : r.low + (column - side - 1);
        bool zero = column == side;
        if (!zero && (r.high - e) % 4) continue;
        char label[16];
        snprintf(label, sizeof label, zero ? "0" : "%d", e);
        canvas_text(c, x + (column + 0.5) * CELL, y - 5, 9, CANVAS_MIDDLE, 0x555555, label);
    }
    canvas_text(c, x + side * CELL / 2, y - 18, 10, CANVAS_MIDDLE, 0x333333, "negative, powers of two");
    canvas_text(c, x + (1.5 * side + 1) * CELL, y - 18, 10, CANVAS_MIDDLE, 0x333333, "positive, powers of two");
}

static void draw_row(canvas *c, const stats_view *v, const tola_tensor_stats *s, range r, double x, double y) {
    const char *name = tola_checkpoint_tensor(v->checkpoint, s->tensor)->name;
    canvas_text(c, x - 6, y + ROW - 3, 10, CANVAS_RIGHT, s->nans || s->infinities ? 0xc00000 : 0x222222, name);
    for (int column = 0; column < columns_of(r); column++) {
        uint64_t n = count_in(s, r, column);
        if (n) canvas_rect(c, x + column * CELL, y, CELL - 1, ROW - 1, colour_of((double)n / (double)s->count));
    }
}

static void draw_legend(canvas *c, double x, double y) {
    canvas_text(c, x, y + 9, 9, CANVAS_LEFT, 0x555555, "share of elements");
    for (int i = 0; i < 8; i++) {
        char label[16];
        double share = pow(10, i - 7);
        canvas_rect(c, x + 96 + i * 34, y, 33, 10, colour_of(share));
        snprintf(label, sizeof label, i == 7 ? "1" : "1e%d", i - 7);
        canvas_text(c, x + 96 + i * 34 + 16, y + 21, 8, CANVAS_MIDDLE, 0x555555, label);
    }
}

/* The name of the model without the folders it lies in: a picture is passed on. */
static const char *last_component(const char *path) {
    const char *last = path;
    for (const char *p = path; *p; p++)
        if (*p == '/' && p[1]) last = p + 1;
    return last;
}

int stats_plot(const stats_view *v, const char *path) {
    range r = range_of(v->stats);
    size_t step = (v->stats->count + MOST_ROWS - 1) / MOST_ROWS, rows = 0;
    double names = 60;
    if (step == 0) step = 1;
    for (size_t i = 0; i < v->stats->count; i += step, rows++) {
        double width = text_width(tola_checkpoint_tensor(v->checkpoint, v->stats->tensors[i].tensor)->name, 10);
        if (width > names) names = width;
    }
    double x = MARGIN + names + 6, width = x + columns_of(r) * CELL + MARGIN;
    if (width < MARGIN + 96 + 8 * 34 + MARGIN) width = MARGIN + 96 + 8 * 34 + MARGIN;
    canvas *c = canvas_open(path, width, TOP + (double)rows * ROW + LEGEND);
    if (!c) return CLI_ERROR;
    canvas_text(c, MARGIN, 20, 13, CANVAS_LEFT, 0x000000, last_component(v->path));
    draw_axis(c, r, x, TOP);
    size_t row = 0;
    for (size_t i = 0; i < v->stats->count; i += step)
        draw_row(c, v, &v->stats->tensors[i], r, x, TOP + (double)row++ * ROW);
    draw_legend(c, MARGIN, TOP + (double)rows * ROW + 12);
    return canvas_close(c);
}
